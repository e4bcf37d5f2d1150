"""The text of the CUDA kernels on a CPU, for proofs: slow, needs g++, and checks itself.

Every launch runs under several orders of its threads, from the same memory, and has to give the same bits under all of
them: a forgotten barrier is an error here where it would be an accident on a GPU. What it cannot see, cuda_shim.h says.
"""

import ctypes
import functools
import mmap
import shutil
import subprocess
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.cuda_backend import Call, DeviceBackend
from hebbit.backends.cuda_layout import Layout, defines, source

SCHEDULES = ("forward", "backward", "shuffled", "adversary")
"""Orders of the threads, see cuda_shim.h."""
SHARED_LIMIT = 227 << 10
"""As on the largest GPUs; the shim has no more."""
FLAGS = (
    "-std=c++17",
    "-O0",
    "-ffp-contract=off",
    "-shared",
    "-fPIC",
    "-fsanitize=undefined",
    "-fsanitize-undefined-trap-on-error",
)


PROT_NONE = 0
RUBBISH = 0xA5


class RaceError(RuntimeError):
    """The order of the threads changed the result."""


def require_compiler() -> str:
    """Path of the compiler.

    Raises:
        ImportError: there is none.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise ImportError("the shim compiles CUDA text for the CPU with g++; install that, or use the backend numba")
    return compiler


@functools.cache
def build(text: str, options: tuple[str, ...], kernels: tuple[str, ...] = ("run", "predict")) -> ctypes.CDLL:
    """Compile the text of these kernels for the host.

    Raises:
        ImportError: there is no g++.
        RuntimeError: the text does not compile.
    """
    with (
        as_file(files("hebbit.backends") / "cuda_shim.h") as header,
        tempfile.TemporaryDirectory(prefix="hebbit-shim-") as folder,
    ):
        parts = [f'#include "{header}"', text, *(f"SHIM_KERNEL({name})" for name in kernels)]
        made, library = Path(folder) / "brain.cpp", Path(folder) / "brain.so"
        made.write_text("\n".join(parts), encoding="utf-8")
        command = [require_compiler(), *FLAGS, *options, str(made), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the kernels do not compile for the host: {done.stderr.strip()}")
        # once mapped, it needs its file no longer
        return ctypes.CDLL(str(library))


def guarded(shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """An array full of rubbish that ends where reading or writing on is a fault."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    area = mmap.mmap(-1, whole + mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address + whole), ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect refused to guard an array of the shim")
    flat = np.frombuffer(area, np.uint8, size, whole - size)
    flat[:] = RUBBISH
    return flat.view(kind).reshape(shape)


class ShimMachine:
    """A GPU of one core whose threads are fibers."""

    name = "shim"
    shared_limit = SHARED_LIMIT
    shared_total = SHARED_LIMIT + 1024
    multiprocessors = 1

    def __init__(self, text: str | None = None, architecture: int = 900) -> None:
        """Take the kernels that ship, or other text, as an architecture of ``__CUDA_ARCH__`` would compile it."""
        self.text = text
        self.architecture = architecture

    def free_memory(self) -> int:
        """As much as a large GPU has: the host says when it has less."""
        return 128 << 30

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy behind whose end nothing can be read."""
        copy = self.empty(array.shape, array.dtype.type)
        copy[...] = array
        return copy

    def empty(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """Room filled with rubbish; reading or writing on behind its end is a fault."""
        return guarded(shape, dtype)

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        """An ordinary copy."""
        return array.copy()

    def store(self, array: NDArray[Any], host: NDArray[Any]) -> None:
        """Overwrite it."""
        array[...] = host

    def load(self, made: Layout) -> ctypes.CDLL:
        """The kernels compiled for a layout."""
        options = (f"-D__CUDA_ARCH__={self.architecture}", *defines(made))
        return build(source(made.world) if self.text is None else self.text, options, made.kernels)

    def launch(self, module: ctypes.CDLL, made: Layout, call: Call) -> None:
        """Run one kernel under every schedule, from the same memory."""
        before = {i: call.arguments[i].copy() for i in call.written}
        first: dict[int, NDArray[Any]] = {}
        for number, schedule in enumerate(SCHEDULES):
            for i, array in before.items():
                call.arguments[i][...] = array
            self._launch_once(module, made, call, number)
            after = {i: call.arguments[i].copy() for i in call.written}
            first = first or after
            if any(not np.array_equal(first[i], after[i]) for i in call.written):
                raise RaceError(
                    f"kernel {call.kernel}: the order {schedule!r} of threads gives other bits than forward"
                )

    @staticmethod
    def _launch_once(module: ctypes.CDLL, made: Layout, call: Call, schedule: int) -> None:
        held = [a if isinstance(a, np.ndarray) else np.array(a) for a in call.arguments]
        values = [ctypes.c_void_p(a.ctypes.data) if a.ndim else ctypes.c_uint32(int(a)) for a in held]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        getattr(module, f"shim_{call.kernel}")(
            call.blocks, made.threads, made.board["LENGTH"], schedule, call.blocks + 1, pointers
        )


class ShimBackend(DeviceBackend):
    """The kernels that a GPU would run, on the CPU."""

    def __init__(self, text: str | None = None, architecture: int = 900) -> None:
        """See :class:`ShimMachine`.

        Raises:
            ImportError: there is no g++.
        """
        require_compiler()
        super().__init__(ShimMachine(text, architecture))
