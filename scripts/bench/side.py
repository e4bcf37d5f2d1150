"""What a benchmark asks of an algorithm, ours or another's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hebbit.agents.evaluation import Policy

Callback = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
"""Called after every step of the training loop with its locals and globals; ``locals['self'].num_timesteps`` counts
the steps over all environments."""


class Side(Protocol):
    """A learner that is ready to begin: imported, compiled, warm."""

    policy: Policy
    """Answers as trained so far."""

    def learn(self, steps: int, callback: Callback) -> None:
        """Train to the end of the budget."""

    def steps(self) -> int:
        """Steps that were made, over all environments."""

    def save(self, folder: Path) -> None:
        """Write ``model.zip``, and whatever else is needed to answer, into a folder."""

    def policy_bytes(self) -> int:
        """Memory of what answers, without what only learning needs."""

    def operations(self) -> dict[str, Any]:
        """What an answer takes.

        kind (``spiking`` or ``dense``), parameters, and for each action on average: synaptic_per_action (spikes
        delivered to synapses), spikes_per_action, neuron_updates_per_action, macs_per_action; None where it does not
        apply.
        """
