"""The kernels under compute-sanitizer, tool after tool: what ``make gpu`` runs after the tests that need a GPU.

python -m hebbit.scripts.gpu_checks
python -m hebbit.scripts.gpu_checks --tools racecheck
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from hebbit.backends.spec import BrainConfig
from hebbit.scripts import conformance
from hebbit.scripts.conformance import Case, Dice, compare, random_arrays, random_params

SANITIZER = "compute-sanitizer"
TOOLS = {
    "memcheck": "reading or writing beyond an array",
    "racecheck": "threads that use shared memory without waiting for each other",
    "synccheck": "barriers that not all threads reach",
    "initcheck": "reading device memory that nobody wrote",
}
FOUND = 86
"""Exit status for whatever a tool finds: no other program ends with it."""
RANDOM = ("--backend", "cupy", "--brains", "6", "--presentations", "4")
SHAPES = (
    BrainConfig(3, 40, (3, 2), cycles=3, slots_min=1, slots_max=3, clusters=3),
    BrainConfig(3, 33, (2,), cycles=2, echo_delay=1, echo_pool=3, learning_words=3, learning_pool=True),
    BrainConfig(9, 33, (150, 3), cycles=1),
    BrainConfig(2, 65, (11, 2), cycles=2),
)
"""Several warps; echo and learning words; weights and traces in device memory; more shared memory than a block has
unasked."""


def find(environment: Mapping[str, str]) -> str:
    """Where compute-sanitizer is.

    Raises:
        SystemExit: nowhere.
    """
    homes = [environment.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    folders = [os.path.join(home, "bin") for home in (*homes, "/usr/local/cuda") if home]
    path = os.pathsep.join([environment.get("PATH", ""), *folders])
    found = shutil.which(SANITIZER, path=path)
    if found is None:
        raise SystemExit(
            f"gpu_checks: {SANITIZER} is neither on PATH nor in {' nor in '.join(folders)}; it comes with NVIDIA's "
            "CUDA toolkit, whose folder CUDA_HOME names"
        )
    return found


def command(sanitizer: str, tool: str) -> list[str]:
    """This module's child under one tool.

    Errors of CUDA's functions are left to CuPy, which raises those that matter: when it starts, the runtime asks the
    driver for functions that an older one does not have, and the tools would count that.
    """
    options = ["--tool", tool, "--error-exitcode", str(FOUND), "--report-api-errors", "no", "--launch-timeout", "120"]
    return [sanitizer, *options, sys.executable, "-m", "hebbit.scripts.gpu_checks", "--child"]


def child() -> int:
    """What the tools watch: some brains beside the specification; 1 if any bit differs."""
    from hebbit.backends.cupy_backend import allocate_apart

    allocate_apart()
    differing = conformance.main(list(RANDOM))
    for number, config in enumerate(SHAPES):
        dice = Dice(number, 10)
        case = Case(number, config, random_params(dice, 2, config.clusters), 5, random_arrays(dice, config, 2))
        outcome = compare(case, 3, "cupy")
        print(f"{config.words} words, {config.outputs} outputs: {sum(outcome.differing.values())} bits differ")
        differing |= bool(outcome.differing)
    return differing


def main(argv: list[str] | None = None) -> int:
    """Run the tools; 1 if one of them finds something."""
    parser = argparse.ArgumentParser(prog="gpu_checks", description="The CUDA kernels under compute-sanitizer.")
    about = "; ".join(f"{name}: {what}" for name, what in TOOLS.items())
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS), help=f"(default all) {about}")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        return child()
    sanitizer = find(os.environ)
    failed = []
    for tool in options.tools:
        print(f"{SANITIZER} --tool {tool}: {TOOLS[tool]}", flush=True)
        status = subprocess.run(command(sanitizer, tool), check=False).returncode
        if status:
            failed.append(f"{tool} ({'it found something' if status == FOUND else f'exit status {status}'})")
    if failed:
        print(f"gpu_checks: failed under {', '.join(failed)}; its output is above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
