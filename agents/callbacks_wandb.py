"""Weights & Biases: what the logger records, the settings and the final model go to a run of it."""

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hebbit.agents.callbacks_base import BaseCallback
from hebbit.agents.errors import HebbitError
from hebbit.agents.logger import Value

MODEL_FILE = "model.zip"


class WandbOutput:
    """A logger's output that sends numbers to a run of Weights & Biases."""

    def __init__(self, run: Any) -> None:
        """Take the run, as ``wandb.init`` gives it."""
        self.run = run

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Send one dump, under its step."""
        numbers = {key: value for key, value in values.items() if not isinstance(value, str)}
        if numbers:
            self.run.log(numbers, step=step)

    def close(self) -> None:
        """Nothing is held: whoever began the run ends it."""


class WandbCallback(BaseCallback):
    """Send to Weights & Biases what the agent's logger records; needs ``pip install 'hebbit[wandb]'``.

    Where ``wandb.init`` was called before, that run is used and left open; otherwise one begins and ends with training.
    A resumed training goes on with its run.
    """

    saved = ("n_calls", "run_id")

    def __init__(
        self,
        project: str | None = None,
        *,
        save_model: bool = False,
        settings: Mapping[str, Any] | None = None,
        verbose: int = 0,
    ) -> None:
        """Take what a run is to be.

        Args:
            project: of the run; None leaves it to wandb.
            save_model: whether the final agent is kept as an artifact of type model.
            settings: further arguments of ``wandb.init``, such as ``{"name": .., "mode": "offline"}``.
            verbose: 1 names the run.

        Raises:
            HebbitError: wandb is not installed.
        """
        super().__init__(verbose)
        self.project = project
        self.save_model = save_model
        self.settings = dict(settings or {})
        self.run: Any = None
        """While training."""
        self.run_id: str | None = None
        """Of the run, once there is one."""
        self._wandb = _imported()
        self._output: WandbOutput | None = None
        self._owned = False

    def _on_training_start(self) -> None:
        if self.num_timesteps == 0:
            self.run_id = None  # begun anew: steps of a run never go back
        self._owned = self._wandb.run is None
        self.run = self._begun() if self._owned else self._wandb.run
        self.run_id = str(self.run.id)
        # A run that goes on has them already, and they may have grown: they must be alike but for what is new.
        self.run.config.update(self._about(), allow_val_change=True)
        self._output = WandbOutput(self.run)
        self.logger.outputs.append(self._output)
        if self.verbose:
            print(f"Logging to the wandb run {self.run_id}")

    def _begun(self) -> Any:
        known = {} if self.run_id is None else {"id": self.run_id, "resume": "allow"}
        given = {} if self.project is None else {"project": self.project}
        return self._wandb.init(**{**known, **given, **self.settings})

    def _about(self) -> dict[str, Any]:
        """What the agent is, as far as it says."""
        model = self.model
        about = {name: getattr(model, name) for name in ("env_id", "seed") if hasattr(model, name)}
        config = getattr(model, "config", None)
        if config is not None:
            about |= {"algorithm": type(model).__name__, **config.to_dict()}
        if hasattr(model, "brains"):
            about["brains"] = len(model.brains)
        return about

    def _on_training_end(self) -> None:
        if self.save_model:
            self._save()
        if self._output in self.logger.outputs:
            self.logger.outputs.remove(self._output)
        if self._owned:
            self.run.finish()
        self.run = self._output = None

    def _save(self) -> None:
        """Keep the agent as the run's artifact; wandb has copied the file when this returns."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / MODEL_FILE
            self.model.save(path)
            artifact = self._wandb.Artifact(f"model-{self.run_id}", type="model")
            artifact.add_file(str(path))
            self.run.log_artifact(artifact)


def _imported() -> Any:
    try:
        module = importlib.import_module("wandb")
    except ImportError:
        module = None
    # a folder of that name, which wandb itself leaves where it works, can be imported too
    if not hasattr(module, "init"):
        raise HebbitError("WandbCallback needs wandb, which is not installed: pip install 'hebbit[wandb]'")
    return module
