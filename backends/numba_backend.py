"""The CPU backend: the specification over 32-bit words, one bit plane per binary digit, fused and compiled.

A brain's memory is one flat row of 32-bit words (see :mod:`hebbit.backends.numba_layout`), which keeps a call down to
a handful of arguments. This module converts between those rows and the canonical arrays.
"""

import functools
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hebbit.backends import numba_kernels as kernels
from hebbit.backends import spec
from hebbit.backends.numba_layout import (
    CYCLES,
    B,
    Size,
    aligned,
    blocks_of,
    carried_columns,
    columns,
    from_blocks,
    layout,
    source_columns,
    to_blocks,
)
from hebbit.backends.planes import pack, pack_traces, unpack, unpack_traces, unpack_weights
from hebbit.backends.resident import F64, I64, Life, Room, World
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Flag, Prediction
from hebbit.backends.wiring import Wiring, echo_sources, thresholds, wire

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]


THREADS = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]  # set when numba is imported
"""Cores that step a population, the environment variable NUMBA_NUM_THREADS or all there are."""
PARALLEL_FROM = 8
"""Brains from which on waking a thread pays."""
FREE = {dimensions: np.zeros((0,) * (dimensions + 1), np.int32) for dimensions in (1, 2)}
"""No forced actions, by the dimensions of the flags."""


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, THREADS - 1), thread_name_prefix="hebbit-brains")


def pool() -> ThreadPoolExecutor:
    """The threads of this process: a forked one needs its own."""
    return _pool(os.getpid())


def shared_out(number: int, some: Callable[[int, int], bool]) -> list[bool]:
    """What each thread answers for its share start..stop - 1 of so many brains; one thread for few."""
    if number < PARALLEL_FROM or THREADS == 1:
        return [some(0, number)]
    bounds = np.linspace(0, number, THREADS + 1).astype(int).tolist()
    parts = list(itertools.pairwise(bounds))
    waiting = [pool().submit(some, *part) for part in parts[1:]]
    try:
        first = some(*parts[0])
    finally:
        # nobody may go on changing brains behind an exception
        wait(waiting)
    return [first, *(future.result() for future in waiting)]


@dataclass
class NumbaState:
    """R brains as rows of 32-bit words; ``memory`` is all that learning changes."""

    config: BrainConfig
    params: I32
    seed: np.uint32
    sizes: NDArray[np.int64]
    groups: int
    memory: U32
    """[R, words of a brain]: the canonical arrays, see :class:`hebbit.backends.numba_layout.Size`."""
    wires: I32
    """[R, wires of a brain]: derived from Philox, never saved."""
    scratch: U32
    """[R, workspace]: nothing in it outlives a call."""


def section(state: NumbaState, name: Size, shape: tuple[int, ...]) -> U32:
    """A view of one part of every brain's memory: uint32 [R, *shape]."""
    start = int(state.sizes[name])
    length = int(np.prod(shape, dtype=np.int64))
    return state.memory[:, start : start + length].reshape(len(state.memory), *shape)


def wire_row(config: BrainConfig, generation: U32, key: tuple[int, int], sizes: NDArray[np.int64], params: I32) -> I32:
    """One brain's wiring as the kernels read it, see :class:`Size`."""
    wiring = wire(config, generation, key)
    threshold = thresholds(config, wiring, params)
    extremes = np.array([threshold.min(initial=31), threshold.max(initial=0)])
    padding = (0, int(sizes[Size.POOL_BLOCKS]) * B - config.pool_words)
    own = np.zeros((config.clusters, int(sizes[Size.BLOCKS]) * B), np.int32)
    words = np.arange(config.words)
    own[words % config.clusters, columns(config)] = -1
    echo = columns(config)[echo_sources(config, key)]
    kinds = np.repeat([1, 2, 4], [blocks_of(n) for n in (config.inputs, config.pool_words, config.learning_words)])
    row = np.zeros(int(sizes[Size.WIRES]), np.int32)
    echo = 4 * B * (echo // B) + echo % B
    parts = (np.pad(threshold, padding), own, wire_numbers(wiring), wiring.slots, extremes, echo, kinds)
    numbers = np.concatenate([part.ravel() for part in parts])
    row[: len(numbers)] = numbers
    return row


def wire_numbers(wiring: Wiring) -> I32:
    """What a pool word hears of its sources [W, S, 6]: where the spikes lie, two rotations and three shifts.

    A lane XOR 16 is a lane plus 16, a rotation. A lane XOR 8 is a lane plus or minus 8: two rotations to choose from by
    lane. The other digits of the XOR shift by 4, 2 and 1 either way, or not at all.
    """
    x = wiring.xor
    rotation, byte = wiring.rotation + (x & 16), x & 8
    numbers = (CYCLES * wiring.source, (rotation - byte) % LANES, (rotation + byte) % LANES, x & 4, x & 2, x & 1)
    return np.stack(numbers, axis=-1).astype(np.int32)


class NumbaBackend:
    """The contract, compiled for the CPU; the brains of a population learn in parallel over the cores."""

    name = "numba"

    def create(self, config: BrainConfig, params: I32, seed: int, arrays: Mapping[str, Any]) -> NumbaState:
        """See :class:`hebbit.backends.spec.Backend`."""
        spec.check(config, np.asarray(params), seed, arrays)
        brains = len(arrays["brain"])
        sizes = layout(config)
        state = NumbaState(
            config=config,
            params=np.ascontiguousarray(params, np.int32).copy(),
            seed=np.uint32(seed),
            sizes=sizes,
            groups=len(config.groups),
            memory=aligned(brains, int(sizes[Size.MEMORY]), np.uint32),
            wires=aligned(brains, int(sizes[Size.WIRES]), np.int32),
            scratch=aligned(brains, int(sizes[Size.SCRATCH]), np.uint32),
        )
        names = zip(state.wires, arrays["generation"], arrays["brain"], state.params, strict=True)
        for row, generation, brain, own in names:
            row[:] = wire_row(config, generation, (seed, int(brain)), sizes, own)
        self.refill(state, {name: arrays[name] for name in spec.CANONICAL})
        return state

    @staticmethod
    def _parts(state: NumbaState) -> dict[str, U32]:
        """Views of what lies in blocks: [R, blocks, 4, 16] of states, [R, rows, blocks, 8, 5 or 4, 16] of synapses."""
        config, blocks, sources = state.config, int(state.sizes[Size.BLOCKS]), int(state.sizes[Size.SOURCE_BLOCKS])
        shapes = {
            "excitement": (int(state.sizes[Size.CARRIED_BLOCKS]), 4),
            "weights": (config.outputs, blocks, 8),
            "traces": (config.outputs, blocks, 5),
            "inner_weights": (config.learning_units, sources, 8),
            "inner_traces": (config.learning_units, sources, 5),
            "fractions": (config.outputs, blocks, 4),
            "inner_fractions": (config.learning_units, sources, 4),
        }
        return {name: section(state, Size[name.upper()], (*shape, B)) for name, shape in shapes.items()}

    @staticmethod
    def _places(config: BrainConfig) -> dict[str, NDArray[np.intp]]:
        """Where the words of what lies in blocks are."""
        place, sources = columns(config), source_columns(config)
        return {
            "excitement": carried_columns(config),
            "weights": place,
            "traces": place,
            "inner_weights": sources,
            "inner_traces": sources,
            "fractions": place,
            "inner_fractions": sources,
        }

    @staticmethod
    def _numbers(state: NumbaState) -> dict[str, U32]:
        """Views of what does not lie in blocks."""
        config = state.config
        shapes: dict[str, tuple[int, ...]] = {name: () for name in ("brain", "episode", "presentation", "collected")}
        shapes |= {"generation": (config.pool_words,), "value": (config.clusters,), "surprise": (config.clusters,)}
        return {name: section(state, Size[name.upper()], shape) for name, shape in shapes.items()}

    def refill(self, state: NumbaState, arrays: Mapping[str, Any]) -> None:
        """See :class:`hebbit.backends.spec.Backend`."""
        places, parts, numbers = self._places(state.config), self._parts(state), self._numbers(state)
        for name, array in arrays.items():
            if name in numbers:
                numbers[name][:] = np.asarray(array).astype(np.uint32)
                continue
            view = parts[name]
            planes = pack_traces(array) if name.endswith("traces") else pack(array, view.shape[-2])
            view[:] = to_blocks(planes, places[name], view.shape[-3])

    def export(self, state: NumbaState, names: Sequence[str] = spec.CANONICAL) -> Arrays:
        """See :class:`hebbit.backends.spec.Backend`."""
        places, parts, numbers = self._places(state.config), self._parts(state), self._numbers(state)

        def one(name: str) -> NDArray[Any]:
            if name in numbers:
                kind = np.int32 if name in ("value", "surprise", "collected") else np.uint32
                return numbers[name].copy().view(kind)
            planes = from_blocks(parts[name], places[name])
            if name.endswith("weights"):
                return unpack_weights(planes)
            return unpack_traces(planes) if name.endswith("traces") else unpack(planes).astype(np.uint8)

        return {name: one(name) for name in names}

    def step(
        self,
        state: NumbaState,
        intensities: NDArray[np.uint8],
        rewards: I32,
        flags: NDArray[np.uint8],
        forced: I32 | None = None,
    ) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        return self._shared_out(kernels.step_all, state, intensities, rewards, flags, forced)

    def run(
        self,
        state: NumbaState,
        intensities: NDArray[np.uint8],
        rewards: I32,
        flags: NDArray[np.uint8],
        forced: I32 | None = None,
    ) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        return self._shared_out(kernels.run_all, state, intensities, rewards, flags, forced)

    @staticmethod
    def _given(forced: I32, actions: I32) -> I32:
        if forced.shape != actions.shape:
            raise ValueError(f"forced actions must be of shape {actions.shape}, got {forced.shape}")
        return np.ascontiguousarray(forced, np.int32)

    def _shared_out(
        self,
        kernel: Callable[..., bool],
        state: NumbaState,
        intensities: NDArray[np.uint8],
        rewards: I32,
        flags: NDArray[np.uint8],
        forced: I32 | None,
    ) -> I32:
        """Let the threads step some brains each; they share nothing, so that cannot change a bit."""
        actions = np.zeros((*flags.shape, state.groups), np.int32)
        given = FREE[flags.ndim] if forced is None else self._given(forced, actions)

        def some(start: int, stop: int) -> bool:
            return kernel(
                state.sizes, state.params, state.seed, state.memory, state.wires, state.scratch, start, stop,
                intensities, rewards, flags, given, actions,
            )  # fmt: skip

        known = all(shared_out(flags.shape[-1], some))
        if not known:
            raise ValueError(f"flags must be of {[int(flag) for flag in Flag]}, got {flags.tolist()}")
        return actions

    def live(self, state: NumbaState, life: Life) -> None:
        """See :class:`hebbit.backends.resident.ResidentBackend`."""
        from hebbit.backends.numba_lives import live

        live(state, life)

    def trial(
        self, state: NumbaState, life: Life, brains: I64, episodes: int, seed: int, calm: bool
    ) -> tuple[F64, I64]:
        """See :class:`hebbit.backends.resident.ResidentBackend`."""
        from hebbit.backends.numba_lives import trial

        return trial(state, life, brains, episodes, seed, calm)

    def room(self, state: NumbaState, world: World) -> Room:
        """See :class:`hebbit.backends.resident.ResidentBackend`; the memory of a host is not asked for."""
        return Room(sys.maxsize, THREADS)

    def predict(
        self,
        state: NumbaState,
        brains: NDArray[np.int64],
        intensities: NDArray[np.uint8],
        excitement: NDArray[np.uint8],
        presentations: U32,
        deterministic: bool,
    ) -> Prediction:
        """See :class:`hebbit.backends.spec.Backend`."""
        config, e = state.config, len(brains)
        answer = Prediction(
            actions=np.zeros((e, len(config.groups)), np.int32),
            volley=np.zeros((e, config.units), np.int32),
            values=np.zeros((e, config.clusters), np.int32),
            spikes=np.zeros(e, np.int32),
            excitement=np.zeros((e, config.carried_words, LANES), np.uint8),
        )
        scratch = aligned(1, int(state.sizes[Size.SCRATCH]), np.uint32)[0]
        kernels.predict_all(
            state.sizes, state.params, state.seed, state.memory, state.wires, scratch,
            np.asarray(brains, np.int64), intensities, excitement, np.asarray(presentations, np.uint32),
            bool(deterministic), *answer,
        )  # fmt: skip
        return answer
