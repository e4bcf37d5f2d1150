"""Choose the trained brains that come along from a benchmark's results.

``python -m hebbit.scripts.bench.ship RESULTS...`` takes for each task the run of hebbit with the best greedy mean.
That mean is flattered by the choice; what the catalogue states is measured anew, on episodes that the benchmark has
not seen. Where the best is hardly better than random play, nothing comes along.
"""

import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hebbit.agents import SpikingAgent, saving
from hebbit.agents.environment import episode_seed
from hebbit.agents.errors import HebbitError
from hebbit.agents.files import atomic_write_text
from hebbit.agents.runs import safe_name
from hebbit.agents.trained import CATALOGUE, FOLDER
from hebbit.scripts.bench import jobs
from hebbit.scripts.bench.play import Episodes, play
from hebbit.scripts.bench.rowbook import DONE, MODELS, RUNS, SUITE, read_json

PLACE = Path(__file__).resolve().parents[2] / "agents" / FOLDER
FRESH_SEED = 1
"""Evaluation seed of the episodes that nobody chose by: suites have 0."""
EPISODES = 100
LEAST = 0.05
"""Normalised score that a brain must have to come along."""


def main(folders: Sequence[str]) -> int:
    """Write a brain for each task of these results; those of other tasks stay."""
    path = PLACE / CATALOGUE
    catalogue: dict[str, Any] = read_json(path) if path.exists() else {}
    for name, (folder, row, number) in sorted(best([Path(one) for one in folders]).items()):
        if normalised(row) < LEAST:
            print(f"{name}: left out, the best of {number} has learnt nothing", flush=True)
            continue
        catalogue[name] = ship(folder, row) | {"chosen": f"the best greedy mean of {number} seeds"}
        print(f"{name}: {json.dumps(catalogue[name])}", flush=True)
    atomic_write_text(path, json.dumps(dict(sorted(catalogue.items())), indent=1) + "\n")
    return 0


def best(folders: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Any], int]]:
    """The run of hebbit with the best greedy mean, its folder, and of how many runs, for each task.

    Raises:
        HebbitError: there is none at all.
    """
    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for folder in folders:
        keys = {one["key"] for one in read_json(folder / SUITE)["expected"]}
        for path in sorted((folder / RUNS).glob(f"*/{jobs.OURS}-*.json")):
            row = read_json(path)
            # what a later call has replaced does not count
            if row["status"] == DONE and row["key"] in keys:
                found.setdefault(row["job"]["task"]["name"], []).append((folder, row))
    if not found:
        raise HebbitError(f"no finished run of hebbit in {', '.join(map(str, folders))}: run hebbit benchmark first")
    tops = {name: max(rows, key=lambda one: _mean(one[1])) for name, rows in found.items()}
    return {name: (*tops[name], len(rows)) for name, rows in found.items()}


def _mean(row: dict[str, Any]) -> float:
    return float(np.mean(row["final"]["greedy"]["returns"]))


def normalised(row: dict[str, Any]) -> float:
    """Greedy mean between random play and the reference of the task; 1 where it has none."""
    task = row["job"]["task"]
    if task["score_low"] is None or task["score_high"] is None:
        return 1.0
    return float((_mean(row) - task["score_low"]) / (task["score_high"] - task["score_low"]))


def ship(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    """Write a run's brain without what only learning needs, and give its entry of the catalogue."""
    job = jobs.of_dict(row["job"])
    agent = SpikingAgent.load(folder / MODELS / f"{job.stem}.zip", backend="numba", trust=True)
    parameters = agent.get_parameters()
    for name in ("traces", "excitement"):
        parameters[name] = np.zeros_like(parameters[name])
    agent.set_parameters(parameters)
    place = PLACE / f"{safe_name(job.task['name'])}.zip"
    saving.save(agent, place)
    _compress(place)
    returns = fresh(agent, EPISODES).returns
    return {
        "env_id": job.task["env_id"],
        "seed": job.seed,
        "steps": job.steps,
        "digest": agent.digest(),
        "bytes": place.stat().st_size,
        "mean": round(float(returns.mean()), 2),
        "std": round(float(returns.std()), 2),
        "first": returns[:10].tolist(),
    }


def _compress(path: Path) -> None:
    """Pack a checkpoint, which is written unpacked for speed."""
    with zipfile.ZipFile(path) as zipped:
        members = [(info, zipped.read(info)) for info in zipped.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for info, data in members:
            packed.writestr(zipfile.ZipInfo(info.filename, info.date_time), data, zipfile.ZIP_DEFLATED, 9)


def fresh(agent: SpikingAgent, episodes: int) -> Episodes:
    """Greedy episodes that the benchmark has not seen."""
    assert agent.spec is not None
    return play(agent, agent.spec.make, [episode_seed(FRESH_SEED, 0, e, evaluation=True) for e in range(episodes)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
