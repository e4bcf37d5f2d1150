"""Listening to an agent that learns, between it and its backend and between it and its environments."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.agent import SpikingAgent
from hebbit.agents.connection import connect
from hebbit.agents.errors import HebbitError
from hebbit.agents.streams import ExperienceStream, Seeder, Tick
from hebbit.backends.spec import Arrays, Backend, Flag


class Heard(NamedTuple):
    """One step of one brain."""

    flag: int
    """Of :class:`hebbit.backends.spec.Flag`."""
    intensities: NDArray[np.uint8]
    """[D, 32]."""
    reward: int
    """In the brain's units."""
    told: float
    """The reward as the environment gave it."""
    observation: Any
    units: NDArray[np.int32]
    """[G]: what the brain chose."""
    before: Arrays
    """Canonical arrays of all brains before the step ..."""
    after: Arrays
    """... and after it."""


class StreamTap:
    """Hears what one brain meets, in the order in which it is shown."""

    def __init__(self, stream: ExperienceStream, row: int) -> None:
        """Take the stream and the brain's position."""
        self.stream, self.row = stream, row
        self.exact = stream.exact
        self.met: deque[tuple[Any, float]] = deque()
        """Observations that the brain will be shown, and the rewards that come with them."""

    def reset(self, seeder: Seeder) -> Sequence[Any]:
        """See :class:`ExperienceStream`."""
        observations = self.stream.reset(seeder)
        self.met.clear()
        self.met.append((observations[self.row], 0.0))
        return observations

    def step(self, actions: Sequence[Any], seeder: Seeder) -> Tick:
        """See :class:`ExperienceStream`."""
        tick = self.stream.step(actions, seeder)
        self.met.append((tick.observations[self.row], float(tick.rewards[self.row])))
        if self.row in tick.restarts:
            self.met.append((tick.restarts[self.row], 0.0))
        return tick

    def replay(self, seeds: Sequence[int], actions: Sequence[Sequence[Any]]) -> tuple[list[Any], list[list[float]]]:
        """See :class:`ExperienceStream`."""
        return self.stream.replay(seeds, actions)


class BackendTap:
    """Hears what one brain is shown and what it chooses; everything else passes."""

    def __init__(
        self, backend: Backend, row: int, stream: StreamTap, hear: Callable[[Heard], None], busy: Callable[[], bool]
    ) -> None:
        """Take the backend, the brain's position, and who hears it while ``busy()``."""
        self.backend, self.row, self.stream, self.hear, self.busy = backend, row, stream, hear, busy
        self.name, self.create, self.export = backend.name, backend.create, backend.export
        self.run, self.predict, self.refill = backend.run, backend.predict, backend.refill

    def step(
        self,
        state: Any,
        intensities: NDArray[np.uint8],
        rewards: NDArray[np.int32],
        flags: NDArray[np.uint8],
        forced: NDArray[np.int32] | None = None,
    ) -> NDArray[np.int32]:
        """See :class:`hebbit.backends.spec.Backend`."""
        row, flag = self.row, int(flags[self.row])
        if flag == Flag.IDLE:
            return self.backend.step(state, intensities, rewards, flags, forced)
        if not self.stream.met:
            raise HebbitError("the environment was changed while the agent was recorded: leave learning() before")
        observation, told = self.stream.met.popleft()
        before = self.export(state) if self.busy() else {}
        units = self.backend.step(state, intensities, rewards, flags, forced)
        after = self.export(state) if before else {}
        heard = flag, intensities[row].copy(), int(rewards[row]), told, observation, units[row].copy(), before, after
        self.hear(Heard(*heard))
        return units


@contextmanager
def tapped(agent: SpikingAgent, row: int, hear: Callable[[Heard], None], busy: Callable[[], bool]) -> Iterator[None]:
    """Within this block, ``hear`` is told of every step of one brain, with arrays where ``busy()``."""
    if agent._stream is None and agent.spec is not None:
        spaces = agent.observation_space, agent.action_space
        _, agent._env, agent._stream = connect(agent.spec, len(agent.brains), spaces)
    if agent._stream is None:
        raise HebbitError("this agent has no environment to learn in; give it one with set_env")
    backend, stream = agent.backend, agent._stream
    if isinstance(backend, BackendTap):
        raise HebbitError("this agent is being recorded already: leave the other learning() first")
    ear = StreamTap(stream, row)
    tap = BackendTap(backend, row, ear, hear, busy)
    agent.backend, agent._stream = tap, ear
    try:
        yield
    finally:
        agent.backend = backend
        if agent._stream is ear:
            agent._stream = stream
