"""Numba's arithmetic on bit planes against plain integers, over all digits there are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import numba_planes as planes
from hebbit.backends.numba_layout import B, columns, from_blocks, layout, to_blocks
from hebbit.backends.numba_learning import move_weight
from hebbit.backends.numba_pool import fires
from hebbit.backends.philox import random_number
from hebbit.backends.planes import pack, unpack
from hebbit.backends.spec import BrainConfig

I32 = NDArray[np.int32]
ALL = np.uint32(0xFFFFFFFF)
NONE = np.uint32(0)


def pairs(first: int, second: int) -> tuple[I32, I32]:
    """All pairs of numbers below two sizes, 32 to a word: int32 [words, 32] each."""
    one, other = np.divmod(np.arange(first * second, dtype=np.int32), second)
    return one.reshape(-1, 32), other.reshape(-1, 32)


def digits(values: I32, count: int = 4) -> list[tuple[Any, ...]]:
    """The planes of each word."""
    return [tuple(word) for word in pack(values, count).T]


def numbers(words: list[tuple[Any, ...]]) -> I32:
    return unpack(np.array(words, np.uint32).T)


def lanes(words: list[Any]) -> I32:
    """The single bits of each word."""
    return numbers([(word,) for word in words])


def masks(number: int) -> tuple[Any, ...]:
    """Twelve digits of a scalar, as the kernels hand them on."""
    return tuple(ALL if number >> bit & 1 else NONE for bit in range(12))


def mapped(function: Callable[..., Any], *operands: I32) -> list[Any]:
    """A function of four-bit planes, word by word."""
    return [function(*planes_of) for planes_of in zip(*map(digits, operands), strict=True)]


def test_pack_and_unpack() -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 32)).astype(np.int32)
    packed = pack(values, 8)
    assert packed.shape == (2, 3, 8, 5) and packed.dtype == np.uint32
    assert np.array_equal(unpack(packed), values)
    lane_3 = (np.arange(32) == 3)[None].astype(np.int32)
    assert pack(5 * lane_3, 4).tolist() == [[8], [0], [8], [0]]


@pytest.mark.parametrize(("sensory", "pool"), [(1, 0), (16, 16), (17, 33)])
def test_blocks_hold_every_word_once(sensory: int, pool: int) -> None:
    config = BrainConfig(sensory, pool, (1,))
    blocks = -(-sensory // B) + -(-pool // B)
    values = np.random.default_rng(1).integers(0, 2**32, (2, 5, sensory + pool), dtype=np.uint32)
    laid = to_blocks(values, columns(config), blocks)
    assert laid.shape == (2, blocks, 5, B)
    assert np.array_equal(from_blocks(laid, columns(config)), values)
    assert np.count_nonzero(laid) == np.count_nonzero(values), "padding is zero"
    assert (np.diff(layout(config)[10:20]) >= 0).all() and layout(config)[9] == blocks


def test_add_saturating() -> None:
    x, y = pairs(16, 16)
    assert np.array_equal(numbers(mapped(planes.add_saturating, x, y)), np.minimum(15, x + y))


def test_subtract() -> None:
    x, y = pairs(16, 16)
    found = mapped(planes.subtract, x, y)
    assert np.array_equal(numbers([difference for difference, _ in found]), (x - y) % 16)
    assert np.array_equal(lanes([borrow for _, borrow in found]), x < y)


def test_larger() -> None:
    x, y = pairs(16, 16)
    assert np.array_equal(numbers(mapped(planes.larger, x, y)), np.maximum(x, y))


@pytest.mark.parametrize("where", [NONE, ALL, np.uint32(0x0F0F3355)])
def test_negate(where: np.uint32) -> None:
    x = pairs(2, 16)[1]
    chosen = lanes([where]) == 1
    assert np.array_equal(numbers([planes.negate(digits(x)[0], where)]), np.where(chosen, -x % 16, x))


@pytest.mark.parametrize("shift", range(4))
def test_lose(shift: int) -> None:
    x, r = pairs(16, 8)
    coins = zip(digits(x), digits(r), strict=True)
    found = [planes.lose(word, r0, r1, r2, shift, ALL) for word, (r0, r1, r2, _) in coins]
    assert np.array_equal(numbers(found), x - (x + r % 2**shift) // 2**shift)
    assert np.array_equal(numbers([planes.lose(word, ALL, ALL, ALL, shift, NONE) for word in digits(x)]), x)


@pytest.mark.parametrize("share", range(17))
def test_share_of(share: int) -> None:
    n, r = pairs(16, 16)
    found = mapped(lambda one, other: planes.share_of(one, other, share), n, r)
    assert np.array_equal(numbers(found), (n * share + r) // 16)


@pytest.mark.parametrize("sign", [-1, 1])
def test_add_signed(sign: int) -> None:
    trace, gain = pairs(32, 16)
    trace = trace - 16
    trace[trace == -16] = 0
    negative = ALL if sign < 0 else NONE
    found = [
        planes.add_signed(magnitude, minus[0], added, negative)
        for magnitude, minus, added in zip(
            digits(np.abs(trace)), digits((trace < 0).astype(np.int32), 1), digits(gain), strict=True
        )
    ]
    magnitudes, signs = numbers([magnitude for magnitude, _ in found]), lanes([minus for _, minus in found])
    expected = np.clip(trace + sign * gain, -15, 15)
    assert np.array_equal(magnitudes, np.abs(expected))
    assert np.array_equal(signs, expected < 0), "zero has no sign"


@pytest.mark.parametrize("chance", [0, 1, 2, 127, 128, 200, 255, 256])
def test_chance_of_256(chance: int) -> None:
    words = np.arange(6, dtype=np.uint32)
    now, at, who, k0, k1 = (np.uint32(number) for number in range(1, 6))
    found = [planes.chance_planes(word, now, at, who, k0, k1, masks(chance)) for word in words]
    assert np.array_equal(lanes(found), random_number(words, 1, 0, range(8, 16), 3, (4, 5)) < chance)


def test_fires() -> None:
    x, noise = pairs(16, 16)
    for threshold in range(1, 32):
        found = mapped(lambda one, other, at=threshold: fires(one, other, at), x, noise)
        assert np.array_equal(lanes(found), x + noise >= threshold)


@pytest.mark.parametrize("k", range(7))
@pytest.mark.parametrize("down", [NONE, ALL])
def test_move_weight(k: int, down: np.uint32) -> None:
    weights = np.arange(-128, 128, dtype=np.int32).reshape(-1, 32)
    moves = np.uint32(0xF0F0A5A5)
    memory = to_blocks(pack(weights, 8), np.arange(8), 1).ravel()
    for word in range(8):
        move_weight(memory, np.uint64(word), moves, down, masks(1 << k))
    step = (1 if down == NONE else -1) * 2**k * lanes([moves])
    found = unpack(from_blocks(memory.reshape(1, 8, B), np.arange(8)))
    assert np.array_equal(found - 256 * (found > 127), np.clip(weights + step, -128, 127))
