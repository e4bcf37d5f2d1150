"""Learning while in use: the user sees calm answers, and the brain learns from them all the same.

A brain that explores answers with noise, and a brain that answers calmly explores nothing. In production every
observation is therefore shown twice. The calm pass (``Backend.predict``, deterministic) chooses the units that are
executed. The learning pass (``Backend.step``) draws spikes as in training, but these units are forced on it, so that
credit goes to what was executed. What the calm pass carries from one observation to the next is its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.agent import SpikingAgent
from hebbit.agents.books import Books
from hebbit.agents.connection import AnyEnv
from hebbit.agents.errors import HebbitError
from hebbit.agents.streams import Tick
from hebbit.agents.structure import grow
from hebbit.backends.spec import Backend, Flag, Param


class DualBackend:
    """A backend whose ``step`` answers calmly and learns from that answer; everything else passes.

    In each dimension of a Box the strongest unit's value is executed, not a mean of all: no unit stands for a mean, and
    credit must go to what was executed.
    """

    def __init__(self, backend: Backend, excitement: NDArray[np.uint8]) -> None:
        """Take what learns.

        Args:
            backend: of the agent.
            excitement: uint8 [R, W + M + L, 32], what the calm pass begins with where an episode is under way.
        """
        self.backend = backend
        self.name, self.create, self.export = backend.name, backend.create, backend.export
        self.run, self.predict, self.refill = backend.run, backend.predict, backend.refill
        self._excitement = excitement

    def step(
        self,
        state: Any,
        intensities: NDArray[np.uint8],
        rewards: NDArray[np.int32],
        flags: NDArray[np.uint8],
        forced: NDArray[np.int32] | None = None,
    ) -> NDArray[np.int32]:
        """See :class:`hebbit.backends.spec.Backend`; the calm answers are forced where nothing else is."""
        self._excitement[flags == Flag.START] = 0
        rows = np.flatnonzero((flags == Flag.START) | (flags == Flag.CONTINUE))
        if not len(rows):
            return self.backend.step(state, intensities, rewards, flags, forced)
        numbers = np.zeros(len(rows), np.uint32)
        answer = self.backend.predict(state, rows, intensities[rows], self._excitement[rows], numbers, True)
        self._excitement[rows] = answer.excitement
        calm = np.full((len(flags), answer.actions.shape[1]), -1, np.int32)
        calm[rows] = answer.actions
        if forced is not None:
            calm = np.where(forced < 0, calm, forced).astype(np.int32)
        return self.backend.step(state, intensities, rewards, flags, calm)


def dual_backend(agent: SpikingAgent) -> DualBackend:
    """What answers calmly for an agent.

    Raises:
        HebbitError: it is in production already.
    """
    if isinstance(agent.backend, DualBackend):
        raise HebbitError("this agent is in production already: leave the other in_production() first")
    return DualBackend(agent.backend, agent.arrays(["excitement"])["excitement"])


@contextmanager
def in_production(agent: SpikingAgent) -> Iterator[SpikingAgent]:
    """Within this block ``agent.learn`` executes calm answers and learns from them, with all that it otherwise does.

    A checkpoint goes on with its episode as ever, but the calm pass then begins with what the learning pass carries.

    Raises:
        HebbitError: the agent is in production already.
    """
    backend = agent.backend
    agent.backend = dual_backend(agent)
    try:
        yield agent
    finally:
        agent.backend = backend


def pace(agent: SpikingAgent, step: float) -> None:
    """Let all brains of an agent change what they do by smaller steps than its settings say, until it is loaded anew.

    The critic's steps stay as they are.

    Args:
        agent: whose steps they are.
        step: share of the actor's and the learning words' steps, 0..1.

    Raises:
        HebbitError: another share.
    """
    if not 0 <= step <= 1:
        raise HebbitError(f"step must lie in 0..1, a share of the steps in training, got {step}")
    params = np.stack([config.params() for config in agent.configs])
    for column in (Param.ACTOR_RATE, Param.INNER_RATE):
        params[..., column] = np.rint(params[..., column] * float(step))
    agent._make_state(params, agent.arrays())


class Production:
    """An agent in use, where the user's own loop brings the observations.

    ``begin`` answers the first observation of an episode, ``act`` every further one, and ``end`` takes the last::

        live = Production(agent)
        action = live.begin(observation)
        action = live.act(observation, reward)
        live.end(observation, reward, terminated=True)
    """

    def __init__(self, agent: SpikingAgent, step: float = 1.0) -> None:
        """Take an agent of one brain; ``agent.save`` saves it as ever.

        Args:
            agent: that is to serve.
            step: see :func:`pace`; a quarter keeps answers that are good already.

        Raises:
            HebbitError: it has more brains than one, or the step is no share.
        """
        if len(agent.brains) != 1:
            raise HebbitError(
                f"an agent in production has one brain, got {len(agent.brains)}: extract the one that is to serve, or "
                "let all of them learn with in_production()"
            )
        pace(agent, step)
        self.agent = agent
        self._books: Books | None = None
        """Those that we keep: whoever else lets the agent learn opens new ones."""
        self._dual: DualBackend | None = None
        """Only while an episode runs."""

    def begin(self, observation: Any) -> Any:
        """The action for the first observation of an episode; one that runs is given up.

        Raises:
            HebbitError: the agent is in production elsewhere.
            ObservationError: it does not fit the agent's observations; no episode runs then.
        """
        agent, dual = self.agent, dual_backend(self.agent)
        self._dual = None
        if self._books is not agent.books:
            agent._begin_life()
            self._books = agent.books
        # of an episode that is given up
        agent.books.returns[0], agent.books.lengths[0] = 0.0, 0
        action = self._show(dual, observation, 0.0, Flag.START)
        agent.books.begun[0] += 1
        self._dual = dual
        return action

    def act(self, observation: Any, reward: float) -> Any:
        """The next action.

        Args:
            observation: what the last action led to.
            reward: what it earned.

        Raises:
            HebbitError: no episode runs.
            ObservationError: the observation does not fit, or the reward is not finite; nothing was learned.
        """
        return self._met(observation, reward, Flag.CONTINUE)

    def end(self, observation: Any, reward: float, *, terminated: bool) -> None:
        """Learn from the last reward.

        Args:
            observation: what the last action led to.
            reward: what it earned.
            terminated: the episode ended for good; otherwise it was only cut short, and could have gone on.

        Raises:
            HebbitError: no episode runs.
            ObservationError: the observation does not fit, or the reward is not finite; nothing was learned.
        """
        self._met(observation, reward, Flag.TERMINATED if terminated else Flag.TRUNCATED)
        self._dual = None

    def learn(self, total_timesteps: int, env: AnyEnv | None = None, **settings: Any) -> "Production":
        """Let the agent serve in an environment of Gymnasium.

        Args:
            total_timesteps: steps to make.
            env: from now on the agent's; None keeps the one that it has.
            settings: further arguments of :meth:`SpikingAgent.learn`.

        Raises:
            HebbitError: there is no environment, or it has other spaces.
        """
        if env is not None:
            self.agent.set_env(env)
        with in_production(self.agent) as agent:
            agent.learn(total_timesteps, **settings)
        return self

    def _met(self, observation: Any, reward: float, flag: Flag) -> Any:
        """Show what the last action led to, and note it in the books: the next action."""
        agent = self.agent
        if self._dual is None:
            raise HebbitError("no episode runs: call begin with its first observation")
        if self._books is not agent.books:
            raise HebbitError("the agent has learned elsewhere since: call begin with a first observation")
        action = self._show(self._dual, observation, reward, flag)
        agent.num_timesteps += 1
        agent.total_steps += 1
        grow(agent)
        agent.books.met(Tick((observation,), (float(reward),), np.array([flag], np.uint8), {}))
        return action

    def _show(self, dual: DualBackend, observation: Any, reward: float, flag: Flag) -> Any:
        """Answer calmly and learn."""
        agent, backend = self.agent, self.agent.backend
        agent.backend = dual
        try:
            units = agent._show((observation,), (reward,), np.array([flag], np.uint8))
        finally:
            agent.backend = backend
        return agent.decoder.decode(units[0])
