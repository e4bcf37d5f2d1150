"""Run directories: names, refusals, the lock, and what is written into them."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from hebbit.agents import runs
from hebbit.agents.errors import RunError
from hebbit.agents.runs import RunDirectory, RunLock, RunResult, safe_name, versions, yaml_text

RESULT = RunResult(
    env_id="CartPole-v1",
    seed=3,
    steps=1000,
    backend="numba",
    wall_seconds=2.0,
    returns=[400.0, 600.0],
    reward_threshold=475.0,
    digest="ab" * 32,
)


@pytest.mark.parametrize(
    ("env_id", "name"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("ns/Name-v0", "ns-Name-v0"),
        ("module:Name-v0", "module-Name-v0"),
        ("package.module:ns/Name-v0", "package.module-ns-Name-v0"),
        ("../../etc", "etc"),
        ("a b\\c\0d", "a-b-c-d"),
        ("nul", "env-nul"),
        ("COM1.x", "env-COM1.x"),
        ("x" * 300, "x" * 100),
    ],
)
def test_environment_ids_become_folder_names(env_id: str, name: str) -> None:
    assert safe_name(env_id) == name


@pytest.mark.parametrize("env_id", ["", "..", "///"])
def test_ids_without_a_name_are_refused(env_id: str) -> None:
    with pytest.raises(RunError, match="names an environment"):
        safe_name(env_id)


def test_runs_are_numbered(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    names = []
    for _ in range(2):
        with RunDirectory.create("ns/Name-v0", root=root) as run:
            names.append(run.path.name)
    (root / "ns-Name-v0_9").mkdir()
    (root / "ns-Name-v0_x").mkdir()
    (root / "ns-Name-v01_20").mkdir()
    with RunDirectory.create("ns/Name-v0", root=root) as run:
        names.append(run.path.name)
    assert names == ["ns-Name-v0_1", "ns-Name-v0_2", "ns-Name-v0_10"]


def test_a_number_taken_in_the_same_moment_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "E_1").mkdir()
    (tmp_path / "E_2").mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))  # as if both were made after the look
    with RunDirectory.create("E", root=tmp_path) as run:
        assert run.path == tmp_path / "E_3"


def test_the_files_have_rl_zoos_names(tmp_path: Path) -> None:
    with RunDirectory.create("ns/Name-v0", tmp_path / "run") as run:
        paths = [
            run.model_path,
            run.best_model_path,
            run.evaluations_path,
            run.monitor_path(),
            run.monitor_path(3),
            run.progress_path,
            run.zoo_config_path,
        ]
    assert [path.relative_to(tmp_path / "run").as_posix() for path in paths] == [
        "ns-Name-v0.zip",
        "best_model.zip",
        "evaluations.npz",
        "0.monitor.csv",
        "3.monitor.csv",
        "progress.csv",
        "ns-Name-v0/config.yml",
    ]


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with RunDirectory.create("E", folder):
        pass
    with RunDirectory.create("E", folder) as run:  # nothing was written
        run.write_config({})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match="is not empty: choose another --run-dir, or .* --resume"):
        RunDirectory.create("E", folder)
    with pytest.raises(RunError, match="is a file where a folder is needed"):
        RunDirectory.create("E", folder / "config.json")
    with pytest.raises(RunError, match="is a file where a folder is needed"):
        RunDirectory.create("E", folder / "config.json" / "below")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_folder_gets_no_lock_file(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        RunDirectory.create("E", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    for path in (tmp_path / "run", None):
        with pytest.raises(RunError, match="Permission denied: choose a place that you may write to"):
            RunDirectory.create("E", path, root=tmp_path)


def test_a_run_is_opened_again(tmp_path: Path) -> None:
    with RunDirectory.create("ns/Name-v0", tmp_path / "run") as run:
        run.write_config({"seed": 3, "rate": 1e-05})
        assert run.read_result() is None
    for write in (True, False):
        with RunDirectory.open(tmp_path / "run", write) as run:
            assert run.env_id == "ns/Name-v0"
            assert run.read_config() == {"env_id": "ns/Name-v0", "seed": 3, "rate": 1e-05}
            assert run.zoo_config_path.read_text() == '"env_id": "ns/Name-v0"\n"seed": 3\n"rate": 1.0e-05\n'


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(RunError) as caught:
            RunDirectory.open(path)
        return str(caught.value)

    config = tmp_path / "config.json"
    assert "does not exist: name a folder" in refusal(tmp_path / "absent")
    assert "has no config.json" in refusal(tmp_path)
    for text in ("{", "[" * 100_000, "\xff", ""):
        config.write_bytes(text.encode("latin-1"))
        assert "is damaged" in refusal(tmp_path)
    config.write_text("[]")
    assert "expected an object, got list" in refusal(tmp_path)
    config.write_text('{"env_id": 3}')
    assert "lacks the text 'env_id'" in refusal(tmp_path)
    assert "is a file, not the folder of a run" in refusal(config)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_settings_that_are_no_json_are_refused(tmp_path: Path) -> None:
    with RunDirectory.create("E", tmp_path / "run") as run:
        for value in (float("nan"), {1, 2}):
            with pytest.raises(RunError, match="must be plain JSON"):
                run.write_config({"x": value})
        assert not run.config_path.exists() and not run.zoo_config_path.exists()


def test_the_result_has_its_keys(tmp_path: Path) -> None:
    with RunDirectory.create("CartPole-v1", tmp_path / "run") as run:
        run.write_result(RESULT)
        result = run.read_result()
    assert result == {
        "env_id": "CartPole-v1",
        "seed": 3,
        "steps": 1000,
        "backend": "numba",
        "versions": versions(),
        "wall_seconds": 2.0,
        "steps_per_second": 500.0,
        "evaluation": {
            "episodes": 2,
            "mean": 500.0,
            "std": 100.0,
            "min": 400.0,
            "max": 600.0,
            "returns": [400.0, 600.0],
        },
        "reward_threshold": 475.0,
        "solved": True,
        "digest": "ab" * 32,
    }
    assert {"hebbit", "python", "numpy", "numba", "gymnasium"} == versions().keys()


@pytest.mark.parametrize(
    ("returns", "threshold", "mean", "solved"),
    [
        ([1.0, 3.0], 2.0, 2.0, True),
        ([1.0, 2.9], 2.0, 1.95, False),
        ([1.0, 3.0], None, 2.0, None),
        ([], 2.0, None, None),
        ([float("nan"), 3.0], 2.0, None, False),
        ([float("inf")], 2.0, None, True),
    ],
)
def test_solved_is_the_mean_against_the_threshold(
    returns: list[float], threshold: float | None, mean: float | None, solved: bool | None
) -> None:
    result = RunResult("E", 0, 0, "numpy", 0.0, returns, threshold, "").to_dict()
    assert (result["evaluation"]["mean"], result["solved"]) == (mean, solved)
    assert result["steps_per_second"] is None
    json.dumps(result, allow_nan=False)


def test_a_full_disk_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunDirectory.create("E", tmp_path / "run") as run:
        run.write_result({"old": 1})
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"No space left on device: .* the previous file is intact"):
            run.write_result(RESULT)
        assert run.read_result() == {"old": 1}


def test_yaml_is_read_as_json_means_it() -> None:
    value: dict[str, Any] = {
        "on": 'say "no"\n\\',
        "list": [1, -2.5, 1e-05, -3e20, 1.5e-07, True, None],
        "nested": {"ä": {}, "😀": "\x7f"},
    }
    assert yaml_text(value) == (
        '"on": "say \\"no\\"\\U0000000A\\\\"\n'
        '"list": [1, -2.5, 1.0e-05, -3.0e+20, 1.5e-07, true, null]\n'
        '"nested": {"\\U000000E4": {}, "\\U0001F600": "\\U0000007F"}\n'
    )


def test_one_run_has_one_writer(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = RunDirectory.create("E", folder)
    run.write_config({})
    with pytest.raises(RunError, match=f"is being written by process {os.getpid()} on .*: wait for it, or choose"):
        RunDirectory.open(folder)
    RunDirectory.open(folder, write=False).close()
    run.close()
    run.close()
    RunDirectory.open(folder).close()


def test_two_processes_cannot_begin_the_same_run(tmp_path: Path) -> None:
    with RunDirectory.create("E", tmp_path / "run"):
        with pytest.raises(RunError, match="is being written"):
            RunDirectory.create("E", tmp_path / "run")


def test_a_run_that_ended_between_two_looks_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(RunLock):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            (folder / "config.json").write_text("{}")

    monkeypatch.setattr(runs, "RunLock", Late)
    with pytest.raises(RunError, match="is not empty"):
        RunDirectory.create("E", tmp_path / "run")
    RunLock(tmp_path / "run").release()  # free again


def test_a_file_system_without_locks_is_not_called_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(runs, "_lock", refuse)
    with pytest.raises(RunError, match="No locks available: choose another place"):
        RunDirectory.create("E", tmp_path / "run")


HOLD = """
import sys, time
from hebbit.agents.runs import RunDirectory
run = RunDirectory.open(sys.argv[1])
run.path.joinpath(".E.zip.1-0.partial").write_text("half")
print("locked", flush=True)
{then}
time.sleep(60)
"""


def holder(folder: Path, then: str = "") -> "subprocess.Popen[str]":
    code = textwrap.dedent(HOLD).format(then=then)
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_killed_writer_leaves_no_lock_and_no_litter(tmp_path: Path) -> None:
    with RunDirectory.create("E", tmp_path / "run") as run:
        run.write_config({})
    with holder(tmp_path / "run") as process:
        with pytest.raises(RunError, match=f"is being written by process {process.pid} on "):
            RunDirectory.open(tmp_path / "run")
        process.send_signal(signal.SIGKILL)
    with RunDirectory.open(tmp_path / "run"):
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "E", "config.json"]


def test_workers_that_outlive_a_killed_writer_do_not_keep_its_lock(tmp_path: Path) -> None:
    with RunDirectory.create("E", tmp_path / "run") as run:
        run.write_config({})
    # it speaks for itself: its parent may be quicker than what it does first
    fork = "import os\nif not os.fork(): print(os.getpid(), flush=True)"
    with holder(tmp_path / "run", fork) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(child, 0)  # it lives
        try:
            RunDirectory.open(tmp_path / "run").close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_writer_keeps_its_lock_beside_its_workers(tmp_path: Path) -> None:
    with RunDirectory.create("E", tmp_path / "run") as run:
        run.write_config({})
        worker = multiprocessing.get_context("fork").Process(target=int)
        worker.start()
        worker.join()
        with pytest.raises(RunError, match="is being written"):
            RunDirectory.open(tmp_path / "run")
