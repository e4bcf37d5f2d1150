"""The CPU backend: the specification over 32-bit words, one bit plane per binary digit, fused and compiled.

Every array of planes has its words side by side, so that the loops over words become SIMD instructions; a brain's
memory is one flat row of 32-bit words (see :class:`Layout`), which keeps a call down to a handful of arguments.
Numba promotes uint32 arithmetic to 64 bits, hence the explicit casts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from hebbit.backends import numba_kernels as kernels
from hebbit.backends import spec
from hebbit.backends.numba_kernels import Size
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Prediction
from hebbit.backends.wiring import thresholds, wire

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]


def pack(values: NDArray[Any], planes: int) -> U32:
    """Bit planes of integers: [..., words, 32] -> uint32 [..., planes, words]."""
    bits = values[..., None, :, :].astype(np.int32) >> np.arange(planes, dtype=np.int32)[:, None, None]
    packed = np.packbits((bits & 1).astype(np.uint8), axis=-1, bitorder="little")
    return packed.view(np.uint32)[..., 0]


def unpack(planes: U32) -> I32:
    """Unsigned integers from bit planes: uint32 [..., planes, words] -> int32 [..., words, 32]."""
    bits = planes[..., None] >> np.arange(LANES, dtype=np.uint32) & np.uint32(1)
    digits = np.arange(planes.shape[-2], dtype=np.uint32)[:, None, None]
    return (bits << digits).sum(axis=-3).astype(np.int32)


@dataclass
class NumbaState:
    """R brains as rows of 32-bit words; ``memory`` is all that learning changes."""

    config: BrainConfig
    params: I32
    seed: int
    sizes: I32
    groups: I32
    memory: U32
    """[R, words of a brain]: excitement, weights, traces, value, surprise, presentation, brain, episode, generation."""
    wires: I32
    """[R, W (3 S + 2)]: derived from Philox, never saved."""
    scratch: U32
    """[R, workspace]: nothing in it outlives a call."""


def section(state: NumbaState, name: Size, planes: tuple[int, ...], words: int) -> U32:
    """A view of one part of every brain's memory: uint32 [R, *planes, words]."""
    start = int(state.sizes[name])
    length = int(np.prod(planes, dtype=np.int64)) * words
    return state.memory[:, start : start + length].reshape(len(state.memory), *planes, words)


def wire_row(config: BrainConfig, generation: U32, key: tuple[int, int]) -> I32:
    """One brain's wiring as the kernels read it: source, rotation, xor [W, S] each, slots [W], threshold [W]."""
    wiring = wire(config, generation, key)
    parts = (wiring.source, wiring.rotation, wiring.xor, wiring.slots, thresholds(config, wiring))
    return np.concatenate([part.ravel() for part in parts]).astype(np.int32)


class NumbaBackend:
    """The contract, compiled for the CPU; brains run in parallel over the cores."""

    name = "numba"

    def create(self, config: BrainConfig, params: I32, seed: int, arrays: Mapping[str, Any]) -> NumbaState:
        """See :class:`hebbit.backends.spec.Backend`."""
        brains = len(arrays["brain"])
        sizes = kernels.layout(config)
        keys = [(seed, int(brain)) for brain in arrays["brain"]]
        rows = [wire_row(config, g, key) for g, key in zip(arrays["generation"], keys, strict=True)]
        state = NumbaState(
            config=config,
            params=np.ascontiguousarray(params, np.int32).copy(),
            seed=seed,
            sizes=sizes,
            groups=np.array(config.groups, np.int32),
            memory=np.zeros((brains, int(sizes[Size.MEMORY])), np.uint32),
            wires=np.array(rows, np.int32).reshape(brains, -1),
            scratch=np.zeros((brains, int(sizes[Size.SCRATCH])), np.uint32),
        )
        self._fill(state, arrays)
        return state

    @staticmethod
    def _fill(state: NumbaState, arrays: Mapping[str, Any]) -> None:
        config = state.config
        o, p, w, k = config.outputs, config.words, config.pool_words, config.clusters
        section(state, Size.EXCITEMENT, (4,), w)[:] = pack(arrays["excitement"], 4)
        section(state, Size.WEIGHTS, (o, 8), p)[:] = pack(arrays["weights"], 8)
        traces = np.asarray(arrays["traces"]).astype(np.int32)
        section(state, Size.TRACES, (o, 5), p)[:, :, :4] = pack(np.abs(traces), 4)
        section(state, Size.TRACES, (o, 5), p)[:, :, 4:] = pack(traces < 0, 1)
        section(state, Size.VALUE, (), k)[:] = np.asarray(arrays["value"], np.int32).view(np.uint32)
        section(state, Size.SURPRISE, (), k)[:] = np.asarray(arrays["surprise"], np.int32).view(np.uint32)
        section(state, Size.GENERATION, (), w)[:] = arrays["generation"]
        for name in ("presentation", "brain", "episode"):
            section(state, Size[name.upper()], (), 1)[:, 0] = arrays[name]

    def export(self, state: NumbaState) -> Arrays:
        """See :class:`hebbit.backends.spec.Backend`."""
        config = state.config
        o, p, w, k = config.outputs, config.words, config.pool_words, config.clusters
        weights = unpack(section(state, Size.WEIGHTS, (o, 8), p))
        traces = section(state, Size.TRACES, (o, 5), p)
        signs = 1 - 2 * unpack(traces[:, :, 4:])
        return {
            "brain": section(state, Size.BRAIN, (), 1)[:, 0].copy(),
            "episode": section(state, Size.EPISODE, (), 1)[:, 0].copy(),
            "presentation": section(state, Size.PRESENTATION, (), 1)[:, 0].copy(),
            "generation": section(state, Size.GENERATION, (), w).copy(),
            "excitement": unpack(section(state, Size.EXCITEMENT, (4,), w)).astype(np.uint8),
            "weights": (weights - 256 * (weights > spec.WEIGHT_MAX)).astype(np.int8),
            "traces": (signs * unpack(traces[:, :, :4])).astype(np.int8),
            "value": section(state, Size.VALUE, (), k).view(np.int32).copy(),
            "surprise": section(state, Size.SURPRISE, (), k).view(np.int32).copy(),
        }

    def step(self, state: NumbaState, intensities: NDArray[np.uint8], rewards: I32, flags: NDArray[np.uint8]) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        actions = np.zeros((len(flags), len(state.groups)), np.int32)
        run = kernels.step_all if len(flags) == 1 or numba.get_num_threads() == 1 else kernels.step_parallel
        run(
            state.sizes, state.groups, state.params, np.uint32(state.seed), state.memory, state.wires, state.scratch,
            intensities, rewards, flags, actions,
        )  # fmt: skip
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
        kernels.predict_all(
            state.sizes, state.groups, state.params, np.uint32(state.seed), state.memory, state.wires,
            np.asarray(brains, np.int64), intensities, excitement, np.asarray(presentations, np.uint32),
            bool(deterministic), *answer,
        )  # fmt: skip
        return answer
