"""Plans of an evaluation: what a TOML file lists, checked before anything is played."""

import dataclasses
import difflib
import json
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import HebbitError, brief
from hebbit.backends.spec import MAX_CYCLES
from hebbit.scripts.flags import DEFAULT_EPISODES

FIRST, CENTRE = "first", "centre"
"""What a dead input shows: what it showed first in the episode, or the middle of its range."""
NESTED = ("env_kwargs", "attributes")
"""Parameters that are tables themselves."""


@dataclass(frozen=True)
class Sweep:
    """The curve that a condition is a point of."""

    number: int
    """Of the ``[[conditions]]`` table that it stands in."""
    title: str
    axis: str
    """What is varied: a parameter, or ``attributes.length``."""
    value: Any


@dataclass(frozen=True)
class Condition:
    """What is done to the world, the sensors and the brain; as it is born, nothing is."""

    name: str
    observation_noise: float = 0.0
    """Standard deviation of the noise on every dimension, in widths of the dimension's range."""
    dead_inputs: tuple[int, ...] = ()
    """Dimensions that do not change."""
    dead_value: str | float = FIRST
    """What they show: first, centre or a number."""
    sticky_actions: float = 0.0
    """Chance that the last action is repeated instead of the chosen one."""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Of the unwrapped environment."""
    dropped_spikes: float = 0.0
    """Chance that a spike of a sensory or pool neuron is lost."""
    spurious_spikes: float = 0.0
    """Chance that such a neuron sends a spike in a cycle in which it did not fire."""
    lesion: float = 0.0
    """Share of the pool neurons that are silent."""
    cycles: int | None = None
    """Of a presentation; None for the brain's own."""
    deterministic: bool = True
    sweep: Sweep | None = None

    def parameters(self) -> dict[str, Any]:
        """What differs from an undisturbed evaluation: equal parameters give equal results."""
        own = {name: _plain(getattr(self, name)) for name in PARAMETERS if getattr(self, name) != _BORN[name]}
        if not self.dead_inputs:
            own.pop("dead_value", None)
        return own

    @property
    def damages_spikes(self) -> bool:
        """Whether the spikes of a brain must be changed on their way."""
        return bool(self.dropped_spikes or self.spurious_spikes or self.lesion)

    @property
    def needs_ranges(self) -> bool:
        """Whether something is measured in them."""
        return bool(self.observation_noise or (self.dead_inputs and self.dead_value == CENTRE))

    @property
    def spiking_only(self) -> list[str]:
        """Parameters in force that mean nothing to a network without spikes."""
        return [name for name in ("dropped_spikes", "spurious_spikes", "lesion", "cycles") if name in self.parameters()]


@dataclass(frozen=True)
class Plan:
    """Episodes, and the conditions under which every run plays them."""

    conditions: tuple[Condition, ...]
    episodes: int = DEFAULT_EPISODES
    seed: int = 0
    environment: EnvSpec | None = None
    """Of all rows, where the plan names one."""
    ranges: tuple[tuple[float, float], ...] | None = None
    """Least and largest value of every dimension, the units of noise; None to find them."""

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "episodes": self.episodes,
            "seed": self.seed,
            "environment": None if self.environment is None else self.environment.to_dict(),
            "observation_ranges": None if self.ranges is None else [list(pair) for pair in self.ranges],
            "conditions": [
                {"name": one.name, **one.parameters(), "sweep": one.sweep and dataclasses.asdict(one.sweep)}
                for one in self.conditions
            ],
        }


def read(path: Path, episodes: int | None = None, seed: int | None = None) -> Plan:
    """The plan of a file.

    Args:
        path: of the TOML.
        episodes: of each condition, instead of the plan's.
        seed: of the episodes, instead of the plan's.

    Raises:
        HebbitError: there is no such file, or something in it cannot be meant.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HebbitError(f"the plan {path} cannot be read: {error.strerror or error}; name a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise HebbitError(f"the plan {path} must be TOML: {brief(error, 300)}") from error
    try:
        return parse(content, episodes, seed)
    except HebbitError as error:
        raise HebbitError(f"the plan {path} cannot be used: {error}") from error


def parse(content: Mapping[str, Any], episodes: int | None = None, seed: int | None = None) -> Plan:
    """The plan of a TOML document; see :func:`read`."""
    _refuse_unknown(content, TOP, "at the top")
    tables = content.get("conditions")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise HebbitError('it must have at least one [[conditions]] table, such as one with only name = "clean"')
    conditions = [condition for number, table in enumerate(tables) for condition in _conditions(table, number)]
    names = [condition.name for condition in conditions]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise HebbitError(f"each condition needs a name of its own, got {twice[0]!r} twice; set name")
    ranges = content.get("observation_ranges")
    return Plan(
        tuple(conditions),
        _checked("episodes", _count, content.get("episodes", DEFAULT_EPISODES)) if episodes is None else episodes,
        _checked("seed", _seed, content.get("seed", 0) if seed is None else seed),
        _environment(content),
        None if ranges is None else _checked("observation_ranges", _ranges, ranges),
    )


def _environment(content: Mapping[str, Any]) -> EnvSpec | None:
    if "env_id" not in content:
        alone = [name for name in ("env_kwargs", "wrappers") if name in content]
        if alone:
            raise HebbitError(
                f"{alone[0]} at the top belongs to an env_id there; inside a condition it changes that one"
            )
        return None
    return EnvSpec(
        _checked("env_id", _text, content["env_id"]),
        _checked("env_kwargs", _table, content.get("env_kwargs", {})),
        tuple(_checked("wrappers", _texts, content.get("wrappers", []))),
    )


def _conditions(table: Mapping[str, Any], number: int) -> Iterable[Condition]:
    """The condition of a table, or one for each value of its sweep."""
    where = f"in [[conditions]] number {number + 1}"
    _refuse_unknown(table, (*PARAMETERS, "name", "sweep"), where)
    title = _checked("name", _text, table["name"]) if "name" in table else ""
    fixed = {name: _checked(name, PARAMETERS[name], table[name]) for name in PARAMETERS if name in table}
    axis, values = _axis(table["sweep"], where) if "sweep" in table else ("", [])
    if "dead_value" in (*fixed, axis) and "dead_inputs" not in (*fixed, axis):
        raise HebbitError(f"dead_value {where} needs dead_inputs: say which dimensions are dead")
    if not axis:
        yield Condition(title or describe(fixed) or "clean", **fixed)
    for value in values:
        name, _, inner = axis.partition(".")
        varied = {name: {inner: value}} if inner else {name: value}
        checked = _checked(name, PARAMETERS[name], varied[name])
        if name in fixed and not (inner and inner not in fixed[name]):
            raise HebbitError(f"{axis} {where} must be fixed or swept, got both")
        own = {**fixed, name: {**fixed.get(name, {}), **checked} if inner else checked}
        point = describe(varied)
        whole = f"{title}: {point}" if title else ", ".join(filter(None, (point, describe(fixed))))
        kind = (inner or axis.replace("_", " "), describe(fixed))
        sweep = Sweep(number, title or ", ".join(filter(None, kind)), axis, value)
        yield Condition(whole, **own, sweep=sweep)


def _axis(sweep: Any, where: str) -> tuple[str, list[Any]]:
    """What a sweep varies, and its values."""
    if not isinstance(sweep, dict) or len(sweep) != 1:
        raise HebbitError(f"sweep {where} must vary one thing, such as {{lesion = [0, 0.1]}}, got {brief(sweep)}")
    ((axis, values),) = sweep.items()
    _refuse_unknown(sweep, tuple(PARAMETERS), f"in the sweep {where}")
    if axis in NESTED:
        if not isinstance(values, dict) or len(values) != 1:
            raise HebbitError(f"sweep {where} must vary one of {axis}, such as {{{axis} = {{name = [1, 2]}}}}")
        ((inner, values),) = values.items()
        axis = f"{axis}.{inner}"
    if not isinstance(values, list) or not values:
        raise HebbitError(f"sweep {where} must list the values of {axis}, got {brief(values)}")
    return axis, values


def describe(parameters: Mapping[str, Any]) -> str:
    """A name for some parameters."""
    words = []
    for name, value in parameters.items():
        if name in NESTED:
            words += [f"{inner} {_shown(part)}" for inner, part in value.items()]
        elif name == "deterministic":
            words.append("greedy" if value else "stochastic")
        else:
            words.append(f"{name.replace('_', ' ')} {_shown(value)}")
    return ", ".join(words)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(_shown, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if type(value) is float else str(value)


def _plain(value: Any) -> Any:
    """Fit for JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def closest(name: str, known: Sequence[str]) -> str:
    """A hint at the name that was meant."""
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"there are {brief(', '.join(known), 400)}"


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in table:
        if name not in known:
            raise HebbitError(f"unknown key {brief(name, text=repr)} {where}; {closest(name, known)}")


def _checked(name: str, check: Callable[[Any], Any], value: Any) -> Any:
    """The value as its check gives it back.

    Raises:
        HebbitError: the check refuses it, saying what it must be.
    """
    try:
        return check(value)
    except ValueError as error:
        raise HebbitError(f"{name} must be {error}, got {brief(value, text=repr)}") from error


def _number(value: Any, least: float, most: float, what: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(what)
    return float(value)


def _chance(value: Any) -> float:
    return _number(value, 0, 1, "a number of 0..1")


def _amount(value: Any) -> float:
    return _number(value, 0, math.inf, "a number of 0 or more")


def _whole(value: Any, least: int, most: float, what: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(what)
    return value


def _count(value: Any) -> int:
    return _whole(value, 1, math.inf, "a whole number of 1 or more")


def _seed(value: Any) -> int:
    return _whole(value, 0, 2**32 - 1, "a whole number of 0..2**32 - 1")


def _cycles(value: Any) -> int:
    return _whole(value, 1, MAX_CYCLES, f"a whole number of 1..{MAX_CYCLES}")


def _switch(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return " ".join(value.split())


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("a list of texts")
    return value


def _table(value: Any) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("a table of plain values, such as {name = 1.0}")
    return value


def _attributes(value: Any) -> dict[str, Any]:
    if not all(isinstance(one, bool | int | float | str) for one in _table(value).values()):
        raise ValueError("a table of numbers, truth values or texts")
    return _table(value)


def _dimensions(value: Any) -> tuple[int, ...]:
    plain = isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)
    if not plain or len(set(value)) != len(value):
        raise ValueError("a list of dimensions, counted from 0, each once")
    return tuple(sorted(value))


def _dead_value(value: Any) -> str | float:
    if value in (FIRST, CENTRE):
        return str(value)
    return _number(value, -math.inf, math.inf, f"{FIRST}, {CENTRE} or a number")


def _ranges(value: Any) -> tuple[tuple[float, float], ...]:
    what = "a list of [least, largest] for each dimension"
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise ValueError(what)
    pairs = tuple((_number(low, -math.inf, math.inf, what), _number(high, low, math.inf, what)) for low, high in value)
    return pairs


PARAMETERS: dict[str, Callable[[Any], Any]] = {
    "observation_noise": _amount,
    "dead_inputs": _dimensions,
    "dead_value": _dead_value,
    "sticky_actions": _chance,
    "env_kwargs": _table,
    "attributes": _attributes,
    "dropped_spikes": _chance,
    "spurious_spikes": _chance,
    "lesion": _chance,
    "cycles": _cycles,
    "deterministic": _switch,
}
"""What a condition may set, and what checks it."""
TOP = ("episodes", "seed", "env_id", "env_kwargs", "wrappers", "observation_ranges", "conditions")
_BORN = {one.name: getattr(Condition("clean"), one.name) for one in dataclasses.fields(Condition)}
