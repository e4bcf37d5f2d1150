"""Plasticity of the readouts, compiled; rows as in :mod:`hebbit.backends.numba_pool`."""

import numpy as np
from numba import njit

from hebbit.backends import spec
from hebbit.backends.numba_layout import PLANES, UNMOVED, B, Size
from hebbit.backends.numba_planes import (
    U,
    add_saturating,
    add_signed,
    digits,
    draw,
    drawn,
    drawn4,
    larger,
    load4,
    lose,
    mask,
    philox,
    share_of,
    store4,
    wins,
    within,
)  # fmt: skip
from hebbit.backends.numba_pool import anneal, option
from hebbit.backends.numba_rows import empty, load, store
from hebbit.backends.spec import LANES, Param, Stream

D, W, P, A, K, INPUTS, INPUT_BLOCKS, POOL_BLOCKS, BLOCKS = (
    int(Size[n]) for n in ("D", "W", "P", "A", "K", "INPUTS", "INPUT_BLOCKS", "POOL_BLOCKS", "BLOCKS")
)
WEIGHTS, FRACTIONS, TRACES, VALUE, SURPRISE, OWN, KIND, COUNTS, SILENCE, BLOCK = (
    int(Size[n])
    for n in ("WEIGHTS", "FRACTIONS", "TRACES", "VALUE", "SURPRISE", "OWN", "KIND", "COUNTS", "SILENCE", "BLOCK")
)
N4, T5 = 4 * B, 5 * B
"""Lengths of a block of fractions and of traces."""
MOVED = PLANES * B
"""Where a move lies, behind the random planes."""


@njit
def step_and_chance(size, rate, random_word, bits):
    """Exponent of a move, its chance of 256, and where its first digit is added to the weights' twelve."""
    expected = np.int64(size) * np.int64(rate) << bits
    k = 0
    while expected >> k > 1 << spec.RATE_BITS and k < spec.MAX_STEP_SHIFT + bits:
        k += 1
    chance = (min(expected >> k, 1 << spec.RATE_BITS) + (np.int64(random_word) >> 16)) >> 16
    return k, chance, k - bits


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
def added(y, a, carry):
    """Sum and carry of one digit."""
    x = y ^ a
    return x ^ carry, (y & a) | (x & carry)


@njit(forceinline=True)
def added4(y, a, carry):
    """Sum and carry of four digits."""
    s0, carry = added(y[0], a[0], carry)
    s1, carry = added(y[1], a[1], carry)
    s2, carry = added(y[2], a[2], carry)
    s3, carry = added(y[3], a[3], carry)
    return (s0, s1, s2, s3), carry


@njit(forceinline=True)
def turned(w, down):
    """Four digits, complemented in some lanes."""
    return w[0] ^ down, w[1] ^ down, w[2] ^ down, w[3] ^ down


@njit(forceinline=True)
def filled(s, over, down):
    """Four digits of a sum, all ones where it ran over, and complemented again."""
    return (s[0] | over) ^ down, (s[1] | over) ^ down, (s[2] | over) ^ down, (s[3] | over) ^ down


@njit(forceinline=True)
def moved_weights(fraction, low, high, a0, a1, a2, down):
    """Weights, four digits of a fraction and eight of their own, plus twelve digits, or minus them where ``down``.

    The last digit that is added is zero. Subtracting is adding to the complement; what would carry into the sign
    saturates instead.
    """
    f, carry = added4(turned(fraction, down), a0, mask(False))
    s, carry = added4(turned(low, down), a1, carry)
    y = turned(high, down)
    t, carry = added4(y, a2, carry)
    over = t[3] & ~y[3]
    high = filled(t, over, down)
    return filled(f, over, down), filled(s, over, down), (high[0], high[1], high[2], t[3] ^ over ^ down)


@njit(forceinline=True)
def rounding(scratch, rows, turn, k, digit):
    """A digit of the random number, 0..15, shifted down by k."""
    return drawn(scratch, rows, 8 + digit + min(k, 4), turn) & mask(digit + k < 4)


@njit(forceinline=True)
def quanta(scratch, rows, e, turn, k):
    """Five digits of which those from 4 - k on are the trace times 2**k / 16, rounded by chance."""
    r0, r1 = rounding(scratch, rows, turn, k, 0), rounding(scratch, rows, turn, k, 1)
    r2, r3 = rounding(scratch, rows, turn, k, 2), rounding(scratch, rows, turn, k, 3)
    return added4(e, (r0, r1, r2, r3), mask(False))


@njit(forceinline=True)
def lay(scratch, at, s, last, moves, k):
    """Put what the lanes ``moves`` of a block move by where it is added from."""
    store(scratch, at, s[0] & moves & mask(k >= 4))
    store(scratch, at + B, s[1] & moves & mask(k >= 3))
    store(scratch, at + 2 * B, s[2] & moves & mask(k >= 2))
    store(scratch, at + 3 * B, s[3] & moves & mask(k >= 1))
    store(scratch, at + 4 * B, last & moves)


@njit(forceinline=True)
def word_of(sizes, block):
    """The number of a block's first word."""
    if block < sizes[INPUT_BLOCKS]:
        return B * block
    if block < sizes[INPUT_BLOCKS] + sizes[POOL_BLOCKS]:
        return sizes[INPUTS] + B * (block - sizes[INPUT_BLOCKS])
    return sizes[INPUTS] + sizes[W] + B * (block - sizes[INPUT_BLOCKS] - sizes[POOL_BLOCKS])


@njit(forceinline=True)
def first_word(sizes, output, block):
    """The counter's word of a block's plasticity, the same for 32 outputs."""
    return U(output // LANES * sizes[P] + word_of(sizes, block))


@njit
def blank(memory, traces, step, stop):
    """Whether all the traces of a block in some rows of synapses are zero."""
    alive = mask(False)
    for at in range(traces, stop, step):
        e = load4(memory, at)
        alive = alive | e[0] | e[1] | e[2] | e[3]
    return empty(alive)


@njit(forceinline=True)
def unseen(sizes, params, memory, wires, block):
    """Whether a block's words are not read and have no traces either: nothing will change."""
    if wires[sizes[KIND] + block] & option(params, 0, Param.READS):
        return False
    traces, step = sizes[TRACES] + T5 * block, T5 * sizes[BLOCKS]
    return blank(memory, traces, step, traces + step * (sizes[A] + 1))


@njit(forceinline=True)
def learn_block(memory, scratch, rows, weights, fractions, traces, mine, turn, up, move):
    """Move a block's own weights of one output by chance."""
    e, k, first = load4(memory, traces), move[0], rows + MOVED
    s, last = quanta(scratch, rows, e, turn, k)
    number = drawn4(scratch, rows, 0, turn), drawn4(scratch, rows, 4, turn)
    moves = wins(number[0], number[1], digits(move[1])) & mine
    lay(scratch, first + UNMOVED * B, s, last, moves, k)
    a = first + (UNMOVED - move[2]) * B
    down = load(memory, traces + 4 * B) ^ mask(not up)
    fraction, low, high = load4(memory, fractions), load4(memory, weights), load4(memory, weights + N4)
    a0, a1, a2 = load4(scratch, a), load4(scratch, a + N4), load4(scratch, a + 2 * N4)
    fraction, low, high = moved_weights(fraction, low, high, a0, a1, a2, down)
    store4(memory, fractions, fraction)
    store4(memory, weights, low)
    store4(memory, weights + N4, high)


@njit
def learn_cluster(sizes, params, memory, wires, scratch, k, up, actor, critic, now, k0, k1):
    """Move the weights of a cluster's words, by the step and the chance of the actor's outputs and of the critic's."""
    rows, a, blocks, own = sizes[BLOCK], sizes[A], sizes[BLOCKS], sizes[OWN] + B * sizes[BLOCKS] * k
    for block in range(blocks):
        if unseen(sizes, params, memory, wires, block):
            continue
        mine = load(wires, own + B * block)
        for output in range(a + 1):
            turn, at = output % LANES, blocks * output + block
            weights, traces = sizes[WEIGHTS] + 8 * B * at, sizes[TRACES] + T5 * at
            fractions = sizes[FRACTIONS] + N4 * at
            if turn == 0:
                draw(scratch, rows, 0, 3, first_word(sizes, output, block), now, U(Stream.PLASTICITY), k0, k1)
            # two calls, so that what depends on a chance is worked out once
            if output < a and actor[1] > 0:
                learn_block(memory, scratch, rows, weights, fractions, traces, mine, turn, up, actor)
            if output == a and critic[1] > 0:
                learn_block(memory, scratch, rows, weights, fractions, traces, mine, turn, up, critic)


@njit
def learn(sizes, params, memory, wires, scratch, drives, reward, now, k0, k1):
    """Broadcast each cluster's dopamine to its words; returns that of the first."""
    a, first = sizes[A], np.int64(0)
    for k in range(sizes[K]):
        dopamine = dopamine_of(params, reward, drives[a + k], memory, sizes, k)
        r = philox(U(k), now, U(0), U(Stream.SCALAR), k0, k1)
        age, bits = option(params, k, Param.RATE_AGE), np.int64(option(params, k, Param.FRACTION_BITS))
        critic = step_and_chance(
            min(abs(dopamine), spec.DOPAMINE_LIMIT), anneal(option(params, k, Param.CRITIC_RATE), age, now), r[0], bits
        )
        size = actor_size(params, k, dopamine, np.int32(memory[sizes[SURPRISE] + k]))
        actor = step_and_chance(size, anneal(option(params, k, Param.ACTOR_RATE), age, now), r[1], bits)
        if max(actor[1], critic[1]) > 0:
            learn_cluster(sizes, params, memory, wires, scratch, k, dopamine > 0, actor, critic, now, k0, k1)
        if k == 0:
            first = dopamine
    return first


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
        if unseen(sizes, params, memory, wires, block):
            continue
        seen = wires[sizes[KIND] + block] & option(params, 0, Param.READS)
        mine, counts = load(wires, own + B * block), sizes[COUNTS] + 4 * B * block if seen else sizes[SILENCE]
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
