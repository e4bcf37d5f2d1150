"""MinAtar's five games by name, where the package MinAtar is installed (an extra; it is GPL and stays outside).

``gymnasium.make("hebbit.envs.minatar:MinAtar/Breakout-v1")``: MinAtar registers its games only when it is asked to,
which importing this module does.
"""

import gymnasium as gym


def register() -> None:
    """Register the games, once.

    Raises:
        ModuleNotFoundError: MinAtar is not installed.
    """
    if "MinAtar/Breakout-v1" in gym.registry:
        return
    try:
        from minatar.gym import register_envs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("MinAtar is not installed: pip install 'hebbit[minatar]'") from error
    register_envs()


register()
