"""What every backend promises about its states: flags, copies, populations and questions that change nothing."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hebbit.backends.spec import CANONICAL, Arrays, Backend, BrainConfig, Flag, Param, empty_arrays
from hebbit.scripts.conformance import (
    Asked,
    Case,
    Dice,
    Observed,
    differences,
    random_arrays,
    random_asked,
    random_case,
    random_observed,
)

NUMBERS = st.integers(0, 10**6)
few = settings(max_examples=5)
EPISODIC = ("traces", "inner_traces", "excitement", "collected")
"""Arrays that an episode begins and ends without."""


def born(backend: Backend, case: Case) -> Any:
    return backend.create(case.config, case.params, case.seed, case.arrays)


def observed(case: Case, flag: Flag, which: int = 0) -> Observed:
    """A random observation that all brains meet with one flag."""
    seen = random_observed(Dice(case.number, 10 + which), case)
    return seen._replace(flags=np.full(len(case.params), flag, np.uint8))


def after(backend: Backend, case: Case, seen: Observed) -> Arrays:
    """Arrays after one presentation, the actions among them."""
    state = born(backend, case)
    return {"actions": backend.step(state, *seen), **backend.export(state)}


def only(seen: Observed, i: int) -> Observed:
    """What one brain of a population meets."""
    forced = None if seen.forced is None else seen.forced[i : i + 1]
    return Observed(seen.intensities[i : i + 1], seen.rewards[i : i + 1], seen.flags[i : i + 1], forced)


def wrapped(numbers: NDArray[np.uint32]) -> list[int]:
    return [(int(number) + 1) % 2**32 for number in numbers]


@few
@given(NUMBERS)
def test_idle_brains_keep_every_bit(backend: Backend, number: int) -> None:
    case = random_case(number)
    found = after(backend, case, observed(case, Flag.IDLE))
    assert differences(case.arrays, found) == {}
    assert not found["actions"].any()


@few
@given(NUMBERS)
def test_one_idle_brain_leaves_the_others_awake(backend: Backend, number: int) -> None:
    case = random_case(number, 2)
    awake = observed(case, Flag.START)
    flags = np.array([Flag.IDLE, Flag.START], np.uint8)
    both, one = after(backend, case, awake), after(backend, case, awake._replace(flags=flags))
    assert differences({name: both[name][1] for name in both}, {name: one[name][1] for name in one}) == {}
    assert differences({name: case.arrays[name][0] for name in CANONICAL}, {name: one[name][0] for name in one}) == {}


@few
@given(NUMBERS)
def test_start_forgets_traces_excitement_and_value(backend: Backend, number: int) -> None:
    case = random_case(number)
    forgotten = (*EPISODIC, "value")
    clean = {name: case.arrays[name] * (name not in forgotten) for name in CANONICAL}
    clean = {name: array.astype(case.arrays[name].dtype) for name, array in clean.items()}
    seen = observed(case, Flag.START)
    found = after(backend, case, seen)
    cleaned = after(backend, Case(number, case.config, case.params, case.seed, clean), seen)
    assert differences(found, cleaned) == {}
    assert differences({name: case.arrays[name] for name in ("weights", "inner_weights", "surprise")}, found) == {}
    assert found["episode"].tolist() == wrapped(case.arrays["episode"])
    assert found["presentation"].tolist() == wrapped(case.arrays["presentation"])


@few
@given(NUMBERS)
def test_start_has_no_reward(backend: Backend, number: int) -> None:
    case = random_case(number)
    seen = observed(case, Flag.START)
    richer = seen._replace(rewards=seen.rewards ^ 1)
    assert differences(after(backend, case, seen), after(backend, case, richer)) == {}


@few
@given(NUMBERS)
def test_termination_does_not_look_and_forgets(backend: Backend, number: int) -> None:
    case = random_case(number)
    seen = observed(case, Flag.TERMINATED)
    found = after(backend, case, seen)
    other = after(backend, case, seen._replace(intensities=15 - seen.intensities))
    assert differences(found, other) == {}
    for name in ("actions", *EPISODIC, "value"):
        assert not found[name].any()
    assert found["episode"].tolist() == case.arrays["episode"].tolist()
    assert found["presentation"].tolist() == wrapped(case.arrays["presentation"])


@few
@given(NUMBERS)
def test_truncation_learns_like_continuing_and_forgets(backend: Backend, number: int) -> None:
    case = random_case(number)
    case.params[..., Param.INNER_EVERY] = 1
    found = after(backend, case, observed(case, Flag.TRUNCATED))
    going_on = after(backend, case, observed(case, Flag.CONTINUE))
    assert set(differences(found, going_on)) <= {"actions", *EPISODIC}
    for name in ("actions", *EPISODIC):
        assert not found[name].any()


@few
@given(NUMBERS)
def test_a_brain_of_a_population_is_that_brain_alone(backend: Backend, number: int) -> None:
    case = random_case(number, 3)
    dice = Dice(number, 20)
    steps = [random_observed(dice, case) for _ in range(3)]
    together = born(backend, case)
    actions = [backend.step(together, *seen) for seen in steps]
    for i in range(3):
        arrays = {name: case.arrays[name][i : i + 1] for name in CANONICAL}
        alone = backend.create(case.config, case.params[i : i + 1], case.seed, arrays)
        own = [backend.step(alone, *only(seen, i)) for seen in steps]
        assert [row.tolist() for row in own] == [row[i : i + 1].tolist() for row in actions]
        row = {name: array[i : i + 1] for name, array in backend.export(together).items()}
        assert differences(row, backend.export(alone)) == {}


@few
@given(NUMBERS)
def test_export_and_create_change_nothing(backend: Backend, number: int) -> None:
    case = random_case(number)
    found = backend.export(born(backend, case))
    assert tuple(found) == CANONICAL
    assert differences(case.arrays, found) == {}


@few
@given(NUMBERS)
def test_a_restored_brain_goes_on_in_the_same_bits(backend: Backend, number: int) -> None:
    case = random_case(number)
    dice = Dice(number, 30)
    state = born(backend, case)
    backend.step(state, *random_observed(dice, case))
    again = backend.create(case.config, case.params, case.seed, backend.export(state))
    for _ in range(2):
        seen = random_observed(dice, case)
        assert np.array_equal(backend.step(state, *seen), backend.step(again, *seen))
    assert differences(backend.export(state), backend.export(again)) == {}


def test_states_share_no_memory_with_what_comes_and_goes(backend: Backend) -> None:
    case = random_case(2)
    before = {name: array.copy() for name, array in case.arrays.items()}
    forced = np.zeros((len(case.params), len(case.config.groups)), np.int32)
    params, seen = case.params.copy(), observed(case, Flag.CONTINUE)._replace(forced=forced)
    kept = deepcopy(seen)
    state = backend.create(case.config, params, case.seed, case.arrays)
    first = backend.step(state, *seen)
    assert differences(before, case.arrays) == {} and np.array_equal(params, case.params)
    assert differences(kept._asdict(), seen._asdict()) == {}
    exported, actions = backend.export(state), first.copy()
    known = deepcopy(exported)
    for array in (*exported.values(), *case.arrays.values(), params):
        array[:] = 1
    assert differences(known, backend.export(state)) == {}
    backend.step(state, *seen)
    assert np.array_equal(first, actions), "each step returns an array of its own"


@few
@given(NUMBERS, st.booleans())
def test_predict_changes_nothing(backend: Backend, number: int, deterministic: bool) -> None:
    case = random_case(number)
    asked, curious = born(backend, case), born(backend, case)
    dice = Dice(number, 40)
    for _ in range(2):
        question = random_asked(dice, case, deterministic)
        kept = deepcopy(question)
        backend.predict(curious, *question)
        assert all(np.array_equal(getattr(kept, field), getattr(question, field)) for field in Asked._fields)
        seen = random_observed(dice, case)
        assert np.array_equal(backend.step(asked, *seen), backend.step(curious, *seen))
        assert differences(backend.export(asked), backend.export(curious)) == {}


@few
@given(NUMBERS)
def test_deterministic_answers_do_not_depend_on_time(backend: Backend, number: int) -> None:
    case = random_case(number)
    question = random_asked(Dice(number, 50), case, True)
    state = born(backend, case)
    answers = [
        backend.predict(state, *question._replace(presentations=question.presentations + np.uint32(shift)))._asdict()
        for shift in (0, 1, 12345)
    ]
    assert differences(answers[0], answers[1]) == differences(answers[0], answers[2]) == {}


@few
@given(NUMBERS, st.booleans())
def test_answers_do_not_depend_on_their_company(backend: Backend, number: int, deterministic: bool) -> None:
    case = random_case(number, 2)
    dice = Dice(number, 60)
    one, other = (random_asked(dice, case, deterministic) for _ in range(2))
    both = Asked(
        np.concatenate([one.brains, other.brains]),
        np.concatenate([one.intensities, other.intensities]),
        np.concatenate([one.excitement, other.excitement]),
        np.concatenate([one.presentations, other.presentations]),
        deterministic,
    )
    state = born(backend, case)
    apart = [backend.predict(state, *question) for question in (one, other)]
    for field, parts in backend.predict(state, *both)._asdict().items():
        assert np.array_equal(parts, np.concatenate([getattr(answer, field) for answer in apart]))


def test_exploring_answers_depend_on_time(backend: Backend) -> None:
    config = BrainConfig(2, 3, (4,), slots_min=1, slots_max=1)
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.READS, Param.INNER_EVERY]] = 7, 1
    state = backend.create(config, params, 1, random_arrays(Dice(1), config, 1))
    intensities = Dice(2).integers(0, 15, (1, 2, 32)).astype(np.uint8).repeat(20, axis=0)
    now = np.arange(20, dtype=np.uint32)
    answer = backend.predict(state, np.zeros(20, np.int64), intensities, np.zeros((20, 3, 32), np.uint8), now, False)
    # four units at temperature 0: the same action 20 times has a chance of 4**-19
    assert len(np.unique(answer.actions)) > 1


def extreme(backend: Backend, intensity: int, weight: int) -> tuple[Any, Any]:
    """A deterministic answer and a step of a brain whose pool copies its sources, all weights alike."""
    config = BrainConfig(3, 4, (2, 3), slots_min=1, slots_max=3, clusters=2)
    params = np.zeros((1, 2, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.GAIN, Param.TEMPERATURE, Param.READS, Param.INNER_EVERY]] = 15, 4096, 7, 1
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    arrays["weights"][:] = weight
    state = backend.create(config, params, 5, arrays)
    shown = np.full((1, 3, 32), intensity, np.uint8)
    nothing = np.zeros((1, 4, 32), np.uint8)
    answer = backend.predict(state, np.zeros(1, np.int64), shown, nothing, np.zeros(1, np.uint32), True)
    backend.step(state, shown, np.zeros(1, np.int32), np.full(1, Flag.START, np.uint8))
    return answer, backend.export(state)


@pytest.mark.parametrize("weight", [-128, 0, 127])
def test_full_intensity_fires_every_neuron_in_every_cycle(backend: Backend, weight: int) -> None:
    answer, arrays = extreme(backend, 15, weight)
    assert answer.spikes.tolist() == [8 * 7 * 32]
    assert answer.values.tolist() == [[256 * weight] * 2] and arrays["value"].tolist() == [[256 * weight] * 2]
    assert answer.volley.tolist() == [[256] * 5] and answer.actions.tolist() == [[0, 0]]
    assert (arrays["traces"][0, -1] == 8).all()


def test_silence_fires_nothing_and_is_worth_nothing(backend: Backend) -> None:
    answer, arrays = extreme(backend, 0, 127)
    assert answer.spikes.tolist() == [0] and answer.values.tolist() == [[0, 0]]
    assert not answer.excitement.any()
    assert not arrays["traces"].any() and not arrays["value"].any()
