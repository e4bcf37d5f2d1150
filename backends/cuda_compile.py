"""What the kernels take on a GPU, found out without one: NVRTC compiles for any architecture, no driver needed."""

import re
from dataclasses import dataclass

from hebbit.backends.cuda_layout import Layout, defines, source

try:
    from cupy.cuda import nvrtc
except ImportError as missing:
    raise ImportError(
        f'{missing}; install NVRTC with pip install "cupy-cuda13x" "nvidia-cuda-nvrtc==13.*"'
    ) from missing

ARCHITECTURES = (80, 86, 89, 90, 100, 120)
"""Compute capabilities that the tests compile for: A100, RTX 30, RTX 40, H100 and H200, B200, RTX 50."""
REGISTER_BUDGET = 128
"""Registers of a thread: at 128, sixteen warps fit a multiprocessor of 64 K registers."""
OPTIONS = ("-std=c++17", "--fmad=false", "--ptxas-options=-v", "--ptxas-options=--warn-on-spills")
_USAGE = re.compile(
    r"entry function '(?P<kernel>\w+)' for '\w+'.*?(?P<stack>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)


@dataclass(frozen=True)
class Usage:
    """What one kernel takes."""

    registers: int
    """Of each thread."""
    spilled: int
    """Bytes that a thread stores to and loads from local memory for want of registers."""
    stack: int
    """Bytes of a thread's stack: arrays with an index that is known only at run time."""


def cubin(made: Layout, architecture: int, extra: tuple[str, ...] = ()) -> tuple[bytes, dict[str, Usage]]:
    """The binary for an architecture, and what its kernels take.

    Raises:
        RuntimeError: the text does not compile.
    """
    program = nvrtc.createProgram(source(made.world), "brain.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch=sm_{architecture}", *defines(made), *extra))
        log, binary = nvrtc.getProgramLog(program), nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        raise RuntimeError(f"NVRTC does not compile the kernels: {nvrtc.getProgramLog(program)}") from error
    finally:
        nvrtc.destroyProgram(program)
    usage = {
        found["kernel"]: Usage(int(found["registers"]), int(found["stores"]) + int(found["loads"]), int(found["stack"]))
        for found in _USAGE.finditer(log)
    }
    # CuPy cuts off the last byte, which the driver does without but tools that read ELF files miss
    return bytes(binary) + b"\0", usage
