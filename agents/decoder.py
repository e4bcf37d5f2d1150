"""From motor units to actions."""

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import SpaceError, brief

MAX_UNITS = 4096
"""Motor units that a brain may have."""


class Decoder:
    """Groups of motor units of an action space, one spike drawn from each.

    Discrete is one group; MultiDiscrete and MultiBinary have one per element; every dimension of a Box is a population
    of preferred values from its low to its high bound.
    """

    def __init__(self, space: spaces.Space[Any], config: AgentConfig) -> None:
        """Lay out the groups.

        Raises:
            SpaceError: a space that is not supported, or a Box without finite bounds.
        """
        self.space, self.config = space, config
        self.groups = self._groups()
        self._start, self._number = 0, np.int64
        if isinstance(space, spaces.Discrete):
            self._start, self._number = int(space.start), np.dtype(space.dtype).type
        self.preferred = self._preferred() if isinstance(space, spaces.Box) else np.zeros((0, 0))

    def _groups(self) -> tuple[int, ...]:
        space = self.space
        # without this, a checkpoint could ask for any amount of memory
        if math.prod(space.shape or ()) > MAX_UNITS:
            raise SpaceError(f"actions must have at most {MAX_UNITS} values, got {brief(space)}; wrap the environment")
        if isinstance(space, spaces.Discrete):
            return (int(space.n),)
        if isinstance(space, spaces.MultiDiscrete):
            return tuple(int(n) for n in space.nvec.ravel())
        if isinstance(space, spaces.MultiBinary):
            return (2,) * int(np.prod(space.shape))
        if isinstance(space, spaces.Box):
            if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()) or 0 in space.shape:
                raise SpaceError(f"a Box of actions must have finite bounds, got {brief(space)}; wrap the environment")
            return (self.config.box_bins,) * int(np.prod(space.shape))
        raise SpaceError(
            f"actions must be Discrete, MultiDiscrete, MultiBinary or a bounded Box, got {brief(space)}; wrap the "
            "environment"
        )

    def _preferred(self) -> NDArray[np.float64]:
        """Preferred values [dimensions, bins], evenly spaced, bounds included."""
        assert isinstance(self.space, spaces.Box)
        low = self.space.low.astype(np.float64).ravel()[:, None]
        high = self.space.high.astype(np.float64).ravel()[:, None]
        last = self.config.box_bins - 1
        step = np.arange(last + 1)
        return (low * (last - step) + high * step) / last

    def decode(self, units: NDArray[np.int32]) -> Any:
        """The action of the drawn units [G], a fresh object that belongs to the space."""
        space = self.space
        if isinstance(space, spaces.Discrete):
            return self._number(int(units[0]) + self._start)
        if isinstance(space, spaces.MultiDiscrete):
            return (units.reshape(space.nvec.shape) + space.start).astype(space.dtype)
        if isinstance(space, spaces.MultiBinary):
            return units.reshape(space.shape).astype(space.dtype)
        assert isinstance(space, spaces.Box)
        return self._box(self.preferred[np.arange(len(units)), units])

    def decode_mean(self, volley: NDArray[np.int32], units: NDArray[np.int32]) -> Any:
        """For a Box the mean of the preferred values, weighted by the volley [A]; else the units' action."""
        if not isinstance(self.space, spaces.Box) or self.config.box_decode != "mean":
            return self.decode(units)
        weights = volley.reshape(self.preferred.shape).astype(np.float64)
        # one after the other: left to choose, NumPy adds up in an order of its own
        total = np.cumsum(weights * self.preferred, axis=1)[:, -1]
        return self._box(total / np.maximum(weights.sum(axis=1), 1.0))

    def _box(self, values: NDArray[np.float64]) -> Any:
        space = self.space
        assert isinstance(space, spaces.Box)
        if np.issubdtype(space.dtype, np.integer):
            values = np.rint(values)
        action = values.reshape(space.shape).astype(space.dtype)
        # into the array: an action of shape () would become a number
        np.maximum(action, space.low, out=action)
        return np.minimum(action, space.high, out=action)
