"""The specification as a backend: :mod:`hebbit.backends.equations` strung together, brain after brain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.equations import I32, Clock, Volley
from hebbit.backends.philox import draw, random_number
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Flag, Param, Prediction, Stream
from hebbit.backends.wiring import Wiring, echo_sources, thresholds, wire


@dataclass
class NumpyState:
    """Canonical arrays of R brains, their hyperparameters and (derived, never saved) their wiring."""

    config: BrainConfig
    params: I32
    seed: int
    arrays: Arrays
    wirings: list[Wiring]
    echoes: list[I32]
    """What the echo words of each brain repeat [M]."""


@dataclass(frozen=True)
class Presentation:
    """What one observation left behind."""

    counts: I32
    """[P, 32]."""
    carried: I32
    """[W + M + L, 32]: excitement, echo intensities and counts of learning words."""
    spikes: I32
    """[C, I + W, 32]: of all but the learning words."""
    chances: I32
    """[H]: of the learning units."""


def present(state: NumpyState, brain: int, intensity: I32, carried: I32, clock: Clock) -> Presentation:
    """C cycles of one observation [D, 32], given what the last one left behind [W + M + L, 32]."""
    config, wiring, params = state.config, state.wirings[brain], state.params[brain]
    excitement, echo, _ = np.split(carried, [config.pool_words, config.pool_words + config.echo_words])
    pool = params[np.arange(config.inputs, config.inputs + config.pool_words) % config.clusters]
    threshold = thresholds(config, wiring, params)
    shown = np.concatenate([intensity, echo])
    spikes = np.zeros((config.cycles, config.inputs + config.pool_words, LANES), np.int32)
    for cycle in range(config.cycles):
        sensory = eq.sensory_spikes(shown, cycle, params, clock)
        current = eq.drive(sensory, wiring, pool[:, Param.DRIVE], pool[:, Param.GAIN])
        excitement, fired = eq.pool_cycle(excitement, current, threshold, cycle, pool, clock)
        spikes[cycle] = np.concatenate([sensory, fired])
    counts = spikes.sum(axis=0).astype(np.int32)
    inner = state.arrays["inner_weights"][brain].astype(np.int32)
    chances = eq.learning_chances(counts[: config.learning_sources], inner, params)
    learning = eq.learning_counts(chances, config.cycles, clock)
    counts = np.concatenate([counts, learning])
    echo = eq.echoed(counts, state.echoes[brain], config.cycles)
    return Presentation(counts, np.concatenate([excitement, echo, learning]), spikes, chances)


@dataclass(frozen=True)
class Met:
    """What a brain has just met."""

    intensity: I32
    """[D, 32]."""
    reward: int
    flag: Flag
    forced: I32 | None
    """[G]: see :func:`hebbit.backends.equations.act`."""


@dataclass
class Own:
    """One brain's plastic arrays, widened to int32, while it steps."""

    weights: I32
    fractions: I32
    traces: I32
    inner_weights: I32
    inner_fractions: I32
    inner_traces: I32
    carried: I32
    collected: int

    def forget(self) -> None:
        """Clear what belongs to an episode."""
        for array in (self.traces, self.inner_traces, self.carried):
            array[...] = 0
        self.collected = 0


def _own(arrays: Arrays, brain: int) -> Own:
    def wide(name: str) -> I32:
        widened: I32 = arrays[name][brain].astype(np.int32)
        return widened

    readouts = wide("weights"), wide("fractions"), wide("traces")
    inner = wide("inner_weights"), wide("inner_fractions"), wide("inner_traces")
    return Own(*readouts, *inner, wide("excitement"), int(arrays["collected"][brain]))


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
        echoes = [echo_sources(config, (seed, int(brain))) for brain in own["brain"]]
        return NumpyState(config, np.array(params, np.int32), seed, own, wirings, echoes)

    def export(self, state: NumpyState, names: Sequence[str] = spec.CANONICAL) -> Arrays:
        """See :class:`hebbit.backends.spec.Backend`."""
        return {name: np.array(state.arrays[name]) for name in names}

    def refill(self, state: NumpyState, arrays: Mapping[str, Any]) -> None:
        """See :class:`hebbit.backends.spec.Backend`."""
        for name, array in arrays.items():
            state.arrays[name][...] = array

    def step(
        self,
        state: NumpyState,
        intensities: NDArray[np.uint8],
        rewards: I32,
        flags: NDArray[np.uint8],
        forced: I32 | None = None,
    ) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        actions = np.zeros((len(flags), len(state.config.groups)), np.int32)
        for brain, flag in enumerate(flags):
            if flag != Flag.IDLE:
                own = None if forced is None else forced[brain]
                met = Met(intensities[brain].astype(np.int32), int(rewards[brain]), Flag(flag), own)
                actions[brain] = self._step(state, brain, met)
        return actions

    def run(
        self,
        state: NumpyState,
        intensities: NDArray[np.uint8],
        rewards: I32,
        flags: NDArray[np.uint8],
        forced: I32 | None = None,
    ) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        actions = np.zeros((*flags.shape, len(state.config.groups)), np.int32)
        for t in range(len(flags)):
            own = None if forced is None else forced[t]
            actions[t] = self.step(state, intensities[t], rewards[t], flags[t], own)
        return actions

    def _step(self, state: NumpyState, brain: int, met: Met) -> I32:
        arrays, config, params, flag = state.arrays, state.config, state.params[brain], met.flag
        now = int(arrays["presentation"][brain])
        who = int(arrays["brain"][brain]) ^ int(params[0, Param.COPY]) << spec.COPY_SHIFT
        clock = Clock(now, 0, (state.seed, who), False)
        own = _own(arrays, brain)
        if flag == Flag.START:
            own.forget()
        carried = own.carried
        learned = carried[config.pool_words + config.echo_words :]
        blank = np.zeros((config.words, LANES), np.int32)
        shown = Presentation(blank, carried, blank, np.zeros(config.learning_units, np.int32))
        drives, values = np.zeros(config.units, np.int32), np.zeros(config.clusters, np.int32)
        if flag != Flag.TERMINATED:
            shown = present(state, brain, met.intensity, carried, clock)
            counts = eq.seen(shown.counts, config, int(params[0, Param.READS]))
            drives, values = eq.readout(counts, own.weights, config)
        volley = eq.act(drives, config, params, clock, now, met.forced)
        if flag != Flag.START:
            self._learn(state, brain, own, met, values, clock)
        own.carried = shown.carried
        if flag in (Flag.START, Flag.CONTINUE):
            self._remember(config, params, own, shown, volley, learned, clock)
        else:
            own.forget()
            volley.actions[:] = 0
        for name in ("weights", "fractions", "traces", "inner_weights", "inner_fractions", "inner_traces"):
            arrays[name][brain] = getattr(own, name)
        arrays["excitement"][brain], arrays["collected"][brain] = own.carried, own.collected
        arrays["value"][brain] = values
        arrays["episode"][brain] = (int(arrays["episode"][brain]) + (flag == Flag.START)) & 0xFFFFFFFF
        arrays["presentation"][brain] = (now + 1) & 0xFFFFFFFF
        return volley.actions

    def _learn(self, state: NumpyState, brain: int, own: Own, met: Met, values: I32, clock: Clock) -> None:
        """Move the weights in place: d = r + gamma V' - V for each cluster, broadcast to its words."""
        config = state.config
        for k in range(config.clusters):
            params = state.params[brain, k]
            discounted = int(params[Param.GAMMA]) * int(values[k]) // spec.ONE_GAMMA
            dopamine = met.reward + discounted - int(state.arrays["value"][brain, k])
            mean = int(state.arrays["surprise"][brain, k])
            if params[Param.SURPRISE_SHIFT] > 0:
                mean = eq.surprise(mean, dopamine, int(params[Param.SURPRISE_SHIFT]))
                state.arrays["surprise"][brain, k] = mean
            age = int(params[Param.RATE_AGE])
            r = draw(np.array([k], np.uint32), clock.presentation, 0, 0, Stream.SCALAR, clock.key)[0]
            critic_rate, actor_rate, inner_rate = (
                eq.anneal(int(params[column]), age, clock.presentation)
                for column in (Param.CRITIC_RATE, Param.ACTOR_RATE, Param.INNER_RATE)
            )
            bits = int(params[Param.FRACTION_BITS])
            critic = eq.step_and_chance(min(abs(dopamine), spec.DOPAMINE_LIMIT), critic_rate, int(r[0]), bits)
            actor = eq.step_and_chance(eq.actor_dopamine(dopamine, mean, params), actor_rate, int(r[1]), bits)
            words = np.arange(k, config.words, config.clusters)
            for output in range(config.outputs):
                step, chance = critic if output == config.units else actor
                x, y = (
                    self._plastic(config.words, output, planes, clock)[words] for planes in (range(8), range(8, 12))
                )
                at, up = (output, words), 1 if dopamine > 0 else -1
                own.weights[at], own.fractions[at] = eq.moved_weights(
                    own.weights[at], own.fractions[at], own.traces[at], up, (step, chance, bits), x, y
                )
            if k == 0:
                self._learn_inner(own, met.flag, dopamine, mean, params, (inner_rate, int(r[2])), clock)

    def _learn_inner(
        self,
        own: Own,
        flag: Flag,
        dopamine: int,
        mean: int,
        params: I32,
        rate: tuple[int, int],
        clock: Clock,
    ) -> None:
        """Collect the first cluster's dopamine and move the weights of the learning words by it when it is time.

        It is time every INNER_EVERY presentations, and when an episode ends.
        """
        limit = spec.DOPAMINE_LIMIT
        own.collected = max(-limit, min(limit, own.collected + dopamine))
        if flag == Flag.CONTINUE and clock.presentation % int(params[Param.INNER_EVERY]):
            return
        if not len(own.inner_weights):
            own.collected = 0
            return
        up = 1 if own.collected > 0 else -1
        bits = int(params[Param.FRACTION_BITS])
        step, chance = eq.step_and_chance(eq.actor_dopamine(own.collected, mean, params), *rate, bits)
        own.collected = 0
        sources = own.inner_weights.shape[1]
        for unit in range(len(own.inner_weights)):
            x, y = (self._plastic(sources, unit, planes, clock, Stream.INNER) for planes in (range(8), range(8, 12)))
            weights, fractions = own.inner_weights[unit], own.inner_fractions[unit]
            own.inner_weights[unit], own.inner_fractions[unit] = eq.moved_weights(
                weights, fractions, own.inner_traces[unit], up, (step, chance, bits), x, y
            )

    def _remember(
        self,
        config: BrainConfig,
        params: I32,
        own: Own,
        shown: Presentation,
        volley: Volley,
        before: I32,
        clock: Clock,
    ) -> None:
        """Decay the traces by chance and add this presentation's counts, in place."""
        shares, signs = eq.credit(volley, config.groups, int(params[0, Param.MOTOR_RULE]))
        word_params = params[np.arange(config.words) % config.clusters]
        counts = eq.seen(shown.counts, config, int(params[0, Param.READS]))
        for output in range(config.outputs):
            critic = output == config.units
            columns = (Param.CRITIC_SHIFT, Param.CRITIC_CHANCE) if critic else (Param.ACTOR_SHIFT, Param.ACTOR_CHANCE)
            shift, chance = (word_params[:, column][:, None] for column in columns)
            share, sign = (16, 1) if critic else (int(shares[output]), int(signs[output]))
            replace = word_params[:, Param.CRITIC_RULE][:, None] == 1 if critic else False
            kept, rounding = self._kept(own.traces[output], output, shift, chance, clock, Stream.PLASTICITY)
            added = eq.added_trace(kept, counts, share, sign, rounding, False)
            larger = eq.added_trace(kept, counts, share, sign, rounding, True)
            own.traces[output] = np.where(replace, larger, added)
        self._remember_inner(config, params[0], own, shown, (shares, signs), before, clock)

    def _remember_inner(
        self,
        config: BrainConfig,
        params: I32,
        own: Own,
        shown: Presentation,
        credit: tuple[I32, I32],
        before: I32,
        clock: Clock,
    ) -> None:
        """The same for the learning units, credited by their outgoing weights or by one of the pure-reward rules."""
        units = config.learning_units
        outgoing = own.weights[:, config.words - config.learning_words :].reshape(config.outputs, units)
        counts = shown.counts[config.words - config.learning_words :].ravel()
        feedback = eq.feedback_weights(outgoing, *credit, int(params[Param.CRITIC_FEEDBACK]))
        signal = eq.learning_signal(
            int(params[Param.INNER_RULE]), shown.chances, counts, before.ravel(), config.cycles, feedback
        )
        shares, signs = eq.learning_credit(signal, int(params[Param.FEEDBACK]), clock)
        read = shown.counts[: config.learning_sources]
        shift, chance = (params[column][None, None] for column in (Param.INNER_SHIFT, Param.INNER_CHANCE))
        for unit in range(units):
            kept, rounding = self._kept(own.inner_traces[unit], unit, shift, chance, clock, Stream.INNER)
            own.inner_traces[unit] = eq.added_trace(kept, read, int(shares[unit]), int(signs[unit]), rounding, False)

    def _kept(self, traces: I32, row: int, shift: I32, chance: I32, clock: Clock, stream: Stream) -> tuple[I32, I32]:
        """Traces of one row of synapses after their decay, and the random numbers that round what is added."""
        fade, rounding, number = (
            self._plastic(len(traces), row, planes, clock, stream)
            for planes in (range(12, 15), range(16, 20), range(20, 28))
        )
        return np.sign(traces) * eq.lose(np.abs(traces), shift, fade, chance, number), rounding

    @staticmethod
    def _plastic(sources: int, row: int, planes: range, clock: Clock, stream: Stream = Stream.PLASTICITY) -> I32:
        # drawn once for 32 rows, turned from row to row
        words = np.arange(sources, dtype=np.uint32) + np.uint32(row // LANES * sources)
        return random_number(words, clock.presentation, 0, planes, stream, clock.key, row % LANES)

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
        spikes, after = np.zeros(e, np.int32), np.zeros((e, config.carried_words, LANES), np.uint8)
        for i, brain in enumerate(brains):
            now = 0 if deterministic else int(presentations[i])
            key = (state.seed, int(state.arrays["brain"][brain]))
            clock = Clock(now, Stream.EVALUATION, key, deterministic)
            before = excitement[i].astype(np.int32)
            shown = present(state, int(brain), intensities[i].astype(np.int32), before, clock)
            after[i] = shown.carried
            counts = eq.seen(shown.counts, config, int(state.params[brain, 0, Param.READS]))
            drives, values[i] = eq.readout(counts, state.arrays["weights"][brain].astype(np.int32), config)
            answer = eq.act(drives, config, state.params[brain], clock, int(state.arrays["presentation"][brain]))
            actions[i], volley[i], spikes[i] = answer.actions, answer.spikes, shown.counts.sum()
        return Prediction(actions, volley, values, spikes, after)
