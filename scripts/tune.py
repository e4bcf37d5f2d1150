"""hebbit tune: search for hyperparameters, and leave the best as a preset."""

import argparse
import datetime
import importlib.util
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, configure
from hebbit.agents.environment import checked_seed
from hebbit.agents.runs import safe_name
from hebbit.scripts.bench import suites
from hebbit.scripts.flags_bench import FIRST_SEED
from hebbit.scripts.settings import check_environment, pairs
from hebbit.scripts.train import check_backend
from hebbit.scripts.tune_preset import PresetFile
from hebbit.scripts.tune_space import Space, space
from hebbit.scripts.tune_trial import LEAST_FRESH, Conditions, Look, clearly_better, score, train

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

    from hebbit.scripts.tune_study import Search

DEFAULT_TRIALS = 100
SUITES = ("classic", "box2d", "minatar")
"""Whose steps are the default."""
FINALISTS = 3
"""Best trials that are trained again on fresh seeds, beside the start."""
FRESH_FACTOR = 2
"""Fresh seeds for each one that was tuned on; but at least as many as a lead is judged by."""
RECHECKS, PRESETS, FINAL = "rechecks", "written", "final"
"""Notes of a study: mean returns on fresh seeds by trial, origins of the presets written by digest, and who won."""


class _Pruned(Exception):
    """A trial fell behind."""


@dataclass
class Tuning:
    """One process's part in a search."""

    search: "Search"
    space: Space
    conditions: Conditions
    preset: PresetFile
    arguments: argparse.Namespace
    began: float = field(default_factory=time.perf_counter)

    def say(self, text: str) -> None:
        """Print, if it is to be read."""
        if not self.arguments.quiet:
            print(text, flush=True)

    @property
    def tuned(self) -> range:
        """Numbers of the brains that every trial trains."""
        return range(self.arguments.seeds)

    @property
    def confirming(self) -> range:
        """Numbers of the brains that a trial has to train, too, before it counts as the best."""
        return range(self.arguments.seeds, 2 * self.arguments.seeds)

    @property
    def fresh(self) -> range:
        """Numbers of the brains of the re-check, that nothing is tuned on."""
        return range(FIRST_SEED, FIRST_SEED + max(LEAST_FRESH, FRESH_FACTOR * self.arguments.seeds))


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit tune --help``."""
    if importlib.util.find_spec("optuna") is None:
        raise HebbitError("hebbit tune needs optuna, which is not installed: pip install 'hebbit[tune]'")
    check_backend(arguments.backend)
    check_environment(arguments.env_id)
    if arguments.population is not None:
        from hebbit.scripts.tune_population import tune_population

        return tune_population(arguments)
    if arguments.exploit or any((arguments.eta, arguments.shapes, arguments.budget_steps)):
        raise HebbitError("--budget-steps, --eta, --shapes and --exploit need a --population, such as 192")
    arguments.trials = arguments.trials or DEFAULT_TRIALS
    tuning = _begun(arguments)
    try:
        _search(tuning)
        if not tuning.search.finishing():
            tuning.say("other processes are still at work on this search: whoever ends last writes the preset")
            return 0
        while not tuning.search.finished(_finish(tuning)):
            tuning.say("another process has added trials meanwhile:")
    except KeyboardInterrupt as error:
        error.add_note(_advice(tuning))
        raise
    finally:
        tuning.search.close()
    return 0


def _start(arguments: argparse.Namespace) -> AgentConfig:
    """The settings that the search starts from."""
    changes = pairs(vars(arguments).get("params"), "-P", json_values=False)
    return configure(arguments.env_id, arguments.preset, changes)


def _begun(arguments: argparse.Namespace, kind: "type[Search] | None" = None) -> Tuning:
    """The search that the flags describe, begun or joined."""
    from hebbit.scripts.tune_study import Search

    start = _start(arguments)
    made = EnvSpec(arguments.env_id).make()
    own = space(start, made.observation_space, made.action_space)
    made.close()
    steps = arguments.steps or _default_steps(arguments.env_id)
    conditions = Conditions(
        arguments.env_id, steps, arguments.episodes, checked_seed(arguments.seed), arguments.backend
    )
    terms = {"steps": steps, "seeds": arguments.seeds, "episodes": arguments.episodes, "seed": arguments.seed}
    terms |= {"preset": start.to_dict()}
    out = Path(arguments.out or f"{safe_name(arguments.env_id)}.preset.toml")
    if arguments.storage is None:
        PresetFile(out)
    storage = None if arguments.storage is None else Path(arguments.storage)
    search = (kind or Search)(f"hebbit tune {arguments.env_id}", own, terms, storage)
    try:
        preset = PresetFile(out, search.noted(PRESETS, {}))
    except BaseException:
        search.close()
        raise
    return Tuning(search, own, conditions, preset, arguments)


def _default_steps(env_id: str) -> int:
    """As many as the suites that come along train there."""
    for name in SUITES:
        for task in suites.load(name).tasks:
            if task.env_id == env_id and not (task.kwargs or task.wrappers):
                return task.steps
    raise HebbitError(f"say how long a trial trains: hebbit tune {env_id} --steps 30000")


def _search(tuning: Tuning) -> None:
    """Do trials until as many as asked for have been started."""
    done = len(tuning.search.started())
    if done and tuning.arguments.storage is not None:
        tuning.say(f"{tuning.arguments.storage} holds {done} trials: going on to {tuning.arguments.trials}")
    while (trial := tuning.search.ask(tuning.arguments.trials)) is not None:
        try:
            _do(tuning, trial)
        except BaseException:
            tuning.search.give_back(trial)
            raise


def _do(tuning: Tuning, trial: "Trial") -> None:
    """One trial, from its settings to its line."""
    began, search, looks = time.perf_counter(), tuning.search, tuning.conditions.looks()

    def look(steps: int, value: float) -> None:
        trial.report(value, looks.index(steps))
        if trial.should_prune():
            raise _Pruned(f"{value:.1f}, pruned after {steps:,} of {tuning.conditions.steps:,} steps")

    complete = False
    try:
        twin = search.twin(trial)
        if twin is not None:
            raise HebbitError(f"the same brain as trial {twin.number}")
        means = _trained(tuning, tuning.space.config(trial.params), look)
    except _Pruned as pruned:
        search.prune(trial)
        outcome = str(pruned)
    except HebbitError as error:
        search.fail(trial, str(error))
        outcome = f"failed: {error}"
    else:
        value = score(means)
        search.complete(trial, value, means.tolist())
        outcome = f"{value:.1f} (brains {_listed(means)})"
        complete = True
    best = search.best()
    standing = "" if best is None else f"; best {best.value:.1f}, trial {best.number}"
    count = f"[{len(search.started())}/{tuning.arguments.trials}]"
    tuning.say(f"{count} trial {trial.number}: {outcome}, {time.perf_counter() - began:.1f} s{standing}")
    if complete:
        _keep(tuning, trial.number)


def _keep(tuning: Tuning, number: int) -> None:
    """Write a trial as the preset, if it is the best still: another process may have found a better one meanwhile."""
    search = tuning.search
    with search.turn():
        best = search.best()
        # a preset that was checked on fresh seeds is not given up for one that was not
        if best is None or best.number != number or search.noted(FINAL, None) is not None:
            return
        comments = [*_found(tuning, best), "Not yet trained on fresh seeds: the search goes on."]
        _write(tuning, best, comments, checked=False)


def _trained(tuning: Tuning, config: AgentConfig, look: Look) -> NDArray[np.float64]:
    """Mean returns of a trial's brains; as many again where it would be the best.

    Among many trials, the best on a few seeds is mostly the luckiest: luck does not last for twice as many.
    """
    means = train(tuning.conditions, config, tuning.tuned, look)
    best = tuning.search.best()
    if best is None or best.value is None or score(means) > best.value:
        means = np.concatenate([means, train(tuning.conditions, config, tuning.confirming)])
    return means


def _listed(means: NDArray[np.float64]) -> str:
    shown = " ".join(f"{mean:.0f}" for mean in means[:8])
    return f"{shown} .." if len(means) > 8 else shown


def _finish(tuning: Tuning) -> list[int]:
    """Train the best again on fresh seeds, and write the preset of the one that holds.

    Returns:
        Numbers of the complete trials that were looked at, best first.
    """
    search = tuning.search
    ranking, start = search.ranking(), search.start()
    if not ranking:
        reasons = [one.user_attrs["error"] for one in search.started() if "error" in one.user_attrs]
        why = f"; the last one failed: {reasons[-1]}" if reasons else ""
        raise HebbitError(f"no trial was completed, there is no preset to write{why}")
    others = _finalists(ranking, start)
    tuning.say(f"training the best again on {len(tuning.fresh)} fresh seeds, which nothing was tuned on:")
    checked = {one.number: _recheck(tuning, one) for one in ([] if start is None else [start]) + others}
    winner = _winner(others, start, checked)
    fresh = score(checked[winner.number])
    with search.turn():
        search.note(FINAL, {"trial": winner.number, "trials": len(search.started())})
        _write(tuning, winner, [*_found(tuning, winner), *_verdict(tuning, checked, winner)], checked=True)
    tuning.say(
        f"{tuning.preset.path}: trial {winner.number}, score {winner.value:.1f} where it was tuned and {fresh:.1f} on "
        f"fresh seeds; {time.perf_counter() - tuning.began:.0f} s"
    )
    words = ["hebbit", "train", tuning.conditions.env_id, "--steps", str(tuning.conditions.steps)]
    tuning.say(f"use it: {shlex.join([*words, '--preset', str(tuning.preset.path)])}")
    return [one.number for one in ranking]


def _finalists(ranking: Sequence["FrozenTrial"], start: "FrozenTrial | None") -> list["FrozenTrial"]:
    """The best, beside the start."""
    return [one for one in ranking if start is None or one.number != start.number][:FINALISTS]


def _winner(
    others: Sequence["FrozenTrial"], start: "FrozenTrial | None", checked: Mapping[int, NDArray[np.float64]]
) -> "FrozenTrial":
    """The best on fresh seeds of those that clearly beat the start; the start, if none does."""
    able = list(others)
    if start is not None:
        base, rivals = checked[start.number], len(others)
        able = [one for one in others if clearly_better(checked[one.number], base, rivals)]
        if not able:
            return start
    return max(able, key=lambda one: score(checked[one.number]))


def _verdict(tuning: Tuning, checked: Mapping[int, NDArray[np.float64]], winner: "FrozenTrial") -> list[str]:
    """What fresh seeds said, as lines of the preset."""
    start = tuning.search.start()
    fresh = {number: score(means) for number, means in checked.items()}
    own = f"On {len(tuning.fresh)} fresh seeds its score is {fresh[winner.number]:.1f}"
    rest = [value for number, value in fresh.items() if number != winner.number]
    if start is None:
        return [f"{own}; the settings that the search started from were not completed."]
    if winner.number != start.number:
        return [f"{own}, that of the settings that the search started from {fresh[start.number]:.1f}."]
    beaten = f" (the best of the others: {max(rest):.1f})" if rest else ""
    return [f"{own}.", f"These are the settings that the search started from: it found none clearly better{beaten}."]


def _recheck(tuning: Tuning, trial: "FrozenTrial") -> NDArray[np.float64]:
    """Mean returns of fresh brains, kept with the search so that they are trained once."""
    search, key = tuning.search, str(trial.number)
    known: dict[str, Any] = search.noted(RECHECKS, {})
    if key in known:
        means = np.array(known[key], np.float64)
    else:
        means = train(tuning.conditions, tuning.space.config(trial.params), tuning.fresh)
        search.note(RECHECKS, {**known, key: means.tolist()})
    name = f"trial {trial.number}" + (" (the start)" if trial.params == tuning.space.first() else "")
    # a population's start may have been left behind, and is checked all the same
    left = "" if trial.state.name == "COMPLETE" else " for a part of the steps"
    tuning.say(f"  {name}: {score(means):.1f} (brains {_listed(means)}), {trial.value:.1f} where it was tuned{left}")
    return means


def _found(tuning: Tuning, trial: "FrozenTrial") -> list[str]:
    """How a preset was found."""
    started, brains = len(tuning.search.started()), len(trial.user_attrs["means"])
    seeds = "one brain" if brains == 1 else f"{brains} seeds"
    return [
        f"For {tuning.conditions.env_id}, found on {datetime.date.today().isoformat()} by",
        f"  {shlex.join(_command(tuning))}",
        f"as trial {trial.number} of {started}. Its score, the mean return over seeds less half of their standard",
        f"deviation, is {trial.value:.1f} on the {seeds} that it was tuned on.",
    ]


def _command(tuning: Tuning) -> list[str]:
    """Words that do this search again."""
    given, conditions = tuning.arguments, tuning.conditions
    words = ["hebbit", "tune", given.env_id] + (["--trials", str(given.trials)] if given.trials else [])
    words += ["--steps", str(conditions.steps), "--seeds", str(given.seeds), "--episodes", str(conditions.episodes)]
    words += ["--seed", str(conditions.seed)]
    own = vars(given)
    for name in ("population", "budget_steps", "eta", "shapes", "preset"):
        words += [f"--{name.replace('_', '-')}", str(own[name])] if own.get(name) else []
    words += ["--exploit"] if own.get("exploit") else []
    return words + (["-P", *given.params] if own.get("params") else [])


def _write(tuning: Tuning, trial: "FrozenTrial", comments: Sequence[str], checked: bool) -> None:
    """Write a trial's settings as the preset; the search remembers them as its own first. Within a turn."""
    config: AgentConfig = tuning.space.config(trial.params)
    tuning.preset.written = dict(tuning.search.noted(PRESETS, {}))
    text = tuning.preset.prepared(config, comments, (trial.number, checked))
    tuning.search.note(PRESETS, tuning.preset.written)
    tuning.preset.write(text)


def _advice(tuning: Tuning) -> str:
    """What became of the search, and how to go on with it."""
    best, trials = tuning.search.best(), f"trials: {len(tuning.search.started())}"
    kept = "no trial was completed" if best is None else f"{_kept(tuning, best)}, {trials}"
    if tuning.arguments.storage is None:
        return f"{kept}; next time a --storage would let it go on"
    words = [*_command(tuning), "--storage", tuning.arguments.storage, "--out", str(tuning.preset.path)]
    return f"{kept}; go on with: {shlex.join(words)}"


def _kept(tuning: Tuning, best: "FrozenTrial") -> str:
    """What lies in the preset's place now; another process may have written it."""
    path, search = tuning.preset.path, tuning.search
    with search.turn():
        tuning.preset.written = dict(search.noted(PRESETS, {}))
        origin = tuning.preset.own()
    if origin is None:
        return f"{path} is not written yet, the best so far is trial {best.number}"
    number, checked = origin
    if checked:
        rest = "" if number == best.number else f"; trial {best.number} has the best score where it was tuned"
        return f"{path} holds trial {number}, which fresh seeds chose{rest}"
    return f"the best so far is in {path}" if number == best.number else f"an older best, trial {number}, is in {path}"
