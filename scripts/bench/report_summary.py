"""The result in sentences: who was better where, how sure that is, and what was not finished."""

import math

from hebbit.scripts.bench import report_numbers as show
from hebbit.scripts.bench import statistics
from hebbit.scripts.bench.report_study import Comparison, Rivalry, Study
from hebbit.scripts.bench.rows import DONE, MISSING, OURS, Task

Item = tuple[str, str]


def counts(study: Study) -> str:
    """How many runs there are."""
    entries, old = study.results.entries, study.results.old
    done, missing = (sum(entry.status == status for entry in entries) for status in (DONE, MISSING))
    text = f"Of {len(entries)} runs, {done} finished, {len(entries) - done - missing} failed and {missing} are missing."
    return text + (f" Files of other settings or versions, ignored: {old}." if old else "")


def lead(study: Study) -> str:
    """A sentence under the title."""
    names = [look.name for look in study.looks.values()]
    tasks = f"{len(study.tasks)} task{'s' * (len(study.tasks) != 1)}"
    return f"{show.listed(names)} on {tasks}. {counts(study)}"


def general(study: Study) -> list[Item]:
    """Bullets: each rival, and what to bear in mind."""
    if not any(entry.status == DONE for entry in study.results.entries):
        return [("No run has finished:", "there is nothing to compare. The table of failed and missing runs says why.")]
    rivalries = study.rivalries()
    items = [(f"{study.looks[one.other].name}:", rivalry(study, one)) for one in rivalries]
    if not rivalries:
        items.append(("Alone:", "no other algorithm has finished a task of hebbit's: nothing is compared."))
    broken = sum(entry.status != DONE for entry in study.results.entries)
    if broken:
        items.append(("Incomplete:", f"runs that are not finished, and not in any figure: {broken}, listed below."))
    return items


def by_task(study: Study) -> list[Item]:
    """A bullet for each task that somebody has finished."""
    return [(f"{task.name}:", of_task(study, task)) for task in study.tasks if study.finished_on(task)]


def rivalry(study: Study, found: Rivalry) -> str:
    """Ours beside another algorithm."""
    ours, other = study.looks[OURS].name, study.looks[found.other].name
    if math.isnan(found.overall.chance.low):
        return "one finished seed of each says nothing about other seeds; more are needed to compare."
    over = f"averaged over {len(found.tasks)} tasks" if len(found.tasks) > 1 else f"on {found.tasks[0].name}"
    text = (
        f"a run of {ours} ends higher than one of {other} with probability {_chance(found.overall)}, {over} "
        f"(permutation test: {show.probability(found.overall.p)}); {_verdict(found.overall, ours, other)}"
    )
    return text + (_by_task(found, ours) if len(found.tasks) > 1 else "") + "."


def _chance(found: Comparison) -> str:
    return " ".join(part for part in show.chance(found.chance) if part)


def _verdict(found: Comparison, ours: str, other: str) -> str:
    if found.verdict:
        return f"{ours if found.verdict > 0 else other} is ahead"
    return "too close, or too few runs, to say who is better"


def _by_task(found: Rivalry, ours: str) -> str:
    """Where it is ahead, behind, and where that is open."""
    parts = []
    for verdict, word in ((1, "ahead on"), (-1, "behind on"), (0, "neither on")):
        names = [task.name for task, one in zip(found.tasks, found.each, strict=True) if one.verdict == verdict]
        if len(names) == len(found.tasks):
            alike = verdict == found.overall.verdict
            return ", and so it is on each of these tasks" if alike else "; no single task decides it"
        if names:
            parts.append(f"{word} {show.listed(names)}")
    return f". Task by task, {ours} is {'; '.join(parts)}"


def of_task(study: Study, task: Task) -> str:
    """Where ours ended and where the best of the others, and how long both took."""
    others = [name for name in study.finished_on(task) if name != OURS]
    best = max(others, key=lambda name: study.final_estimate(task, name).value, default=None)
    parts = [_end(study, task, OURS)] if study.runs(task, OURS) else []
    if best is not None:
        parts.append(("best of the others: " if len(others) > 1 else "") + _end(study, task, best))
    return f"{'; '.join(parts)}.{times(study, task)}"


def _end(study: Study, task: Task, name: str) -> str:
    """Where an algorithm ended."""
    solved, n = study.solved(task, name)
    solved_text = "" if task.threshold is None else f", solved by {solved} of {show.seeds(n)}"
    steps = study.results.cell(task.name, name)[0].steps
    value = show.sentence(study.final_estimate(task, name))
    return f"{study.looks[name].name} ends at {value} (greedy, {steps:,} steps{solved_text})"


def times(study: Study, task: Task) -> str:
    """CPU seconds to the threshold, where they may be compared; else nothing."""
    reached = {
        name: statistics.median_reach(study.reached(task, name, "cpu_seconds")) for name in study.finished_on(task)
    }
    own = reached.pop(OURS, math.inf)
    if not reached or task.threshold is None or not math.isfinite(own) or not study.comparable(task):
        return ""
    parts = [f"{study.looks[OURS].name} {show.three(own)}"]
    for name, value in reached.items():
        if math.isfinite(value):
            parts.append(study.looks[name].name + f" {show.three(value)}" + _multiple(value, own))
    late = [study.looks[name].name for name, value in reached.items() if not math.isfinite(value)]
    never = f"; {show.listed(late)}: not on half of the seeds or more" if late else ""
    return f" CPU seconds to {task.threshold:g}: {', '.join(parts)}{never}."


def _multiple(value: float, own: float) -> str:
    """How often one fits into the other, if that can be said."""
    return f" ({value / own:.1f} times as long)" if own > 0 else ""
