"""Arithmetic on bit planes: 32 neurons at once, compiled by Numba.

A *plane* is a uint32 whose bit j is one binary digit of neuron j. Names follow :mod:`hebbit.backends.equations`,
whose equations these functions keep.
"""

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from hebbit.backends import philox as reference

U = np.uint32
ALL = np.uint32(0xFFFFFFFF)
M0, M1 = np.uint64(reference.MULTIPLIER_0), np.uint64(reference.MULTIPLIER_1)
W0, W1 = np.uint32(reference.WEYL_0), np.uint32(reference.WEYL_1)
HALF, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


@njit(forceinline=True)
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of one counter: four words.

    They stay in 64 bits, with whatever a product leaves above them: what SIMD multiplies needs no shuffling then.
    """
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
def mask(condition):
    """All ones if the condition holds."""
    return ALL if condition else U(0)


@njit(forceinline=True)
def digit(number, bit):
    """All ones if that binary digit of a scalar is set."""
    return U(0) - U((number >> bit) & 1)


@njit(forceinline=True)
def below(r, m, lt):
    """One digit of the comparison r < m, least significant first."""
    return U((~r & m) | (~(r ^ m) & lt))


@njit(forceinline=True)
def below4(r, m0, m1, m2, m3, lt):
    """Four digits of r < m with the four words of one draw."""
    lt = below(r[0], m0, lt)
    lt = below(r[1], m1, lt)
    lt = below(r[2], m2, lt)
    return below(r[3], m3, lt)


@njit(forceinline=True)
def digits(number):
    """Twelve binary digits of a scalar as masks."""
    return (
        digit(number, 0), digit(number, 1), digit(number, 2), digit(number, 3), digit(number, 4), digit(number, 5),
        digit(number, 6), digit(number, 7), digit(number, 8), digit(number, 9), digit(number, 10), digit(number, 11),
    )  # fmt: skip


@njit(forceinline=True)
def chance_planes(index, now, at, who, k0, k1, number):
    """Lanes that win a chance of 256, given as its digits, from the planes of draws ``at`` and ``at + 1``."""
    r = philox(index, now, at, who, k0, k1)
    lt = below4(r, number[0], number[1], number[2], number[3], U(0))
    r = philox(index, now, U(at + U(1)), who, k0, k1)
    return U(below4(r, number[4], number[5], number[6], number[7], lt) | number[8])


@njit(forceinline=True)
def within(lanes, new, old):
    """The new bits in some lanes, the old ones elsewhere."""
    return U(old ^ ((old ^ new) & lanes))


@njit(forceinline=True)
def rotate(word, by):
    """Lane j takes lane j - by."""
    return U((word << U(by)) | (word >> U((32 - by) & 31)))


@njit(forceinline=True)
def permute(word, x0, x1, x2, x3, x4):
    """Lane j takes lane j XOR x; the digits of x as masks."""
    t = U(((word >> U(1)) & U(0x55555555)) | ((word & U(0x55555555)) << U(1)))
    word = U(word ^ ((word ^ t) & x0))
    t = U(((word >> U(2)) & U(0x33333333)) | ((word & U(0x33333333)) << U(2)))
    word = U(word ^ ((word ^ t) & x1))
    t = U(((word >> U(4)) & U(0x0F0F0F0F)) | ((word & U(0x0F0F0F0F)) << U(4)))
    word = U(word ^ ((word ^ t) & x2))
    t = U(((word >> U(8)) & U(0x00FF00FF)) | ((word & U(0x00FF00FF)) << U(8)))
    word = U(word ^ ((word ^ t) & x3))
    t = U((word >> U(16)) | (word << U(16)))
    return U(word ^ ((word ^ t) & x4))


@njit(forceinline=True)
def majority(a, b, c):
    """Carry of a full adder."""
    return U((a & b) | (c & (a ^ b)))


@njit(forceinline=True)
def add_saturating(x, y):
    """Four-bit sums of planes, at most 15."""
    c = U(x[0] & y[0])
    s0 = U(x[0] ^ y[0])
    s1 = U(x[1] ^ y[1] ^ c)
    c = majority(x[1], y[1], c)
    s2 = U(x[2] ^ y[2] ^ c)
    c = majority(x[2], y[2], c)
    s3 = U(x[3] ^ y[3] ^ c)
    c = majority(x[3], y[3], c)
    return U(s0 | c), U(s1 | c), U(s2 | c), U(s3 | c)


@njit(forceinline=True)
def subtract(x, y):
    """Four-bit differences modulo 16, and the lanes that borrowed (x < y)."""
    d0 = U(x[0] ^ y[0])
    b = U(~x[0] & y[0])
    d1 = U(x[1] ^ y[1] ^ b)
    b = U((~x[1] & (y[1] | b)) | (y[1] & b))
    d2 = U(x[2] ^ y[2] ^ b)
    b = U((~x[2] & (y[2] | b)) | (y[2] & b))
    d3 = U(x[3] ^ y[3] ^ b)
    b = U((~x[3] & (y[3] | b)) | (y[3] & b))
    return (d0, d1, d2, d3), b


@njit(forceinline=True)
def negate(x, where):
    """Four-bit complement of two in the lanes of ``where``."""
    n0 = x[0]
    c = U(where & ~x[0])
    n1 = U(x[1] ^ (where & ~c))
    c = U(c & ~x[1])
    n2 = U(x[2] ^ (where & ~c))
    c = U(c & ~x[2])
    n3 = U(x[3] ^ (where & ~c))
    return n0, n1, n2, n3


@njit(forceinline=True)
def lose(x, r0, r1, r2, shift, lanes):
    """Decay by chance in ``lanes``: x minus (x + r mod 2**shift) >> shift; shift 0..3 is a scalar."""
    s1, s2, s3 = mask(shift >= 1), mask(shift >= 2), mask(shift >= 3)
    a0, a1, a2 = U(r0 & s1), U(r1 & s2), U(r2 & s3)
    c = U(x[0] & a0)
    t0 = U(x[0] ^ a0)
    t1 = U(x[1] ^ a1 ^ c)
    c = majority(x[1], a1, c)
    t2 = U(x[2] ^ a2 ^ c)
    c = majority(x[2], a2, c)
    t3 = U(x[3] ^ c)
    t4 = U(x[3] & c)
    e0, e1, e2, e3 = mask(shift == 0), mask(shift == 1), mask(shift == 2), s3
    l0 = U(((t0 & e0) | (t1 & e1) | (t2 & e2) | (t3 & e3)) & lanes)
    l1 = U(((t1 & e0) | (t2 & e1) | (t3 & e2) | (t4 & e3)) & lanes)
    l2 = U(((t2 & e0) | (t3 & e1) | (t4 & e2)) & lanes)
    l3 = U(((t3 & e0) | (t4 & e1)) & lanes)
    return subtract(x, (l0, l1, l2, l3))[0]


@njit(forceinline=True)
def share_of(n, r, f):
    """(n f + r) >> 4 for four-bit n and r and a scalar f of 0..16, by a serial multiplier."""
    f0, f1, f2, f3, f4 = digit(f, 0), digit(f, 1), digit(f, 2), digit(f, 3), digit(f, 4)
    a1, a2, a3, a4 = add5(r[0], r[1], r[2], r[3], n, f0)
    a2, a3, a4, a5 = add5(a1, a2, a3, a4, n, f1)
    a3, a4, a5, a6 = add5(a2, a3, a4, a5, n, f2)
    a4, a5, a6, a7 = add5(a3, a4, a5, a6, n, f3)
    return U(a4 | (n[0] & f4)), U(a5 | (n[1] & f4)), U(a6 | (n[2] & f4)), U(a7 | (n[3] & f4))


@njit(forceinline=True)
def add5(a0, a1, a2, a3, n, f):
    """Digits 1 to 4 of a + (n & f); digit 0 is of no further use."""
    n0, n1, n2, n3 = U(n[0] & f), U(n[1] & f), U(n[2] & f), U(n[3] & f)
    c = U(a0 & n0)
    b1 = U(a1 ^ n1 ^ c)
    c = majority(a1, n1, c)
    b2 = U(a2 ^ n2 ^ c)
    c = majority(a2, n2, c)
    b3 = U(a3 ^ n3 ^ c)
    return b1, b2, b3, majority(a3, n3, c)


@njit(forceinline=True)
def add_signed(e, sign, gain, negative):
    """Sign-magnitude traces plus a gain of one sign (``negative``: all ones or none), saturating at 15."""
    up = add_saturating(e, gain)
    down, borrow = subtract(e, gain)
    down = negate(down, borrow)
    other = U(sign ^ negative)
    m0 = U((up[0] & ~other) | (down[0] & other))
    m1 = U((up[1] & ~other) | (down[1] & other))
    m2 = U((up[2] & ~other) | (down[2] & other))
    m3 = U((up[3] & ~other) | (down[3] & other))
    flipped = U((sign & ~(other & borrow)) | (negative & other & borrow))
    return (m0, m1, m2, m3), U(flipped & (m0 | m1 | m2 | m3))


@njit(forceinline=True)
def larger(e, gain):
    """Lane-wise maximum of four-bit numbers."""
    less = subtract(e, gain)[1]
    return (
        U(e[0] ^ ((e[0] ^ gain[0]) & less)),
        U(e[1] ^ ((e[1] ^ gain[1]) & less)),
        U(e[2] ^ ((e[2] ^ gain[2]) & less)),
        U(e[3] ^ ((e[3] ^ gain[3]) & less)),
    )


@intrinsic
def popcount(typingctx, word):
    """Number of set bits (LLVM's ctpop)."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint32(types.uint32), codegen
