"""Suites: what comes along is whole, and what is misspelt is named."""

from pathlib import Path

import gymnasium as gym
import pytest

from hebbit.agents import HebbitError
from hebbit.agents.environment import episode_seed
from hebbit.scripts.bench import baselines, suites
from hebbit.scripts.bench.suites import SUITES, Task, load, parse


@pytest.mark.parametrize("name", SUITES)
def test_suites_that_come_along(name: str) -> None:
    suite = load(name)
    assert suite.name == name and suite.tasks
    for task in suite.tasks:
        assert task.score_low is not None and task.score_high is not None and task.score_low < task.score_high
        assert task.source and task.steps >= 1000


def test_every_tuned_setting_belongs_to_a_known_environment() -> None:
    found = baselines.tuned()
    assert tuple(found) == suites.BASELINES
    for algorithm, rows in found.items():
        for env_id, settings in rows.items():
            assert env_id in gym.registry and settings["steps"] >= 20_000 and "policy" in settings, (algorithm, env_id)


def test_what_stands_beside_the_tasks_holds_for_all_of_them() -> None:
    suite = parse(
        'steps = 10\nepisodes = 3\n[[tasks]]\nenv_id = "A-v0"\n[[tasks]]\nenv_id = "b:B-v0"\nsteps = 20', "x", "x"
    )
    assert [(task.name, task.steps, task.episodes) for task in suite.tasks] == [("A-v0", 10, 3), ("B-v0", 20, 3)]


def test_evaluation_seeds_are_those_of_evaluation_and_differ_from_the_curves() -> None:
    task = Task("CartPole-v1", 10, evaluation_seed=7)
    assert task.final_seeds()[3] == episode_seed(7, 0, 3, evaluation=True)
    assert len(set(task.final_seeds()) | set(task.curve_seeds())) == 100 + suites.CURVE_EPISODES


def test_final_episodes_are_not_those_that_people_tune_with() -> None:
    final = set(Task("CartPole-v1", 10).final_seeds())
    for seed in range(2000):
        assert not final & {episode_seed(seed, 0, e, evaluation=True) for e in range(20)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at least one [[tasks]]"),
        ("tasks = 3", "at least one [[tasks]]"),
        ("[[tasks]]\nenv_id = 'A-v0'", "without steps"),
        ("[[tasks]]\nsteps = 3", "without env_id"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 0", "at least 1"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 1.5", "whole number"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 'x'", "whole number"),
        ("[[tasks]]\nenv_id = 3\nsteps = 3", "env_id must be a text"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nthreshold = true", "threshold must be a number"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nwrapers = []", "did you mean wrappers?"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\n[[tasks]]\nenv_id = 'A-v0'\nsteps = 4", "twice"),
        ("[[tasks]\n", "must be TOML"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nsettings = {hebit = {gamma = 1}}", "did you mean hebbit?"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nsettings = {ppo = 5}", "settings of ppo must be a table"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nscore_low = 1", "belong together"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nthreshold = nan", "threshold must be finite"),
        ("[[tasks]]\nenv_id = 'A-v0'\nsteps = 3\nscore_low = 2\nscore_high = 1", "less than score_high"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(HebbitError) as error:
        parse(text, "x", "file.toml")
    assert told in str(error.value) and "file.toml" in str(error.value)


def test_no_such_suite(tmp_path: Path) -> None:
    with pytest.raises(HebbitError, match="classic, box2d, lander, minatar, memory, smoke"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(HebbitError, match="cannot be read"):
        (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
        load(str(tmp_path / "binary.toml"))


def test_minatar_is_registered_by_its_module() -> None:
    task = load("minatar").tasks[0]
    assert task.name == "MinAtar/Breakout-v1"
    env = task.environment().make()
    assert env.reset(seed=1)[0].shape == (10, 10, 4)
    env.close()
