"""Arrays of newborn brains: what they believe before they have seen anything."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.backends.philox import draw
from hebbit.backends.spec import FRACTION_BITS, LANES, WEIGHT_MAX, WEIGHT_MIN, Arrays, BrainConfig, Stream, empty_arrays

BYTE_DEVIATION = 128
"""Standard deviation of the sum of three uniform bytes, rounded."""
HALF = 1 << FRACTION_BITS - 1
"""Fraction of a weight that nothing has moved: readouts leave fractions out, so this makes that rounding."""


def newborn_arrays(configs: Sequence[AgentConfig], brain: BrainConfig, seed: int, brains: NDArray[np.uint32]) -> Arrays:
    """Canonical arrays of newborn brains: an optimistic critic, and learning words with a few random weights."""
    arrays = empty_arrays(brain, brains)
    for weights, config in zip(arrays["weights"], configs, strict=True):
        weights[-1] = round(config.optimism)
    for name in ("fractions", "inner_fractions"):
        arrays[name][...] = HALF
    for number, name in enumerate(brains.tolist()):
        arrays["inner_weights"][number] = inner_weights(configs[number], brain, (seed, name))
    return arrays


def inner_weights(config: AgentConfig, brain: BrainConfig, key: tuple[int, int]) -> NDArray[np.int8]:
    """Weights int8 [H, S, 32] of one brain's learning words: most are 0, the others nearly normal around it.

    The four bytes of a random word decide: the first whether there is a weight, the sum of the others which.
    """
    shape = brain.learning_units, brain.learning_sources, LANES
    synapses = int(np.prod(shape))
    words = np.arange(-(-synapses // 4), dtype=np.uint32)
    r = draw(words, 0, 0, 0, Stream.BIRTH, key).ravel()[:synapses]
    there = (r & 0xFF) < round(256 * config.learning_density)
    total = ((r >> 8) & 0xFF).astype(np.int64) + ((r >> 16) & 0xFF) + (r >> 24) - 382
    weights = np.where(there, total * round(16 * config.learning_spread) // (16 * BYTE_DEVIATION), 0)
    return np.clip(weights, WEIGHT_MIN, WEIGHT_MAX).astype(np.int8).reshape(shape)
