"""Worlds of a condition: an environment whose sensors, actuators or physics are disturbed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import HebbitError, brief
from hebbit.agents.leaves import FAR
from hebbit.scripts.plans.physics import set_attributes
from hebbit.scripts.plans.plan import CENTRE, FIRST, Condition

F64 = NDArray[np.float64]
Path = tuple[Any, ...]
Env = gym.Env[Any, Any]
Wrapper = gym.Wrapper[Any, Any, Any, Any]

PILOT_STEPS = 2000
"""Steps of a random policy that show how far an unbounded dimension reaches."""
DEVIATIONS = 2.0
"""Such a range reaches this many standard deviations to either side of the mean."""


class Kind(IntEnum):
    """What random numbers are for: each kind has a stream of its own in every episode."""

    SENSORS = 1
    ACTIONS = 2
    SPIKES = 3
    LESION = 4
    PILOT = 5
    BOOTSTRAP = 6


def stream(kind: Kind, seed: int) -> np.random.Generator:
    """Random numbers of one episode (or of one plan) for one purpose, whatever else is drawn anywhere."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, int(kind)])))


def boxes(space: spaces.Space[Any], path: Path = ()) -> Iterator[tuple[Path, spaces.Box]]:
    """The Boxes of an observation space, in its order: their values are the dimensions that can be disturbed."""
    if isinstance(space, spaces.Box):
        yield path, space
    elif isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in parts:
            yield from boxes(part, (*path, key))


def flat(observation: Any, parts: Sequence[tuple[Path, spaces.Box]]) -> F64:
    """Values of all dimensions of an observation, one after another."""
    values = []
    for path, _ in parts:
        own = observation
        for key in path:
            own = own[key]
        values.append(np.asarray(own, np.float64).ravel())
    return np.concatenate(values) if values else np.zeros(0)


def _replaced(observation: Any, path: Path, value: Any) -> Any:
    """A copy of an observation with another value in one place."""
    if not path:
        return value
    inner = _replaced(observation[path[0]], path[1:], value)
    if isinstance(observation, dict):
        return {**observation, path[0]: inner}
    return tuple(inner if index == path[0] else part for index, part in enumerate(observation))


@dataclass(frozen=True)
class Ranges:
    """How far each dimension reaches: the unit of noise."""

    low: F64
    high: F64

    @property
    def width(self) -> F64:
        """From the least to the largest value."""
        return self.high - self.low

    @property
    def centre(self) -> F64:
        """Between the two."""
        return (self.low + self.high) / 2


def ranges_of(spec: EnvSpec, given: Sequence[tuple[float, float]] | None = None, search: bool = True) -> Ranges:
    """Ranges of an environment's dimensions.

    They are the bounds; where there are none (or they exceed a million), two standard deviations on either side of the
    mean of what a uniformly random policy meets in 2,000 steps, which are the same whatever the plan says.

    Args:
        spec: makes the environment.
        given: least and largest value of every dimension, to be taken instead.
        search: play these steps; otherwise unbounded dimensions have no range (nan).

    Raises:
        HebbitError: a wrong number was given, or the environment fails on the way.
    """
    env = spec.make()
    try:
        parts = list(boxes(env.observation_space))
        empty = np.zeros(0)
        low = np.concatenate([empty, *(box.low.ravel().astype(np.float64) for _, box in parts)])
        high = np.concatenate([empty, *(box.high.ravel().astype(np.float64) for _, box in parts)])
        if given is not None:
            if len(given) != len(low):
                raise HebbitError(f"observation_ranges must be {len(low)}, one for each dimension, got {len(given)}")
            pairs = np.array(given, np.float64).reshape(-1, 2)
            return Ranges(pairs[:, 0], pairs[:, 1])
        unbounded = ~((np.abs(low) < FAR) & (np.abs(high) < FAR))
        if unbounded.any():
            seen = _pilot(env, parts) if search else np.full((1, len(low)), np.nan)
            mean, reach = seen.mean(axis=0), DEVIATIONS * seen.std(axis=0)
            low, high = np.where(unbounded, mean - reach, low), np.where(unbounded, mean + reach, high)
        return Ranges(low, high)
    finally:
        env.close()


def _pilot(env: Env, parts: Sequence[tuple[Path, spaces.Box]]) -> F64:
    """What a random policy meets: [steps, dimensions]."""
    seeds = stream(Kind.PILOT, 0).integers(2**31, size=PILOT_STEPS + 1)
    env.action_space.seed(int(seeds[-1]))
    rows: list[F64] = []
    ended, episode = True, 0
    try:
        while len(rows) < PILOT_STEPS:
            if ended:
                observation, _ = env.reset(seed=int(seeds[episode]))
                episode, ended = episode + 1, False
            else:
                observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
                ended = bool(terminated or truncated)
            rows.append(flat(observation, parts))
    except Exception as error:  # whatever an environment raises
        what = f"{type(error).__name__}: {brief(error, 300)}"
        raise HebbitError(
            f"the ranges of unbounded dimensions cannot be found ({what}): set observation_ranges"
        ) from error
    return np.array(rows)


class Sensors(Wrapper):
    """Noise on all dimensions, and some that are dead; the world itself is not disturbed."""

    def __init__(self, env: Env, condition: Condition, ranges: Ranges) -> None:
        """Wrap it; dimensions are counted over all Boxes of the observation space."""
        super().__init__(env)
        self._parts = list(boxes(env.observation_space))
        noise = condition.observation_noise
        self._scale = noise * ranges.width if noise else np.zeros(len(ranges.low))
        self._dead, self._value = list(condition.dead_inputs), condition.dead_value
        self._centre = ranges.centre[self._dead]
        self._shown = self._centre

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, whose noise is a function of its seed."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._random = stream(Kind.SENSORS, seed or 0)
        if self._value == FIRST:
            self._shown = flat(observation, self._parts)[self._dead]
        elif self._value != CENTRE:
            self._shown = np.full(len(self._dead), float(self._value))
        return self._disturbed(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act, and see what the sensors say."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._disturbed(observation), reward, terminated, truncated, info

    def _disturbed(self, observation: Any) -> Any:
        values = flat(observation, self._parts)
        # drawn for every dimension and at any strength, so that more noise is the same noise made larger
        values = values + self._scale * self._random.standard_normal(len(values))
        values[self._dead] = self._shown
        start = 0
        for path, box in self._parts:
            own = values[start : start + int(np.prod(box.shape))].reshape(box.shape)
            start += own.size
            assert box.dtype is not None
            if not np.issubdtype(box.dtype, np.floating):
                own = np.rint(own)
            own = np.clip(own, box.low.astype(np.float64), box.high.astype(np.float64))
            observation = _replaced(observation, path, own.astype(box.dtype))
        return observation


class Sticky(Wrapper):
    """The last executed action is sometimes repeated instead of the chosen one."""

    def __init__(self, env: Env, chance: float) -> None:
        """Wrap it."""
        super().__init__(env)
        self._chance, self._last = chance, None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, whose repetitions are a function of its seed."""
        self._random, self._last = stream(Kind.ACTIONS, seed or 0), None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act, or do once more what was done."""
        stuck = self._random.random() < self._chance
        self._last = self._last if stuck and self._last is not None else action
        return self.env.step(self._last)


class Packed(Wrapper):
    """Observations as arrays of one object, which can be stacked whatever their space is."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return _packed(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return _packed(observation), reward, terminated, truncated, info


def _packed(observation: Any) -> NDArray[Any]:
    parcel = np.empty((), object)
    parcel[()] = observation
    return parcel


class Watched(Wrapper):
    """Tells when an episode has ended."""

    def __init__(self, env: Env, on_episode: Callable[[], object]) -> None:
        """Wrap it."""
        super().__init__(env)
        self._on_episode = on_episode

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self._on_episode()
        return observation, reward, terminated, truncated, info


@dataclass(frozen=True)
class World:
    """Makes the environments of a condition."""

    spec: EnvSpec
    condition: Condition
    ranges: Ranges

    def make(self, render_mode: str | None = None) -> Env:
        """One environment.

        Raises:
            HebbitError: it cannot be made so.
        """
        condition, spec = self.condition, self.spec
        if condition.env_kwargs:
            spec = EnvSpec(spec.id, {**spec.kwargs, **condition.env_kwargs}, spec.wrappers)
        env = spec.make(render_mode)
        try:
            if condition.attributes:
                set_attributes(env, condition.attributes)
            if condition.sticky_actions:
                env = Sticky(env, condition.sticky_actions)
            if condition.observation_noise or condition.dead_inputs:
                env = self._with_sensors(env)
        except BaseException:
            env.close()
            raise
        return env

    def _with_sensors(self, env: Env) -> Env:
        dimensions = sum(int(np.prod(box.shape)) for _, box in boxes(env.observation_space))
        if dimensions == 0:
            raise HebbitError(f"{self.spec.id} has no dimensions to disturb: its observations hold no Box")
        if dimensions != len(self.ranges.low):
            raise HebbitError(f"its observations have {dimensions} dimensions, not {len(self.ranges.low)} as before")
        missing = [d for d in self.condition.dead_inputs if d >= dimensions]
        if missing:
            raise HebbitError(f"dead_inputs must be of 0..{dimensions - 1} in {self.spec.id}, got {missing[0]}")
        return Sensors(env, self.condition, self.ranges)

    def check(self) -> None:
        """Make it once, and see that the physics stays as set.

        Raises:
            HebbitError: it cannot be made so, or it sets an attribute itself.
        """
        env = self.make()
        try:
            if self.condition.attributes:
                self._try_attributes(env)
        finally:
            env.close()

    def _try_attributes(self, env: Env) -> None:
        env.action_space.seed(0)
        try:
            env.reset(seed=0)
            env.step(env.action_space.sample())
        except Exception:  # whatever it raises becomes the error of its rows when it is played
            return
        for name, value in self.condition.attributes.items():
            if getattr(env.unwrapped, name) != value:
                kind = type(env.unwrapped).__name__
                raise HebbitError(f"{name} of {kind} is set by the environment itself: changing it has no effect")
