"""Claim: so many training steps a second through Gymnasium on one core, and where the time goes.

For each seed a whole life is timed, and then its parts, fed with what the same life met: the environment repeats the
actions, the encoder its observations, the backend its inputs. The rest is the loop between them. All of it runs in one
process on one core with one thread, after compilation. Start-up is timed in interpreters of their own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, EnvSpec, SpikingAgent, configure
from hebbit.agents.encoder import Encoder
from hebbit.scripts import claims_tools as tools
from hebbit.scripts.claims_machine import machine
from hebbit.scripts.claims_replay import RecordingEnv, repeat

PARTS = ("environment", "encoder", "backend")
FIRST_SEED = 1000
STARTUP = """
import json, sys, time
stamps = [time.perf_counter()]
import hebbit
stamps.append(time.perf_counter())
from hebbit import SpikingAgent
stamps.append(time.perf_counter())
agent = SpikingAgent(sys.argv[1], seed=0)
stamps.append(time.perf_counter())
agent.learn(1)
stamps.append(time.perf_counter())
names = ("import_hebbit", "import_agents", "make_agent", "first_step")
seconds = {name: b - a for name, a, b in zip(names, stamps, stamps[1:])}
print(json.dumps({**seconds, "cpu": time.process_time()}))
"""
"""Timed in a fresh interpreter; 'cpu' is of the whole process up to there."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of ``claims speed``."""
    add = parser.add_argument
    add("--env", default="CartPole-v1", help="environment (default %(default)s)")
    add("--steps", type=tools.count, default=30_000, help="of each life (default %(default)s)")
    add("--repeats", type=tools.count, default=9, help="lives, each of another seed (default %(default)s)")
    add("--preset", help="hyperparameters by name or file; default: those of the environment, if it has any")
    add("--starts", type=tools.count, default=3, help="cold and warm starts to time (default %(default)s)")
    add("--out", type=Path, help="JSON file for the result")


def run(options: argparse.Namespace) -> int:
    """See ``claims speed --help``."""
    config = configure(options.env, options.preset)
    EnvSpec(options.env).make().close()
    about = machine()
    with tools.pinned() as core:
        arguments = {
            "env_id": options.env,
            "steps": options.steps,
            "repeats": options.repeats,
            "config": config.to_dict(),
        }
        lives = tools.in_child("hebbit.scripts.claims_speed:lives", arguments)
        startup = starts(options.env, options.starts)
    result = {
        "claim": "speed",
        "command": options.command,
        "settings": {**arguments, "first_seed": FIRST_SEED, "threads": 1, "pinned_to_one_core": core is not None},
        "config_is_default": config == AgentConfig(),
        "summary": summary(lives, options.steps),
        "startup_seconds": startup,
        "machine": about,
        "lives": lives,
    }
    tools.write(options.out, result)
    print(table(result))
    return 0


def lives(env_id: str, steps: int, repeats: int, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time some lives and their parts, one after the other: seconds {whole, part: [wall, cpu]} of each."""
    # a scale that sets itself changes the brain between two presentations, and the parts are repeated one by one
    settings = AgentConfig().replace({**config, "reward_scale": "fixed"})
    record(env_id, min(steps, 100), 0, settings)  # compiles the kernels
    return [timed_life(env_id, steps, FIRST_SEED + repeat, settings) for repeat in range(repeats)]


def timed_life(env_id: str, steps: int, seed: int, config: AgentConfig) -> dict[str, Any]:
    """Seconds of one life and of its parts; the recorded life before it warms the caches and is not timed."""
    recorded = record(env_id, steps, seed, config)
    agent = SpikingAgent(env_id, seed=seed, config=config)
    fresh = SpikingAgent(env_id, seed=seed, config=config)
    env = EnvSpec(env_id).make()
    encoder = Encoder(agent.observation_space, config)
    seconds = {
        "whole": clocked(lambda: agent.learn(steps)),
        "environment": clocked(lambda: repeat(env, recorded.events)),
        "encoder": clocked(lambda: encode(encoder, recorded.encoded)),
        "backend": clocked(lambda: step(fresh, recorded.stepped)),
    }
    mine, again = agent.arrays(), fresh.arrays()
    if any(not np.array_equal(mine[name], again[name]) for name in mine):
        raise tools.ClaimError("the backend's share was not the same work: its brain differs from the life's")
    for used in (agent, fresh, env):
        used.close()
    return {"seed": seed, "seconds": seconds}


def clocked(work: Callable[[], object]) -> list[float]:
    """Wall and CPU seconds of this thread."""
    with tools.Clock(time.thread_time) as clock:
        work()
    return [clock.wall, clock.cpu]


class Recorded:
    """What the parts of an agent were given during a life."""

    def __init__(self) -> None:
        """Begin empty."""
        self.events: list[Any] = []
        self.encoded: list[tuple[Any, Any]] = []
        """Observations and rows."""
        self.stepped: list[tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]] = []
        """Intensities, rewards and flags, copied."""


class Tap:
    """Stands in for an object: notes the arguments of one method and leaves the work to the object."""

    def __init__(self, behind: Any, method: str, note: Callable[..., object]) -> None:
        """Listen to ``method``."""
        self._behind, self._method, self._note = behind, method, note

    def __getattr__(self, name: str) -> Any:
        """What the object has; the method with a note taken before it."""
        own = getattr(self._behind, name)
        if name != self._method:
            return own

        def noting(*arguments: Any, **named: Any) -> Any:
            self._note(*arguments)
            return own(*arguments, **named)

        return noting


def record(env_id: str, steps: int, seed: int, config: AgentConfig) -> Recorded:
    """Live once and note what each part was given."""
    found, env = Recorded(), RecordingEnv(EnvSpec(env_id).make())
    agent: Any = SpikingAgent(env, seed=seed, config=config)
    agent.encoder = Tap(agent.encoder, "encode", lambda observations, rows: found.encoded.append((observations, rows)))
    agent.backend = Tap(agent.backend, "step", lambda _, *given: found.stepped.append(tuple(x.copy() for x in given)))
    agent.learn(steps)
    agent.close()
    found.events = env.events
    return found


def encode(encoder: Encoder, given: Sequence[tuple[Any, Any]]) -> None:
    """Encode again, learning the ranges again."""
    for observations, rows in given:
        encoder.encode(observations, rows, learn=True)


def step(agent: SpikingAgent, given: Sequence[tuple[Any, Any, Any]]) -> None:
    """Let a newborn brain live the same life."""
    for intensities, rewards, flags in given:
        agent.backend.step(agent.state, intensities, rewards, flags)


def summary(measured: Sequence[Mapping[str, Any]], steps: int) -> dict[str, Any]:
    """Steps a second and microseconds a step, by wall and by CPU: median, least and largest over the lives."""
    found: dict[str, Any] = {}
    for at, kind in enumerate(("wall", "cpu")):
        of = {part: [life["seconds"][part][at] for life in measured] for part in ("whole", *PARTS)}
        of["rest"] = [whole - sum(parts) for whole, *parts in zip(of["whole"], *(of[p] for p in PARTS), strict=True)]
        found[kind] = {
            "steps_per_second": tools.spread([steps / seconds for seconds in of["whole"]], 0),
            "microseconds_per_step": {part: tools.spread([1e6 * s / steps for s in of[part]], 2) for part in of},
        }
    return found


def starts(env_id: str, number: int) -> dict[str, dict[str, float]]:
    """Median seconds until the first step, cold (nothing compiled yet) and warm (compiled code on the disk)."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for _ in range(number):
        with tempfile.TemporaryDirectory() as cache:
            for kind in found.values():
                kind.append(start(env_id, cache))
    return {
        kind: {name: round(statistics.median(one[name] for one in all_), 3) for name in all_[0]}
        for kind, all_ in found.items()
    }


def start(env_id: str, cache: str) -> dict[str, float]:
    """Seconds of one start; 'process' is from launching the interpreter to its end."""
    environment = os.environ | tools.ONE_THREAD | {"NUMBA_CACHE_DIR": cache}
    begin = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", STARTUP, env_id], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds: dict[str, float] = json.loads(child.stdout)
    return {**seconds, "process": time.perf_counter() - begin}


def table(result: Mapping[str, Any]) -> str:
    """The result in lines."""
    lines = []
    for kind, figures in result["summary"].items():
        rate = figures["steps_per_second"]
        lines.append(f"{kind:<5} {rate['median']:>8,.0f} steps a second ({rate['min']:,.0f} to {rate['max']:,.0f})")
        parts = figures["microseconds_per_step"]
        lines.append(
            "      us a step: " + ", ".join(f"{part} {spread['median']:.1f}" for part, spread in parts.items())
        )
    for kind, seconds in result["startup_seconds"].items():
        lines.append(f"{kind} start, s: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    return "\n".join(lines)
