"""Pictures of hebbit throughput: presentations a second against each size, and a cycle here and elsewhere."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hebbit.scripts import peers
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.plots import BLUE, INK, SKY, VERMILION, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "brains": "brains",
    "neurons": "pool neurons of a brain",
    "synapses": "synapses of a pool neuron",
    "cycles": "cycles of a presentation",
}
"""What is varied, and the label of its axis."""
BATCH_COLOURS = {1: BLUE, 64: SKY}
BAR = 0.38


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw a result of hebbit throughput as a PNG."""
    compared = result["peers"]
    figure = new_figure(9, 10.2 if compared else 6.6)
    mosaic: Any = [["brains", "neurons"], ["synapses", "cycles"], *([["peers", "peers"]] if compared else [])]
    heights = [1.0, 1.0, *([1.25] if compared else [])]
    panels: Any = figure.subplot_mosaic(mosaic, height_ratios=heights)
    for name, label in PANELS.items():
        _panel(panels[name], result["measurements"], name, label)
    if compared:
        _bars(panels["peers"], compared)
    title = f"Throughput of the {result['backend']} backend, {place(result)}"
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    save_figure(figure, path)


def place(result: Mapping[str, Any]) -> str:
    """Where it was measured: the device that the backend reports, else the processor and its threads."""
    device = result["device"]
    if isinstance(device, Mapping) and "name" in device:
        return str(device["name"])
    noun = "thread" if result["threads"] == 1 else "threads"
    return f"{result['threads']} {noun}, {result['machine']['cpu']}"


class Line(NamedTuple):
    """A line of a panel: which rows, which of their figures, and how it looks."""

    group: str
    part: str
    figure: str
    label: str
    colour: str
    marker: str


def _lines(name: str) -> Iterator[Line]:
    yield Line(name, "answering", "answers_per_second", "without learning", SKY, "s")
    yield Line(name, "learning", "presentations_per_second", "learning", BLUE, "o")
    if name == "brains":
        yield Line(
            sizes.SWEEPS[1], "learning", "presentations_per_second", "the default brain, learning", VERMILION, "^"
        )


def _panel(axes: "Axes", rows: Sequence[Mapping[str, Any]], name: str, label: str) -> None:
    """Presentations a second against one size, on logarithmic axes."""
    tidy(axes)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    measured = [row for row in rows if "refused" not in row]
    for line in _lines(name):
        own = [row for row in measured if line.group in row["varied"]]
        found = sorted((_value(row, name), row[line.part][line.figure]["best"]) for row in own)
        style = {"color": line.colour, "marker": line.marker, "markersize": 5, "linewidth": 1.8}
        axes.plot([x for x, _ in found], [y for _, y in found], label=line.label, **style)  # type: ignore[arg-type]  # matplotlib's stubs want each keyword's own type
    _finish(axes, [_value(row, name) for row in measured if name in row["varied"]], label)
    base = next((row for row in measured if set(PANELS) - {"brains"} <= set(row["varied"])), None)
    if base is not None:
        axes.set_title(_kept(base, name), loc="left", fontsize=9, color=INK)
    if name == "brains":
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _finish(axes: "Axes", values: Sequence[float], label: str) -> None:
    """Ticks where something was measured, and some room."""
    from matplotlib.ticker import LogLocator

    axes.set_xticks(sorted(set(values)), [f"{value:,.0f}" for value in sorted(set(values))])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}")
    axes.minorticks_off()
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.5, high * 1.5)
    axes.set_xlabel(label, color=INK)
    axes.set_ylabel("presentations a second", color=INK)


def _value(row: Mapping[str, Any], name: str) -> float:
    return float(row["synapses"][1] if name == "synapses" else row[name])


def _kept(base: Mapping[str, Any], name: str) -> str:
    """What a panel does not vary."""
    brains = f"{base['brains']} brain" + ("s" if base["brains"] > 1 else "")
    parts = {
        "brains": brains,
        "neurons": f"{base['neurons']:,} neurons",
        "synapses": f"{base['synapses'][1]} synapses",
        "cycles": f"{base['cycles']} cycles",
    }
    return ", ".join(text for part, text in parts.items() if part != name)


def _bars(axes: "Axes", compared: Mapping[str, Any]) -> None:
    """Microseconds a cycle of one network: ours, and each peer's quickest variant."""
    from matplotlib.patches import Rectangle

    tidy(axes)
    axes.set_xscale("log")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    labels, shown = [], set[str]()
    for place, (label, row, variants) in enumerate(_bar_rows(compared)):
        labels.append(label)
        for number, batch in enumerate(BATCH_COLOURS):
            own = variants.get(batch)
            if own is not None:
                _bar(axes, place + (number - 0.5) * BAR, own, batch, shown)
        if not variants:
            axes.text(0.01, place, f" {row['status']}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if shown:
        # whole decades, and a beginning that leaves the shortest bar some length
        lengths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        axes.set_xlim(10 ** math.floor(math.log10(min(lengths)) - 0.3), 2 * max(lengths))
        axes.legend(loc="lower right", frameon=False, fontsize=8, labelcolor=INK)
    asked = compared["settings"]
    neurons, inputs = 32 * asked["pool_words"], 32 * asked["sensory_words"]
    network = f"{neurons:,} neurons, {asked['synapses']} synapses each, {inputs} inputs, no learning, one thread"
    axes.set_title(network, loc="left", fontsize=9, color=INK)
    axes.set_xlabel("microseconds a cycle of one network: an eighth of a presentation of 8 cycles", color=INK)


def _bar_rows(compared: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], dict[int, Mapping[str, Any]]]]:
    """Label, row and the variant of each batch."""
    for row in compared["rows"]:
        found = row.get("variants", ())
        if row["name"] == peers.OURS and found:
            for name in dict.fromkeys(one["variant"] for one in found):
                yield f"hebbit, {name}", row, {one["batch"]: one for one in found if one["variant"] == name}
            continue
        best: dict[int, Mapping[str, Any] | None] = {
            batch: peers.quickest(row, batch, "whole") or peers.quickest(row, batch, "slope") for batch in peers.BATCHES
        }
        known = {batch: one for batch, one in best.items() if one is not None}
        name = "".join(
            f"\n{one['variant']}" + ("" if one["whole"] else ", long run") for batch, one in known.items() if batch == 1
        )
        yield f"{row['name']}{name}", row, known


def _bar(axes: "Axes", place: float, one: Mapping[str, Any], batch: int, shown: set[str]) -> None:
    """A cycle's share of a presentation, or of a long run; each colour is named once in the legend."""
    text, figure = "one network" if batch == 1 else f"{batch} networks at once", (one["whole"] or one["slope"])["best"]
    axes.barh(place, figure, BAR * 0.95, color=BATCH_COLOURS[batch], label=None if text in shown else text)
    shown.add(text)
    axes.annotate(
        f"{figure:.3g}", (figure, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK
    )
