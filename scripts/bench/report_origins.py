"""Where figures come from: what failed, settings, versions, machines, and the file of every run."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hebbit.agents.errors import brief
from hebbit.scripts.bench import report_numbers as show
from hebbit.scripts.bench.report_document import Block, Cell, Details, Table
from hebbit.scripts.bench.report_study import Study
from hebbit.scripts.bench.report_tables import algorithm
from hebbit.scripts.bench.rows import DONE, MISSING, Entry, Run

ERROR = 300
"""Letters of an error that are shown."""


def broken(study: Study) -> Table | None:
    """Runs that are not finished, those with the same fate in one row; None if all are."""
    groups: dict[tuple[str, str, str, str], list[int]] = {}
    for entry in study.results.entries:
        if entry.status != DONE:
            fate = entry.task, entry.algorithm, entry.status, _reason(entry)
            groups.setdefault(fate, []).append(entry.seed)
    if not groups:
        return None
    tasks, names = [task.name for task in study.tasks], study.results.algorithms
    fates = sorted(groups, key=lambda fate: (tasks.index(fate[0]), names.index(fate[1]), *fate[2:]))
    rows: list[list[Cell | str]] = [
        [algorithm(study, name), task, ranges(groups[task, name, status, reason]), status, reason]
        for task, name, status, reason in fates
    ]
    head = ["algorithm", "task", "seeds", "what happened", "error"]
    return Table("Runs that are not finished", head, rows, ["hebbit benchmark tries them again."], words=-1)


def ranges(seeds: list[int]) -> str:
    """Whole numbers, those in a row as their first and last: 1000-1003, 1007."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _reason(entry: Entry) -> str:
    if entry.status == MISSING:
        return "there is no file of it"
    return brief(entry.run.error if entry.run else "", ERROR) or "none was given"


def settings(study: Study) -> Iterator[Block]:
    """A folded table of settings for each algorithm."""
    for name, look in study.looks.items():
        rows = list(_settings_rows(study, name))
        if rows:
            table = Table(f"{look.name} on each task", ["task", "setting", "value"], rows, words=-1)
            yield Details(f"Settings of {look.name}", [table])


def _settings_rows(study: Study, name: str) -> Iterator[list[Cell | str]]:
    """What all tasks share is said once."""
    by_task = {}
    for task in study.tasks:
        runs = [entry.run for entry in study.results.cell(task.name, name) if entry.run is not None]
        if runs:
            by_task[task.name] = dict(runs[0].job["settings"])
    keys = list(dict.fromkeys(key for own in by_task.values() for key in own))
    for key in keys:
        values = {task: _text(own[key]) for task, own in by_task.items() if key in own}
        if len(values) == len(by_task) and len(set(values.values())) == 1:
            yield ["all" if len(by_task) > 1 else next(iter(values)), key, next(iter(values.values()))]
        else:
            yield from ([task, key, value] for task, value in values.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def origins(study: Study) -> Table:
    """Versions, machines and calls."""
    runs = [entry.run for entry in study.results.entries if entry.run is not None]
    rows: list[list[Cell | str]] = []
    versions = sorted({(name, str(version)) for run in runs for name, version in _versions(run)})
    for name in dict.fromkeys(name for name, _ in versions):
        found = [version for other, version in versions if other == name]
        rows.append([f"version of {name}" if name != "commit" else "commit of hebbit", show.listed(found)])
    machines: dict[str, tuple[str, int]] = {}
    for run in runs:
        text = ", ".join(_machine(run))
        machines[run.origin[0]] = text, machines.get(run.origin[0], ("", 0))[1] + 1
    for number, (text, count) in enumerate(machines.values(), 1):
        rows.append([f"machine {number}", f"{text}: {count} run{'s' * (count > 1)}"])
    calls = {run.origin for run in runs}
    rows.append(["calls of hebbit benchmark", str(len(calls))])
    times = sorted(run.finished for run in runs if run.finished)
    if times:
        rows.append(["first and last run finished", f"{_time(times[0])} and {_time(times[-1])}"])
    rows.append(["repetitions of bootstrap and permutation test", f"{study.repetitions:,}"])
    return Table("Versions, machines and calls", ["what", "value"], rows, words=-1)


def _time(text: str) -> str:
    """A time as ISO 8601 has it, to the minute and in UTC."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text


def _versions(run: Run) -> Iterator[tuple[str, Any]]:
    yield from run.job["versions"].items()
    commit = run.machine.get("commit")
    if commit and "commit" not in run.job["versions"]:
        yield "commit", str(commit) + (" with changes" if run.machine.get("code_changed") else "")


def _machine(run: Run) -> Iterator[str]:
    machine = run.machine
    yield str(machine.get("cpu") or "unknown processor")
    if machine.get("cores"):
        yield f"{machine['cores']} cores"
    for key in ("system", "python"):
        if machine.get(key):
            yield str(machine[key])


def files(study: Study, out: Path) -> Block:
    """Every run with a link to its file, relative to the report's folder."""
    rows: list[list[Cell | str]] = []
    for task in study.tasks:
        for name in study.on(task):
            for entry in study.results.cell(task.name, name):
                mean = show.UNKNOWN
                if entry.run is not None and entry.run.greedy is not None:
                    mean = show.number(float(entry.run.greedy.mean()))
                cell = Cell("none") if entry.run is None else Cell("JSON", link=_link(entry.run.path, out))
                rows.append([algorithm(study, name), task.name, str(entry.seed), entry.status, mean, cell])
    head = ["algorithm", "task", "seed", "status", "final greedy mean", "file"]
    return Details(f"All {len(rows)} runs", [Table("Every run and its file", head, rows, words=4)])


def _link(path: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(path, out)).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_uri()
