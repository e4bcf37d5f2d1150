"""What a resident step costs, drawn: training steps a second against brains, neurons, synapses and cycles."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hebbit.backends.spec import LANES
from hebbit.scripts.plots import BLUE, INK, VERMILION, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VARIED = {
    "brains": "brains",
    "pool_words": "pool neurons of a brain",
    "slots": "synapses of a pool neuron",
    "cycles": "cycles of a presentation",
}
"""What is varied, and the label of its axis."""


def series(points: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """Sizes and ratios to the base point, of the points that differ from it in nothing else; in order."""
    base = points[0]
    same = ("env_id", "resident", *VARIED)
    own = [p for p in points if all(p[other] == base[other] for other in same if other != name)]
    unit = LANES if name == "pool_words" else 1
    return sorted({p[name] * unit: p["ratio"] if p is not base else 1.0 for p in own}.items())


def _panel(axes: "Axes", points: Sequence[Mapping[str, Any]], name: str) -> None:
    sizes, ratios = zip(*series(points, name), strict=True)
    rate = points[0]["base_steps_per_second"]
    axes.plot(sizes, [rate * ratio for ratio in ratios], color=BLUE, marker="o", linewidth=2, clip_on=False)
    base = points[0][name] * (LANES if name == "pool_words" else 1)
    axes.plot(base, rate, color=VERMILION, marker="o", markersize=8, linestyle="none", label="base point")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel(VARIED[name], color=INK)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw a result of resident_rate as a PNG."""
    figure = new_figure(9, 5.8)
    panels: Any = figure.subplots(2, 2, sharey=True)
    for axes, name in zip(panels.flat, VARIED, strict=True):
        tidy(axes)
        _panel(axes, result["points"], name)
    # the panels share their axis, and a flat line is to look flat
    lower, upper = panels[0, 0].get_ylim()
    panels[0, 0].set_ylim(min(lower, upper / 30), upper)
    for axes in panels[:, 0]:
        axes.set_ylabel("training steps a second", color=INK)
    panels[0, 0].legend(frameon=False, fontsize=8, labelcolor=INK)
    base, cores = result["points"][0], result["machine"]["cores"]
    where = f"{result['backend']}, {cores} cores, {base['env_id']}"
    title = f"Resident runs on {where}: one size varied, {base['name']} otherwise"
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    save_figure(figure, path)


def main(words: Sequence[str] | None = None) -> int:
    """Draw what was measured."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.resident_rate_figure", description=__doc__)
    parser.add_argument("result", type=Path, help="the JSON of resident_rate")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    arguments = parser.parse_args(words)
    draw(json.loads(arguments.result.read_text()), arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
