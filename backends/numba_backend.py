"""The CPU backend: the specification over 32-bit words, one bit plane per binary digit, fused and compiled.

A brain's memory is one flat row of 32-bit words (see :mod:`hebbit.backends.numba_layout`), which keeps a call down to
a handful of arguments. This module converts between those rows and the canonical arrays.
"""

import functools
import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hebbit.backends import numba_kernels as kernels
from hebbit.backends import spec
from hebbit.backends.numba_layout import CYCLES, B, Size, aligned, columns, from_blocks, layout, to_blocks
from hebbit.backends.planes import pack, pack_traces, unpack, unpack_traces, unpack_weights
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Flag, Prediction
from hebbit.backends.wiring import Wiring, thresholds, wire

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]


THREADS = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]  # set when numba is imported
"""Cores that step a population, the environment variable NUMBA_NUM_THREADS or all there are."""
PARALLEL_FROM = 8
"""Brains from which on waking a thread pays."""


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, THREADS - 1), thread_name_prefix="hebbit-brains")


def pool() -> ThreadPoolExecutor:
    """The threads of this process: a forked one needs its own."""
    return _pool(os.getpid())


@dataclass
class NumbaState:
    """R brains as rows of 32-bit words; ``memory`` is all that learning changes."""

    config: BrainConfig
    params: I32
    seed: np.uint32
    sizes: I32
    groups: I32
    memory: U32
    """[R, words of a brain]: excitement, weights, traces, value, surprise, presentation, brain, episode, generation."""
    wires: I32
    """[R, wires of a brain]: derived from Philox, never saved."""
    scratch: U32
    """[R, workspace]: nothing in it outlives a call."""


def section(state: NumbaState, name: Size, shape: tuple[int, ...]) -> U32:
    """A view of one part of every brain's memory: uint32 [R, *shape]."""
    start = int(state.sizes[name])
    length = int(np.prod(shape, dtype=np.int64))
    return state.memory[:, start : start + length].reshape(len(state.memory), *shape)


def wire_row(config: BrainConfig, generation: U32, key: tuple[int, int], sizes: I32) -> I32:
    """One brain's wiring as the kernels read it, see :class:`Size`."""
    wiring = wire(config, generation, key)
    threshold = thresholds(config, wiring)
    extremes = np.array([threshold.min(initial=31), threshold.max(initial=0)])
    padding = (0, int(sizes[Size.POOL_BLOCKS]) * B - config.pool_words)
    own = np.zeros((config.clusters, int(sizes[Size.BLOCKS]) * B), np.int32)
    words = np.arange(config.words)
    own[words % config.clusters, columns(config)] = -1
    row = np.zeros(int(sizes[Size.WIRES]), np.int32)
    parts = (np.pad(threshold, padding), own, wire_numbers(wiring), wiring.slots, extremes)
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
            groups=np.array(config.groups, np.int32),
            memory=aligned(brains, int(sizes[Size.MEMORY]), np.uint32),
            wires=aligned(brains, int(sizes[Size.WIRES]), np.int32),
            scratch=aligned(brains, int(sizes[Size.SCRATCH]), np.uint32),
        )
        for row, generation, brain in zip(state.wires, arrays["generation"], arrays["brain"], strict=True):
            row[:] = wire_row(config, generation, (seed, int(brain)), sizes)
        self._fill(state, arrays)
        return state

    @staticmethod
    def _parts(state: NumbaState) -> tuple[U32, U32, U32]:
        """Views of excitement [R, blocks, 4, 16], weights [R, O, blocks, 8, 16] and traces [R, O, blocks, 5, 16]."""
        o, blocks, pool = state.config.outputs, int(state.sizes[Size.BLOCKS]), int(state.sizes[Size.POOL_BLOCKS])
        return (
            section(state, Size.EXCITEMENT, (pool, 4, B)),
            section(state, Size.WEIGHTS, (o, blocks, 8, B)),
            section(state, Size.TRACES, (o, blocks, 5, B)),
        )

    def _fill(self, state: NumbaState, arrays: Mapping[str, Any]) -> None:
        config = state.config
        place, own = columns(config), np.arange(config.pool_words)
        excitement, weights, traces = self._parts(state)
        excitement[:] = to_blocks(pack(arrays["excitement"], 4), own, excitement.shape[1])
        weights[:] = to_blocks(pack(arrays["weights"], 8), place, weights.shape[2])
        traces[:] = to_blocks(pack_traces(arrays["traces"]), place, traces.shape[2])
        for name in ("value", "surprise"):
            section(state, Size[name.upper()], (config.clusters,))[:] = np.asarray(arrays[name], np.int32).view(
                np.uint32
            )
        section(state, Size.GENERATION, (config.pool_words,))[:] = arrays["generation"]
        for name in ("presentation", "brain", "episode"):
            section(state, Size[name.upper()], (1,))[:, 0] = arrays[name]

    def export(self, state: NumbaState) -> Arrays:
        """See :class:`hebbit.backends.spec.Backend`."""
        config = state.config
        place, own = columns(config), np.arange(config.pool_words)
        excitement, weights, traces = self._parts(state)
        numbers = {
            name: section(state, Size[name.upper()], (1,))[:, 0] for name in ("brain", "episode", "presentation")
        }
        shared = {name: section(state, Size[name.upper()], (config.clusters,)) for name in ("value", "surprise")}
        return {
            **{name: view.copy() for name, view in numbers.items()},
            "generation": section(state, Size.GENERATION, (config.pool_words,)).copy(),
            "excitement": unpack(from_blocks(excitement, own)).astype(np.uint8),
            "weights": unpack_weights(from_blocks(weights, place)),
            "traces": unpack_traces(from_blocks(traces, place)),
            **{name: view.view(np.int32).copy() for name, view in shared.items()},
        }

    def step(self, state: NumbaState, intensities: NDArray[np.uint8], rewards: I32, flags: NDArray[np.uint8]) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        return self._shared_out(kernels.step_all, state, intensities, rewards, flags)

    def run(self, state: NumbaState, intensities: NDArray[np.uint8], rewards: I32, flags: NDArray[np.uint8]) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        return self._shared_out(kernels.run_all, state, intensities, rewards, flags)

    @staticmethod
    def _shared_out(
        kernel: Callable[..., bool],
        state: NumbaState,
        intensities: NDArray[np.uint8],
        rewards: I32,
        flags: NDArray[np.uint8],
    ) -> I32:
        """Let the threads step some brains each; they share nothing, so that cannot change a bit."""
        actions = np.zeros((*flags.shape, len(state.groups)), np.int32)

        def some(start: int, stop: int) -> bool:
            return kernel(
                state.sizes, state.groups, state.params, state.seed, state.memory, state.wires, state.scratch, start,
                stop, intensities, rewards, flags, actions,
            )  # fmt: skip

        brains = flags.shape[-1]
        if brains < PARALLEL_FROM or THREADS == 1:
            known = some(0, brains)
        else:
            bounds = np.linspace(0, brains, THREADS + 1).astype(int).tolist()
            parts = list(itertools.pairwise(bounds))
            waiting = [pool().submit(some, *part) for part in parts[1:]]
            try:
                known = some(*parts[0])
            finally:
                # nobody may go on changing brains behind an exception
                wait(waiting)
            known = all([known, *(future.result() for future in waiting)])
        if not known:
            raise ValueError(f"flags must be of {[int(flag) for flag in Flag]}, got {flags.tolist()}")
        return actions

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
            excitement=np.zeros((e, config.pool_words, LANES), np.uint8),
        )
        scratch = aligned(1, int(state.sizes[Size.SCRATCH]), np.uint32)[0]
        kernels.predict_all(
            state.sizes, state.groups, state.params, state.seed, state.memory, state.wires, scratch,
            np.asarray(brains, np.int64), intensities, excitement, np.asarray(presentations, np.uint32),
            bool(deterministic), *answer,
        )  # fmt: skip
        return answer
