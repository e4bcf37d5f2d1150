"""Choose the trained brains that come along from a benchmark's results.

``python -m hebbit.scripts.bench.ship RESULTS...`` takes for each task the run of hebbit with the best greedy mean.
That mean is flattered by the choice; what the catalogue states is measured anew, on episodes that the benchmark has
not seen.
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
from hebbit.scripts.bench.rowbook import DONE, MODELS, RUNS, read_json

PLACE = Path(__file__).resolve().parents[2] / "agents" / FOLDER
FRESH_SEED = 1
"""Evaluation seed of the episodes that nobody chose by: suites have 0."""
EPISODES = 100


def main(folders: Sequence[str]) -> int:
    """Write a brain for each task of these results; those of other tasks stay."""
    path = PLACE / CATALOGUE
    catalogue: dict[str, Any] = read_json(path) if path.exists() else {}
    for name, (folder, row) in sorted(best([Path(one) for one in folders]).items()):
        catalogue[name] = ship(folder, row)
        print(f"{name}: {json.dumps(catalogue[name])}", flush=True)
    atomic_write_text(path, json.dumps(dict(sorted(catalogue.items())), indent=1) + "\n")
    return 0


def best(folders: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Any]]]:
    """The finished run of hebbit with the best greedy mean, and its folder, for each task.

    Raises:
        HebbitError: there is none at all.
    """
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for folder in folders:
        for path in sorted((folder / RUNS).glob(f"*/{jobs.OURS}-*.json")):
            row = read_json(path)
            name = row["job"]["task"]["name"]
            if row["status"] == DONE and (name not in found or _mean(row) > _mean(found[name][1])):
                found[name] = folder, row
    if not found:
        raise HebbitError(f"no finished run of hebbit in {', '.join(map(str, folders))}: run hebbit benchmark first")
    return found


def _mean(row: dict[str, Any]) -> float:
    return float(np.mean(row["final"]["greedy"]["returns"]))


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
