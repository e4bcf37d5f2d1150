"""One configuration, trained on several seeds at once and judged by its greedy returns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, SpikingAgent
from hebbit.scripts.population import evaluate_brains

LEAST_FRESH = 4
"""Seeds below which no lead is clear."""
LOOKS = 4
"""Evaluations of a trial, the final one included, after equal parts of its steps."""
SPREAD_WEIGHT = 0.5
"""Of the standard deviation over brains, which is taken off their mean."""

FALSE_RATE = 0.05
"""Of searches with nothing better than the start, how many may say that they found something."""

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


def clearly_better(means: NDArray[np.float64], others: NDArray[np.float64], rivals: int) -> bool:
    """Whether one configuration beats another: by score, and by Student's t test of the lead seed by seed.

    The test is one-sided, at FALSE_RATE shared out among the rivals (Bonferroni), so that it is rare that any of them
    beats the start by chance. Where some leads are alike the spread says too little, and nothing where all are. Then
    the chance is not less than that of k coins that all show heads, for the k seeds on which the two differ.

    Args:
        means: mean return of each brain.
        others: of the same seeds with the other configuration.
        rivals: how many configurations are compared with the other one, at least 1.

    Raises:
        ValueError: fewer than LEAST_FRESH seeds, too few to judge by.
    """
    lead = means - others
    n = len(lead)
    if n < LEAST_FRESH:
        raise ValueError(f"a lead is judged by at least {LEAST_FRESH} seeds, got {n}")
    if not (lead.mean() > 0 and score(means) > score(others)):
        return False
    error = float(lead.std(ddof=1)) / math.sqrt(n)
    chance = t_tail(float(lead.mean()) / error, n - 1) if error else 0.0
    # what is alike may differ by a rounding
    rounded = np.round(lead / np.abs([means, others]).max(), 9)
    if len(np.unique(rounded)) < n:
        chance = max(chance, 0.5 ** np.count_nonzero(rounded))
    return bool(chance <= FALSE_RATE / rivals)


def t_tail(t: float, degrees: int) -> float:
    """Chance that Student's t with some degrees of freedom, at least 1, is greater than this t of 0 or more.

    With t = sqrt(degrees) * tan(angle) the density is a power of the cosine, whose integral is a finite sum.
    """
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 + odd, degrees, 2):
        total += term
        term *= power / (power + 1) * cosine**2
    inner = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, (1 - inner) / 2)


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
