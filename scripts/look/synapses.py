"""Pictures of weights and traces: every plastic synapse of a brain."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts.plots import BLUE, INK, VERMILION, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

MOST_OUTPUTS = 8
"""Motor units that are drawn: those whose synapses vary most."""


def output_names(groups: Sequence[int]) -> list[str]:
    """Rows of weights and traces: the motor units, then the critic."""
    if len(groups) == 1:
        return [*(f"unit {unit}" for unit in range(groups[0])), "critic"]
    return [*(f"part {group} unit {unit}" for group, size in enumerate(groups) for unit in range(size)), "critic"]


def diverging() -> "Colormap":
    """From blue over white to vermilion: apart for all eyes, white is zero."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("hebbit", [BLUE, "#FFFFFF", VERMILION])


def draw_synapses(
    array: NDArray[np.int8], names: Sequence[str], sensory: int, bounds: tuple[int, int], what: str, path: Path
) -> None:
    """Draw weights or traces as images, word by word, with a histogram of each output.

    Args:
        array: [O, P, 32].
        names: of the outputs.
        sensory: words of sensory neurons, which come first.
        bounds: least and largest number there can be.
        what: weights or traces.
        path: of the PNG.
    """
    units = len(array) - 1
    spread = array[:-1].astype(np.float64).std(axis=(1, 2))
    chosen = [*np.sort(np.argsort(-spread, kind="stable")[:MOST_OUTPUTS]).tolist(), units]
    most = max(1, int(np.quantile(np.abs(array[chosen].astype(np.int32)), 0.999)))
    figure = new_figure(9.4, 1.35 * len(chosen) + 1.3)
    panels = figure.subplots(len(chosen), 2, squeeze=False, width_ratios=(4, 1))
    image = None
    for (axes, histogram), output in zip(panels, chosen, strict=True):
        image = axes.imshow(
            array[output].T, aspect="auto", cmap=diverging(), vmin=-most, vmax=most, interpolation="nearest",
            extent=(0, array.shape[1], 32, 0),
        )  # fmt: skip
        axes.axvline(sensory, color=INK, linewidth=0.9)
        axes.set_yticks([0, 16, 32])
        axes.tick_params(colors=INK, labelsize=8, labelbottom=output == units)
        axes.set_ylabel(names[output], color=INK, fontsize=9)
        for side in axes.spines.values():
            side.set_color(INK)
        tidy(histogram)
        reach = max(abs(bounds[0]), bounds[1])
        edges = np.arange(bounds[0], bounds[1] + 2) - 0.5 if reach < 32 else np.arange(-129, 131, 4) - 0.5
        histogram.hist(array[output].ravel(), bins=list(edges), color=INK, log=True)
        histogram.set_xlim(-reach - 1, reach + 1)
        histogram.set_ylim(0.5, array[output].size * 2)
        histogram.tick_params(labelsize=7, labelbottom=output == units)
        zero = (array[output] == 0).mean()
        histogram.text(0.03, 0.9, f"{zero:.0%} zero", transform=histogram.transAxes, fontsize=7, color=INK, va="top")
    panels[-1][0].set_xlabel("word (sensory words left of the line); down: its 32 neurons", color=INK, fontsize=9)
    panels[-1][1].set_xlabel(f"{what} ({bounds[0]}..{bounds[1]})", color=INK, fontsize=9)
    panels[0][1].set_title("synapses (log)", loc="left", fontsize=9, color=INK)
    if image is not None:
        bar = figure.colorbar(
            image,
            ax=panels[:, 0],
            location="right",
            pad=0.01,
            fraction=0.02,
            extend="both" if most < bounds[1] else "neither",
        )
        bar.ax.tick_params(colors=INK, labelsize=7)
    shown = "" if units <= MOST_OUTPUTS else f", of the {MOST_OUTPUTS} of {units} units that vary most"
    panels[0][0].set_title(f"{what.capitalize()} of all plastic synapses{shown}", loc="left", fontsize=10, color=INK)
    save_figure(figure, path)
