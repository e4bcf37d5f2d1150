"""Motor weights that fade: by how much, when, whose, and that nothing else does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, fading
from hebbit.agents.fading import fade
from hebbit.agents.newborn import HALF
from hebbit.agents.production import Production
from hebbit.agents.structure import Structure

CARTPOLE = "CartPole-v1"
SMALL: dict[str, Any] = {"pool_words": 2, "cycles": 2, "actor_fading": 0.25}
I64 = NDArray[np.int64]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights fade every ten steps."""
    monkeypatch.setattr(fading, "EVERY", 10)


def newborn(brains: Any = 1, backend: str = "numpy", **changes: Any) -> SpikingAgent:
    return SpikingAgent(CARTPOLE, seed=1, config={**SMALL, **changes}, backend=backend, brains=brains)


def still(**changes: Any) -> SpikingAgent:
    """An agent whose motor weights of 64 steps nothing but fading moves."""
    agent = newborn(actor_step=0.0, **changes)
    arrays = agent.arrays()
    arrays["weights"][:, :-1] = 64
    agent._make_state(agent.state.params, arrays)
    return agent


def motors(agent: SpikingAgent) -> list[int]:
    """What motor weights there are."""
    weights: list[int] = np.unique(agent.arrays()["weights"][:, :-1]).tolist()
    return weights


def fine(agent: SpikingAgent, row: int | slice) -> I64:
    """Weights of all brains in sixteenths from what is read as zero."""
    arrays = agent.arrays()
    quanta: I64 = 16 * arrays["weights"][:, row].astype(np.int64) + arrays["fractions"][:, row] - HALF
    return quanta


def faded(values: I64, share: float) -> I64:
    """What becomes of motor weights, given in sixteenths."""
    agent = newborn(pool_words=64, actor_fading=share)
    arrays = agent.arrays()
    for name, part in (("weights", (values + HALF) >> 4), ("fractions", (values + HALF) & 15)):
        motor = arrays[name][0, :-1].reshape(-1)
        motor[: len(values)] = part
        arrays[name][0, :-1] = motor.reshape(arrays[name][0, :-1].shape)
    agent._make_state(agent.state.params, arrays)
    fade(agent)
    return fine(agent, slice(-1)).ravel()[: len(values)]


@pytest.mark.parametrize("share", [0.01, 0.03, 0.3, 0.5, 1.0])
def test_weights_shrink_to_the_nearest_sixteenth(share: float) -> None:
    # all that there are: -128 to 127 and fifteen sixteenths
    values = np.arange(-2056, 2040)
    left = faded(values, share)
    assert np.abs(left - values * (1 - share)).max() <= 0.5 + 1e-9
    assert (np.abs(left) <= np.abs(values)).all() and (left * values >= 0).all() and (left == values)[2056]
    # up and down alike, but for those in the very middle of two sixteenths
    middle = np.arange(-2039, 2040) + 2056
    lopsided = left[middle] + left[middle][::-1]
    ties = np.isclose(np.abs(values * (1 - share)) % 1, 0.5)[middle]
    assert not lopsided[~ties].any() and np.abs(lopsided).max() <= 1
    assert (left == 0).all() == (share == 1)


def test_worked_examples() -> None:
    steps = np.array([100, -100, 10, -10, 0]) * 16
    assert faded(steps, 0.25).tolist() == [1200, -1200, 120, -120, 0]
    assert faded(np.array([16, 17, -16, -17]), 0.03).tolist() == [16, 16, -16, -16]


def test_nothing_else_fades() -> None:
    agent = newborn(brains=2, learning_words=1, echo_delay=1, learning_density=0.5)
    arrays, dice = agent.arrays(), np.random.default_rng(0)
    for name, least, most in (("weights", -128, 128), ("fractions", 0, 16), ("inner_fractions", 0, 16),
                              ("traces", 0, 16), ("inner_traces", -15, 16), ("excitement", 0, 16)):  # fmt: skip
        arrays[name][...] = dice.integers(least, most, arrays[name].shape)
    agent._make_state(agent.state.params, arrays)
    before = fine(agent, slice(-1))
    fade(agent)
    after, now = agent.arrays(), fine(agent, slice(-1))
    for name in set(arrays) - {"weights", "fractions"}:
        np.testing.assert_array_equal(after[name], arrays[name], name)
    for name in ("weights", "fractions"):
        np.testing.assert_array_equal(after[name][:, -1], arrays[name][:, -1])
        np.testing.assert_array_equal(after[name][:, :-1, -1], arrays[name][:, :-1, -1])
    # sensory, echo and pool words
    assert agent.brain_config.words == 4 + 4 + 2 + 1
    assert np.abs(now[:, :, :10] - 0.75 * before[:, :, :10]).max() <= 0.5
    assert (now != before)[:, :, :10].mean() > 0.95


def times(steps: int = 4500, **changes: Any) -> tuple[list[int], list[int], int]:
    """Steps after which words are re-wired, and those after which weights fade, and the clock at the end."""
    structure = Structure(AgentConfig().replace(changes), 1)
    told = [structure.tick() for _ in range(steps)]
    rewired, fades = ([step for step, due in enumerate(column, 1) if due] for column in zip(*told, strict=True))
    return rewired, fades, structure.clock


def test_when_weights_fade() -> None:
    assert fading.EVERY == 1000
    assert times() == times(fading_until=2000) == ([], [], 0)
    assert times(actor_fading=0.01) == ([], [1000, 2000, 3000, 4000], 4500)
    assert times(actor_fading=0.01, fading_until=2000) == ([], [1000, 2000], 4500)
    assert times(actor_fading=0.01, fading_until=1999) == ([], [1000], 4500)
    both = times(actor_fading=0.01, rewire_every=1500, rewire_until=3000, fading_until=3000)
    assert both == ([1500, 3000], [1000, 2000, 3000], 4500)
    assert times(rewire_every=1500) == ([1500, 3000, 4500], [], 4500)


@pytest.mark.usefixtures("soon")
def test_weights_fade_while_an_agent_learns() -> None:
    agent, found = still(), []
    for steps in (9, 1, 9, 1, 25):
        agent.learn(steps, reset_num_timesteps=False)
        found.append(motors(agent))
    assert found == [[64], [48], [48], [36], [20]]
    assert np.unique(fine(still().learn(45), slice(-1))).tolist() == [round(64 * 16 * 0.75**4)]
    assert motors(still(fading_until=20).learn(45)) == [36]
    assert motors(still(actor_fading=0.0).learn(45)) == [64]


@pytest.mark.usefixtures("soon")
def test_the_clock_survives_a_checkpoint(tmp_path: Path) -> None:
    agent = newborn(fading_until=30).learn(15)
    agent.save(tmp_path / "a.zip")
    again = SpikingAgent.load(tmp_path / "a.zip", backend="numpy")
    assert again.structure.clock == agent.structure.clock == 15
    again.learn(30, reset_num_timesteps=False)
    whole = newborn(fading_until=30).learn(45)
    assert again.digest() == whole.digest() and again.structure.clock == 45
    others = newborn(fading_until=20).learn(45), newborn(actor_fading=0.0).learn(45)
    assert len({one.arrays()["weights"].tobytes() for one in (whole, *others)}) == 3


@pytest.mark.usefixtures("soon")
def test_weights_fade_in_production() -> None:
    assert motors(Production(still()).learn(25).agent) == [36]
    agent, observation = still(), np.zeros(4, np.float32)
    live = Production(agent)
    live.begin(observation)
    for _ in range(9):
        live.act(observation, 1.0)
    assert motors(agent) == [64]
    live.end(observation, 1.0, terminated=True)
    assert motors(agent) == [48] and agent.structure.clock == 10


@pytest.mark.usefixtures("soon")
def test_a_brain_of_a_population_fades_as_if_alone() -> None:
    both = newborn(brains=[1, 2]).learn(25)
    for place, name in enumerate((1, 2)):
        assert both.extract(place).digest() == newborn(brains=[name]).learn(25).digest()
    lasting = newborn(brains=[1, 2], actor_fading=0.0).learn(25).arrays()["fractions"]
    assert (both.arrays()["fractions"] != lasting).any(axis=(1, 2, 3)).all()


@pytest.mark.usefixtures("soon")
def test_backends_agree() -> None:
    one, other = (newborn(backend=name, learning_words=1).learn(25) for name in ("numpy", "numba"))
    assert one.digest() == other.digest()


@pytest.mark.parametrize(
    ("name", "value"),
    [("actor_fading", -0.01), ("actor_fading", 1.01), ("actor_fading", np.nan), ("actor_fading", "some"),
     ("fading_until", -1), ("fading_until", 1.5), ("fading_until", (1 << 30) + 1)],
)  # fmt: skip
def test_settings_that_there_are_not(name: str, value: Any) -> None:
    with pytest.raises(HebbitError, match=f"{name} must"):
        AgentConfig(**{name: value})
