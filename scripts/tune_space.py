"""What a search varies, as data: which hyperparameters, within which limits, and why."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

import gymnasium as gym
import numpy as np

from hebbit.agents import AgentConfig

Value = int | float | str | bool
SLOTS_MORE = "slots_more"
"""What is varied in place of slots_max: how much larger it is than slots_min."""
MOST_SLOTS = 8
DIGITS = 3
"""Significant digits of a value that was drawn: a preset should be read, and no brain is finer."""
_KINDS = get_type_hints(AgentConfig)


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, whole where the hyperparameter is."""

    name: str
    low: float
    high: float
    why: str
    scale: Literal["linear", "log", "one minus log"] = "linear"
    """The last one varies 1 - value on a logarithmic scale."""
    box: bool = False
    """Whether it matters to Box actions alone."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers will do."""
        return self.name == SLOTS_MORE or _KINDS[self.name] is int

    def drawn(self, value: Value) -> Value:
        """What is varied, where the hyperparameter has this value."""
        return _rounded(1 - float(value)) if self.scale == "one minus log" else value

    def meant(self, drawn: Value) -> Value:
        """The hyperparameter's value, from what was drawn."""
        if self.whole:
            return int(drawn)
        number = _rounded(float(drawn))
        return round(1 - number, 6) if self.scale == "one minus log" else number

    def including(self, start: Value) -> "Range | None":
        """The same with the start's value within; None where the scale cannot hold that."""
        own = float(self.drawn(start))
        if self.scale != "linear" and own <= 0:
            return None
        low, high = min(self.low, own), max(self.high, own)
        return Range(self.name, low, high, self.why, self.scale, self.box)


@dataclass(frozen=True)
class Options:
    """One of several values."""

    name: str
    options: tuple[Value, ...]
    why: str
    box: bool = False

    def drawn(self, value: Value) -> Value:
        """The value itself."""
        return value

    def meant(self, drawn: Value) -> Value:
        """The value itself."""
        return drawn

    def including(self, start: Value) -> "Options":
        """The same with the start's value among them."""
        return self if start in self.options else Options(self.name, (*self.options, start), self.why, self.box)


Dimension = Range | Options

DIMENSIONS: tuple[Dimension, ...] = (
    Range("pool_words", 16, 160, "how much the brain can tell apart, and what a step costs", "log"),
    Range("slots_min", 1, 4, "how special the plainest conjunctions are: fewer sources generalise more"),
    Range(SLOTS_MORE, 0, 3, "how much more special the most special ones are"),
    Range("tuning_width", 2.0, 8.0, "how far neighbouring observations share neurons", "log"),
    Options("ranges", ("bounds", "adaptive"), "whether the bounds of observations are what is really seen"),
    Range("gamma", 0.001, 0.1, "how far ahead counts: 10 to 1,000 steps", "one minus log"),
    Range("trace_lambda", 0.5, 0.98, "how far back a reward is credited: long traces are noisy, short ones slow"),
    Range("critic_step", 0.05, 1.0, "how fast values follow: large steps forget, small ones lag", "log"),
    Range("actor_step", 0.02, 0.6, "how fast the policy follows, which should be slower than the values", "log"),
    Options("step_age", (0, 3_000, 10_000, 30_000, 100_000), "when steps begin to shrink, so that noise averages out"),
    Range("temperature", 4.0, 40.0, "how greedy the policy can become: too much explores too little", "log"),
    Options("surprise_shift", (0, 6, 8, 10, 12), "whether and how slowly the actor's dopamine is normalised"),
    Range("reward_steps", 30.0, 120.0, "8-bit values must hold the returns: finer, or with room to grow"),
    Range("base_rate", 0.0005, 0.02, "spontaneous spikes, which let a young brain try everything", "log"),
    Options("motor_base", (0.0, 0.004, 0.008, 0.016, 0.03), "the least exploration that always remains"),
    Range("cycles", 4, 12, "graded counts against the time of a step"),
    Range("box_bins", 3, 15, "preferred values of each dimension of an action", box=True),
    Options(
        "box_decode", ("mean", "draw"), "whether a deterministic action lies between the preferred values", box=True
    ),
)
"""What is varied. The rest of a brain's settings either follow from these (threshold and gain from the coincidence that
they detect, noise and excitement from the cycles) or were never found to matter; they stay as they start.

Ranges are about a factor of three to ten around the defaults, on a logarithmic scale where the ratio is what matters.
Where the start lies outside they are widened to hold it."""


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


@dataclass(frozen=True)
class Space:
    """What one search varies, around the configuration that it starts from."""

    start: AgentConfig
    dimensions: tuple[Dimension, ...]

    def first(self) -> dict[str, Value]:
        """What would have to be drawn to get the start."""
        return {one.name: one.drawn(_value(self.start, one.name)) for one in self.dimensions}

    def config(self, drawn: Mapping[str, Value]) -> AgentConfig:
        """The configuration of a trial.

        Raises:
            HebbitError: no brain can have it.
        """
        first = self.first()
        found: dict[str, Any] = {
            # unrounded: the first trial is the start itself
            one.name: _value(self.start, one.name) if drawn[one.name] == first[one.name] else one.meant(drawn[one.name])
            for one in self.dimensions
        }
        if SLOTS_MORE in found:
            found["slots_max"] = min(MOST_SLOTS, found["slots_min"] + found.pop(SLOTS_MORE))
        return self.start.replace(found)


def space(
    start: AgentConfig,
    observations: gym.Space[Any],
    actions: gym.Space[Any],
    dimensions: Sequence[Dimension] = DIMENSIONS,
) -> Space:
    """What can be varied around a start, leaving out what makes no difference to these observations and actions."""
    useless = set() if _bounded(observations) else {"ranges"}
    box = bool(_boxes(actions))
    own = [one for one in dimensions if one.name not in useless and (box or not one.box)]
    widened = [one.including(_value(start, one.name)) for one in own]
    return Space(start, tuple(one for one in widened if one is not None))


def _value(config: AgentConfig, name: str) -> Value:
    value: Value = config.slots_max - config.slots_min if name == SLOTS_MORE else getattr(config, name)
    return value


def _boxes(space: gym.Space[Any]) -> list[gym.spaces.Box]:
    """All Boxes within."""
    if isinstance(space, gym.spaces.Dict):
        return [box for part in space.values() for box in _boxes(part)]
    if isinstance(space, gym.spaces.Tuple):
        return [box for part in space.spaces for box in _boxes(part)]
    return [space] if isinstance(space, gym.spaces.Box) else []


def _bounded(space: gym.Space[Any]) -> bool:
    """Whether any dimension of it has both bounds."""
    return any(bool(np.any(np.isfinite(box.low) & np.isfinite(box.high))) for box in _boxes(space))


FINER_THAN_BRAINS = (
    "base_rate", "gamma", "trace_lambda", "critic_step", "actor_step", "temperature", "motor_base", "excitement_decay",
    "surprise_floor", "dopamine_clip",
)  # fmt: skip
"""Settings of which brains hold integers alone."""


def same_brain(config: AgentConfig) -> tuple[bytes, AgentConfig]:
    """Equal for configurations that make the same brains: their integers, and all other settings."""
    default = AgentConfig().to_dict()
    return config.params().tobytes(), config.replace({name: default[name] for name in FINER_THAN_BRAINS})


def differences(config: AgentConfig) -> dict[str, Value]:
    """The settings that are not the defaults."""
    default = AgentConfig().to_dict()
    return {name: value for name, value in config.to_dict().items() if not _same(value, default[name])}


def _same(one: Any, other: Any) -> bool:
    return one == other or (isinstance(one, float) and math.isclose(one, other, rel_tol=1e-12))
