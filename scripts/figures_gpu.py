"""Figures of docs/gpu.md: sizes and places come out of the layout that the kernels are compiled for."""

from typing import TYPE_CHECKING, NamedTuple

from hebbit.backends.cuda_layout import WARP, Layout, layout
from hebbit.backends.spec import LANES, BrainConfig
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, SKY, VERMILION, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLE = BrainConfig(sensory_words=8, pool_words=32, groups=(2,), slots_min=8, slots_max=8)
"""1024 pool neurons with 8 synapses each, 8 sensory words, 2 actions, 8 cycles."""
SHARED_LIMIT = 227 << 10
"""Bytes that a block may have on an H100 or H200."""
COLOURS = (BLUE, SKY, GREEN, VERMILION, "#E69F00", "#CC79A7")
LEAST_LABEL = 0.1
"""Parts below this share of the longest bar are named below it."""


class Phase(NamedTuple):
    """One row of the picture: what so many lanes of the first warp do."""

    name: str
    lanes: int
    barrier: bool
    """A barrier follows."""


def phases(config: BrainConfig) -> list[Phase]:
    """The phases of a presentation in the order of cuda_kernels.cu, with the lanes that have something to do."""
    d, c, a, o = config.sensory_words, config.cycles, config.units, config.outputs
    senses, words = d * o, config.pool_words
    return [
        Phase("pack intensities", WARP, True),
        Phase("sense: a lane for each word and cycle", d * c, True),
        Phase("count sensory spikes", d, False),
        Phase("the cycles: a lane for each pool word", words, True),
        Phase("sum spikes", config.words, False),
        *(Phase(f"sum weights of output {i}", words, False) for i in range(o)),
        Phase("sum weights of the sensory pairs", senses, True),
        Phase("drives and values", a + config.clusters, True),
        Phase("motor spikes: a lane for each unit and cycle", a * c, False),
        Phase("dopamine, steps", 2 * config.clusters, True),
        Phase("draw the action", len(config.groups), True),
        Phase("credit", a, True),
        *(Phase(f"change weights, traces of output {i}", words, False) for i in range(o)),
        Phase("change those of the sensory pairs", senses, True),
    ]


def lanes_panel(axes: "Axes", config: BrainConfig) -> None:
    """Which lanes work in which phase, and where they wait for each other."""
    rows = phases(config)
    for y, phase in enumerate(rows):
        busy = min(phase.lanes, WARP)
        axes.barh(y, WARP, height=0.78, color=PALE)
        axes.barh(y, busy, height=0.78, color=BLUE if busy == WARP else SKY)
        if phase.barrier:
            axes.axhline(y + 0.5, color=VERMILION, linewidth=1.2)
    for lane in range(1, WARP):
        axes.axvline(lane, color="white", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [phase.name for phase in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, WARP)
    axes.set_xticks([0.5, 8.5, 16.5, 24.5, 31.5], ["0", "8", "16", "24", "31"])
    axes.set_xlabel("lane (red: a barrier)", color=INK)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("one warp is a brain: a presentation with its learning step", loc="left", fontsize=10, color=INK)


def sizes(places: dict[str, int], names: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Bytes of named groups of parts; everything else is the rest."""
    order = list(places)
    lengths = {one: 4 * (places[after] - places[one]) for one, after in zip(order, order[1:], strict=False)}
    found = {group: sum(lengths.pop(part) for part in parts) for group, parts in names.items()}
    return found | {"rest": sum(lengths.values())}


def memory_panel(axes: "Axes", made: Layout) -> None:
    """Bytes in shared and in device memory, to scale."""
    bars = {
        "shared memory": sizes(
            made.board,
            {
                "weights and traces": ("PAIRS",),
                "wires": ("WIRES",),
                "drive": ("DRIVE",),
                "counts": ("COUNTS",),
                "spikes": ("SPIKES",),
            },
        ),
        "device memory": sizes(made.row, {"weights and traces": ("PAIRS",), "excitement": ("EXCITEMENT",)}),
    }
    longest = max(sum(parts.values()) for parts in bars.values())
    for y, parts in enumerate(bars.values()):
        left = 0
        for (name, length), colour in zip(parts.items(), COLOURS, strict=False):
            axes.barh(y, length, left=left, height=0.55, color=colour, edgecolor="white")
            text = f"{name}\n{length:,}" if length > LEAST_LABEL * longest else ""
            axes.text(left + length / 2, y, text, ha="center", va="center", fontsize=7.5, color="white")
            left += length
        axes.text(left + longest / 100, y, f"{left:,} bytes", va="center", fontsize=8, color=INK)
        small = ", ".join(f"{name} {size:,}" for name, size in parts.items() if size <= LEAST_LABEL * longest)
        axes.text(0, y + 0.42, f"and {small}", va="center", fontsize=7.5, color=INK)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.set_ylim(1.65, -0.45)
    axes.set_xlim(0, 1.18 * longest)
    axes.set_xticks([])
    tidy(axes)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    title = f"memory of a brain of {LANES * made.config.pool_words:,} pool neurons and {made.config.units} actions"
    axes.set_title(title, loc="left", fontsize=10, color=INK)


def gpu_layout(quick: bool) -> "Figure":
    """Lanes and memory of one brain."""
    figure = new_figure(7.2, 6.4)
    above, below = figure.subplots(2, 1, height_ratios=(3.2, 1))
    lanes_panel(above, EXAMPLE)
    memory_panel(below, layout(EXAMPLE, SHARED_LIMIT))
    return figure
