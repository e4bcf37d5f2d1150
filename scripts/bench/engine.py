"""Doing the runs of a benchmark, some at a time, each in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

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
                words, stdin=subprocess.PIPE, stdout=errors, stderr=errors, text=True, env=os.environ | ONE_THREAD
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
        worker = workers.start(folder)
        if worker is None:
            return failed(job, invocation, CRASHED, "the benchmark was interrupted")
        try:
            return _follow(worker, job, invocation, timeout, folder)
        finally:
            worker.kill()
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
    if status == 0:
        row = json.loads((folder / "row.json").read_bytes())
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("model")}
        return Outcome(row, files)
    said = (folder / "stderr").read_text(errors="replace").splitlines()[-LAST_LINES:]
    end = f"ended by signal {-status}, perhaps out of memory" if status < 0 else f"ended with status {status}"
    return failed(job, invocation, CRASHED, "\n".join([end, *said]))


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
