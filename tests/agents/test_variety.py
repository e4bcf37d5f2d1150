"""Populations whose brains differ in their hyperparameters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import HebbitError, SpikingAgent, checkpoint
from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import CheckpointError
from hebbit.agents.saving import learned
from hebbit.agents.variety import OWN, differences, read, spread, written
from hebbit.backends.spec import RANGES, Param

TINY: dict[str, Any] = {"pool_words": 4, "cycles": 3}
BASE = AgentConfig(**TINY)
VARIED = (
    BASE,
    BASE.replace({"gamma": 0.9, "reward_steps": 50.0, "optimism": -10.0, "threshold": 5, "threshold_slope": 1}),
    BASE.replace({"temperature": 5.0, "actor_step": 0.5, "drive": "sum", "gain": 4, "base_rate": 0.1}),
)


def population(configs: Any, backend: str = "numba") -> SpikingAgent:
    return SpikingAgent("CartPole-v1", seed=4, brains=[7, 8, 9], config=configs, backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "numba", "shim"])
def test_each_brain_is_the_one_that_it_would_be_alone(backend: str) -> None:
    agent = population(VARIED, backend).learn(40, log_interval=None)
    for row, config in enumerate(VARIED):
        alone = SpikingAgent("CartPole-v1", seed=4, brains=[7 + row], config=config).learn(40, log_interval=None)
        own, others = learned(agent), learned(alone)
        assert [name for name in others if not np.array_equal(own[name][row], others[name][0])] == []


def test_a_checkpoint_knows_every_brains_settings(tmp_path: Path) -> None:
    agent = population(VARIED).learn(30, log_interval=None)
    agent.save(tmp_path / "a.zip")
    found = SpikingAgent.load(tmp_path / "a.zip")
    assert found.configs == VARIED and found.digest() == agent.digest()
    found.learn(20, log_interval=None, reset_num_timesteps=False)
    assert found.digest() == agent.learn(20, log_interval=None, reset_num_timesteps=False).digest()


def test_one_brain_takes_its_settings_along(tmp_path: Path) -> None:
    agent = population(VARIED).learn(30, log_interval=None)
    alone = agent.extract(2)
    assert alone.config == VARIED[2] and alone.configs == (VARIED[2],)
    alone.save(tmp_path / "b.zip")
    assert SpikingAgent.load(tmp_path / "b.zip").config == VARIED[2]
    same = SpikingAgent("CartPole-v1", seed=4, brains=[9], config=VARIED[2]).learn(30, log_interval=None)
    assert alone.digest() == same.digest()


def test_equal_settings_are_written_once(tmp_path: Path) -> None:
    one, many = population(BASE), population([BASE] * 3)
    assert one.digest() == many.digest() and written(many.configs) == {}
    many.save(tmp_path / "c.zip")
    assert "configs" not in checkpoint.read(tmp_path / "c.zip").meta


def test_only_what_differs_is_written() -> None:
    told = written(VARIED)
    assert set(told) == {
        "gamma", "reward_steps", "optimism", "threshold", "threshold_slope", "temperature", "actor_step", "drive",
        "gain", "base_rate",
    }  # fmt: skip
    assert told["gamma"] == [0.99, 0.9, 0.99] and read(BASE, told, 3) == VARIED


def test_what_brains_share_must_be_the_same() -> None:
    with pytest.raises(HebbitError, match="the same cycles, pool_words: make a population for each value"):
        population([BASE, AgentConfig(pool_words=5), BASE])
    with pytest.raises(HebbitError, match="3 brains need as many configurations, or one for all, got 2"):
        population([BASE, BASE])
    with pytest.raises(HebbitError, match="an AgentConfig for each brain"):
        population([BASE, BASE, {"gamma": 0.5}])


@pytest.mark.parametrize(
    "values", [3, {"gamma": [0.9]}, {"gamma": 0.9}, {"gamma": [0.9, 0.9, 7.0]}, {"nothing": [1, 2, 3]}]
)
def test_a_damaged_list_is_refused(values: Any) -> None:
    with pytest.raises(CheckpointError):
        read(BASE, values, 3)


def test_settings_of_ones_own_are_all_that_only_the_parameters_hold() -> None:
    """Whatever changes the structure, or what the agent does around the brains, is common."""
    fields = AgentConfig().to_dict()
    assert set(fields) >= OWN
    other = {
        "pool_words": 5, "cycles": 4, "slots_min": 1, "slots_max": 5, "clusters": 2, "echo_delay": 1, "echo_pool": 1,
        "learning_words": 1, "learning_pool": True,
    }  # fmt: skip
    for name, value in other.items():
        changed = AgentConfig(**TINY).replace({name: value})
        assert name not in OWN and changed.brain(4, (2,)) != AgentConfig(**TINY, slots_max=6).brain(4, (2,))
    assert spread(BASE, 2) == (BASE, BASE) and differences(BASE, VARIED[1])[0] == "threshold"


def test_thresholds_have_a_range_together() -> None:
    with pytest.raises(HebbitError, match="threshold \\+ 7 threshold_slope must be at most 31"):
        AgentConfig(threshold=12, threshold_slope=3)
    params = AgentConfig(threshold=3, threshold_slope=4).params()
    assert params[0, [Param.THRESHOLD, Param.THRESHOLD_SLOPE]].tolist() == [3, 4]
    assert RANGES[Param.THRESHOLD] == (1, 31)
