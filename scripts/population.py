"""Many brains: played side by side, told apart, and one of them picked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents import SpikingAgent
from hebbit.agents.callbacks import EvalCallback
from hebbit.agents.environment import EnvSpec, episode_seed
from hebbit.agents.evaluation import EPISODE_LIMIT
from hebbit.agents.leaves import LANES

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass
class Player:
    """One brain on its way through its episodes."""

    env: gym.Env[Any, Any]
    observation: Any = None
    episode: int = -1
    presentations: int = 0
    """Shown so far; numbers the random words of a stochastic evaluation."""


class _Evaluation:
    """Episodes of all brains in lockstep: the same bits as brain after brain, in one call of the backend a step."""

    def __init__(self, agent: SpikingAgent, spec: EnvSpec, episodes: int, deterministic: bool, seed: int) -> None:
        self.agent, self.deterministic, self.seed = agent, deterministic, seed
        brains = len(agent.brains)
        self.returns, self.lengths = np.zeros((brains, episodes)), np.zeros((brains, episodes), np.int64)
        self.excitement = np.zeros((brains, agent.brain_config.carried_words, LANES), np.uint8)
        self.players = [Player(spec.make()) for _ in range(brains)]

    def begin(self, row: int) -> bool:
        """Begin a brain's next episode; False after the last."""
        player = self.players[row]
        player.episode += 1
        if player.episode == self.returns.shape[1]:
            return False
        seed = episode_seed(self.seed, int(self.agent.brains[row]), player.episode, evaluation=True)
        player.observation = player.env.reset(seed=seed)[0]
        self.excitement[row] = 0
        return True

    def choose(self, rows: NDArray[np.intp]) -> list[Any]:
        """Actions of some brains."""
        agent, players = self.agent, [self.players[row] for row in rows]
        intensities = agent.encoder.encode([player.observation for player in players], rows)
        numbers = np.array([player.presentations for player in players], np.uint32)
        answer = agent.backend.predict(
            agent.state, rows.astype(np.int64), intensities, self.excitement[rows], numbers, self.deterministic
        )
        self.excitement[rows] = answer.excitement
        for player in players:
            player.presentations += 0 if self.deterministic else 1
        if self.deterministic:
            pairs = zip(answer.volley, answer.actions, strict=True)
            return [agent.decoder.decode_mean(volley, units) for volley, units in pairs]
        return [agent.decoder.decode(units) for units in answer.actions]

    def step(self, row: int, action: Any) -> bool:
        """Act in a brain's environment; whether its episode ended."""
        player = self.players[row]
        player.observation, reward, terminated, truncated, _ = player.env.step(action)
        self.returns[row, player.episode] += float(reward)
        self.lengths[row, player.episode] += 1
        return bool(terminated or truncated or self.lengths[row, player.episode] >= EPISODE_LIMIT)


def evaluate_brains(
    agent: SpikingAgent,
    spec: EnvSpec,
    episodes: int,
    deterministic: bool = True,
    seed: int | None = None,
    on_episode: Callable[[], object] | None = None,
) -> tuple[F64, I64]:
    """Returns and lengths [brain, episode]; each brain as by ``SpikingAgent.evaluate`` alone.

    Args:
        agent: the population.
        spec: makes the environments.
        episodes: of each brain.
        deterministic: the strongest unit instead of a spike drawn at random.
        seed: of the episodes; None takes the agent's.
        on_episode: called after each (to show progress).
    """
    game = _Evaluation(agent, spec, episodes, deterministic, agent.seed if seed is None else seed)
    try:
        playing = [row for row in range(len(agent.brains)) if game.begin(row)]
        while playing:
            actions = game.choose(np.array(playing, np.intp))
            ended = [row for row, action in zip(playing, actions, strict=True) if game.step(row, action)]
            for row in ended:
                if on_episode is not None:
                    on_episode()
                if not game.begin(row):
                    playing.remove(row)
    finally:
        for player in game.players:
            player.env.close()
    return game.returns, game.lengths


class _AllBrains:
    """A population as an EvalCallback asks for it: all brains are evaluated, their episodes in one row."""

    def __init__(self, agent: SpikingAgent) -> None:
        self._agent = agent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def evaluate(self, env: Any, episodes: int, deterministic: bool = True) -> tuple[F64, I64]:
        assert self._agent.spec is not None
        returns, lengths = evaluate_brains(self._agent, self._agent.spec, episodes, deterministic)
        return returns.ravel(), lengths.ravel()


class PopulationEvalCallback(EvalCallback):
    """Evaluate every brain; the population with the best mean is kept."""

    @property
    def model(self) -> Any:
        """The agent, all of whose brains are evaluated."""
        return _AllBrains(super().model)


@dataclass(frozen=True)
class Ranking:
    """How the brains of a population did."""

    means: F64
    """Mean return of each brain."""
    threshold: float | None

    @property
    def best(self) -> int:
        """Position of the brain with the best mean return, the first of several."""
        return int(np.argmax(self.means))

    @property
    def median(self) -> int:
        """Position of the brain in the middle, the lower one of two."""
        return int(np.argsort(self.means, kind="stable")[(len(self.means) - 1) // 2])

    @property
    def solved(self) -> float | None:
        """Share of brains whose mean return reaches the threshold, where there is one."""
        return None if self.threshold is None else float(np.mean(self.means >= self.threshold))

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "brains": len(self.means),
            "quartiles": [float(q) for q in np.quantile(self.means, (0, 0.25, 0.5, 0.75, 1))],
            "share_solved": self.solved,
            "best": self.best,
            "median": self.median,
            "means": [float(mean) for mean in self.means],
        }

    def text(self) -> str:
        """One line for people."""
        least, lower, middle, upper, most = self.to_dict()["quartiles"]
        share = "" if self.solved is None else f"; {self.solved:.0%} of {len(self.means)} solved"
        return f"min {least:.1f}, quartiles {lower:.1f}, {middle:.1f}, {upper:.1f}, max {most:.1f}{share}"
