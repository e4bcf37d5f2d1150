"""CartPole for many brains at once, and counts of a fixed pool that sees it; see :mod:`hebbit.scripts.ablation.bits`.

Shapes: R brains, E copies of the world for each, F = 128 + 32 P features (four sensory words and P pool words).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.encoder import LEVELS, tuning_table
from hebbit.agents.leaves import LANES

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
CYCLES = 8
DIMENSIONS = 4
LIMIT = 500
"""Steps after which an episode is cut."""
RANGES = np.array([2.4, 3.0, 0.21, 3.0])
"""A word covers plus and minus this: where episodes end, and velocities that are seen before."""
_GRAVITY, _CART, _POLE, _LENGTH, _FORCE, _TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
_FALLEN = 12 * 2 * np.pi / 360
_OUTSIDE = 2.4


def newborn(shape: tuple[int, ...], random: np.random.Generator) -> F64:
    """States [..., 4] that episodes begin with."""
    return random.uniform(-0.05, 0.05, (*shape, DIMENSIONS))


def moved(states: F64, right: NDArray[np.bool_]) -> tuple[F64, NDArray[np.bool_]]:
    """States [..., 4] after one step to the right or left [...], and which of them end the episode: Gymnasium's."""
    x, speed, angle, spin = np.moveaxis(states, -1, 0)
    sine, cosine, total = np.sin(angle), np.cos(angle), _CART + _POLE
    push = (np.where(right, _FORCE, -_FORCE) + _POLE * _LENGTH * spin**2 * sine) / total
    turn = (_GRAVITY * sine - cosine * push) / (_LENGTH * (4 / 3 - _POLE * cosine**2 / total))
    pull = push - _POLE * _LENGTH * turn * cosine / total
    after = np.stack([x + _TAU * speed, speed + _TAU * pull, angle + _TAU * spin, spin + _TAU * turn], axis=-1)
    return after, (np.abs(after[..., 0]) > _OUTSIDE) | (np.abs(after[..., 2]) > _FALLEN)


@dataclass(frozen=True)
class Pool:
    """Which two sensory neurons each pool neuron reads: integers of 0..127, [R, 1, 32 P] each."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]

    def counts(self, states: F64, random: np.random.Generator) -> F32:
        """Spikes 0..8 [R, E, F] that sensory and pool neurons fire for some states [R, E, 4].

        A sensory neuron of intensity I fires (I + 1) // 2 times in eight cycles. Two neurons that fire n and m times in
        phases of their own meet n m / 8 times on average; this is rounded by chance.
        """
        scaled = (states + RANGES) / (2 * RANGES) * (LEVELS - 1)
        position = np.clip(scaled, 0, LEVELS - 1).astype(np.intp)
        sensory = _COUNTS[position].reshape(*states.shape[:2], DIMENSIONS * LANES)
        met = np.take_along_axis(sensory, self.first, -1) * np.take_along_axis(sensory, self.second, -1) / CYCLES
        met = np.floor(met + random.random(met.shape, np.float32))
        return np.concatenate([sensory, met], axis=-1, dtype=np.float32)


_COUNTS = ((tuning_table(4.0) + 1) // 2).astype(np.float32)


def pool(seeds: NDArray[np.int64], words: int) -> Pool:
    """Pools of some brains: brains with the same seed [R] have the same one. Lanes are rotated from word to word."""
    kinds = {int(seed): _drawn(np.random.default_rng(int(seed)), words) for seed in np.unique(seeds)}
    first, second = (np.stack([kinds[int(seed)][side] for seed in seeds])[:, None] for side in (0, 1))
    return Pool(first, second)


def _drawn(random: np.random.Generator, words: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Sources [32 P] of one pool: two different dimensions for each word, the second one's lanes rotated and mixed."""
    lanes = np.arange(LANES)
    pairs = np.array([random.choice(DIMENSIONS, 2, replace=False) for _ in range(words)])
    rotation, mixed = random.integers(0, LANES, (2, words, 1))
    first = pairs[:, :1] * LANES + lanes
    second = pairs[:, 1:] * LANES + ((lanes ^ mixed) + rotation) % LANES
    return first.ravel(), second.ravel()
