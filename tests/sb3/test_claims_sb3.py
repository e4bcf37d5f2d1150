"""The comparison with Stable-Baselines3, in small: both sides under one rule."""

import json
from pathlib import Path

from hebbit.scripts import claims


def test_both_sides_race(tmp_path: Path) -> None:
    out = tmp_path / "sb3.json"
    words = ["sb3", "--seeds", "3", "--max-steps", "600", "--every", "300", "--episodes", "10", "--target", "501"]
    assert claims.main([*words, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert [(row["side"], row["seed"], row["solved"]) for row in result["runs"]] == [
        ("hebbit", 3, False),
        ("ppo", 3, False),
    ]
    assert [point["steps"] for point in result["runs"][0]["checkpoints"]] == [300, 600]
    # PPO counts the steps of eight environments
    assert [point["steps"] for point in result["runs"][1]["checkpoints"]] == [304, 600]
    assert all(1 <= point["greedy_mean"] <= 500 for row in result["runs"] for point in row["checkpoints"])
    assert result["summary"]["ppo_over_hebbit_seconds"] is None
