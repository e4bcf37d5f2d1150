"""An evaluation by a plan: every run under every condition, kept as it goes."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
from tqdm import tqdm

from hebbit.agents.environment import EnvSpec, episode_seed
from hebbit.agents.errors import HebbitError, RunError, brief
from hebbit.agents.files import storage_error
from hebbit.scripts.bench.play import Episodes, play
from hebbit.scripts.look.filming import check_movie, refuse_films
from hebbit.scripts.plans import entrants, table
from hebbit.scripts.plans.entrants import Entrant, NotApplicableError
from hebbit.scripts.plans.plan import Condition, Plan, read
from hebbit.scripts.plans.table import FAILED, NOT_APPLICABLE, OK, PICTURE, Row, Table
from hebbit.scripts.plans.video import Film
from hebbit.scripts.plans.worlds import Ranges, Watched, World, ranges_of
from hebbit.scripts.train import check_backend, reward_threshold

Env = gym.Env[Any, Any]
OWNED = ".evaluating"
"""Stands in a folder while an evaluation writes to it."""
SOME_FAILED = 1
"""Exit status where a row ended with an error."""


@dataclass
class Session:
    """One call's work."""

    plan: Plan
    spec: EnvSpec
    entrants: list[Entrant]
    table: Table
    out: Path | None
    video: Path | None
    bar: "tqdm[Any]"
    known: dict[tuple[int, str], Row] = field(default_factory=dict)
    """Rows by entrant and parameters: the same is not played twice."""

    @property
    def seeds(self) -> list[int]:
        """What the episodes are reset with: the same for every row."""
        return [episode_seed(self.plan.seed, 0, number, evaluation=True) for number in range(self.plan.episodes)]

    def play(self) -> None:
        """Every row, condition by condition; what has been played is written even when it is interrupted."""
        for condition in self.plan.conditions:
            try:
                for number, entrant in enumerate(self.entrants):
                    self.table.rows.append(self._row(number, entrant, condition))
            finally:
                if self.out is not None and self.table.rows:
                    self.table.write(self.out)

    def _row(self, number: int, entrant: Entrant, condition: Condition) -> Row:
        self.bar.set_description(f"{condition.name}, {entrant.run}", refresh=False)
        key = number, json.dumps(condition.parameters(), sort_keys=True)
        begun = self.bar.n
        if key in self.known:
            before = self.known[key]
            status, error, episodes = before.status, before.error, before.episodes
        else:
            status, error, episodes = self._played(entrant, condition)
        self.bar.update(begun + self.plan.episodes - self.bar.n)
        figures = None if episodes is None else table.figures(episodes, self.table.threshold, self.plan.seed)
        who = entrant.run, entrant.brain, entrant.algorithm, entrant.seed, entrant.digest
        row = self.known[key] = Row(*who, condition, status, error, episodes, figures)
        return row

    def _played(self, entrant: Entrant, condition: Condition) -> tuple[str, str | None, Episodes | None]:
        """Status, error and episodes of a row."""
        world = World(self.spec, condition, self.table.ranges)
        episodes = None

        def make() -> Env:
            return entrant.dress(Watched(world.make(), self.bar.update))

        try:
            episodes = play(entrant.policy(condition, self.plan), make, self.seeds, condition.deterministic)
            self._film(entrant, world, episodes)
        except NotApplicableError as reason:
            return NOT_APPLICABLE, str(reason), None
        except Exception as problem:  # an environment may raise anything; the other rows are worth having
            return FAILED, f"{type(problem).__name__}: {brief(problem, 300)}", episodes
        return OK, None, episodes

    def _film(self, entrant: Entrant, world: World, episodes: Episodes) -> None:
        """Play everything again, with a camera on three episodes."""
        if self.video is None:
            return
        condition = world.condition
        who = entrant.run if entrant.brain is None else f"{entrant.run}-brain-{entrant.brain}"
        # numbered, since two names may look alike as names of files
        film = Film(self.video, f"{len(self.table.rows) + 1:03d}-{who}-{condition.name}", episodes)
        policy, make = entrant.policy(condition, self.plan), film.maker(world, entrant.dress)
        try:
            film.finish(play(policy, make, self.seeds, condition.deterministic))
        finally:
            film.clean()


def run(arguments: argparse.Namespace) -> int:
    """``hebbit evaluate RUN... --plan FILE.toml``.

    Raises:
        HebbitError: something in it cannot be meant; nothing has been played then.
    """
    check_backend(arguments.backend)
    instead = {
        "stochastic": "use deterministic = false in a condition",
        "render": "use --video DIR",
        "resident": "a plan's environments are Gymnasium's own",
    }
    for flag, advice in instead.items():
        if getattr(arguments, flag):
            raise HebbitError(f"--{flag} has no place beside --plan: {advice}")
    folders = [_free_folder(name, flag) for name, flag in ((arguments.out, "--out"), (arguments.video, "--video"))]
    if arguments.video is not None:
        check_movie()
    plan = read(Path(arguments.plan), arguments.episodes, arguments.seed)
    session = _prepared(plan, arguments, *folders)
    with contextlib.ExitStack() as owned:
        # parents first: one may lie in the other, or both be the same
        for _, folder in sorted({path.resolve(): path for path in folders if path is not None}.items()):
            owned.enter_context(_owned(folder))
        _play(session)
        return _conclude(session)


def _play(session: Session) -> None:
    with session.bar:
        try:
            session.play()
        except KeyboardInterrupt as error:
            kept = "" if session.out is None else f"; they are in {session.out}"
            error.add_note(f"{len(session.table.rows)} of {_all_rows(session)} rows were finished{kept}")
            raise


def _prepared(plan: Plan, arguments: argparse.Namespace, out: Path | None, video: Path | None) -> Session:
    """Load everything and make every world once."""
    everyone, specs = entrants.load(
        arguments.runs, arguments.brain, arguments.backend, arguments.trust, plan.environment
    )
    spec = entrants.environment(plan, specs)
    ranges = _checked_worlds(plan, spec)
    if video is not None:
        refuse_films(spec)
    found = Table(plan, spec.to_dict(), reward_threshold(spec.id), ranges, [])
    total = len(everyone) * len(plan.conditions) * plan.episodes
    # drawn on a terminal alone
    bar: tqdm[Any] = tqdm(total=total, unit="episode", leave=False, disable=None)
    return Session(plan, spec, everyone, found, out, video, bar)


def _checked_worlds(plan: Plan, spec: EnvSpec) -> Ranges:
    """The units of noise, after every world has been made once."""
    ranges = ranges_of(spec, plan.ranges, any(condition.needs_ranges for condition in plan.conditions))
    for condition in plan.conditions:
        try:
            World(spec, condition, ranges).check()
        except HebbitError as error:
            raise HebbitError(f"the condition {condition.name!r} cannot be played: {error}") from error
    return ranges


def _free_folder(name: str | None, flag: str) -> Path | None:
    """A folder that does not exist yet, or is empty."""
    if name is None:
        return None
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file where a folder is needed: choose another {flag}")
    if (path / OWNED).exists():
        raise RunError(
            f"another evaluation writes to {path}, or was killed there: choose another {flag}, or remove {OWNED} in it"
        )
    if path.is_dir() and any(path.iterdir()):
        raise RunError(f"{path} is not empty: choose another {flag}, nothing in it would be overwritten")
    return path


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """An empty folder that no other evaluation writes to within this block.

    Raises:
        RunError: another one was quicker, or the folder cannot be made.
    """
    mark = folder / OWNED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # the operating system lets only one of several make it
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError as error:
        raise RunError(f"another evaluation has begun to write to {folder}: choose another folder") from error
    except OSError as error:
        raise storage_error(folder, error, what="folder") from error
    try:
        if any(path != mark for path in folder.iterdir()):
            raise RunError(f"{folder} is not empty any more: another evaluation was quicker, choose another folder")
        yield
    finally:
        mark.unlink(missing_ok=True)


def _all_rows(session: Session) -> int:
    return len(session.entrants) * len(session.plan.conditions)


def _conclude(session: Session) -> int:
    """Draw, print, and say how it went."""
    result = session.table
    print(f"{session.spec.id}: {session.plan.episodes} episodes for each row, seed {session.plan.seed}")
    print(result.text())
    if session.out is not None:
        from hebbit.scripts.plans import picture

        drawn = picture.draw(result, session.out / PICTURE)
        print(f"{session.out}: {table.CSV}, {table.JSON}" + (f", {PICTURE}" if drawn else ""))
    if result.failures:
        number = f"{len(result.failures)} of {_all_rows(session)} rows"
        print(f"hebbit: {number} ended with an error, which stands in the table", file=sys.stderr)
        return SOME_FAILED
    return 0
