"""hebbit prune: fewer pool words, as long as the brain plays as well."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent, evaluate
from hebbit.agents.environment import checked_seed
from hebbit.agents.structure import most_useful, prune
from hebbit.agents.structure_probe import Watcher
from hebbit.agents.trained import located
from hebbit.scripts.evaluate import Subject, check_output, load
from hebbit.scripts.info import stored_bytes
from hebbit.scripts.train import check_backend


@dataclass
class Trial:
    """Attempts to do with fewer words."""

    agent: SpikingAgent
    spec: EnvSpec
    episodes: int
    seed: int
    tolerance: float
    """Share of the size of a mean return that may be lost."""
    rank: NDArray[np.int64]
    """How useful each pool word is, [W]."""
    before: float
    """Mean return with all words ..."""
    pruned: dict[int, SpikingAgent] = field(default_factory=dict)
    """What was tried, by the number of words ..."""
    scores: dict[int, float] = field(default_factory=dict)
    """... and its mean return."""

    @property
    def words(self) -> int:
        """Pool words that there are."""
        return self.agent.brain_config.pool_words

    def least(self, before: float) -> float:
        """The mean return that is as well as that."""
        return before - self.tolerance * abs(before)

    def attempt(self, words: int) -> float:
        """Mean return with so many words."""
        self.pruned[words] = prune(self.agent, most_useful(self.agent, self.rank, words))
        self.scores[words] = self.score(self.pruned[words], self.seed)
        return self.scores[words]

    def score(self, agent: SpikingAgent, seed: int) -> float:
        """Mean return of the strongest units' actions."""
        return float(play(agent, agent, self.spec, self.episodes, seed).mean())

    def other(self, agent: SpikingAgent) -> float:
        """The same in episodes that did not choose the number of words."""
        return self.score(agent, (self.seed + 1) % 2**32)


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit prune --help``."""
    check_backend(arguments.backend)
    check_output(arguments.out)
    spec = None if arguments.env is None else EnvSpec(arguments.env)
    path = located(arguments.run)
    subject = load(path, arguments.brain, arguments.backend, arguments.trust, spec)
    agent = _one(subject, arguments.brain)
    seed = agent.seed if arguments.seed is None else checked_seed(arguments.seed)
    watcher, spec = Watcher(agent), spec or subject.spec
    before = float(play(watcher, agent, spec, arguments.episodes, seed).mean())
    trial = Trial(agent, spec, arguments.episodes, seed, arguments.tolerance, watcher.usefulness(), before)
    asked = arguments.keep is None
    wanted = f"; {trial.least(before):.1f} or more is as well" if asked else ""
    print(f"{spec.id}, {subject.path}: {trial.words} pool words, mean return {before:.1f}{wanted}", flush=True)
    _finish(trial, _search(trial) if asked else _exactly(trial, arguments.keep), Path(arguments.out))
    return 0


def play(
    policy: SpikingAgent | Watcher, agent: SpikingAgent, spec: EnvSpec, episodes: int, seed: int
) -> NDArray[np.float64]:
    """Returns of some evaluation episodes of the strongest units' actions."""
    return evaluate(policy, spec, episodes, True, seed, int(agent.brains[agent.active]))[0]


def _one(subject: Subject, brain: str | int | None) -> SpikingAgent:
    """One brain, which can be pruned."""
    agent = subject.agent
    if len(agent.brains) > 1:
        if brain is None:
            raise HebbitError(f"{subject.path} holds {len(agent.brains)} brains: pick one to be pruned with --brain")
        agent = agent.extract(agent.active)
    if agent.brain_config.pool_words == 0:
        raise HebbitError(f"{subject.path} has no pool words that could be pruned")
    return agent


def possible(agent: SpikingAgent) -> list[int]:
    """Numbers of pool words that a brain can be pruned to: with learning words all must stay in their clusters."""
    words, clusters = agent.brain_config.pool_words, agent.brain_config.clusters
    step = clusters if agent.brain_config.learning_words else 1
    inputs = agent.brain_config.inputs + agent.brain_config.learning_words
    return [number for number in range(words % step, words + 1, step) if number + inputs >= clusters]


def fewest(score: Callable[[int], float], numbers: Sequence[int], least: float) -> int:
    """The smallest of ascending numbers that bisection finds to score no less than that; the last one is known to."""
    low, high = -1, len(numbers) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if score(numbers[middle]) >= least else (middle, high)
    return numbers[high]


def _search(trial: Trial) -> list[int]:
    """Numbers of words that are enough, the smallest first; all words are the last."""
    least = trial.least(trial.before)

    def told(words: int) -> float:
        found = trial.attempt(words)
        print(f"  {words:>5} words: {found:.1f}, {'well enough' if found >= least else 'too little'}", flush=True)
        return found

    fewest(told, possible(trial.agent), least)
    return [*sorted(words for words, score in trial.scores.items() if score >= least), trial.words]


def _exactly(trial: Trial, words: int) -> list[int]:
    """As many words as were asked for."""
    numbers = possible(trial.agent)
    if words not in numbers:
        raise HebbitError(f"--keep must be one of {numbers[0]}..{numbers[-1]} here, got {words}")
    trial.attempt(words)
    return [words]


def _finish(trial: Trial, numbers: Sequence[int], out: Path) -> None:
    """Save the smallest brain that plays other episodes well, too, than those that chose it; else the last one."""
    before = trial.other(trial.agent)
    for words in numbers:
        chosen = trial.pruned.get(words, trial.agent)
        after = trial.other(chosen)
        if after >= trial.least(before) or words == numbers[-1]:
            break
        print(f"  {words:>5} words: {after:.1f} on other episodes instead of {before:.1f}, too little", flush=True)
    check_output(str(out))
    chosen.save(out)
    sizes = f"{stored_bytes(chosen.brain_config):,} of {stored_bytes(trial.agent.brain_config):,} bytes"
    played = f"on {trial.episodes} other episodes {after:.1f}, before {before:.1f}"
    print(f"{out}: {words} of {trial.words} pool words, {sizes}; {played}")
