"""Gymnasium's five classic tasks as one vector environment that steps all its environments in one compiled loop.

It shows and pays what Gymnasium's own environments show and pay, and ends and begins episodes as
``gymnasium.vector.SyncVectorEnv`` does. Only the random numbers of the starts are others: a start is a function of the
stream's seed and the number of the episode in it, so a population needs no generator for each of its environments.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hebbit.envs.resident_checks import (
    SEEDS,
    Bounds,
    checked_actions,
    checked_bounds,
    checked_mask,
    checked_mode,
    checked_seeds,
)
from hebbit.envs.worlds import STATE_WIDTH, WORLDS, World

Backend = Literal["auto", "numpy", "numba"]
PARTS = ("state", "elapsed", "ended", "begun", "seeds", "numbers")
"""Of :meth:`ResidentVectorEnv.state_dict`."""


class Engine(Protocol):
    """What begins and steps the environments; rows of arrays are environments, and all results are fresh arrays."""

    def start(
        self, seeds: NDArray[np.uint32], numbers: NDArray[np.uint32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """States [n, 8] and observations [n, values] of new episodes."""
        ...

    def step(
        self, state: NDArray[np.float64], actions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """New states, observations, rewards and ends; the states given may be written into."""
        ...


class NumpyEngine:
    """The specification."""

    def __init__(self, world: World) -> None:
        """Hold the world."""
        self.world = world

    def start(
        self, seeds: NDArray[np.uint32], numbers: NDArray[np.uint32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """See :class:`Engine`."""
        state = self.world.start(seeds, numbers)
        return state, self.world.observe(state)

    def step(
        self, state: NDArray[np.float64], actions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """See :class:`Engine`."""
        state, rewards, terminated = self.world.step(state, actions)
        return state, self.world.observe(state), rewards, terminated


class NumbaEngine:
    """The same, compiled."""

    def __init__(self, world: World) -> None:
        """Compile, or read what was compiled before from disk."""
        from hebbit.envs.resident_numba import functions

        self.values = world.values
        made = functions(world)
        self._start, self._step = made.start_all, made.step_all

    def start(
        self, seeds: NDArray[np.uint32], numbers: NDArray[np.uint32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """See :class:`Engine`."""
        state, seen = np.empty((len(seeds), STATE_WIDTH)), np.empty((len(seeds), self.values), np.float32)
        self._start(seeds.astype(np.uint64), numbers.astype(np.uint64), state, seen)
        return state, seen

    def step(
        self, state: NDArray[np.float64], actions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """See :class:`Engine`."""
        count = len(actions)
        seen, rewards = np.empty((count, self.values), np.float32), np.empty(count)
        terminated = np.empty(count, np.bool_)
        self._step(state, actions, seen, rewards, terminated)
        return state, seen, rewards, terminated


ENGINES: dict[str, type[NumpyEngine] | type[NumbaEngine]] = {
    "auto": NumbaEngine,
    "numba": NumbaEngine,
    "numpy": NumpyEngine,
}


class ResidentVectorEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """N environments of one world; made by :func:`make_resident`.

    Observations are float32 [N, values], rewards float64 [N], ``terminated`` and ``truncated`` bool [N]; every call
    gives fresh arrays. Actions are integers [N] for a Discrete space, else float32 [N, 1], which are clipped as the
    world clips them. Episodes are truncated at Gymnasium's limit.
    """

    resident = True
    """Agents may let its world run without asking it; a class that inherits has to say so for itself."""
    seeded = True
    """``reset`` takes a list of seeds, one for each environment."""

    def __init__(
        self,
        world: World,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        backend: Backend = "auto",
    ) -> None:
        """Make the environments; they wait for their first reset.

        Raises:
            ValueError: there is no such mode or backend, or ``num_envs`` is no positive whole number.
        """
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"num_envs must be a whole number of at least 1, got {num_envs!r}")
        if backend not in ENGINES:
            raise ValueError(f"backend must be one of {', '.join(ENGINES)}, got {backend!r}")
        self.world, self.num_envs = world, int(num_envs)
        self.autoreset_mode = checked_mode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.spec = copy.deepcopy(gym.spec(world.env_id))
        self.single_observation_space, self.single_action_space = world.observation_space(), world.action_space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._engine: Engine = ENGINES[backend](world)
        self._state = np.zeros((self.num_envs, STATE_WIDTH))
        self._elapsed = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._begun = np.zeros(self.num_envs, np.bool_)
        self._all_begun = False
        self._seeds = self.np_random.integers(SEEDS, size=self.num_envs, dtype=np.uint32)
        self._numbers = np.zeros(self.num_envs, np.uint32)

    @property
    def state(self) -> NDArray[np.float64]:
        """A copy of all states [N, 8]; see :class:`World`."""
        return self._state.copy()

    @property
    def elapsed(self) -> NDArray[np.int64]:
        """A copy of the steps [N] made in each running episode."""
        return self._elapsed.copy()

    def set_state(self, state: NDArray[np.float64], elapsed: NDArray[np.int64] | None = None) -> None:
        """Put every environment into the middle of an episode.

        Args:
            state: float64 [N, 8]; columns beyond the world's ``state_size`` are taken for 0.
            elapsed: Steps [N] that each episode has had, 0..limit - 1; zeros if not given.

        Raises:
            ValueError: wrong shapes, a state that is not finite, or steps out of range.
        """
        rows = np.array(state, np.float64)
        steps = np.zeros(self.num_envs, np.int64) if elapsed is None else np.array(elapsed, np.int64)
        if rows.shape != self._state.shape or not np.isfinite(rows).all():
            raise ValueError(f"state must be finite numbers of shape {self._state.shape}, got shape {rows.shape}")
        if steps.shape != self._elapsed.shape or steps.min() < 0 or steps.max() >= self.world.limit:
            raise ValueError(f"elapsed must be {self.num_envs} numbers of 0..{self.world.limit - 1}, got {elapsed}")
        rows[:, self.world.state_size :] = 0.0
        self._state, self._elapsed = rows, steps
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._mark(np.ones(self.num_envs, np.bool_))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that decides what comes next, as copies: for :meth:`load_state_dict`."""
        return {name: getattr(self, f"_{name}").copy() for name in PARTS}

    def load_state_dict(self, parts: Mapping[str, NDArray[Any]]) -> None:
        """Take up what :meth:`state_dict` of an environment of the same world and size gave.

        Raises:
            ValueError: parts are missing or of other shapes.
        """
        made = {name: np.array(parts[name], getattr(self, f"_{name}").dtype) for name in PARTS if name in parts}
        if any(name not in made or made[name].shape != getattr(self, f"_{name}").shape for name in PARTS):
            raise ValueError(
                f"expected the arrays {', '.join(PARTS)} of {self.num_envs} environments, got {list(parts)}"
            )
        for name, array in made.items():
            setattr(self, f"_{name}", array)
        self._all_begun = bool(self._begun.all())

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin new episodes.

        Args:
            seed: Environment i starts the first episode of stream seed + i, or of stream seed[i]; where it is None, the
                next episode of the stream it has, which at first is a random one.
            options: ``reset_mask``, bool [N], leaves the other environments as they are. ``low`` and ``high`` bound
                the numbers drawn for these starts, ``x_init`` and ``y_init`` those of Pendulum-v1.

        Returns:
            Observations of all environments [N, values] and an empty dictionary.

        Raises:
            ValueError: a seed is not in 0..2**32 - 1, there are not N of them, or an option is unknown or wrong.
            TypeError: ``reset_mask`` is not an array of bool.
            ResetNeeded: an environment that the mask leaves out was never reset.
        """
        chosen = dict(options or {})
        mask = checked_mask(chosen.pop("reset_mask"), self.num_envs) if "reset_mask" in chosen else None
        bounds = checked_bounds(self.world, chosen) if chosen else None
        seeds = checked_seeds(seed, self.num_envs)
        if mask is not None and not (self._begun | mask).all():
            raise ResetNeeded("reset all environments before a reset_mask leaves some of them out")
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        rows = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        for i in rows.tolist():
            own = seeds[i]
            if own is not None:
                self._seeds[i], self._numbers[i] = own, 0
        self._begin(rows, bounds)
        self._ended[rows] = False
        self._mark(rows)
        return self.world.observe(self._state), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step every environment, and begin new episodes as the autoreset mode says.

        Args:
            actions: Integers [N] below the number of actions, or finite numbers [N, 1].

        Returns:
            Observations, rewards, terminated, truncated, infos. In mode SAME_STEP infos have ``final_obs`` and
            ``final_info`` of the episodes that ended, as SyncVectorEnv gives them; else they are empty.

        Raises:
            ValueError: wrong actions.
            ResetNeeded: before the first reset, or, in mode DISABLED, after the end of an episode.
        """
        if not self._all_begun:
            raise ResetNeeded("call reset before step")
        chosen = checked_actions(self.world, actions, self.num_envs)
        before, mode = self._ended, self.autoreset_mode
        if mode == AutoresetMode.DISABLED and before.any():
            raise ResetNeeded(f"reset the environments {np.flatnonzero(before).tolist()}, whose episodes ended")
        self._state, seen, rewards, terminated = self._engine.step(self._state, chosen)
        self._elapsed += 1
        truncated = self._elapsed >= self.world.limit
        if mode == AutoresetMode.NEXT_STEP and before.any():
            rows = np.flatnonzero(before)
            seen[rows] = self._begin(rows)
            rewards[rows], terminated[rows], truncated[rows] = 0.0, False, False
        self._ended = terminated | truncated
        infos: dict[str, Any] = {}
        if mode == AutoresetMode.SAME_STEP and self._ended.any():
            rows = np.flatnonzero(self._ended)
            for i in rows:
                infos = self._add_info(infos, {"final_obs": seen[i].copy(), "final_info": {}}, int(i))
            seen[rows] = self._begin(rows)
        return seen, rewards, terminated, truncated, infos

    def _begin(self, rows: NDArray[np.intp], bounds: Bounds | None = None) -> NDArray[np.float32]:
        """Begin the next episode of some streams; what is seen of it."""
        seeds, numbers = self._seeds[rows], self._numbers[rows]
        if bounds is None:
            state, seen = self._engine.start(seeds, numbers)
        else:
            state = self.world.start(seeds, numbers, *bounds)
            seen = self.world.observe(state)
        self._state[rows] = state
        self._elapsed[rows] = 0
        self._numbers[rows] += np.uint32(1)
        return seen

    def _mark(self, rows: NDArray[Any]) -> None:
        self._begun[rows] = True
        self._all_begun = bool(self._begun.all())


def make_resident(
    env_id: str,
    num_envs: int = 1,
    *,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    backend: Backend = "auto",
) -> ResidentVectorEnv:
    """A vector environment of one of the five classic tasks.

    Args:
        env_id: CartPole-v1, MountainCar-v0, MountainCarContinuous-v0, Acrobot-v1 or Pendulum-v1.
        num_envs: How many, at least 1.
        autoreset_mode: When a new episode follows one that ended.
        backend: ``"numba"``, compiled; ``"numpy"``, the specification; ``"auto"`` is Numba. The bits are the same.

    Raises:
        ValueError: an unknown id, mode or backend, or a wrong number of environments.
    """
    if env_id not in WORLDS:
        raise ValueError(
            f"resident environments are {', '.join(WORLDS)}, got {env_id!r}; use gymnasium.make_vec for others"
        )
    return ResidentVectorEnv(WORLDS[env_id], num_envs, autoreset_mode, backend)
