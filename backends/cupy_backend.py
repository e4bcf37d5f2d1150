"""The CUDA kernels through CuPy. Importing this needs CuPy, but no GPU and no driver; making the backend needs both."""

import functools
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import cupy
except ImportError as missing:
    # CuPy puts a page of advice around what went wrong
    raise ImportError(
        f'{missing.__cause__ or missing}; install CuPy with pip install "cupy-cuda13x[ctk]" (or cupy-cuda12x), or '
        "use the backend numba"
    ) from missing

from hebbit.backends.cuda_backend import Call, DeviceBackend
from hebbit.backends.cuda_layout import Layout, defines, source

UNFUSED = ("--fmad=false",)
"""Worlds are reckoned in doubles, whose products may not be fused with sums."""
STATIC_LIMIT = 48 << 10
"""Shared memory beyond this has to be asked for."""


def require_device() -> None:
    """Say in one sentence what is missing.

    Raises:
        ImportError: no driver, no device or no compiler.
    """
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise ImportError(
            f"CuPy {cupy.__version__} finds no usable GPU ({error}); it needs one from NVIDIA and a driver for CUDA "
            f"{cupy.cuda.runtime.runtimeGetVersion() // 1000} or newer, or use the backend numba"
        ) from error
    if count == 0:
        raise ImportError("there is no CUDA device; use the backend numba")
    try:
        cupy.cuda.nvrtc.getVersion()
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(
            f"CuPy {cupy.__version__} finds no NVRTC, which compiles the kernels ({' '.join(str(error).split())}); "
            'install it with pip install "cupy-cuda13x[ctk]" (or cupy-cuda12x), or use the backend numba'
        ) from error


def allocate_apart() -> None:
    """Give every array memory of its own from now on, where compute-sanitizer sees its end; CuPy's pool hides that."""
    cupy.cuda.set_allocator(None)


@functools.cache
def compiled(
    text: str, kernels: tuple[str, ...], options: tuple[str, ...], shared_bytes: int, device: int
) -> dict[str, Any]:
    """The kernels of a text for the current device, which is that one; CuPy keeps their binaries on disk.

    Raises:
        RuntimeError: the text does not compile.
    """
    try:
        module = cupy.RawModule(code=text, options=options)
        found = {name: module.get_function(name) for name in kernels}
    except cupy.cuda.compiler.CompileException as error:
        raise RuntimeError(f"NVRTC does not compile the kernels: {error}") from error
    for kernel in found.values():
        # each device has its own copy of the kernel, and only the current one's is told
        if shared_bytes > STATIC_LIMIT:
            kernel.max_dynamic_shared_size_bytes = shared_bytes
        # what shared memory does not take is cache, of which the kernels need little
        kernel.preferred_shared_memory_carveout = 100
    return found


class CupyMachine:
    """The CUDA device that is current when this is made; it stays the same, whichever is current later or elsewhere.

    CuPy allocates, copies and launches on the current device and stream of the calling thread, so everything here names
    its own: that device, and its default stream, which keeps what is called in order.
    """

    name = "cupy"

    def __init__(self) -> None:
        """Look at the device.

        Raises:
            ImportError: there is none.
        """
        require_device()
        self.device = cupy.cuda.Device()
        self.shared_limit = self._attribute(cupy.cuda.runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin)
        self.shared_total = self._attribute(cupy.cuda.runtime.cudaDevAttrMaxSharedMemoryPerMultiprocessor)
        self.multiprocessors = self._attribute(cupy.cuda.runtime.cudaDevAttrMultiProcessorCount)
        self.moved: Counter[str] = Counter()
        """Bytes that went to the device and came from it."""
        self.resources: dict[str, dict[str, int]] = {}
        """Registers, local and shared memory of the kernels last loaded."""

    def _attribute(self, number: int) -> int:
        """One of CUDA's attributes. Device.attributes asks for all of them, even for some that drivers refuse."""
        return int(cupy.cuda.runtime.deviceGetAttribute(number, self.device.id))

    def free_memory(self) -> int:
        """Bytes that the device has left, and those that CuPy holds without using them."""
        with self.device, cupy.cuda.Stream.null:
            return int(self.device.mem_info[0]) + int(cupy.get_default_memory_pool().free_bytes())

    def upload(self, array: NDArray[Any]) -> Any:
        """A copy on the device, row by row: left to choose, CuPy keeps the order of columns that it finds."""
        self.moved["to_device"] += array.nbytes
        with self.device, cupy.cuda.Stream.null:
            return cupy.asarray(array, order="C")

    def empty(self, shape: tuple[int, ...], dtype: type) -> Any:
        """Room on the device, uninitialised."""
        with self.device, cupy.cuda.Stream.null:
            return cupy.empty(shape, dtype)

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host, when everything before it is done."""
        self.moved["from_device"] += array.nbytes
        with self.device, cupy.cuda.Stream.null:
            host: NDArray[Any] = cupy.asnumpy(array)
        return host

    def store(self, array: Any, host: NDArray[Any]) -> None:
        """Overwrite an array of the device."""
        self.moved["to_device"] += host.nbytes
        with self.device, cupy.cuda.Stream.null:
            array.set(np.ascontiguousarray(host))

    def load(self, made: Layout) -> dict[str, Any]:
        """The kernels compiled for a layout."""
        with self.device, cupy.cuda.Stream.null:
            options = (*defines(made), *(() if made.world is None else UNFUSED))
            kernels = compiled(source(made.world), made.kernels, options, made.shared_bytes, int(self.device.id))
            self.resources = {
                name: {
                    "registers": int(kernel.num_regs),
                    "local_bytes": int(kernel.local_size_bytes),
                    "shared_bytes": made.shared_bytes + int(kernel.shared_size_bytes),
                    "threads": made.threads,
                }
                for name, kernel in kernels.items()
            }
        return kernels

    def launch(self, module: dict[str, Any], made: Layout, call: Call) -> None:
        """Run one kernel: a block for each brain or observation."""
        kernel, arguments = module[call.kernel], tuple(call.arguments)
        with self.device, cupy.cuda.Stream.null:
            kernel((call.blocks,), (made.threads,), arguments, shared_mem=made.shared_bytes)

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        self.device.synchronize()

    def report(self) -> dict[str, Any]:
        """What the device is, what the kernels take and what has been moved."""
        properties = cupy.cuda.runtime.getDeviceProperties(self.device.id)
        return {
            "name": properties["name"].decode(),
            "compute_capability": self.device.compute_capability,
            "multiprocessors": int(properties["multiProcessorCount"]),
            "clock_khz": self._attribute(cupy.cuda.runtime.cudaDevAttrClockRate),
            "memory_bytes": int(self.device.mem_info[1]),
            "driver": int(cupy.cuda.runtime.driverGetVersion()),
            "runtime": int(cupy.cuda.runtime.runtimeGetVersion()),
            "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
            "cupy": cupy.__version__,
            "numpy": np.__version__,
            "moved_bytes": dict(self.moved),
            "kernels": self.resources,
        }


class CupyBackend(DeviceBackend):
    """The contract on a GPU: one warp is a brain of up to 1024 pool neurons, one block a larger one."""

    _machine: CupyMachine

    def __init__(self) -> None:
        """Take the current device.

        Raises:
            ImportError: there is none.
        """
        super().__init__(CupyMachine())

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        self._machine.synchronize()

    def report(self) -> dict[str, Any]:
        """See :meth:`CupyMachine.report`."""
        return self._machine.report()
