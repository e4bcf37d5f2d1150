"""What a recorder keeps is what the agent's own backend does, bit for bit, and keeping it changes nothing."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent
from hebbit.agents.errors import BackendError, ObservationError
from hebbit.agents.recording import CUT, RUNNING, TERMINATED, TRUNCATED, BrainRecorder, Recording
from hebbit.agents.tape import flattened, halves, packed
from hebbit.backends import equations as eq
from hebbit.backends.numpy_backend import NumpyBackend
from hebbit.backends.spec import ONE_GAMMA, Param

SMALL: dict[str, Any] = {"pool_words": 6, "warmup": 200, "reward_scale": "fixed"}


class Places(gym.Env[Any, Any]):
    """Observations of every kind, two parts to an action, episodes of seven steps that are cut short in turn."""

    observation_space = spaces.Dict(
        {"at": spaces.Box(-1, 1, (2,)), "mode": spaces.Discrete(3, start=1), "on": spaces.MultiBinary(2)}
    )
    action_space = spaces.MultiDiscrete([3, 2])

    def __init__(self) -> None:
        self.episode = 0

    def seen(self) -> Any:
        return {
            "at": self.np_random.uniform(-1, 1, 2).astype(np.float32),
            "mode": int(self.np_random.integers(1, 4)),
            "on": self.np_random.integers(0, 2, 2).astype(np.int8),
        }

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left, self.episode = 7, self.episode + 1
        return self.seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        done = self.left == 0
        return self.seen(), float(action[0]) - 0.25, done and self.episode % 2 == 0, done and self.episode % 2 == 1, {}


def answers(agent: SpikingAgent, recording: Recording, deterministic: bool) -> None:
    """The agent's backend, asked again, says what was recorded."""
    excitement = np.zeros((1, agent.brain_config.pool_words, 32), np.uint8)
    for t in range(len(recording)):
        excitement = excitement * (not recording.start[t])
        row, number = np.array([agent.active]), np.array([recording.number[t]], np.uint32)
        shown = recording.intensities[t : t + 1]
        answer = agent.backend.predict(agent.state, row, shown, excitement, number, deterministic)
        excitement = answer.excitement
        np.testing.assert_array_equal(answer.actions[0], recording.units[t])
        np.testing.assert_array_equal(answer.volley[0], recording.volley[t])
        np.testing.assert_array_equal(answer.values[0], recording.value[t])
        np.testing.assert_array_equal(answer.excitement[0], recording.excitements()[t])
        counted = recording.counts("sensory")[t].sum(dtype=np.int64) + recording.counts("pool")[t].sum(dtype=np.int64)
        assert answer.spikes[0] == counted
        volley, units = answer.volley[0], answer.actions[0]
        action = agent.decoder.decode_mean(volley, units) if deterministic else agent.decoder.decode(units)
        np.testing.assert_array_equal(np.ravel(action), recording.action[t])


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_it_records_what_the_backend_answers(env: str, backend: str, deterministic: bool) -> None:
    agent = SpikingAgent(env, seed=3, config=SMALL, backend=backend).learn(20)
    recorder = BrainRecorder(agent, 15)
    recording = recorder.play(steps=15, deterministic=deterministic)
    answers(agent, recording, deterministic)
    assert recorder.presentations == len(recording) == 15
    assert recording.motor.any() != deterministic


@pytest.mark.parametrize("deterministic", [True, False])
def test_it_plays_the_episodes_of_an_evaluation(deterministic: bool) -> None:
    agent = SpikingAgent("CartPole-v1", seed=2, config=SMALL, brains=2).learn(100)
    agent.active = 1
    digest = agent.digest()
    returns, lengths = agent.evaluate(episodes=3, deterministic=deterministic)
    recording = BrainRecorder(agent, 10_000).play(steps=10_000, episodes=3, deterministic=deterministic)
    assert np.bincount(recording.episode).tolist() == lengths.tolist()
    assert np.bincount(recording.episode, weights=recording.reward).tolist() == returns.tolist()
    assert recording.start.sum() == 3 and (recording.end == TERMINATED).sum() == 3
    assert agent.digest() == digest


def test_its_answers_are_the_agents_own() -> None:
    one, other = (SpikingAgent("Pendulum-v1", seed=2, config=SMALL).learn(30) for _ in range(2))
    recorder, state, own = BrainRecorder(one, 20), None, None
    env = gym.make("Pendulum-v1")
    observation, _ = env.reset(seed=1)
    for step in range(12):
        start = np.array([step in (0, 7)])
        action, state = recorder.predict(observation, state, start, step % 3 == 0)
        expected, own = other.predict(observation, own, start, step % 3 == 0)
        np.testing.assert_array_equal(action, expected)
        np.testing.assert_array_equal(state[0], own[0])
        observation, reward, *_ = env.step(action)
        recorder.met(float(reward))
    recording = recorder.recording()
    assert recording.start.nonzero()[0].tolist() == [0, 7] and recording.episode.tolist() == [0] * 7 + [1] * 5
    # of what came after presentations 6 and 11 nobody told
    assert np.isnan(recording.td[:, 0]).nonzero()[0].tolist() == [6, 11]
    assert one._predictions == other._predictions


def test_weights_that_changed_are_used() -> None:
    agent = SpikingAgent("CartPole-v1", seed=2, config=SMALL).learn(20)
    recorder = BrainRecorder(agent, 50)
    before = recorder.play(steps=10)
    agent.learn(200)
    recorder.clear()
    after = recorder.play(steps=10)
    answers(agent, after, True)
    assert not np.array_equal(before.value, after.value)


def test_td_errors_by_hand() -> None:
    agent = SpikingAgent(Places(), seed=1, config={**SMALL, "clusters": 2, "reward_bits": 4})
    agent.learn(150)
    recording = BrainRecorder(agent, 40).play(Places(), steps=31, deterministic=False)
    assert recording.end[recording.end != RUNNING].tolist() == [TRUNCATED, TERMINATED, TRUNCATED, TERMINATED, CUT]
    gamma = int(agent.state.params[0, 0, Param.GAMMA])
    assert recording.gamma == gamma / ONE_GAMMA and recording.unit == 16
    reward = np.floor(recording.reward * 16 + 0.5).astype(np.int64)
    value = recording.value.astype(np.int64)
    for t in range(30):
        if recording.end[t] == RUNNING:
            assert recording.td[t].tolist() == (reward[t] + gamma * value[t + 1] // ONE_GAMMA - value[t]).tolist()
        if recording.end[t] == TERMINATED:
            assert recording.td[t].tolist() == (reward[t] - value[t]).tolist()
    assert value.any() and (value[:, 0] != value[:, 1]).any()


def test_an_episode_cut_short_counts_the_last_observation() -> None:
    agent = SpikingAgent(Places(), seed=1, config=SMALL).learn(150)
    recorder = BrainRecorder(agent, 10)
    env = Places()
    observation, _ = env.reset(seed=4)
    _, state = recorder.predict(observation, deterministic=True)
    last = env.step(np.array([0, 0]))[0]
    recorder.met(1.0, truncated=True, observation=last)
    told = recorder.recording()
    own = BrainRecorder(agent, 1)
    own.predict(last, state, deterministic=True)
    gamma = int(agent.state.params[0, 0, Param.GAMMA])
    after = gamma * own.recording().value[0].astype(np.int64) // ONE_GAMMA
    assert told.td[0].tolist() == (256 + after - told.value[0]).tolist() and told.end.tolist() == [TRUNCATED]


def test_observations_are_kept_as_they_came() -> None:
    agent = SpikingAgent(Places(), config=SMALL)
    recorder = BrainRecorder(agent, 20)
    env, met = Places(), []
    recorder.play(env, steps=15, on_step=lambda env: met.append(1))
    assert len(met) == 15 and recorder.columns == ["at.0", "at.1", "mode", "on.0", "on.1"]
    again = Places()
    observation, _ = again.reset(seed=env.np_random_seed)
    recording = recorder.recording()
    last = recording.rows(recording.episode == 2)
    np.testing.assert_array_equal(last.observation[0], flattened(agent, observation))
    assert set(np.unique(recording.observation[:, 2])) <= {1, 2, 3} and recording.action.shape == (15, 2)


def test_the_ring_keeps_the_latest_and_says_its_size() -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, config=SMALL)
    whole = BrainRecorder(agent, 50)
    everything = whole.play(steps=50)
    ring, thin = BrainRecorder(agent, 8), BrainRecorder(agent, 50, every=7)
    latest, some = ring.play(steps=50), thin.play(steps=50)
    assert latest.number.tolist() == list(range(42, 50)) and some.number.tolist() == list(range(0, 50, 7))
    for name, array in everything.arrays().items():
        if array.ndim and name != "groups":
            np.testing.assert_array_equal(latest.arrays()[name], array[42:])
            np.testing.assert_array_equal(some.arrays()[name], array[::7])
    kept = sum(array.nbytes for name, array in latest.arrays().items() if array.ndim and name != "groups")
    assert ring.nbytes == kept and 50 * ring.nbytes == 8 * whole.nbytes
    np.testing.assert_array_equal(everything.last(8).pool, latest.pool)


def test_spikes_are_packed_and_unpacked() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (3, 5, 32)).astype(np.uint8)
    assert packed(np.eye(32, dtype=np.uint8)).tolist() == [1 << lane for lane in range(32)]
    agent = SpikingAgent("CartPole-v1", config={**SMALL, "pool_words": 5})
    recording = BrainRecorder(agent, 3).play(steps=3)
    kept = Recording(**{**recording.__dict__, "pool": packed(bits)[None]})
    np.testing.assert_array_equal(kept.spikes("pool")[0], bits)
    np.testing.assert_array_equal(kept.counts("pool")[0], bits.sum(axis=0))
    excited = np.random.default_rng(0).integers(0, 16, (5, 32))
    kept = Recording(**{**recording.__dict__, "excitement": halves(excited)[None]})
    np.testing.assert_array_equal(kept.excitements()[0], excited)


def test_recordings_are_saved(tmp_path: Path) -> None:
    agent = SpikingAgent("Pendulum-v1", config=SMALL)
    recording = BrainRecorder(agent, 5).play(steps=5, deterministic=False)
    recording.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as found:
        assert Recording(**found).arrays().keys() == recording.arrays().keys()
        for name, array in recording.arrays().items():
            np.testing.assert_array_equal(found[name], array)


def dopamines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the specification computes while it learns."""
    found: list[int] = []
    original = eq.actor_dopamine

    def heard(dopamine: int, mean: int, params: Any) -> int:
        found.append(dopamine)
        return original(dopamine, mean, params)

    monkeypatch.setattr(eq, "actor_dopamine", heard)
    return found


@pytest.mark.parametrize("clusters", [1, 2])
def test_learning_is_recorded_and_not_disturbed(monkeypatch: pytest.MonkeyPatch, clusters: int) -> None:
    settings: dict[str, Any] = {"seed": 3, "config": {**SMALL, "clusters": clusters}, "backend": "numpy"}
    undisturbed = SpikingAgent(Places(), **settings).learn(22)
    found = dopamines(monkeypatch)
    agent = SpikingAgent(Places(), **settings)
    recorder = BrainRecorder(agent, 100)
    with recorder.learning():
        agent.learn(22)
    assert agent.digest() == undisturbed.digest() and type(agent.backend) is NumpyBackend
    recording = recorder.recording()
    # the last action has not been executed yet
    assert len(recording) == 23 and np.isnan(recording.td[-1]).all() and np.isnan(recording.reward[-1])
    assert recording.td[:-1].ravel().astype(int).tolist() == found
    assert recording.start.nonzero()[0].tolist() == [0, 7, 14, 21]
    assert recording.end[[6, 13]].tolist() == [TRUNCATED, TERMINATED] and recording.motor.any()
    assert recording.reward[:-1].tolist() == (recording.action[:-1, 0] - 0.25).tolist()
    for seen, shown in zip(recording.observation, recording.intensities, strict=True):
        observation = {"at": seen[:2], "mode": seen[2], "on": seen[3:]}
        np.testing.assert_array_equal(agent.encoder.encode([observation], np.zeros(1, np.intp))[0], shown)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_any_brain_of_a_population_is_heard(mode: AutoresetMode) -> None:
    def make() -> SpikingAgent:
        envs = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 3, autoreset_mode=mode)
        return SpikingAgent(envs, seed=3, config=SMALL)

    agent = make()
    agent.active = 2
    recorder = BrainRecorder(agent, 100)
    with recorder.learning():
        agent.learn(80)
    recording = recorder.recording()
    assert agent.digest() == make().learn(80).digest()
    assert (recording.end == TERMINATED).sum() >= 2 and np.isfinite(recording.td[:-1]).all()
    lengths = np.diff(recording.start.nonzero()[0])
    assert lengths.tolist() == [length for _, length in agent.books.recent[2]][: len(lengths)]


def test_a_running_episode_is_recorded_from_now_on() -> None:
    agent = SpikingAgent("Pendulum-v1", seed=1, config=SMALL).learn(10)
    recorder = BrainRecorder(agent, 10, every=2)
    with recorder.learning():
        agent.learn(7, reset_num_timesteps=False)
    recording = recorder.recording()
    assert recording.number.tolist() == [0, 2, 4, 6] and not recording.start.any()
    assert np.isfinite(recording.td[:-1]).all() and recording.episode.tolist() == [0] * 4


def test_an_episode_that_is_given_up_leaves_no_excitement() -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, config={**SMALL, "drive": "sum", "threshold": 12})
    recorder = BrainRecorder(agent, 100)
    with recorder.learning():
        for _ in range(4):
            agent.learn(5)
            assert agent.arrays()["excitement"].any()
    recording = recorder.recording()
    assert recording.start.nonzero()[0].tolist() == [0, 6, 12, 18]
    assert np.isnan(recording.td[:, 0]).nonzero()[0].tolist() == [5, 11, 17, 23]


def test_a_loaded_agent_goes_on_in_the_same_bits_while_it_is_recorded(tmp_path: Path) -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, config=SMALL).learn(33)
    agent.save(tmp_path / "a.zip")
    agent.learn(20, reset_num_timesteps=False)
    again = SpikingAgent.load(tmp_path / "a.zip")
    with BrainRecorder(again, 10).learning():
        again.learn(20, reset_num_timesteps=False)
    assert again.digest() == agent.digest()


def test_a_callback_records_too() -> None:
    agent, other = (SpikingAgent("CartPole-v1", seed=1, config=SMALL) for _ in range(2))
    heard, called = BrainRecorder(agent, 100), BrainRecorder(other, 100)
    with heard.learning():
        agent.learn(40)
    other.learn(40, called.callback())
    assert called.presentations == heard.presentations - 1
    for name in ("pool", "motor", "value", "td", "reward"):
        np.testing.assert_array_equal(getattr(called.recording(), name), getattr(heard.recording(), name)[1:])
    other.learn(5)
    assert called.presentations == heard.presentations - 1


def test_a_callback_can_be_closed_after_an_error() -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, config=SMALL)
    callback = BrainRecorder(agent, 10).callback()
    backend = agent.backend

    def fail(*_: Any) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        agent.learn(10, [callback, fail])
    assert agent.backend is not backend
    callback.close()
    assert agent.backend is backend
    agent.learn(10, callback)


class Liar(NumpyBackend):
    """One value is wrong by one."""

    def predict(self, *args: Any) -> Any:
        answer = super().predict(*args)
        return answer._replace(values=answer.values + 1)


def test_a_backend_that_differs_is_not_recorded() -> None:
    agent = SpikingAgent("CartPole-v1", config=SMALL, backend="numpy")
    agent.backend = Liar()
    with pytest.raises(BackendError, match="differ in value at presentation 0: run python -m hebbit.scripts.conf"):
        BrainRecorder(agent, 10).play(steps=5)


def test_what_makes_no_sense_is_refused() -> None:
    agent = SpikingAgent("CartPole-v1", config=SMALL)
    with pytest.raises(HebbitError, match="at least 1, got 0 and 1"):
        BrainRecorder(agent, 0)
    recorder = BrainRecorder(agent, 5)
    with pytest.raises(ObservationError, match="one observation at a time"):
        recorder.predict(np.zeros((3, 4), np.float32))
    with pytest.raises(HebbitError, match="call predict of this recorder before"):
        recorder.met(1.0)
    recorder.predict(np.zeros(4, np.float32))
    recorder.met(1.0)
    with pytest.raises(HebbitError, match="once"):
        recorder.met(1.0)
    with recorder.learning(), pytest.raises(HebbitError, match="recorded already"), recorder.learning():
        agent.learn(1)
    with pytest.raises(HebbitError, match="must not be the one that is learned from"):
        recorder.play(agent.get_env(), 5)  # type: ignore[arg-type]  # a VectorEnv would be refused elsewhere
    bare = SpikingAgent(None, config=SMALL, spaces=(agent.observation_space, agent.action_space))
    with pytest.raises(HebbitError, match="play needs an environment"):
        BrainRecorder(bare, 5).play(steps=5)
    with pytest.raises(HebbitError, match="no environment to learn in"), BrainRecorder(bare, 5).learning():
        bare.learn(1)
    with recorder.learning(), pytest.raises(HebbitError, match="environment was changed while"):
        agent.set_env(EnvSpec("CartPole-v1"))
        agent.learn(5)
    assert agent.learn(5).num_timesteps == 5


def test_nothing_to_play_gives_nothing() -> None:
    agent = SpikingAgent("CartPole-v1", config=SMALL)
    assert len(BrainRecorder(agent, 5).play(steps=0)) == len(BrainRecorder(agent, 5).play(episodes=0)) == 0
