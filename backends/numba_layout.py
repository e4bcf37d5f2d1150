"""How the Numba backend lays a brain out: rows of 32-bit words, in blocks of 16 side by side.

Planes of 16 words lie together ([block][plane][16]): 16 words are what the kernels load, reckon with and store at once.
Sensory and echo words fill the first blocks, then come pool words, then learning words, each kind in blocks of its own;
what pads a block stays zero.
"""

import itertools
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
UNMOVED, MOVE = 6, 22
"""Rows of zeros before the five digits of a move, and all its rows: weights add twelve of them, from any on."""


class Size(IntEnum):
    """Entries of the array of sizes, of offsets into a brain's memory, its wires and the workspace."""

    D = 0
    W = 1
    P = 2
    A = 3
    K = 4
    C = 5
    S = 6
    INPUTS = 7
    M = 8
    L = 9
    H = 10
    SOURCES = 11
    """Words that a learning unit reads: the first ones, in SOURCE_BLOCKS blocks."""
    INPUT_BLOCKS = 12
    POOL_BLOCKS = 13
    BLOCKS = 14
    """Blocks of input words, pool words and learning words, in this order."""
    SOURCE_BLOCKS = 15
    ECHO_BLOCKS = 16
    CARRIED_BLOCKS = 17
    """Blocks of pool words, echo words and learning words, in this order."""
    EXCITEMENT = 18
    """[carried blocks, 4, 16]: excitement, echo intensities and last counts of learning words."""
    WEIGHTS = 19
    """[O, blocks, 8, 16]"""
    INNER_WEIGHTS = 20
    """[H, source blocks, 8, 16]"""
    FRACTIONS = 21
    """[O, blocks, 4, 16]: sixteenths of weight steps."""
    INNER_FRACTIONS = 22
    """[H, source blocks, 4, 16]"""
    TRACES = 23
    """[O, blocks, 5, 16]: four digits and the sign."""
    INNER_TRACES = 24
    """[H, source blocks, 5, 16]"""
    VALUE = 25
    SURPRISE = 26
    COLLECTED = 27
    PRESENTATION = 28
    BRAIN = 29
    EPISODE = 30
    GENERATION = 31
    MEMORY = 32
    """Length of a brain's memory."""
    THRESHOLD = 33
    """Wires [pool blocks * 16]"""
    OWN = 34
    """[K, blocks * 16]: -1 for the words of a cluster, else 0."""
    SOURCE = 35
    """[W, S, 6], see :func:`hebbit.backends.numba_backend.wire_numbers`."""
    SLOTS = 36
    """[W]"""
    EXTREMES = 37
    """Least and largest threshold."""
    ECHO = 38
    """[M]: where the first count plane of the word that an echo word repeats lies, after COUNTS."""
    KIND = 39
    """[blocks]: the part of READS that a block's words belong to, 1, 2 or 4."""
    WIRES = 40
    """Length of a brain's wires."""
    NUMBERS = 41
    """Workspace: intensities as bytes [D, 32], before that excitement [W + M + L, 32]."""
    SPIKES = 42
    """Spikes of sensory and echo words [inputs, 16 cycles]."""
    DRIVE = 43
    """[16 cycles, 4, pool blocks * 16]: a coincidence uses the first plane. The spikes take the place of that plane."""
    COUNTS = 44
    """[blocks, 4, 16]"""
    LIVE = 45
    """[carried blocks, 4, 16]: EXCITEMENT during the presentation."""
    SILENCE = 46
    """[4, 16]: counts of words that the readouts do not see, always zero."""
    BLOCK = 47
    """[28 + 22, 16]: random planes of a block, in the order of philox.random_number; what its weights move by."""
    DRIVES = 48
    """[A + K]: motor drives and values."""
    VOLLEY = 49
    """[3, A]: volley, share, sign."""
    SECONDS = 50
    """[G]"""
    CHANCES = 51
    """Chances of 256 of the learning units, bytes [H]."""
    CREDITS = 52
    """[2, H]: share and sign of the learning units."""
    SCRATCH = 53
    """Length of the workspace."""
    G = 54
    """Groups of motor units. Their sizes [G] follow."""


def _starts(lengths: tuple[int, ...]) -> NDArray[np.int64]:
    """Offsets of parts and the length of all, in full blocks."""
    *starts, end = np.cumsum([0, *lengths])
    return np.array([*starts, -(-end // B) * B])


def aligned(brains: int, length: int, dtype: type) -> NDArray[Any]:
    """Zeros [brains, length] of 32 bits whose blocks are cache lines, too."""
    room: NDArray[Any] = np.zeros(brains * length + B, dtype)
    start = -room.ctypes.data // 4 % B
    return room[start : start + brains * length].reshape(brains, length)


def blocks_of(words: int) -> int:
    """Blocks that so many words fill."""
    return -(-words // B)


def layout(config: BrainConfig) -> NDArray[np.int64]:
    """Sizes and offsets of a brain, by :class:`Size`; then the sizes of its groups."""
    d, w, a, k, o = config.sensory_words, config.pool_words, config.units, config.clusters, config.outputs
    i, m, learning, h = config.inputs, config.echo_words, config.learning_words, config.learning_units
    slots = config.slots[1]
    inputs, pool = blocks_of(i), blocks_of(w)
    blocks, sources = inputs + pool + blocks_of(learning), inputs + (pool if config.learning_pool else 0)
    carried = pool + blocks_of(m) + blocks_of(learning)
    sizes = np.zeros(len(Size) + len(config.groups), np.int64)
    sizes[: Size.SOURCES] = (d, w, config.words, a, k, config.cycles, slots, i, m, learning, h)
    kinds = (config.learning_sources, inputs, pool, blocks, sources, blocks_of(m), carried)
    sizes[Size.SOURCES : Size.EXCITEMENT] = kinds
    synapses = [(o * blocks * planes * B, h * sources * planes * B) for planes in (8, 4, 5)]
    memory = (carried * 4 * B, *itertools.chain(*synapses), k, k, 1, 1, 1, 1, w)
    sizes[Size.EXCITEMENT : Size.MEMORY + 1] = _starts(memory)
    wires = (pool * B, k * blocks * B, WIRE * w * slots, w, 2, m, blocks)
    sizes[Size.THRESHOLD : Size.WIRES + 1] = _starts(wires)
    planes = (CYCLES * 4 * pool * B, blocks * 4 * B, carried * 4 * B, 4 * B, (PLANES + MOVE) * B)
    numbers = max(d, config.carried_words) * LANES // 4
    scratch = (blocks_of(numbers) * B, i * CYCLES, *planes, a + k, 3 * a, len(config.groups), h // 4, 2 * h)
    sizes[Size.NUMBERS : Size.SCRATCH + 1] = _starts(scratch)
    sizes[Size.G], sizes[len(Size) :] = len(config.groups), config.groups
    return sizes


def places(*sections: int) -> NDArray[np.intp]:
    """Place among the blocks' columns of the words of sections, each of which begins a block of its own."""
    starts = np.cumsum([0, *(B * blocks_of(words) for words in sections)])
    return np.concatenate([start + np.arange(words) for start, words in zip(starts, sections, strict=False)])


def columns(config: BrainConfig) -> NDArray[np.intp]:
    """Place of each word among the blocks' columns: intp [P]."""
    return places(config.inputs, config.pool_words, config.learning_words)


def source_columns(config: BrainConfig) -> NDArray[np.intp]:
    """The same for the words that a learning unit reads: intp [S]."""
    return columns(config)[: config.learning_sources]


def carried_columns(config: BrainConfig) -> NDArray[np.intp]:
    """The same for the words whose state outlives a presentation: intp [W + M + L]."""
    return places(config.pool_words, config.echo_words, config.learning_words)


def to_blocks(planes: NDArray[np.uint32], place: NDArray[np.intp], blocks: int) -> NDArray[np.uint32]:
    """Planes [..., n, words] as blocks [..., blocks, n, 16]."""
    n = planes.shape[-2]
    wide = np.zeros((*planes.shape[:-1], blocks * B), np.uint32)
    wide[..., place] = planes
    return np.moveaxis(wide.reshape(*planes.shape[:-2], n, blocks, B), -2, -3)


def from_blocks(block: NDArray[np.uint32], place: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Blocks [..., blocks, n, 16] as planes [..., n, words]."""
    wide = np.moveaxis(block, -3, -2)
    return wide.reshape(*wide.shape[:-2], wide.shape[-2] * B)[..., place]
