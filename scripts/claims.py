"""Measurements behind what hebbit says about itself.

python -m hebbit.scripts.claims learning --suite --jobs 2 --out results
python -m hebbit.scripts.claims speed --out results/speed.json
python -m hebbit.scripts.claims sb3 --out results/sb3.json
python -m hebbit.scripts.claims digest --out results/digest.json
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from hebbit.agents import HebbitError
from hebbit.scripts import claims_digest, claims_learning, claims_sb3, claims_speed
from hebbit.scripts.claims_tools import ClaimError, command_line

CLAIMS: dict[str, tuple[Any, str]] = {
    "learning": (claims_learning, "default agents learn, on seeds that nobody tuned for"),
    "speed": (claims_speed, "training steps a second on one core, and where the time goes"),
    "sb3": (claims_sb3, "training time until CartPole is solved, beside Stable-Baselines3's PPO"),
    "digest": (claims_digest, "same seed, same bits: runs, threads, processors, backends"),
}


def parser() -> argparse.ArgumentParser:
    """Flags of every claim."""
    made = argparse.ArgumentParser(prog="claims", description="Measure what hebbit says about itself.")
    commands = made.add_subparsers(dest="claim", metavar="CLAIM", required=True)
    for name, (module, about) in CLAIMS.items():
        module.add_flags(commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}."))
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one claim; 0, or 1 if it does not hold or could not be measured, or 2 if the command is at fault."""
    words = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(words)
    options.command = command_line(words)
    try:
        status: int = CLAIMS[options.claim][0].run(options)
        return status
    except HebbitError as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    except ClaimError as error:
        print(f"claims: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("claims: interrupted; what was finished is in --out", file=sys.stderr)
        return 130  # as shells count: 128 + the signal's number


if __name__ == "__main__":
    raise SystemExit(main())
