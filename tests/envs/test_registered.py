"""Every environment of ours keeps Gymnasium's rules; registering one is enough to have it tested."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import hebbit.envs

OURS = sorted(name for name, spec in gym.registry.items() if name.startswith("hebbit/") and spec.entry_point)


def test_there_are_some() -> None:
    assert hebbit.envs.Identity is not None
    assert len(OURS) >= 4


@pytest.mark.parametrize("name", OURS)
def test_gymnasium_checks_it(name: str) -> None:
    check_env(gym.make(name).unwrapped)


@pytest.mark.parametrize("name", OURS)
def test_the_same_seed_gives_the_same_episode(name: str) -> None:
    def play() -> list[float]:
        env = gym.make(name)
        env.reset(seed=3)
        env.action_space.seed(3)
        return [float(env.step(env.action_space.sample())[1]) for _ in range(10)]

    assert play() == play()


def test_identity_pays_for_repeating() -> None:
    env = gym.make("hebbit/Identity-multidiscrete-v0")
    shown, _ = env.reset(seed=0)
    shown, reward, *_ = env.step(shown)
    assert reward == 1.0
    _, reward, terminated, truncated, _ = env.step((shown + 1) % np.array([3, 2]))
    assert (reward, terminated, truncated) == (0.0, False, False)


def test_identity_is_truncated() -> None:
    env = gym.make("hebbit/Identity-discrete-v0", length=2)
    env.reset(seed=0)
    assert env.step(0)[3] is False
    assert env.step(0)[3] is True


def test_identity_refuses_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        gym.make("hebbit/Identity-discrete-v0", kind="graph")
