"""Which settings a baseline of Stable-Baselines3 is run with, and which actions it can choose."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from inspect import signature
from typing import Any

from gymnasium import spaces

from hebbit.agents.environment import whole
from hebbit.agents.errors import HebbitError
from hebbit.scripts.bench import suites
from hebbit.scripts.bench.suites import Task

BASELINES = suites.BASELINES
NAMES = {"hebbit": "hebbit", "ppo": "PPO", "a2c": "A2C", "dqn": "DQN", "qrdqn": "QR-DQN", "ars": "ARS"}
"""As they are written in tables."""
TUNED = "rl-zoo 2.9.2"
UNTUNED = "Stable-Baselines3's defaults: rl-zoo has no settings for this environment"

_ACTIONS: dict[str, tuple[type[spaces.Space[Any]], ...]] = {
    "dqn": (spaces.Discrete,),
    "qrdqn": (spaces.Discrete,),
    "ars": (spaces.Discrete, spaces.Box),
}
_ALL_ACTIONS = (spaces.Discrete, spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)


@cache
def tuned() -> dict[str, dict[str, dict[str, Any]]]:
    """rl-zoo's settings by algorithm and environment; ``steps`` is the budget they were tuned for."""
    return tomllib.loads(files("hebbit.scripts.bench").joinpath("baselines.toml").read_text())


def chooses(algorithm: str, actions: spaces.Space[Any]) -> bool:
    """Whether an algorithm can act in such a space."""
    return isinstance(actions, _ACTIONS.get(algorithm, _ALL_ACTIONS))


def settings(algorithm: str, task: Task, observations: spaces.Space[Any], budget: str) -> tuple[int, dict[str, Any]]:
    """Steps and settings of a baseline on a task: rl-zoo's where it has some, and the suite's own changes.

    Args:
        algorithm: one of BASELINES.
        task: names the environment.
        observations: decide the policy where nothing is tuned.
        budget: ``tuned`` for the steps that the settings were tuned for, ``equal`` for the task's.
    """
    found = tuned()[algorithm].get(task.env_id)
    own = dict(found) if found else {"policy": _policy(algorithm, observations)}
    tuned_steps = own.pop("steps", task.steps)
    changes = task.settings.get(algorithm, {})
    _check(algorithm, changes)
    own |= changes
    steps = whole(own.pop("steps", tuned_steps if budget == "tuned" else task.steps), f"steps of {algorithm}")
    if own.get("normalize") and isinstance(observations, spaces.Dict):
        raise HebbitError(f"{algorithm} cannot normalise Dict observations here: leave normalize out of its settings")
    changed = sorted({*changes, *(["steps"] if found and steps != tuned_steps else [])})
    other = " (tuned without these kwargs and wrappers)" if found and (task.kwargs or task.wrappers) else ""
    label = (TUNED if found else UNTUNED) + other + (f"; changed: {', '.join(changed)}" if changed else "")
    return steps, {**own, "source": label}


def _check(algorithm: str, changes: Mapping[str, Any]) -> None:
    """Refuse settings that an algorithm does not have, before anything runs."""
    if not changes.keys() - {"steps"}:
        return
    # imports torch
    from hebbit.scripts.bench.sb3 import kind_of

    known = {*signature(kind_of(algorithm).__init__).parameters, "n_envs", "normalize", "steps"} - {"self", "env"}
    for name in changes:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            raise HebbitError(f"settings of {algorithm} have an unknown entry {name!r}; {hint}")


def _policy(algorithm: str, observations: spaces.Space[Any]) -> str:
    if isinstance(observations, spaces.Dict):
        return "MultiInputPolicy"
    shape = observations.shape or ()
    # what NatureCNN was made for; smaller images it cannot take
    image = len(shape) == 3 and observations.dtype == "uint8" and min(sorted(shape)[1:]) >= 36
    return "CnnPolicy" if image and algorithm != "ars" else "MlpPolicy"
