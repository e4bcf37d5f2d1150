"""Books of running and recent episodes, and the actions that bring a running one back."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.streams import Tick
from hebbit.backends.spec import Flag

EPISODES_KEPT = 100
"""Episodes of each brain over which rollout statistics are taken, as in SB3."""
# members of an enum are slow to look up
CONTINUE, TERMINATED = int(Flag.CONTINUE), int(Flag.TERMINATED)


class Books:
    """For each brain: the running episode, its actions since the reset, and the latest episodes."""

    def __init__(self, begun: Sequence[int]) -> None:
        """Open the books of brains that have begun so many episodes."""
        brains = len(begun)
        self.begun = list(begun)
        """Episodes begun so far."""
        self.returns, self.lengths = [0.0] * brains, [0] * brains
        self.history = [bytearray() for _ in range(brains)]
        """Motor units executed since the reset, int32 [steps, G], where they can be repeated."""
        self.recent: list[deque[tuple[float, int]]] = [deque(maxlen=EPISODES_KEPT) for _ in range(brains)]

    def acted(self, units: NDArray[np.int32]) -> None:
        """Note the motor units [R, G] that were executed; before :meth:`met`, which closes what they ended."""
        executed, width = units.tobytes(), units.shape[1] * units.itemsize
        for b, history in enumerate(self.history):
            history += executed[b * width : (b + 1) * width]

    def met(self, tick: Tick) -> list[dict[str, Any]]:
        """Note what the brains met: the episodes that ended."""
        ended = []
        for b, (reward, flag) in enumerate(zip(tick.rewards, tick.flags.tolist(), strict=True)):
            if flag == CONTINUE:
                self.returns[b] += reward
                self.lengths[b] += 1
            elif flag >= TERMINATED:
                ended.append(self._ended(b, float(reward)))
                self.begun[b] += b in tick.restarts
            else:
                self.begun[b] += 1
        return ended

    def _ended(self, brain: int, reward: float) -> dict[str, Any]:
        """Close the running episode with its last reward."""
        total, length = self.returns[brain] + reward, self.lengths[brain] + 1
        self.recent[brain].append((total, length))
        self.returns[brain], self.lengths[brain], self.history[brain] = 0.0, 0, bytearray()
        return {"r": total, "l": length, "brain": brain, "episode": self.begun[brain] - 1}

    def mean_return(self) -> float:
        """Mean return of the latest episodes of all brains."""
        recent = [total for episodes in self.recent for total, _ in episodes]
        return float(np.mean(recent)) if recent else math.nan

    def mean_length(self) -> float:
        """Mean length of the latest episodes of all brains."""
        recent = [length for episodes in self.recent for _, length in episodes]
        return float(np.mean(recent)) if recent else math.nan
