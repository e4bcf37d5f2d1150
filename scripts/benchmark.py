"""hebbit benchmark: hebbit and Stable-Baselines3 on a suite of tasks."""

import argparse
import dataclasses
import shlex
import signal
import statistics
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hebbit.agents.errors import HebbitError
from hebbit.agents.files import storage_error
from hebbit.agents.runs import RunLock
from hebbit.scripts.bench import jobs, suites
from hebbit.scripts.bench.baselines import NAMES
from hebbit.scripts.bench.jobs import Job, Plan
from hebbit.scripts.bench.rowbook import DONE, Book, Outcome

FAILED = 3
"""Exit status where a run has failed."""


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit benchmark --help``."""
    plan = _plan(arguments)
    folder = Path(arguments.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error, what="folder") from error
    lock = RunLock(folder)
    try:
        book = Book(folder, [Path(one) for one in arguments.cache])
        book.announce(plan)
        # equal runs of two tasks are one
        left = list({job.key: job for job in plan.jobs if not book.find(job)}.values())
        _say(arguments, _heading(plan, left))
        with _terminable():
            failures = _work(arguments, book, left)
    finally:
        lock.release()
    _say(arguments, f"{folder}: draw it with: {shlex.join(['hebbit', 'report', str(folder)])}")
    return FAILED if failures else 0


def _plan(arguments: argparse.Namespace) -> Plan:
    suite = suites.load(arguments.suite)
    if arguments.tasks:
        names = [task.name for task in suite.tasks]
        unknown = [name for name in arguments.tasks if name not in names]
        if unknown:
            raise HebbitError(f"--tasks must be some of {', '.join(names)}, got {unknown[0]!r}")
        chosen = tuple(task for task in suite.tasks if task.name in arguments.tasks)
        suite = dataclasses.replace(suite, tasks=chosen)
    baseline_seeds = arguments.seeds if arguments.baseline_seeds is None else arguments.baseline_seeds
    return jobs.plan(suite, arguments.baselines, arguments.seeds, baseline_seeds, arguments.budget)


def _heading(plan: Plan, left: Sequence[Job]) -> str:
    lines = [f"suite {plan.suite.name}: {len(plan.jobs)} runs, {len(plan.jobs) - len(left)} of them are finished"]
    lines += [f"{NAMES[algorithm]} does not act in {task}: left out" for task, algorithm in plan.refused]
    return "\n".join(lines)


def _work(arguments: argparse.Namespace, book: Book, left: Sequence[Job]) -> int:
    """Do what is left; how many runs failed."""
    failures = 0
    # closing: an interruption must end the processes before the lock is released
    with book.workplace() as place, closing(_engine(arguments, left, place)) as results:
        for number, (job, outcome) in enumerate(results, 1):
            book.add(job, outcome)
            failures += outcome.row["status"] != DONE
            _say(arguments, f"[{number}/{len(left)}] {_line(job, outcome)}", outcome.row["status"] != DONE)
    return failures


def _engine(arguments: argparse.Namespace, left: Sequence[Job], place: Path) -> Any:
    from hebbit.scripts.bench import engine

    invocation = uuid.uuid4().hex
    if arguments.ray is None:
        return engine.local(left, invocation, arguments.timeout, arguments.jobs, place.absolute())
    from hebbit.scripts.bench import engine_ray

    return engine_ray.on_ray(left, invocation, arguments.timeout, arguments.jobs, arguments.ray)


def _line(job: Job, outcome: Outcome) -> str:
    row = outcome.row
    head = f"{job.task['name']}, {NAMES[job.algorithm]}, seed {job.seed}"
    if row["status"] != DONE:
        return f"{head}: {row['status']}: {row['error'].splitlines()[-1]}"
    greedy, cost = statistics.fmean(row["final"]["greedy"]["returns"]), row["cost"]
    return f"{head}: {job.steps:,} steps in {cost['cpu_seconds']:.1f} s of CPU, greedy mean {greedy:.1f}"


def _say(arguments: argparse.Namespace, text: str, bad: bool = False) -> None:
    if bad:
        print(text, file=sys.stderr, flush=True)
    elif not arguments.quiet:
        print(text, flush=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does: whole rows are kept, running processes end."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note("finished runs are kept; the same command goes on")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
