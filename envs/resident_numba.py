"""The worlds compiled by Numba: C functions for one environment, and a loop over all of them.

Nothing of the physics is written here. The functions of physics.py, worlds.py and sine.py are compiled as they stand,
over single numbers; only the three words of columns.py get other bodies.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import cfunc, njit, types
from numba.extending import overload, register_jitable
from numba.np.numpy_support import carray
from numba.np.unsafe.ndarray import to_fixed_tuple

from hebbit.envs import columns, physics, sine, worlds
from hebbit.envs.worlds import STATE_WIDTH

REWARD, TERMINATED = 6, 7
ROW = types.CPointer(types.double)
NUMBERS, TABLE, SEEN = types.uint64[::1], types.double[:, ::1], types.float32[:, ::1]
ACTIONS, FLAGS = types.double[::1], types.boolean[::1]
FILES = ("columns.py", "physics.py", "resident_numba.py", "sine.py", "worlds.py")
"""Files that decide what is compiled."""
WORDS = (
    sine.sine_and_cosine, sine.sine, sine.cosine, worlds.mix, worlds.draws,
    physics.bound, physics.wrap, physics.normalized, physics.acrobot_bend,
)  # fmt: skip


@overload(columns.select)
def select(condition, yes, no):
    """Of two numbers."""
    return lambda condition, yes, no: yes if condition else no


@overload(columns.some)
def some(condition):
    """Of one condition."""
    return lambda condition: condition


@overload(columns.single)
def single(x):
    """Of one number."""
    return lambda x: np.float64(np.float32(x))


for word in WORDS:
    register_jitable(word)
for world in worlds.WORLDS.values():
    for part in (world.step_columns, world.see_columns, world.begin_columns):
        register_jitable(part)


def source_fingerprint():
    """A number of 60 bits that changes with the source of any equation."""
    sources = b"".join((Path(__file__).parent / name).read_bytes() for name in FILES)
    return int(hashlib.sha256(sources).hexdigest()[:15], 16)


def draw_row(low, high, seed, number, out):
    """The numbers that an episode's start is made of, into out[0..]."""
    chances = worlds.draws(seed, number)
    for j in range(len(low)):
        out[j] = low[j] + (high[j] - low[j]) * chances[j]


def begin_row(begin_columns, see_columns, drawn, state, seen):
    """Begin one environment's episode."""
    made = begin_columns(*drawn)
    state[:] = 0.0
    for j in range(len(made)):
        state[j] = made[j]
    view = see_columns(*made)
    for j in range(len(view)):
        seen[j] = columns.single(view[j])


def step_row(step_columns, see_columns, before, action, state, seen):
    """Step one environment; its reward and whether its episode terminated."""
    made = step_columns(*before, action)
    after = made[:-2]
    for j in range(len(after)):
        state[j] = after[j]
    view = see_columns(*after)
    for j in range(len(view)):
        seen[j] = columns.single(view[j])
    return made[-2], made[-1]


for row in (draw_row, begin_row, step_row):
    register_jitable(row)


class Functions(NamedTuple):
    """What is compiled of one world."""

    addresses: tuple[int, int]
    """Of the C functions that start and step one environment."""
    start_all: Callable[..., None]
    """seeds, numbers uint64 [N] -> state [N, 8], observations [N, values], both written."""
    step_all: Callable[..., None]
    """state [N, 8] (changed), actions [N] -> observations, rewards, terminated, all written."""
    kept: tuple[object, ...]
    """What must live as long as the addresses are used."""


def compile_start(begin, see, low, high, fingerprint):
    """The functions that begin episodes, for C and for Python.

    Numba takes cached code for current if its own file has not changed, whatever became of the files it calls. What a
    closure holds is part of the cache's key, so the fingerprint of all sources is held here.
    """
    count = len(low)

    @cfunc(types.void(types.uint64, types.uint64, ROW, ROW), cache=True)
    def start(seed, number, state, out):
        _ = fingerprint
        row, seen = carray(state, (STATE_WIDTH,)), carray(out, (STATE_WIDTH,))
        draw_row(low, high, seed, number, row)
        seen[:] = 0.0
        begin_row(begin, see, to_fixed_tuple(row, count), row, seen)

    @njit(types.void(NUMBERS, NUMBERS, TABLE, SEEN), cache=True)
    def start_all(seeds, numbers, state, seen):
        _ = fingerprint
        for b in range(len(seeds)):
            draw_row(low, high, seeds[b], numbers[b], state[b])
            begin_row(begin, see, to_fixed_tuple(state[b], count), state[b], seen[b])

    return start, start_all


def compile_step(step, see, size, fingerprint):
    """The functions that make a step, for C and for Python; see :func:`compile_start`."""

    @cfunc(types.void(ROW, types.double, ROW), cache=True)
    def step_one(state, action, out):
        _ = fingerprint
        row, seen = carray(state, (STATE_WIDTH,)), carray(out, (STATE_WIDTH,))
        seen[:] = 0.0
        reward, terminated = step_row(step, see, to_fixed_tuple(row, size), action, row, seen)
        seen[REWARD] = reward
        seen[TERMINATED] = 1.0 if terminated else 0.0

    @njit(types.void(TABLE, ACTIONS, SEEN, ACTIONS, FLAGS), cache=True)
    def step_all(state, actions, seen, rewards, terminated):
        _ = fingerprint
        for b in range(len(actions)):
            before = to_fixed_tuple(state[b], size)
            rewards[b], terminated[b] = step_row(step, see, before, actions[b], state[b], seen[b])

    return step_one, step_all


@functools.cache
def functions(world):
    """The compiled functions of a world, from disk if its equations have not changed since."""
    fingerprint = source_fingerprint()
    start, start_all = compile_start(world.begin_columns, world.see_columns, world.low, world.high, fingerprint)
    step, step_all = compile_step(world.step_columns, world.see_columns, world.state_size, fingerprint)
    return Functions((start.address, step.address), start_all, step_all, (start, step))
