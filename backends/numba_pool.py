"""A presentation, compiled: sensory spikes, drive, excitement and counts over bit planes.

A row holds the 16 words of a block in one cycle. Before the pool it is the other way round: one word in 16 cycles.
"""

import numpy as np
from numba import njit

from hebbit.backends import spec
from hebbit.backends.numba_layout import CYCLES, WIRE, B, Size
from hebbit.backends.numba_planes import (
    U,
    add_saturating,
    below,
    below4,
    digit,
    digits,
    digits4,
    draw,
    drawn,
    drawn4,
    load4,
    lose,
    majority,
    mask,
    philox,
    store4,
    wins,
    within,
)  # fmt: skip
from hebbit.backends.numba_rows import (
    ascending,
    beyond,
    empty,
    load,
    load_short,
    nibble_planes,
    octets,
    philox_row,
    rotated,
    spread,
    store,
)  # fmt: skip
from hebbit.backends.spec import LANES, Param, Stream

D, W, K, C, S, M, INPUTS, INPUT_BLOCKS, POOL_BLOCKS, ECHO_BLOCKS, BLOCKS = (
    int(Size[n])
    for n in ("D", "W", "K", "C", "S", "M", "INPUTS", "INPUT_BLOCKS", "POOL_BLOCKS", "ECHO_BLOCKS", "BLOCKS")
)
THRESHOLD, OWN, SOURCE, SLOTS, EXTREMES, ECHO = (
    int(Size[n]) for n in ("THRESHOLD", "OWN", "SOURCE", "SLOTS", "EXTREMES", "ECHO")
)
NUMBERS, SPIKES, DRIVE, COUNTS, LIVE, BLOCK = (
    int(Size[n]) for n in ("NUMBERS", "SPIKES", "DRIVE", "COUNTS", "LIVE", "BLOCK")
)
COLUMNS = len(Param)


@njit(forceinline=True)
def option(params, k, column):
    """A hyperparameter of a cluster."""
    return params[COLUMNS * k + column]


@njit
def anneal(start, half_age, age):
    """A rate that has halved after ``half_age`` presentations."""
    if half_age == 0:
        return np.int64(start)
    return np.int64(start) * np.int64(half_age) // (np.int64(half_age) + np.int64(age))


@njit(forceinline=True)
def sense_word(params, scratch, word, planes, at, now, stream, k0, k1):
    """Spikes of an input word of these intensities in all cycles: phase code or Bernoulli."""
    cycles = ascending()
    i = spread(planes[0]), spread(planes[1]), spread(planes[2]), spread(planes[3])
    if option(params, 0, Param.SENSORY) == 0:
        r = philox(U(word), now, U(0), U(Stream.PHASE + stream), k0, k1)
        multiplier, offset = U(2) * (r[0] & U(3)) + U(1), r[1] & U(7)
        # I >= T is not (I < T), and T is the same for all lanes
        spikes = ~below4(i, digits4(((cycles * multiplier + offset) & 7) * 2 + 1, 0), mask(False))
    else:
        x = philox_row(spread(U(word)), now, cycles << 16, U(Stream.SENSE + stream), k0, k1)
        spikes = below4(x, i, mask(False))
    store(scratch, at, spikes)


@njit
def sense(sizes, params, scratch, now, stream, k0, k1):
    """Spikes of sensory and echo words in all cycles."""
    intensities = octets(beyond(scratch, sizes[NUMBERS]))
    for word in range(sizes[D]):
        planes, at = nibble_planes(intensities, LANES * word), sizes[SPIKES] + CYCLES * word
        sense_word(params, scratch, word, planes, at, now, stream, k0, k1)
    live, spikes = sizes[LIVE] + 4 * B * sizes[POOL_BLOCKS], sizes[SPIKES] + CYCLES * sizes[D]
    for echo in range(sizes[M]):
        at = live + 4 * B * (echo // B) + echo % B
        planes = scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B]
        sense_word(params, scratch, sizes[D] + echo, planes, spikes + CYCLES * echo, now, stream, k0, k1)


@njit(forceinline=True)
def heard(x, wires, at):
    """Spikes of a source in all cycles as the neurons of a pool word hear them: rotated and permuted."""
    x = within(0x00FF00FF, rotated(x, wires[at + 1]), rotated(x, wires[at + 2]))
    x = within(0x0F0F0F0F, x >> wires[at + 3], x << wires[at + 3])
    x = within(0x33333333, x >> wires[at + 4], x << wires[at + 4])
    return within(0x55555555, x >> wires[at + 5], x << wires[at + 5])


@njit(forceinline=True)
def together(read, scratch, spikes, wires, at, slots):
    """Where all sources of a pool word fire in the same cycle."""
    x = heard(read(scratch, spikes + wires[at]), wires, at)
    for other in range(at + WIRE, at + WIRE * slots, WIRE):
        x = x & heard(read(scratch, spikes + wires[other]), wires, other)
    return x


@njit(forceinline=True)
def coincidences_of(read, sizes, wires, scratch):
    """First drive plane of every pool word and cycle, from rows of the length that is read."""
    cycles, spikes, drive, wide, c = sizes[BLOCK], sizes[SPIKES], sizes[DRIVE], B * sizes[POOL_BLOCKS], sizes[C]
    source, slots, step = sizes[SOURCE], sizes[SLOTS], WIRE * sizes[S]
    for word in range(sizes[W]):
        store(scratch, cycles, together(read, scratch, spikes, wires, source + step * word, wires[slots + word]))
        for i in range(c):
            scratch[drive + 4 * wide * i + word] = scratch[cycles + i]


@njit
def coincidences(sizes, wires, scratch):
    """First drive plane of every pool word and cycle: whether all sources fired together."""
    if sizes[C] <= B // 2:
        coincidences_of(load_short, sizes, wires, scratch)
    else:
        coincidences_of(load, sizes, wires, scratch)


@njit
def sums(sizes, wires, scratch, cluster):
    """Drive planes of one cluster's pool words: how many sources fired."""
    cycles, spikes, wide, step = sizes[BLOCK], sizes[SPIKES], B * sizes[POOL_BLOCKS], WIRE * sizes[S]
    for word in range((cluster - sizes[INPUTS]) % sizes[K], sizes[W], sizes[K]):
        first = sizes[SOURCE] + step * word
        n0 = n1 = n2 = n3 = mask(False)
        for at in range(first, first + WIRE * wires[sizes[SLOTS] + word], WIRE):
            c0 = heard(load(scratch, spikes + wires[at]), wires, at)
            c1 = n0 & c0
            c2 = n1 & c1
            n0, n1, n2, n3 = n0 ^ c0, n1 ^ c1, n2 ^ c2, n3 ^ (n2 & c2)
        store4(scratch, cycles, (n0, n1, n2, n3))
        for c in range(sizes[C]):
            for plane in range(4):
                scratch[sizes[DRIVE] + (4 * c + plane) * wide + word] = scratch[cycles + B * plane + c]


@njit
def drive_all(sizes, params, wires, scratch):
    """Drive of every pool word and cycle: sensory spikes depend on no pool spike."""
    coincident, clusters = False, sizes[K]
    for k in range(clusters):
        coincident = coincident or option(params, k, Param.DRIVE) == 0
    if coincident:
        coincidences(sizes, wires, scratch)
    for k in range(clusters):
        if option(params, k, Param.DRIVE) == 1:
            sums(sizes, wires, scratch, k)


@njit(forceinline=True)
def fires(x, noise, threshold):
    """Lanes with x + noise >= threshold (a row of 1..31), four-bit x and noise."""
    c = x[0] & noise[0]
    v0 = x[0] ^ noise[0]
    v1 = x[1] ^ noise[1] ^ c
    c = majority(x[1], noise[1], c)
    v2 = x[2] ^ noise[2] ^ c
    c = majority(x[2], noise[2], c)
    v3 = x[3] ^ noise[3] ^ c
    v4 = majority(x[3], noise[3], c)
    return ~below(v4, digit(threshold, 4), below4((v0, v1, v2, v3), digits4(threshold, 0), mask(False)))


@njit
def quiet(sizes, params, wires, scratch):
    """Whether excitement is zero and stays so: a coincidence fires at once, and noise alone fires nothing."""
    smallest, largest = wires[sizes[EXTREMES]], wires[sizes[EXTREMES] + 1]
    for k in range(sizes[K]):
        if option(params, k, Param.DRIVE) != 0 or option(params, k, Param.GAIN) < largest:
            return False
        if 1 << option(params, k, Param.NOISE) > smallest:
            return False
    alive = mask(False)
    for at in range(sizes[LIVE], sizes[LIVE] + 4 * B * sizes[POOL_BLOCKS], B):
        alive = alive | load(scratch, at)
    return empty(alive)


@njit(forceinline=True)
def spontaneous(scratch, rows, cycle, base):
    """Lanes that fire by base rate, a chance of 4096 given as its digits."""
    lt = below4(drawn4(scratch, rows, 4, cycle), base[0:4], mask(False))
    lt = below4(drawn4(scratch, rows, 8, cycle), base[4:8], lt)
    return below4(drawn4(scratch, rows, 12, cycle), base[8:12], lt)


@njit
def pool_young(sizes, wires, scratch, now, who, k0, k1, k, base):
    """Spikes of a quiet pool's cluster while young: by coincidence, the drive itself, or by base rate."""
    wide, rows, b = B * sizes[POOL_BLOCKS], sizes[BLOCK], digits(base)
    own = sizes[OWN] + B * (k * sizes[BLOCKS] + sizes[INPUT_BLOCKS])
    for block in range(sizes[POOL_BLOCKS]):
        draw(scratch, rows, 1, 4, U(B * block), now, who, k0, k1)
        mine, drive = load(wires, own + B * block), sizes[DRIVE] + B * block
        for cycle in range(sizes[C]):
            at = drive + 4 * wide * cycle
            store(scratch, at, load(scratch, at) | (spontaneous(scratch, rows, cycle, b) & mine))


@njit(forceinline=True)
def current(scratch, drive, wide, gain, summing, mine):
    """The drive of a block's own neurons in a cycle."""
    a0 = load(scratch, drive) & mine
    if summing:
        a1, a2 = load(scratch, drive + wide) & mine, load(scratch, drive + 2 * wide) & mine
        return a0, a1, a2, load(scratch, drive + 3 * wide) & mine
    return a0 & gain[0], a0 & gain[1], a0 & gain[2], a0 & gain[3]


@njit(forceinline=True)
def draw_pool(scratch, rows, noise, base, chance, first, now, who, k0, k1):
    """The random planes that a block of the pool needs."""
    if noise > 0:
        draw(scratch, rows, 0, 1, first, now, who, k0, k1)
    if base > 0:
        draw(scratch, rows, 1, 4, first, now, who, k0, k1)
    if chance > 0:
        draw(scratch, rows, 4 if chance < 256 else 6, 7, first, now, who, k0, k1)


@njit(forceinline=True)
def discharge(scratch, rows, cycle, x, noise, base, threshold):
    """Lanes that fire in a cycle, by excitement and noise of so many bits or by base rate, given as its digits."""
    r0 = r1 = r2 = r3 = mask(False)
    if noise > 0:
        r = drawn4(scratch, rows, 0, cycle)
        r0, r1, r2, r3 = r[0], r[1] & mask(noise > 1), r[2] & mask(noise > 2), r[3] & mask(noise > 3)
    fired = fires(x, (r0, r1, r2, r3), threshold)
    if base > 0:
        fired = fired | spontaneous(scratch, rows, cycle, digits(base))
    return fired


@njit(forceinline=True)
def decayed(scratch, rows, cycle, x, shift, chance, mine):
    """Excitement after the decay by a chance of 256."""
    lanes = mine
    if chance < 256:
        lanes = mine & wins(drawn4(scratch, rows, 16, cycle), drawn4(scratch, rows, 20, cycle), digits(chance))
    r = (drawn(scratch, rows, 24, cycle), drawn(scratch, rows, 25, cycle), drawn(scratch, rows, 26, cycle))
    return lose(x, r, shift, lanes)


@njit
def pool_full(sizes, params, wires, scratch, now, who, k0, k1, k, base, calm):
    """Spikes of a cluster's neurons with excitement, noise, base rate and decay by chance."""
    wide, rows, gain = B * sizes[POOL_BLOCKS], sizes[BLOCK], digits(option(params, k, Param.GAIN))
    noise, summing = 0 if calm else option(params, k, Param.NOISE), option(params, k, Param.DRIVE) == 1
    shift, chance = option(params, k, Param.DECAY_SHIFT), option(params, k, Param.DECAY_CHANCE)
    own = sizes[OWN] + B * (k * sizes[BLOCKS] + sizes[INPUT_BLOCKS])
    for block in range(sizes[POOL_BLOCKS]):
        draw_pool(scratch, rows, noise, base, chance, U(B * block), now, who, k0, k1)
        mine, threshold = load(wires, own + B * block), load(wires, sizes[THRESHOLD] + B * block)
        live = sizes[LIVE] + 4 * B * block
        x = load4(scratch, live)
        for cycle in range(sizes[C]):
            drive = sizes[DRIVE] + B * block + 4 * wide * cycle
            x = add_saturating(x, current(scratch, drive, wide, gain, summing, mine))
            fired = discharge(scratch, rows, cycle, x, noise, base, threshold) & mine
            # spikes take the place of the drive
            store(scratch, drive, within(mine, fired, load(scratch, drive)))
            x = x[0] & ~fired, x[1] & ~fired, x[2] & ~fired, x[3] & ~fired
            if chance > 0:
                x = decayed(scratch, rows, cycle, x, shift, chance, mine)
        store4(scratch, live, x)


@njit(forceinline=True)
def tally(n, a, b, c):
    """Four-bit counts plus the spikes of three cycles."""
    one, two = a ^ b ^ c, majority(a, b, c)
    c0 = n[0] & one
    c1 = majority(n[1], two, c0)
    return n[0] ^ one, n[1] ^ two ^ c0, n[2] ^ c1, n[3] ^ (n[2] & c1)


@njit
def count_inputs(sizes, scratch):
    """Counts of sensory and echo neurons, word by word."""
    cycles = sizes[C]
    for word in range(sizes[INPUTS]):
        n, spikes = (U(0), U(0), U(0), U(0)), sizes[SPIKES] + CYCLES * word
        for c in range(0, cycles, 3):
            second = scratch[spikes + c + 1] if c + 1 < cycles else U(0)
            third = scratch[spikes + c + 2] if c + 2 < cycles else U(0)
            m = tally(n, scratch[spikes + c], second, third)
            n = U(m[0]), U(m[1]), U(m[2]), U(m[3])
        at = sizes[COUNTS] + 4 * B * (word // B) + word % B
        scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B] = n


@njit
def count_pool(sizes, scratch):
    """Counts of the pool neurons, whose spikes lie in the first drive plane."""
    cycles, wide = sizes[C], 4 * B * sizes[POOL_BLOCKS]
    for block in range(sizes[POOL_BLOCKS]):
        n, spikes = (mask(False), mask(False), mask(False), mask(False)), sizes[DRIVE] + B * block
        for c in range(0, cycles, 3):
            second = load(scratch, spikes + wide * (c + 1)) & mask(c + 1 < cycles)
            third = load(scratch, spikes + wide * (c + 2)) & mask(c + 2 < cycles)
            n = tally(n, load(scratch, spikes + wide * c), second, third)
        store4(scratch, sizes[COUNTS] + 4 * B * (sizes[INPUT_BLOCKS] + block), n)


@njit
def present(sizes, params, wires, scratch, now, stream, k0, k1, calm):
    """C cycles of one observation, but for the learning words; leaves counts and excitement in the workspace.

    No pool neuron hears another, so the cycles of one block of words come one after the other, then the next block.
    """
    for at in range(sizes[COUNTS], sizes[LIVE], B):
        store(scratch, at, mask(False))
    sense(sizes, params, scratch, now, stream, k0, k1)
    drive_all(sizes, params, wires, scratch)
    still, who = quiet(sizes, params, wires, scratch), U(Stream.POOL + stream)
    for k in range(sizes[K]):
        base = np.int64(0)
        if stream == 0:
            base = anneal(option(params, k, Param.BASE_RATE), option(params, k, Param.BASE_AGE), now)
        if not still:
            pool_full(sizes, params, wires, scratch, now, who, k0, k1, k, base, calm)
        elif base > 0:
            pool_young(sizes, wires, scratch, now, who, k0, k1, k, base)
    count_inputs(sizes, scratch)
    count_pool(sizes, scratch)


@njit(forceinline=True)
def loudness(n, cycles):
    """Intensities min(15, 16 n // C) of four-bit counts, digit by digit over all counts that there are."""
    i0 = i1 = i2 = i3 = mask(False)
    for number in range(1, cycles + 1):
        other = (n[0] ^ mask(number & 1 != 0)) | (n[1] ^ mask(number & 2 != 0))
        same = ~(other | (n[2] ^ mask(number & 4 != 0)) | (n[3] ^ mask(number & 8 != 0)))
        intensity = digits4(spread(U(min(spec.STATE_MAX, 16 * number // cycles))), 0)
        i0, i1 = i0 | (same & intensity[0]), i1 | (same & intensity[1])
        i2, i3 = i2 | (same & intensity[2]), i3 | (same & intensity[3])
    return i0, i1, i2, i3


@njit
def echo(sizes, wires, scratch):
    """Intensities of the echo words in the next presentation, from the counts of the words that they repeat."""
    rows, live = sizes[BLOCK], sizes[LIVE] + 4 * B * sizes[POOL_BLOCKS]
    for block in range(sizes[ECHO_BLOCKS]):
        store4(scratch, rows, (mask(False), mask(False), mask(False), mask(False)))
        for word in range(B * block, min(B * block + B, sizes[M])):
            source = sizes[COUNTS] + wires[sizes[ECHO] + word]
            for plane in range(4):
                scratch[rows + B * plane + word % B] = scratch[source + B * plane]
        store4(scratch, live + 4 * B * block, loudness(load4(scratch, rows), sizes[C]))
