"""A presentation, compiled: sensory spikes, drive, excitement and counts over bit planes.

Indices are unsigned throughout: Numba would else test each for a negative one, and the loops would stay scalar.
"""

import numpy as np
from numba import njit

from hebbit.backends.numba_layout import CYCLES, B, Size
from hebbit.backends.numba_planes import (
    ALL,
    U,
    add_saturating,
    below,
    below4,
    chance_planes,
    digit,
    digits,
    lose,
    majority,
    mask,
    permute,
    philox,
    rotate,
    within,
)  # fmt: skip
from hebbit.backends.spec import Param, Stream

X = np.uint64
ROW = X(B)
D, W, K, C, S, SENSORY_BLOCKS, POOL_BLOCKS, BLOCKS = (
    int(Size[n]) for n in ("D", "W", "K", "C", "S", "SENSORY_BLOCKS", "POOL_BLOCKS", "BLOCKS")
)
SOURCE, SLOTS, THRESHOLD, OWN, SPIKES, DRIVE, COUNTS, LIVE, BLOCK = (
    int(Size[n]) for n in ("SOURCE", "SLOTS", "THRESHOLD", "OWN", "SPIKES", "DRIVE", "COUNTS", "LIVE", "BLOCK")
)


@njit
def anneal(start, half_age, age):
    """A rate that has halved after ``half_age`` presentations."""
    if half_age == 0:
        return np.int64(start)
    return np.int64(start) * np.int64(half_age) // (np.int64(half_age) + np.int64(age))


@njit
def nibble_planes(values, word):
    """The four bit planes of 32 numbers of four bits."""
    i0 = i1 = i2 = i3 = U(0)
    for lane in range(32):
        x = U(values[word, lane])
        i0 |= U((x & U(1)) << U(lane))
        i1 |= U(((x >> U(1)) & U(1)) << U(lane))
        i2 |= U(((x >> U(2)) & U(1)) << U(lane))
        i3 |= U(((x >> U(3)) & U(1)) << U(lane))
    return U(i0), U(i1), U(i2), U(i3)


@njit
def sense(sizes, params, intensity, scratch, now, stream, k0, k1):
    """Sensory spikes of all cycles: phase code or Bernoulli."""
    for word in range(sizes[D]):
        at = sizes[SPIKES] + word * CYCLES
        i = nibble_planes(intensity, word)
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
            scratch[at + cycle] = U(spike)


@njit
def coincidences(sizes, wires, scratch):
    """First drive plane of every pool word and cycle: whether all sources fired together."""
    w, s = X(sizes[W]), X(sizes[S])
    source, wide, spikes, drive = X(sizes[SOURCE]), X(sizes[POOL_BLOCKS] * B), X(sizes[SPIKES]), X(sizes[DRIVE])
    together = np.empty(CYCLES, np.uint32)
    for word in range(sizes[W]):
        for c in range(CYCLES):
            together[c] = ALL
        for slot in range(wires[X(sizes[SLOTS]) + X(word)]):
            at = source + X(word) * s + X(slot)
            start, turn, x = spikes + X(wires[at]) * X(CYCLES), wires[at + w * s], wires[at + X(2) * w * s]
            x0, x1, x2, x3, x4 = digit(x, 0), digit(x, 1), digit(x, 2), digit(x, 3), digit(x, 4)
            for c in range(CYCLES):
                together[c] &= permute(rotate(scratch[start + X(c)], turn), x0, x1, x2, x3, x4)
        for c in range(sizes[C]):
            scratch[drive + X(4) * wide * X(c) + X(word)] = together[c]


@njit
def sums(sizes, wires, scratch, cluster):
    """Drive planes of one cluster's pool words: how many sources fired."""
    w, s = X(sizes[W]), X(sizes[S])
    source, wide, spikes, drive = X(sizes[SOURCE]), X(sizes[POOL_BLOCKS] * B), X(sizes[SPIKES]), X(sizes[DRIVE])
    first = (cluster - sizes[D]) % sizes[K]
    for word in range(first, sizes[W], sizes[K]):
        for c in range(sizes[C]):
            n0 = n1 = n2 = n3 = U(0)
            for slot in range(wires[X(sizes[SLOTS]) + X(word)]):
                at = source + X(word) * s + X(slot)
                x = wires[at + X(2) * w * s]
                spike = rotate(scratch[spikes + X(wires[at]) * X(CYCLES) + X(c)], wires[at + w * s])
                spike = permute(spike, digit(x, 0), digit(x, 1), digit(x, 2), digit(x, 3), digit(x, 4))
                c0 = U(n0 & spike)
                c1 = U(n1 & c0)
                n3 = U(n3 ^ (n2 & c1))
                n2 = U(n2 ^ c1)
                n1 = U(n1 ^ c0)
                n0 = U(n0 ^ spike)
            at = drive + X(4) * wide * X(c) + X(word)
            scratch[at] = n0
            scratch[at + wide] = n1
            scratch[at + X(2) * wide] = n2
            scratch[at + X(3) * wide] = n3


@njit(forceinline=True)
def count(scratch, at, fired):
    """Increment four-bit counts where a word fired."""
    n0, n1, n2, n3 = scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW]
    c0 = U(n0 & fired)
    c1 = U(n1 & c0)
    scratch[at] = n0 ^ fired
    scratch[at + ROW] = n1 ^ c0
    scratch[at + X(2) * ROW] = n2 ^ c1
    scratch[at + X(3) * ROW] = n3 ^ (n2 & c1)


@njit(forceinline=True)
def spontaneous(index, cycle, now, who, k0, k1, base):
    """Lanes that fire by base rate, a chance of 4096 given as its digits."""
    r = philox(index, now, U(cycle << 16 | 1), who, k0, k1)
    lt = below4(r, base[0], base[1], base[2], base[3], U(0))
    r = philox(index, now, U(cycle << 16 | 2), who, k0, k1)
    lt = below4(r, base[4], base[5], base[6], base[7], lt)
    r = philox(index, now, U(cycle << 16 | 3), who, k0, k1)
    return below4(r, base[8], base[9], base[10], base[11], lt)


@njit(forceinline=True)
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
def quiet(sizes, params, wires, scratch):
    """Whether excitement is zero and stays so: a coincidence fires at once, and there is no noise."""
    largest = 0
    for word in range(sizes[W]):
        largest = max(largest, wires[X(sizes[THRESHOLD]) + X(word)])
    for k in range(sizes[K]):
        if params[k, Param.DRIVE] != 0 or params[k, Param.NOISE] != 0 or params[k, Param.GAIN] < largest:
            return False
    for at in range(sizes[LIVE], sizes[LIVE] + 4 * B * sizes[POOL_BLOCKS]):
        if scratch[at] != 0:
            return False
    return True


@njit
def pool_quiet(sizes, scratch, cycle):
    """One cycle of a quiet pool without base rate: a neuron fires by coincidence."""
    drive = X(sizes[DRIVE] + 4 * B * sizes[POOL_BLOCKS] * cycle)
    counts = X(sizes[COUNTS] + 4 * B * sizes[SENSORY_BLOCKS])
    for block in range(sizes[POOL_BLOCKS]):
        for i in range(B):
            count(scratch, counts + X(4 * B * block) + X(i), scratch[drive + X(B * block) + X(i)])


@njit
def pool_young(sizes, wires, scratch, cycle, now, who, k0, k1, k, base):
    """One cycle of a quiet pool's cluster while young: by coincidence or by base rate."""
    drive = X(sizes[DRIVE] + 4 * B * sizes[POOL_BLOCKS] * cycle)
    counts = X(sizes[COUNTS] + 4 * B * sizes[SENSORY_BLOCKS])
    own = X(sizes[OWN] + B * (k * sizes[BLOCKS] + sizes[SENSORY_BLOCKS]))
    b, extra = digits(base), X(sizes[BLOCK])
    for block in range(sizes[POOL_BLOCKS]):
        first = U(B * block)
        for i in range(B):
            scratch[extra + X(i)] = spontaneous(U(first + U(i)), cycle, now, who, k0, k1, b)
        for i in range(B):
            word = X(B * block) + X(i)
            fired = U((scratch[drive + word] | scratch[extra + X(i)]) & U(wires[own + word]))
            count(scratch, counts + X(4 * B * block) + X(i), fired)


@njit
def pool_full(sizes, p, wires, scratch, cycle, now, who, k0, k1, k, base, calm):
    """One cycle of a cluster's neurons with excitement, noise, base rate and decay by chance."""
    wide = X(B * sizes[POOL_BLOCKS])
    drive, live = X(sizes[DRIVE]) + X(4) * wide * X(cycle), X(sizes[LIVE])
    counts = X(sizes[COUNTS] + 4 * B * sizes[SENSORY_BLOCKS])
    own = X(sizes[OWN] + B * (k * sizes[BLOCKS] + sizes[SENSORY_BLOCKS]))
    summing, bits = p[Param.DRIVE] == 1, 0 if calm else p[Param.NOISE]
    gain = digits(p[Param.GAIN])
    noise = (mask(bits > 0), mask(bits > 1), mask(bits > 2), mask(bits > 3))
    b, q = digits(base), digits(p[Param.DECAY_CHANCE])
    for word in range(sizes[W]):
        mine = U(wires[own + X(word)])
        at = live + X(4 * B * (word // B) + word % B)
        a = scratch[drive + X(word)]
        current = (U(a & gain[0]), U(a & gain[1]), U(a & gain[2]), U(a & gain[3]))
        if summing:
            above = drive + X(word) + wide
            current = (a, scratch[above], scratch[above + wide], scratch[above + X(2) * wide])
        old = (scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW])
        x = add_saturating(old, current)
        r = philox(U(word), now, U(cycle << 16), who, k0, k1)
        n = (U(r[0] & noise[0]), U(r[1] & noise[1]), U(r[2] & noise[2]), U(r[3] & noise[3]))
        fired = fires(x, n, wires[X(sizes[THRESHOLD]) + X(word)])
        if base != 0:
            fired |= spontaneous(U(word), cycle, now, who, k0, k1, b)
        lanes = chance_planes(U(word), now, U(cycle << 16 | 4), who, k0, k1, q)
        r = philox(U(word), now, U(cycle << 16 | 6), who, k0, k1)
        x = lose(x, r[0], r[1], r[2], p[Param.DECAY_SHIFT], lanes)
        scratch[at] = within(mine, x[0] & ~fired, old[0])
        scratch[at + ROW] = within(mine, x[1] & ~fired, old[1])
        scratch[at + X(2) * ROW] = within(mine, x[2] & ~fired, old[2])
        scratch[at + X(3) * ROW] = within(mine, x[3] & ~fired, old[3])
        count(scratch, counts + X(4 * B * (word // B) + word % B), U(fired & mine))


@njit
def drive_all(sizes, params, wires, scratch):
    """Drive of every pool word and cycle: sensory spikes depend on no pool spike."""
    together, clusters = False, sizes[K]
    for k in range(clusters):
        together = together or params[k, Param.DRIVE] == 0
    if together:
        coincidences(sizes, wires, scratch)
    for k in range(clusters):
        if params[k, Param.DRIVE] == 1:
            sums(sizes, wires, scratch, k)


@njit
def present(sizes, params, wires, scratch, intensity, now, stream, k0, k1, calm):
    """C cycles of one observation; leaves counts and excitement in the workspace."""
    scratch[sizes[COUNTS] : sizes[LIVE]] = U(0)
    sense(sizes, params, intensity, scratch, now, stream, k0, k1)
    drive_all(sizes, params, wires, scratch)
    still = quiet(sizes, params, wires, scratch)
    who = U(Stream.POOL + stream)
    base = np.zeros(sizes[K], np.int64)
    if stream == 0:
        for k in range(sizes[K]):
            base[k] = anneal(params[k, Param.BASE_RATE], params[k, Param.BASE_AGE], now)
    old = not base.any()
    for cycle in range(sizes[C]):
        for word in range(sizes[D]):
            at = X(sizes[COUNTS] + 4 * B * (word // B) + word % B)
            count(scratch, at, scratch[X(sizes[SPIKES] + CYCLES * word + cycle)])
        if still and old:
            pool_quiet(sizes, scratch, cycle)
        else:
            for k in range(sizes[K]):
                if still:
                    pool_young(sizes, wires, scratch, cycle, now, who, k0, k1, k, base[k])
                else:
                    pool_full(sizes, params[k], wires, scratch, cycle, now, who, k0, k1, k, base[k], calm)
