"""Resident runs on the CPU: rows to the compiled loop of :mod:`hebbit.backends.numba_resident`, brains to threads."""

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import numba_resident as kernels
from hebbit.backends.numba_backend import NumbaState, shared_out
from hebbit.backends.resident import F64, I64, Life


def _world(life: Life) -> NDArray[np.int64]:
    """Values, limit and the addresses of the two functions."""
    start, step = life.world.addresses()
    return np.array([life.world.values, life.world.limit, start, step], np.int64)


def live(state: NumbaState, life: Life) -> None:
    """See :class:`hebbit.backends.resident.ResidentBackend`."""
    world = _world(life)

    def some(first: int, last: int) -> bool:
        kernels.live_all(
            state.sizes, state.params, state.seed, state.memory, state.wires, state.scratch, first, last,
            life.real, life.whole, world, life.table, life.preferred,
        )  # fmt: skip
        return True

    shared_out(len(state.memory), some)


def trial(state: NumbaState, life: Life, brains: I64, episodes: int, seed: int, calm: bool) -> tuple[F64, I64]:
    """See :class:`hebbit.backends.resident.ResidentBackend`."""
    world, bounds = _world(life), np.array([*life.bounds, float(life.mean)])
    rows = np.ascontiguousarray(brains, np.int64)
    returns, lengths = np.zeros((len(rows), episodes)), np.zeros((len(rows), episodes), np.int64)

    def some(first: int, last: int) -> bool:
        kernels.trial_all(
            state.sizes, state.params, state.seed, state.memory, state.wires, state.scratch, first, last,
            life.real, world, life.table, life.preferred, bounds, rows, np.uint32(seed), calm, returns, lengths,
        )  # fmt: skip
        return True

    shared_out(len(rows), some)
    return returns, lengths
