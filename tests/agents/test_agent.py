"""The agent as users of Stable-Baselines3 know one."""

import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, SpikingAgent
from hebbit.agents.callbacks import BaseCallback, EvalCallback, StopTrainingOnMaxEpisodes
from hebbit.agents.errors import ObservationError, SpaceError

SMALL = {"pool_words": 4}
CARTPOLE = "CartPole-v1"


def newborn(env: Any = CARTPOLE, **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, **{"config": SMALL, **settings})


class Toy(gym.Env[Any, Any]):
    """Any spaces; draws what it shows; five steps an episode."""

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any], reward: float = 1.0) -> None:
        self.observation_space, self.action_space, self.reward, self.left = observation, action, reward, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.left = 5
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.left -= 1
        return self.observation_space.sample(), self.reward, False, self.left == 0, {}


BOX = spaces.Box(-1, 1, (3,))
NESTED = spaces.Dict(a=BOX, b=spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)]))
PAIRS: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "box, discrete": (BOX, spaces.Discrete(3, start=2)),
    "discrete, multidiscrete": (spaces.Discrete(4, start=-1), spaces.MultiDiscrete(np.array([[2, 3], [1, 2]]))),
    "multibinary, multibinary": (spaces.MultiBinary((2, 2)), spaces.MultiBinary((2, 2))),
    "nested, box": (NESTED, spaces.Box(-2, 2, (2, 1))),
    "image, integer box": (spaces.Box(0, 255, (9, 9), np.uint8), spaces.Box(0, 9, (2,), np.int64)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_any_pair_of_spaces_is_learned_and_saved(name: str, tmp_path: Path) -> None:
    agent = newborn(Toy(*PAIRS[name]))
    assert agent.learn(23).num_timesteps == 23
    returns, lengths = agent.evaluate(Toy(*PAIRS[name]), episodes=2)
    assert returns.tolist() == [5, 5] and lengths.tolist() == [5, 5]
    agent.save(tmp_path / "a.zip")
    again = SpikingAgent.load(tmp_path / "a.zip", env=Toy(*PAIRS[name]))
    assert again.digest() == agent.digest()
    again.learn(7)


def batched(observations: list[Any]) -> Any:
    first = observations[0]
    if isinstance(first, dict):
        return {key: batched([o[key] for o in observations]) for key in first}
    if isinstance(first, tuple):
        return tuple(batched([o[i] for o in observations]) for i in range(len(first)))
    return np.stack(observations)


@pytest.mark.parametrize("name", PAIRS)
def test_single_and_batched_answers_agree(name: str) -> None:
    observation, action = PAIRS[name]
    agent = newborn(Toy(*PAIRS[name])).learn(50)
    observation.seed(1)
    seen = [observation.sample() for _ in range(4)]
    alone = [agent.predict(o, deterministic=True) for o in seen]
    together, state = agent.predict(batched(seen), deterministic=True)
    assert isinstance(together, np.ndarray) and together.shape == (4, *(action.shape or ()))
    for row, (one, own) in enumerate(alone):
        assert action.contains(one)
        np.testing.assert_array_equal(together[row], one)
        np.testing.assert_array_equal(state[0][row], own[0][0])
    single, _ = agent.predict(batched(seen[:1]))
    assert single.shape == (1, *(action.shape or ()))


def test_seeds_decide() -> None:
    digests = [newborn(seed=seed).learn(120).digest() for seed in (0, 0, 1, 2**32 - 1)]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    assert newborn(seed=np.int64(1)).learn(120).digest() == digests[2]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None])
def test_wrong_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(HebbitError, match="seed must be a whole number of 0"):
        newborn(seed=seed)


def test_the_machines_agree() -> None:
    for env, steps in ((CARTPOLE, 30), ("Pendulum-v1", 8)):
        digests = {newborn(env, seed=5, backend=backend).learn(steps).digest() for backend in ("numpy", "numba")}
        assert len(digests) == 1


def test_steps_are_counted() -> None:
    agent = newborn()
    agent.learn(30)
    assert (agent.num_timesteps, agent.total_steps) == (30, 30)
    agent.learn(20, reset_num_timesteps=False)
    assert (agent.num_timesteps, agent.total_steps) == (50, 50)
    agent.learn(10)
    assert (agent.num_timesteps, agent.total_steps) == (10, 60)
    agent.learn(0)
    assert (agent.num_timesteps, agent.total_steps) == (0, 60)


def test_going_on_is_like_never_having_stopped() -> None:
    parts = newborn(seed=6)
    for steps in (1, 49, 0, 100):
        parts.learn(steps, reset_num_timesteps=False)
    assert parts.digest() == newborn(seed=6).learn(150).digest()


def test_beginning_anew_begins_episodes() -> None:
    agent = newborn().learn(3)
    episode = agent.arrays()["episode"][0]
    agent.learn(3, reset_num_timesteps=False)
    assert agent.arrays()["episode"][0] == episode
    agent.learn(3)
    assert agent.arrays()["episode"][0] == episode + 1 and agent.books.lengths == [3]


@pytest.mark.parametrize("steps", [-1, -(10**9)])
def test_negative_steps_are_refused(steps: int) -> None:
    with pytest.raises(HebbitError, match=f"total_timesteps must be 0 or more, got {steps}"):
        newborn().learn(steps)


def test_steps_may_be_written_as_floats() -> None:
    """1e5 is what tutorials of Stable-Baselines3 write."""
    assert newborn().learn(1e2).num_timesteps == 100  # type: ignore[arg-type]  # as users write it
    with pytest.raises(HebbitError, match="total_timesteps must be"):
        newborn().learn("many")  # type: ignore[arg-type]  # the wrong type is the point


class Diary(BaseCallback):
    """Writes down steps and episodes."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.steps, self.episodes, self.stop_at = list[int](), list[dict[str, Any]](), stop_at

    def _on_step(self) -> bool:
        self.steps.append(self.num_timesteps)
        return self.stop_at is None or self.num_timesteps < self.stop_at

    def _on_episode_end(self) -> None:
        self.episodes.append(dict(self.locals["episode"]))


def test_callbacks_hear_of_steps_and_episodes() -> None:
    diary, agent = Diary(), newborn(Toy(BOX, spaces.Discrete(2), reward=0.5))
    agent.learn(12, diary)
    assert diary.steps == list(range(1, 13))
    assert diary.episodes == [{"r": 2.5, "l": 5, "brain": 0, "episode": number} for number in (0, 1)]
    assert agent.books.returns == [1.0] and agent.books.mean_return() == 2.5 and agent.books.mean_length() == 5
    agent.learn(12, diary, reset_num_timesteps=False)
    assert [episode["episode"] for episode in diary.episodes] == [0, 1, 2, 3]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_episodes_of_vector_environments_are_numbered(mode: AutoresetMode) -> None:
    diary = Diary()
    envs = SyncVectorEnv([lambda: Toy(BOX, spaces.Discrete(2))] * 2, autoreset_mode=mode)
    newborn(envs).learn(12, diary)
    expected = [{"r": 5.0, "l": 5, "brain": brain, "episode": number} for number in (0, 1) for brain in (0, 1)]
    assert diary.episodes == expected


def test_callbacks_stop_training() -> None:
    agent = newborn()
    assert agent.learn(50, Diary(stop_at=7)).num_timesteps == 7
    assert agent.learn(50, lambda *_: False).num_timesteps == 1
    assert agent.learn(50, [Diary(), Diary(stop_at=3)]).num_timesteps == 3
    agent.learn(1000, StopTrainingOnMaxEpisodes(2))
    assert sum(map(len, agent.books.recent)) == 2
    assert agent.learn(9, lambda *_: None).num_timesteps == 9
    seen: list[int] = []
    agent.learn(3, lambda local, _: seen.append(local["self"].num_timesteps))
    assert seen == [1, 2, 3]


def test_stopping_loses_nothing() -> None:
    agent = newborn(seed=8)
    agent.learn(100, Diary(stop_at=33))
    agent.learn(67, reset_num_timesteps=False)
    assert agent.digest() == newborn(seed=8).learn(100).digest()


def test_an_interrupted_step_can_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the environment works; saving afterwards is the usual next line."""

    def interrupted(action: Any) -> Any:
        raise KeyboardInterrupt

    agent, twin = newborn(seed=3).learn(12), newborn(seed=3).learn(12)
    with monkeypatch.context() as patch:
        patch.setattr(agent.get_env(), "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agent.learn(5, reset_num_timesteps=False)
    agent.save(tmp_path / "agent.zip")
    again = SpikingAgent.load(tmp_path / "agent.zip").learn(20, reset_num_timesteps=False)
    assert again.digest() == twin.learn(20, reset_num_timesteps=False).digest()


def test_callbacks_evaluate_while_training(tmp_path: Path) -> None:
    callback = EvalCallback(gym.make(CARTPOLE), n_eval_episodes=2, eval_freq=50, best_model_save_path=tmp_path)
    agent = newborn(seed=1).learn(100, callback)
    assert agent.digest() == newborn(seed=1).learn(100).digest()
    assert (tmp_path / "best_model.zip").is_file() and callback.best_mean_reward > 0


def test_a_table_is_printed_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    newborn().learn(100, log_interval=50)
    assert capsys.readouterr().out == ""
    newborn(verbose=1).learn(100, log_interval=50)
    printed = capsys.readouterr().out
    assert printed.count("total_timesteps") == 2 and "ep_rew_mean" in printed


@pytest.mark.parametrize("interval", [0, None])
def test_logging_can_be_switched_off(interval: Any) -> None:
    assert newborn().learn(10, log_interval=interval).num_timesteps == 10


def test_progress_is_shown_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    newborn().learn(1500, progress_bar=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    newborn().learn(1500, progress_bar=True)
    assert "step/s" in capsys.readouterr().err


def test_an_environment_may_come_in_any_way() -> None:
    digest = newborn().learn(60).digest()
    made = gym.make(CARTPOLE)
    for env in (made, EnvSpec(CARTPOLE), SyncVectorEnv([lambda: gym.make(CARTPOLE)], autoreset_mode="Disabled")):
        assert newborn(env).learn(60).digest() == digest
    assert newborn(made).get_env() is made and newborn(made).env_id == CARTPOLE


@pytest.mark.parametrize("env", [5, None, gym.Env, lambda: gym.make(CARTPOLE), b"CartPole-v1"])
def test_wrong_environments_are_refused(env: Any) -> None:
    with pytest.raises(HebbitError, match="env") as caught:
        newborn(env)
    assert "\n" not in str(caught.value)
    with pytest.raises(HebbitError, match="env must be"):
        newborn().set_env(env)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"brains": 0}, "at least one brain"),
        ({"brains": []}, "at least one brain"),
        ({"brains": [-1]}, "brain"),
        ({"brains": [2**32]}, "brain"),
        ({"brains": 2, "env": gym.make(CARTPOLE)}, "2 brains need a VectorEnv"),
        ({"brains": 2, "env": gym.make_vec(CARTPOLE, 3, "sync")}, "2 brains need as many environments, got 3"),
        ({"config": "nonsense"}, "preset must be default"),
        ({"config": {"pool_wordz": 3}}, "did you mean pool_words"),
        ({"config": [1]}, "config must"),
        ({"config": {"clusters": 99}}, "a brain needs clusters in 1..8, got 99"),
        ({"env": "Nowhere-v0"}, "environment 'Nowhere-v0' cannot be made"),
        ({"env": None, "spaces": (spaces.Text(3), spaces.Discrete(2))}, "observations must be Box"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(HebbitError, match=message):
        newborn(**{"config": {**SMALL}, **settings, **({"config": {**SMALL, **settings["config"]}}
                   if isinstance(settings.get("config"), dict) else {})})  # fmt: skip


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="backend must be one of auto, numpy, numba, cupy, shim, got 'abacus'"):
        newborn(backend="abacus")


def test_spaces_may_take_the_place_of_an_environment() -> None:
    agent = SpikingAgent(None, config=SMALL, spaces=(BOX, spaces.Discrete(2)))
    assert agent.predict(np.zeros(3))[0] in (0, 1)
    with pytest.raises(HebbitError, match="no environment; give it one with set_env"):
        agent.learn(5)
    with pytest.raises(HebbitError, match="evaluate needs an environment"):
        agent.evaluate()
    agent.set_env(Toy(BOX, spaces.Discrete(2)))
    assert agent.learn(5).num_timesteps == 5
    with pytest.raises(HebbitError, match="evaluate needs an environment"):
        agent.evaluate()


def test_environments_can_be_changed() -> None:
    agent = newborn().learn(20)
    weights = agent.arrays()["weights"]
    agent.set_env(EnvSpec(CARTPOLE, {"sutton_barto_reward": True}))
    np.testing.assert_array_equal(agent.arrays()["weights"], weights)
    agent.learn(20, reset_num_timesteps=False)
    assert agent.num_timesteps == 40 and agent.books.returns[0] <= 0
    before = agent.get_env()
    with pytest.raises(HebbitError, match="must have the agent's spaces") as caught:
        agent.set_env("Pendulum-v1")
    assert "\n" not in str(caught.value) and agent.get_env() is before
    agent.learn(5, reset_num_timesteps=False)


def test_another_seed_keeps_what_was_learned() -> None:
    agent = newborn(seed=1).learn(100)
    weights = agent.arrays()["weights"]
    agent.set_random_seed(None)
    assert agent.seed == 1
    agent.set_random_seed(9)
    assert agent.seed == 9
    np.testing.assert_array_equal(agent.arrays()["weights"], weights)
    agent.learn(50)
    twin = newborn(seed=1).learn(100).learn(50)
    assert agent.digest() != twin.digest()
    with pytest.raises(HebbitError, match="seed must be"):
        agent.set_random_seed(-1)


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("brains", [1, 2])
def test_rewards_that_are_no_numbers_are_refused(reward: float, brains: int) -> None:
    env: Any = Toy(BOX, spaces.Discrete(2), reward)
    if brains == 2:
        env = SyncVectorEnv([lambda: Toy(BOX, spaces.Discrete(2), reward)] * 2)
    with pytest.raises(ObservationError, match=f"rewards must be finite, got {reward}"):
        newborn(env).learn(3)


def test_rewards_are_rounded_and_clipped() -> None:
    agent = newborn(config={**SMALL, "reward_scale": "fixed", "reward_bits": 2}, brains=8)
    rewards = [0.0, 0.124, 0.125, -0.125, -0.126, 1.0, 1e9, -1e9]
    assert agent._integer_rewards(rewards).tolist() == [0, 0, 1, 0, -1, 4, 32767, -32767]


def test_actions_are_fresh_and_of_the_right_type() -> None:
    for observation, action in PAIRS.values():
        agent = newborn(Toy(observation, action))
        seen = observation.sample()
        first, second = (agent.predict(seen, deterministic=True)[0] for _ in range(2))
        assert action.contains(first) and not np.shares_memory(first, second)
    assert type(newborn().predict(np.zeros(4))[0]) is np.int64


def test_a_configuration_may_be_given_whole() -> None:
    config = AgentConfig(pool_words=4, cycles=3)
    assert newborn(config=config).config is config
    assert newborn(config="default").config == AgentConfig()


def test_unbounded_actions_are_refused() -> None:
    with pytest.raises(SpaceError, match="finite bounds"):
        newborn(Toy(BOX, spaces.Box(-np.inf, np.inf, (1,))))


def test_closing_closes_the_environment() -> None:
    class Door(Toy):
        closed = False

        def close(self) -> None:
            self.closed = True

    env = Door(BOX, spaces.Discrete(2))
    newborn(env).close()
    assert env.closed
