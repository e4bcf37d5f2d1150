"""Result folders of benchmarks that never ran: made up, but in the format of hebbit benchmark."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TASKS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"steps": 30_000, "threshold": 475.0, "score_low": 22.0, "score_high": 500.0},
    "Acrobot-v1": {"steps": 100_000, "threshold": -100.0, "score_low": -499.0, "score_high": -69.1},
    "Breakout": {"steps": 300_000, "threshold": None, "score_low": 0.4, "score_high": 17.0},
    "MountainCar-v0": {"steps": 120_000, "threshold": -110.0, "score_low": -200.0, "score_high": -100.8},
}
SKILL = {"hebbit": 0.95, "ppo": 0.97, "a2c": 0.8, "dqn": 0.7, "qrdqn": 0.85, "ars": 0.6}
"""Normalised score that each of them comes to."""
HERE = {"cpu": "A processor of this test", "cores": 2, "id": "machine-a", "commit": "0123abcd"}
ELSEWHERE = {"cpu": "Another processor", "cores": 8, "id": "machine-b"}


def task(name: str) -> dict[str, Any]:
    """A task as suite.json has it."""
    return {"name": name, "env_id": name, "kwargs": {}, "wrappers": [], "source": "made up", **TASKS[name]}


@dataclass
class Made:
    """What to make up."""

    tasks: Sequence[str] = ("CartPole-v1", "Acrobot-v1")
    algorithms: Sequence[str] = ("hebbit", "ppo", "dqn")
    seeds: Sequence[int] = (1000, 1001, 1002, 1003, 1004)
    failed: Mapping[tuple[str, str, int], str] = field(default_factory=dict)
    """Status (crashed, timed out or missing) of a task, an algorithm and a seed."""
    machine: Mapping[str, Any] = field(default_factory=lambda: HERE)
    invocation: str = "abc123"
    points: int = 12
    """Of a learning curve."""
    factor: int = 3
    """Steps of a baseline beside hebbit's."""
    settings: Mapping[str, Any] = field(default_factory=lambda: {"gamma": 0.99, "net_arch": [64, 64]})

    def write(self, folder: Path) -> Path:
        """Fill a folder."""
        expected = []
        for name in self.tasks:
            for algorithm in self.algorithms:
                for seed in self.seeds:
                    job = self.job(name, algorithm, seed)
                    key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
                    one = {"task": name, "algorithm": algorithm, "seed": seed, "steps": job["steps"], "key": key}
                    expected.append(one)
                    self.write_run(folder, job, key)
        suite = {
            "format": 2,
            "suite": "made-up",
            "tasks": [task(name) for name in self.tasks],
            "algorithms": list(self.algorithms),
            "expected": expected,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "suite.json").write_text(json.dumps(suite))
        return folder

    def job(self, name: str, algorithm: str, seed: int) -> dict[str, Any]:
        """A job's description."""
        steps = TASKS[name]["steps"] * (1 if algorithm == "hebbit" else self.factor)
        versions = {"hebbit": "0.1.0"} if algorithm == "hebbit" else {"stable_baselines3": "2.9.0"}
        own = {"algorithm": algorithm, "task": task(name), "seed": seed, "steps": steps}
        return own | {"settings": dict(self.settings), "versions": versions | {"gymnasium": "1.4.0"}}

    def write_run(self, folder: Path, job: dict[str, Any], key: str) -> None:
        """The file of a run, unless it is missing."""
        name, algorithm, seed = job["task"]["name"], job["algorithm"], job["seed"]
        status = self.failed.get((name, algorithm, seed), "done")
        if status == "missing":
            return
        row = {"format": 2, "key": key, "job": job, "status": status, "error": None}
        row |= {"machine": dict(self.machine), "invocation": self.invocation}
        row |= {"finished": f"2026-11-22T13:{seed % 60:02d}:00+00:00"}
        if status == "done":
            row |= measured(job, self.points)
        else:
            row |= {"error": f"ValueError: {status} <b>|</b> with seed {seed}", "final": None, "curve": None}
        path = folder / "runs" / name.replace("/", "-") / f"{algorithm}-{seed}-{key[:8]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row))


def measured(job: Mapping[str, Any], points: int = 12) -> dict[str, Any]:
    """Final returns, learning curve and cost of a made-up run."""
    own, algorithm, steps = job["task"], job["algorithm"], job["steps"]
    generator = np.random.default_rng([job["seed"], *own["name"].encode(), *algorithm.encode()])
    low, high = own["score_low"], own["score_high"]
    skill = SKILL.get(algorithm, 0.5) + generator.normal(0, 0.04)
    spiking = algorithm == "hebbit"

    def returns(score: float, episodes: int) -> list[float]:
        scores = np.minimum(score + generator.normal(0, 0.1, episodes), 1)
        return [float(x) for x in np.round(low + (high - low) * scores, 1)]

    even = np.round(np.linspace(0, steps, points)).astype(int)
    shared = [digit * 10**power for digit in (1, 2, 3, 5) for power in range(3, 7) if digit * 10**power <= steps]
    rate = generator.uniform(5, 8) / steps * (2 if spiking else 1)
    speed = generator.uniform(0.9, 1.1) * (4e-5 if spiking else 4e-4)

    def point(mark: int) -> dict[str, Any]:
        seconds = float(mark * speed)
        greedy = returns(skill * (1 - float(np.exp(-rate * mark))), 10)
        return {"steps": int(mark), "seconds": 1.1 * seconds, "cpu_seconds": seconds, "greedy": greedy}

    curve = [point(mark) for mark in even]
    final = {}
    for kind, loss in (("greedy", 0.0), ("stochastic", 0.08)):
        final[kind] = {"returns": returns(skill - loss, 100), "lengths": [100] * 100}
    costs = {"steps": steps, **cost(spiking, curve[-1], generator)}
    curve += [point(mark) for mark in shared if mark not in even]
    return {"final": final, "curve": sorted(curve, key=lambda one: int(one["steps"])), "cost": costs}


def cost(spiking: bool, last: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """Made up, too."""
    operations = {
        "kind": "spiking" if spiking else "dense",
        "synaptic_per_action": 21_000.0 + generator.uniform(0, 900) if spiking else None,
        "spikes_per_action": 2_900.0 if spiking else None,
        "neuron_updates_per_action": 16_384.0 if spiking else None,
        "macs_per_action": None if spiking else 4_672.0,
        "parameters": 6_656 if spiking else 9_155,
    }
    return {
        "seconds": last["seconds"],
        "cpu_seconds": last["cpu_seconds"],
        "startup_seconds": 0.5 if spiking else 2.0,
        "peak_bytes": 230_000_000 if spiking else 480_000_000,
        "policy_bytes": 5_632 if spiking else 36_620,
        "answer_seconds": 8.1e-6 if spiking else 1.9e-4,
        "operations": operations,
    }


def text_of(folder: Path) -> str:
    """A report."""
    return (folder / "report.md").read_text()


def plain(cell: str) -> str:
    """A text without what Markdown needs."""
    return re.sub(r"\\(.)", r"\1", cell.replace("<br>", " ")).strip()


def table(folder: Path, caption: str) -> list[dict[str, str]]:
    """The rows of a table of report.md whose caption begins like this."""
    lines = text_of(folder).splitlines()
    start = next(i for i, line in enumerate(lines) if plain(line).startswith(f"**{caption}")) + 2
    cut = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[start : lines.index("", start)]]
    head, _, *body = [[plain(cell) for cell in row] for row in cut]
    return [dict(zip(head, row, strict=True)) for row in body]
