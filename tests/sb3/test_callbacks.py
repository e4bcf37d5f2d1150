"""Our callbacks decide as Stable-Baselines3's do, on the same evaluations."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common import callbacks as theirs

from hebbit.agents import callbacks as ours


def decisions(stop: Any, bests: list[float]) -> list[bool]:
    """What a callback says after evaluations whose best mean return so far is this."""
    answers = []
    for best in bests:
        stop.parent.best_mean_reward = best
        answers.append(bool(stop.on_step()))
    return answers


def ready(stop: Any, parent: Any) -> Any:
    """A callback whose parent and model are known, as in training."""
    stop.parent = parent
    # the models have just what the base classes read
    if isinstance(stop, theirs.BaseCallback):
        stop.model = SimpleNamespace(num_timesteps=0)
    else:
        stop.init_callback(SimpleNamespace(num_timesteps=0))
    return stop


@pytest.mark.parametrize("seed", range(30))
def test_patience_is_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patience, least = int(rng.integers(0, 4)), int(rng.integers(0, 6))
    bests = np.maximum.accumulate(rng.integers(-3, 12, 25).astype(float)).tolist()
    their = ready(theirs.StopTrainingOnNoModelImprovement(patience, least), SimpleNamespace(best_mean_reward=-np.inf))
    our = ready(ours.StopTrainingOnNoModelImprovement(patience, least), ours.EvalCallback("env"))
    said = decisions(their, bests)
    assert decisions(our, bests) == said
    assert False in said
    assert our.no_improvement_evals == their.no_improvement_evals


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 2.0, 2.5])
def test_the_threshold_is_the_same(threshold: float) -> None:
    bests = [-3.0, -1.0, 0.0, 2.0, 3.0]
    their = ready(theirs.StopTrainingOnRewardThreshold(threshold), SimpleNamespace(best_mean_reward=-np.inf))
    our = ready(ours.StopTrainingOnRewardThreshold(threshold), ours.EvalCallback("env"))
    assert decisions(our, bests) == decisions(their, bests)


def test_the_example_of_normalised_evaluation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "callbacks.md"
    (example,) = re.findall(r"```python\n(from stable_baselines3.*?)```", page.read_text(), re.DOTALL)
    exec(compile(example, str(page), "exec"), {"__name__": "example"})
    assert re.fullmatch(r"1000 steps: \d+\.\d\n2000 steps: \d+\.\d\n", capsys.readouterr().out)


def test_the_names_are_the_same() -> None:
    shared = {name for name in ours.__all__ if hasattr(theirs, name)}
    assert shared == {
        "BaseCallback", "CallbackList", "CheckpointCallback", "ConvertCallback", "EvalCallback", "EventCallback",
        "EveryNTimesteps", "LogEveryNTimesteps", "ProgressBarCallback", "StopTrainingOnMaxEpisodes",
        "StopTrainingOnNoModelImprovement", "StopTrainingOnRewardThreshold",
    }  # fmt: skip
