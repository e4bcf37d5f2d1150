"""Replay: whole episodes that brains remember, shown to them again after an episode has ended.

What is remembered is what the brain was shown, not what the environment showed: intensities of four bits, integer
rewards, the units that were executed, and flags. A remembered episode is shown through ``Backend.run`` like any other,
with the units that were executed forced on the brain.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import CheckpointError
from hebbit.backends.philox import draw, scaled
from hebbit.backends.spec import LANES, REWARD_LIMIT, STATE_MAX, BrainConfig, Flag, Stream

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

Arrays = dict[str, NDArray[Any]]
START, TERMINATED = int(Flag.START), int(Flag.TERMINATED)
FIELDS = ("intensities", "rewards", "units", "flags")
CHOICE = 1
"""Draw of the episode stream that says which episodes are shown again; draw 0 is the environment's seed."""
CHUNK_BYTES = 1 << 24
"""Intensities that are unpacked at once, about."""


def packed(intensities: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two intensities 0..15 a byte, the first in the lower half: uint8 [.., 32] becomes [.., 16]."""
    pairs: NDArray[np.uint8] = (intensities[..., 0::2] | intensities[..., 1::2] << 4).astype(np.uint8)
    return pairs


def unpacked(pairs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What :func:`packed` packed: uint8 [.., 16] becomes [.., 32]."""
    intensities = np.empty((*pairs.shape[:-1], LANES), np.uint8)
    intensities[..., 0::2], intensities[..., 1::2] = pairs & STATE_MAX, pairs >> 4
    return intensities


@dataclass(frozen=True)
class Moments:
    """Presentations of one brain, one after the other; T of them."""

    intensities: NDArray[np.uint8]
    """[T, D, 16], two a byte."""
    rewards: NDArray[np.int32]
    """[T], in the brain's units."""
    units: NDArray[np.int32]
    """[T, G]: what was executed; 0 where an episode ended."""
    flags: NDArray[np.uint8]
    """[T]."""

    def __len__(self) -> int:
        """T."""
        return len(self.flags)

    def __getitem__(self, part: slice) -> Moments:
        """Some of them."""
        return Moments(self.intensities[part], self.rewards[part], self.units[part], self.flags[part])


def joined(parts: Sequence[Moments], blank: Moments) -> Moments:
    """All of them in a row; ``blank`` has the shapes and no moments."""
    every = [blank, *parts]
    return Moments(
        np.concatenate([part.intensities for part in every]),
        np.concatenate([part.rewards for part in every]),
        np.concatenate([part.units for part in every]),
        np.concatenate([part.flags for part in every]),
    )


class Memory:
    """Episodes that each of R brains remembers, the oldest forgotten first; nothing where ``replay_steps`` is 0."""

    def __init__(self, config: AgentConfig, brain: BrainConfig, brains: int) -> None:
        """Begin with nothing.

        Args:
            config: the settings ``replay_..``.
            brain: structure of the brains.
            brains: R.
        """
        self.steps, self.number = config.replay_steps, config.replay_episodes
        words, groups = brain.sensory_words, len(brain.groups)
        self._blank = Moments(
            np.zeros((0, words, LANES // 2), np.uint8),
            np.zeros(0, np.int32),
            np.zeros((0, groups), np.int32),
            np.zeros(0, np.uint8),
        )
        self.episodes: list[deque[Moments]] = [deque() for _ in range(brains)]
        """Whole episodes of each brain, the oldest first."""
        self.running: list[list[Moments]] = [[] for _ in range(brains)]
        """Moments of the running episode, one by one; none where it is too long to be remembered."""
        self._kept = [0] * brains
        """Moments of whole episodes."""
        self.shown = np.zeros(brains, np.uint32)
        """[R]: episodes that were shown again; the brains count them, too."""

    def begun(self, episodes: NDArray[np.uint32]) -> list[int]:
        """How many episodes of its environment each brain has begun, given how many it was shown [R]."""
        own: list[int] = (episodes - self.shown).tolist()
        return own

    def met(self, agent: SpikingAgent, rewards: NDArray[np.int32], flags: NDArray[np.uint8], units: Any) -> None:
        """Remember what the brains were shown just now, and where an episode has ended, show remembered ones again.

        Args:
            agent: whose brains they are; its intensities are what they were shown.
            rewards: int32 [R].
            flags: uint8 [R].
            units: int32 [R, G], what they chose.
        """
        if not self.steps:
            return
        rows = np.flatnonzero(flags)
        pairs = packed(agent._intensities[rows])
        for i, row in enumerate(rows.tolist()):
            one = slice(row, row + 1)
            self._note(row, Moments(pairs[i : i + 1], rewards[one].copy(), units[one].copy(), flags[one].copy()))
        ended = np.flatnonzero(flags >= TERMINATED)
        if len(ended) and self.number:
            self._show_again(agent, [(row, self._drawn(agent, row)) for row in ended.tolist()])

    def _note(self, brain: int, moment: Moments) -> None:
        running, flag = self.running[brain], int(moment.flags[0])
        if flag == START:
            running.clear()
        elif not running:
            return
        running.append(moment)
        if flag >= TERMINATED:
            self.episodes[brain].append(joined(running, self._blank))
            self._kept[brain] += len(running)
            running.clear()
        self._forget(brain)

    def _forget(self, brain: int) -> None:
        """Make room: the oldest episodes go, and in the end one that is too long by itself."""
        episodes, running = self.episodes[brain], self.running[brain]
        while episodes and self._kept[brain] + len(running) > self.steps:
            self._kept[brain] -= len(episodes.popleft())
        if len(running) > self.steps:
            running.clear()

    def _drawn(self, agent: SpikingAgent, brain: int) -> Moments:
        """Episodes drawn at random, each time out of all that the brain remembers."""
        episodes = self.episodes[brain]
        words, key = np.arange(self.number, dtype=np.uint32), (agent.seed, int(agent.brains[brain]))
        r = draw(words, int(self.shown[brain]), 0, CHOICE, Stream.EPISODE, key)[:, 0]
        return joined([episodes[int(i)] for i in scaled(r, len(episodes))] if episodes else [], self._blank)

    def _show_again(self, agent: SpikingAgent, own: Sequence[tuple[int, Moments]]) -> None:
        """Show each of some brains its own moments; the others wait."""
        brains, words = len(self.shown), agent.brain_config.sensory_words
        chunk = max(1, CHUNK_BYTES // (brains * words * LANES))
        for start in range(0, max(len(moments) for _, moments in own), chunk):
            parts = [(row, moments[start : start + chunk]) for row, moments in own]
            steps = max(len(part) for _, part in parts)
            intensities = np.zeros((steps, brains, words, LANES), np.uint8)
            rewards, flags = np.zeros((steps, brains), np.int32), np.zeros((steps, brains), np.uint8)
            forced = np.full((steps, brains, self._blank.units.shape[1]), -1, np.int32)
            for row, part in parts:
                intensities[: len(part), row] = unpacked(part.intensities)
                rewards[: len(part), row], flags[: len(part), row] = part.rewards, part.flags
                forced[: len(part), row] = part.units
            agent.backend.run(agent.state, intensities, rewards, flags, forced)
            # at once, so that an interruption leaves the episodes of the environment well counted
            self.shown += (flags == START).sum(axis=0).astype(np.uint32)

    def layout(self) -> dict[str, tuple[DTypeLike, tuple[int, ...]]]:
        """Type and shape of each of :meth:`arrays`."""
        if not self.steps:
            return {}
        brains = len(self.shown)
        blanks = {f"replay_{field}": getattr(self._blank, field) for field in FIELDS}
        own = {name: (blank.dtype, (brains, self.steps, *blank.shape[1:])) for name, blank in blanks.items()}
        return {"replay_used": (np.int64, (brains,)), "replay_shown": (np.uint32, (brains,)), **own}

    def arrays(self) -> Arrays:
        """What is remembered, for checkpoints and digests: whole episodes, then what is known of the running one.

        Empty where nothing is ever remembered; with zeros where there is room left.
        """
        arrays: Arrays = {name: np.zeros(shape, kind) for name, (kind, shape) in self.layout().items()}
        if not self.steps:
            return arrays
        arrays["replay_shown"][:] = self.shown
        for row, (episodes, running) in enumerate(zip(self.episodes, self.running, strict=True)):
            every = joined([*episodes, *running], self._blank)
            arrays["replay_used"][row] = len(every)
            for field in FIELDS:
                arrays[f"replay_{field}"][row, : len(every)] = getattr(every, field)
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`arrays` gave."""
        if not self.steps:
            return
        self.shown[:] = arrays["replay_shown"]
        for row, used in enumerate(arrays["replay_used"].tolist()):
            every = Moments(*(arrays[f"replay_{field}"][row, :used].copy() for field in FIELDS))
            ends = np.flatnonzero(every.flags >= TERMINATED) + 1
            parts = [every[start:stop] for start, stop in itertools.pairwise([0, *ends.tolist()])]
            self.episodes[row] = deque(parts)
            self._kept[row] = sum(map(len, parts))
            rest = range(self._kept[row], used)
            self.running[row] = [every[i : i + 1] for i in rest]


def judge(memory: Memory, arrays: Mapping[str, NDArray[Any]], groups: Sequence[int]) -> None:
    """Refuse what no brain can remember: backends trust what they are shown.

    Args:
        memory: that is to hold it.
        arrays: of the right types and shapes, see :meth:`Memory.arrays`.
        groups: motor units of each action group.

    Raises:
        CheckpointError: it is none of ours.
    """
    if not memory.steps:
        return
    used, flags = arrays["replay_used"], arrays["replay_flags"]
    fits = bool(((used >= 0) & (used <= memory.steps)).all())
    if fits:
        known = np.arange(memory.steps) < used[:, None]
        # an episode begins where one has ended, and nowhere else
        ended = np.concatenate([np.ones((len(used), 1), np.bool_), flags[:, :-1] >= TERMINATED], axis=1)
        fits = bool(np.where(known, (flags > 0) & (flags <= Flag.TRUNCATED) & (ended == (flags == START)), True).all())
    units, rewards = arrays["replay_units"], arrays["replay_rewards"]
    fits = fits and bool(((units >= 0) & (units < np.array(groups))).all())
    if not fits or (np.abs(rewards.astype(np.int64)) > REWARD_LIMIT).any():
        raise CheckpointError("the checkpoint holds remembered episodes that no agent has; use another copy")
