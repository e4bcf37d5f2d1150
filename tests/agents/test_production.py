"""Agents in use: calm answers, and learning from them."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from hebbit.agents import HebbitError, SpikingAgent
from hebbit.agents.callbacks import BaseCallback
from hebbit.agents.environment import episode_seed
from hebbit.agents.errors import ObservationError
from hebbit.agents.production import DualBackend, Production, in_production
from hebbit.backends.spec import Backend, Flag

SMALL = {"pool_words": 4, "gain": 5, "echo_delay": 1}
"""Excitement is left over, and sensory words are remembered: what a pass carries to the next observation matters."""
DRIFT = "hebbit-tests/Drift-v0"
LONGEST = 9


class Drift(gym.Env[Any, Any]):
    """A point that is pushed about and drifts; ends beyond the border, or after nine steps."""

    observation_space: spaces.Space[Any] = spaces.Box(-1, 1, (2,), np.float64)
    action_space: spaces.Space[Any] = spaces.MultiDiscrete([3, 2])

    def __init__(self) -> None:
        self.at, self.made = np.zeros(2), 0
        self.seeds: list[int | None] = []
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.at, self.made = self.np_random.uniform(-0.5, 0.5, 2), 0
        return self.at.copy(), {}

    def push(self, action: Any) -> NDArray[np.float64]:
        return np.array([int(action[0]) - 1, 2 * int(action[1]) - 1], np.float64)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.made += 1
        self.actions.append(np.copy(action))
        self.at = self.at + 0.2 * self.push(action) + self.np_random.uniform(-0.1, 0.1, 2)
        out = bool(np.abs(self.at).max() > 1)
        return np.clip(self.at, -1, 1), 1.0 - float(np.abs(self.at).sum()), out, self.made == LONGEST, {}


class Thrust(Drift):
    """The same with a Box of actions."""

    action_space = spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 2.0]), dtype=np.float64)

    def push(self, action: Any) -> NDArray[np.float64]:
        return np.array([action[0], action[1] - 1.0])


gym.register(DRIFT, lambda **_: Drift())
KINDS = {"multidiscrete": Drift, "box": Thrust}


def newborn(env: Any = DRIFT, **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, **{"config": SMALL, "seed": 4, **settings})


class Ear:
    """A backend that notes the steps that it is asked for."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.name, self.refill = backend, backend.name, backend.refill
        self.create, self.export, self.run, self.predict = (
            backend.create, backend.export, backend.run, backend.predict,
        )  # fmt: skip
        self.asked: list[tuple[NDArray[Any], ...]] = []
        self.units: list[NDArray[np.int32]] = []

    def step(self, state: Any, seen: Any, rewards: Any, flags: Any, forced: Any = None) -> NDArray[np.int32]:
        told = np.full((len(flags), 2), -1, np.int32) if forced is None else forced.copy()
        self.asked.append((seen.copy(), rewards.copy(), flags.copy(), told))
        self.units.append(self.backend.step(state, seen, rewards, flags, forced))
        return self.units[-1].copy()


def listened(agent: SpikingAgent) -> Ear:
    ear = Ear(agent.backend)
    agent.backend = ear
    return ear


def serve(live: Production, env: gym.Env[Any, Any], steps: int, seed: int = 0) -> list[Any]:
    """A user's own loop: its actions."""
    actions, running, observation = [], False, None
    for step in range(steps):
        if not running:
            observation, _ = env.reset(seed=seed + step)
            actions.append(live.begin(observation))
        observation, reward, terminated, truncated, _ = env.step(actions[-1])
        running = not (terminated or truncated)
        if running:
            actions.append(live.act(observation, float(reward)))
        else:
            live.end(observation, float(reward), terminated=terminated)
    return actions


@pytest.mark.parametrize("kind", KINDS)
def test_the_user_sees_calm_answers_alone(kind: str) -> None:
    """As predict would give them, whose state is no business of the pass that learns."""
    config = {**SMALL, "box_decode": "draw"}
    agent, oracle = newborn(KINDS[kind](), config=config).learn(300), newborn(KINDS[kind](), config=config)
    env = KINDS[kind]()
    live = Production(agent)
    actions: list[Any] = []
    for episode in range(6):
        observation, _ = env.reset(seed=episode)
        state, reward, done = None, 0.0, False
        while not done:
            oracle.set_parameters(agent.get_parameters())
            expected, after = oracle.predict(observation, state, deterministic=True)
            actions.append(live.begin(observation) if state is None else live.act(observation, reward))
            np.testing.assert_array_equal(actions[-1], expected)
            observation, reward, terminated, truncated, _ = env.step(expected)
            state, done = after, terminated or truncated
        live.end(observation, reward, terminated=terminated)
    assert len(actions) > 25 and len(np.unique(actions, axis=0)) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_from_what_was_executed(kind: str) -> None:
    agent, twin, free = (newborn(KINDS[kind]()).learn(300) for _ in range(3))
    ear = listened(agent)
    env = KINDS[kind]()
    actions = serve(Production(agent), env, 40)
    chosen = [units[0] for asked, units in zip(ear.asked, ear.units, strict=True) if asked[2][0] <= Flag.CONTINUE]
    assert np.array_equal([agent.decoder.decode(units) for units in chosen], actions)
    assert len(actions) >= 40 and len(np.unique(chosen, axis=0)) > 1
    for seen, rewards, flags, forced in ear.asked:
        assert (forced[0] >= 0).all() == (flags[0] <= Flag.CONTINUE)
        twin.backend.step(twin.state, seen, rewards, flags, forced)
    for name, array in twin.arrays().items():
        assert np.array_equal(array, agent.arrays()[name]), name
    # exploring passes draw: without forced units others would have been chosen
    drawn = [free.backend.step(free.state, *asked[:3])[0] for asked in ear.asked]
    assert not np.array_equal([u for u, a in zip(drawn, ear.asked, strict=True) if a[2][0] <= 2], chosen)


@pytest.mark.parametrize("flag", [True, False])
def test_an_end_is_told_from_a_cut(flag: bool) -> None:
    agent = newborn(config={**SMALL, "reward_scale": "fixed"})
    ear = listened(agent)
    live = Production(agent)
    live.begin(np.zeros(2))
    live.end(np.ones(2), 0.5, terminated=flag)
    assert ear.asked[-1][2].tolist() == [Flag.TERMINATED if flag else Flag.TRUNCATED]
    assert ear.asked[-1][1].tolist() == [128]


def test_a_box_is_answered_by_the_strongest_unit() -> None:
    """The mean of all is what predict answers; no unit stands for that."""
    agent, env = newborn(Thrust()).learn(300), Thrust()
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        calm, _ = agent.predict(observation, deterministic=True)
        action = Production(agent).begin(observation)
        assert action in agent.action_space
        assert (np.abs(agent.decoder.preferred - action[:, None]).min(axis=1) < 1e-9).all()
        assert not np.array_equal(action, calm)


def test_books_and_counters_go_on(tmp_path: Path) -> None:
    agent = newborn().learn(20)
    begun, episode = agent.books.begun[0], agent.arrays()["episode"][0]
    live = Production(agent)
    serve(live, Drift(), 50)
    assert agent.num_timesteps == agent.total_steps == 70
    recent = agent.books.recent[0]
    finished = len(recent)
    assert finished >= 5 and {length for _, length in recent} <= set(range(1, LONGEST + 1))
    assert agent.arrays()["episode"][0] - episode == agent.books.begun[0] - begun in (finished, finished + 1)
    agent.save(tmp_path / "a.zip")
    again = SpikingAgent.load(tmp_path / "a.zip")
    assert again.digest() == agent.digest()
    assert again.learn(30, reset_num_timesteps=False).digest() == agent.learn(30, reset_num_timesteps=False).digest()
    env: Any = agent.get_env()
    assert env.unwrapped.seeds[-1] == episode_seed(4, 0, agent.books.begun[0] - 1)


def test_an_episode_can_be_given_up() -> None:
    agent = newborn()
    live = Production(agent)
    live.begin(np.zeros(2))
    live.act(np.ones(2), 1.0)
    live.begin(np.zeros(2))
    live.act(np.zeros(2), 0.25)
    live.end(np.ones(2), 0.5, terminated=True)
    assert list(agent.books.recent[0]) == [(0.75, 2)] and agent.books.begun == [2]


def test_what_makes_no_episode_is_refused() -> None:
    agent = newborn()
    live = Production(agent)
    for _ in range(2):
        with pytest.raises(HebbitError, match="no episode runs"):
            live.act(np.zeros(2), 1.0)
        with pytest.raises(HebbitError, match="no episode runs"):
            live.end(np.zeros(2), 1.0, terminated=True)
        live.begin(np.zeros(2))
        live.end(np.zeros(2), 1.0, terminated=False)
    live.begin(np.zeros(2))
    agent.learn(5)
    with pytest.raises(HebbitError, match="has learned elsewhere since"):
        live.act(np.zeros(2), 1.0)
    live.begin(np.zeros(2))
    assert live.act(np.zeros(2), 1.0) is not None
    with pytest.raises(HebbitError, match="has one brain, got 2: extract"):
        Production(newborn(brains=2))


def test_another_production_takes_over() -> None:
    agent = newborn()
    first, second = Production(agent), Production(agent)
    first.begin(np.zeros(2))
    second.begin(np.zeros(2))
    with pytest.raises(HebbitError, match="has learned elsewhere since"):
        first.act(np.zeros(2), 1.0)
    assert second.act(np.zeros(2), 1.0) is not None


def test_nothing_is_learned_from_what_cannot_be_shown() -> None:
    agent = newborn()
    live = Production(agent)
    with pytest.raises(ObservationError):
        live.begin(np.zeros(3))
    with pytest.raises(HebbitError, match="no episode runs"):
        live.act(np.zeros(2), 0.0)
    live.begin(np.zeros(2))
    with pytest.raises(ObservationError):
        live.begin(np.zeros(3))
    with pytest.raises(HebbitError, match="no episode runs"):
        live.act(np.zeros(2), 0.0)
    live.begin(np.zeros(2))
    before = agent.digest()
    for observation, reward in ((np.zeros(3), 1.0), (np.zeros(2), float("nan")), (np.full(2, np.nan), 1.0)):
        with pytest.raises(ObservationError):
            live.act(observation, reward)
    assert agent.digest() == before and agent.num_timesteps == 0
    live.act(np.zeros(2), 1.0)
    assert agent.digest() != before and agent.num_timesteps == 1 and agent.books.returns == [1.0]


class Diary(BaseCallback):
    """Who acted, and which episodes ended."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.episodes: list[dict[str, Any]] = []
        self.folder = folder

    def _on_episode_end(self) -> bool:
        self.episodes.append(dict(self.locals["episode"]))
        return True

    def _on_step(self) -> bool:
        if self.folder is not None and self.num_timesteps == 33:
            agent: Any = self.model
            agent.save(self.folder / "a.zip")
        return True


@pytest.mark.parametrize("kind", KINDS)
def test_learning_in_an_environment_is_the_users_loop(kind: str) -> None:
    agent, diary = newborn(KINDS[kind]()), Diary()
    ear = listened(agent)
    env = KINDS[kind]()
    live = Production(agent)
    assert live.learn(60, env, callback=diary, log_interval=None) is live and agent.num_timesteps == 60
    other = newborn(KINDS[kind]())
    own = Production(other)
    again, made = KINDS[kind](), 0
    for seed in env.seeds:
        observation, _ = again.reset(seed=seed)
        action, done = own.begin(observation), False
        while not done and made < 60:
            observation, reward, terminated, truncated, _ = again.step(action)
            made, done = made + 1, terminated or truncated
            if done:
                own.end(observation, reward, terminated=terminated)
            else:
                action = own.act(observation, reward)
    assert np.array_equal(again.actions, env.actions) and other.digest() == agent.digest()
    assert env.seeds == [episode_seed(4, 0, n) for n in range(len(env.seeds))] and len(env.seeds) > 6
    assert [(e["r"], e["l"]) for e in diary.episodes] == list(other.books.recent[0])
    assert isinstance(agent.backend, Ear) and agent.backend is ear and agent.get_env() is env


@pytest.mark.parametrize("mode", AutoresetMode)
def test_populations_learn_in_production(mode: AutoresetMode) -> None:
    def made() -> SyncVectorEnv:
        return SyncVectorEnv([Drift, Drift], autoreset_mode=mode)

    agent = newborn(made())
    ear = listened(agent)
    with in_production(agent):
        agent.learn(40)
    for brain in range(2):
        flags = [asked[2][brain] for asked in ear.asked if asked[2][brain]]
        forced = [asked[3][brain] for asked in ear.asked if asked[2][brain]]
        assert [int(f) for f, u in zip(flags, forced, strict=True) if (u < 0).any()].count(Flag.CONTINUE) == 0
        assert all((u >= 0).all() == (f <= Flag.CONTINUE) for f, u in zip(flags, forced, strict=True))
        assert flags.count(Flag.START) > 3
    envs: Any = agent.get_env()
    calm = [units for asked, units in zip(ear.asked, ear.units, strict=True)]
    for brain, env in enumerate(envs.envs):
        shown = [u[brain].tolist() for a, u in zip(ear.asked, calm, strict=True) if 0 < a[2][brain] <= Flag.CONTINUE]
        assert [action.tolist() for action in env.actions] == shown[: len(env.actions)]


def test_training_goes_on_with_what_ran_in_production(tmp_path: Path) -> None:
    agent = newborn()
    Production(agent).learn(33, callback=Diary(tmp_path))
    assert agent.books.lengths[0] > 0
    again = SpikingAgent.load(tmp_path / "a.zip")
    assert again.digest() == agent.digest()
    for one in (agent, again):
        one.learn(20, reset_num_timesteps=False)
    assert again.digest() == agent.digest() and again.books.recent == agent.books.recent
    episodes = agent.books.begun[0]
    Production(again).learn(LONGEST, reset_num_timesteps=False)
    assert again.num_timesteps == 53 + LONGEST and again.books.begun[0] > episodes
    env: Any = again.get_env()
    assert env.unwrapped.seeds[-1] == episode_seed(4, 0, again.books.begun[0] - 1)


def test_the_calm_pass_takes_up_an_episode_where_learning_left_it() -> None:
    agent = newborn().learn(25)
    assert agent.books.lengths[0] > 0
    excitement = agent.arrays()["excitement"]
    heard: list[NDArray[np.uint8]] = []
    predict = agent.backend.predict

    def listening(state: Any, rows: Any, seen: Any, before: NDArray[np.uint8], *rest: Any) -> Any:
        heard.append(before.copy())
        return predict(state, rows, seen, before, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent.backend, "predict", listening)
        Production(agent).learn(1, reset_num_timesteps=False)
        assert np.array_equal(heard[0], excitement) and excitement.any()
        Production(agent).begin(np.zeros(2))
        assert not heard[-1].any()


def test_production_is_left_in_good_order() -> None:
    agent = newborn()
    backend = agent.backend
    with pytest.raises(KeyboardInterrupt), in_production(agent):
        assert isinstance(agent.backend, DualBackend)
        with pytest.raises(HebbitError, match="in production already"), in_production(agent):
            pass
        with pytest.raises(HebbitError, match="in production already"):
            Production(agent).begin(np.zeros(2))
        raise KeyboardInterrupt
    assert agent.backend is backend
    agent.learn(10)
    env: Any = agent.get_env()
    assert len(env.unwrapped.actions) == 10


def test_what_is_forced_from_outside_wins() -> None:
    agent = newborn()
    dual = DualBackend(agent.backend, agent.arrays()["excitement"])
    seen = np.full((1, agent.encoder.words, 32), 9, np.uint8)
    flags, rewards = np.array([Flag.START], np.uint8), np.zeros(1, np.int32)
    free = dual.step(agent.state, seen, rewards, flags)
    told = np.array([[-1, 1 - free[0, 1]]], np.int32)
    assert dual.step(agent.state, seen, rewards, flags, told).tolist() == [[free[0, 0], told[0, 1]]]


def test_production_remembers_and_shows_again() -> None:
    agent = newborn(config={**SMALL, "replay_steps": 50})
    ear = listened(agent)
    live = Production(agent)
    serve(live, Drift(), 40)
    finished = len(agent.books.recent[0])
    assert agent.memory.shown[0] == finished > 3
    last = agent.memory.episodes[0][-1]
    own = [units[0] for asked, units in zip(ear.asked, ear.units, strict=True)]
    starts = [i for i, asked in enumerate(ear.asked) if asked[2][0] == Flag.START]
    begin = starts[finished - 1]
    assert np.array_equal(last.units, own[begin : begin + len(last)])
    assert agent.books.begun[0] == len(starts)
