"""Wrappers that do to a run what the world does: crash it, kill it, hold it up. Told what by files in a folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym


class Hostile(gym.Wrapper[Any, Any, Any, Any]):
    """After 20 steps: obeys the file named ``order`` in a folder, once a process; counts processes in ``made``."""

    def __init__(self, env: gym.Env[Any, Any], folder: str) -> None:
        super().__init__(env)
        self.folder, self.steps = Path(folder), 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps == 20:
            self.obey()
        return super().step(action)

    def obey(self) -> None:
        order = self.folder / "order"
        if not order.exists():
            return
        what = order.read_text()
        if what == "crash":
            raise RuntimeError("the world has ended")
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "leave":
            sys.exit(0)
        if what == "start another process, and wait":
            # it inherits the pipe's end, and would hold it open for ever
            with open(self.folder / "pipe") as pipe:
                subprocess.Popen(["cat"], stdin=pipe).wait()
        if what == "kill the parent, once":
            order.unlink()
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        if what == "wait":
            # blocks until someone opens the other end, then for as long as he keeps it open
            with open(self.folder / "pipe") as pipe:
                pipe.read()
