"""Successive halving: many configurations for a few steps, the best of them for more, the best of those for all.

L. Li et al., Hyperband: a novel bandit-based approach to hyperparameter optimization, JMLR 18 (2018).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hebbit.agents import AgentConfig, HebbitError
from hebbit.scripts.tune_crowd import Crowd
from hebbit.scripts.tune_trial import LOOKS, Conditions, score

if TYPE_CHECKING:
    from optuna.trial import Trial

    from hebbit.scripts.tune_draws import Draws

ETA = 2.5
RUNGS = 4
"""Of the ladder; the last one has all steps."""


@dataclass
class Rung:
    """What a configuration had when it was looked at."""

    steps: int
    score: float
    means: list[float]
    """Greedy mean return of each brain."""


@dataclass
class Entry:
    """One configuration on its way."""

    number: int
    """Of its trial."""
    params: dict[str, Any]
    """What was drawn."""
    config: AgentConfig
    wave: int
    """In which it began; with population-based training, the part of the steps."""
    rungs: list[Rung] = field(default_factory=list)
    parent: int | None = None
    """Number of the one whose brain it went on with."""

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        rungs = [
            {"steps": one.steps, "score": round(one.score, 3), "means": [round(mean, 3) for mean in one.means]}
            for one in self.rungs
        ]
        own = {"trial": self.number, "wave": self.wave, "params": self.params, "rungs": rungs}
        return own if self.parent is None else own | {"parent": self.parent}


def ladder(steps: int, eta: float) -> list[int]:
    """Steps of each rung."""
    return sorted({math.ceil(steps / eta**k) for k in range(RUNGS)})


def survivors(trials: int, eta: float) -> int:
    """How many of so many go on."""
    return math.ceil(trials / eta)


def cost(trials: int, seeds: int, rungs: Sequence[int], eta: float) -> int:
    """Learning steps of all brains in a wave."""
    total = 0
    for before, steps in pairwise([0, *rungs]):
        total += trials * seeds * (steps - before)
        trials = survivors(trials, eta)
    return total


def entries(draws: "Draws", trials: "Sequence[Trial]", wave: int) -> list[Entry]:
    """Trials that a brain can have; the others have failed."""
    able = []
    for trial in trials:
        try:
            able.append(Entry(trial.number, dict(trial.params), draws.space.config(trial.params), wave))
        except HebbitError as error:
            draws.fail(trial, str(error))
    return able


def halve(
    draws: "Draws",
    trials: "Mapping[int, Trial]",
    wave: Sequence[Entry],
    conditions: Conditions,
    seeds: Sequence[int],
    eta: float,
    told: Callable[[int, Sequence[Entry], int], None],
) -> None:
    """Let a wave climb the ladder; its trials end with what they had where they came to.

    Args:
        draws: the search.
        trials: by number.
        wave: the configurations.
        conditions: of the search.
        seeds: numbers of each configuration's brains.
        eta: one in so many goes on.
        told: after each rung, with its steps, those who were on it, best first, and how many go on.
    """
    crowd = Crowd(conditions, [one.config for one in wave], seeds)
    try:
        for position, reason in crowd.failed.items():
            draws.fail(trials[wave[position].number], reason)
        alive = [position for position in range(len(wave)) if position not in crowd.failed]
        rungs = ladder(conditions.steps, eta)
        for number, (before, steps) in enumerate(pairwise([0, *rungs])):
            crowd.live(steps - before, alive)
            last = steps == rungs[-1]
            alive = _ranked(
                wave, alive, crowd, conditions.episodes if last else -(-conditions.episodes // LOOKS), steps
            )
            going = 0 if last else survivors(len(alive), eta)
            _end(draws, trials, [wave[position] for position in alive], going, number, last)
            told(steps, [wave[position] for position in alive], going)
            alive = sorted(alive[:going])
    finally:
        crowd.close()


def _ranked(wave: Sequence[Entry], alive: Sequence[int], crowd: Crowd, episodes: int, steps: int) -> list[int]:
    """Positions, best first, after all have played."""
    for position, means in zip(alive, crowd.means(episodes, alive), strict=True):
        wave[position].rungs.append(Rung(steps, score(means), means.tolist()))
    return sorted(alive, key=lambda position: (-wave[position].rungs[-1].score, position))


def _end(
    draws: "Draws", trials: "Mapping[int, Trial]", ranking: Sequence[Entry], going: int, number: int, last: bool
) -> None:
    """Tell the search what all have, and that the others are left behind, or complete."""
    for place, entry in enumerate(ranking):
        trial, rung = trials[entry.number], entry.rungs[-1]
        if last:
            draws.complete(trial, rung.score, rung.means)
            continue
        trial.report(rung.score, number)
        if place >= going:
            draws.leave(trial, rung.means)
