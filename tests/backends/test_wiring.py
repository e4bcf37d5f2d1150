"""Statistics of the wiring against theory. A cheap hash passes none of this: one left 91 wirings for 2048 neurons."""

from collections import Counter
from itertools import combinations
from math import comb, log, sqrt
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from hebbit.backends import numba_pool, numba_rows
from hebbit.backends.numba_backend import wire_numbers
from hebbit.backends.numba_layout import WIRE, B
from hebbit.backends.philox import lanes
from hebbit.backends.spec import BrainConfig, Param
from hebbit.backends.wiring import Wiring, echo_sources, source_lane, thresholds, wire

rows: Any = numba_rows
"""To a type checker an intrinsic is the function that compiles it."""

WORDS = 2048
SOURCES = 12
KEY = (2024, 7)
ALPHA = 1e-4
"""Chance that a test of a sound generator would fail, were its seed not fixed."""


def config_of(least: int, most: int, words: int = WORDS, sources: int = SOURCES) -> BrainConfig:
    return BrainConfig(sources, words, (1,), slots_min=least, slots_max=most)


def chi_square_limit(freedom: int) -> float:
    """P(X - k >= 2 sqrt(k t) + 2 t) <= exp(-t) for chi-square with k degrees of freedom (Laurent and Massart 2000)."""
    t = -log(ALPHA)
    return freedom + 2 * sqrt(freedom * t) + 2 * t


def assert_uniform(values: NDArray[np.int32], size: int) -> None:
    found = np.bincount(values, minlength=size)
    assert len(found) == size
    expected = len(values) / size
    assert ((found - expected) ** 2 / expected).sum() < chi_square_limit(size - 1)


@pytest.fixture(scope="module")
def wiring() -> Wiring:
    """2 to 4 of 12 sources for each of 2048 words."""
    return wire(config_of(2, 4), np.zeros(WORDS, np.uint32), KEY)


def in_use(wiring: Wiring) -> NDArray[np.bool_]:
    return np.arange(wiring.source.shape[1]) < wiring.slots[:, None]


def sources_of(wiring: Wiring) -> list[list[int]]:
    return [row[:slots].tolist() for row, slots in zip(wiring.source, wiring.slots, strict=True)]


def test_slot_counts_are_uniform(wiring: Wiring) -> None:
    assert_uniform(wiring.slots - 2, 3)


def test_sources_do_not_repeat(wiring: Wiring) -> None:
    assert all(len(set(sources)) == len(sources) for sources in sources_of(wiring))


@pytest.mark.parametrize("slot", range(4))
def test_sources_of_each_slot_are_uniform(wiring: Wiring, slot: int) -> None:
    assert_uniform(wiring.source[in_use(wiring)[:, slot], slot], SOURCES)


def test_rotations_and_permutations_are_uniform_and_independent(wiring: Wiring) -> None:
    use = in_use(wiring)
    assert_uniform(wiring.rotation[use], 32)
    assert_uniform(wiring.xor[use], 32)
    assert_uniform(32 * wiring.rotation[use] + wiring.xor[use], 1024)


def test_neighbouring_slots_are_independent(wiring: Wiring) -> None:
    assert_uniform(32 * wiring.rotation[:, 0] + wiring.rotation[:, 1], 1024)
    assert_uniform(32 * wiring.xor[:-1, 0] + wiring.xor[1:, 0], 1024)


def test_unused_slots_are_empty(wiring: Wiring) -> None:
    for part in (wiring.source, wiring.rotation, wiring.xor):
        assert not part[~in_use(wiring)].any()


def test_words_share_sources_as_often_as_chance_has_it() -> None:
    """Pairs of sets are pairwise independent, so the number of pairs that share k is binomial in mean and variance."""
    words, slots = 400, 3
    wiring = wire(config_of(slots, slots, words), np.zeros(words, np.uint32), KEY)
    sets = [frozenset(sources) for sources in sources_of(wiring)]
    shared = Counter(len(one & other) for one, other in combinations(sets, 2))
    pairs = comb(words, 2)
    for k in range(slots + 1):
        p = comb(slots, k) * comb(SOURCES - slots, slots - k) / comb(SOURCES, slots)
        assert abs(shared[k] - pairs * p) < 5 * sqrt(pairs * p * (1 - p))


def test_no_two_words_are_wired_alike(wiring: Wiring) -> None:
    """Two words of 2 slots agree once in 12 * 11 * 1024**2 pairs: 0.002 pairs of the 683 such words."""
    rows = np.stack([wiring.source, wiring.rotation, wiring.xor], axis=1)
    assert len({row.tobytes() for row in rows}) == WORDS


def test_a_new_generation_rewires_its_word_alone() -> None:
    config = config_of(2, 4, 64)
    generation = np.zeros(64, np.uint32)
    old = wire(config, generation, KEY)
    generation[::2] = np.arange(1, 33)
    new = wire(config, generation, KEY)
    same = [all(np.array_equal(a[w], b[w]) for a, b in zip(old, new, strict=True)) for w in range(64)]
    assert same == [w % 2 == 1 for w in range(64)]


def test_a_word_may_bear_another_words_name() -> None:
    """The upper half of a generation is XORed with the word's number: words swap their wirings, or keep them."""
    config = config_of(2, 4, 64)
    names = np.arange(64, dtype=np.uint32) ^ 5
    for era in (0, 9):
        old = wire(config, np.full(64, era, np.uint32), KEY)
        new = wire(config, np.full(64, 5 << 16 | era, np.uint32), KEY)
        assert all(np.array_equal(a[names], b) for a, b in zip(old, new, strict=True))
    # a brain of the last 24 words of 64
    few = wire(
        config_of(2, 4, 24), (np.arange(24, dtype=np.uint32) ^ np.arange(40, 64, dtype=np.uint32)) << np.uint32(16), KEY
    )
    every = wire(config, np.zeros(64, np.uint32), KEY)
    assert all(np.array_equal(a[40:], b) for a, b in zip(every, few, strict=True))


def test_echo_words_form_delay_lines_and_then_draw_pool_and_learning_words() -> None:
    config = BrainConfig(3, 400, (1,), echo_delay=2, echo_pool=512, learning_words=112)
    sources = echo_sources(config, KEY)
    assert sources.shape == (518,) and sources[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert_uniform(sources[6:] - config.inputs, 512)
    assert len(set(sources[6:].tolist())) < 512, "with repetition"
    assert not np.array_equal(sources, echo_sources(config, (2024, 8)))


def test_pool_words_read_echo_words_too() -> None:
    config = BrainConfig(2, 512, (1,), slots_min=4, slots_max=4, echo_delay=2, echo_pool=1)
    assert_uniform(wire(config, np.zeros(512, np.uint32), KEY).source[:, 0], 7)


IMAGE = BrainConfig(12, 2048, (1,), slots_min=2, slots_max=4, echo_delay=1, echo_pool=5, tiles=3, row=9)
"""Four planes of three words each, of rows of nine pixels; as many planes of echoes, and five echoes of other words."""


def test_sources_of_an_image_are_one_tile_in_any_plane() -> None:
    wiring = wire(IMAGE, np.zeros(WORDS, np.uint32), KEY)
    use = in_use(wiring)
    assert wiring.slots.min() == 2 and wiring.slots.max() == 4
    assert_uniform(wiring.source[:, 0], 12)
    planes, tiles = np.divmod(wiring.source, 3)
    assert (tiles == tiles[:, :1])[use].all()
    for slot in (1, 2, 3):
        assert_uniform(planes[use[:, slot], slot], 8)


def test_sources_of_an_image_lie_side_by_side() -> None:
    """The first is read as it lies, the others up to one row and one column away: nine places, each as often."""
    wiring = wire(IMAGE, np.zeros(WORDS, np.uint32), KEY)
    use = in_use(wiring)
    assert not wiring.xor.any() and not wiring.rotation[:, 0].any()
    places = [(9 * down + right) % 32 for down in (-1, 0, 1) for right in (-1, 0, 1)]
    for slot in (1, 2, 3):
        found = wiring.rotation[use[:, slot], slot]
        assert_uniform(np.array([places.index(turn) for turn in found.tolist()], np.int32), 9)
    assert not wiring.source[~use].any() and not wiring.rotation[~use].any()


@pytest.mark.parametrize("key", [(2025, 7), (2024, 8), (7, 2024)])
def test_seed_and_brain_decide(key: tuple[int, int]) -> None:
    config, generation = config_of(2, 4, 64), np.zeros(64, np.uint32)
    mine, other = wire(config, generation, KEY), wire(config, generation, key)
    same = (mine.rotation[:, :2] == other.rotation[:, :2]).sum()
    # 128 pairs agree with chance 1/32: 4 on average, deviation 2
    assert same < 4 + 5 * 2


def test_a_word_reads_all_sources_where_slots_suffice() -> None:
    wiring = wire(config_of(5, 8, 16, sources=3), np.zeros(16, np.uint32), KEY)
    assert wiring.source.shape == (16, 3)
    assert [sorted(sources) for sources in sources_of(wiring)] == [[0, 1, 2]] * 16


def test_threshold_rises_with_each_further_slot(wiring: Wiring) -> None:
    expected = {2: 8 + 3, 3: 8 + 6, 4: 8 + 9}
    params = np.zeros((1, len(Param)), np.int32)
    params[0, [Param.THRESHOLD, Param.THRESHOLD_SLOPE]] = 8, 3
    found = thresholds(config_of(2, 4), wiring, params)
    assert found.tolist() == [expected[int(slots)] for slots in wiring.slots]


def test_source_lane_by_hand() -> None:
    assert source_lane(0, 0).tolist() == list(range(32))
    assert source_lane(1, 0).tolist() == [31, *range(31)]
    assert source_lane(0, 31).tolist() == list(range(31, -1, -1))
    assert source_lane(2, 1)[:4].tolist() == [31, 30, 1, 0]


def test_source_lane_is_a_permutation() -> None:
    every = [sorted(source_lane(rotation, xor).tolist()) for rotation in range(32) for xor in range(32)]
    assert every == [list(range(32))] * 1024


@njit
def heard(read: Any, spikes: Any, wires: Any, found: Any) -> None:
    for at in range(0, len(wires), WIRE):
        x = numba_pool.heard(read(rows.pointer(spikes), 0), rows.pointer(wires), at)
        rows.store(rows.pointer(found), at // WIRE * B, x)


@pytest.mark.parametrize(("read", "cycles"), [(rows.load, 16), (rows.load_short, 8)])
def test_compiled_neurons_hear_their_source_lane(read: Any, cycles: int) -> None:
    """In every cycle, whatever the rotation and the XOR."""
    rotation, xor = np.divmod(np.arange(1024, dtype=np.int32)[:, None], 32)
    wiring = Wiring(np.ones(1024, np.int32), np.zeros_like(xor), rotation, xor)
    spikes = np.random.default_rng(0).integers(0, 2**32, B, dtype=np.uint32)
    found = np.zeros((1024, B), np.uint32)
    heard(njit(lambda start, at: read(start, at)), spikes, wire_numbers(wiring).ravel(), found.ravel())
    bits = lanes(spikes)
    for wire_of in range(1024):
        expected = bits[:, source_lane(int(rotation[wire_of, 0]), int(xor[wire_of, 0]))]
        assert np.array_equal(lanes(found[wire_of])[:cycles], expected[:cycles])
