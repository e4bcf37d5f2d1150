"""Readouts, motor volley and its credit, compiled; rows as in :mod:`hebbit.backends.numba_pool`."""

import numpy as np
from numba import njit

from hebbit.backends import spec
from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_planes import U, digits4, load4, mask, philox, scaled, wins
from hebbit.backends.numba_pool import option
from hebbit.backends.numba_rows import ascending, load, philox_row, popcount, spread, store, total
from hebbit.backends.spec import Param, Stream

A, K, C, G, BLOCKS = (int(Size[n]) for n in ("A", "K", "C", "G", "BLOCKS"))
GROUPS = len(Size)
WEIGHTS, OWN, KIND, COUNTS, BLOCK = (int(Size[n]) for n in ("WEIGHTS", "OWN", "KIND", "COUNTS", "BLOCK"))
EXPONENTIAL = spec.EXPONENTIAL
EVERYTHING = 7
"""Kinds of words, all of them."""
W8, N4 = 8 * B, 4 * B
"""Lengths of a block of weights and of counts."""


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


@njit(forceinline=True)
def weighted(n, memory, weights):
    """Sum of w n, word by word, of a block's weights and counts, by popcount of the planes' products."""
    sums = spread(U(0))
    for b in range(7):
        sums = sums + (spikes_in(n, load(memory, weights + B * b)) << b)
    return sums + spikes_in(n, load(memory, weights + B * 7)) * -128


@njit
def weighted_sum(sizes, memory, wires, scratch, reads, output, k):
    """Sum of w n over the neurons, of the kinds that are read, of a cluster (all words for k < 0)."""
    sums = spread(U(0))
    for block in range(sizes[BLOCKS]):
        if wires[sizes[KIND] + block] & reads:
            n = counts_of(sizes, wires, scratch, block, k)
            sums = sums + weighted(n, memory, sizes[WEIGHTS] + W8 * (sizes[BLOCKS] * output + block))
    return total(sums)


@njit
def spike_sum(sizes, wires, scratch, reads, k):
    """Sum of n over the same neurons."""
    sums = spread(U(0))
    for block in range(sizes[BLOCKS]):
        if wires[sizes[KIND] + block] & reads:
            sums = sums + spikes_in(counts_of(sizes, wires, scratch, block, k), mask(True))
    return total(sums)


@njit
def floor_ratio(numerator, denominator):
    """Floored division, 0 where the denominator is 0."""
    return np.int32(0) if denominator == 0 else np.int32(numerator // denominator)


@njit
def readout(sizes, params, memory, wires, scratch, drives):
    """Drives [A] and values [K] from the counts."""
    a, reads = sizes[A], option(params, 0, Param.READS)
    spikes = spike_sum(sizes, wires, scratch, reads, -1)
    for unit in range(a):
        drives[unit] = floor_ratio(spec.UNIT * weighted_sum(sizes, memory, wires, scratch, reads, unit, -1), spikes)
    for k in range(sizes[K]):
        own = spikes if sizes[K] == 1 else spike_sum(sizes, wires, scratch, reads, k)
        drives[a + k] = floor_ratio(spec.UNIT * weighted_sum(sizes, memory, wires, scratch, reads, a, k), own)


@njit
def sharpened(params, age):
    """The inverse temperature at an age: it doubles, and stops at four times its start."""
    temperature = np.int64(option(params, 0, Param.TEMPERATURE))
    double_age = np.int64(option(params, 0, Param.TEMPERATURE_AGE))
    if double_age == 0:
        return temperature
    return temperature * (double_age + min(np.int64(age), 3 * double_age)) // double_age


@njit
def chance_of_unit(best, drive, temperature, base):
    """Chance of 256 that a motor neuron fires."""
    index = (np.int64(best) - np.int64(drive)) * temperature >> 12
    return max(EXPONENTIAL[min(index, len(EXPONENTIAL) - 1)], base)


@njit
def chances(sizes, params, drives, volley, age):
    """Chance of 256 that a neuron of each motor unit fires."""
    start, temperature, base = 0, sharpened(params, age), option(params, 0, Param.MOTOR_BASE)
    for group in range(sizes[G]):
        stop = start + sizes[GROUPS + group]
        best = drives[start]
        for unit in range(start + 1, stop):
            best = max(best, drives[unit])
        for unit in range(start, stop):
            volley[unit] = chance_of_unit(best, drives[unit], temperature, base)
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
def act(sizes, params, scratch, drives, volley, seconds, actions, age, now, stream, k0, k1, calm):
    """Motor volley and the action of each group; the age is the brain's own, whatever the clock says."""
    start = 0
    chances(sizes, params, drives, volley, age)
    if not calm:
        fire(sizes, params, scratch, volley, now, U(Stream.MOTOR + stream), k0, k1)
    for group in range(sizes[G]):
        size = sizes[GROUPS + group]
        if calm:
            actions[group] = strongest(drives, start, size)
        else:
            r = philox(U(group), now, U(0), U(Stream.ACTION + stream), k0, k1)
            actions[group] = drawn_unit(volley, start, size, r[0], r[1])
            seconds[group] = drawn_unit(volley, start, size, r[2], r[1])
        start += size


@njit
def force(sizes, forced, actions):
    """Put forced units, where they are not negative, in the place of the actions."""
    for group in range(sizes[G]):
        if forced[group] >= 0:
            actions[group] = forced[group]


@njit
def credit(sizes, params, volley, seconds, actions, share, sign):
    """Sixteenths of the counts that enter each unit's trace, and whether they are subtracted."""
    start = 0
    for group in range(sizes[G]):
        size = sizes[GROUPS + group]
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
