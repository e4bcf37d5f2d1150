"""hebbit: reinforcement learning with stochastic spiking brains made of 4-bit integers.

`import hebbit` loads nothing but this file; what it offers is imported on first use, so that a command line or a
notebook starts at once and the brains' compiler is loaded only by those who run one.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hebbit.agents import SpikingAgent
    from hebbit.agents.recording import BrainRecorder
    from hebbit.agents.trained import trained

    __version__: str

__all__ = ["BrainRecorder", "SpikingAgent", "__version__", "trained"]

# Exported name -> the module that defines it. One row for each name.
_EXPORTS = {
    "BrainRecorder": "hebbit.agents.recording",
    "SpikingAgent": "hebbit.agents",
    "trained": "hebbit.agents.trained",
}


def _export(name: str) -> object:
    """Import an exported name on first use and keep it."""
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("hebbit")
    elif name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
    else:
        raise AttributeError(f"module 'hebbit' has no attribute {name!r}; it offers {', '.join(__all__)}")
    globals()[name] = value
    return value


if not TYPE_CHECKING:
    # PEP 562. Hidden from type checkers, which would otherwise believe that every name exists.
    __getattr__ = _export


def __dir__() -> list[str]:
    """Name the lazy exports too, for completion."""
    return sorted({*globals(), *__all__})
