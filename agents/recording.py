"""What a brain does while it plays, answers or learns, presentation by presentation, in bounded memory.

The agent's own backend answers; a twin (:mod:`hebbit.agents.twin`) repeats each presentation that is kept to see its
spikes, and what both say is compared: a recording is what the agent did, or there is none.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents.agent import SpikingAgent
from hebbit.agents.callbacks import BaseCallback
from hebbit.agents.connection import refuse_shared
from hebbit.agents.environment import EnvSpec, checked_seed, episode_seed, whole
from hebbit.agents.errors import BackendError, HebbitError, ObservationError
from hebbit.agents.evaluation import EPISODE_LIMIT, carried
from hebbit.agents.tape import (
    CUT,
    RUNNING,
    TERMINATED,
    TRUNCATED,
    Recording,
    Tally,
    Tape,
    columns,
    flattened,
    halves,
    packed,
)
from hebbit.agents.taps import Heard, tapped
from hebbit.agents.twin import Seen, Twin
from hebbit.backends.equations import Clock
from hebbit.backends.spec import LANES, ONE_GAMMA, Arrays, Flag, Param, Prediction, Stream

__all__ = ["CUT", "RUNNING", "TERMINATED", "TRUNCATED", "BrainRecorder", "Recording", "RecordingCallback"]

Env = gym.Env[Any, Any]
OnStep = Callable[[Env], None]
State = tuple[NDArray[np.uint8], ...]


@dataclass
class _Open:
    """A presentation whose consequences are not known yet."""

    value: NDArray[np.int32]
    """[K]."""
    place: int | None
    """On the tape, if it is kept."""
    excitement: NDArray[np.uint8]
    """[1, W, 32], after it."""
    number: int
    """Of the random words that the next answer draws."""
    deterministic: bool
    reward: int | None = None
    """In the brain's units, once it is told."""


class BrainRecorder:
    """Keeps what one brain of an agent does: the latest presentations, or every k-th, in a ring of fixed size.

    ::

        recorder = BrainRecorder(agent, capacity=500)
        played = recorder.play(steps=500)
        print(played.counts("pool").mean(axis=0), recorder.nbytes)
        with recorder.learning():
            agent.learn(1000)
        learned = recorder.recording()
    """

    def __init__(self, agent: SpikingAgent, capacity: int = 1000, every: int = 1) -> None:
        """Watch the brain that predicts (``agent.active``).

        Args:
            agent: is not changed by being watched.
            capacity: presentations kept; older ones are overwritten. :attr:`nbytes` says what this takes.
            every: keep every k-th presentation alone; the others pass at the speed of the backend.
        """
        self.agent, self.brain = agent, agent.active
        self.every = whole(every, "every")
        if not self.every or not whole(capacity, "capacity"):
            raise HebbitError(f"capacity and every must be at least 1, got {capacity} and {every}")
        self.tape = Tape(agent, whole(capacity, "capacity"))
        self.presentations = 0
        """Seen so far, kept or not."""
        self.episodes = 0
        """Begun so far."""
        self.tally = Tally()
        """Returns and ends of the episodes, over all presentations."""
        self._open: _Open | None = None
        self._twin: Twin | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the ring: for each presentation about 4 C (D + W + A) of spikes and 16 W + 32 D of states."""
        return self.tape.nbytes

    @property
    def columns(self) -> list[str]:
        """Names of the observation's numbers."""
        return columns(self.agent)

    def clear(self) -> None:
        """Forget what was recorded and count from 0."""
        self.presentations = self.episodes = self.tape.written = 0
        self.tally = Tally()
        self._open = None

    def recording(self) -> Recording:
        """What was recorded, copied, oldest first; the latest TD error is known with the next presentation."""
        agent = self.agent
        gamma = float(agent.state.params[self.brain, 0, Param.GAMMA]) / ONE_GAMMA
        unit = agent.rewards.gauges[self.brain].unit or 1.0
        return Recording(**self.tape.unrolled(), groups=agent.decoder.groups, unit=unit, gamma=gamma)

    def predict(
        self,
        observation: Any,
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, State]:
        """Answer one observation as :meth:`SpikingAgent.predict` does, in the same bits, and keep what happened.

        Tell the recorder with :meth:`met` what came of it, or reward and TD error stay NaN.
        """
        agent = self.agent
        if agent.encoder.as_batch(observation) is not None:
            raise ObservationError("a recorder answers one observation at a time, got a batch")
        excitement = carried(state, episode_start, (1, agent.brain_config.carried_words, LANES))
        fresh = state is None or bool(np.any(episode_start))
        number = agent._predictions
        agent._predictions += not deterministic
        self._know(agent.arrays())
        return self._answer(observation, excitement, number, deterministic, fresh)

    def met(self, reward: float, terminated: bool = False, truncated: bool = False, observation: Any = None) -> None:
        """Tell what came of the latest action.

        Args:
            reward: as the environment gave it.
            terminated: the episode ended for good.
            truncated: it was cut short.
            observation: the last one, where it was cut short: the TD error counts its value.

        Raises:
            HebbitError: there is no answer that this could belong to.
        """
        if self._open is None or self._open.reward is not None:
            raise HebbitError("met tells what came of an answer, once: call predict of this recorder before")
        self._met(reward, TERMINATED if terminated else TRUNCATED if truncated else RUNNING, observation)

    def play(
        self,
        env: Env | EnvSpec | str | None = None,
        steps: int = 1000,
        *,
        episodes: int | None = None,
        deterministic: bool = True,
        seed: int | None = None,
        on_step: OnStep | None = None,
    ) -> Recording:
        """Play without learning: the episodes of :meth:`SpikingAgent.evaluate`, in the same bits.

        Args:
            env: to play in; by default one of the agent's own kind.
            steps: at most so many; the episode that is running then is cut.
            episodes: at most so many.
            deterministic: the strongest unit instead of a spike drawn at random.
            seed: of the episodes; by default the agent's.
            on_step: called with the environment before every action (to render, or to count).
        """
        agent = self.agent
        named = agent.spec if env is None else EnvSpec(env) if isinstance(env, str) else env
        if named is None:
            raise HebbitError("play needs an environment here: pass one, or make the agent from an id")
        refuse_shared(named, agent.get_env())
        seed = agent.seed if seed is None else checked_seed(seed)
        left = whole(steps, "steps")
        own = named.make() if isinstance(named, EnvSpec) else named
        self._know(agent.arrays())
        try:
            number = 0
            for episode in itertools.count() if episodes is None else range(whole(episodes, "episodes")):
                if number >= left:
                    break
                start = episode_seed(seed, int(agent.brains[self.brain]), episode, evaluation=True)
                observation, _ = own.reset(seed=start)
                number += self._episode(own, observation, (number, left), deterministic, on_step)
        finally:
            self._open = None
            if own is not named:
                own.close()
        return self.recording()

    def _episode(
        self, env: Env, observation: Any, bounds: tuple[int, int], deterministic: bool, on_step: OnStep | None
    ) -> int:
        """Play the episode that has begun; its steps."""
        first, most = bounds[0], min(bounds[1] - bounds[0], EPISODE_LIMIT)
        state: State = (carried(None, None, (1, self.agent.brain_config.carried_words, LANES)),)
        for step in range(most):
            if on_step is not None:
                on_step(env)
            action, state = self._answer(observation, state[0], first + step, deterministic, step == 0)
            observation, reward, terminated, truncated, _ = env.step(action)
            end = TERMINATED if terminated else TRUNCATED if truncated else CUT if step + 1 == most else RUNNING
            self._met(float(reward), end, observation)
            if end != RUNNING:
                break
        return step + 1

    @contextmanager
    def learning(self) -> Iterator["BrainRecorder"]:
        """Within this block, ``agent.learn`` is recorded; of an episode that is running already, the rest of it.

        The TD error is the dopamine that the brain learns from. With the CuPy backend each step that is recorded
        fetches the brains from the device.
        """
        self._open = None
        with tapped(self.agent, self.brain, self._learned, self._busy):
            try:
                yield self
            finally:
                self._open = None

    def callback(self) -> "RecordingCallback":
        """A callback for ``agent.learn`` that records as :meth:`learning` does, from the second presentation on."""
        return RecordingCallback(self)

    def _know(self, arrays: Arrays) -> Twin:
        """Have a twin with these weights."""
        agent, twin = self.agent, self._twin
        if twin is None or not twin.is_still(agent.seed, arrays):
            params = np.asarray(agent.state.params[self.brain], np.int32)
            self._twin = twin = Twin(agent.brain_config, params, agent.seed, arrays, self.brain)
        twin.take_weights(arrays)
        return twin

    def _answer(
        self, observation: Any, excitement: NDArray[np.uint8], number: int, deterministic: bool, fresh: bool
    ) -> tuple[Any, State]:
        """Let the backend answer and keep what its twin sees."""
        agent, twin = self.agent, self._twin
        assert twin is not None
        intensities = agent.encoder.encode([observation], np.array([self.brain], np.intp))
        answer = self._predict(intensities, excitement, number, deterministic)
        volley, units, value, after = (part[0] for part in (answer.volley, answer.actions, answer.values, answer[4]))
        action = agent.decoder.decode_mean(volley, units) if deterministic else agent.decoder.decode(units)
        fresh_number = fresh or self._open is None
        self._close(None if fresh else value)
        place = None
        if self._due():
            clock = Clock(0 if deterministic else number, Stream.EVALUATION, twin.key, deterministic)
            seen = twin.show(intensities[0].astype(np.int32), excitement[0].astype(np.int32), clock)
            self._compare(seen, units=units, volley=volley, value=value, excitement=after, spikes=answer.spikes[0])
            place = self._keep(seen, observation, intensities[0], action)
        self._begin(_Open(value, place, answer.excitement, number + 1, deterministic), fresh, fresh_number)
        return action, (answer.excitement,)

    def _predict(
        self, intensities: NDArray[np.uint8], excitement: NDArray[np.uint8], number: int, deterministic: bool
    ) -> Prediction:
        rows, numbers = np.array([self.brain], np.int64), np.array([number], np.uint32)
        return self.agent.backend.predict(self.agent.state, rows, intensities, excitement, numbers, deterministic)

    def _met(self, reward: float, end: int, observation: Any) -> None:
        """Note the reward; an episode that ended has no next answer, so its value is found now."""
        opened, agent = self._open, self.agent
        assert opened is not None
        opened.reward = agent.rewards.integer(self.brain, reward)
        self.tally.met(reward, end)
        if opened.place is not None:
            self.tape.amend(opened.place, {"reward": reward, "end": end})
        if end == TERMINATED:
            self._close(np.zeros_like(opened.value))
        elif end != RUNNING:
            after = None
            if observation is not None and opened.place is not None:
                intensities = agent.encoder.encode([observation], np.array([self.brain], np.intp))
                after = self._predict(intensities, opened.excitement, opened.number, opened.deterministic).values[0]
            self._close(after)

    def _learned(self, heard: Heard) -> None:
        """Note a step of the brain while it learns."""
        row, opened = self.brain, self._open
        # nothing of a presentation that is not kept is asked for again
        value = heard.after["value"][row] if heard.after else np.zeros(0, np.int32)
        fresh_number = heard.flag == Flag.START or opened is None
        if heard.flag != Flag.START and opened is not None:
            opened.reward = heard.reward
            end = {Flag.TERMINATED: TERMINATED, Flag.TRUNCATED: TRUNCATED}.get(Flag(heard.flag), RUNNING)
            self.tally.met(heard.told, end)
            if opened.place is not None:
                self.tape.amend(opened.place, {"reward": heard.told, "end": end})
            self._close(value)
        self._close(None)
        if heard.flag not in (Flag.START, Flag.CONTINUE):
            return
        place = self._seen_learning(heard) if self._due() else None
        self._begin(_Open(value, place, np.zeros(0, np.uint8), 0, False), heard.flag == Flag.START, fresh_number)

    def _seen_learning(self, heard: Heard) -> int:
        """Keep a presentation of a brain that learns: with the weights from before it."""
        row, before, after = self.brain, heard.before, heard.after
        twin = self._know(before)
        excitement = before["excitement"][row].astype(np.int32) * (heard.flag != Flag.START)
        clock = Clock(int(before["presentation"][row]), 0, twin.key, False)
        seen = twin.show(heard.intensities.astype(np.int32), excitement, clock)
        self._compare(seen, units=heard.units, value=after["value"][row], excitement=after["excitement"][row])
        return self._keep(seen, heard.observation, heard.intensities, self.agent.decoder.decode(heard.units))

    def _due(self) -> bool:
        """Whether the next presentation is one to keep."""
        return self.presentations % self.every == 0

    def _busy(self) -> bool:
        """Whether what happens next is to be kept, or is the consequence of something kept."""
        return self._due() or (self._open is not None and self._open.place is not None)

    def _compare(self, seen: Seen, **said: Any) -> None:
        """Refuse to keep what did not happen.

        Raises:
            BackendError: the backend said something else.
        """
        own = {**seen._asdict(), "units": seen.actions, "value": seen.values}
        for name, value in said.items():
            if not np.array_equal(value, own[name]):
                raise BackendError(
                    f"the backend {self.agent.backend.name} and the specification differ in {name} at presentation "
                    f"{self.presentations}: run python -m hebbit.scripts.conformance and report what it says"
                )

    def _keep(self, seen: Seen, observation: Any, intensities: NDArray[np.uint8], action: Any) -> int:
        """Write a presentation to the tape, its consequences unknown; its place."""
        row = {
            "observation": flattened(self.agent, observation),
            "intensities": intensities,
            **{kind: packed(getattr(seen, kind)) for kind in ("sensory", "pool", "motor")},
            "excitement": halves(seen.excitement[: self.agent.brain_config.pool_words]),
            "volley": seen.volley,
            "chances": seen.chances,
            "value": seen.values,
            "units": seen.actions,
            "action": np.ravel(action),
            **{"reward": np.nan, "td": np.nan, "end": RUNNING},
        }
        return self.tape.append(row)

    def _begin(self, opened: _Open, start: bool, fresh_number: bool) -> None:
        """Count a presentation whose consequences are to come."""
        self.episodes += fresh_number
        if start or fresh_number:
            self.tally.begin(start)
        if opened.place is not None:
            known = {"start": start, "episode": self.episodes - 1, "number": self.presentations}
            self.tape.amend(opened.place, known)
        self.presentations += 1
        self._open = opened

    def _close(self, value: NDArray[np.int32] | None) -> None:
        """The value of what follows is known, or will never be."""
        opened, self._open = self._open, None
        if opened is not None and opened.reward is None:
            self.tally.begin(False)
        if opened is None or opened.place is None or value is None or opened.reward is None:
            return
        gamma = self.agent.state.params[self.brain, :, Param.GAMMA].astype(np.int64)
        discounted = gamma * value // ONE_GAMMA
        self.tape.amend(opened.place, {"td": opened.reward + discounted - opened.value})


class RecordingCallback(BaseCallback):
    """Records while an agent learns; made by :meth:`BrainRecorder.callback`."""

    def __init__(self, recorder: BrainRecorder) -> None:
        """Take the recorder."""
        super().__init__()
        self.recorder = recorder
        self._stack = ExitStack()

    def _on_training_start(self) -> None:
        self.close()
        self._stack.enter_context(self.recorder.learning())

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening: needed only where ``learn`` ended by an exception."""
        self._stack.close()
