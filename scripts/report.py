"""hebbit report: what a benchmark found, as Markdown and as a page."""

import argparse
from pathlib import Path

from hebbit.agents.errors import RunError
from hebbit.agents.files import atomic_write_bytes, atomic_write_text
from hebbit.scripts.bench import report_html, report_markdown
from hebbit.scripts.bench.report_contents import document
from hebbit.scripts.bench.report_document import pictures
from hebbit.scripts.bench.report_study import Study
from hebbit.scripts.bench.report_summary import counts
from hebbit.scripts.bench.rows import read

MARKDOWN, PAGE = "report.md", "report.html"
MARKS = {MARKDOWN: report_markdown.MARK, PAGE: report_html.MARK}
"""By which a report of ours is known: nothing else is overwritten."""


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit report --help``."""
    folders = list(dict.fromkeys(Path(name) for name in arguments.results))
    out = folders[0] if arguments.out is None else Path(arguments.out)
    check_place(out)
    study = Study(read(folders), arguments.repetitions)
    write(study, out)
    print(counts(study))
    print(f"report: {out / MARKDOWN} and {out / PAGE}")
    return 0


def check_place(out: Path) -> None:
    """Refuse a folder whose files would have to be overwritten though they are no reports of ours.

    Raises:
        RunError: it is no folder, or holds such a file.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file: choose a folder with --out")
    for name, mark in MARKS.items():
        path = out / name
        if path.exists() and (not path.is_file() or mark.encode() not in path.read_bytes()[:2000]):
            raise RunError(f"{path} exists and was not made by hebbit report: move it, or choose another --out")


def write(study: Study, out: Path) -> None:
    """Write the report and its pictures into a folder, which is made if need be.

    Raises:
        RunError: the disk refused.
    """
    content = document(study, out)
    for picture in pictures(content.blocks):
        atomic_write_bytes(out / report_markdown.FIGURES / f"{picture.name}.png", picture.png)
    atomic_write_text(out / MARKDOWN, report_markdown.render(content))
    atomic_write_text(out / PAGE, report_html.render(content, study.looks))
