"""Reports of results that are unusual, contradictory or damaged."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hebbit.scripts.bench import report_drawing, rows
from hebbit.scripts.bench.report_document import Picture
from hebbit.scripts.bench.report_study import Study
from tests.scripts.bench_results import ELSEWHERE, Made, table, text_of

Cli = Callable[..., Any]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are laid out, but not drawn: that takes most of the time."""

    def picture(figure: Any, name: str, alt: str, caption: str, wide: bool = False) -> Picture:
        return Picture(name, alt, caption, b"", "<svg/>", wide)

    monkeypatch.setattr(report_drawing, "picture", picture)


def read(*folders: Path) -> Study:
    return Study(rows.read(folders), 100)


@pytest.mark.usefixtures("undrawn")
class TestUnusual:
    """Results that are not as one would wish."""

    def test_alone_with_one_seed(self, cli: Cli, tmp_path: Path) -> None:
        Made(algorithms=("hebbit",), seeds=(1000,)).write(tmp_path / "r")
        status, out, err = cli("report r")
        assert (status, err) == (0, "") and "report: r/report.md and r/report.html" in out
        text = text_of(tmp_path / "r")
        assert "Alone" in text and "Chance that a run" not in text
        row = table(tmp_path / "r", "CartPole-v1: returns")[0]
        assert "[" not in row["greedy return"] and row["solved"].split(" [")[0] in ("0 of 1", "1 of 1")

    def test_one_seed_each_says_nothing(self, cli: Cli, tmp_path: Path) -> None:
        Made(seeds=(1000,)).write(tmp_path / "r")
        assert cli("report r").status == 0
        assert "one finished seed of each says nothing about other seeds" in text_of(tmp_path / "r")
        assert "is ahead" not in text_of(tmp_path / "r").replace("is called ahead", "")

    def test_three_seeds_that_all_win_are_too_few(self, tmp_path: Path) -> None:
        Made(tasks=("CartPole-v1",), algorithms=("hebbit", "ars"), seeds=(1, 2, 3)).write(tmp_path / "r")
        found = read(tmp_path / "r").rivalries()[0].overall
        assert found.chance == (1.0, 1.0, 1.0) and found.p > 0.05 and found.verdict == 0

    def test_without_hebbit(self, cli: Cli, tmp_path: Path) -> None:
        Made(algorithms=("ppo", "dqn")).write(tmp_path / "r")
        assert cli("report r --repetitions 50").status == 0
        assert "times hebbit" not in text_of(tmp_path / "r")
        assert [row["algorithm"] for row in table(tmp_path / "r", "CartPole-v1: at the same")] == ["PPO", "DQN"]

    def test_failed_runs_alone(self, cli: Cli, tmp_path: Path) -> None:
        fates = dict(zip((1000, 1001), ("crashed", "missing"), strict=True))
        Made(
            ("CartPole-v1",), ("hebbit",), (1000, 1001), {("CartPole-v1", "hebbit", s): f for s, f in fates.items()}
        ).write(tmp_path / "r")
        assert cli("report r").status == 0
        assert "No run has finished" in text_of(tmp_path / "r")
        assert len(table(tmp_path / "r", "Runs that are not finished")) == 2
        assert not list(tmp_path.glob("r/figures/*"))

    def test_a_task_that_nobody_finished(self, cli: Cli, tmp_path: Path) -> None:
        failed = {("Acrobot-v1", name, 1): "crashed" for name in ("hebbit", "ppo")}
        Made(algorithms=("hebbit", "ppo"), seeds=(1,), failed=failed).write(tmp_path / "r")
        assert cli("report r --repetitions 50").status == 0
        row = table(tmp_path / "r", "Acrobot-v1: returns")[0]
        assert row["seeds done / failed / missing"] == "0 / 1 / 0" and row["greedy return"] == "-"
        assert "Left out: Acrobot-v1" in text_of(tmp_path / "r")

    @pytest.mark.parametrize("other", [{"machine": ELSEWHERE}, {"invocation": "another"}])
    def test_seconds_of_several_origins_are_not_compared(self, cli: Cli, tmp_path: Path, other: dict[str, Any]) -> None:
        Made(("CartPole-v1",), ("hebbit",)).write(tmp_path / "r")
        Made(("CartPole-v1",), ("ppo",), **other).write(tmp_path / "s")
        assert cli("report r s --out both --repetitions 50").status == 0
        text = text_of(tmp_path / "both")
        found = table(tmp_path / "both", "CartPole-v1: returns")
        assert [row["algorithm"] for row in found] == ["hebbit", "PPO"]
        assert "times hebbit" not in text and "times as long" not in text
        assert all(row["seconds to threshold†"].endswith("†") for row in found)
        several = "machine" in other
        assert ("CPU seconds of several machines" in text) == several
        assert f"2 calls of hebbit benchmark on {2 if several else 1} machine" in text
        assert "The seconds are not comparable" in text
        assert len(re.findall(r"\[JSON\]\(\.\./[rs]/runs/CartPole-v1/", text)) == 10

    def test_a_finished_run_replaces_one_that_failed_elsewhere(self, tmp_path: Path) -> None:
        made = Made(("CartPole-v1",), ("hebbit",), (1, 2), {("CartPole-v1", "hebbit", 1): "crashed"})
        made.write(tmp_path / "r")
        Made(("CartPole-v1",), ("hebbit",), (1, 2)).write(tmp_path / "s")
        for folders in (("r", "s"), ("s", "r")):
            results = rows.read([tmp_path / name for name in folders])
            assert [entry.status for entry in results.entries] == ["done", "done"]
        assert [entry.status for entry in rows.read([tmp_path / "r"]).entries] == ["crashed", "done"]

    def test_old_results_are_ignored_and_counted(self, cli: Cli, tmp_path: Path) -> None:
        Made(settings={"gamma": 0.9}).write(tmp_path / "r")
        new = Made(seeds=(1000, 1001), algorithms=("hebbit",)).write(tmp_path / "r")
        assert cli("report r --repetitions 50").status == 0
        assert "Files of other settings or versions, ignored: 30." in text_of(new)
        assert len(table(new, "Every run and its file")) == 4

    def test_folders_that_disagree(self, cli: Cli, tmp_path: Path) -> None:
        Made().write(tmp_path / "r")
        Made(settings={"gamma": 0.9}).write(tmp_path / "s")
        status, _, err = cli("report r s --out t")
        assert status == 2 and "the folders disagree about hebbit on CartPole-v1 with seed 1000" in err
        path = Made(seeds=(2000,)).write(tmp_path / "s") / "suite.json"
        path.write_text(path.read_text().replace('"score_high": 500.0', '"score_high": 450'))
        status, _, err = cli("report r s --out t")
        assert status == 2 and "disagree about CartPole-v1: its score_high is 500.0 and 450" in err

    def test_a_threshold_that_only_the_runs_state(self, tmp_path: Path) -> None:
        Made(seeds=(9999,)).write(tmp_path / "r")
        for old in (tmp_path / "r").glob("runs/*/*.json"):
            row = json.loads(old.read_text())
            row["job"]["task"]["threshold"] = 1.0
            old.write_text(json.dumps(row))
        path = Made().write(tmp_path / "r") / "suite.json"
        suite = json.loads(path.read_text())
        for task in suite["tasks"]:
            task["threshold"] = None
        path.write_text(json.dumps(suite))
        assert [task.threshold for task in rows.read([tmp_path / "r"]).tasks] == [475, -100]

    def test_tasks_without_a_scale(self, cli: Cli, tmp_path: Path) -> None:
        path = Made(algorithms=("hebbit", "ppo"), seeds=(1, 2)).write(tmp_path / "r") / "suite.json"
        suite = json.loads(path.read_text())
        for task in suite["tasks"]:
            task["score_low"] = None
        path.write_text(json.dumps(suite))
        assert cli("report r --repetitions 50").status == 0
        assert "there are no normalised scores" in text_of(tmp_path / "r")

    def test_algorithms_that_cannot_act(self, cli: Cli, tmp_path: Path) -> None:
        path = Made(seeds=(1, 2)).write(tmp_path / "r") / "suite.json"
        suite = json.loads(path.read_text())
        gone = ("Acrobot-v1", "dqn")
        suite["expected"] = [one for one in suite["expected"] if (one["task"], one["algorithm"]) != gone]
        suite["not_applicable"] = [{"task": "Acrobot-v1", "algorithm": "dqn"}]
        path.write_text(json.dumps(suite))
        assert cli("report r --repetitions 50").status == 0
        assert "Cannot act here: DQN." in text_of(tmp_path / "r")
        assert [row["DQN"] for row in table(tmp_path / "r", "Chance that a run") if row["task"] == "Acrobot-v1"] == [
            "-"
        ]
        assert len(table(tmp_path / "r", "Acrobot-v1: returns")) == 2
        # whoever can do less takes no task away from the others
        both = table(tmp_path / "r", "Normalised final greedy scores over 2 tasks")
        one = table(tmp_path / "r", "Normalised final greedy scores over 1 task")
        assert [row["algorithm"] for row in both] == ["hebbit", "PPO"]
        assert [row["algorithm"] for row in one] == ["hebbit", "PPO", "DQN"]
        assert "Left out: DQN, not finished on all of these tasks." in text_of(tmp_path / "r")
        named = re.findall(r"figures/(profiles[^.]*)", text_of(tmp_path / "r"))
        assert named == ["profiles_2_tasks", "profiles_1_tasks"]

    def test_a_foreign_report_is_not_overwritten(self, cli: Cli, tmp_path: Path) -> None:
        Made(("CartPole-v1",), ("hebbit",), (1,)).write(tmp_path / "r")
        for name in ("report.md", "report.html"):
            (tmp_path / "r" / name).write_text("mine")
            status, _, err = cli("report r")
            assert status == 2 and f"r/{name} exists and was not made by hebbit report" in err
            assert (tmp_path / "r" / name).read_text() == "mine"
            (tmp_path / "r" / name).unlink()
        assert cli("report r").status == cli("report r").status == 0
        (tmp_path / "file").write_text("")
        assert "file is a file: choose a folder with --out" in cli("report r --out file").err

    def test_an_empty_folder(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "r").mkdir()
        status, _, err = cli("report r")
        assert status == 2 and err == "hebbit: r holds no suite.json: give a folder that hebbit benchmark filled\n"
        Made(seeds=()).write(tmp_path / "r")
        assert "r/suite.json expects no runs" in cli("report r").err


DAMAGE: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "format": ("has format 3, but this hebbit reads format 2", lambda row: row.update(format=3)),
    "status": ("status must be done, crashed or timed out", lambda row: row.update(status="lost")),
    "no job": ("job must be an object, got None", lambda row: row.pop("job")),
    "seed": ("job.seed must be a whole number, got True", lambda row: row["job"].update(seed=True)),
    "other seed": ("but it says hebbit on CartPole-v1 with seed 7", lambda row: row["job"].update(seed=7)),
    "no final": ("final must be an object", lambda row: row.update(final=None)),
    "no returns": (
        "final.greedy.returns must be a list of numbers, got []",
        lambda row: row["final"]["greedy"].update(returns=[]),
    ),
    "nan": ("final.greedy.returns must be", lambda row: row["final"]["greedy"].update(returns=[1.0, math.nan])),
    "huge": ("final.greedy.returns must be", lambda row: row["final"]["greedy"].update(returns=[10**400])),
    "huge steps": ("curve[0].steps must be a number", lambda row: row["curve"][0].update(steps=10**400)),
    "infinite": ("cost.seconds must be a number or null", lambda row: row["cost"].update(seconds=math.inf)),
    "curve": ("curve has no checkpoint", lambda row: row.update(curve=[])),
    "falling": ("the steps of its curve do not rise", lambda row: row["curve"].reverse()),
    "point": ("curve[0] must be an object", lambda row: row["curve"].__setitem__(0, 3)),
    "kind": ("cost.operations.kind must be spiking or dense", lambda row: row["cost"]["operations"].update(kind="x")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_runs_are_named(cli: Cli, tmp_path: Path, name: str) -> None:
    says, damage = DAMAGE[name]
    Made(("CartPole-v1",), ("hebbit",), (1,)).write(tmp_path / "r")
    path = next((tmp_path / "r").glob("runs/*/*.json"))
    row = json.loads(path.read_text())
    damage(row)
    path.write_text(json.dumps(row))
    status, _, err = cli("report r")
    assert status == 2 and says in err and f"{path.name} " in err and err.count("\n") == 1
    assert not (tmp_path / "r/report.md").exists()


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[" * 100_000, b"[]", b"3"])
@pytest.mark.parametrize("name", ["suite.json", "run"])
def test_files_that_are_no_json_are_named(cli: Cli, tmp_path: Path, name: str, content: bytes) -> None:
    Made(("CartPole-v1",), ("hebbit",), (1,)).write(tmp_path / "r")
    path = tmp_path / "r/suite.json" if name == "suite.json" else next((tmp_path / "r").glob("runs/*/*.json"))
    path.write_bytes(content)
    status, _, err = cli("report r")
    assert status == 2 and f"{path.name} is " in err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": None}, "tasks must be a list"),
        ({"algorithms": ["ppo"]}, "expected[0] is of an unknown task or algorithm"),
        ({"suite": 3}, "suite must be a text"),
        ({"expected": [{"task": "CartPole-v1"}]}, "expected[0].seed must be a whole number"),
    ],
)
def test_damaged_suites_are_named(cli: Cli, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = Made(("CartPole-v1",), ("hebbit",), (1,)).write(tmp_path / "r") / "suite.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    status, _, err = cli("report r")
    assert status == 2 and f"suite.json is damaged: {says}" in err


def test_runs_of_unequal_checkpoints_share_a_curve(tmp_path: Path) -> None:
    Made(("CartPole-v1",), ("hebbit",), (1, 2)).write(tmp_path / "r")
    points = {1: [(0, 0.0, 10.0), (100, 1.0, 20.0)], 2: [(0, 0.0, 10.0), (50, 1.0, 20.0), (200, 4.0, 50.0)]}
    for path in (tmp_path / "r").glob("runs/*/*.json"):
        row = json.loads(path.read_text())
        curve = points[row["job"]["seed"]]
        row["curve"] = [{"steps": s, "seconds": t, "cpu_seconds": t, "greedy": [g]} for s, t, g in curve]
        path.write_text(json.dumps(row))
    study = read(tmp_path / "r")
    curves = study.curves(study.tasks[0], "hebbit")
    assert curves is not None
    assert curves.steps.tolist() == [0, 50, 100]
    assert curves.greedy.tolist() == [[10, 15, 20], [10, 20, 30]]
    assert curves.cpu_seconds.tolist() == [0, 0.75, 1.5]
