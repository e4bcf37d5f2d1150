"""The contract that every backend keeps bit for bit: constants, random streams, parameters, state, protocol.

Evidence may change it, but here first and with a new :data:`CONTRACT_VERSION`, which checkpoints carry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

CONTRACT_VERSION = 2

LANES = 32
"""Neurons of a word."""
STATE_MAX = 15
"""Largest excitement, count, intensity and trace magnitude: four bits."""
WEIGHT_MIN, WEIGHT_MAX = -128, 127
"""Eight-bit two's complement."""
UNIT = 256
"""Value and drive of one weight step: V and u are fixed-point numbers with eight binary digits."""
REWARD_LIMIT = 32767
MAX_CYCLES = 15
MAX_SLOTS = 8
CHANCE_BITS = 8
"""Random planes of a chance that all lanes share; 256 means always."""
TRACE_BITS = 4
BASE_BITS = 12
ONE_GAMMA = 32768
RATE_BITS = 24
"""A rate of 2**24 per unit of dopamine moves a weight of full trace by one step."""
DOPAMINE_LIMIT = 65535
MAX_STEP_SHIFT = 6

EXPONENTIAL = np.array(
    [
        256, 248, 240, 233, 226, 219, 212, 206, 199, 193, 187, 182, 176, 171, 165, 160, 155, 150, 146, 141, 137, 133,
        129, 125, 121, 117, 114, 110, 107, 103, 100, 97, 94, 91, 88, 86, 83, 81, 78, 76, 73, 71, 69, 67,
        65, 63, 61, 59, 57, 55, 54, 52, 50, 49, 47, 46, 44, 43, 42, 41, 39, 38, 37, 36, 35, 34,
        33, 32, 31, 30, 29, 28, 27, 26, 25, 25, 24, 23, 22, 22, 21, 20, 20, 19, 19, 18, 17, 17,
        16, 16, 15, 15, 14, 14, 14, 13, 13, 12, 12, 12, 11, 11, 11, 10, 10, 10, 9, 9, 9, 8,
        8, 8, 8, 7, 7, 7, 7, 7, 6, 6, 6, 6, 6, 5, 5, 5, 5, 5, 5, 5, 4, 4,
        4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2,
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 0,
    ],
    np.int32,
)  # fmt: skip
"""round(256 exp(-i / 32)), 0 from i = 200: the chance, of 256, that a motor neuron fires, i/32 nats below the best."""


class Stream(IntEnum):
    """Who draws: the last word of the Philox counter. Evaluation adds EVALUATION to every stream it uses."""

    WIRING = 1
    """word = pool word, presentation = generation; draw 0 the slot count, draw 1 + s slot s: source, rotation, XOR."""
    PHASE = 2
    """word = sensory word; draw 0: [multiplier, offset] of this presentation's phase code."""
    SENSE = 3
    """word = sensory word, by cycle; draw 0: the four planes of the Bernoulli code."""
    POOL = 4
    """word = pool word, turned by cycle (philox.random_number); planes 0-3 noise, 4-15 base rate, 16-23 decay chance,
    24-26 decay rounding."""
    MOTOR = 5
    """word = motor unit, by cycle; planes 0-7 the chance to fire."""
    ACTION = 6
    """word = action group; draw 0: [action, uniform action where nothing fired, second draw]."""
    PLASTICITY = 7
    """word = output // 32 * words + word, turned by output % 32; planes 0-7 weight chance, 8-11 trace, 12-14 decay
    rounding, 16-19 trace rounding, 20-27 decay chance."""
    SCALAR = 8
    """word = cluster; draw 0: [rounding of the critic's chance, of the actor's]."""
    EPISODE = 9
    """presentation = episode; draw 0: [environment seed]."""
    EVALUATION = 64


class Param(IntEnum):
    """Columns of the hyperparameters, int32 [brain, cluster, Param]. Brain-wide ones are read from cluster 0."""

    DRIVE = 0
    """0 coincidence: all sources at once add GAIN; 1 sum: every source adds 1."""
    GAIN = 1
    """Excitement that a coincidence adds, 0..15."""
    NOISE = 2
    """Bits of uniform noise on the excitement, 0..4."""
    DECAY_SHIFT = 3
    """Excitement loses the share 2**-shift, 0..3 ..."""
    DECAY_CHANCE = 4
    """... with this chance of 256 in a cycle without a spike."""
    BASE_RATE = 5
    """Chance of 4096 that a pool neuron fires spontaneously in a cycle, while young; at most 4095."""
    BASE_AGE = 6
    """Presentations after which the base rate has halved (0: constant): x * age // (age + t)."""
    SENSORY = 7
    """0 phase code, 1 Bernoulli. Brain-wide."""
    GAMMA = 8
    """Discount of 32768."""
    CRITIC_RATE = 9
    """Step of the critic, of 2**24 per unit of dopamine and full trace."""
    ACTOR_RATE = 10
    """Step of the actor, of 2**24 per 1/256 of normalised dopamine and full trace."""
    RATE_AGE = 11
    """Presentations after which both steps have halved (0: constant)."""
    CRITIC_SHIFT = 12
    CRITIC_CHANCE = 13
    """A critic trace loses the share 2**-shift with this chance of 256."""
    ACTOR_SHIFT = 14
    ACTOR_CHANCE = 15
    """The same for motor traces."""
    TEMPERATURE = 16
    """Inverse temperature: table index = (u_max - u_a) * this >> 12. Brain-wide."""
    MOTOR_BASE = 17
    """Least chance of 256 that a motor neuron fires. Brain-wide."""
    MOTOR_RULE = 18
    """0: own share of the volley, n (1[a] - n_a / N); 1: a second draw a'. Brain-wide."""
    MOTOR_RAMP = 19
    """1: spikes of later cycles weigh more (c + 1). Brain-wide."""
    SURPRISE_SHIFT = 20
    """The mean |dopamine| follows with 2**-shift; 0 switches normalisation off (a constant of UNIT)."""
    SURPRISE_FLOOR = 21
    """Least mean |dopamine| that scales the actor."""
    DOPAMINE_CLIP = 22
    """Largest normalised dopamine of the actor, in 1/256."""
    CRITIC_RULE = 23
    """0: traces add counts; 1: a larger count replaces the trace."""


RANGES: Mapping[Param, tuple[int, int]] = {
    Param.DRIVE: (0, 1),
    Param.GAIN: (0, 15),
    Param.NOISE: (0, 4),
    Param.DECAY_SHIFT: (0, 3),
    Param.DECAY_CHANCE: (0, 256),
    Param.BASE_RATE: (0, 4095),
    Param.BASE_AGE: (0, 1 << 20),
    Param.SENSORY: (0, 1),
    Param.GAMMA: (0, 32768),
    Param.CRITIC_RATE: (0, (1 << 31) - 1),
    Param.ACTOR_RATE: (0, (1 << 31) - 1),
    Param.RATE_AGE: (0, 1 << 20),
    Param.CRITIC_SHIFT: (0, 3),
    Param.CRITIC_CHANCE: (0, 256),
    Param.ACTOR_SHIFT: (0, 3),
    Param.ACTOR_CHANCE: (0, 256),
    Param.TEMPERATURE: (0, 1 << 20),
    Param.MOTOR_BASE: (0, 256),
    Param.MOTOR_RULE: (0, 1),
    Param.MOTOR_RAMP: (0, 1),
    Param.SURPRISE_SHIFT: (0, 16),
    Param.SURPRISE_FLOOR: (0, 65535),
    Param.DOPAMINE_CLIP: (0, 1 << 24),
    Param.CRITIC_RULE: (0, 1),
}
"""Least and largest value of every hyperparameter."""


class Flag(IntEnum):
    """What a brain has just met, one per brain and step."""

    IDLE = 0
    """Nothing: the brain is left as it is and its action is 0."""
    START = 1
    """The first observation of an episode: no reward yet."""
    CONTINUE = 2
    TERMINATED = 3
    """The episode ended for good: the value of what follows is 0 and the observation is not looked at."""
    TRUNCATED = 4
    """The episode was cut short: the last observation is valued, no action follows."""


@dataclass(frozen=True)
class BrainConfig:
    """The fixed structure of a brain."""

    sensory_words: int
    """D: words of 32 sensory neurons."""
    pool_words: int
    """W: words of 32 pool neurons."""
    groups: tuple[int, ...]
    """Motor units of each action group; one spike of each group is drawn."""
    cycles: int = 8
    """C: cycles of a presentation, 1..15."""
    slots_min: int = 2
    slots_max: int = 4
    """Sources of a pool word: uniform between these, without repetition, at most the sensory words there are."""
    threshold: int = 8
    """Excitement at which a word with one slot fires, 1..31 ..."""
    threshold_slope: int = 0
    """... and what each further slot adds."""
    clusters: int = 1
    """K: word p belongs to cluster p mod K, with its own critic, dopamine and hyperparameters."""

    def __post_init__(self) -> None:
        """Refuse sizes that no backend can hold."""
        problems = [
            (1 <= self.sensory_words <= 4096, f"sensory_words in 1..4096, got {self.sensory_words}"),
            (0 <= self.pool_words <= 32768, f"pool_words in 0..32768, got {self.pool_words}"),
            (len(self.groups) > 0 and min(self.groups, default=0) > 0, f"groups of at least 1 unit, got {self.groups}"),
            (sum(self.groups) <= 4096, f"at most 4096 motor units, got {sum(self.groups)}"),
            (1 <= self.cycles <= MAX_CYCLES, f"cycles in 1..{MAX_CYCLES}, got {self.cycles}"),
            (
                1 <= self.slots_min <= self.slots_max <= MAX_SLOTS,
                f"1 <= slots_min <= slots_max <= {MAX_SLOTS}, got {self.slots_min} and {self.slots_max}",
            ),
            (
                1 <= self.threshold and self.threshold + 7 * self.threshold_slope <= 31 and self.threshold_slope >= 0,
                f"thresholds in 1..31, got {self.threshold} + {self.threshold_slope} per slot",
            ),
            (1 <= self.clusters <= self.words, f"clusters in 1..{self.words}, got {self.clusters}"),
        ]
        for holds, text in problems:
            if not holds:
                raise ValueError(f"a brain needs {text}")

    @property
    def words(self) -> int:
        """P: words that the readouts see, sensory ones first."""
        return self.sensory_words + self.pool_words

    @property
    def units(self) -> int:
        """A: motor units of all groups."""
        return sum(self.groups)

    @property
    def outputs(self) -> int:
        """O: rows of plastic synapses, the motor units and then the critic."""
        return self.units + 1

    @property
    def slots(self) -> tuple[int, int]:
        """Least and largest number of sources of a word, no more than there are sensory words."""
        return min(self.slots_min, self.sensory_words), min(self.slots_max, self.sensory_words)


class Prediction(NamedTuple):
    """What brains answer without learning, for E observations and G action groups, A units, K clusters."""

    actions: NDArray[np.int32]
    """[E, G]: the chosen unit of each group."""
    volley: NDArray[np.int32]
    """[E, A]: spikes of each motor unit; when deterministic, the table's chances of 256 instead."""
    values: NDArray[np.int32]
    """[E, K]: in units of 1/256 weight."""
    spikes: NDArray[np.int32]
    """[E]: spikes of sensory and pool neurons in this presentation."""
    excitement: NDArray[np.uint8]
    """[E, W, 32]: to be handed in with the next observation of the same episode."""


Arrays = dict[str, NDArray[Any]]

CANONICAL = ("brain", "episode", "presentation", "generation", "excitement", "weights", "traces", "value", "surprise")
"""Arrays of a brain, in the order of the digest: what a checkpoint holds and every backend exports."""


def empty_arrays(config: BrainConfig, brains: NDArray[np.uint32]) -> Arrays:
    """Canonical arrays of newborn brains; R = len(brains)."""
    r, w, k = len(brains), config.pool_words, config.clusters
    return {
        "brain": brains.astype(np.uint32),
        "episode": np.zeros(r, np.uint32),
        "presentation": np.zeros(r, np.uint32),
        "generation": np.zeros((r, w), np.uint32),
        "excitement": np.zeros((r, w, LANES), np.uint8),
        "weights": np.zeros((r, config.outputs, config.words, LANES), np.int8),
        "traces": np.zeros((r, config.outputs, config.words, LANES), np.int8),
        "value": np.zeros((r, k), np.int32),
        "surprise": np.zeros((r, k), np.int32),
    }


class Backend(Protocol):
    """A machine that keeps the contract. Every method is named and typed alike in all backends."""

    name: str

    def create(self, config: BrainConfig, params: NDArray[np.int32], seed: int, arrays: Mapping[str, Any]) -> Any:
        """A state of this backend from canonical arrays (copied), params [R, K, Param] and a seed of 32 bits."""

    def export(self, state: Any) -> Arrays:
        """Copies of the canonical arrays."""

    def step(
        self, state: Any, intensities: NDArray[np.uint8], rewards: NDArray[np.int32], flags: NDArray[np.uint8]
    ) -> NDArray[np.int32]:
        """Show one observation to every brain, learn from its reward and act: int32 [R, G], a fresh array.

        Args:
            state: changed in place.
            intensities: uint8 [R, D, 32], 0..15.
            rewards: int32 [R], integers of at most 16 bits.
            flags: uint8 [R] of :class:`Flag`.
        """

    def run(
        self, state: Any, intensities: NDArray[np.uint8], rewards: NDArray[np.int32], flags: NDArray[np.uint8]
    ) -> NDArray[np.int32]:
        """T steps over recorded observations, the same bits as T calls of :meth:`step`: int32 [T, R, G].

        Args:
            state: changed in place.
            intensities: uint8 [T, R, D, 32], 0..15.
            rewards: int32 [T, R].
            flags: uint8 [T, R] of :class:`Flag`.
        """

    def predict(
        self,
        state: Any,
        brains: NDArray[np.int64],
        intensities: NDArray[np.uint8],
        excitement: NDArray[np.uint8],
        presentations: NDArray[np.uint32],
        deterministic: bool,
    ) -> Prediction:
        """Answer E observations with the brains ``brains`` [E], changing nothing."""


def check(config: BrainConfig, params: NDArray[np.int32], seed: int, arrays: Mapping[str, Any]) -> None:
    """Refuse what the backends would not hold alike.

    Raises:
        ValueError: a hyperparameter out of :data:`RANGES`, or a state, seed or shape outside the contract.
    """
    own = {name: np.asarray(arrays[name]) for name in CANONICAL}
    brains = len(own["brain"])
    critic = own["traces"][:, -1]
    expected = empty_arrays(config, np.zeros(brains, np.uint32))
    problems = [
        (brains > 0, "company: at least one brain"),
        (0 <= seed < 2**32, f"a seed of 0..2**32 - 1, got {seed}"),
        (params.shape == (brains, config.clusters, len(Param)), f"params [R, K, {len(Param)}], got {params.shape}"),
        *((own[n].shape == expected[n].shape, f"{n} of shape {expected[n].shape}") for n in CANONICAL),
        (not (own["excitement"] > STATE_MAX).any(), f"excitement of 0..{STATE_MAX}"),
        (not (np.abs(own["traces"].astype(np.int32)) > STATE_MAX).any(), f"traces within +-{STATE_MAX}"),
        (not (critic < 0).any(), "no negative traces of the critic"),
    ]
    for param, (least, most) in RANGES.items():
        values = params[..., param]
        problems.append((not ((values < least) | (values > most)).any(), f"{param.name} in {least}..{most}"))
    for holds, text in problems:
        if not holds:
            raise ValueError(f"a brain needs {text}")
