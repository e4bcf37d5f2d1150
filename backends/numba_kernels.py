"""Entry points of the compiled backend: a step of learning brains, and answers without learning."""

import hashlib
from pathlib import Path

import numpy as np
from numba import njit

from hebbit.backends.numba_layout import B, Size
from hebbit.backends.numba_learning import A, act, credit, learn, readout, remember
from hebbit.backends.numba_planes import U
from hebbit.backends.numba_pool import LIVE, POOL_BLOCKS, ROW, K, W, X, nibble_planes, present
from hebbit.backends.spec import Flag, Stream

EXCITEMENT, TRACES, VALUE, PRESENTATION, BRAIN, EPISODE, DRIVES, VOLLEY, SECONDS, SCRATCH = (
    int(Size[name])
    for name in (
        "EXCITEMENT", "TRACES", "VALUE", "PRESENTATION", "BRAIN", "EPISODE", "DRIVES", "VOLLEY", "SECONDS", "SCRATCH",
    )
)  # fmt: skip


@njit
def step_brain(sizes, groups, params, seed, memory, wires, scratch, intensity, reward, flag, actions):
    """One step of one brain; see NumpyBackend._step."""
    a, k = sizes[A], sizes[K]
    now, k0, k1 = memory[sizes[PRESENTATION]], seed, memory[sizes[BRAIN]]
    excitement = memory[sizes[EXCITEMENT] : sizes[EXCITEMENT] + 4 * B * sizes[POOL_BLOCKS]]
    live = scratch[sizes[LIVE] : sizes[LIVE] + 4 * B * sizes[POOL_BLOCKS]]
    numbers = scratch[sizes[DRIVES] :].view(np.int32)
    drives, volley, share, sign = numbers[: a + k], numbers[a + k :], numbers[2 * a + k :], numbers[3 * a + k :]
    seconds = numbers[4 * a + k :]
    if flag == Flag.START:
        excitement[:] = U(0)
        memory[sizes[TRACES] : sizes[VALUE]] = U(0)
        memory[sizes[EPISODE]] += U(1)
    live[:] = excitement
    drives[:] = 0
    if flag != Flag.TERMINATED:
        present(sizes, params, wires, scratch, intensity, now, 0, k0, k1, False)
        readout(sizes, memory, wires, scratch, drives)
    if flag != Flag.START:
        learn(sizes, params, memory, wires, scratch, drives, reward, now, k0, k1)
    if flag == Flag.START or flag == Flag.CONTINUE:
        act(sizes, groups, params, drives, volley, seconds, actions, now, 0, k0, k1, False)
        credit(groups, params, volley, seconds, actions, share, sign)
        remember(sizes, params, memory, wires, scratch, share, sign, now, k0, k1)
        excitement[:] = live
    else:
        excitement[:] = U(0)
        memory[sizes[TRACES] : sizes[VALUE]] = U(0)
    for cluster in range(k):
        memory[sizes[VALUE] + cluster] = U(drives[a + cluster])
    memory[sizes[PRESENTATION]] = U(now + U(1))


@njit
def unpack_nibbles(scratch, live, words, values):
    """Blocks of four planes as numbers [words, 32]."""
    for word in range(words):
        at = X(live + 4 * B * (word // B) + word % B)
        for lane in range(32):
            x = (scratch[at] >> U(lane)) & U(1)
            x |= ((scratch[at + ROW] >> U(lane)) & U(1)) << U(1)
            x |= ((scratch[at + X(2) * ROW] >> U(lane)) & U(1)) << U(2)
            x |= ((scratch[at + X(3) * ROW] >> U(lane)) & U(1)) << U(3)
            values[word, lane] = x


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
    def step_all(sizes, groups, params, seed, memory, wires, scratch, intensities, rewards, flags, actions):
        """One step of every brain that is not idle; without the interpreter's lock, so that threads can share them out.

        False, and nothing done, if a flag is unknown.
        """
        _ = fingerprint
        for b in range(len(flags)):
            if flags[b] > Flag.TRUNCATED:
                return False
        for b in range(len(flags)):
            if flags[b] != Flag.IDLE:
                step_brain(
                    sizes, groups, params[b], seed, memory[b], wires[b], scratch[b], intensities[b], rewards[b],
                    flags[b], actions[b],
                )  # fmt: skip
        return True

    @njit(cache=True, nogil=True)
    def run_all(sizes, groups, params, seed, memory, wires, scratch, start, stop, intensities, rewards, flags, actions):
        """T steps of the brains start..stop - 1, one brain after the other: it stays in the cache."""
        _ = fingerprint
        for t in range(len(flags)):
            for b in range(start, stop):
                if flags[t, b] > Flag.TRUNCATED:
                    return False
        for b in range(start, stop):
            for t in range(len(flags)):
                if flags[t, b] != Flag.IDLE:
                    step_brain(
                        sizes, groups, params[b], seed, memory[b], wires[b], scratch[b], intensities[t, b],
                        rewards[t, b], flags[t, b], actions[t, b],
                    )  # fmt: skip
        return True

    @njit(cache=True)
    def predict_all(
        sizes, groups, params, seed, memory, wires, brains, intensities, excitement, presentations, calm, actions,
        volley, values, spikes, after,
    ):  # fmt: skip
        """Answer observations without learning; see NumpyBackend.predict."""
        _ = fingerprint
        a, stream = sizes[A], np.int64(Stream.EVALUATION)
        scratch = np.zeros(sizes[SCRATCH], np.uint32)
        drives, seconds = np.zeros(a + sizes[K], np.int32), np.zeros(len(groups), np.int32)
        for i in range(len(brains)):
            b = brains[i]
            now = U(0) if calm else presentations[i]
            k1 = memory[b, sizes[BRAIN]]
            for word in range(sizes[W]):
                at = X(sizes[LIVE] + 4 * B * (word // B) + word % B)
                x = nibble_planes(excitement[i], word)
                scratch[at], scratch[at + ROW], scratch[at + X(2) * ROW], scratch[at + X(3) * ROW] = x
            present(sizes, params[b], wires[b], scratch, intensities[i], now, stream, seed, k1, calm)
            spikes[i] = readout(sizes, memory[b], wires[b], scratch, drives)
            act(sizes, groups, params[b], drives, volley[i], seconds, actions[i], now, stream, seed, k1, calm)
            values[i] = drives[a:]
            unpack_nibbles(scratch, sizes[LIVE], sizes[W], after[i])

    return step_all, run_all, predict_all


step_all, run_all, predict_all = compile_steps(source_fingerprint())
