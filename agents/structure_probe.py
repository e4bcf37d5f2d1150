"""How often the neurons of a brain fire, asked of its own backend: what a word does not say it need not keep."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.agent import SpikingAgent
from hebbit.agents.structure import reads_of, usefulness
from hebbit.backends.spec import LANES, Flag, Param

I64 = NDArray[np.int64]
STILL = {
    Param.READS: 7, Param.BASE_RATE: 0, Param.CRITIC_RATE: 0, Param.ACTOR_RATE: 0, Param.INNER_RATE: 0,
    Param.CRITIC_SHIFT: 0, Param.CRITIC_CHANCE: 256, Param.CRITIC_RULE: 0,
}  # fmt: skip
"""Weights stand still, every word is read, and the critic's traces lose all they hold before each presentation adds its
counts, which are at most 15: they are the counts."""
SAMPLED = 2000
"""Presentations over which spikes are counted."""


class Watcher:
    """A policy that answers as the agent does and keeps the first observations, for :func:`evaluate`."""

    def __init__(self, agent: SpikingAgent, most: int = SAMPLED) -> None:
        """Watch the brain that predicts, for at most so many observations."""
        self.agent, self.most = agent, most
        self.observation_space, self.action_space = agent.observation_space, agent.action_space
        self.intensities: list[NDArray[np.uint8]] = []
        self.flags: list[Flag] = []

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """See :meth:`SpikingAgent.predict`."""
        if len(self.flags) < self.most:
            row = np.array([self.agent.active], np.intp)
            self.intensities.append(self.agent.encoder.encode([observation], row))
            fresh = state is None or bool(np.any(episode_start))
            self.flags.append(Flag.START if fresh else Flag.CONTINUE)
        return self.agent.predict(observation, state, episode_start, deterministic)

    def spikes(self) -> I64:
        """Spikes of each neuron over what was kept: int64 [P, 32]."""
        return spikes(self.agent, self.intensities, self.flags)

    def usefulness(self) -> I64:
        """What the pool words have to say where this brain plays: int64 [W], in weight steps times spikes."""
        agent = self.agent
        arrays, reads = agent.arrays(), reads_of(agent, agent.active)
        return usefulness(agent.brain_config, reads, arrays, agent.active, self.spikes())


def spikes(agent: SpikingAgent, intensities: Sequence[NDArray[np.uint8]], flags: Sequence[Flag]) -> I64:
    """Spikes of each neuron of the brain that predicts: int64 [P, 32], summed over consecutive presentations.

    Args:
        agent: it stays as it is; the spikes are those of a copy.
        intensities: of each presentation, [1, D, 32].
        flags: START where an episode begins, CONTINUE elsewhere.
    """
    row = slice(agent.active, agent.active + 1)
    arrays = {name: array[row] for name, array in agent.arrays().items()}
    params = np.array(agent.state.params[row])
    for param, value in STILL.items():
        params[..., param] = value
    state = agent.backend.create(agent.brain_config, params, agent.seed, arrays)
    total = np.zeros((agent.brain_config.words, LANES), np.int64)
    for shown, flag in zip(intensities, flags, strict=True):
        agent.backend.step(state, shown, np.zeros(1, np.int32), np.array([flag], np.uint8))
        total += agent.backend.export(state, ["traces"])["traces"][0, -1]
    return total
