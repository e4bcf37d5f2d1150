"""Wiring recomputed from coordinates: which sources a pool word reads, how rotated and how permuted.

Nothing here is ever stored in a checkpoint: (word, generation) and the key (seed, brain) say it all. The upper half of
a generation says which other word's name a word bears, see :data:`hebbit.backends.spec.CANONICAL`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.philox import LANES, draw, scaled
from hebbit.backends.spec import BrainConfig, Param, Stream


class Wiring(NamedTuple):
    """Sources of the pool words of one brain; S = slots_max."""

    slots: NDArray[np.int32]
    """[W]: slots in use."""
    source: NDArray[np.int32]
    """[W, S]: sensory or echo word."""
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
    names: NDArray[np.uint32] = np.arange(w, dtype=np.uint32) ^ (generation.astype(np.uint32) >> np.uint32(16))
    eras = generation & 0xFFFF
    for era in np.unique(eras).tolist():
        # words of one generation, side by side
        rows = np.flatnonzero(eras == era)
        words, every = names[rows], np.arange(len(rows))
        slots[rows] = least + scaled(draw(words, era, 0, 0, Stream.WIRING, key)[:, 0], most - least + 1)
        order = np.tile(np.arange(config.inputs, dtype=np.int32), (len(rows), 1))
        for slot in range(most):
            r = draw(words, era, 0, 1 + slot, Stream.WIRING, key)
            other = slot + scaled(r[:, 0], config.inputs - slot)
            chosen = order[every, other]
            order[every, other] = order[:, slot]
            used = slots[rows] > slot
            if config.tiles:
                first = source[rows, 0] if slot else scaled(r[:, 0], config.sensory_words)
                source[rows, slot], rotation[rows, slot] = neighbour(config, first, r, slot, used)
                continue
            source[rows, slot] = used * chosen
            rotation[rows, slot] = used * scaled(r[:, 1], LANES)
            xor[rows, slot] = used * scaled(r[:, 2], LANES)
    return Wiring(slots, source, rotation, xor)


def neighbour(
    config: BrainConfig, first: NDArray[Any], r: NDArray[np.uint32], slot: int, used: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Source and rotation of a slot where the sensory words are an image.

    The first source is read as it lies. The others are words of the same tile in any plane (of the image, or of its
    echoes), read from a place up to one row and one column away: one pattern, tried at 32 places at once. Places beyond
    the edge of a tile are those on its other side.
    """
    if slot == 0:
        return (used * first).astype(np.int32), np.zeros(len(first), np.int32)
    planes = (config.inputs - config.echo_pool) // config.tiles
    source = scaled(r[:, 0], planes) * config.tiles + first % config.tiles
    down, right = scaled(r[:, 1], 3) - 1, scaled(r[:, 2], 3) - 1
    rotation = (down * config.row + right) % LANES
    return (used * source).astype(np.int32), (used * rotation).astype(np.int32)


def thresholds(config: BrainConfig, wiring: Wiring, params: NDArray[np.int32]) -> NDArray[np.int32]:
    """Excitement at which the neurons of each pool word fire, given its brain's params [K, Param]: int32 [W]."""
    own = params[np.arange(config.inputs, config.inputs + config.pool_words) % config.clusters]
    return (own[:, Param.THRESHOLD] + own[:, Param.THRESHOLD_SLOPE] * (wiring.slots - 1)).astype(np.int32)


def source_lane(rotation: int, xor: int) -> NDArray[np.int64]:
    """Lane of the source word that each of the 32 neurons reads: ((j XOR x) - rotation) mod 32."""
    return ((np.arange(LANES) ^ xor) - rotation) % LANES


def echo_sources(config: BrainConfig, key: tuple[int, int]) -> NDArray[np.int32]:
    """Which word each echo word repeats: int32 [M], numbers of 0..P - 1.

    The first ones form delay lines: each repeats the word that lies as many words before it as there are sensory words.
    The others repeat pool and learning words, drawn with repetition.
    """
    delayed = np.arange(config.echo_delay * config.sensory_words, dtype=np.int32)
    rest = np.arange(config.echo_pool, dtype=np.uint32) + np.uint32(len(delayed))
    r = draw(rest, 0, 0, 0, Stream.ECHO, key)[:, 0]
    drawn = config.inputs + scaled(r, config.pool_words + config.learning_words)
    return np.concatenate([delayed, drawn.astype(np.int32)])
