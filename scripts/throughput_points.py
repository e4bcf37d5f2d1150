"""What hebbit throughput measures: sizes varied one at a time, recorded observations, and exact counts of the work.

Definitions, for one presentation of one brain, are in :data:`DEFINITIONS`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.agents.encoder import LEVELS, tuning_table
from hebbit.agents.errors import HebbitError
from hebbit.backends import equations, spec
from hebbit.backends.equations import Clock
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Flag, Param
from hebbit.backends.wiring import Wiring, wire

DEFINITIONS = {
    "presentation": "one observation shown to one brain: all of its cycles, the readout, an action and, with learning "
    "on, the update of every plastic synapse",
    "neuron update": "one pool neuron in one cycle",
    "synapse visit": "one slot of one pool neuron in one cycle, whether its source fired or not: clock-driven work; "
    "slots counted from the wiring of the sampled brains",
    "delivered spike": "a visited synapse whose source neuron fired in that cycle: what an event-driven simulator "
    "would deliver; counted exactly, from the specification's sensory spikes and the wiring, on the sample that "
    "sampled_presentations states, and scaled to the rate",
    "weight update": "one plastic synapse considered once for each presentation: outputs x words x 32 neurons; "
    "how many then move is the rule's chance",
    "answer": "a presentation without learning (predict), each brain in turn",
    "learning on": "flags START once and then CONTINUE, rewards uniform between -1 and 1 (256 units), observations "
    "uniform in their ranges, AgentConfig's default hyperparameters, brains as old as the settings say",
    "compile_seconds": "the first call of all, which compiles where the backend has to; not in any other figure",
    "create_seconds": "making the brains, wiring included",
    "seconds": "wall clock of one call, best and median of so many repeats; rates are given from both",
    "cpu_seconds": "the same by the processor time of this process, all threads together: what a machine that others "
    "use too leaves comparable",
}
SEED = 0
AGE = 100_000
"""Presentations that the brains have behind them: spontaneous firing, which only young brains draw, has ended."""
REWARD = 256
SAMPLED_BRAINS = 8
SAMPLED_PRESENTATIONS = 16
GROUPS = (2,)
BASE_WORDS, BASE_SYNAPSES, BASE_CYCLES = 32, 8, 8
DEFAULT_BRAIN = AgentConfig()
DEFAULT_BRAIN_SENSORY_WORDS = 4
"""As CartPole-v1 has dimensions."""
SWEEPS = ("brains", "brains, default", "neurons", "synapses", "cycles", "rule")
"""What is varied: from the base point, but for the second."""
RULES: dict[str, dict[Param, int]] = {
    "default": {},
    "young": {Param.BASE_AGE: 0},
    "noisy": {Param.NOISE: 2, Param.GAIN: 5, Param.DECAY_SHIFT: 2, Param.DECAY_CHANCE: 64},
}
"""What replaces the default hyperparameters: all or nothing and quiet; spontaneous spikes that do not end; noise of two
bits with partial excitement that decays by chance, which needs random numbers for every neuron and cycle."""


@dataclass(frozen=True)
class Point:
    """One size that is measured."""

    brains: int
    pool_words: int
    sensory_words: int
    slots: tuple[int, int]
    """Least and largest number of synapses of a pool neuron."""
    cycles: int
    rule: str = "default"

    def agent_config(self) -> AgentConfig:
        """The default hyperparameters for this size.

        Raises:
            HebbitError: no brain can have it.
        """
        if self.slots[0] > self.sensory_words:
            raise HebbitError(
                f"a pool neuron reads each sensory word at most once: {self.slots[0]} synapses need as many sensory "
                f"words, got {self.sensory_words}"
            )
        least, most = self.slots
        sizes = {"pool_words": self.pool_words, "cycles": self.cycles, "slots_min": least, "slots_max": most}
        return AgentConfig().replace(sizes)

    def brain_config(self) -> BrainConfig:
        """The structure of its brains."""
        return self.agent_config().brain(self.sensory_words, GROUPS)

    def params(self) -> NDArray[np.int32]:
        """Hyperparameters of all its brains, [R, K, Param]."""
        own = self.agent_config().params()
        for column, value in RULES[self.rule].items():
            own[:, column] = value
        return np.tile(own, (self.brains, 1, 1))

    def arrays(self) -> Arrays:
        """Its brains, numbered from 0: grown up, otherwise as they were born."""
        arrays = spec.empty_arrays(self.brain_config(), np.arange(self.brains, dtype=np.uint32))
        arrays["presentation"][:] = AGE
        return arrays

    def describe(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "brains": self.brains,
            "neurons": self.pool_words * LANES,
            "pool_words": self.pool_words,
            "sensory_words": self.sensory_words,
            "synapses": list(self.slots),
            "cycles": self.cycles,
            "rule": self.rule,
        }


def base_point(options: argparse.Namespace) -> Point:
    """The point from which one thing is varied at a time."""
    synapses = min(BASE_SYNAPSES, options.sensory)
    return Point(options.population, BASE_WORDS, options.sensory, (synapses, synapses), BASE_CYCLES)


def points(options: argparse.Namespace) -> dict[Point, list[str]]:
    """Every point once, and what is varied there."""
    base, own = base_point(options), DEFAULT_BRAIN
    slots = (own.slots_min, own.slots_max)
    default = Point(1, own.pool_words, DEFAULT_BRAIN_SENSORY_WORDS, slots, own.cycles)
    sweeps: Sequence[Sequence[Point]] = (
        [replace(base, brains=number) for number in options.brains],
        [replace(default, brains=number) for number in options.brains],
        [replace(base, pool_words=words) for words in options.words],
        [replace(base, slots=(number, number)) for number in options.synapses],
        [replace(base, cycles=number) for number in options.cycles],
        [replace(base, rule=rule) for rule in RULES],
    )
    found: dict[Point, list[str]] = {}
    for name, sweep in zip(SWEEPS, sweeps, strict=True):
        for point in dict.fromkeys(sweep):
            found.setdefault(point, []).append(name)
    return found


def observations(point: Point, presentations: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random observations as the encoder shows them: uint8 [T, R, D, 32], each word a tuning curve."""
    table = tuning_table(AgentConfig().tuning_width)
    return table[rng.integers(0, LEVELS, (presentations, point.brains, point.sensory_words))]


class Workload(NamedTuple):
    """The arguments of one run."""

    intensities: NDArray[np.uint8]
    rewards: NDArray[np.int32]
    flags: NDArray[np.uint8]


def workload(point: Point, presentations: int, flag: Flag = Flag.CONTINUE) -> Workload:
    """T presentations in the middle of an episode, or at its beginning, the same on every call."""
    rng = np.random.default_rng(SEED)
    shape = (presentations, point.brains)
    rewards = rng.integers(-REWARD, REWARD + 1, shape, dtype=np.int32)
    return Workload(observations(point, presentations, rng), rewards, np.full(shape, flag, np.uint8))


def fan_out(wiring: Wiring, inputs: int) -> NDArray[np.int64]:
    """Synapses in the pool that each neuron of a sensory or echo word feeds, [inputs].

    Rotation and XOR only permute lanes, so a slot gives each neuron of its source exactly one synapse.
    """
    used = np.arange(wiring.source.shape[1]) < wiring.slots[:, None]
    return np.bincount(wiring.source[used], minlength=inputs)


def delivered_spikes(
    config: BrainConfig, wiring: Wiring, params: NDArray[np.int32], intensity: NDArray[np.uint8], clock: Clock
) -> int:
    """Delivered spikes of one presentation of one brain; intensity [inputs, 32], params [K, Param]."""
    fan, shown = fan_out(wiring, config.inputs), intensity.astype(np.int32)
    spikes = (equations.sensory_spikes(shown, cycle, params, clock).sum(axis=1) for cycle in range(config.cycles))
    return sum(int(fan @ fired) for fired in spikes)


def work(point: Point) -> dict[str, Any]:
    """What one presentation of one brain takes, on average: the counts behind every rate."""
    config, params = point.brain_config(), point.params()
    some = range(min(point.brains, SAMPLED_BRAINS))
    wirings = [wire(config, np.zeros(config.pool_words, np.uint32), (SEED, brain)) for brain in some]
    shown = observations(replace(point, brains=len(some)), SAMPLED_PRESENTATIONS, np.random.default_rng(SEED))
    delivered = [
        delivered_spikes(config, wirings[b], params[b], shown[t, b], Clock(AGE + t, 0, (SEED, b), False))
        for t in range(SAMPLED_PRESENTATIONS)
        for b in some
    ]
    slots = float(np.mean([wiring.slots.sum() for wiring in wirings]))
    return {
        "neuron_updates": config.pool_words * LANES * config.cycles,
        "synapse_visits": slots * LANES * config.cycles,
        "delivered_spikes": float(np.mean(delivered)),
        "weight_updates": config.outputs * config.words * LANES,
        "sampled_brains": len(some),
        "sampled_presentations": len(delivered),
    }
