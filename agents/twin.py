"""A brain's twin: the specification's arithmetic for one brain, all cycles at once, with every spike seen.

Backends answer with counts and choices and keep their spikes to themselves. The twin repeats a presentation from the
same weights, excitement and random words. It is quicker than :func:`hebbit.backends.numpy_backend.present`, since the
random words of a pool word are drawn once a presentation and turned from cycle to cycle.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.equations import I32, Clock
from hebbit.backends.philox import draws, lanes, random_number
from hebbit.backends.spec import LANES, BrainConfig, Param, Stream
from hebbit.backends.wiring import Wiring, echo_sources, source_lane, thresholds, wire

NOISE_PLANES = range(4)
SPONTANEOUS_PLANES = range(4, 4 + spec.BASE_BITS)
CHANCE_PLANES = range(16, 16 + spec.CHANCE_BITS)
ROUNDING_PLANES = range(24, 27)
"""What each plane of a pool word's random words is for, as in :mod:`hebbit.backends.equations` ..."""
POOL_PLANES = 28
"""... and all of them: seven draws."""


def gather(config: BrainConfig, wiring: Wiring) -> NDArray[np.intp]:
    """Which sensory or echo neuron each slot reads: [W, slots, 32]; the last one, which is none, for slots unused."""
    most = int(wiring.slots.max()) if len(wiring.slots) else 0
    sources = np.full((config.pool_words, most, LANES), config.inputs * LANES, np.intp)
    for word, slots in enumerate(wiring.slots):
        for slot in range(slots):
            lane = source_lane(wiring.rotation[word, slot], wiring.xor[word, slot])
            sources[word, slot] = int(wiring.source[word, slot]) * LANES + lane
    return sources


class Seen(NamedTuple):
    """One presentation; C cycles, D sensory words, W pool words, A motor units, K clusters."""

    sensory: NDArray[np.uint8]
    """[C, D, 32], 0 or 1."""
    pool: NDArray[np.uint8]
    """[C, W, 32], 0 or 1."""
    motor: NDArray[np.uint8]
    """[C, A, 32], 0 or 1; nothing when calm, for then no spike is drawn."""
    excitement: I32
    """[W + M + L, 32], 0..15: what outlives the presentation."""
    chances: I32
    """[A]: of 256, that a neuron of the unit fires in a cycle."""
    volley: I32
    """[A]: (weighted) spikes of a unit; the chances when calm."""
    values: I32
    """[K]: in 1/256 of a weight step."""
    actions: I32
    """[G]: the chosen unit of each group."""
    spikes: int
    """Of all words, echo and learning words too."""


class Twin:
    """One brain of a population, rebuilt from its canonical arrays."""

    def __init__(self, config: BrainConfig, params: I32, seed: int, arrays: Mapping[str, Any], row: int) -> None:
        """Take the brain at a position.

        Args:
            config: its structure.
            params: int32 [K, Param], its hyperparameters.
            seed: of all brains.
            arrays: canonical arrays of the population.
            row: its position there.
        """
        self.config, self.params, self.row = config, params, row
        self.key = (seed, int(arrays["brain"][row]))
        self.generation: NDArray[np.uint32] = arrays["generation"][row].copy()
        wiring = wire(config, self.generation, self.key)
        self._slots = wiring.slots
        self._threshold = thresholds(config, wiring, params)[:, None]
        self._sources = gather(config, wiring)
        cycle, plane, lane = np.ogrid[: config.cycles, :POOL_PLANES, :LANES]
        self._turned = (lane - cycle * (2 * plane + 1)) % LANES
        self._word_params = params[np.arange(config.words) % config.clusters][config.inputs :]
        self._word_params = self._word_params[: config.pool_words]
        self._echoes = echo_sources(config, self.key)
        self.take_weights(arrays)

    def is_still(self, seed: int, arrays: Mapping[str, Any]) -> bool:
        """Whether the brain there is the same but for what learning changes."""
        return self.key[0] == seed and np.array_equal(self.generation, arrays["generation"][self.row])

    def take_weights(self, arrays: Mapping[str, Any]) -> None:
        """Take over what learning has changed since."""
        self.weights: I32 = arrays["weights"][self.row].astype(np.int32)
        self.inner: I32 = arrays["inner_weights"][self.row].astype(np.int32)
        self.age = int(arrays["presentation"][self.row])

    def show(self, intensity: I32, carried: I32, clock: Clock) -> Seen:
        """Repeat one presentation.

        Args:
            intensity: [D, 32], 0..15.
            carried: [W + M + L, 32], 0..15: what the last presentation left behind.
            clock: when, and whether it is training, evaluation or calm.
        """
        config, params = self.config, self.params
        excitement, echo, _ = np.split(carried, [config.pool_words, config.pool_words + config.echo_words])
        shown = np.concatenate([intensity, echo])
        heard = np.stack([eq.sensory_spikes(shown, cycle, params, clock) for cycle in range(config.cycles)])
        pool, excitement = self._pool(self._drive(heard), excitement, clock)
        counts = np.concatenate([heard.sum(axis=0), pool.sum(axis=0)]).astype(np.int32)
        chance = eq.learning_chances(counts[: config.learning_sources], self.inner, params)
        learning = eq.learning_counts(chance, config.cycles, clock)
        counts = np.concatenate([counts, learning])
        after = np.concatenate([excitement, eq.echoed(counts, self._echoes, config.cycles), learning])
        drives, values = eq.readout(eq.seen(counts, config, int(params[0, Param.READS])), self.weights, config)
        answer = eq.act(drives, config, params, clock, self.age)
        chances = eq.motor_chances(drives, config.groups, params, self.age)
        motor = self._motor(chances, clock)
        sensory = heard[:, : config.sensory_words]
        seen = sensory.astype(np.uint8), pool.astype(np.uint8), motor.astype(np.uint8)
        return Seen(*seen, after, chances, answer.spikes, values, answer.actions, int(counts.sum()))

    def _drive(self, sensory: I32) -> I32:
        """Input of the pool neurons in each cycle: [C, W, 32]."""
        flat = sensory.reshape(len(sensory), -1)
        padded = np.concatenate([flat, np.zeros((len(flat), 1), np.int32)], axis=1)
        total = padded[:, self._sources].sum(axis=2)
        together = total == self._slots[:, None]
        coincide = (self._word_params[:, Param.DRIVE] == 0)[:, None]
        current: I32 = np.where(coincide, together * self._word_params[:, Param.GAIN][:, None], total).astype(np.int32)
        return current

    def _pool(self, current: I32, excitement: I32, clock: Clock) -> tuple[I32, I32]:
        """Spikes [C, W, 32] and the excitement [W, 32] that is left."""
        p = self._word_params
        noise, spontaneous, rounding, number = self._random(clock)
        shift, chance = p[:, Param.DECAY_SHIFT][:, None], p[:, Param.DECAY_CHANCE][:, None]
        spikes, x = np.zeros(current.shape, np.int32), excitement
        for cycle, drive in enumerate(current):
            x = np.minimum(spec.STATE_MAX, x + drive).astype(np.int32)
            fired = (x + noise[cycle] >= self._threshold) | spontaneous[cycle]
            kept = eq.lose(x, shift, rounding[cycle], chance, number[cycle])
            x, spikes[cycle] = np.where(fired, 0, kept).astype(np.int32), fired
        return spikes, x

    def _random(self, clock: Clock) -> tuple[I32, NDArray[np.bool_], I32, I32]:
        """Noise, spontaneous spikes, rounding and chance of decay: each [C, W, 32]."""
        config, p = self.config, self._word_params
        words = np.arange(config.pool_words, dtype=np.uint32)
        stream = Stream.POOL + clock.stream
        drawn = draws(words, clock.presentation, 0, range(POOL_PLANES // 4), stream, self.key)
        planes = lanes(np.moveaxis(drawn, 2, 1).reshape(POOL_PLANES, config.pool_words))

        def number(own: range) -> I32:
            total = np.zeros((config.cycles, config.pool_words, LANES), np.int32)
            for bit, plane in enumerate(own):
                turned = planes[plane][:, self._turned[:, plane]]
                total += turned.swapaxes(0, 1).astype(np.int32) << bit
            return total

        none = np.zeros((config.cycles, config.pool_words, LANES), np.int32)
        loud = not clock.calm and bool(p[:, Param.NOISE].any())
        noise = number(NOISE_PLANES) % (1 << p[:, Param.NOISE])[:, None] if loud else none
        rates = [eq.anneal(int(q[Param.BASE_RATE]), int(q[Param.BASE_AGE]), clock.presentation) for q in p]
        young = clock.stream == 0 and any(rates)
        spontaneous = (
            number(SPONTANEOUS_PLANES) < np.array(rates, np.int32)[:, None] if young else none.astype(np.bool_)
        )
        return noise.astype(np.int32), spontaneous, number(ROUNDING_PLANES), number(CHANCE_PLANES)

    def _motor(self, chances: I32, clock: Clock) -> NDArray[np.bool_]:
        """Which motor neurons fire: [C, A, 32]."""
        config = self.config
        if clock.calm:
            return np.zeros((config.cycles, config.units, LANES), np.bool_)
        units, stream = np.arange(config.units, dtype=np.uint32), Stream.MOTOR + clock.stream
        drawn = [random_number(units, clock.presentation, c, range(8), stream, self.key) for c in range(config.cycles)]
        return np.stack(drawn) < chances[:, None]
