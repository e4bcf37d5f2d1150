"""A machine that emulates compiled kernels and counts their instructions.

It runs the kernels of a backend, so what it computes can be compared with the specification: if all bits agree, every
instruction was executed as often as on a GPU, whatever the compiler made of loops and branches.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.cuda_backend import Call
from hebbit.backends.cuda_layout import Layout, layout
from hebbit.backends.spec import BrainConfig
from hebbit.scripts.instructions_registers import LANES, Memory, Registers, Words
from hebbit.scripts.instructions_text import Kernel, kernels
from hebbit.scripts.instructions_warp import Program, Tally, Warp, run_block

if TYPE_CHECKING:
    from hebbit.backends.cuda_compile import Usage

SHARED_LIMITS = {80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}
"""Bytes of shared memory that a block may have, of the architectures that are understood."""
GRID_SIZES = {100: 0x370, 120: 0x370}
"""Place of the number of blocks in constant bank 0, in bytes, where it is not the older one."""
OLDER_GRID_SIZE = 0xC
POISON = 0xAD


def banks(kernel: Kernel, arguments: Sequence[Any], table: int, grid: tuple[int, int]) -> dict[int, Words]:
    """Constant banks of a launch: parameters lie at the end of bank 0, each where its size lets it.

    Args:
        kernel: to launch.
        arguments: addresses as integers of Python, and NumPy scalars of 32 bits.
        table: address of initialised memory.
        grid: where bank 0 holds the number of blocks, and that number.
    """
    parameters = bytearray()
    for value in arguments:
        size = 8 if isinstance(value, int) else 4
        parameters += bytes(-len(parameters) % size) + int(value).to_bytes(size, "little")
    known = bytearray(kernel.constants[0])
    known[len(known) - len(parameters) :] = parameters
    known[grid[0] : grid[0] + 4] = grid[1].to_bytes(4, "little")
    filled = (np.frombuffer(bytes(bank), np.uint32) for bank in (known, kernel.constants[2]))
    return dict(zip((0, 2), filled, strict=True)) | {4: np.array([table], np.uint64).view(np.uint32)}


def threads(
    made: Layout, block: int, constants: Mapping[int, Words], shared: NDArray[np.uint8], memory: Memory
) -> Iterator[Registers]:
    """The registers of each warp of a block, which know who they are."""
    lane = np.arange(LANES, dtype=np.uint32)
    for warp in range(made.warps):
        registers = Registers(constants, shared, memory)
        registers.special = {
            "SR_TID.X": np.uint32(LANES * warp) + lane,
            "SR_CTAID.X": np.full(LANES, block, np.uint32),
            "SR_LANEID": lane,
            "SR_CgaCtaId": np.zeros(LANES, np.uint32),
        }
        yield registers


@functools.lru_cache(maxsize=16)
def compiled(config: BrainConfig, architecture: int) -> tuple[dict[str, Kernel], "dict[str, Usage]"]:
    """The kernels for a brain, and what they take.

    Raises:
        ImportError: compiler or disassembler are missing.
    """
    from hebbit.backends.cuda_compile import cubin

    binary, usage = cubin(layout(config, SHARED_LIMITS[architecture]), architecture, ("--generate-line-info",))
    return kernels(binary), usage


class EmulatedMachine:
    """A GPU that counts; see :class:`hebbit.backends.cuda_backend.Machine`."""

    name = "emulator"

    def __init__(self, architecture: int) -> None:
        """Of a compute capability.

        Raises:
            ValueError: its machine code is not understood.
        """
        if architecture not in SHARED_LIMITS:
            raise ValueError(f"architecture must be one of {list(SHARED_LIMITS)}, got {architecture}")
        self.architecture, self.shared_limit = architecture, SHARED_LIMITS[architecture]
        self.multiprocessors, self.shared_total = 1, self.shared_limit + 1024
        self.tallies: dict[str, Tally] = {}
        """Everything executed so far, by kernel; of the layout that was loaded last."""
        self.usage: Mapping[str, Usage] = {}

    def free_memory(self) -> int:
        """More than anyone emulates."""
        return 1 << 40

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy."""
        return array.copy()

    def empty(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """Room filled with rubbish."""
        return np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, POISON, np.uint8).view(dtype).reshape(shape)

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy."""
        return array.copy()

    def store(self, array: NDArray[Any], host: NDArray[Any]) -> None:
        """Overwrite it."""
        array[...] = host

    def load(self, made: Layout) -> dict[str, Program]:
        """Compile the kernels for a layout.

        Raises:
            ImportError: compiler or disassembler are missing.
        """
        found, self.usage = compiled(made.config, self.architecture)
        self.tallies = {name: Tally.of(kernel) for name, kernel in found.items()}
        return {name: Program(kernel) for name, kernel in found.items()}

    def launch(self, module: dict[str, Program], made: Layout, call: Call) -> None:
        """Run one kernel, block by block."""
        program, tally = module[call.kernel], self.tallies[call.kernel]
        arrays = [array for array in call.arguments if isinstance(array, np.ndarray)]
        memory = Memory(Memory.room([*(array.nbytes for array in arrays), len(program.kernel.table)]))
        given = [memory.place(a) if isinstance(a, np.ndarray) else a for a in call.arguments]
        table = memory.place(np.frombuffer(program.kernel.table, np.uint8))
        grid = GRID_SIZES.get(self.architecture, OLDER_GRID_SIZE), call.blocks
        constants = banks(program.kernel, given, table, grid)
        for block in range(call.blocks):
            shared = np.full(program.kernel.static_shared + 4 * made.board["LENGTH"], POISON, np.uint8)
            run_block(
                [Warp(program, registers, tally) for registers in threads(made, block, constants, shared, memory)]
            )
        for i in call.written:
            array = call.arguments[i]
            array[...] = np.frombuffer(memory.content(given[i], array.nbytes), array.dtype).reshape(array.shape)
