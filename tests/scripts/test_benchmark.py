"""The benchmark: a run is done once, whatever happens meanwhile, and what it finds is what anyone would find."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import AgentConfig, SpikingAgent
from hebbit.scripts.bench import engine, jobs
from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.play import play, stacked
from hebbit.scripts.bench.rowbook import Book, failed
from hebbit.scripts.bench.suites import Suite, Task, parse

Cli = Callable[..., Any]
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TINY = """{head}episodes = 3
[[tasks]]
env_id = "CartPole-v1"
steps = {steps}
settings = {{hebbit = {{pool_words = 2}}}}
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small suite, and a PYTHONPATH with which workers find the wrappers of these tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "tests" / "_path"), str(HERE)]))
    monkeypatch.syspath_prepend(str(HERE))
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.format(head="", steps=300))
    return path


@pytest.fixture
def hostile(suite: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The same suite in a hostile world; the function says what happens in it."""
    wrapper = json.dumps({"folder": str(tmp_path)})
    suite.write_text(TINY.format(head=f"wrappers = ['hostile_env.Hostile:{wrapper}']\n", steps=300))

    def order(what: str) -> Path:
        (tmp_path / "order").write_text(what)
        return suite

    return order


def rows(folder: str) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in Path(folder, "runs").rglob("*.json")}


def plan_of(suite: Path, seeds: tuple[int, ...] = (5,)) -> jobs.Plan:
    return jobs.plan(parse(suite.read_text(), "tiny", "tiny"), (), seeds, (), "tuned")


def test_a_run_is_what_anyone_finds(suite: Path, cli: Cli) -> None:
    status, out, err = cli("benchmark --suite tiny.toml --seeds 5-5 --out r")
    assert (status, err) == (0, "") and "[1/1] CartPole-v1, hebbit, seed 5" in out
    (job,) = plan_of(suite).jobs
    (row,) = rows("r").values()
    assert row["key"] == job.key and row["status"] == "done" and row["job"]["seed"] == 5
    agent = SpikingAgent("CartPole-v1", seed=5, config=AgentConfig(pool_words=2)).learn(300)
    kept = SpikingAgent.load(Path("r", "models", f"{job.stem}.zip"))
    assert kept.digest() == agent.digest()
    task = job.whole_task()
    for name, greedy in (("greedy", True), ("stochastic", False)):
        assert len(row["final"][name]["returns"]) == 3
        again = play(kept if greedy else agent, task.environment().make, task.final_seeds(), greedy)
        assert row["final"][name]["returns"] == again.returns.tolist()
        assert row["final"][name]["lengths"] == again.lengths.tolist()
    assert row["cost"]["steps"] == 300 and 50 * 2**20 < row["cost"]["peak_bytes"] < 2**30
    assert 0 < row["cost"]["answer_seconds"] < 0.1
    assert [point["steps"] for point in row["curve"]] == job.marks() and job.marks()[-1] == 300
    assert row["curve"][-1]["greedy"] == play(agent, task.environment().make, task.curve_seeds()).returns.tolist()
    seconds = [point["seconds"] for point in row["curve"]]
    assert seconds == sorted(seconds) and seconds[0] == 0 and row["cost"]["seconds"] >= seconds[-1]


def test_operations_are_those_of_the_brain(suite: Path, cli: Cli) -> None:
    cli("benchmark --suite tiny.toml --seeds 5-5 --out r")
    (row,) = rows("r").values()
    operations, brain = row["cost"]["operations"], SpikingAgent("CartPole-v1", config={"pool_words": 2}).brain_config
    assert operations["neuron_updates_per_action"] == 2 * 32 * 8
    assert operations["parameters"] == brain.units * brain.words * 32
    assert row["cost"]["policy_bytes"] == brain.units * brain.words * 32 + 2 * 32 // 2
    # every spike goes to both motor units, a sensory one to some of the pool as well
    assert operations["synaptic_per_action"] > brain.units * operations["spikes_per_action"] > 0
    most = brain.words * 32 * brain.cycles
    assert operations["spikes_per_action"] <= most
    assert operations["synaptic_per_action"] <= brain.units * most + 2 * 32 * brain.slots[1] * brain.cycles


def test_nothing_is_done_twice(suite: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("benchmark --suite tiny.toml --seeds 2 --jobs 2 --out r").status == 0
    before = {path: path.stat().st_mtime_ns for path in Path("r", "runs").rglob("*.json")}
    monkeypatch.setattr(engine, "perform", lambda *_: pytest.fail("a finished run was done again"))
    status, out, _ = cli("benchmark --suite tiny.toml --seeds 2 --out r")
    assert status == 0 and "2 runs, 2 of them are finished" in out
    status, out, _ = cli("benchmark --suite tiny.toml --seeds 2 --out elsewhere --cache r")
    assert status == 0 and rows("elsewhere") == rows("r")
    models = [sorted(path.name for path in Path(where, "models").rglob("*.zip")) for where in ("r", "elsewhere")]
    assert models[0] == models[1] and len(models[0]) == 2
    status, _, err = cli("benchmark --suite tiny.toml --seeds 2 --out third --cache nowhere")
    assert status == 2 and "--cache nowhere holds no results" in err
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_damaged_row_is_made_again(suite: Path, cli: Cli) -> None:
    cli("benchmark --suite tiny.toml --seeds 1 --out r")
    (path,) = Path("r", "runs").rglob("*.json")
    whole = json.loads(path.read_text())
    path.write_text(path.read_text()[:100])
    assert "0 of them are finished" in cli("benchmark --suite tiny.toml --seeds 1 --out r").out
    assert json.loads(path.read_text())["final"] == whole["final"]


def test_a_crash_is_a_row_and_is_tried_again(hostile: Callable[[str], Path], cli: Cli, tmp_path: Path) -> None:
    hostile("crash")
    status, _, err = cli("benchmark --suite tiny.toml --seeds 1 --out r")
    ((row,)) = rows("r").values()
    assert status == 3 and row["status"] == "crashed" and "the world has ended" in row["error"]
    assert "crashed: RuntimeError: the world has ended" in err and row["final"] is None
    hostile("kill")
    assert cli("benchmark --suite tiny.toml --seeds 1 --out r").status == 3
    ((row,)) = rows("r").values()
    assert row["error"].startswith("ended by signal 9")
    (tmp_path / "order").unlink()
    assert cli("benchmark --suite tiny.toml --seeds 1 --out r").status == 0
    ((row,)) = rows("r").values()
    assert row["status"] == "done"


def test_whoever_leaves_without_a_result_has_none(hostile: Callable[[str], Path], cli: Cli) -> None:
    hostile("leave")
    assert cli("benchmark --suite tiny.toml --seeds 1 --out r").status == 3
    ((row,)) = rows("r").values()
    assert row["status"] == "crashed" and row["error"].startswith("ended with status 0 and no result")


def test_other_versions_than_planned_are_refused(suite: Path) -> None:
    (job,) = plan_of(suite).jobs
    row = engine.perform(replace(job, versions={**job.versions, "contract": "77"}), "i", None).row
    assert row["status"] == "crashed" and "install the same ones" in row["error"]


def test_what_an_environment_started_ends_with_its_run(hostile: Callable[[str], Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (job,) = plan_of(hostile("start another process, and wait")).jobs
    workers, found = engine.Workers(), []
    thread = threading.Thread(target=lambda: found.append(engine.perform(job, "i", None, workers)))
    thread.start()
    with open(tmp_path / "pipe", "w") as pipe:
        workers.end()
        thread.join()
        watch = select.poll()
        watch.register(pipe, select.POLLERR)
        assert watch.poll(60_000), "a process of the environment outlived its run"
    assert found[0].row["status"] == "crashed"


def test_the_command_has_a_timeout(suite: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def perform(job: Job, invocation: str, timeout: float | None, *_: Any) -> Any:
        told.append(timeout)
        return failed(job, invocation, "timed out", "given up after 7 seconds")

    monkeypatch.setattr(engine, "perform", perform)
    status, _, err = cli("benchmark --suite tiny.toml --seeds 1 --timeout 7 --out r")
    assert status == 3 and told == [7] and "timed out: given up" in err


def test_what_takes_too_long_is_given_up(suite: Path) -> None:
    (job,) = plan_of(suite).jobs
    row = engine.perform(job, "i", timeout=0.01).row
    assert row["status"] == "timed out" and "0.01 seconds" in row["error"]


def test_a_killed_benchmark_leaves_no_process_and_goes_on(
    hostile: Callable[[str], Path], cli: Cli, tmp_path: Path
) -> None:
    cli("benchmark --suite tiny.toml --seeds 1 --out r --quiet")
    before = rows("r")
    os.mkfifo(tmp_path / "pipe")
    hostile("wait")
    words = [sys.executable, "-m", "hebbit.scripts", "benchmark", "--suite", "tiny.toml", "--seeds", "2", "--out", "r"]
    benchmark = subprocess.Popen(words)
    # opening waits for the worker to open its end
    with open(tmp_path / "pipe", "w") as pipe:
        benchmark.send_signal(signal.SIGKILL)
        benchmark.wait()
        watch = select.poll()
        watch.register(pipe, select.POLLERR)
        assert watch.poll(60_000), "the worker outlived its benchmark"
    (tmp_path / "order").unlink()
    status, out, _ = cli("benchmark --suite tiny.toml --seeds 2 --out r")
    assert status == 0 and "1 of them are finished" in out
    assert len(rows("r")) == 2 and before.items() <= rows("r").items()
    assert sorted(path.name for path in Path("r").iterdir() if path.is_dir()) == ["models", "runs"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_ends_its_processes(
    number: int, hostile: Callable[[str], Path], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    suite = hostile("wait")
    words = [sys.executable, "-m", "hebbit.scripts", "benchmark", "--suite", str(suite), "--seeds", "1"]
    benchmark = subprocess.Popen([*words, "--out", str(tmp_path / "r")], stderr=subprocess.PIPE, text=True)
    with open(tmp_path / "pipe", "w") as pipe:
        benchmark.send_signal(number)
        _, err = benchmark.communicate(timeout=60)
        watch = select.poll()
        watch.register(pipe, select.POLLERR)
        assert watch.poll(60_000), "the worker outlived its benchmark"
    assert benchmark.returncode == 130 and "the same command goes on" in err
    assert rows(str(tmp_path / "r")) == {}


def test_two_at_once_are_refused(suite: Path, cli: Cli) -> None:
    from hebbit.agents.runs import RunLock

    Path("r").mkdir()
    lock = RunLock(Path("r"))
    status, _, err = cli("benchmark --suite tiny.toml --seeds 1 --out r")
    lock.release()
    assert status == 2 and "is being written by" in err


def test_what_decides_a_result_decides_its_key() -> None:
    task = Task("CartPole-v1", 300, name="CartPole-v1")
    (job,) = jobs.plan(Suite("x", (task,)), (), (1,), (), "tuned").jobs
    same = [
        replace(job, task={**job.task, "name": "other", "threshold": 1.0, "score_low": 3.0, "source": "s", "steps": 5}),
        replace(job, settings={**job.settings, "source": "elsewhere"}),
    ]
    other = [
        replace(job, seed=2),
        replace(job, steps=301),
        replace(job, algorithm="ppo"),
        replace(job, task={**job.task, "kwargs": {"sutton_barto_reward": True}}),
        replace(job, task={**job.task, "episodes": 99}),
        replace(job, task={**job.task, "evaluation_seed": 1}),
        replace(job, settings={**job.settings, "gamma": 0.5}),
        replace(job, versions={**job.versions, "contract": "99"}),
    ]
    assert {one.key for one in same} == {job.key}
    assert len({job.key, *(one.key for one in other)}) == len(other) + 1


def test_seeds_are_seen_in_turn_and_thresholds_come_from_the_registry() -> None:
    tasks = (Task("CartPole-v1", 300, name="a"), Task("Pendulum-v1", 300, name="b"))
    plan = jobs.plan(Suite("x", tasks), (), (7, 8), (), "tuned")
    assert [(j.task["name"], j.seed) for j in plan.jobs] == [("a", 7), ("b", 7), ("a", 8), ("b", 8)]
    assert [task["threshold"] for task in plan.to_dict()["tasks"]] == [475.0, None]


def test_points_of_curves_meet() -> None:
    def marks(steps: int) -> list[int]:
        return Job("hebbit", {}, 0, steps, {}, {}).marks()

    assert marks(100_000)[:4] == [0, 1000, 2000, 3000] and marks(100_000)[-1] == 100_000
    assert {1000, 10_000, 30_000, 50_000, 100_000} <= set(marks(1_000_000)) & set(marks(100_000))
    assert len(marks(1_000_000)) < 45 and marks(1) == [0, 1]


def test_what_can_still_be_compared_stays_in_the_table(suite: Path, tmp_path: Path) -> None:
    book, plan = Book(tmp_path / "r"), plan_of(suite)
    (job,) = plan.jobs
    ppo = replace(job, algorithm="ppo")

    def told() -> list[tuple[str, int]]:
        content = json.loads((tmp_path / "r" / "suite.json").read_text())
        assert len(content["tasks"]) == 1 and content["algorithms"] == ["hebbit", "ppo"]
        return [(one["algorithm"], one["seed"]) for one in content["expected"]]

    both = replace(plan, algorithms=("hebbit", "ppo"), jobs=(job, ppo), refused=(("CartPole-v1", "dqn"),))
    book.announce(both)
    # other seeds add up
    book.announce(replace(plan, jobs=(replace(job, seed=9),)))
    assert told() == [("hebbit", 5), ("ppo", 5), ("hebbit", 9)]
    kept = json.loads((tmp_path / "r" / "suite.json").read_text())["not_applicable"]
    assert kept == [{"task": "CartPole-v1", "algorithm": "dqn"}]
    # other settings take the place of the old ones
    book.announce(replace(plan, jobs=(replace(job, settings={}),)))
    assert told() == [("ppo", 5), ("hebbit", 5)]
    # in another world nobody can be compared
    world = replace(plan.suite.tasks[0], episodes=4)
    book.announce(replace(plan, suite=Suite("tiny", (world,))))
    assert told() == [("hebbit", 5)]


def test_equal_runs_of_two_tasks_are_made_once(suite: Path, cli: Cli) -> None:
    task = suite.read_text().partition("\n")[2]
    suite.write_text(suite.read_text() + task.replace("[[tasks]]", "[[tasks]]\nname = 'b'"))
    status, out, _ = cli("benchmark --suite tiny.toml --seeds 1 --jobs 2 --out r")
    assert status == 0 and len(rows("r")) == 1 and "[1/1]" in out
    status, out, err = cli("report r")
    assert (status, err) == (0, "") and "Of 2 runs, 2 finished" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--suite tiny.toml --baselines ppo,sac", "some of ppo, a2c, dqn, qrdqn, ars, got 'sac'"),
        ("--suite tiny.toml --baselines ppo,ppo", "each name once"),
        ("--suite tiny.toml --seeds 0", "1 or more"),
        ("--suite tiny.toml --seeds 9-3", "a range such as"),
        ("--suite tiny.toml --tasks Pendulum-v1", "--tasks must be some of CartPole-v1"),
        ("--suite nope", "--suite must be one of"),
        ("--suite tiny.toml --budget double", "invalid choice"),
    ],
)
def test_what_is_wrong_is_said(words: str, told: str, suite: Path, cli: Cli) -> None:
    status, _, err = cli(f"benchmark {words} --out r")
    assert status == 2 and told in err and not Path("r").exists()


def test_a_place_that_takes_no_files(suite: Path, cli: Cli) -> None:
    Path("file").write_text("mine")
    status, _, err = cli("benchmark --suite tiny.toml --seeds 1 --out file")
    assert status == 2 and "cannot write file" in err and Path("file").read_text() == "mine"


def test_unknown_environments_and_settings_are_known_before_anything_runs(suite: Path, cli: Cli) -> None:
    suite.write_text(suite.read_text().replace("CartPole-v1", "CartPol-v1"))
    assert "did you mean CartPole-v1" in cli("benchmark --suite tiny.toml --out r").err
    suite.write_text(suite.read_text().replace("CartPol-v1", "CartPole-v1").replace("pool_words", "pool_word"))
    assert "did you mean pool_words" in cli("benchmark --suite tiny.toml --out r").err
    assert not Path("r").exists()


def test_observations_of_several_parts_are_stacked_part_by_part() -> None:
    batch = stacked([{"a": 1, "b": (np.zeros(2), i)} for i in range(3)])
    assert batch["a"].shape == (3,) and batch["b"][0].shape == (3, 2) and batch["b"][1].tolist() == [0, 1, 2]
    # its observations are tuples
    agent, task = SpikingAgent("Blackjack-v1", config=AgentConfig(pool_words=2)), Task("Blackjack-v1", 1, episodes=7)
    assert set(play(agent, task.environment().make, task.final_seeds()).returns) <= {-1.0, 0.0, 1.0, 1.5}


def test_side_by_side_is_one_by_one() -> None:
    agent = SpikingAgent("CartPole-v1", seed=0, config=AgentConfig(pool_words=2)).learn(500)
    task = Task("CartPole-v1", 1, episodes=7)
    make, seeds = task.environment().make, task.final_seeds()
    wide, narrow = play(agent, make, seeds, width=5), play(agent, make, seeds, width=1)
    assert np.array_equal(wide.returns, narrow.returns) and np.array_equal(wide.lengths, narrow.lengths)
    assert len(set(narrow.returns)) > 1 and np.array_equal(narrow.returns, narrow.lengths)
