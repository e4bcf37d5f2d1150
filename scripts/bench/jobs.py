"""Runs that a benchmark is made of, each described completely: equal descriptions have equal results."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from gymnasium import spaces

from hebbit.agents.config import configure
from hebbit.agents.decoder import Decoder
from hebbit.agents.encoder import Encoder
from hebbit.agents.errors import HebbitError
from hebbit.agents.runs import safe_name
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts.bench import baselines
from hebbit.scripts.bench.suites import BASELINES, Suite, Task
from hebbit.scripts.settings import check_environment

FORMAT = 2
"""Of a row: what is measured and how. A new one makes older results void."""
OURS = "hebbit"
POINTS = 20
"""Evenly spaced points of a learning curve, besides those that are alike for all budgets: see :meth:`Job.marks`."""
_BESIDE = ("name", "steps", "threshold", "score_low", "score_high", "source", "settings")
"""Entries of a task that change no result, or stand in the job itself."""


@dataclass(frozen=True)
class Job:
    """One algorithm on one task with one seed."""

    algorithm: str
    task: dict[str, Any]
    """The fields of :class:`Task`."""
    seed: int
    steps: int
    settings: dict[str, Any]
    versions: dict[str, str]

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the result."""
        task = {name: value for name, value in self.task.items() if name not in _BESIDE}
        settings = {name: value for name, value in self.settings.items() if name != "source"}
        own = asdict(self) | {"task": task, "settings": settings, "format": FORMAT}
        return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()

    @property
    def kind(self) -> str:
        """The key without the seed: equal for runs that differ in nothing else."""
        return replace(self, seed=0).key

    @property
    def stem(self) -> str:
        """Path of its files below a folder, without their ending; equal for equal runs of different tasks."""
        return f"{safe_name(self.task['env_id'])}/{self.algorithm}-{self.seed}-{self.key[:8]}"

    def whole_task(self) -> Task:
        """The task as a value."""
        return Task(**{**self.task, "wrappers": tuple(self.task["wrappers"])})

    def marks(self) -> list[int]:
        """Steps at which a point of the learning curve is taken; 0 and the last are among them.

        Evenly, and at 1, 2, 3 and 5 times powers of ten: algorithms with different budgets are compared there.
        """
        even = {round(self.steps * n / POINTS) for n in range(POINTS + 1)}
        round_numbers = {digit * 10**power for digit in (1, 2, 3, 5) for power in range(3, 10)}
        return sorted(even | {mark for mark in round_numbers if mark <= self.steps})


WORLDS = ("gymnasium", "numpy", "Box2D", "MinAtar")
"""Packages that environments are made of; those that are installed."""


def versions(algorithm: str) -> dict[str, str]:
    """Versions that decide what an algorithm learns, and in which world."""
    found = {name: own for name in WORLDS if (own := _installed(name)) is not None}
    if algorithm == OURS:
        return {"hebbit": _version("hebbit"), "contract": str(CONTRACT_VERSION), **found}
    names = ["stable_baselines3", "torch", *(["sb3-contrib"] if algorithm in ("qrdqn", "ars") else [])]
    return {name: _version(name) for name in names} | found


def _installed(name: str) -> str | None:
    try:
        # without the build, such as +cpu
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def _version(name: str) -> str:
    found = _installed(name)
    if found is None:
        extra = "pip install 'hebbit[sb3]'" if name != "hebbit" else "pip install hebbit"
        raise HebbitError(f"baselines need {name}, which is not installed: {extra}")
    return found


@dataclass(frozen=True)
class Plan:
    """All runs of a benchmark, in the order in which they are made."""

    suite: Suite
    algorithms: tuple[str, ...]
    jobs: tuple[Job, ...]
    refused: tuple[tuple[str, str], ...]
    """Task and algorithm that do not go together."""

    def to_dict(self) -> dict[str, Any]:
        """What the report reads: which tasks there are, and which results belong to this benchmark."""
        expected = [
            {
                "task": j.task["name"],
                "algorithm": j.algorithm,
                "seed": j.seed,
                "steps": j.steps,
                "key": j.key,
                "kind": j.kind,
            }
            for j in self.jobs
        ]
        return {
            "format": FORMAT,
            "suite": self.suite.name,
            "tasks": [task_dict(task) for task in self.suite.tasks],
            "algorithms": list(self.algorithms),
            "expected": expected,
            "not_applicable": [{"task": task, "algorithm": algorithm} for task, algorithm in self.refused],
        }


def task_dict(task: Task) -> dict[str, Any]:
    """A task fit for JSON."""
    return asdict(task) | {"wrappers": list(task.wrappers)}


def plan(suite: Suite, names: Sequence[str], seeds: Sequence[int], baseline_seeds: Sequence[int], budget: str) -> Plan:
    """Every run of hebbit and of the baselines, seed by seed: each task is seen early.

    Args:
        suite: the tasks; made once each, so that a misspelt one is known now.
        names: of baselines.
        seeds: hebbit's.
        baseline_seeds: the baselines'.
        budget: ``tuned`` or ``equal``, see :func:`baselines.settings`.

    Raises:
        HebbitError: an unknown baseline, an environment that cannot be made, or settings that hebbit refuses.
    """
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise HebbitError(f"--baselines must be some of {', '.join(BASELINES)}, got {unknown[0]!r}")
    kinds: list[tuple[Job, Sequence[int]]] = []
    refused: list[tuple[str, str]] = []
    places = [_look(task) for task in suite.tasks]
    for place in places:
        task = place.task
        for algorithm, job in _of_task(place, names, budget):
            if job is None:
                refused.append((task.name, algorithm))
            else:
                kinds.append((job, seeds if algorithm == OURS else baseline_seeds))
    most = max(len(seeds), len(baseline_seeds))
    jobs = [Job(**{**asdict(job), "seed": own[row]}) for row in range(most) for job, own in kinds if row < len(own)]
    suite = Suite(suite.name, tuple(place.task for place in places))
    return Plan(suite, (OURS, *names), tuple(jobs), tuple(refused))


class _Place(NamedTuple):
    """A task whose environment was made once."""

    task: Task
    """Its threshold is Gymnasium's where it had none."""
    observations: spaces.Space[Any]
    actions: spaces.Space[Any]


def _look(task: Task) -> _Place:
    check_environment(task.env_id)
    env = task.environment().make()
    env.close()
    # a wrapper may change what a return means
    if task.threshold is None and env.spec is not None and not task.wrappers:
        task = replace(task, threshold=env.spec.reward_threshold)
    return _Place(task, env.observation_space, env.action_space)


def _of_task(place: _Place, names: Sequence[str], budget: str) -> Iterator[tuple[str, Job | None]]:
    """A job with seed 0 for each algorithm; None where it cannot act in this environment."""
    task, content = place.task, task_dict(place.task)
    own = dict(task.settings.get(OURS, {}))
    config = configure(task.env_id, own.pop("preset", None), own)
    # what a brain cannot see or do is known now
    encoder, decoder = Encoder(place.observations, config), Decoder(place.actions, config)
    config.brain(encoder.words, decoder.groups)
    yield OURS, Job(OURS, content, 0, task.steps, config.to_dict(), versions(OURS))
    for name in names:
        if not baselines.chooses(name, place.actions):
            yield name, None
            continue
        steps, settings = baselines.settings(name, task, place.observations, budget)
        yield name, Job(name, content, 0, steps, settings, versions(name))


def of_dict(content: Mapping[str, Any]) -> Job:
    """A job as JSON gave it."""
    return Job(**content)
