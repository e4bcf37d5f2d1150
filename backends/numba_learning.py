"""Readout, action and plasticity, compiled; rows as in :mod:`hebbit.backends.numba_pool`."""

import numpy as np
from numba import njit

from hebbit.backends import spec
from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_planes import (
    U,
    add_saturating,
    add_signed,
    below4,
    digits,
    digits4,
    draw,
    drawn,
    drawn4,
    larger,
    load4,
    lose,
    mask,
    philox,
    scaled,
    share_of,
    store4,
    wins,
    within,
)  # fmt: skip
from hebbit.backends.numba_pool import anneal, option
from hebbit.backends.numba_rows import ascending, load, philox_row, popcount, spread, store, total
from hebbit.backends.spec import LANES, Param, Stream

D, P, A, K, C, G, SENSORY_BLOCKS, BLOCKS = (
    int(Size[n]) for n in ("D", "P", "A", "K", "C", "G", "SENSORY_BLOCKS", "BLOCKS")
)
WEIGHTS, TRACES, VALUE, SURPRISE, OWN, COUNTS, BLOCK = (
    int(Size[n]) for n in ("WEIGHTS", "TRACES", "VALUE", "SURPRISE", "OWN", "COUNTS", "BLOCK")
)
EXPONENTIAL = spec.EXPONENTIAL
W8, T5, N4 = 8 * B, 5 * B, 4 * B
"""Lengths of a block of weights, of traces and of counts."""


@njit(forceinline=True)
def counts_of(sizes, wires, scratch, block, k):
    """Counts of a block's neurons of a cluster (of all for k < 0)."""
    n = load4(scratch, sizes[COUNTS] + N4 * block)
    if k < 0:
        return n
    mine = load(wires, sizes[OWN] + B * (sizes[BLOCKS] * k + block))
    return n[0] & mine, n[1] & mine, n[2] & mine, n[3] & mine


@njit(forceinline=True)
def spikes_in(n, lanes):
    """Sum, word by word, of four-bit counts over some lanes."""
    two = popcount(n[1] & lanes) + (popcount(n[2] & lanes) << 1) + (popcount(n[3] & lanes) << 2)
    return popcount(n[0] & lanes) + (two << 1)


@njit
def weighted_sum(sizes, memory, wires, scratch, output, k):
    """Sum of w n over the neurons of a cluster (all words for k < 0), by popcount of the planes' products."""
    sums = spread(U(0))
    for block in range(sizes[BLOCKS]):
        n, weights = counts_of(sizes, wires, scratch, block, k), sizes[WEIGHTS] + W8 * (sizes[BLOCKS] * output + block)
        for b in range(7):
            sums = sums + (spikes_in(n, load(memory, weights + B * b)) << b)
        sums = sums + spikes_in(n, load(memory, weights + B * 7)) * -128
    return total(sums)


@njit
def spike_sum(sizes, wires, scratch, k):
    """Sum of n over the neurons of a cluster (all words for k < 0)."""
    sums = spread(U(0))
    for block in range(sizes[BLOCKS]):
        sums = sums + spikes_in(counts_of(sizes, wires, scratch, block, k), mask(True))
    return total(sums)


@njit
def floor_ratio(numerator, denominator):
    """Floored division, 0 where the denominator is 0."""
    return np.int32(0) if denominator == 0 else np.int32(numerator // denominator)


@njit
def readout(sizes, memory, wires, scratch, drives):
    """Drives [A] and values [K] from the counts; returns the spikes of the presentation."""
    a = sizes[A]
    spikes = spike_sum(sizes, wires, scratch, -1)
    for unit in range(a):
        drives[unit] = floor_ratio(spec.UNIT * weighted_sum(sizes, memory, wires, scratch, unit, -1), spikes)
    for k in range(sizes[K]):
        own = spikes if sizes[K] == 1 else spike_sum(sizes, wires, scratch, k)
        drives[a + k] = floor_ratio(spec.UNIT * weighted_sum(sizes, memory, wires, scratch, a, k), own)
    return spikes


@njit
def chance_of_unit(best, drive, params):
    """Chance of 256 that a motor neuron fires."""
    index = (np.int64(best) - np.int64(drive)) * np.int64(option(params, 0, Param.TEMPERATURE)) >> 12
    return max(EXPONENTIAL[min(index, len(EXPONENTIAL) - 1)], option(params, 0, Param.MOTOR_BASE))


@njit
def chances(sizes, groups, params, drives, volley):
    """Chance of 256 that a neuron of each motor unit fires."""
    start = 0
    for group in range(sizes[G]):
        stop = start + groups[group]
        best = drives[start]
        for unit in range(start + 1, stop):
            best = max(best, drives[unit])
        for unit in range(start, stop):
            volley[unit] = chance_of_unit(best, drives[unit], params)
        start = stop


@njit
def fire(sizes, params, scratch, volley, now, who, k0, k1):
    """Put spikes, of all cycles, in the place of chances. Two units share a row if there is room for their cycles."""
    row, ramp, shift = sizes[BLOCK], option(params, 0, Param.MOTOR_RAMP) != 0, 3 if sizes[C] <= B // 2 else 4
    unit, at = ascending() >> shift, (ascending() & ((1 << shift) - 1)) << 16
    for first in range(0, sizes[A], B >> shift):
        last = min(first + (B >> shift), sizes[A]) - 1
        chance = unit * U(volley[last] - volley[first]) + U(volley[first])
        low = philox_row(unit + U(first), now, at, who, k0, k1)
        high = philox_row(unit + U(first), now, at | 1, who, k0, k1)
        fired = wins(low, high, digits4(chance, 0) + digits4(chance, 4) + digits4(chance, 8))
        store(scratch, row, popcount(fired))
        for i in range(last - first + 1):
            spikes = np.int64(0)
            for cycle in range(sizes[C]):
                spikes += np.int64(scratch[row + (i << shift) + cycle]) * (cycle + 1 if ramp else 1)
            volley[first + i] = spikes


@njit
def drawn_unit(spikes, start, size, random_word, uniform_word):
    """The unit, within its group, of one output spike drawn at random."""
    fired = np.int64(0)
    for unit in range(start, start + size):
        fired += spikes[unit]
    if fired == 0:
        return scaled(uniform_word, size)
    pick = scaled(random_word, fired)
    for unit in range(start, start + size):
        pick -= spikes[unit]
        if pick < 0:
            return np.int64(unit - start)
    return np.int64(size - 1)


@njit
def strongest(drives, start, size):
    """The unit, within its group, of the largest drive."""
    best = start
    for unit in range(start + 1, start + size):
        if drives[unit] > drives[best]:
            best = unit
    return best - start


@njit
def act(sizes, groups, params, scratch, drives, volley, seconds, actions, now, stream, k0, k1, calm):
    """Motor volley and the action of each group."""
    start = 0
    chances(sizes, groups, params, drives, volley)
    if not calm:
        fire(sizes, params, scratch, volley, now, U(Stream.MOTOR + stream), k0, k1)
    for group in range(sizes[G]):
        size = groups[group]
        if calm:
            actions[group] = strongest(drives, start, size)
        else:
            r = philox(U(group), now, U(0), U(Stream.ACTION + stream), k0, k1)
            actions[group] = drawn_unit(volley, start, size, r[0], r[1])
            seconds[group] = drawn_unit(volley, start, size, r[2], r[1])
        start += size


@njit
def credit(sizes, groups, params, volley, seconds, actions, share, sign):
    """Sixteenths of the counts that enter each unit's trace, and whether they are subtracted."""
    start = 0
    for group in range(sizes[G]):
        size = groups[group]
        fired = np.int64(0)
        for unit in range(start, start + size):
            fired += volley[unit]
        for unit in range(size):
            chosen = unit == actions[group]
            if option(params, 0, Param.MOTOR_RULE) == 0:
                difference = (fired if chosen else 0) - np.int64(volley[start + unit])
                share[start + unit] = floor_ratio(16 * abs(difference), fired)
            else:
                share[start + unit] = 16 if chosen != (unit == seconds[group]) and fired > 0 else 0
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
    discounted = np.int64(option(params, k, Param.GAMMA)) * np.int64(value) // spec.ONE_GAMMA
    dopamine = np.int64(reward) + discounted - np.int64(np.int32(memory[sizes[VALUE] + k]))
    if option(params, k, Param.SURPRISE_SHIFT) > 0:
        mean = np.int64(np.int32(memory[sizes[SURPRISE] + k]))
        size = min(abs(dopamine), spec.DOPAMINE_LIMIT)
        mean += (256 * size - mean) >> option(params, k, Param.SURPRISE_SHIFT)
        memory[sizes[SURPRISE] + k] = U(mean)
    return dopamine


@njit
def actor_size(params, k, dopamine, mean):
    """|dopamine| as the actor sees it, in 1/256 of its running mean size."""
    scale = np.int64(spec.UNIT)
    if option(params, k, Param.SURPRISE_SHIFT) > 0:
        scale = max(np.int64(mean) >> 8, np.int64(option(params, k, Param.SURPRISE_FLOOR)), 1)
    return min(min(abs(dopamine), spec.DOPAMINE_LIMIT) * 256 // scale, np.int64(option(params, k, Param.DOPAMINE_CLIP)))


@njit(forceinline=True)
def moved_weights(w, moves, down, t):
    """Weights, eight digits each, plus 2**k in the lanes of ``moves``, or minus it where ``down``; they saturate.

    t holds k as rows. Subtracting is adding to the complement; whatever would carry into the sign saturates instead.
    """
    y0, y1, y2, y3 = w[0] ^ down, w[1] ^ down, w[2] ^ down, w[3] ^ down
    y4, y5, y6, y7 = w[4] ^ down, w[5] ^ down, w[6] ^ down, w[7] ^ down
    a = moves & t[0]
    s0, c = y0 ^ a, y0 & a
    a = c | (moves & t[1])
    s1, c = y1 ^ a, y1 & a
    a = c | (moves & t[2])
    s2, c = y2 ^ a, y2 & a
    a = c | (moves & t[3])
    s3, c = y3 ^ a, y3 & a
    a = c | (moves & t[4])
    s4, c = y4 ^ a, y4 & a
    a = c | (moves & t[5])
    s5, c = y5 ^ a, y5 & a
    a = c | (moves & t[6])
    s6, c = y6 ^ a, y6 & a
    over = c & ~y7
    low = (s0 | over) ^ down, (s1 | over) ^ down, (s2 | over) ^ down, (s3 | over) ^ down
    return low, ((s4 | over) ^ down, (s5 | over) ^ down, (s6 | over) ^ down, y7 ^ c ^ over ^ down)


@njit(forceinline=True)
def first_word(sizes, output, block):
    """The counter's word of a block's plasticity, the same for 32 outputs."""
    group = output // LANES * sizes[P]
    if block < sizes[SENSORY_BLOCKS]:
        return U(group + B * block)
    return U(group + sizes[D] + B * (block - sizes[SENSORY_BLOCKS]))


@njit(forceinline=True)
def learn_block(memory, scratch, rows, weights, traces, mine, turn, up, step, chance):
    """Move a block's own weights of one output by chance."""
    e = load4(memory, traces)
    size = below4(drawn4(scratch, rows, 8, turn), e, mask(False))
    number = drawn4(scratch, rows, 0, turn), drawn4(scratch, rows, 4, turn)
    moves = wins(number[0], number[1], digits(chance)) & size & mine
    down = load(memory, traces + 4 * B) ^ mask(not up)
    low, high = load4(memory, weights), load4(memory, weights + 4 * B)
    low, high = moved_weights(low + high, moves, down, digits(1 << step))
    store4(memory, weights, low)
    store4(memory, weights + 4 * B, high)


@njit
def learn_cluster(sizes, memory, wires, scratch, k, up, actor, critic, now, k0, k1):
    """Move the weights of a cluster's words, by the step and the chance of the actor's outputs and of the critic's."""
    rows, a, blocks, own = sizes[BLOCK], sizes[A], sizes[BLOCKS], sizes[OWN] + B * sizes[BLOCKS] * k
    for block in range(blocks):
        mine = load(wires, own + B * block)
        for output in range(a + 1):
            turn, at = output % LANES, blocks * output + block
            weights, traces = sizes[WEIGHTS] + W8 * at, sizes[TRACES] + T5 * at
            if turn == 0:
                draw(scratch, rows, 0, 3, first_word(sizes, output, block), now, U(Stream.PLASTICITY), k0, k1)
            # two calls, so that what depends on a chance is worked out once
            if output < a and actor[1] > 0:
                learn_block(memory, scratch, rows, weights, traces, mine, turn, up, actor[0], actor[1])
            if output == a and critic[1] > 0:
                learn_block(memory, scratch, rows, weights, traces, mine, turn, up, critic[0], critic[1])


@njit
def learn(sizes, params, memory, wires, scratch, drives, reward, now, k0, k1):
    """Broadcast each cluster's dopamine to its words."""
    a = sizes[A]
    for k in range(sizes[K]):
        dopamine = dopamine_of(params, reward, drives[a + k], memory, sizes, k)
        r = philox(U(k), now, U(0), U(Stream.SCALAR), k0, k1)
        age = option(params, k, Param.RATE_AGE)
        critic = step_and_chance(
            min(abs(dopamine), spec.DOPAMINE_LIMIT), anneal(option(params, k, Param.CRITIC_RATE), age, now), r[0]
        )
        size = actor_size(params, k, dopamine, np.int32(memory[sizes[SURPRISE] + k]))
        actor = step_and_chance(size, anneal(option(params, k, Param.ACTOR_RATE), age, now), r[1])
        if max(actor[1], critic[1]) > 0:
            learn_cluster(sizes, memory, wires, scratch, k, dopamine > 0, actor, critic, now, k0, k1)


@njit
def draws_to_remember(sizes, actor, critic, share):
    """Whether traces need random planes: to round their decay, to round shares, to decay at all."""
    fading, deciding, rounding = False, False, False
    for shift, chance in (actor, critic):
        fading = fading or (chance > 0 and shift > 0)
        deciding = deciding or 0 < chance < 256
    for unit in range(sizes[A]):
        rounding = rounding or 0 < share[unit] < 16
    return fading, rounding, deciding


@njit(forceinline=True)
def kept(scratch, rows, e, turn, shift, chance):
    """Trace sizes after the decay by a chance of 256."""
    if chance == 0:
        return e
    lanes = mask(True)
    if chance < 256:
        lanes = wins(drawn4(scratch, rows, 20, turn), drawn4(scratch, rows, 24, turn), digits(chance))
    r = drawn(scratch, rows, 12, turn), drawn(scratch, rows, 13, turn), drawn(scratch, rows, 14, turn)
    return lose(e, r, shift, lanes)


@njit(forceinline=True)
def remember_unit(memory, scratch, rows, traces, counts, mine, turn, decay, share, negative):
    """Decay a block's own traces of a motor unit by chance and add or subtract sixteenths of the counts."""
    old, before = load4(memory, traces), load(memory, traces + 4 * B)
    e = kept(scratch, rows, old, turn, decay[0], decay[1])
    sign = before & (e[0] | e[1] | e[2] | e[3])
    if share > 0:
        gain = load4(scratch, counts)
        if share < 16:
            gain = share_of(gain, drawn4(scratch, rows, 16, turn), share)
        e, sign = add_signed(e, sign, gain, mask(negative))
    e0, e1 = within(mine, e[0], old[0]), within(mine, e[1], old[1])
    store4(memory, traces, (e0, e1, within(mine, e[2], old[2]), within(mine, e[3], old[3])))
    store(memory, traces + 4 * B, within(mine, sign, before))


@njit(forceinline=True)
def remember_critic(memory, scratch, rows, traces, counts, mine, turn, decay, replace):
    """Decay a block's own traces of the critic, which are never negative, and add the counts or keep the larger."""
    old, gain = load4(memory, traces), load4(scratch, counts)
    e = kept(scratch, rows, old, turn, decay[0], decay[1])
    e = larger(e, gain) if replace else add_saturating(e, gain)
    e0, e1 = within(mine, e[0], old[0]), within(mine, e[1], old[1])
    store4(memory, traces, (e0, e1, within(mine, e[2], old[2]), within(mine, e[3], old[3])))


@njit
def remember_cluster(sizes, params, memory, wires, scratch, k, share, sign, now, k0, k1):
    """Traces of all outputs of a cluster's words."""
    rows, a, blocks, own = sizes[BLOCK], sizes[A], sizes[BLOCKS], sizes[OWN] + B * sizes[BLOCKS] * k
    actor = option(params, k, Param.ACTOR_SHIFT), option(params, k, Param.ACTOR_CHANCE)
    critic = option(params, k, Param.CRITIC_SHIFT), option(params, k, Param.CRITIC_CHANCE)
    replace, who = option(params, k, Param.CRITIC_RULE) == 1, U(Stream.PLASTICITY)
    fading, rounding, deciding = draws_to_remember(sizes, actor, critic, share)
    for block in range(blocks):
        mine, counts = load(wires, own + B * block), sizes[COUNTS] + N4 * block
        for output in range(a + 1):
            traces, turn = sizes[TRACES] + T5 * (blocks * output + block), output % LANES
            if turn == 0:
                first = first_word(sizes, output, block)
                draw(scratch, rows, 3 if fading else 4, 5 if rounding else 4, first, now, who, k0, k1)
                draw(scratch, rows, 5, 7 if deciding else 5, first, now, who, k0, k1)
            if output < a:
                negative = sign[output] == 1
                remember_unit(memory, scratch, rows, traces, counts, mine, turn, actor, share[output], negative)
            else:
                remember_critic(memory, scratch, rows, traces, counts, mine, turn, critic, replace)


@njit
def remember(sizes, params, memory, wires, scratch, share, sign, now, k0, k1):
    """Traces of all outputs."""
    for k in range(sizes[K]):
        remember_cluster(sizes, params, memory, wires, scratch, k, share, sign, now, k0, k1)
