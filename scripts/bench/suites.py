"""Suites: which tasks a benchmark is made of, as data."""

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from hebbit.agents.environment import EnvSpec, episode_seed, whole
from hebbit.agents.errors import HebbitError, brief

BASELINES = ("ppo", "a2c", "dqn", "qrdqn", "ars")
"""Algorithms of Stable-Baselines3 and its contrib package."""
SUITES = ("classic", "box2d", "lander", "minatar", "memory", "smoke")
"""Those that come along."""
EVALUATION_SEED = 1 << 31
"""Of the final episodes: far from the seeds that people train and tune with, whose evaluations have the same stream."""
CURVE_EPISODES = 10
"""Episodes of a point of the learning curve."""
CURVE_FIRST = 1_000_000
"""Number of the first of them: the final evaluation has others."""


@dataclass(frozen=True)
class Task:
    """One environment, how long it is trained in and how it is evaluated: the same for all algorithms."""

    env_id: str
    steps: int
    """Of training, for hebbit and for baselines without a tuned budget."""
    name: str = ""
    """In tables and of folders; by default the environment's id without its module."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    """As ``hebbit train --wrapper`` takes them, inner first."""
    episodes: int = 100
    """Of the final evaluation, greedy and stochastic each."""
    evaluation_seed: int = EVALUATION_SEED
    """The final episodes are reset with Philox words of this seed in the evaluation stream, whatever the run's seed."""
    threshold: float | None = None
    """Mean return that counts as solved; by default the one that Gymnasium registers."""
    score_low: float | None = None
    """Mean return of a random policy: the normalised score 0."""
    score_high: float | None = None
    """Mean return of a good reference: the normalised score 1."""
    source: str = ""
    """Of both."""
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of an algorithm by its name: changes of its tuned or default settings; ``preset`` names one of hebbit's."""

    def environment(self) -> EnvSpec:
        """What makes the environment."""
        return EnvSpec(self.env_id, dict(self.kwargs), self.wrappers)

    def final_seeds(self) -> list[int]:
        """What the episodes of the final evaluation are reset with."""
        return [episode_seed(self.evaluation_seed, 0, e, evaluation=True) for e in range(self.episodes)]

    def curve_seeds(self) -> list[int]:
        """What the episodes of every point of the learning curve are reset with."""
        numbers = range(CURVE_FIRST, CURVE_FIRST + CURVE_EPISODES)
        return [episode_seed(0, 0, e, evaluation=True) for e in numbers]


@dataclass(frozen=True)
class Suite:
    """Tasks under one name."""

    name: str
    tasks: tuple[Task, ...]


def load(name: str) -> Suite:
    """A suite that comes along, or one of a TOML file.

    Raises:
        HebbitError: there is none, or it is not understood.
    """
    if name in SUITES:
        return parse(files("hebbit.scripts.bench").joinpath(f"suite_{name}.toml").read_text(), name, name)
    path = Path(name)
    if not path.is_file():
        raise HebbitError(f"--suite must be one of {', '.join(SUITES)}, or a TOML file; there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise HebbitError(f"suite {path} cannot be read: {brief(error)}") from error
    return parse(text, path.stem, str(path))


def parse(text: str, name: str, source: str) -> Suite:
    """The suite of a TOML text; what stands beside its tasks holds for all of them.

    Raises:
        HebbitError: it is not understood.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise HebbitError(f"suite {source} must be TOML: {brief(error)}") from error
    rows = content.pop("tasks", None)
    own = content.pop("name", name)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise HebbitError(f"suite {source} must have at least one [[tasks]] with env_id and steps")
    tasks = tuple(_task({**content, **row}, source) for row in rows)
    names = [task.name for task in tasks]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise HebbitError(f"suite {source} has {twice[0]} twice: give each a name of its own")
    return Suite(str(own), tasks)


def _task(row: Mapping[str, Any], source: str) -> Task:
    where = f"suite {source}"
    _known(row, {one.name for one in dataclasses.fields(Task)}, where)
    for key in ("env_id", "steps"):
        if key not in row:
            raise HebbitError(f"{where} has a task without {key}: every task needs env_id and steps")
    checks: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
        ("env_id", str, "a text"),
        ("name", str, "a text"),
        ("source", str, "a text"),
        ("kwargs", dict, "a table"),
        ("wrappers", list, "a list of texts"),
        ("settings", dict, "a table for each algorithm"),
        *((key, (int, float), "a number") for key in ("threshold", "score_low", "score_high")),
    )
    for key, kind, what in checks:
        if key in row and (not isinstance(row[key], kind) or isinstance(row[key], bool)):
            raise HebbitError(f"{where}: {key} must be {what}, got {brief(row[key], text=repr)}")
    _check_scales(row, where)
    _check_settings(row.get("settings", {}), where)
    numbers = {
        key: whole(row[key], f"{where}: {key}") for key in ("steps", "episodes", "evaluation_seed") if key in row
    }
    if not (numbers["steps"] and numbers.get("episodes", 1)):
        raise HebbitError(f"{where}: steps and episodes must be at least 1, got {brief(row, text=repr)}")
    wrappers = tuple(str(one) for one in row.get("wrappers", ()))
    name = row.get("name") or str(row["env_id"]).rpartition(":")[2]
    return Task(**{**row, **numbers, "name": name, "wrappers": wrappers})


def _check_scales(row: Mapping[str, Any], where: str) -> None:
    scales = {key: row[key] for key in ("threshold", "score_low", "score_high") if key in row}
    for key, value in scales.items():
        if not math.isfinite(value):
            raise HebbitError(f"{where}: {key} must be finite, got {value}")
    if ("score_low" in scales) != ("score_high" in scales):
        raise HebbitError(f"{where}: score_low and score_high belong together, got {brief(scales)}")
    if "score_low" in scales and not scales["score_low"] < scales["score_high"]:
        raise HebbitError(f"{where}: score_low must be less than score_high, got {brief(scales)}")


def _check_settings(settings: Mapping[str, Any], where: str) -> None:
    _known(settings, ("hebbit", *BASELINES), f"{where}, settings,")
    for name, own in settings.items():
        if not isinstance(own, dict):
            raise HebbitError(f"{where}: settings of {name} must be a table, got {brief(own, text=repr)}")


def _known(row: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    allowed = sorted(names)
    for key in row:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(allowed)}"
            raise HebbitError(f"{where} has an unknown entry {key!r}; {hint}")
