"""What came of a resident run, drawn: returns of all brains, and how many have solved the task."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hebbit.scripts.plots import BLUE, INK, SKY, VERMILION, new_figure, save_figure, tidy
from hebbit.scripts.settings import Settings


def draw(rows: Sequence[Sequence[float]], threshold: float | None, settings: Settings, path: Path) -> None:
    """Draw the learning curve of a population.

    Args:
        rows: steps, seconds, share solved, and quartiles of the brains' mean returns.
        threshold: mean return that counts as solved.
        settings: of the run.
        path: of the PNG.
    """
    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    tidy(axes)
    table = np.array(rows, np.float64).reshape(-1, 8)
    steps, least, lower, middle, upper, most = table[:, 0], *table[:, 3:].T
    # a single look is a point, which no line shows
    marker = "o" if len(steps) == 1 else None
    if settings.brains > 1:
        axes.fill_between(steps, least, most, color=SKY, alpha=0.25, linewidth=0, label="all")
        axes.fill_between(steps, lower, upper, color=SKY, alpha=0.6, linewidth=0, label="middle half")
    name = "median brain" if settings.brains > 1 else "the brain"
    axes.plot(
        steps, middle, color=BLUE, linewidth=2, marker=marker,
        label=f"{name} (training; sleepers as they were)",
    )  # fmt: skip
    if threshold is not None:
        axes.axhline(threshold, color=INK, linewidth=1, linestyle=(0, (5, 3)), label=f"solved: {threshold:g}", zorder=1)
        share = axes.twinx()
        share.plot(
            steps,
            100 * table[:, 2],
            color=VERMILION,
            linewidth=2,
            marker=marker,
            clip_on=False,
            label="% of brains solved (right)",
        )
        share.set_ylim(0, 100)
        share.set_ylabel("brains that solve it greedily, %", color=VERMILION)
        for side in ("top", "left"):
            share.spines[side].set_visible(False)
    brains = f"{settings.brains:,} resident brains" if settings.brains > 1 else "a resident brain"
    axes.set_title(f"{settings.env_id}, {brains}, seed {settings.seed}", loc="left", fontsize=11, color=INK)
    axes.set_xlabel("environment steps of each brain", color=INK)
    axes.set_ylabel("return of an episode", color=INK)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK, columnspacing=1.5)
    save_figure(figure, path)
