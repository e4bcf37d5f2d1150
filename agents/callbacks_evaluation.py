"""Callbacks around evaluations: make them, keep the best model, and end training by them."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hebbit.agents.callbacks_base import BaseCallback, Callback, EventCallback, as_callback, at_least_one, set_parent
from hebbit.agents.connection import refuse_shared
from hebbit.agents.environment import EnvSpec, whole
from hebbit.agents.errors import CheckpointError, HebbitError
from hebbit.agents.evaluation import check_spaces
from hebbit.agents.logger import EvaluationLog
from hebbit.agents.sb3_env import VecEnvAdapter, seen_space


@dataclass(eq=False, repr=False)
class EvalCallback(EventCallback):
    """Evaluate every ``eval_freq`` steps, log it, and save the best model so far."""

    eval_env: Any
    """An environment of its own with the agent's spaces, not the one that is learned from; its id, or an EnvSpec."""
    _: KW_ONLY
    n_eval_episodes: int = 5
    """Episodes of an evaluation."""
    eval_freq: int = 10_000
    """Calls between evaluations; 0 never evaluates."""
    log_path: str | Path | None = None
    """Folder of evaluations.npz, and from then on its path."""
    best_model_save_path: str | Path | None = None
    """Folder of best_model.zip."""
    deterministic: bool = True
    """Whether the brains act without noise."""
    callback_on_new_best: Callback = None
    """Triggered by a new best mean return."""
    callback_after_eval: Callback = None
    """Triggered by every evaluation, after the one above."""
    verbose: int = 0
    """1 prints each evaluation."""

    def __post_init__(self) -> None:
        """Make callbacks of what is triggered, and begin without a best.

        Raises:
            HebbitError: a number is none, or no episodes are asked for.
        """
        super().__init__(self.callback_after_eval, self.verbose)
        self.n_eval_episodes = at_least_one(self.n_eval_episodes, "n_eval_episodes")
        self.eval_freq = whole(self.eval_freq, "eval_freq")
        self._on_best = None if self.callback_on_new_best is None else as_callback(self.callback_on_new_best)
        if self._on_best is not None:
            self.children = [self._on_best, *self.children]
            set_parent(self._on_best, self)
        self.best_model_save_path = None if self.best_model_save_path is None else Path(self.best_model_save_path)
        self.best_mean_reward = -np.inf
        self.last_mean_reward = -np.inf
        self.log_path = None if self.log_path is None else Path(self.log_path) / "evaluations.npz"
        self.evaluations: EvaluationLog | None = None
        self._keep_rows: int | None = None

    def state(self) -> dict[str, Any]:
        """Give the best mean return, None where there is none, and the rows of the log, None where there is none."""
        return {**super().state(), "best_mean_reward": _plain(self.best_mean_reward), "rows": self._rows()}

    def _rows(self) -> int | None:
        """Rows that this training has written; None where nothing in the log's place is its own."""
        if self.log_path is None:
            return None
        if self.evaluations is None:
            return self._keep_rows or 0
        # Without a row nothing was written yet: a file that is there all the same is an older one.
        foreign = self.evaluations.rows == 0 and Path(self.log_path).exists()
        return None if foreign else self.evaluations.rows

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the best mean return, and cut later rows of the log when training begins."""
        super().restore(state)
        self.best_mean_reward = _number(state["best_mean_reward"])
        rows: int | None = state["rows"]
        self._keep_rows = rows

    def check_state(self, state: Mapping[str, Any]) -> None:
        """See that the best mean return and the rows are numbers, too."""
        super().check_state(state)
        rows = state["rows"]
        _check_number(state["best_mean_reward"])
        if rows is not None and (type(rows) is not int or rows < 0):
            raise CheckpointError(f"the rows of a log must be a whole number or null, got {rows!r}: begin anew")

    def _init_callback(self) -> None:
        get_env = getattr(self._model, "get_env", None)
        training = get_env and get_env()
        refuse_shared(self.eval_env, training)
        _refuse_raw(self.eval_env, training)
        check_spaces(self._model, self.eval_env)
        # Once: learn() may be called again on the same callback and goes on with the log.
        if self.log_path is not None and self.evaluations is None:
            self.evaluations = EvaluationLog(self.log_path, self._keep_rows)

    def _on_step(self) -> bool:
        if self.eval_freq == 0 or self.n_calls % self.eval_freq:
            return True
        returns, lengths = self.model.evaluate(self.eval_env, self.n_eval_episodes, deterministic=self.deterministic)
        if self.evaluations is not None:
            self.evaluations.append(self.num_timesteps, returns, lengths)
        self.last_mean_reward = float(np.mean(returns))
        self.logger.record("eval/mean_reward", self.last_mean_reward)
        self.logger.record("eval/mean_ep_length", float(np.mean(lengths)))
        self.logger.record("time/total_timesteps", self.num_timesteps)
        self.logger.dump(self.num_timesteps)
        if self.verbose:
            print(f"Eval num_timesteps={self.num_timesteps}, episode_reward={self.last_mean_reward:.2f}")
        goes_on = self._on_new_best() if self.last_mean_reward > self.best_mean_reward else True
        # as in Stable-Baselines3, the second is not asked when the first ends training
        return goes_on and self._on_event()

    def _on_new_best(self) -> bool:
        self.best_mean_reward = self.last_mean_reward
        if self.best_model_save_path is not None:
            self.model.save(Path(self.best_model_save_path) / "best_model.zip")
        return self._on_best is None or self._on_best.on_step()


def _refuse_raw(env: Any, training: Any) -> None:
    """What is made from a name knows nothing of the statistics that training observations are normalised with.

    Raises:
        HebbitError: they are, and it is only a name; even where the spaces are alike.
    """
    if isinstance(training, VecEnvAdapter) and isinstance(env, str | EnvSpec):
        if seen_space(training.venv) is not training.venv.observation_space:
            raise HebbitError(
                "env must be normalised as in training to evaluate in, got only a name: use Stable-Baselines3's "
                "evaluate_policy with the same VecNormalize"
            )


def _plain(reward: float) -> float | None:
    """A return as JSON has it; None where there is none yet."""
    return float(reward) if np.isfinite(reward) else None


def _number(reward: float | None) -> float:
    return -np.inf if reward is None else float(reward)


def _check_number(reward: Any) -> None:
    if reward is not None and (isinstance(reward, bool) or not isinstance(reward, int | float)):
        raise CheckpointError(f"the best mean return must be a number or null, got {reward!r}: begin anew")


class _AfterEvaluations(BaseCallback):
    """Base of those that look at the evaluations of their parent."""

    place = ""
    """The argument of an EvalCallback that they belong to."""

    def _init_callback(self) -> None:
        if not isinstance(self.parent, EvalCallback):
            raise ValueError(f"{type(self).__name__} goes into an EvalCallback, as its {self.place}")

    @property
    def best_mean_reward(self) -> float:
        """Of the parent."""
        assert isinstance(self.parent, EvalCallback)
        return self.parent.best_mean_reward


class StopTrainingOnRewardThreshold(_AfterEvaluations):
    """End training when the best mean return of the parent :class:`EvalCallback` reaches a threshold."""

    place = "callback_on_new_best"

    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        """Take the threshold."""
        super().__init__(verbose)
        self.reward_threshold = reward_threshold

    def _on_step(self) -> bool:
        best = self.best_mean_reward
        reached = best >= self.reward_threshold
        if reached and self.verbose:
            print(f"Stopping training: the mean reward {best:.2f} reaches the threshold {self.reward_threshold}")
        return not reached


class StopTrainingOnNoModelImprovement(_AfterEvaluations):
    """End training after more than some evaluations in a row without a new best mean return."""

    saved = ("n_calls", "no_improvement_evals")
    place = "callback_after_eval"

    def __init__(self, max_no_improvement_evals: int, min_evals: int = 0, verbose: int = 0) -> None:
        """Take how long to be patient.

        Args:
            max_no_improvement_evals: evaluations in a row that may bring no new best; one more ends training.
            min_evals: evaluations before any is counted.
            verbose: 1 says why training ends.
        """
        super().__init__(verbose)
        self.max_no_improvement_evals = max_no_improvement_evals
        self.min_evals = min_evals
        self.last_best_mean_reward = -np.inf
        self.no_improvement_evals = 0

    def state(self) -> dict[str, Any]:
        """Give the best mean return that was seen, too."""
        return {**super().state(), "last_best_mean_reward": _plain(self.last_best_mean_reward)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on being patient."""
        super().restore(state)
        self.last_best_mean_reward = _number(state["last_best_mean_reward"])

    def check_state(self, state: Mapping[str, Any]) -> None:
        """See that the best mean return is a number, too."""
        super().check_state(state)
        _check_number(state["last_best_mean_reward"])

    def _on_step(self) -> bool:
        best, goes_on = self.best_mean_reward, True
        if self.n_calls > self.min_evals:
            self.no_improvement_evals = 0 if best > self.last_best_mean_reward else self.no_improvement_evals + 1
            goes_on = self.no_improvement_evals <= self.max_no_improvement_evals
        self.last_best_mean_reward = best
        if not goes_on and self.verbose:
            print(f"Stopping training: no new best model in the last {self.no_improvement_evals} evaluations")
        return goes_on
