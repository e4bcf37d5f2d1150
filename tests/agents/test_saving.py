"""Agents to files and back: in the same bits, and never more than a sentence when a file is not to be trusted."""

import copy
import itertools
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent, checkpoint
from hebbit.agents.errors import CheckpointError
from hebbit.agents.rewards import FIELDS
from hebbit.backends.spec import CANONICAL

CONFIG = {"pool_words": 4, "warmup": 100}
CARTPOLE = "CartPole-v1"
STEPS = 150
DRIFTING = "hebbit-tests/Drifting-v0"
ORDERED = "hebbit-tests/Ordered-v0"


class Drifting(gym.Env[Any, Any]):
    """Does not repeat an episode from its seed."""

    observation_space, action_space = spaces.Box(-1, 1, (1,), np.float64), spaces.Discrete(2)
    clock = itertools.count()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.show(), {}

    def show(self) -> Any:
        return np.array([next(self.clock) * 7919 % 1009 / 504.5 - 1])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.show(), 0.0, False, False, {}


class Ordered(gym.Env[Any, Any]):
    """Its observations' parts are not in the order of their names."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict([("z", spaces.Box(-1, 1, (3,), np.float64)), ("a", spaces.Box(-1, 1, (1,)))])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.show(), {}

    def show(self) -> Any:
        return {"z": self.np_random.uniform(-1, 1, 3), "a": self.np_random.uniform(-1, 1, 1).astype(np.float32)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.show(), float(action), False, bool(self.np_random.random() < 0.1), {}


gym.register(DRIFTING, lambda **_: Drifting())
gym.register(ORDERED, lambda **_: Ordered())


def trained(env: Any = CARTPOLE, steps: int = STEPS, **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, **{"config": CONFIG, "seed": 3, **settings}).learn(steps)


def saved(agent: SpikingAgent, folder: Path, **settings: Any) -> SpikingAgent:
    agent.save(folder / "agent.zip")
    return SpikingAgent.load(folder / "agent.zip", **settings)


def go_on_alike(*agents: SpikingAgent, steps: int = 100) -> None:
    """Whether agents go on in the same bits, and keep the same books."""
    for agent in agents:
        agent.learn(steps, reset_num_timesteps=False)
    first = agents[0]
    for other in agents[1:]:
        assert other.digest() == first.digest()
        assert (other.num_timesteps, other.total_steps) == (first.num_timesteps, first.total_steps)
        for name in ("begun", "returns", "lengths", "recent"):
            assert getattr(other.books, name) == getattr(first.books, name)


@pytest.mark.parametrize("brains", [1, 3])
@pytest.mark.parametrize("env", [CARTPOLE, "Pendulum-v1", "FrozenLake-v1", ORDERED])
def test_a_loaded_agent_goes_on_as_if_never_stopped(env: str, brains: int, tmp_path: Path) -> None:
    agent = trained(env, 151, brains=brains)
    assert max(agent.books.lengths) > 0
    again = saved(agent, tmp_path)
    assert again.digest() == agent.digest() and again.config == agent.config
    go_on_alike(agent, again)


def test_at_every_point_of_an_episode(tmp_path: Path) -> None:
    spec = EnvSpec(CARTPOLE, {}, ('gymnasium.wrappers.TimeLimit:{"max_episode_steps": 3}',))
    for brains in (1, 2):
        for steps in range(5):
            agent = trained(spec, steps, brains=brains)
            twins = [agent.extract(0)] if brains == 1 else []
            go_on_alike(agent, saved(agent, tmp_path), saved(agent, tmp_path, env=spec), *twins, steps=7)


@pytest.mark.parametrize("brains", [1, 2])
def test_across_machines(brains: int, tmp_path: Path) -> None:
    agent = trained(brains=brains)
    agent.save(tmp_path / "agent.zip")
    others = [SpikingAgent.load(tmp_path / "agent.zip", backend=name) for name in ("numpy", "numba")]
    go_on_alike(agent, *others, steps=12)
    others[0].save(tmp_path / "numpy.zip")
    others[1].save(tmp_path / "numba.zip")
    assert (tmp_path / "numpy.zip").read_bytes() == (tmp_path / "numba.zip").read_bytes()


def test_saving_what_was_loaded_loses_nothing(tmp_path: Path) -> None:
    agent = trained(brains=2)
    once = saved(agent, tmp_path)
    once.save(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "agent.zip").read_bytes()
    go_on_alike(agent, once, SpikingAgent.load(tmp_path / "again.zip"))


def test_a_brain_extracted_from_a_loaded_population_goes_on(tmp_path: Path) -> None:
    agent = trained(brains=3)
    go_on_alike(agent.extract(1), saved(agent, tmp_path).extract(1))


def test_evaluating_in_between_changes_nothing(tmp_path: Path) -> None:
    agent = trained()
    again = saved(agent, tmp_path)
    again.evaluate(episodes=2, deterministic=False)
    again.predict(np.zeros(4))
    go_on_alike(agent, again)


def test_beginning_anew_is_alike_too(tmp_path: Path) -> None:
    agent = trained()
    again = saved(agent, tmp_path)
    assert agent.learn(50).digest() == again.learn(50).digest()
    assert again.num_timesteps == 50 and again.total_steps == STEPS + 50


OTHER = EnvSpec(CARTPOLE, {}, ('gymnasium.wrappers.TimeLimit:{"max_episode_steps": 4}',))


@pytest.mark.parametrize("brains", [1, 2])
def test_another_environment_begins_a_new_episode(brains: int, tmp_path: Path) -> None:
    agent = trained(steps=8, brains=brains)
    agent.save(tmp_path / "agent.zip")
    given, set_later = SpikingAgent.load(tmp_path / "agent.zip", env=OTHER), SpikingAgent.load(tmp_path / "agent.zip")
    set_later.set_env(OTHER)
    agent.set_env(OTHER)
    go_on_alike(agent, given, set_later, steps=20)


def test_an_instance_of_the_same_name_goes_on(tmp_path: Path) -> None:
    agent = trained(gym.make(CARTPOLE))
    go_on_alike(agent, saved(agent, tmp_path, env=gym.make(CARTPOLE)))


def test_an_instance_needs_an_instance(tmp_path: Path) -> None:
    agent = trained(gym.make(CARTPOLE))
    again = saved(agent, tmp_path, env=gym.make(CARTPOLE))
    assert again.digest() == agent.digest() and again.env_id == CARTPOLE
    assert again.learn(10, reset_num_timesteps=False).num_timesteps == STEPS + 10
    with pytest.raises(HebbitError, match="no environment; give it one with set_env"):
        saved(agent, tmp_path).learn(10)
    with pytest.raises(HebbitError, match="must have the agent's spaces"):
        saved(agent, tmp_path, env="Pendulum-v1")


def test_another_seed_begins_a_new_episode(tmp_path: Path) -> None:
    agent = trained()
    again = saved(agent, tmp_path)
    for one in (agent, again):
        one.set_random_seed(11)
    go_on_alike(agent, again)


@pytest.mark.parametrize("brains", [1, 2])
def test_an_environment_that_does_not_repeat_is_named(brains: int, tmp_path: Path) -> None:
    again = saved(trained(DRIFTING, brains=brains), tmp_path)
    for _ in range(2):
        with pytest.raises(HebbitError, match="does not repeat an episode from its seed and actions"):
            again.learn(5, reset_num_timesteps=False)
    assert again.learn(5).num_timesteps == 5


def test_an_environment_that_became_another_is_noticed(tmp_path: Path) -> None:
    agent = trained()
    agent.spec = EnvSpec("Pendulum-v1")
    again = saved(agent, tmp_path)
    with pytest.raises(HebbitError, match="spaces"):
        again.learn(5)


def test_the_order_of_named_parts_is_kept(tmp_path: Path) -> None:
    agent = trained(ORDERED)
    again = saved(agent, tmp_path)
    seen = {"z": np.array([0.9, -0.9, 0.1]), "a": np.array([-0.3], np.float32)}
    first = agent.encoder.encode([seen], slice(None))
    np.testing.assert_array_equal(again.encoder.encode([seen], slice(None)), first)


def test_a_checkpoint_is_plain(tmp_path: Path) -> None:
    trained().save(tmp_path / "agent.zip")
    found = checkpoint.read(tmp_path / "agent.zip")
    assert set(CANONICAL) <= set(found.arrays)
    text = json.dumps(found.meta)
    assert "numba" not in text and '"id": "CartPole-v1"' in text
    trained().save(tmp_path / "twin.zip")
    assert (tmp_path / "agent.zip").read_bytes() == (tmp_path / "twin.zip").read_bytes()


# What is not to be trusted.
BAD: list[Any] = [None, True, -1, 1.5, 10**30, "x", "", [], [1], ["x"], {}, {"a": 1}, [[]]]
REQUIRED = ("config", "seed", "observation_space", "action_space", "num_timesteps", "total_steps")


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Checkpoint:
    path = tmp_path_factory.mktemp("saving") / "agent.zip"
    trained(steps=130).save(path)
    return checkpoint.read(path)


def complaint(attempt: Callable[[], object]) -> str | None:
    """What is wrong with how something failed."""
    try:
        attempt()
    except HebbitError as error:
        return str(error) if "\n" in str(error) or len(str(error)) > 700 else None
    except Exception as error:  # whatever else comes is what we look for
        return repr(error)
    return None


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where everything in some JSON is."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


def changed(meta: dict[str, Any], path: tuple[str | int, ...], value: Any = None, drop: bool = False) -> dict[str, Any]:
    """Settings with something else in one place."""
    other = copy.deepcopy(meta)
    place: Any = other
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return other


class Forger:
    """Writes checkpoints that are not genuine, and uses them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, meta: dict[str, Any], arrays: dict[str, Any]) -> SpikingAgent:
        checkpoint.write(self.path, meta, arrays)
        return SpikingAgent.load(self.path)

    def use(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        agent = self.load(meta, arrays)
        agent.learn(1, reset_num_timesteps=False)
        agent.learn(1)


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    return Forger(tmp_path / "forged.zip")


@pytest.mark.parametrize("name", REQUIRED)
def test_settings_that_are_missing_are_missed(name: str, genuine: checkpoint.Checkpoint, forger: Forger) -> None:
    for meta in (changed(genuine.meta, (name,), drop=True), changed(genuine.meta, (name,), [None])):
        with pytest.raises(CheckpointError) as caught:
            forger.load(meta, genuine.arrays)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "top", [*REQUIRED, "env", "env_id", "exact", "extra"]
)  # fmt: skip
def test_forged_settings_give_a_sentence_or_an_agent(top: str, genuine: checkpoint.Checkpoint, forger: Forger) -> None:
    complaints = {}
    for path in [(top,), *paths(genuine.meta[top], (top,))]:
        attempts = {"missing": changed(genuine.meta, path, drop=True)}
        attempts |= {repr(value): changed(genuine.meta, path, value) for value in BAD}
        for what, meta in attempts.items():
            found = complaint(partial(forger.use, meta, genuine.arrays))
            if found is not None:
                complaints[(*path, what)] = found
    assert complaints == {}


def names_of_arrays() -> list[str]:
    ranges = [f"encoder_{name}" for name in ("seen", "mean", "square", "low", "scale")]
    episodes = ["units", "intensities", "history", "history_lengths", "returns", "recent", "recent_lengths"]
    structure = [f"structure_{name}" for name in ("clock", "born", "words")]
    return [*CANONICAL, *ranges, *structure, *(f"reward_{name}" for name in FIELDS), *episodes]


def test_these_are_all_arrays(genuine: checkpoint.Checkpoint) -> None:
    assert sorted(names_of_arrays()) == sorted(genuine.arrays)


@pytest.mark.parametrize("name", [*CANONICAL, "encoder_low", "encoder_seen"])
def test_arrays_that_are_missing_or_others_are_missed(
    name: str, genuine: checkpoint.Checkpoint, forger: Forger
) -> None:
    array = genuine.arrays[name]
    others = [None, array.astype(np.float16), array[None], array.reshape(-1)[:0], np.zeros(3, np.int16)]
    for other in others:
        arrays = {key: value for key, value in genuine.arrays.items() if key != name}
        if other is not None:
            arrays[name] = other
        with pytest.raises(CheckpointError) as caught:
            forger.load(genuine.meta, arrays)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", names_of_arrays())
def test_forged_arrays_give_a_sentence_or_an_agent(name: str, genuine: checkpoint.Checkpoint, forger: Forger) -> None:
    array = genuine.arrays[name]
    kind = array.dtype
    limits = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    fills = [0, 1, limits.max, limits.min, *([np.nan, np.inf, -np.inf] if kind.kind == "f" else [])]
    others = [np.full(array.shape, fill, kind) for fill in fills]
    others += [array.astype(np.float32), array[None], array.reshape(-1)[:0], np.zeros(3), np.asfortranarray(array)]
    complaints = {}
    for number, other in enumerate([None, *others]):
        arrays = {key: value for key, value in genuine.arrays.items() if key != name}
        if other is not None:
            arrays[name] = other
        found = complaint(partial(forger.use, genuine.meta, arrays))
        if found is not None:
            complaints[number] = found
    assert complaints == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("excitement", 16), ("traces", 16), ("traces", -16), ("encoder_seen", -1), ("encoder_low", np.nan),
     ("encoder_scale", np.inf), ("encoder_mean", np.nan), ("encoder_square", -1.0)],
)  # fmt: skip
def test_states_that_no_brain_can_have_are_refused(
    name: str, value: float, genuine: checkpoint.Checkpoint, forger: Forger
) -> None:
    """NumPy and Numba would make different things of them."""
    array = np.full(genuine.arrays[name].shape, value, genuine.arrays[name].dtype)
    with pytest.raises(CheckpointError):
        forger.load(genuine.meta, {**genuine.arrays, name: array})


@pytest.mark.parametrize(("key", "value"), [("format", 99), ("format", 0), ("contract", 99), ("contract", None)])
def test_other_versions_are_refused(
    key: str, value: Any, genuine: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, text = tmp_path / "a.zip", checkpoint.canonical_json
    monkeypatch.setattr(checkpoint, "canonical_json", lambda data, *what: text({**data, key: value}, *what))
    checkpoint.write(path, genuine.meta, genuine.arrays)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=f"{key}") as caught:
        SpikingAgent.load(path)
    assert "\n" not in str(caught.value)


def test_a_forged_wrapper_is_not_called(
    genuine: checkpoint.Checkpoint, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's file may name classes that wrap environments; pydoc.pipepager would run any command."""
    calls: list[Any] = []
    monkeypatch.setattr(math, "proof", calls.append, raising=False)
    meta = changed(genuine.meta, ("env", "wrappers"), ["math.proof"])
    with pytest.raises(HebbitError, match="math.proof"):
        forger.use(meta, genuine.arrays)
    assert calls == []


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    for name in ("text.zip", "nowhere.zip", "."):
        with pytest.raises(CheckpointError):
            SpikingAgent.load(tmp_path / name)
    with pytest.raises(CheckpointError, match="plain JSON"):
        trained(EnvSpec(CARTPOLE, {"sutton_barto_reward": np.bool_(True)}), steps=1).save(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
