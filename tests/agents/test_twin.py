"""The twin of a brain fires as the specification does, whatever the options."""

from typing import Any

import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.agents.twin import Twin
from hebbit.backends import equations as eq
from hebbit.backends.equations import Clock
from hebbit.backends.numpy_backend import NumpyBackend, present
from hebbit.backends.spec import Param, Stream

SMALL: dict[str, Any] = {"pool_words": 6, "warmup": 200}
# Every option that the twin has a line for.
OPTIONS: list[dict[str, Any]] = [
    {},
    {"clusters": 3, "motor_ramp": True, "cycles": 5},
    {"drive": "sum", "noise_bits": 2, "threshold_slope": 1, "gain": 3, "excitement_decay": 0.7},
    {"sensory": "bernoulli", "gain": 4, "threshold": 9, "base_rate": 0.1, "motor_rule": "second_draw"},
    {"cycles": 15, "slots_max": 2, "motor_base": 0.1, "base_rate": 0.3, "base_age": 0},
    {"pool_words": 0},
    {"echo_delay": 2, "echo_pool": 2, "reads": "hidden", "temperature_age": 3},
    {"learning_words": 2, "learning_pool": True, "echo_pool": 3, "learning_density": 1.0},
    {"learning_words": 1, "reads": "learning", "pool_words": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("calm", [True, False])
@pytest.mark.parametrize("stream", [0, int(Stream.EVALUATION)])
def test_the_twin_fires_as_the_specification_does(options: dict[str, Any], calm: bool, stream: int) -> None:
    agent = SpikingAgent("CartPole-v1", seed=5, config={**SMALL, **options}, backend="numpy", brains=2)
    rng = np.random.default_rng(1)
    arrays = agent.arrays()
    arrays["weights"][:] = rng.integers(-128, 128, arrays["weights"].shape)
    arrays["presentation"][:] = 5
    arrays["generation"][:] = rng.integers(0, 3, arrays["generation"].shape)
    state = NumpyBackend().create(agent.brain_config, agent.state.params, 5, arrays)
    twin = Twin(agent.brain_config, agent.state.params[1], 5, arrays, 1)
    excitement = rng.integers(0, 16, (agent.brain_config.carried_words, 32)).astype(np.int32)
    for number in (0, 7, 2**32 - 1):
        intensity = rng.integers(0, 16, (agent.brain_config.sensory_words, 32)).astype(np.int32)
        clock = Clock(number, stream, (5, 1), calm)
        seen = twin.show(intensity, excitement, clock)
        shown = present(state, 1, intensity, excitement, clock)
        words, inputs = agent.brain_config.sensory_words, agent.brain_config.inputs
        np.testing.assert_array_equal(seen.sensory, shown.spikes[:, :words])
        np.testing.assert_array_equal(seen.pool, shown.spikes[:, inputs:])
        np.testing.assert_array_equal(seen.excitement, shown.carried)
        assert seen.spikes == shown.counts.sum()
        counts = eq.seen(shown.counts, agent.brain_config, int(state.params[1, 0, Param.READS]))
        drives, values = eq.readout(counts, arrays["weights"][1].astype(np.int32), agent.brain_config)
        answer = eq.act(drives, agent.brain_config, state.params[1], clock, 5)
        np.testing.assert_array_equal(seen.values, values)
        np.testing.assert_array_equal(seen.volley, answer.spikes)
        weight = np.arange(1, agent.brain_config.cycles + 1) if options.get("motor_ramp") else 1
        own = (seen.motor.sum(axis=2).T * weight).sum(axis=1)
        np.testing.assert_array_equal(own, 0 * own if calm else answer.spikes)
        excitement = shown.carried
