"""Environments of our own, registered with Gymnasium when this module is imported."""

import gymnasium as gym

from hebbit.envs.identity import SPACES, Identity
from hebbit.envs.resident import ResidentVectorEnv, make_resident
from hebbit.envs.worlds import WORLDS

__all__ = ["Identity", "ResidentVectorEnv", "make_resident"]

# agents make them by these names; one environment alone is Gymnasium's own
for _name in WORLDS:
    gym.register(
        id=f"hebbit/{_name}", vector_entry_point="hebbit.envs.resident:make_resident", kwargs={"env_id": _name}
    )

for _kind in SPACES:
    gym.register(
        id=f"hebbit/Identity-{_kind}-v0",
        entry_point="hebbit.envs.identity:Identity",
        kwargs={"kind": _kind},
        reward_threshold=18.0,
    )
