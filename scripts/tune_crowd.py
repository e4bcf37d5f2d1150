"""Brains of many configurations that learn at the same time, in as few resident populations as can hold them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, SpikingAgent, resident
from hebbit.agents.variety import OWN
from hebbit.scripts.tune_trial import Conditions

CHUNK = 1_000
"""Steps between two moments at which Ctrl-C is heard."""


def shape(config: AgentConfig) -> AgentConfig:
    """What brains of one population must have in common: equal for those that can live together."""
    default = AgentConfig().to_dict()
    return config.replace({name: default[name] for name in OWN})


def newborn(conditions: Conditions, configs: Sequence[AgentConfig], numbers: Sequence[int]) -> SpikingAgent:
    """A resident population with running episodes.

    Args:
        conditions: of the search.
        configs: of each brain.
        numbers: of each brain; they may repeat, for what a brain does depends on its number and settings alone.

    Raises:
        HebbitError: there are no such brains, or they cannot be resident.
    """
    agent = SpikingAgent(
        EnvSpec(conditions.env_id, resident=True), seed=conditions.seed, config=configs, backend=conditions.backend,
        brains=numbers,
    )  # fmt: skip
    try:
        problem = resident.why_not(agent)
        if problem:
            raise HebbitError(f"a population cannot be tuned: {problem}")
        agent._prepare(True)
    except BaseException:
        agent.close()
        raise
    return agent


def live(agent: SpikingAgent, steps: int, awake: NDArray[np.bool_] | None = None) -> None:
    """Let brains learn, in parts that can be interrupted; the bits are the same."""
    for done in range(0, steps, CHUNK):
        resident.live(agent, min(CHUNK, steps - done), awake)


def played(agent: SpikingAgent, episodes: int, rows: Sequence[int], seed: int | None = None) -> NDArray[np.float64]:
    """Greedy mean return of some brains, by position.

    Raises:
        HebbitError: they are not finite.
    """
    means: NDArray[np.float64] = resident.trial(agent, episodes, brains=rows, seed=seed)[0].mean(axis=1)
    if not np.isfinite(means).all():
        raise HebbitError(f"returns must be finite, got {means.tolist()}; mend the environment")
    return means


class Crowd:
    """Newborn brains of several configurations, each on the same seeds; those left behind sleep."""

    def __init__(self, conditions: Conditions, configs: Sequence[AgentConfig], numbers: Sequence[int]) -> None:
        """Make them, one population for each shape.

        Args:
            conditions: of the search.
            configs: the configurations; what follows names them by position.
            numbers: of each configuration's brains, its seeds.
        """
        self.seeds = len(numbers)
        self.failed: dict[int, str] = {}
        """Configurations that no brain can have, and why."""
        shapes: dict[AgentConfig, list[int]] = {}
        for position, config in enumerate(configs):
            shapes.setdefault(shape(config), []).append(position)
        self._parts: list[tuple[list[int], SpikingAgent]] = []
        for own in shapes.values():
            brains = [configs[position] for position in own for _ in numbers]
            try:
                self._parts.append((own, newborn(conditions, brains, [*numbers] * len(own))))
            except HebbitError as error:
                self.failed |= dict.fromkeys(own, str(error))

    def _rows(self, own: Sequence[int], chosen: Sequence[int]) -> list[int]:
        """Where a part has the brains of the chosen configurations."""
        places = (own.index(position) for position in chosen if position in own)
        return [place * self.seeds + seed for place in places for seed in range(self.seeds)]

    def live(self, steps: int, chosen: Sequence[int]) -> None:
        """Let the brains of these configurations learn; the others sleep."""
        for own, agent in self._parts:
            awake = np.zeros(len(agent.brains), np.bool_)
            awake[self._rows(own, chosen)] = True
            if awake.any():
                live(agent, steps, awake)

    def means(self, episodes: int, chosen: Sequence[int]) -> NDArray[np.float64]:
        """Greedy mean return [chosen, seeds] of these configurations' brains."""
        found = np.zeros((len(chosen), self.seeds))
        for own, agent in self._parts:
            places = [place for place, position in enumerate(chosen) if position in own]
            if places:
                rows = self._rows(own, [chosen[place] for place in places])
                found[places] = played(agent, episodes, rows).reshape(-1, self.seeds)
        return found

    def close(self) -> None:
        """Close the environments."""
        for _, agent in self._parts:
            agent.close()
