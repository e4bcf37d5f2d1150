"""What the report says, reckoned from the runs: one value for each question, however often it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts.bench import statistics
from hebbit.scripts.bench.report_style import Look, looks
from hebbit.scripts.bench.rows import OURS, Curve, Results, Run, Task
from hebbit.scripts.bench.statistics import NOTHING, Band, Estimate

F64 = NDArray[np.float64]

NEAR = 64
"""Steps within which checkpoints are the same: algorithms with many environments make several steps at once."""
LEVEL = 0.05
"""Of the permutation test."""


class Curves(NamedTuple):
    """Learning curves of the finished runs of an algorithm at common steps."""

    steps: F64
    """[points]"""
    cpu_seconds: F64
    """[points], median over runs."""
    greedy: F64
    """[runs, points]"""


class Comparison(NamedTuple):
    """One algorithm beside another: the chance that a run of the one ends higher than a run of the other."""

    chance: Estimate
    p: float
    """Of a permutation test, two-sided."""

    @property
    def verdict(self) -> int:
        """1 if the one is ahead, -1 if it is behind, 0 if that is open: interval and test have to agree."""
        if not self.p < LEVEL:
            return 0
        return int(self.chance.low > 0.5) - int(self.chance.high < 0.5)


class Group(NamedTuple):
    """Algorithms that have all finished these tasks."""

    tasks: tuple[Task, ...]
    algorithms: tuple[str, ...]


@dataclass(frozen=True)
class Rivalry:
    """Ours beside one other algorithm."""

    other: str
    tasks: tuple[Task, ...]
    """That both have finished runs of."""
    each: tuple[Comparison, ...]
    """On each of these tasks."""
    overall: Comparison
    """Averaged over them."""


class Study:
    """Results and what follows from them."""

    def __init__(self, results: Results, repetitions: int) -> None:
        """Hold what was read.

        Args:
            results: of benchmarks.
            repetitions: of the bootstrap and of the permutation tests.
        """
        self.results, self.repetitions = results, repetitions
        self.looks: dict[str, Look] = looks(results.algorithms)
        self.final_estimate = lru_cache(None)(self._final_estimate)
        self.curve_band = lru_cache(None)(self._curve_band)
        self.rivalries = lru_cache(None)(self._rivalries)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All of them."""
        return self.results.tasks

    def runs(self, task: Task, algorithm: str) -> list[Run]:
        """The finished ones."""
        return self.results.done(task.name, algorithm)

    def on(self, task: Task) -> list[str]:
        """Algorithms that runs are expected of."""
        return [name for name in self.results.algorithms if self.results.cell(task.name, name)]

    def finished_on(self, task: Task) -> list[str]:
        """Algorithms that have finished runs."""
        return [name for name in self.on(task) if self.runs(task, name)]

    def finals(self, task: Task, algorithm: str, greedy: bool = True) -> F64:
        """Mean return [runs] of the final episodes of each finished run."""
        returns = [run.greedy if greedy else run.stochastic for run in self.runs(task, algorithm)]
        return np.array([one.mean() for one in returns if one is not None], np.float64)

    def estimate(self, values: F64) -> Estimate:
        """Interquartile mean of runs [n], with its interval."""
        if not len(values):
            return NOTHING
        return statistics.bootstrap(statistics.aggregate_iqm, [values], self.repetitions)

    def _final_estimate(self, task: Task, algorithm: str, greedy: bool = True) -> Estimate:
        return self.estimate(self.finals(task, algorithm, greedy))

    def solved(self, task: Task, algorithm: str) -> tuple[int, int]:
        """Finished runs whose final greedy mean is at the threshold or above, and finished runs."""
        finals = self.finals(task, algorithm)
        return int((finals >= (np.inf if task.threshold is None else task.threshold)).sum()), len(finals)

    def reached(self, task: Task, algorithm: str, axis: str) -> F64:
        """Steps, seconds or cpu_seconds [runs] at the first checkpoint at the threshold; inf where there is none."""
        threshold = np.inf if task.threshold is None else task.threshold
        found = []
        for curve in self._own_curves(task, algorithm):
            seen = self._shared(task, curve)
            found.append(statistics.first_reach(getattr(curve, axis)[seen], curve.greedy[seen], threshold))
        return np.array(found, np.float64)

    def _own_curves(self, task: Task, algorithm: str) -> list[Curve]:
        return [run.curve for run in self.runs(task, algorithm) if run.curve is not None]

    def _shared(self, task: Task, curve: Curve) -> NDArray[np.bool_]:
        """Checkpoints [points] that every algorithm has which learns for that long.

        Whoever is looked at more often is found above a threshold earlier, and by chance more often.
        """
        seen = np.ones(len(curve.steps), np.bool_)
        for name in self.finished_on(task):
            other = self._own_curves(task, name)[0].steps
            near = np.abs(curve.steps[:, None] - other[None, :]).min(axis=1) <= NEAR
            seen &= near | (curve.steps > other[-1] + NEAR)
        return seen if seen[1:].any() else np.ones_like(seen)

    def curves(self, task: Task, algorithm: str) -> Curves | None:
        """Curves at the steps that any run has a checkpoint at and that all runs come to; None without runs."""
        own = [run.curve for run in self.runs(task, algorithm) if run.curve is not None]
        if not own:
            return None
        steps = np.unique(np.concatenate([curve.steps for curve in own]))
        steps = steps[steps <= min(curve.steps[-1] for curve in own)]
        greedy = np.array([np.interp(steps, curve.steps, curve.greedy) for curve in own])
        seconds = np.array([np.interp(steps, curve.steps, curve.cpu_seconds) for curve in own])
        return Curves(steps, np.median(seconds, axis=0), greedy)

    def _curve_band(self, task: Task, algorithm: str) -> tuple[Curves, Band] | None:
        curves = self.curves(task, algorithm)
        return None if curves is None else (curves, statistics.curve_band(curves.greedy, self.repetitions))

    def budget(self, task: Task) -> int:
        """Steps of our runs, or those that the task has for us."""
        own = self.results.cell(task.name, OURS)
        return own[0].steps if own else task.steps

    def meeting(self, task: Task) -> int:
        """Steps of the last checkpoint within our budget that all algorithms share which learn for that long."""
        own = self._own_curves(task, OURS)
        if not own:
            return self.budget(task)
        shared = own[0].steps[self._shared(task, own[0])]
        return int(shared[shared <= self.budget(task)][-1])

    def at_budget(self, task: Task, algorithm: str) -> tuple[F64, F64]:
        """Steps and greedy return [runs] of the last checkpoint until :meth:`meeting`, of each run."""
        curves, until = self._own_curves(task, algorithm), self.meeting(task) + NEAR
        last = [int(np.searchsorted(curve.steps, until, side="right")) - 1 for curve in curves]
        pairs = [(curve.steps[i], curve.greedy[i]) for curve, i in zip(curves, last, strict=True) if i >= 0]
        table = np.array(pairs, np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def origins(self, tasks: Sequence[Task]) -> tuple[int, int]:
        """How many machines, and how many calls of hebbit benchmark, the finished runs come from."""
        found = {run.origin for task in tasks for name in self.on(task) for run in self.runs(task, name)}
        return len({machine for machine, _ in found}), len(found)

    def comparable(self, task: Task) -> bool:
        """Whether the seconds of a task's runs may be compared: one machine, one call, or no run at all."""
        return self.origins([task])[1] <= 1

    def cost(self, task: Task, algorithm: str, name: str) -> float:
        """Median over finished runs of an entry of :class:`Cost`; nan where it was not measured."""
        values = np.array([getattr(run.cost, name) for run in self.runs(task, algorithm)], np.float64)
        known = values[~np.isnan(values)]
        return float(np.median(known)) if len(known) else np.nan

    def common(self, algorithms: Sequence[str]) -> list[Task]:
        """Tasks that all these algorithms have finished runs of."""
        return [task for task in self.tasks if all(self.runs(task, name) for name in algorithms)]

    def normalised(self, tasks: Sequence[Task], algorithm: str) -> list[F64]:
        """Normalised final scores, an array [runs] for each task; the tasks must have a scale."""
        scores = [task.normalised(self.finals(task, algorithm)) for task in tasks]
        return [one for one in scores if one is not None]

    def aggregated(self) -> list[Group]:
        """Whose normalised scores can be put together over which tasks.

        Returns:
            First ours and whoever has finished every task that ours has. Then, if that leaves anybody out, all
            algorithms on the tasks that all of them have finished. Tasks without a scale are in neither.
        """
        scaled = [task for task in self.tasks if task.normalised(np.zeros(1)) is not None]
        able = [name for name in self.results.algorithms if any(self.runs(task, name) for task in scaled)]
        most = [task for task in scaled if self.runs(task, able[0])] if able else []
        full = [name for name in able if all(self.runs(task, name) for task in most)]
        common = [task for task in scaled if all(self.runs(task, name) for name in able)]
        groups = [Group(tuple(most), tuple(full)), Group(tuple(common), tuple(able))]
        kept = [group for group in dict.fromkeys(groups) if group.tasks and group.algorithms]
        # alone there is nothing to see if elsewhere there is company
        return [group for group in kept if len(group.algorithms) > 1] or kept[:1]

    def compare(self, tasks: Sequence[Task], other: str) -> Comparison:
        """Ours beside another on these tasks."""
        own = [self.finals(task, OURS) for task in tasks]
        their = [self.finals(task, other) for task in tasks]
        chance = statistics.improvement_estimate(own, their, self.repetitions)
        return Comparison(chance, statistics.permutation_p(own, their, self.repetitions))

    def _rivalries(self) -> tuple[Rivalry, ...]:
        """Ours beside every other algorithm that has finished a task that ours has finished."""
        others = [name for name in self.results.algorithms if name != OURS]
        pairs = [(name, self.common([OURS, name])) for name in others]
        return tuple(
            Rivalry(name, tuple(tasks), tuple(self.compare([t], name) for t in tasks), self.compare(tasks, name))
            for name, tasks in pairs
            if tasks
        )
