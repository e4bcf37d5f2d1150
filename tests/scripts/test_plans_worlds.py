"""Disturbed worlds: what is disturbed, by how much, and that everything else stays as it is."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from numpy.typing import NDArray

from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import HebbitError
from hebbit.scripts.plans.physics import set_attributes
from hebbit.scripts.plans.plan import Condition
from hebbit.scripts.plans.worlds import Kind, Ranges, World, boxes, flat, ranges_of, stream

CARTPOLE = EnvSpec("CartPole-v1")
F64 = NDArray[np.float64]


class Mixed(gym.Env[Any, Any]):
    """Boxes of several kinds within a Dict and a Tuple, which show the number of the step."""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict(
            a=spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 9, (2,), np.float64)]),
            b=spaces.Box(0, 255, (2, 1), np.uint8),
            c=spaces.Box(0, 1, (1,), np.bool_),
        )
        self.action_space = spaces.Discrete(9)
        self.taken: list[int] = []
        self.pace, self.ticks, self.mood = 1, 0, "calm"

    def seen(self) -> Any:
        n = self.ticks
        pair = np.array([n, 2.0 * n]).clip(0, 9)
        return {"a": (1, pair), "b": np.full((2, 1), n % 256, np.uint8), "c": np.ones(1, np.bool_)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.ticks, self.taken = 0, []
        return self.seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken.append(int(action))
        self.ticks += 1
        return self.seen(), 1.0, False, self.ticks >= 40, {}

    @property
    def answer(self) -> int:
        return 42


@pytest.fixture
def mixed() -> Iterator[EnvSpec]:
    gym.register("Mixed-v0", entry_point=lambda **flags: Mixed(**flags))
    yield EnvSpec("Mixed-v0")
    del gym.registry["Mixed-v0"]


def observed(spec: EnvSpec, seed: int = 5, steps: int = 30, **kinds: Any) -> F64:
    """Dimensions of an episode [steps, dimensions] with actions of a kind."""
    env = World(spec, Condition("x", **kinds), ranges_of(spec)).make()
    parts = list(boxes(env.observation_space))
    rows = [flat(env.reset(seed=seed)[0], parts)]
    for step in range(steps):
        observation, _, terminated, truncated, _ = env.step(np.int64(step % 2))
        assert env.observation_space.contains(observation)
        rows.append(flat(observation, parts))
        if terminated or truncated:
            break
    env.close()
    return np.array(rows)


def test_nothing_is_the_environment_itself() -> None:
    env = World(CARTPOLE, Condition("clean"), ranges_of(CARTPOLE)).make()
    assert type(env) is type(CARTPOLE.make())


def test_ranges_are_the_bounds_or_what_a_random_policy_meets() -> None:
    found = ranges_of(CARTPOLE)
    assert np.allclose(found.width[[0, 2]], [9.6, 0.8377581]) and np.allclose(found.centre[[0, 2]], 0)
    # speeds of a pole that is let go: a few metres and radians a second
    assert (found.width[[1, 3]] > 1).all() and (found.width[[1, 3]] < 8).all()
    again = ranges_of(CARTPOLE)
    assert np.array_equal(found.low, again.low) and np.array_equal(found.high, again.high)
    given = ranges_of(CARTPOLE, [(0, 1)] * 4)
    assert given.low.tolist() == [0] * 4 and given.high.tolist() == [1] * 4
    with pytest.raises(HebbitError, match="observation_ranges must be 4, one for each dimension, got 2"):
        ranges_of(CARTPOLE, [(0, 1)] * 2)


def test_ranges_are_looked_for_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = ranges_of(CARTPOLE, search=False)
    assert np.isnan(bare.width).tolist() == [False, True, False, True]
    env = World(CARTPOLE, Condition("x", dead_inputs=(1,), dead_value=0.5), bare).make()
    assert np.isfinite(env.reset(seed=1)[0]).all() and env.step(0)[0][1] == 0.5

    def broken(*words: Any, **flags: Any) -> None:
        raise RuntimeError("no\nstep")

    monkeypatch.setattr("gymnasium.envs.classic_control.CartPoleEnv.step", broken)
    with pytest.raises(HebbitError, match=r"RuntimeError: no step\): set observation_ranges"):
        ranges_of(CARTPOLE)
    assert len(ranges_of(CARTPOLE, [(0, 1)] * 4).low) == 4


def test_noise_is_in_widths_of_the_range() -> None:
    clean, noisy = observed(CARTPOLE), observed(CARTPOLE, observation_noise=0.01)
    width = ranges_of(CARTPOLE).width
    noise = (
        np.concatenate([observed(CARTPOLE, s, observation_noise=0.01) - observed(CARTPOLE, s) for s in range(40)])
        / width
    )
    assert clean.shape == noisy.shape
    assert np.allclose(noise.std(axis=0), 0.01, rtol=0.1) and (np.abs(noise.mean(axis=0)) < 0.002).all()
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.1


def test_noise_is_a_function_of_the_episode_and_grows_with_its_strength() -> None:
    clean, one, same, twice, other = (
        observed(CARTPOLE, seed, 8, observation_noise=x)
        for seed, x in ((5, 0.0), (5, 0.01), (5, 0.01), (5, 0.02), (6, 0.01))
    )
    assert np.array_equal(one, same) and not np.allclose(one, other)
    assert np.allclose(twice - clean, 2 * (one - clean), atol=1e-5)


def test_noise_stays_in_the_space(mixed: EnvSpec) -> None:
    noisy, clean = observed(mixed, observation_noise=0.5), observed(mixed)
    assert noisy.shape == clean.shape == (31, 5)
    assert (noisy[:, :2] >= 0).all() and (noisy[:, :2] <= 9).all() and (noisy[:, :2] == 9).any()
    assert np.array_equal(noisy[:, 2:], np.rint(noisy[:, 2:])) and noisy[:, 2:4].max() > 50
    assert set(noisy[:, 4]) == {0.0, 1.0}


@pytest.mark.parametrize(("value", "shown"), [("first", 0.0), ("centre", 4.5), (7.0, 7.0), (11.0, 9.0)])
def test_dead_inputs(mixed: EnvSpec, value: Any, shown: float) -> None:
    dead, clean = observed(mixed, dead_inputs=(1,), dead_value=value), observed(mixed)
    assert (dead[:, 1] == shown).all() and not (clean[:, 1] == clean[0, 1]).all()
    assert np.array_equal(np.delete(dead, 1, axis=1), np.delete(clean, 1, axis=1))
    noisy = observed(mixed, dead_inputs=(1,), dead_value=value, observation_noise=0.2)
    assert (noisy[:, 1] == shown).all()
    alive = observed(mixed, observation_noise=0.2)
    assert np.array_equal(np.delete(noisy, 1, axis=1), np.delete(alive, 1, axis=1))


def test_a_dead_input_is_stuck_at_what_it_showed_in_its_own_episode() -> None:
    world = World(CARTPOLE, Condition("x", dead_inputs=(2,)), ranges_of(CARTPOLE))
    env, clean = world.make(), CARTPOLE.make()
    for seed in (1, 2):
        first = clean.reset(seed=seed)[0][2]
        assert env.reset(seed=seed)[0][2] == first and env.step(0)[0][2] == first


def test_sticky_actions_repeat_what_was_done(mixed: EnvSpec) -> None:
    def taken(chance: float, seed: int = 1, steps: int = 400) -> list[int]:
        env = World(mixed, Condition("x", sticky_actions=chance), ranges_of(mixed)).make()
        env.reset(seed=seed)
        for step in range(steps):
            env.step(step % 9)
        mine: Any = env.unwrapped
        return list(mine.taken)

    assert taken(1.0, steps=20) == [0] * 20
    assert taken(0.0, steps=20) == [step % 9 for step in range(20)]
    some, more = taken(0.25), taken(0.5)
    assert all(own in (step % 9, before) for step, own, before in zip(range(1, 400), some[1:], some, strict=False))
    assert 0.2 < np.mean([own != step % 9 for step, own in enumerate(some)]) < 0.3
    # whoever is stuck at a quarter is stuck at a half
    assert all(own != step % 9 for step, own in enumerate(more) if some[step] != step % 9)
    assert taken(0.25) == some != taken(0.25, seed=2)


def test_sticky_actions_end_with_their_episode(mixed: EnvSpec) -> None:
    env: Any = World(mixed, Condition("x", sticky_actions=1.0), ranges_of(mixed)).make()
    for first in (3, 5):
        env.reset(seed=first)
        env.step(first)
        env.step(0)
        assert env.unwrapped.taken == [first, first]


def test_physics_follow() -> None:
    env: Any = World(CARTPOLE, Condition("x", attributes={"length": 1.0, "masspole": 0.4}), ranges_of(CARTPOLE)).make()
    own = env.unwrapped
    assert (own.length, own.masspole) == (1.0, 0.4)
    assert own.total_mass == 1.4 and own.polemass_length == 0.4
    clean, heavy = observed(CARTPOLE), observed(CARTPOLE, attributes={"masspole": 0.4})
    assert np.array_equal(clean[0], heavy[0]) and not np.allclose(clean[1:5], heavy[1:5], atol=1e-3)
    # as they are born, nothing changes
    assert np.array_equal(observed(CARTPOLE, attributes={"length": 0.5}), clean)


class OwnMass(CartPoleEnv):
    """Something hangs below the cart, so that its mass is more than its parts."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.total_mass = 5.0


class Computed(CartPoleEnv):
    """Computes its mass when it is asked."""

    total_mass = property(lambda self: self.masspole + self.masscart + 1, lambda self, value: None)


Namesake = type("CartPoleEnv", (Mixed,), {"masscart": 1.0, "masspole": 1.0, "length": 2.0, "total_mass": 2.0,
                                          "polemass_length": 2.0})  # fmt: skip


def changed(env: Any, **attributes: Any) -> Any:
    set_attributes(env, attributes)
    return env


def test_a_subclass_keeps_what_does_not_follow() -> None:
    own = changed(OwnMass(), gravity=1.0)
    assert (own.gravity, own.total_mass, own.polemass_length) == (1.0, 5.0, 0.05)
    own = changed(OwnMass(), length=1.0)
    assert (own.total_mass, own.polemass_length) == (5.0, 0.1)
    untouched = OwnMass()
    with pytest.raises(HebbitError, match="OwnMass has a total_mass of its own.*beside masspole, set total_mass too"):
        set_attributes(untouched, {"gravity": 1.0, "masspole": 0.4})
    assert (untouched.gravity, untouched.masspole) == (9.8, 0.1)
    own = changed(OwnMass(), masspole=0.4, total_mass=7.0)
    assert (own.total_mass, own.polemass_length) == (7.0, 0.2)
    assert changed(OwnMass(), total_mass=6.0).total_mass == 6.0
    assert changed(Computed(), masspole=0.5).total_mass == 2.5


def test_only_what_was_set_is_followed() -> None:
    own = CartPoleEnv()
    own.total_mass = 1.1 * (1 + 1e-12)
    before = own.total_mass
    assert changed(own, length=2.0).total_mass == before
    # another class of that name has other physics
    own = changed(Namesake(), masspole=3.0)
    assert (own.masspole, own.total_mass, own.polemass_length) == (3.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"lenght": 1.0}, "CartPoleEnv has no attribute 'lenght' to set; did you mean length"),
        ({"total_mass": 3.0}, "total_mass of CartPoleEnv follows from masspole and masscart: set these"),
        ({"polemass_length": 3.0}, "follows from masspole and length"),
        ({"length": "long"}, "length of CartPoleEnv must be like its 0.5, got 'long'"),
        ({"length": True}, "must be like its 0.5, got True"),
        ({"isopen": 1}, "must be like its True, got 1"),
        ({"_sutton_barto_reward": True}, "no attribute '_sutton_barto_reward'"),
        ({"action_space": 3}, "no attribute 'action_space'"),
        ({"steps_beyond_terminated": 3}, "no attribute 'steps_beyond_terminated'"),
    ],
)
def test_attributes_that_cannot_be_set(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(HebbitError, match=said):
        World(CARTPOLE, Condition("x", attributes=attributes), ranges_of(CARTPOLE)).check()


def test_attributes_that_the_environment_sets_itself(mixed: EnvSpec) -> None:
    ranges = ranges_of(mixed)
    World(mixed, Condition("x", attributes={"pace": 3, "mood": "wild"}), ranges).check()
    with pytest.raises(HebbitError, match="ticks of Mixed is set by the environment itself"):
        World(mixed, Condition("x", attributes={"ticks": 3}), ranges).check()
    with pytest.raises(HebbitError, match="no attribute 'answer' to set"):
        World(mixed, Condition("x", attributes={"answer": 3}), ranges).check()


def test_kwargs_are_added_to_the_runs_own() -> None:
    spec = EnvSpec("MountainCar-v0", {"goal_velocity": 0.02})
    ranges = ranges_of(spec)

    def own(**kwargs: Any) -> tuple[float, str | None]:
        env: Any = World(spec, Condition("x", env_kwargs=kwargs), ranges).make().unwrapped
        return env.goal_velocity, env.render_mode

    assert own() == (0.02, None) and own(goal_velocity=0.01) == (0.01, None)
    assert own(render_mode="rgb_array") == (0.02, "rgb_array")
    with pytest.raises(HebbitError, match="wind"):
        World(spec, Condition("x", env_kwargs={"wind": 1}), ranges).check()


def test_dimensions_that_are_not_there() -> None:
    with pytest.raises(HebbitError, match="dead_inputs must be of 0..3 in CartPole-v1, got 4"):
        World(CARTPOLE, Condition("x", dead_inputs=(0, 4)), ranges_of(CARTPOLE)).check()
    lake = EnvSpec("FrozenLake-v1")
    ranges = ranges_of(lake)
    assert len(ranges.low) == 0
    for condition in (Condition("x", observation_noise=0.1), Condition("x", dead_inputs=(0,))):
        with pytest.raises(HebbitError, match="FrozenLake-v1 has no dimensions to disturb"):
            World(lake, condition, ranges).check()
    fewer = Ranges(np.zeros(2), np.ones(2))
    with pytest.raises(HebbitError, match="4 dimensions, not 2"):
        World(CARTPOLE, Condition("x", observation_noise=0.1), fewer).check()


def test_streams_are_apart() -> None:
    drawn: list[Callable[[], float]] = [stream(kind, seed).random for kind in Kind for seed in (0, 1, 2**31)]
    values = [draw() for draw in drawn]
    assert len(set(values)) == len(values)
    assert stream(Kind.SENSORS, 7).random() == stream(Kind.SENSORS, 7).random()
