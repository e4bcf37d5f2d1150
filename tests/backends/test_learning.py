"""The specification's learning rule: credit, traces, dopamine and weights, each against a statement of its own."""

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends.equations import (
    Volley,
    actor_dopamine,
    added_trace,
    credit,
    moved_weights,
    step_and_chance,
    surprise,
)
from hebbit.backends.spec import Backend, BrainConfig, Flag, Param, empty_arrays

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
    found = [step_and_chance(size, rate, low << 16) for low in range(65536)]
    assert {k for k, _ in found} == {0}
    assert sum(chance for _, chance in found) == size * rate


@pytest.mark.parametrize(("halves", "k"), [(2, 0), (3, 1), (4, 1), (5, 2), (16, 3), (33, 5), (128, 6)])
def test_larger_chances_become_larger_steps(halves: int, k: int) -> None:
    """An expected move of halves / 2 weight steps is 2**k times a chance that is at most 1."""
    found, chance = step_and_chance(halves << 11, 1 << 12, 0)
    assert found == k and chance <= 256
    assert abs((chance << k) - 128 * halves) < 1 << k


def test_the_largest_step_is_64_for_sure() -> None:
    assert step_and_chance(65535, 1 << 24, 0) == (6, 256)
    assert step_and_chance(65535 * 256, 2**31 - 1, 2**32 - 1) == (6, 256)


@pytest.mark.parametrize("k", range(7))
@pytest.mark.parametrize("up", [-1, 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_weights_move_and_saturate(k: int, up: int, sign: int) -> None:
    weights = np.arange(-128, 128, dtype=np.int32)
    moved = moved_weights(weights, np.full(256, 15 * sign, np.int32), up, k, 256, np.zeros_like(weights), 0 * weights)
    expected = [max(-128, min(127, w + up * sign * 2**k)) for w in range(-128, 128)]
    assert moved.tolist() == expected


def test_weights_move_by_chance_times_trace() -> None:
    """Of the 256 * 16 random numbers x and y, chance * |trace| move the weight."""
    x, y = np.meshgrid(np.arange(256, dtype=np.int32), np.arange(16, dtype=np.int32))
    for trace in (0, 1, -7, 15):
        for chance in (0, 1, 100, 256):
            moved = moved_weights(np.zeros_like(x), np.full_like(x, trace), 1, 0, chance, x, y)
            assert moved.sum() == chance * trace


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
    params[..., [Param.CRITIC_RATE, Param.ACTOR_RATE, Param.DOPAMINE_CLIP]] = RATE, RATE, 1 << 20
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
