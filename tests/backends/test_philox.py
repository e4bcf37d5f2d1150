"""The random words: Random123's answers, the layout of the counter, and what is made of the words."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import numba_planes
from hebbit.backends.philox import draw, lanes, philox4x32, random_number, scaled

VECTORS = Path(__file__).parents[1] / "vectors" / "philox4x32-10.txt"


def known_answers() -> list[list[int]]:
    lines = [line for line in VECTORS.read_text().splitlines() if not line.startswith("#")]
    return [[int(word, 16) for word in line.split()] for line in lines]


def compiled(counter: NDArray[np.uint32], key: tuple[int, int]) -> list[int]:
    """Numba's Philox of one counter."""
    arguments: list[Any] = [*counter, np.uint32(key[0]), np.uint32(key[1])]
    return [int(word) for word in numba_planes.philox(*arguments)]


def test_all_known_answers_are_there() -> None:
    assert [len(words) for words in known_answers()] == [10, 10, 10]


@pytest.mark.parametrize("words", known_answers())
def test_known_answers(words: list[int]) -> None:
    counter, key, answer = np.array(words[:4], np.uint32), (words[4], words[5]), words[6:]
    assert philox4x32(counter, key).tolist() == answer
    assert compiled(counter, key) == answer


def test_both_implementations_agree() -> None:
    rng = np.random.default_rng(0)
    counters = rng.integers(0, 2**32, (300, 4), dtype=np.uint32)
    for counter in counters:
        key = (int(rng.integers(2**32)), int(rng.integers(2**32)))
        assert compiled(counter, key) == philox4x32(counter, key).tolist()


def test_many_counters_at_once_are_each_alone() -> None:
    counters = np.random.default_rng(1).integers(0, 2**32, (3, 5, 4), dtype=np.uint32)
    together = philox4x32(counters, (7, 8))
    assert together.shape == (3, 5, 4) and together.dtype == np.uint32
    alone = [[philox4x32(counter, (7, 8)) for counter in row] for row in counters]
    assert np.array_equal(together, np.array(alone))


def test_the_counter_is_word_presentation_cycle_and_draw_stream() -> None:
    words = np.array([3, 2**32 - 1], np.uint32)
    expected = [philox4x32(np.array([word, 5, 6 << 16 | 7, 8], np.uint32), (1, 2)) for word in words]
    assert np.array_equal(draw(words, 5, 6, 7, 8, (1, 2)), np.array(expected))
    assert np.array_equal(draw(words, 5 + 2**32, 6, 7, 8, (1, 2)), np.array(expected)), "presentations wrap"


def test_lane_0_is_the_lowest_bit() -> None:
    word = np.array([0x80000001, 0b110], np.uint32)
    assert np.flatnonzero(lanes(word)[0]).tolist() == [0, 31]
    assert np.flatnonzero(lanes(word)[1]).tolist() == [1, 2]


@pytest.mark.parametrize("planes", [range(4), range(4, 16), range(24, 27), range(6, 10)])
def test_plane_4_d_plus_i_is_word_i_of_draw_d(planes: range) -> None:
    words = np.array([0, 9], np.uint32)
    number = random_number(words, 1, 2, planes, 3, (4, 5))
    for lane in (0, 13, 31):
        bits = [draw(words, 1, 2, plane // 4, 3, (4, 5))[:, plane % 4] >> np.uint32(lane) & 1 for plane in planes]
        assert number[:, lane].tolist() == [sum(int(bit[w]) << i for i, bit in enumerate(bits)) for w in range(2)]


@pytest.mark.parametrize("turn", [1, 2, 15, 31])
def test_turns_by_hand(turn: int) -> None:
    """At turn t, lane j takes the bit of plane p that lane j - t (2 p + 1) has at turn 0."""
    words = np.array([7, 8], np.uint32)
    for plane in range(28):
        straight, turned = (random_number(words, 1, 0, range(plane, plane + 1), 3, (4, 5), t) for t in (0, turn))
        for lane in range(32):
            assert np.array_equal(turned[:, lane], straight[:, (lane - turn * (2 * plane + 1)) % 32])
    whole = random_number(words, 1, 0, range(4, 12), 3, (4, 5), turn)
    planes = [random_number(words, 1, 0, range(p, p + 1), 3, (4, 5), turn) for p in range(4, 12)]
    assert np.array_equal(whole, np.sum([plane << i for i, plane in enumerate(planes)], axis=0))


def test_no_two_turns_of_a_lane_share_a_bit() -> None:
    for plane in range(28):
        for lane in range(32):
            assert len({(lane - turn * (2 * plane + 1)) % 32 for turn in range(32)}) == 32


@pytest.mark.parametrize("planes", [range(8), range(4, 16), range(16, 24), range(20, 28)])
def test_numbers_of_two_lanes_share_few_bits(planes: range) -> None:
    """At turns an odd number apart none, one or two, and never more than half of them if less than 16 apart."""
    for apart in range(1, 16):
        steps = Counter(apart * (2 * plane + 1) % 32 for plane in planes)
        assert max(steps.values()) <= (2 if apart % 2 else len(planes) // 2)


@pytest.mark.parametrize("planes", [range(4), range(4, 16), range(16, 24)])
def test_numbers_of_every_turn_are_uniform_and_independent_of_the_others(planes: range) -> None:
    words, top = np.arange(4000, dtype=np.uint32), 2 ** len(planes)
    numbers = np.stack([random_number(words, 3, 0, planes, 4, (1, 2), turn) for turn in range(0, 32, 5)])
    standard = (numbers - (top - 1) / 2) / np.sqrt((top**2 - 1) / 12)
    bound = 5 / np.sqrt(standard[0].size)
    assert (np.abs(standard.mean(axis=(1, 2))) < bound).all()
    assert (np.abs((standard**2).mean(axis=(1, 2)) - 1) < bound).all()
    for one, other in combinations(standard, 2):
        assert abs((one * other).mean()) < bound


def test_no_words_have_no_numbers() -> None:
    assert random_number(np.zeros(0, np.uint32), 0, 0, range(8), 1, (0, 0)).shape == (0, 32)


@pytest.mark.parametrize("size", [1, 3, 32, 4096])
def test_scaled_splits_all_words_evenly(size: int) -> None:
    edges = [-(-(i << 32) // size) for i in range(size)]
    assert [scaled(edge, size) for edge in edges] == list(range(size))
    assert [scaled(edge - 1, size) for edge in edges[1:]] == list(range(size - 1))
    assert scaled(2**32 - 1, size) == size - 1
    assert numba_planes.scaled(np.uint32(2**32 - 1), size) == size - 1
