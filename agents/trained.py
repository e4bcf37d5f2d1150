"""Trained brains that come along, for the tasks of the packaged suites."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from hebbit.agents.errors import HebbitError, brief
from hebbit.agents.runs import safe_name

PREFIX = "trained:"
"""``trained:CartPole-v1`` names one wherever a command takes a checkpoint."""
FOLDER, CATALOGUE = "trained_brains", "catalogue.json"


def catalogue() -> dict[str, dict[str, Any]]:
    """What is known of each brain, by the name of its task: how it was trained and chosen, and what it scored."""
    content: dict[str, dict[str, Any]] = json.loads(_folder().joinpath(CATALOGUE).read_text(encoding="utf-8"))
    return content


def trained(name: str) -> Path:
    """The checkpoint of a trained brain, for ``SpikingAgent.load``.

    Args:
        name: of its task, such as ``CartPole-v1``.

    Raises:
        HebbitError: there is none.
    """
    known = catalogue()
    if name not in known:
        raise HebbitError(f"a trained brain comes along for {', '.join(known)}, got {brief(name, text=repr)}")
    return _folder() / f"{safe_name(name)}.zip"


def located(name: str) -> Path:
    """A path, or the trained brain that ``trained:NAME`` names."""
    return trained(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else Path(name)


def comes_along(path: Path) -> bool:
    """Whether a checkpoint is one of those: what it names is hebbit's own and may be imported."""
    return path.resolve().parent == _folder().resolve()


def _folder() -> Path:
    return Path(str(files("hebbit.agents").joinpath(FOLDER)))
