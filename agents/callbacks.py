"""Callbacks as users of Stable-Baselines3 know them: a callback that returns False ends training.

They need nothing of an agent but what :class:`Model` names. Beside Stable-Baselines3's events there is
``_on_episode_end``; there are no rollouts here, so the rollout events do not exist.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.connection import refuse_shared
from hebbit.agents.logger import EvaluationLog, Logger

Locals = dict[str, Any]
Function = Callable[[Locals, Locals], Any]
"""Of the training loop's locals and globals; a false answer other than None ends training."""


class Model(Protocol):
    """What callbacks ask of an agent."""

    num_timesteps: int
    """Steps so far, as the agent counts them; current before every event."""
    logger: Logger

    def save(self, path: str | Path) -> None:
        """Write a checkpoint."""

    def evaluate(
        self, env: Any, episodes: int, deterministic: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Play episodes without learning and give their returns and lengths."""


class BaseCallback:
    """Base of all callbacks: subclasses override the methods that begin with an underscore."""

    saved: tuple[str, ...] = ("n_calls",)
    """Attributes, of plain JSON, that a resumed run must restore."""

    def __init__(self, verbose: int = 0) -> None:
        """Keep how much to print: 0 nothing, 1 what matters."""
        self.verbose = verbose
        self.n_calls = 0
        """How often :meth:`on_step` was called."""
        self.num_timesteps = 0
        self.locals: Locals = {}
        """The training loop's own dict: it is changed there, not replaced."""
        self.globals: Locals = {}
        self.parent: EventCallback | None = None
        """The callback that triggers this one, if one does."""
        self.children: list[BaseCallback] = []
        """Callbacks within this one: they hear of everything but steps, which each class passes on in its own way."""
        self._model: Model | None = None

    @property
    def model(self) -> Any:
        """The agent that learns; known once training begins."""
        if self._model is None:
            raise AttributeError(f"{type(self).__name__} knows its model once training begins: use it in its events")
        return self._model

    @property
    def logger(self) -> Logger:
        """The agent's logger."""
        logger: Logger = self.model.logger
        return logger

    def init_callback(self, model: Model) -> None:
        """Get to know the agent."""
        self._model = model
        self.num_timesteps = model.num_timesteps
        for child in self.children:
            child.init_callback(model)
        self._init_callback()

    def on_training_start(self, locals_: Locals, globals_: Locals | None = None) -> None:
        """Take the training loop's dict: the loop goes on changing it."""
        self.locals = locals_
        self.globals = {} if globals_ is None else globals_
        self.num_timesteps = self.model.num_timesteps
        for child in self.children:
            child.on_training_start(self.locals, self.globals)
        self._on_training_start()

    def update_locals(self, locals_: Locals) -> None:
        """Show another dict."""
        self.locals = locals_
        for child in self.children:
            child.update_locals(locals_)

    def on_step(self) -> bool:
        """Count a step of the training loop and say whether training goes on."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return _goes_on(self._on_step())

    def on_episode_end(self, episode: Mapping[str, Any] | None = None) -> bool:
        """Note that an episode ended and say whether training goes on.

        Args:
            episode: r, l, brain, episode; None where ``locals['episode']`` tells it already.
        """
        if episode is not None:
            self.locals["episode"] = episode
        self.num_timesteps = self.model.num_timesteps
        answers = [child.on_episode_end(episode) for child in self.children]
        return _goes_on(self._on_episode_end()) and all(answers)

    def on_training_end(self) -> None:
        """Note that training has ended."""
        for child in self.children:
            child.on_training_end()
        self._on_training_end()

    def state(self) -> dict[str, Any]:
        """Give what a resumed run must restore, as plain JSON."""
        own = {name: getattr(self, name) for name in self.saved}
        return {**own, "children": [child.state() for child in self.children]} if self.children else own

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave, before training begins; with the same callbacks within this one."""
        for name in self.saved:
            setattr(self, name, state[name])
        for child, saved in zip(self.children, state.get("children", []), strict=True):
            child.restore(saved)

    def _init_callback(self) -> None:
        """Override: the model is known."""

    def _on_training_start(self) -> None:
        """Override: training begins."""

    def _on_step(self) -> bool | None:
        """Override: a step was made; False ends training, None does not."""
        return True

    def _on_episode_end(self) -> bool | None:
        """Override: ``locals['episode']`` ended; False ends training, None does not."""
        return True

    def _on_training_end(self) -> None:
        """Override: training has ended."""


def _goes_on(answer: bool | None) -> bool:
    """Read a callback's answer; one that forgets to answer does not end training."""
    return answer is None or bool(answer)


class CallbackList(BaseCallback):
    """Several callbacks in turn; all are called, even when one of them ends training. Without any it is false."""

    def __init__(self, callbacks: Sequence[BaseCallback]) -> None:
        """Take the callbacks in the order of their turns."""
        super().__init__()
        self.callbacks = self.children = list(callbacks)

    def __bool__(self) -> bool:
        """Say whether there is anything to call; a loop may leave an empty list out."""
        return bool(self.callbacks)

    def _on_step(self) -> bool:
        return all([callback.on_step() for callback in self.callbacks])


class ConvertCallback(BaseCallback):
    """A function of the training loop's locals and globals, called after every step."""

    def __init__(self, callback: Function, verbose: int = 0) -> None:
        """Take the function; it returns False to end training."""
        super().__init__(verbose)
        self.callback = callback

    def _on_step(self) -> bool | None:
        answer: bool | None = self.callback(self.locals, self.globals)
        return answer


class EventCallback(BaseCallback):
    """A callback that triggers another one at its event."""

    def __init__(self, callback: "Callback" = None, verbose: int = 0) -> None:
        """Take what is triggered: a callback, a function, a list, or nothing."""
        super().__init__(verbose)
        self.callback = None if callback is None else as_callback(callback)
        if self.callback is not None:
            self.children = [self.callback]
            _set_parent(self.callback, self)

    def _on_event(self) -> bool:
        return self.callback is None or self.callback.on_step()


def _set_parent(callback: BaseCallback, parent: EventCallback) -> None:
    callback.parent = parent
    if isinstance(callback, CallbackList):
        for child in callback.callbacks:
            _set_parent(child, parent)


class EvalCallback(EventCallback):
    """Evaluate every ``eval_freq`` steps, log it, and save the best model so far."""

    def __init__(
        self,
        eval_env: Any,
        *,
        n_eval_episodes: int = 5,
        eval_freq: int = 10_000,
        log_path: str | Path | None = None,
        best_model_save_path: str | Path | None = None,
        deterministic: bool = True,
        callback_on_new_best: "Callback" = None,
        verbose: int = 0,
    ) -> None:
        """Take what to evaluate and when.

        Args:
            eval_env: an environment of its own, not the one that is learned from.
            n_eval_episodes: episodes of an evaluation.
            eval_freq: calls between evaluations; 0 never evaluates.
            log_path: folder of evaluations.npz.
            best_model_save_path: folder of best_model.zip.
            deterministic: whether the brains act without noise.
            callback_on_new_best: triggered by a new best mean return.
            verbose: 1 prints each evaluation.
        """
        super().__init__(callback_on_new_best, verbose)
        self.eval_env = eval_env
        self.n_eval_episodes = n_eval_episodes
        self.eval_freq = eval_freq
        self.deterministic = deterministic
        self.best_model_save_path = None if best_model_save_path is None else Path(best_model_save_path)
        self.best_mean_reward = -np.inf
        self.last_mean_reward = -np.inf
        self.log_path = None if log_path is None else Path(log_path) / "evaluations.npz"
        self.evaluations: EvaluationLog | None = None
        self._keep_rows: int | None = None

    def state(self) -> dict[str, Any]:
        """Give the best mean return, None where there is none, and the rows of the log too."""
        rows = self._keep_rows if self.evaluations is None else self.evaluations.rows
        return {
            **super().state(),
            "best_mean_reward": float(self.best_mean_reward) if np.isfinite(self.best_mean_reward) else None,
            "rows": rows or 0,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the best mean return, and cut later rows of the log when training begins."""
        super().restore(state)
        best = state["best_mean_reward"]
        self.best_mean_reward = -np.inf if best is None else float(best)
        self._keep_rows = int(state["rows"])

    def _init_callback(self) -> None:
        training = getattr(self._model, "get_env", None)
        refuse_shared(self.eval_env, training and training())
        # Once: learn() may be called again on the same callback and goes on with the log.
        if self.log_path is not None and self.evaluations is None:
            self.evaluations = EvaluationLog(self.log_path, self._keep_rows)

    def _on_step(self) -> bool:
        if self.eval_freq <= 0 or self.n_calls % self.eval_freq:
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
        return self._on_new_best() if self.last_mean_reward > self.best_mean_reward else True

    def _on_new_best(self) -> bool:
        self.best_mean_reward = self.last_mean_reward
        if self.best_model_save_path is not None:
            self.model.save(self.best_model_save_path / "best_model.zip")
        return self._on_event()


class CheckpointCallback(BaseCallback):
    """Save the agent every ``save_freq`` steps as ``<name_prefix>_<timesteps>_steps.zip``; put it last in a list."""

    def __init__(self, save_freq: int, save_path: str | Path, name_prefix: str = "rl_model", verbose: int = 0) -> None:
        """Take how often and where to save."""
        super().__init__(verbose)
        self.save_freq = save_freq
        self.save_path = Path(save_path)
        self.name_prefix = name_prefix

    def _on_step(self) -> bool:
        if self.save_freq > 0 and self.n_calls % self.save_freq == 0:
            path = self.save_path / f"{self.name_prefix}_{self.num_timesteps}_steps.zip"
            self.model.save(path)
            if self.verbose:
                print(f"Saving model checkpoint to {path}")
        return True


class StopTrainingOnRewardThreshold(BaseCallback):
    """End training when the best mean return of the parent :class:`EvalCallback` reaches a threshold."""

    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        """Take the threshold."""
        super().__init__(verbose)
        self.reward_threshold = reward_threshold

    def _init_callback(self) -> None:
        if not isinstance(self.parent, EvalCallback):
            raise ValueError("StopTrainingOnRewardThreshold goes into an EvalCallback, as its callback_on_new_best")

    def _on_step(self) -> bool:
        assert isinstance(self.parent, EvalCallback)
        reached = self.parent.best_mean_reward >= self.reward_threshold
        if reached and self.verbose:
            best = self.parent.best_mean_reward
            print(f"Stopping training: the mean reward {best:.2f} reaches the threshold {self.reward_threshold}")
        return not reached


class StopTrainingOnMaxEpisodes(BaseCallback):
    """End training after a number of episodes, of all brains together."""

    saved = ("n_calls", "n_episodes")

    def __init__(self, max_episodes: int, verbose: int = 0) -> None:
        """Take the number of episodes."""
        super().__init__(verbose)
        self.max_episodes = max_episodes
        self.n_episodes = 0

    def _on_episode_end(self) -> bool:
        self.n_episodes += 1
        goes_on = self.n_episodes < self.max_episodes
        if not goes_on and self.verbose:
            print(f"Stopping training after {self.n_episodes} episodes and {self.num_timesteps} steps")
        return goes_on


class EveryNTimesteps(EventCallback):
    """Trigger a callback every ``n_steps`` of the agent's timesteps."""

    saved = ("n_calls", "last_time_trigger")

    def __init__(self, n_steps: int, callback: "Callback") -> None:
        """Take how often to trigger what."""
        super().__init__(callback)
        self.n_steps = n_steps
        self.last_time_trigger = 0

    def _on_step(self) -> bool:
        if self.num_timesteps - self.last_time_trigger < self.n_steps:
            return True
        self.last_time_trigger = self.num_timesteps
        return self._on_event()


Callback = BaseCallback | Function | Sequence[BaseCallback | Function] | None
"""What ``learn`` takes."""


def as_callback(callback: Callback) -> BaseCallback:
    """Make one callback of nothing, a function, a list of them, or a callback."""
    if callback is None:
        return CallbackList([])
    if isinstance(callback, BaseCallback):
        return callback
    if isinstance(callback, Sequence):
        return CallbackList([as_callback(one) for one in callback])
    if callable(callback):
        return ConvertCallback(callback)
    raise TypeError(f"a callback is a BaseCallback, a function of (locals, globals), a list or None, got {callback!r}")
