"""Tables of what was learnt: on each task, at the same number of steps, over all tasks, and who beats whom."""

import math
from collections.abc import Iterator

import numpy as np

from hebbit.scripts.bench import report_numbers as show
from hebbit.scripts.bench import statistics
from hebbit.scripts.bench.report_document import Cell, Table
from hebbit.scripts.bench.report_study import Comparison, Group, Rivalry, Study
from hebbit.scripts.bench.rows import DONE, MISSING, OURS, Task

APART = "†"
"""Marks seconds that cannot be compared."""
FEW_TASKS = 10


def outcome(study: Study, task: Task) -> Table:
    """What became of each algorithm on a task."""
    apart = not study.comparable(task)
    mark = APART if apart else ""
    head = [
        "algorithm",
        "steps",
        "seeds done / failed / missing",
        "greedy return",
        "stochastic return",
        "solved",
        "steps to threshold",
        f"seconds to threshold{mark}",
        f"CPU seconds to threshold{mark}",
        f"CPU seconds, times {study.looks[OURS].name}'s" if OURS in study.looks else "",
    ]
    rows = [list(_outcome_row(study, task, name, apart)) for name in study.on(task)]
    columns = list(range(len(head)))
    if OURS not in study.on(task) or apart:
        columns.remove(9)
    if task.threshold is None:
        columns = columns[:5]
    return Table(
        f"{task.name}: returns of the final policies"
        + (" and time to the threshold" if task.threshold is not None else ""),
        [head[i] for i in columns],
        [[row[i] for i in columns] for row in rows],
        list(_outcome_notes(study, task)),
    )


def _outcome_row(study: Study, task: Task, name: str, apart: bool) -> Iterator[Cell | str]:
    cell = study.results.cell(task.name, name)
    done, missing = (sum(entry.status == status for entry in cell) for status in (DONE, MISSING))
    yield algorithm(study, name)
    yield show.whole(max(entry.steps for entry in cell))
    yield f"{done} / {len(cell) - done - missing} / {missing}"
    for greedy in (True, False):
        yield Cell(*show.estimate(study.final_estimate(task, name, greedy)))
    solved, n = study.solved(task, name)
    share = statistics.wilson(solved, n)
    interval = f"[{share.low:.0%}, {share.high:.0%}]"
    yield Cell(f"{solved} of {n}", interval) if n else show.UNKNOWN
    for axis, form in (("steps", show.whole), ("seconds", show.three), ("cpu_seconds", show.three)):
        reached = study.reached(task, name, axis)
        arrived = int(np.isfinite(reached).sum())
        mark = APART if apart and axis != "steps" and arrived else ""
        yield Cell(
            form(statistics.median_reach(reached)) + mark, f"{arrived} of {n} did" if n and axis == "steps" else ""
        )
    yield ratio(study, task, name)


def algorithm(study: Study, name: str) -> Cell:
    """The cell that a row begins with."""
    return Cell(study.looks[name].name, algorithm=name)


def ratio(study: Study, task: Task, name: str) -> str:
    """CPU seconds to the threshold as a multiple of ours; nothing where either is unknown or may not be compared."""
    own, other = (statistics.median_reach(study.reached(task, one, "cpu_seconds")) for one in (OURS, name))
    if not study.comparable(task) or not (math.isfinite(own) and math.isfinite(other)) or own <= 0:
        return show.UNKNOWN
    return f"{other / own:.1f}"


def _outcome_notes(study: Study, task: Task) -> Iterator[str]:
    if task.threshold is None:
        yield "No return counts as solved here: there is no threshold."
    if study.finished_on(task) and not study.comparable(task):
        yield apart_note(study, [task])
    unfit = [study.looks[name].name for name in study.results.algorithms if (task.name, name) in study.results.unfit]
    if unfit:
        yield f"Cannot act here: {show.listed(unfit)}."


def guide(study: Study) -> list[tuple[str, str]]:
    """How to read the tables of the tasks."""
    runs = [run for task in study.tasks for name in study.on(task) for run in study.runs(task, name)]
    episodes = {len(run.greedy) for run in runs if run.greedy is not None}
    points = {run.curve.episodes for run in runs if run.curve is not None}
    return [
        (
            "Return:",
            f"the mean of {_or(episodes)} final episodes of each run; of these, the interquartile mean over seeds, "
            "with its 95 % bootstrap interval (none for one seed). Greedy takes the best action, stochastic draws it. "
            "Failed and missing runs have no return and are not in it, which flatters an algorithm that fails.",
        ),
        (
            "Solved:",
            "seeds whose final greedy mean is at the task's threshold or above, with Wilson's 95 % interval.",
        ),
        (
            "To threshold:",
            f"the first checkpoint of a run whose greedy mean of {_or(points)} episodes is that high, of the "
            "checkpoints that all algorithms share which learn for that long; the median over seeds, which is never "
            "if half of them or more do not arrive. It may fall again later. Start-up and evaluation do not count.",
        ),
        (
            "At the same number of steps:",
            "the last checkpoint that all share within the budget of "
            f"{study.looks[OURS].name if OURS in study.looks else 'the task'}, or the end of an algorithm that stops "
            "before. Algorithms with a larger budget may have been tuned for that one.",
        ),
    ]


def apart_note(study: Study, tasks: list[Task]) -> str:
    """Why seconds are not compared."""
    machines, calls = study.origins(tasks)
    where = "CPU seconds of several machines" if machines > 1 else "one machine, but not one call"
    return (
        f"{APART} Not comparable: the runs come from {calls} calls of hebbit benchmark on {machines} "
        f"machine{'s' if machines > 1 else ''} ({where}), so no ratio is given."
    )


def _or(numbers: set[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))


def same_steps(study: Study, task: Task) -> Table:
    """Learning curves at our budget."""
    rows: list[list[Cell | str]] = []
    for name in study.finished_on(task):
        steps, returns = study.at_budget(task, name)
        at = show.UNKNOWN if not len(steps) else show.whole(float(np.median(steps)))
        value = Cell(*show.estimate(study.estimate(returns)))
        rows.append([algorithm(study, name), at, value, str(len(returns))])
    caption = f"{task.name}: at the same number of steps, {study.meeting(task):,}"
    return Table(caption, ["algorithm", "checkpoint at", "greedy return", "seeds"], rows)


def aggregate(study: Study, group: Group) -> Table:
    """Normalised scores over all tasks of a group."""
    rows: list[list[Cell | str]] = []
    for name in group.algorithms:
        scores = study.normalised(group.tasks, name)
        found = [
            statistics.bootstrap(statistic, scores, study.repetitions) for statistic in statistics.AGGREGATES.values()
        ]
        cells = [Cell(*show.chance(one)) for one in found]
        rows.append([algorithm(study, name), str(sum(map(len, scores))), *cells])
    count = len(group.tasks)
    caption = f"Normalised final greedy scores over {count} task{'s' * (count > 1)}"
    return Table(caption, ["algorithm", "runs", *statistics.AGGREGATES], rows, list(_aggregate_notes(study, group)))


def _aggregate_notes(study: Study, group: Group) -> Iterator[str]:
    tasks = group.tasks
    if len(tasks) < FEW_TASKS:
        few = "One task is little" if len(tasks) == 1 else f"{len(tasks)} tasks are few"
        yield (
            f"{few}: the intervals say what other seeds would do on the same tasks, not what would happen on other "
            "tasks, and the scale of a task decides how much it weighs."
        )
    scales = (
        f"{task.name} {task.low:g} to {task.high:g}" + (f" ({task.source})" if task.source else "") for task in tasks
    )
    yield f"Score 0 and 1 of each task: {'; '.join(scales)}."
    yield from _budgets(study, group)
    yield "More is better, but for the optimality gap: how far scores stay below 1. In brackets: 95 % intervals."
    left = [task.name for task in study.tasks if task not in tasks]
    if left:
        yield f"Left out: {show.listed(left)}, which not all of these have finished or which has no scale."
    others = [study.looks[name].name for name in study.results.algorithms if name not in group.algorithms]
    if others:
        yield f"Left out: {show.listed(others)}, not finished on all of these tasks."
    if len({len(scores) for name in group.algorithms for scores in study.normalised(tasks, name)}) > 1:
        yield "Numbers of runs differ: in the interquartile mean, all runs together, a task with more runs weighs more."


def _budgets(study: Study, group: Group) -> Iterator[str]:
    """How much longer others have learnt."""
    if OURS not in group.algorithms:
        return
    for name in group.algorithms:
        times = [study.results.cell(task.name, name)[0].steps / study.budget(task) for task in group.tasks]
        if set(times) != {1.0}:
            spread = f"{min(times):.2g} to {max(times):.2g}" if min(times) < max(times) else f"{times[0]:.2g}"
            yield f"{study.looks[name].name} had {spread} times the steps of {study.looks[OURS].name}."


def rivals(study: Study) -> Table | None:
    """The chance that a run of ours ends higher than one of another, on each task and on average; None without any."""
    found = study.rivalries()
    if not found:
        return None
    ours = study.looks[OURS].name
    rows: list[list[Cell | str]] = []
    if any(len(rivalry.tasks) > 1 for rivalry in found):
        rows.append(["average", *[_average(rivalry) for rivalry in found]])
    for task in study.tasks:
        cells = [_on_task(rivalry, task) for rivalry in found]
        if any(cell.text != show.UNKNOWN for cell in cells):
            rows.append([task.name, *cells])
    return Table(
        f"Chance that a run of {ours} ends higher than one of another algorithm",
        ["task", *[study.looks[rivalry.other].name for rivalry in found]],
        rows,
        [
            "Final greedy means of both, ties counted half; 95 % bootstrap interval, and a two-sided permutation test "
            f"that shuffles which run is whose. {ours} is called ahead or behind only where both agree.",
            "Steps differ where budgets do. Neither intervals nor tests are corrected for there being several of them.",
        ],
    )


def _average(found: Rivalry) -> Cell:
    cell = _chance(found.overall)
    return Cell(cell.text, f"{cell.under}, {len(found.tasks)} task{'s' * (len(found.tasks) > 1)}")


def _on_task(found: Rivalry, task: Task) -> Cell:
    return _chance(found.each[found.tasks.index(task)]) if task in found.tasks else Cell(show.UNKNOWN)


def _chance(found: Comparison) -> Cell:
    value, interval = show.chance(found.chance)
    words = {1: "ahead", 0: "open", -1: "behind"}[found.verdict]
    return Cell(f"{value} {words}", ", ".join(part for part in (interval, show.probability(found.p)) if part))
