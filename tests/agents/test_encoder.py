"""From observations to intensities: every space, every mistake, and the ranges that are learned and frozen."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hebbit.agents import AgentConfig
from hebbit.agents.encoder import Encoder, tuning_table
from hebbit.agents.errors import ObservationError, SpaceError
from hebbit.agents.leaves import LANES

ALL = slice(None)
CONFIG = AgentConfig(pool_words=4)
SHARP = AgentConfig(pool_words=4, tuning_width=1.0)
"""Only the nearest neurons are shown anything."""
INF = np.inf
SPACES: dict[str, spaces.Space[Any]] = {
    "bounded": spaces.Box(-2.0, 3.0, (3,), np.float32),
    "unbounded": spaces.Box(-INF, INF, (2, 2), np.float64),
    "half bounded": spaces.Box(np.array([0.0, -INF]), np.array([INF, 1.0]), dtype=np.float64),
    "scalar": spaces.Box(-1.0, 1.0, (), np.float32),
    "flat": spaces.Box(np.zeros(2), np.array([0.0, 1.0]), dtype=np.float64),
    "bytes": spaces.Box(0, 255, (5,), np.uint8),
    "image": spaces.Box(0, 255, (7, 5, 3), np.uint8),
    "boolean": spaces.Box(0, 1, (3, 3), np.bool_),
    "binary": spaces.Box(4, 5, (3,), np.int8),
    "discrete": spaces.Discrete(5),
    "discrete from -2": spaces.Discrete(5, start=-2),
    "multidiscrete": spaces.MultiDiscrete([3, 2], start=[1, -1]),
    "multidiscrete 2-D": spaces.MultiDiscrete(np.array([[3, 2], [1, 40]])),
    "multibinary": spaces.MultiBinary(5),
    "multibinary n-D": spaces.MultiBinary((2, 3, 7)),
    "tuple": spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,)), spaces.MultiBinary(2)]),
    "nested": spaces.Dict(
        z=spaces.Tuple([spaces.Dict(a=spaces.Discrete(40, start=3)), spaces.Box(-INF, INF, (1,))]),
        b=spaces.Box(0, 255, (10, 10), np.uint8),
    ),
}


def samples(space: spaces.Space[Any], number: int) -> list[Any]:
    space.seed(5)
    return [space.sample() for _ in range(number)]


def batched(observations: list[Any]) -> Any:
    """As a vector environment gives them."""
    first = observations[0]
    if isinstance(first, dict):
        return {key: batched([o[key] for o in observations]) for key in first}
    if isinstance(first, tuple):
        return tuple(batched([o[i] for o in observations]) for i in range(len(first)))
    return np.stack(observations)


def box(low: float = -1.0, high: float = 1.0, size: int = 1) -> spaces.Box:
    return spaces.Box(low, high, (size,), np.float64)


def shown(space: spaces.Space[Any], observation: Any, config: AgentConfig = CONFIG) -> NDArray[np.uint8]:
    """Intensities of one observation: [words, 32]."""
    intensities: NDArray[np.uint8] = Encoder(space, config).encode([observation], ALL)[0]
    return intensities


@pytest.mark.parametrize("name", SPACES)
def test_any_supported_space_is_shown(name: str) -> None:
    encoder = Encoder(SPACES[name], CONFIG, 6)
    intensities = encoder.encode(samples(SPACES[name], 6), ALL, learn=True)
    assert intensities.dtype == np.uint8 and intensities.shape == (6, encoder.words, LANES)
    assert intensities.max() <= 15 and intensities.flags.c_contiguous and intensities.flags.writeable


@pytest.mark.parametrize("name", SPACES)
def test_batches_are_told_from_single_observations(name: str) -> None:
    encoder, observations = Encoder(SPACES[name], CONFIG, 3), samples(SPACES[name], 3)
    assert encoder.as_batch(observations[0]) is None
    for number in (1, 3):
        rows = encoder.as_batch(batched(observations[:number]))
        assert rows is not None and len(rows) == number
        expected = encoder.encode(observations[:number], np.arange(number))
        np.testing.assert_array_equal(encoder.encode(rows, np.arange(number)), expected)


@pytest.mark.parametrize("name", SPACES)
def test_without_learning_it_is_a_pure_function(name: str) -> None:
    encoder, observations = Encoder(SPACES[name], CONFIG, 2), samples(SPACES[name], 2)
    before = encoder.arrays()
    first = encoder.encode(observations, ALL)
    np.testing.assert_array_equal(encoder.encode(observations, ALL), first)
    for array, same in zip(before.values(), encoder.arrays().values(), strict=True):
        np.testing.assert_array_equal(array, same)


@given(st.floats(-3, 3, width=32), st.sampled_from(["bounded", "unbounded"]))
def test_single_and_double_precision_give_the_same_integers(x: float, name: str) -> None:
    encoders = [Encoder(SPACES[name], CONFIG) for _ in range(2)]
    for value in (x, -x / 2, x * 0.75):
        exact = np.float32(value)
        single = np.full(SPACES[name].shape or (), exact, np.float32)
        first = encoders[0].encode([single], ALL, learn=True)
        np.testing.assert_array_equal(encoders[1].encode([single.astype(float)], ALL, learn=True), first)


def test_tuning_follows_the_value() -> None:
    space = box()
    values = np.linspace(-1, 1, 101)
    rows = np.array([shown(space, np.array([v]))[0] for v in values]).astype(int)
    best = rows.argmax(axis=1)
    assert (np.diff(best) >= 0).all() and rows[0, 0] == rows[-1, -1] == 15
    centre = (rows * np.arange(LANES)).sum(axis=1) / rows.sum(axis=1)
    assert (np.diff(centre) >= 0).all() and len(set(map(tuple, rows))) == 101
    assert (rows.max(axis=1) >= 14).all()


@pytest.mark.parametrize("width", [0.5, 1.0, 4.0, 64.0])
def test_tuning_curves_have_one_top(width: float) -> None:
    table = tuning_table(width).astype(int)
    assert table.shape == (256, LANES) and table.min() >= 0 and table.max() == 15
    for row in table:
        top = int(row.argmax())
        assert (np.diff(row[: top + 1]) >= 0).all() and (np.diff(row[top:]) <= 0).all()
    np.testing.assert_array_equal(table, table[::-1, ::-1])


def test_beyond_the_bounds_is_at_the_bounds() -> None:
    for value, bound in ((-1e300, -1.0), (-1.5, -1.0), (1e300, 1.0)):
        np.testing.assert_array_equal(shown(box(), np.array([value])), shown(box(), np.array([bound])))


def test_dimensions_have_words_of_their_own() -> None:
    space = SPACES["bounded"]
    rows = shown(space, np.array([-2.0, 0.5, 3.0]), SHARP)
    assert rows.argmax(axis=1).tolist() == [0, 15, 31]
    rows = shown(spaces.Box(-1, 1, (2, 2)), np.array([[-1, 1], [1, -1]]), SHARP)
    assert rows.argmax(axis=1).tolist() == [0, 31, 31, 0]


def neurons(space: spaces.Space[Any], observation: Any) -> dict[int, int]:
    """Neurons that are shown something, and how much."""
    flat = shown(space, observation).ravel()
    return {int(i): int(flat[i]) for i in np.flatnonzero(flat)}


def test_counted_things_have_neurons_of_their_own() -> None:
    assert [neurons(spaces.Discrete(3, start=-1), x) for x in (-1, 0, 1)] == [{0: 15}, {1: 15}, {2: 15}]
    assert neurons(spaces.Discrete(70), 69) == {69: 15}
    assert neurons(SPACES["multidiscrete"], np.array([3, -1])) == {2: 15, 3: 15}
    assert neurons(SPACES["multidiscrete 2-D"], np.array([[2, 1], [0, 39]])) == {2: 15, 4: 15, 5: 15, 45: 15}
    assert neurons(spaces.MultiBinary((2, 2)), np.array([[0, 1], [1, 0]])) == {1: 15, 2: 15}
    assert neurons(SPACES["binary"], np.array([4, 5, 4])) == {1: 15}
    boolean = np.zeros((3, 3), np.bool_)
    boolean[1, 0] = True
    assert neurons(SPACES["boolean"], boolean) == {3: 15}


def test_large_images_are_shown_directly() -> None:
    image = np.zeros((7, 5, 3), np.uint8)
    image[0, 0] = 15, 16, 255
    image[6, 4, 2] = 128
    # planes of 35 pixels, in two words each
    assert neurons(SPACES["image"], image) == {64: 1, 128: 15, 128 + 34: 8}
    assert Encoder(spaces.Box(0, 255, (84, 84, 4), np.uint8), CONFIG).words == 4 * 221
    assert Encoder(spaces.Box(0, 255, (64,), np.uint8), CONFIG).words == 64
    assert Encoder(spaces.Box(0, 255, (65,), np.uint8), CONFIG).words == 3


def test_parts_of_an_observation_do_not_mix() -> None:
    encoder = Encoder(SPACES["tuple"], SHARP)
    assert (encoder.tuned, encoder.neurons, encoder.words) == (2, 5, 3)
    low, high = np.array([-1, 1], np.float32), np.array([1, -1], np.float32)
    a = encoder.encode([(2, low, np.array([0, 1]))], ALL)[0]
    b = encoder.encode([(2, high, np.array([0, 1]))], ALL)[0]
    assert a[:2].argmax(axis=1).tolist() == [0, 31] and b[:2].argmax(axis=1).tolist() == [31, 0]
    np.testing.assert_array_equal(a[2], b[2])
    assert np.flatnonzero(a[2]).tolist() == [2, 4]


UNBOUNDED = AgentConfig(warmup=50)


def test_ranges_are_learned_and_then_frozen() -> None:
    encoder = Encoder(box(-INF, INF), UNBOUNDED)
    random = np.random.default_rng(0)
    for value in random.normal(100, 3, 50):
        encoder.encode([np.array([value])], ALL, learn=True)
    assert encoder.seen.tolist() == [50]
    learned = encoder.arrays()
    low = learned["encoder_low"][0, 0]
    high = low + 255 / learned["encoder_scale"][0, 0]
    assert (low + high) / 2 == pytest.approx(100, abs=2) and high - low == pytest.approx(12, rel=0.3)
    frozen = encoder.arrays()
    for value in (-1e9, 1e9, 0.0):
        encoder.encode([np.array([value])], ALL, learn=True)
    for name, array in encoder.arrays().items():
        np.testing.assert_array_equal(array, frozen[name], err_msg=name)


def test_bounds_hold_unless_ranges_are_to_adapt() -> None:
    bounded = Encoder(box(), UNBOUNDED)
    adaptive = Encoder(box(), UNBOUNDED.replace({"ranges": "adaptive"}))
    still = Encoder(box(-INF, INF), AgentConfig(warmup=0))
    for encoder in (bounded, adaptive, still):
        for value in (0.1, 0.2, 0.15):
            encoder.encode([np.array([value])], ALL, learn=True)
    scales = [encoder.arrays()["encoder_scale"][0, 0] for encoder in (bounded, adaptive)]
    assert scales[0] == 127.5 and scales[1] > 1000
    assert still.scale[0, 0] == 127.5 and still.low[0, 0] == -1


def test_a_constant_unbounded_dimension_is_shown() -> None:
    encoder = Encoder(box(-INF, INF), UNBOUNDED)
    rows = [encoder.encode([np.array([1e5])], ALL, learn=True) for _ in range(60)]
    assert all(row.max() == 15 for row in rows)


@pytest.mark.parametrize("name", ["unbounded", "nested"])
def test_brains_have_ranges_of_their_own(name: str) -> None:
    space, config = SPACES[name], AgentConfig(warmup=7)
    together, alone = Encoder(space, config, 3), [Encoder(space, config) for _ in range(3)]
    random = np.random.default_rng(1)
    for observation in samples(space, 40):
        rows = random.permutation(3)[: random.integers(1, 4)]
        shifted = samples(space, 3)
        own = [observation if brain == 1 else shifted[brain] for brain in rows]
        both = together.encode(own, rows, learn=True)
        for row, brain, seen in zip(both, rows, own, strict=True):
            np.testing.assert_array_equal(row, alone[brain].encode([seen], ALL, learn=True)[0])
    for key, array in together.arrays().items():
        np.testing.assert_array_equal(array, np.concatenate([one.arrays()[key] for one in alone]))


def test_ranges_can_be_restored() -> None:
    first, second = (Encoder(SPACES["unbounded"], UNBOUNDED, 2) for _ in range(2))
    for observation in samples(SPACES["unbounded"], 20):
        first.encode([observation, 3 * observation], ALL, learn=True)
    second.restore(first.arrays())
    for observation in samples(SPACES["unbounded"], 60):
        pair = [observation, 3 * observation]
        np.testing.assert_array_equal(second.encode(pair, ALL, learn=True), first.encode(pair, ALL, learn=True))


DICT = spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Discrete(3))
WRONG: list[tuple[spaces.Space[Any], Any, str]] = [
    (SPACES["bounded"], np.array([0, np.nan, 0]), "observations must be finite, got nan"),
    (SPACES["bounded"], np.array([INF, 0, 0]), "observations must be finite, got inf"),
    (SPACES["unbounded"], np.full((2, 2), -INF), "observations must be finite, got -inf"),
    (SPACES["bounded"], np.zeros(4), r"observations must have shape \(3,\), got \(4,\)"),
    (SPACES["bounded"], 1.0, r"observations must have shape \(3,\), got \(\)"),
    (SPACES["bounded"], None, "observations must"),
    (SPACES["bounded"], "abc", "observations must"),
    (SPACES["bounded"], {"a": 1}, "observations must"),
    (SPACES["bounded"], [[1.0], [2.0, 3.0], 1.0], "observations must belong to Box"),
    (DICT, {"a": np.zeros(2)}, "observations must belong to Dict.*'b'"),
    (DICT, {"b": 1}, "observations must belong to Dict.*'a'"),
    (DICT, np.zeros(2), "observations must belong to Dict"),
    (DICT, {"a": np.zeros(3), "b": 1}, r"observations at a must have shape \(2,\), got \(3,\)"),
    (SPACES["discrete"], 5, "observations must belong to Discrete"),
    (SPACES["discrete"], -1, "observations must belong to Discrete"),
    (SPACES["discrete"], 1.5, "observations must belong to Discrete"),
    (SPACES["discrete"], np.nan, "observations must be finite"),
    (SPACES["discrete from -2"], 3, "observations must belong to Discrete"),
    (SPACES["multidiscrete"], np.array([0, 0]), "observations must belong to MultiDiscrete"),
    (SPACES["multidiscrete 2-D"], np.array([[3, 0], [0, 0]]), "observations must belong to MultiDiscrete"),
    (SPACES["image"], np.full((7, 5, 3), np.nan), "observations must be finite"),
    (SPACES["tuple"], (1, np.zeros(2)), "observations must belong to Tuple"),
]


@pytest.mark.parametrize(("space", "observation", "message"), WRONG)
def test_wrong_observations_are_refused_in_one_sentence(
    space: spaces.Space[Any], observation: Any, message: str
) -> None:
    with pytest.raises(ObservationError, match=message) as caught:
        Encoder(space, CONFIG).encode([observation], ALL)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("space", "batch"),
    [
        (SPACES["bounded"], np.zeros((2, 4))),
        (SPACES["bounded"], np.zeros(())),
        (SPACES["bounded"], None),
        (DICT, {"a": np.zeros((2, 2)), "b": np.zeros(1, int)}),
        (DICT, {"a": np.zeros((2, 2)), "b": 0}),
        (DICT, {"b": np.zeros(1, int)}),
        (DICT, {"a": np.zeros((2, 2))}),
    ],
)
def test_wrong_batches_are_refused_in_one_sentence(space: spaces.Space[Any], batch: Any) -> None:
    encoder = Encoder(space, CONFIG, 2)
    with pytest.raises(ObservationError, match="observations") as caught:
        rows = encoder.as_batch(batch)
        assert rows is not None
        encoder.encode(rows, ALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Dict(a=spaces.Text(5)),
        spaces.Box(-INF, INF, (65,)),
        spaces.Box(-1, 1, (0,)),
    ],
)
def test_spaces_without_neurons_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(SpaceError, match="wrap the environment") as caught:
        Encoder(space, CONFIG)
    assert "\n" not in str(caught.value)


def test_many_different_bounds_still_make_one_sentence() -> None:
    wide = spaces.Box(-np.arange(1.0, 41), np.arange(1.0, 41), dtype=np.float64)
    with pytest.raises(ObservationError) as caught:
        Encoder(wide, CONFIG).encode([[[1.0], [1.0, 2.0]]], ALL)
    assert "\n" not in str(caught.value)
