"""Logs with the file formats and keys of Stable-Baselines3, so that its tools read them.

Every writer can go on where a checkpoint was made: it is told how many rows the checkpoint knows and cuts what a killed
run wrote after it. So the files of a resumed run have exactly the rows of a run that was never stopped.
"""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, SupportsFloat, TextIO, get_args

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError, RunError
from hebbit.agents.files import RowFile, atomic_write_text, read_rows, replacing, storage_error, write_zip

Value = float | int | str
Format = Literal["stdout", "csv", "tensorboard"]

_NAME_WIDTH = 36
"""Longest key or value in the table on standard output."""


class Output(Protocol):
    """Where a :class:`Logger` writes."""

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Write one dump."""

    def close(self) -> None:
        """Let go of files."""


class Logger:
    """Collect values by key and write them together.

    Keys are Stable-Baselines3's: ``rollout/ep_rew_mean``, ``rollout/ep_len_mean``, ``time/fps``, ``time/iterations``,
    ``time/time_elapsed``, ``time/total_timesteps``, ``eval/mean_reward``, ``eval/mean_ep_length`` and ``train/*``.
    """

    def __init__(self, outputs: Sequence[Output] = ()) -> None:
        """Write to these outputs; without any, values are collected and dropped."""
        self.outputs = list(outputs)
        self.values: dict[str, Value] = {}
        """Recorded since the last dump."""

    @property
    def rows(self) -> int:
        """Rows of progress.csv, for the checkpoint; 0 without one."""
        return next((output.rows for output in self.outputs if isinstance(output, CsvOutput)), 0)

    def record(self, key: str, value: Any) -> None:
        """Remember a number or a text for the next dump; the last one counts."""
        if isinstance(value, np.generic):
            value = value.item()
        self.values[key] = value if isinstance(value, str | int | float) else str(value)

    def dump(self, step: int = 0) -> None:
        """Write what was recorded, and forget it; nothing recorded, nothing written."""
        if self.values:
            for output in self.outputs:
                output.write(self.values, step)
        self.values = {}

    def close(self) -> None:
        """Close every output."""
        for output in self.outputs:
            output.close()


def configure(
    folder: str | Path | None,
    formats: Sequence[Format] = ("csv",),
    keep_rows: int | None = None,
    step: int = 0,
) -> Logger:
    """Make a logger.

    Args:
        folder: of progress.csv and the TensorBoard files.
        formats: any of 'stdout' (a table), 'csv' (progress.csv) and 'tensorboard'.
        keep_rows: None for a new run, else the rows of progress.csv to go on from.
        step: the step to go on from; later TensorBoard points are hidden.
    """
    outputs: list[Output] = []
    for name in formats:
        if name == "stdout":
            outputs.append(TableOutput())
        elif name in get_args(Format) and folder is None:
            raise HebbitError(f"the log format {name!r} needs a folder to write to, got None")
        elif name == "csv":
            outputs.append(CsvOutput(Path(str(folder)) / "progress.csv", keep_rows))
        elif name == "tensorboard":
            outputs.append(TensorBoardOutput(Path(str(folder)), step))
        else:
            raise HebbitError(f"a log format is one of {', '.join(get_args(Format))}, got {name!r}")
    return Logger(outputs)


class CsvOutput:
    """progress.csv: one row a dump; a key that appears later becomes a new column, empty in the rows before."""

    def __init__(self, path: str | Path, keep_rows: int | None = None) -> None:
        """Begin a new file, or go on after its first ``keep_rows`` rows."""
        self.path = Path(path)
        self.keys: list[str] = []
        self._table: list[list[str]] = []
        if keep_rows is not None and (keep_rows > 0 or self.path.exists()):
            table = list(csv.reader(read_rows(self.path, 1 if keep_rows else 0, keep_rows)))
            keys, rows = (table[0], table[1:]) if table else ([], [])
            if any(len(row) != len(keys) for row in rows):
                raise RunError(f"cannot go on with {self.path}: its rows differ in length; start another run")
            # A column that only the rows cut off had filled is not there yet.
            kept = [i for i in range(len(keys)) if any(row[i] for row in rows)]
            self.keys = [keys[i] for i in kept]
            self._table = [[row[i] for i in kept] for row in rows]
        self._file: RowFile | None = None
        self._rewrite()

    @property
    def rows(self) -> int:
        """Rows so far, for the checkpoint."""
        return len(self._table)

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Add a row."""
        fresh = sorted(set(values) - set(self.keys))
        self.keys.extend(fresh)
        self._table = [row + [""] * len(fresh) for row in self._table] if fresh else self._table
        self._table.append([str(values.get(key, "")) for key in self.keys])
        if fresh or self._file is None:
            self._rewrite()
        else:
            self._file.append(csv_lines(self._table[-1:]))

    def _rewrite(self) -> None:
        """Write the whole table under its new header: a reader never meets a half of it."""
        self.close()
        atomic_write_text(self.path, csv_lines([self.keys, *self._table]) if self.keys else "")
        self._file = RowFile(self.path)

    def close(self) -> None:
        """Let go of the file; another write opens it again."""
        if self._file is not None:
            self._file.close()
        self._file = None


def csv_lines(rows: Sequence[Sequence[object]]) -> str:
    """Give rows as CSV with plain line ends; texts that hold line ends lose them, so that a line is a row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([[" ".join(cell.split()) if isinstance(cell, str) else cell for cell in row] for row in rows])
    return buffer.getvalue()


class TensorBoardOutput:
    """TensorBoard's event files, by tensorboardX."""

    def __init__(self, folder: str | Path, step: int = 0) -> None:
        """Import tensorboardX and open a new event file.

        Args:
            folder: to write to.
            step: the step to go on from; points after it in older files are hidden.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise HebbitError(
                "TensorBoard files need tensorboardX, which is not installed: pip install 'hebbit[tensorboard]'"
            ) from error
        try:
            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        except OSError as error:
            raise storage_error(Path(folder), error) from error

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Add one point to each curve of numbers."""
        for key, value in values.items():
            if not isinstance(value, str):
                self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and end the writer's thread."""
        self._writer.close()


class TableOutput:
    """A table for people, grouped by what stands before the slash, as Stable-Baselines3 prints it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Print to this stream, by default to what is standard output at that time."""
        self._stream = stream

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Print one table."""
        cells: list[tuple[str, str]] = []
        group = ""
        for key in sorted(values, key=lambda key: key.partition("/")[::2]):
            head, slash, tail = key.partition("/")
            if slash and head != group:
                cells.append((_cut(head + "/"), ""))
            group = head if slash else ""
            value = values[key]
            text = f"{value:<8.3g}" if isinstance(value, float) else str(value)
            cells.append((_cut("   " + tail if slash else head), _cut(text.strip())))
        left, right = (max(len(cell[side]) for cell in cells) for side in (0, 1))
        dashes = "-" * (left + right + 7)
        lines = [f"| {name:<{left}} | {text:<{right}} |" for name, text in cells]
        print(dashes, *lines, dashes, sep="\n", file=self._stream or sys.stdout, flush=True)

    def close(self) -> None:
        """Nothing is held."""


def _cut(text: str) -> str:
    return text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 3] + "..."


class MonitorWriter:
    """Training episodes, in the CSV of Stable-Baselines3's Monitor: return r, length l, seconds since the start t."""

    HEADER_LINES = 2

    def __init__(self, path: str | Path, env_id: str, t_start: float, keep_rows: int | None = None) -> None:
        """Begin a new file, or go on after its first rows.

        Args:
            path: named ``<rank>.monitor.csv``, or Stable-Baselines3 does not find it.
            env_id: of the environment.
            t_start: time.time() at the start of training; a file that is gone on with keeps its own.
            keep_rows: None for a new file, else the rows that a checkpoint knows.
        """
        self.path = Path(path)
        if keep_rows is None or (keep_rows == 0 and not self.path.exists()):
            self.rows = 0
            lines = [f"#{json.dumps({'t_start': t_start, 'env_id': env_id})}\n", "r,l,t\n"]
        else:
            self.rows = keep_rows
            lines = read_rows(self.path, self.HEADER_LINES, keep_rows)
        self.t_start = _start_of(self.path, lines[0])
        atomic_write_text(self.path, "".join(lines))
        self._file = RowFile(self.path)

    def write(self, episode_return: SupportsFloat, length: int, seconds: float) -> None:
        """Add an episode; microseconds and millionths, as Stable-Baselines3 rounds them."""
        self._file.append(f"{round(float(episode_return), 6)},{int(length)},{round(float(seconds), 6)}\n")
        self.rows += 1

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _start_of(path: Path, line: str) -> float:
    try:
        return float(json.loads(line.removeprefix("#"))["t_start"])
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"cannot go on with {path}: its first line is no monitor's header; start another run") from error


class EvaluationLog:
    """evaluations.npz of Stable-Baselines3's EvalCallback: timesteps [n], results and ep_lengths [n, episodes]."""

    def __init__(self, path: str | Path, keep_rows: int | None = None) -> None:
        """Begin a new log, or go on after its first ``keep_rows`` evaluations.

        A new log is on the disk after its first evaluation; an older file stays until then.
        """
        self.path = Path(path)
        self._timesteps: list[int] = []
        self._results: list[list[float]] = []
        self._lengths: list[list[int]] = []
        if keep_rows:
            self._load(keep_rows)
            self._save()
        elif keep_rows == 0:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(self.path, error) from error

    @property
    def rows(self) -> int:
        """Evaluations so far, for the checkpoint."""
        return len(self._timesteps)

    def append(
        self, timesteps: int, returns: Sequence[float] | NDArray[Any], lengths: Sequence[int] | NDArray[Any]
    ) -> None:
        """Add an evaluation and write the file anew.

        Args:
            timesteps: training steps so far.
            returns: of every episode; as many as in the other evaluations.
            lengths: of every episode.
        """
        wanted = len(self._results[0]) if self._results else len(returns)
        if not len(returns) == len(lengths) == wanted:
            raise RunError(
                f"every evaluation in {self.path} has {wanted} episodes, got {len(returns)} returns and {len(lengths)} "
                "lengths; evaluate with the same number of episodes, or start another run"
            )
        self._timesteps.append(int(timesteps))
        self._results.append([float(value) for value in returns])
        self._lengths.append([int(value) for value in lengths])
        self._save()

    def _load(self, keep: int) -> None:
        try:
            # Opened here: given a name, NumPy leaves damaged files open.
            with open(self.path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                steps, results, lengths = (file[name] for name in ("timesteps", "results", "ep_lengths"))
            self._timesteps = [int(value) for value in steps[:keep]]
            self._results = [[float(value) for value in row] for row in results[:keep]]
            self._lengths = [[int(value) for value in row] for row in lengths[:keep]]
        # A damaged file makes NumPy and zipfile raise nearly anything.
        except Exception as error:
            raise RunError(f"cannot go on with {self.path}: {error}; start another run") from error
        if not len(self._timesteps) == len(self._results) == len(self._lengths) == keep:
            raise RunError(
                f"cannot go on with {self.path}: expected {keep} evaluations, which the checkpoint counts, got "
                f"{min(len(self._timesteps), len(self._results), len(self._lengths))}; start another run"
            )

    def _save(self) -> None:
        arrays = {
            "timesteps.npy": np.array(self._timesteps, np.int64),
            "results.npy": np.array(self._results, np.float64),
            "ep_lengths.npy": np.array(self._lengths, np.int64),
        }
        with replacing(self.path) as file:
            write_zip(file, arrays)
