"""Entry points of the compiled backend: a step of learning brains, and answers without learning."""

import hashlib
from pathlib import Path

import numpy as np
from numba import njit

from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_learning import A, G, act, credit, learn, readout, remember
from hebbit.backends.numba_planes import U, mask
from hebbit.backends.numba_pool import COLUMNS, LIVE, NUMBERS, POOL_BLOCKS, D, K, W, present
from hebbit.backends.numba_rows import beyond, load, nibble_planes, octets, pointer, signed, store
from hebbit.backends.spec import LANES, Flag, Stream

EXCITEMENT, TRACES, VALUE, PRESENTATION, BRAIN, EPISODE, DRIVES, VOLLEY, SECONDS = (
    int(Size[n])
    for n in ("EXCITEMENT", "TRACES", "VALUE", "PRESENTATION", "BRAIN", "EPISODE", "DRIVES", "VOLLEY", "SECONDS")
)
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
def step_brain(sizes, groups, params, seed, memory, wires, scratch, reward, flag, actions):
    """One step of one brain; see NumpyBackend._step."""
    a, k, pool = sizes[A], sizes[K], 4 * B * sizes[POOL_BLOCKS]
    now, k0, k1 = memory[sizes[PRESENTATION]], seed, memory[sizes[BRAIN]]
    drives, volley = signed(beyond(scratch, sizes[DRIVES])), signed(beyond(scratch, sizes[VOLLEY]))
    share, sign, seconds = beyond(volley, a), beyond(volley, 2 * a), signed(beyond(scratch, sizes[SECONDS]))
    if flag == Flag.START:
        clear(sizes[EXCITEMENT], sizes[EXCITEMENT] + pool, memory)
        clear(sizes[TRACES], sizes[VALUE], memory)
        memory[sizes[EPISODE]] += U(1)
    copy(memory, sizes[EXCITEMENT], scratch, sizes[LIVE], pool)
    for i in range(a + k):
        drives[i] = 0
    if flag != Flag.TERMINATED:
        present(sizes, params, wires, scratch, now, 0, k0, k1, False)
        readout(sizes, memory, wires, scratch, drives)
    if flag != Flag.START:
        learn(sizes, params, memory, wires, scratch, drives, reward, now, k0, k1)
    if flag == Flag.START or flag == Flag.CONTINUE:
        act(sizes, groups, params, scratch, drives, volley, seconds, actions, now, 0, k0, k1, False)
        credit(sizes, groups, params, volley, seconds, actions, share, sign)
        remember(sizes, params, memory, wires, scratch, share, sign, now, k0, k1)
        copy(scratch, sizes[LIVE], memory, sizes[EXCITEMENT], pool)
    else:
        clear(sizes[EXCITEMENT], sizes[EXCITEMENT] + pool, memory)
        clear(sizes[TRACES], sizes[VALUE], memory)
    for cluster in range(k):
        memory[sizes[VALUE] + cluster] = U(drives[a + cluster])
    memory[sizes[PRESENTATION]] = U(now + U(1))


@njit(forceinline=True)
def step_one(sizes, groups, params, seed, memory, wires, scratch, b, intensity, reward, flag, actions):
    """One step of brain b, given where the arrays of all brains begin."""
    work = beyond(scratch, b * sizes[SCRATCH])
    copy_bytes(intensity, sizes[D], octets(beyond(work, sizes[NUMBERS])))
    step_brain(
        sizes, groups, beyond(params, b * sizes[K] * COLUMNS), seed, beyond(memory, b * sizes[MEMORY]),
        beyond(wires, b * sizes[WIRES]), work, reward, flag, actions,
    )  # fmt: skip


@njit
def pack_excitement(sizes, values, scratch):
    """Numbers [W, 32] as blocks of four planes."""
    numbers = octets(beyond(scratch, sizes[NUMBERS]))
    copy_bytes(values, sizes[W], numbers)
    for word in range(sizes[W]):
        at = sizes[LIVE] + 4 * B * (word // B) + word % B
        x = nibble_planes(numbers, LANES * word)
        scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B] = x


@njit
def unpack_excitement(sizes, scratch, values):
    """Blocks of four planes as numbers [W, 32]."""
    for word in range(sizes[W]):
        at = sizes[LIVE] + 4 * B * (word // B) + word % B
        x0, x1, x2, x3 = scratch[at], scratch[at + B], scratch[at + 2 * B], scratch[at + 3 * B]
        for lane in range(LANES):
            x = ((x0 >> lane) & 1) | (((x1 >> lane) & 1) << 1) | (((x2 >> lane) & 1) << 2)
            values[word, lane] = x | (((x3 >> lane) & 1) << 3)


def source_fingerprint():
    """A number of 60 bits that changes with the source of any kernel or constant."""
    folder = Path(__file__).parent
    names = sorted([*folder.glob("numba_*.py"), folder / "spec.py", folder / "philox.py"])
    return int(hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()[:15], 16)


def compile_steps(fingerprint):
    """The kernels that are called from Python, compiled when first called and cached on disk.

    Numba takes a cached kernel for current if its own file has not changed, whatever became of the files it calls. What
    a closure holds is part of the cache's key, so the fingerprint of all sources is held here.
    """

    @njit(cache=True, nogil=True)
    def step_all(
        sizes, groups, params, seed, memory, wires, scratch, start, stop, intensities, rewards, flags, actions
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
                    pointer(sizes), pointer(groups), pointer(params), seed, pointer(memory), pointer(wires),
                    pointer(scratch), b, intensities[b], rewards[b], flags[b], beyond(pointer(actions), b * sizes[G]),
                )  # fmt: skip
        return True

    @njit(cache=True, nogil=True)
    def run_all(sizes, groups, params, seed, memory, wires, scratch, start, stop, intensities, rewards, flags, actions):
        """T steps of those brains, one brain after the other: it stays in the cache."""
        _ = fingerprint
        for t in range(len(flags)):
            for b in range(start, stop):
                if flags[t, b] > Flag.TRUNCATED:
                    return False
        for b in range(start, stop):
            for t in range(len(flags)):
                if flags[t, b] != Flag.IDLE:
                    step_one(
                        pointer(sizes), pointer(groups), pointer(params), seed, pointer(memory), pointer(wires),
                        pointer(scratch), b, intensities[t, b], rewards[t, b], flags[t, b],
                        beyond(pointer(actions), (t * flags.shape[1] + b) * sizes[G]),
                    )  # fmt: skip
        return True

    @njit(cache=True)
    def predict_all(
        sizes, groups, params, seed, memory, wires, scratch, brains, intensities, excitement, presentations, calm,
        actions, volley, values, spikes, after,
    ):  # fmt: skip
        """Answer observations without learning; see NumpyBackend.predict."""
        _ = fingerprint
        size, group, work, stream = pointer(sizes), pointer(groups), pointer(scratch), np.int64(Stream.EVALUATION)
        drives, seconds = signed(beyond(work, sizes[DRIVES])), signed(beyond(work, sizes[SECONDS]))
        for i in range(len(brains)):
            own, wire = pointer(memory[brains[i]]), pointer(wires[brains[i]])
            param, now, k1 = pointer(params[brains[i]]), U(0) if calm else presentations[i], own[sizes[BRAIN]]
            pack_excitement(size, excitement[i], work)
            copy_bytes(intensities[i], sizes[D], octets(beyond(work, sizes[NUMBERS])))
            present(size, param, wire, work, now, stream, seed, k1, calm)
            spikes[i] = readout(size, own, wire, work, drives)
            action, spike = pointer(actions[i]), pointer(volley[i])
            act(size, group, param, work, drives, spike, seconds, action, now, stream, seed, k1, calm)
            for k in range(sizes[K]):
                values[i, k] = drives[sizes[A] + k]
            unpack_excitement(size, work, after[i])

    return step_all, run_all, predict_all


step_all, run_all, predict_all = compile_steps(source_fingerprint())
