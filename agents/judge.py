"""What the arrays of a checkpoint must be, before an agent takes them over: backends trust their state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import replay, rewards
from hebbit.agents.books import EPISODES_KEPT
from hebbit.agents.checkpoint import expect
from hebbit.agents.errors import CheckpointError
from hebbit.backends.resident import PLACES
from hebbit.backends.spec import FRACTION_MAX, STATE_MAX, empty_arrays

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

Arrays = dict[str, NDArray[Any]]
FAR = 1e6
"""Beyond what any resident world comes to."""
MOST_POOL_WORDS = 32768
"""Of any brain, as :class:`hebbit.backends.spec.BrainConfig` has it."""


def learned(agent: SpikingAgent, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Arrays of the brains and the encoder.

    Raises:
        CheckpointError: one is missing, of another shape, or holds what no brain can have.
    """
    expected = {**empty_arrays(agent.brain_config, agent.brains), **agent.encoder.arrays(), **agent.structure.arrays()}
    expected |= agent.rewards.arrays()
    own = {name: expect(arrays, name, a.dtype, a.shape) for name, a in expected.items()}
    own |= {name: expect(arrays, name, *like) for name, like in agent.memory.layout().items()}
    _within(own, "excitement", 0, STATE_MAX)
    _within(own, "traces", -STATE_MAX, STATE_MAX)
    for name in ("fractions", "inner_fractions"):
        _within(own, name, 0, FRACTION_MAX)
    if (own["traces"][:, -1] < 0).any():
        raise CheckpointError("the checkpoint holds negative traces of the critic; it was damaged, use another")
    largest = float(np.finfo(np.float64).max)
    for name in ("encoder_mean", "encoder_low"):
        _within(own, name, -largest, largest)
    for name in ("encoder_seen", "encoder_square", "encoder_scale"):
        _within(own, name, 0, largest)
    # all brains of an agent have learned for as many steps
    clock = abs(int(own["structure_clock"][0]))
    _within(own, "structure_clock", clock, clock)
    _within(own, "structure_born", 0, clock)
    _within(own, "structure_words", agent.brain_config.pool_words, MOST_POOL_WORDS)
    replay.judge(agent.memory, own, agent.decoder.groups)
    rewards.judge(agent.rewards, own)
    return own


def running(agent: SpikingAgent, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Arrays of the running episodes, in the order in which they are saved.

    Raises:
        CheckpointError: they are not of this agent.
    """
    r, groups = len(agent.brains), agent.decoder.groups
    units = expect(arrays, "units", np.int32, (r, len(groups)))
    intensities = expect(arrays, "intensities", np.uint8, agent._intensities.shape)
    history = expect(arrays, "history", np.int32, (None, len(groups)))
    recent = expect(arrays, "recent", np.float64, (None, 2))
    own = {
        "units": units,
        "intensities": intensities,
        "history": history,
        "history_lengths": _lengths(arrays, "history", r, len(history)),
        "returns": expect(arrays, "returns", np.float64, (r,)),
        "recent": recent,
        "recent_lengths": _lengths(arrays, "recent", r, EPISODES_KEPT),
    }
    if "world_state" in arrays:
        own["world_state"] = expect(arrays, "world_state", np.float64, (r, PLACES))
        own["world_elapsed"] = expect(arrays, "world_elapsed", np.int64, (r,))
        _within(own, "world_state", -FAR, FAR)
        _within(own, "world_elapsed", 0, FAR)
    last = np.array(groups) - 1
    _within(own, "units", 0, last)
    _within(own, "history", 0, last)
    largest = float(np.finfo(np.float64).max)
    _within(own, "recent", -largest, largest)
    if not all(agent.memory.begun(agent.arrays(["episode"])["episode"])):
        raise CheckpointError("the checkpoint has a running episode of a brain that began none; use another copy")
    return own


def _lengths(arrays: Mapping[str, NDArray[Any]], name: str, brains: int, most: int) -> NDArray[Any]:
    """How many rows each brain has."""
    lengths = expect(arrays, f"{name}_lengths", np.int64, (brains,))
    _within({f"{name}_lengths": lengths}, f"{name}_lengths", 0, most)
    if lengths.sum() != len(arrays[name]):
        raise CheckpointError(f"the checkpoint's array {name!r} has not the rows that are counted; use another copy")
    return lengths


def _within(arrays: Mapping[str, NDArray[Any]], name: str, least: float, most: float | NDArray[Any]) -> None:
    if not ((arrays[name] >= least) & (arrays[name] <= most)).all():
        raise CheckpointError(f"the checkpoint's array {name!r} holds values that no agent has; use another copy")
