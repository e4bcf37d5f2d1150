"""One population in one folder: begun or found there, led to its end, and what came of it."""

import argparse
import csv
import io
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import HebbitError, SpikingAgent, resident, saving
from hebbit.agents.errors import RunError
from hebbit.agents.files import atomic_write_text
from hebbit.agents.runs import RunDirectory, RunResult
from hebbit.scripts.population import Ranking
from hebbit.scripts.recorder import Interrupt
from hebbit.scripts.resident_population import COLUMNS, Lives, Population, newborn, population_of, restored
from hebbit.scripts.settings import Settings

SAVE_SECONDS, SAVE_SHARE = 1e-3, 0.1
"""What saving a brain takes, until that has been measured, and the share of the time that saves on the way may take."""
BEST_BRAIN, MEDIAN_BRAIN, CURVE = "best_brain.zip", "median_brain.zip", "learning_curve.png"


@dataclass
class Job:
    """A population and the folder that is its own until it is closed."""

    directory: RunDirectory
    settings: Settings
    lives: Lives | None
    """None where it has come to its end before."""
    seconds: float
    """That it took to start and to compile."""

    def close(self) -> None:
        """End what was started for it, and let others write."""
        # whoever holds the job on must not hold its brains
        lives, self.lives = self.lives, None
        if lives is not None:
            lives.close()
        self.directory.close()


def begun(settings: Settings, folder: str | Path | None, arguments: argparse.Namespace) -> Job:
    """A new run; its folder is made when nothing else can go wrong.

    Raises:
        RunError: there is a run in that folder.
        HebbitError: it cannot be resident.
    """
    from hebbit.scripts.train import new_directory, refuse_a_run

    began = time.perf_counter()
    refuse_a_run(folder)
    lives = _lives(settings, arguments)
    try:
        return Job(new_directory(settings, folder), settings, lives, time.perf_counter() - began)
    except BaseException:
        lives.close()
        raise


def _lives(settings: Settings, arguments: argparse.Namespace) -> Lives:
    """A population in this process, or in shards."""
    if arguments.ray is None:
        return population_of(newborn(settings, arguments.backend), settings)
    from hebbit.scripts.resident_ray import sharded

    return sharded(settings, arguments.backend, arguments.shards, arguments.ray)


def resumed(settings: Settings, directory: RunDirectory, backend: str) -> Job:
    """A run that goes on, if it has not come to its end.

    Args:
        settings: of the run, as they are to be from now on.
        directory: closed if this fails.
        backend: that goes on with it.

    Raises:
        HebbitError: what is there is no such population, or it has made more steps.
    """
    began = time.perf_counter()
    try:
        if _is_over(directory, settings):
            return Job(directory, settings, None, 0.0)
        population = restored(directory.model_path, settings, backend)
        _refuse_fewer(population.steps, directory, settings)
        directory.write_config(asdict(settings))
        directory.result_path.unlink(missing_ok=True)
    except BaseException:
        directory.close()
        raise
    return Job(directory, settings, population, time.perf_counter() - began)


def _is_over(directory: RunDirectory, settings: Settings) -> bool:
    """Whether a run has come to its end: its result says so, without its brains being read."""
    result = directory.read_result()
    # an older result does not say it: then the brains do
    if result is None or "steps_of_each" not in result or not directory.model_path.exists():
        return False
    try:
        made, solved = int(result["steps_of_each"]), np.array(result["solved_at"], np.int64) >= 0
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise RunError(f"{directory.result_path} is damaged ({error}): remove it, and go on by --resume") from error
    _refuse_fewer(made, directory, settings)
    return made == settings.steps or bool(solved.mean() >= settings.until)


def _refuse_fewer(made: int, directory: RunDirectory, settings: Settings) -> None:
    if made > settings.steps:
        done = f"the run in {directory.path} has made {made:,} steps already"
        raise HebbitError(f"{done}: --steps must be no less, got {settings.steps:,}")


def at_its_end(directory: RunDirectory, settings: Settings) -> str:
    """What to say of a run with nothing left to do."""
    solved = np.array((directory.read_result() or {}).get("solved_at", []), np.int64) >= 0
    if solved.size and solved.mean() >= settings.until:
        what = f"{solved.mean():.1%} of its brains have solved it"
        return f"the run in {directory.path} has come to its end: {what}" + (
            "; go further with a larger --until" if settings.until < 1 else ""
        )
    return f"the run in {directory.path} has come to its end; go further with more --steps"


def work(job: Job, arguments: argparse.Namespace, folder: Path) -> int:
    """Lead a population to its end: the exit status.

    Args:
        job: that has not come to its end.
        arguments: of the command.
        folder: that is named to whoever stops it.
    """
    lives, settings, directory = job.lives, job.settings, job.directory
    assert lives is not None
    with Interrupt() as interrupt:
        _learn(lives, settings, directory, interrupt, arguments.quiet)
        population = lives.gather()
        _save(population, directory)
    if interrupt.number:
        how = resume_command(settings.env_id, folder)
        print(f"hebbit: stopped after {lives.steps:,} steps and saved; go on with: {how}", file=sys.stderr)
        return 128 + interrupt.number
    _finish(population, job, arguments)
    return 0


def resume_command(env_id: str, folder: Path) -> str:
    """What goes on with a run."""
    return shlex.join(["hebbit", "train", env_id, "--run-dir", str(folder), "--resume"])


@contextmanager
def kept(run: Job | RunDirectory) -> Iterator[None]:
    """Close a run in the end; whoever interrupts is told how to go on."""
    directory = run.directory if isinstance(run, Job) else run
    try:
        yield
    except BaseException as error:
        error.add_note(f"the run is kept, go on with: {resume_command(directory.env_id, directory.path)}")
        raise
    finally:
        run.close()


def _learn(lives: Lives, settings: Settings, directory: RunDirectory, interrupt: Interrupt, quiet: bool) -> None:
    """Until all steps are made, enough brains have solved the task, or a signal comes."""
    from hebbit.scripts.train import reward_threshold

    began, before, saved = time.perf_counter(), lives.elapsed, lives.steps
    rested, cost = began, SAVE_SECONDS * settings.brains
    while lives.steps < settings.steps and lives.share < settings.until and not interrupt.number:
        # looks are at multiples, so that a run which stops in between is the same
        due = settings.look - lives.steps % settings.look
        some = min(due, settings.steps - lives.steps)
        lives.live(some, some == due)
        now = time.perf_counter()
        lives.elapsed = before + now - began
        if not quiet:
            print(told(lives.rows[-1], reward_threshold(settings.env_id) is not None), flush=True)
        if settings.save_freq and lives.steps - saved >= settings.save_freq and SAVE_SHARE * (now - rested) >= cost:
            _save(lives.gather(), directory)
            saved, rested = lives.steps, time.perf_counter()
            cost = rested - now


def told(row: Sequence[float], solvable: bool) -> str:
    """A row of progress.csv in words."""
    steps, seconds, share, _, _, median, *_ = row
    returns = f"median training return {median:.1f}" if np.isfinite(median) else "no episode has ended"
    return f"{int(steps):,} steps, {seconds:.1f} s: {returns}" + (f", {share:.1%} solved" if solvable else "")


def _save(population: Population, directory: RunDirectory) -> None:
    saving.save(population.agent, directory.model_path, {"resident": population.kept()})
    table = io.StringIO(newline="")
    csv.writer(table).writerows([COLUMNS, *population.rows])
    atomic_write_text(directory.progress_path, table.getvalue())


def _finish(population: Population, job: Job, arguments: argparse.Namespace) -> None:
    """Evaluate all brains, save the best and the median one, and write the result last."""
    settings, directory, episodes = job.settings, job.directory, job.settings.eval_episodes
    began = time.perf_counter()
    returns = resident.trial(population.agent, episodes)[0] if episodes else np.zeros((settings.brains, 0))
    evaluated = time.perf_counter() - began
    ranking = Ranking(returns.mean(axis=1), population.threshold) if episodes else None
    if ranking is not None:
        for row, name in ((ranking.best, BEST_BRAIN), (ranking.median, MEDIAN_BRAIN)):
            # out of the file that was just written, as an export of all brains takes longer
            alone = SpikingAgent.load(directory.model_path, backend="numba", brain=row)
            save_alone(alone, int(population.solved_at[row]), directory.path / name)
    if population.rows and not arguments.no_plots:
        from hebbit.scripts.resident_figure import draw

        draw(population.rows, population.threshold, settings, directory.path / CURVE)
    result = _result(population, settings, returns)
    result |= {"start_seconds": job.seconds, "evaluation_seconds": evaluated}
    result["population"] = None if ranking is None else ranking.to_dict()
    directory.write_result(result)
    if not arguments.quiet:
        summarize(result, ranking, settings, directory.path)


def save_alone(alone: SpikingAgent, solved_at: int, path: Path) -> None:
    """Save one brain of a population; one that sleeps has made no more steps."""
    if solved_at >= 0:
        alone.num_timesteps = alone.total_steps = solved_at
    saving.save(alone, path)


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
        "steps_of_each": agent.num_timesteps,
        "steps_per_second": made / seconds if seconds > 0 else None,
        "trial_seconds": population.trial_seconds,
        "elapsed_seconds": population.elapsed,
        "solved_at": solved.tolist(),
    }


def summarize(result: dict[str, Any], ranking: Ranking | None, settings: Settings, folder: Path) -> None:
    """Say what came of a run."""
    rate = f"{result['steps_per_second']:,.0f} steps/s" if result["steps_per_second"] else "no steps"
    print(
        f"{settings.env_id}, seed {settings.seed}: {settings.brains:,} brains, {result['steps_made']:,} steps in "
        f"{result['wall_seconds']:.1f} s ({rate}, {result['backend']})"
    )
    print(
        f"with looks and saves {result['elapsed_seconds']:.1f} s; before that start-up and compilation "
        f"{result['start_seconds']:.1f} s, after it the evaluation {result['evaluation_seconds']:.1f} s"
    )
    solved = np.array(result["solved_at"])
    if (solved >= 0).any():
        median = int(np.median(solved[solved >= 0]))
        print(f"{(solved >= 0).mean():.1%} were seen to solve it, the median after {median:,} steps")
    if ranking is not None:
        print(f"mean returns over {settings.eval_episodes} episodes of each brain: {ranking.text()}")
    print(f"digest {result['digest']}")
    files = ", ".join(sorted(path.name for path in folder.iterdir() if path.suffix in (".zip", ".png")))
    print(f"{folder}: {files}, result.json")
