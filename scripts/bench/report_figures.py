"""Pictures of one task: learning curves over steps and over CPU seconds, and where every seed ended."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.runs import safe_name
from hebbit.scripts.bench import report_drawing as draw
from hebbit.scripts.bench import report_numbers as show
from hebbit.scripts.bench.report_document import Picture
from hebbit.scripts.bench.report_study import Study
from hebbit.scripts.bench.rows import Task
from hebbit.scripts.plots import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F64 = NDArray[np.float64]

AXES = {"steps": "environment steps", "cpu_seconds": "CPU seconds of training"}
DASHES = (0, (5, 3))


def of_task(study: Study, task: Task) -> Iterator[Picture]:
    """All pictures of a task; none without finished runs."""
    if study.finished_on(task):
        yield learning(study, task, "steps")
        yield learning(study, task, "cpu_seconds")
        yield finals(study, task)


def learning(study: Study, task: Task, axis: str) -> Picture:
    """Learning curves.

    Args:
        study: of the runs.
        task: one that somebody has finished.
        axis: ``steps`` or ``cpu_seconds``.
    """
    figure, axes = draw.canvas()
    drawn = [(name, found) for name in study.finished_on(task) if (found := study.curve_band(task, name)) is not None]
    places = {name: getattr(curves, axis) for name, (curves, _) in drawn}
    log = draw.logarithmic(at[-1] for at in places.values())
    for name, (_, band) in drawn:
        # on a logarithmic axis there is no place for what was before training
        shown = places[name] > 0 if log else np.ones(len(places[name]), np.bool_)
        draw.curve(axes, study.looks[name], *(part[shown] for part in (places[name], *band)))
    if not log:
        axes.set_xlim(left=0)
    threshold_line(axes, task, vertical=False)
    draw.plain_ticks(axes)
    if log:
        first = min(float(at[at > 0][0]) for at in places.values() if (at > 0).any())
        draw.plain_log(axes, first / 1.2, max(float(at[-1]) for at in places.values()) * 1.2)
    draw.label(axes, task.name, AXES[axis], "greedy return")
    draw.legend(figure)
    ends = "; ".join(f"{study.looks[n].name} ends at {show.number(float(band.value[-1]))}" for n, (_, band) in drawn)
    return draw.picture(
        figure,
        f"{axis}_{safe_name(task.name)}",
        f"Learning curves on {task.name}: greedy return against {AXES[axis]}. {ends}.",
        _learning_caption(study, task, axis, log),
    )


def _learning_caption(study: Study, task: Task, axis: str, log: bool) -> str:
    apart = axis == "cpu_seconds" and not study.comparable(task)
    parts = [
        f"{task.name} over {AXES[axis]}: interquartile mean over seeds and its 95 % bootstrap interval.",
        "A checkpoint stands at the median seconds of its seeds." if axis == "cpu_seconds" else "",
        "The axis is logarithmic." if log else "",
        "The seconds are not comparable: the runs come from several machines or calls." if apart else "",
    ]
    return " ".join(part for part in parts if part)


def threshold_line(axes: "Axes", task: Task, vertical: bool) -> None:
    """Where a task counts as solved."""
    if task.threshold is not None:
        line = axes.axvline if vertical else axes.axhline
        line(task.threshold, color=INK, linewidth=1, linestyle=DASHES, label=f"solved: {task.threshold:g}", zorder=1)


def finals(study: Study, task: Task) -> Picture:
    """A dot for each seed, greedy and stochastic."""
    names = study.finished_on(task)
    figure, axes = draw.canvas(height=max(2.4, 1.5 + 0.42 * len(names)))
    draw.rows(axes, [study.looks[name].name for name in names])
    for row, name in enumerate(names):
        _strip(axes, row, study, task, name)
    threshold_line(axes, task, vertical=True)
    style = {"linestyle": "", "marker": "o", "markersize": 6, "color": INK}
    axes.plot([], [], label="greedy", **style)  # type: ignore[arg-type]  # matplotlib's stubs want each keyword's own type
    axes.plot([], [], label="stochastic", markerfacecolor="none", **style)  # type: ignore[arg-type]  # as above
    draw.plain_ticks(axes)
    draw.label(axes, task.name, "mean return of the final episodes")
    draw.legend(figure)
    ends = "; ".join(
        f"{study.looks[name].name} from {show.number(float(values.min()))} to {show.number(float(values.max()))}"
        for name in names
        for values in (study.finals(task, name),)
    )
    return draw.picture(
        figure,
        f"seeds_{safe_name(task.name)}",
        f"Final returns of every seed on {task.name}. Greedy: {ends}.",
        f"{task.name}: one dot for each seed; the bars are interquartile means with 95 % intervals.",
    )


def _strip(axes: "Axes", row: int, study: Study, task: Task, name: str) -> None:
    """Greedy runs above the line of a row, stochastic ones below it."""
    colour = study.looks[name].colour
    for greedy, place in ((True, row - 0.18), (False, row + 0.2)):
        values = study.finals(task, name, greedy)
        heights = place + draw.jitter(len(values), 0.2)
        face = colour if greedy else "none"
        axes.scatter(values, heights, s=26, facecolors=face, edgecolors=colour, linewidths=1, alpha=0.75, zorder=3)
        found = study.final_estimate(task, name, greedy)
        if np.isfinite(found.low):
            axes.plot([found.low, found.high], [place, place], color=INK, linewidth=1.6, zorder=4)
        if len(values) > 1:
            axes.plot([found.value] * 2, [place - 0.15, place + 0.15], color=INK, linewidth=2, zorder=4)
