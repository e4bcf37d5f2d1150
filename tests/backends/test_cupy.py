"""cupy_backend.py, line by line, on a double of CuPy that runs the kernels on the host."""

import builtins
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import load
from hebbit.backends.cuda_backend import RESERVE, step_bytes
from hebbit.backends.cuda_compile import cubin
from hebbit.backends.cuda_layout import MAX_WARPS, WARP, layout, source
from hebbit.backends.spec import Arrays, BrainConfig, Param
from hebbit.scripts import main
from hebbit.scripts.conformance import (
    SPECIFICATION,
    Case,
    Dice,
    compare,
    differences,
    random_arrays,
    random_asked,
    random_case,
    random_observed,
    random_params,
)
from tests.backends.fake_cupy import MODULE, SHARED_LIMIT, STATIC_BYTES, STATIC_LIMIT, Gpu, born, forget, shown
from tests.backends.test_cuda_shim import stacked

SMALL = BrainConfig(2, 3, (3, 2), cycles=2, clusters=2)
WIDE = BrainConfig(2, 40, (2,), cycles=2)
"""Two warps."""
ROOMY = BrainConfig(2, 65, (11, 2), cycles=2)
"""Weights and traces take more shared memory than a block has unasked."""


LEARNING = BrainConfig(2, 3, (2,), cycles=2, echo_delay=1, echo_pool=2, learning_words=1, learning_pool=True)


# the specification's bits


@pytest.mark.parametrize("number", [1, 2, 5])
def test_random_brains_have_the_specifications_bits(double: Gpu, number: int) -> None:
    outcome = compare(random_case(number), 6, "cupy")
    assert outcome.differing == {} and outcome.presentations == 6
    assert {launch.kernel for launch in double.launched} == {"run", "predict"}


@pytest.mark.parametrize(
    ("config", "threads"), [(SMALL, 32), (WIDE, 64), (BrainConfig(3, 0, (2,)), 32), (LEARNING, 32)]
)
def test_brains_of_every_width_have_the_specifications_bits(double: Gpu, config: BrainConfig, threads: int) -> None:
    dice = Dice(2, 7)
    case = Case(2, config, random_params(dice, 3, config.clusters), 9, random_arrays(dice, config, 3))
    assert compare(case, 5, "cupy").differing == {}
    assert {(launch.grid, launch.block) for launch in double.launched if launch.kernel == "run"} == {((3,), (threads,))}


def test_a_run_is_its_steps_in_one_launch(double: Gpu) -> None:
    case, dice = random_case(7, 3), Dice(7, 5)
    recorded = stacked([random_observed(dice, case) for _ in range(6)])
    assert recorded.forced is not None and recorded.forced.min() < 0 <= recorded.forced.max()
    ends: list[tuple[NDArray[np.int32], Arrays]] = []
    for name in (SPECIFICATION, "cupy"):
        state = load(name).create(case.config, case.params, case.seed, case.arrays)
        ends.append((load(name).run(state, *recorded), load(name).export(state)))
    assert len(double.launched) == 1
    assert np.array_equal(ends[0][0], ends[1][0]) and differences(ends[0][1], ends[1][1]) == {}


def test_what_comes_back_are_ordinary_arrays(double: Gpu) -> None:
    backend: Any = load("cupy")
    state = born(backend, SMALL)
    actions = backend.run(state, *shown(SMALL, 4))
    asked = random_asked(Dice(3), random_case(3), True)._replace(
        brains=np.zeros(1, np.int64),
        intensities=shown(SMALL)[0][0, :1],
        excitement=np.zeros((1, 3, 32), np.uint8),
        presentations=np.zeros(1, np.uint32),
    )
    for array in (actions, *backend.predict(state, *asked), *backend.export(state).values()):
        assert type(array) is np.ndarray and array.flags.writeable
    assert actions.dtype == np.int32 and actions.shape == (4, 2, 2)


@pytest.mark.parametrize("brains", [1, 3])
def test_hyperparameters_stored_column_by_column_are_the_same(double: Gpu, brains: int) -> None:
    case = random_case(5, brains)
    columns = Case(5, case.config, np.asfortranarray(case.params), case.seed, case.arrays)
    assert compare(columns, 3, "cupy").differing == {}


# shared memory


def test_more_shared_memory_than_usual_is_asked_for(double: Gpu) -> None:
    assert STATIC_LIMIT < layout(ROOMY, SHARED_LIMIT).shared_bytes
    dice = Dice(4, 7)
    case = Case(4, ROOMY, random_params(dice, 1, 1), 9, random_arrays(dice, ROOMY, 1))
    assert compare(case, 2, "cupy").differing == {}
    assert {launch.shared for launch in double.launched} == {layout(ROOMY, SHARED_LIMIT).shared_bytes}


def test_a_brain_too_large_for_a_block_is_refused(double: Gpu) -> None:
    with pytest.raises(ValueError, match=f"at most {WARP * MAX_WARPS} pool words.*or the backend numba"):
        born(load("cupy"), BrainConfig(2, WARP * MAX_WARPS + 1, (2,)))
    with pytest.raises(ValueError, match=f"the GPU has {SHARED_LIMIT} for a block.*or the backend numba"):
        born(load("cupy"), BrainConfig(2000, 3, (2,), cycles=15))
    assert (double.compiled, double.allocated) == ([], [])


# which device


def test_the_device_that_was_current_is_kept(double: Gpu) -> None:
    """CUDA's current device is each thread's own, and anyone may change it."""
    cuda = sys.modules["cupy"].cuda
    with cuda.Device(1):
        backend: Any = load("cupy")
    state = born(backend, ROOMY)
    backend.run(state, *shown(ROOMY))
    backend.export(state)
    backend.synchronize()
    assert {launch.device for launch in double.launched} == {1} and double.waited == [1]
    assert all(launch.ordered for launch in double.launched)
    assert backend.report()["name"] == "NVIDIA Double 1"
    assert double.current == 0


def test_kernels_are_made_once_for_each_layout_and_device(double: Gpu) -> None:
    cuda = sys.modules["cupy"].cuda
    backend: Any = load("cupy")
    states = [born(backend, ROOMY) for _ in range(3)]
    assert double.compiled == ["run", "predict"]
    born(backend, SMALL)
    assert double.compiled == ["run", "predict"] * 2
    with cuda.Device(1):
        other = type(backend)()
    backend.run(states[0], *shown(ROOMY))
    other.run(born(other, ROOMY), *shown(ROOMY))
    assert double.compiled == ["run", "predict"] * 3
    assert [launch.device for launch in double.launched] == [0, 1]


def test_waiting_reaches_the_device(double: Gpu) -> None:
    backend: Any = load("cupy")
    assert double.waited == []
    backend.synchronize()
    assert double.waited == [0]


# what is moved and reported


def test_moved_bytes_are_counted_exactly(double: Gpu) -> None:
    backend: Any = load("cupy")

    def moved() -> tuple[int, int]:
        counted = backend.report()["moved_bytes"]
        return counted.get("to_device", 0), counted.get("from_device", 0)

    assert moved() == (0, 0)
    state = born(backend, SMALL)
    rows = 4 * layout(SMALL, SHARED_LIMIT).row["LENGTH"] * 2
    rules, groups = 4 * 2 * 2 * len(Param), 4 * (3 + 5)
    there = rows + rules + groups
    assert moved() == (there, 0)
    backend.run(state, *shown(SMALL, 7))
    there += 7 * 2 * (2 * 32 + 4 + 1)
    assert moved() == (there, 7 * 2 * 2 * 4)
    backend.export(state)
    back = 7 * 2 * 2 * 4 + rows
    assert moved() == (there, back)
    nothing = np.zeros((3, 3, 32), np.uint8)
    asked = (np.zeros(3, np.int64), nothing[:, :2], nothing, np.zeros(3, np.uint32), False)
    backend.predict(state, *asked)
    there += 3 * (4 + 2 * 32 + 3 * 32 + 4)
    back += 3 * (4 * (2 + 5 + 2 + 1) + 3 * 32)
    assert moved() == (there, back)
    backend.run(state, *shown(SMALL, 7), np.zeros((7, 2, 2), np.int32))
    assert moved() == (there + 7 * 2 * (2 * 32 + 4 + 1 + 2 * 4), back + 7 * 2 * 2 * 4)


def test_the_report_is_complete_and_goes_into_a_file(double: Gpu) -> None:
    backend: Any = load("cupy")
    assert backend.report()["kernels"] == {}
    born(backend, WIDE)
    report = backend.report()
    assert json.loads(json.dumps(report)) == report
    made = layout(WIDE, SHARED_LIMIT)
    takes = {"local_bytes": 0, "shared_bytes": made.shared_bytes + STATIC_BYTES, "threads": 64}
    moved = {"to_device": backend.report()["moved_bytes"]["to_device"]}
    assert report == {
        "name": "NVIDIA Double 0",
        "compute_capability": "90",
        "multiprocessors": 132,
        "clock_khz": 1980000,
        "memory_bytes": 80 << 30,
        "driver": 13010,
        "runtime": 13020,
        "nvrtc": "13.5",
        "cupy": "14.2.0",
        "numpy": np.__version__,
        "moved_bytes": moved,
        "kernels": {"run": {"registers": 96, **takes}, "predict": {"registers": 80, **takes}},
    }


# memory


def test_a_population_too_large_is_refused_before_anything_is_allocated(double: Gpu) -> None:
    made = layout(SMALL, SHARED_LIMIT)
    needed = 2 * (made.row_bytes + step_bytes(SMALL))
    double.free, double.pooled = RESERVE + needed - 1001, 1000
    with pytest.raises(
        MemoryError, match="^2 brains need .* MiB of device memory.* are free; use fewer, smaller brains"
    ):
        born(load("cupy"), SMALL)
    assert (double.compiled, double.allocated) == ([], [])
    double.pooled = 1001
    state = born(load("cupy"), SMALL)
    before = list(double.allocated)
    with pytest.raises(MemoryError, match="^1000 presentations need"):
        load("cupy").run(state, *shown(SMALL, 1000))
    assert double.allocated == before and double.launched == []


def test_arrays_can_be_allocated_apart(double: Gpu) -> None:
    load("cupy")
    assert double.allocators == []
    sys.modules[MODULE].allocate_apart()
    assert double.allocators == [None]


# what can be missing


def missing_driver(double: Gpu) -> None:
    double.status = 35


def missing_device(double: Gpu) -> None:
    double.status = 100


def missing_count(double: Gpu) -> None:
    double.devices = 0


def missing_compiler(double: Gpu) -> None:
    double.nvrtc = RuntimeError('Failure finding "libnvrtc.so.13":\n  No such file\n')


MISSING = [
    (
        missing_driver,
        r"CuPy 14\.2\.0 finds no usable GPU \(cudaErrorInsufficientDriver: .*\); it needs .* for CUDA 13 or",
    ),
    (missing_device, r"CuPy 14\.2\.0 finds no usable GPU \(cudaErrorNoDevice: .*\); it needs one from NVIDIA"),
    (missing_count, "there is no CUDA device"),
    (
        missing_compiler,
        r'finds no NVRTC.* \(Failure .*: No such file\); install it with pip install "cupy-cuda13x\[ctk\]"',
    ),
]


@pytest.mark.parametrize(("missing", "said"), MISSING)
def test_what_is_missing_is_said_in_one_sentence(double: Gpu, missing: Callable[[Gpu], None], said: str) -> None:
    missing(double)
    for _ in range(2):
        with pytest.raises(ImportError, match=f"^backend 'cupy' cannot load: .*{said}.*use the backend numba$"):
            load("cupy")
    assert double.allocated == []
    double.status, double.devices, double.nvrtc = 0, 1, None
    assert load("cupy").name == "cupy"


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy is not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    forget(monkeypatch)


def test_without_cupy_it_says_what_to_install(no_cupy: None) -> None:
    with pytest.raises(
        ImportError, match=r'^backend .cupy. cannot load: .*cupy.*; install CuPy with pip install "cupy'
    ):
        load("cupy")


def test_the_cause_is_told_without_the_page_that_cupy_puts_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def broken(name: str, *arguments: Any) -> Any:
        if name == "cupy":
            raise ImportError("=====\nFailed to import CuPy.\n=====") from ImportError("libcuda.so.1: no such file")
        return genuine(name, *arguments)

    forget(monkeypatch)
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ImportError, match="^libcuda.so.1: no such file; install CuPy with pip"):
        importlib.import_module(MODULE)


@pytest.mark.usefixtures("no_cupy")
def test_the_command_line_says_so_without_cupy(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    refused_by_the_command_line(capfd, tmp_path, "install CuPy with pip")


@pytest.mark.parametrize(("missing", "said"), [(missing, words.partition(".*")[0]) for missing, words in MISSING])
def test_the_command_line_says_what_is_missing(
    double: Gpu, capfd: pytest.CaptureFixture[str], tmp_path: Path, missing: Callable[[Gpu], None], said: str
) -> None:
    missing(double)
    refused_by_the_command_line(capfd, tmp_path, said.replace("\\", ""))


def refused_by_the_command_line(capfd: pytest.CaptureFixture[str], tmp_path: Path, said: str) -> None:
    command = ["train", "CartPole-v1", "--steps", "5", "--backend", "cupy", "--run-dir", str(tmp_path / "run")]
    status = main(command)
    out, err = capfd.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("hebbit: backend 'cupy' cannot load: ") and err.count("\n") == 1 and said in err
    assert err.endswith("use the backend numba\n")
    assert not (tmp_path / "run").exists()


def test_the_real_library_without_a_device_is_refused_too(tmp_path: Path) -> None:
    """No driver, or one whose devices are hidden: either way the real CuPy, in a process of its own."""
    words = ["train", "CartPole-v1", "--steps", "5", "--backend", "cupy", "--run-dir", str(tmp_path / "run")]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sys; from hebbit.scripts import main; sys.exit(main())", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1 and "finds no usable GPU (cudaError" in run.stderr


def test_text_that_does_not_compile_is_told_apart(double: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = load("cupy")
    monkeypatch.setattr(sys.modules[MODULE], "source", lambda world: source(world) + "\nthis is no code;\n")
    with pytest.raises(RuntimeError, match="^NVRTC does not compile the kernels: .*this"):
        born(backend, SMALL)


def test_the_options_that_cupy_adds_are_no_harm() -> None:
    """CuPy compiles with these besides ours."""
    made = layout(WIDE, SHARED_LIMIT)
    plain, added = cubin(made, 90), cubin(made, 90, ("-ftz=true", "--device-as-default-execution-space"))
    assert plain[1] == added[1] and len(added[1]) == 2
