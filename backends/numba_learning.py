"""Readout, action and plasticity, compiled. Blocks and unsigned indices as in :mod:`hebbit.backends.numba_pool`."""

import numpy as np
from numba import njit

from hebbit.backends import spec
from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_planes import (
    ALL,
    U,
    add_signed,
    below4,
    chance_planes,
    digits,
    larger,
    lose,
    mask,
    philox,
    popcount,
    scaled,
    share_of,
    within,
)  # fmt: skip
from hebbit.backends.numba_pool import ROW, X, anneal
from hebbit.backends.spec import Param, Stream

D, P, A, K, C, SENSORY_BLOCKS, BLOCKS = (int(Size[n]) for n in ("D", "P", "A", "K", "C", "SENSORY_BLOCKS", "BLOCKS"))
WEIGHTS, TRACES, VALUE, SURPRISE, OWN, COUNTS, BLOCK = (
    int(Size[n]) for n in ("WEIGHTS", "TRACES", "VALUE", "SURPRISE", "OWN", "COUNTS", "BLOCK")
)
EXPONENTIAL = spec.EXPONENTIAL
W8, T5, N4 = 8 * B, 5 * B, 4 * B
"""Lengths of a block of weights, of traces and of counts."""


@njit
def weighted_sum(sizes, memory, wires, scratch, output, k):
    """Sum of w n over the neurons of a cluster (all words for k < 0), by popcount of the planes' products."""
    weights, counts = X(sizes[WEIGHTS] + W8 * sizes[BLOCKS] * output), X(sizes[COUNTS])
    own, every = X(sizes[OWN] + B * sizes[BLOCKS] * max(k, 0)), mask(k < 0)
    total = np.int64(0)
    for block in range(sizes[BLOCKS]):
        part = np.int32(0)
        for i in range(B):
            n, w = counts + X(N4 * block) + X(i), weights + X(W8 * block) + X(i)
            mine = U(wires[own + X(B * block) + X(i)]) | every
            n0, n1 = U(scratch[n] & mine), U(scratch[n + ROW] & mine)
            n2, n3 = U(scratch[n + X(2) * ROW] & mine), U(scratch[n + X(3) * ROW] & mine)
            for b in range(8):
                v = memory[w + X(b) * ROW]
                term = np.int32(popcount(U(n0 & v))) + (np.int32(popcount(U(n1 & v))) << 1)
                term += (np.int32(popcount(U(n2 & v))) << 2) + (np.int32(popcount(U(n3 & v))) << 3)
                part += -(term << 7) if b == 7 else term << b
        total += part
    return total


@njit
def spike_sum(sizes, wires, scratch, k):
    """Sum of n over the neurons of a cluster (all words for k < 0)."""
    counts, own, every = X(sizes[COUNTS]), X(sizes[OWN] + B * sizes[BLOCKS] * max(k, 0)), mask(k < 0)
    total = np.int32(0)
    for block in range(sizes[BLOCKS]):
        for i in range(B):
            n = counts + X(N4 * block) + X(i)
            mine = U(wires[own + X(B * block) + X(i)]) | every
            total += np.int32(popcount(U(scratch[n] & mine))) + (np.int32(popcount(U(scratch[n + ROW] & mine))) << 1)
            total += np.int32(popcount(U(scratch[n + X(2) * ROW] & mine))) << 2
            total += np.int32(popcount(U(scratch[n + X(3) * ROW] & mine))) << 3
    return np.int64(total)


@njit
def floor_ratio(numerator, denominator):
    """Floored division, 0 where the denominator is 0."""
    return np.int32(0) if denominator == 0 else np.int32(numerator // denominator)


@njit
def readout(sizes, memory, wires, scratch, drives):
    """Drives [A] and values [K] from the counts; returns the spikes of the presentation."""
    a = sizes[A]
    total = spike_sum(sizes, wires, scratch, -1)
    for unit in range(a):
        drives[unit] = floor_ratio(spec.UNIT * weighted_sum(sizes, memory, wires, scratch, unit, -1), total)
    for k in range(sizes[K]):
        own = total if sizes[K] == 1 else spike_sum(sizes, wires, scratch, k)
        drives[a + k] = floor_ratio(spec.UNIT * weighted_sum(sizes, memory, wires, scratch, a, k), own)
    return total


@njit
def chance_of_unit(best, drive, params):
    """Chance of 256 that a motor neuron fires."""
    index = (np.int64(best) - np.int64(drive)) * np.int64(params[0, Param.TEMPERATURE]) >> 12
    return max(EXPONENTIAL[min(index, len(EXPONENTIAL) - 1)], params[0, Param.MOTOR_BASE])


@njit
def unit_spikes(unit, chance, cycles, ramp, now, who, k0, k1):
    """Spikes of one motor unit over all cycles."""
    total, q = np.int64(0), digits(chance)
    for cycle in range(cycles):
        fired = np.int64(popcount(chance_planes(U(unit), now, U(cycle << 16), who, k0, k1, q)))
        total += fired * (cycle + 1) if ramp else fired
    return total


@njit
def drawn_unit(spikes, start, size, random_word, uniform_word):
    """The unit, within its group, of one output spike drawn at random."""
    total = np.int64(0)
    for unit in range(start, start + size):
        total += spikes[unit]
    if total == 0:
        return scaled(uniform_word, size)
    pick = scaled(random_word, total)
    for unit in range(start, start + size):
        pick -= spikes[unit]
        if pick < 0:
            return np.int64(unit - start)
    return np.int64(size - 1)


@njit
def act(sizes, groups, params, drives, volley, seconds, actions, now, stream, k0, k1, calm):
    """Motor volley and the action of each group."""
    start = 0
    who, ramp = U(Stream.MOTOR + stream), params[0, Param.MOTOR_RAMP] != 0
    for group in range(len(groups)):
        size = groups[group]
        best = start
        for unit in range(start + 1, start + size):
            if drives[unit] > drives[best]:
                best = unit
        for unit in range(start, start + size):
            chance = chance_of_unit(drives[best], drives[unit], params)
            volley[unit] = chance if calm else unit_spikes(unit, chance, sizes[C], ramp, now, who, k0, k1)
        r = philox(U(group), now, U(0), U(Stream.ACTION + stream), k0, k1)
        if calm:
            actions[group] = best - start
        else:
            actions[group] = drawn_unit(volley, start, size, r[0], r[1])
            seconds[group] = drawn_unit(volley, start, size, r[2], r[1])
        start += size


@njit
def credit(groups, params, volley, seconds, actions, share, sign):
    """Sixteenths of the counts that enter each unit's trace, and whether they are subtracted."""
    start = 0
    for group in range(len(groups)):
        size = groups[group]
        total = np.int64(0)
        for unit in range(start, start + size):
            total += volley[unit]
        for unit in range(size):
            chosen = unit == actions[group]
            if params[0, Param.MOTOR_RULE] == 0:
                difference = (total if chosen else 0) - np.int64(volley[start + unit])
                share[start + unit] = floor_ratio(16 * abs(difference), total)
            else:
                share[start + unit] = 16 if chosen != (unit == seconds[group]) and total > 0 else 0
            sign[start + unit] = 0 if chosen else 1
        start += size


@njit
def step_and_chance(size, rate, random_word):
    """Weight step 2**k and its chance of 256."""
    expected = np.int64(size) * np.int64(rate)
    k = 0
    while expected >> k > 1 << spec.RATE_BITS and k < spec.MAX_STEP_SHIFT:
        k += 1
    return k, (min(expected >> k, 1 << spec.RATE_BITS) + (np.int64(random_word) >> 16)) >> 16


@njit
def dopamine_of(params, reward, value, memory, sizes, k):
    """TD error of one cluster, its running mean size brought up to date."""
    discounted = np.int64(params[k, Param.GAMMA]) * np.int64(value) // spec.ONE_GAMMA
    dopamine = np.int64(reward) + discounted - np.int64(np.int32(memory[sizes[VALUE] + k]))
    if params[k, Param.SURPRISE_SHIFT] > 0:
        mean = np.int64(np.int32(memory[sizes[SURPRISE] + k]))
        size = min(abs(dopamine), spec.DOPAMINE_LIMIT)
        mean += (256 * size - mean) >> params[k, Param.SURPRISE_SHIFT]
        memory[sizes[SURPRISE] + k] = U(mean)
    return dopamine


@njit
def actor_size(params, dopamine, mean):
    """|dopamine| as the actor sees it, in 1/256 of its running mean size."""
    scale = np.int64(spec.UNIT)
    if params[Param.SURPRISE_SHIFT] > 0:
        scale = max(np.int64(mean) >> 8, np.int64(params[Param.SURPRISE_FLOOR]), 1)
    return min(min(abs(dopamine), spec.DOPAMINE_LIMIT) * 256 // scale, np.int64(params[Param.DOPAMINE_CLIP]))


@njit(forceinline=True)
def move_weight(memory, at, moves, down, t):
    """Add 2**k to the weights of ``moves``, or subtract it where ``down``; saturate at -128 and 127.

    t holds k as masks. Subtracting is adding to the complement; whatever would carry into the sign saturates instead.
    """
    y0, y1, y2, y3 = memory[at], memory[at + ROW], memory[at + X(2) * ROW], memory[at + X(3) * ROW]
    y4, y5, y6, y7 = (
        memory[at + X(4) * ROW], memory[at + X(5) * ROW], memory[at + X(6) * ROW], memory[at + X(7) * ROW],
    )  # fmt: skip
    y0, y1, y2, y3 = U(y0 ^ down), U(y1 ^ down), U(y2 ^ down), U(y3 ^ down)
    y4, y5, y6, y7 = U(y4 ^ down), U(y5 ^ down), U(y6 ^ down), U(y7 ^ down)
    a = U(moves & t[0])
    s0, c = U(y0 ^ a), U(y0 & a)
    a = U(c | (moves & t[1]))
    s1, c = U(y1 ^ a), U(y1 & a)
    a = U(c | (moves & t[2]))
    s2, c = U(y2 ^ a), U(y2 & a)
    a = U(c | (moves & t[3]))
    s3, c = U(y3 ^ a), U(y3 & a)
    a = U(c | (moves & t[4]))
    s4, c = U(y4 ^ a), U(y4 & a)
    a = U(c | (moves & t[5]))
    s5, c = U(y5 ^ a), U(y5 & a)
    a = U(c | (moves & t[6]))
    s6, c = U(y6 ^ a), U(y6 & a)
    over = U(c & ~y7)
    s7 = U(y7 ^ c ^ over)
    memory[at], memory[at + ROW] = (s0 | over) ^ down, (s1 | over) ^ down
    memory[at + X(2) * ROW], memory[at + X(3) * ROW] = (s2 | over) ^ down, (s3 | over) ^ down
    memory[at + X(4) * ROW], memory[at + X(5) * ROW] = (s4 | over) ^ down, (s5 | over) ^ down
    memory[at + X(6) * ROW], memory[at + X(7) * ROW] = (s6 | over) ^ down, s7 ^ down


@njit(forceinline=True)
def index_of(sizes, output, block):
    """First counter word of a block's plasticity: output * P + word; padding draws words of its own."""
    if block < sizes[SENSORY_BLOCKS]:
        return U(output * sizes[P] + B * block)
    return U(output * sizes[P] + sizes[D] + B * (block - sizes[SENSORY_BLOCKS]))


@njit
def learn_output(sizes, memory, wires, scratch, output, k, up, step, chance, now, k0, k1):
    """Move the weights of one output's words of a cluster by chance."""
    who, q = U(Stream.PLASTICITY), digits(chance)
    t, moving = digits(1 << step), X(sizes[BLOCK])
    weights = X(sizes[WEIGHTS] + W8 * sizes[BLOCKS] * output)
    traces, own = X(sizes[TRACES] + T5 * sizes[BLOCKS] * output), X(sizes[OWN] + B * sizes[BLOCKS] * k)
    for block in range(sizes[BLOCKS]):
        first = index_of(sizes, output, block)
        for i in range(B):
            index, e = U(first + U(i)), traces + X(T5 * block) + X(i)
            y = philox(index, now, U(2), who, k0, k1)
            size = below4(y, memory[e], memory[e + ROW], memory[e + X(2) * ROW], memory[e + X(3) * ROW], U(0))
            moves = U(chance_planes(index, now, U(0), who, k0, k1, q) & size & U(wires[own + X(B * block) + X(i)]))
            scratch[moving + X(i)] = moves
        for i in range(B):
            down = U(memory[traces + X(T5 * block) + X(i) + X(4) * ROW] ^ ~up)
            move_weight(memory, weights + X(W8 * block) + X(i), scratch[moving + X(i)], down, t)


@njit
def remember_output(
    sizes, memory, wires, scratch, output, k, shift, chance, share, negative, replace, now, k0, k1
):  # fmt: skip
    """Decay one output's traces of a cluster by chance and add this presentation's counts."""
    who, q, always = U(Stream.PLASTICITY), digits(chance), chance >= 256
    traces, own = X(sizes[TRACES] + T5 * sizes[BLOCKS] * output), X(sizes[OWN] + B * sizes[BLOCKS] * k)
    counts = X(sizes[COUNTS])
    for block in range(sizes[BLOCKS]):
        first = index_of(sizes, output, block)
        for i in range(B):
            index, at, n = U(first + U(i)), traces + X(T5 * block) + X(i), counts + X(N4 * block) + X(i)
            f = philox(index, now, U(3), who, k0, k1)
            gain = (scratch[n], scratch[n + ROW], scratch[n + X(2) * ROW], scratch[n + X(3) * ROW])
            if share < 16:
                gain = share_of(gain, philox(index, now, U(4), who, k0, k1), share)
            lanes = ALL
            if not always:
                lanes = chance_planes(index, now, U(5), who, k0, k1, q)
            old = (memory[at], memory[at + ROW], memory[at + X(2) * ROW], memory[at + X(3) * ROW])
            e = lose(old, f[0], f[1], f[2], shift, lanes)
            before = memory[at + X(4) * ROW]
            sign = U(before & (e[0] | e[1] | e[2] | e[3]))
            if replace:
                e = larger(e, gain)
            else:
                e, sign = add_signed(e, sign, gain, negative)
            mine = U(wires[own + X(B * block) + X(i)])
            memory[at], memory[at + ROW] = within(mine, e[0], old[0]), within(mine, e[1], old[1])
            memory[at + X(2) * ROW] = within(mine, e[2], old[2])
            memory[at + X(3) * ROW] = within(mine, e[3], old[3])
            memory[at + X(4) * ROW] = within(mine, sign, before)


@njit
def learn(sizes, params, memory, wires, scratch, drives, reward, now, k0, k1):
    """Broadcast each cluster's dopamine to its words."""
    a = sizes[A]
    for k in range(sizes[K]):
        dopamine = dopamine_of(params, reward, drives[a + k], memory, sizes, k)
        r = philox(U(k), now, U(0), U(Stream.SCALAR), k0, k1)
        age = params[k, Param.RATE_AGE]
        critic = step_and_chance(
            min(abs(dopamine), spec.DOPAMINE_LIMIT), anneal(params[k, Param.CRITIC_RATE], age, now), r[0]
        )
        size = actor_size(params[k], dopamine, np.int32(memory[sizes[SURPRISE] + k]))
        actor = step_and_chance(size, anneal(params[k, Param.ACTOR_RATE], age, now), r[1])
        for output in range(a + 1):
            step, chance = critic if output == a else actor
            if chance > 0:
                learn_output(sizes, memory, wires, scratch, output, k, mask(dopamine > 0), step, chance, now, k0, k1)


@njit
def remember(sizes, params, memory, wires, scratch, share, sign, now, k0, k1):
    """Traces of all outputs."""
    a = sizes[A]
    for k in range(sizes[K]):
        q = params[k]
        for unit in range(a):
            remember_output(
                sizes, memory, wires, scratch, unit, k, q[Param.ACTOR_SHIFT], q[Param.ACTOR_CHANCE], share[unit],
                mask(sign[unit] == 1), False, now, k0, k1,
            )  # fmt: skip
        remember_output(
            sizes, memory, wires, scratch, a, k, q[Param.CRITIC_SHIFT], q[Param.CRITIC_CHANCE], 16, U(0),
            q[Param.CRITIC_RULE] == 1, now, k0, k1,
        )  # fmt: skip
