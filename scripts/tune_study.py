"""A search as an Optuna study that survives its processes, and that several of them may share.

A trial belongs to the process that asked for it. Optuna's journals have no heartbeat, so each process holds a lock on a
file of its own while it lives: where that lock is free, the process is dead and its trial is queued again.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from hebbit.agents import HebbitError
from hebbit.agents.errors import RunError, brief
from hebbit.agents.files import storage_error
from hebbit.scripts.tune_locks import FileLock
from hebbit.scripts.tune_space import Options, Space, same_brain

ATTEMPTS = 3
"""Processes that may die over a trial before it counts as failed."""
UNPRUNED = 5
"""Complete trials before any is pruned."""
KEPT = (0.75, 0.75, 0.0)
"""Share of the hyperparameters that trials in turn keep of the best so far; TPE draws the rest.

Of sixteen that are all drawn anew, some nearly always spoil what the others gain; docs/tune.md has the figures. One
trial in three draws everything: a search that keeps more gets stuck where the start is bad.
"""
WORKER, RETRY_OF, ATTEMPT, MEANS, ERROR = "worker", "retry_of", "attempt", "means", "error"
"""Attributes of a trial."""
RECORD = b'{"op_code":'
"""How each line of a journal begins."""
TERMS, FINISHER = "terms", "finisher"
"""Attributes of a study."""


class _JournalLock(JournalFileOpenLock):
    """The lock of a journal: freed with its process, and whoever takes it removes half a line left by a dead one."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._journal, self._lock = path, FileLock(path.with_name(path.name + ".lock"))

    def acquire(self) -> bool:
        self._lock.take()
        _cut_half_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _cut_half_line(path: Path) -> None:
    with open(path, "rb+") as file:
        end = file.seek(0, 2)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def _check_journal(path: Path) -> None:
    """Refuse a file that is something else: a journal is appended to, and mended.

    Raises:
        HebbitError: it is no journal, or its folder is missing.
    """
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path} needs its folder {path.parent}: make it, or choose another --storage")
    if not path.exists():
        return
    problem = RunError(f"{path} is not the journal of a search: choose another --storage, it would be written to")
    try:
        with open(path, "rb") as file:
            first = file.readline()
        # A search that died within its very first line has left half of it, which its lock will cut.
        half = first.startswith(RECORD) and not first.endswith(b"\n")
        if first and not half and "op_code" not in json.loads(first):
            raise problem
    except (ValueError, TypeError) as error:
        raise problem from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; choose another --storage") from error


def _journal(path: Path) -> JournalStorage:
    try:
        return JournalStorage(JournalFileBackend(str(path), _JournalLock(path)))
    except (ValueError, KeyError) as error:
        raise RunError(f"{path} is damaged ({brief(error)}): choose another --storage") from error
    except OSError as error:
        raise storage_error(path, error) from error


def _distribution(dimension: Any) -> BaseDistribution:
    if isinstance(dimension, Options):
        return CategoricalDistribution(dimension.options)
    log = dimension.scale != "linear"
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=log)
    return FloatDistribution(dimension.low, dimension.high, log=log)


class Search:
    """Trials of one study; all that is shared is done in turns."""

    def __init__(self, name: str, space: Space, terms: Mapping[str, Any], storage: Path | None) -> None:
        """Begin a search, or take part in one.

        Args:
            name: of the study, within the storage.
            space: what is varied; its start is the first trial.
            terms: what must be alike in all calls that share the search, as JSON; it has a seed.
            storage: the journal; None keeps everything in memory.

        Raises:
            HebbitError: the storage is something else, or the search in it has other terms.
        """
        # its lines about trials would stand among ours
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self._seed = space, int(terms["seed"])
        self._distributions = {one.name: _distribution(one) for one in space.dimensions}
        self._storage = storage
        self.worker = uuid.uuid4().hex[:12]
        self._alive: FileLock | None = None
        self._turn: AbstractContextManager[object] = nullcontext()
        backend: JournalStorage | None = None
        if storage is not None:
            _check_journal(storage)
            self._turn = FileLock(storage.with_name(storage.name + ".turn"))
        try:
            with self._turn:
                if storage is not None:
                    # within the turn: nobody removes what is made here before it is locked
                    self._sweep()
                    self._alive = self._life(self.worker)
                    self._alive.take()
                    backend = _journal(storage)
                self.study = optuna.create_study(
                    storage=backend,
                    study_name=name,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
                )
                self._agree(dict(terms))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the search; what is unfinished can be taken over by others."""
        if self._alive is not None:
            self._alive.remove()
        self._alive = None

    def _life(self, worker: str) -> FileLock:
        """The lock that a process holds while it lives."""
        assert self._storage is not None
        return FileLock(self._storage.with_name(f"{self._storage.name}.{worker}.worker"))

    def _sweep(self) -> None:
        """Remove the files of dead processes; within a turn."""
        assert self._storage is not None
        prefix = f"{self._storage.name}."
        for path in self._storage.absolute().parent.iterdir():
            if path.name.startswith(prefix) and path.suffix == ".worker":
                self._lives(path.name.removeprefix(prefix).removesuffix(".worker"))

    def _lives(self, worker: Any) -> bool:
        if worker == self.worker:
            return True
        if self._storage is None or not isinstance(worker, str):
            return False
        lock = self._life(worker)
        if not lock.path.exists():
            return False
        if not lock.take(wait=False):
            return True
        lock.remove()
        return False

    def _agree(self, terms: dict[str, Any]) -> None:
        """Begin the study with these terms, or see that it has them."""
        theirs = self.study.user_attrs.get(TERMS)
        if theirs is None:
            self.study.set_user_attr(TERMS, terms)
            theirs = terms
        # looked up, not taken for done: a process may have died after the terms
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(self.space.first())
        for key, value in terms.items():
            if theirs.get(key) != value:
                raise HebbitError(
                    f"the search in {self._storage} has {key} {brief(theirs.get(key))}, which cannot change to "
                    f"{brief(value)}: leave that flag as it was, or choose another --storage"
                )

    def turn(self) -> AbstractContextManager[object]:
        """A turn of this process, in which no other one has its own; not within another turn."""
        return self._turn

    def trials(self) -> list[FrozenTrial]:
        """All trials that count: not those that a dead process left and another one took over."""
        found = self.study.get_trials(deepcopy=False)
        taken_over = {one.user_attrs.get(RETRY_OF) for one in found}
        return [one for one in found if one.number not in taken_over]

    def started(self) -> list[FrozenTrial]:
        """Those that run or have ended."""
        return [one for one in self.trials() if one.state != TrialState.WAITING]

    def ask(self, total: int) -> Trial | None:
        """The next trial for this process; None when ``total`` have been started.

        What is drawn depends on the seed and the trials before alone, whichever process asks.
        """
        with self._turn:
            self._take_over()
            started = len(self.started())
            if started >= total:
                return None
            rng = np.random.default_rng([self._seed, started])
            self.study.sampler = optuna.samplers.TPESampler(seed=int(rng.integers(2**32)))
            if not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self.study.enqueue_trial(self._kept(started, rng))
            trial = self.study.ask(self._distributions)
            # within the turn: a running trial without a worker is one whose process died right here
            trial.set_user_attr(WORKER, self.worker)
            return trial

    def _kept(self, started: int, rng: np.random.Generator) -> dict[str, Any]:
        """What the next trial has in common with the best so far; the sampler draws the rest."""
        best = self.best()
        model = self.space.first() if best is None else best.params
        share, varied = KEPT[started % len(KEPT)], str(rng.choice(sorted(model)))
        return {name: value for name, value in model.items() if rng.random() < share and name != varied}

    def _take_over(self) -> None:
        """Queue again what dead processes left; within a turn."""
        for one in self.trials():
            if one.state == TrialState.RUNNING and not self._lives(one.user_attrs.get(WORKER)):
                self._queue_again(one, counted=True)

    def _queue_again(self, trial: FrozenTrial, counted: bool) -> None:
        attempt = int(trial.user_attrs.get(ATTEMPT, 1)) + counted
        if attempt <= ATTEMPTS:
            kept = {key: value for key, value in trial.user_attrs.items() if key != WORKER}
            # One whose process died while it was drawn is drawn anew as a whole: with some of the random numbers used
            # up, the rest would become others.
            drawn = trial.params.keys() == self._distributions.keys()
            again = create_trial(
                state=TrialState.WAITING,
                params=trial.params if drawn else {},
                distributions=trial.distributions if drawn else {},
                system_attrs=trial.system_attrs,
                user_attrs={**kept, RETRY_OF: trial.number, ATTEMPT: attempt},
            )
            # first: a kill in between leaves a trial that no longer counts
            self.study.add_trial(again)
        self.study.tell(trial.number, state=TrialState.FAIL)

    def give_back(self, trial: Trial) -> None:
        """Queue a trial again that this process cannot finish, for an interruption is no fault of its own."""
        with self._turn:
            one = next(one for one in self.study.get_trials(deepcopy=False) if one.number == trial.number)
            if one.state == TrialState.RUNNING:
                self._queue_again(one, counted=False)

    def complete(self, trial: Trial, score: float, means: Sequence[float]) -> None:
        """End a trial with its score and the mean return of each brain."""
        trial.set_user_attr(MEANS, [float(mean) for mean in means])
        self.study.tell(trial, float(score))

    def prune(self, trial: Trial) -> None:
        """End a trial that fell behind."""
        self.study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """End a trial that no brain can have."""
        trial.set_user_attr(ERROR, reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def ranking(self) -> list[FrozenTrial]:
        """All complete trials, best first; among equals who was good sooner."""
        return sorted((one for one in self.trials() if one.state == TrialState.COMPLETE), key=_merit, reverse=True)

    def twin(self, trial: Trial) -> FrozenTrial | None:
        """An earlier trial of the very same brain: what was drawn differs by less than its integers can tell."""
        own = same_brain(self.space.config(trial.params))
        judged = (TrialState.COMPLETE, TrialState.PRUNED)
        earlier = (one for one in self.trials() if one.state in judged and one.number != trial.number)
        return next((one for one in earlier if same_brain(self.space.config(one.params)) == own), None)

    def best(self) -> FrozenTrial | None:
        """The first of the ranking, if any trial is complete."""
        return next(iter(self.ranking()), None)

    def start(self) -> FrozenTrial | None:
        """The trial of the settings that the search started from, if it is complete."""
        first = self.space.first()
        return next((one for one in self.ranking() if one.params == first), None)

    def finishing(self) -> bool:
        """Whether it falls to this process to finish the search: no other is at a trial, or finishing it."""
        with self._turn:
            other = self.study.user_attrs.get(FINISHER)
            if self._at_work():
                return False
            if other is not None and other != self.worker and self._lives(other):
                return False
            self.study.set_user_attr(FINISHER, self.worker)
            return True

    def finished(self, seen: Sequence[int]) -> bool:
        """Whether the search is finished, or others will; this process is then free to leave.

        A process with more ``--trials`` may have added some meanwhile. It left them to this one, which was finishing.

        Args:
            seen: numbers of the complete trials that were finished, best first.
        """
        with self._turn:
            if not self._at_work() and [one.number for one in self.ranking()] != list(seen):
                return False
            self.study.set_user_attr(FINISHER, None)
            return True

    def _at_work(self) -> bool:
        """Whether a living process is at a trial; within a turn."""
        running = (one for one in self.trials() if one.state == TrialState.RUNNING)
        return any(self._lives(one.user_attrs.get(WORKER)) for one in running)

    def note(self, key: str, value: Any) -> None:
        """Keep something with the study, as JSON."""
        self.study.set_user_attr(key, value)

    def noted(self, key: str, default: Any) -> Any:
        """What was kept with the study."""
        return self.study.user_attrs.get(key, default)


def _merit(trial: FrozenTrial) -> tuple[float, float, int]:
    assert trial.value is not None
    sooner = float(np.mean(list(trial.intermediate_values.values()))) if trial.intermediate_values else trial.value
    return trial.value, sooner, -trial.number
