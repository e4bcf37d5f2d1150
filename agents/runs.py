"""Run directories in rl-zoo's layout, so that its plots and those of Stable-Baselines3 read our runs.

    <run>/<env_id>.zip, best_model.zip, rl_model_<steps>_steps.zip    checkpoints
    <run>/evaluations.npz, 0.monitor.csv, progress.csv                curves
    <run>/<env_id>/config.yml                                         settings, for rl-zoo
    <run>/config.json, result.json                                    settings and result, for us

Beside a folder of runs, ``python -m rl_zoo3.plots.all_plots -a runs -f . -e CartPole-v1`` draws them.
"""

import contextlib
import errno
import json
import math
import os
import re
import socket
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from types import TracebackType
from typing import Any, Self

import numpy as np

from hebbit.agents.checkpoint import hebbit_version
from hebbit.agents.errors import RunError
from hebbit.agents.files import atomic_write_text, read_object, remove_partial, storage_error

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_VERSIONED = ("numpy", "numba", "gymnasium")
_LOCK = ".lock"
# What Windows keeps for devices, with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


def safe_name(env_id: str) -> str:
    """Make a folder name of an environment id: 'ns/Name-v0' becomes 'ns-Name-v0', as rl-zoo does."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", env_id).lstrip(".-")[:100]
    if not name:
        raise RunError(f"an environment id names an environment, such as CartPole-v1, got {env_id!r}")
    return f"env-{name}" if _RESERVED.match(name) else name


def versions() -> dict[str, str]:
    """Name the versions that a result was made with."""
    found = {"hebbit": hebbit_version(), "python": python_version()}
    for name in _VERSIONED:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@dataclass(frozen=True)
class RunResult:
    """What came of a run: the content of result.json."""

    env_id: str
    seed: int
    steps: int
    backend: str
    wall_seconds: float
    """Of training alone: no start-up, no evaluation."""
    returns: Sequence[float]
    """Of the final evaluation; may be empty."""
    reward_threshold: float | None
    digest: str
    """Of the brain, by :func:`hebbit.agents.checkpoint.digest`."""

    def to_dict(self) -> dict[str, Any]:
        """Give result.json; infinite and undefined numbers become null."""
        returns = np.array(self.returns, np.float64)
        evaluation: dict[str, Any] = {"episodes": len(returns), "mean": None, "std": None, "min": None, "max": None}
        solved = None
        if len(returns):
            with np.errstate(invalid="ignore"):
                figures = {"mean": returns.mean(), "std": returns.std(), "min": returns.min(), "max": returns.max()}
            evaluation |= {name: _finite(value) for name, value in figures.items()}
            if self.reward_threshold is not None:
                solved = bool(figures["mean"] >= self.reward_threshold)
        return {
            "env_id": self.env_id,
            "seed": self.seed,
            "steps": self.steps,
            "backend": self.backend,
            "versions": versions(),
            "wall_seconds": self.wall_seconds,
            "steps_per_second": self.steps / self.wall_seconds if self.wall_seconds > 0 else None,
            "evaluation": {**evaluation, "returns": [_finite(value) for value in returns]},
            "reward_threshold": _finite(self.reward_threshold),
            "solved": solved,
            "digest": self.digest,
        }


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


class RunDirectory:
    """One run's folder, locked against a second writer until it is closed or its process ends, however it ends."""

    def __init__(self, path: Path, env_id: str, lock: "RunLock | None") -> None:
        """Use :meth:`create` or :meth:`open`."""
        self.path = path
        self.env_id = env_id
        self._lock = lock
        name = safe_name(env_id)
        self.model_path = path / f"{name}.zip"
        """The agent at the end of training, and what a resumed run goes on from."""
        self.best_model_path = path / "best_model.zip"
        self.evaluations_path = path / "evaluations.npz"
        self.progress_path = path / "progress.csv"
        self.config_path = path / "config.json"
        self.result_path = path / "result.json"
        self.zoo_config_path = path / name / "config.yml"

    def monitor_path(self, rank: int = 0) -> Path:
        """Give the file of one brain's training episodes."""
        return self.path / f"{rank}.monitor.csv"

    @classmethod
    def create(cls, env_id: str, path: str | Path | None = None, root: str | Path = "runs") -> Self:
        """Begin a run in a new or empty folder, and lock it.

        Args:
            env_id: of the environment.
            path: the folder; None takes the next free ``<root>/<env_id>_<n>``.
            root: folder of runs without a name of their own.

        Raises:
            RunError: the folder holds something, or cannot be made.
        """
        folder = _next_folder(Path(root), safe_name(env_id)) if path is None else Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_content(folder)
        except (FileExistsError, NotADirectoryError) as error:
            raise RunError(f"{folder} is a file where a folder is needed: choose another --run-dir") from error
        except OSError as error:
            raise storage_error(folder, error, what="folder") from error
        lock = RunLock(folder)
        try:
            # Again: another run may have begun and ended in between.
            _refuse_content(folder)
        except BaseException:
            lock.release()
            raise
        return cls(folder, env_id, lock)

    @classmethod
    def open(cls, path: str | Path, write: bool = True) -> Self:
        """Open a run that there is.

        Args:
            path: its folder.
            write: lock it to go on with it; False only reads, beside whoever writes.

        Raises:
            RunError: there is none, or another process writes it.
        """
        folder = Path(path)
        if not folder.is_dir():
            what = "is a file, not the folder of a run" if folder.exists() else "does not exist"
            raise RunError(f"{folder} {what}: name a folder that 'hebbit train' made")
        config = _read_json(folder / "config.json")
        if config is None:
            raise RunError(
                f"{folder} is no run of hebbit, it has no config.json: name a folder that 'hebbit train' made"
            )
        env_id = config.get("env_id")
        if not isinstance(env_id, str):
            raise RunError(f"{folder / 'config.json'} lacks the text 'env_id': it is damaged, start another run")
        if not write:
            return cls(folder, env_id, None)
        lock = RunLock(folder)
        remove_partial(folder)
        return cls(folder, env_id, lock)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.json, with the environment's id in it, and rl-zoo's config.yml.

        Raises:
            RunError: the settings are no plain JSON, or the disk refused.
        """
        config = {"env_id": self.env_id, **config}
        text = _json_text(config, self.config_path)
        atomic_write_text(self.zoo_config_path, yaml_text(json.loads(text)))
        # Last: a folder with this file is a run.
        atomic_write_text(self.config_path, text)

    def read_config(self) -> dict[str, Any]:
        """Read config.json.

        Raises:
            RunError: there is none, or it is damaged.
        """
        config = _read_json(self.config_path)
        if config is None:
            raise RunError(f"{self.config_path} does not exist: name a folder that 'hebbit train' made")
        return config

    def write_result(self, result: RunResult | Mapping[str, Any]) -> None:
        """Write result.json."""
        content = result.to_dict() if isinstance(result, RunResult) else dict(result)
        atomic_write_text(self.result_path, _json_text(content, self.result_path))

    def read_result(self) -> dict[str, Any] | None:
        """Read result.json; None while the run has not ended."""
        return _read_json(self.result_path)

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others write."""
        self.close()


def _next_folder(root: Path, name: str) -> Path:
    """Make the folder after the last one; two processes at once get two."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = [re.fullmatch(re.escape(name) + "_([0-9]{1,9})", path.name) for path in root.iterdir()]
        number = 1 + max((int(match[1]) for match in taken if match), default=0)
        while True:
            try:
                (root / f"{name}_{number}").mkdir()
                return root / f"{name}_{number}"
            except FileExistsError:
                number += 1
    except OSError as error:
        raise storage_error(root, error, what="folder") from error


def _refuse_content(folder: Path) -> None:
    if any(path.name != _LOCK for path in folder.iterdir()):
        raise RunError(
            f"{folder} is not empty: choose another --run-dir, or if a run is in it, go on with it by adding --resume"
        )


def _json_text(content: Mapping[str, Any], path: Path) -> str:
    try:
        return json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{path} must be plain JSON without NaN and infinity: {error}") from error


def _read_json(path: Path) -> dict[str, Any] | None:
    return read_object(path, "start another run")


def yaml_text(content: Mapping[str, Any]) -> str:
    """Give a JSON object as YAML, a line for each key: values in JSON where YAML 1.1 reads it alike."""
    return "".join(f"{_yaml(str(key))}: {_yaml(value)}\n" for key, value in content.items())


def _yaml(value: Any) -> str:
    if isinstance(value, str):
        # PyYAML takes no surrogate pairs and no control characters; \U is YAML's own.
        return '"' + "".join(_yaml_character(character) for character in value) + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(str(key))}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    text = json.dumps(value)
    # To YAML 1.1 a number such as 1e-05 without a point is a text.
    return re.sub(r"^(-?[0-9]+)(e[+-])", r"\1.0\2", text)


def _yaml_character(character: str) -> str:
    if " " <= character <= "~":
        return "\\" + character if character in '"\\' else character
    return f"\\U{ord(character):08X}"


class RunLock:
    """A lock on a folder, held by the operating system for this process: nothing is left to clean up after a kill."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            RunError: another process holds it.
        """
        path = folder / _LOCK
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise storage_error(path, error) from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            owner = " ".join(os.read(self._descriptor, 200).decode(errors="replace").split()) or "another process"
            os.close(self._descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise storage_error(path, error) from error  # a file system without locks
            raise RunError(f"{folder} is being written by {owner}: wait for it, or choose another folder") from error
        with contextlib.suppress(OSError):  # only to name the owner
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        _held.add(self)

    def release(self) -> None:
        """Let go; the file stays, for removing it would let two processes lock two files of one name."""
        _held.discard(self)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


_held: "weakref.WeakSet[RunLock]" = weakref.WeakSet()


def _release_in_child() -> None:
    """Close what a forked child inherited: environment workers that outlive a killed run must not keep its lock."""
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)

if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        # A byte far behind the text, which stays readable.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
