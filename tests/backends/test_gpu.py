"""The kernels on a real GPU: ``pytest -m gpu``. A GPU that is missing then is an error, since it has been demanded."""

import importlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, SpikingAgent, resident
from hebbit.agents.config import AgentConfig
from hebbit.backends import load
from hebbit.backends.choice import POPULATION
from hebbit.backends.cuda_backend import RESERVE
from hebbit.backends.cuda_compile import REGISTER_BUDGET
from hebbit.backends.cuda_layout import MAX_WARPS, WARP, layout
from hebbit.backends.cupy_backend import STATIC_LIMIT
from hebbit.backends.spec import RANGES, BrainConfig, Param, empty_arrays
from hebbit.envs.worlds import WORLDS
from hebbit.scripts.conformance import Case, Dice, Observed, compare, differences, lives, random_case, random_observed
from tests.backends.test_agreement import lively_case
from tests.backends.test_cuda_compile import BRAINS
from tests.backends.test_cuda_shim import SHAPES, busy_case, stacked

pytestmark = pytest.mark.gpu

MOST_WORDS = WARP * MAX_WARPS
CROWD = 2048
LONG = 200
SPACES = gym.spaces.Box(-1, 1, (4,), np.float32), gym.spaces.Discrete(2)


@pytest.fixture(scope="module")
def device() -> Any:
    """The backend. Where it cannot load, every test here is an error."""
    return load("cupy")


def default_case(brains: int) -> Case:
    """Newborn default brains, as an agent has them for CartPole."""
    config = AgentConfig().brain(4, (2,))
    params = np.tile(AgentConfig().params(), (brains, 1, 1))
    return Case(0, config, params, 3, empty_arrays(config, np.arange(brains, dtype=np.uint32)))


def recorded(case: Case, steps: int) -> Observed:
    """What the brains of a case meet in so many steps."""
    dice = Dice(case.number, 6)
    return stacked([random_observed(dice, case) for _ in range(steps)])


def after(name: str, case: Case, seen: Observed) -> dict[str, NDArray[Any]]:
    """Actions and brains after a run."""
    backend = load(name)
    state = backend.create(case.config, case.params, case.seed, case.arrays)
    return {"actions": backend.run(state, *seen), **backend.export(state)}


def assert_agrees(case: Case, seen: Observed, other: str = "numba") -> None:
    assert differences(after(other, case, seen), after("cupy", case, seen)) == {}


# bits


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_brains_have_the_specifications_bits(device: Any, first: int) -> None:
    for number in range(first, first + 10):
        assert compare(random_case(number), 20, "cupy").differing == {}, number


@pytest.mark.parametrize("param", list(Param), ids=lambda param: param.name)
def test_every_option_agrees_at_both_ends(device: Any, param: Param) -> None:
    for end in RANGES[param]:
        assert compare(lively_case(param, end), 8, "cupy").differing == {}, end


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("sensory", "drive"), [(0, 0), (1, 1)])
def test_brains_of_every_shape_agree(device: Any, shape: str, sensory: int, drive: int) -> None:
    assert compare(busy_case(SHAPES[shape], sensory, drive), 12, "cupy").differing == {}


@pytest.mark.parametrize("number", [2, 5, 11])
def test_long_lives_in_one_launch_agree(device: Any, number: int) -> None:
    case = random_case(number, 9)
    assert_agrees(case, recorded(case, LONG))


def test_long_lives_of_default_brains_agree(device: Any) -> None:
    case = default_case(5)
    assert_agrees(case, recorded(case, LONG))


@pytest.mark.parametrize(
    "shape", ["echo words alone", "one learning word", "a warp for each learning word", "an image"]
)
def test_long_lives_of_brains_that_learn_and_remember_agree(device: Any, shape: str) -> None:
    case = busy_case(SHAPES[shape])
    assert_agrees(case, recorded(case, LONG))


def test_a_crowd_of_default_brains_agrees(device: Any) -> None:
    case = default_case(CROWD)
    assert_agrees(case, recorded(case, 6))


@pytest.mark.parametrize(("sensory", "drive"), [(0, 0), (1, 1)])
def test_the_largest_brains_agree(device: Any, sensory: int, drive: int) -> None:
    case = busy_case(BrainConfig(20, MOST_WORDS, (4, 3), slots_min=1, slots_max=8, clusters=5), sensory, drive)
    assert_agrees(case, recorded(case, 12))
    assert compare(case, 2, "cupy").differing == {}


def test_a_run_is_its_steps(device: Any) -> None:
    case = random_case(7, 9)
    seen = recorded(case, 12)
    one, other = (device.create(case.config, case.params, case.seed, case.arrays) for _ in range(2))
    steps = [device.step(one, *(array[i] for array in seen if array is not None)) for i in range(12)]
    stepped = np.stack(steps)
    assert np.array_equal(device.run(other, *seen), stepped)
    assert differences(device.export(one), device.export(other)) == {}


def test_the_same_bits_again(device: Any) -> None:
    """What depends on the order of threads or blocks would differ now and then."""
    case = default_case(POPULATION)
    seen = recorded(case, 20)
    first = after("cupy", case, seen)
    for _ in range(5):
        assert differences(first, after("cupy", case, seen)) == {}


def test_hyperparameters_stored_column_by_column_are_the_same(device: Any) -> None:
    case = random_case(5, 3)
    columns = Case(5, case.config, np.asfortranarray(case.params), case.seed, case.arrays)
    assert compare(columns, 4, "cupy").differing == {}


def test_threads_may_share_the_device(device: Any) -> None:
    cases = [random_case(number, 3) for number in (3, 4, 5, 6)]
    alone = [list(lives(device, case, 4)) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: list(lives(device, case, 4)), cases))
    for expected, found in zip(alone, together, strict=True):
        assert [differences(*pair) for pair in zip(expected, found, strict=True)] == [{}] * 4


# agents


def test_a_checkpoint_goes_on_in_the_same_bits(device: Any, tmp_path: Path) -> None:
    SpikingAgent("CartPole-v1", seed=3, brains=2, backend="numba").learn(300).save(tmp_path / "half.zip")
    ends = []
    for name in ("numba", "numpy", "cupy"):
        agent = SpikingAgent.load(tmp_path / "half.zip", backend=name)
        assert agent.backend.name == name
        ends.append(agent.learn(60, reset_num_timesteps=False).digest())
    assert len(set(ends)) == 1


def test_a_population_learns_and_answers_alike(device: Any) -> None:
    agents = [SpikingAgent("CartPole-v1", seed=1, brains=POPULATION, backend=name) for name in ("numba", "cupy")]
    ends = [agent.learn(50).digest() for agent in agents]
    assert ends[0] == ends[1]
    returns = [agent.evaluate(episodes=2)[0] for agent in agents]
    assert np.array_equal(returns[0], returns[1])


def test_auto_takes_one_of_them(device: Any) -> None:
    agents = [SpikingAgent(None, spaces=SPACES, brains=POPULATION, backend=name) for name in ("auto", "numba")]
    assert agents[0].backend.name in ("numba", "cupy")
    assert agents[0].digest() == agents[1].digest()
    assert SpikingAgent(None, spaces=SPACES, brains=POPULATION - 1).backend.name == "numba"


# resources


@pytest.mark.parametrize("brain", BRAINS)
def test_nothing_spills(device: Any, brain: str) -> None:
    made = layout(BRAINS[brain], device._machine.shared_limit)
    device._machine.load(made)
    for kernel, takes in device.report()["kernels"].items():
        assert takes["local_bytes"] == 0, kernel
        assert 0 < takes["registers"] <= REGISTER_BUDGET, kernel
        assert (takes["threads"], takes["shared_bytes"] >= made.shared_bytes) == (made.threads, True), kernel


def test_some_brain_needs_more_shared_memory_than_a_block_has_unasked(device: Any) -> None:
    case = busy_case(BrainConfig(2, 65, (11, 2)))
    assert layout(case.config, device._machine.shared_limit).shared_bytes > STATIC_LIMIT
    assert compare(case, 4, "cupy").differing == {}


def test_a_full_device_is_refused_and_room_is_found_again(device: Any) -> None:
    """The device is filled for real, and what CuPy's pool keeps afterwards counts as free."""
    cupy = importlib.import_module("cupy")
    case = default_case(POPULATION)
    made = layout(case.config, device._machine.shared_limit)
    left = RESERVE + POPULATION * made.row_bytes // 2
    held = cupy.empty(device._machine.free_memory() - left, np.uint8)
    with pytest.raises(MemoryError, match=f"^{POPULATION} brains need .* of device memory .* are free; use fewer"):
        device.create(case.config, case.params, case.seed, case.arrays)
    del held
    assert (
        differences(device.export(device.create(case.config, case.params, case.seed, case.arrays)), case.arrays) == {}
    )
    cupy.get_default_memory_pool().free_all_blocks()


def keys(report: Any) -> Sequence[str]:
    return sorted(name for name, value in report.items() if value not in ("", 0, None))


def test_the_report_is_complete(device: Any) -> None:
    list(lives(device, random_case(1), 1))
    report = json.loads(json.dumps(device.report()))
    assert keys(report) == sorted(
        "name compute_capability multiprocessors clock_khz memory_bytes driver runtime nvrtc cupy numpy moved_bytes "
        "kernels".split()
    )
    assert report["moved_bytes"]["to_device"] > 0 and report["moved_bytes"]["from_device"] > 0
    assert report["memory_bytes"] > 1 << 30 and int(report["compute_capability"]) >= 75
    device.synchronize()


@pytest.mark.parametrize("env_id", list(WORLDS))
def test_a_resident_run_has_the_bits_of_the_cpu(device: Any, env_id: str) -> None:
    """Physics in doubles, encoder, scale of rewards and learning, a thousand steps of 64 brains; then a trial."""
    agents = []
    for name in ("cupy", "numba"):
        spec = EnvSpec(env_id, resident=True)
        agents.append(SpikingAgent(spec, seed=6, brains=64, backend=name).learn(1000, log_interval=None))
    ours, theirs = agents
    assert ours.digest() == theirs.digest() and ours.books.returns == theirs.books.returns
    for calm in (True, False):
        pairs = zip(resident.trial(ours, 2, calm), resident.trial(theirs, 2, calm), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)
