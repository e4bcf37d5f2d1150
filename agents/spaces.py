"""Spaces as JSON, so that an agent can be loaded without its environment."""

from collections import OrderedDict
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents.errors import CheckpointError, SpaceError, brief

Space = spaces.Space[Any]


def row(batch: Any, index: int) -> Any:
    """One observation of a batch (an array, or a dict or tuple of arrays)."""
    if isinstance(batch, dict):
        return {key: row(value, index) for key, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(row(value, index) for value in batch)
    return batch[index]


def to_json(space: Space) -> dict[str, Any]:
    """A supported space in JSON; floats as hexadecimal text, which is exact and knows infinity.

    Raises:
        SpaceError: a key that is no text.
    """
    if isinstance(space, spaces.Dict):
        # pairs: the order is that of the words, and JSON is written with sorted keys
        return {"type": "Dict", "spaces": [[text_key(key), to_json(value)] for key, value in space.spaces.items()]}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "spaces": [to_json(value) for value in space.spaces]}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start), **_kind(space)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist(), **_kind(space)}
    if isinstance(space, spaces.MultiBinary):
        # MultiBinary(3) and MultiBinary([3]) are not equal
        nested = {} if isinstance(space.n, int) or len(space.shape) > 1 else {"nested": True}
        return {"type": "MultiBinary", "shape": list(space.shape), **nested}
    assert isinstance(space, spaces.Box)
    text = float.hex if np.issubdtype(space.dtype, np.floating) else int
    return {
        "type": "Box",
        "shape": list(space.shape),
        "dtype": np.dtype(space.dtype).str,
        "low": [text(x) for x in space.low.ravel().tolist()],
        "high": [text(x) for x in space.high.ravel().tolist()],
    }


def text_key(key: Any) -> str:
    """A key of a Dict space.

    Raises:
        SpaceError: it is no text, which is all that JSON knows.
    """
    if not isinstance(key, str):
        raise SpaceError(f"keys of a Dict must be text, got {brief(key, text=repr)}; wrap the environment")
    return key


def _kind(space: Space) -> dict[str, str]:
    return {} if space.dtype == np.int64 else {"dtype": np.dtype(space.dtype).str}


def from_json(data: Any) -> Space:
    """The space that :func:`to_json` described.

    Raises:
        CheckpointError: it describes none.
    """
    try:
        with np.errstate(over="raise", invalid="raise"):
            return _from_json(data)
    except Exception as error:  # what does not fit makes Gymnasium and NumPy raise nearly anything
        raise CheckpointError(
            f"the checkpoint must describe its spaces, got {brief(data)}; it was damaged, use another"
        ) from error


def _from_json(data: Any) -> Space:
    kind = data["type"]
    if kind == "Dict":
        # an OrderedDict keeps its order in every Gymnasium
        return spaces.Dict(OrderedDict((text_key(key), _from_json(value)) for key, value in data["spaces"]))
    if kind == "Tuple":
        return spaces.Tuple([_from_json(value) for value in data["spaces"]])
    if kind == "Discrete":
        dtype = _dtype(data.get("dtype", "<i8"))
        dtype.type(data["start"] + data["n"] - 1)
        return spaces.Discrete(data["n"], start=data["start"], dtype=dtype.type)
    if kind == "MultiDiscrete":
        dtype = _dtype(data.get("dtype", "<i8"))
        return spaces.MultiDiscrete(_whole(data["nvec"], dtype), dtype.type, start=_whole(data["start"], dtype))
    if kind == "MultiBinary":
        shape = _whole(data["shape"], np.dtype(np.int64)).tolist()
        return spaces.MultiBinary(shape if len(shape) > 1 or data.get("nested") else shape[0])
    if kind == "Box":
        dtype, shape = _dtype(data["dtype"]), tuple(data["shape"])
        low, high = (_bounds(data[end], dtype).reshape(shape) for end in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    raise ValueError(kind)


def _dtype(text: str) -> np.dtype[Any]:
    dtype = np.dtype(text)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(text)
    return dtype


def _whole(values: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if np.array(values).dtype.kind not in "iu":
        raise ValueError(values)
    return np.array(values, dtype)


def _bounds(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return np.array([float.fromhex(x) for x in values], np.float64).astype(dtype)
    return _whole(values, np.dtype(np.int64) if dtype.kind == "b" else dtype).astype(dtype)
