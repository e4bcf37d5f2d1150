"""Scales of rewards that set themselves: what is found, when it changes, and that it changes nothing else."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, checkpoint
from hebbit.agents.errors import CheckpointError, ObservationError
from hebbit.agents.rewards import EVERY, FIELDS, FORGETTING, HORIZON, Gauge, RewardScale, rescale
from hebbit.backends.spec import DOPAMINE_LIMIT, REWARD_LIMIT, UNIT, Flag

SMALL: dict[str, Any] = {"pool_words": 2, "cycles": 2, "gamma": 0.9}
S, C, T, U, IDLE = (int(flag) for flag in (Flag.START, Flag.CONTINUE, Flag.TERMINATED, Flag.TRUNCATED, Flag.IDLE))
SPAN = 100 * UNIT
"""Of the default settings."""


class Paying(gym.Env[Any, Any]):
    """Pays what it is told to, again and again; episodes of ten steps that terminate."""

    observation_space, action_space = spaces.Box(-1, 1, (2,), np.float64), spaces.Discrete(2)

    def __init__(self, *rewards: float, factor: float = 1.0, length: int = 10) -> None:
        self.rewards, self.factor, self.length, self.paid, self.left = rewards, factor, length, 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = self.length
        return self.np_random.uniform(-1, 1, 2), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = self.rewards[self.paid % len(self.rewards)] * (1 + action)
        self.left, self.paid = self.left - 1, self.paid + 1
        return self.np_random.uniform(-1, 1, 2), reward * self.factor, self.left == 0, False, {}


def paid(*rewards: float, brains: int = 1, gamma: float = 0.99, **settings: Any) -> RewardScale:
    """A scale after some rewards of one endless episode."""
    scale = RewardScale([AgentConfig(gamma=gamma, **settings)] * brains)
    for reward in rewards:
        follow(scale, [reward] * brains)
    return scale


def follow(scale: RewardScale, rewards: list[float], flag: int = C) -> dict[int, float]:
    return scale.follow(rewards, np.full(len(rewards), flag, np.uint8))


def steps_of(scale: RewardScale) -> float:
    """Weight steps of a reward of 1."""
    return scale.gauges[0].unit / UNIT


def test_nothing_is_known_before_a_reward() -> None:
    scale = paid(*[0.0] * 1000)
    assert scale.gauges[0].unit == 0 and scale.integers([5.0]).tolist() == [0]


@pytest.mark.parametrize("first", [100.0, -100.0, 1e-3, -1e6])
def test_a_first_reward_after_a_thousand_zeros_spans_the_range(first: float) -> None:
    scale = paid(*[0.0] * 1000, first)
    assert scale.integers([first]).tolist() == [math.copysign(SPAN, first)]


@pytest.mark.parametrize("reward", [-1.0, 1.0, 1e-3, 1e6])
def test_constant_rewards_are_known_at_once(reward: float) -> None:
    """They add up to r / (1 - gamma): that spans the range from the first step on and for ever."""
    scale = paid(reward)
    assert steps_of(scale) == pytest.approx(1 / abs(reward))
    for _ in range(3000):
        assert follow(scale, [reward]) == {}


def test_short_episodes_are_known_to_be_short() -> None:
    scale = RewardScale([AgentConfig()])
    follow(scale, [1.0], T)
    assert scale.integers([1.0]).tolist() == [SPAN]
    # ten steps of 1 each: after the first episode, about what they add up to
    scale = paid(*[1.0] * 9)
    follow(scale, [1.0], T)
    for _ in range(30):
        for step in range(10):
            follow(scale, [1.0], T if step == 9 else C)
    assert 0.32 * 100 <= 9.56 * steps_of(scale) <= 128


def test_what_is_cut_short_goes_on() -> None:
    """The value of a truncated episode's end is that of what would have followed."""
    alike = [paid(*[1.0] * 5) for _ in range(2)]
    follow(alike[0], [1.0], U)
    follow(alike[1], [1.0], C)
    assert alike[0].gauges == alike[1].gauges
    follow(alike[0], [1.0], T)
    assert alike[0].gauges[0].total == 0 and alike[0].gauges[0].ends == 1 / 7


def test_starting_and_waiting_brains_meet_no_reward() -> None:
    scale = paid(2.0, brains=3)
    before = [scale.gauges[row].seen for row in range(3)]
    scale.follow([7.0, 7.0, 7.0], np.array([S, IDLE, C], np.uint8))
    assert [gauge.seen - n for gauge, n in zip(scale.gauges, before, strict=True)] == [0, 0, 1]


def test_what_is_next_to_nothing_sets_no_scale() -> None:
    """The first reward of any size does, at whatever age."""
    scale = paid(*[1e-40] * 6)
    assert scale.gauges[0].unit == 0 and scale.gauges[0].age == 6
    follow(scale, [5.0])
    assert scale.integer(0, 5.0) > 0


@pytest.mark.parametrize(("age", "factor"), [(1, 2.0**-11), (EVERY - 1, 2.0**-10)])
def test_larger_returns_halve_rewards_until_they_fit(age: int, factor: float) -> None:
    """A return of 1200 takes 117 of 128 steps after ten halvings: too much for a young scale, not for an old one."""
    scale = paid(*[0.0] * 200, 1.0, gamma=0.5)
    assert steps_of(scale) == 100
    scale.gauges[0].age = age
    assert follow(scale, [1200.0]) == {0: factor}
    assert steps_of(scale) == 100 * factor


def test_slightly_larger_returns_change_nothing() -> None:
    scale = paid(*[0.0] * 200, 1.0, gamma=0.5)
    gauge = scale.gauges[0]
    for age, reward, changes in ((1, 1.09, {}), (EVERY - 1, 1.27, {}), (EVERY - 1, 1.29, {0: 0.5})):
        gauge.age, gauge.total = age, 0.0
        assert follow(scale, [reward]) == changes


def test_an_old_scale_is_looked_at_now_and_then() -> None:
    scale, looks = paid(1.0, gamma=0.0), []
    for age in range(2, 4 * EVERY + 1):
        gauge = scale.gauges[0]
        gauge.largest = 1.5 * gauge.largest
        if follow(scale, [1.0]):
            looks.append(age)
    assert looks == [2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024]


def test_a_freak_is_forgotten() -> None:
    scale = paid(*[1.0] * 300, 1e4, *[1.0] * 300, gamma=0.5)
    small = steps_of(scale)
    assert small <= 128 / 1e4
    for _ in range(int(9.5 / FORGETTING)):
        follow(scale, [1.0])
    assert 0.32 * 100 <= 2 * steps_of(scale) <= 128 and small < steps_of(scale) / 1000


def test_what_is_fixed_follows_nothing() -> None:
    scale = RewardScale([AgentConfig(reward_scale="fixed", reward_bits=2)])
    assert follow(scale, [1e9]) == {} and scale.arrays() == {} and scale.gauges == [Gauge(unit=4.0)]
    rewards = [0.0, 0.124, 0.125, -0.125, -0.126, 1.0, 1e9, -1e9]
    assert [scale.integer(0, reward) for reward in rewards] == [0, 0, 1, 0, -1, 4, REWARD_LIMIT, -REWARD_LIMIT]


@pytest.mark.parametrize("reward_scale", ["auto", "fixed"])
def test_a_reward_that_is_no_number_changes_nothing(reward_scale: str) -> None:
    scale = paid(1.0, brains=2, reward_scale=reward_scale)
    before = [gauge.seen for gauge in scale.gauges]
    with pytest.raises(ObservationError, match="rewards must be finite, got nan"):
        follow(scale, [3.0, math.nan])
        scale.integers([3.0, math.nan])
    assert [gauge.seen for gauge in scale.gauges] == before


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(finite, st.sampled_from([S, C, T, U])), max_size=40), st.sampled_from([0.0, 0.9, 1.0]))
def test_any_finite_rewards_stay_within_sixteen_bits(met: list[tuple[float, int]], gamma: float) -> None:
    scale = RewardScale([AgentConfig(gamma=gamma)])
    for reward, flag in met:
        factor = follow(scale, [reward], flag).get(0, 1.0)
        assert math.frexp(factor)[0] == 0.5
        assert abs(scale.integer(0, reward)) <= REWARD_LIMIT
        assert math.isfinite(scale.gauges[0].unit) and math.isfinite(scale.gauges[0].largest)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30))
def test_each_operation_is_rounded_once(rewards: list[int]) -> None:
    """Products and sums are those of exact fractions, rounded to 53 bits one by one: no machine may fuse them."""
    gauge, total, size, largest, ends = Gauge(), 0.0, 0.0, 0.0, 0.0

    def rounded(exact: Fraction) -> float:
        return exact.numerator / exact.denominator

    for n, reward in enumerate(map(float, rewards), 1):
        gauge.follow(reward, 0.99, False)
        total = rounded(Fraction(rounded(Fraction(0.99) * Fraction(total))) + Fraction(reward))
        share = Fraction(rounded(Fraction(1, n)))
        difference = Fraction(rounded(Fraction(abs(reward)) - Fraction(size)))
        size = rounded(Fraction(size) + Fraction(rounded(share * difference)))
        kept = Fraction(largest) - Fraction(rounded(Fraction(FORGETTING) * Fraction(largest)))
        largest = max(rounded(kept), abs(total))
        assert (gauge.total, gauge.size, gauge.largest, gauge.ends, gauge.seen) == (total, size, largest, ends, n)


def test_without_discount_the_horizon_is_bounded() -> None:
    assert steps_of(paid(1.0, gamma=1.0)) == 100 / HORIZON


# What the agent makes of it.
FACTORS = [1000.0, 0.001, 2.0**-20]


def play(env: gym.Env[Any, Any], steps: int = 300, **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, seed=2, config={**SMALL, **settings}).learn(steps)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("rewards", [(1.0,), (-1.0, 0.5), (0.0, 0.0, 0.0, 100.0), (0.01, 0.02, 5.0, -70.0)])
def test_rewards_times_a_factor_teach_the_same(factor: float, rewards: tuple[float, ...]) -> None:
    plain, other = play(Paying(*rewards)), play(Paying(*rewards, factor=factor))
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name], name)
    assert other.rewards.gauges[0].unit * factor == pytest.approx(plain.rewards.gauges[0].unit)
    assert plain.arrays()["weights"].any()


def test_fixed_scales_are_what_they_were() -> None:
    """The setting alone decides, and a reward of 1 is 2**reward_bits."""
    agent = play(Paying(1.0), reward_scale="fixed", reward_bits=3)
    assert agent.rewards.integers([1.0]).tolist() == [8] and not agent.rewards.arrays()
    assert agent.digest() == play(Paying(1.0), reward_scale="fixed", reward_bits=3).digest()
    assert agent.digest() != play(Paying(1.0), reward_scale="fixed", reward_bits=4).digest()


def grown(**settings: Any) -> SpikingAgent:
    """An agent in the midst of an episode that has learned a little, and remembers."""
    return play(Paying(1.0, -0.3, length=7), 60, replay_steps=40, surprise_shift=4, learning_words=1, **settings)


def test_what_is_learned_shrinks_towards_optimism() -> None:
    agent = grown(optimism=20.0)
    before = agent.arrays()
    assert before["value"].any() and before["surprise"].any() and np.unique(before["weights"][:, -1]).size > 1
    remembered = agent.memory.arrays()["replay_rewards"]
    rescale(agent, {0: 0.25})
    after = agent.arrays()
    was, now = (16 * a["weights"].astype(np.int64) + a["fractions"] for a in (before, after))
    # in sixteenths, about the optimism and a half
    np.testing.assert_array_equal(now[0, -1], (was[0, -1] - 328 + 2) // 4 + 328)
    np.testing.assert_array_equal(after["value"], (before["value"] - 20 * 256 + 2) // 4 + 20 * 256)
    np.testing.assert_array_equal(after["surprise"], (before["surprise"] + 2) // 4)
    np.testing.assert_array_equal(agent.memory.arrays()["replay_rewards"], (remembered + 2) // 4)
    assert remembered.any()
    np.testing.assert_array_equal(now[0, :-1], was[0, :-1])
    for name in set(before) - {"weights", "fractions", "value", "surprise", "collected"}:
        np.testing.assert_array_equal(after[name], before[name], name)


def test_what_is_learned_grows_in_proportion() -> None:
    agent = grown(learning_every=1000)
    arrays = agent.arrays()
    arrays["collected"][:] = 40_000
    arrays["weights"][0, -1, 0, :3] = 100, -100, 7
    agent._make_state(agent.state.params, arrays)
    rescale(agent, {0: 2.0})
    after = agent.arrays()
    assert after["collected"].tolist() == [DOPAMINE_LIMIT]
    assert after["weights"][0, -1, 0, :3].tolist() == [127, -128, 14]
    np.testing.assert_array_equal(after["value"], 2 * arrays["value"])


def test_value_stays_that_of_the_weights() -> None:
    """What was expected of the present observation is what the new weights say of it: no dopamine comes of it."""
    agent = grown(optimism=20.0)
    arrays = agent.arrays()
    arrays["weights"][:, -1] = 60
    arrays["value"][:] = 60 * UNIT
    agent._make_state(agent.state.params, arrays)
    rescale(agent, {0: 0.5})
    assert set(np.unique(agent.arrays()["weights"][:, -1])) == {40} and agent.arrays()["value"].tolist() == [
        [40 * UNIT]
    ]


def test_other_brains_are_left_alone() -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, brains=3, config={**SMALL, "replay_steps": 30}).learn(40)
    before, remembered = agent.arrays(), agent.memory.arrays()["replay_rewards"]
    rescale(agent, {1: 0.5})
    after, now = agent.arrays(), agent.memory.arrays()["replay_rewards"]
    for b in (0, 2):
        for name, array in before.items():
            np.testing.assert_array_equal(after[name][b], array[b], name)
        np.testing.assert_array_equal(now[b], remembered[b])
    assert (after["weights"][1] != before["weights"][1]).any() and (now[1] != remembered[1]).any()


def changing() -> Paying:
    """Halves and doubles its scale along the way."""
    return Paying(*[0.01] * 20, 1.0, -40.0, *[0.5] * 50, length=13)


def test_rescaling_happens_while_it_learns() -> None:
    agent = SpikingAgent(changing(), seed=2, config=SMALL)
    units = []
    for _ in range(100):
        agent.learn(1, reset_num_timesteps=False)
        units.append(agent.rewards.gauges[0].unit)
    assert len(set(units)) >= 3 and all(math.frexp(u / units[-1])[0] == 0.5 for u in units if u)


def test_what_is_learned_follows_the_scale_while_it_learns() -> None:
    """A critic that learns nothing by itself: whatever its weights do is the work of the scale."""
    agent = SpikingAgent(Paying(1.0, 1.0, 1.0, 20.0), seed=2, config={**SMALL, "critic_step": 0.0, "optimism": 0.0})
    arrays = agent.arrays()
    arrays["weights"][:, -1] = 64
    agent._make_state(agent.state.params, arrays)
    agent.learn(1)
    first = agent.rewards.gauges[0].unit
    assert first > 0 and set(np.unique(agent.arrays()["weights"][:, -1])) == {64}
    agent.learn(3, reset_num_timesteps=False)
    factor = agent.rewards.gauges[0].unit / first
    assert 1 / 16 <= factor < 1
    assert set(np.unique(agent.arrays()["weights"][:, -1])) == {int(64 * factor)}


def test_a_brain_of_a_population_is_that_brain_alone() -> None:
    envs = SyncVectorEnv([changing, lambda: Paying(5.0)], autoreset_mode=AutoresetMode.DISABLED)
    both = SpikingAgent(envs, seed=2, config=SMALL).learn(600)
    for brain, env in enumerate((changing(), Paying(5.0))):
        alone = SpikingAgent(env, seed=2, config=SMALL, brains=[brain]).learn(600)
        assert both.extract(brain).digest() == alone.digest()
    assert both.rewards.gauges[0].unit != both.rewards.gauges[1].unit


def test_the_step_that_resets_pays_nothing() -> None:
    """NEXT_STEP needs one more tick for each of its resets; nothing else differs."""
    one = SpikingAgent(Paying(3.0, length=2), config=SMALL).learn(12)
    envs = SyncVectorEnv([lambda: Paying(3.0, length=2)], autoreset_mode=AutoresetMode.NEXT_STEP)
    other = SpikingAgent(envs, config=SMALL).learn(17)
    assert one.rewards.gauges == other.rewards.gauges and one.rewards.gauges[0].seen == 12


def test_scales_are_saved(tmp_path: Path) -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, brains=2, config=SMALL).learn(150)
    agent.save(tmp_path / "agent.zip")
    again = SpikingAgent.load(tmp_path / "agent.zip")
    assert again.rewards.gauges == agent.rewards.gauges and again.digest() == agent.digest()
    one = agent.extract(1)
    assert one.rewards.gauges == agent.rewards.gauges[1:]
    for each in (agent, again, one):
        each.learn(100, reset_num_timesteps=False)
    assert again.digest() == agent.digest() and one.rewards.gauges == agent.rewards.gauges[1:]
    other = SpikingAgent("CartPole-v1", seed=1, brains=2, config=SMALL)
    other.set_parameters(agent.get_parameters())
    assert other.digest() == agent.digest() and other.rewards.gauges == agent.rewards.gauges


@pytest.mark.parametrize("name", FIELDS)
def test_the_digest_tells_every_part_of_a_scale(name: str) -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, config=SMALL).learn(20)
    before = agent.digest()
    setattr(agent.rewards.gauges[0], name, getattr(agent.rewards.gauges[0], name) + 1)
    assert agent.digest() != before


@pytest.mark.parametrize(
    ("name", "value"),
    [("total", math.inf), ("total", math.nan), ("seen", -1), ("seen", 3), ("age", -1), ("ends", 1.5), ("ends", -0.1),
     ("size", math.nan), ("size", -1.0), ("largest", math.inf), ("largest", -1.0), ("largest", 1e300),
     ("total", -1e300), ("unit", 5e-324), ("unit", -1.0), ("unit", math.nan), ("age", 0)],
)  # fmt: skip
def test_scales_that_no_agent_has_are_refused(name: str, value: float, tmp_path: Path) -> None:
    agent = SpikingAgent("CartPole-v1", seed=1, config=SMALL).learn(20)
    agent.save(tmp_path / "good.zip")
    found = checkpoint.read(tmp_path / "good.zip")
    assert SpikingAgent.load(tmp_path / "good.zip").rewards.gauges == agent.rewards.gauges
    found.arrays[f"reward_{name}"][0] = value
    checkpoint.write(tmp_path / "bad.zip", found.meta, found.arrays)
    with pytest.raises(CheckpointError, match="scales of rewards that no agent has"):
        SpikingAgent.load(tmp_path / "bad.zip")


def test_a_checkpoint_without_its_scale_is_refused(tmp_path: Path) -> None:
    SpikingAgent("CartPole-v1", seed=1, config=SMALL).learn(20).save(tmp_path / "good.zip")
    found = checkpoint.read(tmp_path / "good.zip")
    del found.arrays["reward_unit"]
    checkpoint.write(tmp_path / "bad.zip", found.meta, found.arrays)
    with pytest.raises(HebbitError, match="no array 'reward_unit'"):
        SpikingAgent.load(tmp_path / "bad.zip")
