"""The table of an evaluation: one row for each run and condition, its figures, and the files that hold it."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.files import atomic_write_text
from hebbit.agents.runs import versions
from hebbit.scripts.bench.play import Episodes
from hebbit.scripts.bench.statistics import bounds, interquartile_mean
from hebbit.scripts.plans.plan import PARAMETERS, Condition, Plan
from hebbit.scripts.plans.worlds import Kind, Ranges, stream

F64 = NDArray[np.float64]
OK, NOT_APPLICABLE, FAILED = "ok", "n/a", "error"
NOT_FINITE = "a return is not finite"
"""Why a row that was played has no figures."""
RESAMPLES = 2000
"""Of the bootstrap."""
FIGURES = (
    "episodes", "mean", "std", "min", "max", "mean_low", "mean_high", "iqm", "iqm_low", "iqm_high", "solved",
    "mean_length",
)  # fmt: skip
CSV, JSON, PICTURE = "evaluation.csv", "evaluation.json", "evaluation.png"


@dataclass(frozen=True)
class Row:
    """One run under one condition."""

    run: str
    brain: int | None
    algorithm: str
    seed: int | None
    digest: str
    condition: Condition
    status: str
    error: str | None = None
    """Why it failed, or why the condition means nothing to it."""
    episodes: Episodes | None = None
    figures: Mapping[str, Any] | None = None
    """Of the episodes: see :func:`figures`."""

    @property
    def label(self) -> str:
        """Who it is."""
        return self.run if self.brain is None else f"{self.run} brain {self.brain}"

    @property
    def usable(self) -> bool:
        """Whether its returns can be compared."""
        return self.status == OK and self.figures is not None and self.figures["mean"] is not None


def resampled(rows: int, columns: int, seed: int) -> NDArray[np.intp]:
    """Which of ``columns`` values each of ``rows`` resamples takes, with replacement."""
    return stream(Kind.BOOTSTRAP, seed).integers(columns, size=(rows, columns))


def figures(episodes: Episodes, threshold: float | None, seed: int) -> dict[str, Any]:
    """Figures of some episodes by name; None where a return is not finite.

    Args:
        episodes: at least one.
        threshold: return from which on an episode counts as solved, if there is one.
        seed: of the bootstrap.
    """
    returns = episodes.returns
    found: dict[str, Any] = dict.fromkeys(FIGURES)
    if np.isfinite(returns).all():
        samples = returns[resampled(RESAMPLES, len(returns), seed)]
        mean_low, mean_high = bounds(samples.mean(axis=1))
        iqm_low, iqm_high = bounds(interquartile_mean(samples))
        found |= {
            "mean": float(returns.mean()),
            "std": float(returns.std()),
            "min": float(returns.min()),
            "max": float(returns.max()),
            "mean_low": float(mean_low),
            "mean_high": float(mean_high),
            "iqm": float(interquartile_mean(returns)),
            "iqm_low": float(iqm_low),
            "iqm_high": float(iqm_high),
        }
    if threshold is not None:
        found["solved"] = float((returns >= threshold).mean())
    return found | {"episodes": len(returns), "mean_length": float(episodes.lengths.mean())}


def pooled(rows: Sequence[Row], seed: int) -> tuple[float, float, float]:
    """Mean of the runs' mean returns, and its interval: runs are resampled, and the episodes of each.

    Args:
        rows: usable ones of one condition, with equally many episodes.
        seed: of the bootstrap.
    """
    returns = np.stack([row.episodes.returns for row in rows if row.episodes is not None])
    random, number = stream(Kind.BOOTSTRAP, seed), len(returns)
    means = np.zeros(RESAMPLES)
    for resample in range(RESAMPLES):
        runs = random.integers(number, size=(number, 1))
        means[resample] = returns[runs, random.integers(returns.shape[1], size=returns.shape)].mean()
    low, high = bounds(means)
    return float(returns.mean()), float(low), float(high)


@dataclass
class Table:
    """All rows of an evaluation, in the order in which they were played."""

    plan: Plan
    environment: Mapping[str, Any]
    threshold: float | None
    ranges: Ranges
    rows: list[Row]

    @property
    def failures(self) -> list[Row]:
        """Rows that ended with an error."""
        return [row for row in self.rows if row.status == FAILED]

    def cells(self, row: Row) -> dict[str, Any]:
        """A row's columns, fit for JSON."""
        condition = row.condition
        own: dict[str, Any] = {
            "run": row.run,
            "brain": row.brain,
            "algorithm": row.algorithm,
            "seed": row.seed,
            "digest": row.digest,
            "condition": condition.name,
            "sweep": condition.sweep and condition.sweep.axis,
            "value": condition.sweep and condition.sweep.value,
            **dict.fromkeys(PARAMETERS),
            **{name: value for name, value in condition.parameters().items()},
            "deterministic": condition.deterministic,
            "status": row.status,
        }
        return {**own, **dict.fromkeys(FIGURES), **(row.figures or {}), "error": row.error}

    def write(self, folder: Path) -> None:
        """Write evaluation.csv and evaluation.json, whole or not at all."""
        lines = [self.cells(row) for row in self.rows]
        text = io.StringIO()
        if lines:
            writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in line.items()} for line in lines)
        atomic_write_text(folder / CSV, text.getvalue())
        for line, row in zip(lines, self.rows, strict=True):
            played = row.episodes
            line["returns"] = None if played is None else [_finite(value) for value in played.returns]
            line["lengths"] = None if played is None else played.lengths.tolist()
        content = {
            "environment": self.environment,
            "reward_threshold": self.threshold,
            "plan": self.plan.to_dict(),
            "observation_ranges": [[_finite(low), _finite(high)] for low, high in zip(*self._bounds(), strict=True)],
            "versions": versions(),
            "rows": lines,
        }
        atomic_write_text(folder / JSON, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def _bounds(self) -> tuple[F64, F64]:
        return self.ranges.low, self.ranges.high

    def text(self) -> str:
        """For a terminal: every row, and below them the algorithms that have several runs."""
        head = ("condition", "run", "mean", "95 %", "IQM", "solved", "length", "")
        lines = [head, *(self._line(row) for row in self.rows)]
        groups = [group for group in self.groups() if len(group) > 1]
        lines += [self._group_line(group) for group in groups]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        left = (0, 1, 7)
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column in left else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def groups(self) -> list[list[Row]]:
        """Usable rows, by condition and algorithm."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if row.usable:
                found.setdefault((row.condition.name, row.algorithm), []).append(row)
        return list(found.values())

    def _line(self, row: Row) -> tuple[str, ...]:
        name = row.condition.name
        if row.status != OK:
            return name, row.label, row.status, "", "", "", "", row.error or ""
        cells = row.figures
        assert cells is not None
        if not row.usable:
            return name, row.label, "-", "", "", "", f"{cells['mean_length']:.1f}", NOT_FINITE
        solved = "" if cells["solved"] is None else f"{100 * cells['solved']:.0f} %"
        bounds = f"{cells['mean_low']:.1f}..{cells['mean_high']:.1f}"
        length = f"{cells['mean_length']:.1f}"
        return name, row.label, f"{cells['mean']:.1f}", bounds, f"{cells['iqm']:.1f}", solved, length, ""

    def _group_line(self, rows: Sequence[Row]) -> tuple[str, ...]:
        mean, low, high = pooled(rows, self.plan.seed)
        who = f"{rows[0].algorithm}, {len(rows)} runs"
        return rows[0].condition.name, who, f"{mean:.1f}", f"{low:.1f}..{high:.1f}", "", "", "", ""


def _cell(value: Any) -> Any:
    """As a table holds it: nothing is empty, and what is no single value is JSON."""
    if value is None or value == [] or value == {}:
        return ""
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
