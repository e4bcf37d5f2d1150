"""Structural plasticity: pool words that prove useless draw new sources, or are taken out for good.

Both happen above the backends, on the canonical arrays: export, change, create. So all backends agree. What a word
reads follows from its name and its generation (:mod:`hebbit.backends.wiring`), so neither needs a table of synapses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents import fading, saving
from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import HebbitError, brief
from hebbit.agents.newborn import HALF
from hebbit.backends.equations import seen
from hebbit.backends.philox import draw
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Param, Stream

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

I64 = NDArray[np.int64]
Keep = Sequence[int] | Sequence[Sequence[int]] | NDArray[Any]
ERAS = 1 << 16
"""Generations of a word; they lie in the lower half of ``generation`` and begin again after the last."""
CHOICE = 1
"""Cycle of the wiring stream that says which words a random re-wiring replaces; wiring itself uses cycle 0."""


class Structure:
    """How old the pool words are: what re-wiring and pruning leave behind, one row for each of R brains."""

    def __init__(self, config: AgentConfig, brains: int) -> None:
        """Begin with words that are as old as their brains."""
        self.every, self.until = config.rewire_every, config.rewire_until
        self.fading, self.fading_until = config.actor_fading > 0, config.fading_until
        self.clock = 0
        """Steps that each brain has learned; 0 for ever where nothing is re-wired and nothing fades."""
        self.born = np.zeros((brains, config.pool_words), np.int64)
        """[R, W]: clock at which a word drew its sources."""
        self.words = np.full(brains, config.pool_words, np.int64)
        """[R]: pool words that a brain was born with; those it has not any more were pruned."""

    def tick(self) -> tuple[bool, bool]:
        """Count a step; whether the brains are to be re-wired after it, and whether weights are to fade."""
        if self.every == 0 and not self.fading:
            return False, False
        self.clock += 1
        rewires = self.every > 0 and self.clock % self.every == 0 and not 0 < self.until < self.clock
        fades = self.fading and self.clock % fading.EVERY == 0 and not 0 < self.fading_until < self.clock
        return rewires, fades

    def arrays(self) -> Arrays:
        """What changes, for checkpoints and digests."""
        clock = np.full(len(self.words), self.clock, np.int64)
        return {"structure_clock": clock, "structure_born": self.born.copy(), "structure_words": self.words.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`arrays` gave."""
        self.clock = int(arrays["structure_clock"][0])
        self.born[...], self.words[...] = arrays["structure_born"], arrays["structure_words"]


def grow(agent: SpikingAgent) -> None:
    """Count a step of the agent, and re-wire its brains or let weights fade when it is time."""
    rewires, fades = agent.structure.tick()
    if rewires:
        rewire(agent)
    if fades:
        fading.fade(agent)


def pool(config: BrainConfig) -> slice:
    """Where the pool words lie among all words."""
    return slice(config.inputs, config.inputs + config.pool_words)


def read_words(config: BrainConfig, reads: int) -> NDArray[np.bool_]:
    """Which words the readouts see, given the parameter READS: [P]."""
    return seen(np.ones((config.words, LANES), np.int32), config, reads)[:, 0] > 0


def usefulness(
    config: BrainConfig, reads: int, arrays: Mapping[str, NDArray[Any]], brain: int, fired: I64 | None = None
) -> I64:
    """How much each pool word has to say, in weight steps, or in weight steps times spikes: int64 [W].

    A neuron sways a choice by the spread of its weights between the motor units of a group, and the value by how far
    its weight is from the mean weight of its cluster's critic: what all units have in common, or all words, says
    nothing. Learning words that read the pool count as one more unit each.

    Args:
        config: structure of the brain.
        reads: what its readouts see, the parameter READS.
        arrays: canonical arrays.
        brain: position there.
        fired: spikes of each neuron [P, 32] that weigh it; None takes all for equally lively.
    """
    weights, read = arrays["weights"][brain].astype(np.int64), read_words(config, reads)
    sway, start = np.zeros(weights.shape[1:], np.int64), 0
    for size in config.groups:
        own = weights[start : start + size]
        sway += own.max(axis=0) - own.min(axis=0)
        start += size
    critic, cluster = weights[-1], np.arange(config.words) % config.clusters
    for k in range(config.clusters):
        own = read & (cluster == k)
        sway[own] += np.abs(critic[own] - mean_weight(critic[own]))
    sway[~read] = 0
    pooled = sway[pool(config)]
    if config.learning_pool:
        inner = np.abs(arrays["inner_weights"][brain][:, pool(config)].astype(np.int64))
        pooled = pooled + inner.sum(axis=0) // LANES
    words: I64 = (pooled if fired is None else pooled * fired[pool(config)]).sum(axis=1)
    return words


def mean_weight(weights: NDArray[Any]) -> int:
    """The mean, rounded; 0 of nothing."""
    return (2 * int(weights.sum(dtype=np.int64)) + weights.size) // (2 * weights.size) if weights.size else 0


def condemned(agent: SpikingAgent, arrays: Mapping[str, NDArray[Any]], brain: int) -> NDArray[np.intp]:
    """Pool words that a re-wiring replaces in one brain: the least useful ones that are old enough."""
    config, structure = agent.config, agent.structure
    age = structure.clock - structure.born[brain]
    grown = np.flatnonzero(age > config.rewire_protect * config.rewire_every)
    words = config.pool_words
    if config.rewire_choice == "random":
        key = (agent.seed, int(agent.brains[brain]))
        numbers = np.arange(words, dtype=np.uint32)
        rank: NDArray[Any] = draw(numbers, structure.clock, CHOICE, 0, Stream.WIRING, key)[:, 0]
    else:
        rank = usefulness(agent.brain_config, reads_of(agent, brain), arrays, brain)
    most = max(1, int(config.rewire_share * words))
    return grown[np.argsort(rank[grown], kind="stable")[:most]]


def rewire(agent: SpikingAgent) -> NDArray[np.bool_]:
    """Let the least useful pool words of every brain draw new sources and forget what they have learned.

    Returns:
        [R, W]: which words.
    """
    arrays = agent.arrays()
    renewed = np.zeros(agent.structure.born.shape, np.bool_)
    for brain, row in enumerate(renewed):
        row[condemned(agent, arrays, brain)] = True
        renew(agent.brain_config, reads_of(agent, brain), arrays, brain, np.flatnonzero(row))
    if renewed.any():
        agent._make_state(agent.state.params, arrays)
        agent.structure.born[renewed] = agent.structure.clock
    return renewed


def reads_of(agent: SpikingAgent, brain: int) -> int:
    """What a brain's readouts see."""
    return int(agent.state.params[brain, 0, Param.READS])


def renew(config: BrainConfig, reads: int, arrays: Arrays, brain: int, words: NDArray[np.intp]) -> None:
    """Make some pool words of one brain newborn, in place: their next generation, without weights, traces, excitement.

    The critic's weights become the mean of the others that it reads, so that the value stays about what it was.
    """
    generation = arrays["generation"][brain]
    generation[words] = generation[words] & np.uint32(0xFFFF0000) | (generation[words] + 1) & np.uint32(0xFFFF)
    place = config.inputs + words
    weights = arrays["weights"][brain]
    cluster = np.arange(config.words) % config.clusters
    others = read_words(config, reads)
    others[place] = False
    means = [mean_weight(weights[-1, others & (cluster == k)]) for k in range(config.clusters)]
    weights[:, place] = 0
    weights[-1, place] = np.array(means, np.int8)[cluster[place]][:, None]
    arrays["fractions"][brain][:, place] = HALF
    arrays["traces"][brain][:, place] = 0
    arrays["excitement"][brain, words] = 0
    if config.learning_pool:
        for name, born in (("inner_weights", 0), ("inner_fractions", HALF), ("inner_traces", 0)):
            arrays[name][brain][:, place] = born


def quotas(words: int, clusters: int) -> list[int]:
    """How many of so many pool words belong to each class of places that are alike modulo the clusters."""
    return [len(range(first, words, clusters)) for first in range(clusters)]


def most_useful(agent: SpikingAgent, rank: NDArray[Any], words: int) -> NDArray[np.intp]:
    """So many pool words with the highest ranks [W], of each cluster as many as :func:`prune` can place; in order."""
    clusters = agent.brain_config.clusters
    kept = [np.zeros(0, np.intp)]
    for first, quota in enumerate(quotas(words, clusters)):
        own = np.arange(first, len(rank), clusters)
        kept.append(own[np.argsort(-rank[own].astype(np.int64), kind="stable")[:quota]])
    return np.sort(np.concatenate(kept))


def prune(agent: SpikingAgent, keep: Keep) -> SpikingAgent:
    """The same agent with fewer pool words, as an agent of its own; the running episodes go on.

    Words that stay keep their sources, weights, traces and excitement; noise is drawn anew. A drive is the mean weight
    of all spikes, so with fewer of them it is another: actions that are drawn become more, or less, like the strongest
    unit's, and what was learned should be played again. That unit itself changes only by what was taken out.

    Args:
        agent: a brain or a population of them; it stays as it is.
        keep: numbers of the pool words that stay: [n] for all brains, or [R, n].

    Raises:
        HebbitError: there are no such words, or what else reads or counts the pool words would change.
    """
    config, places = agent.brain_config, _places(agent, keep)
    small = type(agent)(
        None,
        seed=agent.seed,
        config=[config.replace({"pool_words": places.shape[1]}) for config in agent.configs],
        backend=agent._backend_asked_for,
        brains=agent.brains.tolist(),
        spaces=(agent.observation_space, agent.action_space),
    )
    own = saving.learned(agent)
    rows = [_taken(config, {name: array[b] for name, array in own.items()}, words) for b, words in enumerate(places)]
    saving.restore(small, {name: np.stack([row[name] for row in rows]) for name in own})
    small.spec, small.num_timesteps, small.total_steps = agent.spec, agent.num_timesteps, agent.total_steps
    small.active = agent.active
    if agent.spec is not None:
        small._resumable = saving.running(agent)
    return small


def _places(agent: SpikingAgent, keep: Keep) -> NDArray[np.intp]:
    """Which word each remaining place takes, [R, n]: as they were in order, but of the same cluster as before.

    Raises:
        HebbitError: there are no such words, or they cannot be placed.
    """
    config, brains = agent.brain_config, len(agent.brains)
    words = np.atleast_2d(np.asarray(keep))
    fits = words.ndim == 2 and (words.dtype.kind in "iu" or not words.size) and len(words) in (1, brains)
    everything = set(range(config.pool_words))
    if not fits or any(len(set(row)) < len(row) or not set(row) <= everything for row in words.tolist()):
        raise HebbitError(
            f"keep must be different pool words of 0..{config.pool_words - 1}, for all brains or a row of equal length "
            f"for each, got {brief(keep)}"
        )
    if config.echo_pool:
        raise HebbitError(
            f"a brain to be pruned must have no echo_pool, got {config.echo_pool}: echo words count the pool's words"
        )
    left = words.shape[1]
    if config.learning_words and (config.pool_words - left) % config.clusters:
        raise HebbitError(
            f"learning words would change their clusters: take out a multiple of {config.clusters} words, got "
            f"{config.pool_words - left}"
        )
    placed = np.zeros((brains, left), np.intp)
    for row, own in zip(placed, np.broadcast_to(np.sort(words).astype(np.intp), (brains, left)), strict=True):
        for first, quota in enumerate(quotas(left, config.clusters)):
            members = own[own % config.clusters == first]
            if len(members) != quota:
                raise HebbitError(
                    f"{left} pool words need {quota} with a number of {first} modulo {config.clusters} clusters, got "
                    f"{len(members)}: keep others"
                )
            row[first :: config.clusters] = members
    return placed


def _taken(config: BrainConfig, own: Mapping[str, NDArray[Any]], keep: NDArray[np.intp]) -> Arrays:
    """Arrays of one brain with these pool words alone."""
    inputs, words = np.arange(config.inputs), config.pool_words
    read = np.concatenate([inputs, config.inputs + keep])
    seen_words = np.concatenate([read, np.arange(config.inputs + words, config.words)])
    carried = np.concatenate([keep, np.arange(words, config.carried_words)])
    sources = read if config.learning_pool else inputs
    generation = own["generation"][keep]
    names = keep.astype(np.uint32) ^ (generation >> 16)
    return {
        **own,
        "generation": (names ^ np.arange(len(keep), dtype=np.uint32)) << 16 | generation & 0xFFFF,
        "excitement": own["excitement"][carried],
        "weights": own["weights"][:, seen_words],
        "fractions": own["fractions"][:, seen_words],
        "traces": own["traces"][:, seen_words],
        "inner_weights": own["inner_weights"][:, sources],
        "inner_fractions": own["inner_fractions"][:, sources],
        "inner_traces": own["inner_traces"][:, sources],
        "structure_born": own["structure_born"][keep],
    }
