"""Every environment of ours passes both checkers, Gymnasium's and Stable-Baselines3's."""

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

import hebbit.envs  # noqa: F401  # registers its environments

OURS = sorted(name for name, spec in gym.registry.items() if name.startswith("hebbit/") and spec.entry_point)


def test_there_are_some() -> None:
    assert len(OURS) >= 4


@pytest.mark.parametrize("name", OURS)
def test_gymnasium_accepts_it(name: str) -> None:
    gymnasium_check(gym.make(name).unwrapped)


@pytest.mark.parametrize("name", OURS)
def test_stable_baselines3_accepts_it(name: str) -> None:
    sb3_check(gym.make(name), warn=True)
    sb3_check(gym.make(name).unwrapped, warn=True)
