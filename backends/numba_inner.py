"""Learning words, compiled: their chances, spikes and plasticity; rows as in :mod:`hebbit.backends.numba_pool`.

Their synapses lie like those of the readouts: a row of blocks for each unit.
"""

import numpy as np
from numba import njit

from hebbit.backends import spec
from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_learning import (
    N4,
    T5,
    actor_size,
    learn_block,
    remember_unit,
    step_and_chance,
    word_of,
)
from hebbit.backends.numba_planes import U, draw, drawn4, load4, mask, philox, store4, wins
from hebbit.backends.numba_pool import anneal, option, tally
from hebbit.backends.numba_readout import W8, weighted
from hebbit.backends.numba_rows import (
    ascending,
    beyond,
    byte_planes,
    empty,
    load,
    nibble_planes,
    octets,
    philox_row,
    signed,
    spread,
    store,
    total,
)
from hebbit.backends.spec import LANES, Flag, Param, Stream

A, C, W, M, L, H, SOURCES, INPUT_BLOCKS, POOL_BLOCKS, BLOCKS, SOURCE_BLOCKS, ECHO_BLOCKS = (
    int(Size[n])
    for n in (
        "A", "C", "W", "M", "L", "H", "SOURCES", "INPUT_BLOCKS", "POOL_BLOCKS", "BLOCKS", "SOURCE_BLOCKS",
        "ECHO_BLOCKS",
    )
)  # fmt: skip
(
    WEIGHTS, INNER_WEIGHTS, INNER_FRACTIONS, INNER_TRACES, EXCITEMENT, SURPRISE, COLLECTED, COUNTS, LIVE, BLOCK,
    CHANCES, CREDITS,
) = (
    int(Size[n])
    for n in (
        "WEIGHTS", "INNER_WEIGHTS", "INNER_FRACTIONS", "INNER_TRACES", "EXCITEMENT", "SURPRISE", "COLLECTED", "COUNTS",
        "LIVE", "BLOCK", "CHANCES", "CREDITS",
    )
)  # fmt: skip
SIGMOID = spec.SIGMOID
ALWAYS = 16 << 16
"""Credit from which on the whole count enters a trace."""


@njit
def inner_chances(sizes, params, memory, scratch):
    """Chance of 256 that each learning unit fires in a cycle."""
    chances, blocks = octets(beyond(scratch, sizes[CHANCES])), sizes[SOURCE_BLOCKS]
    slope, bias = np.int64(option(params, 0, Param.INNER_SLOPE)), 128 + option(params, 0, Param.INNER_BIAS)
    for unit in range(sizes[H]):
        sums, weights = spread(U(0)), sizes[INNER_WEIGHTS] + W8 * blocks * unit
        for block in range(blocks):
            sums = sums + weighted(load4(scratch, sizes[COUNTS] + 4 * B * block), memory, weights + W8 * block)
        chances[unit] = SIGMOID[max(0, min(255, bias + (total(sums) * slope >> 16)))]


@njit(forceinline=True)
def inner_spikes(scratch, rows, cycle):
    """Learning neurons of a block that fire in a cycle, by the chances whose digits follow the random planes."""
    chance = load4(scratch, rows + 8 * B) + load4(scratch, rows + 12 * B) + (mask(False),)
    return wins(drawn4(scratch, rows, 0, cycle), drawn4(scratch, rows, 4, cycle), chance)


@njit
def inner_fire(sizes, scratch, now, stream, k0, k1):
    """Counts of the learning words: one trial a cycle."""
    rows, cycles, chances = sizes[BLOCK], sizes[C], octets(beyond(scratch, sizes[CHANCES]))
    first = sizes[INPUT_BLOCKS] + sizes[POOL_BLOCKS]
    for block in range(sizes[BLOCKS] - first):
        draw(scratch, rows, 0, 2, U(B * block), now, U(Stream.LEARNING + stream), k0, k1)
        for at in range(rows + 8 * B, rows + 16 * B, B):
            store(scratch, at, mask(False))
        for word in range(B * block, min(B * block + B, sizes[L])):
            planes = byte_planes(chances, LANES * word)
            for plane in range(8):
                scratch[rows + B * (8 + plane) + word % B] = planes[plane]
        n = mask(False), mask(False), mask(False), mask(False)
        for c in range(0, cycles, 3):
            second, third = mask(c + 1 < cycles), mask(c + 2 < cycles)
            second, third = second & inner_spikes(scratch, rows, c + 1), third & inner_spikes(scratch, rows, c + 2)
            n = tally(n, inner_spikes(scratch, rows, c), second, third)
        store4(scratch, sizes[COUNTS] + 4 * B * (first + block), n)


@njit
def inner_calm(sizes, scratch):
    """Counts of the learning words without chance: the rounded expectation."""
    chances = octets(beyond(scratch, sizes[CHANCES]))
    counts = sizes[COUNTS] + 4 * B * (sizes[INPUT_BLOCKS] + sizes[POOL_BLOCKS])
    for unit in range(sizes[H]):
        chances[unit] = (sizes[C] * np.int64(chances[unit]) + 128) >> 8
    for word in range(sizes[L]):
        planes, at = nibble_planes(chances, LANES * word), counts + 4 * B * (word // B) + word % B
        scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B] = planes


@njit
def inner_present(sizes, params, memory, scratch, now, stream, k0, k1, calm):
    """Chances and counts of the learning words; the counts are carried on, too."""
    inner_chances(sizes, params, memory, scratch)
    if calm:
        inner_calm(sizes, scratch)
    else:
        inner_fire(sizes, scratch, now, stream, k0, k1)
    counts = sizes[COUNTS] + 4 * B * (sizes[INPUT_BLOCKS] + sizes[POOL_BLOCKS])
    live = sizes[LIVE] + 4 * B * (sizes[POOL_BLOCKS] + sizes[ECHO_BLOCKS])
    for i in range(0, sizes[LIVE] - counts, B):
        store(scratch, live + i, load(scratch, counts + i))


@njit
def collect(sizes, params, memory, dopamine, flag, now):
    """Add the first cluster's dopamine to what is collected: (whether it is time to learn, what was collected)."""
    at = sizes[COLLECTED]
    collected = np.int64(np.int32(memory[at])) + dopamine
    collected = max(-spec.DOPAMINE_LIMIT, min(spec.DOPAMINE_LIMIT, collected))
    waits = flag == Flag.CONTINUE and np.int64(now) % option(params, 0, Param.INNER_EVERY) != 0
    memory[at] = U(collected) if waits else U(0)
    return not waits, collected


@njit(forceinline=True)
def blank_block(memory, traces):
    """Whether a unit has no traces in a block: there is nothing to move or to decay."""
    e = load4(memory, traces)
    return empty(e[0] | e[1] | e[2] | e[3])


@njit
def inner_learn(sizes, params, memory, scratch, collected, now, k0, k1):
    """Move the weights of the learning words by what was collected."""
    rows, blocks, who = sizes[BLOCK], sizes[SOURCE_BLOCKS], U(Stream.INNER)
    r = philox(U(0), now, U(0), U(Stream.SCALAR), k0, k1)
    rate = anneal(option(params, 0, Param.INNER_RATE), option(params, 0, Param.RATE_AGE), now)
    size = actor_size(params, 0, collected, np.int32(memory[sizes[SURPRISE]]))
    move = step_and_chance(size, rate, r[2], np.int64(option(params, 0, Param.FRACTION_BITS)))
    if move[1] == 0:
        return
    for group in range(0, sizes[H], LANES):
        for block in range(blocks):
            first = U(group // LANES * sizes[SOURCES] + word_of(sizes, block))
            draw(scratch, rows, 0, 3, first, now, who, k0, k1)
            for turn in range(LANES):
                at = blocks * (group + turn) + block
                weights, traces = sizes[INNER_WEIGHTS] + W8 * at, sizes[INNER_TRACES] + T5 * at
                if not blank_block(memory, traces):
                    fractions, up = sizes[INNER_FRACTIONS] + N4 * at, collected > 0
                    learn_block(memory, scratch, rows, weights, fractions, traces, mask(True), turn, up, move)


@njit
def feedback_of(sizes, memory, share, sign, critic, word, signal):
    """Sum of the outgoing weights of a word's 32 units, each times its motor unit's credit in sixteenths."""
    low, high, lanes = spread(U(0)), spread(U(0)), ascending()
    block = sizes[INPUT_BLOCKS] + sizes[POOL_BLOCKS] + word // B
    for output in range(sizes[A] + 1):
        credit = critic
        if output < sizes[A]:
            credit = -share[output] if sign[output] == 1 else share[output]
        if credit != 0:
            at = sizes[WEIGHTS] + W8 * (sizes[BLOCKS] * output + block) + word % B
            for plane in range(8):
                digits, factor = spread(memory[at + B * plane]), U(credit * (-128 if plane == 7 else 1 << plane))
                low = low + ((digits >> lanes) & 1) * factor
                high = high + ((digits >> (lanes + 16)) & 1) * factor
    store(signal, LANES * word, low)
    store(signal, LANES * word + B, high)


@njit(forceinline=True)
def count_at(memory, at, lane):
    """A neuron's four-bit count."""
    n = ((memory[at] >> lane) & 1) | (((memory[at + B] >> lane) & 1) << 1)
    return np.int64(n | (((memory[at + 2 * B] >> lane) & 1) << 2) | (((memory[at + 3 * B] >> lane) & 1) << 3))


@njit
def signal_of(sizes, params, memory, scratch, unit, feedback):
    """A learning unit's credit, by the rule, before it is scaled."""
    rule, cycles = option(params, 0, Param.INNER_RULE), sizes[C]
    p = np.int64(octets(beyond(scratch, sizes[CHANCES]))[unit])
    if rule == 0:
        return feedback * (p * (256 - p) >> 8)
    word, lane = unit // LANES, unit % LANES
    at = 4 * B * (word // B) + word % B
    n = count_at(scratch, sizes[COUNTS] + 4 * B * (sizes[INPUT_BLOCKS] + sizes[POOL_BLOCKS]) + at, lane)
    if rule == 1:
        return (256 * n - cycles * p) * 256 // cycles
    before = sizes[EXCITEMENT] + 4 * B * (sizes[POOL_BLOCKS] + sizes[ECHO_BLOCKS]) + at
    return (n - count_at(memory, before, lane)) * 65536 // cycles


@njit
def inner_credit(sizes, params, memory, scratch, share, sign, now, k0, k1):
    """Sixteenths of the sources' counts that enter each learning unit's traces, and whether they are subtracted."""
    gain, critic = np.int64(option(params, 0, Param.FEEDBACK)), option(params, 0, Param.CRITIC_FEEDBACK)
    own = signed(beyond(scratch, sizes[CREDITS]))
    for word in range(sizes[L]):
        feedback_of(sizes, memory, share, sign, critic, word, beyond(scratch, sizes[CREDITS]))
    for first in range(0, sizes[H], B):
        r = philox_row(ascending() + U(first), now, spread(U(0)), U(Stream.CREDIT), k0, k1)
        store(scratch, sizes[BLOCK], r[0])
        for unit in range(first, first + B):
            signal = signal_of(sizes, params, memory, scratch, unit, np.int64(own[unit]))
            size = abs(signal) * gain + np.int64(scratch[sizes[BLOCK] + unit - first] & U(0xFFFF))
            own[unit] = min(size, ALWAYS) >> 16
            own[sizes[H] + unit] = 1 if signal < 0 else 0


@njit
def rounds(share, start):
    """Whether any of 32 units credits a part of the counts, which must be rounded."""
    for unit in range(start, start + LANES):
        if 0 < share[unit] < 16:
            return True
    return False


@njit
def inner_remember(sizes, params, memory, scratch, now, k0, k1):
    """Decay the traces of the learning units by chance and add their share of this presentation's counts."""
    rows, blocks, who = sizes[BLOCK], sizes[SOURCE_BLOCKS], U(Stream.INNER)
    share = signed(beyond(scratch, sizes[CREDITS]))
    sign = beyond(share, sizes[H])
    decay = option(params, 0, Param.INNER_SHIFT), option(params, 0, Param.INNER_CHANCE)
    fading, deciding = decay[0] > 0 and decay[1] > 0, 0 < decay[1] < 256
    for group in range(0, sizes[H], LANES):
        rounding = rounds(share, group)
        for block in range(blocks):
            first = U(group // LANES * sizes[SOURCES] + word_of(sizes, block))
            draw(scratch, rows, 3 if fading else 4, 5 if rounding else 4, first, now, who, k0, k1)
            draw(scratch, rows, 5, 7 if deciding else 5, first, now, who, k0, k1)
            counts = sizes[COUNTS] + 4 * B * block
            for turn in range(LANES):
                unit = group + turn
                traces, part = sizes[INNER_TRACES] + T5 * (blocks * unit + block), share[unit]
                if part > 0 or not blank_block(memory, traces):
                    remember_unit(memory, scratch, rows, traces, counts, mask(True), turn, decay, part, sign[unit] == 1)
