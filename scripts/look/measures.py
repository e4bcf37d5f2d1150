"""Figures of a recording: how often neurons fire, what they tell about the observation, how sure the brain is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.recording import CUT, TERMINATED, TRUNCATED, Recording
from hebbit.backends.spec import LANES, STATE_MAX, WEIGHT_MAX, WEIGHT_MIN

F64 = NDArray[np.float64]

BINS = 24
"""Of a number of the observation that takes many values."""
LEAST_SEEN = 3
"""Observations below which a bin is left blank."""
SATURATED = 0.9
"""Share of all possible spikes from which a neuron is called saturated."""
BLOCK_BYTES = 1 << 22
"""Of numbers of eight bytes made from spikes at a time."""
MOST_COLUMNS = 64
"""Numbers of an observation that are looked at: those that vary most."""


class Column(NamedTuple):
    """One number of the observation, sorted into B bins."""

    name: str
    place: int
    """Among the observation's numbers."""
    bins: NDArray[np.intp]
    """[N]: the bin of each presentation, -1 outside of all."""
    centres: F64
    """[B]: middle, or the value itself where each has a bin of its own."""
    edges: F64
    """[B + 1]."""
    separate: bool
    """Whether each value has a bin of its own."""
    occupancy: NDArray[np.int64]
    """[B]: presentations in each bin."""


@dataclass(frozen=True)
class Tuning:
    """How M pool neurons respond to one number of the observation."""

    column: Column
    rates: F64
    """[M, B]: mean spikes of a presentation, NaN where too little was seen."""
    information: F64
    """[M]: bits that firing at all tells about the bin."""


def rates(recording: Recording, kind: str) -> F64:
    """Mean spikes of each neuron in a presentation: [words, 32], 0..C."""
    mean: F64 = recording.counts(kind).mean(axis=0, dtype=np.float64)
    return mean


def activity(recording: Recording) -> dict[str, Any]:
    """Spikes and sparsity of the sensory and pool neurons, fit for JSON."""
    cycles = recording.pool.shape[1]
    found: dict[str, Any] = {}
    for kind in ("sensory", "pool"):
        counts = recording.counts(kind)
        if not counts[0].size:
            continue
        total = counts.sum(axis=(1, 2), dtype=np.int64)
        mean = counts.mean(axis=0, dtype=np.float64)
        square = sum((part.astype(np.float64) ** 2).sum(axis=0) for part in _blocks(counts)) / len(counts)
        found[kind] = {
            "neurons": int(mean.size),
            "spikes_per_action": float(total.mean()),
            "spikes_per_action_std": float(total.std()),
            "rate": float(mean.mean()),
            "active_share": float(np.count_nonzero(counts) / counts.size),
            "silent_share": float((mean == 0).mean()),
            "saturated_share": float((mean >= SATURATED * cycles).mean()),
            "lifetime_sparseness": sparseness(mean, square),
        }
    return {"cycles": cycles, **found}


def _blocks(counts: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Presentations one after another, so many at a time that numbers of eight bytes take BLOCK_BYTES."""
    size = max(1, BLOCK_BYTES // (8 * max(1, counts[0].size)))
    for first in range(0, len(counts), size):
        yield counts[first : first + size]


def sparseness(mean: F64, square: F64) -> float | None:
    """Mean sparseness (Treves and Rolls) of the neurons that fire: 0 always alike, to 1 seldom and then strongly."""
    fires = mean > 0
    return float((1 - mean[fires] ** 2 / square[fires]).mean()) if fires.any() else None


def policy(recording: Recording) -> list[F64]:
    """Probability of each unit, of each group: [N, units of the group]."""
    ends = np.cumsum(recording.groups)[:-1]
    parts = np.split(recording.chances.astype(np.float64), ends, axis=1)
    return [part / np.maximum(part.sum(axis=1, keepdims=True), 1) for part in parts]


def entropy(probabilities: F64) -> F64:
    """Bits, over the last axis."""
    p = np.where(probabilities > 0, probabilities, 1.0)
    bits: F64 = -(p * np.log2(p)).sum(axis=-1)
    return bits


def actions(recording: Recording) -> list[dict[str, Any]]:
    """Of each group: how often each unit was chosen, and the entropy of the choice, in bits."""
    found = []
    for group, probability in enumerate(policy(recording)):
        chosen = np.bincount(recording.units[:, group], minlength=probability.shape[1])
        shares = chosen / max(1, len(recording))
        found.append(
            {
                "units": probability.shape[1],
                "chosen": shares.tolist(),
                "entropy_of_actions": float(entropy(shares)),
                "entropy_of_policy": float(entropy(probability).mean()),
                "most_entropy": float(np.log2(probability.shape[1])),
            }
        )
    return found


def returns_to_go(recording: Recording) -> F64:
    """Discounted return from each presentation on, in the reward's units: [N].

    Where an episode was cut short, the value of what follows stands for the rest. NaN where that is not known.
    """
    found = np.full(len(recording), np.nan)
    beyond = (recording.td + recording.value).mean(axis=1) / recording.unit
    after = np.nan
    for t in range(len(recording) - 1, -1, -1):
        end = recording.end[t]
        if end == TERMINATED:
            after = recording.reward[t]
        elif end in (TRUNCATED, CUT):
            after = beyond[t]
        else:
            after = recording.reward[t] + recording.gamma * after
        found[t] = after
    return found


def values(recording: Recording, consecutive: Recording) -> dict[str, Any]:
    """Value, TD error and how well the value foretells, in the reward's units."""
    value = consecutive.value.mean(axis=1) / consecutive.unit
    truth = returns_to_go(consecutive)
    known = np.isfinite(truth)
    td = recording.td[np.isfinite(recording.td).all(axis=1)] / recording.unit
    return {
        "value_mean": float(recording.value.mean() / recording.unit),
        "value_least": float(recording.value.min() / recording.unit),
        "value_most": float(recording.value.max() / recording.unit),
        "value_bound": WEIGHT_MAX * 256 / recording.unit,
        "td_mean": float(td.mean()) if len(td) else None,
        "td_rms": float(np.sqrt((td**2).mean())) if len(td) else None,
        "return_correlation": correlation(value[known], truth[known]),
        "reward_mean": float(np.nanmean(recording.reward)) if np.isfinite(recording.reward).any() else None,
    }


def correlation(a: F64, b: F64) -> float | None:
    """Pearson's, or None where one of both never changes."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def synapses(array: NDArray[np.int8], names: Sequence[str], bounds: tuple[int, int]) -> dict[str, Any]:
    """Of weights or traces [O, P, 32]: what share is zero or at a bound, by output."""

    def of(part: NDArray[np.int8]) -> dict[str, float]:
        wide = part.astype(np.float64)
        return {
            "zero_share": float((part == 0).mean()),
            "bound_share": float(((part <= bounds[0]) | (part >= bounds[1])).mean()),
            "mean": float(wide.mean()),
            "std": float(wide.std()),
            "least": int(part.min()),
            "most": int(part.max()),
        }

    return {"all": of(array), "outputs": {name: of(part) for name, part in zip(names, array, strict=True)}}


WEIGHT_BOUNDS, TRACE_BOUNDS = (WEIGHT_MIN, WEIGHT_MAX), (-STATE_MAX, STATE_MAX)


def sorted_columns(recording: Recording, names: Sequence[str]) -> list[Column]:
    """The numbers of the observation that vary, sorted into bins."""
    table = recording.observation
    spread = np.array(
        [len(np.unique(table[:, i])) if table.shape[1] <= 4 * MOST_COLUMNS else 2 for i in range(table.shape[1])]
    )
    deviation = np.array([table[:, i].std(dtype=np.float64) for i in range(table.shape[1])])
    varied = np.flatnonzero((deviation > 0) & (spread > 1))
    # of an image, the places where most happens
    chosen = np.sort(varied[np.argsort(-deviation[varied], kind="stable")[:MOST_COLUMNS]])
    return [_column(names[i], int(i), table[:, i].astype(np.float64)) for i in chosen]


def _column(name: str, place: int, values: F64) -> Column:
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        bins = np.searchsorted(distinct, values)
        halves = np.arange(len(distinct) + 1, dtype=np.float64) - 0.5
        return Column(name, place, bins, distinct, halves, True, np.bincount(bins, minlength=len(distinct)))
    # the outermost hundredths would stretch the scale
    low, high = np.quantile(values, (0.01, 0.99))
    if low == high:
        low, high = distinct[0], distinct[-1]
    edges: F64 = np.linspace(low, high, BINS + 1, dtype=np.float64)
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, -1, BINS)
    bins[values == edges[-1]] = BINS - 1
    bins[bins == BINS] = -1
    occupancy = np.bincount(bins[bins >= 0], minlength=BINS)
    return Column(name, place, bins, (edges[1:] + edges[:-1]) / 2, edges, False, occupancy)


def tunings(recording: Recording, columns: Sequence[Column]) -> list[Tuning]:
    """How every pool neuron (row word * 32 + lane) responds to each column."""
    counts = recording.counts("pool").reshape(len(recording), -1)
    return [_tuning(column, counts) for column in columns]


def _tuning(column: Column, counts: NDArray[np.uint8]) -> Tuning:
    seen, places = column.occupancy.astype(np.float64), np.arange(len(column.centres))
    spikes, fired = (np.zeros((counts.shape[1], len(places))) for _ in range(2))
    first = 0
    for part in _blocks(counts):
        inside = (column.bins[first : first + len(part), None] == places).astype(np.float32)
        # whole numbers of a block are exact in float32
        spikes += part.T.astype(np.float32) @ inside
        fired += (part.T > 0).astype(np.float32) @ inside
        first += len(part)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = spikes / seen
    mean[:, seen < LEAST_SEEN] = np.nan
    return Tuning(column, mean, information(fired, seen))


def information(fired: F64, seen: F64) -> F64:
    """Mutual information of firing and bin, in bits, less its bias in a small sample (Miller and Madow).

    Args:
        fired: [M, B], presentations in which each neuron fired, by bin.
        seen: [B], presentations in each bin.
    """
    total = seen.sum()
    if total == 0:
        return np.zeros(len(fired))
    joint = np.stack([fired, seen - fired], axis=-1) / total
    single = joint.sum(axis=1)
    bits = entropy(single) + entropy(seen / total) - entropy(joint.reshape(len(fired), 2 * len(seen)))
    cells = (joint > 0).sum(axis=(1, 2))
    bias = (cells - (seen > 0).sum() - (single > 0).sum(axis=1) + 1) / (2 * total * np.log(2))
    found: F64 = np.maximum(bits - np.maximum(bias, 0), 0)
    return found


def neuron_name(number: int) -> str:
    """Word and lane of a neuron."""
    return f"{number // LANES}:{number % LANES}"
