"""Flags of the commands that train, play and measure. Nothing heavy is imported here."""

import argparse

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


def positive_share(text: str) -> float:
    """A share of more than 0, up to 1."""
    value = share(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"expected a share of more than 0, got {text!r}")
    return value


def share(text: str) -> float:
    """A share of 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share of 0..1, got {text!r}")
    return value


def info(parser: argparse.ArgumentParser) -> None:
    """Flags of info."""
    parser.add_argument(
        "run", metavar="RUN_DIR", nargs="?", help="a run's folder or a checkpoint (default: what is installed)"
    )
    trust_flag(parser)


def trust_flag(parser: argparse.ArgumentParser) -> None:
    """What every command that loads a checkpoint takes."""
    parser.add_argument("--trust", action="store_true", help="let the checkpoint name code outside Gymnasium to import")


def train(parser: argparse.ArgumentParser) -> None:
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
    add(
        "--resident",
        action="store_true",
        help="physics and brains in one compiled loop, until every brain has solved the task or --steps are made",
    )
    add(
        "--until",
        type=positive_share,
        metavar="SHARE",
        help="resident: stop when this share of the brains has (default 1)",
    )
    add("--look", type=positive_number, metavar="N", help="resident: steps between two looks (default 2000)")
    add(
        "--ray", metavar="ADDRESS", nargs="?", const="local",
        help="resident: shards of the population as actors of a Ray that is started here, or of a cluster",
    )  # fmt: skip
    add(
        "--wave", type=positive_number, metavar="N", help="resident: brains at once (default: as many as there is room)"
    )
    add("--shards", type=positive_number, metavar="N", help="resident: actors, one for each GPU or core (default 2)")
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


def evaluate(parser: argparse.ArgumentParser) -> None:
    """Flags of evaluate. With --plan, those for which a plan has something better are refused."""
    add = parser.add_argument
    add(
        "runs",
        metavar="RUN_DIR|FILE.zip",
        nargs="+",
        help="a run's folder, or a checkpoint such as RUN_DIR/best_model.zip; with --plan several of them, and models "
        "of Stable-Baselines3 such as ppo:MODEL.zip (or a2c, dqn, qrdqn, ars)",
    )
    add("--plan", metavar="FILE.toml", help="evaluate all runs under the conditions of this file, in one table")
    add("--episodes", type=positive_number, metavar="N", help=f"(default {DEFAULT_EPISODES}, or the plan's)")
    add("--stochastic", action="store_true", help="draw actions from the spikes instead of taking the strongest unit")
    add("--seed", type=whole_number, metavar="N", help="of the episodes (default: the agent's, or the plan's)")
    add("--brain", type=which_brain, metavar="best|median|N", help="of a population (default: all of them)")
    add("--backend", metavar="NAME", default="auto", help="auto (default), numba, cupy, numpy or shim")
    trust_flag(parser)
    show = parser.add_mutually_exclusive_group()
    show.add_argument(
        "--resident", action="store_true", help="play in the compiled world: far faster, and not Gymnasium's episodes"
    )
    show.add_argument("--render", action="store_true", help="watch it in a window")
    show.add_argument(
        "--video", metavar="DIR", help="film every episode into this folder; with --plan three of each row"
    )
    add(
        "--out",
        metavar="FILE.json",
        help="write the result there; with --plan, a folder for all tables and the picture",
    )


def throughput(parser: argparse.ArgumentParser) -> None:
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
