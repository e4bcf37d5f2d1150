"""Arithmetic on bit planes, compiled by Numba: sixteen words of 32 neurons at once.

A *plane* is a uint32 whose bit j is one binary digit of neuron j; a *row* is 16 planes side by side. Names follow
:mod:`hebbit.backends.equations`, whose equations these functions keep.
"""

import numpy as np
from numba import njit

from hebbit.backends import philox as reference
from hebbit.backends.numba_layout import B
from hebbit.backends.numba_rows import ascending, load, philox_row, rotated, spread, store

U = np.uint32
ALL = np.uint32(0xFFFFFFFF)
M0, M1 = np.uint64(reference.MULTIPLIER_0), np.uint64(reference.MULTIPLIER_1)
W0, W1 = np.uint32(reference.WEYL_0), np.uint32(reference.WEYL_1)
HALF, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


@njit(forceinline=True)
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of one counter: four words."""
    c0, c1, c2, c3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    for _ in range(10):
        p0 = np.uint64(c0 & LOW) * M0
        p1 = np.uint64(c2 & LOW) * M1
        c0 = np.uint64((p1 >> HALF) ^ c1 ^ np.uint64(k0))
        c1 = p1
        c2 = np.uint64((p0 >> HALF) ^ c3 ^ np.uint64(k1))
        c3 = p0
        k0 = U(k0 + W0)
        k1 = U(k1 + W1)
    return U(c0), U(c1), U(c2), U(c3)


@njit(forceinline=True)
def scaled(word, size):
    """A uniform integer below ``size`` by multiply-shift."""
    return np.int64(np.uint64(word) * np.uint64(size) >> HALF)


@njit(forceinline=True)
def load4(start, at):
    """Four rows, one after the other."""
    return load(start, at), load(start, at + B), load(start, at + 2 * B), load(start, at + 3 * B)


@njit(forceinline=True)
def store4(start, at, x):
    """Write four rows."""
    store(start, at, x[0])
    store(start, at + B, x[1])
    store(start, at + 2 * B, x[2])
    store(start, at + 3 * B, x[3])


@njit(forceinline=True)
def draw(scratch, rows, start, stop, first, now, stream, k0, k1):
    """Some draws of the 16 words that follow ``first``: plane p goes to row p.

    What pads a block draws words, too, that nobody looks at.
    """
    words = ascending() + first
    for number in range(start, stop):
        store4(scratch, rows + 4 * B * number, philox_row(words, now, spread(number), stream, k0, k1))


@njit(forceinline=True)
def drawn(scratch, rows, plane, turn):
    """A random plane of :func:`draw` at a turn, see philox.random_number."""
    return rotated(load(scratch, rows + B * plane), turn * (2 * plane + 1) & 31)


@njit(forceinline=True)
def drawn4(scratch, rows, plane, turn):
    """Four random planes."""
    return (
        drawn(scratch, rows, plane, turn),
        drawn(scratch, rows, plane + 1, turn),
        drawn(scratch, rows, plane + 2, turn),
        drawn(scratch, rows, plane + 3, turn),
    )


@njit(forceinline=True)
def mask(condition):
    """A row of ones if the condition holds, else of zeros."""
    return spread(ALL if condition else U(0))


@njit(forceinline=True)
def digit(numbers, at):
    """A binary digit of each word: ones in all lanes if it is set."""
    return ((numbers >> at) & 1) * ALL


@njit(forceinline=True)
def digits4(numbers, at):
    """Four binary digits."""
    return digit(numbers, at), digit(numbers, at + 1), digit(numbers, at + 2), digit(numbers, at + 3)


@njit(forceinline=True)
def digits(number):
    """Twelve binary digits of a scalar."""
    numbers = spread(number)
    return digits4(numbers, 0) + digits4(numbers, 4) + digits4(numbers, 8)


@njit(forceinline=True)
def within(lanes, new, old):
    """The new bits in some lanes, the old ones elsewhere."""
    return old ^ ((old ^ new) & lanes)


@njit(forceinline=True)
def below(r, m, lt):
    """One digit of the comparison r < m, least significant first: where they differ, it is for m to say."""
    return within(r ^ m, m, lt)


@njit(forceinline=True)
def below4(r, m, lt):
    """Four digits of r < m."""
    return below(r[3], m[3], below(r[2], m[2], below(r[1], m[1], below(r[0], m[0], lt))))


@njit(forceinline=True)
def wins(low, high, chance):
    """Lanes that win a chance of 256, given as its digits, by the eight planes of a random number."""
    return below4(high, chance[4:8], below4(low, chance[0:4], mask(False))) | chance[8]


@njit(forceinline=True)
def majority(a, b, c):
    """Carry of a full adder."""
    return (a & b) | (c & (a ^ b))


@njit(forceinline=True)
def add_saturating(x, y):
    """Four-bit sums, at most 15."""
    c = x[0] & y[0]
    s0 = x[0] ^ y[0]
    s1 = x[1] ^ y[1] ^ c
    c = majority(x[1], y[1], c)
    s2 = x[2] ^ y[2] ^ c
    c = majority(x[2], y[2], c)
    s3 = x[3] ^ y[3] ^ c
    c = majority(x[3], y[3], c)
    return s0 | c, s1 | c, s2 | c, s3 | c


@njit(forceinline=True)
def subtract(x, y):
    """Four-bit differences modulo 16, and the lanes that borrowed (x < y)."""
    d0 = x[0] ^ y[0]
    b = ~x[0] & y[0]
    d1 = x[1] ^ y[1] ^ b
    b = majority(~x[1], y[1], b)
    d2 = x[2] ^ y[2] ^ b
    b = majority(~x[2], y[2], b)
    d3 = x[3] ^ y[3] ^ b
    b = majority(~x[3], y[3], b)
    return (d0, d1, d2, d3), b


@njit(forceinline=True)
def negate(x, where):
    """Four-bit complement of two in the lanes of ``where``."""
    n0 = x[0]
    c = where & ~x[0]
    n1 = x[1] ^ (where & ~c)
    c = c & ~x[1]
    n2 = x[2] ^ (where & ~c)
    c = c & ~x[2]
    n3 = x[3] ^ (where & ~c)
    return n0, n1, n2, n3


@njit(forceinline=True)
def lose(x, r, shift, lanes):
    """Decay by chance in ``lanes``: x minus (x + r mod 2**shift) >> shift, for a scalar shift of 0..3.

    The loss is x >> shift, plus the carry of the digits that are shifted away.
    """
    if shift == 0:
        return x[0] & ~lanes, x[1] & ~lanes, x[2] & ~lanes, x[3] & ~lanes
    c, none = x[0] & r[0], mask(False)
    if shift == 1:
        d = x[1] & c
        e = x[2] & d
        return less(x, (x[1] ^ c, x[2] ^ d, x[3] ^ e, x[3] & e), lanes)
    c = majority(x[1], r[1], c)
    if shift == 2:
        d = x[2] & c
        return less(x, (x[2] ^ c, x[3] ^ d, x[3] & d, none), lanes)
    c = majority(x[2], r[2], c)
    return less(x, (x[3] ^ c, x[3] & c, none, none), lanes)


@njit(forceinline=True)
def less(x, loss, lanes):
    """What a loss in some lanes leaves of x."""
    return subtract(x, (loss[0] & lanes, loss[1] & lanes, loss[2] & lanes, loss[3] & lanes))[0]


@njit(forceinline=True)
def share_of(n, r, f):
    """(n f + r) >> 4 for four-bit n and r and a scalar f of 0..15, by a serial multiplier."""
    a = r
    for _ in range(4):
        if f & 1:
            a = add5(a, n)
        else:
            a = a[1], a[2], a[3], mask(False)
        f >>= 1
    return a


@njit(forceinline=True)
def add5(a, n):
    """Digits 1 to 4 of a + n; digit 0 is of no further use."""
    c = a[0] & n[0]
    b1 = a[1] ^ n[1] ^ c
    c = majority(a[1], n[1], c)
    b2 = a[2] ^ n[2] ^ c
    c = majority(a[2], n[2], c)
    b3 = a[3] ^ n[3] ^ c
    return b1, b2, b3, majority(a[3], n[3], c)


@njit(forceinline=True)
def add_signed(e, sign, gain, negative):
    """Sign-magnitude traces plus a gain of one sign (``negative``: a row of ones or zeros), saturating at 15."""
    up = add_saturating(e, gain)
    down, borrow = subtract(e, gain)
    down = negate(down, borrow)
    other = sign ^ negative
    m0, m1 = within(other, down[0], up[0]), within(other, down[1], up[1])
    m2, m3 = within(other, down[2], up[2]), within(other, down[3], up[3])
    flipped = (sign & ~(other & borrow)) | (negative & other & borrow)
    return (m0, m1, m2, m3), flipped & (m0 | m1 | m2 | m3)


@njit(forceinline=True)
def larger(e, gain):
    """Lane-wise maximum of four-bit numbers."""
    lt = below4(e, gain, mask(False))
    e0, e1 = within(lt, gain[0], e[0]), within(lt, gain[1], e[1])
    return e0, e1, within(lt, gain[2], e[2]), within(lt, gain[3], e[3])
