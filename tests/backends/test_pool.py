"""The specification's pool, echo and learning neurons, and what a presentation makes of them."""

from math import exp, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import spec
from hebbit.backends.equations import (
    Clock,
    anneal,
    echoed,
    learning_chances,
    learning_counts,
    lose,
    pool_cycle,
    sensory_spikes,
)
from hebbit.backends.numpy_backend import NumpyBackend, present
from hebbit.backends.spec import Backend, BrainConfig, Flag, Param, Stream, empty_arrays
from hebbit.backends.wiring import source_lane

I32 = NDArray[np.int32]
WORDS = 40
TRAINING = Clock(0, 0, (5, 6), False)
EVALUATION = Clock(0, Stream.EVALUATION, (5, 6), False)


def params_of(words: int = WORDS, **columns: int) -> I32:
    params = np.zeros((words, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
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
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.GAIN, Param.READS, Param.INNER_EVERY]] = 15, 7, 1
    state = NumpyBackend().create(config, params, 9, empty_arrays(config, np.array([2], np.uint32)))
    intensity = np.random.default_rng(0).integers(0, 16, (3, 32)).astype(np.int32)
    shown = present(state, 0, intensity, full(0, 5), Clock(0, 0, (9, 2), False))
    wiring, spikes = state.wirings[0], shown.spikes
    for word in range(5):
        lane = source_lane(wiring.rotation[word, 0], wiring.xor[word, 0])
        assert np.array_equal(spikes[:, 3 + word], spikes[:, wiring.source[word, 0], lane])
    assert np.array_equal(shown.counts, spikes.sum(axis=0)) and shown.counts.max() <= 15
    assert not shown.carried.any()


def test_echoes_by_hand() -> None:
    counts = np.zeros((3, 32), np.int32)
    counts[0], counts[2] = np.arange(32) % 9, 8
    found = echoed(counts, np.array([2, 0, 1], np.int32), 8)
    assert found[0].tolist() == [15] * 32 and not found[2].any()
    assert found[1, :9].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 15]
    assert echoed(counts[:1] % 4, np.zeros(1, np.int32), 3)[0, :4].tolist() == [0, 5, 10, 15]


def test_an_echo_of_eight_cycles_of_phase_code_fires_as_often_as_its_source() -> None:
    counts = np.tile(np.arange(32, dtype=np.int32) % 9, (5, 1))
    shown = echoed(counts, np.arange(5, dtype=np.int32), 8)
    for now in range(20):
        clock = Clock(now, 0, (5, 6), False)
        spikes = sum(sensory_spikes(shown, cycle, params_of(1), clock) for cycle in range(8))
        assert np.array_equal(spikes, counts)


def relay(backend: Backend, flags: list[Flag]) -> tuple[list[I32], list[I32]]:
    """Observations [2, 32] and the counts [6, 32] that they left: two sensory words and two echoes of each.

    The critic's traces are wiped in every presentation, so they are the counts.
    """
    config = BrainConfig(2, 0, (2,), echo_delay=2)
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.CRITIC_CHANCE, Param.READS, Param.INNER_EVERY]] = 256, 7, 1
    state = backend.create(config, params, 3, empty_arrays(config, np.zeros(1, np.uint32)))
    rng, shown, counted = np.random.default_rng(1), [], []
    for flag in flags:
        shown.append(rng.integers(0, 16, (2, 32)).astype(np.int32))
        backend.step(state, shown[-1][None].astype(np.uint8), np.zeros(1, np.int32), np.full(1, flag, np.uint8))
        counted.append(backend.export(state)["traces"][0, -1].astype(np.int32))
    return shown, counted


def test_a_relay_of_depth_two_repeats_the_last_two_presentations(backend: Backend) -> None:
    shown, counted = relay(backend, [Flag.START] + [Flag.CONTINUE] * 4)
    for now in range(5):
        for delay in range(3):
            own = counted[now][2 * delay : 2 * delay + 2]
            expected = (shown[now - delay] + 1) // 2 if now >= delay else np.zeros((2, 32), np.int32)
            assert np.array_equal(own, expected)


@pytest.mark.parametrize("end", [Flag.START, Flag.TERMINATED, Flag.TRUNCATED])
def test_an_echo_does_not_outlive_its_episode(backend: Backend, end: Flag) -> None:
    _, counted = relay(backend, [Flag.START, Flag.CONTINUE, end, Flag.CONTINUE])
    assert counted[1][2:4].any() and not counted[3][4:].any()
    assert counted[3][2:4].any() == (end == Flag.START), "what an episode began with is heard again"


def test_learning_table_is_the_rounded_logistic_function() -> None:
    expected = [min(255, round(256 / (1 + exp((128 - i) / 16)))) for i in range(256)]
    assert spec.SIGMOID.tolist() == expected and spec.SIGMOID.dtype == np.int32


def test_learning_chances_by_hand() -> None:
    counts, weights = np.zeros((2, 32), np.int32), np.zeros((4, 2, 32), np.int32)
    counts[0, 3], counts[1, 31] = 8, 2
    weights[0, 0, 3], weights[1, 1, 31], weights[2, 0, 4] = 4, -1, 127
    weights[3, 0, 3], weights[3, 1, 31] = 1, -4
    # half a step of the index for each weight and spike: +16, -1, nothing, and 4 - 4
    params = params_of(1, INNER_SLOPE=32768)
    assert learning_chances(counts, weights, params).tolist() == [spec.SIGMOID[i] for i in (144, 127, 128, 128)]
    params = params_of(1, INNER_SLOPE=32768, INNER_BIAS=-20)
    assert learning_chances(counts, weights, params).tolist() == [spec.SIGMOID[i] for i in (124, 107, 108, 108)]
    # a negative sum is floored: -2 * 20000 / 65536
    params = params_of(1, INNER_SLOPE=20000)
    assert learning_chances(counts, weights, params)[1] == spec.SIGMOID[127]


def test_learning_chances_stay_within_their_table() -> None:
    weights = np.array([-128, 127], np.int32)[:, None, None] * np.ones((2, 40, 32), np.int32)
    params = params_of(1, INNER_SLOPE=1 << 20)
    assert learning_chances(full(15), weights, params).tolist() == [0, 255]


@pytest.mark.parametrize("chance", [0, 1, 128, 255])
def test_learning_neurons_fire_by_chance_in_every_cycle(chance: int) -> None:
    counts = learning_counts(np.full(32 * WORDS, chance, np.int32), 15, TRAINING)
    assert counts.shape == (WORDS, 32) and counts.max() <= 15
    assert abs(counts.mean() / 15 - chance / 256) <= bound(chance / 256, 15 * 32 * WORDS)


def test_calm_learning_neurons_fire_the_rounded_expectation() -> None:
    calm = Clock(9, Stream.EVALUATION, (5, 6), True)
    chances = np.arange(0, 256, 8, dtype=np.int32)
    # 256 / 8 chances make a spike of 8 cycles; a half is rounded up
    assert learning_counts(chances, 8, calm)[0].tolist() == [(i + 2) // 4 for i in range(32)]


@pytest.mark.parametrize("pool", [False, True])
def test_learning_words_fire_after_the_pool_in_the_same_presentation(pool: bool) -> None:
    config = BrainConfig(1, 1, (1,), slots_min=1, slots_max=1, learning_words=1, learning_pool=pool)
    arrays = empty_arrays(config, np.array([2], np.uint32))
    # silent by bias, driven to the full by the last word that they read
    arrays["inner_weights"][0, :, -1] = 127
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    columns = [Param.GAIN, Param.READS, Param.INNER_EVERY, Param.INNER_SLOPE, Param.INNER_BIAS]
    params[..., columns] = 15, 7, 1, 1 << 20, -128
    state = NumpyBackend().create(config, params, 9, arrays)
    for intensity, expected in ((0, 0), (15, 8 * 255 / 256)):
        shown = present(state, 0, full(intensity, 1), full(0, 2), Clock(0, 0, (9, 2), False))
        assert (shown.chances == (255 if intensity else 0)).all()
        assert abs(shown.counts[-1].mean() - expected) < 5 * sqrt(8 / 256 / 32) * (intensity > 0) + 1e-9
        assert np.array_equal(shown.carried[-1], shown.counts[-1])


def test_learning_words_read_the_spikes_of_all_cycles() -> None:
    config = BrainConfig(2, 3, (1,), slots_min=1, slots_max=1, echo_delay=1, learning_words=1, learning_pool=True)
    rng = np.random.default_rng(2)
    arrays = empty_arrays(config, np.array([2], np.uint32))
    arrays["inner_weights"][:] = rng.integers(-20, 21, arrays["inner_weights"].shape)
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.GAIN, Param.READS, Param.INNER_EVERY, Param.INNER_SLOPE]] = 15, 7, 1, 2000
    state = NumpyBackend().create(config, params, 9, arrays)
    intensity, carried = rng.integers(0, 16, (2, 32)).astype(np.int32), full(0, 6)
    carried[3:5] = 9
    shown = present(state, 0, intensity, carried, Clock(0, 0, (9, 2), False))
    assert (shown.counts[:7].sum(axis=1) > 0).all(), "sensory, echo and pool words"
    inner = arrays["inner_weights"][0].astype(np.int32)
    assert np.array_equal(shown.chances, learning_chances(shown.counts[:7], inner, params[0]))
    assert len(set(shown.chances.tolist())) > 10
