"""From whatever names an environment to a stream of experience for each brain."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import HebbitError, brief
from hebbit.agents.sb3_env import Sb3VecEnv, VecEnvAdapter, from_sb3, is_vec_env, members
from hebbit.agents.streams import ExperienceStream, ResidentStream, SingleStream, VectorStream, is_resident

Made = gym.Env[Any, Any] | VectorEnv[Any, Any, Any]
AnyEnv = str | EnvSpec | Made | Sb3VecEnv
Spaces = tuple[gym.Space[Any], gym.Space[Any]]
"""Of one brain's observations and actions."""


class Connection(NamedTuple):
    """An environment that brains learn in."""

    spec: EnvSpec | None
    env: Made
    stream: ExperienceStream


def brain_numbers(brains: int | Sequence[int], env: AnyEnv | None) -> NDArray[np.uint32]:
    """Numbers of the brains; one brain alone becomes one for each environment of a VectorEnv or a VecEnv.

    Raises:
        HebbitError: no brain, or a number that a Philox key cannot hold.
    """
    if isinstance(brains, int | np.integer):
        numbers: Any = range(int(brains))
        if brains == 1 and (isinstance(env, VectorEnv) or is_vec_env(env)):
            numbers = range(env.num_envs)
    else:
        numbers = brains
    try:
        fits = all(isinstance(n, int | np.integer) and 0 <= n < 2**32 for n in numbers)
    except TypeError:
        fits = False
    if not fits:
        raise HebbitError(f"brains must be how many, or numbers of 0..2**32 - 1, got {brief(brains, text=repr)}")
    if len(numbers) < 1:
        raise HebbitError(f"an agent needs at least one brain, got {brief(brains, text=repr)}")
    return np.array(numbers, np.uint32)


def spaces_of(env: Made) -> Spaces:
    """Spaces of one brain."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space


def connect(env: AnyEnv, brains: int, spaces: Spaces | None = None) -> Connection:
    """Make what is only named, adapt what is Stable-Baselines3's, and begin a stream.

    Raises:
        HebbitError: it is no environment, not one for so many brains, or it has other spaces than these.
    """
    spec = EnvSpec(env) if isinstance(env, str) else env if isinstance(env, EnvSpec) else None
    made: Any = env
    if spec is not None:
        made = spec.make() if brains == 1 and not spec.resident else spec.make_vector(brains)
    elif is_vec_env(env):
        made = VecEnvAdapter(env)
    try:
        stream = _stream(made, brains)
        if spaces is not None and spaces_of(made) != spaces:
            (seen, acted), (own, other) = map(brief, spaces), map(brief, spaces_of(made))
            raise HebbitError(
                f"the environment must have the agent's spaces {seen} and {acted}, got {own} and {other}; make a new "
                "agent for it"
            )
    except HebbitError:
        if spec is not None:
            made.close()
        raise
    return Connection(spec, made, stream)


def _stream(env: Any, brains: int) -> ExperienceStream:
    if isinstance(env, VectorEnv):
        if env.num_envs != brains:
            raise HebbitError(f"{brains} brains need as many environments, got {env.num_envs}")
        return ResidentStream(env) if is_resident(env) else VectorStream(env)
    if not isinstance(env, gym.Env):
        hint = "; of Stable-Baselines3 only a VecEnv will do: or use gymnasium.vector.SyncVectorEnv"
        hint = hint if from_sb3(env) else ""
        raise HebbitError(f"env must be an id, an EnvSpec, an Env or a VectorEnv, got {type(env).__name__}{hint}")
    if brains != 1:
        raise HebbitError(f"{brains} brains need a VectorEnv or an environment id, got one Env")
    return SingleStream(env)


def refuse_shared(env: Any, training: Made | None) -> None:
    """Evaluating in the environment that is learned from would cut its running episode.

    Raises:
        HebbitError: they are one and the same.
    """
    shared: list[Any] = [training]
    if isinstance(training, SyncVectorEnv):
        shared += training.envs
    elif isinstance(training, VecEnvAdapter):
        shared += [training.venv, *members(training.venv)]
    inner = getattr(env, "unwrapped", env)
    if env is not None and any(own is not None and own.unwrapped is inner for own in shared):
        raise HebbitError("env must not be the one that is learned from: pass another one to evaluate in, or its id")
