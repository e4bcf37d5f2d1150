"""Learning curves: what a run's own files say, drawn."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.files import replacing
from hebbit.agents.runs import RunDirectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

# Okabe and Ito's colours, which people see apart whatever cones they have.
BLUE, GREEN, VERMILION, SKY, YELLOW = "#0072B2", "#009E73", "#D55E00", "#56B4E9", "#F0E442"
INK, PALE = "#333333", "#DDDDDD"
DPI = 150
LEAST_WINDOW, MOST_WINDOW = 10, 100
"""Episodes of the running mean: a tenth of all, within these bounds."""
GRID = 400
"""Points at which the brains of a population are compared."""


def new_figure(width: float, height: float) -> "Figure":
    """A figure (inches) with its own canvas: no window system, nothing global."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with replacing(path, what="picture") as file:
        # Without the writer's version, the picture depends on its content alone.
        figure.savefig(file, format="png", metadata={"Software": "hebbit"})


def tidy(axes: "Axes") -> None:
    """Nothing but what is needed to read the curve."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def read_monitor(path: Path) -> tuple[F64, F64]:
    """Steps at which episodes ended, and their returns, from a monitor file."""
    with open(path, newline="") as file:
        next(file)
        rows = [(float(row["r"]), float(row["l"])) for row in csv.DictReader(file)]
    table = np.array(rows, np.float64).reshape(len(rows), 2)
    return np.cumsum(table[:, 1]), table[:, 0]


def window_of(episodes: int) -> int:
    """Episodes over which the mean is taken in a run of so many."""
    return min(max(episodes // 10, LEAST_WINDOW), MOST_WINDOW)


def running_mean(values: F64, window: int) -> F64:
    """Mean of the latest ``window`` values, of fewer at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    mean: F64 = (sums[end] - sums[start]) / (end - start)
    return mean


def draw_run(run: RunDirectory, threshold: float | None, path: Path) -> None:
    """Draw the learning curve of a run.

    Args:
        run: whose files are read.
        threshold: mean return that counts as solved.
        path: of the PNG.
    """
    config = run.read_config()
    curves = [read_monitor(run.monitor_path(i)) for i in range(config["brains"])]
    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    tidy(axes)
    if len(curves) == 1:
        _draw_one(axes, *curves[0])
    else:
        _draw_many(axes, curves, config["steps"])
    if run.evaluations_path.exists():
        _draw_evaluations(axes, run.evaluations_path)
    if threshold is not None:
        axes.axhline(threshold, color=INK, linewidth=1, linestyle=(0, (5, 3)), label=f"solved: {threshold:g}", zorder=1)
    brains = f"{config['brains']} brains, " if config["brains"] > 1 else ""
    axes.set_title(f"{config['env_id']}, {brains}seed {config['seed']}", loc="left", fontsize=11, color=INK)
    axes.set_xlabel("environment steps" + (" of each brain" if brains else ""), color=INK)
    axes.set_ylabel("return of an episode", color=INK)
    axes.set_xlim(0, max(1, config["steps"]))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8, labelcolor=INK, columnspacing=1.5)
    save_figure(figure, path)


def _draw_one(axes: "Axes", steps: F64, returns: F64) -> None:
    if not len(steps):
        axes.text(0.5, 0.5, "no episode has ended", transform=axes.transAxes, ha="center", color=INK)
        return
    window = window_of(len(steps))
    axes.scatter(steps, returns, s=9, color=SKY, alpha=0.6, linewidths=0, label="training episodes")
    axes.plot(steps, running_mean(returns, window), color=BLUE, linewidth=2, label=f"mean of the latest {window}")


def _draw_many(axes: "Axes", curves: Sequence[tuple[F64, F64]], last: int) -> None:
    """Quartiles over the brains of their running means."""
    window = window_of(min(len(steps) for steps, _ in curves))
    finished = [(steps, running_mean(returns, window)) for steps, returns in curves if len(steps)]
    if not finished:
        axes.text(0.5, 0.5, "no episode has ended", transform=axes.transAxes, ha="center", color=INK)
        return
    # From where every brain has a mean.
    grid = np.linspace(max(steps[0] for steps, _ in finished), last, GRID)
    means = np.array([np.interp(grid, steps, mean) for steps, mean in finished])
    least, lower, middle, upper, most = np.quantile(means, (0, 0.25, 0.5, 0.75, 1), axis=0)
    axes.fill_between(grid, least, most, color=SKY, alpha=0.25, linewidth=0, label="all")
    axes.fill_between(grid, lower, upper, color=SKY, alpha=0.6, linewidth=0, label="middle half")
    axes.plot(grid, middle, color=BLUE, linewidth=2, label=f"median brain (mean of {window} episodes)")


def _draw_evaluations(axes: "Axes", path: Path) -> None:
    with np.load(path, allow_pickle=False) as log:
        steps, results = log["timesteps"], log["results"]
    mean = results.mean(axis=1)
    quartiles: Any = np.abs(np.quantile(results, (0.25, 0.75), axis=1) - mean)
    axes.errorbar(
        steps, mean, yerr=quartiles, fmt="o", color=VERMILION, markersize=5, linewidth=1.2, zorder=3,
        label="evaluations, quartiles", clip_on=False,
    )  # fmt: skip
