"""hebbit evaluate: play without learning."""

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent, resident
from hebbit.agents import evaluate as play
from hebbit.agents.errors import CheckpointError, RunError, brief
from hebbit.agents.files import storage_error
from hebbit.agents.runs import RunDirectory
from hebbit.agents.trained import comes_along, located
from hebbit.scripts.bench.suites import BASELINES
from hebbit.scripts.flags import DEFAULT_EPISODES
from hebbit.scripts.look.filming import check_movie
from hebbit.scripts.population import Ranking, evaluate_brains
from hebbit.scripts.train import BEST_BRAIN, MEDIAN_BRAIN, check_backend, figures, reward_threshold


@dataclass(frozen=True)
class Subject:
    """Who plays where."""

    agent: SpikingAgent
    spec: EnvSpec
    path: Path
    """Of the checkpoint."""


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit evaluate --help``."""
    if arguments.plan is not None:
        from hebbit.scripts.plans import session

        return session.run(arguments)
    _refuse_without_plan(arguments.runs)
    if arguments.episodes is None:
        arguments.episodes = DEFAULT_EPISODES
    check_backend(arguments.backend)
    check_output(arguments.out)
    subject = load(located(arguments.runs[0]), arguments.brain, arguments.backend, arguments.trust)
    agent = subject.agent
    everyone = len(agent.brains) > 1 and arguments.brain is None
    if everyone and (arguments.render or arguments.video):
        raise HebbitError(f"{subject.path} holds {len(agent.brains)} brains: pick one to be seen with --brain")
    seed = agent.seed if arguments.seed is None else arguments.seed
    if arguments.resident:
        returns, lengths = _resident(subject, arguments, None if everyone else [agent.active], seed)
    elif everyone:
        returns, lengths = evaluate_brains(agent, subject.spec, arguments.episodes, not arguments.stochastic, seed)
    else:
        one, steps = _play(subject, arguments, seed)
        returns, lengths = one[None], steps[None]
    threshold = reward_threshold(subject.spec.id)
    ranking = Ranking(returns.mean(axis=1), threshold) if everyone else None
    _report(subject, returns, threshold, ranking)
    if arguments.out is not None:
        content = _content(subject, returns, lengths, threshold) | {
            "seed": seed,
            "deterministic": not arguments.stochastic,
            "resident": arguments.resident,
            "brain": None if everyone else int(agent.brains[agent.active]),
            "population": None if ranking is None else ranking.to_dict(),
        }
        _write_new(Path(arguments.out), json.dumps(content, indent=2) + "\n")
    return 0


def _resident(
    subject: Subject, arguments: argparse.Namespace, brains: list[int] | None, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns and lengths of episodes in the compiled world, brain by brain."""
    subject.agent.set_env(replace(subject.spec, resident=True))
    return resident.trial(subject.agent, arguments.episodes, not arguments.stochastic, brains, seed)


def _refuse_without_plan(runs: list[str]) -> None:
    """Refuse what only a plan makes comparable."""
    if len(runs) > 1:
        raise HebbitError(f"{len(runs)} runs need --plan FILE.toml, which puts them in one table; or name one run")
    algorithm, colon, _ = runs[0].partition(":")
    if colon and algorithm.lower() in BASELINES:
        raise HebbitError(f"{runs[0]} needs --plan FILE.toml, which evaluates models of Stable-Baselines3 too")


def load(path: Path, brain: str | int | None, backend: str, trust: bool, spec: EnvSpec | None = None) -> Subject:
    """The agent of a run's folder or of a checkpoint.

    Args:
        path: of either.
        brain: best, median, a position, or None for the agent as it is.
        backend: to load it into.
        trust: allow the checkpoint to name code outside Gymnasium.
        spec: what makes the environment of an agent that does not name its own.

    Raises:
        HebbitError: there is no such agent, or it names no environment.
    """
    if path.is_dir():
        path = _checkpoint_of(RunDirectory.open(path, write=False), brain)
    elif isinstance(brain, str):
        raise HebbitError(f"--brain {brain} needs a run's folder, where the brains were compared, got {path}")
    agent = SpikingAgent.load(path, backend=backend, trust=trust or comes_along(path))
    spec = agent.spec or spec
    if spec is None:
        raise CheckpointError(f"{path} does not say how its environment is made: evaluate it with SpikingAgent.load")
    if isinstance(brain, int):
        if brain >= len(agent.brains):
            raise HebbitError(f"--brain must be one of 0..{len(agent.brains) - 1}, got {brain}")
        agent.active = brain
    return Subject(agent, spec, path)


def _checkpoint_of(run: RunDirectory, brain: str | int | None) -> Path:
    path = run.path / {"best": BEST_BRAIN, "median": MEDIAN_BRAIN}[brain] if isinstance(brain, str) else run.model_path
    if path.exists():
        return path
    if isinstance(brain, str):
        raise RunError(f"{run.path} has no {path.name}: only a population that has finished has it; leave --brain out")
    if (run.path / "wave_0000").is_dir():
        wave = run.read_config().get("wave")
        if isinstance(brain, int) and isinstance(wave, int) and wave > 0:
            place = f"brain {brain} is --brain {brain % wave} of {run.path / f'wave_{brain // wave:04d}'}"
        else:
            place = f"name one, such as {run.path / 'wave_0000'}"
        raise RunError(f"the brains of {run.path} lived in waves: {place}")
    raise RunError(f"{run.path} has no checkpoint yet: wait for its first, or go on with it by hebbit train --resume")


def _play(subject: Subject, arguments: argparse.Namespace, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns and lengths of one brain's episodes."""
    agent = subject.agent
    env = _environment(subject.spec, arguments)
    brain = int(agent.brains[agent.active])
    try:
        return play(agent, env, arguments.episodes, not arguments.stochastic, seed, brain)
    except gym.error.DependencyNotInstalled as error:
        raise HebbitError(f"{subject.spec.id} cannot be drawn: {brief(error, 300)}") from error
    finally:
        env.close()


def _environment(spec: EnvSpec, arguments: argparse.Namespace) -> gym.Env[Any, Any]:
    if arguments.video is None:
        return spec.make("human" if arguments.render else None)
    check_movie()
    env = spec.make("rgb_array")
    name = f"{spec.id.replace('/', '-').replace(':', '-')}"
    try:
        return gym.wrappers.RecordVideo(env, arguments.video, episode_trigger=lambda _: True, name_prefix=name)
    except (gym.error.Error, ValueError) as error:
        env.close()
        raise HebbitError(f"{spec.id} cannot be filmed: {error}") from error


def _report(subject: Subject, returns: NDArray[np.float64], threshold: float | None, ranking: Ranking | None) -> None:
    print(f"{subject.spec.id}, {subject.path}")
    if ranking is None:
        print(figures(returns.ravel(), threshold))
    else:
        print(f"mean returns over {returns.shape[1]} episodes of each brain: {ranking.text()}")


def _content(
    subject: Subject, returns: NDArray[np.float64], lengths: NDArray[np.int64], threshold: float | None
) -> dict[str, Any]:
    mean = float(returns.mean())
    return {
        "env_id": subject.spec.id,
        "checkpoint": str(subject.path),
        "digest": subject.agent.digest(),
        "episodes": int(returns.shape[1]),
        "mean": mean,
        "std": float(returns.std()),
        "min": float(returns.min()),
        "max": float(returns.max()),
        "reward_threshold": threshold,
        "solved": None if threshold is None else mean >= threshold,
        "returns": returns.ravel().tolist(),
        "lengths": lengths.ravel().tolist(),
    }


def check_output(name: str | None) -> None:
    """Refuse now what would only fail after the work.

    Raises:
        RunError: the file exists, or its folder does not or takes no files.
    """
    if name is not None and os.path.lexists(name):
        raise RunError(f"{name} exists already: choose another --out, it would not be overwritten")
    if name is not None and not Path(name).absolute().parent.is_dir():
        raise RunError(f"{name} needs its folder {Path(name).parent}: make it, or choose another --out")
    if name is not None and not os.access(Path(name).absolute().parent, os.W_OK):
        raise RunError(f"{name} cannot be written, its folder is read-only for you: choose another --out")


def _write_new(path: Path, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RunError(f"{path} exists already: choose another --out, it would not be overwritten") from error
    except OSError as error:
        raise storage_error(path, error) from error
