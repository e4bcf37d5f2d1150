"""The figures of resident environments beside Gymnasium's."""

import json
from pathlib import Path

import pytest

from hebbit.scripts.resident_speed import main


def test_figures_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    small = ["--num-envs", "2", "--rounds", "2", "--seconds", "0.001", "--out", str(out)]
    assert main(["--envs", "CartPole-v1", "Pendulum-v1", *small]) == 0
    rows = json.loads(out.read_text())["rows"]
    makers = {(row["env_id"], row["actions"], row["maker"]) for row in rows}
    assert len(rows) == len(makers) == 2 * 3 + 2 * 2
    assert ("CartPole-v1", "sampled", "vector_entry_point") in makers and ("Pendulum-v1", "prepared", "sync") in makers
    for row in rows:
        assert len(row["steps_per_second"]) == 2 and min(row["steps_per_second"]) > 0 < row["resident_is_faster"]
        assert row["maker"] != "resident" or row["resident_is_faster"] == 1.0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(rows)


def test_a_file_that_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    out.write_text("mine")
    assert main(["--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err and out.read_text() == "mine"


@pytest.mark.parametrize(
    "flags", [["--num-envs", "0"], ["--rounds", "0"], ["--seconds", "0"], ["--envs", "Nothing-v0"]]
)
def test_flags_that_make_no_sense_are_refused(flags: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(flags)
