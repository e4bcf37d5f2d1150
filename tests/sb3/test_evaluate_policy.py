"""Stable-Baselines3's evaluate_policy runs our agents, and our evaluate runs its models."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import hebbit.envs  # noqa: F401  # registers its environments
from hebbit.agents import SpikingAgent, evaluate
from hebbit.agents.environment import episode_seed

CARTPOLE = "CartPole-v1"
SMALL = {"pool_words": 8}


@pytest.fixture(scope="module")
def agent() -> SpikingAgent:
    return SpikingAgent(CARTPOLE, config=SMALL, seed=5).learn(3000)


class Seeded(gym.Wrapper[Any, Any, Any, Any]):
    """Resets with the seeds of our evaluation, one after another: every ``step``-th from ``first``."""

    def __init__(self, env: gym.Env[Any, Any], seed: int, first: int = 0, step: int = 1) -> None:
        super().__init__(env)
        self.key, self.episode, self.stride = seed, first, step

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        own = episode_seed(self.key, 0, self.episode, evaluation=True)
        self.episode += self.stride
        return self.env.reset(seed=own, options=options)


def seeded(number: int, seed: int) -> DummyVecEnv:
    """Environments that share our evaluation's episodes evenly: the way evaluate_policy does."""
    makers = [lambda rank=rank: Monitor(Seeded(gym.make(CARTPOLE), seed, rank, number)) for rank in range(number)]
    return DummyVecEnv(makers)


@pytest.mark.parametrize("number", [1, 2])
def test_their_evaluation_is_ours(agent: SpikingAgent, number: int) -> None:
    returns, lengths = agent.evaluate(episodes=6)
    theirs, steps = evaluate_policy(agent, seeded(number, 5), n_eval_episodes=6, return_episode_rewards=True)
    assert isinstance(theirs, list) and isinstance(steps, list)
    assert sorted(theirs) == sorted(returns.tolist())
    assert sorted(steps) == sorted(lengths.tolist())


def test_a_plain_environment_and_a_random_policy(agent: SpikingAgent) -> None:
    mean, deviation = evaluate_policy(agent, Monitor(gym.make(CARTPOLE)), n_eval_episodes=3, deterministic=False)
    assert mean > 8 and deviation >= 0


def test_evaluating_by_them_does_not_change_training() -> None:
    agent, twin = (SpikingAgent(CARTPOLE, config=SMALL, seed=1).learn(100) for _ in range(2))
    evaluate_policy(agent, make_vec_env(CARTPOLE, n_envs=2), n_eval_episodes=3, deterministic=False)
    assert agent.digest() == twin.digest()
    assert agent.learn(50, reset_num_timesteps=False).digest() == twin.learn(50, reset_num_timesteps=False).digest()


@pytest.mark.parametrize("kind", ["discrete", "multidiscrete", "multibinary", "box"])
def test_every_kind_of_action_reaches_their_environments(kind: str) -> None:
    name = f"hebbit/Identity-{kind}-v0"
    agent = SpikingAgent(name, config={"pool_words": 4, "gamma": 0.0, "reward_bits": 11}, seed=1).learn(500)
    envs = DummyVecEnv([lambda: Monitor(gym.make(name))] * 2)
    rewards, lengths = evaluate_policy(agent, envs, n_eval_episodes=4, return_episode_rewards=True)
    assert lengths == [20] * 4
    assert isinstance(rewards, list) and all(0 <= reward <= 20 for reward in rewards)


def test_dict_observations_of_their_environments() -> None:
    class Named(gym.ObservationWrapper[Any, Any, Any]):
        def __init__(self) -> None:
            super().__init__(gym.make(CARTPOLE))
            space = self.env.observation_space
            assert isinstance(space, gym.spaces.Box)
            self.observation_space = gym.spaces.Dict(
                place=gym.spaces.Box(space.low[:2], space.high[:2]), pole=gym.spaces.Box(space.low[2:], space.high[2:])
            )

        def observation(self, observation: Any) -> Any:
            return {"place": observation[:2], "pole": observation[2:]}

    agent = SpikingAgent(Named(), config=SMALL).learn(200)
    mean, _ = evaluate_policy(agent, DummyVecEnv([lambda: Monitor(Named())] * 2), n_eval_episodes=3)
    assert mean > 0


def test_our_evaluation_runs_their_models() -> None:
    model = PPO("MlpPolicy", CARTPOLE, seed=0, n_steps=64, batch_size=64, device="cpu").learn(128)
    returns, lengths = evaluate(model, gym.make(CARTPOLE), 4, seed=5)
    theirs, steps = evaluate_policy(model, seeded(1, 5), n_eval_episodes=4, return_episode_rewards=True)
    assert theirs == returns.tolist() and steps == lengths.tolist()
    assert np.array_equal(returns, lengths)
