"""The landscape of a search by --population: scores against the hyperparameters that matter most, drawn from its table.

python -m hebbit.scripts.tune_landscape CartPole-v1.population.json --out landscape.png
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import HebbitError
from hebbit.agents.files import read_object
from hebbit.scripts.plots import BLUE, GREEN, INK, SKY, VERMILION, YELLOW, new_figure, save_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Table = Mapping[str, Any]
PANELS = 3
BINS = 4
"""Into which a hyperparameter's values are sorted, to see whether they make a difference."""
SPREAD = 0.15
"""How far points of one value are drawn apart, in a list of values."""
PALE_FIRST = ("#BBBBBB", SKY, GREEN, BLUE)
"""Colours of the rungs, the last one last."""


def merits(table: Table) -> NDArray[np.float64]:
    """How each trial stands among those of its wave: who came further is better, then who has the better score; 0..1.

    Later waves are drawn near the best of earlier ones, and better as a whole: compared with all trials, whatever their
    settings have in common would look important.
    """
    last = [(one["rungs"][-1]["steps"], one["rungs"][-1]["score"]) for one in table["trials"]]
    waves = [one["wave"] for one in table["trials"]]
    found = np.zeros(len(last))
    for wave in set(waves):
        own = [place for place, other in enumerate(waves) if other == wave]
        for place in own:
            worse = sum(last[other] < last[place] for other in own)
            alike = sum(last[other] == last[place] for other in own)
            found[place] = (worse + alike / 2) / len(own)
    return found


def importance(table: Table, name: str) -> float:
    """Share of the merits' variance that lies between values of a hyperparameter, less chance (epsilon squared).

    Numbers are sorted into four bins of as many trials each: more or less need not be better for it to matter.
    """
    values, ranks = [one["params"][name] for one in table["trials"]], merits(table)
    options = table["space"][name].get("options")
    if options is not None:
        bins = np.array([options.index(value) for value in values])
    else:
        bins = np.searchsorted(np.quantile(values, np.arange(1, BINS) / BINS), values)
    groups = [ranks[bins == one] for one in np.unique(bins)]
    within = sum(float(((own - own.mean()) ** 2).sum()) for own in groups)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    free = len(ranks) - len(groups)
    if len(groups) < 2 or free < 1 or total == 0:
        return 0.0
    return max(0.0, 1 - (within / free) / (total / (len(ranks) - 1)))


def ranking(table: Table) -> list[tuple[str, float]]:
    """Hyperparameters and their importance, the most important first."""
    found = [(name, importance(table, name)) for name in table["space"]]
    return sorted(found, key=lambda one: -one[1])


def draw(table: Table, path: Path) -> None:
    """Draw it.

    Args:
        table: what the search has left.
        path: of the PNG.

    Raises:
        HebbitError: no trial was looked at.
    """
    if not table.get("trials") or not table.get("space"):
        raise HebbitError("the table holds no trials to draw: expected what hebbit tune --population has left")
    own = ranking(table)[:PANELS]
    figure = new_figure(3.5 * len(own) + 0.6, 4.3)
    panels = figure.subplots(1, len(own), sharey=True, squeeze=False)[0]
    for axes, (name, share) in zip(panels, own, strict=True):
        _panel(axes, table, name)
        axes.set_title(f"explains {share:.0%} of the ranking in a wave", loc="left", fontsize=9, color=INK)
    panels[0].set_ylabel("score of a trial at its last look", color=INK)
    figure.suptitle(_title(table), x=0.01, ha="left", fontsize=11, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK,
        columnspacing=1.5,
    )  # fmt: skip
    save_figure(figure, path)


def _title(table: Table) -> str:
    return f"{table['env_id']}, {len(table['trials'])} trials by {table['kind']}, {table['brain_steps']:,} brain-steps"


def _panel(axes: "Axes", table: Table, name: str) -> None:
    """Scores against one hyperparameter, by how far trials came."""
    tidy(axes)
    trials, told = table["trials"], table["space"][name]
    places = np.array([_place(one, name, told) for one in trials])
    scores = np.array([one["rungs"][-1]["score"] for one in trials])
    steps = np.array([one["rungs"][-1]["steps"] for one in trials])
    looks = sorted({int(n) for n in steps})
    for number, look in enumerate(looks):
        chosen = steps == look
        named = len(looks) <= 5 or number in (0, len(looks) // 2, len(looks) - 1)
        colour = PALE_FIRST[round(number * (len(PALE_FIRST) - 1) / max(1, len(looks) - 1))] if len(looks) > 1 else BLUE
        label = f"came to {look:,} steps ({int(chosen.sum())})"
        axes.scatter(
            places[chosen], scores[chosen], s=22, color=colour, edgecolors="white", linewidths=0.4,
            label=label if named else None, zorder=2 + number,
        )  # fmt: skip
    for marked, size, marker, colour, label in (
        (0, 55, "D", VERMILION, "the start"), (table.get("winner"), 150, "*", YELLOW, "the preset"),
    ):  # fmt: skip
        at = np.array([one["trial"] == marked for one in trials])
        axes.scatter(
            places[at], scores[at], s=size, marker=marker, color=colour, edgecolors=INK, linewidths=0.8, label=label,
            zorder=20,
        )  # fmt: skip
    _axis(axes, name, told)


def _place(trial: Mapping[str, Any], name: str, told: Mapping[str, Any]) -> float:
    """Where a trial lies; those of one option are drawn a little apart."""
    value = trial["params"][name]
    if "options" not in told:
        return float(value)
    apart = (trial["trial"] * 0.618 % 1 - 0.5) * 2 * SPREAD
    return float(told["options"].index(value) + apart)


def _axis(axes: "Axes", name: str, told: Mapping[str, Any]) -> None:
    """Scale, ticks and name."""
    if "options" in told:
        axes.set_xticks(range(len(told["options"])), [f"{option}" for option in told["options"]])
        axes.set_xlim(-0.5, len(told["options"]) - 0.5)
    elif told["scale"] != "linear":
        axes.set_xscale("log")
        from matplotlib.ticker import LogLocator, NullFormatter

        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if told["high"] < 300 * told["low"] else (1.0,)))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"1 - {name}" if told.get("scale") == "one minus log" else name, color=INK)


def command(argv: Sequence[str] | None = None) -> int:
    """Draw the landscape of a table."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.tune_landscape", description="Draw a landscape.")
    parser.add_argument("table", type=Path, metavar="FILE.json", help="what hebbit tune --population has left")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="the picture")
    arguments = parser.parse_args(argv)
    table = read_object(arguments.table, "name what hebbit tune --population has left")
    if table is None:
        parser.error(f"there is no {arguments.table}")
    draw(table, arguments.out)
    for name, share in ranking(table):
        print(f"{name:16} {share:6.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(command())
