"""hebbit train --resident: populations in a compiled world."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.scripts import resident_conformance, resident_population, resident_rate_figure, resident_teams

Cli = Callable[..., Any]
SMALL = "train CartPole-v1 --resident --brains 4 --eval-episodes 3 -P pool_words=8"


def result(folder: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "result.json").read_text())
    return found


def test_a_run_explains_itself(cli: Cli, tmp_path: Path) -> None:
    status, out, err = cli(f"{SMALL} --steps 1200 --look 400 --run-dir run")
    assert status == 0, err
    found = result("run")
    assert found["elapsed_seconds"] >= found["wall_seconds"] + found["trial_seconds"] > found["wall_seconds"] > 0
    assert found["brains"] == 4 and len(found["solved_at"]) == 4 and found["population"]["brains"] == 4
    assert len(found["evaluation"]["returns"]) == 12 and "4 brains" in out and "mean returns" in out
    names = {path.name for path in Path("run").iterdir()}
    assert names >= {"CartPole-v1.zip", "best_brain.zip", "median_brain.zip", "learning_curve.png", "result.json"}
    rows = list(csv.DictReader(Path("run/progress.csv").read_text().splitlines()))
    assert [row["steps"] for row in rows] == ["400", "800", "1200"]
    best = SpikingAgent.load("run/best_brain.zip")
    assert best.brains.tolist() == [found["population"]["best"]] and best.spec is not None and best.spec.resident


def test_brains_that_have_solved_it_sleep(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident_population, "TRIALS", (1, 2))
    monkeypatch.setattr("hebbit.scripts.train.reward_threshold", lambda env_id: 15.0)
    assert cli(f"{SMALL} --steps 4000 --look 100 --run-dir run --no-plots").status == 0
    found, agent = result("run"), SpikingAgent.load("run/CartPole-v1.zip")
    solved = np.array(found["solved_at"])
    assert (solved > 0).all() and len(set(solved.tolist())) > 1
    assert found["steps_made"] == solved.sum() and agent.num_timesteps == solved.max()
    # who slept has seen no more
    shown = agent.arrays()["presentation"]
    assert (np.argsort(shown, kind="stable") == np.argsort(solved, kind="stable")).any()
    assert (shown >= solved).all() and (shown < 2 * solved + 200).all()


def test_a_run_goes_on_in_the_same_bits(cli: Cli) -> None:
    assert cli(f"{SMALL} --steps 600 --look 200 --run-dir whole --no-plots").status == 0
    assert cli(f"{SMALL} --steps 400 --look 200 --run-dir parts --no-plots").status == 0
    status, _, err = cli("train CartPole-v1 --resident --run-dir parts --resume --steps 600 --look 200 --no-plots")
    assert status == 0, err
    assert result("parts")["digest"] == result("whole")["digest"]
    assert result("parts")["solved_at"] == result("whole")["solved_at"]
    # the run itself knows that it is resident
    status, out, _ = cli("train CartPole-v1 --run-dir parts --resume --no-plots")
    assert status == 0 and "has come to its end" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("train LunarLander-v3 --resident --steps 10", "no resident form; there are CartPole-v1, MountainCar-v0"),
        ("train CartPole-v1 --resident --steps 10 --backend numpy", "steps brains one observation at a time"),
        ("train CartPole-v1 --resident --steps 10 -P replay_steps=100", "replay_steps must be 0"),
        ("train CartPole-v1 --resident --steps 10 --eval-freq 5", "leave --eval-freq"),
        ("train CartPole-v1 --resident --steps 10 --wrapper a.B", "neither arguments nor wrappers"),
        ("train CartPole-v1 --resident --steps 10 --shards 2", "add --ray"),
        ("train CartPole-v1 --steps 10 --until 0.5", "are for --resident runs"),
        ("train CartPole-v1 --resident --until 1.5", "a share of 0..1"),
        ("train CartPole-v1 --resident --until 0", "a share of more than 0"),
        ("train Nonsense-v1 --resident", "unknown environment"),
        ("train CartPole-v1 --resident --brains 99999999999 --steps 9", "numbers of 32 bits"),
        ("train CartPole-v1 --resident --brains 99999 --wave 2 --steps 9", "at most 10,000 waves, got 50,000"),
        ("train CartPole-v1 --resident --steps 10 -P rewire_every=5", "cannot sleep"),
        ("train Pendulum-v1 --resident", "say how long to learn with --steps"),
        ("train Pendulum-v1 --resident --steps 10 --until 0.5", "leave --until out"),
        ("train CartPole-v1 --resident --resume --run-dir a --shards 2", "leave --ray and --shards out"),
        ("train foo:CartPole-v1 --resident --steps 10", "no resident form"),
        ("train CartPole-v1 --resident --resume", "name its folder with --run-dir"),
    ],
)
def test_what_cannot_be_is_said(cli: Cli, words: str, text: str) -> None:
    status, _, err = cli(words)
    assert status != 0 and text in err
    assert not Path("runs").exists()


def test_a_run_that_is_there_is_not_overwritten(cli: Cli) -> None:
    assert cli(f"{SMALL} --steps 100 --run-dir run --no-plots").status == 0
    before = result("run")
    status, _, err = cli(f"{SMALL} --steps 100 --run-dir run")
    assert status != 0 and "holds a run" in err and result("run") == before


def test_looks_are_at_the_same_steps_however_often_it_stops(cli: Cli) -> None:
    assert cli(f"{SMALL} --steps 1000 --look 400 --run-dir whole --no-plots").status == 0
    assert cli(f"{SMALL} --steps 500 --look 400 --run-dir parts --no-plots").status == 0
    for steps in (700, 1000):
        status, _, err = cli(f"train CartPole-v1 --run-dir parts --resume --steps {steps} --no-plots")
        assert status == 0, err
    assert result("parts")["digest"] == result("whole")["digest"]
    status, _, err = cli("train CartPole-v1 --run-dir parts --resume --steps 900")
    assert status != 0 and "has made 1,000 steps already" in err and result("parts")["steps"] == 1000


def test_no_episode_has_to_end_before_a_look(cli: Cli) -> None:
    words = "train MountainCarContinuous-v0 --resident --brains 2 --eval-episodes 0 -P pool_words=4"
    assert cli(f"{words} --steps 300 --look 150 --save-freq 150 --run-dir run").status == 0
    status, _, err = cli("train MountainCarContinuous-v0 --run-dir run --resume --steps 450")
    assert status == 0, err


@pytest.mark.slow
def test_shards_have_the_bits_of_one_process(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.path.join(os.path.dirname(__file__), "..", "_path"))
    steps = "--steps 600 --look 200 --no-plots"
    assert cli(f"{SMALL} {steps} --run-dir one").status == 0
    status, _, err = cli(f"{SMALL} {steps} --run-dir three --ray --shards 3")
    assert status == 0, err
    assert result("three")["digest"] == result("one")["digest"]
    assert result("three")["solved_at"] == result("one")["solved_at"]
    assert result("three")["evaluation"] == result("one")["evaluation"]


def test_bits_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--brains", "2", "--steps", "30", "--tasks", "MountainCar-v0", "--backends", "numpy", "numba"]
    assert resident_conformance.main([*words, "--out", str(tmp_path / "c.json")]) == 0
    found = json.loads((tmp_path / "c.json").read_text())["tasks"]["MountainCar-v0"]
    assert found["bits"] > 10_000 and found["differing"] == {"numba": {}}
    honest = resident_conformance.lived

    def wrong(env_id: str, backend: str, brains: int, steps: int) -> tuple[dict[str, Any], float]:
        arrays, seconds = honest(env_id, backend, brains, steps)
        if backend == "numba":
            arrays["weights"][0, 0, 0, 0] ^= 1
        return arrays, seconds

    monkeypatch.setattr(resident_conformance, "lived", wrong)
    assert resident_conformance.main(words) == 1 and "'numba': 1" in capsys.readouterr().out


def test_the_cost_is_drawn(tmp_path: Path) -> None:
    base = {"env_id": "CartPole-v1", "resident": True, "brains": 64, "pool_words": 32, "slots": 8, "cycles": 8}
    changes: list[dict[str, Any]] = [
        {}, {"resident": False}, {"env_id": "Acrobot-v1"}, {"brains": 1}, {"brains": 8}, {"pool_words": 64},
        {"pool_words": 64, "slots": 4}, {"slots": 2}, {"cycles": 1},
    ]  # fmt: skip
    points = [
        {**base, **change, "name": str(number), "ratio": 0.1 * number, "base_steps_per_second": 1e6}
        for number, change in enumerate(changes)
    ]
    assert resident_rate_figure.series(points, "brains") == [(1, pytest.approx(0.3)), (8, 0.4), (64, 1.0)]
    assert resident_rate_figure.series(points, "pool_words") == [(1024, 1.0), (2048, 0.5)]
    result = {"backend": "numba", "machine": {"cores": 2}, "points": points}
    (tmp_path / "r.json").write_text(json.dumps(result))
    assert resident_rate_figure.main([str(tmp_path / "r.json"), "--out", str(tmp_path / "r.png")]) == 0
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_teams_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--brains", "3", "--environments", "1", "4", "--tasks", "CartPole-v1", "--steps", "6400"]
    assert resident_teams.main([*words, "--out", str(tmp_path / "t.json")]) == 0
    rows = json.loads((tmp_path / "t.json").read_text())["tasks"]["CartPole-v1"]
    assert [row["environments"] for row in rows] == [1, 4]
    for row in rows:
        assert (row["reached"] > 1) == (row["steps_each"] is not None) and row["end"] > 30
        assert row["steps_each"] is None or row["steps_all"] == row["environments"] * row["steps_each"]
    with pytest.raises(SystemExit):
        resident_teams.main(["--steps", "1000", "--environments", "4"])
    table = capsys.readouterr().out.splitlines()[-2:]
    assert [line.startswith("| CartPole-v1 | ") for line in table] == [True, True]
