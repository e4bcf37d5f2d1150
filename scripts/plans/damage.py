"""Presentations whose spikes are lost, made up or silenced on their way: the specification, many observations at once.

Without damage its answers are those of every backend, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import SpikingAgent
from hebbit.agents.errors import HebbitError
from hebbit.agents.twin import CHANCE_PLANES, NOISE_PLANES, ROUNDING_PLANES, gather
from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.philox import lanes, philox4x32
from hebbit.backends.spec import LANES, Param, Prediction, Stream
from hebbit.backends.wiring import thresholds, wire
from hebbit.scripts.plans.worlds import Kind, stream

I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]

BLOCK_BYTES = 1 << 26
"""Most bytes of one array of spikes: more observations are shown in several blocks."""


@dataclass(frozen=True)
class Damage:
    """What happens to spikes between the neuron that fires and those that see it."""

    dropped: float = 0.0
    """Chance that a spike is lost."""
    spurious: float = 0.0
    """Chance that a neuron that did not fire in a cycle is taken to have fired."""
    lesion: float = 0.0
    """Share of the pool neurons that send nothing."""
    seed: int = 0
    """Decides which neurons are silent."""

    def silent(self, neurons: int) -> NDArray[np.intp]:
        """Pool neurons that are silent, by number; a larger share silences these and more."""
        order = stream(Kind.LESION, self.seed).permutation(neurons)
        return np.sort(order[: round(self.lesion * neurons)])


class Numbers:
    """Random numbers as :func:`hebbit.backends.philox.random_number` gives them, for many presentations at once."""

    def __init__(self, presentations: U32, key: tuple[int, int]) -> None:
        """For presentations [E]."""
        self.presentations, self.key = presentations, key

    def draws(self, words: int, cycle: int, first: int, number: int, source: int) -> U32:
        """Random words of some draws: uint32 [E, words, number, 4]."""
        counter = np.zeros((len(self.presentations), words, number, 4), np.uint32)
        counter[..., 0] = np.arange(words, dtype=np.uint32)[:, None]
        counter[..., 1] = self.presentations[:, None, None]
        counter[..., 2] = cycle << 16 | np.arange(first, first + number, dtype=np.uint32)
        counter[..., 3] = source
        return philox4x32(counter, self.key)

    def uniform(self, words: int, cycle: int, planes: range, source: int, turn: int = 0) -> I32:
        """One number of ``len(planes)`` bits for every lane: int32 [words * 32, E]."""
        first = planes.start // 4
        random = self.draws(words, cycle, first, (planes.stop + 3) // 4 - first, source)
        total = np.zeros((len(self.presentations), words, LANES), np.int32)
        for bit, plane in enumerate(planes):
            drawn = lanes(random[:, :, plane // 4 - first, plane % 4]).astype(np.int32)
            total += np.roll(drawn, turn * (2 * plane + 1), axis=-1) << bit
        return total.reshape(len(total), -1).T


class Stage:
    """One brain, to be shown observations without learning."""

    def __init__(self, agent: SpikingAgent, damage: Damage) -> None:
        """Copy the brain that predicts."""
        brain, arrays, config = agent.active, agent.arrays(), agent.brain_config
        if config.echo_words or config.learning_words:
            raise HebbitError(
                "damage is done to sensory and pool words, and this brain has echo or learning words; choose a plan "
                "without damage, or an agent without them"
            )
        self.config, self.damage = config, damage
        self.age = int(arrays["presentation"][brain])
        self.params: I32 = np.asarray(agent.state.params[brain], np.int32)
        self.key = agent.seed, int(agent.brains[brain])
        self.weights = arrays["weights"][brain].astype(np.float64).reshape(config.outputs, -1)
        wiring = wire(config, arrays["generation"][brain], self.key)
        self._slots = np.repeat(wiring.slots, LANES).astype(np.int16)[:, None]
        self._threshold = np.repeat(thresholds(config, wiring, self.params), LANES).astype(np.int16)[:, None]
        pool = self.params[np.arange(config.words) % config.clusters][config.sensory_words :]
        seen = eq.seen(np.ones((config.words, LANES), np.int32), config, int(self.params[0, Param.READS]))
        self._read = seen.reshape(-1, 1)
        self._pool = {p: np.repeat(pool[:, p], LANES).astype(np.int16)[:, None] for p in _POOL}
        sources = gather(config, wiring)
        self._sources = sources.swapaxes(0, 1).reshape(sources.shape[1], config.pool_words * LANES)
        self._silent = damage.silent(config.pool_words * LANES)

    def predict(
        self,
        intensities: U8,
        excitement: U8,
        presentations: U32,
        deterministic: bool,
        chances: Sequence[np.random.Generator] = (),
    ) -> Prediction:
        """Answer E observations as :meth:`hebbit.backends.spec.Backend.predict` does.

        Args:
            intensities: uint8 [E, D, 32], 0..15.
            excitement: uint8 [E, W, 32].
            presentations: uint32 [E].
            deterministic: no noise, fixed phases, the strongest unit.
            chances: random numbers for the spikes of each observation; only needed where spikes are lost or made up.
        """
        config = self.config
        size = max(1, BLOCK_BYTES // (config.cycles * config.words * LANES))
        blocks = [slice(first, first + size) for first in range(0, len(intensities), size)]
        answers = [
            self._block(intensities[b], excitement[b], presentations[b], deterministic, chances[b]) for b in blocks
        ]
        return Prediction(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def _block(self, intensities: U8, excitement: U8, presentations: U32, calm: bool, chances: Any) -> Prediction:
        n, config = len(intensities), self.config
        # a calm brain draws the same numbers at every presentation: once is enough
        own = np.zeros(1, np.uint32) if calm else presentations.astype(np.uint32)
        numbers = Numbers(own, self.key)
        counts, after = self._present(intensities, excitement, numbers, calm, _draws(chances, config, self.damage))
        spikes = counts.sum(axis=0)
        counts = counts * self._read
        total = counts.sum(axis=0)
        drives = _floor_ratio(spec.UNIT * (self.weights[:-1] @ counts), total).T
        values = self._values(counts)
        actions, volley = self._act(drives, numbers, calm)
        return Prediction(actions, volley, values, spikes.astype(np.int32), after.T.reshape(n, -1, LANES))

    def _present(
        self, intensities: U8, excitement: U8, numbers: Numbers, calm: bool, draws: Any
    ) -> tuple[NDArray[np.float64], U8]:
        """Counts [P * 32, E] and excitement [W * 32, E] after C cycles, neurons first: rows lie side by side."""
        n, config = len(intensities), self.config
        sensory = config.sensory_words * LANES
        intensity = intensities.reshape(n, -1).T
        x = excitement.reshape(n, -1).T.astype(np.int16)
        counts = np.zeros((config.words * LANES, n), np.uint8)
        spikes = np.zeros((sensory + 1, n), np.uint8)
        noise = not calm and bool(self._pool[Param.NOISE].any())
        for cycle in range(config.cycles):
            spikes[:-1] = self._seen(self._sensory(intensity, cycle, numbers), draws, cycle, slice(0, sensory))
            x = np.minimum(x + self._drive(spikes), spec.STATE_MAX)
            fired = (x + self._noise(numbers, cycle) if noise else x) >= self._threshold
            x = self._lose(np.where(fired, 0, x), fired, numbers, cycle)
            counts[:sensory] += spikes[:-1]
            seen = self._seen(fired, draws, cycle, slice(sensory, None))
            seen[self._silent] = 0
            counts[sensory:] += seen
        return counts.astype(np.float64), x.astype(np.uint8)

    def _sensory(self, intensity: U8, cycle: int, numbers: Numbers) -> NDArray[np.bool_]:
        """Spikes of the sensory neurons [D * 32, E]: see :func:`hebbit.backends.equations.sensory_spikes`."""
        words = self.config.sensory_words
        if self.params[0, Param.SENSORY] == 0:
            r = numbers.draws(words, 0, 0, 1, Stream.PHASE + Stream.EVALUATION)[:, :, 0]
            multiplier, offset = 2 * (r[..., 0] & 3) + 1, r[..., 1] & 7
            threshold = 2 * ((multiplier * cycle + offset) % 8) + 1
            return intensity >= np.repeat(threshold.T, LANES, axis=0)
        return numbers.uniform(words, cycle, range(4), Stream.SENSE + Stream.EVALUATION) < intensity

    def _drive(self, spikes: U8) -> NDArray[np.int16]:
        """Input of the pool neurons [W * 32, E]: see :func:`hebbit.backends.equations.drive`."""
        total = np.zeros((self.config.pool_words * LANES, spikes.shape[1]), np.uint8)
        for sources in self._sources:
            total += spikes[sources]
        together = (total == self._slots) * self._pool[Param.GAIN]
        return np.where(self._pool[Param.DRIVE] == 0, together, total).astype(np.int16)

    def _noise(self, numbers: Numbers, cycle: int) -> NDArray[np.int16]:
        drawn = numbers.uniform(self.config.pool_words, 0, NOISE_PLANES, Stream.POOL + Stream.EVALUATION, cycle)
        return (drawn % (1 << self._pool[Param.NOISE])).astype(np.int16)

    def _lose(self, x: NDArray[np.int16], fired: NDArray[np.bool_], numbers: Numbers, cycle: int) -> NDArray[np.int16]:
        """Decay by chance of what did not fire; where nothing is excited, nothing can be lost."""
        if not x.any():
            return x
        words, source = self.config.pool_words, Stream.POOL + Stream.EVALUATION
        rounding = numbers.uniform(words, 0, ROUNDING_PLANES, source, cycle)
        number = numbers.uniform(words, 0, CHANCE_PLANES, source, cycle)
        shift, chance = (self._pool[p].astype(np.int32) for p in (Param.DECAY_SHIFT, Param.DECAY_CHANCE))
        return eq.lose(x.astype(np.int32), shift, rounding, chance, number).astype(np.int16)

    def _seen(self, fired: NDArray[np.bool_], draws: Any, cycle: int, rows: slice) -> U8:
        """What others see of some neurons' spikes."""
        if draws is None:
            return fired.astype(np.uint8)
        u = draws[cycle, rows]
        seen: U8 = np.where(fired, u >= self.damage.dropped, u < self.damage.spurious).astype(np.uint8)
        return seen

    def _values(self, counts: NDArray[np.float64]) -> I32:
        """Values [E, K] of the clusters."""
        clusters = self.config.clusters
        own = np.repeat(np.arange(self.config.words) % clusters, LANES)
        pairs = [(self.weights[-1, own == k] @ counts[own == k], counts[own == k].sum(axis=0)) for k in range(clusters)]
        return np.stack([_floor_ratio(spec.UNIT * above, below) for above, below in pairs], axis=1)

    def _act(self, drives: I32, numbers: Numbers, calm: bool) -> tuple[I32, I32]:
        """Actions [E, G] and volley [E, A]: see :func:`hebbit.backends.equations.act`."""
        config = self.config
        chances = np.stack([eq.motor_chances(drive, config.groups, self.params, self.age) for drive in drives])
        volley = chances if calm else self._motor_spikes(chances, numbers)
        actions = np.zeros((len(drives), len(config.groups)), np.int32)
        words = numbers.draws(len(config.groups), 0, 0, 1, Stream.ACTION + Stream.EVALUATION)[:, :, 0]
        start = 0
        for group, size in enumerate(config.groups):
            own = slice(start, start + size)
            start += size
            if calm:
                actions[:, group] = np.argmax(drives[:, own], axis=1)
            else:
                actions[:, group] = [
                    eq.drawn_unit(v, r[0], r[1]) for v, r in zip(volley[:, own], words[:, group], strict=True)
                ]
        return actions, volley

    def _motor_spikes(self, chances: I32, numbers: Numbers) -> I32:
        """Spikes of the motor units [E, A], those of later cycles weighing more if ramped."""
        n, units = chances.shape
        spikes = np.zeros((n, units), np.int32)
        for cycle in range(self.config.cycles):
            x = numbers.uniform(units, cycle, range(8), Stream.MOTOR + Stream.EVALUATION).T.reshape(n, units, LANES)
            weight = cycle + 1 if self.params[0, Param.MOTOR_RAMP] else 1
            spikes += weight * (x < chances[:, :, None]).sum(axis=2, dtype=np.int32)
        return spikes


_POOL = (Param.DRIVE, Param.GAIN, Param.NOISE, Param.DECAY_SHIFT, Param.DECAY_CHANCE)


def _draws(chances: Sequence[np.random.Generator], config: Any, damage: Damage) -> NDArray[np.float32] | None:
    """A uniform number for every neuron and cycle of each observation: float32 [C, P * 32, E]."""
    if not damage.dropped and not damage.spurious:
        return None
    shape = config.cycles, config.words * LANES
    return np.stack([one.random(shape, np.float32) for one in chances], axis=2)


def _floor_ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> I32:
    """Whole numbers of a division, 0 where there is nothing to divide by; the sums are whole and below 2**53."""
    below = np.maximum(denominator, 1).astype(np.int64)
    return (numerator.astype(np.int64) // below * (denominator > 0)).astype(np.int32)
