"""Commands: ``python -m hebbit.scripts.ablation run | bits | table``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hebbit.agents.errors import HebbitError
from hebbit.scripts.ablation import bits, runs, table
from hebbit.scripts.ablation.variants import chosen, variants
from hebbit.scripts.claims_tools import count


def parser() -> argparse.ArgumentParser:
    """Flags of all commands."""
    made = argparse.ArgumentParser(prog="ablation", description="Which part of an agent does what.")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("run", help="train the variants of variants.toml; what is in the file is not run again")
    one.add_argument("--only", nargs="+", metavar="NAME", help="variants, environments, or ENVIRONMENT:VARIANT")
    one.add_argument("--seeds", type=count, default=5, help=f"how many, from {runs.FIRST_SEED} on (default 5)")
    one.add_argument("--jobs", type=count, default=1, help="processes at a time (default 1)")
    one.add_argument("--anew", action="store_true", help="replace rows of other settings or another contract")
    one.add_argument("--out", type=Path, required=True, help="JSON file, completed after every run")
    one.set_defaults(call=_run)
    one = commands.add_parser("bits", help="weights and traces of 2 to 16 bits in a model of the learning rule")
    plan = bits.Plan()
    for name in ("seeds", "steps", "episodes"):
        one.add_argument(f"--{name}", type=count, default=getattr(plan, name), help="default %(default)s")
    one.add_argument("--out", type=Path, required=True, help="JSON file")
    one.set_defaults(call=_bits)
    one = commands.add_parser("table", help="bring the tables of a document up to date")
    one.add_argument("results", type=Path, help="file that run made")
    one.add_argument("document", type=Path, help="Markdown with the lines <!-- ablation: begin --> and end")
    one.add_argument("--bits", type=Path, help="file that bits made; the document then needs its lines, too")
    one.set_defaults(call=_table)
    return made


def _run(options: argparse.Namespace) -> None:
    known = variants()
    seeds = range(runs.FIRST_SEED, runs.FIRST_SEED + options.seeds)
    asked = [runs.Run(variant, seed) for variant in chosen(known, options.only) for seed in seeds]
    runs.measure(asked, known, options.out, options.jobs, options.anew)


def _bits(options: argparse.Namespace) -> None:
    made = bits.measure(bits.Plan(options.seeds, options.steps, options.episodes), options.out)
    print(table.bits_table(made), end="")


def _table(options: argparse.Namespace) -> None:
    table.update(options.document, options.results, options.bits)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 if it cannot be done."""
    options = parser().parse_args(argv)
    try:
        options.call(options)
    except HebbitError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
