"""The measuring commands: tiny runs, exact in structure; their figures are not tested here."""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import AgentConfig, EnvSpec, SpikingAgent, configure
from hebbit.scripts import claims, claims_digest, claims_learning, claims_machine, claims_sb3, claims_speed
from hebbit.scripts import claims_tools as tools
from hebbit.scripts.claims_replay import RecordingEnv, ReplayEnv

LEARNING = ["learning", "--steps", "40", "--episodes", "2", "--threshold", "5"]


def run(*words: str) -> int:
    return claims.main(words)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls that would have started an interpreter; they are answered by this one."""
    calls: list[dict[str, Any]] = []

    def here(function: str, arguments: dict[str, Any], environment: Any = None) -> Any:
        module, _, name = function.partition(":")
        calls.append({"function": function, **arguments})
        return json.loads(json.dumps(getattr(sys.modules[module], name)(**arguments)))

    monkeypatch.setattr(tools, "in_child", here)
    return calls


def test_learning_tells_what_came_of_every_seed(tmp_path: Path) -> None:
    out = tmp_path / "results" / "learning.json"
    assert run(*LEARNING, "--seeds", "7-8", "--jobs", "2", "--out", str(out)) == 0
    result = json.loads(out.read_text())
    assert (
        result["command"]
        == "python -m hebbit.scripts.claims learning --steps 40 --episodes 2 --threshold 5 --seeds 7-8 --jobs 2"
    )
    assert result["settings"]["config"] == configure("CartPole-v1").to_dict()
    assert result["config_is_default"] == (configure("CartPole-v1") == AgentConfig())
    assert [row["seed"] for row in result["seeds"]] == [7, 8]
    agent = SpikingAgent("CartPole-v1", seed=8).learn(40)
    greedy, stochastic = agent.evaluate(episodes=2)[0], agent.evaluate(episodes=2, deterministic=False)[0]
    row = result["seeds"][1]
    assert row["digest"] == agent.digest()
    assert row["greedy"] == {"mean": greedy.mean(), "std": greedy.std(), "min": greedy.min(), "max": greedy.max()}
    assert row["stochastic"] == {"mean": stochastic.mean(), "std": stochastic.std()}
    assert result["summary"]["passed"] == 2 and result["summary"]["seeds"] == 2
    assert result["summary"]["greedy_worst"] == min(row["greedy"]["mean"] for row in result["seeds"])


def test_learning_goes_on_where_it_stopped(tmp_path: Path, called: list[dict[str, Any]]) -> None:
    out = str(tmp_path / "learning.json")
    assert run(*LEARNING, "--seeds", "7", "--out", out) == 0
    assert run(*LEARNING, "--seeds", "6-8", "--out", out) == 0
    assert [call["seed"] for call in called] == [7, 6, 8]
    assert [row["seed"] for row in json.loads(Path(out).read_text())["seeds"]] == [6, 7, 8]


def test_learning_overwrites_no_other_result(
    tmp_path: Path, called: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "learning.json"
    assert run(*LEARNING, "--seeds", "6-7", "--out", str(out)) == 0
    before = out.read_bytes()
    for other in (["--steps", "41", "--seeds", "6-7"], ["--seeds", "6"], ["--preset", "default", "--episodes", "3"]):
        assert run(*LEARNING, *other, "--out", str(out)) == 2
        assert "other settings" in capsys.readouterr().err
    assert out.read_bytes() == before
    out.write_text("{")
    assert run(*LEARNING, "--out", str(out)) == 1
    assert len(called) == 2


def test_the_suite_writes_a_file_for_each_row(
    tmp_path: Path, called: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = claims_learning.suite()
    assert [(row.env_id, row.steps, len(row.seeds), row.threshold) for row in rows] == [
        ("CartPole-v1", 30_000, 20, 475.0),
        ("Acrobot-v1", 100_000, 10, -100.0),
        ("MountainCar-v0", 120_000, 10, -130.0),
        ("LunarLander-v3", 300_000, 5, 100.0),
    ]
    assert all(row.config == configure(row.env_id) and min(row.seeds) == 1000 for row in rows)
    tiny = tuple(claims_learning.Task(row.env_id, 30, (3,), row.threshold, 1, row.config) for row in rows[:2])
    monkeypatch.setattr(claims_learning, "suite", lambda: tiny)
    assert run("learning", "--suite") == 2
    assert run("learning", "--suite", "--out", str(tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning_Acrobot-v1.json", "learning_CartPole-v1.json"]
    assert [(call["env_id"], call["steps"], call["seed"]) for call in called] == [
        ("CartPole-v1", 30, 3),
        ("Acrobot-v1", 30, 3),
    ]


def test_the_parts_of_a_life_are_the_same_work() -> None:
    config = AgentConfig(reward_scale="fixed")
    (life,) = claims_speed.lives("CartPole-v1", 60, 1, config.to_dict())
    assert life["seed"] == claims_speed.FIRST_SEED
    assert set(life["seconds"]) == {"whole", *claims_speed.PARTS}
    recorded = claims_speed.record("CartPole-v1", 60, 1000, config)
    steps = sum(event.action is not None for event in recorded.events)
    assert steps == 60 and len(recorded.events) == len(recorded.encoded) == len(recorded.stepped)
    agent, again = (SpikingAgent("CartPole-v1", seed=1000, config=config) for _ in range(2))
    agent.learn(60)
    claims_speed.step(again, recorded.stepped)
    claims_speed.encode(again.encoder, recorded.encoded)
    assert agent.digest() == again.digest()


def test_speed_is_stated_by_wall_and_by_cpu() -> None:
    seconds = {"whole": [1.0, 0.5], "environment": [0.25, 0.125], "encoder": [0.25, 0.125], "backend": [0.25, 0.125]}
    found = claims_speed.summary([{"seed": 1, "seconds": seconds}] * 2, 1000)
    assert found["wall"]["steps_per_second"] == {"median": 1000, "min": 1000, "max": 1000}
    assert found["cpu"]["steps_per_second"]["median"] == 2000
    assert {part: figures["median"] for part, figures in found["wall"]["microseconds_per_step"].items()} == {
        "whole": 1000, "environment": 250, "encoder": 250, "backend": 250, "rest": 250,
    }  # fmt: skip


@pytest.mark.slow
def test_speed_writes_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, cores = tmp_path / "speed.json", os.sched_getaffinity(0)
    assert run("speed", "--steps", "100", "--repeats", "2", "--starts", "1", "--out", str(out)) == 0
    result = json.loads(out.read_text())
    assert [life["seed"] for life in result["lives"]] == [1000, 1001]
    stages = {"import_hebbit", "import_agents", "make_agent", "first_step", "cpu", "process"}
    assert {kind: set(stage) for kind, stage in result["startup_seconds"].items()} == {"cold": stages, "warm": stages}
    assert "steps a second" in capsys.readouterr().out
    assert os.sched_getaffinity(0) == cores


class Learner:
    """Training as both sides of the SB3 claim do it: a callback of locals and globals after every step."""

    def __init__(self, stride: int) -> None:
        self.num_timesteps, self.stride = 0, stride

    def learn(self, callback: Any) -> None:
        going = True
        while going:
            self.num_timesteps += self.stride
            going = callback({"self": self}, {})


@pytest.mark.parametrize(("stride", "seen"), [(1, [50, 100, 120]), (8, [56, 104, 120])])
def test_a_race_ends_at_the_target_or_at_the_last_step(
    stride: int, seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_sb3.Race, "evaluate", lambda _, model: float(model.num_timesteps))
    for target, expected, solved in ((1000.0, seen, False), (100.0, seen[:2], True)):
        race = claims_sb3.Race({"max_steps": 120, "every": 50, "episodes": 1, "target": target}, 0)
        race.clock.start()
        Learner(stride).learn(race)
        assert [point["steps"] for point in race.checkpoints] == expected
        assert race.solved == solved


def test_never_solved_counts_as_infinite() -> None:
    def row(side: str, seconds: float | None) -> dict[str, Any]:
        times = dict.fromkeys(("steps", "seconds", "cpu_seconds"), seconds)
        return {"side": side, "solved": seconds is not None, **times, "startup_seconds": {"total": 1.0}}

    ours = [row("hebbit", seconds) for seconds in (1.0, 2.0, 3.0)]
    found = claims_sb3.summary([*ours, *(row("ppo", seconds) for seconds in (None, 10.0, 4.0))])
    assert found["ppo"]["solved"] == 2 and found["ppo"]["median_seconds"] == 10.0
    assert found["ppo_over_hebbit_seconds"] == 5.0
    found = claims_sb3.summary([*ours, *(row("ppo", seconds) for seconds in (None, None, 4.0))])
    assert found["ppo"]["median_seconds"] is None and found["ppo_over_hebbit_seconds"] is None
    assert "never" in claims_sb3.sentence(found) and "no ratio" in claims_sb3.sentence(found)
    assert claims_sb3.summary(ours)["ppo"]["median_seconds"] is None


def test_children_load_nothing_heavy_before_their_function() -> None:
    code = "import sys; import hebbit.scripts.claims_sb3; print({'numpy', 'gymnasium', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_without_sb3_the_claim_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claims_machine, "versions", lambda: {"torch": None, "stable_baselines3": None})
    assert run("sb3") == 2
    assert "make test-sb3" in capsys.readouterr().err


def test_a_replayed_environment_says_the_same_whatever_is_done(tmp_path: Path) -> None:
    env = RecordingEnv(EnvSpec("CartPole-v1").make())
    agent = SpikingAgent(env, seed=5).learn(50)
    env.save(tmp_path / "record.npz")
    replay = ReplayEnv(tmp_path / "record.npz", env.observation_space, env.action_space)
    assert SpikingAgent(replay, seed=5).learn(50).digest() == agent.digest()
    replay = ReplayEnv(tmp_path / "record.npz", env.observation_space, env.action_space)
    observations = [replay.reset()[0]]
    while True:
        observation, reward, terminated, truncated, _ = replay.step(0)
        observations.append(observation)
        assert reward == 1.0
        if terminated or truncated:
            break
    expected = [event.observation for event in env.events[: len(observations)]]
    np.testing.assert_array_equal(observations, expected)


def test_every_comparison_has_lives_that_differ_in_one_thing(tmp_path: Path) -> None:
    found = claims_digest.comparisons(20, 10, tmp_path / "record.npz", tmp_path / "cache")
    assert all(len({life.label for life in one.lives}) == len(one.lives) >= 2 for one in found)
    assert [life.environment.get("NUMBA_NUM_THREADS") for life in found[1].lives] == ["1", "2"]
    assert found[2].lives[1].environment["NUMBA_CPU_NAME"] == "generic"
    assert found[3].lives[1].environment["NPY_DISABLE_CPU_FEATURES"].split() == claims_digest.dispatched()


def test_digests_are_compared(
    tmp_path: Path, called: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["digest", "--steps", "20", "--numpy-steps", "3", "--out", str(tmp_path / "digest.json")]
    assert run(*words) == 0
    result = json.loads((tmp_path / "digest.json").read_text())
    assert result["summary"] == {"comparisons": 5, "differing": []}
    assert [one["equal"] for one in result["comparisons"]] == [True] * 5
    expected = SpikingAgent("CartPole-v1", seed=1000).learn(20).digest()
    assert {life["digest"] for life in result["comparisons"][0]["lives"]} == {expected}
    lived = claims_digest.life
    monkeypatch.setattr(
        claims_digest, "life", lambda **given: {**lived(**given), "digest": given.get("backend", "numba")}
    )
    assert run(*words) == 1
    assert "2 of 5 comparisons differ; NumPy's instructions, recorded; backends" in capsys.readouterr().out


@pytest.mark.slow
def test_digests_agree_in_interpreters_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "digest.json"
    assert run("digest", "--steps", "50", "--numpy-steps", "20", "--out", str(out)) == 0
    lives = {life["life"]: life for one in json.loads(out.read_text())["comparisons"] for life in one["lives"]}
    assert (lives["1 thread"]["numba_threads"], lives["2 threads"]["numba_threads"]) == (1, 2)
    assert (lives["1 thread"]["stepping_threads"], lives["2 threads"]["stepping_threads"]) == (1, 2)
    assert lives["generic processor"]["numba_cpu"] == "generic"
    assert lives["NumPy, baseline instructions"]["numpy_dispatches"] == []


def test_a_child_answers_with_its_own_settings() -> None:
    variables = {"HEBBIT_TEST": "7"}
    assert tools.in_child("os:getenv", {"key": "HEBBIT_TEST"}, variables) == "7"
    with pytest.raises(tools.ClaimError, match="os:no_such ended with status 1"):
        tools.in_child("os:no_such", {})


def test_the_machine_is_described_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    about = claims_machine.machine()
    assert set(about["versions"]) == set(claims_machine.PACKAGES)
    assert about["cores"] >= 1 and about["cpu"]
    text = json.dumps(about)
    assert not any(
        secret in text for secret in (str(Path.home()), str(Path(__file__).parents[2]), f'"{platform.node()}"')
    )
    monkeypatch.setattr(claims_machine, "__file__", "/nowhere/hebbit/scripts/claims_machine.py")
    assert claims_machine.commit() == {"commit": None, "code_changed": None}


def test_the_command_is_told_without_paths() -> None:
    words = ["learning", "--out", "/home/me/x.json", "--preset=/home/me/p.toml", "--preset", "a/b.toml", "--jobs", "2"]
    expected = "python -m hebbit.scripts.claims learning --preset=p.toml --preset b.toml --jobs 2"
    assert tools.command_line(words) == expected
    assert tools.command_line(["speed", "--out=/home/me/x.json"]) == "python -m hebbit.scripts.claims speed"


def test_figures() -> None:
    assert tools.interquartile_mean([100.0, 1.0, 2.0, 3.0, -50.0]) == 2.0
    assert tools.interquartile_mean([4.0]) == 4.0
    assert tools.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert tools.finite(math.inf) is None and tools.finite(1.5) == 1.5


def test_seeds_and_counts() -> None:
    assert tools.seeds("1000-1002,7") == (1000, 1001, 1002, 7)
    for wrong in ("", "a", "3-1", "1,1", "1-", "-3"):
        with pytest.raises(argparse.ArgumentTypeError):
            tools.seeds(wrong)
    assert tools.count("30_000") == 30_000
    with pytest.raises(argparse.ArgumentTypeError):
        tools.count("0")


def test_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for claim in ("learning", "speed", "digest"):
        assert run(claim, "--env", "Nowhere-v0") == 2
        assert capsys.readouterr().err.startswith("claims: environment 'Nowhere-v0' cannot be made")
