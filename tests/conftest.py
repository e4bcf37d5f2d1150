"""What every test may use: the backends, one by one, and settings that give the same examples on every run."""

import os

import pytest
from hypothesis import settings

from hebbit.backends import load
from hebbit.backends.spec import Backend

# A name in this list is a demand: a backend that cannot load fails its tests, it never skips them.
BACKENDS = os.environ.get("HEBBIT_TEST_BACKENDS", "numpy,numba").split(",")

# No deadline: the first call of a compiled kernel includes its compilation.
settings.register_profile("hebbit", deadline=None, derandomize=True)
settings.load_profile("hebbit")


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each demanded backend in turn."""
    return load(request.param)
