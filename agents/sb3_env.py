"""Stable-Baselines3's VecEnv as a VectorEnv of Gymnasium, known by its shape: nothing of SB3 is imported."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError

LIBRARY = "stable_baselines3"


class Sb3VecEnv(Protocol):
    """What is asked of a VecEnv: it resets by itself, and steps to (observations, rewards, dones, infos)."""

    num_envs: int
    observation_space: gym.Space[Any]
    """Of one environment, as is the other."""
    action_space: gym.Space[Any]

    def reset(self) -> Any:
        """Begin an episode in every environment: a batch of observations."""

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[np.bool_], Sequence[dict[str, Any]]]:
        """Act in every environment; one that is done gives the first observation of its next episode."""

    def seed(self, seed: int | None = None) -> Any:
        """Keep seed + i for the next reset of environment i."""

    def close(self) -> None:
        """Let go of everything."""


def from_sb3(env: object) -> bool:
    """Whether one of the thing's classes comes from Stable-Baselines3."""
    return any(base.__module__.partition(".")[0] == LIBRARY for base in type(env).__mro__)


def is_vec_env(env: object) -> TypeGuard[Sb3VecEnv]:
    """Whether it is a VecEnv of Stable-Baselines3; its wrappers of one environment, such as Monitor, are none."""
    methods = ("reset", "step", "step_async", "step_wait", "seed", "close")
    if isinstance(env, gym.Env) or not (from_sb3(env) and hasattr(env, "num_envs")):
        return False
    return all(callable(getattr(env, name, None)) for name in methods)


class VecEnvAdapter(VectorEnv[Any, Any, Any]):
    """A VecEnv as a VectorEnv that resets in the step in which an episode ends.

    Seeds are given before the first episode of each environment alone, for a VecEnv takes no others.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, venv: Sb3VecEnv) -> None:
        """Hold a VecEnv; closing this closes it."""
        self.venv = venv
        self.num_envs = venv.num_envs
        self.single_observation_space = seen_space(venv)
        self.single_action_space = venv.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.spec = _spec_of(venv)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every environment.

        Args:
            seed: environment i gets seed + i.
            options: none are passed on.
        """
        if seed is not None:
            if not isinstance(seed, int | np.integer):
                raise HebbitError("a VecEnv of Stable-Baselines3 takes one seed for all its environments, got several")
            self.venv.seed(int(seed))
        return self.venv.reset(), {}

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Act in every environment; ``infos['final_obs']`` holds the last observation where an episode ended."""
        observations, rewards, dones, infos = self.venv.step(actions)
        done = np.asarray(dones, np.bool_)
        cut = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos], np.bool_)
        final = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(done).tolist():
            if "terminal_observation" not in infos[i]:
                raise HebbitError(
                    "a VecEnv must give infos[i]['terminal_observation'] where an episode ends, as those of "
                    f"Stable-Baselines3 do, got none from {type(self.venv).__name__}; mend its step_wait"
                )
            final[i] = infos[i]["terminal_observation"]
        return observations, np.asarray(rewards, np.float64), done & ~cut, done & cut, {"final_obs": final}

    def close(self, **kwargs: Any) -> None:
        """Close the VecEnv."""
        self.venv.close()

    def __str__(self) -> str:
        """Name what is held."""
        return f"VecEnvAdapter({type(self.venv).__name__}, num_envs={self.num_envs})"


def members(venv: Any) -> Sequence[gym.Env[Any, Any]]:
    """The environments within, where they live in this process."""
    return tuple(getattr(getattr(venv, "unwrapped", venv), "envs", ()))


def seen_space(venv: Sb3VecEnv) -> gym.Space[Any]:
    """Space of what is seen, of one environment.

    VecNormalize keeps the bounds of what it normalises, which its observations have nothing to do with: they are taken
    as unbounded here, so that an agent finds their range.
    """
    space, layer = venv.observation_space, _normalizer(venv)
    if layer is None:
        return space
    if isinstance(space, gym.spaces.Dict):
        keys = set(layer.norm_obs_keys or space.keys())
        return gym.spaces.Dict({key: _unbounded(one) if key in keys else one for key, one in space.items()})
    return _unbounded(space)


def _unbounded(space: gym.Space[Any]) -> gym.Space[Any]:
    assert space.shape is not None
    return gym.spaces.Box(-np.inf, np.inf, space.shape, np.float32)


def _normalizer(venv: Any) -> Any:
    """The layer that normalises observations; None without one."""
    while venv is not None:
        # each layer by its own attributes: a wrapper passes on those of what it wraps
        own = getattr(venv, "__dict__", {})
        if {"obs_rms", "norm_obs", "norm_obs_keys"} <= own.keys() and own["norm_obs"]:
            return venv
        venv = own.get("venv")
    return None


def _spec_of(venv: Any) -> Any:
    """Gymnasium's spec of the environments, by which presets are found; None where they have none."""
    try:
        return venv.get_attr("spec")[0]
    except (AttributeError, IndexError, NotImplementedError):
        return None
