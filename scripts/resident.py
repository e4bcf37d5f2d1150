"""hebbit train --resident: a population that lives in a compiled world until its brains have solved it."""

import argparse
import time

from hebbit.agents import HebbitError
from hebbit.agents.runs import RunDirectory
from hebbit.scripts import resident_waves as waves
from hebbit.scripts.resident_job import at_its_end, begun, kept, resumed, work
from hebbit.scripts.settings import Settings, check_environment, of_new_run, of_resumed_run

MOST_STEPS = 1_000_000
"""Where no --steps are named."""


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit train --help``."""
    return _go_on(arguments) if arguments.resume else _begin(arguments)


def _begin(arguments: argparse.Namespace) -> int:
    began = time.perf_counter()
    settings = waves.planned(_settings(arguments), arguments)
    if settings.wave:
        return waves.run(waves.new(settings, arguments.run_dir), settings, arguments)
    job = begun(settings, arguments.run_dir, arguments)
    job.seconds = time.perf_counter() - began
    with kept(job):
        return work(job, arguments, job.directory.path)


def _settings(arguments: argparse.Namespace) -> Settings:
    from hebbit.scripts.train import reward_threshold

    check_environment(arguments.env_id)
    if reward_threshold(arguments.env_id) is None and (arguments.steps is None or arguments.until is not None):
        advice = "leave --until out" if arguments.until is not None else "say how long to learn with --steps"
        raise HebbitError(f"nobody says when {arguments.env_id} is solved: {advice}")
    if arguments.steps is None:
        arguments.steps = MOST_STEPS
    if arguments.shards is not None and arguments.ray is None:
        raise HebbitError("--shards are actors of Ray: add --ray")
    settings = of_new_run(arguments)
    if settings.eval_freq or settings.tensorboard:
        raise HebbitError("a resident run looks at its brains by itself: leave --eval-freq and --tensorboard out")
    return settings


def _go_on(arguments: argparse.Namespace) -> int:
    if arguments.ray is not None or arguments.shards is not None:
        raise HebbitError("a run goes on in one process: leave --ray and --shards out with --resume")
    if arguments.run_dir is None:
        raise HebbitError("--resume goes on with a run: name its folder with --run-dir")
    directory = RunDirectory.open(arguments.run_dir)
    try:
        settings = of_resumed_run(arguments, directory.read_config())
        if not settings.resident:
            raise HebbitError(f"the run in {arguments.run_dir} is not resident: leave --resident out")
    except BaseException:
        directory.close()
        raise
    if settings.wave:
        return waves.run(directory, settings, arguments)
    job = resumed(settings, directory, arguments.backend)
    with kept(job):
        if job.lives is not None:
            return work(job, arguments, directory.path)
        if not arguments.quiet:
            print(at_its_end(directory, settings))
        return 0
