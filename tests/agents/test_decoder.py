"""From motor units to actions: fresh objects that belong to their space."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from hebbit.agents import AgentConfig
from hebbit.agents.decoder import Decoder
from hebbit.agents.errors import SpaceError

CONFIG = AgentConfig(pool_words=4)
SPACES: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4),
    "discrete from -2": spaces.Discrete(3, start=-2),
    "discrete int8": spaces.Discrete(3, dtype=np.int8),
    "multidiscrete": spaces.MultiDiscrete([3, 2]),
    "multidiscrete 2-D": spaces.MultiDiscrete(np.array([[3, 2], [1, 4]]), start=np.array([[1, -2], [0, 5]])),
    "multidiscrete int32": spaces.MultiDiscrete([3, 2], dtype=np.int32),
    "multibinary": spaces.MultiBinary(3),
    "multibinary n-D": spaces.MultiBinary((2, 3)),
    "box": spaces.Box(-1.0, 1.0, (2,), np.float32),
    "box of other bounds": spaces.Box(np.array([[-2.0, 0.1]], np.float32), np.array([[3.0, 0.3]], np.float32)),
    "box float64": spaces.Box(-0.1, 0.3, (1,), np.float64),
    "box float16": spaces.Box(-1.0, 1.0, (1,), np.float16),
    "integer box": spaces.Box(-3, 10, (2,), np.int32),
    "byte box": spaces.Box(0, 255, (2,), np.uint8),
    "scalar box": spaces.Box(-1.0, 1.0, (), np.float32),
    "flat box": spaces.Box(0.5, 0.5, (1,), np.float32),
}


def all_units(decoder: Decoder) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    """Lowest, highest and some other units of each group."""
    random = np.random.default_rng(0)
    drawn = [random.integers(0, decoder.groups) for _ in range(20)]
    ends = [np.zeros(len(decoder.groups)), np.array(decoder.groups) - 1]
    return [np.array(units, np.int32) for units in (*ends, *drawn)]


@pytest.mark.parametrize("name", SPACES)
def test_actions_belong_to_their_space(name: str) -> None:
    space = SPACES[name]
    decoder = Decoder(space, CONFIG)
    for units in all_units(decoder):
        action = decoder.decode(units)
        assert space.contains(action), (units, action)
        assert np.asarray(action).dtype == space.dtype or isinstance(space, spaces.Discrete)


@pytest.mark.parametrize("name", SPACES)
def test_actions_are_fresh(name: str) -> None:
    decoder = Decoder(SPACES[name], CONFIG)
    units = all_units(decoder)[1]
    first, second = decoder.decode(units), decoder.decode(units)
    np.testing.assert_array_equal(first, second)
    if isinstance(first, np.ndarray) and first.ndim:
        assert not np.shares_memory(first, second) and not np.shares_memory(first, units)
        assert first.flags.writeable
        first[...] = 0
        np.testing.assert_array_equal(decoder.decode(units), second)


@pytest.mark.parametrize("name", SPACES)
def test_every_action_has_its_units(name: str) -> None:
    decoder = Decoder(SPACES[name], AgentConfig(box_bins=2))
    sizes = decoder.groups
    codes = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), axis=-1).reshape(-1, len(sizes))
    actions = {np.asarray(decoder.decode(units.astype(np.int32))).tobytes() for units in codes}
    assert len(actions) == (1 if name == "flat box" else len(codes))


def test_groups_of_every_space() -> None:
    groups = {name: Decoder(space, AgentConfig(box_bins=5)).groups for name, space in SPACES.items()}
    assert groups["discrete"] == (4,) and groups["discrete from -2"] == (3,)
    assert groups["multidiscrete 2-D"] == (3, 2, 1, 4) and groups["multibinary n-D"] == (2,) * 6
    assert groups["box of other bounds"] == (5, 5) and groups["scalar box"] == (5,)


def test_elements_keep_their_order() -> None:
    units = np.array([2, 1, 0, 3], np.int32)
    np.testing.assert_array_equal(Decoder(SPACES["multidiscrete 2-D"], CONFIG).decode(units), [[3, -1], [0, 8]])
    units = np.array([0, 0, 1, 1, 0, 0], np.int32)
    np.testing.assert_array_equal(Decoder(SPACES["multibinary n-D"], CONFIG).decode(units), [[0, 0, 1], [1, 0, 0]])
    assert [int(Decoder(SPACES["discrete from -2"], CONFIG).decode(np.array([u], np.int32))) for u in range(3)] == [
        -2, -1, 0,
    ]  # fmt: skip


@given(
    st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32), st.sampled_from([2, 3, 7, 256]), st.booleans()
)  # fmt: skip
def test_bins_include_the_bounds(low: float, width: float, bins: int, double: bool) -> None:
    dtype: Any = np.float64 if double else np.float32
    first = np.array([low], dtype)
    space = spaces.Box(first, first + np.array([width], dtype), dtype=dtype)
    decoder = Decoder(space, AgentConfig(box_bins=bins))
    values = [decoder.decode(np.array([unit], np.int32)) for unit in range(bins)]
    assert values[0] == space.low and values[-1] == space.high
    assert all(space.contains(value) for value in values)
    assert (np.diff(np.concatenate(values)) >= 0).all()


def test_bins_are_evenly_spaced() -> None:
    decoder = Decoder(spaces.Box(-2.0, 2.0, (1,)), AgentConfig(box_bins=5))
    assert [float(decoder.decode(np.array([u], np.int32))[0]) for u in range(5)] == [-2, -1, 0, 1, 2]


def test_integer_boxes_are_rounded() -> None:
    decoder = Decoder(spaces.Box(0, 10, (1,), np.int64), AgentConfig(box_bins=4))
    assert [int(decoder.decode(np.array([u], np.int32))[0]) for u in range(4)] == [0, 3, 7, 10]


def mean_of(space: spaces.Space[Any], volley: list[int], unit: int = 0, decode: str = "mean") -> Any:
    decoder = Decoder(space, AgentConfig(box_bins=3).replace({"box_decode": decode}))
    units = np.full(len(decoder.groups), unit, np.int32)
    return decoder.decode_mean(np.array(volley, np.int32), units)


def test_the_mean_weighs_the_volley() -> None:
    space = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 8.0], np.float32))
    action = mean_of(space, [1, 2, 1, 0, 1, 3])
    assert space.contains(action) and action.tolist() == [0.0, 7.0]
    assert mean_of(space, [1, 2, 1, 0, 1, 3], unit=2, decode="draw").tolist() == [1.0, 8.0]
    assert mean_of(spaces.Box(0, 10, (1,), np.int32), [0, 3, 1]).tolist() == [6]
    assert space.contains(mean_of(space, [0] * 6))
    assert mean_of(spaces.Discrete(3), [0, 3, 1], unit=2) == 2


@pytest.mark.parametrize("name", [name for name in SPACES if "box" in name])
def test_the_mean_belongs_to_the_space(name: str) -> None:
    decoder = Decoder(SPACES[name], CONFIG)
    random = np.random.default_rng(0)
    for units in all_units(decoder):
        volley = random.integers(0, 256, sum(decoder.groups)).astype(np.int32)
        assert SPACES[name].contains(decoder.decode_mean(volley, units))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (1,)),
        spaces.Box(np.array([0.0, -np.inf]), np.ones(2), dtype=np.float64),
        spaces.Box(-1.0, 1.0, (0,)),
        spaces.Text(3),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Dict(a=spaces.Discrete(2)),
        spaces.Sequence(spaces.Discrete(2)),
    ],
)
def test_unsupported_spaces_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(SpaceError, match="wrap the environment") as caught:
        Decoder(space, CONFIG)
    assert "\n" not in str(caught.value)
