"""What an answer costs, counted by hand: spikes of all kinds of words, and who receives them."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.backends.equations import Clock, sensory_spikes
from hebbit.backends.spec import LANES, Stream
from hebbit.backends.wiring import wire
from hebbit.scripts.bench import ours
from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.ours import Ours
from hebbit.scripts.bench.suites import Task

ANSWERS = 14
"""More than an episode of a newborn brain."""
BRAINS: dict[str, dict[str, Any]] = {
    "plain": {},
    "echo": {"echo_delay": 1},
    "learning": {"learning_words": 1, "learning_density": 0.5},
    "both": {"echo_delay": 1, "learning_words": 2},
    "no pool": {"pool_words": 0, "learning_words": 1},
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few answers are counted."""
    monkeypatch.setattr(ours, "COUNTED", ANSWERS)


def side(**settings: Any) -> Ours:
    job = Job("hebbit", asdict(Task("CartPole-v1", 10)), 3, 10, {"pool_words": 3, "cycles": 4, **settings}, {})
    return Ours(job, backend="numpy")


def received(agent: SpikingAgent, inputs: Any) -> int:
    """Spikes of sensory and echo words that arrive at pool and learning neurons, source by source."""
    key, config, total = (agent.seed, 0), agent.brain_config, 0
    wiring, clock = wire(config, agent.arrays()["generation"][0], key), Clock(0, Stream.EVALUATION, key, True)
    for cycle in range(config.cycles):
        fired = sensory_spikes(inputs.astype(np.int32), cycle, agent.state.params[0], clock).sum(axis=1)
        for sources, slots in zip(wiring.source, wiring.slots, strict=True):
            total += sum(int(fired[source]) for source in sources[:slots])
        total += int(fired.sum()) * config.learning_words * LANES
    return total


def by_hand(counted: Ours) -> tuple[float, float]:
    """Spikes received, and spikes fired, for an answer; on the benchmark's first episodes."""
    agent, env, done = counted.agent, counted.spec.make(), True
    config, zero, seeds = agent.brain_config, np.zeros(1, np.int64), iter(counted.task.curve_seeds())
    arrived = fired = 0
    for _ in range(ANSWERS):
        if done:
            observation, _ = env.reset(seed=next(seeds))
            carried = np.zeros((1, config.carried_words, LANES), np.uint8)
        shown = agent.encoder.encode([observation], zero)
        inputs = np.concatenate([shown[0], carried[0, config.pool_words :][: config.echo_words]])
        answer = agent.backend.predict(agent.state, zero, shown, carried, np.zeros(1, np.uint32), True)
        spikes, carried = int(answer.spikes[0]), answer.excitement
        arrived, fired = arrived + received(agent, inputs) + 2 * spikes, fired + spikes
        observation, _, terminated, truncated, _ = env.step(int(answer.actions[0, 0]))
        done = terminated or truncated
    env.close()
    return arrived / ANSWERS, fired / ANSWERS


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", BRAINS)
def test_spikes_are_those_of_the_answers(name: str) -> None:
    counted = side(**BRAINS[name])
    operations = counted.operations()
    arrived, fired = by_hand(counted)
    assert operations["spikes_per_action"] == fired > 0
    assert operations["synaptic_per_action"] == arrived > 2 * fired


@pytest.mark.parametrize(
    ("name", "words", "inner", "neurons", "carried"),
    [("plain", 7, 0, 3, 3), ("echo", 11, 0, 3, 7), ("learning", 8, 4, 4, 4), ("both", 13, 16, 5, 9)],
)
@pytest.mark.usefixtures("few")
def test_sizes_are_those_of_the_brain(name: str, words: int, inner: int, neurons: int, carried: int) -> None:
    """Four sensory words, as many echo words, three pool words; two motor units, and 32 units for a learning word."""
    counted = side(**BRAINS[name])
    operations = counted.operations()
    parameters = 32 * (2 * words + 32 * inner)
    assert operations["parameters"] == parameters
    assert operations["neuron_updates_per_action"] == 32 * 4 * neurons
    assert counted.policy_bytes() == parameters + 32 * carried // 2
    assert operations["kind"] == "spiking" and operations["macs_per_action"] is None


@pytest.mark.usefixtures("few")
def test_counting_leaves_the_brain_alone() -> None:
    counted = side(**BRAINS["both"])
    before = counted.agent.digest()
    assert counted.operations() == counted.operations() and counted.agent.digest() == before
