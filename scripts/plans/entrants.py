"""Who is evaluated: brains of hebbit runs and models of Stable-Baselines3, and how each answers under a condition."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents import SpikingAgent
from hebbit.agents.environment import EnvSpec, episode_seed
from hebbit.agents.errors import HebbitError
from hebbit.agents.evaluation import EPISODE_LIMIT, Policy
from hebbit.agents.leaves import LANES
from hebbit.agents.trained import PREFIX, located
from hebbit.backends.spec import Prediction
from hebbit.scripts.bench.suites import BASELINES
from hebbit.scripts.evaluate import load as load_run
from hebbit.scripts.plans.damage import Damage, Stage
from hebbit.scripts.plans.plan import Condition, Plan
from hebbit.scripts.plans.worlds import Kind, Packed, stream

Env = gym.Env[Any, Any]
HEBBIT = "hebbit"


class NotApplicableError(Exception):
    """A condition that means nothing to an entrant; the text says why."""


class Entrant(Protocol):
    """One line of the table's left edge."""

    @property
    def run(self) -> str:
        """As the user named it."""

    @property
    def brain(self) -> int | None:
        """Number of the brain, where a run has several."""

    @property
    def algorithm(self) -> str:
        """hebbit, ppo, ..."""

    @property
    def seed(self) -> int | None:
        """That it was trained with, where that is known."""

    @property
    def digest(self) -> str:
        """SHA-256 of the agent, or of the model's file."""

    def dress(self, env: Env) -> Env:
        """The environment as it answers to it.

        Raises:
            HebbitError: other spaces than it was trained in.
        """

    def policy(self, condition: Condition, plan: Plan) -> Policy:
        """Fresh, at the beginning of the plan's episodes.

        Raises:
            NotApplicableError: the condition means nothing to it.
        """


def _refuse_space(what: str, own: gym.Space[Any], wanted: gym.Space[Any]) -> None:
    if own != wanted:
        raise HebbitError(f"its {what} are {own} here, but it was trained with {wanted}")


@dataclass(frozen=True)
class Brain:
    """One spiking brain."""

    run: str
    brain: int | None
    agent: SpikingAgent
    """Of a single brain."""
    digest: str
    algorithm: str = HEBBIT

    @property
    def seed(self) -> int:
        """See Entrant."""
        return self.agent.seed

    def dress(self, env: Env) -> Env:
        """See Entrant."""
        _refuse_space("observations", env.observation_space, self.agent.observation_space)
        _refuse_space("actions", env.action_space, self.agent.action_space)
        return Packed(env)

    def policy(self, condition: Condition, plan: Plan) -> Policy:
        """See Entrant."""
        agent = self.agent
        if condition.cycles is not None and condition.cycles != agent.config.cycles:
            agent = with_cycles(agent, condition.cycles)
        damage = Damage(condition.dropped_spikes, condition.spurious_spikes, condition.lesion, plan.seed)
        return Mind(agent, Stage(agent, damage) if condition.damages_spikes else None, plan.seed)


def with_cycles(agent: SpikingAgent, cycles: int) -> SpikingAgent:
    """The same brains with presentations of another length: nothing that they have learned depends on it."""
    twin = SpikingAgent(
        None,
        seed=agent.seed,
        config=agent.config.replace({"cycles": cycles}),
        backend=agent.backend.name,
        brains=[int(number) for number in agent.brains],
        spaces=(agent.observation_space, agent.action_space),
    )
    twin.set_parameters(agent.get_parameters())
    return twin


@dataclass
class Memory:
    """What a mind keeps of episodes side by side."""

    excitement: NDArray[np.uint8]
    """[episodes, W, 32]"""
    presentations: NDArray[np.int64]
    """[episodes]: of the next answer; numbers its random words."""
    chances: list[np.random.Generator]
    """For the spikes of each episode."""


class Mind:
    """A brain that plays episodes in their order; each is a function of its own number alone.

    They are those of brain 0, whatever the brain's own number is: all rows play the same ones.
    """

    def __init__(self, agent: SpikingAgent, stage: Stage | None, seed: int) -> None:
        """Let an agent of one brain answer, on its backend or on a stage where its spikes are damaged."""
        self.agent, self.stage, self._seed, self._next = agent, stage, seed, 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[list[Any], Memory]:
        """Actions for a batch of :class:`Packed` observations; without a state, their episodes are the next ones."""
        observations = list(observation)
        memory = self._begin(len(observations)) if state is None else state
        agent, n = self.agent, len(observations)
        intensities = agent.encoder.encode(observations, np.zeros(n, np.intp))
        answer = self._answer(intensities, memory, deterministic)
        memory.excitement = answer.excitement
        memory.presentations += 1
        decode, pairs = agent.decoder, zip(answer.volley, answer.actions, strict=True)
        return [decode.decode_mean(v, u) if deterministic else decode.decode(u) for v, u in pairs], memory

    def _begin(self, n: int) -> Memory:
        episodes = np.arange(self._next, self._next + n)
        self._next += n
        seeds = [episode_seed(self._seed, 0, int(episode), evaluation=True) for episode in episodes]
        excitement = np.zeros((n, self.agent.brain_config.carried_words, LANES), np.uint8)
        return Memory(excitement, episodes * EPISODE_LIMIT, [stream(Kind.SPIKES, seed) for seed in seeds])

    def _answer(self, intensities: NDArray[np.uint8], memory: Memory, calm: bool) -> Prediction:
        numbers = (memory.presentations & 0xFFFFFFFF).astype(np.uint32)
        if self.stage is not None:
            return self.stage.predict(intensities, memory.excitement, numbers, calm, memory.chances)
        rows = np.zeros(len(intensities), np.int64)
        backend, state = self.agent.backend, self.agent.state
        return backend.predict(state, rows, intensities, memory.excitement, numbers, calm)


@dataclass(frozen=True)
class Model:
    """A model of Stable-Baselines3."""

    run: str
    algorithm: str
    model: Policy
    seed: int | None
    digest: str
    brain: None = None

    @property
    def inner(self) -> Any:
        """Without what normalises its observations and draws its actions."""
        return _innermost(self.model)

    def dress(self, env: Env) -> Env:
        """See Entrant."""
        seen = self.inner.observation_space
        # images are saved with their channels first
        if sorted(env.observation_space.shape or ()) != sorted(seen.shape or ()):
            _refuse_space("observations", env.observation_space, seen)
        _refuse_space("actions", env.action_space, self.inner.action_space)
        return env

    def policy(self, condition: Condition, plan: Plan) -> Policy:
        """See Entrant."""
        if condition.spiking_only:
            raise NotApplicableError(f"{', '.join(condition.spiking_only)}: only spiking brains have that")
        if not condition.deterministic:
            # it draws its actions from these, and from nothing else
            self.inner.set_random_seed(plan.seed)
            self.inner.seed = plan.seed
            return self._redrawn(self.model)
        return self.model

    def _redrawn(self, model: Any) -> Policy:
        """The same with a generator that begins anew."""
        from hebbit.scripts.bench import sb3

        if model is self.inner or isinstance(model, sb3.Drawn):
            return sb3.Drawn(self.inner)
        again: Any = copy.copy(model)
        again.model = self._redrawn(model.model)
        return cast(Policy, again)


def _innermost(model: Any) -> Any:
    return _innermost(model.model) if hasattr(model, "model") else model


def load(
    names: Sequence[str], brain: str | int | None, backend: str, trust: bool, spec: EnvSpec | None = None
) -> tuple[list[Entrant], list[EnvSpec]]:
    """Entrants of all runs, and the environments that the runs of hebbit name.

    Args:
        names: folders or checkpoints of hebbit, or such as ``ppo:MODEL.zip``.
        brain: of populations: best, median, a position, or None for all.
        backend: that brains are loaded into.
        trust: allow checkpoints to name code outside Gymnasium.
        spec: the plan's environment, for brains that do not name theirs.

    Raises:
        HebbitError: one of them cannot be loaded, or two are the same.
    """
    entrants: list[Entrant] = []
    specs = []
    for name in names:
        if names.count(name) > 1:
            raise HebbitError(f"{name} is named {names.count(name)} times: name each run once")
        algorithm, colon, rest = name.partition(":")
        if colon and algorithm.lower() in BASELINES:
            entrants.append(_model(name, algorithm.lower(), Path(rest)))
            continue
        # a single letter is a drive of Windows
        if len(algorithm) > 1 and colon and not (name.startswith(PREFIX) or Path(name).exists()):
            kinds = ", ".join((PREFIX.removesuffix(":"), *BASELINES))
            raise HebbitError(f"{name} does not exist; before a colon stands one of {kinds}")
        found = load_run(located(name), brain, backend, trust, spec)
        entrants += _brains(name, found.agent, brain)
        specs += [found.spec]
    return _different(entrants), specs


def _different(entrants: list[Entrant]) -> list[Entrant]:
    """Refuse one under two names: runs of one algorithm are resampled as if each had been trained by itself."""
    known: dict[tuple[str, str], Entrant] = {}
    for one in entrants:
        before = known.setdefault((one.algorithm, one.digest), one)
        if before is not one:
            who, what = [
                other.run + ("" if other.brain is None else f" brain {other.brain}") for other in (before, one)
            ]
            raise HebbitError(f"{who} and {what} are the same, bit for bit: name each run once")
    return entrants


def _brains(name: str, agent: SpikingAgent, brain: str | int | None) -> list[Entrant]:
    if len(agent.brains) == 1:
        return [Brain(name, None, agent, agent.digest())]
    numbers = [agent.active] if isinstance(brain, int) else range(len(agent.brains))
    alone = [(int(agent.brains[number]), agent.extract(number)) for number in numbers]
    return [Brain(name, number, one, one.digest()) for number, one in alone]


def _model(name: str, algorithm: str, path: Path) -> Model:
    if not path.is_file():
        raise HebbitError(f"{path} is no file: name a model that Stable-Baselines3 saved, such as ppo:MODEL.zip")
    from hebbit.scripts.bench import sb3

    policy = sb3.load(path, algorithm)
    seed = getattr(_innermost(policy), "seed", None)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(name, algorithm, policy, int(seed) if isinstance(seed, int) else None, digest)


def environment(plan: Plan, specs: Sequence[EnvSpec]) -> EnvSpec:
    """The one environment of all rows: the plan's, or that of the runs.

    Raises:
        HebbitError: nobody names one, or they name different ones.
    """
    named = ([plan.environment] if plan.environment is not None else []) + list(specs)
    if not named:
        raise HebbitError('models of Stable-Baselines3 do not name their environment: set env_id = "..." in the plan')
    for other in named[1:]:
        if other != named[0]:
            who = "the plan and a run" if plan.environment is not None else "two runs"
            raise HebbitError(
                f"all rows must be of one environment, but {who} have {named[0].to_dict()} and {other.to_dict()}: "
                "evaluate them one by one"
            )
    return named[0]
