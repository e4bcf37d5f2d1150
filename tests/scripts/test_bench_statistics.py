"""Statistics over runs: equal to SciPy where it has them, to plain loops and closed forms where it has not."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from hebbit.agents.errors import HebbitError
from hebbit.scripts.bench import statistics as ours

F64 = NDArray[np.float64]

SIZE = 1e3
NUMBERS = st.floats(-SIZE, SIZE).map(lambda x: round(x, 3))
RUNS = st.lists(NUMBERS, min_size=1, max_size=12).map(np.array)
SCORES = st.lists(RUNS, min_size=1, max_size=4)
PAIRS = st.integers(1, 4).flatmap(lambda n: st.tuples(*[st.lists(RUNS, min_size=n, max_size=n)] * 2))


def near(value: object) -> object:
    """Equal but for rounding, also where numbers of SIZE cancel out."""
    return pytest.approx(value, rel=1e-12, abs=1e-12 * SIZE)


def scores_of(seed: int, *sizes: int) -> list[F64]:
    generator = np.random.default_rng(seed)
    return [generator.normal(0.5, 0.3, size) for size in sizes]


@given(RUNS)
def test_interquartile_mean_is_scipys(runs: F64) -> None:
    assert float(ours.interquartile_mean(runs)) == near(stats.trim_mean(runs, 0.25, axis=None))


@given(st.integers(1, 13), st.integers(1, 5))
def test_interquartile_means_of_rows(n: int, count: int) -> None:
    rows = np.random.default_rng(n).normal(size=(count, 2, n))
    found = ours.interquartile_mean(rows)
    assert found.shape == (count, 2)
    assert found == pytest.approx(stats.trim_mean(rows, 0.25, axis=-1), rel=1e-12)


@given(SCORES)
def test_aggregates_follow_their_definitions(scores: list[F64]) -> None:
    means = [float(np.mean(runs)) for runs in scores]
    every = np.concatenate(scores)
    assert float(ours.aggregate_iqm(scores)) == near(stats.trim_mean(every, 0.25, axis=None))
    assert float(ours.aggregate_mean(scores)) == near(math.fsum(means) / len(means))
    assert float(ours.aggregate_median(scores)) == near(np.median(means))
    gap = np.mean([np.mean([1 - min(x, 1.0) for x in runs]) for runs in scores])
    assert float(ours.optimality_gap(scores)) == near(gap)


@given(PAIRS)
def test_improvement_is_mann_and_whitneys(pair: tuple[list[F64], list[F64]]) -> None:
    chances = [
        stats.mannwhitneyu(x, y, alternative="greater").statistic / (len(x) * len(y))
        for x, y in zip(*pair, strict=True)
    ]
    assert float(ours.improvement(*pair)) == pytest.approx(np.mean(chances), rel=1e-12, abs=1e-12)
    assert float(ours.improvement(*pair[::-1])) == pytest.approx(1 - np.mean(chances), rel=1e-12, abs=1e-12)


@given(SCORES, st.lists(NUMBERS, min_size=1, max_size=5))
def test_profiles_count_what_is_above(scores: list[F64], limits: list[float]) -> None:
    plain = [np.mean([sum(x > limit for x in runs) / len(runs) for runs in scores]) for limit in limits]
    assert ours.profile(scores, limits) == pytest.approx(np.array(plain), rel=1e-12)


@pytest.mark.parametrize("name", ours.AGGREGATES)
def test_resamples_are_reckoned_as_single_ones(name: str) -> None:
    statistic, scores = ours.AGGREGATES[name], scores_of(1, 5, 9, 1)
    resamples = ours.resample(scores, 20, np.random.default_rng(2))
    assert [one.shape for one in resamples] == [(20, 5), (20, 9), (20, 1)]
    for own, runs in zip(resamples, scores, strict=True):
        assert set(own.ravel()) <= set(runs)
    together = statistic(resamples)
    single = [float(statistic([one[i] for one in resamples])) for i in range(20)]
    assert together == pytest.approx(np.array(single), rel=1e-12)


def test_the_interval_is_that_of_all_resamples() -> None:
    """Of three runs there are 27 resamples, all equally likely."""
    runs = np.array([0.0, 1.0, 5.0])
    everything = [np.mean(chosen) for chosen in itertools.product(runs, repeat=3)]
    found = ours.bootstrap(ours.aggregate_mean, [runs], 40_000, 0)
    assert found.value == 2.0
    # both bounds are atoms of the distribution, each with more than a percent to spare
    low, high = np.quantile(everything, (0.025, 0.975), method="inverted_cdf")
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)


def test_the_interval_is_as_wide_as_the_normal_one() -> None:
    runs = np.random.default_rng(3).normal(size=400)
    found = ours.bootstrap(ours.aggregate_mean, [runs], 20_000, 0)
    half = stats.norm.ppf(0.975) * runs.std() / math.sqrt(400)
    assert found.low == pytest.approx(runs.mean() - half, abs=0.03 * half)
    assert found.high == pytest.approx(runs.mean() + half, abs=0.03 * half)


def test_tasks_are_resampled_on_their_own() -> None:
    """Two tasks without spread but with different means: nothing is uncertain."""
    found = ours.bootstrap(ours.aggregate_mean, [np.zeros(5), np.ones(7)], 500, 0)
    assert found == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("statistic", [ours.aggregate_mean, ours.aggregate_iqm])
def test_intervals_cover_the_truth(statistic: ours.Statistic) -> None:
    generator = np.random.default_rng(4)
    held = 0
    for number in range(300):
        scores = [generator.normal(0, 1, 25), generator.normal(0, 2, 25)]
        found = ours.bootstrap(statistic, scores, 400, number)
        held += found.low <= 0 <= found.high
    # 285 expected; percentile intervals of 50 runs hold a little less
    assert 266 <= held <= 296


def test_the_seed_decides_the_interval() -> None:
    scores = scores_of(5, 6, 6)
    first = ours.bootstrap(ours.aggregate_iqm, scores, 300, 1)
    assert first == ours.bootstrap(ours.aggregate_iqm, scores, 300, 1)
    assert first != ours.bootstrap(ours.aggregate_iqm, scores, 300, 2)


def test_memory_bounds_change_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, limits = scores_of(6, 5), np.linspace(0, 1, 7)
    calls: list[Callable[[], tuple[object, ...]]] = [
        lambda: ours.bootstrap(ours.aggregate_mean, scores, 1000, 1),
        lambda: tuple(map(tuple, ours.profile_band(scores, limits, 1000, 1))),
    ]
    whole = [call() for call in calls]
    monkeypatch.setattr(ours, "_CHUNK", 1000)
    assert [call() for call in calls] == whole


def test_improvement_of_the_better_and_of_equals() -> None:
    low, high = [np.arange(8.0)], [np.arange(8.0) + 100]
    assert ours.improvement_estimate(high, low, 200) == (1.0, 1.0, 1.0)
    assert ours.improvement_estimate(low, high, 200) == (0.0, 0.0, 0.0)
    assert ours.improvement_estimate([np.ones(4)], [np.ones(3)], 200) == (0.5, 0.5, 0.5)
    found = ours.improvement_estimate(low, low, 2000)
    assert found.value == 0.5 and 0.1 < found.low < 0.35 and found.low + found.high == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("sizes", [(3, 3), (6, 4), (5, 7)])
def test_the_permutation_test_is_mann_and_whitneys(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(sizes)
    own, other = generator.normal(0.8, 1, sizes[0]), generator.normal(0, 1, sizes[1])
    exact = stats.mannwhitneyu(own, other, method="exact").pvalue
    assert ours.permutation_p([own], [other], 20_000) == pytest.approx(exact, abs=0.012)


def test_few_runs_are_never_significant() -> None:
    assert ours.permutation_p([np.array([2.0, 3, 4])], [np.array([0.0, 1, -1])], 20_000) == pytest.approx(0.1, abs=0.01)
    assert ours.permutation_p([np.ones(1)], [np.zeros(1)], 100) == 1.0
    assert ours.permutation_p([np.ones(5)], [np.ones(5)], 100) == 1.0


def test_the_permutation_test_is_right_as_often_as_it_says() -> None:
    generator = np.random.default_rng(8)
    tasks = [[generator.normal(k, 1, (2, 6)) for k in range(3)] for _ in range(300)]
    small = sum(ours.permutation_p([t[0] for t in ts], [t[1] for t in ts], 300, i) < 0.05 for i, ts in enumerate(tasks))
    assert 5 <= small <= 27  # 15 expected


@given(st.integers(0, 40), st.integers(0, 40))
def test_wilsons_interval_is_scipys(successes: int, failures: int) -> None:
    trials = successes + failures
    found = ours.wilson(successes, trials)
    if not trials:
        assert np.isnan(found).all()
        return
    low, high = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert found == pytest.approx((successes / trials, low, high), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("wrong", [(3, 2), (-1, 2)])
def test_wilson_refuses_nonsense(wrong: tuple[int, int]) -> None:
    with pytest.raises(HebbitError, match="successes must be 0 to 2"):
        ours.wilson(*wrong)


def test_reaching_a_threshold() -> None:
    at = np.array([[0.0, 10, 20, 30], [0, 10, 20, np.nan], [0, 5, 6, 7]])
    values = np.array([[0.0, 5, 4, 5], [0, 1, 2, np.nan], [5, 0, 0, 0]])
    reached = ours.first_reach(at, values, 5)
    assert reached.tolist() == [10, np.inf, 0]
    assert ours.median_reach(reached) == 10
    assert ours.median_reach(reached[:2]) == np.inf
    assert ours.median_reach([np.inf] * 4) == np.inf
    assert math.isnan(ours.median_reach([]))
    assert ours.first_reach(at[0], values[0], 6) == np.inf


@given(st.lists(st.tuples(st.floats(0, 1e5), NUMBERS), max_size=9), NUMBERS)
def test_reaching_is_a_plain_search(points: list[tuple[float, float]], threshold: float) -> None:
    points.sort()
    plain = next((at for at, value in points if value >= threshold), np.inf)
    found = ours.first_reach([at for at, _ in points], [value for _, value in points], threshold)
    assert float(found) == plain


def test_bands_of_curves_are_those_of_their_points() -> None:
    curves = np.random.default_rng(9).normal(size=(7, 4)).cumsum(axis=1)
    band = ours.curve_band(curves, 3000, 5)
    for point in range(4):
        assert band.value[point] == pytest.approx(stats.trim_mean(curves[:, point], 0.25), rel=1e-12)
        alone = ours.bootstrap(ours.aggregate_iqm, [curves[:, point]], 3000, 5)
        assert (band.low[point], band.high[point]) == pytest.approx(alone[1:], rel=1e-12)


def test_bands_of_profiles_hold_them() -> None:
    scores, limits = scores_of(10, 8, 12), np.linspace(-0.5, 1.5, 21)
    band = ours.profile_band(scores, limits, 500)
    assert (band.low <= band.value).all() and (band.value <= band.high).all()
    assert (np.diff(band.value) <= 0).all() and band.value[0] == 1 and band.value[-1] == 0
    assert (band.high - band.low).max() > 0.2
    single = ours.bootstrap(lambda one: ours.profile(one, [limits[10]])[..., 0], scores, 500)
    assert (band.low[10], band.high[10]) == pytest.approx(single[1:], abs=0.03)


def test_one_run_has_no_interval() -> None:
    one = [np.array([0.3]), np.array([0.5])]
    assert np.isnan(ours.bootstrap(ours.aggregate_mean, one, 10)[1:]).all()
    assert ours.bootstrap(ours.aggregate_mean, one, 10).value == 0.4
    assert np.isnan(ours.improvement_estimate(one, one, 10)[1:]).all()
    band = ours.profile_band(one, [0.4], 10)
    assert band.value.tolist() == [0.5] and np.isnan(band.low).all() and np.isnan(band.high).all()
    curve = ours.curve_band(np.array([[1.0, 2.0]]), 10)
    assert curve.value.tolist() == [1, 2] and np.isnan(curve.low).all()
    # one task with two runs is enough to resample something
    assert not np.isnan(ours.bootstrap(ours.aggregate_mean, [np.array([0.3]), np.array([0.5, 0.6])], 10)[1:]).any()


@pytest.mark.parametrize("nothing", [[], [np.zeros(0)], [np.ones(2), np.zeros(0)]])
def test_nothing_is_refused(nothing: list[F64]) -> None:
    calls: list[Callable[[list[F64]], object]] = [*ours.AGGREGATES.values()]
    calls.append(lambda scores: ours.bootstrap(ours.aggregate_iqm, scores, 10))
    for call in calls:
        with pytest.raises(HebbitError, match="at least one task"):
            call(nothing)
    with pytest.raises(HebbitError, match="at least one value"):
        ours.interquartile_mean([])


def test_nan_and_unequal_tasks_are_refused() -> None:
    with pytest.raises(HebbitError, match="got nan"):
        ours.aggregate_mean([np.array([1, np.nan])])
    with pytest.raises(HebbitError, match="the same tasks, got 2 and 1"):
        ours.improvement([np.ones(2), np.ones(2)], [np.ones(2)])
