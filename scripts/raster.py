"""What a brain does: spikes of its words over the cycles of a handful of presentations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, SpikingAgent
from hebbit.agents.recording import BrainRecorder, Recording
from hebbit.backends.spec import LANES
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, VERMILION, YELLOW, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SKIPPED, SHOWN = 20, 6
"""Presentations of the episode that pass before those that are drawn."""
MOST_SENSORY, MOST_POOL, MOST_UNITS = 8, 10, 8
"""Words that are drawn of each kind."""
GAP = 6
"""Rows left free after every word."""

Spikes = NDArray[np.int32]


@dataclass(frozen=True)
class Presentation:
    """One observation and what became of it."""

    sensory: Spikes
    """[D, 32, C]."""
    pool: Spikes
    """[W, 32, C]."""
    motor: Spikes
    """[A, 32, C]."""
    actions: NDArray[np.int32]
    """[G]: the unit whose spike was drawn, of each group."""


def record(agent: SpikingAgent, spec: EnvSpec, skipped: int = SKIPPED, shown: int = SHOWN) -> list[Presentation]:
    """The presentations after the first ``skipped`` ones, or the last ones of a shorter episode."""
    recorder = BrainRecorder(agent, capacity=shown)
    return presentations(recorder.play(spec, skipped + shown, episodes=1, deterministic=False))


def presentations(recording: Recording) -> list[Presentation]:
    """Presentations of a recording, one by one."""
    sensory, pool, motor = (
        recording.spikes(kind).astype(np.int32).transpose(0, 2, 3, 1) for kind in ("sensory", "pool", "motor")
    )
    return [Presentation(*one) for one in zip(sensory, pool, motor, recording.units, strict=True)]


@dataclass(frozen=True)
class Panel:
    """Words of one kind over all cycles."""

    kind: str
    colour: str
    spikes: Spikes
    """[words, 32, cycles of all presentations]."""
    labels: list[str]
    number: int
    """Words there are."""

    @classmethod
    def of(cls, kind: str, colour: str, spikes: Spikes, most: int) -> "Panel":
        """All words, or the liveliest ones of many, in their order."""
        total = spikes.sum(axis=(1, 2))
        chosen = np.sort(np.argsort(-total, kind="stable")[:most])
        return cls(kind, colour, spikes[chosen], [str(word) for word in chosen], len(spikes))

    @property
    def name(self) -> str:
        """What stands beside it."""
        unit = "unit" if self.kind == "motor" else "word"
        count = f"{self.number} {unit}{'s' * (self.number != 1)}"
        shown = f"liveliest {len(self.labels)}\nof {count}" if len(self.labels) < self.number else count
        return f"{self.kind}\n{shown}"


def draw_agent(agent: SpikingAgent, spec: EnvSpec, path: Path) -> None:
    """Draw the spikes of the brain that predicts, in a stochastic evaluation episode."""
    draw(record(agent, spec), spec.id, agent.decoder.groups, path)


def draw(presentations: Sequence[Presentation], env_id: str, groups: Sequence[int], path: Path) -> None:
    """Draw presentations side by side."""
    cycles = presentations[0].sensory.shape[2]
    kinds = (("sensory", BLUE, MOST_SENSORY), ("pool", GREEN, MOST_POOL), ("motor", VERMILION, MOST_UNITS))
    panels = [
        Panel.of(kind, colour, np.concatenate([getattr(one, kind) for one in presentations], axis=2), most)
        for kind, colour, most in kinds
    ]
    panels = [panel for panel in panels if panel.number]
    heights = [len(panel.labels) for panel in panels]
    figure = new_figure(8.4, 1.5 + 0.34 * sum(heights))
    axes = figure.subplots(len(panels), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for one, panel in zip(axes, panels, strict=True):
        _draw_panel(one, panel, cycles)
        one.set_ylabel(panel.name, color=INK, fontsize=9)
    _mark_actions(axes[-1], panels[-1], presentations, groups)
    title = f"{env_id}: the spikes behind {len(presentations)} actions of a stochastic evaluation"
    axes[0].set_title(title, loc="left", fontsize=11, color=INK)
    middles = [(index + 0.5) * cycles for index in range(len(presentations))]
    taken = ["action " + " ".join(str(action) for action in one.actions) for one in presentations]
    axes[-1].set_xticks(middles, taken)
    axes[-1].tick_params(labelbottom=True, labelsize=9, pad=4)
    figure.supxlabel(
        f"time: {cycles} cycles for each presentation; a band is a word of 32 neurons; framed: the unit that acted",
        color=INK, fontsize=9,
    )  # fmt: skip
    figure.align_ylabels()
    save_figure(figure, path)


def _draw_panel(axes: "Axes", panel: Panel, cycles: int) -> None:
    """Rows of spikes; a row is a neuron, a band a word."""
    from matplotlib.collections import PolyCollection

    words, lanes, columns = panel.spikes.shape
    rows, times = np.nonzero(panel.spikes.reshape(-1, columns))
    top, left = (rows + GAP * (rows // lanes)).astype(np.float64), times + 0.12
    corners = ((left, top), (left + 0.76, top), (left + 0.76, top + 1), (left, top + 1))
    boxes = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
    axes.add_collection(PolyCollection(list(boxes), facecolors=panel.colour, linewidths=0))
    axes.set_xlim(0, columns)
    axes.set_ylim((lanes + GAP) * words - GAP / 2, -GAP / 2)
    axes.set_yticks([(lanes + GAP) * word + lanes / 2 for word in range(words)], panel.labels)
    for word in range(1, words):
        axes.axhline((lanes + GAP) * word - GAP / 2, color=PALE, linewidth=0.5, zorder=0)
    axes.tick_params(length=0, labelsize=8, colors=INK, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)
    for cycle in range(columns + 1):
        border = cycle % cycles == 0
        axes.axvline(cycle, color=INK if border else PALE, linewidth=0.9 if border else 0.4, zorder=1 if border else 0)


def _mark_actions(axes: "Axes", panel: Panel, presentations: Sequence[Presentation], groups: Sequence[int]) -> None:
    """A frame around the band of each unit that was chosen."""
    from matplotlib.patches import Rectangle

    starts = np.concatenate([[0], np.cumsum(groups)[:-1]])
    height, cycles = LANES + GAP, presentations[0].motor.shape[2]
    for index, one in enumerate(presentations):
        for unit in starts + one.actions:
            if str(unit) in panel.labels:
                top = height * panel.labels.index(str(unit)) - GAP / 2
                box = (index * cycles, top), cycles, height
                axes.add_patch(Rectangle(*box, facecolor=YELLOW, alpha=0.45, linewidth=0, zorder=0))
                axes.add_patch(Rectangle(*box, fill=False, edgecolor=INK, linewidth=1.8, zorder=3, clip_on=False))
