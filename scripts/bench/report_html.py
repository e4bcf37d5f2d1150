"""A report as one HTML file that needs nothing else: no network, no script, no other file."""

import base64
from collections.abc import Iterator, Mapping
from html import escape
from urllib.parse import quote

from hebbit.scripts.bench.report_document import (
    Block,
    Bullets,
    Cell,
    Details,
    Document,
    Gallery,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_cell,
)
from hebbit.scripts.bench.report_style import DARK, Look

MARK = '<meta name="generator" content="hebbit report">'
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser is told to refuse: everything but what stands in the file."""

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1d2329; --soft: #59636e; --line: #d9dee3; --band: #f5f7f9;
  --link: #0b5cad; --accent: #D55E00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181c; --ink: #e4e8ec; --soft: #a3adb8; --line: #343c44; --band: #1b2026; --link: #7cb8f5;
    --accent: #FF8A3D; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; overflow-wrap: break-word; }
main { max-width: 78rem; margin: 0 auto; padding: 1.5rem 1.1rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0.4em 0; padding-top: 0.4em; border-top: 4px solid var(--accent); }
h2 { font-size: 1.35rem; margin: 2.4em 0 0.6em; padding-bottom: 0.25em; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2em 0 0.5em; }
p, li { max-width: 52rem; }
a { color: var(--link); }
.lead, .notes, figcaption { color: var(--soft); }
.lead { font-size: 1.05rem; margin-top: 0; }
ul { padding-left: 1.2rem; }
li { margin: 0.35em 0; }
.notes { font-size: 0.85rem; margin: 0.4rem 0 1.6rem; }
.notes li { margin: 0.15em 0; }
.scroll { overflow-x: auto; width: fit-content; min-width: min(100%, 40rem); max-width: 100%; margin: 1rem 0 0.4rem;
  border: 1px solid var(--line); border-radius: 6px; }
.scroll:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 0.9rem;
  font-variant-numeric: tabular-nums; }
caption { caption-side: top; text-align: left; padding: 0.6rem 0.7rem; font-weight: 600; }
caption span { position: sticky; left: 0.7rem; display: inline-block; max-width: calc(100vw - 3.4rem); }
th, td { padding: 0.4rem 0.7rem; text-align: right; vertical-align: top; border-top: 1px solid var(--line); }
th { font-weight: 600; }
thead th { vertical-align: bottom; background: var(--band); font-size: 0.82rem; line-height: 1.3; min-width: 4.5rem; }
tbody th { background: var(--page); position: sticky; left: 0; white-space: nowrap; font-weight: 500; }
.text, .figure { white-space: nowrap; }
td.prose { white-space: normal; min-width: 7rem; max-width: 44rem; overflow-wrap: anywhere; }
.text, .prose, .left { text-align: left; }
.under { display: block; color: var(--soft); font-size: 0.82em; }
.ours > * { background: var(--band); }
.ours th { font-weight: 700; }
.dot { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 50%; margin-right: 0.5em;
  background: var(--dot); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem;
  margin: 1.2rem 0; }
figure { margin: 0; min-width: 0; border: 1px solid var(--line); border-radius: 6px; padding: 0.6rem; }
.wide { grid-column: 1 / -1; max-width: 40rem; }
img { display: block; width: 100%; height: auto; }
figcaption { font-size: 0.82rem; line-height: 1.4; margin-top: 0.4rem; }
details { border: 1px solid var(--line); border-radius: 6px; padding: 0.5rem 0.8rem; margin: 0.7rem 0; }
summary { cursor: pointer; font-weight: 600; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; padding: 0; list-style: none; font-size: 0.92rem; }
@media (max-width: 40rem) { main { padding: 0.8rem 0.7rem 3rem; } h1 { font-size: 1.5rem; }
  th, td { padding: 0.35rem 0.5rem; } }
@media print { .scroll { overflow: visible; } }
"""


def dark(svg: str) -> str:
    """A drawing in the colours of a dark page."""
    for light, other in DARK.items():
        svg = svg.replace(light.lower(), other.lower())
    return svg


def render(document: Document, looks: Mapping[str, Look]) -> str:
    """The whole file."""
    headings = [block for block in document.blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<li><a href="#{_anchor(one.text)}">{escape(one.text)}</a></li>' for one in headings)
    page = _Page(looks)
    body = "\n".join(text for block in document.blocks for text in page.block(block))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
{MARK}
<title>{escape(document.title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}{_dots(looks)}</style>
</head>
<body>
<main>
<h1>{escape(document.title)}</h1>
<p class="lead">{escape(document.lead)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
{body}
</main>
</body>
</html>
"""


def _anchor(text: str) -> str:
    return "-".join("".join(x if x.isalnum() else " " for x in text.lower()).split())


def _dots(looks: Mapping[str, Look]) -> str:
    """Colours of the algorithms on both pages."""
    light = "".join(f".dot-{i} {{ --dot: {look.colour}; }} " for i, look in enumerate(looks.values()))
    night = "".join(f".dot-{i} {{ --dot: {DARK[look.colour]}; }} " for i, look in enumerate(looks.values()))
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {night}}}\n"


class _Page:
    """Writes blocks."""

    def __init__(self, looks: Mapping[str, Look]) -> None:
        self.looks = looks
        self.numbers = {name: i for i, name in enumerate(looks)}

    def block(self, block: Block) -> Iterator[str]:
        match block:
            case Heading():
                yield f'<h{block.level} id="{_anchor(block.text)}">{escape(block.text)}</h{block.level}>'
            case Paragraph():
                yield f"<p>{escape(block.text)}</p>"
            case Bullets():
                items = (f"<li><strong>{escape(lead)}</strong> {escape(text)}</li>" for lead, text in block.items)
                yield f"<ul>{''.join(items)}</ul>"
            case Table():
                yield from self.table(block)
            case Gallery():
                yield f'<div class="gallery">{"".join(_figure(one) for one in block.pictures)}</div>'
            case Details():
                yield f"<details><summary>{escape(block.summary)}</summary>"
                for inner in block.blocks:
                    yield from self.block(inner)
                yield "</details>"

    def table(self, table: Table) -> Iterator[str]:
        # it scrolls by itself, also with the keyboard: the page stays as wide as the screen
        yield f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.caption)}"><table>'
        yield f"<caption><span>{escape(table.caption)}</span></caption>"
        columns = range(len(table.head))
        kinds = ["prose" if table.words < 0 else "text" if i < table.words else "figure" for i in columns]
        titles = zip(table.head, kinds, strict=True)
        cells = "".join(f'<th scope="col"{_aligned(kind)}>{escape(title)}</th>' for title, kind in titles)
        yield f"<thead><tr>{cells}</tr></thead><tbody>"
        for row in table.rows:
            yield self.row([as_cell(cell) for cell in row], kinds)
        yield "</tbody></table></div>"
        if table.notes:
            yield f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in table.notes)}</ul>'

    def row(self, cells: list[Cell], kinds: list[str]) -> str:
        ours = any(cell.algorithm and self.looks[cell.algorithm].ours for cell in cells)
        first, *others = zip(cells, kinds, strict=True)
        text = f'<th scope="row" class="{first[1]}">{self.cell(first[0])}</th>'
        text += "".join(f'<td class="{kind}">{self.cell(cell)}</td>' for cell, kind in others)
        return f"{'<tr class=ours>' if ours else '<tr>'}{text}</tr>"

    def cell(self, cell: Cell) -> str:
        text = escape(cell.text)
        if cell.link:
            text = f'<a href="{escape(quote(cell.link))}">{text}</a>'
        if cell.algorithm:
            text = f'<span class="dot dot-{self.numbers[cell.algorithm]}" aria-hidden="true"></span>{text}'
        return text + (f'<span class="under">{escape(cell.under)}</span>' if cell.under else "")


def _aligned(kind: str) -> str:
    """Titles of columns may wrap, whatever their columns do."""
    return "" if kind == "figure" else ' class="left"'


def _figure(picture: Picture) -> str:
    """One drawing for each colour scheme."""
    night, day = (_data(svg) for svg in (dark(picture.svg), picture.svg))
    begin = '<figure class="wide">' if picture.wide else "<figure>"
    return (
        f"{begin}<picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{night}">'
        f'<img src="{day}" alt="{escape(picture.alt)}"></picture>'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _data(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
