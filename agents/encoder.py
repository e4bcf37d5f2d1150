"""From observations to intensities 0..15: the last place where there are floats.

Only correctly rounded operations (+ - * / sqrt, comparisons) are used, so every machine gives the same integers. Each
leaf of the observation space becomes whole sensory words of 32 neurons:

* a *tuned* dimension of a Box is one word with overlapping tuning curves,
* Discrete, MultiDiscrete and MultiBinary elements, and Boxes of binary or of very many values, map straight onto
  neurons, one each (``direct``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import ObservationError, brief
from hebbit.agents.leaves import LANES, Leaf, finite, leaves, part, plane_words
from hebbit.agents.relations import MAX_PIXELS, Relations
from hebbit.agents.spaces import row

LEVELS = 256
"""Positions that a tuned dimension distinguishes."""
HUGE = 1e100
"""Values are cut to this before statistics are taken."""

NO_VALUES = (KeyError, IndexError, TypeError, ValueError, OverflowError)
"""What comes of looking for numbers in something else."""

F64 = NDArray[np.float64]
Rows = slice | NDArray[np.intp]
"""Brains whose ranges apply: all of them, or some by number."""


def tuning_table(width: float) -> NDArray[np.uint8]:
    """Intensities of a word's neurons for each position: uint8 [LEVELS, 32], floor(16 (1 - (distance / width)**2))."""
    position = np.arange(LEVELS)[:, None] * (LANES - 1) / (LEVELS - 1)
    distance = (position - np.arange(LANES)) / width
    table: NDArray[np.uint8] = np.minimum(15, np.floor(16 * np.maximum(0, 1 - distance * distance))).astype(np.uint8)
    return table


def _bounds(boxes: list[spaces.Box]) -> tuple[F64, F64, NDArray[np.bool_]]:
    """Bounds of all dimensions of some boxes, and which are bounded."""
    none = np.zeros(0)
    low = np.concatenate([none, *(box.low.ravel() for box in boxes)]).astype(np.float64)
    high = np.concatenate([none, *(box.high.ravel() for box in boxes)]).astype(np.float64)
    return low, high, np.concatenate([none.astype(np.bool_), *(finite(box).ravel() for box in boxes)])


@dataclass(slots=True)
class Dimension:
    """Range of one dimension as plain floats."""

    mean: float
    square: float
    low: float
    scale: float
    adaptive: bool


class Encoder:
    """Words of an observation space, with the ranges of unbounded dimensions, one row for each of R brains."""

    def __init__(self, space: spaces.Space[Any], config: AgentConfig, brains: int = 1) -> None:
        """Lay out the words."""
        self.space, self.config = space, config
        self.leaves = tuple(leaves(space))
        tuned = [leaf for leaf in self.leaves if leaf.kind == "tuned"]
        self.tuned = sum(leaf.size for leaf in tuned)
        """Words with tuning curves; they come first."""
        self.relations = [_relations(leaf, config.relations) for leaf in self.leaves]
        """For each leaf that is an image, the pairs of its pixels, if any; their neurons follow its own."""
        self._sizes = [leaf.size + (r.size if r else 0) for leaf, r in zip(self.leaves, self.relations, strict=True)]
        self.neurons = sum(self._sizes) - self.tuned
        single = len(self.leaves) == 1 and self.leaves[0].kind == "image" and self.relations[0] is None
        self.image = self.leaves[0].space.shape if single else None
        """Rows, columns and planes, if the observation is one image and nothing else is made of it."""
        self.words = self.tuned + -(-self.neurons // LANES)
        self.table = tuning_table(config.tuning_width)
        low, high, bounded = _bounds([leaf.space for leaf in tuned if isinstance(leaf.space, spaces.Box)])
        if config.ranges == "adaptive":
            bounded = np.zeros_like(bounded)
        self.adaptive = ~bounded
        """Which tuned dimensions find their range by themselves."""
        shape = (brains, self.tuned)
        self.seen = np.zeros(brains, np.int64)
        self.mean, self.square = np.zeros(shape), np.zeros(shape)
        self.low = np.broadcast_to(np.where(bounded, low, -1.0), shape).copy()
        width = np.where(bounded & (high > low), np.where(bounded, high, 1.0) - np.where(bounded, low, 0.0), 2.0)
        self.scale = np.broadcast_to((LEVELS - 1) / width, shape).copy()
        self._zeros = np.zeros(self.tuned)
        self._simple = len(self.leaves) == 1 and self.leaves[0].kind == "tuned" and self.leaves[0].path == ()
        self._learning = bool(self.adaptive.any()) and config.warmup > 0
        self._brief = self._simple and brains == 1 and self.tuned <= 16
        self._few: list[Dimension] | None = None
        """Ranges of a single brain as plain floats; None until they are needed."""
        self._stale = False

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What learning the ranges changes, for checkpoints and digests."""
        self._sync()
        names = ("seen", "mean", "square", "low", "scale")
        return {f"encoder_{name}": getattr(self, name).copy() for name in names}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`arrays` gave."""
        for name in ("seen", "mean", "square", "low", "scale"):
            getattr(self, name)[...] = arrays[f"encoder_{name}"]
        self._few, self._stale = None, False
        self._learning = bool(self.adaptive.any() and (self.seen < self.config.warmup).any())

    def as_batch(self, observation: Any) -> list[Any] | None:
        """Observations of a batch, or None if it is a single one."""
        number: int | None = None
        for leaf in self.leaves:
            try:
                shape = np.shape(part(observation, leaf.path))
            except NO_VALUES as error:
                raise self._foreign(error) from error
            if number is None and shape == leaf.space.shape:
                return None
            if not shape or shape[1:] != leaf.space.shape:
                raise ObservationError(f"observations{_at(leaf)} must have shape {leaf.space.shape}, got {shape}")
            number = shape[0] if number is None else number
            if shape[0] != number:
                raise ObservationError(f"observations{_at(leaf)} must be {number} like the others, got {shape[0]}")
        return [row(observation, i) for i in range(number or 0)]

    def _foreign(self, error: BaseException) -> ObservationError:
        what = f"observations must belong to {brief(self.space)}, got something else: {brief(error)}"
        return ObservationError(what)

    def values(self, observations: Sequence[Any]) -> F64:
        """Values of the tuned dimensions of some observations: float64 [n, tuned].

        Raises:
            ObservationError: a wrong shape, or a value that is not finite.
        """
        if self._simple:
            values = self._stack(observations, self.leaves[0])
        else:
            own = [self._stack(observations, leaf) for leaf in self.leaves if leaf.kind == "tuned"]
            values = np.concatenate(own, axis=1) if own else np.zeros((len(observations), 0))
        # 0 * x is 0 unless x is infinite or not a number: the cheapest test there is
        if (values @ self._zeros).any():
            raise _not_finite(values)
        return values

    def _stack(self, observations: Sequence[Any], leaf: Leaf) -> F64:
        """One leaf of some observations as rows: float64 [n, size of the leaf]."""
        try:
            parts = observations if not leaf.path else [part(o, leaf.path) for o in observations]
            values = np.asarray(parts, np.float64)
        except NO_VALUES as error:
            raise self._foreign(error) from error
        if values.shape[1:] != leaf.space.shape:
            raise ObservationError(
                f"observations{_at(leaf)} must have shape {leaf.space.shape}, got {values.shape[1:]}"
            )
        return values.reshape(len(values), -1)

    def observe(self, rows: Rows, values: F64) -> None:
        """Learn the ranges of unbounded dimensions from one observation of each row, until the warm-up is over."""
        # far beyond any measure, but their squares would overflow
        values = np.minimum(np.maximum(values, -HUGE), HUGE)
        seen = self.seen[rows]
        young = seen < self.config.warmup
        if not young.any():
            self._learning = bool((self.seen < self.config.warmup).any())
            return
        n = (seen + 1)[:, None]
        mean = self.mean[rows] + (values - self.mean[rows]) / n
        square = self.square[rows] + (values - self.mean[rows]) * (values - mean)
        reach = self.config.range_deviations * (np.sqrt(square / n) + 1e-6)
        change = young[:, None] & self.adaptive
        self.low[rows] = np.where(change, mean - reach, self.low[rows])
        self.scale[rows] = np.where(change, (LEVELS - 1) / (2 * reach), self.scale[rows])
        self.mean[rows] = np.where(young[:, None], mean, self.mean[rows])
        self.square[rows] = np.where(young[:, None], square, self.square[rows])
        self.seen[rows] = seen + young

    def _one(self, observation: Any, learn: bool) -> NDArray[np.uint8]:
        """Intensities [1, words, 32] of one observation of one brain: for a few values plain floats are quicker."""
        try:
            array = np.asarray(observation, np.float64)
        except NO_VALUES as error:
            raise self._foreign(error) from error
        if array.shape != self.leaves[0].space.shape:
            raise ObservationError(f"observations must have shape {self.leaves[0].space.shape}, got {array.shape}")
        values, positions, top = array.ravel().tolist(), [], LEVELS - 1
        for value in values:
            if value - value != 0.0:
                raise _not_finite(array.reshape(1, -1))
        if self._few is None:
            columns = (self.mean, self.square, self.low, self.scale, self.adaptive[None])
            self._few = [Dimension(*one) for one in zip(*(column[0].tolist() for column in columns), strict=True)]
        if learn:
            self._observe_few(values, self._few)
        for value, dimension in zip(values, self._few, strict=True):
            position = (value - dimension.low) * dimension.scale
            positions.append(0 if position < 0.0 else int(position) if position < top else top)
        return self.table[positions][None]

    def _observe_few(self, values: list[float], dimensions: "list[Dimension]") -> None:
        """As :meth:`observe`, for :meth:`_one`."""
        n = int(self.seen[0]) + 1
        if n > self.config.warmup:
            self._learning = False
            return
        self.seen[0], self._stale = n, True
        deviations = self.config.range_deviations
        for value, dimension in zip(values, dimensions, strict=True):
            value = min(max(value, -HUGE), HUGE)
            difference = value - dimension.mean
            dimension.mean += difference / n
            dimension.square += difference * (value - dimension.mean)
            if dimension.adaptive:
                reach = deviations * (math.sqrt(dimension.square / n) + 1e-6)
                dimension.low, dimension.scale = dimension.mean - reach, (LEVELS - 1) / (2 * reach)

    def _sync(self) -> None:
        """Bring the arrays up to date with what plain floats have learned."""
        if self._stale and self._few is not None:
            for column, one in enumerate(self._few):
                self.mean[0, column], self.square[0, column] = one.mean, one.square
                self.low[0, column], self.scale[0, column] = one.low, one.scale
        self._stale = False

    def encode(self, observations: Sequence[Any], rows: Rows, learn: bool = False) -> NDArray[np.uint8]:
        """Intensities of one observation for each of some rows (brains): uint8 [n, words, 32]."""
        if not self.neurons:
            return self._tuned(observations, rows, learn)
        intensities = np.zeros((len(observations), self.words, LANES), np.uint8)
        if self.tuned:
            intensities[:, : self.tuned] = self._tuned(observations, rows, learn)
        flat = intensities[:, self.tuned :].reshape(len(observations), -1)
        start = 0
        for leaf, relations, size in zip(self.leaves, self.relations, self._sizes, strict=True):
            if leaf.kind != "tuned":
                own, end = self._direct(self._stack(observations, leaf), leaf), start + leaf.size
                flat[:, start:end] = own
                if relations:
                    flat[:, end : start + size] = relations.encode(own)
                start += size
        intensities[:, self.tuned :] = flat.reshape(len(observations), -1, LANES)
        return intensities

    def _tuned(self, observations: Sequence[Any], rows: Rows, learn: bool) -> NDArray[np.uint8]:
        learning = learn and self._learning
        if self._brief and len(observations) == 1:
            return self._one(observations[0], learning)
        self._sync()
        values = self.values(observations)
        if learning:
            self.observe(rows, values)
        position = (values - self.low[rows]) * self.scale[rows]
        np.maximum(position, 0.0, out=position)
        np.minimum(position, LEVELS - 1.0, out=position)
        intensities: NDArray[np.uint8] = self.table.take(position.astype(np.intp), axis=0, mode="clip")
        return intensities

    def _direct(self, values: F64, leaf: Leaf) -> NDArray[np.uint8]:
        """Intensities of the neurons of one leaf: uint8 [n, size]."""
        if not np.isfinite(values).all():
            raise _not_finite(values, _at(leaf))
        if leaf.kind == "onehot":
            return _onehot(values, leaf)
        if isinstance(leaf.space, spaces.MultiBinary):
            return np.where(values > 0, 15, 0).astype(np.uint8)
        assert isinstance(leaf.space, spaces.Box)
        low, high = leaf.space.low.astype(np.float64).ravel(), leaf.space.high.astype(np.float64).ravel()
        width = np.where(high > low, high - low, 1.0)
        intensities: NDArray[np.uint8] = np.clip(np.floor(16 * (values - low) / width), 0, 15).astype(np.uint8)
        return _planes(intensities, leaf.space) if leaf.kind == "image" else intensities


def _relations(leaf: Leaf, reach: int) -> Relations | None:
    """Pairs of pixels of an image that is small enough for them and has planes to pair."""
    shape = leaf.space.shape or ()
    if leaf.kind != "image" or reach == 0 or shape[2] < 2 or math.prod(shape) > MAX_PIXELS:
        return None
    return Relations(shape, reach, LANES * plane_words(leaf.space))


def _planes(values: NDArray[np.uint8], space: spaces.Space[Any]) -> NDArray[np.uint8]:
    """Pixels plane by plane, each filled up to whole words: uint8 [n, planes * words * 32]."""
    rows, columns, planes = space.shape or (0, 0, 0)
    out = np.zeros((len(values), planes, LANES * plane_words(space)), np.uint8)
    out[:, :, : rows * columns] = values.reshape(len(values), rows * columns, planes).swapaxes(1, 2)
    return out.reshape(len(values), -1)


def _at(leaf: Leaf) -> str:
    return f" at {'.'.join(map(str, leaf.path))}" if leaf.path else ""


def _not_finite(values: F64, where: str = "") -> ObservationError:
    observation, column = np.argwhere(~np.isfinite(values))[0]
    value = values[observation, column]
    return ObservationError(
        f"observations{where} must be finite, got {value} in dimension {column}; mend the environment"
    )


def _onehot(values: F64, leaf: Leaf) -> NDArray[np.uint8]:
    """One neuron of each element at full intensity: uint8 [n, size]."""
    if isinstance(leaf.space, spaces.Discrete):
        sizes, first = np.array([leaf.space.n]), np.array([leaf.space.start])
    else:
        assert isinstance(leaf.space, spaces.MultiDiscrete)
        sizes, first = leaf.space.nvec.ravel(), leaf.space.start.ravel()
    index = values - first
    if not bool(np.all((index >= 0) & (index < sizes) & (index == np.floor(index)))):
        raise ObservationError(f"observations must belong to {brief(leaf.space)}, got {brief(values.tolist())}")
    intensities = np.zeros((len(values), leaf.size), np.uint8)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    np.put_along_axis(intensities, starts + index.astype(np.intp), 15, axis=1)
    return intensities
