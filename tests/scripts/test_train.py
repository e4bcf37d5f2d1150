"""A run from its beginning to its result."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import AgentConfig, EnvSpec, SpikingAgent
from hebbit.scripts import recorder

Cli = Callable[..., Any]
SMALL = "-P pool_words=4 --eval-episodes 2 --no-plots"


class Halved(gym.RewardWrapper[Any, Any]):
    """Rewards times a factor."""

    def __init__(self, env: gym.Env[Any, Any], factor: float = 0.5) -> None:
        super().__init__(env)
        self.factor = factor

    def reward(self, reward: Any) -> float:
        return float(reward) * self.factor


def result_of(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "result.json").read_text())
    return content


def test_a_run_leaves_what_the_zoo_and_we_expect(cli: Cli) -> None:
    flags = "--eval-freq 100 --eval-episodes 5 --run-dir r -P pool_words=4"
    status, out, err = cli(f"train CartPole-v1 --steps 300 --seed 3 {flags}")
    assert (status, err) == (0, "")
    assert {path.name for path in Path("r").iterdir()} == {
        ".lock", "0.monitor.csv", "CartPole-v1", "CartPole-v1.zip", "best_model.zip", "config.json", "evaluations.npz",
        "learning_curve.png", "progress.csv", "raster.png", "result.json",
    }  # fmt: skip
    result = result_of("r")
    evaluation = result["evaluation"]
    assert (result["env_id"], result["seed"], result["steps"], result["backend"]) == ("CartPole-v1", 3, 300, "numba")
    assert result["reward_threshold"] == 475 and result["solved"] is (evaluation["mean"] >= 475)
    assert len(evaluation["returns"]) == 5 and evaluation["min"] <= evaluation["mean"] <= evaluation["max"]
    assert result["wall_seconds"] > 0 and result["start_seconds"] > 0 and result["steps_per_second"] > 0
    assert f"digest {result['digest']}" in out and f"mean return {evaluation['mean']:.1f}" in out
    with np.load("r/evaluations.npz") as log:
        assert log["timesteps"].tolist() == [100, 200, 300] and log["results"].shape == (3, 5)


def test_a_run_is_what_the_api_does(cli: Cli) -> None:
    cli(f"train CartPole-v1 --steps 200 --seed 5 --run-dir r {SMALL}")
    agent = SpikingAgent(EnvSpec("CartPole-v1"), seed=5, config={"pool_words": 4}).learn(200)
    result = result_of("r")
    assert result["digest"] == agent.digest()
    assert result["evaluation"]["returns"] == agent.evaluate(episodes=2)[0].tolist()


def test_evaluating_and_logging_do_not_change_training(cli: Cli) -> None:
    cli(f"train CartPole-v1 --steps 200 --run-dir a {SMALL}")
    cli(f"train CartPole-v1 --steps 200 --run-dir b --eval-freq 50 --save-freq 30 --tensorboard {SMALL}")
    cli(f"train CartPole-v1 --steps 200 --run-dir c --backend numba {SMALL}")
    assert len({result_of(name)["digest"] for name in "abc"}) == 1
    assert list(Path("b").glob("events.out.tfevents*"))


def test_runs_get_folders_of_their_own(cli: Cli) -> None:
    for number in (1, 2):
        status, out, _ = cli(f"train CartPole-v1 --steps 20 {SMALL}")
        assert status == 0 and f"runs/CartPole-v1_{number}: CartPole-v1.zip, result.json" in out


def test_settings_reach_the_agent_and_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.toml").write_text("cycles = 4\ngamma = 0.9\n")
    mine = types.ModuleType("mine")
    mine.__dict__["Halved"] = Halved
    monkeypatch.setitem(sys.modules, "mine", mine)
    status, *_ = cli(
        f"train Acrobot-v1 --steps 20 --run-dir r --preset p.toml {SMALL} -P gamma=0.8",
        "--env-kwargs", "render_mode=rgb_array",
        "--wrapper", "mine.Halved", 'mine.Halved:{"factor": 0.25}',
    )  # fmt: skip
    assert status == 0
    agent = SpikingAgent.load("r/Acrobot-v1.zip", trust=True)
    assert agent.config == AgentConfig().replace({"pool_words": 4, "cycles": 4, "gamma": 0.8})
    wanted = ("mine.Halved", 'mine.Halved:{"factor": 0.25}')
    assert agent.spec == EnvSpec("Acrobot-v1", {"render_mode": "rgb_array"}, wanted)
    assert result_of("r")["evaluation"]["min"] == -500 / 8
    cli(f'train CartPole-v1 --steps 20 --run-dir s {SMALL} --env-kwargs {{"sutton_barto_reward":true}}')
    assert result_of("s")["evaluation"]["max"] == -1


def test_quiet_and_verbose(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli(f"train CartPole-v1 --steps 50 --run-dir a --quiet {SMALL}") == (0, "", "")
    monkeypatch.setattr(recorder, "LOG_FREQ", 20)
    monkeypatch.setattr(recorder, "TABLE_FREQ", 40)
    _, out, err = cli(f"train CartPole-v1 --steps 50 --run-dir b --verbose --eval-freq 25 {SMALL}")
    assert out.count("total_timesteps") == 3 and out.count("mean_reward") == 2 and err == ""
    rows = Path("b/progress.csv").read_text().splitlines()
    assert len(rows) == 5 and "time/fps" in rows[0]


def test_a_terminal_sees_progress(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, _, err = cli(f"train CartPole-v1 --steps 150 --run-dir a {SMALL}")
    assert "150" in err and "step/s" in err


def test_no_steps_and_no_evaluation_are_no_accident(cli: Cli) -> None:
    status, out, _ = cli("train CartPole-v1 --steps 0 --run-dir a -P pool_words=4 --eval-episodes 0")
    assert status == 0 and "no steps" in out
    assert result_of("a")["evaluation"]["mean"] is None and result_of("a")["solved"] is None
    assert cli("train CartPole-v1 --run-dir a --resume --steps 30")[0] == 0
    assert result_of("a")["digest"] == SpikingAgent("CartPole-v1", config={"pool_words": 4}).learn(30).digest()


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Pendulum-v1", "Blackjack-v1"])
def test_other_spaces(cli: Cli, env_id: str) -> None:
    status, _, err = cli(f"train {env_id} --steps 60 --run-dir r --save-freq 1 -P pool_words=4 --eval-episodes 2")
    assert (status, err) == (0, "")
    assert Path("r/raster.png").exists()
