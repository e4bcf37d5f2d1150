"""One stream of experience for each brain, in all of Gymnasium's autoreset modes, against a hand-made environment."""

from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hebbit.agents import HebbitError, SpikingAgent
from hebbit.agents.streams import ExperienceStream, SingleStream, VectorStream
from hebbit.backends.spec import Flag

NEXT_STEP, SAME_STEP, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
Schedule = tuple[tuple[int, str], ...]
FIRST: Schedule = ((2, "terminated"), (2, "truncated"))
SECOND: Schedule = ((3, "truncated"), (1, "both"))


class Counting(gym.Env[Any, Any]):
    """Shows (episode, step), pays 10 episode + step, and ends as scheduled."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, schedule: Schedule = FIRST) -> None:
        self.observation_space = spaces.Box(0.0, 99.0, (2,), np.float64)
        self.action_space = spaces.Discrete(3)
        self.schedule, self.episode, self.count = schedule, -1, 0
        self.seeds: list[int | None] = []
        self.actions: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.episode, self.count = self.episode + 1, 0
        return np.array([self.episode, 0.0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(int(action))
        self.count += 1
        length, how = self.schedule[self.episode % len(self.schedule)]
        over = self.count == length
        reward = 10.0 * self.episode + self.count
        terminated, truncated = over and how != "truncated", over and how != "terminated"
        return np.array([self.episode, float(self.count)]), reward, terminated, truncated, {}


class Seen(NamedTuple):
    """What one brain meets in one tick."""

    flag: Flag
    observation: tuple[int, int]
    reward: float
    restart: tuple[int, int] | None = None


C, S, T, U = Flag.CONTINUE, Flag.START, Flag.TERMINATED, Flag.TRUNCATED
AT_ONCE = [
    [Seen(C, (0, 1), 1), Seen(T, (0, 2), 2, (1, 0)), Seen(C, (1, 1), 11), Seen(U, (1, 2), 12, (2, 0)),
     Seen(C, (2, 1), 21), Seen(T, (2, 2), 22, (3, 0))],
    [Seen(C, (0, 1), 1), Seen(C, (0, 2), 2), Seen(U, (0, 3), 3, (1, 0)), Seen(T, (1, 1), 11, (2, 0)),
     Seen(C, (2, 1), 21), Seen(C, (2, 2), 22)],
]  # fmt: skip
"""The next episode begins in the tick in which one ends."""
LATER = [
    [Seen(C, (0, 1), 1), Seen(T, (0, 2), 2), Seen(S, (1, 0), 0), Seen(C, (1, 1), 11), Seen(U, (1, 2), 12),
     Seen(S, (2, 0), 0)],
    [Seen(C, (0, 1), 1), Seen(C, (0, 2), 2), Seen(U, (0, 3), 3), Seen(S, (1, 0), 0), Seen(T, (1, 1), 11),
     Seen(S, (2, 0), 0)],
]  # fmt: skip
"""It begins in the tick after."""


def vector(mode: AutoresetMode, *schedules: Schedule) -> SyncVectorEnv:
    return SyncVectorEnv([partial(Counting, schedule) for schedule in schedules], autoreset_mode=mode)


class Seeds:
    """Seeds that tell for whom and when they were asked."""

    def __init__(self) -> None:
        self.asked = [0, 0]

    def __call__(self, brain: int) -> int:
        self.asked[brain] += 1
        return 100 * brain + self.asked[brain]


def pair(observation: Any) -> tuple[int, int]:
    return int(observation[0]), int(observation[1])


def follow(stream: ExperienceStream, ticks: int, brains: int) -> list[list[Seen]]:
    """What each brain meets."""
    seeds = Seeds()
    assert [pair(o) for o in stream.reset(seeds)] == [(0, 0)] * brains
    seen: list[list[Seen]] = [[] for _ in range(brains)]
    for _ in range(ticks):
        tick = stream.step([np.int64(2)] * brains, seeds)
        assert tick.flags.dtype == np.uint8 and len(tick.flags) == len(tick.rewards) == brains
        for b in range(brains):
            restart = pair(tick.restarts[b]) if b in tick.restarts else None
            seen[b].append(Seen(Flag(tick.flags[b]), pair(tick.observations[b]), float(tick.rewards[b]), restart))
    return seen


def test_a_single_environment() -> None:
    for schedule, expected in zip((FIRST, SECOND), AT_ONCE, strict=True):
        env = Counting(schedule)
        stream = SingleStream(env)
        assert stream.exact
        assert follow(stream, 6, 1) == [expected]
        assert env.actions == [2] * 6
        assert env.seeds == [1 + i for i in range(1 + sum(e.restart is not None for e in expected))]


@pytest.mark.parametrize(("mode", "expected"), [(DISABLED, AT_ONCE), (SAME_STEP, AT_ONCE), (NEXT_STEP, LATER)])
def test_vector_environments(mode: AutoresetMode, expected: list[list[Seen]]) -> None:
    envs = vector(mode, FIRST, SECOND)
    stream = VectorStream(envs)
    assert stream.exact == (mode == DISABLED)
    assert follow(stream, 6, 2) == expected


def test_every_episode_is_seeded_where_we_reset() -> None:
    envs = vector(DISABLED, FIRST, SECOND)
    follow(VectorStream(envs), 6, 2)
    assert [getattr(env.unwrapped, "seeds", None) for env in envs.envs] == [[1, 2, 3, 4], [101, 102, 103]]


@pytest.mark.parametrize("mode", [DISABLED, SAME_STEP, NEXT_STEP])
def test_a_reset_begins_anew(mode: AutoresetMode) -> None:
    stream = VectorStream(vector(mode, ((1, "terminated"),), ((1, "truncated"),)))
    stream.reset(Seeds())
    stream.step([0, 0], Seeds())
    first = stream.reset(Seeds())
    tick = stream.step([0, 0], Seeds())
    assert tick.flags.tolist() == [T, U]
    assert [pair(o)[0] for o in tick.observations] == [pair(o)[0] for o in first]


def test_processes_give_the_same() -> None:
    for mode, expected in ((SAME_STEP, AT_ONCE), (NEXT_STEP, LATER)):
        envs = AsyncVectorEnv([Counting, lambda: Counting(SECOND)], autoreset_mode=mode)
        try:
            assert follow(VectorStream(envs), 6, 2) == expected
        finally:
            envs.close()


def test_observations_that_are_no_arrays() -> None:
    space = spaces.Dict(a=spaces.Discrete(5), b=spaces.Tuple([spaces.Box(0, 1, (2,)), spaces.MultiBinary(2)]))

    class Nested(gym.Env[Any, Any]):
        observation_space, action_space, count = space, spaces.MultiDiscrete([2, 3]), 0

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
            super().reset(seed=seed)
            self.count = 0
            return self.show(), {}

        def show(self) -> Any:
            return {"a": self.count, "b": (np.full(2, self.count / 4, np.float32), np.array([1, 0], np.int8))}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            self.count = min(4, self.count + int(action[1]))
            return self.show(), 1.0, self.count == 4, False, {}

    for mode in AutoresetMode:
        stream = VectorStream(SyncVectorEnv([Nested] * 2, autoreset_mode=mode))
        stream.reset(Seeds())
        ticks = [stream.step([np.array([0, 2]), np.array([1, 1])], Seeds()) for _ in range(2)]
        assert all(o in space for tick in ticks for o in tick.observations)
        assert [o["a"] for o in ticks[1].observations] == [4, 2]
        assert ticks[1].flags.tolist() == [T, C]
        assert (0 in ticks[1].restarts) == (mode != NEXT_STEP)
        agent = SpikingAgent(SyncVectorEnv([Nested] * 2, autoreset_mode=mode), config={"pool_words": 4})
        assert agent.learn(10).num_timesteps == 10


def test_a_vector_environment_must_say_how_it_resets() -> None:
    class Silent(VectorEnv[Any, Any, Any]):
        metadata: dict[str, Any] = {}
        num_envs = 1

    with pytest.raises(HebbitError, match="must say metadata"):
        VectorStream(Silent())


def test_a_vector_environment_of_its_own_kind_is_learned_from() -> None:
    envs = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point")
    assert not isinstance(envs, SyncVectorEnv)
    agent = SpikingAgent(envs, config={"pool_words": 4}, seed=3)
    agent.learn(200)
    assert min(agent.books.begun) > 3
    again = SpikingAgent(gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point"),
                         config={"pool_words": 4}, seed=3)  # fmt: skip
    assert again.learn(200).digest() == agent.digest()


def test_a_replay_repeats_or_says_that_it_cannot() -> None:
    stream = VectorStream(vector(DISABLED, ((9, "terminated"),), ((9, "terminated"),)))
    observations, rewards = stream.replay([1, 2], [[0, 0, 0], [0]])
    assert [pair(o) for o in observations] == [(0, 3), (0, 1)] and rewards == [[1, 2, 3], [1]]
    with pytest.raises(HebbitError, match="does not repeat"):
        SingleStream(Counting()).replay([1], [[0, 0, 0]])
    with pytest.raises(HebbitError, match="cannot be replayed"):
        VectorStream(vector(NEXT_STEP, FIRST)).replay([1], [[]])


# What the brains make of it.
CONFIG = {"pool_words": 4, "gamma": 0.9, "critic_step": 0.32, "reward_scale": "fixed", "optimism": 0}


def valued(agent: SpikingAgent, observation: list[float]) -> float:
    """The critic's value of one observation, in rewards."""
    shown = agent.encoder.encode([np.array(observation)], slice(0, 1))
    still = np.zeros((1, agent.brain_config.pool_words, 32), np.uint8)
    answer = agent.backend.predict(agent.state, np.zeros(1, np.int64), shown, still, np.zeros(1, np.uint32), True)
    return float(answer.values[0, 0] / 2.0**agent.config.reward_bits)


class Always(Counting):
    """Shows the same, pays 1, and every episode has one step."""

    def __init__(self, how: str) -> None:
        super().__init__(((1, how),))

    def reset(self, **settings: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(**settings)
        return np.full(2, 50.0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        _, _, terminated, truncated, info = super().step(action)
        return np.full(2, 50.0), 1.0, terminated, truncated, info


@pytest.mark.parametrize("mode", [None, DISABLED, SAME_STEP, NEXT_STEP])
def test_only_truncation_looks_beyond_the_end(mode: AutoresetMode | None) -> None:
    values = {}
    for how in ("terminated", "truncated", "both"):
        env: Any = Always(how) if mode is None else SyncVectorEnv([partial(Always, how)], autoreset_mode=mode)
        values[how] = valued(SpikingAgent(env, config=CONFIG, seed=1).learn(1500), [50.0, 50.0])
    assert values["terminated"] == pytest.approx(1, abs=0.5)
    assert values["both"] == values["terminated"]
    # 1 / (1 - gamma)
    assert values["truncated"] == pytest.approx(10, abs=2)


class Corridor(Always):
    """Truncated where the view differs from all others: is that what is valued?"""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        _, _, terminated, truncated, info = super().step(action)
        return np.full(2, 99.0), 0.0, terminated, truncated, info


@pytest.mark.parametrize("mode", [None, DISABLED, SAME_STEP, NEXT_STEP])
def test_the_final_observation_is_what_is_valued(mode: AutoresetMode | None) -> None:
    shown: list[tuple[float, int]] = []
    env: Any = Corridor("truncated")
    env = env if mode is None else SyncVectorEnv([lambda: Corridor("truncated")], autoreset_mode=mode)
    agent = SpikingAgent(env, config=CONFIG)
    brain_step = agent.backend.step

    def spy(state: Any, intensities: NDArray[np.uint8], rewards: Any, flags: NDArray[np.uint8]) -> NDArray[np.int32]:
        shown.append((float(intensities[0, 0].argmax()), int(flags[0])))
        units: NDArray[np.int32] = brain_step(state, intensities, rewards, flags)
        return units

    agent.backend = type("Spy", (), {"step": staticmethod(spy), "export": agent.backend.export})()
    agent.learn(4)
    places = {S: {place for place, flag in shown if flag == S}, U: {place for place, flag in shown if flag == U}}
    assert len(places[S]) == len(places[U]) == 1 and places[S] != places[U]
    assert {flag for _, flag in shown} == {S, U}


def test_nothing_is_learned_from_the_step_that_resets() -> None:
    env = SyncVectorEnv([lambda: Counting(((3, "truncated"),))], autoreset_mode=NEXT_STEP)
    agent = SpikingAgent(env, config=CONFIG).learn(0)
    for step in range(1, 13):
        before = agent.arrays()
        agent.learn(1, reset_num_timesteps=False)
        after = agent.arrays()
        changed = any(not np.array_equal(before[name], after[name]) for name in ("weights", "fractions"))
        assert after["episode"][0] - before["episode"][0] == (step % 4 == 0)
        assert changed == (step % 4 != 0)


def test_all_modes_teach_the_same() -> None:
    """Two steps and the end, four times over; NEXT_STEP needs one more tick for each of its resets."""
    schedule: Schedule = ((3, "terminated"), (3, "truncated"))
    single = SpikingAgent(Counting(schedule), config=CONFIG).learn(12).digest()
    for mode, steps in ((DISABLED, 12), (SAME_STEP, 12), (NEXT_STEP, 16)):
        assert SpikingAgent(vector(mode, schedule), config=CONFIG).learn(steps).digest() == single


def test_spaces_of_the_batch_are_left_alone() -> None:
    envs = vector(SAME_STEP, FIRST, SECOND)
    assert envs.observation_space == batch_space(envs.single_observation_space, 2)
    SpikingAgent(envs, config=CONFIG).learn(8)
    actions = [getattr(env.unwrapped, "actions", []) for env in envs.envs]
    assert all(len(own) == 8 and set(own) <= {0, 1, 2} for own in actions)
