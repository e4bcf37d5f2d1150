"""Training and evaluating variants, and the file that keeps what came of it."""

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hebbit
from hebbit.agents import SpikingAgent
from hebbit.agents.errors import HebbitError, brief
from hebbit.agents.files import atomic_write_text, read_object
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts.ablation.variants import Variant
from hebbit.scripts.claims_tools import Clock

Row = dict[str, Any]
Key = tuple[str, str, int]
FIRST_SEED = 2000
"""Nothing was ever tuned on these seeds."""
GREEDY_EPISODES, STOCHASTIC_EPISODES = 100, 30
CLAIM, BITS_CLAIM = "ablation", "bits"
NEEDED = {
    CLAIM: {
        "name", "part", "env_id", "steps", "settings_sha256", "seed", "hebbit", "contract", "greedy", "stochastic"
    },
    BITS_CLAIM: {"weight_bits", "trace_bits", "greedy"},
}  # fmt: skip
"""What every row of a result file holds, at least."""
ADVICE = "choose another --out"


@dataclass(frozen=True)
class Run:
    """One training of one variant."""

    variant: Variant
    seed: int
    backend: str = "numba"

    @property
    def key(self) -> Key:
        """Its place in the file."""
        return self.variant.env_id, self.variant.name, self.seed

    def about(self) -> Row:
        """What decides its result: a row that says the same need not be measured again."""
        own = self.variant
        settings = json.dumps(own.config().to_dict(), sort_keys=True)
        return {
            "name": own.name,
            "env_id": own.env_id,
            "steps": own.steps,
            "changes": dict(own.changes),
            "settings_sha256": hashlib.sha256(settings.encode()).hexdigest(),
            "seed": self.seed,
            "backend": self.backend,
            "hebbit": hebbit.__version__,
            "contract": CONTRACT_VERSION,
        }


def key_of(row: Row) -> Key:
    """Place of a row."""
    return row["env_id"], row["name"], row["seed"]


def trained(run: Run) -> Row:
    """Train and evaluate one agent: its row."""
    own = run.variant

    def newborn() -> SpikingAgent:
        return SpikingAgent(own.env_id, seed=run.seed, config=own.config(), backend=run.backend)

    # a throwaway agent loads the compiled kernels, or compiles them, before the clock runs
    newborn().learn(1, log_interval=None).close()
    agent = newborn()
    with Clock() as clock:
        agent.learn(own.steps, log_interval=None)
    greedy, _ = agent.evaluate(episodes=GREEDY_EPISODES)
    stochastic, _ = agent.evaluate(episodes=STOCHASTIC_EPISODES, deterministic=False)
    agent.close()
    return {
        **run.about(),
        "part": own.part,
        "greedy": float(greedy.mean()),
        "stochastic": float(stochastic.mean()),
        "cpu_seconds": round(clock.cpu, 3),
    }


def results(runs: Sequence[Run], jobs: int) -> Iterator[Row]:
    """Rows of some runs as they end, ``jobs`` at a time in processes of their own (one alone runs in this one)."""
    if jobs == 1:
        yield from map(trained, runs)
        return
    # fresh interpreters: a fork would copy threads that the libraries hold
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(trained, run) for run in runs]
        try:
            for one in as_completed(waiting):
                yield one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def read_rows(path: Path, claim: str = CLAIM) -> list[Row] | None:
    """Rows of a result file; None where there is no file.

    Raises:
        HebbitError: it cannot be read, or holds something else.
    """
    found = read_object(path, ADVICE)
    if found is None:
        return None
    rows = found.get("rows")
    whole = isinstance(rows, list) and all(isinstance(row, dict) and row.keys() >= NEEDED[claim] for row in rows)
    if found.get("claim") != claim or not isinstance(rows, list) or not whole:
        raise HebbitError(f"{brief(path)} must hold results of this command, got something else; {ADVICE}")
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a result file, whole or not at all."""
    content = {
        "claim": CLAIM,
        "greedy_episodes": GREEDY_EPISODES,
        "stochastic_episodes": STOCHASTIC_EPISODES,
        "rows": list(rows),
    }
    atomic_write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def missing(runs: Sequence[Run], kept: dict[Key, Row], anew: bool) -> list[Run]:
    """Runs without a row. Rows that were made with other settings or code are removed from ``kept`` if ``anew``.

    Raises:
        HebbitError: there are such rows, and they shall not be measured anew.
    """
    for run in runs:
        row = kept.get(run.key)
        if row is None or run.about().items() <= row.items():
            continue
        if not anew:
            what = [name for name, value in run.about().items() if row.get(name) != value]
            raise HebbitError(
                f"{run.variant.name} of {run.variant.env_id} must be as in the file, got other {', '.join(what)}: "
                f"{ADVICE}, or replace those rows with --anew"
            )
        del kept[run.key]
    return [run for run in runs if run.key not in kept]


def measure(runs: Sequence[Run], order: Sequence[Variant], out: Path, jobs: int = 1, anew: bool = False) -> None:
    """Do the runs that are not in the file yet, and keep it complete after each.

    Args:
        runs: what to do.
        order: of the rows in the file.
        out: the file.
        jobs: processes at a time.
        anew: measure again what was measured with other settings or code.

    Raises:
        HebbitError: the file holds something else, or rows of other settings that shall not be replaced.
    """
    kept = {key_of(row): row for row in read_rows(out) or []}
    todo = missing(runs, kept, anew)
    places = {(own.env_id, own.name): place for place, own in enumerate(order)}
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are there")
    for row in results(todo, jobs):
        kept[key_of(row)] = row
        # rows of variants that are no longer listed stay, at the end
        write_rows(
            out, sorted(kept.values(), key=lambda r: (places.get((r["env_id"], r["name"]), len(places)), r["seed"]))
        )
        told = f"{row['env_id']} {row['name']} seed {row['seed']}"
        print(f"{told}: greedy {row['greedy']:.1f}, stochastic {row['stochastic']:.1f}, {row['cpu_seconds']:.1f} s")
