"""Many brains side by side: each gives the bits that it gives alone."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent
from hebbit.agents.callbacks import BaseCallback
from hebbit.agents.config import AgentConfig

CONFIG = {"pool_words": 4, "warmup": 200}
CARTPOLE = "CartPole-v1"
STEPS = 350
NUMBERS = (0, 1, 2, 7)


def population(brains: Any = NUMBERS, **settings: Any) -> SpikingAgent:
    return SpikingAgent(CARTPOLE, **{"config": CONFIG, "seed": 3, "brains": brains, **settings})


@pytest.mark.parametrize("env", [CARTPOLE, "Pendulum-v1", "FrozenLake-v1"])
def test_every_brain_is_as_it_is_alone(env: str) -> None:
    settings: dict[str, Any] = {"config": CONFIG, "seed": 3}
    together = SpikingAgent(env, brains=list(NUMBERS), **settings).learn(STEPS)
    assert min(together.books.begun) > 1
    for row, number in enumerate(NUMBERS):
        alone = SpikingAgent(env, brains=[number], **settings).learn(STEPS)
        extracted = together.extract(row)
        assert extracted.digest() == alone.digest()
        assert extracted.brains.tolist() == [number] and extracted.total_steps == STEPS
        assert alone.books.recent[0] == together.books.recent[row]
        np.testing.assert_array_equal(extracted.evaluate(episodes=2)[0], alone.evaluate(episodes=2)[0])


def test_brains_differ() -> None:
    together = population().learn(100)
    assert len({together.extract(row).digest() for row in range(4)}) == 4


def test_an_extracted_brain_goes_on_in_the_same_bits() -> None:
    together = population().learn(STEPS)
    alone = [together.extract(row) for row in range(4)]
    together.learn(STEPS, reset_num_timesteps=False)
    for row, agent in enumerate(alone):
        agent.learn(STEPS, reset_num_timesteps=False)
        assert agent.digest() == together.extract(row).digest()
        assert agent.books.returns == [together.books.returns[row]]
        assert agent.books.recent[0] == together.books.recent[row]
        assert agent.num_timesteps == together.num_timesteps


def test_an_extracted_brain_can_be_extracted_again() -> None:
    together = population().learn(100)
    once, twice = together.extract(2), together.extract(2).extract(0)
    assert once.digest() == twice.digest()
    for agent in (once, twice):
        agent.learn(100, reset_num_timesteps=False)
    together.learn(100, reset_num_timesteps=False)
    assert once.digest() == twice.digest() == together.extract(2).digest()


def test_extracting_leaves_the_population_alone() -> None:
    together, twin = population().learn(60), population().learn(60)
    together.extract(1).learn(30)
    assert together.digest() == twin.digest()
    for agent in (together, twin):
        agent.learn(40, reset_num_timesteps=False)
    assert together.digest() == twin.digest()


@pytest.mark.parametrize("brain", [-1, 4, 99])
def test_brains_that_are_not_there_are_refused(brain: int) -> None:
    with pytest.raises(HebbitError, match=f"brain must be one of 0..3, got {brain}"):
        population().extract(brain)


def test_the_machines_agree() -> None:
    digests = {population([1, 4], backend=name).learn(25).digest() for name in ("numpy", "numba")}
    assert len(digests) == 1


def test_a_vector_environment_makes_a_population() -> None:
    def envs(mode: AutoresetMode) -> SyncVectorEnv:
        return SyncVectorEnv([lambda: gym.make(CARTPOLE)] * 3, autoreset_mode=mode)

    agent = SpikingAgent(envs(AutoresetMode.DISABLED), config=CONFIG, seed=3)
    assert agent.brains.tolist() == [0, 1, 2] and agent.num_timesteps == 0
    assert agent.learn(STEPS).digest() == population(3).learn(STEPS).digest()
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        assert SpikingAgent(envs(mode), config=CONFIG, brains=[4, 5, 6]).learn(100).num_timesteps == 100


def test_wrappers_and_arguments_reach_every_environment() -> None:
    spec = EnvSpec(CARTPOLE, {"sutton_barto_reward": True}, ('gymnasium.wrappers.TimeLimit:{"max_episode_steps": 3}',))
    agent = SpikingAgent(spec, config=CONFIG, brains=2).learn(20)
    assert [list(recent) for recent in agent.books.recent] == [[(0.0, 3)] * 6] * 2


class Stop(BaseCallback):
    """Stops when brain 1 ends its second episode."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, int]] = []

    def _on_episode_end(self) -> bool:
        episode = self.locals["episode"]
        self.heard.append((episode["brain"], episode["episode"]))
        return self.heard[-1] != (1, 1)


def test_stopping_loses_nothing() -> None:
    agent, stop = population(), Stop()
    agent.learn(STEPS, stop)
    assert (1, 1) in stop.heard and agent.num_timesteps < STEPS
    for brain in range(4):
        own = [episode for number, episode in stop.heard if number == brain]
        assert own == list(range(len(own)))
    agent.learn(STEPS - agent.num_timesteps, reset_num_timesteps=False)
    assert agent.digest() == population().learn(STEPS).digest()


def test_the_active_brain_predicts() -> None:
    together = population().learn(STEPS)
    seen = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 4))
    for row in range(4):
        together.active = row
        alone = together.extract(row)
        for deterministic in (True, False):
            for agent in (together, alone):
                agent._predictions = 0
            answers = [agent.predict(seen, deterministic=deterministic)[0] for agent in (together, alone)]
            np.testing.assert_array_equal(*answers)
        np.testing.assert_array_equal(together.evaluate(episodes=2)[0], alone.evaluate(episodes=2)[0])


def test_steps_are_counted_for_each_brain() -> None:
    agent = population().learn(10)
    assert (agent.num_timesteps, agent.total_steps) == (10, 10)
    assert agent.arrays()["presentation"].min() >= 11


@pytest.mark.parametrize("env", ["CartPole-v1", EnvSpec("CartPole-v1", resident=True)], ids=["ordinary", "resident"])
def test_one_brain_is_read_alone(env: Any, tmp_path: Path) -> None:
    """The same as the brain that is taken out of the whole population."""
    configs = [AgentConfig(pool_words=4, gamma=gamma) for gamma in (0.9, 0.95, 0.97)]
    agent = SpikingAgent(env, seed=4, brains=3, config=configs).learn(150, log_interval=None)
    agent.save(tmp_path / "a.zip")
    for brain in range(3):
        alone, whole = SpikingAgent.load(tmp_path / "a.zip", brain=brain), agent.extract(brain)
        assert alone.brains.tolist() == [brain] and alone.digest() == whole.digest()
        assert alone.config.gamma == configs[brain].gamma
        for one in (alone, whole):
            one.learn(100, log_interval=None, reset_num_timesteps=False)
        assert alone.digest() == whole.digest() and alone.books.recent == whole.books.recent
    for brain in (-1, 3):
        with pytest.raises(HebbitError, match="one of 0..2"):
            SpikingAgent.load(tmp_path / "a.zip", brain=brain)
