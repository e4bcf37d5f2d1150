"""Agents to checkpoints and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import checkpoint, judge, spaces, variety
from hebbit.agents.books import Books
from hebbit.agents.config import AgentConfig
from hebbit.agents.environment import EnvSpec, episode_seed
from hebbit.agents.errors import BackendError, CheckpointError, HebbitError, brief
from hebbit.agents.streams import NOT_REPEATED, ExperienceStream, ResidentStream
from hebbit.backends.spec import CANONICAL, CONTRACT_VERSION

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent
    from hebbit.agents.connection import AnyEnv

Arrays = dict[str, NDArray[Any]]
HARMLESS = {
    f"gymnasium.wrappers.{name}"
    for name in (
        "ClipAction ClipReward DelayObservation DiscretizeAction DiscretizeObservation DtypeObservation "
        "FilterObservation FlattenObservation FrameStackObservation GrayscaleObservation MaxAndSkipObservation "
        "NormalizeObservation NormalizeReward RepeatAction RescaleAction RescaleObservation ReshapeObservation "
        "ResizeObservation StickyAction TimeAwareObservation TimeLimit"
    ).split()
}
"""Wrappers that neither import nor write anything, whatever their arguments."""


def settings(agent: SpikingAgent) -> dict[str, Any]:
    """What, besides the arrays, makes an agent what it is: no times, no versions, no backend."""
    own = variety.written(agent.configs)
    return {
        "contract": CONTRACT_VERSION,
        "config": agent.config.to_dict(),
        **({"configs": own} if own else {}),
        "seed": agent.seed,
        "observation_space": spaces.to_json(agent.observation_space),
        "action_space": spaces.to_json(agent.action_space),
    }


def learned(agent: SpikingAgent) -> Arrays:
    """All that learning changes."""
    brains, others = agent.arrays(), (agent.encoder, agent.rewards, agent.structure, agent.memory)
    return {name: array for own in (brains, *(other.arrays() for other in others)) for name, array in own.items()}


def digest(agent: SpikingAgent) -> str:
    """See :meth:`SpikingAgent.digest`."""
    return checkpoint.digest(settings(agent), learned(agent))


WORLD = ("world_state", "world_elapsed")
RUNNING = ("units", "intensities", "history", "history_lengths", "returns", "recent", "recent_lengths")


def running(agent: SpikingAgent) -> Arrays:
    """The running episodes, where they can be repeated: what was executed, what is about to be, and what was seen."""
    if agent._units is None:
        return dict(agent._resumable)
    if agent._stream is None or not (agent._stream.exact or isinstance(agent._stream, ResidentStream)):
        return {}
    books = agent.books
    groups = len(agent.decoder.groups)
    history = [np.frombuffer(bytes(h), np.int32).reshape(-1, groups) for h in books.history]
    recent = [entry for episodes in books.recent for entry in episodes]
    return {
        "units": agent._units,
        "intensities": agent._intensities,
        "history": np.concatenate(history),
        "history_lengths": np.array([len(h) for h in history], np.int64),
        "returns": np.array(books.returns, np.float64),
        "recent": np.array(recent, np.float64).reshape(len(recent), 2),
        "recent_lengths": np.array([len(r) for r in books.recent], np.int64),
        **_world(agent._stream),
    }


def _world(stream: ExperienceStream) -> Arrays:
    """A resident world's state; other environments repeat what was executed."""
    return dict(zip(WORLD, stream.snapshot(), strict=True)) if isinstance(stream, ResidentStream) else {}


def save(agent: SpikingAgent, path: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint; ``extra`` is kept beside it (a run's books)."""
    episodes = running(agent)
    meta = {
        **settings(agent),
        "env": None if agent.spec is None else agent.spec.to_dict(),
        "env_id": agent.env_id,
        "num_timesteps": agent.num_timesteps,
        "total_steps": agent.total_steps,
        "exact": bool(episodes),
        "extra": dict(extra or {}),
    }
    checkpoint.write(path, meta, {**learned(agent), **episodes})


def load(
    cls: type[SpikingAgent], path: Path, env: AnyEnv | None, backend: str, trust: bool, brain: int | None = None
) -> SpikingAgent:
    """See :meth:`SpikingAgent.load`."""
    found = checkpoint.read(path)
    meta, arrays = (found.meta, found.arrays) if brain is None else _picked(found, brain)
    spec = _described(meta.get("env"), trust) if env is None else None
    agent = _rebuild(cls, meta, arrays, backend)
    agent.num_timesteps, agent.total_steps = _count(meta, "num_timesteps"), _count(meta, "total_steps")
    agent.spec = spec
    if env is not None:
        agent.set_env(env)
    if meta.get("exact") and (env is None or _same_env(agent, meta)):
        agent._resumable = judge.running(agent, arrays)
    return agent


def _picked(found: checkpoint.Checkpoint, brain: int) -> tuple[dict[str, Any], Arrays]:
    """Settings and arrays of one brain out of a checkpoint; whether they make sense is seen later."""
    meta, arrays = found.meta, found.arrays
    passing = {*RUNNING, *WORLD}
    try:
        _refuse_position(brain, len(arrays["brain"]))
        own = {name: array[brain : brain + 1] for name, array in arrays.items() if name not in passing}
        alone = dict(meta)
        if "configs" in alone:
            shared = AgentConfig().replace(alone["config"])
            alone["config"] = variety.read(shared, alone.pop("configs"), len(arrays["brain"]))[brain].to_dict()
        return alone, own | (_one_running(arrays, brain) if meta.get("exact") else {})
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, HebbitError):
            raise
        raise CheckpointError(
            f"the checkpoint has no whole brain {brain} ({brief(error)}); use another copy"
        ) from error


def _same_env(agent: SpikingAgent, meta: Mapping[str, Any]) -> bool:
    """Whether the agent's environment bears the name that the checkpoint's had."""
    if agent.spec is not None:
        return agent.spec.to_dict() == meta.get("env")
    if agent._stream is None or agent.env_id is None:
        return False
    if not (agent._stream.exact or isinstance(agent._stream, ResidentStream)):
        return False
    return meta.get("env") is None and agent.env_id == meta.get("env_id")


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
        raise CheckpointError(f"the checkpoint must name an environment, got {brief(env)}; it was damaged, use another")
    foreign = [name] if ":" in name else []
    foreign += [wrapper for wrapper in wrappers if wrapper.partition(":")[0] not in HARMLESS]
    # a text that looks like a path could make an environment read or write files
    foreign += [text for text in _texts(kwargs) if re.search(r"[/\\.:]", text)]
    if foreign and not trust:
        raise CheckpointError(
            f"the checkpoint asks for {brief(foreign[0], text=repr)}, which may import code or touch files: pass the "
            "environment, or trust it (trust=True, --trust) if you know who made the file"
        )
    return EnvSpec(name, kwargs, tuple(wrappers), env.get("resident") is True)


def _texts(value: Any) -> list[str]:
    """All texts within a JSON value, keys aside."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


def _count(meta: Mapping[str, Any], name: str) -> int:
    value = meta.get(name)
    if type(value) is not int or value < 0:
        shown = brief(value, text=repr)
        raise CheckpointError(f"the checkpoint must hold {name} >= 0, got {shown}; it was damaged, use another")
    return value


def _rebuild(
    cls: type[SpikingAgent], meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], backend: str
) -> SpikingAgent:
    """A fresh agent of the same structure with the checkpoint's arrays put in."""
    numbers = arrays.get("brain")
    if numbers is None or numbers.ndim != 1 or numbers.dtype != np.uint32 or len(numbers) == 0:
        raise CheckpointError("the checkpoint must hold at least one brain; it was damaged, use another")
    config = meta.get("config")
    if not isinstance(config, dict) or not AgentConfig().to_dict().keys() <= config.keys():
        raise CheckpointError("the checkpoint must hold a whole configuration; it was damaged, use another")
    try:
        shared = AgentConfig().replace(config)
        agent = cls(
            None,
            seed=meta.get("seed", -1),
            config=variety.read(shared, meta["configs"], len(numbers)) if "configs" in meta else shared,
            backend=backend,
            brains=[int(n) for n in numbers],
            spaces=(spaces.from_json(meta.get("observation_space")), spaces.from_json(meta.get("action_space"))),
        )
    except (BackendError, CheckpointError):
        raise
    except HebbitError as error:
        raise CheckpointError(f"the checkpoint describes no agent ({error}); it was damaged, use another") from error
    restore(agent, arrays)
    return agent


def restore(agent: SpikingAgent, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Take over what was learned; the running episodes are forgotten.

    Raises:
        CheckpointError: arrays that no such agent can have.
    """
    own = judge.learned(agent, arrays)
    brains = {name: own[name] for name in CANONICAL}
    agent._make_state(agent.state.params, brains)
    agent.encoder.restore(own)
    agent.rewards.restore(own)
    agent.structure.restore(own)
    agent.memory.restore(own)
    agent._begin_life()


def resume(agent: SpikingAgent, saved: Mapping[str, NDArray[Any]]) -> None:
    """Bring the running episodes back by repeating their actions, or a resident world by its state.

    Raises:
        HebbitError: the environment does not repeat them.
    """
    stream = agent._stream
    assert stream is not None
    books = Books(agent.memory.begun(agent.arrays(["episode"])["episode"]))
    if isinstance(stream, ResidentStream) != (WORLD[0] in saved):
        raise HebbitError(NOT_REPEATED)
    histories = _split(saved["history"], saved["history_lengths"])
    if isinstance(stream, ResidentStream):
        try:
            stream.restore(*(saved[name] for name in WORLD))
        except ValueError as error:
            raise CheckpointError(
                f"the checkpoint holds a world that cannot be ({brief(error)}); use another"
            ) from error
        observations = list(stream.world.observe(saved[WORLD[0]]))
        books.returns, books.lengths = saved["returns"].tolist(), saved[WORLD[1]].tolist()
    else:
        observations = _repeat(agent, stream, books, histories)
    repeated = agent.encoder.encode(observations, slice(None))
    if not (
        np.array_equal(repeated, saved["intensities"])
        and np.array_equal(books.returns, saved["returns"], equal_nan=True)
    ):
        raise HebbitError(NOT_REPEATED)
    books.history = [bytearray(history.tobytes()) for history in histories]
    for b, part in enumerate(_split(saved["recent"], saved["recent_lengths"])):
        books.recent[b].extend((float(total), int(length)) for total, length in part)
    agent.books, agent._intensities, agent._units = books, repeated, saved["units"]


def _repeat(agent: SpikingAgent, stream: ExperienceStream, books: Books, histories: list[NDArray[Any]]) -> list[Any]:
    """Repeat the running episodes, and note what they bring: the last observations."""
    actions = [[agent.decoder.decode(units) for units in history] for history in histories]
    seeds = [episode_seed(agent.seed, int(n), books.begun[b] - 1) for b, n in enumerate(agent.brains)]
    observations, rewards = stream.replay(seeds, actions)
    books.returns, books.lengths = [_total(each) for each in rewards], [len(each) for each in rewards]
    return observations


def _split(rows: NDArray[Any], lengths: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Rows of each brain."""
    return np.split(rows, np.cumsum(lengths)[:-1])


def _total(rewards: list[float]) -> float:
    """Sum as a running episode adds up; Python's own sum compensates rounding since 3.12."""
    total = 0.0
    for reward in rewards:
        total += reward
    return total


def extract(agent: SpikingAgent, brain: int) -> SpikingAgent:
    """See :meth:`SpikingAgent.extract`."""
    _refuse_position(brain, len(agent.brains))
    own = {name: value[brain : brain + 1] for name, value in learned(agent).items()}
    meta = {**settings(agent), "config": agent.configs[brain].to_dict()}
    meta.pop("configs", None)
    # what suited a population need not suit one brain
    alone = _rebuild(type(agent), meta, own, agent._backend_asked_for)
    alone.spec, alone.num_timesteps, alone.total_steps = agent.spec, agent.num_timesteps, agent.total_steps
    saved = running(agent)
    if saved and agent.spec is not None:
        alone._resumable = _one_running(saved, brain)
    return alone


def _refuse_position(brain: int, brains: int) -> None:
    if not isinstance(brain, int | np.integer) or not 0 <= brain < brains:
        raise HebbitError(f"brain must be one of 0..{brains - 1}, got {brief(brain, text=repr)}")


def _one_running(saved: Mapping[str, NDArray[Any]], brain: int) -> Arrays:
    """The running episode of one brain out of those of a population."""
    own = {name: saved[name][brain : brain + 1] for name in (*RUNNING, *WORLD) if name in saved}
    histories, recent = (_split(saved[name], saved[f"{name}_lengths"]) for name in ("history", "recent"))
    return {**own, "history": histories[brain], "recent": recent[brain]}
