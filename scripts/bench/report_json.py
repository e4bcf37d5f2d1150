"""JSON files read with distrust: whatever is missing or wrong is named, with its file and place."""

import json
import sys
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError, brief

F64 = NDArray[np.float64]

FORMAT = 2
"""Of suite.json and of the runs."""


class ResultError(HebbitError):
    """Results of a benchmark that cannot be used."""


class Node:
    """A part of a JSON file, whose entries are asked for with the kind that they must have."""

    def __init__(self, path: Path, content: Any, place: str = "") -> None:
        """Hold the part at a place of a file."""
        self.path, self.content, self.place = path, content, place

    def get(self, name: str, *kinds: type) -> Any:
        """An entry of one of these kinds, or of none: an entry that may be absent has NoneType among them."""
        if not isinstance(self.content, dict):
            raise self.damaged(f"{self.place or 'the file'} must be an object")
        value = self.content.get(name)
        if isinstance(value, int) and float in kinds and not isinstance(value, bool) and finite(value):
            value = float(value)
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        if wrong or (isinstance(value, int | float) and not finite(value)):
            kind = " or ".join(_KINDS[kind] for kind in kinds)
            raise self.damaged(f"{self.name(name)} must be {kind}, got {brief(value, text=repr)}")
        return value

    def node(self, name: str) -> "Node":
        """An entry that is an object."""
        return Node(self.path, self.get(name, dict), self.name(name))

    def nodes(self, name: str) -> "list[Node]":
        """An entry that is a list of objects."""
        return [Node(self.path, one, f"{self.name(name)}[{i}]") for i, one in enumerate(self.get(name, list))]

    def numbers(self, name: str) -> F64:
        """An entry that is a list of at least one finite number, [n]."""
        values = self.get(name, list)
        fit = values and all(isinstance(x, int | float) and not isinstance(x, bool) and finite(x) for x in values)
        if not fit:
            raise self.damaged(f"{self.name(name)} must be a list of numbers, got {brief(values, text=repr)}")
        return np.array(values, np.float64)

    def number(self, name: str) -> float:
        """An entry that is a number; nan where it is null or absent."""
        value = self.get(name, float, type(None))
        return nan if value is None else float(value)

    def name(self, name: str) -> str:
        """Where an entry stands."""
        return f"{self.place}.{name}" if self.place else name

    def damaged(self, what: str) -> ResultError:
        """An error that names the file."""
        return ResultError(f"{self.path} is damaged: {what}; remove it and run the benchmark again")


_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def finite(value: float) -> bool:
    """Whether it is a number that a float holds; Python's whole numbers may be larger than any."""
    return abs(value) <= sys.float_info.max


def load(path: Path) -> Node:
    """The content of a JSON file.

    Raises:
        ResultError: it cannot be read, or is none.
    """
    try:
        return Node(path, json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}; see that it may be read") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is no JSON: {brief(error)}; remove it and run the benchmark again") from error


def is_older(node: Node) -> bool:
    """Whether a file is of a format that is not understood any more."""
    return bool(node.get("format", int) < FORMAT)


def check_format(node: Node) -> None:
    """See that a file is of the format that is understood here.

    Raises:
        ResultError: it is not.
    """
    found = node.get("format", int)
    if found != FORMAT:
        raise ResultError(
            f"{node.path} has format {found}, but this hebbit reads format {FORMAT}: use the one it is of"
        )
