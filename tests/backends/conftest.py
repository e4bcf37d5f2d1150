"""What the tests of the backends share."""

import os
import sys

import pytest

from hebbit.scripts.conformance import SPECIFICATION
from tests.backends.fake_cupy import FakeCupy, Gpu, forget

DEMANDED = os.environ.get("HEBBIT_TEST_BACKENDS", "numpy,numba").split(",")


@pytest.fixture(scope="session", params=[name for name in DEMANDED if name != SPECIFICATION])
def compared(request: pytest.FixtureRequest) -> str:
    """The name of each demanded backend that is not the specification itself."""
    return str(request.param)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """What lies behind CuPy, which is the double; the backend has not been loaded."""
    made = Gpu()
    monkeypatch.setitem(sys.modules, "cupy", FakeCupy(made))
    forget(monkeypatch)
    return made
