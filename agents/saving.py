"""Agents to checkpoints and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import checkpoint, spaces
from hebbit.agents.config import AgentConfig
from hebbit.agents.environment import EnvSpec, episode_seed
from hebbit.agents.errors import CheckpointError, HebbitError
from hebbit.agents.streams import NOT_REPEATED
from hebbit.backends.spec import CANONICAL, CONTRACT_VERSION, empty_arrays

if TYPE_CHECKING:
    from hebbit.agents.agent import AnyEnv, SpikingAgent

Arrays = dict[str, NDArray[Any]]


def settings(agent: SpikingAgent) -> dict[str, Any]:
    """What, besides the arrays, makes an agent what it is: no times, no versions, no backend."""
    return {
        "contract": CONTRACT_VERSION,
        "config": agent.config.to_dict(),
        "seed": agent.seed,
        "observation_space": spaces.to_json(agent.observation_space),
        "action_space": spaces.to_json(agent.action_space),
    }


def learned(agent: SpikingAgent) -> Arrays:
    """All that learning changes."""
    return {**agent.arrays(), **agent.encoder.arrays()}


def digest(agent: SpikingAgent) -> str:
    """See :meth:`SpikingAgent.digest`."""
    return checkpoint.digest(settings(agent), learned(agent))


def running(agent: SpikingAgent) -> Arrays:
    """The running episodes: what was executed since the reset, what is about to be, and what was last seen."""
    if agent._units is None:
        return {}
    books = agent.books
    groups = len(agent.decoder.groups)
    history = [np.array(h, np.int32).reshape(len(h), groups) for h in books.history]
    recent = [entry for episodes in books.recent for entry in episodes]
    return {
        "units": agent._units,
        "intensities": agent._intensities,
        "history": np.concatenate(history),
        "history_lengths": np.array([len(h) for h in books.history], np.int64),
        "recent": np.array(recent, np.float64).reshape(len(recent), 2),
        "recent_lengths": np.array([len(r) for r in books.recent], np.int64),
    }


def save(agent: SpikingAgent, path: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint; ``extra`` is kept beside it (a run's books)."""
    stream = agent._stream
    meta = {
        **settings(agent),
        "env": None if agent.spec is None else agent.spec.to_dict(),
        "env_id": agent.env_id,
        "num_timesteps": agent.num_timesteps,
        "total_steps": agent.total_steps,
        "exact": stream is not None and stream.exact and agent._units is not None,
        "extra": dict(extra or {}),
    }
    checkpoint.write(path, meta, {**learned(agent), **running(agent)})


def load(cls: type[SpikingAgent], path: Path, env: AnyEnv | None, backend: str, trust: bool) -> SpikingAgent:
    """See :meth:`SpikingAgent.load`."""
    found = checkpoint.read(path)
    spec = _described(found.meta.get("env"), trust) if env is None else None
    agent = _rebuild(cls, found.meta, found.arrays, backend)
    meta = found.meta
    agent.num_timesteps, agent.total_steps = _count(meta, "num_timesteps"), _count(meta, "total_steps")
    agent.spec = spec
    if env is not None:
        agent.set_env(env)
    if meta.get("exact") and agent.spec is not None:
        agent._resumable = {name: found.arrays[name] for name in RUNNING if name in found.arrays}
    return agent


def _described(env: Any, trust: bool) -> EnvSpec | None:
    """The environment that a checkpoint names.

    Raises:
        CheckpointError: it makes no sense, or making it would run code of a stranger's choice.
    """
    if env is None:
        return None
    parts = (env.get("id"), env.get("kwargs"), env.get("wrappers")) if isinstance(env, dict) else (None, None, None)
    name, kwargs, wrappers = parts
    if not (
        isinstance(name, str)
        and isinstance(kwargs, dict)
        and isinstance(wrappers, list)
        and all(isinstance(wrapper, str) for wrapper in wrappers)
    ):
        raise CheckpointError(
            f"the checkpoint must name an environment, got {str(env)[:80]}; it was damaged, use another"
        )
    foreign = [name] if ":" in name else []
    foreign += [wrapper for wrapper in wrappers if not wrapper.startswith("gymnasium.wrappers.")]
    if foreign and not trust:
        raise CheckpointError(
            f"the checkpoint asks to import {foreign[0]!r}: pass the environment, or trust it (trust=True, --trust) if "
            "you know who made the file"
        )
    return EnvSpec(name, kwargs, tuple(wrappers))


RUNNING = ("units", "intensities", "history", "history_lengths", "recent", "recent_lengths")


def _count(meta: Mapping[str, Any], name: str) -> int:
    value = meta.get(name)
    if not isinstance(value, int) or value < 0:
        raise CheckpointError(f"the checkpoint must hold {name} >= 0, got {value!r}; it was damaged, use another")
    return value


def _rebuild(
    cls: type[SpikingAgent], meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], backend: str
) -> SpikingAgent:
    """A fresh agent of the same structure with the checkpoint's arrays put in."""
    numbers = arrays.get("brain")
    if numbers is None or numbers.ndim != 1 or numbers.dtype != np.uint32 or len(numbers) == 0:
        raise CheckpointError("the checkpoint must hold at least one brain; it was damaged, use another")
    config = meta.get("config")
    if not isinstance(config, dict):
        raise CheckpointError("the checkpoint must hold a configuration; it was damaged, use another")
    try:
        agent = cls(
            None,
            seed=meta.get("seed", -1),
            config=AgentConfig().replace(config),
            backend=backend,
            brains=[int(n) for n in numbers],
            spaces=(spaces.from_json(meta.get("observation_space")), spaces.from_json(meta.get("action_space"))),
        )
    except CheckpointError:
        raise
    except HebbitError as error:
        raise CheckpointError(f"the checkpoint describes no agent ({error}); it was damaged, use another") from error
    expected = {**empty_arrays(agent.brain_config, agent.brains), **agent.encoder.arrays()}
    own = {name: checkpoint.expect(arrays, name, a.dtype, a.shape) for name, a in expected.items()}
    brains = {name: own[name] for name in CANONICAL}
    agent.state = agent.backend.create(agent.brain_config, agent.state.params, agent.seed, brains)
    agent.encoder.restore(own)
    agent._begin_life()
    return agent


def resume(agent: SpikingAgent, saved: Mapping[str, NDArray[Any]]) -> None:
    """Bring the running episodes back by repeating their actions.

    Raises:
        HebbitError: the environment does not repeat them.
    """
    stream, r, groups = agent._stream, len(agent.brains), len(agent.decoder.groups)
    assert stream is not None
    lengths = checkpoint.expect(saved, "history_lengths", np.dtype(np.int64), (r,))
    flat = checkpoint.expect(saved, "history", np.dtype(np.int32), (int(lengths.sum()), groups))
    books = agent.books
    books.history = [list(part) for part in np.split(flat, np.cumsum(lengths)[:-1])]
    actions = [[agent.decoder.decode(units) for units in part] for part in books.history]
    seeds = [episode_seed(agent.seed, int(n), books.begun[b] - 1) for b, n in enumerate(agent.brains)]
    observations, rewards = stream.replay(seeds, actions)
    books.returns, books.lengths = [_total(each) for each in rewards], [len(each) for each in rewards]
    shape = agent._intensities.shape
    agent._intensities = checkpoint.expect(saved, "intensities", np.dtype(np.uint8), shape)
    if not np.array_equal(agent.encoder.encode(observations, slice(None)), agent._intensities):
        raise HebbitError(NOT_REPEATED)
    agent._units = checkpoint.expect(saved, "units", np.dtype(np.int32), (r, groups))
    counts = checkpoint.expect(saved, "recent_lengths", np.dtype(np.int64), (r,))
    recent = checkpoint.expect(saved, "recent", np.dtype(np.float64), (int(counts.sum()), 2))
    for b, part in enumerate(np.split(recent, np.cumsum(counts)[:-1])):
        books.recent[b].extend((float(total), int(length)) for total, length in part)


def _total(rewards: list[float]) -> float:
    """Sum as a running episode adds up; Python's own sum compensates rounding since 3.12."""
    total = 0.0
    for reward in rewards:
        total += reward
    return total


def extract(agent: SpikingAgent, brain: int) -> SpikingAgent:
    """See :meth:`SpikingAgent.extract`."""
    if not 0 <= brain < len(agent.brains):
        raise HebbitError(f"brain must be one of 0..{len(agent.brains) - 1}, got {brain}")
    own = {name: value[brain : brain + 1] for name, value in learned(agent).items()}
    alone = _rebuild(type(agent), settings(agent), own, agent.backend.name)
    alone.spec, alone.num_timesteps, alone.total_steps = agent.spec, agent.num_timesteps, agent.total_steps
    saved = running(agent)
    if saved and agent.spec is not None:
        first = int(saved["history_lengths"][:brain].sum())
        latest = int(saved["recent_lengths"][:brain].sum())
        alone._resumable = {
            "units": saved["units"][brain : brain + 1],
            "intensities": saved["intensities"][brain : brain + 1],
            "history": saved["history"][first : first + int(saved["history_lengths"][brain])],
            "history_lengths": saved["history_lengths"][brain : brain + 1],
            "recent": saved["recent"][latest : latest + int(saved["recent_lengths"][brain])],
            "recent_lengths": saved["recent_lengths"][brain : brain + 1],
        }
    return alone
