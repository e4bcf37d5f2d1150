"""Production as a whole: its steps, its environments, and worlds that change."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent
from hebbit.agents.callbacks import BaseCallback
from hebbit.agents.production import Production, in_production
from hebbit.backends.spec import Backend, Param

SMALL = {"pool_words": 4}
CARTPOLE = "CartPole-v1"


def newborn(env: Any = CARTPOLE, **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, **{"config": SMALL, "seed": 4, **settings})


class Returns(BaseCallback):
    """Returns of the episodes that ended."""

    def __init__(self) -> None:
        super().__init__()
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_episode_end(self) -> bool:
        self.returns.append(self.locals["episode"]["r"])
        return True


def test_steps_can_be_smaller(tmp_path: Path) -> None:
    agent = newborn(config={**SMALL, "learning_words": 1}).learn(20)
    usual, before = agent.state.params.copy(), agent.digest()
    Production(agent, 0.25)
    smaller = agent.state.params
    for param in Param:
        share = 0.25 if param in (Param.ACTOR_RATE, Param.INNER_RATE) else 1
        assert np.array_equal(smaller[..., param], np.rint(usual[..., param] * share)), param
    assert agent.digest() == before and usual[0, 0, Param.ACTOR_RATE] > 0
    weights = agent.arrays()["weights"]
    Production(agent, 0).learn(60)
    assert np.array_equal(weights[:, :-1], agent.arrays()["weights"][:, :-1])
    assert not np.array_equal(weights[:, -1], agent.arrays()["weights"][:, -1])
    agent.save(tmp_path / "a.zip")
    assert np.array_equal(SpikingAgent.load(tmp_path / "a.zip").state.params, usual)
    assert np.array_equal(Production(agent).agent.state.params, usual)
    for step in (-0.1, 1.5, float("nan")):
        with pytest.raises(HebbitError, match="step must lie in 0..1"):
            Production(agent, step)


def test_a_population_serves_as_its_brains_alone() -> None:
    together = newborn(brains=[2, 7])
    with in_production(together):
        together.learn(40)
    for row, number in enumerate((2, 7)):
        alone = newborn(brains=[number])
        Production(alone).learn(40)
        assert together.extract(row).digest() == alone.digest()


def test_machines_agree(backend: Backend) -> None:
    ours, theirs = newborn(), newborn(backend=backend.name)
    for agent in (ours, theirs):
        Production(agent).learn(12)
    assert theirs.digest() == ours.digest()


def test_an_agent_needs_an_environment_to_serve_in(tmp_path: Path) -> None:
    env = gym.make(CARTPOLE)
    spec = EnvSpec(CARTPOLE)
    agent = newborn(None, spaces=(env.observation_space, env.action_space))
    with pytest.raises(HebbitError, match="this agent has no environment"):
        Production(agent).learn(3)
    with pytest.raises(HebbitError, match="must have the agent's spaces"):
        Production(agent).learn(3, "Acrobot-v1")
    assert Production(agent).learn(3, spec).agent.num_timesteps == 3
    agent.save(tmp_path / "a.zip")
    assert Production(SpikingAgent.load(tmp_path / "a.zip")).learn(3).agent.num_timesteps == 3


def world(**changes: float) -> gym.Env[Any, Any]:
    """CartPole with other physics."""
    env = gym.make(CARTPOLE)
    for name, value in changes.items():
        setattr(env.unwrapped, name, value)
    physics: Any = env.unwrapped
    physics.polemass_length = physics.masspole * physics.length
    return env


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_world_that_changes_is_learned_from_calm_answers(seed: int) -> None:
    """The pole becomes a fifth as long: what had been learned does worse, and what is seen gets better."""
    agent = SpikingAgent(CARTPOLE, seed=seed).learn(20_000)
    before = agent.evaluate(episodes=30)[0].mean()
    fallen = agent.evaluate(world(length=0.1), episodes=30)[0].mean()
    seen = Returns()
    Production(agent).learn(20_000, world(length=0.1), callback=seen, log_interval=None)
    late = np.mean(seen.returns[-20:])
    assert before > 450 > fallen and late > fallen + 50
