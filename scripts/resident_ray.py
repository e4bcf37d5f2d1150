"""A resident population in several processes, on several machines: Ray actors, each with its share of the brains.

Brains share nothing, so what a shard's brains become does not depend on how many shards there are: the same bits as in
one process. Only the decision when enough of them have solved their task is taken for all.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import HebbitError, SpikingAgent, saving
from hebbit.scripts.bench.engine_ray import connect
from hebbit.scripts.resident_population import Population, newborn, population_of, row_of
from hebbit.scripts.settings import Settings


class Shard:
    """Some brains of a population; an actor of Ray."""

    def __init__(self, settings: dict[str, Any], first: int, last: int, backend: str) -> None:
        """Make the brains first..last - 1."""
        own = Settings(**settings)
        self.population = population_of(newborn(own, backend, range(first, last)), own)

    def live(self, steps: int, look: bool) -> tuple[list[int], list[float], float, float]:
        """Learn, and look if it is time: who has solved it when, mean returns, seconds of training and of trials."""
        population = self.population
        population.live(steps, look)
        return population.solved_at.tolist(), population.means(), population.train_seconds, population.trial_seconds

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """All that was learned, and the running episodes."""
        agent = self.population.agent
        return saving.learned(agent), saving.running(agent)


@dataclass
class Sharded:
    """A population in shards, as the loop of a resident run sees it."""

    ray: Any
    actors: list[Any]
    settings: Settings
    backend: str
    solved_at: NDArray[np.int64]
    steps: int = 0
    train_seconds: float = 0.0
    """Of the slowest shard."""
    trial_seconds: float = 0.0
    elapsed: float = 0.0
    """By the clock: learning, looks, and what was saved on the way."""
    rows: list[Any] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the brains that have solved their task."""
        return float(np.mean(self.solved_at >= 0))

    def live(self, steps: int, look: bool) -> None:
        """Let all shards learn, and look if it is time."""
        found = self.ray.get([actor.live.remote(steps, look) for actor in self.actors])
        self.steps += steps
        self.solved_at = np.concatenate([np.array(solved, np.int64) for solved, *_ in found])
        self.train_seconds = max(seconds for _, _, seconds, _ in found)
        self.trial_seconds = max(seconds for *_, seconds in found)
        means = [mean for _, own, *_ in found for mean in own]
        self.rows.append(row_of(self.steps, self.train_seconds, self.share, means))

    def gather(self) -> Population:
        """The population in one process, from where its shards are."""
        parts = self.ray.get([actor.parts.remote() for actor in self.actors])
        settings = self.settings
        agent = SpikingAgent(
            None,
            seed=settings.seed,
            config=settings.agent_config(),
            backend=self.backend,
            brains=range(settings.brains),
            spaces=_spaces(settings),
        )
        agent.spec = settings.environment()
        learned, running = ({name: np.concatenate([p[i][name] for p in parts]) for name in parts[0][i]} for i in (0, 1))
        saving.restore(agent, learned)
        agent._resumable = running
        agent.num_timesteps = agent.total_steps = self.steps
        agent._prepare(False)
        population = population_of(agent, settings)
        population.solved_at, population.rows = self.solved_at, self.rows
        population.train_seconds, population.trial_seconds = self.train_seconds, self.trial_seconds
        population.elapsed = self.elapsed
        return population

    def close(self) -> None:
        """End the actors, and a Ray that was started for them."""
        self.ray.shutdown()


def _spaces(settings: Settings) -> tuple[Any, Any]:
    env = settings.environment().make()
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()


def sharded(settings: Settings, backend: str, number: int | None, address: str) -> Sharded:
    """Start the actors: one for each GPU with cupy, else one for each core that is asked for.

    Args:
        settings: of the run.
        backend: of every shard.
        number: of shards; None takes as many as there are GPUs, or two.
        address: of a Ray cluster, or ``local`` for one that is started for this run.

    Raises:
        HebbitError: there is no Ray, or there are fewer brains, GPUs or cores than shards.
    """
    ray = connect(address, number or 2)
    try:
        kind, own = ("GPU", {"num_gpus": 1}) if backend == "cupy" else ("CPU", {"num_cpus": 1})
        there = int(ray.cluster_resources().get(kind, 0))
        shards = number or (max(1, there) if kind == "GPU" else 2)
        most = min(there, settings.brains)
        # an actor that finds no room would be waited for without end
        if shards > most:
            raise HebbitError(
                f"--shards must be at most {most}: Ray has {there} {kind}s for {settings.brains} brains, got {shards}"
            )
        remote = ray.remote(**own)(Shard)
        bounds = np.linspace(0, settings.brains, shards + 1).astype(int).tolist()
        actors = [
            remote.remote(asdict(settings), first, last, backend)
            for first, last in zip(bounds[:-1], bounds[1:], strict=True)
        ]
        never = np.full(settings.brains, -1, np.int64)
        return Sharded(ray, actors, settings, backend, never)
    except BaseException:
        ray.shutdown()
        raise
