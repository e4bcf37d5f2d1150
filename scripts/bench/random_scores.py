"""What random play scores in the tasks of a suite: ``python -m hebbit.scripts.bench.random_scores classic box2d``."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from hebbit.agents.environment import episode_seed
from hebbit.scripts.bench.play import play
from hebbit.scripts.bench.suites import Task, load

EPISODES = 1000


class RandomPolicy:
    """Draws every action from its space."""

    def __init__(self, space: Any, seed: int) -> None:
        """Draw from this space."""
        self.space = space
        space.seed(seed)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """An action for each observation of a batch."""
        return np.stack([self.space.sample() for _ in episode_start]), None


def score(task: Task, episodes: int = EPISODES) -> tuple[float, float]:
    """Mean return of random play, and its standard error."""
    spec = task.environment()
    env = spec.make()
    env.close()
    seeds = [episode_seed(task.evaluation_seed, 0, e, evaluation=True) for e in range(episodes)]
    returns = play(RandomPolicy(env.action_space, 0), spec.make, seeds).returns
    return float(returns.mean()), float(returns.std() / np.sqrt(episodes))


def main(names: Sequence[str]) -> int:
    """Print a line for each task."""
    for name in names:
        for task in load(name).tasks:
            mean, error = score(task)
            print(f"{task.name}: {mean:.2f} +- {error:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
