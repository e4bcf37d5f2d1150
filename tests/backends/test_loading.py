"""The table of backends, and that all of them have the protocol's methods with its names and types."""

import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from hebbit import backends
from hebbit.backends import numba_kernels, spec
from hebbit.backends.spec import Backend

OPTIONAL = {"report", "synchronize", "record", "replay", "live", "trial", "room"}
"""What a backend with a device of its own offers besides, or one that serves resident runs."""
METHODS = {name for name, member in vars(Backend).items() if inspect.isfunction(member) and not name.startswith("_")}


def test_the_protocol_has_methods() -> None:
    assert METHODS == {"create", "export", "refill", "step", "run", "predict"}


def test_a_backend_has_no_other_public_names(backend: Backend) -> None:
    assert {name for name in dir(backend) if not name.startswith("_")} - OPTIONAL == METHODS | {"name"}


def test_a_backend_is_called_what_the_table_calls_it(backend: Backend) -> None:
    assert backends.load(backend.name) is backend


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_backend_has_the_protocols_signatures(backend: Backend, method: str) -> None:
    promised, kept = getattr(Backend, method), getattr(type(backend), method)
    assert shape_of(kept) == shape_of(promised)
    types = get_type_hints(kept)
    for name, expected in get_type_hints(promised).items():
        # a state is each backend's own affair
        assert types[name] == expected or expected is Any, f"{method}({name})"


def shape_of(method: Any) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]


def test_the_specification_comes_first() -> None:
    assert backends.names()[0] == "numpy"


def test_a_backend_is_loaded_once() -> None:
    assert backends.load("numpy") is backends.load("numpy")
    assert backends.load() is backends.load("auto") is backends.load("numba")


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ValueError, match="^backend must be one of auto, numpy, numba.*, got 'torch'$"):
        backends.load("torch")


@pytest.mark.parametrize("missing", ["hebbit.backends.no_such_module", "no_such_package.backend"])
def test_a_demanded_backend_that_cannot_load_is_an_error(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(backends._TABLE, "broken", (missing, "Backend"))
    advice = "^backend 'broken' cannot load: No module named .*; install what it needs or pick another$"
    with pytest.raises(ImportError, match=advice):
        backends.load("broken")
    with pytest.raises(ImportError, match=advice):
        backends.load("broken")


def test_the_fingerprint_of_the_kernels_sees_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba's cache asks only the file of the cached kernel; without this, edits elsewhere would be ignored."""
    folder = Path(numba_kernels.__file__).parent
    for path in folder.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(numba_kernels, "__file__", str(tmp_path / "numba_kernels.py"))
    fingerprint: Any = numba_kernels.source_fingerprint
    seen = {fingerprint()}
    others = ("spec.py", "tables.py", "params.py", "philox.py", "wiring.py")
    sources = [*sorted(tmp_path.glob("numba_*.py")), *(tmp_path / name for name in others)]
    for path in sources:
        path.write_text(path.read_text() + "# changed\n")
        seen.add(fingerprint())
    assert len(seen) == len(sources) + 1
    closures = [cell.cell_contents for cell in numba_kernels.step_all.py_func.__closure__]
    assert any(isinstance(content, int) for content in closures)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"params": (spec.Param.BASE_RATE, 4096)}, "BASE_RATE in 0..4095"),
        ({"seed": 2**32}, "a seed of"),
        ({"traces": -1}, "no negative traces of the critic"),
        ({"excitement": 16}, "excitement of 0..15"),
        ({"inner_traces": 16}, "inner traces within +-15"),
        ({"inner_traces": -16}, "inner traces within +-15"),
        ({"collected": 65536}, "collected within the dopamine limit"),
        ({"collected": -65536}, "collected within the dopamine limit"),
    ],
)
def test_what_backends_would_not_hold_alike_is_refused(backend: Backend, change: Any, text: str) -> None:
    config = spec.BrainConfig(1, 1, (2,), learning_words=1)
    arrays = spec.empty_arrays(config, np.zeros(1, np.uint32))
    params = np.zeros((1, 1, len(spec.Param)), np.int32)
    params[..., [spec.Param.READS, spec.Param.INNER_EVERY, spec.Param.THRESHOLD]] = 7, 1, 8
    for name in ("traces", "excitement", "inner_traces", "collected"):
        arrays[name][:] = change.get(name, 0)
    if "params" in change:
        params[..., change["params"][0]] = change["params"][1]
    with pytest.raises(ValueError, match=re.escape(text)):
        backend.create(config, params, change.get("seed", 0), arrays)


def test_an_unknown_flag_is_refused(backend: Backend) -> None:
    config = spec.BrainConfig(1, 1, (2,))
    params = np.zeros((1, 1, len(spec.Param)), np.int32)
    params[..., [spec.Param.READS, spec.Param.INNER_EVERY, spec.Param.THRESHOLD]] = 7, 1, 8
    state = backend.create(config, params, 0, spec.empty_arrays(config, np.zeros(1, np.uint32)))
    with pytest.raises(ValueError, match="7"):
        backend.step(state, np.zeros((1, 1, 32), np.uint8), np.zeros(1, np.int32), np.full(1, 7, np.uint8))
