"""hebbit tune --population: trials in waves, all of a wave learning at the same time in compiled worlds."""

import argparse
import hashlib
import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hebbit.agents import EnvSpec, HebbitError
from hebbit.agents.errors import RunError
from hebbit.agents.files import atomic_write_text
from hebbit.scripts import tune
from hebbit.scripts.tune_crowd import Crowd
from hebbit.scripts.tune_draws import Draws
from hebbit.scripts.tune_halving import ETA, Entry, cost, entries, halve, ladder
from hebbit.scripts.tune_space import Options, Range, Space
from hebbit.scripts.tune_study import ERROR

SHAPES = 4
ENDINGS = (".preset.toml", ".toml")
BEST_BRAIN = "best_brain.zip"


class Left:
    """A file that is written again and again, but never over what somebody else put there."""

    def __init__(self, path: Path) -> None:
        """Take the place.

        Raises:
            RunError: something is there.
        """
        self.path, self._digest = path, ""
        self.check()

    def check(self) -> None:
        """Refuse to write over what is not ours.

        Raises:
            RunError: something else is there.
        """
        if self.path.is_file() and hashlib.sha256(self.path.read_bytes()).hexdigest() == self._digest:
            return
        if self.path.exists() or self.path.is_symlink():
            raise RunError(f"{self.path} exists already: move it, or choose another --out, it would not be overwritten")

    def write(self, text: str) -> None:
        """Write it anew."""
        self.check()
        atomic_write_text(self.path, text)
        self._digest = hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Course:
    """A search in waves, and what it leaves beside the preset."""

    tuning: tune.Tuning
    table: Left
    picture: Path
    brain: Path
    eta: float
    entries: list[Entry] = field(default_factory=list)
    brain_steps: int = 0
    rest: dict[str, Any] = field(default_factory=dict)
    """What the table says beside the trials."""

    @property
    def draws(self) -> Draws:
        """The search."""
        return cast(Draws, self.tuning.search)

    def write(self) -> None:
        """Bring the table up to date."""
        self.table.write(table_text(self.told()))

    def told(self) -> dict[str, Any]:
        """The table."""
        tuning = self.tuning
        conditions, arguments = tuning.conditions, tuning.arguments
        return {
            "env_id": conditions.env_id,
            "command": shlex.join(tune._command(tuning)),
            "kind": "population-based training" if arguments.exploit else "successive halving",
            "steps": conditions.steps, "seeds": 1 if arguments.exploit else arguments.seeds, "seed": conditions.seed,
            "brain_steps": self.brain_steps, "seconds": round(time.perf_counter() - tuning.began, 1),
            "space": told_space(tuning.space),
            **self.rest,
            "trials": [one.to_dict() for one in self.entries if one.rungs],
        }  # fmt: skip


def table_text(table: dict[str, Any]) -> str:
    """JSON with a line for each part, and for each trial."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in table.items() if key != "trials"]
    trials = ",\n  ".join(json.dumps(one) for one in table["trials"])
    return "{\n" + ",\n".join([*lines, f' "trials": [\n  {trials}\n ]']) + "\n}\n"


def told_space(space: Space) -> dict[str, Any]:
    """What was varied, fit for JSON."""
    told: dict[str, Any] = {}
    for one in space.dimensions:
        if isinstance(one, Options):
            told[one.name] = {"options": list(one.options)}
        elif isinstance(one, Range):
            told[one.name] = {"low": one.low, "high": one.high, "scale": one.scale}
    return told


def tune_population(arguments: argparse.Namespace) -> int:
    """See ``hebbit tune --help``."""
    _check(arguments)
    course = _begun(arguments)
    tuning = course.tuning
    try:
        if arguments.exploit:
            from hebbit.scripts.tune_exploit import train

            train(course)
        else:
            _search(course)
        _finish(course)
    except KeyboardInterrupt as error:
        error.add_note(_advice(course))
        raise
    finally:
        tuning.search.close()
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse flags that do not go together, and environments that are not compiled."""
    if arguments.storage is not None:
        raise HebbitError("a search by --population is kept in memory and takes minutes: leave --storage out")
    least, why = (4, "for its quarters") if arguments.exploit else (arguments.seeds, "the --seeds of one trial")
    if arguments.population < least:
        raise HebbitError(f"--population must be at least {least}, {why}, got {arguments.population}")
    try:
        EnvSpec(arguments.env_id, resident=True).make_vector(1).close()
    except HebbitError as error:
        raise HebbitError(f"--population tunes brains in compiled worlds: {error}; leave it out") from error


def _begun(arguments: argparse.Namespace) -> Course:
    start = tune._start(arguments)
    if start.rewire_every or start.actor_fading:
        raise HebbitError(
            "--population cannot put brains to sleep that are re-wired or fade: add -P rewire_every=0 actor_fading=0"
        )
    tuning = tune._begun(arguments, Draws)
    out = tuning.preset.path
    base = next((out.name.removesuffix(end) for end in ENDINGS if out.name.endswith(end)), out.name)
    table, picture = Left(out.with_name(f"{base}.population.json")), out.with_name(f"{base}.population.png")
    brain = out.with_name(BEST_BRAIN)
    for path in (picture, brain) if arguments.exploit else (picture,):
        Left(path)
    return Course(tuning, table, picture, brain, arguments.eta or ETA)


def waves(course: Course) -> list[int]:
    """Trials of each wave.

    Raises:
        HebbitError: the budget is too small for one.
    """
    arguments, steps = course.tuning.arguments, course.tuning.conditions.steps
    most, rungs = arguments.population // arguments.seeds, ladder(steps, course.eta)
    check = (1 + tune.FINALISTS) * len(course.tuning.fresh) * steps
    whole = cost(most, arguments.seeds, rungs, course.eta)
    total, budget = arguments.trials, arguments.budget_steps
    if total is None:
        total = tune.DEFAULT_TRIALS if budget is None else most * max(1, (budget - check) // whole)
    number = -(-total // most)
    sizes = [total * (k + 1) // number - total * k // number for k in range(number)]
    left, own = float("inf") if budget is None else budget - check, []
    for size in sizes:
        left -= cost(size, arguments.seeds, rungs, course.eta)
        if left >= 0:
            own.append(size)
    if not own:
        least = check + cost(sizes[0], arguments.seeds, rungs, course.eta)
        raise HebbitError(
            f"--budget-steps must be at least {least}, for one wave of {sizes[0]} trials and the check on fresh "
            f"seeds, got {budget}"
        )
    return own


def _search(course: Course) -> None:
    """Wave after wave; the best is the preset until fresh seeds have spoken."""
    tuning, draws = course.tuning, course.draws
    arguments, sizes = tuning.arguments, waves(course)
    course.rest["rungs"] = ladder(tuning.conditions.steps, course.eta)
    for number, size in enumerate(sizes, 1):
        trials = {one.number: one for one in draws.wave(size, min(size, arguments.shapes or SHAPES))}
        wave = entries(draws, list(trials.values()), number)
        course.entries += wave
        before, clock = 0, time.perf_counter()

        def told(steps: int, ranking: Sequence[Entry], going: int, count: str = f"[{number}/{len(sizes)}]") -> None:
            nonlocal before, clock
            course.brain_steps += len(ranking) * arguments.seeds * (steps - before)
            before, began, clock = steps, clock, time.perf_counter()
            tuning.say(f"{count} {_rung(steps, ranking, going)}; {clock - began:.1f} s")

        halve(draws, trials, wave, tuning.conditions, tuning.tuned, course.eta, told)
        best = draws.best()
        if best is not None:
            tune._keep(tuning, best.number)
        if any(one.rungs for one in wave):
            course.write()


def _rung(steps: int, ranking: Sequence[Entry], going: int) -> str:
    """What became of the trials on a rung."""
    if not ranking:
        return f"{steps:,} steps: no trial"
    best = ranking[0]
    on = f", {going} go on" if going else ""
    middle = ranking[len(ranking) // 2].rungs[-1].score
    return (
        f"{steps:,} steps: {len(ranking)} trials, best {best.rungs[-1].score:.1f} (trial {best.number}), "
        f"median {middle:.1f}{on}"
    )


def _finish(course: Course) -> None:
    """Train the best on fresh seeds, all at the same time; the preset, the table and the picture."""
    from hebbit.scripts.tune_landscape import draw

    tuning, draws = course.tuning, course.draws
    ranking, start = draws.ranking(), draws.start()
    if ranking:
        checked = ([] if start is None else [start]) + tune._finalists(ranking, start)
        configs = [tuning.space.config(one.params) for one in checked]
        crowd = Crowd(tuning.conditions, configs, tuning.fresh)
        try:
            crowd.live(tuning.conditions.steps, range(len(checked)))
            means = crowd.means(tuning.conditions.episodes, range(len(checked)))
        finally:
            crowd.close()
        course.brain_steps += means.size * tuning.conditions.steps
        fresh = {str(one.number): own.tolist() for one, own in zip(checked, means, strict=True)}
        draws.note(tune.RECHECKS, fresh)
        course.rest["fresh"] = {key: [round(mean, 3) for mean in own] for key, own in fresh.items()}
    tune._finish(tuning)
    course.rest["winner"] = draws.noted(tune.FINAL, {})["trial"]
    course.write()
    Left(course.picture)
    draw(course.told(), course.picture)
    tuning.say(
        f"{course.table.path}: all trials; {course.picture}: the landscape; {course.brain_steps:,} steps of brains"
    )


def _advice(course: Course) -> str:
    """What is left of an interrupted search."""
    tuning, draws = course.tuning, course.draws
    if any(one.rungs for one in course.entries):
        course.write()
    best = draws.best()
    failed = sum(ERROR in one.user_attrs for one in draws.trials())
    kept = "no trial was completed" if best is None else tune._kept(tuning, best)
    return f"{kept}, trials: {len(draws.started()) - failed}; it cannot go on, only begin again"
