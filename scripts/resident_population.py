"""Brains of a resident run on their way until they have solved their task."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import HebbitError, SpikingAgent, checkpoint, resident
from hebbit.agents.errors import CheckpointError, RunError
from hebbit.scripts.settings import Settings

TRIALS = (2, 10, 30)
"""Greedy episodes of a first look and of the next ones, for those that do well: the last one says who has solved it."""
COLUMNS = ("steps", "seconds", "solved", "least", "lower", "median", "upper", "most")


@dataclass
class Population:
    """Brains on their way, and what is known of each."""

    agent: SpikingAgent
    threshold: float | None
    solved_at: NDArray[np.int64]
    """[R]: steps after which a brain was found to have solved its task, -1 for never."""
    train_seconds: float = 0.0
    trial_seconds: float = 0.0
    elapsed: float = 0.0
    """Seconds of all that: learning, looks, and what was saved on the way."""
    rows: list[Sequence[float]] = field(default_factory=list)
    """Of progress.csv."""

    @property
    def awake(self) -> NDArray[np.bool_]:
        """Brains that learn on."""
        return self.solved_at < 0

    @property
    def share(self) -> float:
        """Of the brains that have solved their task."""
        return float(np.mean(self.solved_at >= 0))

    def live(self, steps: int, look: bool) -> None:
        """Learn, and look who has solved the task if it is time."""
        began = time.perf_counter()
        resident.live(self.agent, steps, None if self.awake.all() else self.awake)
        met = time.perf_counter()
        if look and self.threshold is not None:
            self._look(self.threshold)
        self.train_seconds += met - began
        self.trial_seconds += time.perf_counter() - met
        self.rows.append(row_of(self.steps, self.train_seconds, self.share, self.means()))

    def _look(self, threshold: float) -> None:
        """A short greedy trial of all, longer ones of those that do well in it."""
        rows = np.flatnonzero(self.awake)
        for number, episodes in enumerate(TRIALS, 1):
            if len(rows):
                # other episodes than those of the last trial and of the final evaluation
                seed = (self.agent.seed + number) % 2**32
                returns, _ = resident.trial(self.agent, episodes, brains=rows, seed=seed)
                rows = rows[returns.mean(axis=1) >= threshold]
        self.solved_at[rows] = self.agent.num_timesteps

    @property
    def steps(self) -> int:
        """Steps of each brain so far."""
        return self.agent.num_timesteps

    def means(self) -> list[float]:
        """Mean return of each brain's latest training episodes; nan where none has ended."""
        books = self.agent.books.recent
        nan = float("nan")
        return [sum(total for total, _ in recent) / len(recent) if recent else nan for recent in books]

    def gather(self) -> "Population":
        """It is here."""
        return self

    def close(self) -> None:
        """Nothing was started for it."""
        self.agent.close()

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "solved_at": self.solved_at.tolist(),
            "train_seconds": self.train_seconds,
            "trial_seconds": self.trial_seconds,
            "elapsed": self.elapsed,
            # JSON has no number for what is not known
            "rows": [[value if np.isfinite(value) else None for value in row] for row in self.rows],
        }

    def restore(self, kept: Any) -> None:
        """Take over what :meth:`kept` gave.

        Raises:
            CheckpointError: it is none of ours.
        """
        try:
            solved = np.array(kept["solved_at"], np.int64)
            self.train_seconds, self.trial_seconds = float(kept["train_seconds"]), float(kept["trial_seconds"])
            self.elapsed = float(kept.get("elapsed", self.train_seconds + self.trial_seconds))
            self.rows = [
                (int(steps), *(float("nan") if value is None else float(value) for value in row))
                for steps, *row in kept["rows"]
            ]
            if any(len(row) != len(COLUMNS) for row in self.rows):
                raise ValueError("rows of another length")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise CheckpointError("the checkpoint is not from a resident run, so none can go on from it") from error
        if solved.shape != self.solved_at.shape:
            raise CheckpointError("the checkpoint holds another number of brains: start another run")
        self.solved_at = solved


def row_of(steps: int, seconds: float, share: float, means: Sequence[float]) -> Sequence[float]:
    """One row of progress.csv."""
    known = [mean for mean in means if np.isfinite(mean)]
    quartiles = np.quantile(known, (0, 0.25, 0.5, 0.75, 1)) if known else np.full(5, np.nan)
    return (steps, seconds, share, *map(float, quartiles))


class Lives(Protocol):
    """What the loop asks of a population, in this process or in shards."""

    rows: list[Sequence[float]]
    elapsed: float

    @property
    def steps(self) -> int:
        """Steps of each brain so far."""

    @property
    def share(self) -> float:
        """Of the brains that have solved their task."""

    def live(self, steps: int, look: bool) -> None:
        """Learn, and look if it is time."""

    def gather(self) -> Population:
        """The population in this process."""

    def close(self) -> None:
        """End what was started for it."""


def newborn(settings: Settings, backend: str, brains: Sequence[int] | None = None) -> SpikingAgent:
    """A population in its resident world, compiled and with running episodes.

    Args:
        settings: of the run.
        backend: its name, or auto.
        brains: their numbers; None for all of the run's.

    Raises:
        HebbitError: it cannot be resident.
    """
    numbers = range(settings.first, settings.first + settings.brains) if brains is None else brains
    agent = SpikingAgent(
        settings.environment(), seed=settings.seed, config=settings.agent_config(), backend=backend,
        brains=numbers,
    )  # fmt: skip
    agent._prepare(True)
    resident.warm_up(agent)
    if resident.paces(agent):
        raise HebbitError(
            "brains that are re-wired or that fade cannot sleep: leave out rewire_every and actor_fading, or --resident"
        )
    return agent


def population_of(agent: SpikingAgent, settings: Settings) -> Population:
    """Brains none of which has been looked at yet."""
    from hebbit.scripts.train import reward_threshold

    never = np.full(len(agent.brains), -1, np.int64)
    return Population(agent, reward_threshold(settings.env_id), never)


def restored(path: Path, settings: Settings, backend: str) -> Population:
    """The population of a checkpoint; newborn brains where there is none yet.

    Raises:
        RunError: it is another one than the settings describe.
    """
    if not path.exists():
        print(f"hebbit: {path} is not there, so its brains begin anew", file=sys.stderr)
        return population_of(newborn(settings, backend), settings)
    agent = SpikingAgent.load(path, backend=backend)
    numbers = list(range(settings.first, settings.first + settings.brains))
    own = (agent.seed, agent.brains.tolist(), agent.config, agent.spec)
    if own != (settings.seed, numbers, settings.agent_config(), settings.environment()):
        raise RunError(f"{path} is not the agent that config.json describes: start another run")
    agent._prepare(False)
    resident.warm_up(agent)
    population = population_of(agent, settings)
    population.restore((checkpoint.read(path).meta.get("extra") or {}).get("resident"))
    return population
