"""Statistics over seeds and tasks, after Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".

A run has one score. Scores of an algorithm are a sequence with one array of runs for each task; tasks may differ in
their number of runs. Arrays may have leading axes, one of them over resamples: a statistic then has these axes, too.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hebbit.agents.errors import HebbitError

F64 = NDArray[np.float64]
Scores = Sequence[F64]
Statistic = Callable[[Scores], F64]

CONFIDENCE = 0.95
TRIMMED = 0.25
"""Share of the runs left out at each end of an interquartile mean."""
REPETITIONS = 10_000
"""Of the bootstrap and of permutation tests."""
_BOUNDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_CHUNK = 4_000_000
"""Numbers resampled at a time: bounds the memory."""


class Estimate(NamedTuple):
    """A number and the bounds of its 95 % interval; the bounds are nan where the runs do not allow one."""

    value: float
    low: float
    high: float


class Band(NamedTuple):
    """A curve [points] and the bounds of its pointwise 95 % interval [points] each."""

    value: F64
    low: F64
    high: F64


NOTHING = Estimate(np.nan, np.nan, np.nan)
"""No runs, no estimate."""


def interquartile_mean(values: ArrayLike) -> F64:
    """Mean [...] of the middle half of the values [..., n]: floor(n / 4) of them are left out at each end.

    Raises:
        HebbitError: n is 0.
    """
    array = np.asarray(values, np.float64)
    n = array.shape[-1]
    if not n:
        raise HebbitError("an interquartile mean needs at least one value, got none")
    outside = int(TRIMMED * n)
    middle = np.partition(array, (outside, n - outside - 1), axis=-1)[..., outside : n - outside]
    return np.asarray(middle.mean(axis=-1), np.float64)


def check(scores: Scores, what: str = "scores") -> list[F64]:
    """The scores as arrays of floats.

    Raises:
        HebbitError: there are no tasks, a task has no runs, or a score is nan.
    """
    arrays = [np.asarray(runs, np.float64) for runs in scores]
    if not arrays or not all(runs.ndim and runs.shape[-1] for runs in arrays):
        raise HebbitError(f"{what} need at least one task and one run of each, got {[np.shape(s) for s in arrays]}")
    if any(np.isnan(runs).any() for runs in arrays):
        raise HebbitError(f"{what} must be numbers, got nan: leave runs without a score out")
    return arrays


def aggregate_iqm(scores: Scores) -> F64:
    """Interquartile mean [...] of all runs [..., n_k] of all tasks together: a task with more runs weighs more."""
    return interquartile_mean(np.concatenate(check(scores), axis=-1))


def _task_means(scores: Scores) -> F64:
    """Means [..., tasks] of runs [..., n_k]."""
    return np.stack([runs.mean(axis=-1) for runs in check(scores)], axis=-1)


def aggregate_mean(scores: Scores) -> F64:
    """Mean [...] over tasks of the means of their runs [..., n_k]."""
    return np.asarray(_task_means(scores).mean(axis=-1), np.float64)


def aggregate_median(scores: Scores) -> F64:
    """Median [...] over tasks of the means of their runs [..., n_k]."""
    return np.asarray(np.median(_task_means(scores), axis=-1), np.float64)


def optimality_gap(scores: Scores) -> F64:
    """How far runs [..., n_k] fall short of 1, [...]: the mean over tasks of 1 - min(score, 1)."""
    return 1 - aggregate_mean([np.minimum(runs, 1.0) for runs in check(scores)])


AGGREGATES: Mapping[str, Statistic] = {
    "interquartile mean": aggregate_iqm,
    "mean": aggregate_mean,
    "median": aggregate_median,
    "optimality gap": optimality_gap,
}
"""Over normalised scores. Of the last one, less is better."""


def resample(scores: Scores, repetitions: int, generator: np.random.Generator) -> list[F64]:
    """Runs [n_k] of every task drawn with replacement, within their task: arrays [repetitions, n_k]."""
    return [runs[generator.integers(0, len(runs), (repetitions, len(runs)))] for runs in check(scores)]


def bounds(samples: F64) -> tuple[F64, F64]:
    """The 2.5th and the 97.5th percentile [...] of samples [repetitions, ...]."""
    low, high = np.quantile(samples, _BOUNDS, axis=0)
    return low, high


def bootstrap(
    statistic: Statistic, scores: Scores, repetitions: int = REPETITIONS, seed: int = 0, *others: Scores
) -> Estimate:
    """A statistic with its stratified bootstrap percentile interval.

    Args:
        statistic: of scores, and of the others if there are any.
        scores: arrays of runs [n_k].
        repetitions: of the bootstrap.
        seed: of its random numbers.
        others: scores of other algorithms, resampled on their own.

    Returns:
        The estimate. Without two runs in any task there is nothing to resample, and the bounds are nan.
    """
    groups = [check(group) for group in (scores, *others)]
    call: Callable[..., F64] = statistic
    value = float(call(*groups))
    if all(len(runs) < 2 for group in groups for runs in group):
        return Estimate(value, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // _cost(groups))
    counts = [min(step, repetitions - first) for first in range(0, repetitions, step)]
    samples = [call(*[resample(group, count, generator) for group in groups]) for count in counts]
    low, high = bounds(np.concatenate(samples))
    return Estimate(value, float(low), float(high))


def _cost(groups: Sequence[Scores]) -> int:
    """Numbers held for one repetition: pairs of runs where groups are compared."""
    return max(1, sum(int(np.prod([len(runs) for runs in task])) for task in zip(*groups, strict=True)))


def improvement(scores: Scores, others: Scores) -> F64:
    """Chance [...] that a run of the one beats a run of the other, ties counted half, averaged over tasks.

    Args:
        scores: arrays [..., n_k].
        others: arrays [..., m_k] of the same tasks.
    """
    if len(scores) != len(others):
        raise HebbitError(f"both algorithms must have the same tasks, got {len(scores)} and {len(others)}")
    pairs = zip(check(scores), check(others), strict=True)
    chances = [_wins(own[..., :, None], other[..., None, :]).mean(axis=(-2, -1)) for own, other in pairs]
    return np.asarray(np.mean(chances, axis=0), np.float64)


def _wins(own: F64, other: F64) -> F64:
    """1 for more, 1/2 for equal, 0 for less."""
    return np.add(own > other, own >= other, dtype=np.float64) / 2


def improvement_estimate(scores: Scores, others: Scores, repetitions: int = REPETITIONS, seed: int = 0) -> Estimate:
    """:func:`improvement` with its interval; both algorithms are resampled."""
    call: Callable[..., F64] = improvement
    return bootstrap(call, scores, repetitions, seed, others)


def permutation_p(scores: Scores, others: Scores, repetitions: int = REPETITIONS, seed: int = 0) -> float:
    """Two-sided p-value of :func:`improvement` being 1/2: which run is whose is shuffled within every task.

    The bootstrap promises too much of few runs: three that all beat three others have the interval [1, 1]. This test
    does not: their p-value is 0.1.

    Args:
        scores: arrays of runs [n_k].
        others: arrays of runs [m_k].
        repetitions: of the shuffling.
        seed: of its random numbers.
    """
    observed = abs(float(improvement(scores, others)) - 0.5)
    generator = np.random.default_rng(seed)
    total = np.zeros(repetitions)
    for own, other in zip(check(scores), check(others), strict=True):
        pooled, n = np.concatenate([own, other]), len(own)
        wins = _wins(pooled[:, None], pooled[None, :])
        ranks = np.argsort(generator.random((repetitions, len(pooled))), axis=-1)
        ours = (ranks < n).astype(np.float64)
        # which of ours beats which of theirs, summed: a quadratic form
        total += np.einsum("ri,ij,rj->r", ours, wins, 1 - ours, optimize=True) / (n * len(other))
    # a tolerance, or equal sums in another order would count as different
    extreme = np.abs(total / len(scores) - 0.5) >= observed - 1e-9
    return float((1 + extreme.sum()) / (1 + repetitions))


def profile(scores: Scores, limits: ArrayLike) -> F64:
    """Share [..., points] of runs [..., n_k] above each limit [points], averaged over tasks."""
    at = np.asarray(limits, np.float64)
    shares = [(runs[..., None] > at).mean(axis=-2) for runs in check(scores)]
    return np.asarray(np.mean(shares, axis=0), np.float64)


def profile_band(scores: Scores, limits: ArrayLike, repetitions: int = REPETITIONS, seed: int = 0) -> Band:
    """:func:`profile` of runs [n_k] with its stratified bootstrap interval; nan without two runs in any task."""
    value = profile(scores, limits)
    if all(len(runs) < 2 for runs in scores):
        return Band(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    generator = np.random.default_rng(seed)
    size = len(value) * max(len(runs) for runs in scores)
    step = max(1, _CHUNK // size)
    counts = [min(step, repetitions - first) for first in range(0, repetitions, step)]
    low, high = bounds(np.concatenate([profile(resample(scores, count, generator), limits) for count in counts]))
    return Band(value, low, high)


def curve_band(curves: F64, repetitions: int = REPETITIONS, seed: int = 0) -> Band:
    """Interquartile mean over runs of curves [n, points], with its bootstrap interval: whole runs are resampled.

    Bounds are nan for one run.
    """
    columns = np.asarray(curves, np.float64).T
    value = interquartile_mean(columns)
    n = columns.shape[-1]
    if n < 2:
        return Band(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    chosen = np.random.default_rng(seed).integers(0, n, (repetitions, n))
    # point by point: all of them at once would take much memory
    pairs = [bounds(interquartile_mean(column[chosen])) for column in columns]
    return Band(value, np.array([low for low, _ in pairs]), np.array([high for _, high in pairs]))


def first_reach(at: ArrayLike, values: ArrayLike, threshold: float) -> F64:
    """Where curves first are at their threshold or above; inf for those that never are.

    Args:
        at: steps or seconds [..., points], rising.
        values: returns [..., points]; nan where a shorter curve has no point.
        threshold: of the values.

    Returns:
        [...]
    """
    where = np.where(np.asarray(values, np.float64) >= threshold, np.asarray(at, np.float64), np.inf)
    return np.asarray(where.min(axis=-1, initial=np.inf), np.float64)


def median_reach(reached: ArrayLike) -> float:
    """Median over runs [n], some of which may be inf: inf if half of them or more never arrive; nan for no run."""
    values = np.asarray(reached, np.float64)
    return float(np.median(values)) if values.size else np.nan


def wilson(successes: int, trials: int) -> Estimate:
    """Share of successes with Wilson's 95 % interval; nan without trials.

    Raises:
        HebbitError: there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise HebbitError(f"successes must be 0 to {trials}, got {successes}")
    if not trials:
        return NOTHING
    z = NormalDist().inv_cdf(_BOUNDS[1])
    share, widened = successes / trials, 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / widened
    half = z * float(np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))) / widened
    # the bounds are exact at both ends, but for rounding
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Estimate(share, low, high)
