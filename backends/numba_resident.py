"""Resident runs, compiled: a world's steps, encoder, scale of rewards and books around the kernels of a brain.

The rows are those of :mod:`hebbit.backends.resident`, whose loop these functions keep; the encoder is that of
:mod:`hebbit.agents.encoder`, the scale that of :mod:`hebbit.agents.rewards`.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from hebbit.backends.numba_kernels import (
    BRAIN,
    CARRIED_BLOCKS,
    COLLECTED,
    DRIVES,
    MEMORY,
    PRESENTATION,
    SCRATCH,
    SECONDS,
    VALUE,
    VOLLEY,
    WIRES,
    present_all,
    source_fingerprint,
    step_brain,
)
from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_planes import U, philox
from hebbit.backends.numba_pool import COLUMNS, LIVE, NUMBERS, K
from hebbit.backends.numba_readout import BLOCKS, A, act, readout
from hebbit.backends.numba_rows import beyond, octets, pointer, signed
from hebbit.backends.resident import LEVELS, RECENT, Real, Whole
from hebbit.backends.spec import (
    DOPAMINE_LIMIT,
    FRACTION_BITS,
    FRACTION_MAX,
    LANES,
    REWARD_LIMIT,
    UNIT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Flag,
    Stream,
)

STATE, OUT, RETURN, TOTAL, ENDS, SIZE_, LARGEST, WORTH, MEAN, SQUARE, LOW, SCALE, GAMMA, SPAN, DEVIATIONS, RETURNS = (
    int(Real[n])
    for n in (
        "STATE", "OUT", "RETURN", "TOTAL", "ENDS", "SIZE", "LARGEST", "UNIT", "MEAN", "SQUARE", "LOW", "SCALE", "GAMMA",
        "SPAN", "DEVIATIONS", "RETURNS",
    )
)  # fmt: skip
STEPS, ELAPSED, CHOSEN, SEEN, REWARDS, AGE, BEGUN, ENDED, ADAPTIVE, WARMUP, FOLLOWS, OPTIMISM, LENGTHS = (
    int(Whole[n])
    for n in (
        "STEPS", "ELAPSED", "UNIT", "SEEN", "REWARDS", "AGE", "BEGUN", "ENDED", "ADAPTIVE", "WARMUP", "FOLLOWS",
        "OPTIMISM", "LENGTHS",
    )
)  # fmt: skip
REALS, WHOLES = int(Real.LENGTH), int(Whole.LENGTH)
REWARD, TERMINATED = 6, 7
"""Places in what a world's step gives."""
HALF = 8
"""What readouts take a weight's fraction for."""
WEIGHTS, FRACTIONS, OWN, SURPRISE = (int(Size[n]) for n in ("WEIGHTS", "FRACTIONS", "OWN", "SURPRISE"))
HUGE, TINY, HORIZON, YOUNG, SLACK, FORGETTING, EVERY = 1e30, 1e-30, 1024.0, 1.1, 0.32, 2.0**-14, 256
"""As in :mod:`hebbit.agents.rewards`; a test compares them."""
LIMIT = -WEIGHT_MIN * float(UNIT)
FAR = 1e100
"""As HUGE in :mod:`hebbit.agents.encoder`."""


def _calling(*kinds):
    """An intrinsic that calls a C function at an address: that costs what any call costs, and compiles once for all."""

    @intrinsic
    def call(typingctx, address, a, b, c, d):
        given = (a, b, c, d)[: len(kinds)]
        sig = types.void(types.int64, *kinds, *(types.none,) * (4 - len(kinds)))

        def codegen(context, builder, signature, args):
            values = args[1 : 1 + len(given)]
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
            return context.get_dummy_value()

        return sig, codegen

    return call


NUMBERS_AT = types.CPointer(types.float64)
call_start = _calling(types.uint64, types.uint64, NUMBERS_AT, NUMBERS_AT)
call_step = _calling(NUMBERS_AT, types.float64, NUMBERS_AT)


@njit
def episode_seed(seed, brain, episode, stream):
    """See hebbit.agents.environment.episode_seed."""
    return np.uint64(philox(U(0), U(episode), U(0), U(stream), seed, brain)[0] >> U(1))


@njit
def observe(real, whole, values):
    """Learn the ranges from one observation, until the warm-up is over; see Encoder.observe."""
    if whole[SEEN] >= whole[WARMUP]:
        return
    n = whole[SEEN] + 1
    for d in range(values):
        value = min(max(real[OUT + d], -FAR), FAR)
        before = value - real[MEAN + d]
        mean = real[MEAN + d] + before / n
        square = real[SQUARE + d] + before * (value - mean)
        real[MEAN + d], real[SQUARE + d] = mean, square
        if (whole[ADAPTIVE] >> d) & 1:
            reach = real[DEVIATIONS] * (math.sqrt(square / n) + 1e-6)
            real[LOW + d], real[SCALE + d] = mean - reach, (LEVELS - 1) / (2 * reach)
    whole[SEEN] = n


@njit
def encode(real, values, table, intensities):
    """Intensities of the world's last observation, as bytes; see Encoder.encode."""
    for d in range(values):
        position = (real[OUT + d] - real[LOW + d]) * real[SCALE + d]
        at = LANES * np.int64(min(max(position, 0.0), LEVELS - 1.0))
        for lane in range(LANES):
            intensities[LANES * d + lane] = table[at + lane]


@njit
def follow(real, whole, reward, terminated):
    """Count a reward; see Gauge.follow."""
    reward = max(-HUGE, min(HUGE, reward))
    real[TOTAL] = real[GAMMA] * real[TOTAL] + reward
    whole[REWARDS] += 1
    if whole[AGE] > 0 or reward != 0.0:
        whole[AGE] += 1
    share = max(1.0 / whole[REWARDS], FORGETTING)
    real[ENDS] += share * ((1.0 if terminated else 0.0) - real[ENDS])
    real[SIZE_] += share * (abs(reward) - real[SIZE_])
    real[LARGEST] = max(real[LARGEST] - FORGETTING * real[LARGEST], abs(real[TOTAL]))
    if terminated:
        real[TOTAL] = 0.0


@njit
def adapt(real, whole):
    """What the brain's units are to be multiplied by; see Gauge.adapt."""
    age, span, unit = whole[AGE], real[SPAN], real[WORTH]
    young = age < EVERY
    if not (unit == 0.0 or age % EVERY == 0 or (young and age & (age - 1) == 0)):
        return 1.0
    stop = 1.0 - real[GAMMA] * (1.0 - real[ENDS])
    reach = max(real[LARGEST], real[SIZE_] / max(stop, 1.0 / HORIZON))
    if reach < TINY:
        return 1.0
    if unit == 0.0:
        real[WORTH] = span / reach
        return 1.0
    factor, limit = 1.0, min(YOUNG * span, LIMIT) if young else LIMIT
    while reach * unit * factor > limit:
        factor *= 0.5
    while reach * unit * factor < SLACK * span:
        factor *= 2.0
    real[WORTH] = unit * factor
    return factor


@njit
def stretched(x, factor, centre, least, most):
    """An integer stretched about a centre, rounded and cut to limits; see rewards.rescale."""
    y = math.floor(centre + (np.float64(x) - centre) * factor + 0.5)
    return np.int64(min(max(y, np.float64(least)), np.float64(most)))


@njit
def stretch_weight(memory, weights, fractions, lane, factor, centre):
    """One synapse of the critic: its weight and fraction are one number of twelve bits."""
    fine = np.int64(0)
    for i in range(8):
        fine |= np.int64((memory[weights + B * i] >> lane) & 1) << (FRACTION_BITS + i)
    for i in range(FRACTION_BITS):
        fine |= np.int64((memory[fractions + B * i] >> lane) & 1) << i
    fine = (fine ^ (1 << (FRACTION_BITS + 7))) - (1 << (FRACTION_BITS + 7))
    least, most = WEIGHT_MIN << FRACTION_BITS, (WEIGHT_MAX << FRACTION_BITS) + FRACTION_MAX
    fine = stretched(fine, factor, np.float64((centre << FRACTION_BITS) + HALF), least, most)
    bit = U(U(1) << lane)
    for i in range(8):
        digit = U((fine >> (FRACTION_BITS + i)) & 1)
        memory[weights + B * i] = U((memory[weights + B * i] & ~bit) | U(digit << lane))
    for i in range(FRACTION_BITS):
        memory[fractions + B * i] = U((memory[fractions + B * i] & ~bit) | U(U((fine >> i) & 1) << lane))


@njit
def in_use(sizes, wires, block, column):
    """Whether a column of a block is a word, not padding."""
    for k in range(sizes[K]):
        if wires[sizes[OWN] + B * (sizes[BLOCKS] * k + block) + column] != 0:
            return True
    return False


@njit
def rescale(sizes, memory, wires, factor, born):
    """Bring what was learned in units of rewards to new units; see rewards.rescale."""
    centre = born if factor < 1.0 else np.int64(0)
    first = sizes[BLOCKS] * sizes[A]
    for block in range(sizes[BLOCKS]):
        for column in range(B):
            if in_use(sizes, wires, block, column):
                weights = sizes[WEIGHTS] + 8 * B * (first + block) + column
                fractions = sizes[FRACTIONS] + FRACTION_BITS * B * (first + block) + column
                for lane in range(LANES):
                    stretch_weight(memory, weights, fractions, lane, factor, centre)
    numbers, middle = signed(memory), np.float64(centre * UNIT)
    for k in range(sizes[K]):
        value, surprise = sizes[VALUE] + k, sizes[SURPRISE] + k
        numbers[value] = stretched(numbers[value], factor, middle, WEIGHT_MIN * UNIT, WEIGHT_MAX * UNIT)
        numbers[surprise] = stretched(numbers[surprise], factor, 0.0, 0, DOPAMINE_LIMIT * UNIT)
    at = sizes[COLLECTED]
    numbers[at] = stretched(numbers[at], factor, 0.0, -DOPAMINE_LIMIT, DOPAMINE_LIMIT)


@njit
def integer_reward(real, reward):
    """A reward in the brain's units; see RewardScale.integer."""
    limit = np.float64(REWARD_LIMIT)
    return np.int32(math.floor(max(-limit, min(limit, reward * real[WORTH] + 0.5))))


@njit
def start(real, whole, seed, brain, begin):
    """Begin an episode in the world."""
    first = episode_seed(seed, brain, whole[BEGUN], Stream.EPISODE)
    call_start(begin, first, np.uint64(0), beyond(real, STATE), beyond(real, OUT))
    whole[BEGUN] += 1
    whole[ELAPSED], real[RETURN] = 0, 0.0


@njit
def close(real, whole):
    """Note an episode that has ended."""
    at = whole[ENDED] % RECENT
    real[RETURNS + at], whole[LENGTHS + at] = real[RETURN], whole[ELAPSED]
    whole[ENDED] += 1


@njit
def act_in_world(real, whole, preferred, limit, move):
    """Execute the chosen unit: what the brain has met then, a flag."""
    call_step(move, beyond(real, STATE), preferred[whole[CHOSEN]], beyond(real, OUT), None)
    whole[ELAPSED] += 1
    real[RETURN] += real[OUT + REWARD]
    if real[OUT + TERMINATED] != 0.0:
        return np.int64(Flag.TERMINATED)
    return np.int64(Flag.TRUNCATED) if whole[ELAPSED] >= limit else np.int64(Flag.CONTINUE)


@njit
def show(sizes, params, seed, memory, wires, work, real, whole, world, table, reward, flag, choice):
    """Let a brain see the world's last observation, learn and choose."""
    observe(real, whole, world[0])
    encode(real, world[0], table, octets(beyond(work, sizes[NUMBERS])))
    if flag != Flag.START and whole[FOLLOWS] != 0:
        follow(real, whole, reward, flag == Flag.TERMINATED)
        factor = adapt(real, whole)
        if factor != 1.0:
            rescale(sizes, memory, wires, factor, whole[OPTIMISM])
    earned = np.int32(0) if flag == Flag.START else integer_reward(real, reward)
    choice[0] = 0
    step_brain(sizes, params, seed, memory, wires, work, earned, flag, False, choice, choice)
    whole[CHOSEN] = choice[0]


@njit
def live_brain(sizes, params, seed, memory, wires, work, real, whole, world, table, preferred, choice):
    """All the steps of one brain; see SpikingAgent._step."""
    for _ in range(whole[STEPS]):
        flag = act_in_world(real, whole, preferred, world[1], world[3])
        reward = real[OUT + REWARD]
        show(sizes, params, seed, memory, wires, work, real, whole, world, table, reward, flag, choice)
        if flag != Flag.CONTINUE:
            close(real, whole)
            start(real, whole, seed, memory[sizes[BRAIN]], world[2])
            begun = np.int64(Flag.START)
            show(sizes, params, seed, memory, wires, work, real, whole, world, table, 0.0, begun, choice)


@njit
def calm_action(volley, preferred, units, bounds):
    """The mean of the preferred values, weighted by the volley, as Decoder.decode_mean rounds it."""
    top, weight = 0.0, 0.0
    for unit in range(units):
        top += np.float64(volley[unit]) * preferred[units + unit]
        weight += np.float64(volley[unit])
    action = np.float64(np.float32(top / max(weight, 1.0)))
    return min(max(action, bounds[0]), bounds[1])


@njit
def play(sizes, params, seed, memory, wires, work, real, world, table, preferred, bounds, calm, shown):
    """One episode of a brain that does not learn, from the world's first observation on: its return and length."""
    drives, seconds = signed(beyond(work, sizes[DRIVES])), signed(beyond(work, sizes[SECONDS]))
    volley, stream = signed(beyond(work, sizes[VOLLEY])), np.int64(Stream.EVALUATION)
    brain, age = memory[sizes[BRAIN]], memory[sizes[PRESENTATION]]
    total, length, choice = 0.0, np.int64(0), signed(beyond(work, sizes[VOLLEY] + 3 * sizes[A] - 1))
    for i in range(4 * B * sizes[CARRIED_BLOCKS]):
        work[sizes[LIVE] + i] = U(0)
    while True:
        now = U(0) if calm else U(shown + length)
        encode(real, world[0], table, octets(beyond(work, sizes[NUMBERS])))
        present_all(sizes, params, memory, wires, work, now, stream, seed, brain, calm)
        readout(sizes, params, memory, wires, work, drives)
        act(sizes, params, work, drives, volley, seconds, choice, age, now, stream, seed, brain, calm)
        action = preferred[choice[0]]
        if calm and bounds[2] != 0.0:
            action = calm_action(volley, preferred, sizes[A], bounds)
        call_step(world[3], beyond(real, STATE), action, beyond(real, OUT), None)
        total += real[OUT + REWARD]
        length += 1
        if real[OUT + TERMINATED] != 0.0 or length >= world[1]:
            return total, length


def compile_lives(fingerprint):
    """The functions that are called from Python; see numba_kernels.compile_steps."""

    @njit(cache=True, nogil=True)
    def live_all(sizes, params, seed, memory, wires, scratch, first, last, real, whole, world, table, preferred):
        """Lives of the brains first..last - 1, one after the other: a brain stays in the cache."""
        _ = fingerprint
        choice = np.zeros(1, np.int32)
        for b in range(first, last):
            live_brain(
                pointer(sizes), beyond(pointer(params), b * sizes[K] * COLUMNS), seed,
                beyond(pointer(memory), b * sizes[MEMORY]), beyond(pointer(wires), b * sizes[WIRES]),
                beyond(pointer(scratch), b * sizes[SCRATCH]), beyond(pointer(real), b * REALS),
                beyond(pointer(whole), b * WHOLES), pointer(world), pointer(table), pointer(preferred), pointer(choice),
            )  # fmt: skip

    @njit(cache=True, nogil=True)
    def trial_all(
        sizes, params, seed, memory, wires, scratch, first, last, real, world, table, preferred, bounds, brains,
        episode_key, calm, returns, lengths,
    ):  # fmt: skip
        """Episodes of the brains brains[first..last - 1] without learning."""
        _ = fingerprint
        for i in range(first, last):
            b, shown = brains[i], np.int64(0)
            own = real[b].copy()
            memory_at = beyond(pointer(memory), b * sizes[MEMORY])
            for e in range(returns.shape[1]):
                stream = Stream.EPISODE + Stream.EVALUATION
                seeds = episode_seed(episode_key, memory_at[sizes[BRAIN]], e, stream)
                call_start(world[2], seeds, np.uint64(0), beyond(pointer(own), STATE), beyond(pointer(own), OUT))
                returns[i, e], lengths[i, e] = play(
                    pointer(sizes), beyond(pointer(params), b * sizes[K] * COLUMNS), seed, memory_at,
                    beyond(pointer(wires), b * sizes[WIRES]), beyond(pointer(scratch), b * sizes[SCRATCH]),
                    pointer(own), pointer(world), pointer(table), pointer(preferred), pointer(bounds), calm, shown,
                )  # fmt: skip
                shown += lengths[i, e]

    return live_all, trial_all


live_all, trial_all = compile_lives(source_fingerprint())
