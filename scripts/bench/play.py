"""Episodes side by side: the same episodes for every policy, whoever made it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents.evaluation import EPISODE_LIMIT, Policy

WIDTH = 50
"""Most environments at a time."""


class Episodes(NamedTuple):
    """What some episodes gave."""

    returns: NDArray[np.float64]
    """[episodes]"""
    lengths: NDArray[np.int64]
    """[episodes]"""


def play(
    policy: Policy,
    make: Callable[[], gym.Env[Any, Any]],
    seeds: Sequence[int],
    deterministic: bool = True,
    width: int = WIDTH,
) -> Episodes:
    """Play an episode for each seed without learning, of at most EPISODE_LIMIT steps.

    Args:
        policy: an agent of ours or of Stable-Baselines3; it answers batches of observations.
        make: makes one environment.
        seeds: what each episode is reset with.
        deterministic: the strongest unit instead of a spike drawn at random.
        width: most environments at a time.
    """
    returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
    envs = [make() for _ in range(min(width, len(seeds)))]
    try:
        for first in range(0, len(seeds), max(1, len(envs))):
            own = slice(first, min(first + len(envs), len(seeds)))
            returns[own], lengths[own] = _side_by_side(policy, envs, seeds[own], deterministic)
    finally:
        for env in envs:
            env.close()
    return Episodes(returns, lengths)


def _side_by_side(
    policy: Policy, envs: Sequence[gym.Env[Any, Any]], seeds: Sequence[int], deterministic: bool
) -> Episodes:
    """One episode for each seed, in lockstep: whoever has ended is shown his last observation until all have."""
    n = len(seeds)
    observations = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=False)]
    returns, lengths, running = np.zeros(n), np.zeros(n, np.int64), np.ones(n, np.bool_)
    state: Any = None
    while running.any():
        actions, state = policy.predict(stacked(observations), state, lengths == 0, deterministic)
        for i in np.flatnonzero(running).tolist():
            observations[i], reward, terminated, truncated, _ = envs[i].step(actions[i])
            returns[i] += float(reward)
            lengths[i] += 1
            running[i] = not (terminated or truncated or lengths[i] >= EPISODE_LIMIT)
    return Episodes(returns, lengths)


def stacked(observations: Sequence[Any]) -> Any:
    """A batch of observations; of dicts or tuples, a dict or tuple of batches."""
    first = observations[0]
    if isinstance(first, dict):
        return {key: stacked([one[key] for one in observations]) for key in first}
    if isinstance(first, tuple):
        return tuple(stacked(part) for part in zip(*observations, strict=True))
    return np.stack(observations)
