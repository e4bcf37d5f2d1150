"""The preset that a search leaves: a TOML file that says how it was found."""

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from hebbit.agents import AgentConfig
from hebbit.agents.errors import RunError
from hebbit.agents.files import atomic_write_text
from hebbit.scripts.tune_space import Value, differences


def toml(settings: Mapping[str, Value], comments: Sequence[str]) -> str:
    """Settings, one a line, below comments."""
    lines = [f"# {line}" for text in comments for line in text.splitlines()]
    lines += [f"{name} = {_literal(value)}" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


def _literal(value: Value) -> str:
    # JSON writes texts, numbers and truth values as TOML reads them
    return json.dumps(value)


Origin = Sequence[int | bool]
"""Number of the trial that a preset is, and whether fresh seeds chose it; as JSON has it."""


class PresetFile:
    """A file that only its own search writes over."""

    def __init__(self, path: Path, written: Mapping[str, Origin] | None = None) -> None:
        """Take the place.

        Args:
            path: of the file.
            written: all that this search has written, here or elsewhere: by digest, where it comes from.

        Raises:
            RunError: something else is there, or no file can be.
        """
        self.path = path
        self.written = dict(written or {})
        self.check()

    def check(self) -> None:
        """Refuse to write over what this search has not written.

        Raises:
            RunError: something else is there, or no file can be.
        """
        folder = self.path.absolute().parent
        if not folder.is_dir():
            raise RunError(f"{self.path} needs its folder {self.path.parent}: make it, or choose another --out")
        if not os.access(folder, os.W_OK):
            raise RunError(f"{self.path} cannot be written, its folder is read-only for you: choose another --out")
        if os.path.lexists(self.path) and self.own() is None:
            raise RunError(
                f"{self.path} exists already and is not as this search left it: choose another --out, it would not be "
                "overwritten"
            )

    def own(self) -> Origin | None:
        """Where what is there comes from; None where it is not what this search wrote, or nothing is there."""
        return self.written.get(_digest(self.path.read_bytes())) if self.path.is_file() else None

    def prepared(self, config: AgentConfig, comments: Sequence[str], origin: Origin) -> str:
        """The text of a preset; its digest counts as our own from now on.

        Args:
            config: what it holds.
            comments: that stand above.
            origin: where it comes from.
        """
        text = toml(differences(config), comments)
        assert AgentConfig().replace(tomllib.loads(text)) == config
        # All are kept, for a search writes rarely: an older one may still lie under another --out.
        self.written[_digest(text.encode())] = origin
        return text

    def write(self, text: str) -> None:
        """Write what was prepared.

        Raises:
            RunError: something else is there, or the disk refuses.
        """
        self.check()
        atomic_write_text(self.path, text)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
