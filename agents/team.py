"""Teams: several environments teach one brain.

Each environment has a copy of the brain, wired alike, that draws other noise (``Param.COPY``) and plays other episodes.
After some steps the copies vote: what they have changed in each synapse since the last vote, in sixteenths of a weight
step, is summed, a share of that sum is added to what they all had, and they go on from there. Sums of integers do not
depend on the order.

All this happens above the backends, on the canonical arrays, so all backends agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import saving
from hebbit.agents.encoder import LEVELS
from hebbit.agents.environment import whole
from hebbit.agents.errors import HebbitError
from hebbit.agents.rewards import Gauge, rescale, stretch
from hebbit.backends.spec import FRACTION_BITS, FRACTION_MAX, WEIGHT_MAX, WEIGHT_MIN, Arrays, Param

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
APART = 27
"""A copy's episodes are counted from 2**27 after the last one's."""
MOST = 32
"""Copies whose episodes a counter of 32 bits keeps apart."""
SHARE_BITS = 8
LEAST, LARGEST = WEIGHT_MIN << FRACTION_BITS, (WEIGHT_MAX << FRACTION_BITS) + FRACTION_MAX
"""Of a weight with its fraction."""


def learn(agent: SpikingAgent, steps: int, environments: int = 8, every: int = 64, share: float | None = None) -> None:
    """Let several environments teach each of an agent's brains; it begins new episodes afterwards.

    Args:
        agent: one brain or a population, made from an id or an EnvSpec; changed. Its steps are counted in all
            environments together.
        steps: in each environment.
        environments: that teach one brain, 1..32.
        every: steps between two votes.
        share: of the sum of the votes that is taken, more than 0 and at most 1, in 256ths; None takes one in the
            square root of their number.

    Raises:
        HebbitError: the agent cannot be taught so.
    """
    with closing(Team(agent, environments, every, share)) as team:
        team.learn(steps)
        team.hand_back()


class Team:
    """The copies of an agent's brains in their environments; the agent itself learns when they hand back."""

    def __init__(self, agent: SpikingAgent, environments: int = 8, every: int = 64, share: float | None = None) -> None:
        """Make the copies and begin their episodes; see :func:`learn`."""
        self.agent, self.copies, self.every = agent, whole(environments, "environments"), whole(every, "every")
        _refuse(agent, self.copies, self.every, share)
        taken = self.copies**-0.5 if share is None else share
        self._weight = max(1, round((1 << SHARE_BITS) * taken))
        self.crew = _crew(agent, self.copies)
        """The copies of each brain side by side."""
        self._common = _Common(self.crew, self.copies)
        self.crew.learn(0, log_interval=None)

    def learn(self, steps: int) -> None:
        """So many steps in each environment, a vote now and then and at the end."""
        steps = whole(steps, "steps")
        while steps:
            some = min(steps, self.every)
            self.crew.learn(some, log_interval=None, reset_num_timesteps=False)
            self._common.agree(self._weight)
            steps -= some

    def hand_back(self) -> None:
        """Give the agent what the copies have learned."""
        agent, copies, made = self.agent, self.copies, self.crew.total_steps
        saving.restore(agent, {name: array[::copies] for name, array in saving.learned(self.crew).items()})
        agent.num_timesteps += copies * made
        agent.total_steps += copies * made
        self.crew.total_steps = 0

    def close(self) -> None:
        """Close the environments."""
        self.crew.close()


def _refuse(agent: SpikingAgent, copies: int, pace: int, share: float | None) -> None:
    structure, config = agent.structure, agent.config
    problems = [
        (1 <= copies <= MOST, f"environments must be 1..{MOST}, got {copies}"),
        (pace > 0, "every must be at least 1, got 0"),
        (share is None or 0 < share <= 1, f"share must be more than 0 and at most 1, got {share}"),
        (agent.spec is not None, "a team makes its environments: make the agent from an id or an EnvSpec"),
        (not structure.every and not structure.fading, "leave out rewire_every and actor_fading, which change a brain"),
        (not config.replay_steps, f"replay_steps must be 0, got {config.replay_steps}"),
    ]
    for holds, text in problems:
        if not holds:
            raise HebbitError(f"no team can teach this agent: {text}")


def _crew(agent: SpikingAgent, copies: int) -> SpikingAgent:
    """A population of the copies of each brain, side by side."""
    crew = type(agent)(
        agent.spec,
        seed=agent.seed,
        config=[config for config in agent.configs for _ in range(copies)],
        backend=agent.backend.name,
        brains=len(agent.brains) * copies,
    )
    own = {name: np.repeat(array, copies, axis=0) for name, array in saving.learned(agent).items()}
    copy = np.tile(np.arange(copies, dtype=np.uint32), len(agent.brains))
    own["episode"] = own["episode"] + (copy << np.uint32(APART))
    crew.brains = own["brain"]
    crew.state.params[..., Param.COPY] = copy[:, None]
    # brains are made again, with these parameters
    saving.restore(crew, own)
    return crew


class _Common:
    """What the copies of each brain have in common since they agreed last: weights, ranges, a scale of rewards."""

    def __init__(self, crew: SpikingAgent, copies: int) -> None:
        """See what newly made copies have."""
        self.crew, self.copies = crew, copies
        self.fine = {name: _fine(crew.arrays([name, other]), name, other)[::copies] for name, other in _pairs(crew)}
        self.ranges = self._first(crew.encoder.arrays())
        self.units = [gauge.unit for gauge in crew.rewards.gauges[::copies]]

    def agree(self, weight: int) -> None:
        """Bring the copies together; ``weight`` is the share of the votes, in 256ths."""
        self._agree_on_rewards()
        for name, other in _pairs(self.crew):
            arrays = self.crew.arrays([name, other])
            self.fine[name] = voted(self.fine[name], _fine(arrays, name, other), weight)
            common = np.repeat(self.fine[name], self.copies, axis=0)
            arrays[name][...], arrays[other][...] = common >> FRACTION_BITS, common & FRACTION_MAX
            self.crew.backend.refill(self.crew.state, arrays)
        self._agree_on_ranges()

    def _first(self, arrays: Arrays) -> Arrays:
        return {name: array[:: self.copies].copy() for name, array in arrays.items()}

    def _agree_on_rewards(self) -> None:
        """The smallest unit of any copy is that of all; what was learned in others is brought to it."""
        crew, copies = self.crew, self.copies
        if not crew.rewards.adaptive:
            return
        grown: dict[int, float] = {}
        factors: dict[int, float] = {}
        for brain, before in enumerate(self.units):
            first = brain * copies
            gauges = crew.rewards.gauges[first : first + copies]
            unit = min((gauge.unit for gauge in gauges if gauge.unit), default=0.0)
            for row, gauge in enumerate(gauges, first):
                own, kept = gauge.unit, max(before, unit)
                if before and own > kept:
                    # what grew went about zero, and goes back so
                    grown[row], own = kept / own, kept
                if own > unit:
                    factors[row] = unit / own
            if before and before != unit:
                centre = round(crew.configs[first].optimism) if unit < before else 0
                stretch(self.fine["weights"][brain, -1], unit / before, centre)
            unite(gauges, unit)
            self.units[brain] = unit
        if grown:
            rescale(crew, grown, back=True)
        if factors:
            rescale(crew, factors)

    def _agree_on_ranges(self) -> None:
        """Ranges follow from what all copies have seen: counts, sums and sums of squares add up."""
        encoder, copies = self.crew.encoder, self.copies
        arrays, before = encoder.arrays(), self.ranges
        config = self.crew.config
        if not encoder.adaptive.any() or (before["encoder_seen"] >= config.warmup).all():
            return
        seen, mean, variance = pooled(before, arrays, copies)
        seen = np.minimum(seen, config.warmup)
        reach = config.range_deviations * (np.sqrt(variance) + 1e-6)
        common = {**before, "encoder_seen": seen, "encoder_mean": mean, "encoder_square": variance * seen[:, None]}
        common["encoder_low"] = np.where(encoder.adaptive, mean - reach, before["encoder_low"])
        common["encoder_scale"] = np.where(encoder.adaptive, (LEVELS - 1) / (2 * reach), before["encoder_scale"])
        encoder.restore({name: np.repeat(array, copies, axis=0) for name, array in common.items()})
        self.ranges = common


def unite(gauges: Sequence[Gauge], unit: float) -> None:
    """Let the copies of a brain know the same of their rewards, but for the running returns, which are their own."""
    seen, age = max(gauge.seen for gauge in gauges), max(gauge.age for gauge in gauges)
    largest = max(gauge.largest for gauge in gauges)
    ends, size = (sum(getattr(gauge, name) for gauge in gauges) / len(gauges) for name in ("ends", "size"))
    for gauge in gauges:
        gauge.seen, gauge.age, gauge.largest, gauge.ends, gauge.size = seen, age, largest, ends, size
        gauge.unit = unit


def _pairs(agent: SpikingAgent) -> list[tuple[str, str]]:
    """Weights and their fractions, of all that learns."""
    inner = [("inner_weights", "inner_fractions")] if agent.brain_config.learning_words else []
    return [("weights", "fractions"), *inner]


def _fine(arrays: Arrays, weights: str, fractions: str) -> I32:
    """Weights in sixteenths of a step."""
    return (arrays[weights].astype(np.int32) << FRACTION_BITS) + arrays[fractions]


def voted(before: I32, after: I32, weight: int) -> I32:
    """What the copies agree on.

    Args:
        before: int32 [R, ...], what the copies of each brain had in common, in sixteenths of a weight step.
        after: int32 [R * copies, ...], what each of them has now.
        weight: share of the sum of their changes, in 256ths; halves are rounded up.
    """
    changes = after.reshape(len(before), -1, *before.shape[1:]) - before[:, None]
    votes = changes.sum(axis=1, dtype=np.int32)
    half = 1 << (SHARE_BITS - 1)
    agreed: I32 = np.clip(before + ((votes * weight + half) >> SHARE_BITS), LEAST, LARGEST)
    return agreed


def pooled(before: Arrays, after: Arrays, copies: int) -> tuple[NDArray[np.int64], F64, F64]:
    """Observations [R], their means and variances [R, dimensions], seen by all copies together.

    Args:
        before: ``encoder_..`` of R brains, what their copies had in common.
        after: of the copies, side by side.
        copies: of each brain.
    """
    # sums about what is near the mean, as those about 0 cancel out where values are large
    n, count = before["encoder_seen"], after["encoder_seen"]
    about = np.where(n[:, None] > 0, before["encoder_mean"], after["encoder_mean"][::copies])
    apart = after["encoder_mean"] - np.repeat(about, copies, axis=0)
    total = count[:, None] * apart
    squares = after["encoder_square"] + total * apart

    def together(own: NDArray[Any], common: NDArray[Any]) -> NDArray[Any]:
        """What a copy has seen in common with the others counts once."""
        changes = own.reshape(len(common), copies, *common.shape[1:]) - common[:, None]
        found: NDArray[Any] = common + changes.sum(axis=1)
        return found

    seen = together(count, n)
    size = np.maximum(seen, 1)[:, None]
    off = together(total, np.zeros_like(about)) / size
    variance = together(squares, before["encoder_square"]) / size - off * off
    return seen, about + off, np.maximum(variance, 0.0)
