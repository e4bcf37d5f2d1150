"""Books of running and recent episodes, and the actions that bring a running one back."""

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EPISODES_KEPT = 100
"""Episodes of each brain over which rollout statistics are taken, as in SB3."""


class Books:
    """For each brain: the running episode, its actions since the reset, and the latest episodes."""

    def __init__(self, begun: Sequence[int]) -> None:
        """Open the books of brains that have begun so many episodes."""
        brains = len(begun)
        self.begun = list(begun)
        """Episodes begun so far."""
        self.returns, self.lengths = [0.0] * brains, [0] * brains
        self.history: list[list[NDArray[np.int32]]] = [[] for _ in range(brains)]
        self.recent: list[deque[tuple[float, int]]] = [deque(maxlen=EPISODES_KEPT) for _ in range(brains)]

    def acted(self, units: NDArray[np.int32]) -> None:
        """Note the motor units [R, G] that are being executed."""
        for history, own in zip(self.history, units, strict=True):
            history.append(own)

    def ended(self, brain: int, reward: float) -> tuple[float, int]:
        """Close the running episode with its last reward: return and length."""
        total, length = self.returns[brain] + reward, self.lengths[brain] + 1
        self.recent[brain].append((total, length))
        self.returns[brain], self.lengths[brain], self.history[brain] = 0.0, 0, []
        return total, length

    def mean_return(self) -> float:
        """Mean return of the latest episodes of all brains."""
        recent = [total for episodes in self.recent for total, _ in episodes]
        return float(np.mean(recent)) if recent else math.nan

    def mean_length(self) -> float:
        """Mean length of the latest episodes of all brains."""
        recent = [length for episodes in self.recent for _, length in episodes]
        return float(np.mean(recent)) if recent else math.nan
