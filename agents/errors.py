"""Errors that a user can mend: one sentence saying what was expected, what came and what to do.

Commands print the sentence without a traceback and exit with status 2.
"""

from collections.abc import Callable


class HebbitError(Exception):
    """Anything a user can mend."""


class CheckpointError(HebbitError, ValueError):
    """A checkpoint that cannot be read or written."""


class SpaceError(HebbitError, ValueError):
    """An observation or action space that brains cannot serve."""


class ObservationError(HebbitError, ValueError):
    """An observation that does not fit its space."""


class BackendError(HebbitError):
    """Brains that a backend cannot hold: too many, or too large."""


class RunError(HebbitError):
    """A run directory, or a log within it, that cannot be used."""


def brief(thing: object, most: int = 100, text: Callable[[object], str] = str) -> str:
    """What goes into a sentence: on one line, and no longer than this."""
    try:
        line = " ".join(text(thing).split())
    except RecursionError:
        line = f"a deeply nested {type(thing).__name__}"
    return line if len(line) <= most else line[: most - 3] + "..."
