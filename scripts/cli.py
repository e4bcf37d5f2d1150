"""The front door: flags, dispatch, and errors as one sentence. Nothing heavy is imported before a command is known."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

USER_ERROR, INTERNAL_ERROR = 2, 1
# As shells count: 128 + the signal's number.
INTERRUPTED = 130

DEFAULT_SAVE_FREQ = 10_000
DEFAULT_EPISODES = 100


THROUGHPUT = """How much a backend computes in a second. From a base point (--population brains of 1,024 pool neurons, 8
synapses each and 8 cycles) one thing is varied at a time; the default brain is measured against the number of brains,
too.

presentation     one observation shown to one brain, learning on: all cycles, readout, action, update of the weights
neuron update    one pool neuron in one cycle
synapse visit    one synapse of one pool neuron in one cycle, whether its source fired or not
delivered spike  a visited synapse whose source fired in that cycle, counted from the specification on a sample
answer           a presentation without learning

Times are wall clock, the best and the median of several calls; compilation is stated apart. How many threads the numba
backend has is said by the environment variable NUMBA_NUM_THREADS."""


class Plain(argparse.RawDescriptionHelpFormatter):
    """Descriptions keep their lines."""


class UsageError(Exception):
    """Flags that cannot be understood."""


class Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Leave it to :func:`run` to print."""
        raise UsageError(f"{message}; see '{self.prog} --help'")


def whole_number(text: str) -> int:
    """A whole number of 0 or more; thousands may be set off by underscores."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, got {text!r}")
    return number


def positive_number(text: str) -> int:
    """A whole number of 1 or more."""
    try:
        number = whole_number(text)
    except argparse.ArgumentTypeError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return number


def which_brain(text: str) -> str | int:
    """best, median, or the position of a brain."""
    if text in ("best", "median"):
        return text
    try:
        return whole_number(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"expected best, median or a number of 0 or more, got {text!r}") from error


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
    about = "let a brain, or a population of them, learn"
    _train_flags(commands.add_parser("train", parents=[debug], help=about, description=f"{about.capitalize()}."))
    about = "play without learning and print the returns"
    _evaluate_flags(commands.add_parser("evaluate", parents=[debug], help=about, description=f"{about.capitalize()}."))
    about = "a brain in figures, or what is installed"
    info = commands.add_parser("info", parents=[debug], help=about, description=f"{about.capitalize()}.")
    info.add_argument(
        "run", metavar="RUN_DIR", nargs="?", help="a run's folder or a checkpoint (default: what is installed)"
    )
    _trust_flag(info)
    about = "how much a backend computes in a second, by brains, neurons, synapses and cycles"
    _throughput_flags(
        commands.add_parser("throughput", parents=[debug], help=about, description=THROUGHPUT, formatter_class=Plain)
    )
    return parser


def _trust_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trust", action="store_true", help="let the checkpoint name code outside Gymnasium to import")


def _train_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of train. Those without a default are None where not given, so that a resumed run can tell."""
    add = parser.add_argument
    add("env_id", metavar="ENV_ID", help="a Gymnasium environment, such as CartPole-v1")
    add("--steps", type=whole_number, metavar="N", help="environment steps of each brain; more of them extend a run")
    add("--seed", type=whole_number, metavar="N", help="of everything: same seed, same bits (default 0)")
    add("--brains", type=positive_number, metavar="N", help="a population, each brain in an environment of its own")
    add(
        "--backend",
        metavar="NAME",
        default="auto",
        help="auto (default: numba, or cupy for 64 brains and more where it is faster), numba, cupy, numpy or shim",
    )
    add("--run-dir", metavar="DIR", help="where everything is written (default runs/ENV_ID_n, never overwritten)")
    add("--resume", action="store_true", help="go on with the run in --run-dir, in the same bits")
    add("--preset", metavar="NAME|FILE", help="hyperparameters by name, or of a TOML or JSON file")
    add("-P", "--param", dest="params", metavar="key=value", nargs="+", action="extend", help="set hyperparameters")
    add("--env-kwargs", metavar="key=value|JSON", nargs="+", action="extend", help="arguments of the environment")
    add(
        "--wrapper",
        dest="wrappers",
        metavar="CLASS[:JSON]",
        nargs="+",
        action="extend",
        help="wrappers, inner first",
    )
    add("--eval-freq", type=whole_number, metavar="N", help="steps between evaluations in training (default 0: none)")
    add("--eval-episodes", type=whole_number, metavar="N", help=f"of an evaluation (default {DEFAULT_EPISODES})")
    add("--save-freq", type=whole_number, metavar="N", help=f"steps between checkpoints (default {DEFAULT_SAVE_FREQ})")
    add("--tensorboard", action="store_true", help="write TensorBoard files too")
    add("--no-plots", action="store_true", help="draw no learning curve and no raster")
    add("--quiet", action="store_true", help="print errors alone")
    add("--verbose", action="store_true", help="print a table now and then")


def _evaluate_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN_DIR|FILE.zip", help="a run's folder, or a checkpoint such as RUN_DIR/best_model.zip")
    add("--episodes", type=positive_number, default=DEFAULT_EPISODES, metavar="N", help="(default %(default)s)")
    add("--stochastic", action="store_true", help="draw actions from the spikes instead of taking the strongest unit")
    add("--seed", type=whole_number, metavar="N", help="of the episodes (default: the agent's)")
    add("--brain", type=which_brain, metavar="best|median|N", help="of a population (default: all of them)")
    add("--backend", metavar="NAME", default="auto", help="auto (default), numba, cupy, numpy or shim")
    _trust_flag(parser)
    show = parser.add_mutually_exclusive_group()
    show.add_argument("--render", action="store_true", help="watch it in a window")
    show.add_argument("--video", metavar="DIR", help="film every episode into this folder")
    add("--out", metavar="FILE.json", help="write the result there; an existing file is not overwritten")


def _throughput_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of throughput. Lists without a default are None where not given: --quick has others."""

    def varied(flag: str, about: str) -> None:
        parser.add_argument(flag, type=positive_number, nargs="+", metavar="N", help=about)

    add = parser.add_argument
    add("--backend", metavar="NAME", default="auto", help="auto (default) or one that hebbit info lists")
    add("--out", metavar="FILE.json", help="write the result there and a picture beside it; neither may exist yet")
    add("--quick", action="store_true", help="few and small sizes, briefly measured: to see that it works")
    add("--peers", action="store_true", help="compare with snntorch, norse, bindsnet and brian2, where installed")
    varied("--brains", "brains (default 1 8 64 512 2048)")
    varied("--words", "words of 32 pool neurons (default 1 8 32 64)")
    varied("--synapses", "synapses of a pool neuron (default 1 to 8)")
    varied("--cycles", "cycles of a presentation (default 1 4 8 15)")
    add("--population", type=positive_number, metavar="N", help="brains of the base point (default 64)")
    add(
        "--sensory",
        type=positive_number,
        default=8,
        metavar="N",
        help="words of 32 sensory neurons (default 8); a pool neuron reads each at most once",
    )


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
