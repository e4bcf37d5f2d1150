"""Fused kernels of the Numba backend: one brain's presentation and learning step over bit planes."""

from enum import IntEnum

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from hebbit.backends import spec
from hebbit.backends.numba_planes import (
    ALL, U, add_saturating, add_signed, below, below4, chance8, digit, larger, lose, majority, mask, permute, philox,
    popcount, rotate, scaled, share_of,
)  # fmt: skip
from hebbit.backends.spec import BrainConfig, Flag, Param, Stream

BLOCK = 8
"""Cycles handled side by side where they do not depend on one another."""


class Size(IntEnum):
    """Entries of the int32 array of sizes and of offsets into a brain's memory and workspace."""

    D = 0
    W = 1
    P = 2
    A = 3
    K = 4
    C = 5
    S = 6
    EXCITEMENT = 7
    WEIGHTS = 8
    TRACES = 9
    VALUE = 10
    SURPRISE = 11
    PRESENTATION = 12
    BRAIN = 13
    EPISODE = 14
    GENERATION = 15
    MEMORY = 16
    SENSORY = 17
    """Workspace: sensory spikes [D, 16] by cycle."""
    DRIVE = 18
    """[4, 16, W]: planes of the drive (coincidence uses the first)."""
    COUNTS = 19
    """[4, P]."""
    DRIVES = 20
    """[A + K]: motor drives and values."""
    SPIKES = 21
    """[3, A]: volley, share, sign."""
    SECONDS = 22
    """[G]."""
    LIVE = 23
    """[4, W]: excitement during the presentation."""
    SCRATCH = 24


_SIZES = {name: int(value) for name, value in Size.__members__.items()}
D, W, P, A, K, C, S = (_SIZES[name] for name in ("D", "W", "P", "A", "K", "C", "S"))
EXCITEMENT, WEIGHTS, TRACES, VALUE, SURPRISE, PRESENTATION, BRAIN, EPISODE = (
    _SIZES[name]
    for name in ("EXCITEMENT", "WEIGHTS", "TRACES", "VALUE", "SURPRISE", "PRESENTATION", "BRAIN", "EPISODE")
)
SENSORY, DRIVE, COUNTS, DRIVES, SPIKES, SECONDS, LIVE = (
    _SIZES[name] for name in ("SENSORY", "DRIVE", "COUNTS", "DRIVES", "SPIKES", "SECONDS", "LIVE")
)
EXPONENTIAL = spec.EXPONENTIAL


def layout(config: BrainConfig) -> NDArray[np.int32]:
    """Sizes and offsets of a brain."""
    d, w, p, a, k = config.sensory_words, config.pool_words, config.words, config.units, config.clusters
    o, c = config.outputs, config.cycles
    sizes = np.zeros(len(Size), np.int32)
    sizes[: S + 1] = (d, w, p, a, k, c, config.slots[1])
    memory = (4 * w, o * 8 * p, o * 5 * p, k, k, 1, 1, 1, w)
    sizes[EXCITEMENT : Size.MEMORY + 1] = np.concatenate([[0], np.cumsum(memory)])
    scratch = (16 * d, 4 * 16 * w, 4 * p, a + k, 3 * a, len(config.groups), 4 * w)
    sizes[SENSORY : Size.SCRATCH + 1] = np.concatenate([[0], np.cumsum(scratch)])
    return sizes


@njit
def anneal(start, half_age, age):
    """A rate that has halved after ``half_age`` presentations."""
    if half_age == 0:
        return np.int64(start)
    return np.int64(start) * np.int64(half_age) // (np.int64(half_age) + np.int64(age))


@njit
def sensory_planes(intensity, word):
    """The four bit planes of one sensory word."""
    i0 = i1 = i2 = i3 = U(0)
    for lane in range(32):
        x = U(intensity[word, lane])
        i0 |= U((x & U(1)) << U(lane))
        i1 |= U(((x >> U(1)) & U(1)) << U(lane))
        i2 |= U(((x >> U(2)) & U(1)) << U(lane))
        i3 |= U(((x >> U(3)) & U(1)) << U(lane))
    return U(i0), U(i1), U(i2), U(i3)


@njit
def sense(sizes, params, intensity, spikes, now, stream, k0, k1):
    """Sensory spikes [D, 16] of all cycles: phase code or Bernoulli."""
    for word in range(sizes[D]):
        i = sensory_planes(intensity, word)
        r = philox(U(word), now, U(0), U(Stream.PHASE + stream), k0, k1)
        multiplier, offset = np.int64(2 * (r[0] & U(3)) + 1), np.int64(r[1] & U(7))
        for cycle in range(sizes[C]):
            if params[0, Param.SENSORY] == 0:
                # I >= T is not (I < T), and T is the same for all lanes
                t = 2 * ((multiplier * cycle + offset) & 7) + 1
                spike = ~below4(i, digit(t, 0), digit(t, 1), digit(t, 2), digit(t, 3), U(0))
            else:
                x = philox(U(word), now, U(cycle << 16), U(Stream.SENSE + stream), k0, k1)
                spike = below4(x, i[0], i[1], i[2], i[3], U(0))
            spikes[word, cycle] = U(spike)


@njit
def gather(sizes, wires, spikes, drive, mode, first, stride):
    """Drive planes of pool words first, first + stride, ..: coincidence, or the number of sources that fired."""
    w, s, cycles = sizes[W], sizes[S], sizes[C]
    together = np.empty(BLOCK, np.uint32)
    sums = np.empty((4, BLOCK), np.uint32)
    n0, n1, n2, n3 = sums[0], sums[1], sums[2], sums[3]
    for word in range(first, w, stride):
        for start in range(0, cycles, BLOCK):
            for c in range(BLOCK):
                together[c] = ALL
                n0[c] = n1[c] = n2[c] = n3[c] = U(0)
            for slot in range(wires[3 * w * s + word]):
                at = word * s + slot
                source, rotation, x = wires[at], wires[w * s + at], wires[2 * w * s + at]
                x0, x1, x2, x3, x4 = digit(x, 0), digit(x, 1), digit(x, 2), digit(x, 3), digit(x, 4)
                for c in range(BLOCK):
                    spike = permute(rotate(spikes[source, start + c], rotation), x0, x1, x2, x3, x4)
                    together[c] &= spike
                    if mode == 1:
                        carry = U(n0[c] & spike)
                        n0[c] ^= spike
                        carry2 = U(n1[c] & carry)
                        n1[c] ^= carry
                        carry = U(n2[c] & carry2)
                        n2[c] ^= carry2
                        n3[c] ^= carry
            for c in range(min(BLOCK, cycles - start)):
                if mode == 0:
                    drive[0, start + c, word] = together[c]
                else:
                    drive[0, start + c, word] = n0[c]
                    drive[1, start + c, word] = n1[c]
                    drive[2, start + c, word] = n2[c]
                    drive[3, start + c, word] = n3[c]


@njit
def spontaneous(word, cycle, now, stream, k0, k1, base):
    """Lanes that fire by base rate, a chance of 4096."""
    lt = U(0)
    for number in range(3):
        r = philox(U(word), now, U(cycle << 16 | (1 + number)), U(stream), k0, k1)
        b = 4 * number
        lt = below4(r, digit(base, b), digit(base, b + 1), digit(base, b + 2), digit(base, b + 3), lt)
    return lt


@njit
def fires(x, noise, threshold):
    """Lanes with x + noise >= threshold (1..31), four-bit x and noise."""
    c = U(x[0] & noise[0])
    v0 = U(x[0] ^ noise[0])
    v1 = U(x[1] ^ noise[1] ^ c)
    c = majority(x[1], noise[1], c)
    v2 = U(x[2] ^ noise[2] ^ c)
    c = majority(x[2], noise[2], c)
    v3 = U(x[3] ^ noise[3] ^ c)
    v4 = majority(x[3], noise[3], c)
    t = threshold
    lt = below4((v0, v1, v2, v3), digit(t, 0), digit(t, 1), digit(t, 2), digit(t, 3), U(0))
    return U(~below(v4, digit(t, 4), lt))


@njit
def count(counts, word, fired):
    """Increment the four-bit counts of a word where it fired."""
    c = U(counts[0, word] & fired)
    counts[0, word] ^= fired
    c2 = U(counts[1, word] & c)
    counts[1, word] ^= c
    c = U(counts[2, word] & c2)
    counts[2, word] ^= c2
    counts[3, word] ^= c


@njit
def quiet(sizes, params, threshold, live):
    """Whether excitement is zero and stays so: a coincidence fires at once, and there is no noise."""
    least = 31
    for word in range(sizes[W]):
        least = max(least, threshold[word]) if word else threshold[word]
    for k in range(sizes[K]):
        if params[k, Param.DRIVE] != 0 or params[k, Param.NOISE] != 0 or params[k, Param.GAIN] < least:
            return False
    any_bit = U(0)
    for plane in range(4):
        for word in range(sizes[W]):
            any_bit |= live[plane, word]
    return any_bit == 0


@njit
def pool_quiet(sizes, params, drive, counts, cycle, now, stream, k0, k1, bases):
    """One cycle of a quiet pool: a neuron fires by coincidence or by base rate."""
    d, clusters = sizes[D], sizes[K]
    for k in range(clusters):
        base = bases[k]
        if base == 0:
            for word in range((k - d) % clusters, sizes[W], clusters):
                count(counts, d + word, drive[0, cycle, word])
        else:
            for word in range((k - d) % clusters, sizes[W], clusters):
                extra = spontaneous(word, cycle, now, Stream.POOL + stream, k0, k1, base)
                count(counts, d + word, U(drive[0, cycle, word] | extra))


@njit
def pool_full(sizes, params, threshold, drive, live, counts, cycle, now, stream, k0, k1, bases, calm):
    """One cycle of pool neurons with excitement, noise, base rate and decay by chance."""
    d, clusters = sizes[D], sizes[K]
    noise_draw, who = U(cycle << 16), U(Stream.POOL + stream)
    for k in range(clusters):
        p = params[k]
        g = p[Param.GAIN]
        g0, g1, g2, g3 = digit(g, 0), digit(g, 1), digit(g, 2), digit(g, 3)
        bits = 0 if calm else p[Param.NOISE]
        b0, b1, b2, b3 = mask(bits > 0), mask(bits > 1), mask(bits > 2), mask(bits > 3)
        for word in range((k - d) % clusters, sizes[W], clusters):
            a = drive[0, cycle, word]
            current = (U(a & g0), U(a & g1), U(a & g2), U(a & g3))
            if p[Param.DRIVE] == 1:
                current = (a, drive[1, cycle, word], drive[2, cycle, word], drive[3, cycle, word])
            x = add_saturating((live[0, word], live[1, word], live[2, word], live[3, word]), current)
            r = philox(U(word), now, noise_draw, who, k0, k1)
            fired = fires(x, (U(r[0] & b0), U(r[1] & b1), U(r[2] & b2), U(r[3] & b3)), threshold[word])
            if bases[k] != 0:
                fired |= spontaneous(word, cycle, now, who, k0, k1, bases[k])
            r = philox(U(word), now, U(noise_draw | U(4)), who, k0, k1)
            s = philox(U(word), now, U(noise_draw | U(5)), who, k0, k1)
            lanes = chance8(r, s, p[Param.DECAY_CHANCE])
            r = philox(U(word), now, U(noise_draw | U(6)), who, k0, k1)
            x = lose(x, r[0], r[1], r[2], p[Param.DECAY_SHIFT], lanes)
            live[0, word] = x[0] & ~fired
            live[1, word] = x[1] & ~fired
            live[2, word] = x[2] & ~fired
            live[3, word] = x[3] & ~fired
            count(counts, d + word, fired)


@njit
def matrix(memory, start, rows, columns):
    """Part of a flat row as a matrix."""
    return memory[start : start + rows * columns].reshape((np.int64(rows), np.int64(columns)))


@njit
def cube(memory, start, layers, rows, columns):
    """Part of a flat row as a stack of matrices."""
    return memory[start : start + layers * rows * columns].reshape((np.int64(layers), np.int64(rows), np.int64(columns)))


@njit
def present(sizes, params, wires, scratch, intensity, now, stream, k0, k1, calm):
    """C cycles of one observation; leaves counts and excitement in the workspace."""
    d, w, c = sizes[D], sizes[W], sizes[C]
    spikes = matrix(scratch, sizes[SENSORY], d, 16)
    drive = cube(scratch, sizes[DRIVE], 4, 16, w)
    counts = matrix(scratch, sizes[COUNTS], 4, sizes[P])
    live = matrix(scratch, sizes[LIVE], 4, w)
    threshold = wires[w * (3 * sizes[S] + 1) :]
    bases = np.zeros(sizes[K], np.int64)
    counts[:] = U(0)
    sense(sizes, params, intensity, spikes, now, stream, k0, k1)
    for k in range(sizes[K]):
        gather(sizes, wires, spikes, drive, params[k, Param.DRIVE], (k - d) % sizes[K], sizes[K])
        if stream == 0:
            bases[k] = anneal(params[k, Param.BASE_RATE], params[k, Param.BASE_AGE], now)
    still = quiet(sizes, params, threshold, live)
    for cycle in range(c):
        for word in range(d):
            count(counts, word, spikes[word, cycle])
        if still:
            pool_quiet(sizes, params, drive, counts, cycle, now, stream, k0, k1, bases)
        else:
            pool_full(sizes, params, threshold, drive, live, counts, cycle, now, stream, k0, k1, bases, calm)


@njit
def weighted_sum(counts, weights, first, stop, stride):
    """Sum of w n over the neurons of some words, by popcount of the planes' products."""
    total = np.int64(0)
    for b in range(8):
        for i in range(4):
            bits = np.int64(0)
            for word in range(first, stop, stride):
                bits += np.int64(popcount(U(counts[i, word] & weights[b, word])))
            total += -(bits << (b + i)) if b == 7 else bits << (b + i)
    return total


@njit
def spike_sum(counts, first, stop, stride):
    """Sum of n over the neurons of some words."""
    total = np.int64(0)
    for i in range(4):
        for word in range(first, stop, stride):
            total += np.int64(popcount(counts[i, word])) << i
    return total


@njit
def floor_ratio(numerator, denominator):
    """Floored division, 0 where the denominator is 0."""
    return np.int32(0) if denominator == 0 else np.int32(numerator // denominator)


@njit
def readout(sizes, memory, scratch, drives):
    """Drives [A] and values [K] from the counts; returns the spikes of the presentation."""
    p, a, k = sizes[P], sizes[A], sizes[K]
    counts = matrix(scratch, sizes[COUNTS], 4, p)
    weights = cube(memory, sizes[WEIGHTS], a + 1, 8, p)
    total = spike_sum(counts, 0, p, 1)
    for unit in range(a):
        drives[unit] = floor_ratio(spec.UNIT * weighted_sum(counts, weights[unit], 0, p, 1), total)
    for cluster in range(k):
        own = spike_sum(counts, cluster, p, k)
        drives[a + cluster] = floor_ratio(spec.UNIT * weighted_sum(counts, weights[a], cluster, p, k), own)
    return total


@njit
def chance_of_unit(best, drive, params):
    """Chance of 256 that a motor neuron fires."""
    index = (np.int64(best) - np.int64(drive)) * np.int64(params[0, Param.TEMPERATURE]) >> 12
    return max(EXPONENTIAL[min(index, len(EXPONENTIAL) - 1)], params[0, Param.MOTOR_BASE])


@njit
def unit_spikes(unit, chance, cycles, ramp, now, who, k0, k1):
    """Spikes of one motor unit over all cycles."""
    total = np.int64(0)
    for cycle in range(cycles):
        r = philox(U(unit), now, U(cycle << 16), who, k0, k1)
        s = philox(U(unit), now, U(cycle << 16 | 1), who, k0, k1)
        total += np.int64(popcount(chance8(r, s, chance))) * ((cycle + 1) if ramp else 1)
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
    for group in range(len(groups)):
        size = groups[group]
        best = start
        for unit in range(start + 1, start + size):
            if drives[unit] > drives[best]:
                best = unit
        for unit in range(start, start + size):
            chance = chance_of_unit(drives[best], drives[unit], params)
            who, ramp = U(Stream.MOTOR + stream), params[0, Param.MOTOR_RAMP] != 0
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


@njit
def move_weight(weights, word, moves, down, k):
    """Add 2**k to the weights of ``moves``, or subtract it where ``down``; saturate at -128 and 127."""
    c = U(0)
    old = weights[7, word]
    for b in range(8):
        term = U(moves & (mask(b == k) | (down & mask(b > k))))
        x = weights[b, word]
        weights[b, word] = x ^ term ^ c
        c = majority(x, term, c)
    new = weights[7, word]
    over = U(moves & ~down & ~old & new)
    under = U(moves & down & old & ~new)
    for b in range(7):
        weights[b, word] = (weights[b, word] | over) & ~under
    weights[7, word] = (new & ~over) | under


@njit
def learn_output(weights, traces, output, p, first, stride, up, k, chance, now, k0, k1):
    """Move the weights of one output's words first, first + stride, .. by chance."""
    who = U(Stream.PLASTICITY)
    for word in range(first, p, stride):
        index = U(output * p + word)
        r = philox(index, now, U(0), who, k0, k1)
        s = philox(index, now, U(1), who, k0, k1)
        y = philox(index, now, U(2), who, k0, k1)
        size = below4(y, traces[0, word], traces[1, word], traces[2, word], traces[3, word], U(0))
        move_weight(weights, word, U(chance8(r, s, chance) & size), U(traces[4, word] ^ ~up), k)


@njit
def remember_output(
    traces, counts, output, p, first, stride, shift, chance, share, negative, replace, now, k0, k1
):  # fmt: skip
    """Decay one output's traces by chance and add this presentation's counts."""
    who = U(Stream.PLASTICITY)
    for word in range(first, p, stride):
        index = U(output * p + word)
        f = philox(index, now, U(3), who, k0, k1)
        n = (counts[0, word], counts[1, word], counts[2, word], counts[3, word])
        gain = n
        if share < 16:
            gain = share_of(n, philox(index, now, U(4), who, k0, k1), share)
        lanes = ALL
        if chance < 256:
            r = philox(index, now, U(5), who, k0, k1)
            s = philox(index, now, U(6), who, k0, k1)
            lanes = chance8(r, s, chance)
        e = lose((traces[0, word], traces[1, word], traces[2, word], traces[3, word]), f[0], f[1], f[2], shift, lanes)
        sign = U(traces[4, word] & (e[0] | e[1] | e[2] | e[3]))
        if replace:
            e = larger(e, gain)
        else:
            e, sign = add_signed(e, sign, gain, negative)
        traces[0, word], traces[1, word], traces[2, word], traces[3, word] = e
        traces[4, word] = sign


@njit
def learn(sizes, params, memory, drives, reward, now, k0, k1):
    """Broadcast each cluster's dopamine to its words."""
    p, a, clusters = sizes[P], sizes[A], sizes[K]
    weights = cube(memory, sizes[WEIGHTS], a + 1, 8, p)
    traces = cube(memory, sizes[TRACES], a + 1, 5, p)
    for k in range(clusters):
        dopamine = dopamine_of(params, reward, drives[a + k], memory, sizes, k)
        up = mask(dopamine > 0)
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
                learn_output(weights[output], traces[output], output, p, k, clusters, up, step, chance, now, k0, k1)


@njit
def remember(sizes, params, memory, scratch, share, sign, now, k0, k1):
    """Traces of all outputs."""
    p, a, clusters = sizes[P], sizes[A], sizes[K]
    counts = matrix(scratch, sizes[COUNTS], 4, p)
    traces = cube(memory, sizes[TRACES], a + 1, 5, p)
    for k in range(clusters):
        q = params[k]
        for unit in range(a):
            remember_output(
                traces[unit], counts, unit, p, k, clusters, q[Param.ACTOR_SHIFT], q[Param.ACTOR_CHANCE], share[unit],
                mask(sign[unit] == 1), False, now, k0, k1,
            )  # fmt: skip
        remember_output(
            traces[a], counts, a, p, k, clusters, q[Param.CRITIC_SHIFT], q[Param.CRITIC_CHANCE], 16, U(0),
            q[Param.CRITIC_RULE] == 1, now, k0, k1,
        )  # fmt: skip


@njit
def step_brain(sizes, groups, params, seed, memory, wires, scratch, intensity, reward, flag, actions):
    """One step of one brain; see NumpyBackend._step."""
    d, w, a = sizes[D], sizes[W], sizes[A]
    now, k0, k1 = memory[sizes[PRESENTATION]], seed, memory[sizes[BRAIN]]
    excitement = memory[sizes[EXCITEMENT] : sizes[EXCITEMENT] + 4 * w]
    live = scratch[sizes[LIVE] : sizes[LIVE] + 4 * w]
    numbers = scratch[sizes[DRIVES] : sizes[SECONDS] + len(groups)].view(np.int32)
    drives, volley = numbers[: a + sizes[K]], numbers[a + sizes[K] : 2 * a + sizes[K]]
    share, sign = numbers[2 * a + sizes[K] : 3 * a + sizes[K]], numbers[3 * a + sizes[K] : 4 * a + sizes[K]]
    seconds = numbers[4 * a + sizes[K] :]
    if flag == Flag.START:
        excitement[:] = U(0)
        memory[sizes[TRACES] : sizes[VALUE]] = U(0)
        memory[sizes[EPISODE]] += U(1)
    live[:] = excitement
    drives[:] = 0
    if flag != Flag.TERMINATED:
        present(sizes, params, wires, scratch, intensity, now, 0, k0, k1, False)
        readout(sizes, memory, scratch, drives)
    if flag != Flag.START:
        learn(sizes, params, memory, drives, reward, now, k0, k1)
    if flag == Flag.START or flag == Flag.CONTINUE:
        act(sizes, groups, params, drives, volley, seconds, actions, now, 0, k0, k1, False)
        credit(groups, params, volley, seconds, actions, share, sign)
        remember(sizes, params, memory, scratch, share, sign, now, k0, k1)
        excitement[:] = live
    else:
        excitement[:] = U(0)
        memory[sizes[TRACES] : sizes[VALUE]] = U(0)
    for k in range(sizes[K]):
        memory[sizes[VALUE] + k] = U(drives[a + k])
    memory[sizes[PRESENTATION]] = U(now + U(1))


@njit(cache=True)
def step_all(sizes, groups, params, seed, memory, wires, scratch, intensities, rewards, flags, actions):
    """One step of every brain that is not idle, one after the other."""
    for b in range(len(flags)):
        if flags[b] != Flag.IDLE:
            step_brain(
                sizes, groups, params[b], seed, memory[b], wires[b], scratch[b], intensities[b], rewards[b], flags[b],
                actions[b],
            )  # fmt: skip


@njit(cache=True, parallel=True)
def step_parallel(sizes, groups, params, seed, memory, wires, scratch, intensities, rewards, flags, actions):
    """The same over the cores: brains share nothing."""
    for b in prange(len(flags)):
        if flags[b] != Flag.IDLE:
            step_brain(
                sizes, groups, params[b], seed, memory[b], wires[b], scratch[b], intensities[b], rewards[b], flags[b],
                actions[b],
            )  # fmt: skip


@njit(cache=True)
def predict_all(
    sizes, groups, params, seed, memory, wires, brains, intensities, excitement, presentations, calm, actions, volley,
    values, spikes, after,
):  # fmt: skip
    """Answer observations without learning; see NumpyBackend.predict."""
    w, a, k = sizes[W], sizes[A], sizes[K]
    scratch = np.zeros(sizes[Size.SCRATCH], np.uint32)
    live = matrix(scratch, sizes[LIVE], 4, w)
    drives, seconds = np.zeros(a + k, np.int32), np.zeros(len(groups), np.int32)
    for i in range(len(brains)):
        b = brains[i]
        now = U(0) if calm else presentations[i]
        k1 = memory[b, sizes[BRAIN]]
        for word in range(w):
            live[0, word], live[1, word], live[2, word], live[3, word] = sensory_planes(excitement[i], word)
        stream = np.int64(Stream.EVALUATION)
        present(sizes, params[b], wires[b], scratch, intensities[i], now, stream, seed, k1, calm)
        spikes[i] = readout(sizes, memory[b], scratch, drives)
        act(sizes, groups, params[b], drives, volley[i], seconds, actions[i], now, stream, seed, k1, calm)
        values[i] = drives[a:]
        for word in range(w):
            for lane in range(32):
                x = (live[0, word] >> U(lane)) & U(1)
                x |= ((live[1, word] >> U(lane)) & U(1)) << U(1)
                x |= ((live[2, word] >> U(lane)) & U(1)) << U(2)
                x |= ((live[3, word] >> U(lane)) & U(1)) << U(3)
                after[i, word, lane] = x
