"""The contract that every backend keeps bit for bit: constants, random streams, parameters, state, protocol.

Evidence may change it, but here first and with a new :data:`CONTRACT_VERSION`, which checkpoints carry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.params import RANGES as RANGES
from hebbit.backends.params import Param as Param
from hebbit.backends.tables import EXPONENTIAL as EXPONENTIAL
from hebbit.backends.tables import SIGMOID as SIGMOID

CONTRACT_VERSION = 4

LANES = 32
"""Neurons of a word."""
STATE_MAX = 15
"""Largest excitement, count, intensity and trace magnitude: four bits."""
WEIGHT_MIN, WEIGHT_MAX = -128, 127
"""Eight-bit two's complement."""
FRACTION_BITS = 4
FRACTION_MAX = 15
"""A synapse remembers sixteenths of a weight step, four bits more, which nothing reads but its own changes."""
UNIT = 256
"""Value and drive of one weight step: V and u are fixed-point numbers with eight binary digits."""
REWARD_LIMIT = 32767
MAX_CYCLES = 15
MAX_SLOTS = 8
THRESHOLD_MAX = 31
CHANCE_BITS = 8
"""Random planes of a chance that all lanes share; 256 means always."""
TRACE_BITS = 4
BASE_BITS = 12
ONE_GAMMA = 32768
RATE_BITS = 24
"""A rate of 2**24 per unit of dopamine moves a weight of full trace by one step."""
DOPAMINE_LIMIT = 65535
MAX_STEP_SHIFT = 6
COPY_SHIFT = 24
"""A copy that learns draws its noise as brain ^ copy << 24; its wiring, episodes and answers are the brain's own."""


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
    """word = cluster; draw 0: [rounding of the critic's chance, of the actor's, of the learning words']."""
    EPISODE = 9
    """presentation = episode; draw 0: [environment seed]."""
    LEARNING = 10
    """word = learning word, turned by cycle; planes 0-7 the chance to fire."""
    INNER = 11
    """word = unit // 32 * sources + source word, turned by unit % 32; planes as of PLASTICITY."""
    CREDIT = 12
    """word = learning unit; draw 0: [rounding of its credit]."""
    ECHO = 13
    """word = echo word; draw 0: [source]; presentation 0."""
    BIRTH = 14
    """word = four synapses of the learning words, in their order; draw 0: a random word for each."""
    EVALUATION = 64


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
    clusters: int = 1
    """K: word p belongs to cluster p mod K, with its own critic, dopamine and hyperparameters."""
    echo_delay: int = 0
    """Presentations back to which every sensory word is remembered: as many echo words for each."""
    echo_pool: int = 0
    """Further echo words, each of which remembers a pool or learning word of the last presentation."""
    learning_words: int = 0
    """L: words of 32 learning neurons, each of which reads whole words with weights of its own."""
    learning_pool: bool = False
    """Whether learning neurons read the pool words, too, beside sensory and echo words."""
    tiles: int = 0
    """Topography: sensory words are the planes of an image, this many words each, pixel after pixel; 0 without one."""
    row: int = 0
    """Pixels of a row of that image."""

    def __post_init__(self) -> None:
        """Refuse sizes that no backend can hold."""
        problems = [
            (1 <= self.sensory_words <= 4096, f"sensory_words in 1..4096, got {self.sensory_words}"),
            (0 <= self.pool_words <= 32768, f"pool_words in 0..32768, got {self.pool_words}"),
            (0 <= self.learning_words <= 128, f"learning_words in 0..128, got {self.learning_words}"),
            (0 <= self.echo_delay <= 64, f"echo_delay in 0..64, got {self.echo_delay}"),
            (
                0 <= self.echo_pool <= self.pool_words + self.learning_words,
                f"echo_pool in 0..{self.pool_words + self.learning_words}, got {self.echo_pool}",
            ),
            (
                self.tiles >= 0 and self.sensory_words % max(self.tiles, 1) == 0,
                f"tiles that divide its {self.sensory_words} sensory words, got {self.tiles}",
            ),
            (0 <= self.row <= 1 << 16 and (self.row > 0) == (self.tiles > 0), f"a row of its image, got {self.row}"),
            (self.inputs <= 8192, f"at most 8192 sensory and echo words, got {self.inputs}"),
            (len(self.groups) > 0 and min(self.groups, default=0) > 0, f"groups of at least 1 unit, got {self.groups}"),
            (sum(self.groups) <= 4096, f"at most 4096 motor units, got {sum(self.groups)}"),
            (1 <= self.cycles <= MAX_CYCLES, f"cycles in 1..{MAX_CYCLES}, got {self.cycles}"),
            (
                1 <= self.slots_min <= self.slots_max <= MAX_SLOTS,
                f"1 <= slots_min <= slots_max <= {MAX_SLOTS}, got {self.slots_min} and {self.slots_max}",
            ),
            (1 <= self.clusters <= self.words, f"clusters in 1..{self.words}, got {self.clusters}"),
        ]
        for holds, text in problems:
            if not holds:
                raise ValueError(f"a brain needs {text}")

    @property
    def echo_words(self) -> int:
        """M: words that repeat what other words fired in the last presentation."""
        return self.echo_delay * self.sensory_words + self.echo_pool

    @property
    def inputs(self) -> int:
        """I = D + M: words whose spikes are known before the pool's: sensory words, then echo words."""
        return self.sensory_words + self.echo_words

    @property
    def words(self) -> int:
        """P: words that the readouts see: sensory, echo, pool and learning words, in this order."""
        return self.inputs + self.pool_words + self.learning_words

    @property
    def carried_words(self) -> int:
        """W + M + L: words whose state outlives a presentation, in the order of the array ``excitement``."""
        return self.pool_words + self.echo_words + self.learning_words

    @property
    def learning_units(self) -> int:
        """H = 32 L: learning neurons."""
        return LANES * self.learning_words

    @property
    def learning_sources(self) -> int:
        """S: words that each learning neuron reads."""
        return self.inputs + (self.pool_words if self.learning_pool else 0)

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
        """Least and largest number of sources of a pool word, no more than there are sensory and echo words."""
        return min(self.slots_min, self.inputs), min(self.slots_max, self.inputs)


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
    """[E, W + M + L, 32]: to be handed in with the next observation of the same episode."""


Arrays = dict[str, NDArray[Any]]

CANONICAL = (
    "brain", "episode", "presentation", "generation", "excitement", "weights", "traces", "value", "surprise",
    "inner_weights", "inner_traces", "collected", "fractions", "inner_fractions",
)  # fmt: skip
"""Arrays of a brain, in the order of the digest: what a checkpoint holds and every backend exports.

``excitement`` holds what outlives a presentation, 0..15: excitement of the pool words, intensities of the echo words,
last counts of the learning words. ``generation`` holds the generation of a pool word's wiring in its lower 16 bits, and
in the upper ones what the word's number is XORed with (so that a word keeps its wiring when others are taken out).
"""


def empty_arrays(config: BrainConfig, brains: NDArray[np.uint32]) -> Arrays:
    """Canonical arrays of newborn brains; R = len(brains)."""
    r, w, k = len(brains), config.pool_words, config.clusters
    return {
        "brain": brains.astype(np.uint32),
        "episode": np.zeros(r, np.uint32),
        "presentation": np.zeros(r, np.uint32),
        "generation": np.zeros((r, w), np.uint32),
        "excitement": np.zeros((r, config.carried_words, LANES), np.uint8),
        "weights": np.zeros((r, config.outputs, config.words, LANES), np.int8),
        "traces": np.zeros((r, config.outputs, config.words, LANES), np.int8),
        "value": np.zeros((r, k), np.int32),
        "surprise": np.zeros((r, k), np.int32),
        "inner_weights": np.zeros((r, config.learning_units, config.learning_sources, LANES), np.int8),
        "inner_traces": np.zeros((r, config.learning_units, config.learning_sources, LANES), np.int8),
        "collected": np.zeros(r, np.int32),
        "fractions": np.zeros((r, config.outputs, config.words, LANES), np.uint8),
        "inner_fractions": np.zeros((r, config.learning_units, config.learning_sources, LANES), np.uint8),
    }


class Backend(Protocol):
    """A machine that keeps the contract. Every method is named and typed alike in all backends."""

    name: str

    def create(self, config: BrainConfig, params: NDArray[np.int32], seed: int, arrays: Mapping[str, Any]) -> Any:
        """A state of this backend from canonical arrays (copied), params [R, K, Param] and a seed of 32 bits."""

    def export(self, state: Any, names: Sequence[str] = CANONICAL) -> Arrays:
        """Copies of the canonical arrays, or of those that are named."""

    def refill(self, state: Any, arrays: Mapping[str, Any]) -> None:
        """Take over canonical arrays, what is not named stays; brain and generation, which say the wiring, must stay.

        Nothing is checked: whoever changes what :meth:`export` gave keeps within its ranges.
        """

    def step(
        self,
        state: Any,
        intensities: NDArray[np.uint8],
        rewards: NDArray[np.int32],
        flags: NDArray[np.uint8],
        forced: NDArray[np.int32] | None = None,
    ) -> NDArray[np.int32]:
        """Show one observation to every brain, learn from its reward and act: int32 [R, G], a fresh array.

        Args:
            state: changed in place.
            intensities: uint8 [R, D, 32], 0..15.
            rewards: int32 [R], integers of at most 16 bits.
            flags: uint8 [R] of :class:`Flag`.
            forced: int32 [R, G], units that are executed and credited instead of the ones drawn; -1 leaves it.
        """

    def run(
        self,
        state: Any,
        intensities: NDArray[np.uint8],
        rewards: NDArray[np.int32],
        flags: NDArray[np.uint8],
        forced: NDArray[np.int32] | None = None,
    ) -> NDArray[np.int32]:
        """T steps over recorded observations, the same bits as T calls of :meth:`step`: int32 [T, R, G].

        Args:
            state: changed in place.
            intensities: uint8 [T, R, D, 32], 0..15.
            rewards: int32 [T, R].
            flags: uint8 [T, R] of :class:`Flag`.
            forced: int32 [T, R, G] or None, as in :meth:`step`.
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
        (not (np.abs(own["inner_traces"].astype(np.int32)) > STATE_MAX).any(), f"inner traces within +-{STATE_MAX}"),
        (not (own["fractions"] > FRACTION_MAX).any(), f"fractions of 0..{FRACTION_MAX}"),
        (not (own["inner_fractions"] > FRACTION_MAX).any(), f"inner fractions of 0..{FRACTION_MAX}"),
        (not (np.abs(own["collected"].astype(np.int64)) > DOPAMINE_LIMIT).any(), "collected within the dopamine limit"),
    ]
    highest = params[..., Param.THRESHOLD] + (MAX_SLOTS - 1) * params[..., Param.THRESHOLD_SLOPE]
    problems.append((not (highest > THRESHOLD_MAX).any(), f"thresholds of at most {THRESHOLD_MAX} with 8 sources"))
    for param, (least, most) in RANGES.items():
        values = params[..., param]
        problems.append((not ((values < least) | (values > most)).any(), f"{param.name} in {least}..{most}"))
    for holds, text in problems:
        if not holds:
            raise ValueError(f"a brain needs {text}")
