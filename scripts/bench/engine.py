"""Doing the runs of a benchmark, some at a time, each in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.rowbook import CRASHED, LATE, Outcome, failed
from hebbit.scripts.claims_tools import ONE_THREAD

LAST_LINES = 12
"""Of standard error, kept of a run that crashed."""


class Workers:
    """The processes that run now; ending them ends the work."""

    def __init__(self) -> None:
        """None yet."""
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def start(self, folder: Path) -> "subprocess.Popen[str] | None":
        """A process that waits for its job; None after the end."""
        words = [sys.executable, "-m", "hebbit.scripts.bench.worker", str(folder)]
        with self._lock, open(folder / "stderr", "w") as errors:
            if self._ended:
                return None
            worker = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                text=True,
                env=os.environ | ONE_THREAD,
                # a group of its own: what an environment starts ends with it
                start_new_session=True,
            )
            self._running.add(worker)
            return worker

    def forget(self, worker: "subprocess.Popen[str]") -> None:
        """A process has ended."""
        with self._lock:
            self._running.discard(worker)

    def end(self) -> None:
        """Kill all, and start no more."""
        with self._lock:
            self._ended = True
            for worker in self._running:
                end(worker)


def end(worker: "subprocess.Popen[str]") -> None:
    """Kill a process, and all that it has started and that is left of it."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
    worker.kill()


def perform(
    job: Job, invocation: str, timeout: float | None, workers: Workers | None = None, place: Path | None = None
) -> Outcome:
    """Do one run; whatever happens to it becomes a row.

    Args:
        job: what to do.
        invocation: marks the rows of one call of the benchmark.
        timeout: seconds after which it is given up.
        workers: where its process is noted.
        place: where its folder is made and removed; None for the system's place of such folders.
    """
    workers = workers or Workers()
    with tempfile.TemporaryDirectory(prefix="hebbit-bench-", dir=place) as name:
        folder = Path(name)
        try:
            worker = workers.start(folder)
        except OSError as error:
            return failed(job, invocation, CRASHED, f"no process could be started: {error}")
        if worker is None:
            return failed(job, invocation, CRASHED, "the benchmark was interrupted")
        try:
            return _follow(worker, job, invocation, timeout, folder)
        finally:
            end(worker)
            worker.wait()
            workers.forget(worker)
            if worker.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    worker.stdin.close()


def _follow(worker: "subprocess.Popen[str]", job: Job, invocation: str, timeout: float | None, folder: Path) -> Outcome:
    """Hand a process its job, and wait for what comes of it."""
    assert worker.stdin is not None
    # one that died early tells by its status
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(json.dumps({"job": asdict(job), "invocation": invocation}) + "\n")
        worker.stdin.flush()
    try:
        # not communicate(): standard input must stay open until the end, see the worker
        status = worker.wait(timeout)
    except subprocess.TimeoutExpired:
        return failed(job, invocation, LATE, f"given up after {timeout:g} seconds")
    row = _row(folder / "row.json", job) if status == 0 else None
    if row is not None:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("model")}
        return Outcome(row, files)
    said = (folder / "stderr").read_text(errors="replace").splitlines()[-LAST_LINES:]
    how = f"by signal {-status}, perhaps out of memory" if status < 0 else f"with status {status} and no result"
    # what went wrong stands last in a traceback, and must be seen first
    first = f"{said[-1]} (ended {how})" if said else f"ended {how}"
    return failed(job, invocation, CRASHED, "\n".join([first, *said]))


def _row(path: Path, job: Job) -> dict[str, Any] | None:
    """What a process left, unless that is nothing, or not this job's."""
    with contextlib.suppress(OSError, ValueError):
        row: dict[str, Any] = json.loads(path.read_bytes())
        return row if row["key"] == job.key else None
    return None


def local(
    jobs: Sequence[Job], invocation: str, timeout: float | None, number: int, place: Path
) -> Iterator[tuple[Job, Outcome]]:
    """Do runs on this machine, ``number`` at a time, in folders below ``place``, and give each as it ends."""
    workers = Workers()
    with ThreadPoolExecutor(number) as pool:
        try:
            futures = {pool.submit(perform, job, invocation, timeout, workers, place): job for job in jobs}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        finally:
            workers.end()
            pool.shutdown(cancel_futures=True)
