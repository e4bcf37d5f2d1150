"""Environments of our own, registered with Gymnasium when this module is imported."""

import gymnasium as gym

from hebbit.envs.identity import SPACES, Identity

__all__ = ["Identity"]

for _kind in SPACES:
    gym.register(
        id=f"hebbit/Identity-{_kind}-v0",
        entry_point="hebbit.envs.identity:Identity",
        kwargs={"kind": _kind},
        reward_threshold=18.0,
    )
