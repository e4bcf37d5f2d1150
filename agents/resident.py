"""Resident runs of an agent: its brains live in a world that is compiled along with them.

The bits are those of :meth:`SpikingAgent.learn` over the same environment, step by step; only the way is shorter.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents.environment import checked_seed, whole
from hebbit.agents.errors import HebbitError, brief
from hebbit.agents.fading import EVERY as FADING_EVERY
from hebbit.agents.rewards import FIELDS, Gauge
from hebbit.agents.streams import ResidentStream
from hebbit.agents.structure import grow
from hebbit.backends.resident import RECENT, Life, Real, ResidentBackend, Whole, empty

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent
    from hebbit.agents.progress import Progress

CHUNK = 10_000
"""Steps after which a call of learn looks up."""
GAUGE = {"total": Real.TOTAL, "ends": Real.ENDS, "size": Real.SIZE, "largest": Real.LARGEST, "unit": Real.UNIT}
RANGES = {"mean": Real.MEAN, "square": Real.SQUARE, "low": Real.LOW, "scale": Real.SCALE}


def why_not(agent: SpikingAgent, learning: bool = True) -> str | None:
    """What keeps an agent from a resident run, or from a trial, which learns nothing; or None."""
    if not isinstance(agent._stream, ResidentStream):
        return (
            "its environment must be resident: EnvSpec(id, resident=True), or hebbit.envs.make_resident with "
            "autoreset_mode=AutoresetMode.DISABLED"
        )
    if not hasattr(agent.backend, "live"):
        return f"the backend {agent.backend.name} steps brains one observation at a time; use numba or cupy"
    if learning and agent.config.replay_steps:
        return f"replay_steps must be 0, got {agent.config.replay_steps}"
    return None


def learn(agent: SpikingAgent, steps: int, interval: int, progress: Progress) -> None:
    """What :meth:`SpikingAgent.learn` does where nobody looks at single steps; the progress is told now and then."""
    while steps:
        some = min(steps, interval or CHUNK, CHUNK)
        live(agent, some)
        progress.step(some)
        steps -= some


def live(agent: SpikingAgent, steps: int, awake: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Let the brains act and learn for this many steps each, from where they are.

    Args:
        agent: with running episodes (see :meth:`SpikingAgent.learn`); changed.
        steps: of each brain.
        awake: [R], brains that live on; the others are left as they are. None for all.

    Returns:
        [R]: episodes that have ended.

    Raises:
        HebbitError: the agent cannot live there.
    """
    steps, everyone = whole(steps, "steps"), _awake(agent, awake)
    _refuse(agent, "run")
    if agent._units is None:
        raise HebbitError("a resident run goes on with running episodes: call learn first, learn(0) begins them")
    changing = paces(agent)
    if changing and not everyone.all():
        raise HebbitError("brains that are re-wired or that fade must live together: leave none asleep")
    ended = np.zeros(len(agent.brains), np.int64)
    while steps:
        clock = agent.structure.clock
        some = min(steps, *(pace - clock % pace for pace in changing)) if changing else steps
        ended += _live(agent, some, everyone)
        steps -= some
        if changing:
            agent.structure.clock += some - 1
            grow(agent)
    return ended


def _refuse(agent: SpikingAgent, what: str) -> None:
    """Connect the environment that the agent was made from, and see whether it can live there."""
    agent._connect()
    problem = why_not(agent, what == "run")
    if problem:
        raise HebbitError(f"a resident {what} is not possible: {problem}")


def _awake(agent: SpikingAgent, awake: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    brains = len(agent.brains)
    chosen = np.ones(brains, np.bool_) if awake is None else np.asarray(awake)
    if chosen.shape != (brains,) or chosen.dtype != np.bool_:
        raise HebbitError(f"awake must be {brains} truth values, one for each brain, got {brief(chosen.tolist())}")
    return chosen


def _backend(agent: SpikingAgent) -> ResidentBackend:
    """The backend, which has been looked at."""
    return cast(ResidentBackend, agent.backend)


def paces(agent: SpikingAgent) -> list[int]:
    """Steps between two looks of the host at the brains' structure; none where nothing changes it."""
    structure = agent.structure
    return ([structure.every] if structure.every else []) + ([FADING_EVERY] if structure.fading else [])


def warm_up(agent: SpikingAgent) -> None:
    """Compile what a resident run needs, or read it from disk; nothing else happens.

    Raises:
        HebbitError: the agent cannot live there.
    """
    _refuse(agent, "run")
    trial(agent, 0, brains=[])
    _backend(agent).live(agent.state, embark(agent))


def _live(agent: SpikingAgent, steps: int, awake: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One call of the backend."""
    life = embark(agent)
    life.whole[:, Whole.STEPS] = np.where(awake, steps, 0)
    try:
        _backend(agent).live(agent.state, life)
    except KeyboardInterrupt:
        # compiled steps are made to the end before anybody hears of it
        _made(agent, life, steps)
        raise
    _made(agent, life, steps)
    ended: NDArray[np.int64] = life.whole[:, Whole.ENDED]
    return ended


def _made(agent: SpikingAgent, life: Life, steps: int) -> None:
    """Books, worlds and ranges belong to the brains that the backend has changed."""
    _disembark(agent, life)
    agent.num_timesteps += steps
    agent.total_steps += steps


def embark(agent: SpikingAgent) -> Life:
    """The rows of an agent's brains and worlds; the rings of episodes are empty."""
    stream = agent._stream
    assert isinstance(stream, ResidentStream)
    state, elapsed = stream.snapshot()
    brains, world = len(agent.brains), stream.world
    life = empty(world, brains, agent.encoder.table, preferred(agent))
    real, whole, config = life.real, life.whole, agent.config
    real[:, Real.STATE : Real.STATE + state.shape[1]] = state
    real[:, Real.OUT : Real.OUT + world.values] = world.observe(state)
    whole[:, Whole.ELAPSED] = elapsed
    if agent._units is not None:
        whole[:, Whole.UNIT] = agent._units[:, 0]
    _ranges_aboard(agent, life)
    real[:, Real.GAMMA], real[:, Real.SPAN] = agent.rewards.gammas, agent.rewards.spans
    for name, place in GAUGE.items():
        real[:, place] = [getattr(gauge, name) for gauge in agent.rewards.gauges]
    whole[:, Whole.REWARDS] = [gauge.seen for gauge in agent.rewards.gauges]
    whole[:, Whole.AGE] = [gauge.age for gauge in agent.rewards.gauges]
    whole[:, Whole.FOLLOWS] = agent.rewards.adaptive
    whole[:, Whole.OPTIMISM] = [round(own.optimism) for own in agent.configs]
    real[:, Real.RETURN], whole[:, Whole.BEGUN] = agent.books.returns, agent.books.begun
    if isinstance(agent.action_space, spaces.Box):
        life.bounds = float(agent.action_space.low[0]), float(agent.action_space.high[0])
        life.mean = config.box_decode == "mean"
    return life


def preferred(agent: SpikingAgent) -> NDArray[np.float64]:
    """What each motor unit does in the world, as it is executed and as it is averaged: [2, units]."""
    actions = [agent.decoder.decode(np.array([unit], np.int32)) for unit in range(agent.decoder.groups[0])]
    executed = np.array([float(np.asarray(action).reshape(())) for action in actions])
    exact = agent.decoder.preferred[0] if isinstance(agent.action_space, spaces.Box) else executed
    return np.stack([executed, exact])


def _ranges_aboard(agent: SpikingAgent, life: Life) -> None:
    encoder, tuned = agent.encoder, agent.encoder.tuned
    encoder._sync()
    for name, place in RANGES.items():
        life.real[:, place : place + tuned] = getattr(encoder, name)
    life.real[:, Real.DEVIATIONS] = agent.config.range_deviations
    life.whole[:, Whole.SEEN] = encoder.seen
    life.whole[:, Whole.WARMUP] = agent.config.warmup if encoder.adaptive.any() else 0
    life.whole[:, Whole.ADAPTIVE] = int((encoder.adaptive.astype(np.int64) << np.arange(tuned)).sum())


def _disembark(agent: SpikingAgent, life: Life) -> None:
    """Bring agent, environment and books up to date with the rows."""
    stream, encoder, tuned = agent._stream, agent.encoder, agent.encoder.tuned
    assert isinstance(stream, ResidentStream)
    real, whole = life.real, life.whole
    stream.restore(real[:, Real.STATE : Real.OUT].copy(), whole[:, Whole.ELAPSED].copy())
    own: dict[str, NDArray[Any]] = {
        f"encoder_{name}": real[:, place : place + tuned].copy() for name, place in RANGES.items()
    }
    encoder.restore({**own, "encoder_seen": whole[:, Whole.SEEN].copy()})
    counted = {"seen": Whole.REWARDS, "age": Whole.AGE}
    columns = [real[:, GAUGE[name]] if name in GAUGE else whole[:, counted[name]] for name in FIELDS]
    agent.rewards.gauges = [Gauge(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    _books_ashore(agent, life)
    # ranges have not moved since it was encoded, so this is what the brains saw
    observations: Any = real[:, Real.OUT : Real.OUT + life.world.values].astype(np.float32)
    agent._intensities = encoder.encode(observations, slice(None))
    agent._units = whole[:, Whole.UNIT : Whole.UNIT + 1].astype(np.int32)


def _books_ashore(agent: SpikingAgent, life: Life) -> None:
    books, real, whole = agent.books, life.real, life.whole
    books.returns, books.lengths = real[:, Real.RETURN].tolist(), whole[:, Whole.ELAPSED].tolist()
    books.begun = whole[:, Whole.BEGUN].tolist()
    ended = whole[:, Whole.ENDED]
    known = np.minimum(ended, RECENT)
    rows = np.repeat(np.arange(len(ended)), known)
    # in a full ring the oldest is where the next one goes
    places = (np.repeat(ended - known.cumsum(), known) + np.arange(len(rows))) % RECENT
    totals, lengths = real[rows, Real.RETURNS + places].tolist(), whole[rows, Whole.LENGTHS + places].tolist()
    episodes = zip(totals, lengths, strict=True)
    for recent, number in zip(books.recent, known.tolist(), strict=True):
        recent.extend(islice(episodes, number))


def trial(
    agent: SpikingAgent, episodes: int, deterministic: bool = True, brains: Any = None, seed: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns and lengths [brains, episodes] of episodes in the resident world, without learning.

    Args:
        agent: it stays as it is.
        episodes: of each brain, with the seeds that :func:`hebbit.agents.evaluation.evaluate` would use.
        deterministic: the strongest unit, without noise.
        brains: positions, all of them if None; none twice.
        seed: of the episodes; None takes the agent's.

    Raises:
        HebbitError: the agent cannot live there.
    """
    _refuse(agent, "trial")
    rows = _rows(agent, brains)
    chosen = checked_seed(agent.seed if seed is None else seed)
    life = embark(agent)
    return _backend(agent).trial(agent.state, life, rows, whole(episodes, "episodes"), chosen, deterministic)


def _rows(agent: SpikingAgent, brains: Any) -> NDArray[np.int64]:
    """Positions of brains, each of them once: compiled code believes them."""
    number = len(agent.brains)
    rows = np.arange(number) if brains is None else np.asarray(brains)
    given = rows.tolist()
    sound = rows.ndim == 1 and (rows.dtype.kind in "iu" or not rows.size) and len(set(given)) == len(given)
    if not sound or any(not 0 <= row < number for row in given):
        raise HebbitError(f"brains must be different positions of 0..{number - 1}, got {brief(given)}")
    return rows.astype(np.int64)
