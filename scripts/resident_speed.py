"""Steps a second of resident environments beside Gymnasium's own, measured in turns in one run.

python -m hebbit.scripts.resident_speed
python -m hebbit.scripts.resident_speed --envs CartPole-v1 --num-envs 64 --out resident.json

Every round measures all makers of one task and size one after the other, so that they share the machine's good and bad
moments; the ratios are taken within a round, and their median is what counts. With ``prepared`` actions only stepping
is measured; ``sampled`` is gymnasium.utils.performance.benchmark_vector_step, which also draws the actions.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
from gymnasium.utils.performance import benchmark_vector_step
from gymnasium.vector import VectorEnv

from hebbit.agents.errors import HebbitError
from hebbit.agents.files import atomic_write_text
from hebbit.envs import make_resident
from hebbit.envs.worlds import WORLDS
from hebbit.scripts.claims_machine import machine
from hebbit.scripts.evaluate import check_output

Env = VectorEnv[Any, Any, Any]
PREPARED = 32
"""Batches of actions that are drawn before the clock starts."""
OURS = "resident"


def prepared_rate(env: Env, seconds: float) -> float:
    """Environment steps a second, with actions drawn beforehand; restarts of ended episodes count as steps."""
    env.action_space.seed(0)
    batches = [env.action_space.sample() for _ in range(PREPARED)]
    env.reset(seed=0)
    env.step(batches[0])
    steps, begin = 0, time.perf_counter()
    while True:
        for actions in batches:
            env.step(actions)
        steps += PREPARED
        spent = time.perf_counter() - begin
        if spent >= seconds:
            return steps * env.num_envs / spent


def sampled_rate(env: Env, seconds: float) -> float:
    """Gymnasium's own figure; its clock takes parts of a second though it is declared for whole ones."""
    return benchmark_vector_step(env, cast(int, seconds), 0)


MEASURES: dict[str, Callable[[Env, float], float]] = {"prepared": prepared_rate, "sampled": sampled_rate}


def makers(env_id: str) -> dict[str, Callable[[int], Env]]:
    """Who makes environments of a task, ours first."""
    made: dict[str, Callable[[int], Env]] = {OURS: lambda count: make_resident(env_id, count)}
    modes = ["sync"] if gym.spec(env_id).vector_entry_point is None else ["vector_entry_point", "sync"]
    for mode in modes:
        made[mode] = lambda count, mode=mode: gym.make_vec(env_id, count, vectorization_mode=mode)  # type: ignore[misc]  # the default binds the name
    return made


def measure(env_id: str, count: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Rates and ratios of every maker, for each way to measure."""
    envs = {name: make(count) for name, make in makers(env_id).items()}
    rows = []
    for measure_name, rate in MEASURES.items():
        rates: dict[str, list[float]] = {name: [] for name in envs}
        for _ in range(rounds):
            for name, env in envs.items():
                rates[name].append(rate(env, seconds))
        for name, own in rates.items():
            ratios = [ours / theirs for ours, theirs in zip(rates[OURS], own, strict=True)]
            row = {"env_id": env_id, "num_envs": count, "actions": measure_name, "maker": name}
            rows.append(row | {"steps_per_second": own, "resident_is_faster": statistics.median(ratios)})
    for env in envs.values():
        env.close()
    return rows


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    rate = statistics.median(row["steps_per_second"])
    return (
        f"{row['env_id']:<25}{row['num_envs']:>6}  {row['actions']:<9} {row['maker']:<19}"
        f"{rate:>12,.0f}{row['resident_is_faster']:>9.1f}"
    )


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The flags.

    Raises:
        SystemExit: they cannot be understood.
    """
    parser = argparse.ArgumentParser(prog="resident_speed", description="Resident environments beside Gymnasium's own.")
    parser.add_argument("--envs", nargs="+", choices=WORLDS, default=list(WORLDS), help="tasks (default all)")
    parser.add_argument("--num-envs", nargs="+", type=int, default=[1, 64, 1024], help="sizes (default 1 64 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every maker (default 5)")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of a turn (default 0.05)")
    parser.add_argument("--out", help="write the figures into this new JSON file")
    options = parser.parse_args(argv)
    if min(options.num_envs) < 1 or options.rounds < 1 or options.seconds <= 0:
        parser.error("--num-envs, --rounds and --seconds must be positive")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table and write the file; 2 if the file cannot be written."""
    options = parsed(argv)
    try:
        check_output(options.out)
        print(f"{'task':<25}{'envs':>6}  {'actions':<9} {'maker':<19}{'steps/s':>12}{'resident x':>11}")
        rows: list[dict[str, Any]] = []
        for env_id in options.envs:
            for count in options.num_envs:
                found = measure(env_id, count, options.rounds, options.seconds)
                print(*map(line, found), sep="\n", flush=True)
                rows += found
        if options.out is not None:
            settings = {"rounds": options.rounds, "seconds": options.seconds}
            result = {"machine": machine(), "settings": settings, "rows": rows}
            atomic_write_text(Path(options.out), json.dumps(result, indent=1) + "\n")
    except HebbitError as error:
        print(f"resident_speed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
