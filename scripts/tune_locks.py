"""Locks that the operating system frees when their process ends, however it ends."""

import os
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from hebbit.agents.files import storage_error

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_POLL_SECONDS = 0.02
"""Between two tries where the system cannot wait."""


class FileLock:
    """A lock on a file of its own, between processes."""

    def __init__(self, path: Path) -> None:
        """Take the file's place; nothing is locked yet."""
        self.path = path
        self._descriptor = -1

    def take(self, wait: bool = True) -> bool:
        """Take the lock; without waiting, say whether it was free.

        Raises:
            RunError: the file cannot be made.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise storage_error(self.path, error) from error
        try:
            if not _locked(descriptor, wait):
                os.close(descriptor)
                return False
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):
                raise storage_error(self.path, error) from error
            raise
        self._descriptor = descriptor
        _held.add(self)
        return True

    def release(self) -> None:
        """Let go of the lock; the file stays."""
        _held.discard(self)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def remove(self) -> None:
        """Let go of the lock and remove the file, whose name must never be used again."""
        if sys.platform == "win32":  # an open file cannot be removed there
            self.release()
        with suppress(OSError):
            self.path.unlink()
        self.release()

    def __enter__(self) -> Self:
        """Wait for the lock."""
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the lock."""
        self.release()


_held: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _release_in_child() -> None:
    """A forked process must not keep the locks of the one that it came from."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)

if sys.platform == "win32":

    def _locked(descriptor: int, wait: bool) -> bool:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
            time.sleep(_POLL_SECONDS)

else:

    def _locked(descriptor: int, wait: bool) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
