"""The smallest task there is: answer with what you see. An agent that cannot learn it has a bug."""

from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Kind = Literal["discrete", "multidiscrete", "multibinary", "box"]
SPACES: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4),
    "multidiscrete": spaces.MultiDiscrete([3, 2]),
    "multibinary": spaces.MultiBinary(3),
    "box": spaces.Box(-1.0, 1.0, (1,), np.float32),
}


class Identity(gym.Env[Any, Any]):
    """Reward 1 for repeating the observation, in any of four spaces.

    Observations are drawn anew in every step from the space that is also the action space. In ``multidiscrete`` and
    ``multibinary`` every element counts its share; in ``box`` the reward is 1 - |action - observation|. Episodes are
    truncated after ``length`` steps.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, kind: Kind = "discrete", length: int = 20) -> None:
        """Choose the space.

        Raises:
            ValueError: no such kind.
        """
        if kind not in SPACES:
            raise ValueError(f"kind must be one of {', '.join(SPACES)}, got {kind!r}")
        self.kind, self.length = kind, length
        self.observation_space = self.action_space = SPACES[kind]
        self._left = 0
        self._shown: Any = None

    def _show(self) -> Any:
        if self.kind == "discrete":
            self._shown = self.np_random.integers(4)
        elif self.kind == "multidiscrete":
            self._shown = np.array([self.np_random.integers(3), self.np_random.integers(2)], np.int64)
        elif self.kind == "multibinary":
            self._shown = self.np_random.integers(0, 2, 3).astype(np.int8)
        else:
            self._shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self._shown if self.kind == "discrete" else self._shown.copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._left = self.length
        return self._show(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Pay for the answer and show the next observation."""
        if self.kind == "box":
            reward = 1.0 - float(np.abs(np.asarray(action, np.float64) - self._shown).mean())
        else:
            reward = float(np.mean(np.asarray(action) == self._shown))
        self._left -= 1
        return self._show(), reward, False, self._left <= 0, {}
