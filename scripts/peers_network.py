"""The network that hebbit and its peers run beside each other, and how a cycle of it is timed.

1,024 neurons, each with 8 synapses from 256 input neurons (unless fewer were asked for), shown recorded spikes. Peers
leak a quarter in a cycle and fire from 8 spikes on, which is the nearest that all of them have. This module is loaded
by the children that :mod:`hebbit.scripts.peers` starts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import equations
from hebbit.backends.equations import Clock
from hebbit.backends.spec import LANES, MAX_CYCLES
from hebbit.backends.wiring import source_lane, wire
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.throughput_points import Point

LEAK = 0.75
"""Share of the potential that a neuron keeps in a cycle."""
CYCLES = (1, 8, MAX_CYCLES)
"""Lengths of presentations that are timed: the slope is between the first and the last."""
RECORDED = 16
"""Presentations that are shown again and again."""

Present = Callable[[int, int], object]
"""Shows recorded presentation i for so many cycles; the state is kept between calls."""


@dataclass(frozen=True)
class Task:
    """What a child is told; made from JSON."""

    sensory_words: int
    pool_words: int
    synapses: int
    batch: int
    seconds: float
    """Least length of what is timed."""
    repeats: int

    def point(self, cycles: int = MAX_CYCLES) -> Point:
        """Its size, a brain for each network of the batch."""
        return Point(self.batch, self.pool_words, self.sensory_words, (self.synapses, self.synapses), cycles)

    @property
    def inputs(self) -> int:
        """Input neurons."""
        return self.sensory_words * LANES

    @property
    def neurons(self) -> int:
        """Neurons of one network."""
        return self.pool_words * LANES


class Timed(NamedTuple):
    """What a child measured of one variant."""

    variant: str
    seconds: dict[int, list[float]]
    """Of a presentation to the whole batch, by its cycles: repeat after repeat."""


def sources(task: Task) -> NDArray[np.int64]:
    """Input neurons that each neuron reads, [neurons, synapses]: the wiring of hebbit's brain 0."""
    wiring = wire(task.point().brain_config(), np.zeros(task.pool_words, np.uint32), (sizes.SEED, 0))
    read = np.zeros((task.pool_words, LANES, task.synapses), np.int64)
    for word in range(task.pool_words):
        for slot in range(task.synapses):
            lane = source_lane(wiring.rotation[word, slot], wiring.xor[word, slot])
            read[word, :, slot] = wiring.source[word, slot] * LANES + lane
    return read.reshape(task.neurons, task.synapses)


def spikes(task: Task) -> NDArray[np.uint8]:
    """What the input neurons fire: hebbit's sensory spikes, [RECORDED, MAX_CYCLES, batch, inputs]."""
    point = task.point()
    shown = sizes.observations(point, RECORDED, np.random.default_rng(sizes.SEED)).astype(np.int32)
    params = replace(point, brains=1).params()[0]
    fired = np.zeros((RECORDED, MAX_CYCLES, task.batch, task.inputs), np.uint8)
    for presentation, network in np.ndindex(RECORDED, task.batch):
        clock = Clock(presentation, 0, (sizes.SEED, network), False)
        for cycle in range(MAX_CYCLES):
            now = equations.sensory_spikes(shown[presentation, network], cycle, params, clock)
            fired[presentation, cycle, network] = now.ravel()
    return fired


def weights(task: Task) -> NDArray[np.float32]:
    """The same synapses as a matrix of ones and zeros, [neurons, inputs]."""
    matrix = np.zeros((task.neurons, task.inputs), np.float32)
    matrix[np.arange(task.neurons)[:, None], sources(task)] = 1
    return matrix


def timed(variant: str, present: Present, task: Task) -> Timed:
    """Time presentations of 1, 8 and 15 cycles in turn.

    Args:
        variant: its name.
        present: the network.
        task: its size and how long is measured.
    """
    number = {cycles: _enough(present, cycles, task.seconds) for cycles in CYCLES}
    taken: dict[int, list[float]] = {cycles: [] for cycles in CYCLES}
    for _ in range(task.repeats):
        for cycles in CYCLES:
            taken[cycles].append(_seconds(present, cycles, number[cycles]) / number[cycles])
    return Timed(variant, taken)


def _enough(present: Present, cycles: int, seconds: float) -> int:
    """Presentations that last so long; the first ones warm up."""
    number = 1
    while (taken := _seconds(present, cycles, number)) < seconds:
        number = max(2 * number, int(number * min(16.0, seconds / max(taken, 1e-9))))
    return number


def _seconds(present: Present, cycles: int, number: int) -> float:
    begin = time.perf_counter()
    for i in range(number):
        present(i % RECORDED, cycles)
    return time.perf_counter() - begin


def answer(found: Sequence[Timed], cycle: str, neuron: str, note: str = "") -> dict[str, Any]:
    """What a child says: its clock, what a cycle is there, what a neuron is, and what else should be known."""
    return {"cycle": cycle, "neuron": neuron, "note": note, "variants": [one._asdict() for one in found]}
