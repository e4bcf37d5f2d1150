"""How the Numba backend lays a brain out: rows of 32-bit words, in blocks of 16 side by side.

Planes of 16 words lie together ([block][plane][16]): 16 words are what the kernels load, reckon with and store at once.
Sensory words fill the first blocks, pool words the rest; what pads a block stays zero.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.spec import LANES, BrainConfig

B = 16
"""Words of a block."""
CYCLES = 16
"""Room for the cycles of a presentation: a block, too."""
WIRE = 6
"""Numbers that tell what a pool word hears of one source."""
PLANES = 28
"""Random planes of a word, at most."""


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
    THRESHOLD = 20
    """Wires [pool blocks * 16]"""
    OWN = 21
    """[K, blocks * 16]: -1 for the words of a cluster, else 0."""
    SOURCE = 22
    """[W, S, 6], see :func:`hebbit.backends.numba_backend.wire_numbers`."""
    SLOTS = 23
    """[W]"""
    EXTREMES = 24
    """Least and largest threshold."""
    WIRES = 25
    """Length of a brain's wires."""
    NUMBERS = 26
    """Workspace: intensities as bytes [D, 32], before that excitement [W, 32]."""
    SPIKES = 27
    """Sensory spikes [D, 16 cycles]."""
    DRIVE = 28
    """[16 cycles, 4, pool blocks * 16]: a coincidence uses the first plane. The spikes take the place of that plane."""
    COUNTS = 29
    """[blocks, 4, 16]"""
    LIVE = 30
    """[pool blocks, 4, 16]: excitement during the presentation."""
    BLOCK = 31
    """[28, 16]: random planes of a block, in the order of philox.random_number."""
    DRIVES = 32
    """[A + K]: motor drives and values."""
    VOLLEY = 33
    """[3, A]: volley, share, sign."""
    SECONDS = 34
    """[G]"""
    SCRATCH = 35
    """Length of the workspace."""
    G = 36
    """Groups."""


def _starts(lengths: tuple[int, ...]) -> NDArray[np.int64]:
    """Offsets of parts and the length of all, in full blocks."""
    *starts, end = np.cumsum([0, *lengths])
    return np.array([*starts, -(-end // B) * B])


def aligned(brains: int, length: int, dtype: type) -> NDArray[Any]:
    """Zeros [brains, length] of 32 bits whose blocks are cache lines, too."""
    room: NDArray[Any] = np.zeros(brains * length + B, dtype)
    start = -room.ctypes.data // 4 % B
    return room[start : start + brains * length].reshape(brains, length)


def layout(config: BrainConfig) -> NDArray[np.int32]:
    """Sizes and offsets of a brain, by :class:`Size`."""
    d, w, a, k, o = config.sensory_words, config.pool_words, config.units, config.clusters, config.outputs
    sensory, pool, slots = -(-d // B), -(-w // B), config.slots[1]
    blocks = sensory + pool
    sizes = np.zeros(len(Size), np.int32)
    sizes[: Size.EXCITEMENT] = (d, w, config.words, a, k, config.cycles, slots, sensory, pool, blocks)
    memory = (pool * 4 * B, o * blocks * 8 * B, o * blocks * 5 * B, k, k, 1, 1, 1, w)
    sizes[Size.EXCITEMENT : Size.MEMORY + 1] = _starts(memory)
    sizes[Size.THRESHOLD : Size.WIRES + 1] = _starts((pool * B, k * blocks * B, WIRE * w * slots, w, 2))
    planes = (CYCLES * 4 * pool * B, blocks * 4 * B, pool * 4 * B, PLANES * B)
    scratch = (blocks * B * LANES // 4, d * CYCLES, *planes, a + k, 3 * a, len(config.groups))
    sizes[Size.NUMBERS : Size.SCRATCH + 1] = _starts(scratch)
    sizes[Size.G] = len(config.groups)
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
