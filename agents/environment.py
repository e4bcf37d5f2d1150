"""Environments by name: made alike for training, evaluation and resuming."""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from hebbit.agents.errors import HebbitError, brief
from hebbit.backends.philox import draw
from hebbit.backends.spec import Stream

RESIDENT = "hebbit.envs:hebbit/"
"""What comes before the name of an environment that is registered in a resident form."""


@dataclass(frozen=True)
class EnvSpec:
    """What is needed to make an environment again."""

    id: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    """``package.module.Class``, or with arguments in JSON: ``package.module.Class:{"name": value}``."""
    resident: bool = False
    """Whether brains learn in the resident form of the environment; single environments are Gymnasium's own."""

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """One environment, wrapped.

        Raises:
            HebbitError: it cannot be made.
        """
        try:
            kwargs = dict(self.kwargs) if render_mode is None else {**self.kwargs, "render_mode": render_mode}
            env: gym.Env[Any, Any] = gym.make(self.id, **kwargs)
        except gym.error.DependencyNotInstalled as error:
            extra = "pip install 'gymnasium[box2d]'" if "box2d" in str(error).lower() else "see Gymnasium's extras"
            raise HebbitError(
                f"environment {brief(self.id, text=repr)} needs a package that is not installed: {extra}"
            ) from error
        except Exception as error:  # whatever an environment raises, the user named it and its arguments
            raise HebbitError(f"environment {brief(self.id, text=repr)} cannot be made: {_reason(error)}") from error
        for wrapper in self.wrappers:
            env = _wrap(env, wrapper)
        return env

    def make_vector(self, number: int) -> gym.vector.VectorEnv[Any, Any, Any]:
        """``number`` environments side by side, reset one by one when we say so.

        Raises:
            HebbitError: it cannot be made, or there is no resident form of it.
        """
        if self.resident:
            return self._make_resident(number)
        makers: list[Callable[[], gym.Env[Any, Any]]] = [self.make] * number
        return gym.vector.SyncVectorEnv(makers, autoreset_mode=gym.vector.AutoresetMode.DISABLED)

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        told = {"id": self.id, "kwargs": self.kwargs, "wrappers": list(self.wrappers)}
        return {**told, "resident": True} if self.resident else told

    def _make_resident(self, number: int) -> gym.vector.VectorEnv[Any, Any, Any]:
        if self.kwargs or self.wrappers:
            raise HebbitError("a resident environment takes neither arguments nor wrappers")
        try:
            return gym.make_vec(
                f"{RESIDENT}{self.id}",
                number,
                vectorization_mode=gym.VectorizeMode.VECTOR_ENTRY_POINT,
                autoreset_mode=gym.vector.AutoresetMode.DISABLED,
            )
        except (gym.error.Error, ValueError) as error:
            prefix = RESIDENT.partition(":")[2]
            known = [name.removeprefix(prefix) for name, spec in gym.registry.items() if _is_resident(spec, prefix)]
            raise HebbitError(
                f"{brief(self.id, text=repr)} has no resident form; there are {', '.join(known)}"
            ) from error


def _is_resident(spec: Any, prefix: str) -> bool:
    return spec.vector_entry_point is not None and str(spec.id).startswith(prefix)


def _reason(error: BaseException) -> str:
    """A KeyError says nothing but the key."""
    name = type(error).__name__
    return f"{name} {error}" if isinstance(error, KeyError) else brief(error, 300) or name


def _wrap(env: gym.Env[Any, Any], wrapper: str) -> gym.Env[Any, Any]:
    name, _, arguments = wrapper.partition(":")
    module, _, attribute = name.rpartition(".")
    try:
        kwargs = json.loads(arguments) if arguments else {}
        kind = getattr(importlib.import_module(module), attribute)
        if not (isinstance(kind, type) and issubclass(kind, gym.Wrapper)):
            raise TypeError("it is no gymnasium.Wrapper")
        wrapped = kind(env, **kwargs)
    except Exception as error:  # whatever a wrapper raises, the user named it
        raise HebbitError(
            f"wrapper {brief(wrapper, text=repr)} cannot be applied: {_reason(error)}; expected package.module.Class "
            'or package.module.Class:{"argument": value}'
        ) from error
    return wrapped


def episode_seed(seed: int, brain: int, episode: int, evaluation: bool = False) -> int:
    """Seed of one episode's reset, 31 bits: a Philox word of (seed, brain, episode); evaluation has its own stream."""
    stream = Stream.EPISODE + (Stream.EVALUATION if evaluation else 0)
    return int(draw(np.zeros(1, np.uint32), episode, 0, 0, stream, (seed, brain))[0, 0]) >> 1


def checked_seed(seed: int) -> int:
    """A seed that a Philox key can hold.

    Raises:
        HebbitError: it is none.
    """
    if not (isinstance(seed, int | np.integer) and 0 <= seed < 2**32):
        raise HebbitError(f"seed must be a whole number of 0..2**32 - 1, got {brief(seed, text=repr)}")
    return int(seed)


def whole(value: Any, name: str) -> int:
    """A whole number of at least 0; 1e5 is one.

    Raises:
        HebbitError: it is none.
    """
    if not isinstance(value, int | float | np.integer | np.floating) or value != value // 1:
        raise HebbitError(f"{name} must be a whole number, got {brief(value, text=repr)}")
    if value < 0:
        raise HebbitError(f"{name} must be 0 or more, got {value}")
    return int(value)
