"""The folder of an inspection: made by us, so that it may be renewed, and never anything else."""

import json
import os
from pathlib import Path

from hebbit.agents.errors import RunError
from hebbit.agents.files import remove_partial, storage_error

MADE_BY = "hebbit inspect"
FIGURES, ARRAYS, INDEX, WATCH, VIDEO = "inspection.json", "inspection.npz", "index.html", "watch.html", "watch.mp4"
PICTURES = (
    "raster.png", "rates.png", "tuning.png", "preferred.png", "fields.png", "weights.png", "traces.png", "value.png",
    "actions.png",
)  # fmt: skip
OURS = frozenset({FIGURES, ARRAYS, INDEX, WATCH, VIDEO, *PICTURES})


def check_folder(path: Path) -> None:
    """Refuse now a folder that is not ours to write to.

    Raises:
        RunError: it is a file, holds anything but an older inspection, or takes no files.
    """
    if path.is_dir():
        _refuse_foreign(path)
        place = path
    elif os.path.lexists(path):
        raise RunError(f"{path} is a file where a folder is needed: choose another --out")
    else:
        place = next(parent for parent in path.absolute().parents if parent.exists())
    if not place.is_dir():
        raise RunError(f"{path} cannot be made, {place} is a file: choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"{path} cannot be written, {place} is read-only for you: choose another --out")


def _refuse_foreign(path: Path) -> None:
    try:
        names = {entry.name for entry in path.iterdir() if not entry.name.endswith(".partial")}
    except OSError as error:
        raise storage_error(path, error, what="folder") from error
    foreign = sorted(names - OURS)
    if foreign:
        raise RunError(f"{path} holds {foreign[0]}, which is no part of an inspection: choose another --out")
    if names and not _is_ours(path / FIGURES):
        raise RunError(f"{path} holds files of which no {FIGURES} says that we made them: choose another --out")


def _is_ours(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY


def renew(path: Path) -> None:
    """Make the folder, and empty it of an older inspection but for the file that says it is ours.

    Raises:
        RunError: the operating system refused.
    """
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        remove_partial(path)
        for name in OURS - {FIGURES}:
            (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error, what="folder") from error
