"""Damaged spikes: without damage the answers of a backend, and with it those of the equations, one by one."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hebbit.agents import SpikingAgent
from hebbit.backends import equations as eq
from hebbit.backends import spec
from hebbit.backends.equations import Clock
from hebbit.backends.spec import LANES, Param, Prediction, Stream
from hebbit.backends.wiring import thresholds, wire
from hebbit.scripts.plans import damage
from hebbit.scripts.plans.damage import Damage, Stage
from hebbit.scripts.plans.entrants import with_cycles
from hebbit.scripts.plans.worlds import Kind, stream

ACTIONS = {
    "discrete": gym.spaces.Discrete(3),
    "multi": gym.spaces.MultiDiscrete([2, 4]),
    "box": gym.spaces.Box(-1, 1, (2,), np.float32),
}
CONFIGS: dict[str, Any] = {
    "pool_words": st.integers(0, 5),
    "cycles": st.integers(1, 15),
    "drive": st.sampled_from(["coincidence", "sum"]),
    "gain": st.integers(0, 15),
    "threshold": st.integers(1, 12),
    "threshold_slope": st.integers(0, 2),
    "noise_bits": st.integers(0, 4),
    "excitement_decay": st.sampled_from([0.0, 0.5, 1.0]),
    "sensory": st.sampled_from(["phase", "bernoulli"]),
    "motor_ramp": st.booleans(),
    "motor_base": st.sampled_from([0.0, 0.1]),
    "slots_min": st.integers(1, 2),
    "clusters": st.integers(1, 2),
}


def brain(config: dict[str, Any], actions: str = "discrete", seed: int = 3, dimensions: int = 3) -> SpikingAgent:
    """A brain with weights of all sizes; it is the second of a population."""
    seen = gym.spaces.Box(-1, 1, (dimensions,), np.float32)
    agent = SpikingAgent(None, seed=seed, config=config, backend="numpy", brains=2, spaces=(seen, ACTIONS[actions]))
    parameters = agent.get_parameters()
    random = np.random.default_rng(seed)
    parameters["weights"] = random.integers(-128, 128, parameters["weights"].shape).astype(np.int8)
    agent.set_parameters(parameters)
    agent.active = 1
    return agent


def shown(agent: SpikingAgent, number: int, seed: int) -> tuple[Any, Any, Any]:
    """Intensities, excitement and presentations of some observations."""
    random, config = np.random.default_rng(seed), agent.brain_config
    intensities = random.integers(0, 16, (number, config.sensory_words, LANES)).astype(np.uint8)
    excitement = random.integers(0, 16, (number, config.pool_words, LANES)).astype(np.uint8)
    return intensities, excitement, random.integers(2**32, size=number).astype(np.uint32)


def same(ours: Prediction, theirs: Prediction) -> None:
    for name in Prediction._fields:
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.dtype == other.dtype and np.array_equal(one, other), name


@settings(max_examples=60)
@given(config=st.fixed_dictionaries(CONFIGS), actions=st.sampled_from(list(ACTIONS)), seed=st.integers(0, 99))
def test_no_damage_is_the_backend(config: dict[str, Any], actions: str, seed: int) -> None:
    agent = brain(config, actions, seed)
    intensities, excitement, numbers = shown(agent, 3, seed)
    rows = np.full(3, agent.active, np.int64)
    for calm in (True, False):
        theirs = agent.backend.predict(agent.state, rows, intensities, excitement, numbers, calm)
        same(Stage(agent, Damage()).predict(intensities, excitement, numbers, calm), theirs)
        # all the machinery at work, with chances of 0
        stage = Stage(agent, Damage(dropped=1e-30))
        chances = [np.random.default_rng(i) for i in range(3)]
        same(stage.predict(intensities, excitement, numbers, calm, chances), theirs)


def one_by_one(
    agent: SpikingAgent, one: Damage, shown: tuple[Any, Any, Any], calm: bool, u: NDArray[np.float32]
) -> tuple[Any, ...]:
    """The equations for a single observation, with masks between those who fire and those who see it."""
    config, params = agent.brain_config, np.asarray(agent.state.params[agent.active])
    arrays, key = agent.arrays(), (agent.seed, int(agent.brains[agent.active]))
    wiring = wire(config, arrays["generation"][agent.active], key)
    pool = params[np.arange(config.words) % config.clusters][config.sensory_words :]
    intensity, excitement, number = shown[0].astype(np.int32), shown[1].astype(np.int32), int(shown[2])
    clock = Clock(0 if calm else number, Stream.EVALUATION, key, calm)
    silent = np.zeros(config.pool_words * LANES, np.bool_)
    silent[one.silent(len(silent))] = True
    counts = np.zeros((config.words, LANES), np.int32)
    for cycle in range(config.cycles):
        chance = u[cycle].reshape(config.words, LANES)
        split = config.sensory_words
        fired = eq.sensory_spikes(intensity, cycle, params, clock)
        seen = np.where(fired == 1, chance[:split] >= one.dropped, chance[:split] < one.spurious).astype(np.int32)
        current = eq.drive(seen, wiring, pool[:, Param.DRIVE], pool[:, Param.GAIN])
        excitement, fired = eq.pool_cycle(excitement, current, thresholds(config, wiring, params), cycle, pool, clock)
        sent = np.where(fired == 1, chance[split:] >= one.dropped, chance[split:] < one.spurious)
        counts += np.concatenate([seen, sent & ~silent.reshape(-1, LANES)])
    drives, values = eq.readout(counts, arrays["weights"][agent.active].astype(np.int32), config)
    volley = eq.act(drives, config, params, clock, int(arrays["presentation"][agent.active]))
    return volley.actions, volley.spikes, values, counts.sum(), excitement


@settings(max_examples=25)
@given(config=st.fixed_dictionaries(CONFIGS), seed=st.integers(0, 99), calm=st.booleans())
def test_damage_is_a_mask_in_the_equations(config: dict[str, Any], seed: int, calm: bool) -> None:
    agent, one = brain(config, "multi", seed), Damage(0.3, 0.1, 0.4, seed)
    given = shown(agent, 3, seed)
    ours = Stage(agent, one).predict(*given, calm, [stream(Kind.SPIKES, i) for i in range(3)])
    for i in range(3):
        shape = agent.config.cycles, agent.brain_config.words * LANES
        u = stream(Kind.SPIKES, i).random(shape, np.float32)
        theirs = one_by_one(agent, one, (given[0][i], given[1][i], given[2][i]), calm, u)
        for name, wanted in zip(Prediction._fields, theirs, strict=True):
            assert np.array_equal(getattr(ours, name)[i], wanted), name


def test_many_observations_are_shown_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = brain({"pool_words": 4})
    given = shown(agent, 7, 0)

    def answer() -> Prediction:
        return Stage(agent, Damage(0.2, 0.1)).predict(*given, False, [stream(Kind.SPIKES, i) for i in range(7)])

    whole = answer()
    monkeypatch.setattr(damage, "BLOCK_BYTES", 2 * 8 * 7 * 32)
    same(answer(), whole)


def test_a_lesion_grows_and_depends_on_the_seed_alone() -> None:
    small, large, other = (Damage(lesion=share, seed=s).silent(640) for share, s in ((0.1, 1), (0.5, 1), (0.5, 2)))
    assert (len(small), len(large)) == (64, 320)
    assert set(small) < set(large) != set(other)
    assert len(Damage(lesion=0.001).silent(640)) == 1 and len(Damage(lesion=1).silent(640)) == 640


def test_extremes() -> None:
    agent = brain({"pool_words": 4})
    given = shown(agent, 2, 1)

    def spikes(dropped: float = 0.0, spurious: float = 0.0, lesion: float = 0.0) -> NDArray[np.int32]:
        chances = [stream(Kind.SPIKES, i) for i in range(2)]
        return Stage(agent, Damage(dropped, spurious, lesion)).predict(*given, True, chances).spikes

    everything = 8 * 7 * LANES
    assert (spikes(dropped=1.0) == 0).all()
    assert (spikes(spurious=1.0) == everything).all()
    assert (spikes(spurious=1.0, lesion=1.0) == 8 * 3 * LANES).all()
    # the phase code counts an intensity exactly
    assert np.array_equal(spikes(lesion=1.0), ((given[0].astype(np.int32) + 1) // 2).sum(axis=(1, 2)))


def test_silence_is_not_the_same_as_weights_of_zero() -> None:
    agent = brain({"pool_words": 4}, dimensions=2)
    given, rows = shown(agent, 40, 2), np.full(40, 1, np.int64)
    silent = Stage(agent, Damage(lesion=0.9)).predict(*given, True)
    parameters = agent.get_parameters()
    flat = parameters["weights"].reshape(2, agent.brain_config.outputs, -1)
    flat[:, :, 2 * LANES + Damage(lesion=0.9).silent(4 * LANES)] = 0
    agent.set_parameters(parameters)
    zeroed = agent.backend.predict(agent.state, rows, *given, True)
    # spikes without weight still count in the mean that a drive is
    assert (zeroed.spikes > silent.spikes).any() and not np.array_equal(zeroed.volley, silent.volley)
    assert np.array_equal(zeroed.excitement, silent.excitement)


@pytest.mark.parametrize("cycles", [1, 4, 8, 15])
def test_another_length_of_presentations(cycles: int) -> None:
    agent = brain({"pool_words": 4})
    twin = with_cycles(agent, cycles)
    assert twin.brain_config.cycles == cycles and twin.config.replace({"cycles": 8}) == agent.config
    for name, value in agent.get_parameters().items():
        assert np.array_equal(twin.get_parameters()[name], value), name
    given, rows = shown(agent, 5, 3), np.zeros(5, np.int64)
    ours, theirs = (one.backend.predict(one.state, rows, *given, True) for one in (twin, agent))
    assert np.array_equal(ours.volley, theirs.volley) == (cycles == 8)
    assert np.abs(ours.values).max() <= 128 * spec.UNIT
