"""Commands: train, evaluate, info, throughput. ``hebbit`` on a command line is :func:`main`."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit status; what a command needs is imported when it is known which one.

    Args:
        argv: the words after ``hebbit``; None takes those of this process.
    """
    from hebbit.scripts.cli import run

    return run(argv)
