"""One configuration, trained on several seeds at once and judged by its greedy returns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, SpikingAgent
from hebbit.scripts.population import evaluate_brains

LOOKS = 4
"""Evaluations of a trial, the final one included, after equal parts of its steps."""
SPREAD_WEIGHT = 0.5
"""Of the standard deviation over brains, which is taken off their mean."""

CLEAR = 2.0
"""Standard errors by which the start must be beaten."""

Look = Callable[[int, float], None]
"""Told the steps so far and the score, before the end; it may raise to break the trial off."""


@dataclass(frozen=True)
class Conditions:
    """What all trials of a search have in common."""

    env_id: str
    steps: int
    """Of each brain."""
    episodes: int
    """Of each brain's final evaluation; those before take a quarter."""
    seed: int
    backend: str

    def looks(self) -> list[int]:
        """Steps after which the brains are evaluated."""
        return sorted({math.ceil(self.steps * part / LOOKS) for part in range(1, LOOKS + 1)})


def score(means: NDArray[np.float64]) -> float:
    """What a search maximises: the mean over brains less half of their standard deviation.

    A configuration that fails on one seed of four should lose against one that is a little worse on all of them. An
    interquartile mean would not see that seed.
    """
    return float(means.mean() - SPREAD_WEIGHT * means.std())


def clearly_better(means: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether one configuration beats another, by score, and seed by seed on average by two standard errors.

    Args:
        means: mean return of each brain, at least two.
        others: of the same seeds with the other configuration.
    """
    lead = means - others
    error = lead.std(ddof=1) / math.sqrt(len(lead))
    return score(means) > score(others) and bool(lead.mean() > CLEAR * error)


def train(
    conditions: Conditions, config: AgentConfig, brains: Sequence[int], look: Look | None = None
) -> NDArray[np.float64]:
    """Train newborn brains with these numbers, and evaluate them.

    Args:
        conditions: of the search.
        config: of every brain.
        brains: their numbers, each a seed: wiring, noise and episodes are its own.
        look: hears of the evaluations before the final one; without it there are none.

    Returns:
        Greedy mean return of each brain.

    Raises:
        HebbitError: no brain can have the configuration, or its returns are not finite.
    """
    agent = SpikingAgent(
        EnvSpec(conditions.env_id), seed=conditions.seed, config=config, backend=conditions.backend, brains=brains
    )
    try:
        for steps in conditions.looks():
            agent.learn(steps - agent.num_timesteps, log_interval=None, reset_num_timesteps=False)
            if steps < conditions.steps and look is not None:
                look(steps, score(_means(agent, math.ceil(conditions.episodes / LOOKS))))
        return _means(agent, conditions.episodes)
    finally:
        agent.close()


def _means(agent: SpikingAgent, episodes: int) -> NDArray[np.float64]:
    assert agent.spec is not None
    means: NDArray[np.float64] = evaluate_brains(agent, agent.spec, episodes)[0].mean(axis=1)
    if not np.isfinite(means).all():
        raise HebbitError(f"returns must be finite, got {means.tolist()}; mend the environment")
    return means
