"""Resident runs: environment, encoder, brain and books in one call of a backend, thousands of steps at a time.

A resident run changes no bit: it is the ordinary loop of :class:`hebbit.agents.SpikingAgent` over a resident
environment, done where the brains are. That loop is its specification, and the tests compare the two.

A brain's life lies in one row of float64 and one of int64, see :class:`Real` and :class:`Whole`. Only correctly rounded
operations (+ - * / sqrt, comparisons) touch them, and none are fused, so that every machine gives the same bits.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
PLACES = 8
"""Room for a world's state, its observation, or what is known of each dimension."""
RECENT = 100
"""Episodes whose returns and lengths are kept."""
LEVELS = 256
"""Positions that the encoder distinguishes."""


class World(Protocol):
    """Physics that can be compiled into a run; a state is 8 numbers, and so is what a step gives (``out``).

    ``out`` holds the observation, rounded to float32, from place 0 on, the reward at 6, and 1 at 7 if it terminated.
    """

    @property
    def number(self) -> int:
        """Which world the CUDA text is to be compiled for."""

    @property
    def values(self) -> int:
        """Length of an observation, at most 6."""

    @property
    def units(self) -> int:
        """Discrete actions, or 0 for a Box of one dimension."""

    @property
    def limit(self) -> int:
        """Steps after which an episode is cut short."""

    def addresses(self) -> tuple[int, int]:
        """Compiled functions void start(u64 seed, u64 number, f64 *state, f64 *out), void step(state, action, out)."""

    def cuda(self) -> str:
        """Text of ``world_start`` and ``world_step`` with the same arguments."""


class Real(IntEnum):
    """Places in a brain's row of float64."""

    STATE = 0
    """[8] of the world."""
    OUT = 8
    """[8] of the world's last step."""
    RETURN = 16
    """Of the running episode, so far."""
    TOTAL = 17
    """This and the next four: see :class:`hebbit.agents.rewards.Gauge`."""
    ENDS = 18
    SIZE = 19
    LARGEST = 20
    UNIT = 21
    FACTOR = 22
    """What the brain's units are multiplied by at present; nothing in it outlives a step."""
    MEAN = 24
    """[8]; this and the next three: see :class:`hebbit.agents.encoder.Encoder`."""
    SQUARE = 32
    LOW = 40
    SCALE = 48
    GAMMA = 56
    """Discount with which returns are followed."""
    SPAN = 57
    """What returns are to span, in the brain's units."""
    DEVIATIONS = 58
    """A range that is found covers so many standard deviations on either side."""
    RETURNS = 64
    """[100]: of the latest episodes, in a ring."""
    LENGTH = 164


class Whole(IntEnum):
    """Places in a brain's row of int64."""

    STEPS = 0
    """Steps that this brain is to make in this call; 0 leaves it alone."""
    ELAPSED = 1
    """Steps of the running episode."""
    UNIT = 2
    """Motor unit that is about to be executed."""
    SEEN = 3
    """Observations that its ranges have seen."""
    REWARDS = 4
    """Rewards that its scale has seen ..."""
    AGE = 5
    """... and since the first one that was not zero."""
    BEGUN = 6
    """Episodes begun."""
    ENDED = 7
    """Episodes ended in this call: the next one goes to ENDED mod 100 of the ring."""
    ADAPTIVE = 8
    """Bit d: whether dimension d finds its range by itself."""
    WARMUP = 9
    """Observations after which ranges are frozen."""
    FOLLOWS = 10
    """Whether the scale of rewards finds itself."""
    OPTIMISM = 11
    """Weight steps that the critic's synapses were born with."""
    LENGTHS = 16
    """[100]: of the latest episodes, in a ring."""
    LENGTH = 116


@dataclass
class Life:
    """R brains in their worlds; a backend changes ``real`` and ``whole`` in place."""

    world: World
    real: F64
    """[R, Real.LENGTH]"""
    whole: I64
    """[R, Whole.LENGTH]"""
    table: NDArray[np.uint8]
    """[256, 32]: intensities of a word's neurons for each position."""
    preferred: F64
    """[2, units]: what each motor unit does, its number or for a Box its value, rounded to float32; then unrounded."""
    bounds: tuple[float, float] = (0.0, 0.0)
    """Of a Box; deterministic actions are cut to them."""
    mean: bool = False
    """Whether deterministic actions of a Box are the mean of the preferred values."""


class Room(NamedTuple):
    """How many brains a machine has room for."""

    held: int
    """Brains that its free memory holds."""
    at_once: int
    """Brains that it runs at the same time; others wait for one of these to end."""


class ResidentBackend(Protocol):
    """What a backend can do beside :class:`hebbit.backends.spec.Backend` if it serves resident runs."""

    def live(self, state: Any, life: Life) -> None:
        """Let every brain act, meet what comes of it and learn, for as many steps as its row says.

        Args:
            state: changed in place.
            life: changed in place.
        """

    def trial(self, state: Any, life: Life, brains: I64, episodes: int, seed: int, calm: bool) -> tuple[F64, I64]:
        """Returns and lengths [len(brains), episodes] of episodes without learning; nothing is changed.

        Args:
            state: as it is.
            life: whose ranges and world apply.
            brains: positions.
            episodes: of each, with the seeds that evaluation gives them.
            seed: of the episodes.
            calm: deterministic: no noise, the strongest unit.
        """

    def room(self, state: Any, world: World) -> Room:
        """How many such brains could live in this world, beside what the memory holds already."""


def empty(world: World, brains: int, table: NDArray[np.uint8], preferred: F64) -> Life:
    """Rows of zeros for so many brains."""
    real, whole = np.zeros((brains, Real.LENGTH)), np.zeros((brains, Whole.LENGTH), np.int64)
    return Life(world, real, whole, np.ascontiguousarray(table), np.ascontiguousarray(preferred, np.float64))
