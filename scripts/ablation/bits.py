"""How many bits do weights and traces need? A model of the readouts' learning rule, not the product.

The backends hold weights of 8 bits and traces of a sign and 4 bits in planes of fixed widths. Here NumPy holds them as
plain numbers of any width, for many brains at once, so that widths can be compared. The model keeps what the question
is about: readouts that are means over spikes, TD errors, motor credit by one's share of the volley, traces that
saturate and decay by chance, weights that saturate and change by chance. It leaves out what the question is not about:
cycles, excitement, base rate, ranges that are found, and the integers of the TD error; the pool is fixed and has two
sources for each neuron. So its rows can be compared with each other, and not with the product's results.

Scale: a full count of 8 adds half of a trace's range whatever its width, and a weight covers -128..128 whatever its
width: one step of a weight of b bits is worth 2**(8 - b) steps of an 8-bit one, and chances shrink accordingly. Where
more than one step is due the whole part is taken and the rest by chance.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hebbit
from hebbit.agents.config import WEIGHT_STEPS, AgentConfig
from hebbit.agents.files import atomic_write_text
from hebbit.agents.leaves import LANES
from hebbit.backends.spec import CONTRACT_VERSION
from hebbit.scripts.ablation import bits_world as world
from hebbit.scripts.ablation.bits_world import CYCLES, F32, F64
from hebbit.scripts.ablation.runs import BITS_CLAIM, FIRST_SEED, read_rows
from hebbit.scripts.claims_tools import Clock

NOTE = (
    "A NumPy model of the readouts' learning rule with weights and traces of any width, on CartPole; not the product, "
    "whose widths are 8 and 4. Compare these rows with each other only."
)
WIDTHS = ((2, 4), (4, 4), (8, 4), (16, 4), (8, 2), (8, 8), (8, 16))
"""Bits of a weight (its sign included) and of a trace (besides its sign)."""
ACTIONS, CRITIC = 2, 2
SETTINGS = AgentConfig()


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    seeds: int = 5
    steps: int = 30_000
    episodes: int = 20
    """Greedy ones after the training."""
    words: int = 16
    """Of the pool."""


class Brains:
    """Weights and traces [R, 3, F] of R brains, two motor units and the critic, and what changes them."""

    def __init__(self, widths: NDArray[np.int64], features: int, random: np.random.Generator) -> None:
        """Newborn ones: weights 0, those of the critic ``optimism`` on average.

        Args:
            widths: [R, 2], bits of weights and of traces.
            features: F.
            random: what all chances come from.
        """
        self.random = random
        self.grid = np.float32(2.0) ** (8 - widths[:, 0]).astype(np.float32)[:, None, None]
        self.range = np.float32(2.0) ** widths[:, 1].astype(np.float32)[:, None, None]
        self.weights = np.zeros((len(widths), ACTIONS + 1, features), np.float32)
        self.traces = np.zeros_like(self.weights)
        born = np.full_like(self.weights[:, CRITIC:], SETTINGS.optimism) / self.grid
        self.weights[:, CRITIC:] = self.grid * self._whole(born)

    def _whole(self, values: NDArray[np.floating[Any]]) -> F32:
        """Values >= 0, rounded by chance."""
        return np.asarray(np.floor(values + self.random.random(values.shape, np.float32)), np.float32)

    def readout(self, counts: F32) -> F32:
        """Drives and value [R, E, 3] for counts [R, E, F]: mean weights of the spikes."""
        total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
        return np.asarray(np.matmul(counts, self.weights.swapaxes(1, 2)) / total, np.float32)

    def learn(self, dopamine: F32) -> None:
        """Move the weights by the TD errors [R], in steps of an 8-bit weight."""
        rates = np.array([SETTINGS.actor_step] * ACTIONS + [SETTINGS.critic_step], np.float32)
        rate = np.abs(dopamine)[:, None, None] * rates[:, None] / (self.range * self.grid)
        steps = self._whole(rate * np.abs(self.traces)) * np.sign(self.traces) * np.sign(dopamine)[:, None, None]
        self.weights = np.clip(self.weights + self.grid * steps, -128, 128 - self.grid)

    def remember(self, counts: F32, credit: F32) -> None:
        """Let the traces decay by chance, and add counts [R, F] times credit [R, 3], the critic's being 1."""
        lost = 1 - SETTINGS.gamma * SETTINGS.trace_lambda
        size = np.abs(self.traces)
        kept = np.sign(self.traces) * (size - self._whole(np.float32(lost) * size))
        due = credit[:, :, None] * (counts[:, None] * (self.range / (2 * CYCLES)))
        self.traces = np.clip(kept + np.sign(due) * self._whole(np.abs(due)), 1 - self.range, self.range - 1)


def acted(drives: F32, random: np.random.Generator) -> tuple[NDArray[np.intp], F32]:
    """Actions [R] and motor credit [R, 2] of drives [R, 2]: one spike of a volley is drawn."""
    behind = drives.max(axis=1, keepdims=True) - drives
    volley = random.binomial(LANES * CYCLES, np.exp(-behind * (SETTINGS.temperature / WEIGHT_STEPS)))
    share = volley / volley.sum(axis=1, keepdims=True)
    action = (random.random(len(drives)) >= share[:, 0]).astype(np.intp)
    return action, (np.eye(ACTIONS)[action] - share).astype(np.float32)


def train(brains: Brains, pool: world.Pool, steps: int) -> None:
    """Let all brains learn at once, each in a world of its own."""
    random, number = brains.random, len(brains.weights)
    states, age = world.newborn((number, 1), random), np.zeros(number, np.int64)
    counts = pool.counts(states, random)
    seen = brains.readout(counts)[:, 0]
    reward = 2.0**SETTINGS.reward_bits / 256
    for _ in range(steps):
        action, credit = acted(seen[:, :ACTIONS], random)
        brains.remember(counts[:, 0], np.concatenate([credit, np.ones((number, 1), np.float32)], axis=1))
        states, fallen = world.moved(states, action[:, None] == 1)
        age += 1
        counts = pool.counts(states, random)
        after = brains.readout(counts)[:, 0]
        # an episode that is cut short has a value left, one that ended has none
        ahead = np.where(fallen[:, 0], 0, SETTINGS.gamma * after[:, CRITIC])
        brains.learn((reward + ahead - seen[:, CRITIC]).astype(np.float32))
        seen, done = after, fallen[:, 0] | (age >= world.LIMIT)
        if done.any():
            states[done], age[done] = world.newborn((int(done.sum()), 1), random), 0
            brains.traces[done] = 0
            counts = pool.counts(states, random)
            seen = np.where(done[:, None], brains.readout(counts)[:, 0], seen)


def greedy(brains: Brains, pool: world.Pool, episodes: int) -> F64:
    """Returns [R, E] of episodes in which the strongest unit acts and nothing is learned."""
    states = world.newborn((len(brains.weights), episodes), brains.random)
    alive = np.ones(states.shape[:2], np.bool_)
    returns = np.zeros(states.shape[:2])
    for _ in range(world.LIMIT):
        drives = brains.readout(pool.counts(states, brains.random))
        returns += alive
        states, fallen = world.moved(states, drives[..., 1] > drives[..., 0])
        alive &= ~fallen
        if not alive.any():
            break
        # those that fell would fall on for ever
        states[~alive] = 0
    return returns


def rows(widths: Sequence[tuple[int, int]], plan: Plan) -> list[dict[str, Any]]:
    """A row for each pair of widths, with the mean greedy return of each seed."""
    every = np.repeat(np.array(widths, np.int64), plan.seeds, axis=0)
    seeds = np.tile(FIRST_SEED + np.arange(plan.seeds), len(widths))
    pool = world.pool(seeds, plan.words)
    features = LANES * (world.DIMENSIONS + plan.words)
    brains = Brains(every, features, np.random.default_rng(FIRST_SEED))
    train(brains, pool, plan.steps)
    means = greedy(brains, pool, plan.episodes).mean(axis=1).reshape(len(widths), plan.seeds)
    return [
        {"weight_bits": weight, "trace_bits": trace, "greedy": own.tolist()}
        for (weight, trace), own in zip(widths, means, strict=True)
    ]


def measure(plan: Plan, out: Path) -> list[dict[str, Any]]:
    """Measure all widths and write the result; an older result of the same command is replaced.

    Raises:
        HebbitError: the file holds something else.
    """
    read_rows(out, BITS_CLAIM)
    with Clock() as clock:
        made = rows(WIDTHS, plan)
    content = {
        "claim": BITS_CLAIM,
        "note": NOTE,
        "env_id": "CartPole-v1",
        "steps": plan.steps,
        "episodes": plan.episodes,
        "first_seed": FIRST_SEED,
        "features": LANES * (world.DIMENSIONS + plan.words),
        "hebbit": hebbit.__version__,
        "contract": CONTRACT_VERSION,
        "cpu_seconds": round(clock.cpu, 1),
        "rows": made,
    }
    atomic_write_text(out, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return made
