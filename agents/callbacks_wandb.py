"""Weights & Biases: what the logger records, the settings and the final model go to a run of it."""

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hebbit.agents.callbacks_base import BaseCallback, Locals
from hebbit.agents.errors import HebbitError
from hebbit.agents.logger import Logger, Value

MODEL_FILE = "model.zip"


class WandbOutput:
    """A logger's output that sends numbers to a run of Weights & Biases."""

    def __init__(self, run: Any, owned: bool, training: Locals) -> None:
        """Take the run, as ``wandb.init`` gives it.

        Args:
            run: of Weights & Biases.
            owned: whether it began with training and ends with it.
            training: the training loop's own dict, by which a later training knows what an earlier one left.
        """
        self.run, self.owned, self.training = run, owned, training

    def write(self, values: Mapping[str, Value], step: int) -> None:
        """Send one dump, under its step."""
        numbers = {key: value for key, value in values.items() if not isinstance(value, str)}
        if numbers:
            self.run.log(numbers, step=step)

    def close(self) -> None:
        """Nothing is held: whoever began the run ends it."""

    def end(self) -> None:
        """End the run, once, if it is this training's own."""
        if self.owned:
            self.owned = False
            self.run.finish()


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
        self._sent_from: Logger | None = None

    def _on_training_start(self) -> None:
        self._end_broken()
        if self.num_timesteps == 0:
            self.run_id = None  # begun anew: steps of a run never go back
        owned = self._wandb.run is None
        self.run = self._begun() if owned else self._wandb.run
        self._output = WandbOutput(self.run, owned, self.locals)
        self.run_id = str(self.run.id)
        # A run that goes on has them already, and they may have grown: they must be alike but for what is new.
        self.run.config.update(self._about(), allow_val_change=True)
        self._sent_from = self.logger
        self.logger.outputs.append(self._output)
        if self.verbose:
            print(f"Logging to the wandb run {self.run_id}")

    def _end_broken(self) -> None:
        """End what a training that broke off has left, be it this callback's or another one's."""
        for logger in (self._sent_from, self.logger):
            outputs = [] if logger is None else logger.outputs
            for output in [one for one in outputs if isinstance(one, WandbOutput) and one.training is not self.locals]:
                outputs.remove(output)
                output.end()
        if self._output is not None and self._output.training is not self.locals:
            self._output.end()  # it broke off before anything was sent
        self.run = self._output = None

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
        assert self._output is not None
        if self._output in self.logger.outputs:
            self.logger.outputs.remove(self._output)
        self._output.end()
        self.run = self._output = self._sent_from = None

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
