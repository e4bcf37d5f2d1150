"""The table of backends, and that all of them have the protocol's methods with its names and types."""

import inspect
from typing import Any, get_type_hints

import pytest

from hebbit import backends
from hebbit.backends.spec import Backend

METHODS = {name for name, member in vars(Backend).items() if inspect.isfunction(member) and not name.startswith("_")}


def test_the_protocol_has_methods() -> None:
    assert METHODS == {"create", "export", "step", "predict"}


def test_a_backend_has_no_other_public_names(backend: Backend) -> None:
    assert {name for name in dir(backend) if not name.startswith("_")} == METHODS | {"name"}


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
