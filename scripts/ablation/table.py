"""The tables of the documentation, made from the result files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hebbit.agents.errors import HebbitError
from hebbit.agents.files import atomic_write_text
from hebbit.scripts.ablation import runs
from hebbit.scripts.bench.statistics import interquartile_mean

Row = dict[str, Any]


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", "\\|")


def scores(values: Sequence[float]) -> str:
    """Cells of some scores: interquartile mean, least and largest, how many."""
    return f"{interquartile_mean(values):.1f} | {min(values):.1f} .. {max(values):.1f} | {len(values)}"


def ablation_table(rows: Sequence[Row]) -> str:
    """A Markdown table for each environment, variants in the order of their first rows.

    Raises:
        HebbitError: there are no rows, or they do not belong together.
    """
    if not rows:
        raise HebbitError("a table must have at least one row, got none: run the ablation first")
    versions = {(row["hebbit"], row["contract"]) for row in rows}
    if len(versions) > 1:
        raise HebbitError(f"rows must be of one version and contract, got {sorted(versions)}: run with --anew")
    made = []
    for env_id in dict.fromkeys(row["env_id"] for row in rows):
        own = [row for row in rows if row["env_id"] == env_id]
        made.append(f"**{env_id}**\n\n{_task_table(own)}")
    return "\n".join(made)


def _task_table(rows: Sequence[Row]) -> str:
    lines = [
        "| variant | what it shows | steps | greedy return: IQM | spread | seeds | stochastic: IQM |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        if len({(row["steps"], row["settings_sha256"]) for row in own}) > 1:
            raise HebbitError(f"rows of {name} must have equal settings, got several: run it with --anew")
        greedy, free = ([float(row[kind]) for row in own] for kind in ("greedy", "stochastic"))
        lines.append(
            f"| `{cell(name)}` | {cell(own[0]['part'])} | {own[0]['steps']:,} | {scores(greedy)} "
            f"| {interquartile_mean(free):.1f} |"
        )
    return "\n".join(lines) + "\n"


def bits_table(rows: Sequence[Row]) -> str:
    """A Markdown table of the model's rows."""
    lines = [
        "| bits of a weight | bits of a trace | greedy return: IQM | spread | seeds |",
        "|---:|---:|---:|---:|---:|",
    ]
    lines += [f"| {row['weight_bits']} | {row['trace_bits']} | {scores(row['greedy'])} |" for row in rows]
    return "\n".join(lines) + "\n"


def updated(text: str, mark: str, table: str) -> str:
    """A document with the table between the lines of a mark made anew.

    Raises:
        HebbitError: it has no such lines.
    """
    first, last = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->\n"
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise HebbitError(f"the document must have the lines {first.strip()!r} and {last.strip()!r}; add them")
    return before + begin + table + end + after


def update(document: Path, results: Path, bits_results: Path | None) -> None:
    """Bring the tables of a document up to date.

    Raises:
        HebbitError: a file is missing or holds something else, or the document has no marks.
    """
    tables = {"ablation": ablation_table(_there(results, runs.CLAIM))}
    if bits_results is not None:
        tables["bits"] = bits_table(_there(bits_results, runs.BITS_CLAIM))
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise HebbitError(f"{document} must be a document to update, got {error.strerror}: name another") from error
    for mark, table in tables.items():
        text = updated(text, mark, table)
    atomic_write_text(document, text)


def _there(path: Path, claim: str) -> list[Row]:
    rows = runs.read_rows(path, claim)
    if rows is None:
        raise HebbitError(f"{path} must be a result file, got none: make it first, see --help")
    return rows
