"""Figures of docs/brain.md: every mark in them comes out of the encoder, the wiring or an equation of the contract."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.agents.encoder import LEVELS, tuning_table
from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.equations import I32, Clock, Key
from hebbit.backends.philox import draw, random_number
from hebbit.backends.spec import LANES, BrainConfig, Param, Stream
from hebbit.backends.wiring import Wiring, source_lane, wire
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, SKY, VERMILION, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

KEY: Key = (0, 0)
"""Seed and brain of every figure."""
WIDTH = 7.2
LANE_TICKS = (0, 8, 16, 24, 31)
POSITION = 150
"""The value that is shown, of 256 positions."""
NATS = np.array([0.0, 0.5, 1.0, 2.0])
"""How far the example's motor units lie below the strongest one."""


def young(presentation: int) -> Clock:
    """A clock in training."""
    return Clock(presentation, 0, KEY, False)


def lanes_axis(axes: "Axes", label: str = "neuron of the word (lane)") -> None:
    """Lanes from bottom to top."""
    axes.set_ylim(-0.7, LANES - 0.3)
    axes.set_yticks(LANE_TICKS)
    axes.set_ylabel(label, color=INK)


def title(axes: "Axes", text: str) -> None:
    """A heading flush left."""
    axes.set_title(text, loc="left", fontsize=10, color=INK)


def bars(axes: "Axes", values: I32, colour: str, most: float, label: str) -> None:
    """One horizontal bar for each lane."""
    tidy(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    axes.barh(np.arange(LANES), values, height=0.75, color=colour)
    axes.set_xlim(0, most)
    axes.set_xlabel(label, color=INK)


def tuning(quick: bool) -> "Figure":
    """Intensities of a word as a value moves through its range."""
    table = tuning_table(AgentConfig().tuning_width).astype(np.int32)
    figure = new_figure(WIDTH, 3.4)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    image = left.imshow(table.T, cmap="Blues", aspect="auto", origin="lower", vmin=0, vmax=15, interpolation="nearest")
    left.axvline(POSITION, color=VERMILION, linewidth=1.5)
    left.text(POSITION + 4, 1, f"position {POSITION}", color=VERMILION, fontsize=9)
    left.set_xlabel("position of the value in its range", color=INK)
    left.set_xticks((0, 64, 128, 192, 255))
    lanes_axis(left)
    title(left, "tuning curves of one sensory word")
    figure.colorbar(image, ax=left, ticks=(0, 5, 10, 15), pad=0.01)
    bars(right, table[POSITION], VERMILION, 16, "intensity")
    right.set_xticks((0, 5, 10, 15))
    right.tick_params(axis="y", length=0)
    title(right, f"at position {POSITION}")
    for side in left.spines.values():
        side.set_color(INK)
    return figure


def phase(quick: bool) -> "Figure":
    """One sensory word over the cycles of a presentation, and how counts depend on intensity in both codes."""
    intensity = tuning_table(AgentConfig().tuning_width)[[POSITION]].astype(np.int32)
    params = AgentConfig().params()
    spikes = np.stack([eq.sensory_spikes(intensity, cycle, params, young(0))[0] for cycle in range(8)])
    figure = new_figure(WIDTH, 3.9)
    shown, raster, counted, both = figure.subplots(1, 4, width_ratios=(1, 2, 1, 2))
    bars(shown, intensity[0], VERMILION, 16, "intensity")
    shown.set_xticks((0, 5, 10, 15))
    lanes_axis(shown)
    cycles, neurons = np.nonzero(spikes)
    tidy(raster)
    raster.grid(visible=False)
    raster.scatter(cycles, neurons, marker="s", s=34, color=BLUE, linewidths=0)
    raster.set_xticks(range(8), [str(threshold) for threshold in phase_thresholds()])
    raster.set_xlim(-0.6, 7.6)
    raster.set_xlabel("cycles 0 to 7, each\nwith its threshold", color=INK)
    bars(counted, spikes.sum(axis=0).astype(np.int32), BLUE, 8.5, "count")
    counted.set_xticks((0, 4, 8))
    for axes, text in ((shown, "shown"), (raster, "spikes"), (counted, "counted")):
        title(axes, text)
        axes.set_ylim(9.3, 26.7)
        axes.set_yticks(range(10, 27, 4), [str(n) for n in range(10, 27, 4)] if axes is shown else [])
    _counts(both, 20 if quick else 400)
    return figure


def phase_thresholds() -> list[int]:
    """T(c) of word 0 in presentation 0, found by showing all intensities."""
    ladder = np.zeros((1, LANES), np.int32)
    ladder[0, :16] = np.arange(16)
    params = AgentConfig().params()
    return [int(16 - eq.sensory_spikes(ladder, cycle, params, young(0))[0].sum()) for cycle in range(8)]


def _counts(axes: "Axes", presentations: int) -> None:
    """Counts of every intensity: exact in the phase code, scattered in the Bernoulli code."""
    ladder = np.tile(np.arange(16, dtype=np.int32), 2)[None]
    for code, colour in (("bernoulli", SKY), ("phase", BLUE)):
        params = AgentConfig(sensory=code).params()  # type: ignore[arg-type]  # both are codes
        counts = np.array(
            [
                sum(eq.sensory_spikes(ladder, cycle, params, young(t))[0, :16] for cycle in range(8))
                for t in range(presentations)
            ]
        )
        mean, deviation = counts.mean(axis=0), counts.std(axis=0)
        axes.fill_between(range(16), mean - deviation, mean + deviation, color=colour, alpha=0.3, linewidth=0)
        axes.plot(range(16), mean, ".-", color=colour, linewidth=1.2, label=code)
    tidy(axes)
    axes.set_xlabel("intensity", color=INK)
    axes.set_xticks((0, 5, 10, 15))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    title(axes, "counts, mean ± sd")


def two_dimensions() -> tuple[BrainConfig, Wiring]:
    """A brain of one pool word that reads two observation dimensions."""
    config = BrainConfig(sensory_words=2, pool_words=1, groups=(2,), slots_min=2, slots_max=2)
    return config, wire(config, np.zeros(1, np.uint32), KEY)


def wiring(quick: bool) -> "Figure":
    """Which lane of a source the 32 neurons of a pool word read."""
    _, drawn = two_dimensions()
    entries = [(0, 0, "read straight"), *((int(drawn.rotation[0, s]), int(drawn.xor[0, s]), "") for s in range(2))]
    figure = new_figure(WIDTH, 3.0)
    for axes, (rotation, xor, name) in zip(figure.subplots(1, 3, sharey=True), entries, strict=True):
        lane = source_lane(rotation, xor)
        tidy(axes)
        axes.grid(axis="x", color=PALE, linewidth=0.6)
        axes.scatter(np.arange(LANES), lane, s=16, color=GREEN if name == "" else INK, linewidths=0)
        axes.set_xticks(LANE_TICKS)
        axes.set_xlabel("pool neuron", color=INK)
        title(axes, name or f"rotation {rotation}, XOR {xor}")
        lanes_axis(axes, "")
        axes.set_aspect("equal")
        axes.set_xlim(-0.7, LANES - 0.3)
    figure.axes[0].set_ylabel("lane of the source that it reads", color=INK)
    return figure


def coincidences(grid: int, presentations: int) -> F64:
    """Mean count of each neuron of a pool word over a grid of observations: [grid (second), grid (first), 32]."""
    _, drawn = two_dimensions()
    params = AgentConfig().params()
    positions = np.linspace(0, LEVELS - 1, grid).astype(np.intp)
    table = tuning_table(AgentConfig().tuning_width)[positions].astype(np.int32)
    counts = np.zeros((grid, grid, LANES))
    mode, gain = params[:, Param.DRIVE], params[:, Param.GAIN]
    for t in range(presentations):
        for cycle in range(8):
            # a word's spikes depend on its own dimension alone
            spikes = np.stack([eq.sensory_spikes(np.stack([row, row]), cycle, params, young(t)) for row in table])
            for y in range(grid):
                for x in range(grid):
                    both = np.stack([spikes[x, 0], spikes[y, 1]])
                    counts[y, x] += eq.drive(both, drawn, mode, gain)[0] >= AgentConfig().threshold
    return counts / presentations


def place_cells(quick: bool) -> "Figure":
    """Receptive fields of the conjunctions of a pool word in two observation dimensions."""
    counts = coincidences(8 if quick else 64, 1 if quick else 6)
    figure = new_figure(WIDTH, 3.7)
    left, *few = figure.subplot_mosaic([["all", "a", "b"], ["all", "c", "d"]], width_ratios=(2.2, 1, 1)).values()
    extent = (0.0, 255.0, 0.0, 255.0)
    shades = ("#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9")
    for lane in range(LANES):
        level = [max(0.1, 0.5 * float(counts[..., lane].max()))]
        left.contour(counts[..., lane], levels=level, extent=extent, colors=[shades[lane % 6]], linewidths=1.3)
    title(left, "the 32 fields of one pool word")
    left.set_xlabel("first dimension, low to high", color=INK)
    left.set_ylabel("second dimension, low to high", color=INK)
    image = None
    inner = np.argsort(-counts.sum(axis=(0, 1)), kind="stable")[[0, 4, 9, 14]]
    for axes, lane in zip(few, sorted(inner), strict=True):
        image = axes.imshow(counts[..., lane], cmap="Blues", origin="lower", vmin=0, vmax=8, extent=extent)
        title(axes, f"neuron {lane}")
    for axes in (left, *few):
        axes.set_xticks(())
        axes.set_yticks(())
        axes.set_aspect("equal")
        for side in axes.spines.values():
            side.set_color(INK)
    assert image is not None
    figure.colorbar(image, ax=few, label="mean count of 8 cycles", ticks=(0, 4, 8), shrink=0.95)
    return figure


def excitement(quick: bool) -> "Figure":
    """One neuron of a summing word while an observation passes through its field."""
    reached, noise, fired, current = passage(lane=9)
    figure = new_figure(WIDTH, 3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    cycles = np.arange(len(reached))
    upper.bar(cycles, reached, width=0.85, color=BLUE, label="excitement, with what has just come in")
    upper.bar(cycles, noise, bottom=reached, width=0.85, color=SKY, label="noise of 2 bits")
    upper.axhline(8, color=INK, linewidth=1, linestyle=(0, (5, 3)), label="threshold")
    at = np.flatnonzero(fired)
    upper.scatter(at, np.full(len(at), 18.6), marker="|", s=90, color=VERMILION, linewidths=2.2, label="spike")
    upper.set_ylim(0, 20)
    upper.set_yticks((0, 5, 10, 15))
    upper.set_ylabel("excitement", color=INK)
    lower.bar(cycles, current, width=0.85, color=GREEN)
    lower.set_ylabel("sources\nfiring", color=INK)
    lower.set_yticks((0, 2, 4))
    lower.set_xlabel("cycle (a line begins each presentation of 8)", color=INK)
    lower.set_xticks(range(0, len(reached), 8))
    lower.set_xlim(-0.6, len(reached) - 0.4)
    for axes in (upper, lower):
        tidy(axes)
        for start in range(0, len(reached), 8):
            axes.axvline(start - 0.5, color=PALE, linewidth=1, zorder=0)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8, labelcolor=INK)
    return figure


def passage(lane: int) -> tuple[I32, I32, I32, I32]:
    """Excitement reached, noise, spikes and input of one neuron, by cycle, in eight presentations."""
    config = BrainConfig(sensory_words=4, pool_words=1, groups=(2,), slots_min=4, slots_max=4)
    drawn = wire(config, np.zeros(1, np.uint32), KEY)
    params = AgentConfig(drive="sum", noise_bits=2).params()
    centre = [int(source_lane(int(drawn.rotation[0, s]), int(drawn.xor[0, s]))[lane]) for s in range(4)]
    x, rows = np.zeros((1, LANES), np.int32), []
    for t, distance in enumerate((5.0, 3.2, 2.6, 1.5, 0.0, 1.8, 3.0, 5.0)):
        intensity = np.zeros((4, LANES), np.int32)
        for slot in range(4):
            off = (np.arange(LANES) - centre[slot] + distance) / AgentConfig().tuning_width
            intensity[drawn.source[0, slot]] = np.minimum(15, np.floor(16 * np.maximum(0, 1 - off**2)))
        for cycle in range(8):
            current = eq.drive(eq.sensory_spikes(intensity, cycle, params, young(t)), drawn, params[:, 0], params[:, 1])
            noise = random_number(np.zeros(1, np.uint32), t, 0, range(4), Stream.POOL, KEY, turn=cycle) % 4
            reached = np.minimum(spec.STATE_MAX, x + current)
            x, fired = eq.pool_cycle(x, current, params[:, Param.THRESHOLD], cycle, params, young(t))
            rows.append([part[0, lane] for part in (reached, noise, fired, current)])
    reached, noise, fired, current = np.array(rows, np.int32).T
    return reached, noise, fired, current


def volley(quick: bool) -> "Figure":
    """The table of chances, one volley of four motor units, and the choices that come of it."""
    params = AgentConfig().params()
    drives = np.round(-NATS * 32 * 4096 / params[0, Param.TEMPERATURE]).astype(np.int32)
    chances = eq.motor_chances(drives, (4,), params, 0)
    figure = new_figure(WIDTH, 3.6)
    table, raster, choice = figure.subplots(1, 3, width_ratios=(1.2, 1, 1.2))
    nats = np.arange(len(spec.EXPONENTIAL)) / 32
    table.step(nats, spec.EXPONENTIAL, where="mid", color=BLUE, linewidth=1.5)
    table.scatter(NATS, chances, color=VERMILION, s=28, zorder=3)
    table.set_xlabel("nats below the strongest unit", color=INK)
    table.set_yticks((0, 64, 128, 192, 256))
    title(table, "chance to fire, of 256")
    _raster(raster, chances)
    found = choices(chances, 200 if quick else 20_000)
    place = np.arange(4)
    softmax = np.exp(-NATS) / np.exp(-NATS).sum()
    choice.bar(place, found, width=0.7, color=VERMILION, label="drawn spikes")
    choice.scatter(place, softmax, marker="_", s=420, color=INK, linewidths=1.8, label="softmax", zorder=3)
    choice.set_xticks(place)
    choice.set_xlabel("motor unit", color=INK)
    choice.legend(frameon=False, fontsize=8, labelcolor=INK)
    title(choice, "share of the choices")
    for axes in (table, choice):
        tidy(axes)
    return figure


def _raster(axes: "Axes", chances: I32) -> None:
    """Spikes of four motor words in eight cycles, as motor_spikes draws them."""
    units = np.arange(4, dtype=np.uint32)
    for cycle in range(8):
        fired = random_number(units, 0, cycle, range(8), Stream.MOTOR, KEY) < chances[:, None]
        unit, lane = np.nonzero(fired)
        axes.scatter(np.full(len(unit), cycle), unit * 38 + lane, marker="s", s=4, color=VERMILION, linewidths=0)
    axes.set_yticks([unit * 38 + 16 for unit in range(4)], [f"unit {unit}" for unit in range(4)])
    axes.set_ylim(149, -4)
    axes.set_xticks((0, 7))
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.set_xlabel("cycle", color=INK)
    for side in axes.spines.values():
        side.set_visible(False)
    spikes = eq.motor_spikes(chances, 8, AgentConfig().params(), young(0)).sum()
    title(axes, f"a volley: {spikes} spikes")


def choices(chances: I32, volleys: int) -> F64:
    """How often each unit's spike is drawn, over many volleys with these chances of 256."""
    # many copies of the units draw in one presentation: their words differ, so their random numbers do
    spikes = eq.motor_spikes(np.tile(chances, volleys), 8, AgentConfig().params(), young(0)).sum(axis=1)
    words = draw(np.arange(volleys, dtype=np.uint32), 0, 0, 0, Stream.ACTION, KEY)
    chosen = [
        eq.drawn_unit(own.astype(np.int32), int(word[0]), int(word[1]))
        for own, word in zip(spikes.reshape(volleys, len(chances)), words, strict=True)
    ]
    return np.bincount(chosen, minlength=len(chances)) / volleys
