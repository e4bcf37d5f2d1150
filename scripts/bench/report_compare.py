"""Pictures over all tasks: performance profiles, who beats whom, and what it cost."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hebbit.scripts.bench import report_drawing as draw
from hebbit.scripts.bench import report_numbers as show
from hebbit.scripts.bench import statistics
from hebbit.scripts.bench.report_costs import median_joules
from hebbit.scripts.bench.report_document import Picture
from hebbit.scripts.bench.report_study import Comparison, Group, Study
from hebbit.scripts.bench.report_style import Look
from hebbit.scripts.bench.rows import OURS, Task
from hebbit.scripts.plots import INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 201
LOWEST, HIGHEST = -0.5, 1.5
"""Normalised scores that a profile shows."""


def profiles(study: Study, group: Group) -> Picture:
    """Which share of the runs is above each score."""
    tasks, names = group
    over = f"{len(tasks)} task{'s' * (len(tasks) > 1)}"
    scores = {name: study.normalised(tasks, name) for name in names}
    flat = np.concatenate([runs for group in scores.values() for runs in group])
    low, high = max(float(flat.min()), LOWEST), min(float(flat.max()), HIGHEST)
    limits = np.linspace(min(low, 0.0) - 0.02, max(high, 1.0) + 0.02, POINTS)
    figure, axes = draw.canvas(draw.WIDE, 3.6)
    for name in names:
        band = statistics.profile_band(scores[name], limits, study.repetitions)
        draw.curve(axes, study.looks[name], limits, *band)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    draw.label(
        axes,
        f"Performance profiles, {len(tasks)} task{'s' * (len(tasks) > 1)}",
        "normalised final score",
        "runs above that score",
    )
    draw.legend(figure, 4)
    halves = "; ".join(f"{study.looks[n].name} {statistics.profile(scores[n], [0.5])[0]:.0%}" for n in names)
    return draw.picture(
        figure,
        f"profiles_{len(tasks)}_tasks",
        f"Performance profiles over {over}. Share of runs above half of the scale: {halves}.",
        "For each normalised score, the share of runs above it, averaged over tasks, with 95 % bootstrap bands. "
        "Higher is better.",
        wide=True,
    )


def forest(study: Study) -> Picture | None:
    """Chances that ours ends higher than another; None if there is nobody else."""
    lines = list(_forest_lines(study))
    if not lines:
        return None
    ours = study.looks[OURS].name
    figure, axes = draw.canvas(draw.WIDE, 1.3 + 0.27 * len(lines))
    draw.rows(axes, [line.label for line in lines])
    for row, line in enumerate(lines):
        _forest_row(axes, row, line)
        axes.get_yticklabels()[row].set_fontweight("bold" if line.average else "normal")
        if line.group % 2:
            axes.axhspan(row - 0.5, row + 0.5, color=PALE, alpha=0.35, linewidth=0, zorder=0)
    axes.axvline(0.5, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
    axes.set_xlim(-0.02, 1.02)
    draw.label(axes, f"Does a run of {ours} end higher?", "chance that it does")
    words = "; ".join(f"{line.look.name}, {line.what}: {' '.join(show.chance(line.found.chance))}" for line in lines)
    return draw.picture(
        figure,
        "improvement",
        f"Chance that a run of {ours} ends higher, by other algorithm and task. {words}.",
        "95 % bootstrap intervals; filled where interval and permutation test agree that it is not one half, hollow "
        "where that is open. Bold, with diamonds: averages over tasks.",
        wide=True,
    )


class Line(NamedTuple):
    """A row of the forest."""

    look: Look
    what: str
    """The task, or that it is the average over tasks."""
    found: Comparison
    average: bool
    label: str
    group: int


def _forest_lines(study: Study) -> Iterator[Line]:
    """The rows, algorithm by algorithm, the average first."""
    for group, rivalry in enumerate(study.rivalries()):
        look = study.looks[rivalry.other]
        several = len(rivalry.tasks) > 1
        if several:
            yield Line(look, "average", rivalry.overall, True, look.name, group)
        for task, one in zip(rivalry.tasks, rivalry.each, strict=True):
            label = task.name if several else f"{look.name}, {task.name}"
            yield Line(look, task.name, one, False, label, group)


def _forest_row(axes: "Axes", row: int, line: Line) -> None:
    chance, look = line.found.chance, line.look
    if math.isfinite(chance.low):
        width = 2.4 if line.average else 1.4
        axes.plot([chance.low, chance.high], [row, row], color=look.colour, linewidth=width, zorder=2)
    marker, size = ("D", 8) if line.average else (look.marker, 6)
    face = look.colour if line.found.verdict else "none"
    axes.plot([chance.value], [row], marker=marker, markersize=size, color=look.colour, markerfacecolor=face, zorder=3)


class Measure(NamedTuple):
    """Of cost."""

    name: str
    title: str
    label: str
    value: Callable[[Study, Task, str], float]
    show: Callable[[float], str]


def _of_cost(name: str, factor: float = 1.0) -> Callable[[Study, Task, str], float]:
    return lambda study, task, algorithm: factor * study.cost(task, algorithm, name)


MEASURES = (
    Measure("cost_time", "Training", "CPU seconds", _of_cost("cpu_seconds"), show.three),
    Measure("cost_memory", "Peak memory", "MiB", _of_cost("peak_bytes", 2**-20), show.number),
    Measure("cost_policy", "Size of the policy", "KiB", _of_cost("policy_bytes", 2**-10), show.number),
    Measure("cost_answer", "One answer", "microseconds", _of_cost("answer_seconds", 1e6), show.three),
    Measure(
        "cost_energy",
        "Arithmetic of one answer, estimated",
        "nanojoules",
        lambda study, task, name: 1e9 * median_joules(study, task, name),
        show.number,
    ),
)


def costs(study: Study) -> Iterator[Picture]:
    """A picture of each measure of which there is one."""
    tasks = [task for task in study.tasks if study.finished_on(task)]
    for measure in MEASURES:
        values = {(t, name): measure.value(study, t, name) for t in tasks for name in study.finished_on(t)}
        if any(value > 0 for value in values.values()):
            yield _dots(study, tasks, measure, {key: value for key, value in values.items() if value > 0})


def _dots(study: Study, tasks: list[Task], measure: Measure, values: dict[tuple[Task, str], float]) -> Picture:
    """A row for each task, a dot for each algorithm."""
    figure, axes = draw.canvas(height=max(2.4, 1.5 + 0.5 * len(tasks)))
    draw.rows(axes, [task.name for task in tasks])
    for number, (name, look) in enumerate(study.looks.items()):
        own = [(tasks.index(task), value) for (task, other), value in values.items() if other == name]
        # side by side where they are equal
        shift = (number - (len(study.looks) - 1) / 2) * 0.66 / max(1, len(study.looks) - 1)
        style = {"linestyle": "", "marker": look.marker, "markersize": 9 if look.ours else 7, "markeredgewidth": 0}
        x, y = [value for _, value in own], [row + shift for row, _ in own]
        axes.plot(x, y, color=look.colour, label=look.name, zorder=look.order, **style)  # type: ignore[arg-type]  # matplotlib's stubs want each keyword's own type
    _widen(axes, list(values.values()))
    draw.label(axes, measure.title, f"{measure.label} (logarithmic)")
    draw.legend(figure)
    words = "; ".join(f"{study.looks[name].name} on {t.name} {measure.show(v)}" for (t, name), v in values.items())
    apart = measure.name in ("cost_time", "cost_answer") and not all(study.comparable(task) for task in tasks)
    note = " Not comparable where runs come from several machines or calls." if apart else ""
    caption = f"{measure.title}, {measure.label}: medians over seeds. Less is better.{note}"
    return draw.picture(figure, measure.name, f"{measure.title} in {measure.label}: {words}.", caption)


def _widen(axes: "Axes", values: list[float]) -> None:
    """At least a decade and a half, so that small differences do not look large."""
    low, high = min(values), max(values)
    room = max(0.15, (1.5 - math.log10(high / low)) / 2)
    draw.plain_log(axes, low / 10**room, high * 10**room)
