"""Changed physics of a condition: attributes of an environment, and those that follow from them."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from hebbit.agents.errors import HebbitError, brief
from hebbit.scripts.plans.plan import closest

Env = gym.Env[Any, Any]


class Rule(NamedTuple):
    """How a class computes an attribute from others when it is born."""

    sources: tuple[str, ...]
    compute: Callable[..., float]

    def of(self, own: Any) -> float:
        """What it gives now."""
        return self.compute(*(getattr(own, source) for source in self.sources))


DERIVED: dict[type, dict[str, Rule]] = {
    CartPoleEnv: {
        "total_mass": Rule(("masspole", "masscart"), lambda pole, cart: pole + cart),
        "polemass_length": Rule(("masspole", "length"), lambda pole, length: pole * length),
    },
}
"""Attributes of Gymnasium's classes that have to follow others."""


def set_attributes(env: Env, attributes: Mapping[str, Any]) -> None:
    """Change the physics of an environment that has just been made.

    Raises:
        HebbitError: it has no such attribute, it is of another type, or it follows from others; or another attribute,
            which followed from it in the parent class, does not.
    """
    own: Any = env.unwrapped
    rules = _rules(own)
    following = {name: rule for name, rule in rules.items() if math.isclose(getattr(own, name), rule.of(own))}
    for name, value in attributes.items():
        _refuse_attribute(own, name, value, following)
        _refuse_unknown_rule(own, name, attributes, {n: r for n, r in rules.items() if n not in following})
    for name, value in attributes.items():
        try:
            setattr(own, name, value)
        except AttributeError as error:
            raise HebbitError(f"the attribute {name} of {type(own).__name__} cannot be set: {error}") from error
    for name, rule in following.items():
        if set(rule.sources) & set(attributes):
            setattr(own, name, rule.of(own))


def _rules(own: Any) -> dict[str, Rule]:
    """Rules of its classes for what is kept as a plain number; a property computes itself."""
    found = {name: rule for kind in type(own).__mro__ for name, rule in DERIVED.get(kind, {}).items()}
    return {
        name: rule
        for name, rule in found.items()
        if all(_kind(inspect.getattr_static(own, one, None)) is float for one in (name, *rule.sources))
    }


def _refuse_unknown_rule(own: Any, name: str, attributes: Mapping[str, Any], broken: Mapping[str, Rule]) -> None:
    """Refuse to guess what becomes of an attribute that a subclass computes in a way of its own."""
    for other, rule in broken.items():
        if name in rule.sources and other not in attributes:
            sources = " and ".join(rule.sources)
            raise HebbitError(
                f"{type(own).__name__} has a {other} of its own, which does not follow from {sources} as in its "
                f"parent: beside {name}, set {other} too"
            )


def _refuse_attribute(own: Any, name: str, value: Any, following: Mapping[str, Rule]) -> None:
    # statically: properties are computed, not set
    known = [n for n in dir(own) if not n.startswith("_") and _kind(inspect.getattr_static(own, n)) is not None]
    if name not in known:
        raise HebbitError(
            f"{type(own).__name__} has no attribute {brief(name, text=repr)} to set; {closest(name, known)}"
        )
    if name in following:
        sources = " and ".join(following[name].sources)
        raise HebbitError(f"{name} of {type(own).__name__} follows from {sources}: set these")
    if _kind(value) is not _kind(getattr(own, name)):
        now = getattr(own, name)
        raise HebbitError(f"{name} of {type(own).__name__} must be like its {now!r}, got {brief(value, text=repr)}")


def _kind(value: Any) -> type | None:
    """What sort of plain value it is."""
    if isinstance(value, bool | np.bool_):
        return bool
    if isinstance(value, int | float | np.integer | np.floating):
        return float
    return str if isinstance(value, str) else None
