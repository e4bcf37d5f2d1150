"""What the tests of the backends share."""

import os

import pytest

from hebbit.scripts.conformance import SPECIFICATION

DEMANDED = os.environ.get("HEBBIT_TEST_BACKENDS", "numpy,numba").split(",")


@pytest.fixture(scope="session", params=[name for name in DEMANDED if name != SPECIFICATION])
def compared(request: pytest.FixtureRequest) -> str:
    """The name of each demanded backend that is not the specification itself."""
    return str(request.param)
