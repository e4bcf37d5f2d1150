"""Logs: formats, late columns, and what a resumed run finds again."""

import csv
import errno
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from hebbit.agents.errors import HebbitError, RunError
from hebbit.agents.logger import (
    CsvOutput,
    EvaluationLog,
    Logger,
    MonitorWriter,
    TableOutput,
    configure,
)


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_values_are_written_once(tmp_path: Path) -> None:
    logger = configure(tmp_path / "run")
    logger.record("time/fps", 7)
    logger.record("time/fps", np.int64(8))
    logger.record("train/rate", np.float32(0.5))
    assert [type(value) for value in logger.values.values()] == [int, float]
    logger.record("train/note", 'a "word",\nand another')
    logger.dump(10)
    logger.dump(20)
    logger.record("time/fps", 9)
    logger.dump(30)
    assert logger.rows == 2
    assert table(tmp_path / "run" / "progress.csv") == [
        {"time/fps": "8", "train/note": 'a "word", and another', "train/rate": "0.5"},
        {"time/fps": "9", "train/note": "", "train/rate": ""},
    ]
    logger.close()


def test_a_logger_without_outputs_collects_and_drops() -> None:
    logger = Logger()
    logger.record("a", 1)
    assert logger.values == {"a": 1} and logger.rows == 0
    logger.dump()
    assert logger.values == {}


def test_columns_may_appear_later(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    output = CsvOutput(path)
    output.write({"b": 1}, 1)
    output.write({"b": 2, "c": 0.1, "a": 1e-20}, 2)
    output.write({"a": 5}, 3)
    assert path.read_text() == "b,a,c\n1,,\n2,1e-20,0.1\n,5,\n"
    output.close()


def test_a_column_that_cannot_be_added_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.csv"
    output = CsvOutput(path)
    output.write({"a": 1}, 1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        output.write({"b": 1}, 2)
    assert path.read_text() == "a\n1\n"
    output.close()


def test_a_new_logger_begins_anew(tmp_path: Path) -> None:
    write_rows(CsvOutput(tmp_path / "progress.csv"), range(3))
    CsvOutput(tmp_path / "progress.csv").close()
    assert (tmp_path / "progress.csv").read_text() == ""


def write_rows(output: CsvOutput, steps: range) -> None:
    for step in steps:
        output.write({"step": step, "odd": "x"} if step >= 3 else {"step": step}, step)
    output.close()


@pytest.mark.parametrize("kept", range(6))
def test_a_resumed_table_is_the_one_of_a_run_never_killed(kept: int, tmp_path: Path) -> None:
    write_rows(CsvOutput(tmp_path / "straight.csv"), range(6))
    write_rows(CsvOutput(tmp_path / "killed.csv"), range(5))
    resumed = CsvOutput(tmp_path / "killed.csv", keep_rows=kept)
    assert resumed.rows == kept
    write_rows(CsvOutput(tmp_path / "then.csv"), range(kept))
    assert (tmp_path / "killed.csv").read_text() == (tmp_path / "then.csv").read_text()
    write_rows(resumed, range(kept, 6))
    assert (tmp_path / "killed.csv").read_text() == (tmp_path / "straight.csv").read_text()


def test_a_table_that_lost_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    write_rows(CsvOutput(path), range(2))
    with pytest.raises(RunError, match="expected 3 rows, which the checkpoint counts, got 2"):
        CsvOutput(path, keep_rows=3)
    path.write_text("a,b\n1\n2,3\n")
    with pytest.raises(RunError, match="differ in length"):
        CsvOutput(path, keep_rows=2)
    CsvOutput(tmp_path / "new.csv", keep_rows=0).close()


def test_formats_are_checked(tmp_path: Path) -> None:
    with pytest.raises(HebbitError, match="one of stdout, csv, tensorboard, got 'json'"):
        configure(tmp_path, ["json"])  # type: ignore[list-item]  # the unknown format is the point
    with pytest.raises(HebbitError, match="'csv' needs a folder"):
        configure(None, ["csv"])
    assert isinstance(configure(None, ["stdout"]).outputs[0], TableOutput)


def test_a_missing_tensorboard_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(HebbitError, match=r"pip install 'hebbit\[tensorboard\]'"):
        configure(tmp_path, ["tensorboard"])


def test_tensorboard_is_imported_only_when_asked_and_gets_numbers(tmp_path: Path) -> None:
    logger = configure(tmp_path, ["tensorboard"], step=5)
    logger.record("eval/mean_reward", 1.5)
    logger.record("note", "text")
    logger.dump(7)
    logger.close()
    (file,) = tmp_path.glob("events.out.tfevents*")
    content = file.read_bytes()
    assert b"eval/mean_reward" in content and b"note" not in content


def test_the_table_for_people() -> None:
    stream = io.StringIO()
    logger = Logger([TableOutput(stream)])
    for key, value in {
        "time/fps": 1234,
        "rollout/ep_rew_mean": 21.456,
        "time/" + "x" * 60: "y" * 60,
        "plain": 1,
    }.items():
        logger.record(key, value)
    logger.dump(3)
    lines = stream.getvalue().splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert [line.split() for line in lines[1:4]] == [
        ["|", "plain", "|", "1", "|"],
        ["|", "rollout/", "|", "|"],
        ["|", "ep_rew_mean", "|", "21.5", "|"],
    ]
    assert "y..." in lines[-2] and "x..." in lines[-2]


def test_the_table_goes_to_standard_output_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    TableOutput().write({"a": 1}, 0)
    assert "| a | 1 |" in capsys.readouterr().out


def test_episodes_are_written_as_monitor_does(tmp_path: Path) -> None:
    path = tmp_path / "0.monitor.csv"
    with MonitorWriter(path, "ns/Name-v0", 12.5) as monitor:
        monitor.write(np.float64(1.25000001), 9, 0.123456789)
        assert path.read_text() == '#{"t_start": 12.5, "env_id": "ns/Name-v0"}\nr,l,t\n1.25,9,0.123457\n'
        monitor.write(-2, 10, 1)
        assert monitor.rows == 2
    assert path.read_text().endswith("-2.0,10,1.0\n")


def test_resumed_episodes_are_those_of_a_run_never_killed(tmp_path: Path) -> None:
    def episodes(monitor: MonitorWriter, numbers: range) -> None:
        with monitor:
            for number in numbers:
                monitor.write(number, number, number)

    episodes(MonitorWriter(tmp_path / "straight.monitor.csv", "E", 1.0), range(9))
    killed = tmp_path / "killed.monitor.csv"
    episodes(MonitorWriter(killed, "E", 1.0), range(7))
    with open(killed, "a") as file:
        file.write("1.0,")  # half a row
    monitor = MonitorWriter(killed, "E", 99.0, keep_rows=4)
    assert (monitor.rows, monitor.t_start) == (4, 1.0)
    episodes(monitor, range(4, 9))
    assert killed.read_text() == (tmp_path / "straight.monitor.csv").read_text()


def test_episodes_that_were_lost_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "0.monitor.csv"
    MonitorWriter(path, "E", 1.0, keep_rows=0).close()
    with pytest.raises(RunError, match="expected 1 rows, which the checkpoint counts, got 0"):
        MonitorWriter(path, "E", 1.0, keep_rows=1)
    for text in ("r,l,t\nr,l,t\n", "#[]\nr,l,t\n", '#{"t_start": "x"}\nr,l,t\n', "#{}\nr,l,t\n"):
        path.write_text(text)
        with pytest.raises(RunError, match="no monitor's header"):
            MonitorWriter(path, "E", 1.0, keep_rows=0)


def test_a_cut_that_fails_leaves_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.monitor.csv"
    with MonitorWriter(path, "E", 1.0) as monitor:
        monitor.write(1, 1, 1)
    before = path.read_text()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="No space left on device"):
        MonitorWriter(path, "E", 1.0, keep_rows=0)
    assert path.read_text() == before


def test_evaluations_are_written_whole_each_time(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.npz"
    log = EvaluationLog(path)
    assert not path.exists()
    log.append(100, [1.0, 2.5], np.array([3, 4]))
    log.append(200, np.array([5.0, 6.0], np.float32), [7, 8])
    assert log.rows == 2
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["ep_lengths", "results", "timesteps"]
        assert [file[name].dtype for name in file.files] == [np.int64, np.float64, np.int64]
        assert file["timesteps"].tolist() == [100, 200]
        assert file["results"].tolist() == [[1.0, 2.5], [5.0, 6.0]]
        assert file["ep_lengths"].tolist() == [[3, 4], [7, 8]]
    for returns, lengths in (([1.0], [1]), ([1.0, 2.0], [1])):
        with pytest.raises(RunError, match="has 2 episodes"):
            log.append(300, returns, lengths)


@pytest.mark.parametrize("kept", range(4))
def test_resumed_evaluations_are_those_of_a_run_never_killed(kept: int, tmp_path: Path) -> None:
    for name, number in (("straight", 5), ("killed", 3)):
        log = EvaluationLog(tmp_path / name)
        for step in range(number):
            log.append(step, [step / 2], [step])
    log = EvaluationLog(tmp_path / "killed", keep_rows=kept)
    assert log.rows == kept and (tmp_path / "killed").exists() == (kept > 0)
    if kept:
        with np.load(tmp_path / "killed") as file:
            assert file["timesteps"].tolist() == list(range(kept))
    for step in range(kept, 5):
        log.append(step, [step / 2], [step])
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "straight").read_bytes()


def test_evaluations_that_were_lost_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.npz"
    with pytest.raises(RunError, match="cannot go on with .*No such file"):
        EvaluationLog(path, keep_rows=1)
    EvaluationLog(path).append(1, [1.0], [1])
    with pytest.raises(RunError, match="expected 2 evaluations, which the checkpoint counts, got 1"):
        EvaluationLog(path, keep_rows=2)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match="cannot go on with"):
        EvaluationLog(path, keep_rows=1)
    np.savez(path, timesteps=[1], results=np.array([None]), ep_lengths=[[1]])
    with pytest.raises(RunError, match="cannot go on with"):
        EvaluationLog(path, keep_rows=1)
