"""Spaces in JSON: exact, through the very writer that checkpoints use, and suspicious of what it reads."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from hebbit.agents.checkpoint import canonical_json
from hebbit.agents.errors import CheckpointError, HebbitError
from hebbit.agents.leaves import leaves
from hebbit.agents.spaces import from_json, row, to_json

INF = np.inf
WHOLE = np.iinfo(np.int64)
SPACES: list[spaces.Space[Any]] = [
    spaces.Discrete(4),
    spaces.Discrete(4, start=-3),
    spaces.Discrete(4, dtype=np.int32),
    spaces.MultiDiscrete([3, 2]),
    spaces.MultiDiscrete(np.array([[3, 2], [1, 4]]), start=np.array([[0, -1], [5, 0]])),
    spaces.MultiDiscrete([3, 2], dtype=np.int32),
    spaces.MultiBinary(3),
    spaces.MultiBinary([3]),
    spaces.MultiBinary((2, 3)),
    spaces.Box(-1.0, 1.0, (2, 3)),
    spaces.Box(-INF, INF, (2,)),
    spaces.Box(np.array([-INF, 0.1, -0.0]), np.array([0.3, INF, 1e-310]), dtype=np.float64),
    spaces.Box(-1.0, 1.0, ()),
    spaces.Box(-1.0, 1.0, (2,), np.float16),
    spaces.Box(0, 255, (2, 2), np.uint8),
    spaces.Box(0, 1, (3,), np.bool_),
    spaces.Box(WHOLE.min, WHOLE.max, (2,), np.int64),
    spaces.Box(0, (1 << 53) + 1, (1,), np.int64),
    spaces.Tuple([spaces.Discrete(2), spaces.Tuple([spaces.MultiBinary(2), spaces.Box(0, 1, (1,))])]),
    spaces.Dict(a=spaces.Discrete(2), b=spaces.Dict(c=spaces.Box(-INF, INF, (2,)))),
    spaces.Dict({"": spaces.Discrete(2), "ü \n": spaces.Discrete(3)}),
]


def through_json(space: spaces.Space[Any]) -> spaces.Space[Any]:
    return from_json(json.loads(canonical_json(to_json(space))))


def same(a: spaces.Space[Any], b: spaces.Space[Any]) -> bool:
    """Equal to the last bit and in the order of their parts, which Gymnasium's == is not."""
    if isinstance(a, spaces.Box) and isinstance(b, spaces.Box):
        return a == b and a.low.tobytes() == b.low.tobytes() and a.high.tobytes() == b.high.tobytes()
    if isinstance(a, spaces.Dict) and isinstance(b, spaces.Dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, spaces.Tuple) and isinstance(b, spaces.Tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) and a.dtype == b.dtype


@pytest.mark.parametrize("space", SPACES, ids=lambda s: " ".join(str(s).split()))
def test_spaces_make_a_round_trip(space: spaces.Space[Any]) -> None:
    again = through_json(space)
    assert same(again, space)
    assert canonical_json(to_json(again)) == canonical_json(to_json(space))
    space.seed(1), again.seed(1)
    assert str(space.sample()) == str(again.sample())


@pytest.mark.parametrize("sort_keys", [True, False])
def test_the_order_of_a_dict_survives(sort_keys: bool) -> None:
    """Its leaves are the words of a brain, in this order."""
    pairs: Any = [("z", spaces.Discrete(2)), ("a", spaces.Box(-1, 1, (2,))), ("m", spaces.Discrete(3))]
    space = spaces.Dict(pairs, sort_keys=sort_keys)
    assert list(space) == ["z", "a", "m"]
    again = through_json(space)
    assert [leaf.path for leaf in leaves(again)] == [leaf.path for leaf in leaves(space)]


def test_keys_that_are_no_text_are_refused() -> None:
    space = spaces.Dict({1: spaces.Discrete(2)})  # type: ignore[dict-item]  # Gymnasium takes any key
    with pytest.raises(HebbitError):
        through_json(space)


BAD: list[Any] = [None, True, -1, 0, 1.5, 10**30, "x", "", [], [-1], [[1], [1, 2]], ["x"], {}, {"a": 1}, [None]]


@pytest.mark.parametrize("space", SPACES, ids=lambda s: " ".join(str(s).split()))
def test_descriptions_that_describe_nothing_are_refused(space: spaces.Space[Any]) -> None:
    complaints = []
    for key in to_json(space):
        for value in [*BAD, "missing"]:
            data = to_json(space)
            if value == "missing":
                del data[key]
            else:
                data[key] = value
            try:
                assert isinstance(from_json(data), spaces.Space)
            except CheckpointError as error:
                if "\n" in str(error) or len(str(error)) > 250:
                    complaints.append((key, value, str(error)))
            except Exception as error:  # whatever else comes is what we look for
                complaints.append((key, value, repr(error)))
    assert complaints == []


@pytest.mark.parametrize("data", [*BAD, {"type": "Graph"}, {"type": "Dict", "spaces": {"a": 3}}, {"type": []}])
def test_what_is_no_description_is_refused(data: Any) -> None:
    with pytest.raises(CheckpointError, match="must describe its spaces"):
        from_json(data)


@pytest.mark.parametrize("dtype", ["|O", "<U3", "<M8[s]", "V4", "<c16", "f4,f4", "nonsense"])
def test_types_that_are_no_numbers_are_refused(dtype: str) -> None:
    with pytest.raises(CheckpointError, match="must describe its spaces"):
        from_json({**to_json(spaces.Box(-1.0, 1.0, (1,))), "dtype": dtype})


def test_infinite_nesting_is_refused() -> None:
    data: Any = to_json(spaces.Discrete(2))
    for _ in range(5000):
        data = {"type": "Tuple", "spaces": [data]}
    with pytest.raises(CheckpointError):
        from_json(data)


def test_rows_of_batches() -> None:
    batch = {"a": np.arange(6).reshape(3, 2), "b": (np.arange(3), {"c": np.arange(3) + 5})}
    one = row(batch, 1)
    assert one["a"].tolist() == [2, 3] and one["b"][0] == 1 and one["b"][1] == {"c": 6}
