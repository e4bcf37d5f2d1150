"""Pictures of what a brain expects and chooses: value, TD error, reward, actions."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hebbit.agents.recording import CUT, RUNNING, TERMINATED, Recording
from hebbit.scripts.look.measures import entropy, policy, returns_to_go
from hebbit.scripts.plots import BLUE, GREEN, INK, SKY, VERMILION, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SHOWN = 600
"""Presentations of the value's picture."""
MOST_GROUPS = 4
"""Parts of an action that are drawn."""


def draw_value(recording: Recording, path: Path) -> None:
    """Value, TD error and reward, presentation by presentation (all were kept)."""
    shown = recording.rows(slice(0, MOST_SHOWN))
    truth, unit = returns_to_go(recording)[: len(shown)], recording.unit
    time = np.arange(len(shown))
    figure = new_figure(9.4, 5.6)
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1.2, 0.8))
    for axes in (above, middle, below):
        tidy(axes)
        _boundaries(axes, shown)
    above.plot(time, truth, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="discounted return that came")
    clusters = shown.value.shape[1]
    if clusters > 1:
        above.plot(time, shown.value / unit, color=SKY, linewidth=0.8, alpha=0.7)
        above.plot([], [], color=SKY, linewidth=0.8, label=f"value of each of {clusters} clusters")
    above.plot(
        time, shown.value.mean(axis=1) / unit, color=BLUE, linewidth=1.6, label="value" + " (mean)" * (clusters > 1)
    )
    above.set_ylabel("value\n(units of reward)", color=INK, fontsize=9)
    _bars(middle, shown.td.mean(axis=1) / unit, VERMILION)
    middle.axhline(0, color=INK, linewidth=0.6)
    middle.set_ylabel("TD error\n(units of reward)", color=INK, fontsize=9)
    _bars(below, shown.reward, GREEN)
    below.axhline(0, color=INK, linewidth=0.6)
    below.set_ylabel("reward", color=INK, fontsize=9)
    below.set_xlabel(_ends(shown), color=INK, fontsize=9)
    below.set_xlim(-1, len(shown))
    above.set_title("What the brain expects, and how far what came was from it", loc="left", fontsize=10, color=INK)
    figure.align_ylabels()
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    save_figure(figure, path)


def _bars(axes: "Axes", heights: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", colour: str) -> None:
    axes.vlines(np.arange(len(heights)), 0, heights, color=colour, linewidth=1.4 if len(heights) < 250 else 0.8)


def _boundaries(axes: "Axes", shown: Recording) -> None:
    for t in np.flatnonzero(shown.end != RUNNING):
        style = {TERMINATED: "solid", CUT: "dotted"}.get(int(shown.end[t]), (0, (5, 3)))
        axes.axvline(t + 0.5, color=INK, linewidth=0.9, linestyle=style, alpha=0.7, zorder=0)


def _ends(shown: Recording) -> str:
    """What the lines across mean, as far as there are such."""
    kinds = ["", "full line: the episode ended", "dashed: it was cut short", "dotted: the play stopped"]
    present = [kinds[code] for code in sorted(set(shown.end.tolist()) - {RUNNING})]
    return "; ".join(["presentation", *present])


def draw_actions(recording: Recording, path: Path) -> None:
    """How often each unit was chosen, and how sure the brain was."""
    probabilities = policy(recording)[:MOST_GROUPS]
    figure = new_figure(8.4, 2.7 * len(probabilities) + 0.3)
    panels = figure.subplots(len(probabilities), 2, squeeze=False, width_ratios=(3, 2))
    for group, ((left, right), probability) in enumerate(zip(panels, probabilities, strict=True)):
        units = probability.shape[1]
        shares = np.bincount(recording.units[:, group], minlength=units) / max(1, len(recording))
        tidy(left)
        left.bar(np.arange(units) - 0.2, shares, 0.38, color=VERMILION, label="chosen")
        left.bar(np.arange(units) + 0.2, probability.mean(axis=0), 0.38, color=SKY, label="mean probability")
        left.set_xticks(range(units) if units <= 16 else range(0, units, -(-units // 12)))
        left.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
        left.set_xlabel(
            "motor unit" + (f" of part {group} of the action" if len(recording.groups) > 1 else ""),
            color=INK,
            fontsize=9,
        )
        left.set_ylabel("share of presentations", color=INK, fontsize=9)
        tidy(right)
        bits, most = entropy(probability), np.log2(units) if units > 1 else 1.0
        right.hist(bits, bins=list(np.linspace(0, most, 25)), color=BLUE, weights=np.full(len(bits), 1 / len(bits)))
        right.axvline(bits.mean(), color=INK, linewidth=1, linestyle=(0, (5, 3)))
        unsure = "How unsure it is" if not group else "and here"
        right.set_title(f"{unsure}: {bits.mean():.2f} of {most:.2f} bits", loc="left", fontsize=10, color=INK)
        right.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
        right.set_xlim(0, most)
        right.set_xlabel("entropy of the policy (bits)", color=INK, fontsize=9)
    panels[0][0].legend(frameon=False, fontsize=8, labelcolor=INK)
    panels[0][0].set_title("What the brain does", loc="left", fontsize=10, color=INK)
    save_figure(figure, path)
