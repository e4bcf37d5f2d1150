"""The specification as a backend: :mod:`hebbit.backends.equations` strung together, brain after brain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.equations import I32, Clock, Volley
from hebbit.backends.philox import draw, random_number
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Flag, Param, Prediction, Stream
from hebbit.backends.wiring import Wiring, thresholds, wire


@dataclass
class NumpyState:
    """Canonical arrays of R brains, their hyperparameters and (derived, never saved) their wiring."""

    config: BrainConfig
    params: I32
    seed: int
    arrays: Arrays
    wirings: list[Wiring]


def present(
    state: NumpyState, brain: int, intensity: I32, excitement: I32, clock: Clock
) -> tuple[I32, I32, NDArray[np.int32]]:
    """C cycles of one observation: counts [P, 32], excitement [W, 32] and spikes [C, P, 32]."""
    config, wiring = state.config, state.wirings[brain]
    word_params = state.params[brain][np.arange(config.words) % config.clusters]
    pool = word_params[config.sensory_words :]
    threshold = thresholds(config, wiring)
    spikes = np.zeros((config.cycles, config.words, LANES), np.int32)
    for cycle in range(config.cycles):
        sensory = eq.sensory_spikes(intensity, cycle, state.params[brain], clock)
        current = eq.drive(sensory, wiring, pool[:, Param.DRIVE], pool[:, Param.GAIN])
        excitement, fired = eq.pool_cycle(excitement, current, threshold, cycle, pool, clock)
        spikes[cycle] = np.concatenate([sensory, fired])
    return spikes.sum(axis=0).astype(np.int32), excitement, spikes


class NumpyBackend:
    """The contract, executed plainly. Slow, and right."""

    name = "numpy"

    def create(self, config: BrainConfig, params: I32, seed: int, arrays: Mapping[str, Any]) -> NumpyState:
        """See :class:`hebbit.backends.spec.Backend`."""
        spec.check(config, np.asarray(params), seed, arrays)
        own = {name: np.array(arrays[name]) for name in spec.CANONICAL}
        wirings = [
            wire(config, generation, (seed, int(brain)))
            for generation, brain in zip(own["generation"], own["brain"], strict=True)
        ]
        return NumpyState(config, np.array(params, np.int32), seed, own, wirings)

    def export(self, state: NumpyState) -> Arrays:
        """See :class:`hebbit.backends.spec.Backend`."""
        return {name: np.array(state.arrays[name]) for name in spec.CANONICAL}

    def step(self, state: NumpyState, intensities: NDArray[np.uint8], rewards: I32, flags: NDArray[np.uint8]) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        actions = np.zeros((len(flags), len(state.config.groups)), np.int32)
        for brain, flag in enumerate(flags):
            if flag != Flag.IDLE:
                reward = int(rewards[brain])
                actions[brain] = self._step(state, brain, intensities[brain].astype(np.int32), reward, Flag(flag))
        return actions

    def run(self, state: NumpyState, intensities: NDArray[np.uint8], rewards: I32, flags: NDArray[np.uint8]) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        actions = np.zeros((*flags.shape, len(state.config.groups)), np.int32)
        for t in range(len(flags)):
            actions[t] = self.step(state, intensities[t], rewards[t], flags[t])
        return actions

    def _step(self, state: NumpyState, brain: int, intensity: I32, reward: int, flag: Flag) -> I32:
        arrays, config, params = state.arrays, state.config, state.params[brain]
        now = int(arrays["presentation"][brain])
        clock = Clock(now, 0, (state.seed, int(arrays["brain"][brain])), False)
        weights = arrays["weights"][brain].astype(np.int32)
        traces = arrays["traces"][brain].astype(np.int32)
        excitement = arrays["excitement"][brain].astype(np.int32)
        if flag == Flag.START:
            traces, excitement = np.zeros_like(traces), np.zeros_like(excitement)
        counts = np.zeros((config.words, LANES), np.int32)
        drives, values = np.zeros(config.units, np.int32), np.zeros(config.clusters, np.int32)
        if flag != Flag.TERMINATED:
            counts, excitement, _ = present(state, brain, intensity, excitement, clock)
            drives, values = eq.readout(counts, weights, config)
        volley = eq.act(drives, config, params, clock)
        if flag != Flag.START:
            self._learn(state, brain, weights, traces, reward, values, clock)
        if flag in (Flag.START, Flag.CONTINUE):
            self._remember(config, params, traces, counts, volley, clock)
        else:
            traces, excitement = np.zeros_like(traces), np.zeros_like(excitement)
            volley.actions[:] = 0
        arrays["weights"][brain], arrays["traces"][brain] = weights, traces
        arrays["excitement"][brain], arrays["value"][brain] = excitement, values
        arrays["episode"][brain] = (int(arrays["episode"][brain]) + (flag == Flag.START)) & 0xFFFFFFFF
        arrays["presentation"][brain] = (now + 1) & 0xFFFFFFFF
        return volley.actions

    def _learn(
        self, state: NumpyState, brain: int, weights: I32, traces: I32, reward: int, values: I32, clock: Clock
    ) -> None:
        """Move the weights in place: d = r + gamma V' - V for each cluster, broadcast to its words."""
        config = state.config
        for k in range(config.clusters):
            params = state.params[brain, k]
            discounted = int(params[Param.GAMMA]) * int(values[k]) // spec.ONE_GAMMA
            dopamine = reward + discounted - int(state.arrays["value"][brain, k])
            mean = int(state.arrays["surprise"][brain, k])
            if params[Param.SURPRISE_SHIFT] > 0:
                mean = eq.surprise(mean, dopamine, int(params[Param.SURPRISE_SHIFT]))
                state.arrays["surprise"][brain, k] = mean
            age = int(params[Param.RATE_AGE])
            r = draw(np.array([k], np.uint32), clock.presentation, 0, 0, Stream.SCALAR, clock.key)[0]
            critic_rate, actor_rate = (
                eq.anneal(int(params[column]), age, clock.presentation)
                for column in (Param.CRITIC_RATE, Param.ACTOR_RATE)
            )
            critic = eq.step_and_chance(min(abs(dopamine), spec.DOPAMINE_LIMIT), critic_rate, int(r[0]))
            actor = eq.step_and_chance(eq.actor_dopamine(dopamine, mean, params), actor_rate, int(r[1]))
            for output in range(config.outputs):
                step, chance = critic if output == config.units else actor
                own = np.arange(k, config.words, config.clusters)
                x, y = (self._plastic(config, output, planes, clock)[own] for planes in (range(8), range(8, 12)))
                weights[output, own] = eq.moved_weights(
                    weights[output, own], traces[output, own], 1 if dopamine > 0 else -1, step, chance, x, y
                )

    def _remember(
        self, config: BrainConfig, params: I32, traces: I32, counts: I32, volley: Volley, clock: Clock
    ) -> None:
        """Decay the traces by chance and add this presentation's counts, in place."""
        shares, signs = eq.credit(volley, config.groups, int(params[0, Param.MOTOR_RULE]))
        word_params = params[np.arange(config.words) % config.clusters]
        for output in range(config.outputs):
            critic = output == config.units
            columns = (Param.CRITIC_SHIFT, Param.CRITIC_CHANCE) if critic else (Param.ACTOR_SHIFT, Param.ACTOR_CHANCE)
            shift, chance = (word_params[:, column][:, None] for column in columns)
            fade, rounding, number = (
                self._plastic(config, output, planes, clock) for planes in (range(12, 15), range(16, 20), range(20, 28))
            )
            kept = np.sign(traces[output]) * eq.lose(np.abs(traces[output]), shift, fade, chance, number)
            share, sign = (16, 1) if critic else (int(shares[output]), int(signs[output]))
            replace = word_params[:, Param.CRITIC_RULE][:, None] == 1 if critic else False
            added = eq.added_trace(kept, counts, share, sign, rounding, False)
            larger = eq.added_trace(kept, counts, share, sign, rounding, True)
            traces[output] = np.where(replace, larger, added)

    @staticmethod
    def _plastic(config: BrainConfig, output: int, planes: range, clock: Clock) -> I32:
        # drawn once for 32 outputs, turned from output to output
        words = np.arange(config.words, dtype=np.uint32) + np.uint32(output // LANES * config.words)
        turn = output % LANES
        return random_number(words, clock.presentation, 0, planes, Stream.PLASTICITY, clock.key, turn)

    def predict(
        self,
        state: NumpyState,
        brains: NDArray[np.int64],
        intensities: NDArray[np.uint8],
        excitement: NDArray[np.uint8],
        presentations: NDArray[np.uint32],
        deterministic: bool,
    ) -> Prediction:
        """See :class:`hebbit.backends.spec.Backend`."""
        config = state.config
        e = len(brains)
        actions = np.zeros((e, len(config.groups)), np.int32)
        volley, values = np.zeros((e, config.units), np.int32), np.zeros((e, config.clusters), np.int32)
        spikes, after = np.zeros(e, np.int32), np.zeros((e, config.pool_words, LANES), np.uint8)
        for i, brain in enumerate(brains):
            now = 0 if deterministic else int(presentations[i])
            key = (state.seed, int(state.arrays["brain"][brain]))
            clock = Clock(now, Stream.EVALUATION, key, deterministic)
            counts, after[i], _ = present(
                state, int(brain), intensities[i].astype(np.int32), excitement[i].astype(np.int32), clock
            )
            drives, values[i] = eq.readout(counts, state.arrays["weights"][brain].astype(np.int32), config)
            answer = eq.act(drives, config, state.params[brain], clock)
            actions[i], volley[i], spikes[i] = answer.actions, answer.spikes, counts.sum()
        return Prediction(actions, volley, values, spikes, after)
