"""The ablation of re-wiring: tiny trainings, exact in structure; its figures are not tested here."""

import json
from pathlib import Path
from typing import Any

import pytest

from hebbit.agents import SpikingAgent
from hebbit.scripts import ablation_structure as ablation

TINY = ["--tasks", "CartPole-v1", "--steps", "60", "--episodes", "1", "--backend", "numpy"]


def run(out: Path, *words: str) -> dict[str, Any]:
    assert ablation.main([*TINY, "--out", str(out), *words]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def test_every_arm_is_trained_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path / "a.json", "--seeds", "3-4")
    assert [(row["arm"], row["seed"]) for row in found["runs"]] == [
        (arm, seed) for seed in (3, 4) for arm in ("none", "random", "usefulness")
    ]
    arms = found["settings"]["CartPole-v1"]["arms"]
    assert arms["none"] == {"pool_words": 8, "reads": "hidden"}
    assert arms["usefulness"] == {**arms["none"], "rewire_every": 3, "rewire_until": 42}
    assert arms["random"] == {**arms["usefulness"], "rewire_choice": "random"}
    for row in found["runs"]:
        # every 3 steps to step 42, once the words are older than two re-wirings
        assert row["rewired"] == (0 if row["arm"] == "none" else 12)
    agent = SpikingAgent("CartPole-v1", seed=4, config=arms["usefulness"], backend="numpy").learn(60)
    last = found["runs"][-1]
    assert last["digest"] == agent.digest() and last["greedy"] == agent.evaluate(episodes=1)[0].mean()
    told = found["summary"]["CartPole-v1"]
    assert told["usefulness"]["mean"] == (found["runs"][2]["greedy"] + last["greedy"]) / 2
    assert 0 <= told["usefulness_over_none"]["chance"] <= 1 and 0 < told["usefulness_over_random"]["p"] <= 1
    out = capsys.readouterr().out
    assert "usefulness beats none with chance" in out and "\n  random " in out


def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, called = ablation.trained, []

    def heard(task: Any, arm: str, seed: int, options: Any) -> Any:
        called.append((arm, seed))
        return trained(task, arm, seed, options)

    monkeypatch.setattr(ablation, "trained", heard)
    out = tmp_path / "a.json"
    first = run(out, "--seeds", "3", "--arms", "none", "usefulness")
    assert first["summary"]["CartPole-v1"]["none"]["standard_error"] is None
    again = run(out, "--seeds", "3-4", "--arms", "usefulness")
    assert called == [("none", 3), ("usefulness", 3), ("usefulness", 4)]
    assert again["runs"][:2] == first["runs"] and len(again["runs"]) == 3


def test_other_results_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.json"
    run(out, "--seeds", "3", "--arms", "none")
    before = out.read_bytes()
    for words in (["--episodes", "2"], ["--steps", "80"]):
        assert ablation.main([*TINY, "--out", str(out), "--seeds", "3", "--arms", "none", *words]) == 2
        assert "other settings" in capsys.readouterr().err and out.read_bytes() == before
    out.write_text('{"claim": "learning"}')
    assert ablation.main([*TINY, "--out", str(out), "--seeds", "3"]) == 2
    assert out.read_text() == '{"claim": "learning"}'
