"""The front door: flags, dispatch, and errors as one sentence. Nothing heavy is imported before a command is known."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from hebbit.scripts import flags, flags_bench, flags_prune

USER_ERROR, INTERNAL_ERROR = 2, 1
# As shells count: 128 + the signal's number.
INTERRUPTED = 130


class Plain(argparse.RawDescriptionHelpFormatter):
    """Descriptions keep their lines."""


class UsageError(Exception):
    """Flags that cannot be understood."""


class Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Leave it to :func:`run` to print."""
        raise UsageError(f"{message}; see '{self.prog} --help'")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], str | None]] = {
    "train": ("let a brain, or a population of them, learn", flags.train, None),
    "evaluate": ("play without learning and print the returns", flags.evaluate, None),
    "benchmark": (
        "hebbit and Stable-Baselines3 on a suite of tasks",
        flags_bench.benchmark,
        flags_bench.BENCHMARK,
    ),
    "report": ("tables and pictures of a benchmark: report.md and report.html", flags_bench.report, None),
    "tune": ("search for hyperparameters and write them as a preset", flags_bench.tune, flags_bench.TUNE),
    "inspect": ("draw what a brain does: spikes, rates, tuning, weights, values", flags_bench.inspect, None),
    "prune": ("take out the pool words that a brain can do without", flags_prune.prune, flags_prune.PRUNE),
    "info": ("a brain in figures, or what is installed", flags.info, None),
    "throughput": (
        "how much a backend computes in a second, by brains, neurons, synapses and cycles",
        flags.throughput,
        flags.THROUGHPUT,
    ),
}
"""Of every command: what it is about, its flags, and its description if there is more to say. A module of this folder
with the same name has its ``run``."""


def make_parser() -> Parser:
    """All commands and their flags."""
    parser = Parser(
        prog="hebbit",
        description="Reinforcement learning on Gymnasium environments with spiking brains of 4-bit integers.",
        epilog="Example: hebbit train CartPole-v1 --steps 30000 --seed 0",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    debug = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    debug.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, (about, add_flags, description) in COMMANDS.items():
        text = description or f"{about.capitalize()}."
        add_flags(commands.add_parser(name, parents=[debug], help=about, description=text, formatter_class=Plain))
    return parser


def _dispatch(arguments: argparse.Namespace, parser: Parser) -> int:
    if arguments.version:
        from hebbit import __version__

        print(f"hebbit {__version__}")
        return 0
    if arguments.command is None:
        parser.print_help()
        return 0
    command = import_module(f"hebbit.scripts.{arguments.command}")
    status: int = command.run(arguments)
    return status


def run(argv: Sequence[str] | None) -> int:
    """Run a command line; errors become one sentence on standard error and an exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    # so that module:Name-v0 finds a module of the current folder; last, for it must not hide anything
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    parser = make_parser()
    try:
        return _dispatch(parser.parse_args(words), parser)
    except SystemExit as stop:  # --help has printed
        return stop.code if isinstance(stop.code, int) else 0
    except UsageError as error:
        return _complain(str(error), USER_ERROR)
    except KeyboardInterrupt as error:
        return _complain(_sentence("interrupted", error), INTERRUPTED)
    except BrokenPipeError:
        # whoever read the output has seen enough; keep Python from complaining when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--debug" in words:
            raise
        return _complain(*_judge(error))


def _judge(error: Exception) -> tuple[str, int]:
    """The sentence and the status of an error."""
    from hebbit.agents.errors import HebbitError

    text = _sentence(str(error), error)
    # a GPU that is too small for what was asked says so in a MemoryError
    if isinstance(error, HebbitError | ImportError) or (isinstance(error, MemoryError) and text):
        return text, USER_ERROR
    if isinstance(error, OSError):
        name = error.filename or "a file"
        return f"{name} cannot be used: {error.strerror or text}; choose another place", USER_ERROR
    kind = type(error).__name__
    advice = "see where with --debug, and report it unless the environment is to blame"
    return f"unexpected {kind}: {text}; {advice}", INTERNAL_ERROR


def _sentence(text: str, error: BaseException) -> str:
    """The text in one line, and the error's notes, which say what became of the run."""
    return "; ".join(" ".join(part.split()) for part in (text, *getattr(error, "__notes__", ())))


def _complain(sentence: str, status: int) -> int:
    print(f"hebbit: {sentence}", file=sys.stderr)
    return status
