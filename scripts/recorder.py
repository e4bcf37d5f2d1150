"""What is written while a run learns: episodes, progress, evaluations and checkpoints, always at the end of a step."""

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from types import FrameType, TracebackType
from typing import Any

from tqdm import tqdm

from hebbit.agents import SpikingAgent, saving
from hebbit.agents.callbacks import BaseCallback, EvalCallback
from hebbit.agents.errors import CheckpointError
from hebbit.agents.logger import Format, Logger, MonitorWriter, Output, TableOutput, Value, configure
from hebbit.agents.runs import RunDirectory
from hebbit.scripts.settings import Settings

LOG_FREQ = 1000
"""Steps between two rows of progress.csv."""
TABLE_FREQ = 10_000
"""Steps between two tables on standard output."""
BAR_FREQ = 100


class Interrupt(AbstractContextManager["Interrupt"]):
    """Ctrl-C and SIGTERM wait for the end of the step, where everything fits together; a second one does not wait."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.number = 0
        """Of the signal that came."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        """Listen; Python delivers signals to the main thread alone."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others listen again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number


@dataclass
class Kept:
    """What a checkpoint knows about the run's files; they are cut to it when the run goes on."""

    monitor_rows: list[int]
    progress_rows: int = 0
    evaluation: dict[str, Any] | None = None
    """State of the :class:`EvalCallback`."""
    train_seconds: float = 0.0
    """Of learning alone."""
    evaluation_seconds: float = 0.0

    @classmethod
    def of(cls, extra: Any, brains: int) -> "Kept":
        """From a checkpoint, which may be a stranger's.

        Raises:
            CheckpointError: it is not from a run.
        """
        try:
            kept = cls(**extra["run"])
            rows = [int(n) for n in kept.monitor_rows]
            sound = len(rows) == brains and min(*rows, int(kept.progress_rows), 0) == 0
            kept.train_seconds, kept.evaluation_seconds = float(kept.train_seconds), float(kept.evaluation_seconds)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("the checkpoint is not from a run, so no run can go on from it") from error
        if not sound:
            raise CheckpointError("the checkpoint does not fit the run's files: start another run")
        return kept


class Sparse:
    """An output that takes only some of the dumps: tables are for people."""

    def __init__(self, output: Output) -> None:
        """Take the output."""
        self._output = output

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Pass on evaluations and every TABLE_FREQ steps."""
        if step % TABLE_FREQ == 0 or "eval/mean_reward" in values:
            self._output.write(values, step)

    def close(self) -> None:
        """Close the output."""
        self._output.close()


def make_logger(run: RunDirectory, settings: Settings, kept: Kept | None, step: int, verbose: bool) -> Logger:
    """The logger of a run: progress.csv, and what else is wished."""
    formats: Sequence[Format] = ("csv", "tensorboard") if settings.tensorboard else ("csv",)
    logger = configure(run.path, formats, None if kept is None else kept.progress_rows, step)
    if verbose:
        logger.outputs.append(Sparse(TableOutput()))
    return logger


class Recorder(BaseCallback):
    """Keeps a run's files, and stops at a signal."""

    def __init__(
        self,
        run: RunDirectory,
        settings: Settings,
        kept: Kept | None,
        interrupt: Interrupt,
        evaluator: EvalCallback | None,
        progress_bar: bool,
    ) -> None:
        """Open the files.

        Args:
            run: where.
            settings: of the run.
            kept: what a checkpoint knows; None for a new run.
            interrupt: to look at after every step.
            evaluator: what evaluates whenever it is called.
            progress_bar: show return, steps a second and time left.
        """
        super().__init__()
        self.run, self.settings, self.interrupt, self.evaluator = run, settings, interrupt, evaluator
        self.kept = Kept([0] * settings.brains) if kept is None else kept
        if evaluator is not None and kept is not None:
            _restore(evaluator, kept.evaluation)
        self.monitors: list[MonitorWriter] = []
        self._open([None] * settings.brains if kept is None else kept.monitor_rows)
        self.learning_since = self._begun = time.perf_counter()
        """When the first step had been made, which includes making environments, wiring and compiling."""
        self._due = 0
        self._bar = tqdm(total=settings.steps, disable=not progress_bar, unit="step", unit_scale=True, leave=False)

    def _open(self, rows: Sequence[int | None]) -> None:
        now = time.time()
        try:
            for brain, keep in enumerate(rows):
                path = self.run.monitor_path(brain)
                self.monitors.append(MonitorWriter(path, self.settings.env_id, now, keep))
        except BaseException:
            for monitor in self.monitors:
                monitor.close()
            raise

    @property
    def train_seconds(self) -> float:
        """Seconds of learning, start-up and evaluations apart, in all sessions of the run."""
        return self.kept.train_seconds + time.perf_counter() - self._begun

    def _init_callback(self) -> None:
        if self.evaluator is not None:
            self.evaluator.init_callback(self.model)

    def _on_training_start(self) -> None:
        # What earlier sessions did counts as done, but not for the rate.
        self._bar.initial = self._bar.n = self.num_timesteps
        if self.evaluator is not None:
            self.evaluator.on_training_start(self.locals, self.globals)

    def _on_episode_end(self) -> None:
        episode = self.locals["episode"]
        self.monitors[episode["brain"]].write(episode["r"], episode["l"], self.train_seconds)

    def _on_step(self) -> bool:
        if self.num_timesteps < self._due and not self.interrupt.number:
            return True
        if not self._due:
            self.learning_since = self._begun = time.perf_counter()
        steps, settings = self.num_timesteps, self.settings
        self._bar.update(steps - self._bar.n)
        if steps % LOG_FREQ == 0:
            self._log()
        if settings.eval_freq and steps % settings.eval_freq == 0:
            self._evaluate()
        if self.interrupt.number or (settings.save_freq and steps % settings.save_freq == 0):
            self.save()
        freqs = (LOG_FREQ, BAR_FREQ, settings.eval_freq, settings.save_freq)
        self._due = min(steps - steps % freq + freq for freq in freqs if freq)
        return not self.interrupt.number

    def _log(self) -> None:
        books, logger, brains = self.model.books, self.logger, self.settings.brains
        seconds = self.train_seconds
        if any(books.recent):
            logger.record("rollout/ep_rew_mean", books.mean_return())
            logger.record("rollout/ep_len_mean", books.mean_length())
            self._bar.set_postfix_str(f"return {books.mean_return():.1f}", refresh=False)
        logger.record("time/fps", round(self.num_timesteps * brains / max(seconds, 1e-9)))
        logger.record("time/time_elapsed", seconds)
        logger.record("time/total_timesteps", self.num_timesteps)
        logger.dump(self.num_timesteps)

    def _evaluate(self) -> None:
        assert self.evaluator is not None
        began = time.perf_counter()
        self.evaluator.on_step()
        spent = time.perf_counter() - began
        self.kept.evaluation_seconds += spent
        self._begun += spent

    def save(self) -> None:
        """Write the checkpoint that the run can go on from."""
        # What came before is counted now, and the clock goes on from here.
        seconds, self._begun = self.train_seconds, time.perf_counter()
        self.kept = Kept(
            monitor_rows=[monitor.rows for monitor in self.monitors],
            progress_rows=self.logger.rows,
            evaluation=None if self.evaluator is None else self.evaluator.state(),
            train_seconds=seconds,
            evaluation_seconds=self.kept.evaluation_seconds,
        )
        agent: SpikingAgent = self.model
        saving.save(agent, self.run.model_path, {"run": asdict(self.kept)})

    def close(self) -> None:
        """Close the files."""
        self._bar.close()
        for monitor in self.monitors:
            monitor.close()
        if self.evaluator is not None:
            self.evaluator.eval_env.close()


def _restore(evaluator: EvalCallback, state: dict[str, Any] | None) -> None:
    try:
        # Without a checkpoint nothing counts, but older files are to be cut.
        evaluator.restore(state or evaluator.state())
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError("the checkpoint does not say where its evaluations stand: start another run") from error
