"""A search whose trials are drawn in waves: those of a wave know the ends of earlier waves, not each other's."""

from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from hebbit.agents.variety import OWN
from hebbit.scripts.tune_study import ERROR, KEPT, MEANS, Search

FIRST_KEPT = (0.75, 0.0)
"""Shares of the start that trials of the first wave keep in turns: half stay near it, half are drawn anywhere."""


class Draws(Search):
    """A search in memory."""

    def wave(self, trials: int, shapes: int) -> list[Trial]:
        """Trials that are to learn at the same time.

        TPE knows how far earlier trials came and their scores there; those of the same wave count as bad, so that it
        draws elsewhere. The first shape is that of the best trial so far, or of the start; others are drawn.

        Args:
            trials: how many, at least 1.
            shapes: how many different values of what brains of one population share.
        """
        own: list[Trial] = []
        fixed = self._shape(self._model())
        for place in range(trials):
            group = place * shapes // trials
            first = place == 0 or group != (place - 1) * shapes // trials
            if first and group:
                fixed = {}
            own.append(self._drawn(fixed))
            if first and group:
                fixed = self._shape(own[-1].params)
        return own

    def _drawn(self, fixed: dict[str, Any]) -> Trial:
        """One trial; without a shape it draws one."""
        number = len(self.study.get_trials(deepcopy=False))
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        rng = np.random.default_rng([self._seed, number])
        self.study.sampler = optuna.samplers.TPESampler(seed=int(rng.integers(2**32)), constant_liar=True)
        if not waiting:
            kept = self._around(number, rng)
            if not fixed:
                kept = {name: value for name, value in kept.items() if name in OWN}
            self.study.enqueue_trial({**kept, **fixed})
        return self.study.ask(self._distributions)

    def _model(self) -> dict[str, Any]:
        best = self.best()
        return self.space.first() if best is None else best.params

    def _around(self, number: int, rng: np.random.Generator) -> dict[str, Any]:
        """What a trial has in common with the best so far, or the start; the sampler draws the rest."""
        shares, model = FIRST_KEPT if self.best() is None else KEPT, self._model()
        share, varied = shares[number % len(shares)], str(rng.choice(sorted(model)))
        return {name: value for name, value in model.items() if rng.random() < share and name != varied}

    def _shape(self, params: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in params.items() if name not in OWN}

    def start(self) -> FrozenTrial | None:
        """The trial of the settings that the search started from, however far it came."""
        first = next(iter(self.study.get_trials(deepcopy=False)), None)
        return None if first is None or first.value is None or ERROR in first.user_attrs else first

    def leave(self, trial: Trial, means: list[float]) -> None:
        """End a trial that is left behind, with the mean returns of its brains so far."""
        trial.set_user_attr(MEANS, means)
        self.prune(trial)

    def add(self, params: dict[str, Any], scores: list[float], complete: bool) -> int:
        """A trial that one brain did elsewhere, with its score at each look; its number."""
        self.study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                params=params,
                distributions=self._distributions,
                value=scores[-1],
                intermediate_values=dict(enumerate(scores)),
                user_attrs={MEANS: scores[-1:]},
            )
        )
        return len(self.study.get_trials(deepcopy=False)) - 1
