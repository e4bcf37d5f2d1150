"""Resident runs on a machine that runs the CUDA kernels: one launch for all brains and all their steps."""

from typing import Any

import numpy as np

from hebbit.backends.cuda_backend import RESERVE, Call, DeviceState, Machine, step_bytes
from hebbit.backends.cuda_layout import Layout, layout
from hebbit.backends.resident import F64, I64, Life, Real, Room, Whole, World

ROW_BYTES = 8 * (Real.LENGTH + Whole.LENGTH)
"""Of a life."""
DRIVER_BYTES = 1 << 10
"""Shared memory that the driver takes for each block."""


def kernels(machine: Machine, state: DeviceState, world: World) -> tuple[Layout, Any]:
    """Layout and compiled kernels of a brain in a world.

    Raises:
        ValueError: the world does not fit the shared memory of a block beside the brain.
    """
    if state.lives is None or state.lives[0].world is not world:
        made = layout(state.config, machine.shared_limit, world)
        state.lives = made, machine.load(made)
    found: tuple[Layout, Any] = state.lives
    return found


def live(machine: Machine, state: DeviceState, life: Life) -> None:
    """See :class:`hebbit.backends.resident.ResidentBackend`."""
    made, module = kernels(machine, state, life.world)
    real, whole = machine.upload(life.real), machine.upload(life.whole)
    arguments = (
        state.memory, state.rules, state.groups, real, whole, machine.upload(life.table.view(np.uint32)),
        machine.upload(life.preferred), np.uint32(state.seed), np.uint32(life.world.limit),
    )  # fmt: skip
    try:
        machine.launch(module, made, Call("live", state.brains, arguments, (0, 3, 4)))
    finally:
        # brains and books belong together, even where somebody interrupts
        life.real[...], life.whole[...] = machine.download(real), machine.download(whole)
        # the kernel counts them down
        life.whole[:, 0] = 0


def trial(
    machine: Machine, state: DeviceState, life: Life, brains: I64, episodes: int, seed: int, calm: bool
) -> tuple[F64, I64]:
    """See :class:`hebbit.backends.resident.ResidentBackend`."""
    made, module = kernels(machine, state, life.world)
    shape = (len(brains), episodes)
    if not len(brains) or not episodes:
        return np.zeros(shape), np.zeros(shape, np.int64)
    returns, lengths = machine.empty(shape, np.float64), machine.empty(shape, np.int64)
    bounds = np.array([*life.bounds, float(life.mean)])
    arguments = (
        state.memory, state.rules, state.groups, machine.upload(life.real), machine.upload(brains.astype(np.uint32)),
        machine.upload(life.table.view(np.uint32)), machine.upload(life.preferred), machine.upload(bounds), returns,
        lengths, np.uint32(state.seed), np.uint32(life.world.limit), np.uint32(seed), np.uint32(episodes),
        np.uint32(calm),
    )  # fmt: skip
    machine.launch(module, made, Call("trial", len(brains), arguments, (8, 9)))
    return machine.download(returns), machine.download(lengths)


def room(machine: Machine, state: DeviceState, world: World) -> Room:
    """See :class:`hebbit.backends.resident.ResidentBackend`: memory for all, registers and shared memory at once."""
    made = layout(state.config, machine.shared_limit, world)
    each = made.row_bytes + step_bytes(state.config) + ROW_BYTES
    held = max(0, machine.free_memory() - RESERVE) // each
    blocks = min(made.blocks, machine.shared_total // (made.shared_bytes + DRIVER_BYTES))
    return Room(held, machine.multiprocessors * max(1, blocks))
