"""The command line in this process, in an empty folder."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hebbit.scripts import main


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a command line given as text, words behind it as they are."""
    monkeypatch.chdir(tmp_path)
    # No power cut is tested here, and a slow disk would be most of the time.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def run(line: str, *words: str) -> Outcome:
        capfd.readouterr()
        status = main([*line.split(), *words])
        return Outcome(status, *capfd.readouterr())

    return run


@pytest.fixture(autouse=True)
def ctrl_c_works() -> Iterator[None]:
    """Shells start background jobs with Ctrl-C ignored, and processes inherit that; tests do not depend on it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
