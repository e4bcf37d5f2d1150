"""What a report is made of, whatever it is written as."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Cell:
    """Of a table."""

    text: str
    under: str = ""
    """A smaller line below it, such as an interval."""
    link: str = ""
    """A relative path."""
    algorithm: str = ""
    """Whose colour stands before it."""


@dataclass(frozen=True)
class Table:
    """Rows under a caption; the first column names the row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    notes: Sequence[str] = ()
    """Sentences below it."""
    words: int = 1
    """Leading columns of text rather than figures; -1 for all."""


@dataclass(frozen=True)
class Heading:
    """Of level 2 or 3; the document's title is level 1."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Sentences behind a word or two that stand out."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """Of one kind of results."""

    name: str
    """Of its file, without an ending."""
    alt: str
    """What it shows, in words, for whoever does not see it."""
    caption: str
    png: bytes
    svg: str
    wide: bool = False
    """Has a row of its own."""


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side where there is room."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Details:
    """What is folded away."""

    summary: str
    blocks: "Sequence[Block]"


Block: TypeAlias = Heading | Paragraph | Bullets | Table | Gallery | Details


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    lead: str
    """A sentence or two below the title."""
    blocks: Sequence[Block]


def pictures(blocks: Sequence[Block]) -> list[Picture]:
    """All of them, in their order."""
    found: list[Picture] = []
    for block in blocks:
        if isinstance(block, Gallery):
            found.extend(block.pictures)
        elif isinstance(block, Details):
            found.extend(pictures(block.blocks))
    return found


def as_cell(cell: Cell | str) -> Cell:
    """A cell, of a text alone if need be."""
    return Cell(cell) if isinstance(cell, str) else cell
