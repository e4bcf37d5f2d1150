"""One stream of experience for each brain, whatever kind of environment it comes from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError
from hebbit.backends.spec import Flag

Seeder = Callable[[int], int]
"""Brain -> seed of its next episode."""

NOT_REPEATED = (
    "the environment does not repeat an episode from its seed and actions, so training cannot be resumed in the same "
    "bits; start afresh from the saved agent with SpikingAgent.load(..).learn(..)"
)


class Tick(NamedTuple):
    """What R brains meet after one action each."""

    observations: Sequence[Any]
    """[R]: the final one where an episode ended."""
    rewards: Sequence[float]
    flags: NDArray[np.uint8]
    """[R] of :class:`hebbit.backends.spec.Flag`."""
    restarts: Mapping[int, Any]
    """First observations of the next episode, by brain, where it begins at once."""


class ExperienceStream(Protocol):
    """Environments of R brains."""

    exact: bool
    """Whether every episode is seeded and can be replayed."""

    def reset(self, seeder: Seeder) -> Sequence[Any]:
        """Begin an episode for every brain: R observations."""

    def step(self, actions: Sequence[Any], seeder: Seeder) -> Tick:
        """Act in every environment."""

    def replay(self, seeds: Sequence[int], actions: Sequence[Sequence[Any]]) -> tuple[list[Any], list[list[float]]]:
        """Begin episodes with these seeds and repeat the actions: last observations and all rewards, by brain."""


class SingleStream:
    """One environment, one brain."""

    exact = True

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        """Hold the environment."""
        self.env = env
        self._continue = np.array([Flag.CONTINUE], np.uint8)
        self._none: dict[int, Any] = {}

    def reset(self, seeder: Seeder) -> Sequence[Any]:
        """See :class:`ExperienceStream`."""
        return (self.env.reset(seed=seeder(0))[0],)

    def step(self, actions: Sequence[Any], seeder: Seeder) -> Tick:
        """See :class:`ExperienceStream`."""
        observation, reward, terminated, truncated, _ = self.env.step(actions[0])
        if not (terminated or truncated):
            return Tick((observation,), (float(reward),), self._continue, self._none)
        flags = np.array([Flag.TERMINATED if terminated else Flag.TRUNCATED], np.uint8)
        return Tick((observation,), (float(reward),), flags, {0: self.env.reset(seed=seeder(0))[0]})

    def replay(self, seeds: Sequence[int], actions: Sequence[Sequence[Any]]) -> tuple[list[Any], list[list[float]]]:
        """See :class:`ExperienceStream`."""
        observation, rewards = replayed(self.env, seeds[0], actions[0])
        return [observation], [rewards]


def replayed(env: gym.Env[Any, Any], seed: int, actions: Sequence[Any]) -> tuple[Any, list[float]]:
    """The last observation and the rewards of an episode that is begun again and repeated.

    Raises:
        HebbitError: it ended early, so the environment is not a function of its seed and actions.
    """
    observation, rewards = env.reset(seed=seed)[0], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.append(float(reward))
        if terminated or truncated:
            raise HebbitError(NOT_REPEATED)
    return observation, rewards


class VectorStream:
    """A VectorEnv with one environment for each brain, in any of Gymnasium's three autoreset modes."""

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Hold the environments."""
        self.envs = envs
        self.mode = envs.metadata.get("autoreset_mode")
        if not isinstance(self.mode, AutoresetMode):
            raise HebbitError(
                "a VectorEnv must say metadata['autoreset_mode'] as gymnasium.vector.AutoresetMode, got "
                f"{self.mode!r}; set it on the class"
            )
        self.exact = self.mode == AutoresetMode.DISABLED and isinstance(envs, SyncVectorEnv)
        # environments that are vectors by themselves may take one seed alone
        self._seeded = isinstance(envs.unwrapped, SyncVectorEnv | AsyncVectorEnv) or getattr(envs, "seeded", False)
        self._ended = np.zeros(envs.num_envs, np.bool_)

    def _split(self, observations: Any) -> list[Any]:
        return list(iterate(self.envs.observation_space, observations))

    def reset(self, seeder: Seeder) -> Sequence[Any]:
        """See :class:`ExperienceStream`."""
        self._ended[:] = False
        seeds: Any = [seeder(b) for b in range(self.envs.num_envs)] if self._seeded else seeder(0)
        return self._split(self.envs.reset(seed=seeds)[0])

    def step(self, actions: Sequence[Any], seeder: Seeder) -> Tick:
        """See :class:`ExperienceStream`."""
        space = self.envs.single_action_space
        empty: Any = create_empty_array(space, self.envs.num_envs)
        batch = concatenate(space, actions, empty)
        raw, rewards, terminated, truncated, infos = self.envs.step(batch)
        observations = self._split(raw)
        flags = np.where(terminated, Flag.TERMINATED, np.where(truncated, Flag.TRUNCATED, Flag.CONTINUE))
        done = terminated | truncated
        restarts: dict[int, Any] = {}
        if self.mode == AutoresetMode.NEXT_STEP:
            # the step after an end ignores the action and brings the first observation
            flags = np.where(self._ended, Flag.START, flags)
            self._ended = done & ~self._ended
        elif self.mode == AutoresetMode.SAME_STEP:
            for b in np.flatnonzero(done):
                restarts[int(b)] = observations[b]
                observations[b] = infos["final_obs"][b]
        elif done.any():
            restarts = self._restart(done, seeder)
        return Tick(observations, rewards.tolist(), flags.astype(np.uint8), restarts)

    def _restart(self, done: NDArray[np.bool_], seeder: Seeder) -> dict[int, Any]:
        """Reset the environments whose episode ended, each with its own seed (mode DISABLED)."""
        seeds: Any = [seeder(b) if ended else None for b, ended in enumerate(done)] if self._seeded else None
        fresh = self._split(self.envs.reset(seed=seeds, options={"reset_mask": done})[0])
        return {int(b): fresh[b] for b in np.flatnonzero(done)}

    def replay(self, seeds: Sequence[int], actions: Sequence[Sequence[Any]]) -> tuple[list[Any], list[list[float]]]:
        """See :class:`ExperienceStream`."""
        if not self.exact:
            raise HebbitError("episodes of this VectorEnv cannot be replayed; train from an environment id to resume")
        assert isinstance(self.envs, SyncVectorEnv)
        pairs = [replayed(env, seed, own) for env, seed, own in zip(self.envs.envs, seeds, actions, strict=True)]
        return [o for o, _ in pairs], [r for _, r in pairs]


class ResidentStream(VectorStream):
    """A resident VectorEnv: its episodes follow from their seeds, and its state is a few numbers of each."""

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Hold the environments."""
        super().__init__(envs)
        self.world: Any = envs.world  # type: ignore[attr-defined]  # is_resident has looked

    def snapshot(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """State [R, 8] and steps [R] of the running episodes, copied."""
        envs: Any = self.envs
        return envs.state, envs.elapsed

    def restore(self, state: NDArray[np.float64], elapsed: NDArray[np.int64]) -> None:
        """Go on from such a state."""
        envs: Any = self.envs
        envs.set_state(state, elapsed)


def is_resident(envs: Any) -> bool:
    """Whether a VectorEnv is resident, bare (a resident run would not ask a wrapper), and not reset by itself."""
    # a class that inherits may step otherwise, and nobody would ask it
    own = isinstance(envs, VectorEnv) and vars(type(envs)).get("resident") is True
    return own and envs.metadata.get("autoreset_mode") == AutoresetMode.DISABLED
