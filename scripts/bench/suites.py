"""Suites: which tasks a benchmark is made of, as data."""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from hebbit.agents.environment import EnvSpec, episode_seed, whole
from hebbit.agents.errors import HebbitError, brief

SUITES = ("classic", "box2d", "minatar", "smoke")
"""Those that come along."""
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
    evaluation_seed: int = 0
    """The episodes are reset with Philox words of this seed in the evaluation stream, whatever the training seed."""
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
        return [episode_seed(self.evaluation_seed, 0, e, evaluation=True) for e in numbers]


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
        raise HebbitError(f"--suite must be one of {', '.join(SUITES)}, or a TOML file, got {brief(name, text=repr)}")
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
    numbers = {
        key: whole(row[key], f"{where}: {key}") for key in ("steps", "episodes", "evaluation_seed") if key in row
    }
    if not (numbers["steps"] and numbers.get("episodes", 1)):
        raise HebbitError(f"{where}: steps and episodes must be at least 1, got {brief(row, text=repr)}")
    wrappers = tuple(str(one) for one in row.get("wrappers", ()))
    name = row.get("name") or str(row["env_id"]).rpartition(":")[2]
    return Task(**{**row, **numbers, "name": name, "wrappers": wrappers})


def _known(row: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    allowed = sorted(names)
    for key in row:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(allowed)}"
            raise HebbitError(f"{where} has an unknown entry {key!r}; {hint}")
