"""The specification's readouts and motor volleys: floored means, softmax by a table, one output spike drawn."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import spec
from hebbit.backends.equations import (
    Clock,
    act,
    drawn_unit,
    floor_ratio,
    motor_chances,
    motor_spikes,
    readout,
    seen,
    sharpened,
)
from hebbit.backends.spec import BrainConfig, Param

I32 = NDArray[np.int32]
ONE_NAT = 32
"""Difference of drives that is one nat at a temperature of 4096."""


def clock_of(presentation: int, calm: bool = False) -> Clock:
    return Clock(presentation, 0, (7, 8), calm)


def params_of(**columns: int) -> I32:
    params = np.zeros((1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[0, Param.TEMPERATURE] = 4096
    for name, value in columns.items():
        params[0, Param[name]] = value
    return params


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(7, 2, 3), (-7, 2, -4), (-1, 1000, -1), (-6, 3, -2), (5, 0, 0), (-5, 0, 0)],
)
def test_division_floors_and_by_zero_gives_zero(numerator: int, denominator: int, expected: int) -> None:
    assert floor_ratio(numerator, denominator) == expected


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_readout_is_the_floored_mean_weight_of_the_spikes(clusters: int) -> None:
    rng = np.random.default_rng(clusters)
    config = BrainConfig(3, 4, (2, 1), clusters=clusters)
    counts = rng.integers(0, 16, (7, 32)).astype(np.int32)
    weights = rng.integers(-128, 128, (4, 7, 32)).astype(np.int32)
    drives, values = readout(counts, weights, config)

    def mean(output: int, words: range) -> int:
        pairs = [(int(weights[output, w, j]), int(counts[w, j])) for w in words for j in range(32)]
        return math.floor(Fraction(256 * sum(a * n for a, n in pairs), sum(n for _, n in pairs)))

    assert drives.tolist() == [mean(unit, range(7)) for unit in range(3)]
    assert values.tolist() == [mean(3, range(k, 7, clusters)) for k in range(clusters)]


def test_readout_by_hand() -> None:
    config = BrainConfig(1, 1, (1,), clusters=2)
    counts, weights = np.zeros((2, 32), np.int32), np.zeros((2, 2, 32), np.int32)
    counts[0, 0], counts[0, 5] = 2, 1
    weights[0, 0, 0], weights[1, 0, 5] = -1, 100
    drives, values = readout(counts, weights, config)
    # floor(256 * -2 / 3) and 256 * 100 / 3; the second cluster is silent
    assert drives.tolist() == [-171] and values.tolist() == [8533, 0]


@pytest.mark.parametrize("weight", [-128, 127])
def test_readout_of_the_loudest_brain_fits(weight: int) -> None:
    config = BrainConfig(4, 0, (1,))
    drives, values = readout(np.full((4, 32), 15, np.int32), np.full((2, 4, 32), weight, np.int32), config)
    assert drives.tolist() == values.tolist() == [256 * weight]


def test_motor_table_is_the_rounded_exponential() -> None:
    expected = [round(256 * math.exp(-i / 32)) for i in range(201)]
    assert spec.EXPONENTIAL.tolist() == expected and expected[-1] == 0
    assert spec.EXPONENTIAL.dtype == np.int32


def test_motor_chances_by_hand() -> None:
    drives = np.array([100, 100 + ONE_NAT, -9000, -50, -50 - 2 * ONE_NAT], np.int32)
    assert motor_chances(drives, (3, 2), params_of(), 0).tolist() == [94, 256, 0, 256, 35]
    assert motor_chances(drives, (3, 2), params_of(MOTOR_BASE=40), 0).tolist() == [94, 256, 40, 256, 40]
    assert motor_chances(drives, (3, 2), params_of(TEMPERATURE=0), 0).tolist() == [256] * 5
    assert motor_chances(drives, (3, 2), params_of(TEMPERATURE=2048), 0).tolist() == [155, 256, 0, 256, 94]


def test_motor_chances_of_the_widest_drives_do_not_overflow() -> None:
    drives = np.array([-32768, 32512], np.int32)
    params = params_of(TEMPERATURE=1 << 20, TEMPERATURE_AGE=1 << 20)
    assert motor_chances(drives, (2,), params, 1 << 31).tolist() == [0, 256]


def test_motor_spikes_at_both_ends() -> None:
    spikes = motor_spikes(np.array([0, 256], np.int32), 5, params_of(), clock_of(0))
    assert spikes.tolist() == [[0] * 5, [32] * 5]
    ramped = motor_spikes(np.array([0, 256], np.int32), 5, params_of(MOTOR_RAMP=1), clock_of(0))
    assert ramped.tolist() == [[0] * 5, [32, 64, 96, 128, 160]]


@pytest.mark.parametrize("chance", [1, 94, 128, 255])
def test_motor_spikes_come_by_chance_of_256(chance: int) -> None:
    units, cycles, p = 40, 15, chance / 256
    spikes = motor_spikes(np.full(units, chance, np.int32), cycles, params_of(), clock_of(0))
    assert spikes.shape == (units, cycles) and spikes.max() <= 32
    assert abs(spikes.mean() / 32 - p) < 5 * math.sqrt(p * (1 - p) / (32 * units * cycles))


def test_drawn_unit_follows_the_spikes() -> None:
    """Eight evenly spaced words meet each of the eight spikes once."""
    spikes = np.array([3, 0, 4, 1], np.int32)
    for offset in (0, 2**29 - 1):
        words = [(i << 29) + offset for i in range(8)]
        assert [drawn_unit(spikes, word, 0) for word in words] == [0, 0, 0, 2, 2, 2, 2, 3]


def test_drawn_unit_is_uniform_where_nothing_fired() -> None:
    silent = np.zeros(4, np.int32)
    assert [drawn_unit(silent, 2**32 - 1, i << 30) for i in range(4)] == [0, 1, 2, 3]


def test_calm_action_is_the_strongest_unit_and_the_lowest_of_equals() -> None:
    config = BrainConfig(1, 0, (3, 2, 2))
    drives = np.array([1, 5, 5, -3, -2, 0, 0], np.int32)
    volley = act(drives, config, params_of(), clock_of(0, calm=True), 0)
    assert volley.actions.tolist() == [1, 1, 0]
    assert volley.spikes.tolist() == motor_chances(drives, config.groups, params_of(), 0).tolist()


def test_actions_are_sampled_by_softmax() -> None:
    """One nat between two units: the better one is chosen with chance 1 / (1 + 1/e), within the table's rounding."""
    config, presentations = BrainConfig(1, 0, (2, 2), cycles=1), 600
    drives = np.array([0, ONE_NAT, ONE_NAT, 0], np.int32)
    volleys = [act(drives, config, params_of(), clock_of(now), now) for now in range(presentations)]
    p = 1 / (1 + math.exp(-1))
    for better, group in ((1, 0), (0, 1)):
        for draws in ([v.actions[group] for v in volleys], [v.seconds[group] for v in volleys]):
            rate = np.mean(np.array(draws) == better)
            assert abs(rate - p) < 5 * math.sqrt(p * (1 - p) / presentations)


def test_groups_and_second_draws_are_independent() -> None:
    config, presentations = BrainConfig(1, 0, (2, 2), cycles=1), 600
    volleys = [act(np.zeros(4, np.int32), config, params_of(), clock_of(now), now) for now in range(presentations)]
    draws = np.array([[v.actions[0], v.actions[1], v.seconds[0], v.seconds[1]] for v in volleys]) == 1
    for i in range(4):
        for j in range(i):
            # two fair coins agree half of the time
            assert abs((draws[:, i] == draws[:, j]).mean() - 0.5) < 5 * 0.5 / math.sqrt(presentations)


def test_act_has_one_volley_for_each_unit_and_action_for_each_group() -> None:
    config = BrainConfig(1, 0, (3, 1))
    volley = act(np.zeros(4, np.int32), config, params_of(), clock_of(0), 0)
    assert volley.spikes.tolist() == [32 * 8] * 4
    assert volley.actions[1] == 0 and volley.seconds[1] == 0


def test_a_forced_unit_is_the_action_whatever_fired() -> None:
    config, drives = BrainConfig(1, 0, (3, 2, 2)), np.array([0, 9000, 0, 9000, 0, 9000, 0], np.int32)
    for now in range(5):
        free = act(drives, config, params_of(), clock_of(now), now)
        volley = act(drives, config, params_of(), clock_of(now), now, np.array([2, -1, 1], np.int32))
        assert free.actions.tolist() == [1, 0, 0] and volley.actions.tolist() == [2, 0, 1]
        assert np.array_equal(volley.spikes, free.spikes) and np.array_equal(volley.seconds, free.seconds)


@pytest.mark.parametrize("reads", range(1, 8))
def test_readouts_see_kinds_of_words(reads: int) -> None:
    config = BrainConfig(2, 3, (1,), echo_delay=1, learning_words=2)
    counts = np.arange(1, 10, dtype=np.int32)[:, None] * np.ones((9, 32), np.int32)
    first, second, third = (int(bool(reads & kind)) for kind in (1, 2, 4))
    expected = [first * n for n in (1, 2, 3, 4)] + [second * n for n in (5, 6, 7)] + [third * n for n in (8, 9)]
    found = seen(counts, config, reads)
    assert found[:, 0].tolist() == found[:, 31].tolist() == expected


def test_temperature_doubles_and_stops_at_four_times_its_start() -> None:
    assert [sharpened(600, 0, age) for age in (0, 1, 10**9)] == [600] * 3
    assert [sharpened(600, 100, age) for age in (0, 1, 50, 100, 300, 301, 10**9)] == [600, 606, 900, 1200, *[2400] * 3]
    drives = np.array([100, 100 + ONE_NAT], np.int32)
    assert motor_chances(drives, (2,), params_of(TEMPERATURE_AGE=10), 10).tolist() == [35, 256]


def test_calm_brains_are_as_old_as_they_are() -> None:
    drives = np.array([100, 100 + ONE_NAT], np.int32)
    params, config = params_of(TEMPERATURE_AGE=10), BrainConfig(1, 0, (2,))
    assert act(drives, config, params, clock_of(0, calm=True), 10).spikes.tolist() == [35, 256]
