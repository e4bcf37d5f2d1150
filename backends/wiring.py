"""Wiring recomputed from coordinates: which sources a pool word reads, how rotated and how permuted.

Nothing here is ever stored in a checkpoint: (word, generation) and the key (seed, brain) say it all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.philox import LANES, draw, scaled
from hebbit.backends.spec import BrainConfig, Stream


class Wiring(NamedTuple):
    """Sources of the pool words of one brain; S = slots_max."""

    slots: NDArray[np.int32]
    """[W]: slots in use."""
    source: NDArray[np.int32]
    """[W, S]: sensory word."""
    rotation: NDArray[np.int32]
    """[W, S]: 0..31."""
    xor: NDArray[np.int32]
    """[W, S]: 0..31, XOR of lanes; 31 is the mirror image."""


def wire(config: BrainConfig, generation: NDArray[np.uint32], key: tuple[int, int]) -> Wiring:
    """Wiring of one brain's pool words from their generations [W].

    The slot count is uniform, sources are drawn without repetition by a partial Fisher-Yates shuffle.
    """
    least, most = config.slots
    w = config.pool_words
    slots = np.zeros(w, np.int32)
    source, rotation, xor = (np.zeros((w, most), np.int32) for _ in range(3))
    for word in range(w):
        coordinate = np.array([word], np.uint32)
        era = int(generation[word])
        slots[word] = least + scaled(draw(coordinate, era, 0, 0, Stream.WIRING, key)[0, 0], most - least + 1)
        order = np.arange(config.sensory_words)
        for slot in range(slots[word]):
            r = draw(coordinate, era, 0, 1 + slot, Stream.WIRING, key)[0]
            other = slot + scaled(r[0], config.sensory_words - slot)
            order[slot], order[other] = order[other], order[slot]
            source[word, slot] = order[slot]
            rotation[word, slot] = scaled(r[1], LANES)
            xor[word, slot] = scaled(r[2], LANES)
    return Wiring(slots, source, rotation, xor)


def thresholds(config: BrainConfig, wiring: Wiring) -> NDArray[np.int32]:
    """Excitement at which the neurons of each pool word fire: int32 [W]."""
    return (config.threshold + config.threshold_slope * (wiring.slots - 1)).astype(np.int32)


def source_lane(rotation: int, xor: int) -> NDArray[np.int64]:
    """Lane of the source word that each of the 32 neurons reads: ((j XOR x) - rotation) mod 32."""
    return ((np.arange(LANES) ^ xor) - rotation) % LANES
