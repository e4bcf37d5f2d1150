"""Resident runs of cupy_backend.py, on a double of CuPy that runs the kernels on the host."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from hebbit.agents import SpikingAgent, resident
from hebbit.agents.config import AgentConfig, configure
from hebbit.backends import load
from hebbit.backends.cuda_backend import RESERVE
from hebbit.envs.resident import make_resident
from tests.backends.fake_cupy import Gpu


def resident_agent(backend: str, brains: int = 3) -> SpikingAgent:
    envs = make_resident("CartPole-v1", brains, autoreset_mode=AutoresetMode.DISABLED)
    return SpikingAgent(envs, seed=2, brains=brains, backend=backend, config=AgentConfig(pool_words=5, cycles=4))


def test_a_resident_run_is_one_launch(double: Gpu) -> None:
    agent = resident_agent("cupy").learn(1, log_interval=None)
    before = len(double.launched)
    agent.learn(60, log_interval=None, reset_num_timesteps=False)
    assert [one.kernel for one in double.launched[before:]] == ["live"]
    expected = resident_agent("numba").learn(61, log_interval=None)
    assert agent.digest() == expected.digest()
    assert agent.books.returns == expected.books.returns and agent.books.begun == expected.books.begun


def test_a_resident_trial_is_one_launch(double: Gpu) -> None:
    agent, other = (resident_agent(name).learn(30, log_interval=None) for name in ("cupy", "numba"))
    before = len(double.launched)
    returns, lengths = resident.trial(agent, 2, brains=[2, 0])
    assert [(one.kernel, one.grid) for one in double.launched[before:]] == [("trial", (2,))]
    expected, counted = resident.trial(other, 2)
    assert np.array_equal(returns, expected[[2, 0]]) and np.array_equal(lengths, counted[[2, 0]])


@pytest.mark.parametrize(
    ("env_id", "changes", "each", "at_once"),
    [
        # a multiprocessor holds 16 warps of 128 registers, and there are 132 of them; a default brain has two
        ("CartPole-v1", {}, 17_500, 8 * 132),
        ("CartPole-v1", {"pool_words": 28}, 9_600, 16 * 132),
        ("CartPole-v1", {"pool_words": 28, "learning_words": 28}, 260_000, 132),
        # its shared memory holds five of these
        ("MountainCarContinuous-v0", {}, 39_000, 5 * 132),
    ],
)
def test_there_is_room_for_what_memory_and_registers_hold(
    double: Gpu, env_id: str, changes: dict[str, Any], each: int, at_once: int
) -> None:
    double.free = RESERVE + (1 << 30)
    envs = make_resident(env_id, 1, autoreset_mode=AutoresetMode.DISABLED)
    agent = SpikingAgent(envs, backend="numba", config=configure(env_id, None, changes))
    backend: Any = load("cupy")
    state = backend.create(agent.brain_config, agent.state.params, 0, agent.arrays())
    found = backend.room(state, envs.world)
    assert found.at_once == at_once
    assert (1 << 30) / found.held == pytest.approx(each, rel=0.02)
    double.free = RESERVE - 1
    assert backend.room(state, envs.world).held == 0


def test_refilling_takes_no_further_memory(double: Gpu) -> None:
    agents = [resident_agent(name).learn(30, log_interval=None) for name in ("cupy", "numba")]
    before = len(double.allocated)
    for agent in agents:
        arrays = agent.arrays(["weights", "surprise"])
        arrays["weights"][:, 0], arrays["surprise"][:] = 5, 77
        agent.backend.refill(agent.state, arrays)
    assert len(double.allocated) == before
    assert agents[0].digest() == agents[1].digest()
    for agent in agents:
        agent.learn(20, log_interval=None, reset_num_timesteps=False)
    assert agents[0].digest() == agents[1].digest()
