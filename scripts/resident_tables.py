"""The tables of docs/resident.md from the figures that were measured.

python -m hebbit.scripts.resident_tables docs/resident.md docs/results
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hebbit.agents.files import atomic_write_text


def kernels(found: dict[str, Any]) -> str:
    """Registers by architecture and instructions on sm_90."""
    architectures = list(next(iter(found.values())))
    head = " | ".join(f"sm_{one}" for one in architectures)
    lines = [f"| registers of `live` | {head} | instructions, in double precision | shared bytes |"]
    lines.append("|---" * (len(architectures) + 3) + "|")
    for title, rows in found.items():
        used = " | ".join(str(rows[one]["live"]["registers"]) for one in architectures)
        counted = rows["90"]["live"]
        numbers = f"{counted['instructions']:,}, {counted['double']:,}"
        lines.append(f"| {title} | {used} | {numbers} | {rows['90']['shared_bytes']:,} |")
    spilled = sum(
        row[name]["spilled"] for rows in found.values() for row in rows.values() for name in ("live", "trial")
    )
    return "\n".join([*lines, "", f"Bytes spilled, over all of them: {spilled}."])


def rates(found: dict[str, Any]) -> str:
    """Training steps a second."""
    lines = ["| | steps a second | of the base point |", "|---|---|---|"]
    for point in found["points"]:
        lines.append(f"| {point['name']} | {point['steps_per_second']:,.0f} | {point['ratio']:.2f} |")
    return "\n".join(lines)


def filled(text: str, name: str, table: str) -> str:
    """A page with a table between its markers.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    start, stop = text.index(begin) + len(begin), text.index(end)
    return f"{text[:start]}{table}\n{text[stop:]}"


def main(words: Sequence[str] | None = None) -> int:
    """Fill the page."""
    page, results = map(Path, sys.argv[1:] if words is None else words)
    text = page.read_text()
    text = filled(text, "kernels", kernels(json.loads((results / "resident_kernels.json").read_text())))
    text = filled(text, "rate", rates(json.loads((results / "resident_rate.json").read_text())))
    atomic_write_text(page, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
