"""Leaves of an observation space, and where the values of each go."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents.errors import SpaceError, brief
from hebbit.agents.spaces import text_key

LANES = 32
MAX_TUNED = 64
"""A Box with more values than this is mapped straight onto neurons."""
MIN_SIDE = 4
"""An image has at least as many rows and columns."""
FAR = 1e6
"""Bounds beyond this are taken for none."""


@dataclass(frozen=True)
class Leaf:
    """One leaf of the observation space and where its values go."""

    path: tuple[str | int, ...]
    space: spaces.Space[Any]
    kind: str
    """tuned, direct (scaled by bounds), image (the same, plane by plane) or onehot."""
    size: int
    """Values (tuned, direct) or neurons (onehot, image)."""


def leaves(space: spaces.Space[Any], path: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    """Leaves of a space in the order of the words.

    Raises:
        SpaceError: a leaf that is not supported.
    """
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from leaves(part, (*path, text_key(key)))
    elif isinstance(space, spaces.Tuple):
        for index, part in enumerate(space.spaces):
            yield from leaves(part, (*path, index))
    elif isinstance(space, spaces.Discrete):
        yield Leaf(path, space, "onehot", int(space.n))
    elif isinstance(space, spaces.MultiDiscrete):
        yield Leaf(path, space, "onehot", sum(space.nvec.ravel().tolist()))
    elif isinstance(space, spaces.MultiBinary):
        yield Leaf(path, space, "direct", math.prod(space.shape))
    elif isinstance(space, spaces.Box):
        yield _box_leaf(space, path)
    else:
        raise SpaceError(
            "observations must be Box, Discrete, MultiDiscrete, MultiBinary or Dict and Tuple of these, got "
            f"{brief(space)}; wrap the environment"
        )


def _box_leaf(space: spaces.Box, path: tuple[str | int, ...]) -> Leaf:
    size = int(np.prod(space.shape))
    if size == 0:
        raise SpaceError(
            f"observations must hold at least one value, got an empty {brief(space)}; wrap the environment"
        )
    bounded = finite(space).all()
    if is_image(space):
        return Leaf(path, space, "image", LANES * plane_words(space) * space.shape[2])
    binary = bounded and np.issubdtype(space.dtype, np.integer) and bool(np.all(space.high - space.low == 1))
    boolean = space.dtype == np.bool_
    if boolean or binary or size > MAX_TUNED:
        if not bounded:
            raise SpaceError(
                f"a Box of more than {MAX_TUNED} values must have finite bounds, got shape {space.shape} without; "
                "wrap the environment (gymnasium.wrappers.RescaleObservation)"
            )
        return Leaf(path, space, "direct", size)
    return Leaf(path, space, "tuned", size)


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether a space is a Box of rows, columns and planes: three axes, bounds, and not too few pixels to be one."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        return False
    return bool(finite(space).all()) and min(space.shape[:2]) >= MIN_SIDE


def plane_words(space: spaces.Space[Any]) -> int:
    """Words of one plane of an image."""
    rows, columns, _ = space.shape or (0, 0, 0)
    return -(-rows * columns // LANES)


def finite(space: spaces.Box) -> NDArray[np.bool_]:
    """Which dimensions of a Box have bounds that say something."""
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    return np.isfinite(low) & np.isfinite(high) & (np.abs(low) < FAR) & (np.abs(high) < FAR)


def part(observation: Any, path: tuple[str | int, ...]) -> Any:
    """The value of one leaf."""
    for key in path:
        observation = observation[key]
    return observation
