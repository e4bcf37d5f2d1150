"""More resident brains than there is room for: one wave after the other, each in a folder of its own.

Brains share nothing, so what they become depends on nobody beside them: the same bits as all of them at once.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hebbit.agents import HebbitError, SpikingAgent, checkpoint, saving
from hebbit.agents.books import EPISODES_KEPT
from hebbit.agents.errors import CheckpointError, RunError
from hebbit.agents.runs import RunDirectory, RunResult
from hebbit.backends.choice import SAMPLE
from hebbit.scripts.population import Ranking
from hebbit.scripts.resident_job import (
    BEST_BRAIN,
    MEDIAN_BRAIN,
    at_its_end,
    begun,
    kept,
    resumed,
    save_alone,
    summarize,
    work,
)
from hebbit.scripts.resident_population import newborn
from hebbit.scripts.settings import Settings, judged

BOOKS = 16 * EPISODES_KEPT + 64
"""Bytes of a checkpoint that a brain has not yet when it is born: episodes, and what is known of it."""
MOST_WAVES = 10_000
HOST_COPIES = 8
"""A brain takes so many times what a checkpoint holds of it while it is born or saved, about."""
SLACK = 1 << 20
"""Bytes of a checkpoint for its settings, and for what is not a brain's."""


def planned(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """The settings of a run, with the brains of a wave in them if it needs more than one.

    A wave is what a checkpoint and the machine's memory hold, and a multiple of what runs at the same time, or what
    --wave asks for.

    Raises:
        HebbitError: it cannot be resident, there is no room for one brain, or for less than --wave asks for.
    """
    most, at_once = room(settings, "numba" if arguments.ray else arguments.backend)
    wave = min(settings.wave or most, settings.brains)
    if settings.brains > 1 << 32:
        raise HebbitError(f"brains have numbers of 32 bits, so there are at most {1 << 32:,}, got {settings.brains:,}")
    if most < max(wave, 1):
        advice = "choose a smaller --wave" if most else "use smaller brains, or another --backend"
        raise HebbitError(f"there is room for {most:,} such brains at once, got {max(wave, 1):,}: {advice}")
    if wave == settings.brains:
        return replace(settings, wave=0)
    if arguments.ray:
        raise HebbitError(
            f"{wave:,} such brains are saved together, and with --ray all of them are, got {settings.brains:,}: leave "
            "--ray out, then they live in waves, or make several runs"
        )
    wave = settings.wave or max(wave - wave % at_once, min(wave, at_once))
    if settings.brains > wave * MOST_WAVES:
        waves = -(-settings.brains // wave)
        raise HebbitError(f"a run has at most {MOST_WAVES:,} waves, got {waves:,} of {wave:,} brains each")
    return replace(settings, wave=wave)


def room(settings: Settings, backend: str) -> tuple[int, int]:
    """Brains of a run that a checkpoint and the machine hold, and those that run at the same time."""
    # what auto takes depends on how many there are
    agent = newborn(replace(settings, brains=min(settings.brains, SAMPLE) if backend == "auto" else 1), backend)
    try:
        arrays = (*saving.learned(agent).values(), *saving.running(agent).values())
        own = sum(array.nbytes for array in arrays) // len(agent.brains) + BOOKS
        machine: Any = agent.backend
        stream: Any = agent._stream
        found = machine.room(agent.state, stream.world)
        held = min((checkpoint.MAX_BYTES - SLACK) // own, host_memory() // (HOST_COPIES * own), found.held)
        return held, found.at_once
    finally:
        agent.close()


def host_memory() -> int:
    """Bytes of memory that processes can still have; all there is where nobody says more."""
    try:
        text = Path("/proc/meminfo").read_text()
        return int(text.partition("MemAvailable:")[2].split()[0]) << 10
    except (OSError, IndexError, ValueError):
        sysconf = getattr(os, "sysconf", None)
        return sysconf("SC_PHYS_PAGES") * sysconf("SC_PAGE_SIZE") if sysconf else sys.maxsize


def shares(settings: Settings) -> list[Settings]:
    """The settings of each wave."""
    first, wave = settings.first, settings.wave
    return [
        replace(settings, brains=min(wave, settings.brains - start), first=first + start, wave=0)
        for start in range(0, settings.brains, wave)
    ]


def new(settings: Settings, folder: str | None) -> RunDirectory:
    """The folder of a run that begins."""
    from hebbit.scripts.train import new_directory, refuse_a_run

    refuse_a_run(folder)
    return new_directory(settings, folder)


def run(directory: RunDirectory, settings: Settings, arguments: argparse.Namespace) -> int:
    """Lead all waves to their end: the exit status.

    Args:
        directory: of the run; closed in the end.
        settings: with the size of a wave.
        arguments: of the command.
    """
    own, worked = shares(settings), False
    folders = [directory.path / f"wave_{number:04d}" for number in range(len(own))]
    with kept(directory):
        for one, folder in zip(own, folders, strict=True):
            if not (folder / "result.json").exists():
                _say(arguments, f"{folder.name} of {len(own)}: brains {one.first:,}..{one.first + one.brains - 1:,}")
            with closing(_job(one, folder, arguments)) as job:
                if job.lives is None:
                    continue
                worked = True
                directory.write_config(asdict(settings))
                directory.result_path.unlink(missing_ok=True)
                if status := work(job, arguments, directory.path):
                    return status
        if not worked and directory.read_result() is not None:
            _say(arguments, at_its_end(directory, settings))
            return 0
        _conclude(directory, settings, folders, arguments)
        return 0


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.quiet:
        print(text, flush=True)


def _job(settings: Settings, folder: Path, arguments: argparse.Namespace) -> Any:
    """A wave that begins, or that goes on.

    Raises:
        RunError: what is in its folder is another one.
    """
    if not (folder / "config.json").exists():
        return begun(settings, folder, arguments)
    directory = RunDirectory.open(folder)
    try:
        if replace(judged(directory.read_config(), folder), steps=settings.steps, until=settings.until) != settings:
            raise RunError(f"{folder} is not a wave of this run: start another run")
        return resumed(settings, directory, arguments.backend)
    except BaseException as error:
        directory.close()
        if isinstance(error, CheckpointError | RunError):
            raise RunError(f"{error}; or remove {folder}, and --resume makes that wave anew") from error
        raise


def _conclude(
    directory: RunDirectory, settings: Settings, folders: Sequence[Path], arguments: argparse.Namespace
) -> None:
    """Bring together what came of the waves; the result is written last."""
    results = [_result(folder) for folder in folders]
    result, ranking = combined(results, settings), None
    if settings.eval_episodes:
        means = [mean for one in results for mean in one["population"]["means"]]
        ranking = Ranking(np.array(means), result["reward_threshold"])
        for row, name in ((ranking.best, BEST_BRAIN), (ranking.median, MEDIAN_BRAIN)):
            wave, place = divmod(row, settings.wave)
            model = folders[wave] / directory.model_path.name
            alone = SpikingAgent.load(model, backend="numba", brain=place)
            save_alone(alone, result["solved_at"][row], directory.path / name)
    result["population"] = None if ranking is None else ranking.to_dict()
    directory.write_result(result)
    if not arguments.quiet:
        summarize(result, ranking, settings, directory.path)


def _result(folder: Path) -> dict[str, Any]:
    directory = RunDirectory.open(folder, write=False)
    found = directory.read_result()
    if found is None:
        raise RunError(f"{directory.result_path} is gone: go on with the run by adding --resume")
    return found


def combined(results: Sequence[dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """The result of a run from those of its waves; its digest is that of their digests, one behind the other."""

    def total(name: str) -> Any:
        return sum(result[name] for result in results)

    digests = [result["digest"] for result in results]
    returns = [value for result in results for value in result["evaluation"]["returns"]]
    first, seconds, made = results[0], total("wall_seconds"), total("steps_made")
    whole = RunResult(
        env_id=settings.env_id, seed=settings.seed, steps=settings.steps, backend=first["backend"],
        wall_seconds=seconds, returns=returns, reward_threshold=first["reward_threshold"],
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
    ).to_dict()  # fmt: skip
    return whole | {
        "brains": settings.brains,
        "steps_made": made,
        "steps_per_second": made / seconds if seconds > 0 else None,
        **{f"{name}_seconds": total(f"{name}_seconds") for name in ("trial", "elapsed", "start", "evaluation")},
        "solved_at": [steps for result in results for steps in result["solved_at"]],
        "waves": [{"brains": result["brains"], "digest": result["digest"]} for result in results],
    }
