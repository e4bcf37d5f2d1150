"""Answering and playing without learning: our agents and whatever answers as Stable-Baselines3's models do."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent, evaluate, evaluation
from hebbit.agents.callbacks import EvalCallback
from hebbit.agents.environment import episode_seed
from hebbit.agents.errors import ObservationError


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
    assert returns.dtype == np.float64 and lengths.dtype == np.int64
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
    ours = [agent.evaluate(where, episodes=3) for where in (env, "CartPole-v1", EnvSpec("CartPole-v1"))]
    for again in (*ours, evaluate(agent, env, 3, seed=3), evaluate(agent, "CartPole-v1", 3, seed=3)):
        for mine, other in zip(own, again, strict=True):
            np.testing.assert_array_equal(mine, other)
    assert own[0].tolist() == own[1].tolist()


@pytest.mark.parametrize("env", [gym.make_vec("CartPole-v1", 2, "sync"), 5])
def test_what_is_not_one_environment_is_refused(env: Any) -> None:
    agent = SpikingAgent("CartPole-v1", config={"pool_words": 4})
    with pytest.raises(Exception, match="env") as caught:
        agent.evaluate(env, episodes=1)
    assert type(caught.value).__module__ == "hebbit.agents.errors"


def test_the_environment_that_is_learned_from_is_refused() -> None:
    env, envs = gym.make("CartPole-v1"), SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2)
    agent, pair = (SpikingAgent(own, config={"pool_words": 4}) for own in (env, envs))
    for one, shared in ((agent, env), (agent, env.unwrapped), (pair, envs.envs[1])):
        with pytest.raises(HebbitError, match="env must not be the one that is learned from"):
            one.evaluate(shared, episodes=1)
        with pytest.raises(HebbitError, match="env must not be the one that is learned from"):
            one.learn(1, EvalCallback(shared))


def newborn(seed: int = 0, **settings: Any) -> SpikingAgent:
    return SpikingAgent("CartPole-v1", config={"pool_words": 4, **settings}, seed=seed)


def observations(number: int) -> Any:
    return np.random.default_rng(3).uniform(-0.2, 0.2, (number, 4)).astype(np.float32)


def test_calm_answers_are_pure() -> None:
    agent = newborn().learn(300)
    seen = observations(5)
    first, state = agent.predict(seen, deterministic=True)
    before = state[0].copy()
    for _ in range(3):
        agent.predict(seen)
        again, other = agent.predict(seen, deterministic=True)
        np.testing.assert_array_equal(again, first)
        np.testing.assert_array_equal(other[0], state[0])
    agent.predict(seen, state)
    np.testing.assert_array_equal(state[0], before)
    first[:] = 7
    assert agent.predict(seen, deterministic=True)[0].max() <= 1


def test_noisy_answers_do_not_repeat_but_agents_do() -> None:
    agent, twin = newborn(seed=4), newborn(seed=4)
    seen = observations(1)[0]
    answers = [int(agent.predict(seen)[0]) for _ in range(40)]
    assert set(answers) == {0, 1} and answers[:20] != answers[20:]
    assert [int(twin.predict(seen)[0]) for _ in range(40)] == answers
    rows = agent.predict(np.tile(seen, (40, 1)))[0]
    assert set(rows.tolist()) == {0, 1}


def test_the_state_is_carried_and_cleared() -> None:
    agent = newborn(drive="sum", threshold=12, excitement_decay=0.0).learn(100)
    seen = observations(3)
    _, fresh = agent.predict(seen, deterministic=True)
    assert fresh[0].shape == (3, 4, 32) and fresh[0].any()
    _, carried = agent.predict(seen, fresh, deterministic=True)
    assert not np.array_equal(carried[0], fresh[0])
    _, none = agent.predict(seen, fresh, np.zeros(3, np.bool_), deterministic=True)
    np.testing.assert_array_equal(none[0], carried[0])
    _, mixed = agent.predict(seen, fresh, np.array([False, True, False]), deterministic=True)
    np.testing.assert_array_equal(mixed[0][[0, 2]], carried[0][[0, 2]])
    np.testing.assert_array_equal(mixed[0][1], fresh[0][1])
    _, every = agent.predict(seen, fresh, np.ones(3, np.bool_), deterministic=True)
    np.testing.assert_array_equal(every[0], fresh[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3),), r"observations must have shape \(4,\), got \(3,\)"),
        ((np.zeros((2, 3)),), r"observations must have shape \(4,\), got \(2, 3\)"),
        ((np.array([0, 0, np.nan, 0]),), "observations must be finite, got nan"),
        ((None,), "observations must"),
        (("left",), "observations must"),
        (({"a": 1},), "observations must"),
        (([[0, 0, 0, 0], [0, 0]],), "observations must"),
        ((np.zeros((2, 4)), (np.zeros((3, 4, 32), np.uint8),)), "state must be of 2 observations, got 3"),
        ((np.zeros((2, 4)), 5), "state must be"),
        ((np.zeros((2, 4)), ()), "state must be"),
        ((np.zeros((2, 4)), (np.zeros((2, 5, 32), np.uint8),)), "state must be"),
        ((np.zeros((2, 4)), None, np.ones(3, np.bool_)), "episode_start must"),
    ],
)
def test_wrong_questions_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ObservationError, match=message) as caught:
        newborn().predict(*arguments)
    assert "\n" not in str(caught.value)


def test_evaluating_does_not_change_training() -> None:
    agent, twin = newborn(seed=2), newborn(seed=2)
    for _ in range(3):
        agent.learn(70, reset_num_timesteps=False)
        before = agent.digest()
        agent.evaluate(episodes=2, deterministic=False)
        agent.predict(observations(3))
        agent.evaluate(gym.make("CartPole-v1"), episodes=1)
        assert agent.digest() == before
        twin.learn(70, reset_num_timesteps=False)
    assert agent.digest() == twin.digest()
    assert agent.books.returns == twin.books.returns


def test_evaluations_repeat_themselves() -> None:
    agent = newborn().learn(200)
    for deterministic in (True, False):
        first = agent.evaluate(episodes=4, deterministic=deterministic)
        agent.predict(observations(3))
        for mine, again in zip(first, agent.evaluate(episodes=4, deterministic=deterministic), strict=True):
            np.testing.assert_array_equal(mine, again)
    assert agent.evaluate(episodes=0)[0].shape == (0,)


def test_an_episode_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "EPISODE_LIMIT", 7)
    agent = SpikingAgent("CliffWalking-v1", config={"pool_words": 2})
    _, lengths = agent.evaluate(episodes=2)
    assert lengths.tolist() == [7, 7]
