"""Baselines are what rl-zoo tuned, and answer after loading as they did before saving."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import HebbitError
from hebbit.scripts import main
from hebbit.scripts.bench import baselines, jobs, sb3, worker
from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.play import play
from hebbit.scripts.bench.suites import Suite, Task

FEW = {
    "ppo": {"steps": 256, "n_steps": 8, "n_envs": 4},
    "a2c": {"steps": 256, "n_envs": 4},
    "dqn": {"steps": 1200},
    "qrdqn": {"steps": 1200},
    "ars": {"steps": 600},
}
ENVS = {
    "ppo": "MountainCar-v0",
    "a2c": "Pendulum-v1",
    "dqn": "CartPole-v1",
    "qrdqn": "CartPole-v1",
    "ars": "Acrobot-v1",
}


def job_of(algorithm: str, env_id: str, changes: dict[str, Any] | None = None) -> Job:
    task = Task(env_id, 500, name=env_id, episodes=3, settings={algorithm: changes or {}})
    return jobs.plan(Suite("x", (task,)), (algorithm,), (), (3,), "tuned").jobs[0]


@pytest.mark.parametrize("algorithm", baselines.BASELINES)
def test_a_run_is_whole_and_repeats(algorithm: str, tmp_path: Path) -> None:
    job = job_of(algorithm, ENVS[algorithm], FEW[algorithm])
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        before = json.dumps(job.settings)
        worker.work(json.loads(json.dumps(job.__dict__)), "i", tmp_path / name)
        assert json.dumps(job.settings) == before
        found.append(json.loads((tmp_path / name / "row.json").read_text()))
    one, two = found
    assert one["key"] == job.key and one["status"] == "done"
    assert one["final"] == two["final"]
    assert [p["greedy"] for p in one["curve"]] == [p["greedy"] for p in two["curve"]]
    # the last point is what came of it all, and a rollout that has begun is finished
    assert one["curve"][0]["steps"] == 0 and one["curve"][-1]["steps"] == one["cost"]["steps"] >= job.steps
    points = [point["steps"] for point in one["curve"]]
    assert points == sorted(set(points)) and all(any(m <= p < m + 700 for p in points) for m in job.marks())
    task = job.whole_task()
    loaded = sb3.load(tmp_path / "a" / "model.zip", algorithm)
    again = play(loaded, task.environment().make, task.final_seeds())
    assert again.returns.tolist() == one["final"]["greedy"]["returns"]


def test_settings_are_rl_zoos() -> None:
    side = sb3.Theirs(job_of("ppo", "CartPole-v1"))
    model = side.model
    assert (model.n_envs, model.n_steps, model.batch_size, model.n_epochs) == (8, 32, 256, 20)
    assert (model.gamma, model.gae_lambda, model.ent_coef) == (0.98, 0.8, 0.0)
    assert model.lr_schedule(0.5) == pytest.approx(0.0005) and model.clip_range(0.25) == pytest.approx(0.05)
    assert side.job.steps == 100_000 and model.get_vec_normalize_env() is None
    car = sb3.Theirs(job_of("ppo", "MountainCar-v0")).model
    assert car.get_vec_normalize_env().norm_reward and car.get_vec_normalize_env().gamma == 0.99
    dqn = sb3.Theirs(job_of("dqn", "CartPole-v1")).model
    assert dqn.policy_kwargs["net_arch"] == [256, 256] and dqn.exploration_final_eps == 0.04
    pendulum = sb3.Theirs(job_of("ppo", "Pendulum-v1")).model
    assert pendulum.use_sde and pendulum.sde_sample_freq == 4 and pendulum.gamma == 0.9
    ars = sb3.Theirs(job_of("ars", "Acrobot-v1")).model
    assert not ars.get_vec_normalize_env().norm_reward and ars.n_top == 1


def test_the_budget_is_tuned_or_equal() -> None:
    task = Task("MountainCar-v0", 500, name="m")
    for budget, steps in (("tuned", 1_000_000), ("equal", 500)):
        (job,) = jobs.plan(Suite("x", (task,)), ("ppo",), (), (3,), budget).jobs
        assert job.steps == steps and job.settings["source"].startswith(baselines.TUNED)
    (job,) = jobs.plan(Suite("x", (Task("FrozenLake-v1", 500, name="f"),)), ("ppo",), (), (3,), "tuned").jobs
    assert job.steps == 500 and job.settings == {"policy": "MlpPolicy", "source": baselines.UNTUNED}


def test_settings_that_an_algorithm_does_not_have_are_refused() -> None:
    with pytest.raises(HebbitError, match="unknown entry 'n_step'; did you mean n_steps"):
        job_of("ppo", "CartPole-v1", {"n_step": 64})


def test_what_is_not_rl_zoos_is_not_called_so() -> None:
    def source(task: Task) -> str:
        return str(jobs.plan(Suite("x", (task,)), ("ppo",), (), (3,), "tuned").jobs[0].settings["source"])

    plain = Task("CartPole-v1", 500, name="c")
    assert source(plain) == baselines.TUNED
    assert source(replace(plain, settings={"ppo": {"n_steps": 8}})) == f"{baselines.TUNED}; changed: n_steps"
    assert "without these kwargs" in source(replace(plain, kwargs={"sutton_barto_reward": True}))


def test_an_algorithm_that_cannot_act_is_left_out() -> None:
    task = Task("Pendulum-v1", 500, name="p")
    plan = jobs.plan(Suite("x", (task,)), ("dqn", "qrdqn", "ars"), (), (3,), "tuned")
    assert plan.refused == (("p", "dqn"), ("p", "qrdqn")) and [job.algorithm for job in plan.jobs] == ["ars"]


def test_stochastic_answers_are_drawn_for_each_observation() -> None:
    dqn = sb3.Theirs(job_of("dqn", "CartPole-v1", {"steps": 1200, "exploration_final_eps": 0.5}))
    dqn.learn(1200, lambda *_: True)
    same, begin = np.zeros((400, 4), np.float32), np.ones(400, np.bool_)
    greedy, _ = dqn.policy.predict(same, None, begin, True)
    drawn, _ = dqn.policy.predict(same, None, begin, False)
    # one coin for all would leave none or all; half explore, half of these happen to choose the greedy action
    assert 50 < (drawn != greedy).sum() < 150
    ppo = sb3.Theirs(job_of("ppo", "Pendulum-v1"))
    same, begin = np.ones((50, 3), np.float32), np.ones(50, np.bool_)
    first, second = (ppo.policy.predict(same, None, begin, False)[0] for _ in range(2))
    # some are cut off at the bounds
    assert len(np.unique(first)) > 20 and not np.array_equal(first, second)
    go_on = np.zeros(50, np.bool_)
    third = [ppo.policy.predict(same, None, go_on, False)[0] for _ in range(4)]
    # as in training, the noise of state-dependent exploration stays for four steps
    assert len({answer.tobytes() for answer in third}) == 2


def test_normalisation_is_vec_normalizes(tmp_path: Path) -> None:
    side = sb3.Theirs(job_of("ppo", "MountainCar-v0", FEW["ppo"]))
    side.learn(256, lambda *_: True)
    side.save(tmp_path)
    with np.load(tmp_path / sb3.NORMALIZATION) as arrays:
        normalize = sb3.normalizer(dict(arrays))
    seen = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32) * 10
    assert np.array_equal(normalize(seen), side.model.get_vec_normalize_env().normalize_obs(seen))


def test_what_an_answer_takes_is_counted() -> None:
    side = sb3.Theirs(job_of("ppo", "CartPole-v1"))
    # 4 inputs, two hidden layers of 64, 2 actions; the critic is not asked
    macs = 4 * 64 + 64 * 64 + 64 * 2
    assert side.operations()["macs_per_action"] == macs
    assert side.policy_bytes() == 4 * (macs + 64 + 64 + 2)
    qrdqn = sb3.Theirs(job_of("qrdqn", "CartPole-v1"))
    assert qrdqn.operations()["macs_per_action"] == 4 * 256 + 256 * 256 + 256 * 2 * 10


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"no zip")
    with pytest.raises(HebbitError, match="cannot be loaded as a model of ppo"):
        sb3.load(tmp_path / "model.zip", "ppo")
    with pytest.raises(HebbitError, match="must be one of ppo"):
        sb3.load(tmp_path / "model.zip", "sac")


def test_a_suite_of_ten_lines_with_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        "episodes = 5\n[[tasks]]\nenv_id = 'FrozenLake-v1'\nsteps = 400\n[tasks.kwargs]\nis_slippery = false\n"
    )
    line = "benchmark --suite mine.toml --baselines ppo,dqn --seeds 2 --baseline-seeds 1 --out r"
    status = main(line.split())
    out, err = capfd.readouterr()
    assert (status, err) == (0, "") and "[4/4]" in out
    rows = [json.loads(path.read_text()) for path in Path("r", "runs").rglob("*.json")]
    assert sorted(row["job"]["algorithm"] for row in rows) == ["dqn", "hebbit", "hebbit", "ppo"]
    assert all(len(row["final"]["greedy"]["returns"]) == 5 for row in rows)
