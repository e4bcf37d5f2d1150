"""What the measuring commands share: fresh interpreters, one core, clocks, numbers and result files.

Nothing heavy is imported before it is needed: children that time their own imports come through here.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ONE_THREAD = {
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Environment variables that leave every library a single thread."""


def in_child(function: str, arguments: Mapping[str, Any], environment: Mapping[str, str] = ONE_THREAD) -> Any:
    """Call ``module:function`` with keyword arguments in a fresh interpreter; arguments and answer are JSON.

    Args:
        function: of any importable module.
        arguments: by name.
        environment: variables added to this process's own. Libraries read theirs once, hence the fresh interpreter.

    Raises:
        ClaimError: the child failed; what it said is on standard error.
    """
    command = [sys.executable, "-c", "from hebbit.scripts.claims_tools import answer; answer()"]
    child = subprocess.run(
        [*command, function, json.dumps(arguments)], env=os.environ | environment, stdout=subprocess.PIPE, text=True
    )
    if child.returncode:
        raise ClaimError(f"{function} ended with status {child.returncode}; what it said stands above")
    return json.loads(child.stdout.splitlines()[-1])


class ClaimError(RuntimeError):
    """A measurement that could not be made."""


def answer() -> None:
    """The child's side of :func:`in_child`: call and print the answer as the last line."""
    module, _, name = sys.argv[1].partition(":")
    result = getattr(import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps(result, allow_nan=False))


@contextmanager
def pinned() -> Iterator[int | None]:
    """Keep this thread, and the processes it starts, on the last core that it may use; None where that is unknown."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


class Clock:
    """A stopwatch of wall and CPU seconds. On a machine that others use too, only the CPU's are one's own."""

    def __init__(self, cpu: Callable[[], float] = time.process_time) -> None:
        """Stand still at 0; ``cpu`` may be time.thread_time, which sees one thread alone."""
        self._cpu = cpu
        self._begun: tuple[float, float] | None = None
        self.wall, self.cpu = 0.0, 0.0

    def start(self) -> None:
        """Run."""
        self._begun = time.perf_counter(), self._cpu()

    def stop(self) -> None:
        """Stand still; :meth:`start` goes on from here."""
        now = time.perf_counter(), self._cpu()
        assert self._begun is not None
        self.wall += now[0] - self._begun[0]
        self.cpu += now[1] - self._begun[1]
        self._begun = None

    def __enter__(self) -> "Clock":
        """Run within a with-block."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after it."""
        self.stop()


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: the lowest and the highest floor(n / 4) values are left out."""
    outside = len(values) // 4
    return statistics.fmean(sorted(values)[outside : len(values) - outside])


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Median, least and largest, rounded."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def finite(value: float) -> float | None:
    """The number, or None (null in JSON) if it is infinite."""
    return value if math.isfinite(value) else None


def seeds(text: str) -> tuple[int, ...]:
    """Seeds of a flag: ``1000-1019``, ``3``, or several of these separated by commas."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            found.extend(range(int(first), int(last if dash else first) + 1))
    except ValueError:
        found = []
    if not found or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"expected seeds such as 1000-1019 or 1,2,5, each once, got {text!r}")
    return tuple(found)


def count(text: str) -> int:
    """A whole number of 1 or more; thousands may be set off by underscores."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return number


def command_line(words: Sequence[str]) -> str:
    """The command for a result file: without --out, and of paths only the last part."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word == "--out" or word.startswith("--out="):
            skip = word == "--out"
            continue
        flag, equals, value = word.rpartition("=")
        kept.append(f"{flag}{equals}{Path(value).name}")
    return " ".join(["python -m hebbit.scripts.claims", *kept])


def read(path: Path | None) -> dict[str, Any] | None:
    """An earlier result, if there is one."""
    if path is None or not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ClaimError(f"{path} is no JSON: {error}; choose another --out") from error
    return content if isinstance(content, dict) else {}


def write(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write a result, whole or not at all; nowhere if there is no path."""
    if path is not None:
        from hebbit.agents.files import atomic_write_text  # loads NumPy: see above

        atomic_write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
