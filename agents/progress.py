"""What a call of learn shows while it works: lines of the log and a progress bar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

BAR_FREQ = 1000
"""Steps between two looks at the bar."""


class Progress:
    """Shows how far a call of learn is."""

    def __init__(self, agent: SpikingAgent, steps: int, log_interval: int, bar: bool) -> None:
        """Begin; a log_interval of 0 logs nothing."""
        self.agent, self.log_interval = agent, log_interval
        self._begun, self._done = time.perf_counter(), 0
        self._bar: tqdm[Any] = tqdm(total=steps, disable=None if bar else True, unit="step", leave=False)

    def step(self, steps: int = 1) -> None:
        """A step was made, or some."""
        before, self._done = self._done, self._done + steps
        if self.log_interval and self._done // self.log_interval > before // self.log_interval:
            self._log()
        if self._done // BAR_FREQ > before // BAR_FREQ:
            self._show()

    def close(self) -> None:
        """Show the last steps and end the bar."""
        self._show()
        self._bar.close()

    def _show(self) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(f"return {self.agent.books.mean_return():.1f}", refresh=False)
            self._bar.update(self._done - self._bar.n)

    def _log(self) -> None:
        agent, elapsed = self.agent, time.perf_counter() - self._begun
        if any(agent.books.recent):
            agent.logger.record("rollout/ep_rew_mean", agent.books.mean_return())
            agent.logger.record("rollout/ep_len_mean", agent.books.mean_length())
        agent.logger.record("time/fps", int(self._done / max(elapsed, 1e-9) * len(agent.brains)))
        agent.logger.record("time/time_elapsed", elapsed)
        agent.logger.record("time/total_timesteps", agent.num_timesteps)
        agent.logger.dump(agent.num_timesteps)
