"""Flags of the command that takes words out. Nothing heavy is imported here."""

import argparse

from hebbit.scripts.flags import positive_number, trust_flag, which_brain, whole_number

DEFAULT_EPISODES, DEFAULT_TOLERANCE = 20, 0.02

PRUNE = """Take the least useful pool words out of a trained brain, as long as it plays as well without them. How useful
a word is follows from its weights and from how often it fires while the brain plays. How many can go is found by
bisection: each attempt plays the same episodes, and its mean return may be less than before by the tolerance. The
smallest brain that holds in other episodes, too, is kept. The words that are left keep their wiring and all that they
have learned.

Example: hebbit prune runs/CartPole-v1_1 --out small.zip"""


def share(text: str) -> float:
    """A number of 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of 0 or more, got {text!r}")
    return number


def prune(parser: argparse.ArgumentParser) -> None:
    """Flags of prune."""
    add = parser.add_argument
    add("run", metavar="RUN_DIR|FILE.zip", help="a run's folder or a checkpoint")
    add("--out", required=True, metavar="FILE.zip", help="the pruned brain; an existing file is not overwritten")
    add("--env", metavar="ENV_ID", help="where to play (default: where it has learned)")
    add("--episodes", type=positive_number, default=DEFAULT_EPISODES, metavar="N", help="of an attempt (default 20)")
    add(
        "--tolerance",
        type=share,
        default=DEFAULT_TOLERANCE,
        metavar="X",
        help="share of the mean return's size that may be lost (default 0.02)",
    )
    add("--keep", type=whole_number, metavar="N", help="keep so many pool words, whatever is lost")
    add("--brain", type=which_brain, metavar="best|median|N", help="of a population")
    add("--seed", type=whole_number, metavar="N", help="of the episodes (default: the agent's)")
    add("--backend", metavar="NAME", default="auto", help="auto (default) or one that hebbit info lists")
    trust_flag(parser)
