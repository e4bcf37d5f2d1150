"""Fractions of weights: what they are born with, and who keeps, scales and refuses them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, checkpoint
from hebbit.agents.errors import CheckpointError
from hebbit.agents.newborn import HALF
from hebbit.agents.rewards import rescale
from hebbit.agents.structure import prune, reads_of, renew
from hebbit.backends.spec import FRACTION_MAX, WEIGHT_MAX, WEIGHT_MIN, Arrays

CARTPOLE = "CartPole-v1"
SMALL: dict[str, Any] = {"pool_words": 4, "cycles": 2, "learning_words": 1, "learning_pool": True, "optimism": 0.0}
NAMES = ("fractions", "inner_fractions")


def newborn(brains: int = 1, **changes: Any) -> SpikingAgent:
    return SpikingAgent(CARTPOLE, seed=1, config={**SMALL, **changes}, backend="numpy", brains=brains)


def noisy(brains: int = 1, **changes: Any) -> tuple[SpikingAgent, Arrays]:
    """An agent with any weights and fractions, and its arrays."""
    agent, dice = newborn(brains, **changes), np.random.default_rng(0)
    arrays = agent.arrays()
    for name, least, most in (("weights", -128, 128), *((name, 0, 16) for name in NAMES)):
        arrays[name][...] = dice.integers(least, most, arrays[name].shape)
    agent._make_state(agent.state.params, arrays)
    return agent, arrays


def test_brains_are_born_in_the_middle_of_a_step() -> None:
    assert HALF == 8 == (FRACTION_MAX + 1) / 2
    arrays = newborn(3).arrays()
    for name, like in zip(NAMES, ("weights", "inner_weights"), strict=True):
        assert arrays[name].shape == arrays[like].shape and arrays[name].size and (arrays[name] == HALF).all()


@pytest.mark.parametrize("learning_pool", [True, False])
def test_renewed_words_are_in_the_middle_of_a_step(learning_pool: bool) -> None:
    agent, before = noisy(2, learning_pool=learning_pool)
    arrays, places = agent.arrays(), [5, 7]
    renew(agent.brain_config, reads_of(agent, 1), arrays, 1, np.array([1, 3]))
    assert (before["fractions"][1][:, places] != HALF).any()
    for name in NAMES if learning_pool else NAMES[:1]:
        before[name][1][:, places] = HALF
    for name in NAMES:
        np.testing.assert_array_equal(arrays[name], before[name], name)


def test_words_that_stay_keep_their_fractions() -> None:
    agent, before = noisy(2)
    after = prune(agent, [[0, 3], [1, 2]]).arrays()
    for brain, kept in enumerate(([4, 7], [5, 6])):
        read = [0, 1, 2, 3, *kept]
        np.testing.assert_array_equal(after["fractions"][brain], before["fractions"][brain][:, [*read, 8]])
        np.testing.assert_array_equal(after["inner_fractions"][brain], before["inner_fractions"][brain][:, read])


def fine(arrays: Arrays, brain: int = 0) -> Any:
    """The critic's weights in sixteenths of a step."""
    return 16 * arrays["weights"][brain, -1].astype(np.int64) + arrays["fractions"][brain, -1]


def test_other_units_of_rewards_scale_fractions_too() -> None:
    agent, before = noisy(2)
    rescale(agent, {1: 0.5})
    halved = agent.arrays()
    # about what is read as zero, halves upwards
    np.testing.assert_array_equal(fine(halved, 1) - HALF, (fine(before, 1) - HALF + 1) // 2)
    rescale(agent, {1: 2.0})
    after = agent.arrays()
    lost = fine(after, 1) - fine(before, 1)
    assert set(np.unique(lost).tolist()) <= {0, 1} and (lost == 0).any()
    for arrays in (halved, after):
        np.testing.assert_array_equal(fine(arrays, 0), fine(before, 0))
        np.testing.assert_array_equal(arrays["weights"][:, :-1], before["weights"][:, :-1])
        np.testing.assert_array_equal(arrays["fractions"][:, :-1], before["fractions"][:, :-1])
        np.testing.assert_array_equal(arrays["inner_fractions"], before["inner_fractions"])


@pytest.mark.parametrize(("born", "weights"), [(20.0, [60, -20, 20]), (0.0, [50, -30, 10])])
def test_what_shrinks_shrinks_towards_optimism(born: float, weights: list[int]) -> None:
    agent = newborn(optimism=born)
    arrays = agent.arrays()
    arrays["weights"][0, -1, 0, :3] = 100, -60, 20
    agent._make_state(agent.state.params, arrays)
    rescale(agent, {0: 0.5})
    after = agent.arrays()
    assert after["weights"][0, -1, 0, :3].tolist() == weights and (after["fractions"] == HALF).all()


def test_weights_that_outgrow_their_bits_keep_the_last_fraction() -> None:
    agent = newborn()
    arrays = agent.arrays()
    arrays["weights"][0, -1, 0, :3] = 100, -100, 63
    agent._make_state(agent.state.params, arrays)
    rescale(agent, {0: 2.0})
    after = agent.arrays()
    assert after["weights"][0, -1, 0, :3].tolist() == [WEIGHT_MAX, WEIGHT_MIN, 126]
    assert after["fractions"][0, -1, 0, :3].tolist() == [FRACTION_MAX, 0, HALF]


@pytest.mark.parametrize("name", NAMES)
def test_fractions_that_no_synapse_has_are_refused(name: str, tmp_path: Path) -> None:
    newborn().learn(3).save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    found.arrays[name].flat[7] = FRACTION_MAX
    checkpoint.write(tmp_path / "b.zip", found.meta, found.arrays)
    assert SpikingAgent.load(tmp_path / "b.zip", backend="numpy").arrays()[name].flat[7] == FRACTION_MAX
    for value in (FRACTION_MAX + 1, 255):
        found.arrays[name].flat[7] = value
        checkpoint.write(tmp_path / "b.zip", found.meta, found.arrays)
        with pytest.raises(CheckpointError, match=f"array '{name}' holds values that no agent has"):
            SpikingAgent.load(tmp_path / "b.zip", backend="numpy")
    checkpoint.write(tmp_path / "b.zip", found.meta, {k: v for k, v in found.arrays.items() if k != name})
    with pytest.raises(CheckpointError, match=f"no array '{name}'"):
        SpikingAgent.load(tmp_path / "b.zip", backend="numpy")


@pytest.mark.parametrize("name", NAMES)
def test_the_digest_tells_them(name: str) -> None:
    agent = newborn()
    arrays, before = agent.arrays(), agent.digest()
    arrays[name].flat[3] += 1
    agent._make_state(agent.state.params, arrays)
    assert agent.digest() != before


@pytest.mark.parametrize("bits", [0, 1, 2, 3, 4])
def test_synapses_remember_as_many_bits_as_they_are_told(bits: int) -> None:
    slow: dict[str, Any] = {
        "reward_scale": "fixed",
        "learning_rule": "reinforce",
        "learning_step": 0.05,
        "actor_step": 0.05,
    }
    arrays, born = newborn(fraction_bits=bits, **slow).learn(30).arrays(), newborn().arrays()
    for name, like in zip(NAMES, ("weights", "inner_weights"), strict=True):
        weights = arrays[like].astype(np.int64)
        away = (weights > WEIGHT_MIN) & (weights < WEIGHT_MAX)
        moved = (weights != born[like]) | (arrays[name] != HALF)
        assert moved.sum() > 20 and away.mean() > 0.9
        # from the middle of a step by whole quanta
        found = set(np.unique(arrays[name][away]).tolist())
        quantum = 16 >> bits
        assert found <= set(range(HALF % quantum, 16, quantum)) and (len(found) > 1) == (bits > 0)


@pytest.mark.parametrize("bits", [-1, 5, 1.5, True])
def test_numbers_of_bits_that_there_are_not(bits: Any) -> None:
    with pytest.raises(HebbitError, match="fraction_bits must"):
        AgentConfig(fraction_bits=bits)
