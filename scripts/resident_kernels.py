"""What the kernels of resident runs take: registers, spills and instructions, found out without a GPU.

    python -m hebbit.scripts.resident_kernels --out docs/results/resident_kernels.json

Instructions are those of the machine code as it stands, each counted once; some run several times in a step, others
seldom. Those in double precision are the world's, the encoder's and the scale's.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hebbit.agents import AgentConfig, configure
from hebbit.agents.files import atomic_write_text
from hebbit.backends.cuda_compile import ARCHITECTURES, cubin
from hebbit.backends.cuda_layout import Layout, layout
from hebbit.envs.worlds import WORLDS
from hebbit.scripts.instructions_text import kernels

SHARED = {80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}
"""Bytes that a block may have, from the CUDA programming guide, table of technical specifications."""
DISASSEMBLED = 90
"""The architecture whose instructions are counted: H100 and H200."""


def layouts(architecture: int) -> dict[str, Layout]:
    """A brain of 1,024 neurons in CartPole, and each world's own brain."""
    warp = AgentConfig(pool_words=32, slots_min=8, slots_max=8)
    shapes = {"CartPole-v1, 1,024 neurons": ("CartPole-v1", warp)}
    shapes |= {f"{name}, preset": (name, configure(name)) for name in WORLDS}
    return {
        title: layout(
            config.brain(WORLDS[name].values, (WORLDS[name].units or config.box_bins,)),
            SHARED[architecture],
            WORLDS[name],
        )
        for title, (name, config) in shapes.items()
    }


def counted(binary: bytes) -> dict[str, dict[str, int]]:
    """Instructions of each kernel: all, and those in double precision."""
    found = {}
    for name, kernel in kernels(binary).items():
        opcodes = Counter(one.opcode.partition(".")[0] for one in kernel.instructions)
        double = sum(number for opcode, number in opcodes.items() if opcode in ("DADD", "DMUL", "DFMA", "DSETP"))
        found[name] = {"instructions": sum(opcodes.values()), "double": double}
    return found


def measured(architectures: Sequence[int]) -> dict[str, Any]:
    """Usage by brain, architecture and kernel."""
    found: dict[str, Any] = {}
    for architecture in architectures:
        for title, made in layouts(architecture).items():
            binary, usage = cubin(made, architecture)
            row: dict[str, Any] = {name: vars(used) for name, used in usage.items()}
            if architecture == DISASSEMBLED:
                for name, numbers in counted(binary).items():
                    row[name] = {**row[name], **numbers}
            row["shared_bytes"], row["threads"] = made.shared_bytes, made.threads
            found.setdefault(title, {})[str(architecture)] = row
            print(f"{title:34} sm_{architecture} {row}", flush=True)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Compile, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.resident_kernels", description=__doc__)
    parser.add_argument("--architectures", type=int, nargs="+", default=list(ARCHITECTURES), choices=ARCHITECTURES)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    found = measured(arguments.architectures)
    if arguments.out is not None:
        atomic_write_text(arguments.out, json.dumps(found, indent=1) + "\n")
    spilled = any(
        row[name]["spilled"] for rows in found.values() for row in rows.values() for name in ("live", "trial")
    )
    return int(spilled)


if __name__ == "__main__":
    sys.exit(main())
