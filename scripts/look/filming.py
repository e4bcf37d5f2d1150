"""What a film needs: a package that writes it, and an environment that gives pictures."""

import importlib.util
from typing import Any

import gymnasium as gym
import numpy as np

from hebbit.agents import EnvSpec, HebbitError
from hebbit.agents.errors import brief

Env = gym.Env[Any, Any]


def check_movie() -> None:
    """See that a video can be written.

    Raises:
        HebbitError: moviepy is not there.
    """
    if importlib.util.find_spec("moviepy") is None:
        raise HebbitError("--video needs moviepy, which is not installed: pip install 'hebbit[video]'")


def no_picture(shown: Any) -> str | None:
    """Why what an environment rendered is no picture, or None where it is one."""
    if isinstance(shown, np.ndarray) and shown.ndim == 3 and shown.shape[2] in (3, 4):
        return None
    return f"rendering gave {brief(type(shown).__name__)} instead of a picture"


def rendering(spec: EnvSpec) -> tuple[Env, str | None]:
    """An environment that gives pictures; or one that does not, and why."""
    plain = spec.make()
    modes = plain.metadata.get("render_modes") or ()
    if "rgb_array" not in modes:
        return plain, f"{spec.id} cannot be rendered as rgb_array"
    plain.close()
    try:
        env = spec.make("rgb_array")
    except HebbitError as error:
        return spec.make(), brief(error, 200)
    try:
        env.reset(seed=0)
        problem = no_picture(env.render())
    except Exception as error:  # whatever rendering needs: a missing package, no display
        problem = f"rendering failed with {type(error).__name__}: {brief(error, 200)}"
    if problem is None:
        return env, None
    env.close()
    return spec.make(), problem


def refuse_films(spec: EnvSpec) -> None:
    """See that an environment can be filmed.

    Raises:
        HebbitError: it gives no pictures.
    """
    env, problem = rendering(spec)
    env.close()
    if problem is not None:
        raise HebbitError(f"{spec.id} cannot be filmed: {problem}; install what it renders with, or leave --video out")
