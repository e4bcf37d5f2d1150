"""Episodes on record: an environment that notes what happens, and one that says it again whatever is done."""

from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


class Event(NamedTuple):
    """One call of an environment and what it answered."""

    action: Any
    """None for a reset."""
    seed: int | None
    observation: Any
    reward: float
    terminated: bool
    truncated: bool


class RecordingEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Hands everything on and keeps it in ``events``."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Begin with an empty record."""
        super().__init__(env)
        self.events: list[Event] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See gymnasium.Env."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.events.append(Event(None, seed, observation, 0.0, False, False))
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """See gymnasium.Env."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.events.append(Event(action, None, observation, float(reward), terminated, truncated))
        return observation, reward, terminated, truncated, info

    def save(self, path: Path) -> None:
        """Write observations (arrays), rewards and ends."""
        np.savez(
            path,
            observations=np.array([event.observation for event in self.events]),
            rewards=np.array([event.reward for event in self.events]),
            ends=np.array([[event.terminated, event.truncated] for event in self.events]),
        )


class ReplayEnv(gym.Env[NDArray[Any], Any]):
    """Says again what a record holds, whatever the actions: what an agent meets depends on no float maths any more."""

    def __init__(self, path: Path, observation_space: gym.Space[NDArray[Any]], action_space: gym.Space[Any]) -> None:
        """Open a record of an environment with these spaces."""
        self.observation_space, self.action_space = observation_space, action_space
        with np.load(path) as record:
            self._observations, self._rewards, self._ends = record["observations"], record["rewards"], record["ends"]
        self._next = 0

    def _advance(self) -> int:
        self._next += 1
        return self._next - 1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """See gymnasium.Env; to be called where the record has a reset."""
        super().reset(seed=seed)
        return self._observations[self._advance()].copy(), {}

    def step(self, action: Any) -> tuple[NDArray[Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """See gymnasium.Env."""
        at = self._advance()
        terminated, truncated = self._ends[at]
        return self._observations[at].copy(), float(self._rewards[at]), bool(terminated), bool(truncated), {}


def repeat(env: gym.Env[Any, Any], events: list[Event]) -> None:
    """Make the recorded calls again, with the recorded actions."""
    for event in events:
        if event.action is None:
            env.reset(seed=event.seed)
        else:
            env.step(event.action)
