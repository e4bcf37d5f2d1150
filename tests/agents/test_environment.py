"""Environments by name, and the seeds of their episodes."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hebbit.agents import EnvSpec, HebbitError
from hebbit.agents.environment import episode_seed

LIMIT = "gymnasium.wrappers.TimeLimit"


def test_one_environment_with_arguments_and_wrappers() -> None:
    spec = EnvSpec("FrozenLake-v1", {"is_slippery": False}, (f'{LIMIT}:{{"max_episode_steps": 2}}',))
    env = spec.make()
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(2)] == [False, True]
    plain = EnvSpec("CartPole-v1", {}, ("gymnasium.wrappers.FlattenObservation",)).make()
    assert isinstance(plain, gym.wrappers.FlattenObservation)
    assert spec.to_dict() == {"id": "FrozenLake-v1", "kwargs": {"is_slippery": False}, "wrappers": [spec.wrappers[0]]}


def test_pictures_are_made_on_demand() -> None:
    env = EnvSpec("CartPole-v1").make(render_mode="rgb_array")
    env.reset(seed=0)
    assert np.asarray(env.render()).ndim == 3
    env.close()


def test_several_side_by_side() -> None:
    envs: Any = EnvSpec("CartPole-v1", {"sutton_barto_reward": True}).make_vector(3)
    assert isinstance(envs, SyncVectorEnv) and envs.num_envs == 3
    assert envs.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    envs.reset(seed=[1, 2, 3])
    assert envs.step(np.zeros(3, int))[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "spec",
    [
        EnvSpec("Nowhere-v0"),
        EnvSpec("nowhere/CartPole-v1"),
        EnvSpec("no_such_module:CartPole-v1"),
        EnvSpec("not an id"),
        EnvSpec(""),
        EnvSpec("CartPole-v999"),
        EnvSpec("CartPole-v1", {"nonsense": 3}),
        EnvSpec("FrozenLake-v1", {"map_name": "huge"}),
        EnvSpec("CartPole-v1", {}, ("nonsense",)),
        EnvSpec("CartPole-v1", {}, ("",)),
        EnvSpec("CartPole-v1", {}, ("gymnasium.wrappers.Nonsense",)),
        EnvSpec("CartPole-v1", {}, (f"{LIMIT}:{{",)),
        EnvSpec("CartPole-v1", {}, (f"{LIMIT}:3",)),
        EnvSpec("CartPole-v1", {}, (LIMIT,)),
        EnvSpec("CartPole-v1", {}, (f'{LIMIT}:{{"max_episode_steps": -1}}',)),
        EnvSpec("CartPole-v1", {}, ("builtins.str",)),
        EnvSpec("CartPole-v1", {}, ("builtins.print",)),
    ],
)
def test_what_cannot_be_made_is_named(spec: EnvSpec) -> None:
    for make in (spec.make, lambda: spec.make_vector(2)):
        with pytest.raises(HebbitError, match=r"^(environment|wrapper) '.*' cannot be (made|applied)") as caught:
            make()
        assert "\n" not in str(caught.value)


def test_seeds_of_episodes_are_31_bits_and_differ() -> None:
    seeds = [
        episode_seed(seed, brain, episode, evaluation)
        for seed in (0, 1, 2**32 - 1)
        for brain in (0, 1, 2**32 - 1)
        for episode in (0, 1, 100_000)
        for evaluation in (False, True)
    ]
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == len(seeds)


def test_seeds_of_episodes_stay_what_they_are() -> None:
    """They are part of the contract: a change here is a new contract version."""
    pinned = [episode_seed(0, 0, 0), episode_seed(7, 3, 5), episode_seed(7, 3, 5, evaluation=True)]
    assert pinned == [100938637, 62945771, 126899114]
