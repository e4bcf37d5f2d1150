"""Spaces as JSON, so that an agent can be loaded without its environment."""

from typing import Any

import numpy as np
from gymnasium import spaces

from hebbit.agents.errors import CheckpointError

Space = spaces.Space[Any]


def row(batch: Any, index: int) -> Any:
    """One observation of a batch (an array, or a dict or tuple of arrays)."""
    if isinstance(batch, dict):
        return {key: row(value, index) for key, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(row(value, index) for value in batch)
    return batch[index]


def to_json(space: Space) -> dict[str, Any]:
    """A supported space in JSON; floats as hexadecimal text, which is exact and knows infinity."""
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: to_json(value) for key, value in space.spaces.items()}}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "spaces": [to_json(value) for value in space.spaces]}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "shape": list(space.shape)}
    assert isinstance(space, spaces.Box)
    return {
        "type": "Box",
        "shape": list(space.shape),
        "dtype": np.dtype(space.dtype).str,
        "low": [float(x).hex() for x in space.low.ravel()],
        "high": [float(x).hex() for x in space.high.ravel()],
    }


def from_json(data: Any) -> Space:
    """The space that :func:`to_json` described.

    Raises:
        CheckpointError: it describes none.
    """
    try:
        return _from_json(data)
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoint must describe its spaces, got {str(data)[:80]}; it was damaged, use another"
        ) from error


def _from_json(data: Any) -> Space:
    kind = data["type"]
    if kind == "Dict":
        return spaces.Dict({key: _from_json(value) for key, value in data["spaces"].items()}, sort_keys=False)
    if kind == "Tuple":
        return spaces.Tuple([_from_json(value) for value in data["spaces"]])
    if kind == "Discrete":
        return spaces.Discrete(int(data["n"]), start=int(data["start"]))
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(data["nvec"]), start=np.array(data["start"]))
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["shape"] if len(data["shape"]) > 1 else data["shape"][0])
    if kind == "Box":
        dtype, shape = np.dtype(data["dtype"]), tuple(data["shape"])
        low, high = (
            np.array([float.fromhex(x) for x in data[end]], np.float64).astype(dtype).reshape(shape)
            for end in ("low", "high")
        )
        return spaces.Box(low, high, shape, dtype.type)
    raise ValueError(kind)
