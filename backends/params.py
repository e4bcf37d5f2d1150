"""Hyperparameters of a brain as integers, and their ranges: part of the contract."""

from collections.abc import Mapping
from enum import IntEnum


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
    TEMPERATURE_AGE = 24
    """Presentations after which TEMPERATURE has doubled (0: constant): x (age + min(t, 3 age)) // age. Brain-wide."""
    READS = 25
    """What the readouts see, a sum of 1 sensory and echo words, 2 pool words, 4 learning words. Brain-wide."""
    INNER_RULE = 26
    """Credit of the learning words: 0 their outgoing weights, 1 their own surprise (REINFORCE), 2 spike timing.
    Brain-wide, like all that follow."""
    INNER_RATE = 27
    """Step of the learning words, of 2**24 per 1/256 of the actor's dopamine and full trace."""
    INNER_SHIFT = 28
    INNER_CHANCE = 29
    """Their traces lose the share 2**-shift with this chance of 256."""
    INNER_SLOPE = 30
    """Index of the chance to fire: 128 + BIAS + (sum of weights x counts) * this >> 16."""
    INNER_BIAS = 31
    """In 1/16 nat, -128..127."""
    FEEDBACK = 32
    """Credit of a learning unit, of 65536 sixteenths per unit of its rule's signal."""
    CRITIC_FEEDBACK = 33
    """Weight of the critic's outgoing weights beside those of the motor units, in sixteenths."""
    INNER_EVERY = 34
    """Presentations for which dopamine is collected before the learning words' weights change, at least 1."""
    FRACTION_BITS = 35
    """Weights move by 2**-this of a weight step or more, 0..4. For the learning words that of cluster 0."""
    THRESHOLD = 36
    """Excitement at which a pool word with one source fires, 1..31 ..."""
    THRESHOLD_SLOPE = 37
    """... and what each further source adds; with eight sources at most 31, too."""
    COPY = 38
    """Which of several copies of a brain this is, 0..255: they are wired alike and draw other noise. Brain-wide."""


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
    Param.TEMPERATURE_AGE: (0, 1 << 20),
    Param.READS: (1, 7),
    Param.INNER_RULE: (0, 2),
    Param.INNER_RATE: (0, (1 << 31) - 1),
    Param.INNER_SHIFT: (0, 3),
    Param.INNER_CHANCE: (0, 256),
    Param.INNER_SLOPE: (0, 1 << 20),
    Param.INNER_BIAS: (-128, 127),
    Param.FEEDBACK: (0, 4096),
    Param.CRITIC_FEEDBACK: (0, 256),
    Param.INNER_EVERY: (1, 1 << 20),
    Param.FRACTION_BITS: (0, 4),
    Param.THRESHOLD: (1, 31),
    Param.THRESHOLD_SLOPE: (0, 4),
    Param.COPY: (0, 255),
}
"""Least and largest value of every hyperparameter."""
