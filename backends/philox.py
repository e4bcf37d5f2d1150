"""Philox4x32-10, the counter-based generator behind every random bit (Salmon et al., SC 2011).

Nobody ever advances a generator: a random word is a pure function of *who* asks (word, stream), *when* (presentation,
cycle) and *for what* (draw), under the key (seed, brain). Any order of evaluation therefore gives the same bits.
The 64-bit key and 128-bit counter are laid out in :func:`draw`; the known answers of Random123 are the test.
"""

import numpy as np
from numpy.typing import NDArray

MULTIPLIER_0 = 0xD2511F53
MULTIPLIER_1 = 0xCD9E8D57
WEYL_0 = 0x9E3779B9
WEYL_1 = 0xBB67AE85
ROUNDS = 10
LANES = 32

U32 = NDArray[np.uint32]
_LOW = np.uint64(0xFFFFFFFF)


def philox4x32(counter: U32, key: tuple[int, int]) -> U32:
    """Ten rounds of Philox4x32 over an array of counters.

    Args:
        counter: uint32 [..., 4].
        key: two integers of 32 bits.

    Returns:
        uint32 [..., 4], the random words of each counter.
    """
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(MULTIPLIER_0), c2 * np.uint64(MULTIPLIER_1)
        c0 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0)
        c2 = (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & _LOW, p0 & _LOW
        k0, k1 = (k0 + WEYL_0) & 0xFFFFFFFF, (k1 + WEYL_1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def draws(words: U32, presentation: int, cycle: int, numbers: range, stream: int, key: tuple[int, int]) -> U32:
    """The four random words that each of ``words`` gets for each of some draws: uint32 [len(numbers), len(words), 4].

    The counter is (word, presentation, cycle << 16 | number, stream).
    """
    counter = np.zeros((len(numbers), len(words), 4), np.uint32)
    counter[:, :, 0] = words
    counter[:, :, 1] = presentation & 0xFFFFFFFF
    counter[:, :, 2] = (cycle << 16 | np.array(numbers, np.uint32))[:, None]
    counter[:, :, 3] = stream
    return philox4x32(counter, key)


def draw(words: U32, presentation: int, cycle: int, number: int, stream: int, key: tuple[int, int]) -> U32:
    """The four random words that each of ``words`` gets for one draw: uint32 [len(words), 4]."""
    one: U32 = draws(words, presentation, cycle, range(number, number + 1), stream, key)[0]
    return one


def lanes(word: U32) -> NDArray[np.uint8]:
    """Bits of 32-bit words, lane 0 first: uint8 [..., 32]."""
    shifted = word[..., None] >> np.arange(LANES, dtype=np.uint32)
    return (shifted & np.uint32(1)).astype(np.uint8)


def random_number(
    words: U32, presentation: int, cycle: int, planes: range, stream: int, key: tuple[int, int], turn: int = 0
) -> NDArray[np.int32]:
    """One uniform number of ``len(planes)`` bits per lane: int32 [len(words), 32].

    Plane ``4 d + i`` is word ``i`` of draw ``d``; the first plane is the least significant bit. A chance of
    m / 2**len(planes) is the comparison ``random_number < m``.

    One draw serves up to 32 uses: at turn ``t``, lane j takes its bit of plane p from lane j - t (2 p + 1) of the drawn
    word. As that factor is odd, the numbers of one lane at different turns never share a bit; those of different lanes
    may, all of their bits only 16 turns apart.
    """
    first = planes.start // 4
    random_words = draws(words, presentation, cycle, range(first, (planes.stop + 3) // 4), stream, key)
    total = np.zeros((len(words), LANES), np.int32)
    for bit, plane in enumerate(planes):
        drawn = lanes(random_words[plane // 4 - first, :, plane % 4]).astype(np.int32)
        total += np.roll(drawn, turn * (2 * plane + 1), axis=-1) << bit
    return total


def scaled(random_word: U32 | np.uint32 | int, size: int) -> NDArray[np.int64]:
    """Uniform integers in 0..size-1 from random words by multiply-shift (bias below size / 2**32)."""
    high = np.asarray(random_word, np.uint64) * np.uint64(size) >> np.uint64(32)
    return np.asarray(high, np.int64)
