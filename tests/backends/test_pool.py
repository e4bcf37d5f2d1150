"""The specification's pool neurons: excitement, firing, decay, base rate, and what a presentation makes of them."""

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends.equations import Clock, anneal, lose, pool_cycle
from hebbit.backends.numpy_backend import NumpyBackend, present
from hebbit.backends.spec import BrainConfig, Param, Stream, empty_arrays
from hebbit.backends.wiring import source_lane

I32 = NDArray[np.int32]
WORDS = 40
TRAINING = Clock(0, 0, (5, 6), False)
EVALUATION = Clock(0, Stream.EVALUATION, (5, 6), False)


def params_of(words: int = WORDS, **columns: int) -> I32:
    params = np.zeros((words, len(Param)), np.int32)
    for name, value in columns.items():
        params[:, Param[name]] = value
    return params


def full(value: int, words: int = WORDS) -> I32:
    return np.full((words, 32), value, np.int32)


def bound(p: float, samples: int = 32 * WORDS) -> float:
    """Five standard deviations of a frequency."""
    return 5 * sqrt(p * (1 - p) / samples)


def cycle(x: int, current: int, threshold: int, clock: Clock = TRAINING, **columns: int) -> tuple[I32, I32]:
    """One cycle of 40 words that are all alike."""
    thresholds = np.full(WORDS, threshold, np.int32)
    return pool_cycle(full(x), full(current), thresholds, 0, params_of(**columns), clock)


def test_excitement_fires_from_the_threshold_on_and_is_reset() -> None:
    x = np.tile(np.arange(32, dtype=np.int32) % 16, (31, 1))
    thresholds = np.arange(1, 32, dtype=np.int32)
    after, fired = pool_cycle(x, np.zeros_like(x), thresholds, 0, params_of(31), TRAINING)
    assert np.array_equal(fired, x >= thresholds[:, None])
    assert np.array_equal(after, np.where(fired, 0, x))


@pytest.mark.parametrize(("x", "current", "expected"), [(0, 0, 0), (3, 4, 7), (12, 3, 15), (12, 9, 15), (15, 15, 15)])
def test_excitement_saturates_at_15(x: int, current: int, expected: int) -> None:
    after, fired = cycle(x, current, 31)
    assert (after == expected).all() and not fired.any()


def test_this_cycles_drive_counts_before_firing_and_decay_after() -> None:
    assert cycle(0, 8, 8, DECAY_CHANCE=256)[1].all()
    after, fired = cycle(0, 8, 9, DECAY_CHANCE=256, DECAY_SHIFT=1)
    assert not fired.any() and (after == 4).all()


@pytest.mark.parametrize("bits", range(5))
@pytest.mark.parametrize("missing", [0, 1, 2, 5, 15])
def test_noise_is_uniform_in_its_bits(bits: int, missing: int) -> None:
    expected = max(0, (1 << bits) - missing) / (1 << bits)
    fired = cycle(10, 0, 10 + missing, NOISE=bits)[1]
    assert abs(fired.mean() - expected) <= bound(expected)


def test_calm_brains_have_no_noise() -> None:
    calm = Clock(0, Stream.EVALUATION, (5, 6), True)
    assert not cycle(10, 0, 11, calm, NOISE=4)[1].any()
    assert cycle(10, 0, 11, EVALUATION, NOISE=4)[1].any()


@pytest.mark.parametrize("rate", [0, 1, 64, 1024, 4095])
def test_base_rate_is_a_chance_of_4096(rate: int) -> None:
    fired = cycle(0, 0, 8, BASE_RATE=rate)[1]
    assert abs(fired.mean() - rate / 4096) <= bound(rate / 4096)


def test_base_rate_falls_with_age() -> None:
    old = Clock(3000, 0, (5, 6), False)
    fired = cycle(0, 0, 8, old, BASE_RATE=2048, BASE_AGE=1000)[1]
    assert abs(fired.mean() - 1 / 8) <= bound(1 / 8)


def test_evaluation_has_no_base_rate() -> None:
    assert not cycle(0, 0, 8, EVALUATION, BASE_RATE=4095)[1].any()


@pytest.mark.parametrize("chance", [0, 1, 64, 255, 256])
def test_decay_comes_by_chance(chance: int) -> None:
    after = cycle(8, 0, 31, DECAY_CHANCE=chance, DECAY_SHIFT=1)[0]
    assert set(np.unique(after)) <= {4, 8}
    assert abs((after == 4).mean() - chance / 256) <= bound(chance / 256)


@pytest.mark.parametrize("shift", range(4))
def test_decay_loses_its_share_on_average(shift: int) -> None:
    """Over the eight roundings x loses exactly x / 2**shift on average, and never more than one step off that."""
    x, rounding = np.arange(16, dtype=np.int32)[:, None], np.arange(8, dtype=np.int32)[None]
    zero = np.zeros((16, 8), np.int32)
    kept = lose(x, np.array(shift), rounding, np.array(256), zero)
    assert np.array_equal(kept.sum(axis=1) * 2**shift, 8 * x[:, 0] * (2**shift - 1))
    assert (np.abs(kept - x + x / 2**shift) < 1).all() and kept.min() >= 0


def test_decay_happens_below_its_chance_only() -> None:
    number = np.arange(256, dtype=np.int32)
    kept = lose(np.full(256, 8, np.int32), np.array(1), np.zeros(256, np.int32), np.array(100), number)
    assert kept.tolist() == [4] * 100 + [8] * 156


def test_decay_of_the_pool_keeps_the_expectation() -> None:
    after = cycle(13, 0, 31, DECAY_CHANCE=256, DECAY_SHIFT=3)[0]
    # 13/8 is lost: 1 or 2, and 2 with chance 5/8
    assert abs((after == 11).mean() - 5 / 8) <= bound(5 / 8)
    assert set(np.unique(after)) == {11, 12}


def test_anneal() -> None:
    assert [anneal(600, 0, age) for age in (0, 1, 10**6)] == [600] * 3
    assert [anneal(600, 100, age) for age in (0, 50, 100, 200, 500)] == [600, 400, 300, 200, 100]
    assert anneal(2**31 - 1, 2**20, 2**32 - 1) == (2**31 - 1) * 2**20 // (2**20 + 2**32 - 1)


def test_the_pool_sees_this_cycles_sensory_spikes_and_counts_them() -> None:
    config = BrainConfig(3, 5, (1,), cycles=15, slots_min=1, slots_max=1)
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.GAIN] = 15
    state = NumpyBackend().create(config, params, 9, empty_arrays(config, np.array([2], np.uint32)))
    intensity = np.random.default_rng(0).integers(0, 16, (3, 32)).astype(np.int32)
    counts, excitement, spikes = present(state, 0, intensity, full(0, 5), Clock(0, 0, (9, 2), False))
    wiring = state.wirings[0]
    for word in range(5):
        lane = source_lane(wiring.rotation[word, 0], wiring.xor[word, 0])
        assert np.array_equal(spikes[:, 3 + word], spikes[:, wiring.source[word, 0], lane])
    assert np.array_equal(counts, spikes.sum(axis=0)) and counts.max() <= 15
    assert not excitement.any()
