"""The command that compares backends: it covers what it claims to, and it finds faults."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit import backends
from hebbit.backends.numpy_backend import NumpyBackend
from hebbit.backends.spec import CANONICAL, RANGES, Arrays, Flag, Param
from hebbit.scripts import conformance
from hebbit.scripts.conformance import Dice, differing_bits, random_case, random_observed

CASES = 300


class Flawed(NumpyBackend):
    """One bit of one weight is wrong."""

    def export(self, state: Any, names: Sequence[str] = CANONICAL) -> Arrays:
        """Flip the lowest bit of the first weight."""
        arrays = super().export(state, names)
        arrays["weights"].flat[0] ^= 1
        return arrays


@pytest.fixture
def flawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(backends._TABLE, "flawed", ("hebbit.backends.numpy_backend", "NumpyBackend"))
    monkeypatch.setitem(backends._LOADED, "flawed", Flawed())
    yield "flawed"


@pytest.fixture(scope="module")
def cases() -> list[conformance.Case]:
    return [random_case(number) for number in range(CASES)]


def test_no_difference_is_a_success(compared: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    command = ["--brains", "4", "--presentations", "2", "--backend", compared, "--out", str(out)]
    assert conformance.main(command) == 0
    result = json.loads(out.read_text())
    assert (result["brains"], result["presentations"], result["differing_bits"]) == (4, 8, 0)
    assert f"4 brains, 8 presentations, {result['compared_bits']} bits compared: 0 differ" in capsys.readouterr().out


def test_a_difference_is_counted_named_and_a_failure(flawed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert conformance.main(["--brains", "3", "--presentations", "5", "--backend", flawed]) == 1
    printed = capsys.readouterr().out
    # two cases, each stopped at its first presentation
    assert printed.count("differs:") == printed.count('"presentations": 1') == printed.count('{"weights": 1}') == 2
    assert printed.rstrip().endswith(": 2 differ")


@pytest.mark.slow
def test_workers_find_what_one_process_finds(compared: str, tmp_path: Path) -> None:
    results = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.json"
        command = ["--brains", "5", "--presentations", "3", "--backend", compared, "--jobs", jobs, "--out", str(out)]
        assert conformance.main(command) == 0
        results.append(json.loads(out.read_text()) | {"seconds": 0})
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("one", "other", "bits"),
    [
        (np.array([0, 5], np.int8), np.array([0, 5], np.int8), 0),
        (np.array([0, 5], np.int8), np.array([-1, 4], np.int8), 9),
        (np.zeros((2, 3), np.int32), np.zeros((3, 2), np.int32), 192),
        (np.zeros(4, np.int32), np.zeros(4, np.uint32), 128),
        (np.zeros(0, np.int8), np.zeros(0, np.uint8), 8),
    ],
)
def test_differing_bits(one: NDArray[Any], other: NDArray[Any], bits: int) -> None:
    assert differing_bits(one, other) == bits


def test_case_sizes_add_up() -> None:
    assert [sum(conformance.case_sizes(brains)) for brains in range(10)] == list(range(10))


def test_random_cases_are_the_same_for_ever(cases: list[conformance.Case]) -> None:
    again = random_case(17)
    assert again.config == cases[17].config and again.seed == cases[17].seed
    assert np.array_equal(again.params, cases[17].params)
    assert conformance.differences(again.arrays, cases[17].arrays) == {}


def test_every_option_has_a_range_and_both_ends_occur(cases: list[conformance.Case]) -> None:
    assert set(RANGES) == set(Param)
    for param, (low, high) in RANGES.items():
        values = np.concatenate([case.params[..., param].ravel() for case in cases])
        assert (values.min(), values.max()) == (low, high), param.name


def test_every_shape_occurs(cases: list[conformance.Case]) -> None:
    configs = [case.config for case in cases]
    assert {config.sensory_words for config in configs} > set(range(1, 7))
    assert {config.pool_words for config in configs} > set(range(10))
    for words in ([config.sensory_words for config in configs], [config.pool_words for config in configs]):
        assert {-(-number // 16) for number in words} >= {1, 2, 3}, "one, two and three blocks of 16"
    assert {config.clusters for config in configs} == {1, 2, 3}
    assert {len(config.groups) for config in configs} == {1, 2}
    assert {config.cycles for config in configs} == set(conformance.CYCLES)
    assert {config.echo_delay for config in configs} == {0, 1, 2}
    assert {config.echo_pool for config in configs} == {0, 1, 2, 3}
    assert {config.learning_words for config in configs} == {0, 1, 2}
    assert {config.tiles for config in configs} >= {0, 1, 2, 3}
    assert {config.learning_pool for config in configs if config.learning_words} == {False, True}
    assert {len(case.params) for case in cases} == {1, 2, 3}


def test_weights_and_traces_occur_at_both_ends(cases: list[conformance.Case]) -> None:
    synapses, traces = (-128, 127), (-15, 15)
    for name, ends in (
        ("weights", synapses),
        ("inner_weights", synapses),
        ("traces", traces),
        ("inner_traces", traces),
        ("excitement", (0, 15)),
        ("collected", (-65535, 65535)),
    ):
        arrays = [case.arrays[name] for case in cases if case.arrays[name].size]
        for end in ends:
            assert any((array == end).mean() > 0.3 for array in arrays)
    assert any(case.arrays["presentation"][0] > 2**32 - 5 for case in cases)
    assert any((case.arrays["generation"] >> 16).any() for case in cases)


def test_every_flag_forced_action_silence_and_full_intensity_occur() -> None:
    dice, case = Dice(0), random_case(2)
    seen = [random_observed(dice, case) for _ in range(CASES)]
    assert {int(flag) for one in seen for flag in one.flags} == set(Flag)
    assert {0, 15} <= {int(one.intensities.max()) for one in seen if one.intensities.std() == 0}
    rewards = np.concatenate([one.rewards for one in seen])
    assert (rewards == 0).any() and (np.abs(rewards) > 30000).any()
    forced = [one.forced for one in seen if one.forced is not None]
    assert 0 < len(forced) < CASES
    for group, size in enumerate(case.config.groups):
        assert {int(unit) for one in forced for unit in one[:, group]} == set(range(-1, size))


def test_a_backend_that_cannot_load_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(backends._TABLE, "broken", ("hebbit.backends.no_such_module", "Backend"))
    assert conformance.main(["--backend", "broken", "--brains", "1", "--presentations", "1"]) == 2
    assert capsys.readouterr().err.startswith("conformance: backend 'broken' cannot load: ")
