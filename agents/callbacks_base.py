"""What callbacks are: a function or an object that hears of the training loop's events, and may end training.

They need nothing of an agent but what :class:`Model` names. Beside Stable-Baselines3's events there is
``_on_episode_end``; there are no rollouts here, so the rollout events do not exist. Import them from
``hebbit.agents.callbacks``.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.environment import whole
from hebbit.agents.errors import CheckpointError, HebbitError
from hebbit.agents.logger import Logger

Locals = dict[str, Any]
Function = Callable[[Locals, Locals], Any]
"""Of the training loop's locals and globals; a false answer other than None ends training."""


class Model(Protocol):
    """What callbacks ask of an agent."""

    num_timesteps: int
    """Steps so far, as the agent counts them; current before every event."""
    logger: Logger

    def save(self, path: str | Path) -> None:
        """Write a checkpoint."""

    def evaluate(
        self, env: Any, episodes: int, deterministic: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Play episodes without learning and give their returns and lengths."""


class BaseCallback:
    """Base of all callbacks: subclasses override the methods that begin with an underscore."""

    saved: tuple[str, ...] = ("n_calls",)
    """Attributes, of plain JSON, that a resumed run must restore."""

    def __init__(self, verbose: int = 0) -> None:
        """Keep how much to print: 0 nothing, 1 what matters."""
        self.verbose = verbose
        self.n_calls = 0
        """How often :meth:`on_step` was called."""
        self.num_timesteps = 0
        self.locals: Locals = {}
        """The training loop's own dict: it is changed there, not replaced."""
        self.globals: Locals = {}
        self.parent: EventCallback | None = None
        """The callback that triggers this one, if one does."""
        self.children: list[BaseCallback] = []
        """Callbacks within this one: they hear of everything but steps, which each class passes on in its own way."""
        self._model: Model | None = None

    @property
    def model(self) -> Any:
        """The agent that learns; known once training begins."""
        if self._model is None:
            raise AttributeError(f"{type(self).__name__} knows its model once training begins: use it in its events")
        return self._model

    @property
    def logger(self) -> Logger:
        """The agent's logger."""
        logger: Logger = self.model.logger
        return logger

    def init_callback(self, model: Model) -> None:
        """Get to know the agent."""
        self._model = model
        self.num_timesteps = model.num_timesteps
        for child in self.children:
            child.init_callback(model)
        self._init_callback()

    def on_training_start(self, locals_: Locals, globals_: Locals | None = None) -> None:
        """Take the training loop's dict: the loop goes on changing it."""
        self.locals = locals_
        self.globals = {} if globals_ is None else globals_
        self.num_timesteps = self.model.num_timesteps
        for child in self.children:
            child.on_training_start(self.locals, self.globals)
        self._on_training_start()

    def update_locals(self, locals_: Locals) -> None:
        """Show another dict."""
        self.locals = locals_
        for child in self.children:
            child.update_locals(locals_)

    def on_step(self) -> bool:
        """Count a step of the training loop and say whether training goes on."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return _goes_on(self._on_step())

    def on_episode_end(self, episode: Mapping[str, Any] | None = None) -> bool:
        """Note that an episode ended and say whether training goes on.

        Args:
            episode: r, l, brain, episode; None where ``locals['episode']`` tells it already.
        """
        if episode is not None:
            self.locals["episode"] = episode
        self.num_timesteps = self.model.num_timesteps
        answers = [child.on_episode_end(episode) for child in self.children]
        return _goes_on(self._on_episode_end()) and all(answers)

    def on_training_end(self) -> None:
        """Note that training has ended."""
        for child in self.children:
            child.on_training_end()
        self._on_training_end()

    def state(self) -> dict[str, Any]:
        """Give what a resumed run must restore, as plain JSON."""
        own = {name: getattr(self, name) for name in self.saved}
        return {**own, "children": [child.state() for child in self.children]} if self.children else own

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave, before training begins; with the same callbacks within this one.

        Raises:
            CheckpointError: it is the state of other callbacks; then nothing is restored.
        """
        self.check_state(state)
        for name in self.saved:
            setattr(self, name, state[name])
        for child, saved in zip(self.children, state.get("children", []), strict=True):
            child.restore(saved)

    def check_state(self, state: Mapping[str, Any]) -> None:
        """See that a state is one of such a callback, and of such callbacks within.

        Raises:
            CheckpointError: it is another one's.
        """
        expected = self.state()
        if not isinstance(state, Mapping) or state.keys() != expected.keys():
            got = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise CheckpointError(
                f"the state of a {type(self).__name__} must have {sorted(expected)}, got {got}: restore it into the "
                "callbacks that it was taken from"
            )
        children = state.get("children", [])
        if not isinstance(children, Sequence) or len(children) != len(self.children):
            raise CheckpointError(
                f"the state of a {type(self).__name__} must be of {len(self.children)} callbacks within, got "
                f"{len(children) if isinstance(children, Sequence) else type(children).__name__}: restore it into the "
                "callbacks that it was taken from"
            )
        for child, saved in zip(self.children, children, strict=True):
            child.check_state(saved)

    def _init_callback(self) -> None:
        """Override: the model is known."""

    def _on_training_start(self) -> None:
        """Override: training begins."""

    def _on_step(self) -> bool | None:
        """Override: a step was made; False ends training, None does not."""
        return True

    def _on_episode_end(self) -> bool | None:
        """Override: ``locals['episode']`` ended; False ends training, None does not."""
        return True

    def _on_training_end(self) -> None:
        """Override: training has ended."""


def at_least_one(value: Any, name: str) -> int:
    """A whole number of at least 1.

    Raises:
        HebbitError: it is none.
    """
    number = whole(value, name)
    if number < 1:
        raise HebbitError(f"{name} must be at least 1, got {number}")
    return number


def _goes_on(answer: bool | None) -> bool:
    """Read a callback's answer; one that forgets to answer does not end training."""
    return answer is None or bool(answer)


class CallbackList(BaseCallback):
    """Several callbacks in turn; all are called, even when one of them ends training. Without any it is false."""

    def __init__(self, callbacks: Sequence[BaseCallback]) -> None:
        """Take the callbacks in the order of their turns."""
        super().__init__()
        self.callbacks = self.children = list(callbacks)

    def __bool__(self) -> bool:
        """Say whether there is anything to call; a loop may leave an empty list out."""
        return bool(self.callbacks)

    def _on_step(self) -> bool:
        return all([callback.on_step() for callback in self.callbacks])


class ConvertCallback(BaseCallback):
    """A function of the training loop's locals and globals, called after every step."""

    def __init__(self, callback: Function, verbose: int = 0) -> None:
        """Take the function; it returns False to end training."""
        super().__init__(verbose)
        self.callback = callback

    def _on_step(self) -> bool | None:
        answer: bool | None = self.callback(self.locals, self.globals)
        return answer


class EventCallback(BaseCallback):
    """A callback that triggers another one at its event."""

    def __init__(self, callback: "Callback" = None, verbose: int = 0) -> None:
        """Take what is triggered: a callback, a function, a list, or nothing."""
        super().__init__(verbose)
        self.callback = None if callback is None else as_callback(callback)
        if self.callback is not None:
            self.children = [self.callback]
            set_parent(self.callback, self)

    def _on_event(self) -> bool:
        return self.callback is None or self.callback.on_step()


def set_parent(callback: BaseCallback, parent: EventCallback) -> None:
    """Tell a callback, or all of a list, what triggers it."""
    callback.parent = parent
    if isinstance(callback, CallbackList):
        for child in callback.callbacks:
            set_parent(child, parent)


Callback = BaseCallback | Function | Sequence[BaseCallback | Function] | None
"""What ``learn`` takes."""


def as_callback(callback: Callback) -> BaseCallback:
    """Make one callback of nothing, a function, a list of them, or a callback."""
    if callback is None:
        return CallbackList([])
    if isinstance(callback, BaseCallback):
        return callback
    if isinstance(callback, Sequence):
        return CallbackList([as_callback(one) for one in callback])
    if callable(callback):
        return ConvertCallback(callback)
    raise TypeError(f"a callback is a BaseCallback, a function of (locals, globals), a list or None, got {callback!r}")
