"""Callbacks as users of Stable-Baselines3 know them: a callback that returns False ends training.

See docs/callbacks.md. What is saved beside a checkpoint by :meth:`BaseCallback.state` is taken up again by
:meth:`BaseCallback.restore`.
"""

from hebbit.agents.callbacks_base import (
    BaseCallback,
    Callback,
    CallbackList,
    ConvertCallback,
    EventCallback,
    Function,
    Locals,
    Model,
    as_callback,
)
from hebbit.agents.callbacks_evaluation import (
    EvalCallback,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from hebbit.agents.callbacks_events import (
    CheckpointCallback,
    EveryNTimesteps,
    LogEveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
)
from hebbit.agents.callbacks_wandb import WandbCallback

__all__ = [
    "BaseCallback",
    "Callback",
    "CallbackList",
    "CheckpointCallback",
    "ConvertCallback",
    "EvalCallback",
    "EventCallback",
    "EveryNTimesteps",
    "Function",
    "Locals",
    "LogEveryNTimesteps",
    "Model",
    "ProgressBarCallback",
    "StopTrainingOnMaxEpisodes",
    "StopTrainingOnNoModelImprovement",
    "StopTrainingOnRewardThreshold",
    "WandbCallback",
    "as_callback",
]
