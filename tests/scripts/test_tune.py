"""A search: what it writes, and that it goes on wherever and however it was stopped."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from hebbit.agents import AgentConfig, HebbitError, configure
from hebbit.scripts import main, tune, tune_study, tune_trial
from hebbit.scripts.tune_space import space
from hebbit.scripts.tune_study import Search

Cli = Callable[..., Any]
WORDS = "tune CartPole-v1 --steps 120 --seeds 4 --episodes 1 --seed 4 --backend numba"
TERMS = {"seed": 4}
Row = tuple[dict[str, Any], TrialState, list[float] | None, dict[int, float]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power cut is tested here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def study_of(path: str | Path, env_id: str = "CartPole-v1") -> optuna.Study:
    return optuna.load_study(study_name=f"hebbit tune {env_id}", storage=JournalStorage(JournalFileBackend(str(path))))


def counted(study: optuna.Study) -> list[Row]:
    """What the trials that count were and gave, in their order."""
    trials = study.get_trials(deepcopy=False)
    gone = {one.user_attrs.get("retry_of") for one in trials}
    return [(one.params, one.state, one.values, one.intermediate_values) for one in trials if one.number not in gone]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], str]:
    """Trials and preset of a search that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    out = folder / "p.toml"
    words = [*WORDS.split(), "--trials", "8", "--storage", str(folder / "s"), "--out", str(out), "--quiet"]
    assert main(words) == 0
    rows = counted(study_of(folder / "s"))
    assert len(rows) == 8 and {row[1] for row in rows} == {TrialState.COMPLETE, TrialState.PRUNED}
    return rows, settings(out)


def settings(path: Path) -> str:
    """A preset without its comments."""
    return "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))


def test_a_search_in_memory_writes_a_preset(cli: Cli, whole: tuple[list[Row], str]) -> None:
    status, out, err = cli(f"{WORDS} --trials 8")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:8]] == [f"[{n}/8]" for n in range(1, 9)]
    path = Path("CartPole-v1.preset.toml")
    assert os.listdir() == [path.name]
    # the same whether it is kept in memory or in a journal
    assert settings(path) == whole[1]
    won, where, fresh = re.search(
        rf"^{path}: trial (\d+), score (\S+) where it was tuned and (\S+) on", out, re.M
    ).groups()  # type: ignore[union-attr]  # else it fails
    text = path.read_text()
    if won == "0":
        assert "it found none clearly better" in text
    else:
        assert f"as trial {won} of 8." in text and f"is {where} on the 4 seeds" in text
        assert f"On 8 fresh seeds its score is {fresh}" in text
    assert "Not yet" not in text
    assert "hebbit tune CartPole-v1 --trials 8 --steps 120 --seeds 4 --episodes 1 --seed 4\n" in text
    checked = re.findall(r"^  trial (\d+)(?: \(the start\))?: (\S+) \(brains", out, re.M)
    assert 2 <= len(checked) <= 4 and checked[0][0] == "0"
    assert (won, fresh) in checked
    # the preset is what was trained: trained again, its brains get that score
    conditions = tune_trial.Conditions("CartPole-v1", 120, 1, 4, "numba")
    again = tune_trial.train(conditions, configure(None, str(path)), range(1000, 1008))
    assert f"{tune_trial.score(again):.1f}" == fresh
    status, out, _ = cli(f"train CartPole-v1 --steps 20 --eval-episodes 1 --no-plots --run-dir r --preset {path}")
    assert status == 0


def test_a_search_goes_on(cli: Cli, whole: tuple[list[Row], str]) -> None:
    assert cli(f"{WORDS} --trials 3 --storage s --out p.toml --quiet") == (0, "", "")
    assert counted(study_of("s")) == whole[0][:3]
    status, out, _ = cli(f"{WORDS} --trials 8 --storage s --out p.toml")
    assert status == 0 and out.startswith("s holds 3 trials: going on to 8\n[4/8] trial 3: ")
    assert counted(study_of("s")) == whole[0]
    assert settings(Path("p.toml")) == whole[1]
    # a third time nothing is left to do, and nothing is trained again
    written = Path("p.toml").read_text()
    status, out, _ = cli(f"{WORDS} --trials 8 --storage s --out p.toml")
    assert status == 0 and "[" not in out.split("training the best")[0] and Path("p.toml").read_text() == written
    assert not [name for name in os.listdir() if name.endswith(".worker")]


def child(*words: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("deadly.py")), *words]


# While training; when a trial is half drawn; drawn, and nobody has said whose it is; when its end is about to be told.
@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("hebbit.scripts.tune:train", 3),
        ("optuna.storages:JournalStorage.set_trial_param", 40),
        ("optuna.trial:Trial.set_user_attr", 1),
        pytest.param("optuna.trial:Trial.report", 5, marks=pytest.mark.slow),
        pytest.param("optuna.study:Study.tell", 2, marks=pytest.mark.slow),
    ],
)
def test_a_killed_search_goes_on_as_if_never_killed(
    cli: Cli, whole: tuple[list[Row], str], target: str, count: int
) -> None:
    words = [*WORDS.split(), "--trials", "8", "--storage", "s", "--out", "p.toml", "--quiet"]
    done = subprocess.run(child(target, str(count), *words), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [one.state for one in study_of("s").trials].count(TrialState.RUNNING) == 1
    with open("s", "ab") as journal:
        journal.write(b'{"op_code":6,"wor')  # half a line, as a power cut leaves it
    assert cli(f"{WORDS} --trials 8 --storage s --out p.toml --quiet") == (0, "", "")
    study = study_of("s")
    assert counted(study) == whole[0] and len(study.trials) == 9
    assert settings(Path("p.toml")) == whole[1]
    assert not [name for name in os.listdir() if name.endswith(".worker")]


def test_two_processes_share_a_search(tmp_path: Path) -> None:
    words = [*WORDS.split(), "--trials", "12", "--storage", "s", "--out", "p.toml"]
    command = [sys.executable, "-m", "hebbit.scripts", *words]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outs = [process.communicate() for process in both]
    assert [(process.returncode, err) for process, (_, err) in zip(both, outs, strict=True)] == [(0, ""), (0, "")]
    trials = study_of(tmp_path / "s").get_trials()
    assert len(trials) == 12 and all(one.state.is_finished() for one in trials)
    # every trial was done by one of them, and once
    done = [int(number) for out, _ in outs for number in re.findall(r"^\[\d+/12\] trial (\d+):", out, re.M)]
    assert sorted(done) == list(range(12))
    by = [{int(number) for number in re.findall(r"\] trial (\d+):", out)} for out, _ in outs]
    workers = [{one.user_attrs["worker"] for one in trials if one.number in own} for own in by]
    assert all(len(own) <= 1 for own in workers) and not workers[0] & workers[1]
    # and one of them wrote the preset
    assert [("use it:" in out) for out, _ in outs].count(True) == 1
    assert "On 8 fresh seeds" in (tmp_path / "p.toml").read_text()
    assert sorted(os.listdir(tmp_path)) == ["p.toml", "s", "s.lock", "s.turn"]


def search(path: Path | None, seed: int = 4) -> Search:
    import gymnasium as gym

    own = space(AgentConfig(), gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2))
    return Search("name", own, {"seed": seed}, path)


def test_trials_are_shared_out_one_by_one(tmp_path: Path) -> None:
    one, other = search(tmp_path / "s"), search(tmp_path / "s")
    alone = search(None)
    shared = []
    for turn in range(6):
        asked = (one, other)[turn % 2].ask(6)
        mine = alone.ask(6)
        assert asked is not None and mine is not None
        shared.append(asked)
        # what is drawn does not depend on who asks
        assert asked.number == turn and asked.params == mine.params
    assert one.ask(6) is None and other.ask(6) is None
    for turn, trial in enumerate(shared):
        (one, other)[turn % 2].complete(trial, float(turn), [1.0])
        assert one.finishing() == (turn == 5)
    # whoever finishes is alone with it, until he is gone
    assert one.finishing() and not other.finishing()
    one.close()
    assert other.finishing()
    best = other.best()
    assert best is not None and best.number == 5
    other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "s.lock", "s.turn"]


def test_a_dead_process_s_trial_is_taken_over_but_not_for_ever(tmp_path: Path) -> None:
    params = None
    for attempt in range(tune_study.ATTEMPTS):
        one = search(tmp_path / "s")
        trial = one.ask(1)
        assert trial is not None and params in (None, trial.params)
        params = trial.params
        assert trial.user_attrs.get("attempt", 1) == attempt + 1
        one.close()  # without a word about its trial
    last = search(tmp_path / "s")
    assert last.ask(1) is None
    assert [trial.state for trial in last.started()] == [TrialState.FAIL]
    last.close()


def test_a_living_process_s_trial_is_left_to_it(tmp_path: Path) -> None:
    one, other = search(tmp_path / "s"), search(tmp_path / "s")
    trial = one.ask(2)
    second = other.ask(2)
    assert trial is not None and second is not None and second.number == 1
    one.give_back(trial)
    again = other.ask(2)
    # an interruption is no attempt
    assert again is not None and again.params == trial.params and again.user_attrs["attempt"] == 1
    one.give_back(second)  # told already by nobody: it is running, and queued again
    assert [trial.number for trial in other.trials()] == [2, 3]
    for each in (one, other):
        each.close()


def test_a_kill_between_queueing_and_telling_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = search(tmp_path / "s")
    assert one.ask(3) is not None
    one.close()
    other = search(tmp_path / "s")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(other.study, "tell", die)
    with pytest.raises(KeyboardInterrupt):
        other.ask(3)
    other.close()
    last = search(tmp_path / "s")
    trials = [last.ask(3) for _ in range(4)]
    assert [trial is None for trial in trials] == [False, False, False, True]
    assert len(last.started()) == 3
    last.close()


def test_ctrl_c_keeps_the_best(cli: Cli, monkeypatch: pytest.MonkeyPatch, whole: tuple[list[Row], str]) -> None:
    original, calls, stop_at = tune_trial.train, 0, 5

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(tune, "train", interrupted)
    status, _, err = cli(f"{WORDS} --trials 8 --storage s --out p.toml --quiet")
    assert status == 130
    expected = r"hebbit: interrupted; the best so far is in p.toml, trials: [1-5]; go on with: hebbit tune CartPole-v1 "
    assert re.match(expected, err)
    text = Path("p.toml").read_text()
    assert "Not yet trained on fresh seeds" in text
    monkeypatch.setattr(tune, "train", original)
    command = err.split("go on with: hebbit ")[1].strip()
    assert cli(f"{command} --backend numba --quiet") == (0, "", "")
    assert counted(study_of("s")) == whole[0] and settings(Path("p.toml")) == whole[1]

    calls, stop_at = 0, 1
    monkeypatch.setattr(tune, "train", interrupted)
    status, _, err = cli(f"{WORDS} --trials 8 --out q.toml")
    assert (status, err) == (
        130,
        "hebbit: interrupted; no trial was completed; next time a --storage would let it go on\n",
    )
    assert not Path("q.toml").exists()


def test_what_no_brain_can_have_is_a_failed_trial(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tune_trial.train

    def picky(conditions: Any, config: AgentConfig, *rest: Any) -> Any:
        if config != AgentConfig():
            raise HebbitError("too odd")
        return original(conditions, config, *rest)

    monkeypatch.setattr(tune, "train", picky)
    status, out, _ = cli(f"{WORDS} --trials 3 --storage s")
    assert status == 0 and out.count(": failed: too odd,") == 2
    assert [row[1] for row in counted(study_of("s"))] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
    text = Path("CartPole-v1.preset.toml").read_text()
    assert "These are the settings that the search started from: it found none clearly better." in text
    assert settings(Path("CartPole-v1.preset.toml")) == ""

    monkeypatch.setattr(tune, "train", lambda *_: picky(None, AgentConfig(gamma=0.5)))
    status, _, err = cli(f"{WORDS} --trials 2 --storage t --out t.toml")
    assert status == 2 and "no trial was completed, there is no preset to write; the last one failed: too odd" in err


def test_the_same_brain_is_not_trained_twice() -> None:
    one = search(None)
    first = one.ask(9)
    assert first is not None and one.twin(first) is None
    one.complete(first, 5.0, [5.0])
    # less than its integers can tell, and more
    for critic_step, expected in ((0.3200001, first.number), (0.33, None)):
        one.study.enqueue_trial({**first.params, "critic_step": critic_step})
        trial = one.ask(9)
        assert trial is not None and trial.params["critic_step"] == critic_step
        twin = one.twin(trial)
        assert (None if twin is None else twin.number) == expected


def test_the_best_is_trained_on_twice_as_many_seeds(cli: Cli) -> None:
    assert cli(f"{WORDS} --trials 8 --storage s --quiet").status == 0
    best, brains = -1.0, []
    for one in study_of("s").trials:
        if one.state == TrialState.COMPLETE:
            means = one.user_attrs["means"]
            confirmed = tune_trial.score(np.array(means[:4])) > best
            assert len(means) == (8 if confirmed else 4)
            assert one.value == tune_trial.score(np.array(means))
            best = max(best, one.value)
            brains.append(len(means))
    assert set(brains) == {4, 8}


def test_returns_that_are_not_finite_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_trial, "evaluate_brains", lambda *_: (np.full((2, 1), np.inf), None))
    with pytest.raises(HebbitError, match="returns must be finite"):
        tune_trial.train(tune_trial.Conditions("CartPole-v1", 10, 1, 0, "numba"), AgentConfig(), [0, 1])


def test_a_preset_is_where_it_begins(cli: Cli) -> None:
    Path("mine.toml").write_text("pool_words = 4\ngamma = 0.9\nwarmup = 77\n")
    assert cli(f"{WORDS} --trials 2 --storage s --preset mine.toml --quiet").status == 0
    rows = counted(study_of("s"))
    assert rows[0][0]["pool_words"] == 4 and rows[0][0]["gamma"] == 0.1
    # what is not varied is kept
    assert "warmup = 77" in Path("CartPole-v1.preset.toml").read_text()


def test_how_long_a_trial_trains() -> None:
    assert tune._default_steps("CartPole-v1") == 20_000
    with pytest.raises(HebbitError, match="say how long a trial trains: hebbit tune Blackjack-v1 --steps 30000"):
        tune._default_steps("Blackjack-v1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--storage text", "text is not the journal of a search: choose another --storage"),
        ("--storage none/s", "none/s needs its folder none: make it"),
        ("--storage s --seeds 3", "the search in s has seeds 4, which cannot change to 3: leave that flag as it was"),
        ("--storage s --preset mine.toml", "the search in s has preset "),
        ("--out text", "text exists already and is not as this search left it"),
        ("--storage s --out text", "text exists already"),
        ("--backend quantum", "--backend must be one of auto"),
        ("--preset nobody", "preset must be default"),
    ],
)
def test_what_cannot_be_is_refused(cli: Cli, words: str, message: str) -> None:
    Path("text").write_text("not json, and no line end")
    Path("mine.toml").write_text("gamma = 0.9\n")
    if "--storage s" in words:
        assert cli(f"{WORDS} --trials 1 --storage s --quiet").status == 0
    status, out, err = cli(f"tune CartPole-v1 --steps 120 --episodes 1 --trials 2 --seeds 4 --seed 4 {words}")
    assert (status, out) == (2, "") and message in err
    assert Path("text").read_text() == "not json, and no line end"
    assert not [name for name in os.listdir() if name.endswith(".worker")]


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    search(tmp_path / "s").close()
    lines = (tmp_path / "s").read_bytes().splitlines(keepends=True)
    (tmp_path / "s").write_bytes(lines[0] + b"{half\n" + b"".join(lines[1:]))
    with pytest.raises(HebbitError, match="is damaged .*: choose another --storage"):
        search(tmp_path / "s")


def test_other_environments_may_share_a_journal(cli: Cli) -> None:
    for env_id in ("CartPole-v1", "Acrobot-v1"):
        assert cli(f"tune {env_id} --steps 20 --seeds 1 --episodes 1 --trials 1 --storage s --quiet").status == 0
        assert len(counted(study_of("s", env_id))) == 1
    assert all("op_code" in json.loads(line) for line in Path("s").read_text().splitlines())


def test_without_optuna_it_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli("tune CartPole-v1") == (
        2,
        "",
        "hebbit: hebbit tune needs optuna, which is not installed: pip install 'hebbit[tune]'\n",
    )
