"""Models of Stable-Baselines3 as rows of an evaluation by a plan."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO

from hebbit.agents import SpikingAgent, evaluate
from hebbit.scripts import main
from hebbit.scripts.bench import sb3

PLAN = """
env_id = "CartPole-v1"
episodes = 5
seed = 3
[[conditions]]
name = "clean"
[[conditions]]
name = "drawn"
deterministic = false
[[conditions]]
observation_noise = 0.05
[[conditions]]
sweep = {lesion = [0, 0.5]}
[[conditions]]
cycles = 4
dropped_spikes = 0.1
[[conditions]]
env_kwargs = {sutton_barto_reward = true}
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Models that have hardly learned."""
    monkeypatch.chdir(tmp_path)
    found = {
        "ppo": PPO("MlpPolicy", "CartPole-v1", seed=4, n_steps=64, batch_size=64, device="cpu").learn(64),
        "dqn": DQN(
            "MlpPolicy",
            "CartPole-v1",
            seed=5,
            learning_starts=10,
            buffer_size=100,
            exploration_final_eps=0.5,
            device="cpu",
        ).learn(64),
    }
    for name, model in found.items():
        model.save(tmp_path / f"{name}.zip")
    return found


@pytest.fixture
def table(models: Any) -> Callable[..., Any]:
    """Rows of an evaluation by (run, condition)."""
    numbers = iter(range(99))

    def rows(names: str, plan: str = PLAN) -> Any:
        Path("plan.toml").write_text(plan)
        out = Path(f"out{next(numbers)}")
        assert main(["evaluate", *names.split(), "--plan", "plan.toml", "--out", str(out)]) == 0
        found = json.loads((out / "evaluation.json").read_text())["rows"]
        return {(row["run"], row["condition"]): row for row in found}

    return rows


def test_models_stand_beside_brains(models: dict[str, Any], table: Callable[..., Any]) -> None:
    SpikingAgent("CartPole-v1", config={"pool_words": 2}).save("ours.zip")
    # the environment is that of the run
    rows = table("ours.zip ppo:ppo.zip DQN:dqn.zip", PLAN.replace('env_id = "CartPole-v1"', ""))
    for run, name in (("ppo:ppo.zip", "ppo"), ("DQN:dqn.zip", "dqn")):
        returns, lengths = evaluate(models[name], "CartPole-v1", 5, True, 3, 0)
        clean = rows[run, "clean"]
        assert clean["returns"] == returns.tolist() and clean["lengths"] == lengths.tolist()
        assert clean["algorithm"] == name and clean["seed"] == {"ppo": 4, "dqn": 5}[name]
        assert clean["digest"] == hashlib.sha256(Path(f"{name}.zip").read_bytes()).hexdigest()
        assert rows[run, "lesion 0"]["returns"] == clean["returns"]
        assert rows[run, "observation noise 0.05"]["status"] == "ok"
        # a reward for falling alone
        assert set(rows[run, "sutton_barto_reward true"]["returns"]) <= {0.0, -1.0}
        for condition in ("lesion 0.5", "dropped spikes 0.1, cycles 4"):
            row = rows[run, condition]
            assert row["status"] == "n/a" and row["returns"] is None and row["mean"] is None
            assert "only spiking brains have that" in row["error"]
    assert rows["ours.zip", "lesion 0.5"]["status"] == "ok"
    assert sum(row["status"] == "n/a" for row in rows.values()) == 4


def test_drawn_actions_begin_alike_whatever_was_drawn_before(models: Any, table: Callable[..., Any]) -> None:
    both, alone = table("ppo:ppo.zip dqn:dqn.zip"), table("dqn:dqn.zip")
    turned = table("dqn:dqn.zip ppo:ppo.zip")
    for run in ("ppo:ppo.zip", "dqn:dqn.zip"):
        assert both[run, "drawn"]["returns"] == turned[run, "drawn"]["returns"] != both[run, "clean"]["returns"]
    assert alone["dqn:dqn.zip", "drawn"]["returns"] == both["dqn:dqn.zip", "drawn"]["returns"]


def test_normalised_observations(models: Any, table: Callable[..., Any]) -> None:
    statistics = {"mean": np.ones(4), "variance": np.full(4, 0.01), "epsilon": 1e-8, "clip": 10.0}
    before = table("ppo:ppo.zip")["ppo:ppo.zip", "clean"]
    np.savez("ppo.normalization.npz", **statistics)  # type: ignore[arg-type]  # NumPy's stub takes the names for flags
    rows = table("ppo:ppo.zip")
    returns, _ = evaluate(sb3.load(Path("ppo.zip"), "ppo"), "CartPole-v1", 5, True, 3, 0)
    assert rows["ppo:ppo.zip", "clean"]["returns"] == returns.tolist() != before["returns"]
    assert rows["ppo:ppo.zip", "drawn"]["status"] == "ok"


@pytest.mark.parametrize(
    ("names", "env_id", "said"),
    [
        ("ppo:ppo.zip", None, "models of Stable-Baselines3 do not name their environment"),
        ("ppo:ppo.zip", "CartPol-v1", "CartPol"),
        ("a2c:plan.toml", "CartPole-v1", "cannot be loaded as a model of a2c"),
    ],
)
def test_what_cannot_be_evaluated(
    models: Any, capsys: pytest.CaptureFixture[str], names: str, env_id: str | None, said: str
) -> None:
    head = "" if env_id is None else f'env_id = "{env_id}"\n'
    Path("plan.toml").write_text(f"{head}[[conditions]]")
    assert main(["evaluate", *names.split(), "--plan", "plan.toml", "--out", "out"]) == 2
    assert said in capsys.readouterr().err and not Path("out").exists()


def test_a_model_of_other_spaces(models: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.toml").write_text('env_id = "MountainCar-v0"\nepisodes = 1\n[[conditions]]')
    assert main(["evaluate", "ppo:ppo.zip", "--plan", "plan.toml"]) == 1
    assert "but it was trained with" in capsys.readouterr().out
