"""Run hebbit in a process that kills itself (SIGKILL) when a function is called for the n-th time.

Usage: deadly.py MODULE:NAME N WORDS...
"""

import importlib
import os
import signal
import sys
from typing import Any

from hebbit.scripts import main


def arm(target: str, count: int) -> None:
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), 0

    def deadly(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
