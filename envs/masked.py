"""Classic control without velocities: what is hidden has to be remembered.

``gymnasium.make("hebbit.envs.masked:CartPoleNoVel-v1")`` shows the positions of CartPole-v1 alone, the cart's and the
pole's; everything else, rewards and limits too, is Gymnasium's. Importing this module registers the environments.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

POSITIONS = {"CartPole": ("CartPole-v1", (0, 2)), "MountainCar": ("MountainCar-v0", (0,))}
"""Environments by name: the whole one, and the dimensions that stay visible."""


class Visible(gym.ObservationWrapper[NDArray[np.float32], Any, NDArray[np.float32]]):
    """Shows some dimensions of a flat Box alone."""

    def __init__(self, env: gym.Env[NDArray[np.float32], Any], dimensions: tuple[int, ...]) -> None:
        """Keep these dimensions, in this order.

        Raises:
            ValueError: the observations are no flat Box, or it has no such dimension.
        """
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations must be a flat Box, got {space}")
        if not dimensions or not all(0 <= d < space.shape[0] for d in dimensions):
            raise ValueError(f"dimensions must lie in 0..{space.shape[0] - 1}, got {dimensions}")
        self.dimensions = list(dimensions)
        low, high = space.low[self.dimensions], space.high[self.dimensions]
        self.observation_space = spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """The visible dimensions, a fresh array."""
        return observation[self.dimensions].astype(np.float32)


def make(name: str, **kwargs: Any) -> gym.Env[NDArray[np.float32], Any]:
    """The environment of this name without its velocities; its time limit is the registration's."""
    whole, dimensions = POSITIONS[name]
    return Visible(gym.make(whole, max_episode_steps=-1, **kwargs), dimensions)


def register() -> None:
    """Register the environments, once."""
    for name, (whole, _) in POSITIONS.items():
        env_id = f"{name}NoVel-{whole.rpartition('-')[2]}"
        if env_id in gym.registry:
            continue
        known = gym.spec(whole)
        gym.register(
            env_id,
            entry_point="hebbit.envs.masked:make",
            kwargs={"name": name},
            max_episode_steps=known.max_episode_steps,
            reward_threshold=known.reward_threshold,
        )


register()
