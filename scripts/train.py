"""hebbit train: let brains learn, and leave a run directory that explains itself."""

import argparse
import importlib.util
import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hebbit import backends
from hebbit.agents import HebbitError, SpikingAgent, checkpoint, saving
from hebbit.agents.callbacks import EvalCallback
from hebbit.agents.errors import RunError
from hebbit.agents.files import PARTIAL, remove_partial
from hebbit.agents.runs import RunDirectory, RunLock, RunResult, safe_name
from hebbit.scripts.population import PopulationEvalCallback, Ranking, evaluate_brains
from hebbit.scripts.recorder import Interrupt, Kept, Recorder, make_logger
from hebbit.scripts.settings import Settings, of_new_run, of_resumed_run

BEST_BRAIN, MEDIAN_BRAIN = "best_brain.zip", "median_brain.zip"
LEARNING_CURVE, RASTER = "learning_curve.png", "raster.png"


@dataclass
class Session:
    """One process's work on a run."""

    run: RunDirectory
    settings: Settings
    agent: SpikingAgent
    kept: Kept | None
    """What the checkpoint knows; None for a new run."""
    arguments: argparse.Namespace

    def say(self, text: str) -> None:
        """Print, if it is to be read."""
        if not self.arguments.quiet:
            print(text)

    @property
    def watched(self) -> bool:
        """Whether someone sees a progress bar."""
        return not self.arguments.quiet and sys.stderr.isatty()

    @property
    def resume_command(self) -> str:
        """What goes on with the run."""
        words = ["hebbit", "train", self.settings.env_id, "--run-dir", str(self.run.path), "--resume"]
        return shlex.join(words)


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit train --help``."""
    began = time.perf_counter()
    check_backend(arguments.backend)
    if arguments.resident or _was_resident(arguments):
        from hebbit.scripts import resident

        return resident.run(arguments)
    own = ("until", "look", "wave", "ray", "shards")
    if any(getattr(arguments, name) is not None for name in own):
        raise HebbitError(f"{', '.join(f'--{name}' for name in own)} are for --resident runs")
    with _session(arguments) as session:
        if session is None:
            return 0
        with Interrupt() as interrupt:
            recorder = _learn(session, interrupt)
        if interrupt.number:
            steps = f"{session.agent.num_timesteps:,} of {session.settings.steps:,} steps"
            print(f"hebbit: stopped after {steps} and saved; go on with: {session.resume_command}", file=sys.stderr)
            return 128 + interrupt.number
        _finish(session, recorder, recorder.learning_since - began)
    return 0


def _was_resident(arguments: argparse.Namespace) -> bool:
    """Whether the run that is to go on is resident: its own config.json says so."""
    if not arguments.resume or arguments.run_dir is None:
        return False
    try:
        return json.loads((Path(arguments.run_dir) / "config.json").read_text()).get("resident") is True
    except (OSError, ValueError, AttributeError):
        # opening the run says what is wrong with it
        return False


def check_backend(name: str) -> None:
    """Refuse a backend that there is not.

    Raises:
        HebbitError: no such backend.
    """
    if name != "auto" and name not in backends.names():
        raise HebbitError(f"--backend must be one of auto, {', '.join(backends.names())}, got {name!r}")


def reward_threshold(env_id: str) -> float | None:
    """Mean return from which on the environment counts as solved, where it is registered with one."""
    spec = gym.registry.get(env_id.rpartition(":")[2])
    return None if spec is None else spec.reward_threshold


@contextmanager
def _session(arguments: argparse.Namespace) -> Iterator[Session | None]:
    """Begin a run or go on with one; None if it has ended already. Errors say how to go on."""
    session = _resumed(arguments) if arguments.resume else _begun(arguments)
    try:
        if session.run.read_result() is None:
            yield session
        else:
            steps = f"{session.settings.steps:,} steps"
            session.say(f"the run in {session.run.path} has finished its {steps}; go further with more --steps")
            yield None
    except BaseException as error:
        error.add_note(f"the run is kept, go on with: {session.resume_command}")
        raise
    finally:
        session.agent.close()
        session.run.close()


def _newborn(settings: Settings, backend: str) -> SpikingAgent:
    return SpikingAgent(
        settings.environment(),
        seed=settings.seed,
        config=settings.agent_config(),
        backend=backend,
        brains=settings.brains,
    )


def _begun(arguments: argparse.Namespace) -> Session:
    """A new run; its folder is made when nothing else can go wrong."""
    settings = of_new_run(arguments)
    folder = arguments.run_dir
    refuse_a_run(folder)
    if settings.tensorboard and importlib.util.find_spec("tensorboardX") is None:
        raise HebbitError("--tensorboard needs tensorboardX, which is not installed: pip install 'hebbit[tensorboard]'")
    agent = _newborn(settings, arguments.backend)
    return Session(new_directory(settings, folder), settings, agent, None, arguments)


def refuse_a_run(folder: str | Path | None) -> None:
    """Refuse a folder that holds a run already, before anything is made for another one.

    Raises:
        RunError: it does.
    """
    if folder is not None and (Path(folder) / "config.json").exists():
        raise RunError(f"{folder} holds a run: go on with it by adding --resume, or choose another --run-dir")


def new_directory(settings: Settings, folder: str | Path | None) -> RunDirectory:
    """The locked folder of a run that begins, its settings in it; nothing is left if that fails."""
    if folder is not None:
        clear_stillborn(Path(folder), settings.env_id)
    run = RunDirectory.create(settings.env_id, folder)
    try:
        run.write_config(asdict(settings))
    except BaseException:
        run.close()
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    return run


def clear_stillborn(folder: Path, env_id: str) -> None:
    """Remove what a process left that was killed before its settings were on the disk, and nothing else."""
    name = safe_name(env_id)
    inner = folder / name
    if not inner.is_dir() or any(path.name not in (".lock", name) and not _partial(path) for path in folder.iterdir()):
        return
    if all(path.name == "config.yml" or _partial(path) for path in inner.iterdir()):
        lock = RunLock(folder)
        try:
            if not (folder / "config.json").exists():
                shutil.rmtree(inner)
                remove_partial(folder)
        finally:
            lock.release()


def _partial(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(PARTIAL)


def _resumed(arguments: argparse.Namespace) -> Session:
    """A run that goes on from its checkpoint, or from the start if it was killed before the first."""
    if arguments.run_dir is None:
        raise HebbitError("--resume goes on with a run: name its folder with --run-dir")
    run = RunDirectory.open(arguments.run_dir)
    try:
        settings = of_resumed_run(arguments, run.read_config())
        agent, kept = _restored(run, settings, arguments.backend)
        if agent.num_timesteps > settings.steps:
            raise HebbitError(
                f"the run in {run.path} has made {agent.num_timesteps:,} steps already: --steps must be no less, got "
                f"{settings.steps:,}"
            )
        result = run.read_result()
        if settings.steps != run.read_config()["steps"]:
            run.write_config(asdict(settings))
        if result is not None and result.get("steps") != settings.steps:
            run.result_path.unlink()
    except BaseException:
        run.close()
        raise
    return Session(run, settings, agent, kept, arguments)


def _restored(run: RunDirectory, settings: Settings, backend: str) -> tuple[SpikingAgent, Kept]:
    if not run.model_path.exists():
        return _newborn(settings, backend), Kept([0] * settings.brains)
    # the run's own settings, compared below, name the same environment
    agent = SpikingAgent.load(run.model_path, backend=backend, trust=True)
    own = (agent.seed, list(agent.brains), agent.config, agent.spec)
    if own != (settings.seed, list(range(settings.brains)), settings.agent_config(), settings.environment()):
        raise RunError(f"{run.model_path} is not the agent that config.json describes: start another run")
    return agent, Kept.of(checkpoint.read(run.model_path).meta.get("extra"), settings.brains)


def _evaluator(session: Session) -> EvalCallback | None:
    settings, run = session.settings, session.run
    if not settings.eval_freq:
        return None
    # The recorder calls it when it is due.
    kind = EvalCallback if settings.brains == 1 else PopulationEvalCallback
    return kind(
        settings.environment().make(),
        n_eval_episodes=settings.eval_episodes,
        eval_freq=1,
        log_path=run.path,
        best_model_save_path=run.path,
    )


def _learn(session: Session, interrupt: Interrupt) -> Recorder:
    """Train to the end or to a signal, and save."""
    agent, settings = session.agent, session.settings
    _allow_files(settings.brains)
    agent.logger = make_logger(session.run, settings, session.kept, agent.num_timesteps, session.arguments.verbose)
    evaluator = _evaluator(session)
    recorder = Recorder(session.run, settings, session.kept, interrupt, evaluator, session.watched)
    try:
        left = settings.steps - agent.num_timesteps
        # The recorder writes the log, before the checkpoint that counts its rows.
        agent.learn(left, recorder, log_interval=left + 1, reset_num_timesteps=False)
        recorder.save()
    finally:
        recorder.close()
    return recorder


def _allow_files(brains: int) -> None:
    """Every brain's monitor file stays open; the usual limit is 1024 files."""
    if sys.platform == "win32" or brains < 200:
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = brains + 200
    if soft != resource.RLIM_INFINITY and soft < wanted and (hard == resource.RLIM_INFINITY or hard >= wanted):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _final_returns(session: Session) -> NDArray[np.float64]:
    """Returns [brain, episode] of the final evaluation."""
    agent, settings = session.agent, session.settings
    episodes = settings.eval_episodes
    if settings.brains == 1 or not episodes:
        return agent.evaluate(episodes=episodes)[0][None]
    total = settings.brains * episodes
    with tqdm(total=total, disable=not session.watched, unit="episode", desc="evaluation", leave=False) as bar:
        return evaluate_brains(agent, settings.environment(), episodes, on_episode=bar.update)[0]


def _finish(session: Session, recorder: Recorder, start_seconds: float) -> None:
    """Evaluate, draw, and write the result last: a run with a result is complete."""
    run, agent, settings = session.run, session.agent, session.settings
    returns = _final_returns(session)
    threshold = reward_threshold(settings.env_id)
    ranking = Ranking(returns.mean(axis=1), threshold) if settings.brains > 1 and settings.eval_episodes else None
    if ranking is not None:
        saving.save(agent.extract(ranking.best), run.path / BEST_BRAIN)
        saving.save(agent.extract(ranking.median), run.path / MEDIAN_BRAIN)
    if not session.arguments.no_plots:
        from hebbit.scripts import plots, raster

        plots.draw_run(run, threshold, run.path / LEARNING_CURVE)
        agent.active = 0 if ranking is None else ranking.best
        raster.draw_agent(agent, settings.environment(), run.path / RASTER)
    seconds, done = recorder.kept.train_seconds, settings.steps * settings.brains
    result = RunResult(
        env_id=settings.env_id,
        seed=settings.seed,
        steps=settings.steps,
        backend=agent.backend.name,
        wall_seconds=seconds,
        returns=returns.ravel().tolist(),
        reward_threshold=threshold,
        digest=agent.digest(),
    ).to_dict()
    result |= {
        "brains": settings.brains,
        "steps_per_second": done / seconds if seconds > 0 else None,
        "start_seconds": start_seconds,
        "evaluation_seconds": recorder.kept.evaluation_seconds,
        "population": None if ranking is None else ranking.to_dict(),
    }
    run.write_result(result)
    _summarize(session, result, ranking)


def _summarize(session: Session, result: dict[str, Any], ranking: Ranking | None) -> None:
    settings, evaluation = session.settings, result["evaluation"]
    brains = f"{settings.brains} brains, " if settings.brains > 1 else ""
    rate = f"{result['steps_per_second']:,.0f} steps/s" if result["steps_per_second"] else "no steps"
    session.say(
        f"{settings.env_id}, seed {settings.seed}: {brains}{settings.steps:,} steps in {result['wall_seconds']:.1f} s "
        f"({rate}, {result['backend']}; start-up {result['start_seconds']:.1f} s)"
    )
    if ranking is not None:
        episodes = f"{settings.eval_episodes} episodes of each brain"
        session.say(f"mean returns over {episodes}: {ranking.text()}")
    elif evaluation["episodes"]:
        session.say(figures(np.array(evaluation["returns"], np.float64), result["reward_threshold"]))
    session.say(f"digest {result['digest']}")
    files = ", ".join(sorted(path.name for path in session.run.path.iterdir() if path.suffix in (".zip", ".png")))
    session.say(f"{session.run.path}: {files}, result.json")


def figures(returns: NDArray[np.float64], threshold: float | None) -> str:
    """One line about the returns of some episodes."""
    verdict = ""
    if threshold is not None:
        verdict = f"; {'solved' if returns.mean() >= threshold else 'not solved'} (threshold {threshold:g})"
    return (
        f"{len(returns)} evaluation episodes: mean return {returns.mean():.1f}, std {returns.std():.1f}, "
        f"min {returns.min():.1f}, max {returns.max():.1f}{verdict}"
    )
