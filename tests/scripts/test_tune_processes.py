"""A search whose processes die at odd moments, or work on it side by side."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from hebbit.agents import AgentConfig, HebbitError
from hebbit.scripts import main, tune
from hebbit.scripts.tune_locks import FileLock
from hebbit.scripts.tune_space import Space
from tests.scripts.test_tune import WORDS, Cli, counted, search, study_of


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power cut is tested here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("left", [11, 30, -1])
def test_a_search_killed_within_its_first_line_goes_on(tmp_path: Path, left: int) -> None:
    path = tmp_path / "s"
    search(path).close()
    path.write_bytes(path.read_bytes().splitlines()[0][:left])
    again = search(path)
    trial = again.ask(1)
    assert trial is not None and trial.params == again.space.first()
    again.close()


@pytest.mark.parametrize("text", [b'{"op', b'{"op_code":0,"half\n', b'{"other": 1}', b"{", b"[1"])
def test_half_a_line_of_something_else_is_left_alone(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "s"
    path.write_bytes(text)
    with pytest.raises(HebbitError, match="is not the journal of a search"):
        search(path)
    assert path.read_bytes() == text


def test_a_search_killed_before_its_first_trial_was_queued_begins_with_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "enqueue_trial", die)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "s")
    again = search(tmp_path / "s")
    trial = again.ask(1)
    assert trial is not None and trial.params == again.space.first()
    again.close()


def tuning(**arguments: Any) -> tune.Tuning:
    """A process's part in a search."""
    given = {
        "env_id": "CartPole-v1", "trials": 8, "steps": 120, "seeds": 2, "episodes": 1, "storage": "s", "seed": 4,
        "out": "p.toml", "preset": None, "backend": "numba", "quiet": True,
    }  # fmt: skip
    return tune._begun(argparse.Namespace(**given | arguments))


def scores(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """What trainings are to give, one after another; then comes Ctrl-C."""
    left = list(values)

    def give(conditions: Any, config: Any, brains: Any, look: Any = None) -> Any:
        if not left:
            raise KeyboardInterrupt
        return np.full(len(brains), left.pop(0))

    monkeypatch.setattr(tune, "train", give)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_better_trial_of_another_process_is_not_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tuning(), tuning()
    turns = []
    write = tune._write

    def seen(*arguments: Any, **keywords: Any) -> None:
        free = FileLock(Path("s.turn"))
        turns.append(free.take(wait=False))
        free.release()
        write(*arguments, **keywords)

    monkeypatch.setattr(tune, "_write", seen)
    first, second = one.search.ask(8), other.search.ask(8)
    assert first is not None and second is not None
    # of each the first brains, and as many again where they are the best
    scores(monkeypatch, 5, 5, 9, 9)
    waiting = [second]

    def say(text: str) -> None:
        """The other one does its trial after this one has looked who is best, and before it writes."""
        if waiting:
            tune._do(other, waiting.pop())

    monkeypatch.setattr(one, "say", say)
    tune._do(one, first)
    assert "as trial 1 of 2" in Path("p.toml").read_text()
    # and over what the other one wrote, this one writes a better one
    third = one.search.ask(8)
    assert third is not None
    scores(monkeypatch, 12, 12)
    tune._do(one, third)
    assert "as trial 2 of 3" in Path("p.toml").read_text()
    assert turns == [False, False]
    for each in (one, other):
        each.search.close()


def test_trials_that_come_while_one_process_ends_are_checked_too(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, ended = tune._finish, []

    def busy(own: tune.Tuning) -> list[int]:
        ended.append(finish(own))
        if len(ended) == 1:
            more = [*WORDS.split(), "--trials", "4", "--storage", "s", "--out", "p.toml", "--quiet"]
            assert main(more) == 0
        return ended[-1]

    monkeypatch.setattr(tune, "_finish", busy)
    status, out, _ = cli(f"{WORDS} --trials 2 --storage s --out p.toml")
    assert status == 0 and out.count("another process has added trials meanwhile:") == 1
    study = study_of("s")
    assert [len(ranking) for ranking in ended] == [2, 4] and study.user_attrs["final"]["trials"] == 4
    assert study.user_attrs["finisher"] is None and len(study.user_attrs["rechecks"]) == 4
    assert "of 4. Its score" in Path("p.toml").read_text()


def test_who_ends_leaves_the_rest_to_those_at_work(tmp_path: Path) -> None:
    one, other = search(tmp_path / "s"), search(tmp_path / "s")
    trial = one.ask(3)
    assert trial is not None
    one.complete(trial, 1.0, [1.0])
    assert one.finishing()
    more = other.ask(3)
    assert more is not None
    assert one.finished([0])  # the other one is at a trial
    other.complete(more, 2.0, [2.0])
    assert other.finishing() and not one.finishing()
    assert not other.finished([0]) and other.finished([1, 0])
    assert one.finishing()
    for each in (one, other):
        each.close()


def test_ctrl_c_after_fresh_seeds_says_what_is_kept(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = f"{WORDS} --storage s --quiet"
    assert cli(f"{words} --trials 2 --out p.toml") == (0, "", "")
    written = Path("p.toml").read_text()
    won = study_of("s").user_attrs["final"]["trial"]
    scores(monkeypatch, 600, 600)
    status, _, err = cli(f"{words} --trials 8 --out p.toml")
    assert status == 130 and err.startswith(
        f"hebbit: interrupted; p.toml holds trial {won}, which fresh seeds chose; trial 2 has the best score where it "
        "was tuned, trials: 3; go on with: "
    )
    assert Path("p.toml").read_text() == written
    scores(monkeypatch)
    status, _, err = cli(f"{words} --trials 8 --out q.toml")
    assert status == 130 and "q.toml is not written yet, the best so far is trial 2, trials: 3; go on with: " in err
    assert not Path("q.toml").exists()


def test_settings_of_no_brain_fail_before_their_training(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Space.config

    def picky(self: Space, drawn: dict[str, Any]) -> AgentConfig:
        if drawn != self.first():
            raise HebbitError("no such brain")
        return config(self, drawn)

    monkeypatch.setattr(Space, "config", picky)
    status, out, err = cli(f"{WORDS} --trials 3 --storage s --out p.toml")
    assert (status, err) == (0, "") and out.count(": failed: no such brain,") == 2
    assert [row[1] for row in counted(study_of("s"))] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
