"""What is compared: the variants of ``variants.toml``."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from hebbit.agents.config import AgentConfig, configure
from hebbit.agents.errors import HebbitError


@dataclass(frozen=True)
class Variant:
    """One way to set up an agent for one environment."""

    name: str
    """Once for each environment."""
    part: str
    """What the comparison shows, in words."""
    env_id: str
    steps: int
    """Of a training."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings over the environment's own preset, or over the defaults where it has none."""

    def config(self) -> AgentConfig:
        """All settings."""
        return configure(self.env_id, None, self.changes)


def parsed(text: str) -> list[Variant]:
    """Variants of a TOML text, in its order: tables [[variant]], and what an environment's all share in [base].

    Raises:
        HebbitError: a key that is not known or missing, a name twice, or settings that no brain can hold.
    """
    content = tomllib.loads(text)
    base, found = content.get("base", {}), []
    for table in content.get("variant", []):
        try:
            own = Variant(**{**table, "changes": {**base.get(table.get("env_id"), {}), **table.get("changes", {})}})
        except TypeError as error:
            raise HebbitError(
                f"a variant must have name, part, env_id, steps and perhaps changes, got {', '.join(table)}"
            ) from error
        own.config()
        found.append(own)
    names = [(own.env_id, own.name) for own in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise HebbitError(f"variants of one environment must have different names, got {twice[1]!r} twice: rename one")
    return found


def variants() -> list[Variant]:
    """Those of ``variants.toml``."""
    return parsed(files("hebbit.scripts.ablation").joinpath("variants.toml").read_text(encoding="utf-8"))


def chosen(known: Sequence[Variant], only: Sequence[str] | None) -> list[Variant]:
    """Those that are asked for, in the order of ``known``; all of them for None.

    Args:
        known: what there is.
        only: names, environments, or ``ENVIRONMENT:NAME``.

    Raises:
        HebbitError: there is no such variant.
    """
    if only is None:
        return list(known)
    labels = [{own.name, own.env_id, f"{own.env_id}:{own.name}"} for own in known]
    for word in only:
        if not any(word in own for own in labels):
            there = ", ".join(dict.fromkeys(own.env_id for own in known))
            raise HebbitError(f"--only must name variants or environments of variants.toml ({there}), got {word!r}")
    return [own for own, label in zip(known, labels, strict=True) if label & set(only)]
