"""The executable specification: plain integers, one value per neuron, one function per equation, no tricks.

Shapes: D sensory words, M echo words, I = D + M, W pool words, L learning words, P = I + W + L, A motor units,
O = A + 1 outputs (the critic last), H = 32 L learning units that read S words, K clusters; a word is 32 neurons.
Functions work on one brain; :mod:`hebbit.backends.numpy_backend` strings them together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import spec
from hebbit.backends.philox import draw, random_number, scaled
from hebbit.backends.spec import LANES, BrainConfig, Param, Stream
from hebbit.backends.wiring import Wiring, source_lane

I32 = NDArray[np.int32]
Key = tuple[int, int]


@dataclass(frozen=True)
class Clock:
    """When and for whom random words are drawn."""

    presentation: int
    stream: int
    """Offset of the streams: 0 in training, EVALUATION otherwise."""
    key: Key
    calm: bool
    """Deterministic: no noise."""


@dataclass(frozen=True)
class Volley:
    """What the motor units fired and what was made of it."""

    spikes: I32
    """[A]: (weighted) spikes of a unit in this presentation."""
    actions: I32
    """[G]."""
    seconds: I32
    """[G]: the second draw."""


def anneal(start: int, half_age: int, age: int) -> int:
    """A rate that has halved after ``half_age`` presentations: start h // (h + t)."""
    return start if half_age == 0 else start * half_age // (half_age + age)


def sensory_spikes(intensity: I32, cycle: int, params: I32, clock: Clock) -> I32:
    """Spikes of the sensory neurons [D, 32] in one cycle.

    Phase code: fire if I >= T(c), T(c) = 2 ((m c + o) mod 8) + 1 with m odd and o drawn per presentation and word.
    Bernoulli: fire with chance I / 16.
    """
    words = np.arange(len(intensity), dtype=np.uint32)
    if params[0, Param.SENSORY] == 0:
        r = draw(words, clock.presentation, 0, 0, Stream.PHASE + clock.stream, clock.key)
        multiplier = 2 * (r[:, 0] & 3).astype(np.int32) + 1
        offset = (r[:, 1] & 7).astype(np.int32)
        threshold = 2 * ((multiplier * cycle + offset) % 8) + 1
        return (intensity >= threshold[:, None]).astype(np.int32)
    x = random_number(words, clock.presentation, cycle, range(4), Stream.SENSE + clock.stream, clock.key)
    return (x < intensity).astype(np.int32)


def drive(spikes: I32, wiring: Wiring, mode: I32, gain: I32) -> I32:
    """Input of the pool neurons [W, 32]: GAIN if all sources fired (coincidence), or how many did (sum)."""
    total = np.zeros((len(wiring.slots), LANES), np.int32)
    for word, slots in enumerate(wiring.slots):
        for slot in range(slots):
            lane = source_lane(wiring.rotation[word, slot], wiring.xor[word, slot])
            total[word] += spikes[wiring.source[word, slot], lane]
    together = total == wiring.slots[:, None]
    return np.where(mode[:, None] == 0, together * gain[:, None], total).astype(np.int32)


def lose(x: I32, shift: I32, rounding: I32, chance: I32, number: I32) -> I32:
    """Decay by chance: with chance / 256, x >= 0 loses the share 2**-shift of itself, rounded by chance."""
    divisor = 1 << shift
    loss = (x + rounding % divisor) // divisor
    return np.where(number < chance, x - loss, x).astype(np.int32)


def pool_cycle(excitement: I32, current: I32, threshold: I32, cycle: int, params: I32, clock: Clock) -> tuple[I32, I32]:
    """One cycle of the pool neurons [W, 32]: excitement and spikes.

    x <- min(15, x + drive); fire if x + noise >= threshold, or by base rate; reset on firing, else decay by chance.
    Base rate belongs to training alone.
    """
    words = np.arange(len(excitement), dtype=np.uint32)

    def number(first: int, bits: int) -> I32:
        planes = range(first, first + bits)
        # drawn once a presentation, turned from cycle to cycle
        return random_number(words, clock.presentation, 0, planes, Stream.POOL + clock.stream, clock.key, turn=cycle)

    x = np.minimum(spec.STATE_MAX, excitement + current).astype(np.int32)
    noise = number(0, 4) % (1 << params[:, Param.NOISE])[:, None]
    young = [anneal(int(p[Param.BASE_RATE]), int(p[Param.BASE_AGE]), clock.presentation) for p in params]
    spontaneous = number(4, spec.BASE_BITS) < np.array(young, np.int32)[:, None]
    if clock.calm:
        noise = np.zeros_like(noise)
    if clock.stream != 0:
        spontaneous = np.zeros_like(spontaneous)
    fired = (x + noise >= threshold[:, None]) | spontaneous
    shift, chance = params[:, Param.DECAY_SHIFT][:, None], params[:, Param.DECAY_CHANCE][:, None]
    kept = lose(x, shift, number(24, 3), chance, number(16, spec.CHANCE_BITS))
    return np.where(fired, 0, kept).astype(np.int32), fired.astype(np.int32)


def floor_ratio(numerator: int, denominator: int) -> int:
    """Division that floors, for negatives too; by zero it gives 0."""
    return 0 if denominator == 0 else numerator // denominator


def readout(counts: I32, weights: I32, config: BrainConfig) -> tuple[I32, I32]:
    """Drives [A] and values [K]: the mean weight of the spikes, floor(256 sum(w n) / sum(n)).

    A cluster's value is read from its own words only.
    """
    total = int(counts.sum())
    drives = [floor_ratio(spec.UNIT * int((w * counts).sum()), total) for w in weights[: config.units]]
    cluster = np.arange(config.words) % config.clusters
    values = []
    for k in range(config.clusters):
        own = counts[cluster == k]
        values.append(floor_ratio(spec.UNIT * int((weights[-1][cluster == k] * own).sum()), int(own.sum())))
    return np.array(drives, np.int32), np.array(values, np.int32)


def seen(counts: I32, config: BrainConfig, reads: int) -> I32:
    """Counts [P, 32] as the readouts see them: 0 for kinds of words that they do not read."""
    inputs, learning = config.inputs, config.words - config.learning_words
    kind = np.ones(config.words, np.int32)
    kind[inputs:learning], kind[learning:] = 2, 4
    return np.where((kind & reads)[:, None] > 0, counts, 0).astype(np.int32)


def sharpened(temperature: int, double_age: int, age: int) -> int:
    """An inverse temperature that has doubled after ``double_age`` presentations, and stops at four times its start."""
    return temperature if double_age == 0 else temperature * (double_age + min(age, 3 * double_age)) // double_age


def motor_chances(drives: I32, groups: tuple[int, ...], params: I32, age: int) -> I32:
    """Chance of 256 that a neuron of each motor unit [A] fires: table[(u_max - u_a) temperature >> 12]."""
    chances = np.zeros_like(drives)
    start = 0
    temperature = sharpened(int(params[0, Param.TEMPERATURE]), int(params[0, Param.TEMPERATURE_AGE]), age)
    for size in groups:
        own = drives[start : start + size].astype(np.int64)
        index = (own.max() - own) * temperature >> 12
        chances[start : start + size] = spec.EXPONENTIAL[np.minimum(index, len(spec.EXPONENTIAL) - 1)]
        start += size
    floored: I32 = np.maximum(chances, params[0, Param.MOTOR_BASE]).astype(np.int32)
    return floored


def motor_spikes(chances: I32, cycles: int, params: I32, clock: Clock) -> I32:
    """Spikes of each motor unit in each cycle [A, C], those of cycle c counted c + 1 times if ramped."""
    units = np.arange(len(chances), dtype=np.uint32)
    spikes = np.zeros((len(chances), cycles), np.int32)
    for cycle in range(cycles):
        x = random_number(units, clock.presentation, cycle, range(8), Stream.MOTOR + clock.stream, clock.key)
        weight = cycle + 1 if params[0, Param.MOTOR_RAMP] else 1
        spikes[:, cycle] = weight * (x < chances[:, None]).sum(axis=1)
    return spikes


def drawn_unit(spikes: I32, random_word: int, uniform_word: int) -> int:
    """The unit of one output spike drawn at random, or any unit where nothing fired."""
    total = int(spikes.sum())
    if total == 0:
        return int(scaled(uniform_word, len(spikes)))
    return int(np.searchsorted(np.cumsum(spikes), scaled(random_word, total), side="right"))


def act(drives: I32, config: BrainConfig, params: I32, clock: Clock, age: int, forced: I32 | None = None) -> Volley:
    """Motor volley and action of each group; the strongest unit (the lowest on a tie) when calm.

    ``age`` is the brain's own: how many presentations it has had, whatever the clock says. Where ``forced`` [G] is not
    negative, that unit is the action, whatever fired.
    """
    chances = motor_chances(drives, config.groups, params, age)
    spikes = motor_spikes(chances, config.cycles, params, clock).sum(axis=1).astype(np.int32)
    actions, seconds = np.zeros((2, len(config.groups)), np.int32)
    start = 0
    for group, size in enumerate(config.groups):
        own = slice(start, start + size)
        r = draw(np.array([group], np.uint32), clock.presentation, 0, 0, Stream.ACTION + clock.stream, clock.key)[0]
        actions[group] = np.argmax(drives[own]) if clock.calm else drawn_unit(spikes[own], r[0], r[1])
        seconds[group] = drawn_unit(spikes[own], r[2], r[1])
        if forced is not None and forced[group] >= 0:
            actions[group] = forced[group]
        start += size
    return Volley(chances if clock.calm else spikes, actions, seconds)


def credit(volley: Volley, groups: tuple[int, ...], rule: int) -> tuple[I32, I32]:
    """Sixteenths f [A] of the counts that enter each unit's trace, and their sign [A].

    Rule 0: f = floor(16 |1[a] - n_a / N|), the efference copy minus one's own share of the volley.
    Rule 1: 16 for the action, -16 for the second draw, nothing if they agree.
    """
    shares, signs = np.zeros((2, len(volley.spikes)), np.int32)
    start = 0
    for group, size in enumerate(groups):
        own = volley.spikes[start : start + size]
        total = int(own.sum())
        for unit in range(size):
            chosen = unit == volley.actions[group]
            if rule == 0:
                share = floor_ratio(16 * abs(total * chosen - int(own[unit])), total)
            else:
                second = unit == volley.seconds[group]
                share = 16 * (chosen != second) * (total > 0)
            shares[start + unit], signs[start + unit] = share, 1 if chosen else -1
        start += size
    return shares, signs


def surprise(mean: int, dopamine: int, shift: int) -> int:
    """Running mean of |dopamine|, in 1/256: mean += (256 |d| - mean) >> shift."""
    return mean + ((256 * min(abs(dopamine), spec.DOPAMINE_LIMIT) - mean) >> shift)


def actor_dopamine(dopamine: int, mean: int, params: I32) -> int:
    """|dopamine| as the actor sees it, in 1/256 of its running mean size (floored), clipped."""
    scale = spec.UNIT
    if params[Param.SURPRISE_SHIFT] > 0:
        scale = max(mean >> 8, int(params[Param.SURPRISE_FLOOR]), 1)
    return min(min(abs(dopamine), spec.DOPAMINE_LIMIT) * 256 // scale, int(params[Param.DOPAMINE_CLIP]))


def step_and_chance(size: int, rate: int, random_word: int, bits: int) -> tuple[int, int]:
    """Exponent k and chance of 256 of a move, for dopamine x rate, of 2**24, which moves a full trace by a weight step.

    A trace of m moves its weight by m 2**k / 16 quanta of 2**-bits weight steps. Chances above 1 become a larger k;
    what lies below 1/256 is rounded by chance.
    """
    expected = size * rate << bits
    k = 0
    while (expected >> k) > 1 << spec.RATE_BITS and k < spec.MAX_STEP_SHIFT + bits:
        k += 1
    chance = min(expected >> k, 1 << spec.RATE_BITS) + (random_word >> 16) >> 16
    return k, chance


def moved_weights(
    weights: I32, fractions: I32, traces: I32, up: int, move: tuple[int, int, int], x: I32, y: I32
) -> tuple[I32, I32]:
    """Weights and their sixteenths after they moved, with chance / 256, by |trace| 2**k / 16 quanta of 2**-bits.

    Quanta are rounded by chance; weights saturate at -128 and at 127 and fifteen sixteenths.

    Args:
        weights: int32, any shape, like all the others.
        fractions: sixteenths of a weight step.
        traces: whose sign is the direction.
        up: 1, or -1 to turn it round.
        move: k, chance and bits, see :func:`step_and_chance`.
        x: random numbers 0..255, whether to move.
        y: random numbers 0..15, how to round.
    """
    k, chance, bits = move
    quanta = (np.abs(traces) << k) + y >> spec.TRACE_BITS
    step = np.sign(traces) * up * quanta << spec.FRACTION_BITS - bits
    fine = (weights << spec.FRACTION_BITS) + fractions + np.where(x < chance, step, 0)
    least, most = spec.WEIGHT_MIN << spec.FRACTION_BITS, (spec.WEIGHT_MAX + 1 << spec.FRACTION_BITS) - 1
    fine = np.clip(fine, least, most).astype(np.int32)
    return fine >> spec.FRACTION_BITS, fine & spec.FRACTION_MAX


def added_trace(traces: I32, counts: I32, share: int, sign: int, rounding: I32, replace: bool) -> I32:
    """Traces plus sign * (share n / 16, rounded by chance), saturating at +-15; or the larger of the two."""
    gain = (counts * share + rounding) // 16
    if replace:
        larger: I32 = np.maximum(traces, gain).astype(np.int32)
        return larger
    return np.clip(traces + sign * gain, -spec.STATE_MAX, spec.STATE_MAX).astype(np.int32)


def learning_chances(counts: I32, weights: I32, params: I32) -> I32:
    """Chance of 256 that each learning neuron fires in a cycle [H], from the counts [S, 32] of the words that it reads.

    SIGMOID[128 + BIAS + (sum(w n) SLOPE >> 16)], the index cut to 0..255.
    """
    drives = (weights.astype(np.int64) * counts).sum(axis=(1, 2))
    index = 128 + int(params[0, Param.INNER_BIAS]) + (drives * int(params[0, Param.INNER_SLOPE]) >> 16)
    chances: I32 = spec.SIGMOID[np.clip(index, 0, 255)]
    return chances


def learning_counts(chances: I32, cycles: int, clock: Clock) -> I32:
    """How often each learning neuron fired [L, 32]: one trial a cycle; calm, the rounded expectation."""
    chance = chances.reshape(-1, LANES)
    if clock.calm:
        return (cycles * chance + 128) >> 8
    words = np.arange(len(chance), dtype=np.uint32)
    counts = np.zeros_like(chance)
    for cycle in range(cycles):
        # drawn once a presentation, turned from cycle to cycle
        stream = Stream.LEARNING + clock.stream
        x = random_number(words, clock.presentation, 0, range(8), stream, clock.key, turn=cycle)
        counts += x < chance
    return counts


def learning_signal(
    rule: int, chances: I32, counts: I32, before: I32, cycles: int, feedback: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Signed credit [H] of the learning units before it is scaled, all per unit of FEEDBACK.

    Rule 0, the unit's own outgoing weights: ``feedback`` times p (1 - p), as 4 p (1 - p) of 64.
    Rule 1, REINFORCE: its surprise at itself, 256 n - C p, times 256 / C.
    Rule 2, spike timing: spikes that follow the sources' in this presentation count as after them, those of the last
    presentation as before them: n - n_before, times 65536 / C.
    """
    n, old, p = counts.astype(np.int64), before.astype(np.int64), chances.astype(np.int64)
    if rule == 0:
        return feedback * (p * (256 - p) >> 8)
    if rule == 1:
        return (256 * n - cycles * p) * 256 // cycles
    return (n - old) * 65536 // cycles


def feedback_weights(weights: I32, shares: I32, signs: I32, critic_feedback: int) -> NDArray[np.int64]:
    """Signed sum [H] of a learning unit's outgoing weights [O, H], each times its motor unit's credit in sixteenths.

    The critic counts as one more unit, with ``critic_feedback`` sixteenths.
    """
    credits = np.append(shares * signs, critic_feedback).astype(np.int64)
    total: NDArray[np.int64] = (weights.astype(np.int64) * credits[:, None]).sum(axis=0)
    return total


def learning_credit(signal: NDArray[np.int64], gain: int, clock: Clock) -> tuple[I32, I32]:
    """Sixteenths [H] of the sources' counts that enter each learning unit's traces, at most 16, and their sign [H].

    f = (|signal| FEEDBACK + random 16 bits) >> 16.
    """
    units = np.arange(len(signal), dtype=np.uint32)
    r = draw(units, clock.presentation, 0, 0, Stream.CREDIT, clock.key)[:, 0] & 0xFFFF
    share = np.minimum(16, (np.abs(signal) * gain + r.astype(np.int64)) >> 16)
    return share.astype(np.int32), np.where(signal < 0, -1, 1).astype(np.int32)


def echoed(counts: I32, sources: I32, cycles: int) -> I32:
    """Intensities of the echo words [M, 32] in the next presentation: min(15, 16 n // C) of the words they repeat.

    With eight cycles of phase code the echo fires exactly as often as its source did.
    """
    return np.minimum(spec.STATE_MAX, 16 * counts[sources] // cycles).astype(np.int32)
