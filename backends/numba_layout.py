"""How the Numba backend lays a brain out: rows of 32-bit words, in blocks of 16 side by side.

Planes of 16 words lie together ([block][plane][16]), so that every loop over a block has a fixed length and fixed
distances between planes: LLVM then turns it into SIMD instructions without checking for overlaps. Sensory words
fill the first blocks, pool words the rest; what pads a block stays zero.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.spec import BrainConfig

B = 16
"""Words of a block."""
CYCLES = 16
"""Room for the cycles of a presentation."""


class Size(IntEnum):
    """Entries of the int32 array of sizes, of offsets into a brain's memory, its wires and the workspace."""

    D = 0
    W = 1
    P = 2
    A = 3
    K = 4
    C = 5
    S = 6
    SENSORY_BLOCKS = 7
    POOL_BLOCKS = 8
    BLOCKS = 9
    EXCITEMENT = 10
    """[pool blocks, 4, 16]"""
    WEIGHTS = 11
    """[O, blocks, 8, 16]"""
    TRACES = 12
    """[O, blocks, 5, 16]: four digits and the sign."""
    VALUE = 13
    SURPRISE = 14
    PRESENTATION = 15
    BRAIN = 16
    EPISODE = 17
    GENERATION = 18
    MEMORY = 19
    """Length of a brain's memory."""
    SOURCE = 20
    """Wires [W, S]: source, then rotation, then xor."""
    SLOTS = 21
    """[W]"""
    THRESHOLD = 22
    """[pool blocks * 16]"""
    OWN = 23
    """[K, blocks * 16]: -1 for the words of a cluster, else 0."""
    WIRES = 24
    """Length of a brain's wires."""
    SPIKES = 25
    """Workspace: sensory spikes [D, 16 cycles]."""
    DRIVE = 26
    """[16 cycles, 4, pool blocks * 16]: a coincidence uses the first plane. The spikes take the place of that plane."""
    COUNTS = 27
    """[blocks, 4, 16]"""
    LIVE = 28
    """[pool blocks, 4, 16]: excitement during the presentation."""
    BLOCK = 29
    """[5, 16]: planes of a block, between short loops that SIMD registers hold better than one long loop."""
    DRIVES = 30
    """[A + K]: motor drives and values."""
    VOLLEY = 31
    """[3, A]: volley, share, sign."""
    SECONDS = 32
    """[G]"""
    SCRATCH = 33
    """Length of the workspace."""


def _starts(lengths: tuple[int, ...]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)])


def layout(config: BrainConfig) -> NDArray[np.int32]:
    """Sizes and offsets of a brain, by :class:`Size`."""
    d, w, a, k, o = config.sensory_words, config.pool_words, config.units, config.clusters, config.outputs
    sensory, pool, slots = -(-d // B), -(-w // B), config.slots[1]
    blocks = sensory + pool
    sizes = np.zeros(len(Size), np.int32)
    sizes[: Size.EXCITEMENT] = (d, w, config.words, a, k, config.cycles, slots, sensory, pool, blocks)
    memory = (pool * 4 * B, o * blocks * 8 * B, o * blocks * 5 * B, k, k, 1, 1, 1, w)
    sizes[Size.EXCITEMENT : Size.MEMORY + 1] = _starts(memory)
    sizes[Size.SOURCE : Size.WIRES + 1] = _starts((3 * w * slots, w, pool * B, k * blocks * B))
    scratch = (d * CYCLES, CYCLES * 4 * pool * B, blocks * 4 * B, pool * 4 * B, 5 * B, a + k, 3 * a, len(config.groups))
    sizes[Size.SPIKES : Size.SCRATCH + 1] = _starts(scratch)
    return sizes


def columns(config: BrainConfig) -> NDArray[np.intp]:
    """Place of each word among the blocks' columns: intp [P]."""
    sensory = -(-config.sensory_words // B) * B
    return np.concatenate([np.arange(config.sensory_words), sensory + np.arange(config.pool_words)])


def to_blocks(planes: NDArray[np.uint32], place: NDArray[np.intp], blocks: int) -> NDArray[np.uint32]:
    """Planes [..., n, words] as blocks [..., blocks, n, 16]."""
    n = planes.shape[-2]
    wide = np.zeros((*planes.shape[:-1], blocks * B), np.uint32)
    wide[..., place] = planes
    return np.moveaxis(wide.reshape(*planes.shape[:-2], n, blocks, B), -2, -3)


def from_blocks(block: NDArray[np.uint32], place: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Blocks [..., blocks, n, 16] as planes [..., n, words]."""
    wide = np.moveaxis(block, -3, -2)
    return wide.reshape(*wide.shape[:-2], -1)[..., place]
