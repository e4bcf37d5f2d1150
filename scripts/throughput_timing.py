"""The stopwatch of hebbit throughput: calls that last long enough, several repeats, best and median.

Wall clock is what counts. The processor's seconds are noted beside it: on a machine that others use too, only they are
one's own.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hebbit.agents.errors import HebbitError
from hebbit.backends.spec import LANES, Backend, Flag
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.throughput_points import Point

REFUSALS = (ValueError, MemoryError, NotImplementedError, RuntimeError, HebbitError)
"""How a backend says that a size is beyond it."""
MOST_BYTES = 1 << 28
"""Of the arguments of one call."""
GROWTH = 16
"""Most that a call is lengthened at once."""
PATIENCE = 30
"""Repeats end once they have taken so many times the seconds that a call should last; two are always made."""


@dataclass(frozen=True)
class Budget:
    """How long is measured."""

    seconds: float
    """Least length of a call."""
    repeats: int


class Seconds(NamedTuple):
    """What a call took."""

    wall: float
    cpu: float
    """Of all threads of this process."""


def clocked(backend: Backend, work: Callable[[], object]) -> Seconds:
    """Seconds of a call; a backend that works in the background is waited for before either reading."""
    wait: Callable[[], object] = getattr(backend, "synchronize", lambda: None)
    wait()
    begin = time.perf_counter(), time.process_time()
    work()
    wait()
    return Seconds(time.perf_counter() - begin[0], time.process_time() - begin[1])


def long_enough(call: Callable[[int], float], least: float, most: int) -> int:
    """How many presentations make a call last so many seconds, or as many as there may be.

    Args:
        call: makes one with so many presentations and gives its seconds.
        least: seconds.
        most: presentations.
    """
    number = 1
    while (seconds := call(number)) < least and number < most:
        factor = min(GROWTH, max(2.0, 1.2 * least / max(seconds, 1e-9)))
        number = min(most, math.ceil(number * factor))
    return number


def repeated(call: Callable[[], Seconds], budget: Budget) -> list[Seconds]:
    """Seconds of a call's repeats."""
    taken: list[Seconds] = []
    while len(taken) < 2 or (len(taken) < budget.repeats and sum(t.wall for t in taken) < PATIENCE * budget.seconds):
        taken.append(call())
    return taken


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Best and median of the repeats, and how many there were."""
    return {"best": min(seconds), "median": statistics.median(seconds), "repeats": len(seconds)}


def rates(amount: float, seconds: Mapping[str, float]) -> dict[str, float]:
    """So much a second, from the best and from the median repeat."""
    return {kind: amount / max(seconds[kind], 1e-9) for kind in ("best", "median")}


def timed(what: str, number: int, taken: Sequence[Seconds]) -> dict[str, Any]:
    """How many of something a call had, its seconds, and how many that makes a second."""
    wall, cpu = spread([one.wall for one in taken]), spread([one.cpu for one in taken])
    return {
        what: number,
        "seconds": wall,
        "cpu_seconds": cpu,
        f"{what}_per_second": rates(number, wall),
        f"{what}_per_cpu_second": rates(number, cpu),
    }


def sustained(
    backend: Backend, prepare: Callable[[int], Callable[[], object]], most: int, budget: Budget
) -> tuple[int, list[Seconds]]:
    """How many presentations a call that lasts long enough has, and its seconds.

    Args:
        backend: that works.
        prepare: makes the arguments of a call of so many presentations, which is not timed, and gives the call.
        most: presentations of a call.
        budget: how long is measured.
    """
    number = long_enough(lambda presentations: clocked(backend, prepare(presentations)).wall, budget.seconds, most)
    work = prepare(number)
    return number, repeated(lambda: clocked(backend, work), budget)


def learning(backend: Backend, state: Any, point: Point, budget: Budget) -> dict[str, Any]:
    """Presentations a second with learning on."""
    first = sizes.workload(point, 1, Flag.START)
    compiling = clocked(backend, lambda: backend.run(state, *first))

    def prepare(presentations: int) -> Callable[[], object]:
        given = sizes.workload(point, presentations)
        return lambda: backend.run(state, *given)

    most = max(1, MOST_BYTES // (point.brains * point.sensory_words * LANES))
    steps, taken = sustained(backend, prepare, most, budget)
    return {"compile_seconds": compiling.wall, **timed("presentations", steps * point.brains, taken)}


def answering(backend: Backend, state: Any, point: Point, budget: Budget) -> dict[str, Any]:
    """Answers a second without learning."""

    def prepare(answers: int) -> Callable[[], object]:
        shown = sizes.observations(point, -(-answers // point.brains), np.random.default_rng(sizes.SEED))
        arguments = (
            np.arange(answers) % point.brains,
            shown.reshape(-1, point.sensory_words, LANES)[:answers],
            np.zeros((answers, point.pool_words, LANES), np.uint8),
            np.arange(sizes.AGE, sizes.AGE + answers, dtype=np.uint32),
            False,
        )
        return lambda: backend.predict(state, *arguments)

    compiling = clocked(backend, prepare(1))
    most = max(1, MOST_BYTES // ((point.sensory_words + 2 * point.pool_words) * LANES))
    number, taken = sustained(backend, prepare, most, budget)
    return {"compile_seconds": compiling.wall, **timed("answers", number, taken)}


Besides = Callable[[Backend, Any, Point, Budget], dict[str, Any]]


def measure(backend: Backend, point: Point, budget: Budget, besides: Besides | None = None) -> dict[str, Any]:
    """All figures of a point; or, if it is refused, the sentence that says why.

    Args:
        backend: to be measured.
        point: what it works on.
        budget: how long.
        besides: measures more with the same state.
    """
    row = point.describe()
    try:
        work = sizes.work(point)
        arrays, params, config = point.arrays(), point.params(), point.brain_config()
        begin = time.perf_counter()
        state = backend.create(config, params, sizes.SEED, arrays)
        create = time.perf_counter() - begin
        learnt = learning(backend, state, point, budget)
        answered = answering(backend, state, point, budget)
        more = {} if besides is None else besides(backend, state, point, budget)
    except REFUSALS as error:
        return row | {"refused": sentence(error)}
    amounts = ("neuron_updates", "synapse_visits", "delivered_spikes", "weight_updates")
    presentations = learnt["presentations"]
    for name in amounts:
        learnt[f"{name}_per_second"] = rates(work[name] * presentations, learnt["seconds"])
    return row | {"create_seconds": create, "per_presentation": work, "learning": learnt, "answering": answered, **more}


def sentence(error: BaseException) -> str:
    """What an error says, on one line, with its kind unless that is a refusal in plain words."""
    text = " ".join(str(error).split())
    plain = isinstance(error, ValueError | HebbitError) and text
    return text if plain else f"{type(error).__name__}: {text}" if text else type(error).__name__


def threads(backend: Backend) -> int:
    """Threads that a backend on the CPU may use: what its module says, else one."""
    return int(getattr(sys.modules[type(backend).__module__], "THREADS", 1))


def device(backend: Backend) -> Any:
    """What a backend reports about its device, if it does."""
    report = getattr(backend, "report", None)
    return report() if callable(report) else report
