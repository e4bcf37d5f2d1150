"""Populations whose brains differ in their hyperparameters: what may differ, and how it is written down."""

from collections.abc import Mapping, Sequence
from typing import Any

from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import CheckpointError, HebbitError, brief

OWN = frozenset(
    (
        "drive gain noise_bits excitement_decay sensory base_rate base_age gamma trace_lambda critic_step actor_step "
        "fraction_bits step_age critic_trace motor_rule motor_ramp motor_base temperature surprise_shift "
        "surprise_floor dopamine_clip reward_steps reward_bits optimism temperature_age reads learning_rule "
        "learning_step learning_slope learning_bias learning_density learning_spread learning_gain critic_feedback "
        "learning_every threshold threshold_slope"
    ).split()
)
"""Settings that each brain of a population may have of its own; the others shape what all of them share."""

Configs = tuple[AgentConfig, ...]


def spread(config: AgentConfig | Sequence[AgentConfig], brains: int) -> Configs:
    """One configuration for each of so many brains.

    Raises:
        HebbitError: there are more or fewer, or they differ in what brains of one population share.
    """
    configs = (config,) * brains if isinstance(config, AgentConfig) else tuple(config)
    if len(configs) != brains:
        raise HebbitError(f"{brains} brains need as many configurations, or one for all, got {len(configs)}")
    if len(set(configs)) > 1:
        shared = sorted({name for other in configs for name in differences(configs[0], other)} - OWN)
        if shared:
            raise HebbitError(
                f"brains of one population must have the same {', '.join(shared)}: make a population for each value"
            )
    return configs


def differences(config: AgentConfig, other: AgentConfig) -> list[str]:
    """Names of the settings in which they differ."""
    if config is other:
        return []
    own, others = config.to_dict(), other.to_dict()
    return [name for name, value in own.items() if value != others[name]]


def written(configs: Configs) -> dict[str, list[Any]]:
    """Values of the settings that differ from brain to brain, by name; empty if none does."""
    if len(set(configs)) == 1:
        return {}
    names = sorted({name for other in configs for name in differences(configs[0], other)})
    return {name: [getattr(config, name) for config in configs] for name in names}


def read(config: AgentConfig, values: Any, brains: int) -> Configs:
    """The configurations back from what :func:`written` gave.

    Raises:
        CheckpointError: it is none of ours.
    """
    if not isinstance(values, Mapping) or not all(isinstance(v, list) and len(v) == brains for v in values.values()):
        raise CheckpointError(f"the checkpoint must hold settings of {brains} brains, got {brief(values)}")
    try:
        return spread([config.replace({name: v[b] for name, v in values.items()}) for b in range(brains)], brains)
    except HebbitError as error:
        raise CheckpointError(f"the checkpoint's brains cannot be ({error}); it was damaged, use another") from error
