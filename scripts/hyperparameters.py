"""The table of hyperparameters in the documentation, made from what stands below each field of AgentConfig.

``python -m hebbit.scripts.hyperparameters`` prints it, with a file's name it brings that file up to date.
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from hebbit.agents import config
from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import HebbitError
from hebbit.agents.files import atomic_write_text

BEGIN, END = "<!-- hyperparameters: begin -->\n", "<!-- hyperparameters: end -->\n"


def descriptions() -> dict[str, str]:
    """The string below each field, by name."""
    tree = ast.parse(inspect.getsource(config))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == AgentConfig.__name__)
    found: dict[str, str] = {}
    for field, below in zip(body, body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def table() -> str:
    """Every hyperparameter with its default and meaning, in Markdown."""
    meaning = descriptions()
    lines = ["| name | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(AgentConfig):
        default = field.default if isinstance(field.default, str) else repr(field.default).lower()
        lines.append(f"| `{field.name}` | {default} | {meaning[field.name].replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    """A document with the table between its marks made anew.

    Raises:
        HebbitError: it has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise HebbitError(f"the document must have the lines {BEGIN.strip()!r} and {END.strip()!r}; add them")
    return before + begin + table() + end + after


def command(argv: Sequence[str] | None = None) -> int:
    """Print the table, or bring the named files up to date."""
    names = sys.argv[1:] if argv is None else argv
    for name in names:
        atomic_write_text(Path(name), updated(Path(name).read_text(encoding="utf-8")))
    if not names:
        print(table(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(command())
