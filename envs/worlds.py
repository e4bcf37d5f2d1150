"""Five of Gymnasium's tasks as functions over arrays: the specification of the resident environments.

A world knows no episodes and keeps nothing: it begins a state, steps it and says what is seen of it. The compiled forms
of the same equations, for Numba and for CUDA, give the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.envs import physics
from hebbit.envs.physics import ANGLE_LIMIT, CART_LIMIT, MOST_TURN_1, MOST_TURN_2, PI

STATE_WIDTH = 8
"""Numbers in a row of state; those that a world does not use are 0."""
MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
MIX_A, MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_A, SHIFT_B, SHIFT_C, SHIFT_D = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
WORD = np.uint64(32)
OFFSETS = tuple(np.uint64((j + 1) * GOLDEN & MASK) for j in range(4))
UNIT = 2.0**-53


def mix(z: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): 64 bits in, 64 well mixed bits out."""
    z = (z ^ (z >> SHIFT_A)) * MIX_A
    z = (z ^ (z >> SHIFT_B)) * MIX_B
    return z ^ (z >> SHIFT_C)


def draws(seed: Any, number: Any) -> Any:
    """The four uniform numbers of episode ``number`` of stream ``seed``, both uint64 below 2**32; doubles in 0..1."""
    key = mix((seed << WORD) | number)
    a, b = mix(key + OFFSETS[0]) >> SHIFT_D, mix(key + OFFSETS[1]) >> SHIFT_D
    c, d = mix(key + OFFSETS[2]) >> SHIFT_D, mix(key + OFFSETS[3]) >> SHIFT_D
    return a * UNIT, b * UNIT, c * UNIT, d * UNIT


@dataclass(frozen=True)
class World:
    """One task. Arrays have a row for each of N environments."""

    env_id: str
    """Of Gymnasium."""
    number: int
    """What ``WORLD`` is set to when resident.cu is compiled."""
    state_size: int
    """Columns of the state that are used, at most 6."""
    values: int
    """Length of an observation, at most 6."""
    limit: int
    """Steps after which an episode is truncated."""
    units: int
    """Actions of a Discrete space, from 0; 0 for a Box of one dimension."""
    reach: float
    """Bounds of a Box of actions, either way; 0 for a Discrete space."""
    ceiling: tuple[float, ...]
    """Highest observation of each value."""
    floor: tuple[float, ...]
    """Lowest observation."""
    low: tuple[float, ...]
    """Least start of each column that is drawn."""
    high: tuple[float, ...]
    """Where the draws end."""
    step_columns: Callable[..., Any]
    see_columns: Callable[..., Any]
    begin_columns: Callable[..., Any]

    def observation_space(self) -> spaces.Box:
        """Of one environment; equal to Gymnasium's."""
        return spaces.Box(np.array(self.floor, np.float32), np.array(self.ceiling, np.float32), dtype=np.float32)

    def action_space(self) -> spaces.Discrete | spaces.Box:
        """Of one environment; equal to Gymnasium's."""
        if self.units:
            return spaces.Discrete(self.units)
        return spaces.Box(-self.reach, self.reach, (1,), np.float32)

    def start(
        self,
        seed: NDArray[np.uint32],
        number: NDArray[np.uint32],
        low: tuple[float, ...] | None = None,
        high: tuple[float, ...] | None = None,
    ) -> NDArray[np.float64]:
        """The start of an episode: a function of the stream's seed and the episode's number in the stream.

        Args:
            seed: uint32 [N].
            number: uint32 [N].
            low: Other bounds for the columns that are drawn.
            high: Likewise.

        Returns:
            State [N, 8].
        """
        below, above = low or self.low, high or self.high
        chances = draws(np.asarray(seed, np.uint32).astype(np.uint64), np.asarray(number, np.uint32).astype(np.uint64))
        drawn = [a + (b - a) * u for a, b, u in zip(below, above, chances, strict=False)]
        return self._state(len(drawn[0]), self.begin_columns(*drawn))

    def step(
        self, state: NDArray[np.float64], action: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """One step.

        Args:
            state: float64 [N, 8].
            action: float64 [N]: the index of a Discrete action, or a Box action, a single-precision number.

        Returns:
            The new state [N, 8], rewards float64 [N], and whether each episode terminated [N].
        """
        *columns, reward, terminated = self.step_columns(*self._columns(state), np.asarray(action, np.float64))
        made = self._state(len(state), columns)
        return made, np.full(len(state), reward, np.float64), np.full(len(state), terminated, np.bool_)

    def observe(self, state: NDArray[np.float64]) -> NDArray[np.float32]:
        """What is seen of a state [N, 8]: float32 [N, values]."""
        return np.stack([np.asarray(c, np.float32) for c in self.see_columns(*self._columns(state))], axis=1)

    def addresses(self) -> tuple[int, int]:
        """Addresses of two compiled C functions; the first call compiles them, or reads them from disk.

        ``void start(uint64 seed, uint64 number, double *state, double *out)`` writes the start of an episode into
        state[0..7]; ``void step(double *state, double action, double *out)`` changes the state in place. Both write
        out[0..7]: the observation, rounded to single precision, in out[0..values-1]; the reward (0 at a start) in
        out[6]; 1 if the episode terminated, else 0, in out[7]; 0 elsewhere. They stay loaded until the process ends.
        """
        from hebbit.envs import resident_numba

        found: tuple[int, int] = resident_numba.functions(self).addresses
        return found

    @staticmethod
    def cuda() -> str:
        """CUDA text with ``world_start`` and ``world_step``, which mean the same as :meth:`addresses`'.

        It goes behind text that defines ``u64`` and ``INLINE`` (backends/cuda_bits.cu), is compiled with ``-DWORLD=``
        and this world's number, and without fusing multiplications with additions (``--fmad=false``).
        """
        return (files("hebbit.envs") / "resident.cu").read_text(encoding="utf-8")

    def _columns(self, state: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        return [state[:, j] for j in range(self.state_size)]

    @staticmethod
    def _state(rows: int, columns: Any) -> NDArray[np.float64]:
        state = np.zeros((rows, STATE_WIDTH))
        for j, column in enumerate(columns):
            state[:, j] = column
        return state


def symmetric(*highs: float) -> dict[str, tuple[float, ...]]:
    """Observations between limits that are the same either way."""
    return {"ceiling": highs, "floor": tuple(-h for h in highs)}


CARTPOLE = World(
    "CartPole-v1", 0, 4, 4, 500, 2, 0.0,
    **symmetric(CART_LIMIT * 2, np.inf, ANGLE_LIMIT * 2, np.inf), low=(-0.05,) * 4, high=(0.05,) * 4,
    step_columns=physics.cartpole_step, see_columns=physics.cartpole_see, begin_columns=physics.cartpole_begin,
)  # fmt: skip
MOUNTAIN = World(
    "MountainCar-v0", 1, 2, 2, 200, 3, 0.0, (0.6, 0.07), (-1.2, -0.07), (-0.6,), (-0.4,),
    physics.mountain_step, physics.mountain_see, physics.mountain_begin,
)  # fmt: skip
SLOPE = World(
    "MountainCarContinuous-v0", 2, 3, 2, 999, 0, 1.0, (0.6, 0.07), (-1.2, -0.07), (-0.6,), (-0.4,),
    physics.slope_step, physics.slope_see, physics.slope_begin,
)  # fmt: skip
ACROBOT = World(
    "Acrobot-v1", 3, 4, 6, 500, 3, 0.0,
    **symmetric(1.0, 1.0, 1.0, 1.0, MOST_TURN_1, MOST_TURN_2), low=(-0.1,) * 4, high=(0.1,) * 4,
    step_columns=physics.acrobot_step, see_columns=physics.acrobot_see, begin_columns=physics.acrobot_begin,
)  # fmt: skip
PENDULUM = World(
    "Pendulum-v1", 4, 2, 3, 200, 0, 2.0, **symmetric(1.0, 1.0, 8.0), low=(-PI, -1.0), high=(PI, 1.0),
    step_columns=physics.pendulum_step, see_columns=physics.pendulum_see, begin_columns=physics.pendulum_begin,
)  # fmt: skip
WORLDS: dict[str, World] = {w.env_id: w for w in (CARTPOLE, MOUNTAIN, SLOPE, ACROBOT, PENDULUM)}
"""By Gymnasium's id."""
