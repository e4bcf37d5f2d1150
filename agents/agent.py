"""The agent: the only stateful class, one brain or a population of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents import resident, saving
from hebbit.agents.books import Books
from hebbit.agents.callbacks import as_callback
from hebbit.agents.config import AgentConfig, configure
from hebbit.agents.connection import AnyEnv, Made, Spaces, brain_numbers, connect, refuse_shared, spaces_of
from hebbit.agents.decoder import Decoder
from hebbit.agents.encoder import Encoder
from hebbit.agents.environment import EnvSpec, checked_seed, episode_seed, whole
from hebbit.agents.errors import BackendError, HebbitError, brief
from hebbit.agents.evaluation import carried, evaluate
from hebbit.agents.leaves import LANES, is_image
from hebbit.agents.logger import Logger
from hebbit.agents.logger import configure as configure_logger
from hebbit.agents.newborn import newborn_arrays
from hebbit.agents.progress import Progress
from hebbit.agents.replay import Memory
from hebbit.agents.rewards import RewardScale, rescale
from hebbit.agents.streams import ExperienceStream
from hebbit.agents.structure import Structure, grow
from hebbit.agents.variety import spread
from hebbit.backends.choice import Newborn, choose
from hebbit.backends.spec import CANONICAL, Arrays, Flag

EVERYONE = slice(None)
AnyConfig = AgentConfig | Sequence[AgentConfig] | Mapping[str, Any] | str | None


class SpikingAgent:
    """Stochastic spiking brains that learn from reward.

    A population has R brains, each with its own seed, wiring and environment; brain i gives the same bits as that brain
    alone. Steps are counted for each brain.
    """

    def __init__(
        self,
        env: AnyEnv | None,
        *,
        seed: int = 0,
        config: AnyConfig = None,
        backend: str = "auto",
        brains: int | Sequence[int] = 1,
        verbose: int = 0,
        spaces: Spaces | None = None,
    ) -> None:
        """Make newborn brains.

        Args:
            env: an id, an EnvSpec, an Env or a VectorEnv (one brain for each of its environments); None
                with ``spaces``.
            seed: of everything, 0..2**32 - 1.
            config: settings, changes of the default (or the environment's preset) by name, the name of a preset, or
                settings of each brain (see :mod:`hebbit.agents.variety`).
            backend: a name of ``hebbit.backends.names()``, or auto: numba, or cupy for a large population that it
                serves faster.
            brains: how many, or their numbers: brain i draws its own random words.
            verbose: 1 prints a table now and then.
            spaces: of observations and actions, where there is no environment yet.
        """
        self.seed = checked_seed(seed)
        self.brains = brain_numbers(brains, env)
        self.spec: EnvSpec | None = None
        self._env: Made | None = None
        self._stream: ExperienceStream | None = None
        if env is not None:
            self.spec, self._env, self._stream = connect(env, len(self.brains), spaces)
            spaces = spaces_of(self._env)
        if spaces is None:
            raise HebbitError("env must be an id, an EnvSpec, an Env or a VectorEnv, got None, and no spaces instead")
        self.observation_space, self.action_space = spaces
        self.configs = spread(self._configure(config), len(self.brains))
        """Of each brain; most settings are the same for all."""
        self.config = self.configs[0]
        self.encoder = Encoder(self.observation_space, self.config, len(self.brains))
        self.decoder = Decoder(self.action_space, self.config)
        self.structure = Structure(self.config, len(self.brains))
        self.rewards = RewardScale(self.configs)
        self.brain_config = self.config.brain(self.encoder.words, self.decoder.groups, self.encoder.image)
        self.memory = Memory(self.config, self.brain_config, len(self.brains))
        params = np.stack([config.params() for config in self.configs])
        arrays = newborn_arrays(self.configs, self.brain_config, self.seed, self.brains)
        newborn = Newborn(self.brain_config, params, self.seed, arrays)
        self._backend_asked_for = backend
        self.backend = choose(backend, newborn)
        self._make_state(newborn.params, newborn.arrays)
        self.active = 0
        """The brain that predicts, by position."""
        self.num_timesteps = 0
        self.total_steps = 0
        """Steps of each brain over all calls of learn."""
        self.verbose = verbose
        self.logger = configure_logger(None, ("stdout",) if verbose else ())
        self._predictions = 0
        self._begin_life()

    def _make_state(self, params: NDArray[np.int32], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Let the backend hold brains with these arrays.

        Raises:
            BackendError: it cannot.
        """
        try:
            self.state = self.backend.create(self.brain_config, params, self.seed, arrays)
        except (MemoryError, ValueError) as error:
            raise BackendError(
                f"the backend {self.backend.name} cannot hold the brains: {brief(error, 400)}"
            ) from error

    def _configure(self, config: AnyConfig) -> AgentConfig | Sequence[AgentConfig]:
        if isinstance(config, AgentConfig):
            return config
        if isinstance(config, str):
            return configure(self.env_id, config)
        if isinstance(config, Sequence):
            own = [one for one in config if isinstance(one, AgentConfig)]
            if len(own) != len(config):
                raise HebbitError("config must be an AgentConfig for each brain, got something else among them")
            return own
        return configure(self.env_id, None, config, is_image(self.observation_space))

    @property
    def env_id(self) -> str | None:
        """Id of the environment, where it has one."""
        if self.spec is not None:
            return self.spec.id
        spec = getattr(self._env, "spec", None)
        return None if spec is None else str(spec.id)

    def get_env(self) -> Made | None:
        """The environment that it learns in."""
        return self._env

    def set_env(self, env: AnyEnv) -> None:
        """Learn in another environment with the same spaces, from a new episode on."""
        spaces = self.observation_space, self.action_space
        self.spec, self._env, self._stream = connect(env, len(self.brains), spaces)
        self._begin_life()

    def set_random_seed(self, seed: int | None) -> None:
        """Draw from another seed from now on: other noise, other episodes, other wiring, the same weights."""
        if seed is None:
            return
        self.seed = checked_seed(seed)
        self._make_state(self.state.params, self.arrays())
        self._begin_life()

    def set_logger(self, logger: Logger) -> None:
        """Log to another place."""
        self.logger = logger

    def get_parameters(self) -> Arrays:
        """All that learning changes: the brains' canonical arrays and the encoder's ranges, copied."""
        return saving.learned(self)

    def set_parameters(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`get_parameters` gave, of the same brains; the next learn begins new episodes."""
        if not np.array_equal(parameters.get("brain", ()), self.brains):
            raise HebbitError(
                f"parameters must be those of brains {self.brains.tolist()}, the wiring is each brain's own"
            )
        saving.restore(self, parameters)

    def close(self) -> None:
        """Close the environment and the log."""
        if self._env is not None:
            self._env.close()
        self.logger.close()

    def _begin_life(self) -> None:
        """Forget the running episodes; the next learn begins new ones."""
        self._units: NDArray[np.int32] | None = None
        self._resumable: Mapping[str, NDArray[Any]] = {}
        """Running episodes of a checkpoint, until the next learn takes them up."""
        self._intensities = np.zeros((len(self.brains), self.encoder.words, LANES), np.uint8)
        self.books = Books(self.memory.begun(self.arrays(["episode"])["episode"]))

    def _seeder(self, brain: int) -> int:
        """Seed of a brain's next episode."""
        return episode_seed(self.seed, int(self.brains[brain]), self.books.begun[brain])

    def _start(self) -> None:
        """Begin an episode for every brain and choose the first actions."""
        assert self._stream is not None
        observations = self._stream.reset(self._seeder)
        flags = np.full(len(self.brains), Flag.START, np.uint8)
        self._units = self._show(observations, np.zeros(len(self.brains)), flags)
        self.books.begun = [n + 1 for n in self.books.begun]

    def _show(self, observations: Sequence[Any], rewards: Any, flags: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Let the brains see, learn and act."""
        self._intensities = self.encoder.encode(observations, EVERYONE, learn=True)
        if factors := self.rewards.follow(rewards, flags):
            rescale(self, factors)
        return self._present(self._integer_rewards(rewards), flags)

    def _present(self, rewards: NDArray[np.int32], flags: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Show the brains what was encoded last: they learn, act and remember."""
        units = self.backend.step(self.state, self._intensities, rewards, flags)
        self.memory.met(self, rewards, flags, units)
        return units

    def _integer_rewards(self, rewards: Sequence[float]) -> NDArray[np.int32]:
        """Rewards in the brains' units, by their present scales."""
        return self.rewards.integers(rewards)

    def _restart(self, restarts: Mapping[int, Any], units: NDArray[np.int32]) -> None:
        """Show the first observation of the next episode to the brains whose episode has ended."""
        rows = np.array(sorted(restarts), np.intp)
        self._intensities[rows] = self.encoder.encode([restarts[int(b)] for b in rows], rows, learn=True)
        flags = np.zeros(len(self.brains), np.uint8)
        flags[rows] = Flag.START
        fresh = self._present(np.zeros(len(self.brains), np.int32), flags)
        units[rows] = fresh[rows]

    def _step(self) -> list[dict[str, Any]]:
        """One step of every brain: act, learn from what comes, choose the next action; the episodes that ended."""
        stream, executed, books = self._stream, self._units, self.books
        assert stream is not None and executed is not None
        tick = stream.step([self.decoder.decode(u) for u in executed], self._seeder)
        # brains and books change together: after an interruption in between, new episodes begin
        self._units = None
        units = self._show(tick.observations, tick.rewards, tick.flags)
        if tick.restarts:
            self._restart(tick.restarts, units)
        if stream.exact:
            books.acted(executed)
        ended = books.met(tick)
        self._units = units
        return ended

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        *,
        log_interval: int | None = 10_000,
        progress_bar: bool = False,
        reset_num_timesteps: bool = True,
    ) -> "SpikingAgent":
        """Learn for this many steps of each brain; in a resident run where there is one, and no callback.

        Args:
            total_timesteps: steps of each brain, in addition to those already made.
            callback: a function of (locals, globals), a BaseCallback or a list of them; returning False stops.
            log_interval: steps between two lines of the log; None or 0 for none.
            progress_bar: show return, steps a second and time left.
            reset_num_timesteps: count from 0 and begin new episodes; otherwise go on where it stopped.
        """
        steps, interval = whole(total_timesteps, "total_timesteps"), whole(log_interval or 0, "log_interval")
        self._prepare(reset_num_timesteps)
        hook = None if callback is None else as_callback(callback)
        if hook is not None:
            hook.init_callback(self)
            hook.on_training_start({"self": self, "total_timesteps": steps})
        progress = Progress(self, steps, interval, progress_bar)
        try:
            if hook is None and resident.why_not(self) is None:
                resident.learn(self, steps, interval, progress)
                steps = 0
            for _ in range(steps):
                ended = self._step()
                self.num_timesteps += 1
                self.total_steps += 1
                grow(self)
                if hook is not None:
                    going = all([hook.on_episode_end(episode) for episode in ended])
                    if not (hook.on_step() and going):
                        break
                progress.step()
        finally:
            progress.close()
        if hook is not None:
            hook.on_training_end()
        return self

    def _connect(self) -> None:
        """Make the environment that it is known to learn in, if that has not been done."""
        if self._stream is None and self.spec is not None:
            spaces = self.observation_space, self.action_space
            _, self._env, self._stream = connect(self.spec, len(self.brains), spaces)

    def _prepare(self, fresh: bool) -> None:
        """Have an environment and running episodes: new ones, those of the checkpoint, or those that ran."""
        self._connect()
        if self._stream is None:
            raise HebbitError("this agent has no environment; give it one with set_env")
        if fresh:
            self.num_timesteps = 0
        if self._resumable and not fresh:
            saving.resume(self, self._resumable)
            self._resumable = {}
        elif fresh or self._units is None:
            self._begin_life()
            self._start()

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[np.uint8], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, tuple[NDArray[np.uint8], ...]]:
        """Answer without learning, as SB3's models do: an action for one observation, or an array for a batch.

        Args:
            observation: one, or a batch as a VecEnv gives it.
            state: what the last call returned; None at the start.
            episode_start: which observations begin an episode: their excitement is cleared.
            deterministic: no noise, fixed phases, the strongest unit: a pure function of observation and state.
        """
        batch = self.encoder.as_batch(observation)
        observations = [observation] if batch is None else batch
        n, words = len(observations), self.brain_config.carried_words
        excitement = carried(state, episode_start, (n, words, LANES))
        rows = np.full(n, self.active, np.intp)
        numbers = (np.arange(n) + self._predictions).astype(np.uint32)
        self._predictions += 0 if deterministic else n
        answer = self.backend.predict(
            self.state, rows, self.encoder.encode(observations, rows), excitement, numbers, deterministic
        )
        actions = [
            self.decoder.decode_mean(volley, units) if deterministic else self.decoder.decode(units)
            for volley, units in zip(answer.volley, answer.actions, strict=True)
        ]
        return actions[0] if batch is None else np.stack(actions), (answer.excitement,)

    def evaluate(
        self, env: gym.Env[Any, Any] | EnvSpec | str | None = None, episodes: int = 100, deterministic: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Returns and lengths of some episodes that no training has seen, in an environment of its own."""
        own = self.spec if env is None else env
        if own is None:
            raise HebbitError("evaluate needs an environment here: pass one, or make the agent from an id")
        refuse_shared(own, self._env)
        before, self._predictions = self._predictions, 0
        try:
            return evaluate(self, own, episodes, deterministic, self.seed, int(self.brains[self.active]))
        finally:
            self._predictions = before

    def arrays(self, names: Sequence[str] = CANONICAL) -> Arrays:
        """Canonical arrays of all brains, or those that are named, copied."""
        return self.backend.export(self.state, names)

    def digest(self) -> str:
        """SHA-256 over brains, encoder and configuration: equal for equal agents on every machine and backend."""
        return saving.digest(self)

    def save(self, path: str | Path) -> None:
        """Write everything to a zip of JSON and npy; an older file is replaced only by a complete one."""
        saving.save(self, Path(path))

    @classmethod
    def load(
        cls,
        path: str | Path,
        env: AnyEnv | None = None,
        backend: str = "auto",
        trust: bool = False,
        brain: int | None = None,
    ) -> "SpikingAgent":
        """Read an agent. ``learn(.., reset_num_timesteps=False)`` then goes on in the same bits where it can.

        Args:
            path: of a checkpoint.
            env: to learn in; by default the one it was made from, if that was an id.
            backend: need not be the one that wrote it.
            trust: allow environment ids and wrappers that import code from outside Gymnasium.
            brain: position of the only one that is read of a population; it goes on alone, see :meth:`extract`.
        """
        return saving.load(cls, Path(path), env, backend, trust, brain)

    def extract(self, brain: int) -> "SpikingAgent":
        """One brain of a population as an agent of its own; it goes on in the same bits."""
        return saving.extract(self, brain)
