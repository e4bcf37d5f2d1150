"""What the tests of resident environments share: the CUDA text on the host, actions, and states of Gymnasium's own."""

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.backends.shim_backend import require_compiler
from hebbit.envs.worlds import WORLDS, World

Floats = NDArray[np.float64]
FLAGS = ("-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-ffp-contract=off")
# g++ 12 with AVX2 drops the rounding to single precision where it packs two of them: a fault of that optimizer alone.
HARNESS = """
#include <cmath>
typedef unsigned long long u64;
#define INLINE static inline
%s
extern "C" void start(u64 seed, u64 number, double *state, double *out) { world_start(seed, number, state, out); }
extern "C" void step(double *state, double action, double *out) { world_step(state, action, out); }
"""


class Native:
    """Two C functions for one environment, called for each row of arrays."""

    def __init__(self, start: int, step: int, owner: object = None) -> None:
        pointer, word, double = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double
        self._start = ctypes.CFUNCTYPE(None, word, word, pointer, pointer)(start)
        self._step = ctypes.CFUNCTYPE(None, pointer, double, pointer)(step)
        self._owner = owner

    def start(self, seeds: NDArray[np.uint32], numbers: NDArray[np.uint32]) -> tuple[Floats, Floats]:
        """States and outputs, in memory that was full of rubbish."""
        state, out = np.full((len(seeds), 8), 7.25), np.full((len(seeds), 8), np.nan)
        for b in range(len(seeds)):
            self._start(int(seeds[b]), int(numbers[b]), state[b].ctypes.data, out[b].ctypes.data)
        return state, out

    def step(self, before: Floats, actions: Floats) -> tuple[Floats, Floats]:
        """States and outputs of one step."""
        state, out = before.copy(), np.full(before.shape, np.nan)
        rows, outs = state.ctypes.data, out.ctypes.data
        for b, action in enumerate(actions.tolist()):
            self._step(rows + 64 * b, action, outs + 64 * b)
        return state, out


@functools.cache
def on_host(world: World, *flags: str) -> Native:
    """The CUDA text of a world, compiled by g++."""
    with tempfile.TemporaryDirectory(prefix="hebbit-world-") as folder:
        text, library = Path(folder) / "world.cpp", Path(folder) / "world.so"
        text.write_text(HARNESS % world.cuda(), encoding="utf-8")
        command = [require_compiler(), *FLAGS, *flags, f"-DWORLD={world.number}", str(text), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded = ctypes.CDLL(str(library))
    addresses = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (loaded.start, loaded.step)]
    return Native(addresses[0], addresses[1], loaded)


def random_actions(world: World, count: int, dice: np.random.Generator) -> Floats:
    """Actions [count], a third of those in a Box beyond its bounds."""
    if world.units:
        return dice.integers(world.units, size=count).astype(np.float64)
    return (1.5 * world.reach * dice.uniform(-1, 1, count)).astype(np.float32).astype(np.float64)


def as_given(world: World, actions: Floats) -> NDArray[Any]:
    """The same as a vector environment takes them."""
    return actions.astype(np.int64) if world.units else actions.astype(np.float32)[:, None]


def real_state(env: gym.Env[Any, Any], begun: bool) -> Floats:
    """The state [8] of Gymnasium's environment; ``begun`` if no step was made yet."""
    own: Any = env.unwrapped
    row = np.zeros(8)
    numbers = np.asarray(own.state, np.float64)
    row[: len(numbers)] = numbers
    if own.spec.id == "MountainCarContinuous-v0":
        row[2] = float(begun)
    return row


ALL = list(WORLDS.values())
NAMES = list(WORLDS)
