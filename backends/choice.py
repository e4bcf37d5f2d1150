"""Which backend ``auto`` is: numba, or cupy where a population is large and gains from it."""

import time
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import load
from hebbit.backends.spec import LANES, STATE_MAX, Backend, BrainConfig, Flag

POPULATION = 64
"""Brains from which on a GPU is looked for. A CPU of 16 cores steps about so many default brains in the tenth of a
millisecond that the way to a GPU and back takes by itself, and looking costs the time in which CuPy is imported."""
SAMPLE = 256
"""Brains that numba is timed with at most: its time grows with their number, so some tell of all."""
STEPS = 5
"""Steps that are timed, after one that warms up; the shortest counts, for whatever disturbs a step lengthens it."""


class Newborn(NamedTuple):
    """Brains that are about to be made: the arguments of :meth:`Backend.create`."""

    config: BrainConfig
    params: NDArray[np.int32]
    seed: int
    arrays: Mapping[str, Any]

    def first(self, brains: int) -> "Newborn":
        """The first of these brains."""
        arrays = {name: array[:brains] for name, array in self.arrays.items()}
        return self._replace(params=self.params[:brains], arrays=arrays)


def choose(name: str, brains: Newborn, clock: Callable[[], float] = time.perf_counter) -> Backend:
    """The backend of that name; ``auto`` is the faster of numba and cupy for these brains.

    Both give the same bits, so only the speed depends on the choice.

    Args:
        name: of a backend, or auto.
        brains: what it is to serve; nothing in it is changed.
        clock: seconds.

    Raises:
        ValueError: no such backend.
        ImportError: it is demanded and cannot load; what keeps ``auto`` from a GPU is no error.
    """
    number = len(brains.params)
    if name != "auto" or number < POPULATION or find_spec("cupy") is None:
        return load(name)
    usual = load("auto")
    try:
        gpu = load("cupy")
        there = step_seconds(gpu, brains, clock)
    except (ImportError, MemoryError, ValueError):
        # no driver, little memory, too large a brain: nobody has demanded the GPU
        return usual
    except Exception as error:
        warnings.warn(f"auto takes {usual.name}, as cupy failed: {error}", RuntimeWarning, stacklevel=3)
        return usual
    sample = min(number, SAMPLE)
    here = step_seconds(usual, brains.first(sample), clock) * number / sample
    return gpu if there < here else usual


def step_seconds(backend: Backend, brains: Newborn, clock: Callable[[], float]) -> float:
    """Seconds of a step, the shortest of a few; the brains that take it are made for it and thrown away."""
    number = len(brains.params)
    state = backend.create(*brains)
    # the same for every backend
    shape = (number, brains.config.sensory_words, LANES)
    seen = np.random.default_rng(0).integers(0, STATE_MAX, shape, np.uint8, endpoint=True)
    rewards, flags = np.ones(number, np.int32), np.full(number, Flag.CONTINUE, np.uint8)
    backend.step(state, seen, rewards, np.full(number, Flag.START, np.uint8))
    shortest = float("inf")
    for _ in range(STEPS):
        begin = clock()
        backend.step(state, seen, rewards, flags)
        shortest = min(shortest, clock() - begin)
    return shortest
