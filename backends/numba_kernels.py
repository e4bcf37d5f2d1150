"""Entry points of the compiled backend: a step of learning brains, and answers without learning."""

import hashlib
from pathlib import Path

import numpy as np
from numba import njit

from hebbit.backends.numba_inner import (
    H,
    L,
    collect,
    inner_credit,
    inner_learn,
    inner_present,
    inner_remember,
)
from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_learning import learn, remember
from hebbit.backends.numba_planes import U, mask
from hebbit.backends.numba_pool import (
    COLUMNS,
    ECHO_BLOCKS,
    LIVE,
    NUMBERS,
    POOL_BLOCKS,
    D,
    K,
    M,
    W,
    echo,
    option,
    present,
)
from hebbit.backends.numba_readout import EVERYTHING, A, G, act, credit, force, readout, spike_sum
from hebbit.backends.numba_rows import beyond, load, nibble_planes, octets, pointer, signed, store
from hebbit.backends.spec import COPY_SHIFT, LANES, Flag, Param, Stream

EXCITEMENT, TRACES, VALUE, COLLECTED, PRESENTATION, BRAIN, EPISODE, DRIVES, VOLLEY, SECONDS = (
    int(Size[n])
    for n in (
        "EXCITEMENT", "TRACES", "VALUE", "COLLECTED", "PRESENTATION", "BRAIN", "EPISODE", "DRIVES", "VOLLEY", "SECONDS",
    )
)  # fmt: skip
CARRIED_BLOCKS = int(Size.CARRIED_BLOCKS)
MEMORY, WIRES, SCRATCH = int(Size.MEMORY), int(Size.WIRES), int(Size.SCRATCH)


@njit
def clear(start, stop, memory):
    """Fill whole rows with zeros."""
    for at in range(start, stop, B):
        store(memory, at, mask(False))


@njit
def copy(source, at, target, to, length):
    """Copy whole rows."""
    for i in range(0, length, B):
        store(target, to + i, load(source, at + i))


@njit(forceinline=True)
def copy_bytes(numbers, words, target):
    """Copy numbers [words, 32], however they lie, one after the other."""
    for word in range(words):
        for lane in range(LANES):
            target[LANES * word + lane] = numbers[word, lane]


@njit
def present_all(sizes, params, memory, wires, scratch, now, stream, k0, k1, calm):
    """C cycles of one observation; leaves counts and what is carried on in the workspace."""
    present(sizes, params, wires, scratch, now, stream, k0, k1, calm)
    if sizes[H] > 0:
        inner_present(sizes, params, memory, scratch, now, stream, k0, k1, calm)
    if sizes[M] > 0:
        echo(sizes, wires, scratch)


@njit
def forget(sizes, memory):
    """Clear what belongs to an episode."""
    clear(sizes[EXCITEMENT], sizes[EXCITEMENT] + 4 * B * sizes[CARRIED_BLOCKS], memory)
    clear(sizes[TRACES], sizes[VALUE], memory)
    memory[sizes[COLLECTED]] = U(0)


@njit
def learn_all(sizes, params, memory, wires, scratch, drives, reward, flag, now, k0, k1):
    """Move the weights of the readouts, and of the learning words when it is time."""
    dopamine = learn(sizes, params, memory, wires, scratch, drives, reward, now, k0, k1)
    time, collected = collect(sizes, params, memory, dopamine, flag, now)
    if time and sizes[H] > 0:
        inner_learn(sizes, params, memory, scratch, collected, now, k0, k1)


@njit
def remember_all(sizes, params, memory, wires, scratch, share, sign, now, k0, k1):
    """Traces of the readouts and of the learning words; then what is carried on takes the place of what was."""
    remember(sizes, params, memory, wires, scratch, share, sign, now, k0, k1)
    if sizes[H] > 0:
        inner_credit(sizes, params, memory, scratch, share, sign, now, k0, k1)
        inner_remember(sizes, params, memory, scratch, now, k0, k1)
    copy(scratch, sizes[LIVE], memory, sizes[EXCITEMENT], 4 * B * sizes[CARRIED_BLOCKS])


@njit
def step_brain(sizes, params, seed, memory, wires, scratch, reward, flag, forcing, forced, actions):
    """One step of one brain; see NumpyBackend._step."""
    a, k = sizes[A], sizes[K]
    now, k0 = memory[sizes[PRESENTATION]], seed
    k1 = U(memory[sizes[BRAIN]] ^ U(option(params, 0, Param.COPY) << COPY_SHIFT))
    drives, volley = signed(beyond(scratch, sizes[DRIVES])), signed(beyond(scratch, sizes[VOLLEY]))
    share, sign, seconds = beyond(volley, a), beyond(volley, 2 * a), signed(beyond(scratch, sizes[SECONDS]))
    if flag == Flag.START:
        forget(sizes, memory)
        memory[sizes[EPISODE]] += U(1)
    copy(memory, sizes[EXCITEMENT], scratch, sizes[LIVE], 4 * B * sizes[CARRIED_BLOCKS])
    for i in range(a + k):
        drives[i] = 0
    if flag != Flag.TERMINATED:
        present_all(sizes, params, memory, wires, scratch, now, 0, k0, k1, False)
        readout(sizes, params, memory, wires, scratch, drives)
    if flag != Flag.START:
        learn_all(sizes, params, memory, wires, scratch, drives, reward, flag, now, k0, k1)
    if flag == Flag.START or flag == Flag.CONTINUE:
        act(sizes, params, scratch, drives, volley, seconds, actions, now, now, 0, k0, k1, False)
        if forcing:
            force(sizes, forced, actions)
        credit(sizes, params, volley, seconds, actions, share, sign)
        remember_all(sizes, params, memory, wires, scratch, share, sign, now, k0, k1)
    else:
        forget(sizes, memory)
    for cluster in range(k):
        memory[sizes[VALUE] + cluster] = U(drives[a + cluster])
    memory[sizes[PRESENTATION]] = U(now + U(1))


@njit(forceinline=True)
def step_one(sizes, params, seed, memory, wires, scratch, b, intensity, reward, flag, forcing, forced, actions):
    """One step of brain b, given where the arrays of all brains begin."""
    work = beyond(scratch, b * sizes[SCRATCH])
    copy_bytes(intensity, sizes[D], octets(beyond(work, sizes[NUMBERS])))
    step_brain(
        sizes, beyond(params, b * sizes[K] * COLUMNS), seed, beyond(memory, b * sizes[MEMORY]),
        beyond(wires, b * sizes[WIRES]), work, reward, flag, forcing, forced, actions,
    )  # fmt: skip


@njit(forceinline=True)
def carried_at(sizes, word):
    """Where the first plane of a word's carried state lies in the workspace."""
    block = 0
    if word >= sizes[W] + sizes[M]:
        word, block = word - sizes[W] - sizes[M], sizes[POOL_BLOCKS] + sizes[ECHO_BLOCKS]
    elif word >= sizes[W]:
        word, block = word - sizes[W], sizes[POOL_BLOCKS]
    return sizes[LIVE] + 4 * B * (block + word // B) + word % B


@njit
def pack_carried(sizes, values, scratch):
    """Numbers [W + M + L, 32] as blocks of four planes."""
    numbers, words = octets(beyond(scratch, sizes[NUMBERS])), sizes[W] + sizes[M] + sizes[L]
    copy_bytes(values, words, numbers)
    for word in range(words):
        at, x = carried_at(sizes, word), nibble_planes(numbers, LANES * word)
        scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B] = x


@njit
def unpack_carried(sizes, scratch, values):
    """Blocks of four planes as numbers [W + M + L, 32]."""
    for word in range(sizes[W] + sizes[M] + sizes[L]):
        at = carried_at(sizes, word)
        x0, x1, x2, x3 = scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B]
        for lane in range(LANES):
            x = ((x0 >> lane) & 1) | (((x1 >> lane) & 1) << 1) | (((x2 >> lane) & 1) << 2)
            values[word, lane] = x | (((x3 >> lane) & 1) << 3)


FILES = ("spec.py", "tables.py", "params.py", "philox.py", "wiring.py", "resident.py")
"""Files besides the kernels' own that decide what is compiled."""


def source_fingerprint():
    """A number of 60 bits that changes with the source of any kernel or constant."""
    folder = Path(__file__).parent
    names = sorted([*folder.glob("numba_*.py"), *(folder / name for name in FILES)])
    return int(hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()[:15], 16)


def compile_steps(fingerprint):
    """The kernels that are called from Python, compiled when first called and cached on disk.

    Numba takes a cached kernel for current if its own file has not changed, whatever became of the files it calls. What
    a closure holds is part of the cache's key, so the fingerprint of all sources is held here.
    """

    @njit(cache=True, nogil=True)
    def step_all(
        sizes, params, seed, memory, wires, scratch, start, stop, intensities, rewards, flags, forced, actions
    ):  # fmt: skip
        """One step of the brains start..stop - 1; without the interpreter's lock, so that threads can share them out.

        False, and nothing done, if a flag is unknown.
        """
        _ = fingerprint
        for b in range(start, stop):
            if flags[b] > Flag.TRUNCATED:
                return False
        for b in range(start, stop):
            if flags[b] != Flag.IDLE:
                step_one(
                    pointer(sizes), pointer(params), seed, pointer(memory), pointer(wires),
                    pointer(scratch), b, intensities[b], rewards[b], flags[b], len(forced) > 0,
                    beyond(pointer(forced), b * sizes[G]), beyond(pointer(actions), b * sizes[G]),
                )  # fmt: skip
        return True

    @njit(cache=True, nogil=True)
    def run_all(
        sizes, params, seed, memory, wires, scratch, start, stop, intensities, rewards, flags, forced, actions
    ):  # fmt: skip
        """T steps of those brains, one brain after the other: it stays in the cache."""
        _ = fingerprint
        for t in range(len(flags)):
            for b in range(start, stop):
                if flags[t, b] > Flag.TRUNCATED:
                    return False
        for b in range(start, stop):
            for t in range(len(flags)):
                if flags[t, b] != Flag.IDLE:
                    at = (t * flags.shape[1] + b) * sizes[G]
                    step_one(
                        pointer(sizes), pointer(params), seed, pointer(memory), pointer(wires),
                        pointer(scratch), b, intensities[t, b], rewards[t, b], flags[t, b], len(forced) > 0,
                        beyond(pointer(forced), at), beyond(pointer(actions), at),
                    )  # fmt: skip
        return True

    @njit(cache=True)
    def predict_all(
        sizes, params, seed, memory, wires, scratch, brains, intensities, excitement, presentations, calm,
        actions, volley, values, spikes, after,
    ):  # fmt: skip
        """Answer observations without learning; see NumpyBackend.predict."""
        _ = fingerprint
        size, work, stream = pointer(sizes), pointer(scratch), np.int64(Stream.EVALUATION)
        drives, seconds = signed(beyond(work, sizes[DRIVES])), signed(beyond(work, sizes[SECONDS]))
        for i in range(len(brains)):
            own, wire = pointer(memory[brains[i]]), pointer(wires[brains[i]])
            param, now, k1 = pointer(params[brains[i]]), U(0) if calm else presentations[i], own[sizes[BRAIN]]
            age = own[sizes[PRESENTATION]]
            pack_carried(size, excitement[i], work)
            copy_bytes(intensities[i], sizes[D], octets(beyond(work, sizes[NUMBERS])))
            present_all(size, param, own, wire, work, now, stream, seed, k1, calm)
            readout(size, param, own, wire, work, drives)
            spikes[i] = spike_sum(size, wire, work, EVERYTHING, -1)
            action, spike = pointer(actions[i]), pointer(volley[i])
            act(size, param, work, drives, spike, seconds, action, age, now, stream, seed, k1, calm)
            for k in range(sizes[K]):
                values[i, k] = drives[sizes[A] + k]
            unpack_carried(size, work, after[i])

    return step_all, run_all, predict_all


step_all, run_all, predict_all = compile_steps(source_fingerprint())
