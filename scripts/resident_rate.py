"""How fast resident brains learn: training steps a second, beside the ordinary loop, and what the cost depends on.

    python -m hebbit.scripts.resident_rate --out docs/results/resident_rate.json

From 64 brains of 1,024 pool neurons on CartPole-v1 one thing is varied at a time; the default brain, and the five
worlds with their presets, stand beside. Every point is measured several times, in turns with the base point, which says
how steady the machine was; the ordinary loop steps the same brains through a vector environment, one call a step.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hebbit.agents import AgentConfig, EnvSpec, SpikingAgent, configure, resident
from hebbit.agents.files import atomic_write_text
from hebbit.envs.worlds import WORLDS
from hebbit.scripts.claims_machine import machine

WARP = AgentConfig(pool_words=32, slots_min=8, slots_max=8)
"""1,024 pool neurons of 8 synapses, what one warp of a GPU holds."""
REPEATS, SECONDS = 5, 0.4
"""Measurements of a point, and about how long each takes."""


@dataclass(frozen=True)
class Point:
    """One measurement."""

    name: str
    config: AgentConfig
    env_id: str = "CartPole-v1"
    brains: int = 64
    resident: bool = True


def points() -> list[Point]:
    """The base point first."""
    base = Point("64 brains of 1,024 neurons", WARP)
    found = [base, replace(base, name="the same, the ordinary loop", resident=False)]
    found += [Point(f"default brain, {env_id}", configure(env_id), env_id) for env_id in WORLDS]
    found += [replace(base, name=f"{n} brains", brains=n) for n in (1, 8, 16, 256, 1024)]
    sizes = (8, 16, 64, 128, 256)
    found += [replace(base, name=f"{32 * w:,} neurons", config=WARP.replace({"pool_words": w})) for w in sizes]
    found += [replace(base, name=f"{c} cycles", config=WARP.replace({"cycles": c})) for c in (1, 4, 15)]
    slots = (1, 2, 4)
    found += [
        replace(base, name=f"{s} synapses a neuron", config=WARP.replace({"slots_min": s, "slots_max": s}))
        for s in slots
    ]
    return found


def agent_of(point: Point, backend: str) -> SpikingAgent:
    """A population in the middle of its life."""
    spec = EnvSpec(point.env_id, resident=True)
    agent = SpikingAgent(spec, seed=0, brains=point.brains, config=point.config, backend=backend)
    # the first steps compile, and brains that have just been born fire for nothing
    return agent.learn(200, log_interval=None)


def measured(agent: SpikingAgent, point: Point, steps: int) -> float:
    """Seconds of so many steps."""
    began = time.perf_counter()
    if point.resident:
        resident.live(agent, steps)
    else:
        for _ in range(steps):
            agent._step()
    return time.perf_counter() - began


def rates(point: Point, base: Point, backend: str) -> dict[str, Any]:
    """Training steps a second: median and quartiles, and the base point's in between."""
    agents = [(one, agent_of(one, backend)) for one in (point, base)]
    steps = [max(10, int(50 * SECONDS / max(measured(agent, one, 50), 1e-6))) for one, agent in agents]
    found: list[list[float]] = [[], []]
    for _ in range(REPEATS):
        for i, (one, agent) in enumerate(agents):
            found[i].append(one.brains * steps[i] / measured(agent, one, steps[i]))
    lower, middle, upper = np.quantile(found[0], (0.25, 0.5, 0.75)).tolist()
    return {
        "name": point.name, "env_id": point.env_id, "brains": point.brains, "resident": point.resident,
        "pool_words": point.config.pool_words, "cycles": point.config.cycles, "slots": point.config.slots_max,
        "steps_per_second": middle, "quartiles": [lower, upper], "base_steps_per_second": float(np.median(found[1])),
        "ratio": middle / float(np.median(found[1])),
    }  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.resident_rate", description=__doc__)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--only", type=int, metavar="N", help="the first N points")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    own = points()[: arguments.only]
    result: dict[str, Any] = {"backend": arguments.backend, "machine": machine(), "points": []}
    for point in own:
        found = rates(point, own[0], arguments.backend)
        result["points"].append(found)
        print(
            f"{point.name:32} {found['steps_per_second']:12,.0f} steps/s  {found['ratio']:6.2f} of the base", flush=True
        )
        if arguments.out is not None:
            atomic_write_text(arguments.out, json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
