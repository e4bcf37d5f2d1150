"""Teams: several environments teach one brain."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent, resident, team
from hebbit.agents.config import AgentConfig
from hebbit.agents.rewards import Gauge
from hebbit.agents.saving import learned
from hebbit.backends.spec import FRACTION_BITS
from hebbit.envs.resident import make_resident

CARTPOLE = EnvSpec("CartPole-v1", resident=True)
TINY: dict[str, Any] = {"pool_words": 3, "cycles": 3}
RICH: dict[str, Any] = {
    **TINY, "clusters": 2, "echo_delay": 1, "echo_pool": 1, "learning_words": 1, "reads": "all", "ranges": "adaptive",
    "warmup": 300,
}  # fmt: skip


def newborn(env: Any = CARTPOLE, brains: int = 1, backend: str = "numba", **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, seed=5, brains=brains, backend=backend, config=AgentConfig(**{**TINY, **settings}))


def fine(agent: SpikingAgent) -> Any:
    arrays = agent.arrays()
    return (arrays["weights"].astype(int) << FRACTION_BITS) + arrays["fractions"]


def changes(agent: SpikingAgent, other: SpikingAgent) -> list[str]:
    own, others = learned(agent), learned(other)
    return [name for name, array in own.items() if not np.array_equal(array, others[name])]


@pytest.mark.parametrize("settings", [{}, {**RICH}], ids=["plain", "rich"])
def test_a_team_of_one_learns_what_one_learns(settings: dict[str, Any]) -> None:
    alone = newborn(**settings).learn(500, log_interval=None)
    agent = newborn(**settings)
    team.learn(agent, 500, environments=1, every=70)
    # ranges are found from sums, so their last digits may differ
    assert [name for name in changes(agent, alone) if not name.startswith("encoder_")] == []
    for name, array in learned(alone).items():
        np.testing.assert_allclose(learned(agent)[name], array, rtol=1e-9)
    assert agent.total_steps == agent.num_timesteps == 500


def test_copies_are_wired_alike_and_live_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    honest = team._Common.agree

    def agree(self: Any, weight: int) -> None:
        seen.append((fine(self.crew), self.crew.arrays(), list(self.crew.books.returns)))
        honest(self, weight)
        assert len(np.unique(fine(self.crew)[:4], axis=0)) == 1 and len(np.unique(fine(self.crew), axis=0)) == 2

    monkeypatch.setattr(team._Common, "agree", agree)
    agent = newborn(brains=2, reward_scale="fixed")
    before = fine(agent)
    team.learn(agent, 40, environments=4, every=40, share=1.0)
    weights, arrays, returns = seen[0]
    assert arrays["brain"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert (arrays["episode"] >> team.APART).tolist() == [0, 1, 2, 3] * 2 and arrays["presentation"].max() < 100
    assert len(np.unique(weights, axis=0)) == 8 and len(set(returns)) > 2
    votes = (weights.reshape(2, 4, *weights.shape[1:]) - before[:, None]).sum(axis=1)
    assert np.array_equal(fine(agent), np.clip(before + votes, team.LEAST, team.LARGEST))
    assert agent.brains.tolist() == [0, 1]
    for name in ("presentation", "episode"):
        assert np.array_equal(agent.arrays()[name], arrays[name][[0, 4]])
    assert agent.total_steps == 160


@pytest.mark.parametrize("settings", [{}, RICH], ids=["plain", "rich"])
def test_every_backend_agrees(settings: dict[str, Any]) -> None:
    made = []
    for backend in ("numpy", "numba", "shim"):
        agent = newborn(backend=backend, **settings)
        team.learn(agent, 45, environments=3, every=20)
        made.append(agent)
    assert changes(made[1], made[0]) == [] and changes(made[2], made[0]) == []


def test_ordinary_environments_teach_too() -> None:
    """A team goes on from where another one ended, and so does the brain alone."""
    agent = newborn("CartPole-v1")
    team.learn(agent, 30, environments=2)
    before, weights = agent.arrays(), fine(agent)
    team.learn(agent, 30, environments=2)
    assert (agent.arrays()["presentation"] > before["presentation"]).all() and not np.array_equal(fine(agent), weights)
    # it goes on alone
    agent.learn(20, log_interval=None)
    assert agent.num_timesteps == 20 and agent.total_steps == 140


def test_votes_are_summed_shared_and_cut() -> None:
    before = np.array([[100, 2040, -2040, 7]], np.int32)
    after = np.array([[101, 2047, -2048, 7], [103, 2047, -2048, 6]], np.int32)
    assert team.voted(before, after, 256).tolist() == [[104, 2047, -2048, 6]]
    assert team.voted(before, after, 128).tolist() == [[102, 2047, -2048, 7]]


@pytest.mark.parametrize(("mean", "known"), [(3.0, 50), (1.7e9, 50), (1.7e9, 0)])
def test_pooled_observations_are_those_of_one_who_saw_all(mean: float, known: int) -> None:
    dice = np.random.default_rng(3)
    common, one, other = (dice.normal(mean, 2, (n, 2)) for n in (known, 30, 20))

    def seen(*parts: Any) -> tuple[Any, Any, Any]:
        values = np.concatenate(parts)
        if not len(values):
            return np.zeros(1, np.int64), np.zeros((1, 2)), np.zeros((1, 2))
        return np.array([len(values)]), values.mean(axis=0)[None], (len(values) * values.var(axis=0))[None]

    def arrays(*found: Any) -> dict[str, Any]:
        names = ("seen", "mean", "square")
        return {f"encoder_{n}": np.concatenate([f[i] for f in found]) for i, n in enumerate(names)}

    copies = arrays(seen(common, one), seen(common, other))
    n, means, variances = team.pooled(arrays(seen(common)), copies, 2)
    expected = np.concatenate([common, one, other])
    assert n.tolist() == [len(expected)]
    np.testing.assert_allclose(means[0], expected.mean(axis=0))
    np.testing.assert_allclose(variances[0], expected.var(axis=0), rtol=1e-5)


def test_ranges_are_found_together() -> None:
    settings = {**TINY, "ranges": "adaptive", "warmup": 200}
    agent = newborn(**settings)
    team.learn(agent, 100, environments=4, every=25)
    own = agent.encoder.arrays()
    # of 4 x 100 observations no more than 200 count
    assert own["encoder_seen"].tolist() == [200] and (own["encoder_scale"] > 0).all()
    before = {name: array.copy() for name, array in own.items()}
    team.learn(agent, 50, environments=4, every=25)
    assert all(np.array_equal(before[name], array) for name, array in agent.encoder.arrays().items())


def united(units: list[float], before: float, critics: list[int]) -> tuple[team._Common, list[int]]:
    """Copies of one brain with these units, whose critics have these weights, when they have agreed on rewards."""
    agent = newborn("MountainCarContinuous-v0")
    crew = team._crew(agent, len(units))
    common = team._Common(crew, len(units))
    common.units = [before]
    arrays = crew.arrays(["weights", "fractions"])
    for row, (unit, critic) in enumerate(zip(units, critics, strict=True)):
        crew.rewards.gauges[row] = replace(Gauge(), unit=unit, seen=row, size=float(row))
        arrays["weights"][row, -1], arrays["fractions"][row, -1] = critic >> 4, critic & 15
    crew.backend.refill(crew.state, arrays)
    common._agree_on_rewards()
    assert len({gauge.unit for gauge in crew.rewards.gauges}) == 1
    found = fine(crew)[:, -1]
    assert (found == found[:, :1, :1]).all()
    return common, found[:, 0, 0].tolist()


BORN = 328
"""Sixteenths of a step of a newborn critic's weights: an optimism of 20, and a half."""


@pytest.mark.parametrize(
    ("units", "before", "critics", "expected", "common"),
    [
        # nobody knows rewards yet
        ([0.0, 0.0], 0.0, [BORN, 400], [BORN, 400], BORN),
        # one has met some: the others learn in its unit
        ([0.0, 2.0], 0.0, [BORN, 400], [BORN, 400], BORN),
        # the smallest unit is that of all; what is larger than all before shrinks about the optimism
        ([8.0, 2.0], 0.0, [BORN + 80, BORN], [BORN + 20, BORN], BORN),
        ([2.0, 4.0], 4.0, [BORN + 40, BORN + 80], [BORN + 40, BORN + 40], BORN),
        # a unit that grew was stretched about zero (and a half), and goes back so
        ([8.0, 4.0], 4.0, [8 + 2 * (BORN - 8), BORN], [BORN, BORN], BORN),
        ([8.0, 2.0], 4.0, [8 + 2 * (BORN - 8), BORN], [BORN, BORN], BORN),
        # all have grown, and what they had in common with them
        ([8.0, 8.0], 4.0, [500, 600], [500, 600], 8 + 2 * (BORN - 8)),
    ],
)
def test_the_smallest_unit_is_that_of_all(
    units: list[float], before: float, critics: list[int], expected: list[int], common: int
) -> None:
    found, values = united(units, before, critics)
    assert values == expected and (found.fine["weights"][0, -1] == common).all()
    known = [unit for unit in units if unit]
    assert found.units == [min(known, default=0.0)]
    gauges = found.crew.rewards.gauges
    assert [gauge.seen for gauge in gauges] == [1, 1] and gauges[0].size == 0.5


@pytest.mark.parametrize(
    ("settings", "arguments", "text"),
    [
        ({}, {"environments": 0}, "environments must be 1..32, got 0"),
        ({}, {"environments": 33}, "environments must be 1..32"),
        ({}, {"every": 0}, "every must be at least 1"),
        ({}, {"share": 1.5}, "share must be"),
        ({}, {"share": 0.0}, "share must be more than 0 and at most 1, got 0.0"),
        ({}, {"share": float("nan")}, "got nan"),
        ({}, {"share": float("inf")}, "got inf"),
        ({"rewire_every": 50}, {}, "leave out rewire_every"),
        ({"actor_fading": 0.1}, {}, "leave out rewire_every and actor_fading"),
        ({"replay_steps": 10}, {}, "replay_steps must be 0"),
    ],
)
def test_what_cannot_be_is_said(settings: dict[str, Any], arguments: dict[str, Any], text: str) -> None:
    agent = newborn("CartPole-v1", **settings)
    with pytest.raises(HebbitError, match=text):
        team.learn(agent, 10, **arguments)


def test_a_team_makes_its_environments() -> None:
    agent = newborn(make_resident("CartPole-v1", 1, autoreset_mode=AutoresetMode.DISABLED))
    with pytest.raises(HebbitError, match="make the agent from an id"):
        team.learn(agent, 10)


@pytest.mark.slow
def test_a_team_learns_sooner() -> None:
    """700 steps in each of eight environments teach most brains what alone they do not learn in 700."""
    alone, together = (SpikingAgent(CARTPOLE, seed=1, brains=10) for _ in range(2))
    alone.learn(700, log_interval=None)
    team.learn(together, 700, environments=8)
    for agent in (alone, together):
        agent._prepare(True)
    means = [resident.trial(agent, 10)[0].mean(axis=1) for agent in (alone, together)]
    assert (means[1] >= 400).mean() > (means[0] >= 400).mean() + 0.2
