"""Playing without learning: our agents and whatever answers as Stable-Baselines3's models do."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from hebbit.agents import SpikingAgent, evaluate
from hebbit.agents.environment import episode_seed


class Recording(gym.Env[Any, Any]):
    """Ends after as many steps as its seed says, and remembers seeds and actions."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Box(0, 99, (1,)), spaces.Discrete(9)
        self.seeds, self.actions, self.left, self.made = list[int | None](), list[int](), 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.made, self.left = 0, 2 + len(self.seeds)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(int(action))
        self.made += 1
        over = self.made == self.left
        return np.full(1, self.made, np.float32), 0.5, over and self.left % 2 == 0, over and self.left % 2 == 1, {}


class Counter:
    """A policy whose state is how often it was asked in this episode."""

    def __init__(self) -> None:
        self.asked: list[tuple[bool, bool]] = []

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        assert episode_start.shape == (1,) and episode_start.dtype == np.bool_
        self.asked.append((bool(episode_start[0]), deterministic))
        assert (state is None) == bool(episode_start[0])
        count = 0 if state is None else state[0]
        return np.int64(count), (count + 1,)


def test_the_protocol_of_states_and_starts() -> None:
    env, policy, shown = Recording(), Counter(), []
    returns, lengths = evaluate(policy, env, 3, seed=5, brain=2, on_step=lambda: shown.append(env.made))
    assert lengths.tolist() == [3, 4, 5] and returns.tolist() == [1.5, 2.0, 2.5]
    assert (returns.dtype, lengths.dtype) == (np.float64, np.int64)
    assert env.actions == shown_before(shown) == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4]
    assert [start for start, _ in policy.asked] == [action == 0 for action in env.actions]
    assert all(deterministic for _, deterministic in policy.asked)
    assert env.seeds == [episode_seed(5, 2, episode, evaluation=True) for episode in range(3)]


def shown_before(shown: list[int]) -> list[int]:
    return [step - 1 for step in shown]


def test_a_stateless_policy_is_served() -> None:
    class Stateless:
        def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            return np.array(3), None

    env = Recording()
    assert evaluate(Stateless(), env, 1, deterministic=False)[1].tolist() == [3]
    assert env.actions == [3, 3, 3]


def test_no_episodes_no_returns() -> None:
    returns, lengths = evaluate(Counter(), Recording(), 0)
    assert returns.shape == lengths.shape == (0,)


def test_evaluation_meets_no_episode_of_training() -> None:
    training, evaluation = Recording(), Recording()
    agent = SpikingAgent(training, config={"pool_words": 4}).learn(200)
    agent.evaluate(evaluation, episodes=20)
    assert len(set(training.seeds)) == len(training.seeds) > 10
    assert not set(training.seeds) & set(evaluation.seeds)


def test_the_agents_method_is_this_function() -> None:
    agent = SpikingAgent("CartPole-v1", config={"pool_words": 4}, seed=3).learn(200)
    own = agent.evaluate(episodes=3)
    env = gym.make("CartPole-v1")
    for again in (agent.evaluate(env, episodes=3), evaluate(agent, env, 3, seed=3)):
        for mine, other in zip(own, again, strict=True):
            np.testing.assert_array_equal(mine, other)
    assert own[0].tolist() == own[1].tolist()


@pytest.mark.parametrize("env", ["CartPole-v1", gym.make_vec("CartPole-v1", 2, "sync"), 5])
def test_what_is_not_one_environment_is_refused(env: Any) -> None:
    agent = SpikingAgent("CartPole-v1", config={"pool_words": 4})
    with pytest.raises(Exception, match="env") as caught:
        agent.evaluate(env, episodes=1)
    assert type(caught.value).__module__ == "hebbit.agents.errors"
