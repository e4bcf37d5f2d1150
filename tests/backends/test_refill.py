"""Arrays that are put into brains again, all of them or some: as if the brains were made with them."""

import numpy as np
import pytest

from hebbit.backends import load
from hebbit.backends.spec import CANONICAL, Arrays, Flag
from hebbit.scripts.conformance import Case, Dice, random_arrays, random_case

WIRING = ("brain", "generation")
OTHERS = [name for name in CANONICAL if name not in WIRING]


def changed(case: Case, names: list[str]) -> Arrays:
    """Other values of some arrays."""
    other = random_arrays(Dice(case.number, 99), case.config, len(case.arrays["brain"]))
    return {name: other[name] for name in names}


@pytest.mark.parametrize("name", ["numpy", "numba", "shim"])
@pytest.mark.parametrize("number", range(8))
def test_refilled_brains_are_those_made_with_these_arrays(name: str, number: int) -> None:
    case, backend = random_case(number), load(name)
    dice = np.random.default_rng(number)
    names = OTHERS if number == 0 else dice.choice(OTHERS, 1 + number % 4, replace=False).tolist()
    new = changed(case, names)
    state = backend.create(case.config, case.params, case.seed, case.arrays)
    backend.refill(state, new)
    expected = {**case.arrays, **new}
    found = backend.export(state)
    assert [each for each in CANONICAL if not np.array_equal(found[each], expected[each])] == []
    fresh = backend.create(case.config, case.params, case.seed, expected)
    brains, words = len(case.params), case.config.sensory_words
    seen = dice.integers(0, 16, (brains, words, 32)).astype(np.uint8)
    rewards, flags = np.full(brains, 50, np.int32), np.full(brains, Flag.CONTINUE, np.uint8)
    assert np.array_equal(backend.step(state, seen, rewards, flags), backend.step(fresh, seen, rewards, flags))
    one, other = backend.export(state), backend.export(fresh)
    assert [each for each in CANONICAL if not np.array_equal(one[each], other[each])] == []


@pytest.mark.parametrize("name", ["numpy", "numba", "shim"])
def test_arrays_are_exported_by_name(name: str) -> None:
    case, backend = random_case(3), load(name)
    state = backend.create(case.config, case.params, case.seed, case.arrays)
    everything = backend.export(state)
    assert list(everything) == list(CANONICAL)
    for one in CANONICAL:
        found = backend.export(state, [one])
        assert list(found) == [one] and found[one].dtype == everything[one].dtype
        assert np.array_equal(found[one], case.arrays[one])
        # they are copies
        found[one][...] = 0
    assert all(np.array_equal(array, everything[each]) for each, array in backend.export(state).items())
