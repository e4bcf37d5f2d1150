"""Faults planted in the CUDA text are caught: without that, agreement on the host would prove nothing."""

import faulthandler
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import load
from hebbit.backends.cuda_layout import source
from hebbit.backends.shim_backend import RaceError, ShimBackend
from hebbit.backends.spec import Backend, BrainConfig, Param, Stream
from hebbit.scripts.conformance import (
    SPECIFICATION,
    Case,
    Dice,
    differences,
    lives,
    random_arrays,
    random_asked,
    random_params,
)

# Later Pythons warn of forking beside threads; the child needs none of them.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

PRESENTATIONS = 6
QUESTIONS = 8
SHAPES = (
    BrainConfig(3, 9, (3, 2), cycles=3, slots_min=1, slots_max=3, clusters=2),
    BrainConfig(3, 40, (2,), cycles=3, slots_min=1, slots_max=3),
    BrainConfig(3, 9, (2,), cycles=3, slots_min=1, slots_max=3),
    BrainConfig(2, 3, (2,), cycles=3, echo_delay=1, echo_pool=2, learning_words=1, learning_pool=True),
    BrainConfig(1, 33, (2, 3), cycles=3, clusters=2, echo_delay=2, echo_pool=4, learning_words=2),
    BrainConfig(4, 5, (2,), cycles=2, slots_max=3, echo_delay=1, echo_pool=1, tiles=2, row=3),
)


@cache
def case(number: int) -> Case:
    """A brain of one warp with Bernoulli senses, one of two warps with phase code, a quiet one, two that learn and
    remember, and one that sees an image.
    """
    dice, config = Dice(number, 9), SHAPES[number]
    params = random_params(dice, 2, config.clusters)
    quiet = number == 2
    settings = {
        Param.DRIVE: int(number == 0), Param.GAIN: 15 if quiet else 6, Param.NOISE: 0 if quiet else 3,
        Param.DECAY_SHIFT: 1, Param.DECAY_CHANCE: 128,
        Param.BASE_RATE: 300, Param.BASE_AGE: 0, Param.SENSORY: int(number == 0), Param.CRITIC_RATE: 5000,
        Param.ACTOR_RATE: 5000, Param.RATE_AGE: 0, Param.CRITIC_SHIFT: 1, Param.CRITIC_CHANCE: 128,
        Param.ACTOR_SHIFT: 1, Param.ACTOR_CHANCE: 128, Param.TEMPERATURE: 300, Param.MOTOR_BASE: 20,
        Param.MOTOR_RULE: 0, Param.SURPRISE_SHIFT: 0, Param.DOPAMINE_CLIP: 5000,
        Param.READS: 6 if number == 4 else 7, Param.TEMPERATURE_AGE: 300 * (number > 0),
        Param.INNER_RULE: 0, Param.INNER_RATE: 900 if number == 4 else 9000,
        Param.INNER_SHIFT: 1, Param.INNER_CHANCE: 128,
        Param.INNER_SLOPE: 60, Param.INNER_BIAS: 0, Param.FEEDBACK: 9,
        Param.CRITIC_FEEDBACK: 8, Param.INNER_EVERY: 1 + number % 2,
        # 0..4, and clusters differ
        Param.FRACTION_BITS: (4 - number + np.arange(config.clusters)) % 5,
    }  # fmt: skip
    for column, value in settings.items():
        params[..., column] = value
    arrays = random_arrays(Dice(3, 0), config, 2)
    # dopamine beyond its limit, against what was collected and between two times that it is used
    arrays["value"][:], arrays["collected"][:] = (-150000, -60000) if number == 5 else (1000, 0)
    arrays["presentation"][:] = 401
    arrays["generation"][:] = Dice(number, 13).integers(0, 2**32 - 1, arrays["generation"].shape)
    arrays["inner_weights"][:] = Dice(number, 12).integers(-60, 60, arrays["inner_weights"].shape)
    for name in ("fractions", "inner_fractions"):
        arrays[name][:] = Dice(number, 14).integers(0, 15, arrays[name].shape)
    arrays["excitement"][:] *= not quiet
    return Case(number, config, params, 77, arrays)


def observed(backend: Backend, number: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Everything to be seen of a few presentations, then answers to questions."""
    yield from lives(backend, case(number), PRESENTATIONS)
    one, dice = case(number), Dice(number, 8)
    state = backend.create(one.config, one.params, one.seed, one.arrays)
    for _ in range(QUESTIONS):
        yield backend.predict(state, *random_asked(dice, one, False))._asdict()


@cache
def expected(number: int) -> list[dict[str, NDArray[Any]]]:
    return list(observed(load(SPECIFICATION), number))


def compare_or_die(text: str, number: int) -> None:
    """End the process with 0 if the text gives the specification's bits under every schedule."""
    signal.alarm(60)  # a fault may well wait for ever
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    found = observed(ShimBackend(text), number)
    try:
        differing = any(differences(*both) for both in zip(expected(number), found, strict=True))
    except RaceError:
        differing = True
    sys.exit(int(differing))


def differs(text: str, number: int) -> bool:
    """Whether the text races, gives other bits than the specification or dies of an undefined operation."""
    expected(number)
    # forked, so that the specification's bits need not be made anew
    process = get_context("fork").Process(target=compare_or_die, args=(text, number))
    process.start()
    process.join()
    return process.exitcode != 0


def caught(text: str) -> bool:
    assert text != source(), "no fault was planted"
    return any(differs(text, number) for number in range(len(SHAPES)))


def without(text: str, pattern: str, by: str = "") -> Iterator[str]:
    """The text with one occurrence replaced, each in turn."""
    for found in re.finditer(pattern, text):
        yield text[: found.start()] + by + text[found.end() :]


def test_the_text_that_ships_has_no_fault() -> None:
    assert not any(differs(source(), number) for number in range(len(SHAPES)))


BARRIER = r"(?<!define )BARRIER\(\);"


@pytest.mark.parametrize("place", range(len(re.findall(BARRIER, source()))))
def test_every_barrier_is_needed(place: int) -> None:
    assert caught(list(without(source(), BARRIER))[place])


def test_barriers_are_counted() -> None:
    """Two while sensing, which both kernels do, and seven in a step: the nine of docs/gpu.md; four in predict.

    Learning words take three more in a step and one more in predict.
    """
    parts = re.split(r"#line 1 ", source())[1:]
    assert [len(re.findall(BARRIER, part)) for part in parts] == [0, 0, 2, 0, 0, 11 + 4]
    inner = r"#if LEARNING\n.*?#endif"
    assert sum(len(re.findall(BARRIER, block)) for block in re.findall(inner, parts[-1], re.DOTALL)) == 4


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (r"board\[BOARD_SPIKES \+ at\]", "board[BOARD_SPIKES + at % INPUTS]"),
        (r"BOARD_SPIKES \+ cycle \* INPUTS \+ \(packed_wire", "BOARD_SPIKES + (packed_wire"),
        (r"#define BARRIER\(\) __syncthreads\(\)", "#define BARRIER() __syncwarp()"),
        (r"u32 c0 = word", "u32 c0 = 0"),
        (r"c1 = clock\.now", "c1 = 0"),
        (r"c2 = cycle << 16 \| number", "c2 = number"),
        (r"c2 = cycle << 16 \| number", "c2 = cycle << 16"),
        (r"c3 = stream", "c3 = 1"),
        (r"k0 = clock\.seed", "k0 = 0"),
        (r"k1 = clock\.brain", "k1 = 0"),
        (r"atomicAdd\(board \+ BOARD_SUMS \+ place", "atomicMax(board + BOARD_SUMS + place"),
        (r"rotated\(planes\.p\[i\], 2 \* i \+ 1\)", "rotated(planes.p[i], 1)"),
        (r"planes\.turn = place\.output % 32", "planes.turn = 0"),
        (r"clock\.now \+= 1;", ""),
        (r"copy\(row \+ ROW_PAIRS, pairs, PLANES \* PAIRS\);", ""),
        (r"#define PLANES 17", "#define PLANES 13"),
        (r"rate << bits", "rate"),
        (r"k < MAX_STEP_SHIFT \+ bits", "k < MAX_STEP_SHIFT"),
        (r"r\[0\], own\[PARAM_FRACTION_BITS\]", "r[0], params[PARAM_FRACTION_BITS]"),
        (r"random_word, own\[PARAM_FRACTION_BITS\]", "random_word, FRACTION_BITS"),
        (r"move >> 9 & 15u", "move >> 9 & 7u"),
        (r"digit\(move, 13\)", "digit(move, 12)"),
        (r"carry = majority\(m\[i\], r\[i\], carry\)", "carry = m[i]"),
        (r"carry &= small;", ""),
        (r"m\[i \+ 4\] : 0u\) & small", "m[i + 4] : 0u)"),
        (r"m\[i\] & ~small", "m[i]"),
        (r"m\[i - 2\] & two", "0u"),
        (r"k >> 1 & 4u", "0u"),
        (r"first = FRACTION_BITS - bits", "first = 0"),
        (r"if \(first \+ i >= SIGN_PLANE\) break;", ""),
        (r"\(TRACE_PLANE \+ 4\) \* apart\] \^", "(TRACE_PLANE + 4) * apart] |"),
        (r"sign \^ carry \^ over", "sign ^ carry"),
        (r"if \(over == 0\) return;", "return;"),
        (r"over & ~down", "over"),
        (r"pair\[i \* apart\] = \(pair\[i \* apart\]", "if (i > 3) pair[i * apart] = (pair[i * apart]"),
        (r" \^ generation >> 16", ""),
        (r"generation & 0xFFFFu", "generation"),
        (r"= n\[i\] & seen;", "= n[i];"),
        (r"if \(forced && forced\[group\] >= 0\)", "if (forced)"),
        (r"place\.word \+= POOL;", ""),
        (r"copy\(echo_plane\(board, i\), carried, ECHOES\);", ""),
        (r"copy\(board \+ BOARD_BEFORE \+ i \* LEARNING, carried", "copy(board + BOARD_BEFORE, carried"),
        (r"echo_plane\(board, i\)\[echo\] = 0;", ""),
        (r"board\[BOARD_BEFORE \+ i \* LEARNING \+ word\] = 0;", ""),
        (r"board\[BOARD_COLLECTED\] = 0;", ""),
        (r"row\[ROW_COLLECTED\] = board\[BOARD_COLLECTED\];", ""),
        (r"\(s32\)board\[BOARD_COLLECTED\] \+ ", ""),
        (r"2 \* DOPAMINE_LIMIT \? \(s32\)magnitude : 2 \* limit", "DOPAMINE_LIMIT ? (s32)magnitude : limit"),
        (r"clock\.now % own\[PARAM_INNER_EVERY\] == 0", "true"),
        (r"flag != FLAG_CONTINUE \|\| ", ""),
        (r"planes\.turn = 0;", "planes.turn = 1;"),
        (r"first % TILES", "0"),
        (r"clock, clock\.now, board", "clock, 0, board"),
        (r"row\[ROW_PRESENTATION\], board", "0, board"),
        (r"output == UNITS \? params", "output == UNITS ? 0 * params"),
        (r"credited & 32u \? -share : share", "share"),
        (r"weight >> 7 \? 256 : 0", "0"),
    ],
)
def test_planted_faults_are_caught(pattern: str, by: str) -> None:
    assert any(caught(text) for text in without(source(), pattern, by))


def test_every_turn_is_needed() -> None:
    places = list(without(source(), r"turn_on\(planes\);"))
    assert [caught(text) for text in places] == [True] * 4


@pytest.mark.parametrize(
    "stream", [stream for stream in Stream if stream not in (Stream.EPISODE, Stream.BIRTH, Stream.EVALUATION)]
)
def test_a_wrong_stream_is_caught(stream: Stream) -> None:
    """Where each of them is drawn from: a counter with another last word."""
    uses = rf"(?<!define )STREAM_{stream.name}\b"
    places = list(without(source(), uses, "STREAM_EPISODE"))
    assert places and [number for number, text in enumerate(places) if not caught(text)] == []


def test_evaluation_draws_from_streams_of_its_own() -> None:
    places = list(without(source(), r" \+ clock\.stream"))
    assert len(places) >= 5 and [number for number, text in enumerate(places) if not caught(text)] == []


DEADLY = """
import sys
import numpy as np
from hebbit.backends.cuda_backend import Call
from hebbit.backends.cuda_layout import layout
from hebbit.backends.shim_backend import SHARED_LIMIT, ShimMachine
from hebbit.backends.spec import BrainConfig
text = '''
static __device__ unsigned spare[4];
extern "C" __global__ void predict(unsigned *memory) {}
extern "C" __global__ void run(unsigned *memory, unsigned size) {
  extern __shared__ unsigned board[];
  unsigned thread = threadIdx.x;
  %s
}'''
machine = ShimMachine(text)
made = layout(BrainConfig(1, 40, (1,)), SHARED_LIMIT)
memory = machine.upload(np.zeros(8, np.uint32))
machine.launch(machine.load(made), made, Call("run", 1, (memory, np.uint32(made.board["LENGTH"])), (0,)))
print("survived")
"""


def fate(body: str) -> tuple[int, str]:
    """How a process ends that runs a kernel with this body: the signal's number and what it printed."""
    done = subprocess.run([sys.executable, "-c", DEADLY % body], capture_output=True, text=True, check=False)
    return -done.returncode, done.stdout + done.stderr


def test_a_harmless_kernel_survives() -> None:
    assert fate("board[thread] = thread; __syncthreads(); memory[thread & 7u] = thread & 7u;") == (0, "survived\n")


@pytest.mark.parametrize(
    ("body", "signal", "text"),
    [
        ("board[size] = 1;", 6, "a write beyond the shared memory asked for"),
        ("if (thread < 3) __syncthreads();", 6, "threads wait for one that never comes"),
        ("if (thread < 3) __syncwarp(); else __syncwarp();", 6, "threads of one group wait at different places"),
        ("memory[0] = memory[8];", 11, ""),
        ("memory[8] = 1;", 11, ""),
        ("memory[0] = 1u << (size + 32);", 4, ""),
    ],
    ids=["shared memory", "deadlock", "divergence", "reading on", "writing on", "undefined"],
)
def test_what_a_gpu_might_forgive_ends_the_process(body: str, signal: int, text: str) -> None:
    died, printed = fate(body)
    assert died == signal and text in printed


def test_uninitialised_shared_memory_is_poisoned() -> None:
    died, printed = fate("if (thread == 0) memory[0] = board[0] == 0xDEADBEEFu ? 0 : memory[8];")
    assert (died, printed) == (0, "survived\n")
