"""Flags of the commands that compare, search and look. Nothing heavy is imported here."""

import argparse

from hebbit.scripts.flags import positive_number, trust_flag, which_brain, whole_number

DEFAULT_SEEDS = "10"
"""Seeds of a benchmark."""
FIRST_SEED = 1000
"""Seeds from here up are never tuned on."""

BENCHMARK = """Train hebbit and baselines of Stable-Baselines3 on every task of a suite, with every seed, each run in a
process of its own with one thread, and keep what each of them did: hebbit report draws it.

A finished run is never repeated: the same command goes on where an interrupted one stopped. A run that crashed or took
too long is a row that says so, and is tried again by the next call. Suites that come along: classic, box2d,
lander, minatar, memory, smoke; or a file:

  [[tasks]]
  env_id = "CartPole-v1"
  steps = 30000"""

TUNE = """Search for hyperparameters with Optuna. A trial is one configuration, trained on several seeds at once; trials
that fall behind are stopped early. With --storage the search can be stopped, or killed, and taken up again by the same
command, and several processes may share it. In the end the best settings are trained again on fresh seeds, and those
that hold are written as a preset that hebbit train --preset takes.

With --population all trials of a wave learn at the same time in one compiled run, and at each rung of a ladder the best
go on: thousands of brains on a GPU, dozens on a processor. A table and a picture of all trials lie beside the preset.

Examples: hebbit tune CartPole-v1 --trials 20 --steps 10000 --storage search.log
          hebbit tune CartPole-v1 --population 192 --steps 30000"""


def seeds(text: str) -> tuple[int, ...]:
    """How many seeds, from FIRST_SEED up, or which: 10, or 1000-1009."""
    first, dash, last = text.partition("-")
    if not dash:
        return tuple(range(FIRST_SEED, FIRST_SEED + positive_number(text)))
    numbers = tuple(range(whole_number(first), whole_number(last) + 1))
    if not numbers:
        raise argparse.ArgumentTypeError(f"expected a range such as 1000-1009, got {text!r}")
    return numbers


def factor(text: str) -> float:
    """A number of more than 1, up to 100."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 < number <= 100:
        raise argparse.ArgumentTypeError(f"expected a number of more than 1 and at most 100, got {text!r}")
    return number


def names(text: str) -> tuple[str, ...]:
    """Names set off by commas."""
    found = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"expected each name once, got {text!r}")
    return found


def benchmark(parser: argparse.ArgumentParser) -> None:
    """Flags of benchmark."""
    add = parser.add_argument
    add(
        "--suite",
        required=True,
        metavar="NAME|FILE.toml",
        help="classic, box2d, lander, minatar, memory, smoke, or a file of your own",
    )
    add("--baselines", type=names, default=(), metavar="A,B", help="any of ppo, a2c, dqn, qrdqn, ars (default: none)")
    add(
        "--seeds",
        type=seeds,
        default=seeds(DEFAULT_SEEDS),
        metavar="N|A-B",
        help=f"how many, from {FIRST_SEED} up, or which (default {DEFAULT_SEEDS})",
    )
    add(
        "--baseline-seeds",
        type=seeds,
        metavar="N|A-B",
        help="other seeds for the baselines, which take longer (default: the same)",
    )
    add("--tasks", type=str, nargs="+", metavar="NAME", help="these tasks of the suite alone")
    add("--jobs", type=positive_number, default=1, metavar="N", help="runs at a time (default 1)")
    add("--out", required=True, metavar="DIR", help="folder of the results; the same one to go on")
    add(
        "--budget",
        choices=("tuned", "equal"),
        default="tuned",
        help="steps of a baseline: those that rl-zoo tuned it for (default), or as many as hebbit has",
    )
    add("--timeout", type=positive_number, metavar="S", help="seconds after which a run is given up")
    add("--cache", nargs="+", default=(), metavar="DIR", help="take finished runs from these results, too")
    add("--ray", nargs="?", const="local", metavar="ADDRESS", help="run on Ray: here, or on the cluster at ADDRESS")
    add("--quiet", action="store_true", help="print errors alone")


def report(parser: argparse.ArgumentParser) -> None:
    """Flags of report."""
    add = parser.add_argument
    add("results", metavar="DIR", nargs="+", help="folders that hebbit benchmark filled")
    add("--out", metavar="DIR", help="where report.md and report.html are written (default: the first DIR)")
    add(
        "--repetitions",
        type=positive_number,
        default=10_000,
        metavar="N",
        help="of the bootstrap behind the intervals, and of the permutation tests (default 10000)",
    )


def tune(parser: argparse.ArgumentParser) -> None:
    """Flags of tune."""
    add = parser.add_argument
    add("env_id", metavar="ENV_ID", help="a Gymnasium environment, such as CartPole-v1")
    add("--trials", type=positive_number, metavar="N", help="configurations in all (default 100, or by --budget-steps)")
    add("--steps", type=positive_number, metavar="N", help="steps of a trial (default: the packaged suites')")
    add("--seeds", type=positive_number, default=4, metavar="N", help="brains of a trial (default %(default)s)")
    add("--episodes", type=positive_number, default=20, metavar="N", help="of each brain's evaluation (default 20)")
    add("--storage", metavar="FILE", help="journal of the search: the same command goes on with it, or shares it")
    add("--seed", type=whole_number, default=0, metavar="N", help="of the search and the brains (default 0)")
    add(
        "--out",
        metavar="FILE.toml",
        help="the preset (default ENV_ID.preset.toml; an existing file is not overwritten)",
    )
    add("--preset", metavar="NAME|FILE", help="begin with these hyperparameters")
    add("-P", "--param", dest="params", metavar="key=value", nargs="+", action="extend", help="and change these")
    add("--backend", metavar="NAME", default="auto", help="auto (default) or one that hebbit info lists")
    add("--quiet", action="store_true", help="print errors alone")
    add = parser.add_argument_group("as a population, where the environment has a resident form").add_argument
    add("--population", type=positive_number, metavar="N", help="brains that learn at once, --seeds for each trial")
    add("--budget-steps", type=positive_number, metavar="N", help="steps of all brains together that are not exceeded")
    add("--eta", type=factor, metavar="X", help="of this many trials one goes on to X times the steps (default 2.5)")
    add("--shapes", type=positive_number, metavar="N", help="different sizes of brains at once (default 4)")
    add("--exploit", action="store_true", help="population-based training: the worst brains copy the best, and vary")


def inspect(parser: argparse.ArgumentParser) -> None:
    """Flags of inspect."""
    add = parser.add_argument
    add("run", metavar="RUN_DIR|FILE.zip", help="a run's folder or a checkpoint")
    add("--out", metavar="DIR", help="where it is written (default RUN_DIR/inspection, renewed by every call)")
    add("--brain", type=which_brain, metavar="best|median|N", help="of a population (default: the best, or the first)")
    add("--steps", type=positive_number, default=2000, metavar="N", help="observations to look at (default 2000)")
    add("--seed", type=whole_number, metavar="N", help="of the episodes (default: the agent's)")
    add("--stochastic", action="store_true", help="draw actions from the spikes instead of taking the strongest unit")
    add("--watch", action="store_true", help="a page of one episode, too: environment, spikes and value side by side")
    add("--video", action="store_true", help="the same as a video")
    add("--backend", metavar="NAME", default="auto", help="auto (default) or one that hebbit info lists")
    trust_flag(parser)
