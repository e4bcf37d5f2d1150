"""What agents are told by those who interrupt, extend and mistrust them."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, checkpoint
from hebbit.agents.callbacks import BaseCallback
from hebbit.agents.errors import CheckpointError, SpaceError
from hebbit.agents.logger import configure

BOX = spaces.Box(-1, 1, (3,))


class Toy(gym.Env[Any, Any]):
    """Any spaces; always shows the same."""

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(3, np.float32), 1.0, False, False, {}


def newborn(env: Any = "CartPole-v1", **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, **{"config": {"pool_words": 4}, **settings})


def test_parameters_can_be_taken_over() -> None:
    agent, other = newborn(seed=1).learn(100), newborn(seed=1)
    other.set_parameters(agent.get_parameters())
    assert other.digest() == agent.digest() and other.learn(5).num_timesteps == 5
    with pytest.raises(HebbitError, match="parameters must be those of brains"):
        newborn(brains=[3]).set_parameters(agent.get_parameters())
    with pytest.raises(HebbitError, match="no array 'episode'"):
        other.set_parameters({"brain": other.brains})


def test_the_log_can_be_put_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    agent = newborn()
    agent.set_logger(configure(None, ("stdout",)))
    agent.learn(20, log_interval=10)
    assert capsys.readouterr().out.count("total_timesteps") == 2


def test_what_was_interrupted_in_a_brain_begins_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Brains and books may differ then: nothing that was running can be gone on with."""

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    agent = newborn().learn(12)
    with monkeypatch.context() as patch:
        patch.setattr(agent.backend, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agent.learn(5, reset_num_timesteps=False)
    agent.save(tmp_path / "agent.zip")
    again = SpikingAgent.load(tmp_path / "agent.zip").learn(20, reset_num_timesteps=False)
    assert agent.learn(20, reset_num_timesteps=False).digest() == again.digest()


def test_a_callback_that_fails_leaves_books_in_order(tmp_path: Path) -> None:
    class Failing(BaseCallback):
        def _on_episode_end(self) -> None:
            raise OSError

    agent, twin = newborn(seed=2, brains=2), newborn(seed=2, brains=2)
    with pytest.raises(OSError):
        agent.learn(500, Failing())
    agent.save(tmp_path / "agent.zip")
    again = SpikingAgent.load(tmp_path / "agent.zip")
    for one in (agent, again):
        one.learn(500 - one.num_timesteps, reset_num_timesteps=False)
        assert one.digest() == twin.learn(500).digest() if one is agent else one.digest() == agent.digest()


def test_stable_baselines3_vectors_are_named() -> None:
    class DummyVecEnv:
        __module__ = "stable_baselines3.common.vec_env"

    with pytest.raises(HebbitError, match="use gymnasium.vector.SyncVectorEnv"):
        newborn(DummyVecEnv())


def test_no_actions_are_remembered_that_cannot_be_repeated() -> None:
    envs = SyncVectorEnv([lambda: Toy(BOX, spaces.Discrete(2))] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    assert [len(history) for history in newborn(envs).learn(3).books.history] == [0, 0]
    assert [len(history) for history in newborn().learn(3).books.history] == [12]


def test_a_return_that_is_not_repeated_is_noticed(tmp_path: Path) -> None:
    """Observations may be the same where rewards are not."""
    newborn().learn(30).save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    checkpoint.write(tmp_path / "a.zip", found.meta, {**found.arrays, "returns": found.arrays["returns"] + 1})
    with pytest.raises(HebbitError, match="does not repeat"):
        SpikingAgent.load(tmp_path / "a.zip").learn(1, reset_num_timesteps=False)


def test_a_configuration_must_be_whole(tmp_path: Path) -> None:
    newborn().save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    for name in found.meta["config"]:
        config = {key: value for key, value in found.meta["config"].items() if key != name}
        checkpoint.write(tmp_path / "b.zip", {**found.meta, "config": config}, found.arrays)
        with pytest.raises(CheckpointError, match="whole configuration"):
            SpikingAgent.load(tmp_path / "b.zip")


def test_a_whole_number_is_a_number_in_settings_too() -> None:
    """Equal settings have equal digests, also after a round trip."""
    assert (
        newborn(config=AgentConfig(pool_words=4, gamma=1)).digest()
        == newborn(config=AgentConfig(pool_words=4, gamma=1.0)).digest()
    )


def test_a_picture_as_action_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(SpaceError, match="at most 4096 values"):
        newborn(Toy(BOX, spaces.MultiBinary(10**12)))
