"""The double of CuPy is strict, and has no names of its own."""

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hebbit.backends import load
from hebbit.backends.spec import BrainConfig
from tests.backends import fake_cupy
from tests.backends.fake_cupy import STATIC_LIMIT, FakeCupy, Gpu, born, public, shown

WIDE = BrainConfig(2, 40, (2,), cycles=2)


@pytest.fixture
def launched(double: Gpu) -> Callable[..., None]:
    """Launch a kernel that works, with changes."""
    cupy: Any = sys.modules["cupy"]
    backend: Any = load("cupy")
    state = born(backend, WIDE)
    seen, rewards, flags = (cupy.asarray(array) for array in shown(WIDE))
    forced, actions = cupy.empty((0,), np.int32), cupy.empty((1, 2, 1), np.int32)
    arrays = [state.memory, state.rules, state.groups, seen, rewards, flags, forced, actions]
    usual = [*arrays, np.uint32(5), np.uint32(1), np.uint32(0)]

    def launch(change: dict[int, Any] | None = None, drop: int = 0, **others: Any) -> None:
        arguments = [(change or {}).get(i, value) for i, value in enumerate(usual)]
        given = {"grid": (2,), "block": (64,), "shared_mem": state.layout.shared_bytes, **others}
        kernel = state.module["run"]
        kernel(given["grid"], given["block"], tuple(arguments[: len(usual) - drop]), shared_mem=given["shared_mem"])

    return launch


def test_the_double_runs_what_is_right(launched: Callable[..., None], double: Gpu) -> None:
    launched()
    assert len(double.launched) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"change": {8: 5}}, "a scalar must be"),
        ({"change": {9: np.int64(1)}}, "a scalar must be"),
        ({"change": {3: np.zeros((1, 2, 2, 32), np.uint8)}}, "on the device"),
        ({"change": {4: np.uint32(1)}}, "on the device"),
        ({"drop": 1}, "11 arguments"),
        ({"shared_mem": 0}, "too few"),
        ({"shared_mem": STATIC_LIMIT + 4}, "not asked for"),
        ({"block": (96,)}, "launch bound"),
        ({"grid": 2}, "a grid of 2"),
        ({"grid": (np.int64(2),)}, "a grid of"),
    ],
)
def test_the_double_refuses_what_a_gpu_would_not_mend(
    launched: Callable[..., None], double: Gpu, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises((RuntimeError, TypeError), match=said):
        launched(**wrong)
    assert double.launched == []


def test_the_double_refuses_columns_and_other_types(launched: Callable[..., None]) -> None:
    cupy: Any = sys.modules["cupy"]
    columns = cupy.asarray(np.zeros((1, 2, 2, 32), np.uint8, order="F"))
    with pytest.raises(RuntimeError, match="column by column"):
        launched({3: columns})
    with pytest.raises(TypeError, match="uint8.*on the device"):
        launched({3: cupy.empty((1, 2, 2, 32), np.int32)})


def test_numpy_gets_nothing_out_of_the_double(double: Gpu) -> None:
    cupy: Any = sys.modules["cupy"]
    array = cupy.asarray(np.arange(3))
    for function in (np.asarray, np.sum, np.negative, lambda one: np.zeros(3) + one):
        with pytest.raises((TypeError, AttributeError)):
            function(array)
    with pytest.raises(TypeError):
        cupy.asnumpy(np.zeros(3))


# the double has no names of its own


def test_the_real_library_has_every_name_of_the_double() -> None:
    real: Any = importlib.import_module("cupy")
    made = FakeCupy(Gpu())
    parts = {
        "cupy": (set(vars(made)) - set(vars(fake_cupy)["types"].ModuleType("m").__dict__), real),
        "cuda": (set(vars(made.cuda)), real.cuda),
        "compiler": (set(vars(made.cuda.compiler)), real.cuda.compiler),
        "runtime": (public(fake_cupy.Runtime), real.cuda.runtime),
        "nvrtc": (public(fake_cupy.Nvrtc), real.cuda.nvrtc),
        "device": (public(fake_cupy.Device) | {"id", "__enter__", "__exit__"}, real.cuda.Device),
        "module": (public(fake_cupy.RawModule), real.RawModule),
        "kernel": (public(fake_cupy.RawKernel), real.RawKernel),
        "pool": (public(fake_cupy.MemoryPool), real.cuda.MemoryPool),
        "array": (public(fake_cupy.Ndarray) | {"shape", "dtype", "nbytes"}, real.ndarray),
    }
    assert {part: len(names) > 0 for part, (names, _) in parts.items()} == dict.fromkeys(parts, True)
    assert {part: [n for n in names if not hasattr(owner, n)] for part, (names, owner) in parts.items()} == {
        part: [] for part in parts
    }
    attributes = [name for name in public(fake_cupy.Runtime) if name.startswith("cudaDevAttr")]
    assert len(attributes) == 4
    assert all(getattr(fake_cupy.Runtime, name) == int(getattr(real.cuda.runtime, name)) for name in attributes)


def test_the_real_functions_take_what_the_doubles_take() -> None:
    real: Any = importlib.import_module("cupy")
    for name in ("asarray", "asnumpy", "empty"):
        own = dict(list(inspect.signature(getattr(fake_cupy, name)).parameters.items())[1:])
        there = inspect.signature(getattr(real, name)).parameters
        assert {key: (p.kind, p.default) for key, p in own.items()} == {
            key: (there[key].kind, there[key].default) for key in own
        }, name
    for text in ("str code=None", "tuple options=()"):
        assert text in real.RawModule.__doc__.splitlines()[0]
    assert "grid, block, args, \\*, shared_mem=0" in real.RawKernel.__call__.__doc__


def test_the_real_errors_are_those_of_the_double() -> None:
    real: Any = importlib.import_module("cupy")
    for status, text in fake_cupy.ERRORS.items():
        error = real.cuda.runtime.CUDARuntimeError(status)
        assert (str(error), error.status) == (text, status)
    assert issubclass(real.cuda.runtime.CUDARuntimeError, RuntimeError)
    there, own = real.cuda.compiler.CompileException, fake_cupy.CompileException
    assert list(inspect.signature(there).parameters) == list(inspect.signature(own).parameters)
    assert str(there("text", "", "", ())) == str(own("text", "", "", ())) == "text"
    assert issubclass(real.cuda.memory.OutOfMemoryError, MemoryError)
    assert real.cuda.runtime.runtimeGetVersion() // 1000 >= 12
