"""Callbacks that save, log, show progress, or end training, by steps and episodes."""

import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hebbit.agents.books import EPISODES_KEPT
from hebbit.agents.callbacks_base import BaseCallback, Callback, EventCallback, at_least_one
from hebbit.agents.environment import whole


class CheckpointCallback(BaseCallback):
    """Save the agent every ``save_freq`` steps as ``<name_prefix>_<timesteps>_steps.zip``; put it last in a list."""

    def __init__(self, save_freq: int, save_path: str | Path, name_prefix: str = "rl_model", verbose: int = 0) -> None:
        """Take how often, 0 for never, and where to save.

        Raises:
            HebbitError: ``save_freq`` is no whole number of at least 0.
        """
        super().__init__(verbose)
        self.save_freq = whole(save_freq, "save_freq")
        self.save_path = Path(save_path)
        self.name_prefix = name_prefix

    def _on_step(self) -> bool:
        if self.save_freq > 0 and self.n_calls % self.save_freq == 0:
            path = self.save_path / f"{self.name_prefix}_{self.num_timesteps}_steps.zip"
            self.model.save(path)
            if self.verbose:
                print(f"Saving model checkpoint to {path}")
        return True


class StopTrainingOnMaxEpisodes(BaseCallback):
    """End training after a number of episodes, of all brains together."""

    saved = ("n_calls", "n_episodes")

    def __init__(self, max_episodes: int, verbose: int = 0) -> None:
        """Take the number of episodes.

        Raises:
            HebbitError: it is less than 1.
        """
        super().__init__(verbose)
        self.max_episodes = at_least_one(max_episodes, "max_episodes")
        self.n_episodes = 0

    def _on_episode_end(self) -> bool:
        self.n_episodes += 1
        goes_on = self.n_episodes < self.max_episodes
        if not goes_on and self.verbose:
            print(f"Stopping training after {self.n_episodes} episodes and {self.num_timesteps} steps")
        return goes_on


class EveryNTimesteps(EventCallback):
    """Trigger a callback every ``n_steps`` of the agent's timesteps."""

    saved: tuple[str, ...] = ("n_calls", "last_time_trigger")

    def __init__(self, n_steps: int, callback: Callback = None) -> None:
        """Take how often to trigger what.

        Raises:
            HebbitError: ``n_steps`` is less than 1.
        """
        super().__init__(callback)
        self.n_steps = at_least_one(n_steps, "n_steps")
        self.last_time_trigger = 0

    def _on_training_start(self) -> None:
        # Training that begins anew counts from 0: the steps of the last one would keep this silent for as long.
        if self.num_timesteps < self.last_time_trigger:
            self.last_time_trigger = self.num_timesteps - self.num_timesteps % self.n_steps

    def _on_step(self) -> bool:
        if self.num_timesteps - self.last_time_trigger < self.n_steps:
            return True
        self.last_time_trigger = self.num_timesteps
        return self._on_event()


class LogEveryNTimesteps(EveryNTimesteps):
    """Log the latest episodes and the speed every ``n_steps`` of the agent's timesteps.

    ``learn`` does so by itself every 10,000 steps; give it ``log_interval=None`` if this is all that is wanted.
    """

    saved = (*EveryNTimesteps.saved, "recent")

    def __init__(self, n_steps: int) -> None:
        """Take how often to log.

        Raises:
            HebbitError: ``n_steps`` is less than 1.
        """
        super().__init__(n_steps)
        self.recent: list[list[float]] = []
        """Return and length of the latest episodes of all brains, as a checkpoint keeps them."""
        self._begun, self._first = 0.0, 0

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self.num_timesteps == 0:  # as the agent's own books
            self.recent.clear()
        self._begun, self._first = time.perf_counter(), self.num_timesteps

    def _on_episode_end(self) -> bool:
        episode = self.locals["episode"]
        self.recent.append([float(episode["r"]), int(episode["l"])])
        del self.recent[:-EPISODES_KEPT]
        return True

    def _on_event(self) -> bool:
        elapsed = time.perf_counter() - self._begun
        if self.recent:
            mean, length = np.mean(self.recent, axis=0)
            self.logger.record("rollout/ep_rew_mean", float(mean))
            self.logger.record("rollout/ep_len_mean", float(length))
        self.logger.record("time/fps", int((self.num_timesteps - self._first) / max(elapsed, 1e-9)))
        self.logger.record("time/time_elapsed", elapsed)
        self.logger.record("time/total_timesteps", self.num_timesteps)
        self.logger.dump(self.num_timesteps)
        return True


class ProgressBarCallback(BaseCallback):
    """A bar on standard error: steps, mean return of the latest episodes, steps a second and time left."""

    SHOWN_EVERY = 100
    """Steps between two looks at the bar, which would otherwise cost more than a step."""

    def __init__(self) -> None:
        """Show nothing yet."""
        super().__init__()
        self.bar: tqdm[Any] | None = None
        """While training."""
        self._recent: deque[float] = deque(maxlen=EPISODES_KEPT)
        self._first = 0

    def _on_training_start(self) -> None:
        if self.bar is not None:  # of a training that broke off
            self.bar.close()
        self._first = self.num_timesteps
        self.bar = tqdm(total=self.locals.get("total_timesteps"), unit="step")

    def _on_episode_end(self) -> bool:
        self._recent.append(float(self.locals["episode"]["r"]))
        return True

    def _on_step(self) -> bool:
        if self.n_calls % self.SHOWN_EVERY == 0:
            self._show()
        return True

    def _show(self) -> None:
        assert self.bar is not None
        if self._recent:
            self.bar.set_postfix_str(f"return {np.mean(self._recent):.1f}", refresh=False)
        self.bar.update(self.num_timesteps - self._first - self.bar.n)

    def _on_training_end(self) -> None:
        self._show()
        assert self.bar is not None
        self.bar.close()
        self.bar = None
