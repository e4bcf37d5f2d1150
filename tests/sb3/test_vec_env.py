"""Brains learn in Stable-Baselines3's vectors of environments, in the same bits as in Gymnasium's."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

import hebbit.envs  # noqa: F401  # registers its environments
from hebbit.agents import EnvSpec, HebbitError, SpikingAgent
from hebbit.agents.callbacks import EvalCallback
from hebbit.agents.sb3_env import VecEnvAdapter
from hebbit.agents.streams import VectorStream
from hebbit.backends.spec import Flag

CARTPOLE = "CartPole-v1"
SMALL = {"pool_words": 8}
Makers = list[Callable[[], gym.Env[Any, Any]]]


class Numbered(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that counts its episodes and seeds each by its number, whatever it is told."""

    def __init__(self, env: gym.Env[Any, Any], rank: int) -> None:
        super().__init__(env)
        self.next = 1000 * rank

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.next += 1
        return self.env.reset(seed=self.next, options=options)


def short_cartpole(rank: int) -> gym.Env[Any, Any]:
    """Episodes of random play both fall and run out of time."""
    return Numbered(gym.make(CARTPOLE, max_episode_steps=20), rank)


def makers(make: Callable[[int], gym.Env[Any, Any]] = short_cartpole, number: int = 3) -> Makers:
    return [partial(make, rank) for rank in range(number)]


def learned(env: Any, steps: int = 400, **settings: Any) -> SpikingAgent:
    agent = SpikingAgent(env, **{"config": SMALL, "seed": 5, **settings}).learn(steps)
    agent.close()
    return agent


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_training_is_gymnasiums_bit_for_bit(mode: AutoresetMode) -> None:
    theirs, ours = learned(DummyVecEnv(makers())), learned(SyncVectorEnv(makers(), autoreset_mode=mode))
    assert theirs.digest() == ours.digest()
    assert theirs.books.begun == ours.books.begun and min(theirs.books.begun) > 15
    lengths = [[length for _, length in episodes] for episodes in theirs.books.recent]
    # some were cut and some fell: both kinds of end were met
    assert all(20 in own and min(own) < 20 for own in lengths)


def test_each_brain_learns_as_alone() -> None:
    together = learned(DummyVecEnv(makers()))
    for brain in range(3):
        alone = learned(short_cartpole(brain), brains=[brain])
        assert together.extract(brain).digest() == alone.digest()


def test_processes_and_wrappers_change_no_bit() -> None:
    expected = learned(DummyVecEnv(makers(number=2))).digest()
    assert learned(SubprocVecEnv(makers(number=2), start_method="fork")).digest() == expected
    assert learned(VecMonitor(DummyVecEnv(makers(number=2)))).digest() == expected
    assert learned(DummyVecEnv(makers(lambda rank: Monitor(short_cartpole(rank)), 2))).digest() == expected


@pytest.mark.parametrize("kind", ["discrete", "multidiscrete", "multibinary", "box"])
def test_every_kind_of_action(kind: str) -> None:
    def make(rank: int) -> gym.Env[Any, Any]:
        return Numbered(gym.make(f"hebbit/Identity-{kind}-v0"), rank)

    # a scale that sets itself remembers rewards, which DummyVecEnv rounds, to the last digit
    fixed = {"config": {**SMALL, "reward_scale": "fixed"}}
    theirs = learned(DummyVecEnv(makers(make, 2)), 100, **fixed)
    ours = learned(SyncVectorEnv(makers(make, 2), autoreset_mode=AutoresetMode.SAME_STEP), 100, **fixed)
    assert theirs.digest() == ours.digest()


def test_dict_observations() -> None:
    class Named(gym.ObservationWrapper[Any, Any, Any]):
        def __init__(self, rank: int) -> None:
            super().__init__(short_cartpole(rank))
            space = self.env.observation_space
            assert isinstance(space, spaces.Box)
            self.observation_space = spaces.Dict(
                place=spaces.Box(space.low[:2], space.high[:2]), pole=spaces.Box(space.low[2:], space.high[2:])
            )

        def observation(self, observation: Any) -> Any:
            return {"place": observation[:2], "pole": observation[2:]}

    ours = learned(SyncVectorEnv(makers(Named, 2), autoreset_mode=AutoresetMode.SAME_STEP))
    assert learned(DummyVecEnv(makers(Named, 2))).digest() == ours.digest()


class Scheduled(gym.Env[Any, Any]):
    """Shows (episode, step); episodes of two steps end in turn by falling, by time, and by both at once."""

    observation_space = spaces.Box(-1.0, 99.0, (2,), np.float64)
    action_space = spaces.Discrete(2)
    ends = ((True, False), (False, True), (True, True))

    def __init__(self) -> None:
        self.episode, self.count = -1, 0
        self.seeds: list[int | None] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.episode, self.count = self.episode + 1, 0
        return self.seen(), {}

    def seen(self) -> Any:
        return np.array([self.episode, self.count], np.float64)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        over = self.count == 2
        terminated, truncated = self.ends[self.episode % 3]
        return self.seen(), float(self.count), over and terminated, over and truncated, {}


def ticks(venv: VecEnv, number: int) -> tuple[list[Any], list[Any]]:
    """First observations, and what environment 0 met."""
    stream = VectorStream(VecEnvAdapter(venv))
    assert not stream.exact
    first = stream.reset(lambda brain: 70 + brain)
    return list(first), [stream.step([0] * venv.num_envs, lambda brain: 99) for _ in range(number)]


def test_ends_are_told_apart_and_the_last_observation_is_shown() -> None:
    first, met = ticks(DummyVecEnv([Scheduled, Scheduled]), 6)
    assert [o.tolist() for o in first] == [[0, 0], [0, 0]]
    ends = [Flag.CONTINUE, Flag.TERMINATED, Flag.CONTINUE, Flag.TRUNCATED, Flag.CONTINUE, Flag.TERMINATED]
    assert [tick.flags[0] for tick in met] == ends
    assert [tick.observations[0].tolist() for tick in met] == [[e, s] for e in range(3) for s in (1, 2)]
    assert [tick.rewards[0] for tick in met] == [1, 2] * 3
    begun = [{b: o.tolist() for b, o in tick.restarts.items()} for tick in met]
    assert begun == [{}, {0: [1, 0], 1: [1, 0]}, {}, {0: [2, 0], 1: [2, 0]}, {}, {0: [3, 0], 1: [3, 0]}]


def test_last_observations_go_through_the_wrappers() -> None:
    _, met = ticks(VecFrameStack(DummyVecEnv([Scheduled]), 2), 2)
    assert met[1].observations[0].tolist() == [0, 1, 0, 2]
    assert met[1].restarts[0].tolist() == [0, 0, 1, 0]
    normal = VecNormalize(DummyVecEnv([Scheduled]), training=False, norm_reward=False)
    normal.obs_rms.mean, normal.obs_rms.var = np.array([0.0, 10.0]), np.array([1.0, 4.0])
    _, met = ticks(normal, 2)
    np.testing.assert_allclose(met[1].observations[0], [0, -4], atol=1e-6)
    np.testing.assert_allclose(met[1].restarts[0], [1, -5], atol=1e-6)


def test_seeds_are_given_before_the_first_episode_alone() -> None:
    venv = DummyVecEnv([Scheduled, Scheduled])
    agent = SpikingAgent(venv, config=SMALL, seed=3).learn(5)
    first = agent._seeder(0)  # the next episode's: a newborn's first is asked of a twin
    twin = SpikingAgent(CARTPOLE, config=SMALL, seed=3)
    seeds = [env.unwrapped.seeds for env in venv.envs]
    assert seeds == [[twin._seeder(0), None, None], [twin._seeder(0) + 1, None, None]]
    assert first != twin._seeder(0)


def test_normalised_observations_have_no_bounds_and_others_keep_theirs() -> None:
    env = DummyVecEnv([lambda: gym.make(CARTPOLE)])
    plain, bounded = VecEnvAdapter(env), env.observation_space
    assert plain.single_observation_space == bounded
    for wrapped in (VecNormalize(env), VecMonitor(VecNormalize(env)), VecFrameStack(VecNormalize(env), 1)):
        space = VecEnvAdapter(wrapped).single_observation_space
        assert isinstance(space, spaces.Box) and space.shape == (4,) and not np.isfinite(space.high).any()
    switched_off = VecNormalize(env)
    switched_off.norm_obs = False
    for wrapped in (VecNormalize(env, norm_obs=False), switched_off):
        assert VecEnvAdapter(wrapped).single_observation_space == bounded
    named = spaces.Dict(a=spaces.Box(0, 1, (2,)), b=spaces.Box(0, 1, (3,)))

    class Named(Scheduled):
        observation_space = named  # type: ignore[assignment]  # another kind of space

        def seen(self) -> Any:
            return named.sample()

    own = VecEnvAdapter(VecNormalize(DummyVecEnv([Named]), norm_obs_keys=["b"])).single_observation_space
    assert isinstance(own, spaces.Dict) and own["a"] == named["a"]
    assert own["b"] == spaces.Box(-np.inf, np.inf, (3,))


@pytest.mark.parametrize("wrap", [VecNormalize, partial(VecFrameStack, n_stack=2)])
def test_brains_learn_from_normalised_and_stacked_observations(wrap: Callable[[Any], Any]) -> None:
    venv = wrap(make_vec_env(CARTPOLE, n_envs=2, seed=1))
    agent = SpikingAgent(venv, config=SMALL, seed=1).learn(300)
    assert len(agent.brains) == 2 and agent.env_id == CARTPOLE and min(agent.books.begun) > 3
    mean, _ = evaluate_policy(agent, venv, n_eval_episodes=3, warn=False)
    assert mean > 5


def test_brains_of_normalised_observations_are_not_evaluated_in_raw_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = SpikingAgent(VecNormalize(make_vec_env(CARTPOLE, n_envs=1, seed=1)), config=SMALL, seed=1)
    advice = "evaluate in, got .*use Stable-Baselines3's evaluate_policy with the same VecNormalize"
    for env in (CARTPOLE, gym.make(CARTPOLE)):
        with pytest.raises(HebbitError, match=advice):
            agent.learn(20, EvalCallback(env, eval_freq=10))
        with pytest.raises(HebbitError, match=advice):
            agent.evaluate(env, episodes=1)
    assert agent.num_timesteps == 0
    agent.learn(20).save(tmp_path / "agent.zip")
    with pytest.raises(HebbitError, match=advice):
        SpikingAgent.load(tmp_path / "agent.zip").evaluate(CARTPOLE, episodes=1)
    # by their spaces alone they cannot be told apart, but a name is never normalised

    class Unbounded(Scheduled):
        observation_space = spaces.Box(-np.inf, np.inf, (2,))

    agent = SpikingAgent(VecNormalize(DummyVecEnv([Unbounded])), config=SMALL)
    monkeypatch.setitem(
        gym.registry, "Unbounded-v0", gym.envs.registration.EnvSpec("Unbounded-v0", lambda **_: Unbounded())
    )
    for name in ("Unbounded-v0", EnvSpec("Unbounded-v0")):
        with pytest.raises(HebbitError, match=advice):
            agent.learn(20, EvalCallback(name, eval_freq=10))
    # rewards alone are no matter
    agent = SpikingAgent(VecNormalize(make_vec_env(CARTPOLE), norm_obs=False), config=SMALL, seed=1)
    callback = EvalCallback(CARTPOLE, eval_freq=10, n_eval_episodes=1)
    agent.learn(10, callback)
    assert callback.last_mean_reward >= 8


def test_presets_are_found_by_the_name_of_the_environments() -> None:
    agent = SpikingAgent(make_vec_env("LunarLander-v3", n_envs=1))
    assert agent.config.reward_bits == 6 and agent.config.pool_words == 96
    agent.close()


def test_what_cannot_be_is_refused() -> None:
    venv = make_vec_env(CARTPOLE, n_envs=2)
    with pytest.raises(HebbitError, match="3 brains need as many environments, got 2"):
        SpikingAgent(venv, brains=3)
    agent = SpikingAgent(venv, config=SMALL)
    for own in (venv, venv.envs[0]):
        with pytest.raises(HebbitError, match="must not be the one that is learned from"):
            agent.evaluate(own)
    with pytest.raises(HebbitError, match="one Env, an id or an EnvSpec to evaluate in, got DummyVecEnv"):
        agent.evaluate(make_vec_env(CARTPOLE), episodes=1)
    with pytest.raises(HebbitError, match="must not be the one"):
        agent.learn(1, EvalCallback(venv))
    with pytest.raises(HebbitError, match="evaluate needs an environment"):
        agent.evaluate()
    with pytest.raises(HebbitError, match="must have the agent's spaces"):
        agent.set_env(make_vec_env("Acrobot-v1", n_envs=2))
    with pytest.raises(HebbitError, match="takes one seed for all"):
        VecEnvAdapter(venv).reset(seed=[1, 2])


def test_an_end_without_its_observation_is_refused() -> None:
    class Careless(DummyVecEnv):  # type: ignore[misc]  # unknown to mypy here
        def step_wait(self) -> Any:
            observations, rewards, dones, infos = super().step_wait()
            return observations, rewards, dones, [{} for _ in infos]

    agent = SpikingAgent(Careless(makers(number=1)), config=SMALL)
    with pytest.raises(HebbitError, match="terminal_observation.* got none from Careless; mend its step_wait"):
        agent.learn(100)


def test_wrappers_of_one_environment_are_environments() -> None:
    assert learned(Monitor(short_cartpole(0))).digest() == learned(short_cartpole(0)).digest()


def test_a_checkpoint_says_that_its_episodes_cannot_be_repeated(tmp_path: Path) -> None:
    agent = SpikingAgent(DummyVecEnv(makers()), config=SMALL, seed=5).learn(50)
    agent.save(tmp_path / "agent.zip")
    again = SpikingAgent.load(tmp_path / "agent.zip", env=DummyVecEnv(makers()))
    assert not again._resumable and again.digest() == agent.digest()
    begun = again.books.begun
    again.learn(10, reset_num_timesteps=False)
    assert again.num_timesteps == 60 and again.books.begun[0] > begun[0]
