"""How many warp instructions a presentation takes on a GPU, counted without one, and the bound that follows.

python -m hebbit.scripts.instructions --arch 90
python -m hebbit.scripts.instructions --arch 80 --default --rule young --out instructions.json
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hebbit.agents.errors import HebbitError
from hebbit.agents.files import atomic_write_text
from hebbit.backends.spec import CONTRACT_VERSION, BrainConfig
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.evaluate import check_output
from hebbit.scripts.flags import positive_number
from hebbit.scripts.instructions_count import GPUS, ISSUED, PIPES, PRESENTATIONS, SOURCE, Counted, per_presentation
from hebbit.scripts.instructions_machine import SHARED_LIMITS

REFUSALS = (HebbitError, ImportError, ValueError, RuntimeError)
USER_ERROR = 2


def parser() -> argparse.ArgumentParser:
    """Flags of the command."""
    made = argparse.ArgumentParser(
        prog="instructions",
        description="Count the warp instructions of one presentation with its learning step in the compiled CUDA "
        "kernel, by phase and by pipe. No GPU is needed: the machine code is emulated, and what it computes is "
        "compared with the specification.",
    )
    add = made.add_argument
    add("--arch", type=int, choices=list(SHARED_LIMITS), default=90, help="compute capability (default %(default)s)")
    add(
        "--words", type=positive_number, default=sizes.BASE_WORDS, help="words of 32 pool neurons (default %(default)s)"
    )
    add("--slots", type=positive_number, default=sizes.BASE_SYNAPSES, help="synapses of a neuron (default %(default)s)")
    add("--actions", type=positive_number, default=2, help="motor units (default %(default)s)")
    add("--cycles", type=positive_number, default=sizes.BASE_CYCLES, help="of a presentation (default %(default)s)")
    add("--sensory", type=positive_number, default=8, help="words of 32 sensory neurons (default %(default)s)")
    add("--default", action="store_true", help="the default brain instead, as CartPole-v1 has it")
    add("--rule", choices=list(sizes.RULES), default="default", help="hyperparameters, as throughput names them")
    add("--presentations", type=positive_number, default=PRESENTATIONS, help="to average over (default %(default)s)")
    add("--functions", type=positive_number, default=12, help="of the source to show (default %(default)s)")
    add("--out", metavar="FILE.json", help="write the result there, whole")
    return made


def brain(options: argparse.Namespace) -> BrainConfig:
    """The brain that the flags describe.

    Raises:
        HebbitError: no brain can have that.
    """
    if options.default:
        own = sizes.DEFAULT_BRAIN
        slots, words, cycles = (own.slots_min, own.slots_max), own.pool_words, own.cycles
        sensory = sizes.DEFAULT_BRAIN_SENSORY_WORDS
    else:
        slots, words, cycles = (options.slots, options.slots), options.words, options.cycles
        sensory = options.sensory
    made = sizes.Point(1, words, sensory, slots, cycles).brain_config()
    return replace(made, groups=(options.actions,))


def report(config: BrainConfig, counted: Counted, shown: int) -> str:
    """The result in lines."""
    least, most = config.slots
    slots = f"{most}" if least == most else f"{least} to {most}"
    noun = "warp" if counted.warps == 1 else "warps"
    head = (
        f"sm_{counted.architecture}, {32 * config.pool_words} pool neurons of {slots} synapses, {config.sensory_words} "
        f"sensory words, {config.cycles} cycles, {config.units} actions; rule {counted.rule}\n"
        f"{counted.instructions:,.0f} warp instructions a presentation ({counted.warps} {noun}, "
        f"{100 * counted.lanes:.0f} % of the lanes at work), {counted.registers} registers, {counted.code_bytes:,} of "
        f"{counted.kernel_bytes:,} bytes of code passed through; bits equal the specification's"
    )
    functions = dict(list(counted.functions.items())[:shown])
    parts = [head, shares("phase", counted.phases), pipes(counted), shares("function", functions), bounds(counted)]
    return "\n\n".join(parts)


def shares(title: str, numbers: Mapping[str, float]) -> str:
    """Instructions by name."""
    width = max(len(title), *map(len, numbers))
    lines = [f"{title:<{width}}  instructions"]
    return "\n".join([*lines, *(f"{name:<{width}}  {number:12,.0f}" for name, number in numbers.items())])


def pipes(counted: Counted) -> str:
    """Instructions by pipe and the clocks of a multiprocessor that they take."""
    clocks = counted.clocks()
    lines = [f"{'pipe':<10}{'instructions':>14}{'lanes/clock':>13}{'clocks':>9}"]
    lines.append(f"{'issue':<10}{counted.instructions:>14,.0f}{32 * ISSUED:>13}{clocks['issue']:>9,.0f}")
    for name, pipe in PIPES.items():
        rate = f"{pipe.lanes:>13}{clocks[name]:>9,.0f}" if pipe.lanes else ""
        lines.append(f"{name:<10}{counted.pipes[name]:>14,.0f}{rate}")
    lines.append(f"of the memory pipe's, {counted.conflicts:,.0f} are repeats because lanes met in a bank")
    if counted.unassigned:
        lines.append(f"taken to be of the first pipe, as they are not known: {', '.join(counted.unassigned)}")
    return "\n".join(lines)


def bounds(counted: Counted) -> str:
    """What no GPU can exceed."""
    clocks = counted.clocks()
    most = max(clocks, key=lambda name: clocks[name])
    lines = [f"bound by {most}: {clocks[most]:,.0f} clocks of a multiprocessor a presentation"]
    for name, bound in counted.bounds().items():
        gpu = GPUS[name]
        about = f"({gpu.multiprocessors} multiprocessors of {gpu.boost / 1e9:.3g} GHz)"
        lines.append(f"{name:<18}{millions(bound)} presentations/s {about}")
    return "\n".join(lines)


def millions(rate: float) -> str:
    """Millions with three digits."""
    return f"{rate / 1e6:.3g} M"


def result(config: BrainConfig, counted: Counted) -> dict[str, Any]:
    """For the result file."""
    return {
        "contract": CONTRACT_VERSION,
        "brain": {name: getattr(config, name) for name in ("sensory_words", "pool_words", "slots", "cycles", "groups")},
        **counted.describe(),
        "pipes_known": {name: pipe._asdict() for name, pipe in PIPES.items()},
        "throughputs_from": SOURCE,
        "gpus": {name: gpu._asdict() for name, gpu in GPUS.items()},
    }


def run(options: argparse.Namespace) -> int:
    """Count, print, write."""
    check_output(options.out)
    config = brain(options)
    counted = per_presentation(config, options.arch, options.rule, options.presentations)
    print(report(config, counted, options.functions))
    if options.out:
        atomic_write_text(options.out, json.dumps(result(config, counted), indent=1) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; what a user can mend is one sentence and status 2."""
    options = parser().parse_args(argv)
    try:
        return run(options)
    except REFUSALS as error:
        print(f"instructions: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
