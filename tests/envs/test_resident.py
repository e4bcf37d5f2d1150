"""The resident vector environment keeps Gymnasium's contract, step by step beside SyncVectorEnv."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.utils.performance import benchmark_vector_step
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from numpy.typing import NDArray

import hebbit.envs
from hebbit.envs import ResidentVectorEnv, make_resident
from hebbit.envs.worlds import WORLDS, World
from tests.envs.resident_tools import NAMES, as_given, random_actions, real_state

COUNT = 5
MODES = list(AutoresetMode)
BACKENDS = ("numpy", "numba")


class Pair:
    """Gymnasium's environments and ours, brought to the same states whenever an episode begins."""

    def __init__(self, name: str, mode: AutoresetMode) -> None:
        self.world = WORLDS[name]
        make = partial(gym.make, name, disable_env_checker=True)
        self.real = SyncVectorEnv([make] * COUNT, autoreset_mode=mode)
        self.ours = make_resident(name, COUNT, autoreset_mode=mode)
        self.dice = np.random.default_rng(31)

    def copy(self, rows: NDArray[np.intp], elapsed: int) -> None:
        """Give ours the states of Gymnasium's, and both so many steps, staggered so that they end one by one."""
        parts = self.ours.state_dict()
        limits: list[Any] = list(self.real.envs)  # the outermost wrappers count the steps
        for i in rows:
            steps = elapsed - int(i) if elapsed else 0
            parts["state"][i] = real_state(self.real.envs[i], True)
            parts["elapsed"][i] = limits[i]._elapsed_steps = steps
        self.ours.load_state_dict(parts)

    def actions(self) -> NDArray[Any]:
        return as_given(self.world, random_actions(self.world, COUNT, self.dice))

    def step(self, fresh: NDArray[np.bool_], mode: AutoresetMode) -> NDArray[np.bool_]:
        """One step of both, compared where no episode began; which episodes ended."""
        actions = self.actions()
        seen, rewards, terminated, truncated, infos = self.real.step(actions)
        own = self.ours.step(actions)
        done = terminated | truncated
        if mode == AutoresetMode.SAME_STEP:
            fresh = done
        close(own[0][~fresh], seen[~fresh])
        assert np.abs(own[1] - rewards).max() <= 1e-9 and own[1].dtype == rewards.dtype
        assert own[2].tolist() == terminated.tolist() and own[2].dtype == terminated.dtype
        assert own[3].tolist() == truncated.tolist() and own[3].dtype == truncated.dtype
        same_infos(own[4], infos)
        assert own[0].tolist() == self.world.observe(self.ours.state).tolist()
        return done


def close(ours: Any, real: Any) -> None:
    assert ours.dtype == real.dtype and ours.shape == real.shape
    assert (np.abs(ours - real) <= np.spacing(np.abs(real))).all()


def same_infos(ours: dict[str, Any], real: dict[str, Any]) -> None:
    assert list(ours) == list(real)
    for key, value in real.items():
        if key == "final_obs":
            assert ours[key].dtype == value.dtype and ours[key].shape == value.shape
            for a, b in zip(ours[key], value, strict=True):
                if b is None:
                    assert a is None
                else:
                    close(a, b)
        else:
            assert data_equivalence(ours[key], value, exact=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_steps_and_ends_are_those_of_sync_vector_env(name: str, mode: AutoresetMode) -> None:
    pair = Pair(name, mode)
    assert pair.ours.metadata["autoreset_mode"] == mode == pair.real.metadata["autoreset_mode"]
    pair.real.reset(seed=3)
    pair.ours.reset(seed=3)
    pair.copy(np.arange(COUNT), pair.world.limit - 20)
    before, ends = np.zeros(COUNT, np.bool_), 0
    for _ in range(60):
        fresh = before if mode == AutoresetMode.NEXT_STEP else np.zeros(COUNT, np.bool_)
        done = pair.step(fresh, mode)
        if mode == AutoresetMode.SAME_STEP:
            fresh = done
        if mode == AutoresetMode.DISABLED and done.any():
            real, _ = pair.real.reset(options={"reset_mask": done.copy()})
            ours, infos = pair.ours.reset(options={"reset_mask": done})
            close(ours[~done], real[~done])
            assert infos == {}
            fresh = done
        pair.copy(np.flatnonzero(fresh), 0)
        before, ends = done, ends + int(done.sum())
    assert ends >= COUNT


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_the_backends_give_the_same_bits(name: str, mode: AutoresetMode) -> None:
    world, dice = WORLDS[name], np.random.default_rng(32)
    envs = [make_resident(name, 7, autoreset_mode=mode, backend=b) for b in ("numpy", "numba", "auto")]
    first = [env.reset(seed=list(range(50, 57)))[0].tobytes() for env in envs]
    for env in envs:
        env.set_state(env.state, np.arange(7) + world.limit - 30)
    for _ in range(80):
        actions = as_given(world, random_actions(world, 7, dice))
        results = [env.step(actions) for env in envs]
        for other in results[1:]:
            assert [a.tobytes() for a in other[:4]] == [a.tobytes() for a in results[0][:4]]
            assert data_equivalence(other[4], results[0][4], exact=True)
        done = results[0][2] | results[0][3]
        if mode == AutoresetMode.DISABLED and done.any():
            again = [env.reset(options={"reset_mask": done})[0].tobytes() for env in envs]
            assert len(set(again)) == 1
    assert len(set(first)) == 1 and len({env.state.tobytes() for env in envs}) == 1


def test_spaces_and_names_are_gymnasiums() -> None:
    for name, world in WORLDS.items():
        real, ours = gym.make_vec(name, 3, vectorization_mode="sync"), make_resident(name, 3)
        for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
            assert getattr(ours, space) == getattr(real, space)
        assert ours.spec is not None and ours.spec.id == name and ours.world is world and ours.seeded
        assert ours.reset(seed=1)[0] in ours.observation_space
        real.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_are_functions_of_seed_and_number(backend: Any) -> None:
    env, world = make_resident("CartPole-v1", 3, backend=backend), WORLDS["CartPole-v1"]
    first = env.reset(seed=7)[0]
    assert first.tobytes() == make_resident("CartPole-v1", 3).reset(seed=[7, 8, 9])[0].tobytes()

    def start(seed: int, number: int) -> list[float]:
        state = world.start(np.array([seed], np.uint32), np.array([number], np.uint32))
        return list(world.observe(state)[0].tolist())

    assert first.tolist() == [start(7 + i, 0) for i in range(3)]
    assert env.reset()[0].tolist() == [start(7 + i, 1) for i in range(3)]
    assert env.reset(seed=[None, 70, None])[0].tolist() == [start(7, 2), start(70, 0), start(9, 2)]
    mask = np.array([False, True, True])
    assert env.reset(seed=[5, None, 5], options={"reset_mask": mask})[0].tolist() == [
        start(7, 2), start(70, 1), start(5, 0),
    ]  # fmt: skip
    assert env.reset(seed=2**32 - 3)[0].tolist() == [start(2**32 - 3 + i, 0) for i in range(3)]


def test_unseeded_streams_differ() -> None:
    starts = [make_resident("Pendulum-v1", 4).reset()[0].tolist() for _ in range(2)]
    assert len({tuple(row) for rows in starts for row in rows}) == 8


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_ended_episodes_continue_their_streams(mode: AutoresetMode) -> None:
    env, world = make_resident("CartPole-v1", 1, autoreset_mode=mode), WORLDS["CartPole-v1"]
    env.reset(seed=4)
    ended, begun = False, 1
    for _ in range(60):
        seen, rewards, terminated, *_ = env.step(np.array([1]))
        if terminated[0] if mode == AutoresetMode.SAME_STEP else ended:
            start = world.start(np.array([4], np.uint32), np.array([begun], np.uint32))
            assert seen.tobytes() == world.observe(start).tobytes() and env.elapsed.tolist() == [0]
            assert rewards.tolist() == [float(mode == AutoresetMode.SAME_STEP)]
            begun += 1
        ended = bool(terminated[0])
    assert begun >= 5


def test_results_and_copies_are_not_used_again() -> None:
    for mode in MODES:
        for backend in ("numpy", "numba"):
            env = ResidentVectorEnv(WORLDS["CartPole-v1"], 3, mode, backend)
            held: list[NDArray[Any]] = [env.reset(seed=1)[0], env.state, env.elapsed, *env.state_dict().values()]
            copies = [a.copy() for a in held]
            for _ in range(6):
                actions = np.array([1, 0, 1])
                results = env.step(actions)
                held += [*results[:4]]
                copies += [a.copy() for a in results[:4]]
            assert all(a.tobytes() == b.tobytes() for a, b in zip(held, copies, strict=True))
            assert not any(np.shares_memory(a, b) for i, a in enumerate(held) for b in held[:i])


def test_a_state_dict_goes_on_where_it_was_taken() -> None:
    env = make_resident("CartPole-v1", 4)
    env.reset(seed=9)
    dice = np.random.default_rng(33)
    plan = dice.integers(2, size=(120, 4))
    for actions in plan[:40]:
        env.step(actions)
    parts: dict[str, Any] = dict(env.state_dict())
    other = make_resident("CartPole-v1", 4, backend="numpy")
    other.load_state_dict(parts)
    for actions in plan[40:]:
        pairs: Any = zip(env.step(actions)[:4], other.step(actions)[:4], strict=True)
        for a, b in pairs:
            assert np.array_equal(a, b)
    own: dict[str, Any] = dict(env.state_dict())
    others: dict[str, Any] = dict(other.state_dict())
    assert all(np.array_equal(array, others[name]) for name, array in own.items())


def test_options_bound_the_starts() -> None:
    cart = make_resident("CartPole-v1", 500)
    seen = cart.reset(seed=1, options={"low": 0.2, "high": 0.21})[0]
    assert seen.min() >= np.float32(0.2) and seen.max() <= np.float32(0.21)
    rod = make_resident("Pendulum-v1", 500)
    rod.reset(seed=1, options={"x_init": 0.5, "y_init": 0.25})
    assert 0.49 < np.abs(rod.state[:, 0]).max() <= 0.5 and 0.24 < np.abs(rod.state[:, 1]).max() <= 0.25
    car = make_resident("MountainCar-v0", 500)
    car.reset(seed=1, options={"high": 0.4})
    assert car.state[:, 0].min() >= -0.6 and 0.35 < car.state[:, 0].max() <= 0.4
    car.reset()
    assert car.state[:, 0].max() <= -0.4


@pytest.mark.parametrize("mode", MODES)
def test_gymnasiums_tools_take_it(mode: AutoresetMode) -> None:
    assert benchmark_vector_step(make_resident("CartPole-v1", 3, autoreset_mode=mode), 0, 1) > 0
    if mode != AutoresetMode.DISABLED:
        counted = RecordEpisodeStatistics(make_resident("MountainCar-v0", 2, autoreset_mode=mode))
        counted.reset(seed=1)
        infos = [counted.step(np.array([1, 1]))[4] for _ in range(200)][-1]
        assert infos["episode"]["r"].tolist() == [-200.0, -200.0] and infos["episode"]["l"].tolist() == [200, 200]


def test_wrong_use_is_refused() -> None:
    env = make_resident("CartPole-v1", 2)
    with pytest.raises(ResetNeeded, match="call reset before step"):
        env.step(np.zeros(2, np.int64))
    with pytest.raises(ResetNeeded, match="reset all environments"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=1)
    wrong: list[NDArray[Any]] = [np.zeros(3, np.int64), np.zeros((2, 1), np.int64), np.zeros(2), np.array(["a", "b"])]
    for actions in wrong:
        with pytest.raises(ValueError, match=r"actions must be integers of shape \(2,\), got "):
            env.step(actions)
    with pytest.raises(ValueError, match=r"actions must lie in 0\.\.1, got 2"):
        env.step(np.array([1, 2]))
    with pytest.raises(ValueError, match=r"actions must lie in 0\.\.1, got -1"):
        env.step(np.array([-1, 0]))
    rod = make_resident("Pendulum-v1", 2)
    rod.reset(seed=1)
    with pytest.raises(ValueError, match=r"actions must be numbers of shape \(2, 1\), got float64 of shape \(2,\)"):
        rod.step(np.zeros(2))
    with pytest.raises(ValueError, match="actions must be finite"):
        rod.step(np.array([[np.nan], [0.0]], np.float32))


@pytest.mark.parametrize("mode", [AutoresetMode.DISABLED])
def test_an_ended_episode_is_not_stepped(mode: AutoresetMode) -> None:
    env = make_resident("Pendulum-v1", 2, autoreset_mode=mode)
    env.reset(seed=1)
    env.set_state(env.state, np.array([199, 3]))
    assert env.step(np.zeros((2, 1), np.float32))[3].tolist() == [True, False]
    with pytest.raises(ResetNeeded, match=r"reset the environments \[0\]"):
        env.step(np.zeros((2, 1), np.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": [1]}, "expected 2 seeds, one for each environment, got 1"),
        ({"seed": -1}, r"seeds must lie in 0\.\.2\*\*32 - 1, got -1"),
        ({"seed": 2**32 - 1}, r"seeds must lie in"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"options": {"low": "x"}}, "must be numbers"),
        ({"options": {"low": 1, "high": 0}}, "in order"),
        ({"options": {"x_init": 1}}, "knows the options reset_mask, low, high, got x_init"),
        ({"options": {"reset_mask": np.zeros(2, np.bool_)}}, "True somewhere"),
        ({"options": {"reset_mask": np.ones(3, np.bool_)}}, r"shape \(2,\)"),
    ],
)
def test_wrong_resets_are_refused(arguments: dict[str, Any], message: str) -> None:
    env = make_resident("CartPole-v1", 2)
    env.reset(seed=1)
    before = env.state_dict()
    with pytest.raises(ValueError, match=message):
        env.reset(**arguments)
    assert all(a.tobytes() == before[name].tobytes() for name, a in env.state_dict().items())


def test_a_mask_of_another_type_is_refused() -> None:
    env = make_resident("CartPole-v1", 2)
    env.reset(seed=1)
    with pytest.raises(TypeError, match="reset_mask must be a NumPy array of bool, got int64"):
        env.reset(options={"reset_mask": np.array([1, 0])})


def test_wrong_environments_are_refused() -> None:
    with pytest.raises(ValueError, match="resident environments are CartPole-v1, .*got 'LunarLander-v3'"):
        make_resident("LunarLander-v3")
    with pytest.raises(ValueError, match="num_envs must be a whole number of at least 1, got 0"):
        make_resident("CartPole-v1", 0)
    with pytest.raises(ValueError, match="backend must be one of auto, numba, numpy, got 'cupy'"):
        hebbit.envs.make_resident("CartPole-v1", 1, backend="cupy")  # type: ignore[arg-type]  # the point of it
    with pytest.raises(ValueError, match="autoreset_mode must be one of NextStep, SameStep, Disabled, got 'never'"):
        make_resident("CartPole-v1", 1, autoreset_mode="never")
    assert make_resident("CartPole-v1", autoreset_mode="Disabled").autoreset_mode is AutoresetMode.DISABLED


def test_wrong_states_are_refused() -> None:
    env = make_resident("CartPole-v1", 2)
    with pytest.raises(ValueError, match=r"state must be finite numbers of shape \(2, 8\), got shape \(2, 4\)"):
        env.set_state(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="state must be finite"):
        env.set_state(np.full((2, 8), np.inf))
    with pytest.raises(ValueError, match=r"elapsed must be 2 numbers of 0\.\.499"):
        env.set_state(np.zeros((2, 8)), np.array([0, 500]))
    with pytest.raises(ValueError, match="expected the arrays state, elapsed, ended, begun, seeds, numbers"):
        env.load_state_dict(make_resident("CartPole-v1", 3).state_dict())
    env.set_state(np.ones((2, 8)))
    assert env.state[:, 4:].tolist() == [[0.0] * 4] * 2
    assert isinstance(env.world, World) and env.step(np.array([0, 1]))[0].shape == (2, 4)
