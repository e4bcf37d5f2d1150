"""A double of CuPy whose kernels run on the host shim: cupy_backend.py line by line, without a GPU.

It has the few names that the backend uses and is stricter than CuPy: whatever CuPy would take in silence and turn into
wrong bits or a crash is refused here with a sentence. test_fake_cupy.py compares its names with the real library's.
"""

import ctypes
import re
import sys
import types
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import hebbit.backends
from hebbit.backends.shim_backend import build, guarded
from hebbit.backends.spec import BrainConfig, empty_arrays
from hebbit.scripts.conformance import Dice, random_params

MODULE = "hebbit.backends.cupy_backend"
Order = Literal["C", "F"]
ARCHITECTURE = 900
SCHEDULE = 2  # shuffled: a GPU promises no order of threads
STATIC_LIMIT = 48 << 10
SHARED_LIMIT = 232448  # of a block that asks for it, on an H100 or H200
TYPES: dict[str, Any] = {"u32": np.uint32, "s32": np.int32, "u8": np.uint8, "s64": np.int64, "double": np.float64}
ERRORS = {
    35: "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version",
    100: "cudaErrorNoDevice: no CUDA-capable device is detected",
}
REGISTERS = {"run": 96, "predict": 80, "live": 110, "trial": 90}
RESIDENT = ("live", "trial")
STATIC_BYTES = 16  # of shared memory that the compiler takes: none in truth, but the report has to add it


class CUDARuntimeError(RuntimeError):
    """What the runtime refuses, with CUDA's number for it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(ERRORS[status])


class CUDADriverError(RuntimeError):
    """A launch that the driver refuses."""


class CompileException(Exception):
    """As cupy.cuda.compiler has it: the message is not among the arguments of the exception."""

    def __init__(self, msg: str, source: str, name: str, options: tuple[str, ...], backend: str = "nvrtc") -> None:
        self._msg = msg
        self.source, self.name, self.options, self.backend = source, name, options, backend
        super().__init__()

    def __str__(self) -> str:
        return self._msg


class Launched(NamedTuple):
    """A kernel that ran."""

    kernel: str
    device: int
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    ordered: bool
    """On the default stream, whichever was current before."""


@dataclass
class Gpu:
    """The machine behind the double: what it has, and what was done with it."""

    devices: int = 2
    status: int = 0
    """The error with which devices are counted, if not 0."""
    free: int = 8 << 30
    """Bytes that the driver would say are free."""
    pooled: int = 0
    """Bytes that CuPy's pool holds without using them."""
    nvrtc: Exception | None = None
    """With what NVRTC fails to load."""
    allocators: list[Any] = field(default_factory=list)
    """Those that were set."""
    current: int = 0
    allocated: list[int] = field(default_factory=list)
    compiled: list[str] = field(default_factory=list)
    launched: list[Launched] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)
    """Devices that were waited for."""
    streams: int = 0
    """How often the default stream was made current and not given back."""


class Ndarray:
    """An array on a device: NumPy gets nothing out of it."""

    __array_ufunc__ = None

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], dtype: Any, order: Order) -> None:
        self.shape, self.dtype, self._order = shape, np.dtype(dtype), order
        self._device = gpu.current
        self._memory = guarded((int(np.prod(shape, dtype=np.int64)),), self.dtype.type)
        self.nbytes = self._memory.nbytes
        gpu.allocated.append(self.nbytes)

    def set(self, arr: NDArray[Any], stream: Any = None) -> None:
        if arr.shape != self.shape or arr.dtype != self.dtype or not self._rows_first:
            raise ValueError("Shape mismatch")
        self._memory[:] = arr.ravel()

    @property
    def _rows_first(self) -> bool:
        """Whether its memory is in the order that a kernel expects."""
        return self._order == "C" or min(self.shape) == 0 or sum(length > 1 for length in self.shape) < 2

    def __array__(self, *arguments: Any, **keywords: Any) -> NDArray[Any]:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


def empty(gpu: Gpu, shape: tuple[int, ...], dtype: Any = float, order: Order = "C") -> Ndarray:
    """Room full of rubbish, as on a GPU."""
    return Ndarray(gpu, shape, dtype, order)


def asarray(gpu: Gpu, a: Any, dtype: Any = None, order: str | None = None, *, blocking: bool = False) -> Any:
    """A copy on the current device; without an order, one that is stored column by column stays so."""
    if isinstance(a, Ndarray):
        return a
    if type(a) is not np.ndarray or a.ndim == 0 or dtype is not None:
        raise TypeError(f"only arrays of NumPy are taken as they are, got {type(a)}")
    columns = a.flags.f_contiguous and not a.flags.c_contiguous and order in (None, "K", "A")
    made = Ndarray(gpu, a.shape, a.dtype, "F" if columns or order == "F" else "C")
    made._memory[:] = a.ravel(made._order)
    return made


def asnumpy(gpu: Gpu, a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """A copy on the host. CuPy takes NumPy's arrays, too, and gives them back; here they show a mistake."""
    if type(a) is not Ndarray:
        raise TypeError(f"this is on the host already: {type(a)}")
    if a._device != gpu.current or not blocking:
        raise CUDADriverError("the copy is not ordered behind the kernels of the array's device")
    return a._memory.reshape(a.shape, order=a._order).copy(order="C")


class RawKernel:
    """A kernel; what is set on it holds for the device that is current then."""

    local_size_bytes = 0
    shared_size_bytes = STATIC_BYTES

    def __init__(self, gpu: Gpu, code: str, name: str, options: tuple[str, ...]) -> None:
        self._gpu, self.name, self.code = gpu, name, code
        self._sizes = {
            name: value for name, _, value in (option.removeprefix("-D").partition("=") for option in options)
        }
        self._parameters = parameters(code, name)
        if ("--fmad=false" in options) != (name in RESIDENT):
            raise CUDADriverError("products that are fused with sums give a world other bits")
        sizes = (f"-D__CUDA_ARCH__={ARCHITECTURE}", *(option for option in options if option.startswith("-D")))
        self._library = build(code, sizes, RESIDENT if name in RESIDENT else ("run", "predict"))
        self._carveout = -1
        self._allowed = dict.fromkeys(range(gpu.devices), STATIC_LIMIT)

    @property
    def preferred_shared_memory_carveout(self) -> int:
        return self._carveout

    @preferred_shared_memory_carveout.setter
    def preferred_shared_memory_carveout(self, percent: int) -> None:
        if type(percent) is not int or not -1 <= percent <= 100:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {percent} percent of shared memory")
        self._carveout = percent

    @property
    def num_regs(self) -> int:
        return REGISTERS[self.name]

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self._allowed[self._gpu.current]

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int) -> None:
        if type(size) is not int or not 0 <= size <= SHARED_LIMIT:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {size} bytes of shared memory")
        self._allowed[self._gpu.current] = size

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        self._refuse(grid, block, shared_mem)
        if type(args) is not tuple or len(args) != len(self._parameters):
            raise CUDADriverError(f"{self.name} takes a tuple of {len(self._parameters)} arguments, got {args}")
        values = [self._value(*pair) for pair in zip(self._parameters, args, strict=True)]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        symbol = getattr(self._library, f"shim_{self.name}")
        symbol(grid[0], block[0], shared_mem // 4, SCHEDULE, grid[0] + 1, pointers)
        self._gpu.launched.append(
            Launched(self.name, self._gpu.current, grid, block, shared_mem, self._gpu.streams > 0)
        )

    def _refuse(self, grid: Any, block: Any, shared: int) -> None:
        for name, size in (("grid", grid), ("block", block)):
            if type(size) is not tuple or len(size) != 1 or type(size[0]) is not int or size[0] < 1:
                raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: a {name} of {size}")
        if block[0] > 32 * int(self._sizes["WARPS"]):
            raise CUDADriverError(f"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: {block[0]} threads are over the launch bound")
        if type(shared) is not int or shared > self.max_dynamic_shared_size_bytes:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {shared} bytes of shared memory, not asked for")
        if shared < 4 * int(self._sizes["BOARD_LENGTH"]):
            raise CUDADriverError(f"CUDA_ERROR_ILLEGAL_ADDRESS: {shared} bytes of shared memory are too few")

    def _value(self, parameter: tuple[type[np.generic], bool], given: Any) -> Any:
        kind, pointer = parameter
        if not pointer:
            if not isinstance(given, kind):
                raise TypeError(f"a scalar must be {kind}, for CuPy makes 64 bits of Python's numbers, got {given!r}")
            return ctypes.c_uint32(given.item())
        if type(given) is not Ndarray or given.dtype != kind:
            raise TypeError(f"a kernel takes {kind} on the device, got {type(given)}")
        if not given._rows_first or given._device != self._gpu.current:
            raise CUDADriverError("an array stored column by column, or on another device")
        return ctypes.c_void_p(given._memory.ctypes.data)


def parameters(code: str, name: str) -> list[tuple[type[np.generic], bool]]:
    """Types of a kernel's parameters, and which are pointers."""
    found = re.search(rf"__global__\s+void\s+__launch_bounds__\([^)]*\)\s+{name}\(([^)]*)\)", code)
    if found is None:
        raise CUDADriverError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
    words = [re.sub(r"\bconst\b|\b__restrict__\b", "", part).split() for part in found[1].split(",")]
    return [(TYPES[first.rstrip("*")], "*" in first + rest[0]) for first, *rest in words]


class RawModule:
    """The text of kernels; it is compiled when the first one is asked for."""

    def __init__(self, gpu: Gpu, *, code: str, options: tuple[str, ...] = ()) -> None:
        if type(code) is not str or type(options) is not tuple or not all(type(one) is str for one in options):
            raise TypeError("code must be a str and options a tuple of them")
        self._gpu, self.code, self.options = gpu, code, options

    def get_function(self, name: str) -> RawKernel:
        self._gpu.compiled.append(name)
        try:
            return RawKernel(self._gpu, self.code, name, self.options)
        except RuntimeError as error:
            if isinstance(error, CUDADriverError):
                raise
            raise CompileException(str(error), self.code, "brain.cu", self.options) from error


class Device:
    """A device; within ``with`` it is the current one."""

    def __init__(self, gpu: Gpu, device: int | None = None) -> None:
        self._gpu, self.id = gpu, gpu.current if device is None else device
        self._before: list[int] = []

    def __enter__(self) -> "Device":
        self._before.append(self._gpu.current)
        self._gpu.current = self.id
        return self

    def __exit__(self, *error: object) -> None:
        self._gpu.current = self._before.pop()

    @property
    def mem_info(self) -> tuple[int, int]:
        return self._gpu.free, 80 << 30

    @property
    def compute_capability(self) -> str:
        return "90"

    def synchronize(self) -> None:
        self._gpu.waited.append(self.id)


class Stream:
    """The default stream; within ``with`` calls go to it."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def __enter__(self) -> "Stream":
        self._gpu.streams += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._gpu.streams -= 1


class MemoryPool:
    """What CuPy keeps of freed memory."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def free_bytes(self) -> int:
        return self._gpu.pooled


class Runtime:
    """The functions of cupy.cuda.runtime."""

    CUDARuntimeError = CUDARuntimeError
    cudaDevAttrClockRate = 13
    cudaDevAttrMultiProcessorCount = 16
    cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def getDeviceCount(self) -> int:
        if self._gpu.status:
            raise CUDARuntimeError(self._gpu.status)
        return self._gpu.devices

    def deviceGetAttribute(self, attrib: int, device: int) -> int:
        return {13: 1980000, 16: 132, 81: 228 << 10, 97: SHARED_LIMIT}[attrib]

    def getDeviceProperties(self, device: int) -> dict[str, Any]:
        return {"name": f"NVIDIA Double {device}".encode(), "multiProcessorCount": 132}

    def driverGetVersion(self) -> int:
        return 13010

    def runtimeGetVersion(self) -> int:
        return 13020


class Nvrtc:
    """The functions of cupy.cuda.nvrtc."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def getVersion(self) -> tuple[int, int]:
        if self._gpu.nvrtc is not None:
            raise self._gpu.nvrtc
        return 13, 5


class Cuda:
    """The names of cupy.cuda."""

    def __init__(self, gpu: Gpu) -> None:
        self.Device, self.set_allocator = partial(Device, gpu), gpu.allocators.append
        self.runtime, self.nvrtc = Runtime(gpu), Nvrtc(gpu)
        self.Stream = types.SimpleNamespace(null=Stream(gpu))
        self.compiler = types.SimpleNamespace(CompileException=CompileException)


class FakeCupy(types.ModuleType):
    """The module, as ``import cupy`` finds it."""

    __version__ = "14.2.0"

    def __init__(self, gpu: Gpu) -> None:
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.cuda = Cuda(gpu)
        self.RawModule = partial(RawModule, gpu)
        for function in (asarray, asnumpy, empty):
            setattr(self, function.__name__, partial(function, gpu))
        self.get_default_memory_pool = partial(MemoryPool, gpu)


def public(kind: object) -> set[str]:
    """The names that a part of the double offers."""
    return {name for name in {*dir(kind), *getattr(kind, "__annotations__", ())} if not name.startswith("_")}


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the end of the test, loading the backend runs its module anew, with whatever CuPy is then."""
    monkeypatch.setattr(hebbit.backends, "_LOADED", {k: v for k, v in hebbit.backends._LOADED.items() if k != "cupy"})
    monkeypatch.setattr(hebbit.backends, "cupy_backend", None, raising=False)
    monkeypatch.setitem(sys.modules, MODULE, None)
    del sys.modules[MODULE]


def born(backend: Any, config: BrainConfig, brains: int = 2) -> Any:
    params = random_params(Dice(1, 7), brains, config.clusters)
    return backend.create(config, params, 5, empty_arrays(config, np.arange(brains, dtype=np.uint32)))


def shown(config: BrainConfig, steps: int = 1, brains: int = 2) -> tuple[Any, Any, Any]:
    """Observations, rewards and flags of a run."""
    seen = Dice(1, 8).integers(0, 15, (steps, brains, config.sensory_words, 32)).astype(np.uint8)
    return seen, np.full((steps, brains), 3, np.int32), np.full((steps, brains), 2, np.uint8)
