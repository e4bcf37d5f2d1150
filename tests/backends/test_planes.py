"""Numba's arithmetic on bit planes against plain integers, over all digits there are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from hebbit.backends import numba_planes as planes
from hebbit.backends import numba_rows
from hebbit.backends.numba_layout import (
    B,
    Size,
    carried_columns,
    columns,
    from_blocks,
    layout,
    source_columns,
    to_blocks,
)
from hebbit.backends.numba_learning import moved_weights
from hebbit.backends.numba_planes import load4
from hebbit.backends.numba_pool import fires, loudness
from hebbit.backends.planes import pack, unpack
from hebbit.backends.spec import BrainConfig

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]
rows: Any = numba_rows
"""To a type checker an intrinsic is the function that compiles it."""


def pairs(first: int, second: int) -> tuple[I32, I32]:
    """All pairs of numbers below two sizes, 32 to a word: int32 [words, 32] each."""
    one, other = np.divmod(np.arange(first * second, dtype=np.int32), second)
    return one.reshape(-1, 32), other.reshape(-1, 32)


def block(values: I32, count: int = 4) -> U32:
    """The planes of up to 16 words as the kernels keep them."""
    return to_blocks(pack(values, count), np.arange(len(values)), 1).ravel()


def numbers(found: U32, words: int) -> I32:
    """What such planes stand for."""
    return unpack(from_blocks(found.reshape(1, -1, B), np.arange(words)))


@njit
def into(found: Any, planes_found: Any) -> None:
    for i in range(len(planes_found)):
        rows.store(rows.pointer(found), B * i, planes_found[i])


@njit
def of_two(function: Any, x: Any, y: Any, found: Any, *more: Any) -> None:
    into(found, function(load4(rows.pointer(x), 0), load4(rows.pointer(y), 0), *more))


def mapped(function: Callable[..., Any], x: I32, y: I32, count: int, *more: Any) -> I32:
    """A compiled function of two four-bit numbers (and scalars) that returns so many planes."""
    found = np.zeros(count * B, np.uint32)
    of_two(njit(function), block(x), block(y), found, *more)
    return numbers(found, len(x))


def test_pack_and_unpack() -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 32)).astype(np.int32)
    packed = pack(values, 8)
    assert packed.shape == (2, 3, 8, 5) and packed.dtype == np.uint32
    assert np.array_equal(unpack(packed), values)
    lane_3 = (np.arange(32) == 3)[None].astype(np.int32)
    assert pack(5 * lane_3, 4).tolist() == [[8], [0], [8], [0]]


@pytest.mark.parametrize(("sensory", "pool", "learning", "echo"), [(1, 0, 0, 0), (16, 16, 16, 1), (17, 33, 17, 18)])
def test_blocks_hold_every_word_once(sensory: int, pool: int, learning: int, echo: int) -> None:
    config = BrainConfig(sensory, pool, (1,), learning_words=learning, echo_pool=echo, learning_pool=True)
    sizes = layout(config)
    for place, size, words in (
        (columns(config), Size.BLOCKS, (sensory + echo, pool, learning)),
        (source_columns(config), Size.SOURCE_BLOCKS, (sensory + echo, pool)),
        (carried_columns(config), Size.CARRIED_BLOCKS, (pool, echo, learning)),
    ):
        blocks = sum(-(-number // B) for number in words)
        assert sizes[size] == blocks
        values = np.random.default_rng(1).integers(0, 2**32, (2, 5, sum(words)), dtype=np.uint32)
        laid = to_blocks(values, place, blocks)
        assert laid.shape == (2, blocks, 5, B)
        assert np.array_equal(from_blocks(laid, place), values)
        assert np.count_nonzero(laid) == np.count_nonzero(values), "padding is zero"


PARTS = [(Size.EXCITEMENT, Size.MEMORY), (Size.THRESHOLD, Size.WIRES), (Size.NUMBERS, Size.G)]


@pytest.mark.parametrize("parts", PARTS)
def test_parts_of_a_row_follow_one_another(parts: tuple[Size, Size]) -> None:
    config = BrainConfig(2, 3, (2,), learning_words=1, echo_delay=1)
    starts = layout(config)[parts[0] : parts[1]]
    assert starts[0] == 0 and (np.diff(starts) > 0).all()


def test_add_saturating() -> None:
    x, y = pairs(16, 16)
    assert np.array_equal(mapped(lambda x, y: planes.add_saturating(x, y), x, y, 4), np.minimum(15, x + y))


def test_subtract() -> None:
    def difference(x: Any, y: Any) -> Any:
        found, borrow = planes.subtract(x, y)
        return (*found, borrow)

    x, y = pairs(16, 16)
    assert np.array_equal(mapped(difference, x, y, 5), (x - y) % 16 + 16 * (x < y))


def test_larger() -> None:
    x, y = pairs(16, 16)
    assert np.array_equal(mapped(lambda x, y: planes.larger(x, y), x, y, 4), np.maximum(x, y))


def test_negate() -> None:
    x, where = pairs(16, 2)
    assert np.array_equal(mapped(lambda x, y: planes.negate(x, y[0]), x, where, 4), np.where(where == 1, -x % 16, x))


@pytest.mark.parametrize("shift", range(4))
def test_lose(shift: int) -> None:
    x, r = pairs(16, 16)
    lost = (x + r % 8 % 2**shift) // 2**shift

    def lose(x: Any, r: Any, shift: Any) -> Any:
        return planes.lose(x, r[0:3], shift, r[3])

    assert np.array_equal(mapped(lose, x, r, 4, shift), x - np.where(r >= 8, lost, 0))


@pytest.mark.parametrize("share", range(16))
def test_share_of(share: int) -> None:
    n, r = pairs(16, 16)
    found = mapped(lambda n, r, share: planes.share_of(n, r, share), n, r, 4, share)
    assert np.array_equal(found, (n * share + r) // 16)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("before", [-1, 1])
def test_add_signed(sign: int, before: int) -> None:
    def add_signed(e: Any, gain: Any, sign: Any, negative: Any) -> Any:
        found, minus = planes.add_signed(
            e, planes.mask(sign) & (e[0] | e[1] | e[2] | e[3]), gain, planes.mask(negative)
        )
        return (*found, minus)

    size, gain = pairs(16, 16)
    expected = np.clip(before * size + sign * gain, -15, 15)
    found = mapped(add_signed, size, gain, 5, before < 0, sign < 0)
    assert np.array_equal(found, np.abs(expected) + 16 * (expected < 0)), "zero has no sign"


@pytest.mark.parametrize("chance", [0, 1, 2, 127, 128, 200, 255, 256])
def test_chance_of_256(chance: int) -> None:
    number = np.arange(256, dtype=np.int32).reshape(-1, 32)

    def wins(low: Any, high: Any, chance: Any) -> Any:
        return (planes.wins(low, high, planes.digits(chance)),)

    assert np.array_equal(mapped(wins, number % 16, number // 16, 1, chance), number < chance)


@pytest.mark.parametrize("cycles", range(1, 16))
def test_loudness_is_the_intensity_of_an_echo(cycles: int) -> None:
    def loud(n: Any, _: Any, cycles: Any) -> Any:
        return loudness(n, cycles)

    counts = np.arange(32, dtype=np.int32)[None] % (cycles + 1)
    found = mapped(loud, counts, counts, 4, cycles)
    assert found.tolist() == [[min(15, 16 * n // cycles) for n in counts[0].tolist()]]


def test_fires() -> None:
    def fires_at(x: Any, noise: Any, threshold: Any) -> Any:
        return (fires(x, noise, rows.spread(threshold)),)

    x, noise = pairs(16, 16)
    for threshold in range(1, 32):
        assert np.array_equal(mapped(fires_at, x, noise, 1, threshold), x + noise >= threshold)


def signed(weights: I32) -> I32:
    return weights - 256 * (weights > 127)


@pytest.mark.parametrize("k", range(11))
@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("fraction", [0, 1, 7, 15])
def test_moved_weights(k: int, down: bool, fraction: int) -> None:
    """In sixteenths: the fraction first, then the eight digits of the weight."""

    def moved(low: Any, high: Any, fraction: Any, moves: Any, down: Any, k: Any) -> Any:
        sixteenths, some, a = planes.digits4(rows.spread(fraction), 0), rows.spread(moves), planes.digits(1 << k)
        a0 = a[0] & some, a[1] & some, a[2] & some, a[3] & some
        a1 = a[4] & some, a[5] & some, a[6] & some, a[7] & some
        a2 = a[8] & some, a[9] & some, a[10] & some, a[11] & some
        found = moved_weights(sixteenths, low, high, a0, a1, a2, planes.mask(down))
        return found[0] + found[1] + found[2]

    weights = np.arange(256, dtype=np.int32).reshape(-1, 32)
    moves = 0xF0F0A5A5
    found = mapped(moved, weights % 16, weights // 16, 12, np.uint32(fraction), np.uint32(moves), down, k)
    step = (-1 if down else 1) * 2**k * (moves >> np.arange(32) & 1)
    before = 16 * signed(weights) + fraction
    assert np.array_equal(signed(found >> 4) * 16 + (found & 15), np.clip(before + step, -2048, 2047))
