"""A report as GitHub's Markdown, with its pictures as files beside it."""

import re
from collections.abc import Iterator
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
    Table,
    as_cell,
)

MARK = "<!-- made by hebbit report: it is written anew each time -->"
FIGURES = "figures"
"""Folder of the pictures."""


def plain(text: str) -> str:
    """A text in one line in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(text.split()))


def render(document: Document) -> str:
    """The whole file."""
    parts = [MARK, f"# {plain(document.title)}", plain(document.lead)]
    return "\n\n".join([*parts, *(text for block in document.blocks for text in _block(block))]) + "\n"


def _block(block: Block) -> Iterator[str]:
    """Parts with an empty line between them."""
    match block:
        case Heading():
            yield f"{'#' * block.level} {plain(block.text)}"
        case Paragraph():
            yield plain(block.text)
        case Bullets():
            yield "\n".join(f"- **{plain(lead)}** {plain(text)}" for lead, text in block.items)
        case Table():
            yield f"**{plain(block.caption)}**"
            yield "\n".join(_rows(block))
            if block.notes:
                yield "\n".join(f"- {plain(note)}" for note in block.notes)
        case Gallery():
            # two beside each other; a phone shows them smaller
            yield "\n".join(
                f'<img src="{FIGURES}/{quote(one.name)}.png" alt="{_attribute(one.alt)}" '
                f'width="{"90" if one.wide else "48"}%">'
                for one in block.pictures
            )
            yield "\n".join(f"- {plain(one.caption)}" for one in block.pictures)
        case Details():
            yield f"<details><summary>{_attribute(block.summary)}</summary>"
            for inner in block.blocks:
                yield from _block(inner)
            yield "</details>"


def _attribute(text: str) -> str:
    """A text within HTML."""
    from html import escape

    return escape(" ".join(text.split()))


def _rows(table: Table) -> Iterator[str]:
    words = len(table.head) if table.words < 0 else table.words
    yield f"| {' | '.join(plain(title) for title in table.head)} |"
    yield f"|{'|'.join('---' if column < words else '---:' for column in range(len(table.head)))}|"
    for row in table.rows:
        yield f"| {' | '.join(_cell(as_cell(cell)) for cell in row)} |"


def _cell(cell: Cell) -> str:
    text = plain(cell.text)
    if cell.link:
        text = f"[{text}]({quote(cell.link)})"
    return f"{text}<br>{plain(cell.under)}" if cell.under else text
