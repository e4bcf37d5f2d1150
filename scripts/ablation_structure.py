"""Does re-wiring help? Brains whose few pool words stay, are re-wired at random, or by usefulness.

Most of what is observed is noise there, or words are very few: a brain may be born without the conjunctions it needs.

python -m hebbit.scripts.ablation_structure --out docs/results/ablation_structure.json

Finished runs are kept in --out after each one, so that a long measurement can be interrupted and taken up again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, configure
from hebbit.agents.environment import EnvSpec
from hebbit.agents.errors import brief
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts import claims_tools as tools
from hebbit.scripts.ablation_rewards import document
from hebbit.scripts.bench.statistics import improvement, permutation_p
from hebbit.scripts.claims_machine import machine

Row = dict[str, Any]
Observed = NDArray[np.float32]
NONE, RANDOM, USEFULNESS = "none", "random", "usefulness"
TIMES, UNTIL, SHARE = 40, 0.7, 0.125
"""Re-wirings in a training, were they not to stop after this share of it; share of the words that each replaces."""
MARK = "structure"
HEAD = (
    "| task | steps | re-wiring | greedy return: mean | its standard error | IQM | spread | seeds "
    "| chance to be beaten by usefulness | p |\n"
    "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|\n"
)


class Noisy(gym.ObservationWrapper[Observed, Any, Observed]):
    """A flat Box with more dimensions, which hold noise that says nothing."""

    def __init__(self, env: gym.Env[Observed, Any], number: int) -> None:
        """Add so many dimensions of -1..1 behind the environment's own.

        Raises:
            ValueError: the observations are no flat Box.
        """
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations must be a flat Box, got {space}")
        self.number = number
        edge = np.ones(number, np.float32)
        low, high = np.concatenate([space.low, -edge]), np.concatenate([space.high, edge])
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self.random = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observed, Any]:
        """Begin an episode; its seed decides the noise, too."""
        if seed is not None:
            # not the numbers that the environment itself draws from its seed
            self.random = np.random.default_rng([seed, self.number])
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Observed) -> Observed:
        """What the environment shows, and fresh noise."""
        return np.concatenate([observation, self.random.uniform(-1, 1, self.number)]).astype(np.float32)


@dataclass(frozen=True)
class Task:
    """What is learned, and by which brain."""

    env_id: str
    steps: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the environment's own preset."""
    noise: int = 0
    """Dimensions of noise beside the environment's own."""

    def config(self, arm: str) -> AgentConfig:
        """Settings of one arm."""
        own = configure(self.env_id, None, self.changes)
        if arm == NONE:
            return own
        every, until = max(1, self.steps // TIMES), int(self.steps * UNTIL)
        return own.replace({"rewire_every": every, "rewire_share": SHARE, "rewire_until": until, "rewire_choice": arm})

    def environment(self) -> EnvSpec:
        """What makes the environment."""
        wrapper = f'{Noisy.__module__}.{Noisy.__qualname__}:{{"number": {self.noise}}}'
        return EnvSpec(self.env_id, wrappers=(wrapper,) if self.noise else ())


FEW = {"pool_words": 16, "slots_max": 2, "reads": "hidden"}
TASKS: Mapping[str, Task] = {
    "CartPole-v1 and 12 of noise": Task("CartPole-v1", 40_000, FEW, noise=12),
    "Acrobot-v1 and 6 of noise": Task("Acrobot-v1", 40_000, FEW, noise=6),
    "CartPole-v1, two words": Task("CartPole-v1", 40_000, {"pool_words": 2, "reads": "hidden"}),
}
"""Few words that must say everything: what sensory words say themselves, nothing need be wired for."""
ARMS = NONE, RANDOM, USEFULNESS


def parser() -> argparse.ArgumentParser:
    """Flags."""
    made = argparse.ArgumentParser(prog="ablation_structure", description=__doc__.partition("\n")[0])
    add = made.add_argument
    add("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="default: all of them")
    add("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="default: all of them")
    add("--seeds", type=tools.seeds, default=tools.seeds("0-9"), help="such as 0-9 (the default)")
    add("--steps", type=tools.count, help="of a training (default: the task's)")
    add("--episodes", type=tools.count, default=100, help="of each evaluation (default %(default)s)")
    add("--backend", default="auto", help="auto (default) or one that hebbit info lists")
    add("--out", type=Path, help="JSON file for the result")
    add("--document", type=Path, help=f"Markdown with the lines <!-- {MARK}: begin --> and end, for the table")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing and print what came of it."""
    options = parser().parse_args(argv)
    try:
        content = measure(options)
        if options.document is not None:
            document(options.document, MARK, table(content))
    except (HebbitError, tools.ClaimError) as error:
        print(f"ablation_structure: {error}", file=sys.stderr)
        return 2
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate every arm of every task with every seed, and keep the file complete after each."""
    tasks = {name: _task(name, options.steps) for name in options.tasks}
    settings = {
        name: {
            "env_id": task.env_id,
            "noise": task.noise,
            "steps": task.steps,
            "episodes": options.episodes,
            "arms": {arm: _changes(task, arm) for arm in ARMS},
        }
        for name, task in tasks.items()
    }
    found = tools.read(options.out)
    kept = _kept(found, settings, options.out)
    about = {"claim": "structure", "contract": CONTRACT_VERSION, "machine": machine()}
    for name, task in tasks.items():
        for seed in options.seeds:
            for arm in options.arms:
                if (name, arm, seed) not in kept:
                    kept[name, arm, seed] = {"task": name, "arm": arm, **trained(task, arm, seed, options)}
                    tools.write(options.out, _content(about, found, settings, kept))
        for line in lines(name, summary([row for row in kept.values() if row["task"] == name])):
            print(line, flush=True)
    return _content(about, found, settings, kept)


def _task(name: str, steps: int | None) -> Task:
    own = TASKS[name]
    return own if steps is None else replace(own, steps=steps)


def _changes(task: Task, arm: str) -> dict[str, Any]:
    """Hyperparameters that differ from the default."""
    default = AgentConfig().to_dict()
    return {name: value for name, value in task.config(arm).to_dict().items() if value != default[name]}


def _kept(found: Mapping[str, Any] | None, settings: Mapping[str, Any], out: Path | None) -> dict[Any, Row]:
    """Finished runs of an earlier, interrupted measurement.

    Raises:
        HebbitError: the file holds something else.
    """
    if found is None:
        return {}
    own = found.get("settings")
    same = isinstance(own, dict) and all(own.get(name, settings[name]) == settings[name] for name in settings)
    if found.get("claim") != "structure" or found.get("contract") != CONTRACT_VERSION or not same:
        raise HebbitError(f"{brief(out)} holds results of other settings or another contract; choose another --out")
    return {(row["task"], row["arm"], row["seed"]): row for row in found["runs"]}


def _content(
    about: Mapping[str, Any], found: Mapping[str, Any] | None, settings: Mapping[str, Any], kept: Mapping[Any, Row]
) -> dict[str, Any]:
    """What the file holds; tasks of an earlier measurement stay in it."""
    everything = {**(found or {}).get("settings", {}), **settings}
    rows = {name: [row for row in kept.values() if row["task"] == name] for name in everything}
    return {
        **about,
        "settings": everything,
        "summary": {name: summary(own) for name, own in rows.items() if own},
        "runs": [row for own in rows.values() for row in own],
    }


def trained(task: Task, arm: str, seed: int, options: argparse.Namespace) -> Row:
    """Train and evaluate one brain."""
    agent = SpikingAgent(task.environment(), seed=seed, config=task.config(arm), backend=options.backend)
    with tools.Clock() as clock:
        agent.learn(task.steps, log_interval=None)
    greedy, _ = agent.evaluate(episodes=options.episodes)
    agent.close()
    return {
        "seed": seed,
        "greedy": float(greedy.mean()),
        "greedy_std": float(greedy.std()),
        "training_return": tools.finite(agent.books.mean_return()),
        "rewired": int((agent.arrays(["generation"])["generation"] & 0xFFFF).sum()),
        "training_cpu_seconds": round(clock.cpu, 3),
        "digest": agent.digest(),
    }


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of each arm over its seeds, and whether usefulness beats the others."""
    scores = {arm: np.array([row["greedy"] for row in rows if row["arm"] == arm]) for arm in ARMS}
    told: dict[str, Any] = {}
    for arm, own in scores.items():
        if len(own):
            mine = [row for row in rows if row["arm"] == arm]
            told[arm] = {
                "seeds": len(own),
                "mean": float(own.mean()),
                "standard_error": float(own.std(ddof=1) / np.sqrt(len(own))) if len(own) > 1 else None,
                "iqm": tools.interquartile_mean(own.tolist()),
                "worst": float(own.min()),
                "best": float(own.max()),
                "training_return": float(np.mean([row["training_return"] or 0.0 for row in mine])),
                "training_cpu_seconds": float(np.median([row["training_cpu_seconds"] for row in mine])),
            }
    for other in (NONE, RANDOM):
        if len(scores[USEFULNESS]) and len(scores[other]):
            pair = [scores[USEFULNESS]], [scores[other]]
            told[f"usefulness_over_{other}"] = {"chance": float(improvement(*pair)), "p": permutation_p(*pair)}
    return told


def lines(name: str, told: Mapping[str, Any]) -> list[str]:
    """A table of one task."""
    made = [f"{name}: mean greedy return, standard error, IQM, worst and best seed, seconds of training"]
    for arm in (arm for arm in ARMS if arm in told):
        own = told[arm]
        error = f"{own['standard_error']:.1f}" if own["standard_error"] is not None else "?"
        made.append(
            f"  {arm:<11}{own['mean']:>9.1f} ({error}) {own['iqm']:>9.1f} {own['worst']:>9.1f} {own['best']:>9.1f} "
            f"{own['training_cpu_seconds']:>7.1f}"
        )
    for other in (NONE, RANDOM):
        if found := told.get(f"usefulness_over_{other}"):
            made.append(f"  usefulness beats {other} with chance {found['chance']:.2f}, p = {found['p']:.3f}")
    return made


def table(content: Mapping[str, Any]) -> str:
    """A Markdown table: a line for each task and arm."""
    made = [HEAD]
    for name, told in content["summary"].items():
        for arm in (arm for arm in ARMS if arm in told):
            own, over = told[arm], told.get(f"usefulness_over_{arm}")
            error = "" if own["standard_error"] is None else f"{own['standard_error']:.0f}"
            beaten = f"{over['chance']:.2f} | {over['p']:.3f}" if over else "|"
            made.append(
                f"| {name} | {content['settings'][name]['steps']:,} | {arm} | {own['mean']:.0f} | {error} "
                f"| {own['iqm']:.0f} | {own['worst']:.0f} .. {own['best']:.0f} | {own['seeds']} | {beaten} |\n"
            )
    return "".join(made)


if __name__ == "__main__":
    raise SystemExit(main())
