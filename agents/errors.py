"""Errors that a user can mend: one sentence saying what was expected, what came and what to do.

Commands print the sentence without a traceback and exit with status 2.
"""


class HebbitError(Exception):
    """Anything a user can mend."""


class CheckpointError(HebbitError, ValueError):
    """A checkpoint that cannot be read or written."""


class SpaceError(HebbitError, ValueError):
    """An observation or action space that brains cannot serve."""


class ObservationError(HebbitError, ValueError):
    """An observation that does not fit its space."""


class RunError(HebbitError):
    """A run directory, or a log within it, that cannot be used."""
