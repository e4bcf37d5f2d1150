"""Claim: same seed, same bits, whatever the run, the threads, the processor's instructions and the backend.

Every life is lived in an interpreter of its own, because libraries read their settings when they are loaded. An
environment's own float maths is not ours to promise, so where NumPy's vector instructions are switched off, the agent
meets recorded observations and rewards instead of a running environment.
"""

import argparse
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from hebbit.agents import EnvSpec, SpikingAgent, configure
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts import claims_tools as tools
from hebbit.scripts.claims_machine import machine
from hebbit.scripts.claims_replay import RecordingEnv, ReplayEnv

HERE = "hebbit.scripts.claims_digest"
BRAINS = 11
"""More than a population needs to be shared out among threads."""


@dataclass(frozen=True)
class Life:
    """One life and how its interpreter is set up."""

    label: str
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of :func:`life`, besides those that all share."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Lives that must end in the same digest."""

    name: str
    lives: tuple[Life, ...]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of ``claims digest``."""
    add = parser.add_argument
    add("--env", default="CartPole-v1", help="environment (default %(default)s)")
    add("--seed", type=int, default=1000, help="of every life (default %(default)s)")
    add("--steps", type=tools.count, default=5000, help="of each Numba life (default %(default)s)")
    add("--numpy-steps", type=tools.count, default=500, help="where NumPy takes part (default %(default)s)")
    add("--out", type=Path, help="JSON file for the result")


def run(options: argparse.Namespace) -> int:
    """See ``claims digest --help``."""
    EnvSpec(options.env).make().close()
    shared = {"env_id": options.env, "seed": options.seed}
    found = []
    print(f"{'must agree':<34} {'life':<38} digest")
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.npz"
        tools.in_child(f"{HERE}:record", {**shared, "steps": options.numpy_steps, "path": str(record)})
        for comparison in comparisons(options.steps, options.numpy_steps, record, Path(folder) / "numba_cache"):
            found.append(compared(comparison, shared))
            print(rows(found[-1]), flush=True)
    differing = [one["name"] for one in found if not one["equal"]]
    result = {
        "claim": "digest",
        "command": options.command,
        "settings": {
            **shared,
            "steps": options.steps,
            "numpy_steps": options.numpy_steps,
            "contract": CONTRACT_VERSION,
        },
        "summary": {"comparisons": len(found), "differing": differing},
        "machine": machine(),
        "comparisons": found,
    }
    tools.write(options.out, result)
    print(f"{len(differing)} of {len(found)} comparisons differ" + "".join(f"; {name}" for name in differing))
    return 1 if differing else 0


def comparisons(steps: int, numpy_steps: int, record: Path, cache: Path) -> tuple[Comparison, ...]:
    """What is compared.

    Args:
        steps: of lives on Numba alone.
        numpy_steps: of lives that NumPy takes part in.
        record: episodes of that many steps.
        cache: an empty folder, so that nothing compiled for another processor is loaded.
    """
    long, short = {"steps": steps}, {"steps": numpy_steps}
    replay = {**short, "record": str(record)}
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(cache)}
    plain = {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched())}
    numpy = {"backend": "numpy"}
    population = {**long, "brains": BRAINS}
    return (
        Comparison("one seed, two runs", (Life("first", long), Life("second", long))),
        Comparison(
            f"threads, {BRAINS} brains",
            tuple(Life(f"{n} thread{'s' * (n > 1)}", population, {"NUMBA_NUM_THREADS": str(n)}) for n in (1, 2)),
        ),
        Comparison("Numba's instructions", (Life("this processor", long), Life("generic processor", long, generic))),
        Comparison(
            "NumPy's instructions, recorded",
            (
                Life("NumPy, vector instructions", {**replay, **numpy}),
                Life("NumPy, baseline instructions", {**replay, **numpy}, plain),
                Life("Numba", replay),
            ),
        ),
        Comparison("backends", (Life("Numba", short), Life("NumPy", {**short, **numpy}))),
    )


def dispatched() -> list[str]:
    """Vector instructions that NumPy chooses on this processor beyond those it always uses."""
    config: Any = np.show_config(mode="dicts")
    return list(config.get("SIMD Extensions", {}).get("found", []))


def compared(comparison: Comparison, shared: dict[str, Any]) -> dict[str, Any]:
    """Live the lives of a comparison."""
    lives = []
    for one in comparison.lives:
        answer = tools.in_child(f"{HERE}:life", {**shared, **one.arguments}, {**tools.ONE_THREAD, **one.environment})
        lives.append({"life": one.label, **answer})
    equal = len({one["digest"] for one in lives}) == 1
    return {"name": comparison.name, "equal": equal, "lives": lives}


def rows(comparison: dict[str, Any]) -> str:
    """Rows of the table."""
    verdict = "" if comparison["equal"] else "  DIFFERS"
    return "\n".join(
        f"{comparison['name']:<34} {one['life']:<38} {one['digest'][:16]}{verdict}" for one in comparison["lives"]
    )


def life(
    env_id: str, seed: int, steps: int, backend: str = "numba", brains: int = 1, record: str | None = None
) -> dict[str, Any]:
    """Learn and give the digest, and what this interpreter was set up with."""
    env: str | gym.Env[Any, Any] = env_id
    if record is not None:
        model = EnvSpec(env_id).make()
        env = ReplayEnv(Path(record), model.observation_space, model.action_space)
    agent = SpikingAgent(env, seed=seed, config=configure(env_id), backend=backend, brains=brains)
    agent.learn(steps)
    digest = agent.digest()
    agent.close()
    return {"digest": digest, "backend": backend, "steps": steps, "brains": brains, **setup()}


def setup() -> dict[str, Any]:
    """What the libraries of this interpreter took from their settings."""
    # Numba belongs to its backend alone; if that was used, it is loaded.
    numba: Any = sys.modules.get("numba")
    about = {"numpy_dispatches": dispatched()}
    if numba is None:
        return about
    return {
        **about,
        "numba_threads": numba.get_num_threads(),
        "stepping_threads": stepping_threads(),
        "numba_cpu": numba.core.config.CPU_NAME or "this processor",
    }


def stepping_threads() -> int:
    """Threads that have stepped brains in this process: the main one and those of the backend's pool."""
    return 1 + sum(thread.name.startswith("hebbit-brains") for thread in threading.enumerate())


def record(env_id: str, seed: int, steps: int, path: str) -> None:
    """Write down what an agent meets in these steps."""
    env = RecordingEnv(EnvSpec(env_id).make())
    agent = SpikingAgent(env, seed=seed, config=configure(env_id))
    agent.learn(steps)
    agent.close()
    env.save(Path(path))
