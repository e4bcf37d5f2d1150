"""One picture of an evaluation: how returns fall where something is swept, and intervals of all other conditions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hebbit.scripts.bench.baselines import NAMES
from hebbit.scripts.plans.plan import Condition
from hebbit.scripts.plans.table import NOT_FINITE, OK, Row, Table, pooled
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, SKY, VERMILION, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLOURS = {"hebbit": BLUE, "ppo": VERMILION, "a2c": GREEN, "dqn": "#CC79A7", "qrdqn": "#E69F00", "ars": SKY}
COLUMNS = 3
"""Curves side by side."""
CURVE_HEIGHT, BAR_HEIGHT = 3.1, 0.3
"""Inches of a curve, and of one line of intervals."""
SHIFT = 0.7
"""Of a condition's height, what its algorithms share."""
UNITS = {
    "lesion": "share of pool neurons silenced",
    "dropped_spikes": "chance that a spike is lost",
    "spurious_spikes": "chance of a spurious spike in a cycle",
    "observation_noise": "noise, in widths of a dimension's range",
    "sticky_actions": "chance that the last action is repeated",
    "cycles": "cycles of a presentation",
}


def draw(table: Table, path: Path) -> bool:
    """Draw what can be compared.

    Returns:
        Whether there was anything: where every row failed, nothing is drawn.
    """
    groups = table.groups()
    if not groups:
        return False
    curves = _curves(table.plan.conditions)
    swept = {condition.name for points in curves for condition in points}
    others = [one for one in table.plan.conditions if one.name not in swept]
    columns = max(1, min(COLUMNS, len(curves)))
    heights = [CURVE_HEIGHT * -(-len(curves) // columns), 0.8 + BAR_HEIGHT * _bars(others, groups)]
    drawn = [bool(curves), bool(others)]
    kept = [height for height, there in zip(heights, drawn, strict=True) if there]
    figure = new_figure(max(7.2, 3.6 * columns), 0.9 + sum(kept))
    # each part has margins of its own: names of conditions are long
    parts = iter(figure.subfigures(len(kept), 1, height_ratios=kept, squeeze=False)[:, 0])
    if curves:
        _draw_curves(next(parts), table, curves, columns)
    if others:
        _draw_intervals(next(parts).add_subplot(), table, others)
    title = f"{table.environment['id']}: {table.plan.episodes} episodes of every run under every condition"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    found = {
        label: handle
        for axes in _all_axes(figure)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        found.values(), found.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8, labelcolor=INK
    )
    save_figure(figure, path)
    return True


def _all_axes(figure: "Figure") -> "list[Axes]":
    return [axes for part in figure.subfigs for axes in part.axes]


def _draw_curves(part: "SubFigure", table: Table, curves: Sequence[Sequence[Condition]], columns: int) -> None:
    """Curves side by side, with one scale of returns."""
    first: Axes | None = None
    for number, points in enumerate(curves):
        axes = part.add_subplot(-(-len(curves) // columns), columns, number + 1, sharey=first)
        first = first or axes
        _draw_curve(axes, table, points)
        if number % columns == 0:
            axes.set_ylabel("mean return", color=INK)


def _curves(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """Conditions of each sweep over numbers, at least two of them."""
    found: dict[int, list[Condition]] = {}
    for one in conditions:
        if one.sweep is not None and type(one.sweep.value) in (int, float):
            found.setdefault(one.sweep.number, []).append(one)
    return [sorted(points, key=_value) for points in found.values() if len(points) > 1]


def _value(condition: Condition) -> float:
    assert condition.sweep is not None
    return float(condition.sweep.value)


def _rows(table: Table, name: str) -> dict[str, list[Row]]:
    """Usable rows of a condition by algorithm."""
    return {rows[0].algorithm: rows for rows in table.groups() if rows[0].condition.name == name}


def _draw_curve(axes: "Axes", table: Table, points: Sequence[Condition]) -> None:
    """Return over what is swept: thick all runs of an algorithm and their interval, thin each run."""
    tidy(axes)
    found = [(_value(point), _rows(table, point.name)) for point in points]
    for algorithm in dict.fromkeys(name for _, rows in found for name in rows):
        colour = COLOURS[algorithm]
        own = [(value, rows[algorithm]) for value, rows in found if algorithm in rows]
        values = [value for value, _ in own]
        means, lows, highs = zip(*(pooled(rows, table.plan.seed) for _, rows in own), strict=True)
        axes.fill_between(values, lows, highs, color=colour, alpha=0.18, linewidth=0)
        axes.plot(values, means, color=colour, linewidth=2.2, marker="o", markersize=4, label=_label(own[0][1]))
        for run in dict.fromkeys(row.label for _, rows in own for row in rows):
            mine = [(value, row.figures) for value, rows in own for row in rows if row.label == run]
            thin = [figures["mean"] for _, figures in mine if figures is not None]
            axes.plot([value for value, _ in mine], thin, color=colour, linewidth=0.8, alpha=0.45, zorder=1)
    _mark_threshold(axes, table, horizontal=True)
    sweep = points[0].sweep
    assert sweep is not None
    inner = sweep.axis.rpartition(".")[2]
    axes.set_xlabel(UNITS.get(sweep.axis, inner.replace("_", " ")), color=INK, fontsize=9)
    axes.set_title(sweep.title.replace("_", " "), loc="left", fontsize=9.5, color=INK)


def _label(rows: Sequence[Row]) -> str:
    """An algorithm and how many runs of it there are."""
    name = NAMES[rows[0].algorithm]
    return f"{name}, {len(rows)} runs" if len(rows) > 1 else name


def _mark_threshold(axes: "Axes", table: Table, horizontal: bool) -> None:
    if table.threshold is not None:
        line = axes.axhline if horizontal else axes.axvline
        label = f"solved: {table.threshold:g}"
        line(table.threshold, color=INK, linewidth=1, linestyle=(0, (5, 3)), label=label, zorder=1)


def _bars(conditions: Sequence[Condition], groups: Sequence[Sequence[Row]]) -> float:
    """Lines that some conditions take."""
    algorithms = len({rows[0].algorithm for rows in groups})
    return len(conditions) * max(1.0, 0.6 * algorithms)


def _draw_intervals(axes: "Axes", table: Table, conditions: Sequence[Condition]) -> None:
    """A line for each condition: the mean and its interval for each algorithm, a small dot for each run."""
    tidy(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    algorithms = list(dict.fromkeys(row.algorithm for row in table.rows))
    for line, condition in enumerate(conditions):
        found = _rows(table, condition.name)
        for place, algorithm in enumerate(algorithms):
            y = line + SHIFT * ((place + 0.5) / len(algorithms) - 0.5)
            colour = COLOURS[algorithm]
            if algorithm not in found:
                status = next(r.status for r in table.rows if (r.condition, r.algorithm) == (condition, algorithm))
                text = f" {NAMES[algorithm]}: {NOT_FINITE if status == OK else status}"
                axes.text(0, y, text, transform=axes.get_yaxis_transform(), color=colour, fontsize=7.5, va="center")
                continue
            rows = found[algorithm]
            mean, low, high = pooled(rows, table.plan.seed)
            axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot([mean], [y], color=colour, marker="o", markersize=6, linestyle="", label=_label(rows))
            if len(rows) > 1:
                each = [row.figures["mean"] for row in rows if row.figures is not None]
                axes.plot(each, [y] * len(each), color=colour, marker="|", markersize=7, linestyle="", alpha=0.6)
    _mark_threshold(axes, table, horizontal=False)
    axes.set_yticks(range(len(conditions)), [condition.name for condition in conditions])
    axes.set_ylim(len(conditions) - 0.5, -0.5)
    axes.set_xlabel("mean return", color=INK)
