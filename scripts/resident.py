"""hebbit train --resident: a population that lives in a compiled world until its brains have solved it."""

import argparse
import csv
import shlex
import shutil
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

    def live(self, steps: int, look: bool) -> None:
        """Learn, and look who has solved the task if it is time."""
        began = time.perf_counter()
        resident.live(self.agent, steps, None if self.awake.all() else self.awake)
        met = time.perf_counter()
        if look and self.threshold is not None:
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
        nan = float("nan")
        return [sum(total for total, _ in recent) / len(recent) if recent else nan for recent in books]

    def gather(self) -> "Population":
        """It is here."""
        return self

    def close(self) -> None:
        """Nothing was started for it."""
        self.agent.close()

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "solved_at": self.solved_at.tolist(),
            "train_seconds": self.train_seconds,
            "trial_seconds": self.trial_seconds,
            # JSON has no number for what is not known
            "rows": [[value if np.isfinite(value) else None for value in row] for row in self.rows],
        }

    def restore(self, kept: Any) -> None:
        """Take over what :meth:`kept` gave.

        Raises:
            CheckpointError: it is none of ours.
        """
        try:
            solved = np.array(kept["solved_at"], np.int64)
            self.train_seconds, self.trial_seconds = float(kept["train_seconds"]), float(kept["trial_seconds"])
            self.rows = [
                tuple(float("nan") if value is None else float(value) for value in row) for row in kept["rows"]
            ]
            if any(len(row) != len(COLUMNS) for row in self.rows):
                raise ValueError("rows of another length")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
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

    def live(self, steps: int, look: bool) -> None:
        """Learn, and look if it is time."""

    def gather(self) -> Population:
        """The population in this process."""

    def close(self) -> None:
        """End what was started for it."""


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit train --help``."""
    began = time.perf_counter()
    directory, settings, lives = _resumed(arguments) if arguments.resume else _begun(arguments)
    try:
        if lives is None:
            if not arguments.quiet:
                print(
                    f"the run in {directory.path} has come to its end; go further with more --steps, or another --until"
                )
            return 0
        started = time.perf_counter() - began
        with Interrupt() as interrupt:
            _learn(lives, settings, directory, interrupt, arguments.quiet)
            population = lives.gather()
            _save(population, directory)
        if interrupt.number:
            words = ["hebbit", "train", settings.env_id, "--run-dir", str(directory.path), "--resume"]
            print(
                f"hebbit: stopped after {lives.steps:,} steps and saved; go on with: {shlex.join(words)}",
                file=sys.stderr,
            )
            return 128 + interrupt.number
        _finish(population, settings, directory, started, arguments)
        return 0
    finally:
        if lives is not None:
            lives.close()
        directory.close()


def _settings(arguments: argparse.Namespace) -> Settings:
    from hebbit.scripts.train import reward_threshold

    if reward_threshold(arguments.env_id) is None and (arguments.steps is None or arguments.until is not None):
        raise HebbitError(f"nobody says when {arguments.env_id} is solved: say how long with --steps, without --until")
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
    if resident.paces(agent):
        raise HebbitError(
            "brains that are re-wired or that fade cannot sleep: leave out rewire_every and actor_fading, or --resident"
        )
    size = sum(array.nbytes for array in (*saving.learned(agent).values(), *saving.running(agent).values()))
    most = checkpoint.MAX_BYTES * len(numbers) // size
    if settings.brains > most:
        raise HebbitError(f"a checkpoint holds {most:,} such brains, got {settings.brains:,}: make several runs")
    return agent


def population_of(agent: SpikingAgent, settings: Settings) -> Population:
    """Brains none of which has been looked at yet."""
    from hebbit.scripts.train import reward_threshold

    never = np.full(len(agent.brains), -1, np.int64)
    return Population(agent, reward_threshold(settings.env_id), never)


def _begun(arguments: argparse.Namespace) -> tuple[RunDirectory, Settings, "Lives | None"]:
    """A new run; its folder is made when nothing else can go wrong."""
    from hebbit.scripts.train import clear_stillborn

    settings, folder = _settings(arguments), arguments.run_dir
    if folder is not None and (Path(folder) / "config.json").exists():
        raise RunError(f"{folder} holds a run: go on with it by adding --resume, or choose another --run-dir")
    lives = _lives(settings, arguments)
    if folder is not None:
        clear_stillborn(Path(folder), settings.env_id)
    directory = RunDirectory.create(settings.env_id, folder)
    try:
        directory.write_config(asdict(settings))
    except BaseException:
        directory.close()
        shutil.rmtree(directory.path, ignore_errors=True)
        raise
    return directory, settings, lives


def _lives(settings: Settings, arguments: argparse.Namespace) -> Any:
    """A population in this process, or in shards."""
    if arguments.ray is None:
        return population_of(newborn(settings, arguments.backend), settings)
    from hebbit.scripts.resident_ray import sharded

    return sharded(settings, arguments.backend, arguments.shards, arguments.ray)


def _resumed(arguments: argparse.Namespace) -> tuple[RunDirectory, Settings, "Lives | None"]:
    if arguments.ray is not None or arguments.shards is not None:
        raise HebbitError("a run goes on in one process: leave --ray and --shards out with --resume")
    if arguments.run_dir is None:
        raise HebbitError("--resume goes on with a run: name its folder with --run-dir")
    directory = RunDirectory.open(arguments.run_dir)
    try:
        settings = of_resumed_run(arguments, directory.read_config())
        if not settings.resident:
            raise HebbitError(f"the run in {arguments.run_dir} is not resident: leave --resident out")
        population = _restored(directory, settings, arguments.backend)
        if population.steps > settings.steps:
            done = f"the run in {directory.path} has made {population.steps:,} steps already"
            raise HebbitError(f"{done}: --steps must be no less, got {settings.steps:,}")
        over = population.steps == settings.steps or population.share >= settings.until
        if over and directory.read_result() is not None:
            return directory, settings, None
        directory.write_config(asdict(settings))
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


def _learn(lives: Lives, settings: Settings, directory: RunDirectory, interrupt: Interrupt, quiet: bool) -> None:
    """Until all steps are made, enough brains have solved the task, or a signal comes."""
    saved = lives.steps
    while lives.steps < settings.steps and lives.share < settings.until and not interrupt.number:
        # looks are at multiples, so that a run which stops in between is the same
        due = settings.look - lives.steps % settings.look
        some = min(due, settings.steps - lives.steps)
        lives.live(some, some == due)
        if not quiet:
            steps, seconds, share, _, _, median, *_ = lives.rows[-1]
            print(f"{int(steps):,} steps, {seconds:.1f} s: median return {median:.1f}, {share:.1%} solved", flush=True)
        if settings.save_freq and lives.steps - saved >= settings.save_freq:
            _save(lives.gather(), directory)
            saved = lives.steps


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
        for row, name in ((ranking.best, BEST_BRAIN), (ranking.median, MEDIAN_BRAIN)):
            alone, slept = agent.extract(row), int(population.solved_at[row])
            if slept >= 0:
                alone.num_timesteps = alone.total_steps = slept
            saving.save(alone, directory.path / name)
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
