"""hebbit info: a brain in figures, or what is installed."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hebbit import backends
from hebbit.agents import AgentConfig, EnvSpec, SpikingAgent
from hebbit.agents.environment import episode_seed
from hebbit.agents.leaves import LANES
from hebbit.agents.runs import versions
from hebbit.agents.trained import located
from hebbit.backends.spec import FRACTION_BITS, TRACE_BITS, BrainConfig
from hebbit.backends.wiring import wire
from hebbit.scripts.evaluate import load

MEASURED = 200
"""Presentations over which spikes are counted."""
WEIGHT_BITS, STATE_BITS = 8, 4

Row = tuple[str, str]


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit info --help``."""
    rows = _installed() if arguments.run is None else _about(located(arguments.run), arguments.trust)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    return 0


def _installed() -> list[Row]:
    rows = list(versions().items())
    for name in backends.names():
        try:
            backends.load(name)
            rows.append((f"backend {name}", "available"))
        except ImportError as error:
            rows.append((f"backend {name}", " ".join(str(error).split())))
    config = AgentConfig()
    pool = f"{config.pool_words * LANES:,} pool neurons in {config.pool_words} words"
    slots = f"{config.slots_min} to {config.slots_max} synapses each"
    return [*rows, ("default brain", f"{pool}, {slots}, {config.cycles} cycles for each action")]


def _about(path: Path, trust: bool) -> list[Row]:
    """The brain of a run or checkpoint; of a population the first, for they are alike."""
    subject = load(path, None, "auto", trust)
    agent, spec = subject.agent, subject.spec
    config = agent.brain_config
    population = [("brains", str(len(agent.brains)))] if len(agent.brains) > 1 else []
    return [
        ("checkpoint", str(subject.path)),
        ("environment", spec.id),
        ("seed", str(agent.seed)),
        ("steps", f"{agent.num_timesteps:,}"),
        *population,
        *_neurons(agent),
        *_pool(agent),
        *_synapses(agent),
        *_bytes(agent),
        ("cycles", f"{config.cycles} for each action"),
        *_activity(agent, spec),
        ("backend", agent.backend.name),
        ("digest", agent.digest()),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
    ]


def _neurons(agent: SpikingAgent) -> list[Row]:
    config = agent.brain_config
    parts = {
        "sensory": config.sensory_words,
        "echo": config.echo_words,
        "pool": config.pool_words,
        "learning": config.learning_words,
        "motor": config.units,
    }
    total = sum(parts.values()) * LANES
    there = (f"{words * LANES:,} {kind}" for kind, words in parts.items() if words or kind in ("sensory", "pool"))
    return [("neurons", f"{total:,}: " + ", ".join(there))]


def _pool(agent: SpikingAgent) -> list[Row]:
    """Pool words, those that were pruned, and those that drew new sources."""
    left, born_with = agent.brain_config.pool_words, int(agent.structure.words[0])
    pruned = f", {born_with - left:,} of {born_with:,} pruned" if born_with > left else ""
    generations = agent.arrays(["generation"])["generation"][0] & 0xFFFF
    renewed = int(np.count_nonzero(generations))
    rows = [("pool words", f"{left:,} in use{pruned}")]
    if renewed:
        newest = int(agent.structure.born[0].max())
        times = f"{int(generations.sum()):,} times in all, one of them {int(generations.max()):,} times"
        rows.append(("re-wired", f"{renewed:,} of {left:,} words, {times}; last after {newest:,} steps"))
    return rows


def _synapses(agent: SpikingAgent) -> list[Row]:
    config = agent.brain_config
    generation = agent.arrays(["generation"])["generation"][0]
    fixed = int(wire(config, generation, (agent.seed, int(agent.brains[0]))).slots.sum()) * LANES
    plastic = plastic_synapses(config)
    return [("synapses", f"{fixed + plastic:,}: {fixed:,} fixed (recomputed, not stored), {plastic:,} that learn")]


def plastic_synapses(config: BrainConfig) -> int:
    """Synapses with weights and traces."""
    return (config.outputs * config.words + config.learning_units * config.learning_sources) * LANES


def _bits(config: BrainConfig) -> dict[str, int]:
    plastic = plastic_synapses(config)
    return {
        f"in {STATE_BITS}-bit states": config.carried_words * LANES * STATE_BITS,
        f"in {WEIGHT_BITS}-bit weights": plastic * WEIGHT_BITS,
        f"in their {FRACTION_BITS}-bit fractions": plastic * FRACTION_BITS,
        f"in traces of {TRACE_BITS} bits and a sign": plastic * (TRACE_BITS + 1),
    }


def stored_bytes(config: BrainConfig) -> int:
    """Memory of one brain: what cannot be recomputed."""
    return sum(_bits(config).values()) // 8


def _bytes(agent: SpikingAgent) -> list[Row]:
    config = agent.brain_config
    parts = ", ".join(f"{number // 8:,} {what}" for what, number in _bits(config).items())
    return [("bytes", f"{stored_bytes(config):,}: {parts}")]


def _activity(agent: SpikingAgent, spec: EnvSpec) -> list[Row]:
    """Spikes of sensory, echo, pool and learning neurons for each action, measured while playing."""
    spikes = measure(agent, spec, MEASURED)
    neurons, cycles = agent.brain_config.words * LANES, agent.brain_config.cycles
    mean, most = np.mean(spikes), neurons * cycles
    return [("spikes per step", f"{mean:,.0f} of {most:,} possible ({mean / most:.1%}), over {len(spikes)} steps")]


def measure(agent: SpikingAgent, spec: EnvSpec, steps: int) -> Sequence[int]:
    """Spikes of the brain that predicts in each of some evaluation steps."""
    rows = np.array([agent.active], np.intp)
    excitement = np.zeros((1, agent.brain_config.carried_words, LANES), np.uint8)
    spikes: list[int] = []
    episode, done, observation = 0, True, None
    env = spec.make()
    try:
        while len(spikes) < steps:
            if done:
                seed = episode_seed(agent.seed, int(agent.brains[agent.active]), episode, evaluation=True)
                observation, _ = env.reset(seed=seed)
                episode, excitement = episode + 1, np.zeros_like(excitement)
            intensities = agent.encoder.encode([observation], rows)
            number = np.array([len(spikes)], np.uint32)
            answer = agent.backend.predict(agent.state, rows.astype(np.int64), intensities, excitement, number, False)
            excitement = answer.excitement
            spikes.append(int(answer.spikes[0]))
            observation, _, terminated, truncated, _ = env.step(agent.decoder.decode(answer.actions[0]))
            done = bool(terminated or truncated)
    finally:
        env.close()
    return spikes
