"""Recordings: what a brain did, presentation by presentation, as arrays; and the ring that they are kept in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.agent import SpikingAgent
from hebbit.agents.files import replacing
from hebbit.agents.leaves import part
from hebbit.backends.philox import lanes
from hebbit.backends.spec import LANES, Arrays

BLOCK_BYTES = 1 << 22
"""Of spikes that are being counted."""
RUNNING, TERMINATED, TRUNCATED, CUT = range(4)
"""How an episode goes on after a presentation; CUT: nobody played it further."""


@dataclass(frozen=True)
class Recording:
    """N presentations of one brain, oldest first.

    D sensory words, W pool words, A motor units in G groups, C cycles, K clusters. Values and TD errors are in the
    brain's units; divide them by ``unit`` for those of the reward.
    """

    observation: NDArray[Any]
    """[N, V]: the observation's numbers, leaf after leaf of its space."""
    intensities: NDArray[np.uint8]
    """[N, D, 32]: 0..15."""
    sensory: NDArray[np.uint32]
    """[N, C, D]: spikes, bit j is neuron j of the word; :meth:`spikes` unpacks them."""
    pool: NDArray[np.uint32]
    """[N, C, W]: spikes."""
    motor: NDArray[np.uint32]
    """[N, C, A]: spikes; none in a deterministic answer, which draws none."""
    excitement: NDArray[np.uint8]
    """[N, W, 16]: after the last cycle, two neurons a byte: neuron 2 i in the low half, 2 i + 1 in the high one."""
    volley: NDArray[np.int32]
    """[N, A]: spikes of each unit (later cycles weigh more with ``motor_ramp``); deterministic: the chances."""
    chances: NDArray[np.int32]
    """[N, A]: of 256, that a neuron of the unit fires in a cycle: the policy before it is normalised."""
    value: NDArray[np.int32]
    """[N, K]: in 1/256 of a weight step."""
    units: NDArray[np.int32]
    """[N, G]: the chosen unit of each group."""
    action: NDArray[Any]
    """[N, size]: the action's numbers."""
    reward: NDArray[np.float64]
    """[N]: what came of the action, as the environment gave it; NaN where nobody told."""
    td: NDArray[np.float64]
    """[N, K]: r + gamma V' - V in whole brain's units, as dopamine is; NaN where r or V' is not known."""
    start: NDArray[np.bool_]
    """[N]: the first presentation of its episode."""
    end: NDArray[np.uint8]
    """[N]: what the action led to: RUNNING 0, TERMINATED 1, TRUNCATED 2, CUT 3."""
    episode: NDArray[np.int64]
    """[N]: of this recorder, from 0."""
    number: NDArray[np.int64]
    """[N]: presentation of this recorder, from 0; they are not consecutive where only every k-th was kept."""
    groups: tuple[int, ...]
    """Motor units of each group."""
    unit: float
    """A reward of 1 in the brain's units when the recording began; 1 if its scale was not known yet."""
    gamma: float
    """Discount."""

    def __len__(self) -> int:
        """N."""
        return len(self.number)

    def spikes(self, kind: str) -> NDArray[np.uint8]:
        """Spikes of ``sensory``, ``pool`` or ``motor`` neurons, one byte each: uint8 [N, C, words, 32]."""
        return lanes(getattr(self, kind))

    def counts(self, kind: str) -> NDArray[np.uint8]:
        """Spikes of each neuron in each presentation: uint8 [N, words, 32], 0..C."""
        words: NDArray[np.uint32] = getattr(self, kind)
        total = np.zeros((len(words), words.shape[2], LANES), np.uint8)
        # unpacking takes 8 bytes a neuron on the way
        size = max(1, BLOCK_BYTES // (8 * LANES * max(1, words.shape[2])))
        for first in range(0, len(words), size):
            part = slice(first, first + size)
            for cycle in range(words.shape[1]):
                total[part] += lanes(words[part, cycle])
        return total

    def excitements(self) -> NDArray[np.uint8]:
        """Excitement of each pool neuron: uint8 [N, W, 32], 0..15."""
        pairs = np.stack([self.excitement & 15, self.excitement >> 4], axis=-1)
        return pairs.reshape(*self.excitement.shape[:2], LANES)

    def arrays(self) -> Arrays:
        """Everything by name, fit for ``np.savez``."""
        return {own.name: np.asarray(getattr(self, own.name)) for own in fields(self)}

    def last(self, number: int) -> "Recording":
        """The latest presentations alone."""
        return self.rows(slice(max(0, len(self) - number), None))

    def rows(self, which: slice | NDArray[Any]) -> "Recording":
        """Some presentations alone."""
        kept = {own.name: getattr(self, own.name) for own in fields(self)}
        cut = {name: value[which] for name, value in kept.items() if isinstance(value, np.ndarray)}
        return Recording(**{**kept, **cut})

    def save(self, path: str | Path) -> None:
        """Write everything to a compressed npz, whole or not at all."""
        with replacing(path, what="recording") as file:
            np.savez_compressed(file, **self.arrays())  # type: ignore[arg-type]  # the stub takes names for flags


@dataclass
class Tally:
    """Episodes of all presentations, whether these are kept or not."""

    whole: int = 0
    """Episodes that were seen from their start to their own end."""
    total: float = 0.0
    """Sum of their returns, as the environment gave them."""
    ends: dict[int, int] = field(default_factory=lambda: dict.fromkeys((TERMINATED, TRUNCATED, CUT), 0))
    """Episodes by how they ended."""
    _running: float | None = None
    """Return so far of an episode of which nothing was missed."""

    @property
    def return_mean(self) -> float | None:
        """Mean return of whole episodes, if there is one."""
        return self.total / self.whole if self.whole else None

    def begin(self, start: bool) -> None:
        """An episode starts, or one goes on of which something was missed."""
        self._running = 0.0 if start else None

    def met(self, reward: float, end: int) -> None:
        """Something came of an action."""
        if self._running is not None:
            self._running += reward
        if end == RUNNING:
            return
        self.ends[end] += 1
        if self._running is not None and end != CUT:
            self.whole += 1
            self.total += self._running
        self._running = None


def columns(agent: SpikingAgent) -> list[str]:
    """Names of an observation's numbers, V of them: ``2``, ``goal.0``, or the key of a leaf with one number."""
    names = []
    for leaf in agent.encoder.leaves:
        size, place = int(np.prod(leaf.space.shape or ())), ".".join(map(str, leaf.path))
        inner = [place] if size == 1 and place else [f"{place}.{i}".lstrip(".") for i in range(size)]
        names += inner
    return names


def flattened(agent: SpikingAgent, observation: Any) -> NDArray[Any]:
    """The numbers of an observation, [V], leaf after leaf."""
    return np.concatenate([np.ravel(part(observation, leaf.path)) for leaf in agent.encoder.leaves])


class Tape:
    """A ring of the latest presentations of one brain, of a size that is known from the start."""

    def __init__(self, agent: SpikingAgent, capacity: int) -> None:
        """Take the place; the system hands out the memory when it is written to."""
        self.capacity, self.written = capacity, 0
        self._kept = {name: np.zeros((capacity, *shape), dtype) for name, (shape, dtype) in _layout(agent).items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._kept.values())

    def append(self, row: Mapping[str, Any]) -> int:
        """Keep a presentation in the place of the oldest one; which place that is."""
        place = self.written % self.capacity
        for name, value in row.items():
            self._kept[name][place] = value
        self.written += 1
        return place

    def amend(self, place: int, row: Mapping[str, Any]) -> None:
        """Add what is known of a presentation only later."""
        for name, value in row.items():
            self._kept[name][place] = value

    def unrolled(self) -> Arrays:
        """Copies of all arrays, oldest presentation first."""
        number = min(self.written, self.capacity)
        order = (np.arange(number) + self.written - number) % self.capacity
        return {name: array[order] for name, array in self._kept.items()}


def _layout(agent: SpikingAgent) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and type of one presentation's part of each array of a :class:`Recording`."""
    brain = agent.brain_config
    spaces_seen = [leaf.space.dtype for leaf in agent.encoder.leaves]
    observation = np.result_type(*[dtype for dtype in spaces_seen if dtype is not None])
    action = agent.action_space
    words = {"sensory": brain.sensory_words, "pool": brain.pool_words, "motor": brain.units}
    return {
        "observation": ((len(columns(agent)),), observation),
        "intensities": ((brain.sensory_words, LANES), np.uint8),
        **{kind: ((brain.cycles, number), np.uint32) for kind, number in words.items()},
        "excitement": ((brain.pool_words, LANES // 2), np.uint8),
        "volley": ((brain.units,), np.int32),
        "chances": ((brain.units,), np.int32),
        "value": ((brain.clusters,), np.int32),
        "units": ((len(brain.groups),), np.int32),
        "action": ((int(np.prod(action.shape or ())),), action.dtype),
        "reward": ((), np.float64),
        "td": ((brain.clusters,), np.float64),
        "start": ((), np.bool_),
        "end": ((), np.uint8),
        "episode": ((), np.int64),
        "number": ((), np.int64),
    }


def packed(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Spikes [..., 32] as words of 32 bits [...], neuron j in bit j."""
    little = np.packbits(bits, axis=-1, bitorder="little")
    words: NDArray[np.uint32] = np.ascontiguousarray(little).view("<u4")[..., 0].astype(np.uint32)
    return words


def halves(excitement: NDArray[Any]) -> NDArray[np.uint8]:
    """Excitement [W, 32] of 4 bits as bytes [W, 16]."""
    pairs = excitement.astype(np.uint8).reshape(*excitement.shape[:-1], LANES // 2, 2)
    joined: NDArray[np.uint8] = (pairs[..., 0] | pairs[..., 1] << np.uint8(4)).astype(np.uint8)
    return joined
