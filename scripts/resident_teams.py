"""Does it pay if several environments teach one brain? Steps until brains do well, alone and in teams.

    python -m hebbit.scripts.resident_teams --out docs/results/resident_teams.json

Every brain is looked at now and then, in greedy episodes; a look ends the running episodes, for lone brains, too.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, SpikingAgent, resident, team
from hebbit.agents.files import atomic_write_text

SEED = 7
EPISODES = 10
LOOKS = 40


class Task(NamedTuple):
    """What is learned, and when it counts as learned."""

    env_id: str
    steps: int
    """In all environments of a brain together."""
    threshold: float


TASKS = (
    Task("CartPole-v1", 40_000, 475.0),
    Task("Acrobot-v1", 100_000, -90.0),
    Task("Pendulum-v1", 200_000, -200.0),
    Task("MountainCar-v0", 200_000, -115.0),
)


def taught(task: Task, environments: int, brains: int, share: float | None) -> dict[str, Any]:
    """Greedy mean returns of brains that so many environments taught, by looks."""
    agent = SpikingAgent(EnvSpec(task.env_id, resident=True), seed=SEED, brains=brains, backend="numba")
    each = task.steps // (LOOKS * environments)
    looks: list[NDArray[np.float64]] = []
    began = time.perf_counter()
    for number in range(LOOKS):
        team.learn(agent, each, environments, share=share)
        agent._prepare(True)
        # other episodes at each look
        returns, _ = resident.trial(agent, EPISODES, seed=(SEED + 1 + number) % 2**32)
        looks.append(returns.mean(axis=1))
    table = np.array(looks)
    reached = table >= task.threshold
    first = [int(column.argmax()) + 1 if column.any() else None for column in reached.T]
    known = [look for look in first if look is not None]
    median = float(np.median(known)) if len(known) > brains // 2 else None
    return {
        "environments": environments,
        "share": share,
        "reached": len(known),
        "steps_each": None if median is None else int(median * each),
        "steps_all": None if median is None else int(median * each * environments),
        "quarter": float(table[LOOKS // 4 - 1].mean()),
        "end": float(table[-1].mean()),
        "seconds": time.perf_counter() - began,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """A table for people."""
    found = [
        "| task | environments | steps in each until half the brains have it | in all | get there | mean at the end |",
        "|---|---|---|---|---|---|",
    ]
    for env_id, rows in result["tasks"].items():
        for row in rows:
            known = row["steps_each"] is not None
            steps = f"{row['steps_each']:,} | {row['steps_all']:,}" if known else "never | "
            reached = f"{row['reached']} of {result['brains']}"
            found.append(f"| {env_id} | {row['environments']} | {steps} | {reached} | {row['end']:.1f} |")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Teach, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.resident_teams", description=__doc__)
    parser.add_argument("--brains", type=int, default=10)
    parser.add_argument("--environments", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--share", type=float, help="of the votes (default: 1 / sqrt(environments))")
    names = [task.env_id for task in TASKS]
    parser.add_argument("--tasks", nargs="+", default=names, choices=names)
    parser.add_argument("--steps", type=int, help="of each brain in all environments (default: by task)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    result: dict[str, Any] = {"brains": arguments.brains, "seed": SEED, "tasks": {}}
    for task in TASKS:
        if task.env_id in arguments.tasks:
            own = task if arguments.steps is None else task._replace(steps=arguments.steps)
            rows = result["tasks"].setdefault(task.env_id, [])
            for environments in arguments.environments:
                rows.append(taught(own, environments, arguments.brains, arguments.share))
                print(f"{task.env_id}: {rows[-1]}", flush=True)
            if arguments.out is not None:
                atomic_write_text(arguments.out, json.dumps(result, indent=1) + "\n")
    print("\n".join(lines(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
