"""Playing without learning."""

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents.environment import EnvSpec, episode_seed, whole
from hebbit.agents.errors import HebbitError, ObservationError, brief
from hebbit.agents.sb3_env import from_sb3

EPISODE_LIMIT = 10_000
"""Steps after which an episode without an end of its own is cut: a calm policy may run in circles for ever."""


class Policy(Protocol):
    """Whatever answers as SB3's models do."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Action and state for one observation."""


def evaluate(
    policy: Policy,
    env: gym.Env[Any, Any] | EnvSpec | str,
    episodes: int,
    deterministic: bool = True,
    seed: int = 0,
    brain: int = 0,
    on_step: Callable[[], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns and lengths of some episodes, whose seeds no training episode has, of at most EPISODE_LIMIT steps each.

    Args:
        policy: an agent of ours or of SB3.
        env: one environment, or what makes one.
        episodes: how many.
        deterministic: the strongest unit instead of a spike drawn at random.
        seed: episode e is reset with a Philox word of (seed, brain, e) in the evaluation stream.
        brain: see seed.
        on_step: called after every step (to render, or to count).

    Raises:
        HebbitError: it is no environment, or it has other spaces than the agent's.
    """
    episodes = whole(episodes, "episodes")
    spec = EnvSpec(env) if isinstance(env, str) else env
    own = spec.make() if isinstance(spec, EnvSpec) else spec
    if not isinstance(own, gym.Env):
        raise HebbitError(f"env must be one Env, an id or an EnvSpec to evaluate in, got {type(env).__name__}")
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    try:
        check_spaces(policy, own)
        for episode in range(episodes):
            first = episode_seed(seed, brain, episode, evaluation=True)
            returns[episode], lengths[episode] = _play(policy, own, first, deterministic, on_step)
    finally:
        if own is not env:
            own.close()
    return returns, lengths


def check_spaces(policy: Any, env: Any) -> None:
    """Refuse an environment whose spaces are not the agent's: its answers there would mean nothing.

    A policy without spaces is believed, and so is one of Stable-Baselines3, whose ``predict`` turns images itself.

    Args:
        policy: whatever answers.
        env: an environment; its id or an EnvSpec is made, asked and closed; anything else is not looked at.

    Raises:
        HebbitError: they differ.
    """
    spaces = getattr(policy, "observation_space", None), getattr(policy, "action_space", None)
    if from_sb3(policy) or not all(isinstance(space, gym.Space) for space in spaces):
        return
    spec = EnvSpec(env) if isinstance(env, str) else env
    own = spec.make() if isinstance(spec, EnvSpec) else spec
    if not isinstance(own, gym.Env):
        return
    try:
        others = own.observation_space, own.action_space
    finally:
        if own is not env:
            own.close()
    if others != spaces:
        (seen, acted), (shown, taken) = map(brief, spaces), map(brief, others)
        raise HebbitError(
            f"env must have the agent's spaces {seen} and {acted} to evaluate in, got {shown} and {taken}: wrap it as "
            "in training; after a VecNormalize use Stable-Baselines3's evaluate_policy with the same VecNormalize"
        )


def _play(
    policy: Policy, env: gym.Env[Any, Any], seed: int, deterministic: bool, on_step: Callable[[], None] | None
) -> tuple[float, int]:
    """Return and length of one episode."""
    observation, _ = env.reset(seed=seed)
    state: Any = None
    total, length, done = 0.0, 0, False
    while not done and length < EPISODE_LIMIT:
        action, state = policy.predict(observation, state, np.array([length == 0]), deterministic)
        observation, reward, terminated, truncated, _ = env.step(action)
        done = bool(terminated or truncated)
        total += float(reward)
        length += 1
        if on_step is not None:
            on_step()
    return total, length


def carried(state: Any, episode_start: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Excitement [n, words, 32] that an answer begins with, from what the last answer gave; a fresh array.

    Raises:
        ObservationError: it belongs to other observations, or is none of ours.
    """
    excitement = np.zeros(shape, np.uint8)
    if state is not None:
        own = state[0] if isinstance(state, tuple | list) and len(state) == 1 else None
        if not isinstance(own, np.ndarray) or own.dtype != np.uint8 or own.ndim != 3 or own.shape[1:] != shape[1:]:
            raise ObservationError("state must be what the last call of predict gave; pass None to begin")
        if len(own) != shape[0]:
            raise ObservationError(f"state must be of {shape[0]} observations, got {len(own)}; pass None to begin")
        excitement[...] = own
    if episode_start is not None:
        starts = np.asarray(episode_start, np.bool_).ravel()
        if len(starts) != shape[0]:
            raise ObservationError(f"episode_start must be of {shape[0]} observations, got {len(starts)}")
        excitement[starts] = 0
    return excitement
