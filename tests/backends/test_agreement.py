"""Backends against the specification, bit for bit: random brains, and every option at both of its ends."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hebbit.backends import load
from hebbit.backends.spec import RANGES, Backend, BrainConfig, Param
from hebbit.scripts.conformance import (
    SPECIFICATION,
    Case,
    Dice,
    compare,
    differences,
    digest,
    lives,
    random_arrays,
    random_asked,
    random_case,
    random_observed,
)

NUMBERS = st.integers(0, 10**6)
LIVELY = {
    Param.GAIN: 9,
    Param.NOISE: 2,
    Param.DECAY_SHIFT: 1,
    Param.DECAY_CHANCE: 128,
    Param.BASE_RATE: 200,
    Param.BASE_AGE: 1 << 20,
    Param.GAMMA: 32000,
    Param.CRITIC_RATE: 3000,
    Param.ACTOR_RATE: 3000,
    Param.RATE_AGE: 1 << 20,
    Param.CRITIC_SHIFT: 2,
    Param.CRITIC_CHANCE: 100,
    Param.ACTOR_SHIFT: 2,
    Param.ACTOR_CHANCE: 100,
    Param.TEMPERATURE: 500,
    Param.MOTOR_BASE: 1,
    Param.SURPRISE_SHIFT: 4,
    Param.SURPRISE_FLOOR: 50,
    Param.DOPAMINE_CLIP: 1000,
    Param.READS: 7,
    Param.INNER_RATE: 3000,
    Param.INNER_SHIFT: 2,
    Param.INNER_CHANCE: 100,
    Param.INNER_SLOPE: 100,
    Param.INNER_BIAS: -10,
    Param.FEEDBACK: 4,
    Param.CRITIC_FEEDBACK: 8,
    Param.INNER_EVERY: 1,
    Param.THRESHOLD: 3,
    Param.THRESHOLD_SLOPE: 1,
}
"""Values among which every option tells; those not named are 0."""


def lively_case(param: Param, value: int) -> Case:
    """Two brains that do a bit of everything, one option set."""
    config = BrainConfig(
        3, 5, (3, 2), slots_min=1, slots_max=2, clusters=2, echo_delay=1, echo_pool=2,
        learning_words=1, learning_pool=True,
    )  # fmt: skip
    params = np.zeros((2, 2, len(Param)), np.int32)
    for column, start in LIVELY.items():
        params[..., column] = start
    if param == Param.THRESHOLD:
        params[..., Param.THRESHOLD_SLOPE] = 0
    params[..., param] = value
    arrays = random_arrays(Dice(3, 0), config, 2)
    arrays["presentation"][:] = 1 << 20
    arrays["value"][:] = arrays["surprise"][:] = 1000
    arrays["inner_weights"][:] = Dice(3, 1).integers(-30, 30, arrays["inner_weights"].shape)
    arrays["inner_traces"][:] = Dice(3, 2).integers(-15, 15, arrays["inner_traces"].shape)
    return Case(3, config, params, 77, arrays)


def everything(backend: Backend, case: Case, presentations: int) -> list[str]:
    return [digest(seen) for seen in lives(backend, case, presentations)]


@settings(max_examples=25)
@given(NUMBERS)
def test_random_brains_agree(compared: str, number: int) -> None:
    assert compare(random_case(number), 3, compared).differing == {}


@pytest.mark.parametrize("number", [4, 9])
def test_longer_lives_agree(compared: str, number: int) -> None:
    assert compare(random_case(number), 40, compared).differing == {}


@pytest.mark.parametrize("param", list(Param), ids=lambda param: param.name)
def test_every_option_agrees_at_both_ends(compared: str, param: Param) -> None:
    for end in RANGES[param]:
        assert compare(lively_case(param, end), 3, compared).differing == {}


@pytest.mark.parametrize("param", list(Param), ids=lambda param: param.name)
def test_every_option_tells(compared: str, param: Param) -> None:
    low, high = (everything(load(compared), lively_case(param, end), 40) for end in RANGES[param])
    assert low != high


@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize("base_rate", [0, 500])
@pytest.mark.parametrize(("drive", "gain", "noise"), [(0, 15, 0), (0, 15, 3), (1, 0, 0)])
def test_words_by_the_dozen_agree(compared: str, slots: int, base_rate: int, drive: int, gain: int, noise: int) -> None:
    """More words of each kind than any backend handles side by side, with few and with most sources."""
    config = BrainConfig(19, 37, (2,), cycles=3, slots_min=slots, slots_max=slots, clusters=3)
    case = lively_case(Param.DRIVE, drive)
    params = np.repeat(case.params[:, :1], 3, axis=1)
    params[..., [Param.GAIN, Param.NOISE, Param.BASE_RATE]] = gain, noise, 2 * base_rate
    params[..., [Param.THRESHOLD, Param.THRESHOLD_SLOPE]] = min(slots, 8), 0
    arrays = random_arrays(Dice(5, 0), config, 2)
    arrays["presentation"][:] = 1 << 20
    arrays["excitement"][:] = 0
    assert compare(Case(5, config, params, 78, arrays), 3, compared).differing == {}


@pytest.mark.parametrize("cycles", [8, 9, 15])
@pytest.mark.parametrize(("param", "value"), [(Param.ACTOR_RATE, 3000), (Param.ACTOR_RATE, 0), (Param.ACTOR_CHANCE, 0)])
def test_more_outputs_than_a_draw_serves_agree(compared: str, param: Param, value: int, cycles: int) -> None:
    """Random planes serve 32 outputs and all cycles: every turn is taken, and the second 32 have draws of their own."""
    config = BrainConfig(2, 17, (20, 30, 15), cycles=cycles, slots_max=2, clusters=2)
    arrays = random_arrays(Dice(6, 0), config, 2)
    arrays["presentation"][:] = 1 << 20
    arrays["weights"][:, :, ::2] = arrays["traces"][:, :, ::2] = 7
    case = Case(6, config, lively_case(param, value).params, 79, arrays)
    assert compare(case, 3, compared).differing == {}


@pytest.mark.parametrize(
    ("config", "reads"),
    [
        (BrainConfig(1, 1, (2,), cycles=2, learning_words=17, learning_pool=True, echo_pool=17), 4),
        (BrainConfig(9, 17, (1, 33), cycles=3, learning_words=1, learning_pool=True, echo_delay=1, clusters=3), 5),
        (BrainConfig(17, 3, (2,), cycles=4, learning_words=2, echo_delay=1, echo_pool=5, clusters=2), 2),
    ],
)
def test_learning_and_echo_words_by_the_dozen_agree(compared: str, config: BrainConfig, reads: int) -> None:
    """More words of each kind, and more motor units, than any backend handles side by side; some are not read."""
    case = lively_case(Param.READS, reads)
    arrays = random_arrays(Dice(7, 0), config, 2)
    arrays["presentation"][:] = 1 << 20
    for name in ("weights", "inner_weights"):
        arrays[name][:] = Dice(7, 1).integers(-30, 30, arrays[name].shape)
    # one brain has traces of words that it does not read, the other has none
    for name in ("inner_traces", "traces"):
        arrays[name][0] = Dice(7, 2).integers(0, 15, arrays[name][0].shape)
        arrays[name][1] = 0
    params = np.repeat(case.params[:, :1], config.clusters, axis=1)
    assert compare(Case(7, config, params, 80, arrays), 3, compared).differing == {}


@settings(max_examples=4)
@given(NUMBERS)
def test_a_life_goes_on_in_another_backend(compared: str, number: int) -> None:
    case = random_case(number, 2)
    there, here = load(compared), load(SPECIFICATION)
    assert continued(case, there, here) == continued(case, here, there) == continued(case, here, here)


def continued(case: Case, first: Backend, second: Backend) -> str:
    """Digest of two presentations in one backend and two in another."""
    dice = Dice(case.number, 2)
    state = first.create(case.config, case.params, case.seed, case.arrays)
    for _ in range(2):
        first.step(state, *random_observed(dice, case))
    state = second.create(case.config, case.params, case.seed, first.export(state))
    for _ in range(2):
        second.step(state, *random_observed(dice, case))
    return digest(second.export(state))


def test_questions_agree_brain_by_brain(compared: str) -> None:
    """Answers come in the order of the questions, whichever brains they go to."""
    case = random_case(8)
    arguments = random_asked(Dice(8, 3), case, False)
    order = np.array([2, 0, 1, 1, 2])
    many = arguments._replace(
        brains=order,
        intensities=Dice(9).integers(0, 15, (5, case.config.sensory_words, 32)).astype(np.uint8),
        excitement=np.zeros((5, case.config.carried_words, 32), np.uint8),
        presentations=np.arange(5, dtype=np.uint32),
    )
    answers: list[dict[str, NDArray[Any]]] = []
    for name in (SPECIFICATION, compared):
        state = load(name).create(case.config, case.params, case.seed, case.arrays)
        answers.append(load(name).predict(state, *many)._asdict())
    assert differences(*answers) == {}


@pytest.mark.parametrize(("number", "brains"), [(0, 1), (2, 3), (7, 9)])
def test_a_run_is_its_steps(backend: Backend, number: int, brains: int) -> None:
    case, dice = random_case(number, brains), Dice(number, 5)
    seen = [random_observed(dice, case) for _ in range(6)]
    shown, rewards, flags = (np.stack(column) for column in zip(*(observed[:3] for observed in seen), strict=True))
    free = np.full((brains, len(case.config.groups)), -1, np.int32)
    forced = np.stack([free if observed.forced is None else observed.forced for observed in seen])
    assert (forced >= 0).any()
    one, other = (backend.create(case.config, case.params, case.seed, case.arrays) for _ in range(2))
    stepped = np.stack([backend.step(one, *observed) for observed in seen])
    ran = backend.run(other, shown, rewards, flags, forced)
    assert ran.dtype == np.int32 and np.array_equal(ran, stepped)
    assert differences(backend.export(one), backend.export(other)) == {}
    one, other = (backend.create(case.config, case.params, case.seed, case.arrays) for _ in range(2))
    assert np.array_equal(
        backend.run(one, shown, rewards, flags), backend.run(other, shown, rewards, flags, np.full_like(forced, -1))
    )
    assert differences(backend.export(one), backend.export(other)) == {}
