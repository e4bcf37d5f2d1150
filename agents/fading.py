"""Fading: motor units lose a share of their weights now and then, so that a policy stays able to change its mind.

A policy that has become certain explores no more and learns no more, however poor it is. What fades must be learned
again from rewards, and what rewards do not confirm becomes a coin toss once more: the local form of an entropy bonus.
Like re-wiring it happens above the backends, on the canonical arrays, so all backends agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hebbit.agents.newborn import HALF
from hebbit.backends.spec import FRACTION_BITS, FRACTION_MAX

if TYPE_CHECKING:
    from hebbit.agents.agent import SpikingAgent

EVERY = 1000
"""Steps from one fading to the next."""


def fade(agent: SpikingAgent) -> None:
    """Shrink the weights of all motor units by the share ``actor_fading``, between two presentations.

    What learning words say does not fade: these weights are their credit, and without it they would learn nothing.
    """
    arrays, words = agent.arrays(["weights", "fractions"]), agent.brain_config.words - agent.brain_config.learning_words
    weights, fractions = arrays["weights"][:, :-1, :words], arrays["fractions"][:, :-1, :words]
    # in sixteenths of a weight step, towards the middle of those that are read as zero
    fine = (weights.astype(np.int32) << FRACTION_BITS) + fractions - HALF
    left = np.floor(fine * (1.0 - agent.config.actor_fading) + 0.5).astype(np.int32) + HALF
    weights[...], fractions[...] = left >> FRACTION_BITS, left & FRACTION_MAX
    agent.backend.refill(agent.state, arrays)
