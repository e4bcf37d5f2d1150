"""Pictures of what neurons do: rates, tuning curves, preferred values, fields."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.recording import Recording
from hebbit.backends.spec import LANES
from hebbit.scripts.look.measures import LEAST_SEEN, SATURATED, Column, Tuning, neuron_name, rates
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, VERMILION, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00")
"""Of the neurons of one panel: Okabe and Ito's, the dark ones first."""
MOST_PANELS = 6
"""Numbers of the observation that are drawn: those that most is told about."""
MOST_FIELDS = 6
MAP = "cividis"
"""Read alike by people with and without colour vision, and in print."""
UNSEEN = "#EEEEEE"
"""What the play never met."""
KINDS = (("pool", GREEN), ("sensory", BLUE))
LEGEND: dict[str, Any] = {
    "frameon": True,
    "facecolor": "white",
    "edgecolor": "none",
    "framealpha": 0.8,
    "labelcolor": INK,
}

F64 = NDArray[np.float64]


def draw_rates(recording: Recording, path: Path) -> None:
    """How often neurons fire, and how many spikes an action takes."""
    figure = new_figure(8.4, 3.5)
    left, right = figure.subplots(1, 2)
    kinds = [(kind, colour) for kind, colour in KINDS if getattr(recording, kind).shape[2]]
    for kind, colour in kinds:
        _draw_rates(left, recording, kind, colour)
    _axes(left, "mean spikes of a neuron in a presentation", "neurons that fire", "How often neurons fire")
    if any(getattr(recording, kind).any() for kind, _ in kinds):
        left.set_yscale("log")
    left.set_xlim(0, recording.pool.shape[1])
    left.set_ylim(0.7, None)
    left.legend(**LEGEND, fontsize=8)
    totals = {kind: recording.counts(kind).sum(axis=(1, 2), dtype=np.int64) for kind, _ in kinds}
    edges = np.linspace(0, max(1, *(total.max() for total in totals.values())) * 1.02, 61)
    for kind, colour in kinds:
        total, most = totals[kind], getattr(recording, kind)[0].size * LANES
        label = f"{kind}: {total.mean():,.0f} of {most:,} ({total.mean() / most:.1%})"
        right.hist(
            total, list(edges), color=colour, alpha=0.8, label=label, weights=np.full(len(total), 1 / len(total))
        )
    _axes(right, "spikes in a presentation", "share of presentations", "How many spikes an action takes")
    right.set_xlim(0, edges[-1])
    right.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    right.legend(**LEGEND, fontsize=8, title="mean", title_fontsize=8)
    save_figure(figure, path)


def _draw_rates(axes: "Axes", recording: Recording, kind: str, colour: str) -> None:
    cycles = recording.pool.shape[1]
    mean = rates(recording, kind).ravel()
    silent, saturated = (mean == 0).mean(), (mean >= SATURATED * cycles).mean()
    label = f"{kind}: {silent:.0%} of {mean.size:,} silent, {saturated:.1%} saturated"
    axes.hist(mean[mean > 0], list(np.linspace(0, cycles, 4 * cycles + 1)), color=colour, alpha=0.8, label=label)


def _axes(axes: "Axes", x: str, y: str, title: str) -> None:
    tidy(axes)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    axes.set_title(title, loc="left", fontsize=10, color=INK)


def informative(tunings: Sequence[Tuning], most: int = MOST_PANELS) -> list[Tuning]:
    """The numbers of the observation that a neuron tells most about, in their order."""
    best = [float(one.information.max(initial=0)) for one in tunings]
    chosen = np.sort(np.argsort(-np.array(best), kind="stable")[:most])
    return [tunings[i] for i in chosen]


def draw_tuning(tunings: Sequence[Tuning], path: Path) -> None:
    """Response curves of the pool neurons that tell most, by number of the observation."""
    figure, panels = _grid(len(tunings), 2.6)
    for axes, one in zip(panels, tunings, strict=True):
        tidy(axes)
        column = one.column
        best = _telling(one, one.information, len(CURVES))
        beneath = axes.twinx()
        beneath.bar(_places(column), column.occupancy / max(1, column.occupancy.sum()), _width(column), color=PALE)
        beneath.set_ylim(0, 1.02 * max(1e-9, column.occupancy.max() / max(1, column.occupancy.sum())))
        beneath.set_axis_off()
        axes.set_zorder(2)
        axes.patch.set_visible(False)
        axes.grid(visible=False)
        for neuron, colour in zip(best, CURVES, strict=False):
            label = f"{neuron_name(int(neuron))}  {one.information[neuron]:.2f} bit"
            axes.plot(
                _places(column), one.rates[neuron], color=colour, linewidth=1.8, marker="o", markersize=3, label=label
            )
        axes.set_ylim(0, max(1.0, 1.04 * float(np.nan_to_num(one.rates[best]).max(initial=0))))
        _x_axis(axes, column)
        axes.set_ylabel("spikes of a presentation", color=INK, fontsize=9)
        if best:
            axes.legend(**LEGEND, fontsize=7, title="word:neuron", title_fontsize=7)
    _headline(figure, "Pool neurons that tell most about each number of the observation; grey: how often it was met")
    save_figure(figure, path)


def _telling(tuning: Tuning, score: F64, most: int) -> list[int]:
    """Neurons with the highest scores above 0, no two that prefer the same bin while there are others."""
    ranked = [int(neuron) for neuron in np.argsort(-score, kind="stable")[: 50 * most] if score[neuron] > 0]
    preferred = np.where(np.isnan(tuning.rates), -1, tuning.rates).argmax(axis=1)
    first = {int(preferred[neuron]): neuron for neuron in reversed(ranked)}.values()
    order = [neuron for neuron in ranked if neuron in first] + [neuron for neuron in ranked if neuron not in first]
    return order[:most]


def draw_preferred(tunings: Sequence[Tuning], path: Path) -> None:
    """All pool neurons that fire, sorted by where they fire most."""
    figure, panels = _grid(len(tunings), 2.9)
    image = None
    for axes, one in zip(panels, tunings, strict=True):
        column = one.column
        seen = column.occupancy >= LEAST_SEEN
        filled = np.where(np.isnan(one.rates), 0, one.rates)
        peak = filled.max(axis=1)
        fires = np.flatnonzero(peak > 0)
        order = fires[np.lexsort((fires, _centre(filled[fires]), filled[fires].argmax(axis=1)))]
        shown = np.where(seen, filled[order] / np.maximum(peak[order, None], 1e-12), np.nan)
        axes.set_facecolor(UNSEEN)
        edges = column.edges
        extent = (edges[0], edges[-1], max(1, len(order)), 0)
        image = axes.imshow(shown, aspect="auto", extent=extent, cmap=MAP, vmin=0, vmax=1, interpolation="nearest")
        axes.tick_params(colors=INK, labelsize=9)
        _x_axis(axes, column)
        axes.set_ylabel(f"{len(order):,} neurons", color=INK, fontsize=9)
        axes.set_yticks([])
    if image is not None:
        _bar(figure, image, panels, "rate, of the neuron's highest")
    _headline(figure, "Every pool neuron that fires, sorted by the value it prefers; grey: not met in this play")
    save_figure(figure, path)


def _centre(rates_: F64) -> F64:
    """Centre of mass of each row, to sort neurons with the same preferred bin."""
    places = np.arange(rates_.shape[1])
    centre: F64 = (rates_ * places).sum(axis=1) / np.maximum(rates_.sum(axis=1), 1e-12)
    return centre


def draw_fields(recording: Recording, first: Tuning, second: Tuning, path: Path) -> None:
    """Where in two numbers of the observation the pool neurons fire that tell most about both."""
    a, b = first.column, second.column
    counts = recording.counts("pool").reshape(len(recording), -1)
    chosen = _telling(first, first.information * second.information, MOST_FIELDS)
    figure = new_figure(8.4, 5.2)
    panels = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    image = None
    for axes, neuron in zip(panels, chosen, strict=False):
        axes.set_facecolor(UNSEEN)
        extent = (a.edges[0], a.edges[-1], b.edges[0], b.edges[-1])
        image = axes.imshow(
            _field(counts[:, neuron], a, b), origin="lower", aspect="auto", extent=extent, cmap=MAP, vmin=0,
            vmax=recording.pool.shape[1], interpolation="nearest",
        )  # fmt: skip
        axes.set_title(f"neuron {neuron_name(int(neuron))}", loc="left", fontsize=9, color=INK)
        axes.tick_params(colors=INK, labelsize=8)
        _ticks(axes.set_xticks, a)
        _ticks(axes.set_yticks, b)
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    if image is not None:
        _bar(figure, image, panels, "mean spikes of a presentation")
    figure.supxlabel(f"observation {a.name}", color=INK, fontsize=9)
    figure.supylabel(f"observation {b.name}", color=INK, fontsize=9)
    _headline(figure, "Where some pool neurons fire in two numbers of the observation; grey: not met in this play")
    save_figure(figure, path)


def _field(counts: NDArray[np.uint8], a: Column, b: Column) -> F64:
    """Mean spikes of one neuron by the bins of two columns: [B of b, B of a], NaN where nothing was met."""
    inside = (a.bins >= 0) & (b.bins >= 0)
    shape = len(b.centres), len(a.centres)
    place = np.ravel_multi_index((b.bins[inside], a.bins[inside]), shape)
    met = np.bincount(place, minlength=shape[0] * shape[1])
    total = np.bincount(place, weights=counts[inside].astype(np.float64), minlength=len(met))
    return np.where(met > 0, total / np.maximum(met, 1), np.nan).reshape(shape)


def _bar(figure: "Figure", image: Any, panels: Any, text: str) -> None:
    bar = figure.colorbar(image, ax=panels, shrink=0.6, pad=0.02)
    bar.set_label(text, color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)


def _grid(number: int, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure with so many panels, two in a row."""
    columns = min(2, number)
    rows = -(-number // columns)
    figure = new_figure(8.4, height * rows + 0.4)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels[number:]:
        axes.set_axis_off()
    return figure, panels[:number]


def _places(column: Column) -> F64:
    """Where on the axis the bins stand."""
    return np.arange(len(column.centres), dtype=np.float64) if column.separate else column.centres


def _width(column: Column) -> float:
    return float(column.edges[1] - column.edges[0])


def _x_axis(axes: "Axes", column: Column) -> None:
    """Name the number, and its values where each has a bin."""
    axes.set_xlabel(f"observation {column.name}", color=INK, fontsize=9)
    _ticks(axes.set_xticks, column)


def _ticks(place: Callable[..., Any], column: Column) -> None:
    """The values themselves, where each has a bin of its own."""
    if column.separate:
        ticks = range(len(column.centres))
        step = -(-len(ticks) // 12)
        place(ticks[::step], [f"{value:.3g}" for value in column.centres[::step]])


def _headline(figure: "Figure", text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=10, color=INK)
