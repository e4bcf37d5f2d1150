"""Do rewards of any size teach alike? The same trainings with all rewards times 0.001, 1 and 1000.

python -m hebbit.scripts.ablation_rewards --out docs/results/ablation_rewards.json --document docs/learning.md

Finished runs are kept in --out after each one, so that a long measurement can be interrupted and taken up again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, checkpoint, configure
from hebbit.agents.errors import brief
from hebbit.agents.files import atomic_write_text
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts import claims_tools as tools
from hebbit.scripts.ablation.table import scores, updated
from hebbit.scripts.claims_machine import machine

Row = dict[str, Any]
CLAIM, MARK = "rewards", "rewards"
STEPS: Mapping[str, int] = {
    "CartPole-v1": 20_000,
    "MountainCar-v0": 60_000,
    "Acrobot-v1": 50_000,
    "Pendulum-v1": 50_000,
}
FACTORS = 1.0, 0.001, 1000.0
"""The first one is what the others are compared with."""
AUTO, FIXED = "auto", "fixed"
FIRST_SEED = 30
HEAD = (
    "| task | steps | `reward_scale` | rewards times | greedy return: IQM | spread | seeds | bits as with factor 1 |\n"
    "|---|---:|---|---:|---:|---:|---:|---:|\n"
)


@dataclass(frozen=True)
class Cell:
    """One training."""

    env_id: str
    scale: str
    factor: float
    seed: int

    def config(self) -> AgentConfig:
        """The environment's own preset; where it fixes the scale of rewards, the scale is freed, too."""
        return configure(self.env_id, None, {"reward_scale": self.scale})


def parser() -> argparse.ArgumentParser:
    """Flags."""
    made = argparse.ArgumentParser(prog="ablation_rewards", description=__doc__.partition("\n")[0])
    add = made.add_argument
    add("--tasks", nargs="+", choices=list(STEPS), default=list(STEPS), help="default: all of them")
    add("--scales", nargs="+", choices=(AUTO, FIXED), default=[AUTO, FIXED], help="default: both")
    add("--seeds", type=tools.count, default=5, help=f"how many, from {FIRST_SEED} on (default %(default)s)")
    add("--steps", type=tools.count, help="of a training (default: the task's)")
    add("--episodes", type=tools.count, default=50, help="of each evaluation (default %(default)s)")
    add("--backend", default="auto", help="auto (default) or one that hebbit info lists")
    add("--out", type=Path, help="JSON file for the result")
    add("--document", type=Path, help=f"Markdown with the lines <!-- {MARK}: begin --> and end, for the table")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing and print what came of it."""
    options = parser().parse_args(argv)
    try:
        told = table(measure(options))
        print(told, end="")
        if options.document is not None:
            document(options.document, MARK, told)
    except (HebbitError, tools.ClaimError) as error:
        print(f"ablation_rewards: {error}", file=sys.stderr)
        return 2
    return 0


def measure(options: argparse.Namespace) -> list[Row]:
    """Train and evaluate every cell with every seed, and keep the file complete after each."""
    found = tools.read(options.out)
    kept = _kept(found, options)
    about = {"claim": CLAIM, "contract": CONTRACT_VERSION, "episodes": options.episodes, "machine": machine()}
    for env_id in options.tasks:
        for scale in options.scales:
            for factor in FACTORS:
                for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
                    cell = Cell(env_id, scale, factor, seed)
                    if cell not in kept:
                        kept[cell] = trained(cell, options)
                        tools.write(options.out, {**about, "rows": _ordered(kept)})
    return _ordered(kept)


def _steps(env_id: str, options: argparse.Namespace) -> int:
    return STEPS[env_id] if options.steps is None else int(options.steps)


def _kept(found: Mapping[str, Any] | None, options: argparse.Namespace) -> dict[Cell, Row]:
    """Finished runs of an earlier, interrupted measurement.

    Raises:
        HebbitError: the file holds something else.
    """
    if found is None:
        return {}
    own = {"claim": CLAIM, "contract": CONTRACT_VERSION, "episodes": options.episodes}
    rows = found.get("rows") if own.items() <= found.items() else None
    if rows is None or any(row["steps"] != _steps(row["env_id"], options) for row in rows):
        raise HebbitError(
            f"{brief(options.out)} holds results of other settings or another contract; choose another --out"
        )
    return {Cell(row["env_id"], row["scale"], row["factor"], row["seed"]): row for row in rows}


def _ordered(kept: Mapping[Cell, Row]) -> list[Row]:
    """Rows in the order of the table, in whatever order they were made."""
    tasks, scales = list(STEPS), [AUTO, FIXED]

    def place(cell: Cell) -> tuple[int, int, int, int]:
        return tasks.index(cell.env_id), scales.index(cell.scale), FACTORS.index(cell.factor), cell.seed

    return [kept[cell] for cell in sorted(kept, key=place)]


def trained(cell: Cell, options: argparse.Namespace) -> Row:
    """Train one brain with its rewards, and evaluate it with those of the environment."""
    steps = _steps(cell.env_id, options)
    env: gym.Env[Any, Any] = gym.wrappers.TransformReward(
        gym.make(cell.env_id), lambda reward: cell.factor * float(reward)
    )
    agent = SpikingAgent(env, seed=cell.seed, config=cell.config(), backend=options.backend)
    with tools.Clock() as clock:
        agent.learn(steps, log_interval=None)
    greedy, _ = agent.evaluate(cell.env_id, episodes=options.episodes)
    # the brain alone: its scale of rewards is another number for each factor
    brain = checkpoint.digest({}, agent.arrays())
    agent.close()
    env.close()
    return {
        "env_id": cell.env_id,
        "scale": cell.scale,
        "factor": cell.factor,
        "seed": cell.seed,
        "steps": steps,
        "greedy": float(greedy.mean()),
        "training_cpu_seconds": round(clock.cpu, 3),
        "brain": brain,
    }


def table(rows: Sequence[Row]) -> str:
    """A Markdown table: a line for each task, scale and factor."""
    lines = []
    for env_id, scale, factor in dict.fromkeys((row["env_id"], row["scale"], row["factor"]) for row in rows):
        mine = [row for row in rows if (row["env_id"], row["scale"]) == (env_id, scale)]
        own = [row for row in mine if row["factor"] == factor]
        first = {row["seed"]: row["brain"] for row in mine if row["factor"] == FACTORS[0]}
        same = sum(first.get(row["seed"]) == row["brain"] for row in own)
        lines.append(
            f"| {env_id} | {own[0]['steps']:,} | {scale} | {factor:g} | {scores([row['greedy'] for row in own])} "
            f"| {same} of {len(own)} |\n"
        )
    return HEAD + "".join(lines)


def document(path: Path, mark: str, told: str) -> None:
    """Bring the table of a document up to date, between the lines of this mark.

    Raises:
        HebbitError: there is no such document, or it has no marks.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HebbitError(f"{brief(path)} must be a document, got {error.strerror}: name another") from error
    atomic_write_text(path, updated(text, mark, told))


if __name__ == "__main__":
    raise SystemExit(main())
