"""Stopped in any way, a run goes on to the same bits and the same files as one that was never stopped."""

import csv
import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from hebbit.agents import SpikingAgent, checkpoint
from hebbit.scripts import main, recorder

Cli = Callable[..., Any]
WORDS = (
    "train CartPole-v1 --steps 300 --seed 2 --eval-freq 60 --save-freq 50 --eval-episodes 2 --no-plots -P pool_words=4"
)
STEP = "gymnasium.envs.classic_control.cartpole:CartPoleEnv.step"


def content(folder: Path) -> dict[str, Any]:
    """All that must agree: everything but times."""
    result = json.loads((folder / "result.json").read_text())
    with open(folder / "progress.csv", newline="") as file:
        progress = [
            {k: v for k, v in row.items() if k not in ("time/fps", "time/time_elapsed")} for row in csv.DictReader(file)
        ]
    monitors = {
        path.name: [line.split(",")[:2] for line in path.read_text().splitlines()[1:]] for path in folder.glob("*.csv")
        if path.name.endswith(".monitor.csv")
    }  # fmt: skip
    saved = checkpoint.read(folder / "CartPole-v1.zip")
    return {
        "digest": result["digest"],
        "returns": result["evaluation"]["returns"],
        "population": result["population"],
        "progress": progress,
        "monitors": monitors,
        "evaluations": (folder / "evaluations.npz").read_bytes() if (folder / "evaluations.npz").exists() else None,
        "best": (folder / "best_model.zip").read_bytes() if (folder / "best_model.zip").exists() else None,
        "arrays": {name: array.tolist() for name, array in saved.arrays.items()},
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "r"
    assert main([*WORDS.split(), "--run-dir", str(folder), "--quiet"]) == 0
    return content(folder)


def killed(target: str, count: int, folder: Path, words: str = WORDS) -> None:
    """Run in a process that SIGKILL ends at that call."""
    child = [sys.executable, str(Path(__file__).with_name("deadly.py")), target, str(count), *words.split()]
    done = subprocess.run([*child, "--run-dir", str(folder)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_before_the_first_checkpoint(cli: Cli, whole: dict[str, Any]) -> None:
    killed(STEP, 20, Path("r"))
    assert cli("train CartPole-v1 --run-dir r --resume --quiet") == (0, "", "")
    assert content(Path("r")) == whole


# 1, 2: config.yml, config.json; then progress.csv and monitor, and what the steps bring; the result is the last.
@pytest.mark.parametrize("count", [3, 8])
def test_killed_at_the_moment_of_a_rename(cli: Cli, whole: dict[str, Any], count: int) -> None:
    killed("os:replace", count, Path("r"))
    assert cli("train CartPole-v1 --run-dir r --resume --quiet") == (0, "", "")
    assert content(Path("r")) == whole
    assert not [path for path in Path("r").rglob("*") if path.name.endswith(".partial")]


@pytest.mark.parametrize("count", [1, 2])
def test_killed_before_its_settings_are_written_there_is_no_run(cli: Cli, whole: dict[str, Any], count: int) -> None:
    killed("os:replace", count, Path("r"))
    assert cli("train CartPole-v1 --run-dir r --resume")[0] == 2
    assert cli(f"{WORDS} --run-dir r --quiet") == (0, "", "")
    assert content(Path("r")) == whole


def test_killed_twice(cli: Cli, whole: dict[str, Any]) -> None:
    killed(STEP, 130, Path("r"))
    killed(STEP, 150, Path("r"), "train CartPole-v1 --resume")
    assert cli("train CartPole-v1 --run-dir r --resume --quiet")[0] == 0
    assert content(Path("r")) == whole


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]) -> None:
    """Do something in the middle of the n-th step of the environment."""
    original: Any = CartPoleEnv.step
    calls = 0

    def step(self: CartPoleEnv, chosen: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return original(self, chosen)

    monkeypatch.setattr(CartPoleEnv, "step", step)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    cli: Cli, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 43, lambda: signal.raise_signal(number))
        stopped = cli(f"{WORDS} --run-dir r")
    command = "hebbit train CartPole-v1 --run-dir r --resume"
    assert stopped == (status, "", f"hebbit: stopped after 43 of 300 steps and saved; go on with: {command}\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert main([*shlex.split(command)[1:], "--quiet"]) == 0
    assert content(Path("r")) == whole


def test_a_second_signal_does_not_wait(cli: Cli, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        at_step(patch, 130, twice)
        status, _, err = cli(f"{WORDS} --run-dir r")
    assert status == 130 and err.startswith("hebbit: interrupted; the run is kept, go on with: hebbit train")
    assert cli("train CartPole-v1 --run-dir r --resume --quiet")[0] == 0
    assert content(Path("r")) == whole


def test_interrupted_in_the_final_evaluation(cli: Cli, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SpikingAgent, "evaluate", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        status, _, err = cli(f"{WORDS.replace('--eval-freq 60', '')} --run-dir r")
    assert status == 130 and "go on with" in err and not Path("r/result.json").exists()
    assert cli("train CartPole-v1 --run-dir r --resume --quiet")[0] == 0
    assert content(Path("r"))["digest"] == whole["digest"]


def rows_of(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_from_outside_at_no_chosen_moment(cli: Cli, number: signal.Signals) -> None:
    words = "train CartPole-v1 --seed 1 --save-freq 100 --eval-episodes 1 --no-plots -P pool_words=4 --quiet"
    run = [sys.executable, "-m", "hebbit.scripts", *words.split(), "--steps", "100000000", "--run-dir", "r"]
    process = subprocess.Popen(run, stderr=subprocess.PIPE, text=True)
    for _ in range(600):  # a minute
        if rows_of(Path("r/0.monitor.csv")) > 10 and Path("r/CartPole-v1.zip").exists():
            break
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), err
    steps = checkpoint.read("r/CartPole-v1.zip").meta["num_timesteps"] + 70
    assert cli(f"train CartPole-v1 --run-dir r --resume --quiet --steps {steps}") == (0, "", "")
    assert cli(f"{words} --steps {steps} --run-dir s") == (0, "", "")
    assert content(Path("r")) == content(Path("s"))


def test_a_finished_run_says_so_and_goes_further_when_asked(cli: Cli, whole: dict[str, Any]) -> None:
    assert cli(f"{WORDS.replace('300', '130')} --run-dir r --quiet")[0] == 0
    before = Path("r/result.json").read_bytes()
    status, out, err = cli("train CartPole-v1 --run-dir r --resume")
    assert (status, err) == (0, "") and "has finished its 130 steps" in out
    assert Path("r/result.json").read_bytes() == before
    assert cli("train CartPole-v1 --run-dir r --resume --steps 300 --backend numba --quiet")[0] == 0
    assert content(Path("r")) == whole
    assert json.loads(Path("r/config.json").read_text())["steps"] == 300


def test_a_population_goes_on_too(cli: Cli) -> None:
    words = WORDS.replace("300", "120") + " --brains 3"
    assert cli(f"{words} --run-dir a --quiet")[0] == 0
    killed(STEP, 3 * 70, Path("b"), words)
    assert cli("train CartPole-v1 --run-dir b --resume --quiet") == (0, "", "")
    assert content(Path("a")) == content(Path("b"))
    assert len(content(Path("a"))["monitors"]) == 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--seed 3", "has seed 2"),
        ("--brains 2", "has brains 1"),
        ("--save-freq 7", "has save_freq 50"),
        ("--env-kwargs a=1", "has env_kwargs {}"),
        ("--wrapper a.B", "has wrappers []"),
        ("--tensorboard", "has tensorboard False"),
        ("-P gamma=0.5", "has gamma 0.99"),
        ("--preset default", "has pool_words 4"),
        ("--steps 200", "has made 300 steps already"),
    ],
)
def test_flags_that_contradict_the_run(
    cli: Cli, whole: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, flags: str, said: str
) -> None:
    folder = max(tmp_path_factory.getbasetemp().glob("whole*")) / "r"
    status, out, err = cli(f"train CartPole-v1 --run-dir {folder} --resume {flags}")
    assert (status, out, err.count("\n")) == (2, "", 1) and said in err
    assert content(folder) == whole


def test_flags_that_agree_with_the_run(cli: Cli) -> None:
    cli(f"{WORDS.replace('300', '30')} --run-dir r --quiet")
    assert cli(f"{WORDS.replace('300', '60')} --run-dir r --resume --quiet") == (0, "", "")


def test_a_full_disk_leaves_a_run_that_goes_on(
    cli: Cli, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        at_step(patch, 90, lambda: patch.setattr(os, "fsync", full))
        status, out, err = cli(f"{WORDS} --run-dir r")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "free some space" in err and "go on with: hebbit train CartPole-v1 --run-dir r --resume" in err
    assert cli("train CartPole-v1 --run-dir r --resume --quiet")[0] == 0
    assert content(Path("r")) == whole


def test_a_disk_that_was_full_from_the_beginning(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, _, err = cli(f"{WORDS} --run-dir r")
    assert status == 2 and "free some space" in err and not Path("r").exists()


def damage(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "newer":
        saved = checkpoint.read(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "FORMAT", 9)
            checkpoint.write(path, saved.meta, saved.arrays)
    elif how == "another":
        SpikingAgent("CartPole-v1", seed=9, config={"pool_words": 4}).save(path)
    elif how == "not of a run":
        SpikingAgent.load(path).save(path)
    else:
        saved = checkpoint.read(path)
        saved.meta["extra"]["run"][how] = [-1] if how == "monitor_rows" else "?"
        checkpoint.write(path, saved.meta, saved.arrays)


@pytest.mark.parametrize(
    "how", ["cut", "newer", "another", "not of a run", "monitor_rows", "progress_rows", "evaluation", "train_seconds"]
)
def test_a_checkpoint_that_does_not_fit_is_refused(cli: Cli, how: str) -> None:
    cli(f"{WORDS.replace('300', '60')} --run-dir r --quiet")
    damage(Path("r/CartPole-v1.zip"), how)
    status, out, err = cli("train CartPole-v1 --run-dir r --resume --steps 100")
    assert (status, out, err.count("\n")) == (2, "", 1), err


def test_a_damaged_config_is_refused(cli: Cli) -> None:
    cli(f"{WORDS.replace('300', '20')} --run-dir r --quiet")
    for text, said in (("{", "damaged"), ('{"env_id": "CartPole-v1"}', "damaged"), ("[]", "damaged")):
        Path("r/config.json").write_text(text)
        status, _, err = cli("train CartPole-v1 --run-dir r --resume")
        assert status == 2 and said in err


def test_the_log_does_not_depend_on_where_a_run_was_stopped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "LOG_FREQ", 20)
    words = WORDS.replace("300", "100")
    cli(f"{words} --run-dir a --quiet")
    with monkeypatch.context() as patch:
        at_step(patch, 40, lambda: signal.raise_signal(signal.SIGINT))
        assert cli(f"{words} --run-dir b --quiet")[0] == 130
    cli("train CartPole-v1 --run-dir b --resume --quiet")
    assert content(Path("a")) == content(Path("b"))
    assert len(content(Path("a"))["progress"]) == 6
