"""hebbit's side of a benchmark."""

from pathlib import Path
from typing import Any

import numpy as np

from hebbit.agents import AgentConfig, SpikingAgent, saving
from hebbit.agents.environment import EnvSpec
from hebbit.agents.evaluation import Policy
from hebbit.backends.equations import Clock, sensory_spikes
from hebbit.backends.spec import LANES, BrainConfig, Stream
from hebbit.backends.wiring import wire
from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.side import Callback
from hebbit.scripts.throughput_points import delivered_spikes

COUNTED = 200
"""Greedy answers over which spikes are counted."""
STATE_BITS = 4


class Ours:
    """A newborn brain; a :class:`hebbit.scripts.bench.side.Side`."""

    def __init__(self, job: Job, backend: str = "numba") -> None:
        """Load the compiled kernels, or compile them, with a throwaway agent."""
        self.spec, self.task = job.whole_task().environment(), job.whole_task()
        config = AgentConfig().replace(job.settings)
        SpikingAgent(self.spec, seed=job.seed, config=config, backend=backend).learn(1).close()
        self.agent = SpikingAgent(self.spec, seed=job.seed, config=config, backend=backend)
        self.policy: Policy = self.agent

    def learn(self, steps: int, callback: Callback) -> None:
        """Train to the end of the budget."""
        self.agent.learn(steps, callback, log_interval=None)

    def steps(self) -> int:
        """Steps that were made."""
        return self.agent.num_timesteps

    def save(self, folder: Path) -> None:
        """Write ``model.zip``."""
        saving.save(self.agent, folder / "model.zip")

    def policy_bytes(self) -> int:
        """Weights that answers read, a byte each, and states of four bits; wiring is recomputed, not stored."""
        config = self.agent.brain_config
        return _weights(config) + config.carried_words * LANES * STATE_BITS // 8

    def operations(self) -> dict[str, Any]:
        """Spikes delivered to the pool, learning and motor units, counted over greedy answers of an episode."""
        agent, config = self.agent, self.agent.brain_config
        sums = np.zeros(2)
        for shown, spikes in _answers(agent, self.spec, self.task.curve_seeds()):
            sums += _delivered(agent, shown) + spikes * config.units, spikes
        synaptic, spikes_mean = (sums / COUNTED).tolist()
        return {
            "kind": "spiking",
            "parameters": _weights(config),
            "synaptic_per_action": synaptic,
            "spikes_per_action": spikes_mean,
            "neuron_updates_per_action": (config.pool_words + config.learning_words) * LANES * config.cycles,
            "macs_per_action": None,
        }


def _weights(config: BrainConfig) -> int:
    """Synapses of the motor units and of the learning units; nothing reads the critic in an answer."""
    return (config.units * config.words + config.learning_units * config.learning_sources) * LANES


def _answers(agent: SpikingAgent, spec: EnvSpec, seeds: list[int]) -> Any:
    """Intensities of sensory and echo words [inputs, 32] and all spikes of some greedy answers."""
    rows, env, done, observation, config = np.zeros(1, np.int64), spec.make(), True, None, agent.brain_config
    episodes = iter(seeds * COUNTED)
    try:
        for _ in range(COUNTED):
            if done:
                observation, _ = env.reset(seed=next(episodes))
                excitement = np.zeros((1, agent.brain_config.carried_words, LANES), np.uint8)
            shown = agent.encoder.encode([observation], rows)
            answer = agent.backend.predict(agent.state, rows, shown, excitement, np.zeros(1, np.uint32), True)
            echoes = excitement[0, config.pool_words : config.pool_words + config.echo_words]
            yield np.concatenate([shown[0], echoes]), int(answer.spikes[0])
            excitement = answer.excitement
            action = agent.decoder.decode_mean(answer.volley[0], answer.actions[0])
            observation, _, terminated, truncated, _ = env.step(action)
            done = bool(terminated or truncated)
    finally:
        env.close()


def _delivered(agent: SpikingAgent, intensities: Any) -> int:
    """Spikes of sensory and echo words delivered to the pool and to the learning units."""
    key = (agent.seed, int(agent.brains[0]))
    config, params = agent.brain_config, agent.state.params[0]
    wiring = wire(config, agent.arrays(["generation"])["generation"][0], key)
    # all greedy answers draw the same phases, those of presentation 0
    clock = Clock(0, Stream.EVALUATION, key, True)
    cycles = range(config.cycles) if config.learning_words else ()
    read = sum(int(sensory_spikes(intensities.astype(np.int32), cycle, params, clock).sum()) for cycle in cycles)
    return delivered_spikes(config, wiring, params, intensities, clock) + read * config.learning_units
