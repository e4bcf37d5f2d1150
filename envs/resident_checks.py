"""What resident environments are given, checked: seeds, masks, options and actions."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hebbit.envs.worlds import World

SEEDS = 2**32
"""Streams that there are."""
Bounds = tuple[tuple[float, ...], tuple[float, ...]]
"""Least start of each number that is drawn, and where the draws end."""


def checked_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """One of Gymnasium's modes, also by the value it prints.

    Raises:
        ValueError: it is none.
    """
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = ", ".join(m.value for m in AutoresetMode)
        raise ValueError(f"autoreset_mode must be one of {known}, got {mode!r}") from error


def checked_mask(mask: Any, count: int) -> NDArray[np.bool_]:
    """The option ``reset_mask``.

    Raises:
        TypeError: it is no array of bool.
        ValueError: it has another shape, or is True nowhere.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(f"reset_mask must be a NumPy array of bool, got {getattr(mask, 'dtype', type(mask))}")
    if mask.shape != (count,) or not mask.any():
        raise ValueError(f"reset_mask must have shape ({count},) and be True somewhere, got {mask}")
    return mask


def checked_seeds(seed: int | Sequence[int | None] | None, count: int) -> Sequence[int | None]:
    """One seed, or None, for each environment.

    Raises:
        ValueError: there are not so many, or one is out of range or no whole number.
    """
    if seed is None:
        return [None] * count
    try:
        seeds: list[int | None]
        if isinstance(seed, int | np.integer):
            seeds = [int(seed) + i for i in range(count)]
        else:
            seeds = [None if s is None else operator.index(s) for s in seed]
    except TypeError as error:
        raise ValueError(f"seed must be a whole number, a list of them, or None, got {seed!r}") from error
    if len(seeds) != count:
        raise ValueError(f"expected {count} seeds, one for each environment, got {len(seeds)}")
    if any(s is not None and not 0 <= s < SEEDS for s in seeds):
        raise ValueError(f"seeds must lie in 0..2**32 - 1, got {seed!r} for {count} environments")
    return seeds


def checked_bounds(world: World, options: Mapping[str, Any]) -> Bounds:
    """Limits of the numbers drawn for a start, from Gymnasium's options.

    Raises:
        ValueError: an option is unknown, no number, or the lower limit is above the higher one.
    """
    symmetric = world.env_id == "Pendulum-v1"
    known = (
        {"x_init": world.high[0], "y_init": world.high[-1]}
        if symmetric
        else {"low": world.low[0], "high": world.high[0]}
    )
    unknown = sorted(str(name) for name in options if name not in known)
    if unknown:
        raise ValueError(f"{world.env_id} knows the options reset_mask, {', '.join(known)}, got {', '.join(unknown)}")
    try:
        first, second = (float(options.get(name, usual)) for name, usual in known.items())
    except (TypeError, ValueError) as error:
        raise ValueError(f"the options {', '.join(known)} must be numbers, got {dict(options)}") from error
    count = len(world.low)
    low, high = ((-first, -second), (first, second)) if symmetric else ((first,) * count, (second,) * count)
    if not all(np.isfinite(b - a) and a <= b for a, b in zip(low, high, strict=True)):
        raise ValueError(f"the limits of a start must be in order and finite, got {dict(options)}")
    return low, high


def checked_actions(world: World, actions: Any, count: int) -> NDArray[np.float64]:
    """Actions as the physics takes them: float64 [N].

    Raises:
        ValueError: another shape or type, or values that are no actions.
    """
    given = np.asarray(actions)
    if world.units:
        if given.shape != (count,) or given.dtype.kind not in "iu":
            raise ValueError(f"actions must be integers of shape ({count},), got {given.dtype} of shape {given.shape}")
        if given.min() < 0 or given.max() >= world.units:
            raise ValueError(
                f"actions must lie in 0..{world.units - 1}, got {given[(given < 0) | (given >= world.units)][0]}"
            )
        return given.astype(np.float64)
    if given.shape != (count, 1) or given.dtype.kind not in "fiu":
        raise ValueError(f"actions must be numbers of shape ({count}, 1), got {given.dtype} of shape {given.shape}")
    numbers = given[:, 0].astype(np.float32).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("actions must be finite, got one that is not")
    return numbers
