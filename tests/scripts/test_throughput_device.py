"""Figures of a device alone; the shim stands for one, and says of itself that it is an H200."""

from typing import Any

import pytest

from hebbit.backends import load
from hebbit.backends.shim_backend import ShimBackend
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.throughput import on_device, si
from hebbit.scripts.throughput_device import table
from hebbit.scripts.throughput_points import Point
from hebbit.scripts.throughput_timing import Budget, measure

BUDGET = Budget(seconds=1e-6, repeats=2)


class Reporting(ShimBackend):
    """A shim with the properties of a GPU."""

    capability = "90"

    def report(self) -> dict[str, Any]:
        return {"compute_capability": self.capability, "multiprocessors": 132, "clock_khz": 1_980_000}


@pytest.fixture
def point() -> Point:
    return Point(brains=2, pool_words=1, slots=(2, 2), cycles=2, sensory_words=2)


def test_a_kernel_is_compared_with_the_bound_of_its_instructions(point: Point) -> None:
    row = measure(Reporting(), point, BUDGET, on_device)
    replayed, bound = row["replayed"], row["roofline"]
    assert replayed["presentations"] == 2 * replayed["presentations_per_launch"]
    assert bound["warps"] == 1 and bound["instructions"] > 100
    clocks = max(bound["clocks"].values())
    assert bound["bound_presentations_per_second"] == pytest.approx(132 * 1.98e9 / clocks)
    rate = replayed["presentations_per_second"]["best"]
    assert bound["share"] == pytest.approx(rate / bound["bound_presentations_per_second"])
    assert si(rate) in table([row], si) and "%" in table([row], si)


def test_a_device_that_is_not_understood_gets_no_bound(point: Point) -> None:
    backend = Reporting()
    backend.capability = "75"
    row = measure(backend, point, BUDGET, on_device)
    assert "share" not in row["roofline"] and row["roofline"]["not_counted"]
    assert row["roofline"]["not_counted"] in table([row], si)


def test_a_backend_without_a_device_has_no_such_figures(point: Point) -> None:
    row = measure(load("numpy"), point, BUDGET, on_device)
    assert row["replayed"] is None and row["roofline"] is None
    assert table([row], si) == ""


def test_what_is_replayed_learns(point: Point) -> None:
    backend = ShimBackend()
    state = backend.create(point.brain_config(), point.params(), sizes.SEED, point.arrays())
    before = int(backend.export(state)["presentation"][0])
    done = on_device(backend, state, point, BUDGET)["replayed"]
    assert int(backend.export(state)["presentation"][0]) >= before + done["presentations_per_launch"] * 2
