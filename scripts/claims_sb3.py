"""Claim: training time until CartPole-v1 is solved, beside Stable-Baselines3's PPO with rl-zoo's tuned settings.

Both sides obey the same rule. Training stops at the first checkpoint whose greedy policy has a mean return of 475 over
100 episodes; there is a checkpoint every 5,000 steps, counted over all environments. The episodes and the code that
plays them, SB3's evaluate_policy, are the same. Evaluation is off the clock, and so is start-up, which is stated apart:
imports, then a throwaway agent that learns for a moment (compiled kernels are loaded, torch warms up), then the agent.
Each side runs by itself, on one core with one thread, in an interpreter of its own; seeds alternate between the sides.
"""

import argparse
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hebbit.scripts import claims_tools as tools

SIDES = ("hebbit", "ppo")
ENV = "CartPole-v1"
EVALUATION_ENVS = 10
"""Side by side, which is faster for both; the episodes are shared out evenly."""
PPO_TOTAL = 100_000
"""Over these steps PPO's learning rate and clip range fall to 0, in rl-zoo's settings."""
PPO_ENVS = 8
PPO_SETTINGS = {
    "n_steps": 32,
    "batch_size": 256,
    "gae_lambda": 0.8,
    "gamma": 0.98,
    "n_epochs": 20,
    "ent_coef": 0.0,
}
"""rl-zoo's for CartPole-v1, with MlpPolicy, ``PPO_ENVS`` environments and the two schedules below."""
LEARNING_RATE, CLIP_RANGE = 1e-3, 0.2
PPO_WARM_STEPS = PPO_ENVS * 32


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of ``claims sb3``."""
    add = parser.add_argument
    add("--seeds", type=tools.seeds, default=tools.seeds("1000-1004"), help="such as 1000-1004 (the default)")
    add(
        "--max-steps",
        type=tools.count,
        default=PPO_TOTAL,
        help="then a seed counts as never solved (default %(default)s)",
    )
    add("--every", type=tools.count, default=5000, help="steps between checkpoints (default %(default)s)")
    add("--episodes", type=tools.count, default=100, help="of each evaluation, in tens (default %(default)s)")
    add("--target", type=float, default=475.0, help="greedy mean that counts as solved (default %(default)s)")
    add("--out", type=Path, help="JSON file for the result, complete after every seed")


def run(options: argparse.Namespace) -> int:
    """See ``claims sb3 --help``."""
    from hebbit.agents import HebbitError, configure  # here, for children time the import of hebbit: see race
    from hebbit.scripts.claims_machine import machine

    about, config = machine(), configure(ENV)
    if about["versions"]["stable_baselines3"] is None or about["versions"]["torch"] is None:
        raise HebbitError("this claim needs Stable-Baselines3 and torch: make test-sb3 installs them")
    rule = {
        "max_steps": options.max_steps,
        "every": options.every,
        "episodes": options.episodes,
        "target": options.target,
    }
    result: dict[str, Any] = {
        "claim": "sb3",
        "command": options.command,
        "settings": {"env_id": ENV, **rule, "hebbit": config.to_dict(), "ppo": ppo_settings()},
        "machine": about,
    }
    rows: list[dict[str, Any]] = []
    print(
        f"{'side':<7} {'seed':>5} {'solved':>7} {'steps':>7} {'seconds':>8} {'CPU s':>7} {'start-up s':>10} {'mean':>6}"
    )
    with tools.pinned():
        for seed in options.seeds:
            for side in SIDES:
                rows.append(
                    tools.in_child("hebbit.scripts.claims_sb3:race", {"side": side, "seed": seed, "rule": rule})
                )
                print(line(rows[-1]), flush=True)
                tools.write(options.out, {**result, "summary": summary(rows), "runs": rows})
    print(sentence(summary(rows)))
    return 0


def ppo_settings() -> dict[str, Any]:
    """PPO's side in full, for the result."""
    schedules = {"learning_rate": f"linear {LEARNING_RATE} to 0", "clip_range": f"linear {CLIP_RANGE} to 0"}
    return {"policy": "MlpPolicy", "n_envs": PPO_ENVS, "total_timesteps": PPO_TOTAL, **PPO_SETTINGS, **schedules}


class Race:
    """A callback for both sides: stops the clock at every checkpoint, evaluates, and ends training at the target."""

    def __init__(self, rule: Mapping[str, Any], seed: int) -> None:
        """Stand still until the clock is started."""
        self.rule, self.seed = rule, seed
        self.clock = tools.Clock()
        self.checkpoints: list[dict[str, float]] = []
        self._next = int(rule["every"])

    def __call__(self, locals_: Mapping[str, Any], _: object) -> bool:
        """After every step of either side's loop: whether to go on."""
        steps = locals_["self"].num_timesteps
        if steps < min(self._next, self.rule["max_steps"]):
            return True
        self._next += self.rule["every"]
        self.clock.stop()
        mean = self.evaluate(locals_["self"])
        seconds = {"seconds": round(self.clock.wall, 3), "cpu_seconds": round(self.clock.cpu, 3)}
        self.checkpoints.append({"steps": steps, **seconds, "greedy_mean": mean})
        self.clock.start()
        return not self.solved and steps < int(self.rule["max_steps"])

    @property
    def solved(self) -> bool:
        """Whether the latest checkpoint reached the target."""
        return bool(self.checkpoints) and self.checkpoints[-1]["greedy_mean"] >= self.rule["target"]

    def evaluate(self, model: Any) -> float:
        """Greedy mean return by SB3's own function, on the same episodes for both sides."""
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.evaluation import evaluate_policy

        # the seeds of training lie far below
        envs = make_vec_env(ENV, EVALUATION_ENVS, seed=1_000_000 + self.seed * EVALUATION_ENVS)
        mean, _ = evaluate_policy(model, envs, n_eval_episodes=self.rule["episodes"], deterministic=True)
        envs.close()
        return float(mean)


def race(side: str, seed: int, rule: Mapping[str, Any]) -> dict[str, Any]:
    """One seed of one side, in a fresh interpreter, whose imports are therefore timed here."""
    begin = time.perf_counter()
    train, startup = {"hebbit": _hebbit, "ppo": _ppo}[side](seed, int(rule["max_steps"]))
    total = time.perf_counter() - begin
    import torch  # the evaluation's, for hebbit

    torch.set_num_threads(1)
    referee = Race(rule, seed)
    referee.clock.start()
    train(referee)
    last = referee.checkpoints[-1]
    reached = {name: last[name] if referee.solved else None for name in ("steps", "seconds", "cpu_seconds")}
    return {
        "side": side,
        "seed": seed,
        "solved": referee.solved,
        **reached,
        "startup_seconds": {**startup, "total": round(total, 3)},
        "checkpoints": referee.checkpoints,
    }


def _hebbit(seed: int, steps: int) -> tuple[Any, dict[str, float]]:
    begin = time.perf_counter()
    from hebbit import SpikingAgent

    imported = time.perf_counter()
    SpikingAgent(ENV, seed=seed).learn(1).close()  # loads the compiled kernels, or compiles them
    agent = SpikingAgent(ENV, seed=seed)
    startup = _startup(begin, imported)
    return lambda callback: agent.learn(steps, callback), startup


def _ppo(seed: int, steps: int) -> tuple[Any, dict[str, float]]:
    begin = time.perf_counter()
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    imported = time.perf_counter()
    torch.set_num_threads(1)

    def make() -> Any:
        return PPO(
            "MlpPolicy",
            make_vec_env(ENV, PPO_ENVS, seed=seed),
            learning_rate=lambda remaining: remaining * LEARNING_RATE,
            clip_range=lambda remaining: remaining * CLIP_RANGE,
            seed=seed,
            device="cpu",
            **PPO_SETTINGS,
        )

    make().learn(PPO_WARM_STEPS)
    model = make()
    startup = _startup(begin, imported)
    # the schedules run over rl-zoo's total; the callback ends training at --max-steps
    return lambda callback: model.learn(max(steps, PPO_TOTAL), callback), startup


def _startup(begin: float, imported: float) -> dict[str, float]:
    return {"imports": round(imported - begin, 3), "construction": round(time.perf_counter() - imported, 3)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds of each side, never solved counting as infinite (null), and how they compare."""
    found: dict[str, Any] = {}
    for side in SIDES:
        own = [row for row in rows if row["side"] == side]
        found[side] = {
            "seeds": len(own),
            "solved": sum(row["solved"] for row in own),
            **{f"median_{name}": median(own, name) for name in ("steps", "seconds", "cpu_seconds")},
            "median_startup_seconds": _middle([row["startup_seconds"]["total"] for row in own]),
        }
    for name in ("steps", "seconds", "cpu_seconds"):
        ours, theirs = (found[side][f"median_{name}"] for side in SIDES)
        found[f"ppo_over_hebbit_{name}"] = round(theirs / ours, 2) if ours and theirs else None
    return found


def median(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Median of a figure; None if it is infinite or there are no rows."""
    return _middle([math.inf if row[name] is None else row[name] for row in rows])


def _middle(values: Sequence[float]) -> float | None:
    return tools.finite(statistics.median(values)) if values else None


def line(row: Mapping[str, Any]) -> str:
    """A row of the table."""
    last = row["checkpoints"][-1]
    return (
        f"{row['side']:<7} {row['seed']:>5} {'yes' if row['solved'] else 'never':>7} {last['steps']:>7,} "
        f"{last['seconds']:>8.2f} {last['cpu_seconds']:>7.2f} {row['startup_seconds']['total']:>10.2f} "
        f"{last['greedy_mean']:>6.1f}"
    )


def sentence(figures: Mapping[str, Any]) -> str:
    """The summary in lines."""
    lines = []
    for side in SIDES:
        own = figures[side]
        seconds = "never" if own["median_seconds"] is None else f"{own['median_seconds']:.2f} s"
        lines.append(f"{side}: {own['solved']} of {own['seeds']} seeds solved, median {seconds} of training")
    ratio = figures["ppo_over_hebbit_seconds"]
    lines.append("no ratio: a side's median never solved it" if ratio is None else f"PPO takes {ratio:g} times as long")
    return "\n".join(lines)
