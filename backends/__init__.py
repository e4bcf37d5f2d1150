"""Backends: machines that keep the contract of :mod:`hebbit.backends.spec` bit for bit."""

from importlib import import_module

from hebbit.backends.spec import Backend

_TABLE = {
    "numpy": ("hebbit.backends.numpy_backend", "NumpyBackend"),
    "numba": ("hebbit.backends.numba_backend", "NumbaBackend"),
    "cupy": ("hebbit.backends.cupy_backend", "CupyBackend"),
    "shim": ("hebbit.backends.shim_backend", "ShimBackend"),
}
_LOADED: dict[str, Backend] = {}


def names() -> tuple[str, ...]:
    """Backends by name, the specification first."""
    return tuple(_TABLE)


def load(name: str = "auto") -> Backend:
    """The backend of that name, imported when first asked for; ``auto`` is numba.

    :func:`hebbit.backends.choice.choose` looks for something faster where the brains are known.

    Raises:
        ValueError: no such backend.
        ImportError: it is demanded and cannot load; there is no silent fallback.
    """
    wanted = "numba" if name == "auto" else name
    if wanted not in _TABLE:
        raise ValueError(f"backend must be one of auto, {', '.join(_TABLE)}, got {name!r}")
    if wanted not in _LOADED:
        module, attribute = _TABLE[wanted]
        try:
            _LOADED[wanted] = getattr(import_module(module), attribute)()
        except ImportError as error:
            # a backend that misses something says itself what to do about it
            advice = "; install what it needs or pick another" if isinstance(error, ModuleNotFoundError) else ""
            raise ImportError(f"backend {wanted!r} cannot load: {error}{advice}") from error
    return _LOADED[wanted]
