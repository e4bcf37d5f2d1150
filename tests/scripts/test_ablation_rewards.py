"""The ablation of the size of rewards: tiny trainings of small brains."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from hebbit.agents import SpikingAgent, configure
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts import ablation_rewards as ablation

TINY = ["--tasks", "CartPole-v1", "--steps", "30", "--episodes", "1", "--backend", "numpy"]
CELL = ablation.Cell


def run(out: Path, *words: str) -> list[dict[str, Any]]:
    assert ablation.main([*TINY, "--out", str(out), *words]) == 0
    rows: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    return rows


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brains of two pool words and two cycles."""

    def config(cell: ablation.Cell) -> Any:
        return configure(cell.env_id, None, {"reward_scale": cell.scale, "pool_words": 2, "cycles": 2})

    monkeypatch.setattr(CELL, "config", config)


def made(scale: str = "auto", factor: float = 1.0, seed: int = 30, brain: str = "a", greedy: float = 1.0) -> Any:
    return {
        "env_id": "CartPole-v1", "scale": scale, "factor": factor, "seed": seed,
        "steps": 30, "greedy": greedy, "brain": brain,
    }  # fmt: skip


def test_presets_that_fix_the_scale_are_freed() -> None:
    own = configure("Pendulum-v1")
    assert own.reward_scale == "fixed"
    assert CELL("Pendulum-v1", "auto", 1.0, 30).config() == own.replace({"reward_scale": "auto"})
    assert CELL("Pendulum-v1", "fixed", 1.0, 30).config() == own


@pytest.mark.usefixtures("small")
def test_rewards_of_any_size_make_the_same_brain(tmp_path: Path) -> None:
    rows = run(tmp_path / "a.json", "--seeds", "1")
    assert [(row["scale"], row["factor"]) for row in rows] == [
        (scale, factor) for scale in ("auto", "fixed") for factor in (1.0, 0.001, 1000.0)
    ]
    own = {(row["scale"], row["factor"]): row["brain"] for row in rows}
    assert own["auto", 1.0] == own["auto", 0.001] == own["auto", 1000.0]
    # a fixed scale takes a thousandth for nothing, and cuts a thousand
    assert len({brain for (scale, _), brain in own.items() if scale == "fixed"}) == 3


@pytest.mark.usefixtures("small")
def test_a_row_is_evaluated_with_the_rewards_of_the_environment() -> None:
    options = argparse.Namespace(steps=30, episodes=2, backend="numpy")
    cell = CELL("CartPole-v1", "auto", 1000.0, 31)
    agent = SpikingAgent("CartPole-v1", seed=31, config=cell.config(), backend="numpy").learn(30)
    assert ablation.trained(cell, options)["greedy"] == agent.evaluate(episodes=2)[0].mean()


@pytest.mark.usefixtures("small")
def test_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, called = ablation.trained, []

    def heard(cell: ablation.Cell, options: Any) -> Any:
        called.append((cell.factor, cell.seed))
        return trained(cell, options)

    monkeypatch.setattr(ablation, "trained", heard)
    out = tmp_path / "a.json"
    first = run(out, "--seeds", "1", "--scales", "auto")
    again = run(out, "--seeds", "2", "--scales", "auto")
    assert called == [(factor, seed) for seed in (30, 31) for factor in ablation.FACTORS]
    assert again[::2] == first and [row["seed"] for row in again] == 3 * [30, 31]


def test_other_results_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.json"
    own = {"claim": "rewards", "contract": CONTRACT_VERSION, "episodes": 1, "rows": [made()]}
    for content, words in (
        (own, ["--episodes", "2"]),
        (own, ["--steps", "80"]),
        ({**own, "contract": -1}, []),
        ({"claim": "learning"}, []),
    ):
        out.write_text(json.dumps(content))
        assert ablation.main([*TINY, "--out", str(out), *words]) == 2
        assert "other settings" in capsys.readouterr().err and json.loads(out.read_text()) == content


def test_the_table_of_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [made(seed=seed, greedy=greedy) for seed, greedy in ((30, 100.0), (31, 500.0))]
    rows += [made(factor=1000.0, seed=30), made(factor=1000.0, seed=31, brain="b", greedy=3.0)]
    rows += [made("fixed", 0.001, 30)]
    monkeypatch.setattr(ablation, "measure", lambda options: rows)
    page = tmp_path / "learning.md"
    page.write_text("before\n<!-- rewards: begin -->\nold\n<!-- rewards: end -->\nafter\n")
    assert ablation.main(["--document", str(page)]) == 0
    assert page.read_text() == (
        f"before\n<!-- rewards: begin -->\n{ablation.HEAD}"
        "| CartPole-v1 | 30 | auto | 1 | 300.0 | 100.0 .. 500.0 | 2 | 2 of 2 |\n"
        "| CartPole-v1 | 30 | auto | 1000 | 2.0 | 1.0 .. 3.0 | 2 | 1 of 2 |\n"
        "| CartPole-v1 | 30 | fixed | 0.001 | 1.0 | 1.0 .. 1.0 | 1 | 0 of 1 |\n"
        "<!-- rewards: end -->\nafter\n"
    )


def test_a_document_without_marks_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "measure", lambda options: [made()])
    page = tmp_path / "learning.md"
    page.write_text("nothing\n")
    assert ablation.main(["--document", str(page)]) == 2
    assert "<!-- rewards: begin -->" in capsys.readouterr().err and page.read_text() == "nothing\n"
    assert ablation.main(["--document", str(tmp_path / "none.md")]) == 2
    assert "must be a document" in capsys.readouterr().err
