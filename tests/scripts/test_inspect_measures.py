"""Figures of recordings that were made by hand, so that the right answer is known."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import tape
from hebbit.agents.recording import CUT, RUNNING, TERMINATED, TRUNCATED, Recording
from hebbit.agents.tape import packed
from hebbit.scripts.look import activity, measures
from hebbit.scripts.look.synapses import output_names


def recorded(number: int = 4, **arrays: Any) -> Recording:
    """A recording of 1 sensory word, 1 pool word, 2 units, 2 cycles."""
    nothing: dict[str, Any] = {
        "observation": np.zeros((number, 1)),
        "intensities": np.zeros((number, 1, 32), np.uint8),
        "sensory": np.zeros((number, 2, 1), np.uint32),
        "pool": np.zeros((number, 2, 1), np.uint32),
        "motor": np.zeros((number, 2, 2), np.uint32),
        "excitement": np.zeros((number, 1, 16), np.uint8),
        "volley": np.zeros((number, 2), np.int32),
        "chances": np.full((number, 2), 256, np.int32),
        "value": np.zeros((number, 1), np.int32),
        "units": np.zeros((number, 1), np.int32),
        "action": np.zeros((number, 1), np.int64),
        "reward": np.ones(number),
        "td": np.zeros((number, 1)),
        "start": np.arange(number) == 0,
        "end": np.zeros(number, np.uint8),
        "episode": np.zeros(number, np.int64),
        "number": np.arange(number),
        "groups": (2,),
        "unit": 4.0,
        "gamma": 0.5,
    }
    return Recording(**{**nothing, **arrays})


def test_discounted_returns() -> None:
    ends = np.array([RUNNING, RUNNING, TERMINATED, RUNNING, TRUNCATED, RUNNING, CUT, RUNNING], np.uint8)
    td = np.zeros((8, 1))
    # r + gamma V' = 3 and 5 in units of reward, with V = 2 (8 in the brain's units)
    td[4], td[6] = 4 * 3 - 8, 4 * 5 - 8
    found = measures.returns_to_go(recorded(8, end=ends, td=td, value=np.full((8, 1), 8, np.int32)))
    assert found[:7].tolist() == [1.75, 1.5, 1.0, 2.5, 3.0, 3.5, 5.0] and np.isnan(found[7])


def test_measuring_takes_hardly_more_than_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(tape, "BLOCK_BYTES", 1 << 18)
    random = np.random.default_rng(1)
    pool = random.integers(2**32, size=(6000, 8, 40), dtype=np.uint32)
    one = recorded(6000, pool=pool, observation=random.normal(size=(6000, 2)))
    columns = measures.sorted_columns(one, ["a", "b"])
    tracemalloc.start()
    try:
        for measure in (measures.activity, lambda one: measures.tunings(one, columns)):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            measure(one)
            # the counts of all neurons, as large as the spikes, and results and blocks
            assert tracemalloc.get_traced_memory()[1] - before < 1.6 * pool.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("block", [1, 40_000, 1 << 22])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(measures, "BLOCK_BYTES", block)
    monkeypatch.setattr(tape, "BLOCK_BYTES", block)
    random = np.random.default_rng(2)
    pool = random.integers(2**32, size=(50, 3, 2), dtype=np.uint32) & random.integers(2**32, size=(50, 3, 2))
    one = recorded(50, pool=pool.astype(np.uint32), observation=random.integers(0, 4, (50, 1)))
    counts = one.spikes("pool").sum(axis=1)
    assert np.array_equal(one.counts("pool"), counts)
    mean, square = counts.mean(axis=0), (counts.astype(float) ** 2).mean(axis=0)
    sparse = measures.activity(one)["pool"]["lifetime_sparseness"]
    assert sparse == pytest.approx(np.mean(1 - mean**2 / square))
    (tuning,) = measures.tunings(one, measures.sorted_columns(one, ["a"]))
    bins = tuning.column.bins
    for value in range(4):
        own = counts[bins == value].reshape(-1, 64)
        np.testing.assert_allclose(tuning.rates[:, value], own.mean(axis=0))
    seen = np.bincount(bins).astype(float)
    fired = np.array([(counts[bins == value].reshape(-1, 64) > 0).sum(axis=0) for value in range(4)]).T.astype(float)
    np.testing.assert_allclose(tuning.information, measures.information(fired, seen))


def test_rates_and_shares() -> None:
    spikes = np.zeros((4, 2, 1, 32), np.uint8)
    spikes[:, :, 0, 0] = 1  # always: saturated
    spikes[0, :, 0, 1] = 1  # in one presentation of four
    pool = measures.activity(recorded(pool=packed(spikes)))["pool"]
    assert pool["spikes_per_action"] == 2.5 and pool["rate"] == 2.5 / 32
    assert pool["silent_share"] == 30 / 32 and pool["saturated_share"] == 1 / 32
    assert pool["active_share"] == 5 / 128
    # neuron 0: 1 - 4 / 4; neuron 1: 1 - 0.25 / 1
    assert pool["lifetime_sparseness"] == pytest.approx((0 + 0.75) / 2)


def test_entropies() -> None:
    chances = np.array([[256, 256], [256, 0], [256, 256], [256, 0]], np.int32)
    units = np.array([[0], [0], [0], [1]], np.int32)
    found = measures.actions(recorded(chances=chances, units=units))[0]
    assert found["entropy_of_policy"] == 0.5 and found["most_entropy"] == 1 and found["chosen"] == [0.75, 0.25]
    assert found["entropy_of_actions"] == pytest.approx(-(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)))


def test_information_of_known_neurons() -> None:
    rng = np.random.default_rng(0)
    bins = np.repeat(np.arange(4), 500)
    fired = np.stack([bins < 2, rng.random(2000) < 0.5, np.zeros(2000), bins == 0]).astype(float)
    inside = (bins[:, None] == np.arange(4)).astype(float)
    found = measures.information(fired @ inside, inside.sum(axis=0))
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert found[[0, 3]] == pytest.approx([1.0, entropy], abs=2e-3)
    assert found[1] < 5e-3 and found[2] == 0


def test_information_is_not_found_where_there_is_none() -> None:
    """Without the correction, 20 bins and 100 presentations would seem to tell 0.14 bits."""
    rng = np.random.default_rng(1)
    bins = rng.integers(0, 20, 100)
    inside = (bins[:, None] == np.arange(20)).astype(float)
    found = measures.information((rng.random((400, 100)) < 0.5).astype(float) @ inside, inside.sum(axis=0))
    assert found.mean() < 0.07
    assert measures.information(np.zeros((3, 4)), np.zeros(4)).tolist() == [0, 0, 0]


def test_bins() -> None:
    rng = np.random.default_rng(2)
    table = np.column_stack([rng.integers(3, 6, 500), rng.normal(size=500), np.full(500, 7.0)])
    few, many = measures.sorted_columns(recorded(500, observation=table), ["a", "b", "c"])
    assert (few.name, few.separate, few.centres.tolist()) == ("a", True, [3, 4, 5])
    assert few.occupancy.tolist() == [(table[:, 0] == value).sum() for value in (3, 4, 5)]
    assert (many.name, many.separate, len(many.centres)) == ("b", False, measures.BINS)
    low, high = np.quantile(table[:, 1], (0.01, 0.99))
    outside = (table[:, 1] < low) | (table[:, 1] > high)
    assert (many.bins == -1).tolist() == outside.tolist() and many.occupancy.sum() == (~outside).sum()
    place = many.edges[many.bins[~outside]]
    assert (place <= table[~outside, 1] + 1e-12).all()


def test_of_an_image_the_places_that_vary_are_looked_at() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(50, 300)) * np.arange(300)
    columns = measures.sorted_columns(recorded(50, observation=table), [str(i) for i in range(300)])
    assert len(columns) == measures.MOST_COLUMNS and columns[-1].place > 290 and columns[0].place > 100


def test_tuning_is_the_mean_by_bin() -> None:
    spikes = np.zeros((9, 2, 1, 32), np.uint8)
    spikes[:4, :, 0, 5] = 1
    spikes[4:6, 0, 0, 5] = 1
    table = np.array([[0.0]] * 4 + [[1.0]] * 4 + [[2.0]])
    recording = recorded(9, observation=table, pool=packed(spikes))
    tuning = measures.tunings(recording, measures.sorted_columns(recording, ["x"]))[0]
    assert tuning.rates[5, :2].tolist() == [2.0, 0.5] and np.isnan(tuning.rates[:, 2]).all()
    assert tuning.rates[4, :2].tolist() == [0, 0] and tuning.information.argmax() == 5


def test_synapses_at_their_bounds() -> None:
    weights = np.zeros((2, 1, 32), np.int8)
    weights[0, 0, :4] = (127, -128, 5, -127)
    found = measures.synapses(weights, ["unit 0", "critic"], measures.WEIGHT_BOUNDS)
    assert found["outputs"]["unit 0"]["bound_share"] == 2 / 32 and found["all"]["zero_share"] == 60 / 64
    assert found["outputs"]["unit 0"]["least"] == -128 and found["outputs"]["critic"]["zero_share"] == 1


def test_correlation_needs_something_to_correlate() -> None:
    line = np.arange(5.0)
    assert measures.correlation(line, -line) == pytest.approx(-1)
    assert measures.correlation(line, np.ones(5)) is None and measures.correlation(line[:2], line[:2]) is None


def test_outputs_are_named() -> None:
    assert output_names((2,)) == ["unit 0", "unit 1", "critic"]
    assert output_names((1, 2)) == ["part 0 unit 0", "part 1 unit 0", "part 1 unit 1", "critic"]


def test_a_silent_brain_is_drawn(tmp_path: Path) -> None:
    recording = recorded(6, observation=np.arange(12.0).reshape(6, 2))
    tunings = measures.tunings(recording, measures.sorted_columns(recording, ["a", "b"]))
    activity.draw_rates(recording, tmp_path / "r.png")
    activity.draw_tuning(tunings, tmp_path / "t.png")
    activity.draw_preferred(tunings, tmp_path / "p.png")
    activity.draw_fields(recording, tunings[0], tunings[1], tmp_path / "f.png")
    assert len(list(tmp_path.iterdir())) == 4
