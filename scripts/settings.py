"""Settings of a run: from flags, from the run's own config.json, and whether the two contradict each other."""

import argparse
import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hebbit.agents.config import AgentConfig, configure, convert
from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import HebbitError, RunError
from hebbit.scripts.flags import DEFAULT_EPISODES, DEFAULT_SAVE_FREQ


@dataclass(frozen=True)
class Settings:
    """What determines a run, besides the code; the content of config.json."""

    env_id: str
    steps: int
    """Of each brain."""
    seed: int = 0
    brains: int = 1
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: list[str] = field(default_factory=list)
    eval_freq: int = 0
    eval_episodes: int = DEFAULT_EPISODES
    save_freq: int = DEFAULT_SAVE_FREQ
    tensorboard: bool = False
    resident: bool = False
    until: float = 1.0
    """Share of the brains that are to solve the task, where they are resident."""
    look: int = 2000
    """Steps between two looks at resident brains."""
    wave: int = 0
    """Brains that are resident at once, one wave after the other; 0 for all of them."""
    first: int = 0
    """Number of the first brain; a wave begins where the last one ended."""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """All of them, so that a resumed run is not changed by a new default."""

    def environment(self) -> EnvSpec:
        """What makes the environment."""
        return EnvSpec(self.env_id, dict(self.env_kwargs), tuple(self.wrappers), self.resident)

    def agent_config(self) -> AgentConfig:
        """The hyperparameters as the agent takes them."""
        return AgentConfig().replace(self.hyperparameters)


def pairs(words: Sequence[str] | None, flag: str, json_values: bool) -> dict[str, Any]:
    """Settings from ``key=value`` words; JSON objects among them are merged in if values are JSON."""
    found: dict[str, Any] = {}
    for word in words or ():
        if json_values and word.lstrip().startswith("{"):
            found |= _json_object(word, flag)
            continue
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise HebbitError(f"{flag} takes key=value, got {word!r}")
        found[key] = _json_or_text(value) if json_values else value
    return found


def _json_object(text: str, flag: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise HebbitError(f"{flag} takes key=value or a JSON object, got {text!r}: {error}") from error
    return content


def _json_or_text(text: str) -> Any:
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text


def check_environment(env_id: str) -> None:
    """Refuse an id that is not registered, with those that look like it.

    Raises:
        HebbitError: no such environment.
    """
    import gymnasium as gym

    # 'module:Name-v0' registers itself when it is made.
    if ":" in env_id or env_id in gym.registry:
        return
    folded = {name.lower(): name for name in gym.registry}
    close = [folded[name] for name in difflib.get_close_matches(env_id.lower(), folded, 3, 0.7)]
    hint = f"did you mean {' or '.join(close)}?" if close else "name a registered one, or module:Name-v0 to import it"
    raise HebbitError(f"unknown environment {env_id!r}; {hint}")


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that flags name, by field."""
    given = {
        "env_id": arguments.env_id,
        "steps": arguments.steps,
        "seed": arguments.seed,
        "brains": arguments.brains,
        "env_kwargs": pairs(arguments.env_kwargs, "--env-kwargs", json_values=True) or None,
        "wrappers": arguments.wrappers,
        "eval_freq": arguments.eval_freq,
        "eval_episodes": arguments.eval_episodes,
        "save_freq": arguments.save_freq,
        "tensorboard": True if arguments.tensorboard else None,
        "resident": True if arguments.resident else None,
        "until": arguments.until,
        "look": arguments.look,
        "wave": arguments.wave,
    }
    return {name: value for name, value in given.items() if value is not None}


def of_new_run(arguments: argparse.Namespace) -> Settings:
    """Settings of a run that begins.

    Raises:
        HebbitError: flags that no run can have.
    """
    check_environment(arguments.env_id)
    if arguments.steps is None:
        raise HebbitError(f"say how long to train: hebbit train {arguments.env_id} --steps 30000")
    changes = pairs(arguments.params, "-P", json_values=False)
    config = configure(arguments.env_id, arguments.preset, changes)
    settings = Settings(**_given(arguments), hyperparameters=config.to_dict())
    if settings.eval_freq and not settings.eval_episodes:
        raise HebbitError("--eval-freq needs at least 1 episode for an evaluation, got --eval-episodes 0")
    return settings


def of_resumed_run(arguments: argparse.Namespace, config: Mapping[str, Any]) -> Settings:
    """Settings of a run that goes on: its own, but for more steps or another share of brains that are to solve it.

    Raises:
        HebbitError: a flag contradicts them.
    """
    settings = judged(config, arguments.run_dir)
    own_config = settings.agent_config()
    given = _given(arguments)
    if given.get("wave", 0) >= settings.brains:
        given["wave"] = 0
    steps, until = given.pop("steps", settings.steps), given.pop("until", settings.until)
    for name, value in given.items():
        own = getattr(settings, name)
        if value != own:
            raise _contradiction(arguments.run_dir, name, own, value)
    changes = pairs(arguments.params, "-P", json_values=False)
    wanted = {name: convert(name, value) for name, value in changes.items()}
    if arguments.preset is not None:
        wanted = configure(settings.env_id, arguments.preset, changes).to_dict()
    for name, value in wanted.items():
        if value != getattr(own_config, name):
            raise _contradiction(arguments.run_dir, name, getattr(own_config, name), value)
    return dataclasses.replace(settings, steps=steps, until=until)


def judged(config: Mapping[str, Any], folder: str | Path) -> Settings:
    """The settings that a run's config.json holds; what it lacks is as it was before it came to be.

    Raises:
        RunError: no run can have them.
    """
    names = {one.name for one in dataclasses.fields(Settings)}
    try:
        settings = Settings(**{name: value for name, value in config.items() if name in names})
        settings.agent_config()
    except (TypeError, HebbitError) as error:
        raise RunError(f"config.json of {folder} is damaged ({error}): start another run") from error
    for name in ("steps", "brains", "look", "wave", "first"):
        value, least = getattr(settings, name), 1 if name in ("brains", "look") else 0
        if type(value) is not int or value < least:
            raise RunError(f"config.json of {folder} is damaged ({name} is {value!r}): start another run")
    return settings


def _contradiction(run_dir: str, name: str, own: Any, given: Any) -> RunError:
    return RunError(
        f"the run in {run_dir} has {name} {own!r}, which cannot change on the way to {given!r}: leave that flag out, "
        "or start another run"
    )
