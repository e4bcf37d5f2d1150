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
    n = np.empty(4 * CYCLES, np.uint32)
    n1, n2, n3 = X(CYCLES), X(2 * CYCLES), X(3 * CYCLES)
    for word in range((cluster - sizes[D]) % sizes[K], sizes[W], sizes[K]):
        n[:] = U(0)
        for slot in range(wires[X(sizes[SLOTS]) + X(word)]):
            at = source + X(word) * s + X(slot)
            start, turn, x = spikes + X(wires[at]) * X(CYCLES), wires[at + w * s], wires[at + X(2) * w * s]
            x0, x1, x2, x3, x4 = digit(x, 0), digit(x, 1), digit(x, 2), digit(x, 3), digit(x, 4)
            for c in range(CYCLES):
                at1, at2, at3 = X(c) + n1, X(c) + n2, X(c) + n3
                c0 = permute(rotate(scratch[start + X(c)], turn), x0, x1, x2, x3, x4)
                c1 = U(n[X(c)] & c0)
                c2 = U(n[at1] & c1)
                c3 = U(n[at2] & c2)
                n[X(c)] ^= c0
                n[at1] ^= c1
                n[at2] ^= c2
                n[at3] ^= c3
        for c in range(sizes[C]):
            for plane in range(4):
                scratch[drive + (X(4) * X(c) + X(plane)) * wide + X(word)] = n[X(CYCLES) * X(plane) + X(c)]


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
    """Whether excitement is zero and stays so: a coincidence fires at once, and noise alone fires nothing."""
    largest, smallest, alive = 0, 31, U(0)
    for word in range(sizes[W]):
        threshold = wires[X(sizes[THRESHOLD]) + X(word)]
        largest, smallest = max(largest, threshold), min(smallest, threshold)
    for k in range(sizes[K]):
        if params[k, Param.DRIVE] != 0 or params[k, Param.GAIN] < largest or 1 << params[k, Param.NOISE] > smallest:
            return False
    for at in range(sizes[LIVE], sizes[LIVE] + 4 * B * sizes[POOL_BLOCKS]):
        alive |= scratch[X(at)]
    return alive == 0


@njit
def pool_young(sizes, wires, scratch, now, who, k0, k1, k, base):
    """Spikes of a quiet pool's cluster while young: by coincidence, the drive itself, or by base rate."""
    wide, b = B * sizes[POOL_BLOCKS], digits(base)
    own = X(sizes[OWN] + B * (k * sizes[BLOCKS] + sizes[SENSORY_BLOCKS]))
    for cycle in range(sizes[C]):
        drive = X(sizes[DRIVE] + 4 * wide * cycle)
        for block in range(sizes[POOL_BLOCKS]):
            at, first = X(B * block), U(B * block)
            for i in range(B):
                mine = U(wires[own + at + X(i)])
                scratch[drive + at + X(i)] |= spontaneous(U(first + U(i)), cycle, now, who, k0, k1, b) & mine


@njit(forceinline=True)
def draw_rows(scratch, rows, first, now, at, who, k0, k1):
    """One draw for each word of a block: four random planes."""
    for i in range(B):
        r = philox(U(first + U(i)), now, at, who, k0, k1)
        scratch[rows + X(i)], scratch[rows + ROW + X(i)] = r[0], r[1]
        scratch[rows + X(2) * ROW + X(i)], scratch[rows + X(3) * ROW + X(i)] = r[2], r[3]


@njit(forceinline=True)
def excite(scratch, wires, live, own, drive, wide, gain, summing):
    """Add the drive of a block's own neurons to their excitement."""
    for i in range(B):
        at, mine, a = live + X(i), U(wires[own + X(i)]), scratch[drive + X(i)]
        current = (U(a & gain[0] & mine), U(a & gain[1] & mine), U(a & gain[2] & mine), U(a & gain[3] & mine))
        if summing:
            above = drive + X(i) + wide
            a1, a2, a3 = scratch[above], scratch[above + wide], scratch[above + X(2) * wide]
            current = (U(a & mine), U(a1 & mine), U(a2 & mine), U(a3 & mine))
        old = (scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW])
        x = add_saturating(old, current)
        scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW] = x


@njit(forceinline=True)
def discharge(scratch, wires, rows, live, own, drive, threshold, valid):
    """Fire a block's own neurons by base rate (the first row) or by excitement and noise (the others); reset them.

    ``valid``: a mask for each row. The spikes take the place of the drive.
    """
    for i in range(B):
        at, r, mine = live + X(i), rows + X(i), U(wires[own + X(i)])
        n0, n1 = U(scratch[r + ROW] & valid[1]), U(scratch[r + X(2) * ROW] & valid[2])
        n2, n3 = U(scratch[r + X(3) * ROW] & valid[3]), U(scratch[r + X(4) * ROW] & valid[4])
        x = (scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW])
        fired = fires(x, (n0, n1, n2, n3), wires[threshold + X(i)])
        fired = U((fired | (scratch[r] & valid[0])) & mine)
        x0, x1, x2, x3 = U(x[0] & ~fired), U(x[1] & ~fired), U(x[2] & ~fired), U(x[3] & ~fired)
        scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW] = x0, x1, x2, x3
        scratch[drive + X(i)] = within(mine, fired, scratch[drive + X(i)])


@njit(forceinline=True)
def chosen(scratch, wires, row, own, first, now, at, who, k0, k1, chance):
    """A block's own neurons that win a chance of 256; no draw is made whose digits of it are all zero."""
    q = digits(chance)
    for i in range(B):
        lanes, index = U(wires[own + X(i)]), U(first + U(i))
        if chance < 256:
            if chance % 16 == 0:
                r = philox(index, now, U(at | U(5)), who, k0, k1)
                lanes &= below4(r, q[4], q[5], q[6], q[7], U(0))
            else:
                lanes &= chance_planes(index, now, U(at | U(4)), who, k0, k1, q)
        scratch[row + X(i)] = lanes


@njit(forceinline=True)
def decay(scratch, rows, live, shift):
    """A block's neurons in the lanes of the first row lose excitement, rounded by the planes of the next three."""
    for i in range(B):
        x, r = live + X(i), rows + X(i)
        old = (scratch[x], scratch[x + ROW], scratch[x + X(2) * ROW], scratch[x + X(3) * ROW])
        new = lose(old, scratch[r + ROW], scratch[r + X(2) * ROW], scratch[r + X(3) * ROW], shift, scratch[r])
        scratch[x], scratch[x + ROW], scratch[x + X(2) * ROW], scratch[x + X(3) * ROW] = new


@njit
def pool_full(sizes, p, wires, scratch, now, who, k0, k1, k, base, calm):
    """Spikes of a cluster's neurons with excitement, noise, base rate and decay by chance."""
    wide, rows, b = X(B * sizes[POOL_BLOCKS]), X(sizes[BLOCK]), digits(base)
    start = X(sizes[OWN] + B * (k * sizes[BLOCKS] + sizes[SENSORY_BLOCKS]))
    summing, bits, gain = p[Param.DRIVE] == 1, 0 if calm else p[Param.NOISE], digits(p[Param.GAIN])
    valid = (mask(base > 0), mask(bits > 0), mask(bits > 1), mask(bits > 2), mask(bits > 3))
    shift, chance = p[Param.DECAY_SHIFT], p[Param.DECAY_CHANCE]
    for block in range(sizes[POOL_BLOCKS]):
        first, own = U(B * block), start + X(B * block)
        live, threshold = X(sizes[LIVE] + 4 * B * block), X(sizes[THRESHOLD] + B * block)
        for cycle in range(sizes[C]):
            drive, at = X(sizes[DRIVE] + B * block) + X(4) * wide * X(cycle), U(cycle << 16)
            excite(scratch, wires, live, own, drive, wide, gain, summing)
            if bits > 0:
                draw_rows(scratch, rows + ROW, first, now, at, who, k0, k1)
            if base > 0:
                for i in range(B):
                    scratch[rows + X(i)] = spontaneous(U(first + U(i)), cycle, now, who, k0, k1, b)
            discharge(scratch, wires, rows, live, own, drive, threshold, valid)
            if chance > 0:
                chosen(scratch, wires, rows, own, first, now, at, who, k0, k1, chance)
                if shift > 0:
                    draw_rows(scratch, rows + ROW, first, now, U(at | U(6)), who, k0, k1)
                decay(scratch, rows, live, shift)


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


@njit(forceinline=True)
def tally(n, a, b, c):
    """Four-bit counts plus the spikes of three cycles."""
    one, two = U(a ^ b ^ c), majority(a, b, c)
    c0 = U(n[0] & one)
    c1 = majority(n[1], two, c0)
    return U(n[0] ^ one), U(n[1] ^ two ^ c0), U(n[2] ^ c1), U(n[3] ^ (n[2] & c1))


@njit
def count_sensory(sizes, scratch):
    """Counts of the sensory neurons."""
    cycles = sizes[C]
    for word in range(sizes[D]):
        n0 = n1 = n2 = n3 = U(0)
        spikes = X(sizes[SPIKES] + CYCLES * word)
        for c in range(0, cycles, 3):
            second = U(scratch[spikes + X(c + 1)] & mask(c + 1 < cycles))
            third = U(scratch[spikes + X(c + 2)] & mask(c + 2 < cycles))
            n0, n1, n2, n3 = tally((n0, n1, n2, n3), scratch[spikes + X(c)], second, third)
        at = X(sizes[COUNTS] + 4 * B * (word // B) + word % B)
        scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW] = n0, n1, n2, n3


@njit
def count_pool(sizes, scratch):
    """Counts of the pool neurons, whose spikes lie in the first drive plane.

    Three cycles at a time: a loop of fewer instructions LLVM would unroll instead of turning it into SIMD.
    """
    cycles, wide = sizes[C], X(4 * B * sizes[POOL_BLOCKS])
    for block in range(sizes[POOL_BLOCKS]):
        counts = X(sizes[COUNTS] + 4 * B * (sizes[SENSORY_BLOCKS] + block))
        for c in range(0, cycles, 3):
            spikes, second, third = X(sizes[DRIVE] + B * block), mask(c + 1 < cycles), mask(c + 2 < cycles)
            for i in range(B):
                at, x = counts + X(i), spikes + wide * X(c) + X(i)
                n = (scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW])
                n = tally(n, scratch[x], U(scratch[x + wide] & second), U(scratch[x + X(2) * wide] & third))
                scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW] = n


@njit
def present(sizes, params, wires, scratch, intensity, now, stream, k0, k1, calm):
    """C cycles of one observation; leaves counts and excitement in the workspace.

    No pool neuron hears another, so the cycles of one block of words come one after the other, then the next block.
    """
    scratch[sizes[COUNTS] : sizes[LIVE]] = U(0)
    sense(sizes, params, intensity, scratch, now, stream, k0, k1)
    drive_all(sizes, params, wires, scratch)
    still, who = quiet(sizes, params, wires, scratch), U(Stream.POOL + stream)
    for k in range(sizes[K]):
        base = np.int64(0)
        if stream == 0:
            base = anneal(params[k, Param.BASE_RATE], params[k, Param.BASE_AGE], now)
        if not still:
            pool_full(sizes, params[k], wires, scratch, now, who, k0, k1, k, base, calm)
        elif base > 0:
            pool_young(sizes, wires, scratch, now, who, k0, k1, k, base)
    count_sensory(sizes, scratch)
    count_pool(sizes, scratch)
