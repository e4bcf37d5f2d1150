"""Playing without learning."""

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents.environment import episode_seed


class Policy(Protocol):
    """Whatever answers as SB3's models do."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Action and state for one observation."""


def evaluate(
    policy: Policy,
    env: gym.Env[Any, Any],
    episodes: int,
    deterministic: bool = True,
    seed: int = 0,
    brain: int = 0,
    on_step: Callable[[], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns and lengths of some episodes, whose seeds no training episode has.

    Args:
        policy: an agent of ours or of SB3.
        env: one environment.
        episodes: how many.
        deterministic: the strongest unit instead of a spike drawn at random.
        seed: episode e is reset with a Philox word of (seed, brain, e) in the evaluation stream.
        brain: see seed.
        on_step: called after every step (to render, or to count).
    """
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode_seed(seed, brain, episode, evaluation=True))
        state: Any = None
        done = False
        while not done:
            start = np.array([state is None])
            action, state = policy.predict(observation, state, start, deterministic)
            observation, reward, terminated, truncated, _ = env.step(action)
            done = bool(terminated or truncated)
            returns[episode] += float(reward)
            lengths[episode] += 1
            if on_step is not None:
                on_step()
    return returns, lengths
