"""Results of runs in a folder: which are there, and adding one, whole or not at all."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hebbit.agents.errors import HebbitError, RunError
from hebbit.agents.files import atomic_write_bytes, atomic_write_text, read_object
from hebbit.scripts.bench.jobs import FORMAT, Job, Plan
from hebbit.scripts.claims_machine import machine

SUITE, RUNS, MODELS, WORK = "suite.json", "runs", "models", "work"
DONE, CRASHED, LATE = "done", "crashed", "timed out"
Row = dict[str, Any]


class Outcome(NamedTuple):
    """What came of a run."""

    row: Row
    files: dict[str, bytes]
    """Of its model, by name."""


def blank(job: Job, invocation: str) -> Row:
    """A row before anything is measured."""
    return {
        "format": FORMAT,
        "key": job.key,
        "job": asdict(job),
        "status": DONE,
        "error": None,
        "final": None,
        "curve": None,
        "cost": None,
        "invocation": invocation,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def about() -> dict[str, Any]:
    """Machine and code that a run was made with. The machine's id tells machines apart and nothing else."""
    found = machine()
    identity = hashlib.sha256(f"{uuid.getnode()} {found['cpu']}".encode()).hexdigest()[:8]
    names = ("cpu", "cores", "memory_gib", "system", "python")
    return {
        "machine": {**{name: found[name] for name in names}, "id": identity},
        "commit": found["commit"],
        "code_changed": found["code_changed"],
    }


def failed(job: Job, invocation: str, status: str, error: str) -> Outcome:
    """The row of a run that came to nothing."""
    return Outcome(blank(job, invocation) | about() | {"status": status, "error": error}, {})


class Book:
    """The folder of a benchmark."""

    def __init__(self, folder: Path, others: Iterable[Path] = ()) -> None:
        """Know where results are kept, and where else they may be found.

        Raises:
            RunError: one of the others holds no results.
        """
        self.folder, self.others = folder, tuple(others)
        for other in self.others:
            if not (other / RUNS).is_dir():
                raise RunError(f"--cache {other} holds no results: name a folder that hebbit benchmark filled")

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """A folder for what is unfinished, emptied of what a killed benchmark left; for who holds the folder's lock."""
        place = self.folder / WORK
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def path(self, job: Job) -> Path:
        """Where a run's row is kept."""
        return self.folder / RUNS / f"{job.stem}.json"

    def find(self, job: Job) -> bool:
        """Whether a run is finished here, or elsewhere, from where its row is then taken over."""
        if _finished(self.path(job), job):
            return True
        for other in self.others:
            path = Book(other).path(job)
            if _finished(path, job):
                for model in sorted((other / MODELS / job.stem).parent.glob(f"{Path(job.stem).name}.*")):
                    atomic_write_bytes(self.folder / MODELS / Path(job.stem).parent / model.name, model.read_bytes())
                atomic_write_bytes(self.path(job), path.read_bytes())
                return True
        return False

    def add(self, job: Job, outcome: Outcome) -> None:
        """Keep what came of a run: its files first, so that a finished row has them."""
        for name, data in outcome.files.items():
            atomic_write_bytes(self.folder / MODELS / f"{job.stem}{name.removeprefix('model')}", data)
        atomic_write_text(self.path(job), json.dumps(outcome.row, allow_nan=False) + "\n")

    def announce(self, plan: Plan) -> None:
        """Write down what belongs to the benchmark; what earlier calls of other algorithms or tasks made stays."""
        path = self.folder / SUITE
        old = read_json(path) if path.exists() else {}
        old = old if old.get("format") == FORMAT else {}
        atomic_write_text(path, json.dumps(merged(old, plan.to_dict()), indent=1, allow_nan=False) + "\n")


def merged(old: Row, new: Row) -> Row:
    """What belongs to a benchmark after another call: new runs, and old ones that can still be compared with them.

    An old run counts no more if its task has changed, or if the new call has the same algorithm on the same task with
    other settings, steps or versions. Other seeds of the same add up.
    """
    tasks = {task["name"]: task for task in new["tasks"]}
    same = {task["name"] for task in old.get("tasks", []) if _world(task) == _world(tasks.get(task["name"], task))}
    kinds = {(one["task"], one["algorithm"]): one["kind"] for one in new["expected"]}
    keys = {(one["task"], one["key"]) for one in new["expected"]}
    kept = [
        one
        for one in old.get("expected", [])
        if one["task"] in same
        and kinds.get((one["task"], one["algorithm"]), one["kind"]) == one["kind"]
        and (one["task"], one["key"]) not in keys
    ]
    barred = [one for one in old.get("not_applicable", []) if one["task"] in same and one not in new["not_applicable"]]
    return new | {
        "tasks": [task for task in old.get("tasks", []) if task["name"] not in tasks] + new["tasks"],
        "expected": kept + new["expected"],
        "algorithms": [*new["algorithms"], *(one for one in old.get("algorithms", []) if one not in new["algorithms"])],
        "not_applicable": barred + new["not_applicable"],
    }


def _world(task: Mapping[str, Any]) -> tuple[Any, ...]:
    """What runs must share to be compared."""
    return tuple(task.get(name) for name in ("env_id", "kwargs", "wrappers", "episodes", "evaluation_seed"))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file.

    Raises:
        RunError: it is none.
    """
    content = read_object(path, "remove it to have it made again")
    if content is None:
        raise RunError(f"{path} does not exist: name a folder that hebbit benchmark filled")
    return content


def _finished(path: Path, job: Job) -> bool:
    """Whether a file holds this run's result; a damaged one does not."""
    try:
        row: Mapping[str, Any] = read_json(path)
    except HebbitError:
        return False
    return row.get("key") == job.key and row.get("status") == DONE
