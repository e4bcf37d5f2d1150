"""Claim: default agents learn, on seeds that nobody has tuned for.

One agent for each seed, and of each only the final policy, whatever came before it. Finished seeds are kept in --out
after each one, so that a long measurement can be interrupted and taken up again.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, SpikingAgent, configure
from hebbit.agents.runs import safe_name
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts import claims_tools as tools
from hebbit.scripts.claims_machine import machine

SEED = "hebbit.scripts.claims_learning:learn_seed"
Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One row of the table."""

    env_id: str
    steps: int
    seeds: tuple[int, ...]
    threshold: float | None
    """A seed passes if its greedy mean reaches this."""
    episodes: int = 100
    config: AgentConfig = field(default_factory=AgentConfig)

    def settings(self) -> dict[str, Any]:
        """What decides a seed's result, besides the code."""
        return {
            "env_id": self.env_id,
            "steps": self.steps,
            "episodes": self.episodes,
            "contract": CONTRACT_VERSION,
            "config": self.config.to_dict(),
        }


def suite() -> tuple[Task, ...]:
    """The rows of the published table; environments may have presets of their own."""
    rows = (
        ("CartPole-v1", 30_000, range(1000, 1020), 475.0),
        ("Acrobot-v1", 100_000, range(1000, 1010), -100.0),
        ("MountainCar-v0", 120_000, range(1000, 1010), -130.0),
        ("LunarLander-v3", 300_000, range(1000, 1005), 100.0),
    )
    return tuple(Task(name, steps, tuple(own), at, config=configure(name)) for name, steps, own, at in rows)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of ``claims learning``."""
    add = parser.add_argument
    add("--suite", action="store_true", help="all rows of the table, one file each in the folder --out")
    add("--env", default="CartPole-v1", help="environment (default %(default)s)")
    add("--steps", type=tools.count, default=30_000, help="steps of training (default %(default)s)")
    add("--seeds", type=tools.seeds, default=tools.seeds("1000-1019"), help="such as 1000-1019 (the default)")
    add("--episodes", type=tools.count, default=100, help="of each evaluation (default %(default)s)")
    add("--threshold", type=float, help="greedy mean with which a seed passes")
    add("--preset", help="hyperparameters by name or file; default: those of the environment, if it has any")
    add("--jobs", type=tools.count, default=1, help="agents learning at a time, one thread each (default %(default)s)")
    add("--out", type=Path, help="JSON file for the result, with --suite a folder")


def run(options: argparse.Namespace) -> int:
    """See ``claims learning --help``."""
    if options.suite:
        if options.out is None:
            raise HebbitError("--suite writes several files: name their folder with --out")
        for task in suite():
            measure(task, options.jobs, options.out / f"learning_{safe_name(task.env_id)}.json", options.command)
        return 0
    config = configure(options.env, options.preset)
    task = Task(options.env, options.steps, options.seeds, options.threshold, options.episodes, config)
    measure(task, options.jobs, options.out, options.command)
    return 0


def measure(task: Task, jobs: int, out: Path | None, command: str) -> dict[str, Any]:
    """Train what is missing, printing a row for each seed, and keep the file complete after every one."""
    EnvSpec(task.env_id).make().close()  # a misspelt name is better known now
    rows = kept(tools.read(out), task, out)
    about = machine()
    print(
        f"\n{task.env_id}: {task.steps:,} steps, {task.episodes} episodes, {changes(task) or 'default hyperparameters'}"
    )
    print(f"{'seed':>6} {'greedy mean':>12} {'std':>7} {'min':>8} {'max':>8} {'stochastic':>11} {'seconds':>8}  digest")
    for row in rows.values():
        print(line(row), " (kept)", flush=True)
    content = result(task, rows, about, command)
    for row in trained(task, [seed for seed in task.seeds if seed not in rows], jobs):
        rows[row["seed"]] = {**row, "commit": about["commit"], "code_changed": about["code_changed"]}
        print(line(row), flush=True)
        content = result(task, rows, about, command)
        tools.write(out, content)
    tools.write(out, content)
    print(sentence(content["summary"]), flush=True)
    return content


def kept(found: Mapping[str, Any] | None, task: Task, out: Path | None) -> dict[int, Row]:
    """Finished seeds of an earlier, interrupted measurement.

    Raises:
        HebbitError: the file holds something else, or seeds that would be lost.
    """
    if found is None:
        return {}
    rows = {row["seed"]: dict(row) for row in found.get("seeds", [])}
    if found.get("settings") != task.settings() or not set(rows) <= set(task.seeds):
        raise HebbitError(
            f"{out} holds results of other settings, another contract or other seeds; choose another --out"
        )
    return rows


def trained(task: Task, missing: Sequence[int], jobs: int) -> Iterator[Row]:
    """Rows of some seeds as they are finished. Threads wait, interpreters of their own work."""
    shared = {"env_id": task.env_id, "steps": task.steps, "episodes": task.episodes, "config": task.config.to_dict()}
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = [pool.submit(tools.in_child, SEED, {**shared, "seed": seed}) for seed in missing]
        for future in as_completed(waiting):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def learn_seed(env_id: str, steps: int, seed: int, episodes: int, config: Mapping[str, Any]) -> Row:
    """Train and evaluate one agent. A throwaway agent compiles the kernels first, off the clock."""
    settings = AgentConfig().replace(config)
    starting = time.perf_counter()
    throwaway = SpikingAgent(env_id, seed=seed, config=settings).learn(1)
    throwaway.close()
    agent = SpikingAgent(env_id, seed=seed, config=settings)
    startup = time.perf_counter() - starting
    with tools.Clock() as clock:
        agent.learn(steps)
    greedy, _ = agent.evaluate(episodes=episodes, deterministic=True)
    stochastic, _ = agent.evaluate(episodes=episodes, deterministic=False)
    agent.close()
    return {
        "seed": seed,
        "greedy": {"mean": greedy.mean(), "std": greedy.std(), "min": greedy.min(), "max": greedy.max()},
        "stochastic": {"mean": stochastic.mean(), "std": stochastic.std()},
        "training_seconds": round(clock.wall, 3),
        "training_cpu_seconds": round(clock.cpu, 3),
        "startup_seconds": round(startup, 3),
        "digest": agent.digest(),
    }


def summary(rows: Sequence[Row], asked: int, threshold: float | None) -> dict[str, Any]:
    """Figures over the seeds that are finished."""
    means = [row["greedy"]["mean"] for row in rows]
    seconds = [row["training_seconds"] for row in rows]
    if not means:
        return {"seeds": 0, "seeds_asked": asked}
    return {
        "seeds": len(means),
        "seeds_asked": asked,
        "greedy_mean": statistics.fmean(means),
        "greedy_std_over_seeds": statistics.pstdev(means),
        "greedy_iqm": tools.interquartile_mean(means),
        "greedy_worst": min(means),
        "greedy_best": max(means),
        "threshold": threshold,
        "passed": None if threshold is None else sum(mean >= threshold for mean in means),
        "stochastic_mean": statistics.fmean(row["stochastic"]["mean"] for row in rows),
        "training_seconds": tools.spread(seconds),
    }


def result(task: Task, rows: Mapping[int, Row], about: Mapping[str, Any], command: str) -> dict[str, Any]:
    """The content of the file: seeds in the order that was asked for."""
    finished = [rows[seed] for seed in task.seeds if seed in rows]
    return {
        "claim": "learning",
        "command": command,
        "settings": task.settings(),
        "config_is_default": task.config == AgentConfig(),
        "config_changes": changes(task),
        "summary": summary(finished, len(task.seeds), task.threshold),
        "machine": about,
        "seeds": finished,
    }


def changes(task: Task) -> dict[str, Any]:
    """Hyperparameters that differ from the default."""
    default = AgentConfig().to_dict()
    return {name: value for name, value in task.config.to_dict().items() if value != default[name]}


def line(row: Row) -> str:
    """A row of the table."""
    greedy = row["greedy"]
    return (
        f"{row['seed']:>6} {greedy['mean']:>12.2f} {greedy['std']:>7.2f} {greedy['min']:>8.1f} {greedy['max']:>8.1f} "
        f"{row['stochastic']['mean']:>11.2f} {row['training_seconds']:>8.1f}  {row['digest'][:12]}"
    )


def sentence(figures: Mapping[str, Any]) -> str:
    """The summary in one line."""
    passed = "" if figures["passed"] is None else f", {figures['passed']} reach {figures['threshold']:g}"
    return (
        f"{figures['seeds']} seeds: mean {figures['greedy_mean']:.1f}, IQM {figures['greedy_iqm']:.1f}, worst "
        f"{figures['greedy_worst']:.1f}{passed}; training took {figures['training_seconds']['median']:.1f} s (median)"
    )
