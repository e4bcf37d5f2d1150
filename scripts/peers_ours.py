"""hebbit's own side of the comparison: predictions of one brain, or of a population, without learning."""

from dataclasses import replace
from typing import Any

import numpy as np

from hebbit.backends import load
from hebbit.backends.spec import LANES, Backend
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.peers_network import CYCLES, RECORDED, Present, Task, answer, timed

RULES = {"quiet": "default", "full": "noisy"}
"""The variants, and their rules of throughput_points."""


def measure(backend: str, task: dict[str, Any]) -> dict[str, Any]:
    """The clock of the default rule and of the one with noise and decay."""
    asked = Task(**task)
    machine = load(backend)
    found = [timed(variant, presenting(machine, rule, asked), asked) for variant, rule in RULES.items()]
    return answer(
        found,
        cycle="phase code, gathering the synapses, threshold, reset, noise and decay by chance, motor spikes; the "
        "whole adds the readout, the choice of an action and the call from Python",
        neuron="4-bit excitement; quiet: all sources together fire it (the default); full: noise of 2 bits, gain 5, "
        "decay by chance",
        note="each brain of the batch has a wiring of its own; a backend may compute the cycles side by side (numba: "
        "16, whatever their number), so that the slope says little and only the whole compares",
    )


def presenting(backend: Backend, rule: str, task: Task) -> Present:
    """Predictions with the excitement kept; brains with 1, 8 and 15 cycles, which a brain's structure fixes."""
    states, shown = {}, {}
    for cycles in CYCLES:
        point = replace(task.point(cycles), rule=rule)
        states[cycles] = backend.create(point.brain_config(), point.params(), sizes.SEED, point.arrays())
        shown[cycles] = sizes.observations(point, RECORDED, np.random.default_rng(sizes.SEED))
    brains = np.arange(task.batch)
    excitement = np.zeros((task.batch, task.pool_words, LANES), np.uint8)
    presentations = np.full(task.batch, sizes.AGE, np.uint32)

    def present(i: int, cycles: int) -> None:
        nonlocal excitement
        presentations[:] += 1
        seen = backend.predict(states[cycles], brains, shown[cycles][i], excitement, presentations, False)
        excitement = seen.excitement

    return present
