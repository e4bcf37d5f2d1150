"""The encoder of rewards: what a reward is worth to a brain finds itself, and here floats end.

Values are means of 8-bit weights, so returns have to fit between -128 and 127 weight steps, and to fill some of that.
Each brain follows the discounted return of its own rewards and lets returns span about ``reward_steps`` weight steps.
Where they turn out to be larger than 8 bits hold, its rewards are halved, and with them all that it has learned in
these units. Rewards times any factor teach the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import CheckpointError, ObservationError
from hebbit.agents.newborn import HALF
from hebbit.backends.spec import (
    DOPAMINE_LIMIT,
    FRACTION_BITS,
    FRACTION_MAX,
    REWARD_LIMIT,
    UNIT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Arrays,
    Flag,
)

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

CONTINUE, TERMINATED = int(Flag.CONTINUE), int(Flag.TERMINATED)
HUGE, TINY = 1e30, 1e-30
"""Rewards beyond HUGE count as HUGE; returns below TINY are none."""
FAR = 1e50
"""Beyond all that a brain can know of its rewards; no product of two such numbers leaves the range of floats."""
HORIZON = 1024.0
"""Most steps over which rewards are thought to add up before any return was seen; matters where gamma is almost 1."""
LIMIT = -WEIGHT_MIN * float(UNIT)
"""Returns that grow beyond this have their rewards halved: values could not follow."""
YOUNG = 1.1
"""While the scale is young and often looked at, returns beyond this share of what they are to span are enough."""
SLACK = 0.32
"""Where returns have shrunk to less than this share of what they are to span, rewards are doubled."""
FORGETTING = 2.0**-14
"""Share of what is known that each reward replaces: a freak, or a clumsy youth, does not count for ever."""
EVERY = 256
"""Rewards between two looks at an old scale: where it changes, brains are exported and filled again."""


@dataclass(slots=True)
class Gauge:
    """What one brain knows of its rewards; plain floats, each operation rounded alike on every machine."""

    total: float = 0.0
    """G <- gamma (1 - terminated) G + r. An episode that is cut short goes on: what follows is valued, too."""
    seen: int = 0
    """Rewards so far."""
    ends: float = 0.0
    """Share of rewards with which an episode terminated; a running mean."""
    size: float = 0.0
    """Running mean of |r|."""
    largest: float = 0.0
    """Largest |G|, slowly forgotten."""
    age: int = 0
    """Rewards since the first one that was not zero."""
    unit: float = 0.0
    """A reward of 1 in the brain's units; 0 until one is known that is not zero."""

    def follow(self, reward: float, gamma: float, terminated: bool) -> None:
        """Count a reward."""
        reward = max(-HUGE, min(HUGE, reward))
        self.total = gamma * self.total + reward
        self.seen += 1
        self.age += self.age > 0 or reward != 0.0
        share = max(1.0 / self.seen, FORGETTING)
        self.ends += share * (terminated - self.ends)
        self.size += share * (abs(reward) - self.size)
        self.largest = max(self.largest - FORGETTING * self.largest, abs(self.total))
        if terminated:
            self.total = 0.0

    def reach(self, gamma: float) -> float:
        """How large returns are, |G|: the largest one, or what rewards of mean size add up to in a mean episode.

        The second says it from the first reward on, before any return has had the time to grow.
        """
        stop = 1.0 - gamma * (1.0 - self.ends)
        return max(self.largest, self.size / max(stop, 1.0 / HORIZON))

    def adapt(self, gamma: float, span: float) -> float:
        """Let returns span ``span`` units, about.

        Returns:
            What the brain's units are to be multiplied by, a power of two.
        """
        young = self.age < EVERY
        due = self.unit == 0.0 or self.age % EVERY == 0 or (young and self.age & (self.age - 1) == 0)
        if not due or (reach := self.reach(gamma)) < TINY:
            return 1.0
        if self.unit == 0.0:
            self.unit = span / reach
            return 1.0
        factor, limit = 1.0, min(YOUNG * span, LIMIT) if young else LIMIT
        while reach * self.unit * factor > limit:
            factor *= 0.5
        while reach * self.unit * factor < SLACK * span:
            factor *= 2.0
        self.unit *= factor
        return factor


class RewardScale:
    """Scales of R brains; with ``reward_scale="fixed"`` they are given and nothing is followed."""

    def __init__(self, configs: Sequence[AgentConfig]) -> None:
        """Begin with what the settings say, or with nothing known.

        Args:
            configs: the settings ``reward_..`` and the discount of each of R brains.
        """
        self.adaptive = configs[0].reward_scale == "auto"
        self.gammas = [config.gamma for config in configs]
        self.spans = [config.reward_steps * UNIT for config in configs]
        self.gauges = [Gauge(unit=0.0 if self.adaptive else 2.0**config.reward_bits) for config in configs]

    def follow(self, rewards: Sequence[float], flags: NDArray[np.uint8]) -> dict[int, float]:
        """Count the rewards that brains have just met.

        Args:
            rewards: [R], as the environments gave them.
            flags: uint8 [R]; a brain that begins an episode, or waits, has met none.

        Returns:
            By position, the brains whose scale has changed, and by what factor, a power of two.

        Raises:
            ObservationError: a reward is not finite.
        """
        changed: dict[int, float] = {}
        if not self.adaptive:
            return changed
        for reward in rewards:
            _refuse_infinite(reward)
        for row, flag in enumerate(flags.tolist()):
            if flag >= CONTINUE:
                gauge = self.gauges[row]
                gauge.follow(float(rewards[row]), self.gammas[row], flag == TERMINATED)
                factor = gauge.adapt(self.gammas[row], self.spans[row])
                if factor != 1.0:
                    changed[row] = factor
        return changed

    def integers(self, rewards: Sequence[float]) -> NDArray[np.int32]:
        """Rewards of all brains in their units: floor(r unit + 1/2), clipped to 16 bits; int32 [R].

        Raises:
            ObservationError: a reward is not finite.
        """
        return np.array([self.integer(row, reward) for row, reward in enumerate(rewards)], np.int32)

    def integer(self, row: int, reward: float) -> int:
        """The same of one brain, by position."""
        _refuse_infinite(reward)
        scaled = float(reward) * self.gauges[row].unit + 0.5
        return math.floor(max(-REWARD_LIMIT, min(REWARD_LIMIT, scaled)))

    def arrays(self) -> Arrays:
        """What following the rewards changes, for checkpoints and digests: [R] each; empty where scales are fixed."""
        if not self.adaptive:
            return {}
        return {
            f"reward_{name}": np.array([getattr(gauge, name) for gauge in self.gauges], kind)
            for name, kind in FIELDS.items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`arrays` gave."""
        if self.adaptive:
            columns = [arrays[f"reward_{name}"].tolist() for name in FIELDS]
            self.gauges = [Gauge(*row) for row in zip(*columns, strict=True)]


FIELDS: Mapping[str, type[np.float64] | type[np.int64]] = {
    field.name: np.int64 if field.type == "int" else np.float64 for field in fields(Gauge)
}
"""Fields of a gauge, in their order, and the type of the array that holds them."""


def _refuse_infinite(reward: float) -> None:
    if not math.isfinite(reward):
        raise ObservationError(f"rewards must be finite, got {reward}; mend the environment")


def judge(scale: RewardScale, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse what no brain can have seen.

    Args:
        scale: that is to hold it.
        arrays: of the right types and shapes, see :meth:`RewardScale.arrays`.

    Raises:
        CheckpointError: it is none of ours.
    """
    if not scale.adaptive:
        return
    own = {name: arrays[f"reward_{name}"] for name in FIELDS}
    counted = (own["age"] >= 0) & (own["age"] <= own["seen"])
    sizes = np.stack([own[name] for name in ("ends", "size", "largest", "unit")])
    # comparisons with what is no number are false
    within = (sizes >= 0).all(axis=0) & (sizes <= FAR).all(axis=0) & (np.abs(own["total"]) <= FAR)
    known = np.where(own["age"] > 0, own["unit"] >= 1 / FAR, False) | (own["unit"] == 0)
    if not (counted & within & known & (own["ends"] <= 1)).all():
        raise CheckpointError("the checkpoint holds scales of rewards that no agent has; use another copy")


def rescale(agent: SpikingAgent, factors: Mapping[int, float], back: bool = False) -> None:
    """Bring all that brains have learned in units of their rewards to new units.

    These are the weights of the critic, the value of the present observation, the mean size of dopamine, what was
    collected of it, and remembered rewards. Where rewards shrink, what is greater than all before may be anywhere: the
    critic's weights shrink towards the optimism that they were born with, not towards 0.

    Args:
        agent: changed; between two presentations.
        factors: by position of the brain; powers of two where a brain learns alone.
        back: undo what units that grew have done, which left the optimism out.
    """
    arrays = agent.arrays(["weights", "fractions", "value", "surprise", "collected"])
    for row, factor in factors.items():
        centre = round(agent.configs[row].optimism) if factor < 1 and not back else 0
        _multiply_weights(arrays["weights"][row, -1], arrays["fractions"][row, -1], factor, centre)
        _multiply(arrays["value"][row], factor, (WEIGHT_MIN * UNIT, WEIGHT_MAX * UNIT), centre * UNIT)
        _multiply(arrays["surprise"][row], factor, (0, DOPAMINE_LIMIT * UNIT))
        _multiply(arrays["collected"][row : row + 1], factor, (-DOPAMINE_LIMIT, DOPAMINE_LIMIT))
        for moments in (*agent.memory.episodes[row], *agent.memory.running[row]):
            _multiply(moments.rewards, factor, (-REWARD_LIMIT, REWARD_LIMIT))
    agent.backend.refill(agent.state, arrays)


def _multiply_weights(weights: NDArray[np.int8], fractions: NDArray[np.uint8], factor: float, centre: int) -> None:
    """The same of weights with their fractions."""
    fine = (weights.astype(np.int32) << FRACTION_BITS) + fractions
    stretch(fine, factor, centre)
    weights[...], fractions[...] = fine >> FRACTION_BITS, fine & FRACTION_MAX


def stretch(fine: NDArray[np.int32], factor: float, centre: int) -> None:
    """Multiply weights in sixteenths of a step, about a centre and a half: what readouts take for the centre."""
    limits = WEIGHT_MIN << FRACTION_BITS, (WEIGHT_MAX << FRACTION_BITS) + FRACTION_MAX
    _multiply(fine, factor, limits, (centre << FRACTION_BITS) + HALF)


def _multiply(integers: NDArray[Any], factor: float, limits: tuple[int, int], centre: int = 0) -> None:
    """Stretch integers about a centre, in place: rounded, and cut to some limits."""
    stretched = np.floor(centre + (integers - np.float64(centre)) * factor + 0.5)
    integers[...] = np.clip(stretched, *limits).astype(integers.dtype)
