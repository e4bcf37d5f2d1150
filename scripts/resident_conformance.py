"""Do resident runs give the same bits everywhere? The ordinary loop on NumPy, resident on Numba, and the kernels' text.

    python -m hebbit.scripts.resident_conformance --out docs/results/resident_conformance.json

Every brain of a population has hyperparameters of its own. The specification is slow: 64 brains of 2,000 steps in five
worlds take it an hour.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from hebbit.agents import AgentConfig, SpikingAgent
from hebbit.agents.files import atomic_write_text
from hebbit.agents.saving import learned
from hebbit.agents.variety import Configs, spread
from hebbit.envs.resident import make_resident
from hebbit.envs.worlds import WORLDS
from hebbit.scripts.conformance import differences

SEED = 20
SHARED: dict[str, Any] = {"pool_words": 2, "cycles": 3, "ranges": "adaptive", "warmup": 1000}
"""Small brains, whose ranges and rewards find themselves."""


def varied(brains: int) -> Configs:
    """Configurations that differ in whatever brains of one population may differ in."""
    dice = np.random.default_rng(SEED)

    def one() -> AgentConfig:
        return AgentConfig(
            **SHARED,
            drive=("coincidence", "sum")[dice.integers(2)],
            gain=int(dice.integers(4, 16)),
            threshold=int(dice.integers(2, 12)),
            noise_bits=int(dice.integers(0, 3)),
            base_rate=float(dice.choice([0.0, 0.002, 0.05])),
            gamma=float(dice.uniform(0.9, 0.999)),
            trace_lambda=float(dice.uniform(0.3, 0.95)),
            critic_step=float(dice.uniform(0.05, 1.0)),
            actor_step=float(dice.uniform(0.02, 0.5)),
            temperature=float(dice.uniform(4, 40)),
            surprise_shift=int(dice.choice([0, 8])),
            reward_steps=float(dice.uniform(30, 120)),
            optimism=float(dice.choice([0.0, 20.0, -10.0])),
            motor_rule=("share", "second_draw")[dice.integers(2)],
        )

    return spread([one() for _ in range(brains)], brains)


def lived(env_id: str, backend: str, brains: int, steps: int) -> tuple[dict[str, Any], float]:
    """All that a population has become, and the seconds that it took: resident where the backend serves that."""
    envs = make_resident(env_id, brains, autoreset_mode=AutoresetMode.DISABLED)
    agent = SpikingAgent(envs, seed=SEED, brains=brains, backend=backend, config=varied(brains))
    began = time.perf_counter()
    agent.learn(steps, log_interval=None)
    seconds = time.perf_counter() - began
    assert agent._units is not None
    books = {"units": agent._units, "intensities": agent._intensities, "returns": np.array(agent.books.returns)}
    recent = np.array([entry for episodes in agent.books.recent for entry in episodes], np.float64)
    return {**learned(agent), **books, "recent": recent, "state": envs.state, "elapsed": envs.elapsed}, seconds


def compared(env_id: str, backends: Sequence[str], brains: int, steps: int) -> dict[str, Any]:
    """Bits compared, and those that differ from the first backend's, by backend and array."""
    first, seconds = lived(env_id, backends[0], brains, steps)
    found: dict[str, Any] = {
        "bits": 8 * sum(array.nbytes for array in first.values()),
        "seconds": {backends[0]: round(seconds, 2)},
        "differing": {},
    }
    for backend in backends[1:]:
        other, seconds = lived(env_id, backend, brains, steps)
        found["seconds"][backend] = round(seconds, 2)
        found["differing"][backend] = differences(first, other)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.resident_conformance", description=__doc__)
    parser.add_argument("--brains", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tasks", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--backends", nargs="+", default=["numpy", "numba", "shim"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    result: dict[str, Any] = {"brains": arguments.brains, "steps": arguments.steps, "tasks": {}}
    for env_id in arguments.tasks:
        found = compared(env_id, arguments.backends, arguments.brains, arguments.steps)
        result["tasks"][env_id] = found
        wrong = {name: sum(arrays.values()) for name, arrays in found["differing"].items()}
        print(f"{env_id}: {found['bits']:,} bits, differing {wrong}, seconds {found['seconds']}", flush=True)
        if arguments.out is not None:
            atomic_write_text(arguments.out, json.dumps(result, indent=1) + "\n")
    return int(any(arrays for found in result["tasks"].values() for arrays in found["differing"].values()))


if __name__ == "__main__":
    sys.exit(main())
