"""The specification's sensory spikes and the drive of the pool, against hand-made cases and counting."""

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends.equations import Clock, drive, sensory_spikes
from hebbit.backends.spec import Param, Stream
from hebbit.backends.wiring import Wiring

I32 = NDArray[np.int32]
RAMP = np.tile(np.arange(32, dtype=np.int32) % 16, (5, 1))
"""Five words whose lanes have the intensities 0..15, twice."""


def clock_of(presentation: int, stream: int = 0) -> Clock:
    return Clock(presentation, stream, (3, 4), False)


def params_of(sensory: int) -> I32:
    params = np.zeros((1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[0, Param.SENSORY] = sensory
    return params


def phase_thresholds(presentation: int, cycles: int) -> I32:
    """[words, cycles]: the least intensity that fired."""
    spikes = [sensory_spikes(RAMP, c, params_of(0), clock_of(presentation)) for c in range(cycles)]
    least = [[int(np.flatnonzero(word)[0]) for word in cycle] for cycle in spikes]
    for cycle, thresholds in zip(spikes, least, strict=True):
        assert np.array_equal(cycle, np.array(thresholds)[:, None] <= RAMP)
    return np.array(least, np.int32).T


@pytest.mark.parametrize("presentation", [0, 1, 2, 2**32 - 1])
def test_phase_code_visits_every_threshold_once_in_eight_cycles(presentation: int) -> None:
    for thresholds in phase_thresholds(presentation, 15):
        assert sorted(thresholds[:8]) == [1, 3, 5, 7, 9, 11, 13, 15]
        assert sorted(thresholds[7:15]) == [1, 3, 5, 7, 9, 11, 13, 15]


@pytest.mark.parametrize("presentation", [0, 1, 2, 3])
def test_phase_code_counts_half_the_intensity_rounded_up(presentation: int) -> None:
    counts = sum(sensory_spikes(RAMP, c, params_of(0), clock_of(presentation)) for c in range(8))
    assert np.array_equal(counts, (RAMP + 1) // 2)


def test_phase_code_uses_every_order_and_phase() -> None:
    """Four multipliers and eight offsets: 1000 clocks miss one of the 32 with a chance of 32 exp(-31)."""
    clocks = [tuple(word[:2]) for now in range(200) for word in phase_thresholds(now, 2)]
    assert {(second - first) % 16 for first, second in clocks} == {2, 6, 10, 14}
    assert len(set(clocks)) == 32


def test_evaluation_has_phases_of_its_own() -> None:
    mine, other = (
        [sensory_spikes(RAMP, 0, params_of(0), clock_of(now, stream)).tolist() for now in range(4)]
        for stream in (0, Stream.EVALUATION)
    )
    assert mine != other


def test_bernoulli_fires_in_proportion_to_intensity() -> None:
    intensity = np.repeat(np.arange(16, dtype=np.int32)[:, None], 32, axis=1)
    draws = 200
    spikes = sum(sensory_spikes(intensity, 0, params_of(1), clock_of(now)) for now in range(draws))
    for i, rate in enumerate(np.mean(spikes, axis=1) / draws):
        p = i / 16
        # five standard deviations: below half a step of intensity
        assert abs(rate - p) <= 5 * sqrt(p * (1 - p) / (32 * draws))


def test_bernoulli_differs_from_cycle_to_cycle() -> None:
    half = np.full((2, 32), 8, np.int32)
    spikes = [sensory_spikes(half, cycle, params_of(1), clock_of(0)) for cycle in range(15)]
    assert len({word.tobytes() for cycle in spikes for word in cycle}) == 30


def wiring_of(*words: list[tuple[int, int, int]]) -> Wiring:
    """Wiring from (source, rotation, xor) of each slot of each word."""
    table = np.zeros((3, len(words), max(map(len, words))), np.int32)
    for w, slots in enumerate(words):
        table[:, w, : len(slots)] = np.array(slots).T
    return Wiring(np.array([len(slots) for slots in words], np.int32), *table)


def fired_at(words: int, *places: tuple[int, int]) -> I32:
    spikes = np.zeros((words, 32), np.int32)
    for word, lane in places:
        spikes[word, lane] = 1
    return spikes


WIRING = wiring_of([(1, 3, 0)], [(0, 0, 0), (1, 1, 0), (2, 0, 31)])
"""Word 0 reads word 1 three lanes below; word 1 reads words 0 (its lane), 1 (one lane below) and 2 (mirrored)."""
GAIN = np.array([9, 15], np.int32)


@pytest.mark.parametrize(
    ("places", "coincidence", "total"),
    [
        ([], {}, {}),
        ([(1, 10)], {(0, 13): 9}, {(0, 13): 1, (1, 11): 1}),
        ([(1, 31)], {(0, 2): 9}, {(0, 2): 1, (1, 0): 1}),
        ([(0, 5), (2, 26)], {}, {(1, 5): 2}),
        ([(0, 5), (1, 4), (2, 26)], {(0, 7): 9, (1, 5): 15}, {(0, 7): 1, (1, 5): 3}),
    ],
)
def test_drive_by_hand(
    places: list[tuple[int, int]], coincidence: dict[tuple[int, int], int], total: dict[tuple[int, int], int]
) -> None:
    for mode, expected in ((0, coincidence), (1, total)):
        found = drive(fired_at(3, *places), WIRING, np.full(2, mode, np.int32), GAIN)
        assert {(int(w), int(lane)): int(found[w, lane]) for w, lane in np.argwhere(found)} == expected


def test_drive_of_each_word_follows_its_own_mode() -> None:
    spikes = fired_at(3, (1, 10))
    found = drive(spikes, WIRING, np.array([0, 1], np.int32), GAIN)
    assert (found[0, 13], found[1, 11]) == (9, 1)
    assert drive(np.ones((3, 32), np.int32), WIRING, np.array([1, 0], np.int32), GAIN).tolist() == [[1] * 32, [15] * 32]
