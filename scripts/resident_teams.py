"""Does it pay if several environments teach one brain? Steps until brains do well, alone and in teams.

    python -m hebbit.scripts.resident_teams --out docs/results/resident_teams.json

Every brain is looked at now and then, in greedy episodes. The last column is the mean of the last tenth of these looks.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, SpikingAgent, resident, team
from hebbit.agents.files import atomic_write_text

SEED = 7
EPISODES = 10
EVERY, LOOK = 64, 256
"""Steps in each environment between two votes, and between two looks."""


class Task(NamedTuple):
    """What is learned, and when it counts as learned."""

    env_id: str
    steps: int
    """In all environments of a brain together."""
    threshold: float


TASKS = (
    Task("CartPole-v1", 40_000, 475.0),
    Task("Acrobot-v1", 100_000, -90.0),
    Task("Pendulum-v1", 150_000, -200.0),
    Task("MountainCar-v0", 150_000, -115.0),
)


def taught(task: Task, environments: int, brains: int, share: float | None) -> dict[str, Any]:
    """How soon brains do well that so many environments teach: greedy mean returns, looked at now and then."""
    agent = SpikingAgent(EnvSpec(task.env_id, resident=True), seed=SEED, brains=brains, backend="numba")
    looks: list[NDArray[np.float64]] = []
    with closing(team.Team(agent, environments, EVERY, share)) as taught:
        for number in range(task.steps // (LOOK * environments)):
            taught.learn(LOOK)
            # all copies of a brain are alike after a vote; other episodes at each look
            firsts, seed = np.arange(0, brains * environments, environments), (SEED + 1 + number) % 2**32
            returns, _ = resident.trial(taught.crew, EPISODES, brains=firsts, seed=seed)
            looks.append(returns.mean(axis=1))
    table = np.array(looks).reshape(-1, brains)
    reached = table >= task.threshold
    first = [int(column.argmax()) + 1 if column.any() else None for column in reached.T]
    known = [look for look in first if look is not None]
    # of all brains, so no figure where half of them have never got there
    each = int(np.median(known + [np.inf] * (brains - len(known))) * LOOK) if len(known) > brains / 2 else None
    return {
        "environments": environments,
        "share": share,
        "reached": len(known),
        "steps_each": each,
        "steps_all": None if each is None else each * environments,
        "end": float(table[-len(table) // 10 :].mean()),
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
    least = LOOK * max(arguments.environments)
    if arguments.steps is not None and arguments.steps < least:
        parser.error(f"--steps must be at least {least}, one look in each environment, got {arguments.steps}")
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
