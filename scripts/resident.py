"""hebbit train --resident: a population that lives in a compiled world until its brains have solved it."""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import HebbitError, SpikingAgent, checkpoint, resident, saving
from hebbit.agents.errors import CheckpointError, RunError
from hebbit.agents.runs import RunDirectory, RunResult
from hebbit.scripts.population import Ranking
from hebbit.scripts.recorder import Interrupt
from hebbit.scripts.settings import Settings, of_new_run, of_resumed_run

LOOK = 2_000
"""Steps after which brains are looked at by default."""
TRIALS = (2, 10, 30)
"""Greedy episodes of a first look and of the next ones, for those that do well: the last one says who has solved it."""
MOST_STEPS = 1_000_000
"""Where no --steps are named."""
BEST_BRAIN, MEDIAN_BRAIN, CURVE = "best_brain.zip", "median_brain.zip", "learning_curve.png"
COLUMNS = ("steps", "seconds", "solved", "least", "lower", "median", "upper", "most")


@dataclass
class Population:
    """Brains on their way, and what is known of each."""

    agent: SpikingAgent
    threshold: float | None
    solved_at: NDArray[np.int64]
    """[R]: steps after which a brain was found to have solved its task, -1 for never."""
    train_seconds: float = 0.0
    trial_seconds: float = 0.0
    rows: list[Sequence[float]] = field(default_factory=list)
    """Of progress.csv."""

    @property
    def awake(self) -> NDArray[np.bool_]:
        """Brains that learn on."""
        return self.solved_at < 0

    @property
    def share(self) -> float:
        """Of the brains that have solved their task."""
        return float(np.mean(self.solved_at >= 0))

    def live(self, steps: int) -> None:
        """Learn, and look who has solved the task."""
        began = time.perf_counter()
        resident.live(self.agent, steps, None if self.awake.all() else self.awake)
        met = time.perf_counter()
        if self.threshold is not None:
            self._look(self.threshold)
        self.train_seconds += met - began
        self.trial_seconds += time.perf_counter() - met
        self.rows.append(row_of(self.steps, self.train_seconds, self.share, self.means()))

    def _look(self, threshold: float) -> None:
        """A short greedy trial of all, longer ones of those that do well in it."""
        rows = np.flatnonzero(self.awake)
        for number, episodes in enumerate(TRIALS, 1):
            if len(rows):
                # other episodes than those of the last trial and of the final evaluation
                seed = (self.agent.seed + number) % 2**32
                returns, _ = resident.trial(self.agent, episodes, brains=rows, seed=seed)
                rows = rows[returns.mean(axis=1) >= threshold]
        self.solved_at[rows] = self.agent.num_timesteps

    @property
    def steps(self) -> int:
        """Steps of each brain so far."""
        return self.agent.num_timesteps

    def means(self) -> list[float]:
        """Mean return of each brain's latest training episodes; nan where none has ended."""
        books = self.agent.books.recent
        return [float(np.mean([total for total, _ in recent])) if recent else float("nan") for recent in books]

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "solved_at": self.solved_at.tolist(),
            "train_seconds": self.train_seconds,
            "trial_seconds": self.trial_seconds,
            "rows": [list(row) for row in self.rows],
        }

    def restore(self, kept: Any) -> None:
        """Take over what :meth:`kept` gave.

        Raises:
            CheckpointError: it is none of ours.
        """
        try:
            solved = np.array(kept["solved_at"], np.int64)
            self.train_seconds, self.trial_seconds = float(kept["train_seconds"]), float(kept["trial_seconds"])
            self.rows = [tuple(float(value) for value in row) for row in kept["rows"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("the checkpoint is not from a resident run, so none can go on from it") from error
        if solved.shape != self.solved_at.shape:
            raise CheckpointError("the checkpoint holds another number of brains: start another run")
        self.solved_at = solved


def row_of(steps: int, seconds: float, share: float, means: Sequence[float]) -> Sequence[float]:
    """One row of progress.csv."""
    known = [mean for mean in means if np.isfinite(mean)]
    quartiles = np.quantile(known, (0, 0.25, 0.5, 0.75, 1)) if known else np.full(5, np.nan)
    return (steps, seconds, share, *map(float, quartiles))


class Lives(Protocol):
    """What the loop asks of a population, in this process or in shards."""

    rows: list[Sequence[float]]

    @property
    def steps(self) -> int:
        """Steps of each brain so far."""

    @property
    def share(self) -> float:
        """Of the brains that have solved their task."""

    def live(self, steps: int) -> None:
        """Learn and look."""


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit train --help``."""
    began = time.perf_counter()
    directory, settings, population = _resumed(arguments) if arguments.resume else _begun(arguments)
    try:
        if population is None and arguments.resume:
            print(
                f"the run in {directory.path} has finished its {settings.steps:,} steps; go further with more --steps"
            )
            return 0
        started = time.perf_counter() - began
        with Interrupt() as interrupt:
            population = _lived(population, settings, interrupt, arguments)
        _save(population, directory)
        if interrupt.number:
            print(
                f"hebbit: stopped after {population.agent.num_timesteps:,} steps and saved; go on with: hebbit train "
                f"{settings.env_id} --resident --run-dir {directory.path} --resume",
                file=sys.stderr,
            )
            return 128 + interrupt.number
        _finish(population, settings, directory, started, arguments)
        return 0
    finally:
        directory.close()


def _lived(
    population: Population | None, settings: Settings, interrupt: Interrupt, arguments: argparse.Namespace
) -> Population:
    """Let the population live, in this process or in shards."""
    if population is not None:
        _learn(population, settings, interrupt, arguments)
        return population
    from hebbit.scripts.resident_ray import sharded

    shards = sharded(settings, arguments.backend, arguments.shards or 2, arguments.ray)
    try:
        _learn(shards, settings, interrupt, arguments)
        return shards.gather()
    finally:
        shards.close()


def _settings(arguments: argparse.Namespace) -> Settings:
    if arguments.steps is None:
        arguments.steps = MOST_STEPS
    if arguments.shards is not None and arguments.ray is None:
        raise HebbitError("--shards are actors of Ray: add --ray")
    settings = of_new_run(arguments)
    if settings.eval_freq or settings.tensorboard:
        raise HebbitError("a resident run looks at its brains by itself: leave --eval-freq and --tensorboard out")
    return settings


def newborn(settings: Settings, backend: str, brains: Sequence[int] | None = None) -> SpikingAgent:
    """A population in its resident world, compiled and with running episodes.

    Args:
        settings: of the run.
        backend: its name, or auto.
        brains: their numbers; None for all of the run's.

    Raises:
        HebbitError: it cannot be resident.
    """
    numbers = range(settings.brains) if brains is None else brains
    agent = SpikingAgent(
        settings.environment(), seed=settings.seed, config=settings.agent_config(), backend=backend,
        brains=numbers,
    )  # fmt: skip
    agent._prepare(True)
    resident.warm_up(agent)
    return agent


def population_of(agent: SpikingAgent, settings: Settings) -> Population:
    """Brains none of which has been looked at yet."""
    from hebbit.scripts.train import reward_threshold

    never = np.full(len(agent.brains), -1, np.int64)
    return Population(agent, reward_threshold(settings.env_id), never)


def _begun(arguments: argparse.Namespace) -> tuple[RunDirectory, Settings, Population | None]:
    """A new run; its population is made here, unless shards make it."""
    settings = _settings(arguments)
    folder = arguments.run_dir
    if folder is not None and (Path(folder) / "config.json").exists():
        raise RunError(f"{folder} holds a run: go on with it by adding --resume, or choose another --run-dir")
    sharded = arguments.ray is not None
    population = None if sharded else population_of(newborn(settings, arguments.backend), settings)
    directory = RunDirectory.create(settings.env_id, folder)
    try:
        directory.write_config(asdict(settings))
    except BaseException:
        directory.close()
        raise
    return directory, settings, population


def _resumed(arguments: argparse.Namespace) -> tuple[RunDirectory, Settings, Population | None]:
    if arguments.ray is not None:
        raise HebbitError("a run goes on in one process: leave --ray out with --resume")
    if arguments.run_dir is None:
        raise HebbitError("--resume goes on with a run: name its folder with --run-dir")
    directory = RunDirectory.open(arguments.run_dir)
    try:
        settings = of_resumed_run(arguments, directory.read_config())
        if not settings.resident:
            raise HebbitError(f"the run in {arguments.run_dir} is not resident: leave --resident out")
        result = directory.read_result()
        if result is not None and result.get("steps") == settings.steps:
            return directory, settings, None
        if settings.steps != directory.read_config()["steps"]:
            directory.write_config(asdict(settings))
        population = _restored(directory, settings, arguments.backend)
        directory.result_path.unlink(missing_ok=True)
    except BaseException:
        directory.close()
        raise
    return directory, settings, population


def _restored(directory: RunDirectory, settings: Settings, backend: str) -> Population:
    if not directory.model_path.exists():
        return population_of(newborn(settings, backend), settings)
    agent = SpikingAgent.load(directory.model_path, backend=backend)
    own = (agent.seed, agent.brains.tolist(), agent.config, agent.spec)
    if own != (settings.seed, list(range(settings.brains)), settings.agent_config(), settings.environment()):
        raise RunError(f"{directory.model_path} is not the agent that config.json describes: start another run")
    agent._prepare(False)
    resident.warm_up(agent)
    population = population_of(agent, settings)
    population.restore((checkpoint.read(directory.model_path).meta.get("extra") or {}).get("resident"))
    return population


def _learn(population: Lives, settings: Settings, interrupt: Interrupt, arguments: argparse.Namespace) -> None:
    """Until all steps are made, enough brains have solved the task, or a signal comes."""
    while population.steps < settings.steps and population.share < settings.until and not interrupt.number:
        population.live(min(arguments.look or LOOK, settings.steps - population.steps))
        if not arguments.quiet:
            steps, seconds, share, _, _, median, *_ = population.rows[-1]
            print(f"{int(steps):,} steps, {seconds:.1f} s: median return {median:.1f}, {share:.1%} solved", flush=True)


def _save(population: Population, directory: RunDirectory) -> None:
    saving.save(population.agent, directory.model_path, {"resident": population.kept()})
    with open(directory.progress_path, "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *population.rows])


def _finish(
    population: Population, settings: Settings, directory: RunDirectory, started: float, arguments: argparse.Namespace
) -> None:
    """Evaluate all brains, save the best and the median one, and write the result last."""
    agent, episodes = population.agent, settings.eval_episodes
    began = time.perf_counter()
    returns = resident.trial(agent, episodes)[0] if episodes else np.zeros((settings.brains, 0))
    population.trial_seconds += time.perf_counter() - began
    ranking = Ranking(returns.mean(axis=1), population.threshold) if episodes else None
    if ranking is not None:
        saving.save(agent.extract(ranking.best), directory.path / BEST_BRAIN)
        saving.save(agent.extract(ranking.median), directory.path / MEDIAN_BRAIN)
    if not arguments.no_plots:
        from hebbit.scripts.resident_figure import draw

        draw(population.rows, population.threshold, settings, directory.path / CURVE)
    result = _result(population, settings, returns) | {"start_seconds": started}
    result["population"] = None if ranking is None else ranking.to_dict()
    directory.write_result(result)
    if not arguments.quiet:
        _summarize(result, ranking, settings, directory)


def _result(population: Population, settings: Settings, returns: NDArray[np.float64]) -> dict[str, Any]:
    agent, solved = population.agent, population.solved_at
    made = int(np.where(solved >= 0, solved, agent.num_timesteps).sum())
    result = RunResult(
        env_id=settings.env_id, seed=settings.seed, steps=settings.steps, backend=agent.backend.name,
        wall_seconds=population.train_seconds, returns=returns.ravel().tolist(),
        reward_threshold=population.threshold, digest=agent.digest(),
    ).to_dict()  # fmt: skip
    seconds = population.train_seconds
    return result | {
        "brains": settings.brains,
        "steps_made": made,
        "steps_per_second": made / seconds if seconds > 0 else None,
        "trial_seconds": population.trial_seconds,
        "solved_at": solved.tolist(),
    }


def _summarize(result: dict[str, Any], ranking: Ranking | None, settings: Settings, directory: RunDirectory) -> None:
    rate = f"{result['steps_per_second']:,.0f} steps/s" if result["steps_per_second"] else "no steps"
    print(
        f"{settings.env_id}, seed {settings.seed}: {settings.brains} brains, {result['steps_made']:,} steps in "
        f"{result['wall_seconds']:.1f} s ({rate}, {result['backend']})"
    )
    print(f"trials took {result['trial_seconds']:.1f} s, start-up and compilation {result['start_seconds']:.1f} s")
    solved = np.array(result["solved_at"])
    if (solved >= 0).any():
        median = int(np.median(solved[solved >= 0]))
        print(f"{(solved >= 0).mean():.1%} were seen to solve it, the median after {median:,} steps")
    if ranking is not None:
        print(f"mean returns over {settings.eval_episodes} episodes of each brain: {ranking.text()}")
    print(f"digest {result['digest']}")
    files = ", ".join(sorted(path.name for path in directory.path.iterdir() if path.suffix in (".zip", ".png")))
    print(f"{directory.path}: {files}, result.json")
