"""What ``auto`` is: numba, unless a GPU is faster for the very brains. Nothing here depends on real time."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit import backends
from hebbit.agents import SpikingAgent
from hebbit.agents.errors import BackendError, CheckpointError
from hebbit.backends import choice
from hebbit.backends.choice import POPULATION, SAMPLE, STEPS, Newborn, choose
from hebbit.backends.cuda_layout import MAX_WARPS, WARP
from hebbit.backends.spec import Backend, BrainConfig, Flag, Param, empty_arrays
from hebbit.scripts import main

CONFIG = BrainConfig(2, 1, (2,))
SPACES = gym.spaces.Box(-1, 1, (1,), np.float32), gym.spaces.Discrete(2)
MOST = WARP * MAX_WARPS
"""Pool words of the largest brain that a GPU takes."""
SMALL = {"pool_words": 1, "slots_min": 1, "slots_max": 1}


class Watch:
    """A clock that goes only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed:
    """A backend whose steps take what they are said to take."""

    def __init__(self, name: str, watch: Watch, cost: tuple[float, float], faults: dict[str, Exception]) -> None:
        self.name, self.watch, self.faults = name, watch, faults
        self.fixed, self.each = cost
        self.created: list[int] = []
        self.seen: list[tuple[Any, ...]] = []
        self.delays = {0: 1000.0, 2: 500.0}
        """Compilation, and something that disturbs one of the steps."""

    def create(self, config: BrainConfig, params: NDArray[np.int32], seed: int, arrays: Any) -> int:
        if "create" in self.faults:
            raise self.faults["create"]
        assert (config, seed) == (CONFIG, 7)
        assert {len(params)} == {len(array) for array in arrays.values()}
        self.created.append(len(params))
        return len(params)

    def step(self, state: int, *observed: NDArray[Any]) -> None:
        if "step" in self.faults:
            raise self.faults["step"]
        assert {state} == {len(array) for array in observed}
        self.watch.now += self.fixed + self.each * state + self.delays.get(len(self.seen), 0.0)
        self.seen.append(observed)


def newborn(brains: int) -> Newborn:
    params = np.zeros((brains, 1, len(Param)), np.int32)
    params[..., Param.THRESHOLD] = 8
    params[..., Param.READS], params[..., Param.INNER_EVERY] = 7, 1
    return Newborn(CONFIG, params, 7, empty_arrays(CONFIG, np.arange(brains, dtype=np.uint32)))


def never(name: str) -> Any:
    raise AssertionError(f"{name} was looked for")


class Machine:
    """Both backends on one clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watch, self.patch = Watch(), monkeypatch
        monkeypatch.setattr(choice, "find_spec", lambda name: object())

    def chosen(self, brains: int, numba: tuple[float, float], cupy: tuple[float, float], **faults: Exception) -> str:
        """What auto is where the steps take these times: fixed, and for each brain."""
        self.numba, self.cupy = Timed("numba", self.watch, numba, {}), Timed("cupy", self.watch, cupy, faults)
        self.patch.setattr(backends, "_LOADED", {"numba": self.numba, "cupy": self.cupy})
        return choose("auto", newborn(brains), self.watch).name


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("numba", "cupy", "expected"),
    [((0, 2), (0, 1), "cupy"), ((0, 1), (0, 2), "numba"), ((0, 1), (0, 1), "numba"), ((0, 1), (50, 0), "cupy")],
)
def test_auto_is_the_faster_for_these_brains(machine: Machine, numba: Any, cupy: Any, expected: str) -> None:
    """The first step of each takes long and one of the others is disturbed: neither counts."""
    assert machine.chosen(POPULATION, numba, cupy) == expected
    assert machine.numba.created == machine.cupy.created == [POPULATION]
    assert len(machine.numba.seen) == len(machine.cupy.seen) == STEPS + 1


def test_few_brains_never_look_for_a_gpu(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", never)
    assert machine.chosen(POPULATION - 1, (0, 1000), (0, 1)) == "numba"
    assert machine.numba.created == machine.cupy.created == []
    assert POPULATION == 64


def test_without_cupy_nothing_is_timed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert machine.chosen(1000, (0, 1000), (0, 1)) == "numba"
    assert machine.numba.created == machine.cupy.created == []


@pytest.mark.parametrize(("each", "expected"), [(0.9, "numba"), (1.1, "cupy")])
def test_numba_is_timed_on_some_and_reckoned_for_all(machine: Machine, each: float, expected: str) -> None:
    assert machine.chosen(4 * SAMPLE, (0, each), (4.0 * SAMPLE, 0)) == expected
    assert (machine.numba.created, machine.cupy.created) == ([SAMPLE], [4 * SAMPLE])


def test_both_see_the_same(machine: Machine) -> None:
    machine.chosen(POPULATION, (0, 2), (0, 1))
    for ours, theirs in zip(machine.numba.seen, machine.cupy.seen, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
    seen, rewards, flags = zip(*machine.cupy.seen, strict=True)
    assert seen[0].dtype == np.uint8 and seen[0].shape == (POPULATION, 2, 32) and set(seen[0].ravel()) == set(range(16))
    assert rewards[0].dtype == np.int32
    assert [set(step) for step in flags] == [{Flag.START}] + [{Flag.CONTINUE}] * STEPS and flags[0].dtype == np.uint8


@pytest.mark.parametrize("where", ["create", "step"])
@pytest.mark.parametrize("error", [MemoryError("full"), ValueError("too large")])
def test_a_gpu_that_is_too_small_is_left_alone(machine: Machine, where: str, error: Exception) -> None:
    assert machine.chosen(POPULATION, (0, 1000), (0, 1), **{where: error}) == "numba"
    assert machine.numba.created == []


@pytest.mark.parametrize("where", ["create", "step"])
@pytest.mark.parametrize("error", [RuntimeError("lost"), OSError("cache")])
def test_a_gpu_that_fails_is_left_alone_with_a_word(machine: Machine, where: str, error: Exception) -> None:
    with pytest.warns(RuntimeWarning, match=f"^auto takes numba, as cupy failed: {error}$"):
        assert machine.chosen(POPULATION, (0, 1000), (0, 1), **{where: error}) == "numba"
    assert machine.numba.created == []


def test_a_gpu_that_cannot_load_is_left_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends._TABLE, "cupy", ("hebbit.backends.no_such_module", "Backend"))
    monkeypatch.setattr(backends, "_LOADED", {"numba": Timed("numba", machine.watch, (0, 1), {})})
    assert choose("auto", newborn(POPULATION), machine.watch).name == "numba"
    with pytest.raises(ImportError, match="backend 'cupy' cannot load"):
        choose("cupy", newborn(POPULATION), machine.watch)


def test_a_name_is_a_demand(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.chosen(POPULATION, (0, 2), (0, 1))
    monkeypatch.setattr(choice, "find_spec", never)
    for name in ("numba", "cupy"):
        assert choose(name, newborn(POPULATION), machine.watch).name == name
    with pytest.raises(ValueError, match="^backend must be one of auto, numpy"):
        choose("torch", newborn(POPULATION), machine.watch)


def test_real_brains_are_not_changed_by_the_trial() -> None:
    """One backend against itself: it works on a state of its own."""
    brains = newborn(3)
    before = {name: array.copy() for name, array in brains.arrays.items()}
    ticks = iter(range(100))
    assert choice.step_seconds(backends.load("numpy"), brains, lambda: float(next(ticks))) == 1.0
    assert all(np.array_equal(before[name], array) for name, array in brains.arrays.items())


# agents


def test_an_agent_takes_what_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def chosen(name: str, brains: Newborn) -> Backend:
        asked.append((name, len(brains.params)))
        return backends.load("numpy" if len(brains.params) > 1 else "numba")

    monkeypatch.setattr("hebbit.agents.agent.choose", chosen)
    agent = SpikingAgent(None, spaces=SPACES, brains=3, config=SMALL)
    assert agent.backend.name == "numpy" and asked == [("auto", 3)]
    agent.save(tmp_path / "a.zip")
    assert SpikingAgent.load(tmp_path / "a.zip").backend.name == "numpy"
    # a population's backend is not one brain's, unless it was demanded
    assert agent.extract(1).backend.name == "numba"
    SpikingAgent(None, spaces=SPACES, brains=2, config=SMALL, backend="numpy").extract(1)
    assert asked == [("auto", 3), ("auto", 3), ("auto", 1), ("numpy", 2), ("numpy", 1)]


TRIAL = f"""
import sys
import gymnasium as gym, numpy as np
from hebbit import SpikingAgent
spaces = gym.spaces.Box(-1, 1, (1,), np.float32), gym.spaces.Discrete(2)
config = {SMALL}
for brains in ({POPULATION - 1}, {POPULATION}):
    agent = SpikingAgent(None, spaces=spaces, brains=brains, config=config)
    print(agent.backend.name, 'cupy' in sys.modules)
"""


def test_a_population_without_a_device_is_numbas_without_a_word() -> None:
    """With the real CuPy, which is imported for a large population and finds no device."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRIAL],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == ["numba False", "numba True"]


def test_brains_that_a_demanded_backend_cannot_hold(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    large = {"pool_words": MOST + 1}
    said = f"^the backend shim cannot hold the brains: .*at most {MOST} pool words.*or the backend numba$"
    with pytest.raises(BackendError, match=said):
        SpikingAgent(None, spaces=SPACES, config=large, backend="shim")
    SpikingAgent(None, spaces=SPACES, config=large, backend="numpy").save(tmp_path / "a.zip")
    with pytest.raises(BackendError, match=said) as caught:
        SpikingAgent.load(tmp_path / "a.zip", backend="shim")
    assert not isinstance(caught.value, CheckpointError)
    command = ["train", "CartPole-v1", "--steps", "5", "--backend", "shim", "--run-dir", str(tmp_path / "run")]
    assert main([*command, "-P", f"pool_words={MOST + 1}"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("hebbit: the backend shim cannot hold") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_population_that_does_not_fit_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = SpikingAgent(None, spaces=SPACES, brains=2, config=SMALL, backend="numpy")

    def full(*arguments: Any) -> Any:
        raise MemoryError("2 brains need 3 GiB")

    monkeypatch.setattr(type(agent.backend), "create", full)
    learned = agent.get_parameters()
    with pytest.raises(BackendError, match="^the backend numpy cannot hold the brains: 2 brains need 3 GiB$"):
        agent.set_random_seed(3)
    with pytest.raises(BackendError, match="^the backend numpy cannot hold the brains: 2 brains need 3 GiB$"):
        agent.set_parameters(learned)
