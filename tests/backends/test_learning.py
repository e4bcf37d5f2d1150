"""The specification's learning rule: credit, traces, dopamine and weights, each against a statement of its own."""

import math
from fractions import Fraction
from math import comb, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends.equations import (
    Clock,
    Volley,
    actor_dopamine,
    added_trace,
    credit,
    feedback_weights,
    learning_credit,
    learning_signal,
    moved_weights,
    step_and_chance,
    surprise,
)
from hebbit.backends.spec import SIGMOID, Backend, BrainConfig, Flag, Param, empty_arrays

I32 = NDArray[np.int32]


def ints(*values: int) -> I32:
    return np.array(values, np.int32)


def test_credit_of_the_own_share_by_hand() -> None:
    volley = Volley(ints(5, 3, 0, 1, 2), ints(0, 1), ints(0, 0))
    shares, signs = credit(volley, (3, 2), 0)
    # 16 * 3/8 for unit 0 and against unit 1; in the other group 16 * 1/3, floored
    assert shares.tolist() == [6, 6, 0, 5, 5]
    assert signs.tolist() == [1, -1, -1, -1, 1]


def test_credit_sums_to_nothing_where_the_volley_divides_evenly() -> None:
    for spikes in ([4, 4, 8], [16, 0, 0], [1, 2, 5], [0, 1, 0]):
        for action in range(3):
            shares, signs = credit(Volley(ints(*spikes), ints(action), ints(0)), (3,), 0)
            assert (shares * signs).sum() == 0


def test_credit_keeps_within_one_sixteenth_of_its_share() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        spikes, action = rng.integers(0, 300, 5).astype(np.int32), int(rng.integers(5))
        shares, signs = credit(Volley(spikes, ints(action), ints(0)), (5,), 0)
        exact = 16 * ((np.arange(5) == action) - spikes / spikes.sum())
        excess = np.abs(exact) - shares
        assert ((excess > -1e-9) & (excess < 1)).all() and (signs * exact >= 0).all()


def test_credit_of_a_second_draw() -> None:
    volley = Volley(ints(5, 3, 1, 9, 9), ints(2, 1), ints(0, 1))
    shares, signs = credit(volley, (3, 2), 1)
    assert (shares * signs).tolist() == [-16, 0, 16, 0, 0]


@pytest.mark.parametrize("rule", [0, 1])
def test_a_silent_volley_earns_no_credit(rule: int) -> None:
    shares, _ = credit(Volley(ints(0, 0, 0), ints(1), ints(2)), (3,), rule)
    assert not shares.any()


def test_surprise_follows_the_mean_size() -> None:
    assert surprise(0, -100, 3) == 256 * 100 >> 3
    assert surprise(256 * 100, 100, 3) == 256 * 100, "a mean that is reached stays"
    assert surprise(256 * 100, 0, 4) == 256 * 100 - (256 * 100 >> 4)
    assert surprise(0, 10**9, 1) == 256 * 65535 >> 1, "dopamine counts up to its limit"
    assert surprise(3, 0, 8) == 2, "the shift floors, so small means fade"


@pytest.mark.parametrize(
    ("dopamine", "mean", "shift", "floor", "clip", "expected"),
    [
        (300, 10**6, 0, 50, 10**6, 300),  # normalisation off
        (-300, 200 << 8, 4, 50, 10**6, 300 * 256 // 200),
        (300, 20 << 8, 4, 50, 10**6, 300 * 256 // 50),  # floored mean
        (300, 0, 4, 0, 10**6, 300 * 256),  # never divided by zero
        (300, 200 << 8, 4, 50, 256, 256),  # clipped
        (10**7, 256, 4, 0, 10**8, 65535 * 256),  # limited
    ],
)
def test_actor_dopamine(dopamine: int, mean: int, shift: int, floor: int, clip: int, expected: int) -> None:
    params = np.zeros(len(Param), np.int32)
    params[[Param.SURPRISE_SHIFT, Param.SURPRISE_FLOOR, Param.DOPAMINE_CLIP]] = shift, floor, clip
    assert actor_dopamine(dopamine, mean, params) == expected


@pytest.mark.parametrize(("size", "rate"), [(0, 9), (1, 1), (3, 333333), (777, 12345), (1 << 12, 1 << 12)])
def test_chances_up_to_one_are_exact_on_average(size: int, rate: int) -> None:
    """Chances of 256 are the upper 16 of 24 bits plus a coin for the rest: over all roundings the sum is exact."""
    found = [step_and_chance(size, rate, low << 16, 0) for low in range(65536)]
    assert {k for k, _ in found} == {0}
    assert sum(chance for _, chance in found) == size * rate


@pytest.mark.parametrize(("halves", "k"), [(2, 0), (3, 1), (4, 1), (5, 2), (16, 3), (33, 5), (128, 6)])
def test_larger_chances_become_larger_steps(halves: int, k: int) -> None:
    """An expected move of halves / 2 weight steps is 2**k times a chance that is at most 1."""
    found, chance = step_and_chance(halves << 11, 1 << 12, 0, 0)
    assert found == k and chance <= 256
    assert abs((chance << k) - 128 * halves) < 1 << k


@pytest.mark.parametrize("bits", range(5))
@pytest.mark.parametrize("size", [1, 100, 4096, 70000])
def test_finer_steps_come_as_much_more_often(bits: int, size: int) -> None:
    """The expected move in sixteenths stays, while the least step is 2**-bits of a weight step."""
    k, chance = step_and_chance(size, 1 << 12, 0, bits)
    assert k == 0 or chance > 127
    assert abs((chance << k + 4 - bits) * 4096 - 16 * 256 * size) < 4096 << k + 4 - bits


@pytest.mark.parametrize("bits", range(5))
def test_the_largest_step_is_64_for_sure(bits: int) -> None:
    assert step_and_chance(65535, 1 << 24, 0, bits) == (6 + bits, 256)
    assert step_and_chance(65535 * 256, 2**31 - 1, 2**32 - 1, bits) == (6 + bits, 256)


@pytest.mark.parametrize(("k", "bits"), [(0, 4), (3, 4), (4, 4), (10, 4), (2, 2), (8, 2), (0, 0), (4, 0), (6, 0)])
@pytest.mark.parametrize("up", [-1, 1])
@pytest.mark.parametrize("trace", [-15, -4, 1, 8, 13])
def test_weights_move_and_saturate(k: int, bits: int, up: int, trace: int) -> None:
    """By |trace| 2**k / 16 quanta of 2**-bits, rounded up for y = 15 if at all."""
    fine = np.arange(-2048, 2048, dtype=np.int32)
    traces, none = np.full_like(fine, trace), np.zeros_like(fine)
    weights, fractions = moved_weights(fine >> 4, fine & 15, traces, up, (k, 256, bits), none, none + 15)
    quanta = math.ceil(abs(trace) * 2**k / 16)
    step = (1 if up * trace > 0 else -1) * quanta * 16 // 2**bits
    expected = [max(-2048, min(2047, w + step)) for w in range(-2048, 2048)]
    assert (16 * weights + fractions).tolist() == expected
    assert weights.min() >= -128 and weights.max() <= 127 and set(fractions.tolist()) <= set(range(16))


@pytest.mark.parametrize("k", range(8))
def test_weights_move_by_chance_times_trace(k: int) -> None:
    """Over the 256 * 16 random numbers x and y a weight moves by chance * |trace| * 2**k quanta, no bit lost."""
    x, y = np.meshgrid(np.arange(256, dtype=np.int32), np.arange(16, dtype=np.int32))
    for trace in (0, 1, -7, 15):
        for chance in (0, 1, 100, 256):
            none = np.zeros_like(x)
            weights, fractions = moved_weights(none, none, np.full_like(x, trace), 1, (k, chance, 4), x, y)
            assert (16 * weights + fractions).sum() == chance * trace * 2**k


@pytest.mark.parametrize("share", range(17))
def test_traces_gain_their_share_on_average(share: int) -> None:
    counts, rounding = np.meshgrid(np.arange(16, dtype=np.int32), np.arange(16, dtype=np.int32))
    gained = added_trace(np.zeros_like(counts), counts, share, 1, rounding, False)
    assert gained.sum(axis=0).tolist() == [share * n for n in range(16)]
    assert np.array_equal(added_trace(np.zeros_like(counts), counts, share, -1, rounding, False), -gained)


def test_traces_saturate_at_both_ends() -> None:
    old, counts = np.meshgrid(np.arange(-15, 16, dtype=np.int32), np.arange(16, dtype=np.int32))
    for sign in (-1, 1):
        new = added_trace(old, counts, 16, sign, np.zeros_like(old), False)
        assert np.array_equal(new, np.clip(old + sign * counts, -15, 15))


def test_replacing_traces_keep_the_larger() -> None:
    old, counts = np.meshgrid(np.arange(16, dtype=np.int32), np.arange(16, dtype=np.int32))
    new = added_trace(old, counts, 16, 1, np.full_like(old, 15), True)
    assert np.array_equal(new, np.maximum(old, counts))


RATE = 1 << 12
"""With a dopamine of 1024, a chance of one quarter for each point of a full trace."""


def learned_weights(backend: Backend, dopamine: int, trace: int) -> NDArray[np.int8]:
    """Weights [brains, outputs, words, 32] from 0 after one last reward, all traces alike."""
    config = BrainConfig(48, 16, (2,))
    params = np.zeros((4, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.CRITIC_RATE, Param.ACTOR_RATE, Param.DOPAMINE_CLIP]] = RATE, RATE, 1 << 20
    params[..., [Param.READS, Param.INNER_EVERY]] = 7, 1
    arrays = empty_arrays(config, np.arange(4, dtype=np.uint32))
    arrays["traces"][:, :-1], arrays["traces"][:, -1] = trace, abs(trace)
    arrays["value"][:] = 256
    state = backend.create(config, params, 3, arrays)
    silence = np.zeros((4, 48, 32), np.uint8)
    backend.step(state, silence, np.full(4, dopamine + 256, np.int32), np.full(4, Flag.TERMINATED, np.uint8))
    weights: NDArray[np.int8] = backend.export(state)["weights"]
    return weights


@pytest.mark.parametrize(("dopamine", "trace"), [(1024, 8), (-1024, 8), (1024, -8), (-512, -15), (100, 3), (6144, 8)])
def test_one_step_moves_weights_by_dopamine_times_rate_times_trace(backend: Backend, dopamine: int, trace: int) -> None:
    weights = learned_weights(backend, dopamine, trace)
    for rows, own in ((weights[:, :-1], trace), (weights[:, -1], abs(trace))):
        mean = dopamine * RATE / 2**24 * own / 16
        # one move is 1 or (6144) 2; its variance is at most size * |mean|
        size = max(1, abs(dopamine) * RATE / 2**23)
        assert abs(rows.mean() - mean) < 5 * sqrt(size * abs(mean) / rows.size)


def test_no_dopamine_moves_nothing(backend: Backend) -> None:
    assert not learned_weights(backend, 0, 15).any()


def test_a_forced_action_is_credited(backend: Backend) -> None:
    """Three units that always fire: the forced one gains 10/16 of the counts, the others lose 5/16."""
    config = BrainConfig(1, 0, (3,))
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.MOTOR_BASE, Param.READS, Param.INNER_EVERY]] = 256, 7, 1
    for unit in range(3):
        state = backend.create(config, params, 3, empty_arrays(config, np.zeros(1, np.uint32)))
        shown, flags = np.full((1, 1, 32), 15, np.uint8), np.full(1, Flag.START, np.uint8)
        forced = np.full((1, 1), unit, np.int32)
        assert backend.step(state, shown, np.zeros(1, np.int32), flags, forced).tolist() == [[unit]]
        traces = backend.export(state)["traces"][0, :-1, 0]
        assert (traces[unit] == 5).all()
        for other in {0, 1, 2} - {unit}:
            assert set(traces[other].tolist()) == {-2, -3}


def test_feedback_is_the_credited_sum_of_outgoing_weights() -> None:
    weights = np.array([[10, -128], [-3, 127], [5, 1]], np.int32)
    # 6 sixteenths for the first motor unit, 2 against the second, and the critic's 16
    assert feedback_weights(weights, ints(6, 2), ints(1, -1), 16).tolist() == [60 + 6 + 80, -768 - 254 + 16]
    assert feedback_weights(weights, ints(0, 0), ints(1, -1), 0).tolist() == [0, 0]


def test_learning_signals_by_hand() -> None:
    chances, counts, before, feedback = ints(128, 0, 255, 64), ints(4, 0, 8, 3), ints(6, 2, 8, 0), ints(-100, 9, 9, 50)

    def signal(rule: int) -> list[int]:
        found: list[int] = learning_signal(rule, chances, counts, before, 8, feedback.astype(np.int64)).tolist()
        return found

    # 4 p (1 - p) of 64 is 64 for a half, 48 for a quarter, and nearly nothing at the ends
    assert signal(0) == [-6400, 0, 0, 2400]
    # 32 times the 256 n - 8 p: what is expected is no surprise
    assert signal(1) == [0, 0, 32 * 8, 32 * 256]
    # 8192 times the spikes after, less those before
    assert signal(2) == [-2 * 8192, -2 * 8192, 0, 3 * 8192]


@pytest.mark.parametrize("cycles", [1, 3, 8, 15])
def test_reinforce_has_no_mean(cycles: int) -> None:
    """Over all counts, each with its binomial chance, the surprise is zero but for the floor."""
    for p in (0, 1, 64, 128, 255):
        mean = Fraction(0)
        for n in range(cycles + 1):
            found = learning_signal(1, ints(p), ints(n), ints(0), cycles, np.zeros(1, np.int64))
            mean += comb(cycles, n) * Fraction(p, 256) ** n * Fraction(256 - p, 256) ** (cycles - n) * int(found[0])
        assert -1 < mean <= 0


@pytest.mark.parametrize("sixteenths", [0.0, 0.3, 1.0, 7.75, 15.9, 16.0, 40.0])
def test_learning_credit_is_rounded_by_chance_and_at_most_all_of_the_count(sixteenths: float) -> None:
    signal = np.full(4096, round(sixteenths * 4096), np.int64)
    signal[1::2] *= -1
    shares, signs = learning_credit(signal, 16, Clock(4, 0, (1, 2), False))
    expected = min(16.0, sixteenths)
    assert set(shares.tolist()) <= {int(expected), min(16, int(expected) + 1)}
    assert abs(shares.mean() - expected) < 5 * 0.5 / sqrt(4096) and (expected % 1 != 0) == (shares.std() > 0)
    assert signs.tolist() == ([1, -1] * 2048 if sixteenths else [1] * 4096)


def learner(backend: Backend, every: int, **arrays: int) -> Any:
    """A brain of one learning word that reads one sensory word, at presentation 1.

    Two actions that fire alike. Nothing decays; a dopamine of 3000 moves weights of full traces for sure.
    """
    config = BrainConfig(1, 0, (2,), learning_words=1)
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.MOTOR_BASE, Param.READS, Param.DOPAMINE_CLIP]] = 256, 7, 1 << 20
    params[..., [Param.INNER_EVERY, Param.INNER_RATE]] = every, (1 << 24) // 3000
    made = empty_arrays(config, np.zeros(1, np.uint32))
    made["presentation"][:] = 1
    for name, value in arrays.items():
        made[name][:] = value
    return backend.create(config, params, 3, made)


def met(backend: Backend, state: Any, reward: int, flag: Flag) -> dict[str, NDArray[Any]]:
    """Arrays after a silent observation with a reward, the first action forced."""
    silence, forced = np.zeros((1, 1, 32), np.uint8), np.zeros((1, 1), np.int32)
    backend.step(state, silence, np.full(1, reward, np.int32), np.full(1, flag, np.uint8), forced)
    return backend.export(state)


@pytest.mark.parametrize("sign", [-1, 1])
def test_inner_weights_move_by_what_was_collected_when_it_is_time(backend: Backend, sign: int) -> None:
    state = learner(backend, 3, inner_traces=15)
    for collected in (1000, 2000):
        arrays = met(backend, state, sign * 1000, Flag.CONTINUE)
        assert arrays["collected"].tolist() == [sign * collected] and not arrays["inner_weights"].any()
    arrays = met(backend, state, sign * 1000, Flag.CONTINUE)
    moved = sign * arrays["inner_weights"]
    # all of them with chance 15/16
    assert arrays["collected"].tolist() == [0] and set(np.unique(moved)) == {0, 1}
    assert abs(moved.mean() - 15 / 16) < 5 * sqrt(15) / 16 / sqrt(moved.size)
    met(backend, state, sign * 1000, Flag.CONTINUE)
    again = met(backend, state, sign * 1000, Flag.CONTINUE)
    assert np.array_equal(again["inner_weights"], arrays["inner_weights"])


def test_an_episode_that_ends_does_not_wait(backend: Backend) -> None:
    for flag in (Flag.TERMINATED, Flag.TRUNCATED):
        state = learner(backend, 1000, inner_traces=-15, collected=1000)
        arrays = met(backend, state, 2000, flag)
        assert arrays["inner_weights"].mean() < -0.8
        assert arrays["collected"].tolist() == [0] and not arrays["inner_traces"].any()


def test_what_is_collected_has_a_limit(backend: Backend) -> None:
    state = learner(backend, 1000, collected=-65000)
    assert met(backend, state, -30000, Flag.CONTINUE)["collected"].tolist() == [-65535]


def inner_traces(backend: Backend, rule: int, gain: int, carried: int) -> tuple[I32, I32]:
    """Traces [32, 32] and counts [32] of a learning word after one loud observation, eight spikes of every source.

    Both motor units fire alike and the first is forced: 8/16 for it, 8/16 against the other. It is excited by the first
    16 learning units and inhibited by the others.
    """
    config = BrainConfig(1, 0, (2,), learning_words=1)
    params = np.zeros((1, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., [Param.MOTOR_BASE, Param.READS, Param.INNER_EVERY]] = 256, 7, 1
    params[..., [Param.INNER_RULE, Param.FEEDBACK]] = rule, gain
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    arrays["weights"][0, 0, 1] = np.where(np.arange(32) < 16, 100, -100)
    arrays["excitement"][:] = carried
    state = backend.create(config, params, 3, arrays)
    loud, forced = np.full((1, 1, 32), 15, np.uint8), np.zeros((1, 1), np.int32)
    backend.step(state, loud, np.zeros(1, np.int32), np.full(1, Flag.CONTINUE, np.uint8), forced)
    after = backend.export(state)
    return after["inner_traces"][0, :, 0].astype(np.int32), after["excitement"][0, 0].astype(np.int32)


def test_feedback_credit_follows_the_sign_of_outgoing_weights(backend: Backend) -> None:
    """8 times 100 times 64, times 10 of 65536: 7.8 sixteenths of eight spikes."""
    assert SIGMOID[128] == 128
    traces, _ = inner_traces(backend, 0, 10, 0)
    assert set(np.unique(traces[:16])) <= {3, 4} and set(np.unique(traces[16:])) <= {-3, -4}
    assert abs(np.abs(traces).mean() - 800 * 64 * 10 / 65536 / 2) < 0.2


def test_reinforce_credits_spikes_beyond_those_expected(backend: Backend) -> None:
    """Four are expected. One more: 32 * 256, times 16 of 65536, is two sixteenths, and so one of eight."""
    traces, counts = inner_traces(backend, 1, 16, 0)
    assert len(set(counts.tolist())) > 3
    assert np.array_equal(traces, np.repeat(counts[:, None] - 4, 32, axis=1))


@pytest.mark.parametrize("carried", [0, 3, 15])
def test_timing_credits_spikes_after_the_sources_and_punishes_those_before(backend: Backend, carried: int) -> None:
    """Of eight spikes no more than eight are credited."""
    traces, counts = inner_traces(backend, 2, 16, carried)
    expected = np.clip(counts - carried, -8, 8)
    assert np.array_equal(traces, np.repeat(expected[:, None], 32, axis=1))
