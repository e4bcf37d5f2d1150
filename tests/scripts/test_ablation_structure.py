"""The ablation of re-wiring: tiny trainings, exact in structure; its figures are not tested here."""

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.scripts import ablation_structure as ablation

NAME = "CartPole-v1, two words"
TINY = ["--tasks", NAME, "--steps", "40", "--episodes", "1", "--backend", "numpy"]


def run(out: Path, *words: str) -> dict[str, Any]:
    assert ablation.main([*TINY, "--out", str(out), *words]) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def test_every_arm_is_trained_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path / "a.json", "--seeds", "3-4")
    assert [(row["arm"], row["seed"]) for row in found["runs"]] == [
        (arm, seed) for seed in (3, 4) for arm in ("none", "random", "usefulness")
    ]
    arms = found["settings"][NAME]["arms"]
    assert arms["none"] == {"pool_words": 2, "reads": "hidden"}
    assert arms["usefulness"] == {**arms["none"], "rewire_every": 1, "rewire_share": 0.125, "rewire_until": 28}
    assert arms["random"] == {**arms["usefulness"], "rewire_choice": "random"}
    for row in found["runs"]:
        # from the third step on the words are older than two re-wirings: two words in each three steps, to step 28
        assert row["rewired"] == (0 if row["arm"] == "none" else 18)
    agent = SpikingAgent("CartPole-v1", seed=4, config=arms["usefulness"], backend="numpy").learn(40)
    last = found["runs"][-1]
    assert last["digest"] == agent.digest() and last["greedy"] == agent.evaluate(episodes=1)[0].mean()
    told = found["summary"][NAME]
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
    assert first["summary"][NAME]["none"]["standard_error"] is None
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


def test_noise_stands_behind_what_the_environment_shows() -> None:
    env, bare = ablation.TASKS["CartPole-v1 and 12 of noise"].environment().make(), gym.make("CartPole-v1")
    assert env.observation_space.shape == (16,)
    seen = [env.reset(seed=5)[0], env.step(0)[0]]
    own = [bare.reset(seed=5)[0], bare.step(0)[0]]
    np.testing.assert_array_equal([one[:4] for one in seen], own)
    assert all(env.observation_space.contains(one) for one in seen)
    # fresh in each step, another one in each episode, and the same for the same seed
    assert (seen[0][4:] != seen[1][4:]).all() and len(np.unique(seen[0][4:])) == 12
    assert (env.reset()[0][4:] != seen[0][4:]).all()
    np.testing.assert_array_equal(env.reset(seed=5)[0], seen[0])
    with pytest.raises(ValueError, match="flat Box"):
        ablation.Noisy(gym.make("FrozenLake-v1"), 2)


def test_every_task_can_be_trained_with_every_arm() -> None:
    for task in ablation.TASKS.values():
        assert task.environment().make().observation_space.shape[0] > task.noise  # type: ignore[index]  # a Box's
        own = {arm: task.config(arm) for arm in ablation.ARMS}
        assert own["none"].rewire_every == 0 and own["random"].rewire_every == task.steps // 40
        assert own["random"].replace({"rewire_choice": "usefulness"}) == own["usefulness"]


def test_the_table_of_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"arm": arm, "seed": seed, "greedy": greedy, "training_return": None, "training_cpu_seconds": 1.0}
        for arm, scores in (("none", (8.0, 12.0)), ("usefulness", (80.0, 120.0)))
        for seed, greedy in enumerate(scores)
    ]
    content = {"settings": {NAME: {"steps": 40_000}}, "summary": {NAME: ablation.summary(rows)}}
    monkeypatch.setattr(ablation, "measure", lambda options: content)
    page = tmp_path / "learning.md"
    page.write_text("before\n<!-- structure: begin -->\nold\n<!-- structure: end -->\nafter\n")
    assert ablation.main(["--document", str(page)]) == 0
    p = content["summary"][NAME]["usefulness_over_none"]["p"]
    assert page.read_text() == (
        f"before\n<!-- structure: begin -->\n{ablation.HEAD}"
        f"| {NAME} | 40,000 | none | 10 | 2 | 10 | 8 .. 12 | 2 | 1.00 | {p:.3f} |\n"
        f"| {NAME} | 40,000 | usefulness | 100 | 20 | 100 | 80 .. 120 | 2 | | |\n"
        "<!-- structure: end -->\nafter\n"
    )
