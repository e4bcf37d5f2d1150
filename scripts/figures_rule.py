"""Figures of docs/rule.md: the learning rule measured with its own functions."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig, decay_by_chance
from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.equations import I32, Volley
from hebbit.backends.philox import draw, random_number
from hebbit.backends.spec import LANES, Stream
from hebbit.scripts.figures_brain import KEY, WIDTH, title, young
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, SKY, VERMILION, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

UNIT_CHANCES = (256, 160, 96, 64)
"""Chances of 256 of four motor units, the strongest first."""
REWARDED = 1
"""The unit whose choice is paid."""
VOLLEYS = ((1, 16), (1, 8), (1, 4), (1, 2), (1, 1), (2, 1), (4, 1), (8, 1))
"""Cycles, and what the chances are divided by for a quieter volley; the last is what a brain does by default."""
WORDS = 64
"""Words of synapses in the measurements."""


def traces(quick: bool) -> "Figure":
    """Traces that decay by chance, and their mean."""
    config = AgentConfig()
    keep = config.gamma * config.trace_lambda
    shift, chance = (np.full((WORDS, 1), value, np.int32) for value in decay_by_chance(keep))
    words = np.arange(WORDS, dtype=np.uint32)
    history = [np.full((WORDS, LANES), spec.STATE_MAX, np.int32)]
    for t in range(30):
        rounding = random_number(words, t, 0, range(12, 15), Stream.PLASTICITY, KEY)
        number = random_number(words, t, 0, range(20, 28), Stream.PLASTICITY, KEY)
        history.append(eq.lose(history[-1], shift, rounding, chance, number))
    levels = np.stack(history).reshape(31, -1)
    figure = new_figure(WIDTH, 3.0)
    axes = figure.add_subplot()
    tidy(axes)
    for index in range(4):
        # a little apart, so that none hides another
        label = "four single ones" if index == 0 else None
        axes.step(range(31), levels[:, index] + 0.08 * (index - 1.5), where="mid", color=SKY, linewidth=1, label=label)
    axes.plot(range(31), levels.mean(axis=1), "o", color=BLUE, markersize=4.5, label=f"mean of {levels.shape[1]:,}")
    axes.plot(range(31), 15 * keep ** np.arange(31), color=INK, linewidth=1, label=f"15 × {keep:.3f}$^t$")
    axes.set_xlabel("presentations since the trace was full", color=INK)
    axes.set_ylabel("trace", color=INK)
    axes.set_yticks((0, 5, 10, 15))
    axes.set_xlim(-0.5, 30)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def drawn_volleys(chances: I32, cycles: int, number: int) -> list[Volley]:
    """Volleys of one group with an action and a second draw each."""
    params = AgentConfig().params()
    spikes = eq.motor_spikes(np.tile(chances, number), cycles, params, young(0)).sum(axis=1).astype(np.int32)
    words = draw(np.arange(number, dtype=np.uint32), 0, 0, 0, Stream.ACTION, KEY)
    found = []
    for own, word in zip(spikes.reshape(number, len(chances)), words, strict=True):
        action, second = (eq.drawn_unit(own, int(word[i]), int(word[1])) for i in (0, 2))
        found.append(Volley(own, np.array([action], np.int32), np.array([second], np.int32)))
    return found


def estimates(chances: I32, cycles: int, number: int) -> dict[str, F64]:
    """Policy-gradient estimates [number, units] of each rule: dopamine times the credit of the units."""
    volleys = drawn_volleys(chances, cycles, number)
    policy = chances / chances.sum()
    chosen = np.array([volley.actions[0] for volley in volleys])
    dopamine = ((chosen == REWARDED) - policy[REWARDED])[:, None]
    spikes = np.array([volley.spikes for volley in volleys])
    found = {"exact softmax: 1[a] − π": dopamine * (np.eye(len(chances))[chosen] - policy)}
    for name, rule in (("own share: 1[a] − n/N", 0), ("second draw: 1[a] − 1[a′]", 1)):
        credits = [eq.credit(volley, (len(chances),), rule) for volley in volleys]
        found[name] = dopamine * np.array([shares * signs / 16 for shares, signs in credits])
    found["plain spikes: n − E n"] = dopamine * (spikes - cycles * LANES * chances / 256)
    return found


def signal_to_noise(estimate: F64) -> float:
    """Length of the mean over the root mean squared distance from it."""
    mean = estimate.mean(axis=0)
    return float(np.sqrt((mean**2).sum() / ((estimate - mean) ** 2).sum(axis=1).mean()))


def estimator(quick: bool) -> "Figure":
    """Signal to noise of the motor credit, and its bias, against the size of a volley."""
    sizes, points = [], []
    for cycles, quieter in VOLLEYS:
        chances = np.array(UNIT_CHANCES, np.int32) // quieter
        sizes.append(cycles * LANES * float(chances.sum()) / 256)
        points.append(estimates(chances, cycles, 100 if quick else 10_000))
    figure = new_figure(WIDTH, 3.7)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    styles = ((INK, "--"), (BLUE, "o-"), (GREEN, "s-"), (VERMILION, "^-"))
    policy = np.array(UNIT_CHANCES) / sum(UNIT_CHANCES)
    true = policy[REWARDED] * (np.eye(len(policy))[REWARDED] - policy)
    for (colour, style), name in zip(styles, points[0], strict=True):
        left.plot(sizes, [signal_to_noise(p[name]) for p in points], style, color=colour, markersize=4.5, label=name)
        if colour in (BLUE, GREEN):
            along = [float(p[name].mean(axis=0) @ true / (true @ true)) for p in points]
            right.plot(sizes, along, style, color=colour, markersize=4.5)
    right.axhline(1, color=INK, linestyle="--")
    title(left, "signal to noise of one estimate")
    title(right, "mean along the true gradient")
    for axes in (left, right):
        tidy(axes)
        axes.axvspan(sizes[-1] / 1.25, sizes[-1] * 1.25, color=PALE, alpha=0.7, zorder=0, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks([4, 16, 64, 256], ["4", "16", "64", "256"])
        axes.set_xlabel("mean spikes in a volley", color=INK)
        axes.set_ylim(0, None)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def mean_changes(expected: F64, trace: int, presentations: int) -> list[float]:
    """Mean change of weights whose dopamine times rate asks for ``expected`` steps of a full trace."""
    words = np.arange(WORDS, dtype=np.uint32)
    still, eligible = np.zeros((WORDS, LANES), np.int32), np.full((WORDS, LANES), trace, np.int32)
    totals = np.zeros(len(expected))
    for t in range(presentations):
        word = int(draw(np.zeros(1, np.uint32), t, 0, 0, Stream.SCALAR, KEY)[0, 0])
        x, y = (random_number(words, t, 0, planes, Stream.PLASTICITY, KEY) for planes in (range(8), range(8, 12)))
        for index, size in enumerate(expected):
            bits = spec.FRACTION_BITS
            k, chance = eq.step_and_chance(256, round(size * 2**spec.RATE_BITS / 256), word, bits)
            weights, fractions = eq.moved_weights(still, still, eligible, 1, (k, chance, bits), x, y)
            totals[index] += float((weights + fractions / 2**bits).mean())
    return [float(total) / presentations for total in totals]


def weight_change(quick: bool) -> "Figure":
    """Expected and measured change of weights that move by sixteenths of a step and by chance."""
    expected = 2.0 ** np.arange(-9, 6.1, 4 if quick else 1)
    figure = new_figure(WIDTH, 3.8)
    axes = figure.add_subplot()
    tidy(axes)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    span = np.array([2.0**-13.5, 2.0**6.5])
    axes.plot(span, span, color=INK, linewidth=1, label="expected")
    for trace, colour, marker in ((15, BLUE, "o"), (4, VERMILION, "^"), (1, GREEN, "s")):
        measured = mean_changes(expected, trace, 2 if quick else 800)
        axes.plot(expected * trace / 16, measured, marker, color=colour, markersize=5.5, label=f"trace {trace}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    powers = (-12, -8, -4, 0, 4)
    names = ["1/4096", "1/256", "1/16", "1", "16"]
    axes.set_xticks([2.0**p for p in powers], names)
    axes.set_yticks([2.0**p for p in powers], names)
    axes.set_xlabel("dopamine × rate × trace, in weight steps", color=INK)
    axes.set_ylabel("mean change of a weight, measured", color=INK)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure
