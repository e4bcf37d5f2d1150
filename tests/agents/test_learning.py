"""It learns: the smallest tasks there are, on seeds that nothing was tuned on, and CartPole."""

from typing import Any

import numpy as np
import pytest

import hebbit.envs  # noqa: F401  # registers its environments
from hebbit.agents import SpikingAgent

SEEDS = (1, 2, 3)
RANDOM = {"discrete": 5.0, "multidiscrete": 8.4, "multibinary": 10.0, "box": 6.7}
"""What acting at random earns; 20 is the most there is."""


def greedy(kind: str, seed: int, **settings: Any) -> float:
    """Mean return after 2000 steps."""
    config = {"pool_words": 8, "gamma": 0.0, "reward_bits": 11, **settings}
    agent = SpikingAgent(f"hebbit/Identity-{kind}-v0", seed=seed, config=config).learn(2000)
    return float(agent.evaluate(episodes=20)[0].mean())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "least"), [("discrete", 20.0), ("multidiscrete", 19.5), ("multibinary", 19.0), ("box", 16.0)]
)
def test_every_kind_of_action_is_learned(kind: str, least: float, seed: int) -> None:
    assert greedy(kind, seed) >= least > RANDOM[kind]


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize(
    "settings",
    [{"motor_rule": "second_draw"}, {"clusters": 2}, {"sensory": "bernoulli"}, {"critic_trace": "replacing"}],
)
@pytest.mark.parametrize(("kind", "least"), [("discrete", 19.0), ("multibinary", 18.0), ("box", 15.5)])
def test_every_rule_learns(settings: dict[str, Any], kind: str, least: float, seed: int) -> None:
    assert greedy(kind, seed, **settings) >= least


def test_a_newborn_brain_knows_nothing() -> None:
    agent = SpikingAgent("hebbit/Identity-discrete-v0", config={"pool_words": 8})
    assert agent.evaluate(episodes=50, deterministic=False)[0].mean() == pytest.approx(5, abs=1)


def test_a_population_learns_brain_by_brain() -> None:
    config = {"pool_words": 8, "gamma": 0.0, "reward_bits": 11}
    agent = SpikingAgent("hebbit/Identity-discrete-v0", brains=3, config=config).learn(2000)
    for brain in range(3):
        agent.active = brain
        assert agent.evaluate(episodes=5)[0].mean() >= 19.5


@pytest.mark.slow
def test_cartpole_is_solved_with_the_defaults() -> None:
    agents = [SpikingAgent("CartPole-v1", seed=seed, config="default").learn(30_000) for seed in (7, 8, 9)]
    # a solved policy may wobble: seed 7 has been at 500 and is at some 330 when it stops
    assert sum(np.mean(agent.evaluate(episodes=100)[0]) >= 475 for agent in agents) >= 2
