"""What a benchmark left behind: suite.json and one file for each run, checked and put together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.errors import brief
from hebbit.scripts.bench.report_json import Node, ResultError, check_format, is_older, load

F64 = NDArray[np.float64]

DONE, CRASHED, TIMED_OUT, MISSING = "done", "crashed", "timed out", "missing"
OURS = "hebbit"


@dataclass(frozen=True)
class Task:
    """What was learnt."""

    name: str
    env_id: str
    steps: int
    """Hebbit's budget."""
    threshold: float | None
    """Mean return that counts as solved."""
    low: float | None
    """Return that is the normalised score 0."""
    high: float | None
    """Return that is the normalised score 1."""
    source: str = ""

    def normalised(self, returns: F64) -> F64 | None:
        """Scores of returns, of the same shape; None where the task has no scale."""
        if self.low is None or self.high is None or self.low == self.high:
            return None
        return (returns - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Curve:
    """Checkpoints of a run: arrays [points], by rising steps."""

    steps: F64
    seconds: F64
    cpu_seconds: F64
    greedy: F64
    """Mean return of each checkpoint's episodes."""
    episodes: int
    """Of a checkpoint."""


@dataclass(frozen=True)
class Cost:
    """What a run took; nan where it was not measured."""

    steps: float
    """That were made: an algorithm finishes the rollout it has begun."""
    seconds: float
    cpu_seconds: float
    startup_seconds: float
    peak_bytes: float
    policy_bytes: float
    answer_seconds: float
    spiking: bool
    synaptic: float
    """Synaptic operations of an action."""
    spikes: float
    """Of an action."""
    updates: float
    """Neuron updates of an action."""
    macs: float
    """Multiply-accumulates of an action."""
    parameters: float


@dataclass(frozen=True)
class Run:
    """A result file."""

    path: Path
    key: str
    status: str
    error: str
    job: Mapping[str, Any]
    machine: Mapping[str, Any]
    invocation: str
    finished: str
    greedy: F64 | None = None
    """Returns [episodes] of the final policy."""
    stochastic: F64 | None = None
    curve: Curve | None = None
    cost: Cost | None = None

    @property
    def origin(self) -> tuple[str, str]:
        """Machine and call: seconds of different origins are not compared."""
        return str(self.machine.get("id", "")), self.invocation


@dataclass(frozen=True)
class Entry:
    """A run that the benchmark is made of, whether it was made or not."""

    task: str
    algorithm: str
    seed: int
    steps: int
    key: str
    run: Run | None

    @property
    def status(self) -> str:
        """done, crashed, timed out or missing."""
        return MISSING if self.run is None else self.run.status


@dataclass(frozen=True)
class Results:
    """Everything that was read."""

    folders: tuple[Path, ...]
    suites: tuple[str, ...]
    tasks: tuple[Task, ...]
    algorithms: tuple[str, ...]
    """hebbit first, if it takes part."""
    entries: tuple[Entry, ...]
    old: int
    """Files of runs that are not part of the benchmark any more."""
    unfit: frozenset[tuple[str, str]] = frozenset()
    """Task and algorithm that do not go together."""
    _cells: dict[tuple[str, str], list[Entry]] = field(default_factory=dict, compare=False, repr=False)

    def cell(self, task: str, algorithm: str) -> list[Entry]:
        """The runs expected of an algorithm on a task, by seed."""
        if not self._cells:
            for entry in self.entries:
                self._cells.setdefault((entry.task, entry.algorithm), []).append(entry)
        return self._cells.get((task, algorithm), [])

    def done(self, task: str, algorithm: str) -> list[Run]:
        """Those that are finished."""
        return [entry.run for entry in self.cell(task, algorithm) if entry.run is not None and entry.status == DONE]


def read(folders: Sequence[Path]) -> Results:
    """Read folders that hebbit benchmark filled and put them together.

    Raises:
        ResultError: a folder holds no results, a file is damaged, or two folders contradict each other.
    """
    suites = [read_suite(folder) for folder in folders]
    found = [read_runs(folder) for folder in folders]
    runs = [run for own, _ in found for run in own]
    expected = _merge_expected(suites)
    keys = {one["key"] for one in expected}
    chosen: dict[str, Run] = {}
    for run in runs:
        held = chosen.get(run.key)
        # the same run in two folders: one that was finished is better than one that was not
        if run.key in keys and (held is None or (held.status != DONE and run.status == DONE)):
            chosen[run.key] = run
    names = {one["name"]: one for suite in suites for one in suite["tasks"]}
    for one in expected:
        _check_belongs(one, names[one["task"]], chosen.get(one["key"]))
    entries = [Entry(**{name: one[name] for name in ENTRY}, run=chosen.get(one["key"])) for one in expected]
    return Results(
        tuple(folders),
        tuple(dict.fromkeys(str(suite["suite"]) for suite in suites)),
        tuple(_merge_tasks(suites, chosen.values())),
        _order(name for suite in suites for name in suite["algorithms"]),
        tuple(sorted(entries, key=lambda entry: entry.seed)),
        sum(run.key not in keys for run in runs) + sum(older for _, older in found),
        frozenset((one["task"], one["algorithm"]) for suite in suites for one in suite.get("not_applicable", ())),
    )


ENTRY = ("task", "algorithm", "seed", "steps", "key")
"""Fields of an expected run."""


def _order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sorted(names, key=lambda name: name != OURS)))


def _merge_expected(suites: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Every expected run once."""
    found: dict[tuple[str, str, int], Mapping[str, Any]] = {}
    for suite in suites:
        for one in suite["expected"]:
            place = (one["task"], one["algorithm"], one["seed"])
            if found.setdefault(place, one)["key"] != one["key"]:
                raise ResultError(
                    f"the folders disagree about {one['algorithm']} on {one['task']} with seed {one['seed']}: its "
                    "settings, steps or versions differ; report them one by one"
                )
    return list(found.values())


SAME = ("env_id", "kwargs", "wrappers", "steps", "score_low", "score_high")
"""Of a task, in all folders."""


def _merge_tasks(suites: Sequence[Mapping[str, Any]], runs: Iterable[Run]) -> list[Task]:
    """Every task once. A threshold that Gymnasium registers may stand in the runs alone."""
    learnt = {run.job["task"]["name"]: run.job["task"].get("threshold") for run in runs}
    found: dict[str, Mapping[str, Any]] = {}
    for suite in suites:
        for one in suite["tasks"]:
            held = found.setdefault(one["name"], one)
            differing = [key for key in SAME if held.get(key) != one.get(key)]
            if differing:
                what = f"{differing[0]} is {brief(held.get(differing[0]))} and {brief(one.get(differing[0]))}"
                raise ResultError(f"the folders disagree about {one['name']}: its {what}; report them one by one")
    asked = {one["task"] for suite in suites for one in suite["expected"]}
    return [
        Task(
            name,
            one["env_id"],
            one["steps"],
            learnt.get(name) if one.get("threshold") is None else one["threshold"],
            one.get("score_low"),
            one.get("score_high"),
            one.get("source") or "",
        )
        for name, one in found.items()
        if name in asked
    ]


WORLD = ("env_id", "kwargs", "wrappers")
"""What runs of a task must share; equal runs of two tasks are one file, which may have the other task's name."""


def _check_belongs(one: Mapping[str, Any], task: Mapping[str, Any], run: Run | None) -> None:
    if run is None:
        return
    job = run.job
    said = (job["algorithm"], job["seed"], *(job["task"].get(name) for name in WORLD if name in task))
    if said != (one["algorithm"], one["seed"], *(task[name] for name in WORLD if name in task)):
        raise ResultError(
            f"{run.path} is damaged: its key belongs to {one['algorithm']} on {one['task']} with seed {one['seed']}, "
            f"but it says {said[0]} on {job['task']['name']} with seed {said[1]}; remove it and run the benchmark again"
        )


def read_suite(folder: Path) -> dict[str, Any]:
    """What a folder's suite.json says.

    Raises:
        ResultError: there is none, or it is damaged.
    """
    path = folder / "suite.json"
    if not path.is_file():
        raise ResultError(f"{folder} holds no suite.json: give a folder that hebbit benchmark filled")
    node = load(path)
    check_format(node)
    node.get("suite", str)
    for task in node.nodes("tasks"):
        task.get("name", str), task.get("env_id", str), task.get("steps", int)
        for name in ("threshold", "score_low", "score_high"):
            task.get(name, float, type(None))
        task.get("source", str, type(None))
    names = {task.get("name", str) for task in node.nodes("tasks")}
    algorithms = node.get("algorithms", list)
    for one in node.nodes("expected"):
        one.get("seed", int), one.get("steps", int), one.get("key", str)
        if one.get("task", str) not in names or one.get("algorithm", str) not in algorithms:
            raise one.damaged(f"{one.place} is of an unknown task or algorithm")
    if not node.content["expected"]:
        raise ResultError(f"{path} expects no runs: run hebbit benchmark with at least one seed")
    content: dict[str, Any] = node.content
    return content


def read_runs(folder: Path) -> tuple[list[Run], int]:
    """All runs of a folder, in the order of their names, and how many there are of an older format.

    Raises:
        ResultError: a file is damaged.
    """
    paths = sorted(folder.glob("runs/*/*.json"))
    older = [path for path in paths if is_older(load(path))]
    return [read_run(path) for path in paths if path not in older], len(older)


def read_run(path: Path) -> Run:
    """One result file.

    Raises:
        ResultError: it is damaged.
    """
    node = load(path)
    check_format(node)
    job, status = node.node("job"), node.get("status", str)
    job.get("algorithm", str), job.get("seed", int), job.get("steps", int), job.node("task").get("name", str)
    job.node("task").get("threshold", float, type(None))
    job.get("settings", dict), job.get("versions", dict)
    if status not in (DONE, CRASHED, TIMED_OUT):
        raise node.damaged(f"status must be done, crashed or timed out, got {brief(status, text=repr)}")
    run = Run(
        path,
        node.get("key", str),
        status,
        node.get("error", str, type(None)) or "",
        job.content,
        _origin(node.content),
        node.get("invocation", str, type(None)) or "",
        node.get("finished", str, type(None)) or "",
    )
    if status != DONE:
        return run
    final = node.node("final")
    greedy, stochastic = (final.node(name).numbers("returns") for name in ("greedy", "stochastic"))
    return replace(run, greedy=greedy, stochastic=stochastic, curve=_curve(node), cost=_cost(node.node("cost")))


def _origin(content: Mapping[str, Any]) -> dict[str, Any]:
    """The machine, and the commit of the code, where it is known."""
    machine = content.get("machine")
    code = {name: content[name] for name in ("commit", "code_changed") if name in content}
    return {**(machine if isinstance(machine, dict) else {}), **code}


def _curve(node: Node) -> Curve:
    points = node.nodes("curve")
    if not points:
        raise node.damaged("curve has no checkpoint")
    table = np.array([[one.get(name, float) for name in ("steps", "seconds", "cpu_seconds")] for one in points])
    if (np.diff(table[:, 0]) <= 0).any():
        raise node.damaged("the steps of its curve do not rise")
    returns = [one.numbers("greedy") for one in points]
    steps, seconds, cpu_seconds = table.T
    return Curve(steps, seconds, cpu_seconds, np.array([one.mean() for one in returns]), len(returns[-1]))


def _cost(node: Node) -> Cost:
    own = node.node("operations")
    kind = own.get("kind", str)
    if kind not in ("spiking", "dense"):
        raise own.damaged(f"{own.name('kind')} must be spiking or dense, got {brief(kind, text=repr)}")
    return Cost(
        steps=node.number("steps"),
        seconds=node.number("seconds"),
        cpu_seconds=node.number("cpu_seconds"),
        startup_seconds=node.number("startup_seconds"),
        peak_bytes=node.number("peak_bytes"),
        policy_bytes=node.number("policy_bytes"),
        answer_seconds=node.number("answer_seconds"),
        spiking=kind == "spiking",
        synaptic=own.number("synaptic_per_action"),
        spikes=own.number("spikes_per_action"),
        updates=own.number("neuron_updates_per_action"),
        macs=own.number("macs_per_action"),
        parameters=own.number("parameters"),
    )
