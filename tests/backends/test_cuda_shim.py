"""The text of the CUDA kernels on the host: the specification's bits, whatever the order of the threads."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.backends import load
from hebbit.backends.cuda_layout import PLANES, RESIDENT_WARPS, defines, layout
from hebbit.backends.shim_backend import SHARED_LIMIT, ShimBackend
from hebbit.backends.spec import BrainConfig, Param
from hebbit.scripts.conformance import (
    SPECIFICATION,
    Case,
    Dice,
    Observed,
    differences,
    digest,
    lives,
    random_arrays,
    random_asked,
    random_case,
    random_observed,
)

SHAPES = {
    "one warp": BrainConfig(8, 32, (2,), slots_min=8, slots_max=8),
    "two warps": BrainConfig(3, 40, (3, 2), cycles=3, slots_min=1, slots_max=3, clusters=3),
    "a warp of senses": BrainConfig(70, 3, (2,), cycles=2, slots_min=1, slots_max=8),
    "no pool": BrainConfig(5, 0, (4,), cycles=15),
    "outputs beyond shared memory": BrainConfig(9, 33, (150, 3), cycles=1),
    "every word a cluster": BrainConfig(2, 9, (2,), cycles=2, clusters=11),
    "more than 32 outputs": BrainConfig(3, 5, (15, 20), cycles=2),
    "more groups than threads": BrainConfig(1, 1, (2,) * 40, cycles=2),
    "echo words alone": BrainConfig(3, 5, (3,), cycles=8, echo_delay=3, echo_pool=4),
    "more echo words than threads": BrainConfig(3, 33, (2,), cycles=2, echo_delay=20, echo_pool=30, clusters=2),
    "one learning word": BrainConfig(2, 4, (2,), cycles=3, learning_words=1, learning_pool=True),
    "a warp for each learning word": BrainConfig(2, 3, (2, 2), cycles=3, echo_delay=1, echo_pool=2, learning_words=3),
    "an image": BrainConfig(12, 20, (2,), cycles=2, slots_max=8, echo_delay=1, echo_pool=3, tiles=3, row=9),
    "learning words beyond shared memory": BrainConfig(3, 2, (170,), cycles=1, learning_words=1, learning_pool=True),
}


def busy_case(config: BrainConfig, sensory: int = 0, drive: int = 0) -> Case:
    """A brain in which everything happens."""
    settings = {
        Param.DRIVE: drive, Param.GAIN: 5, Param.NOISE: 3, Param.DECAY_SHIFT: 1, Param.DECAY_CHANCE: 200,
        Param.BASE_RATE: 400, Param.BASE_AGE: 1000, Param.SENSORY: sensory, Param.GAMMA: 32000,
        Param.CRITIC_RATE: 1 << 20, Param.ACTOR_RATE: 1 << 18, Param.RATE_AGE: 1000, Param.CRITIC_SHIFT: 2,
        Param.CRITIC_CHANCE: 128, Param.ACTOR_SHIFT: 1, Param.ACTOR_CHANCE: 128, Param.TEMPERATURE: 400,
        Param.MOTOR_BASE: 3, Param.SURPRISE_SHIFT: 4, Param.SURPRISE_FLOOR: 64, Param.DOPAMINE_CLIP: 4096,
        Param.READS: 7, Param.TEMPERATURE_AGE: 400, Param.INNER_RATE: 1 << 16, Param.INNER_SHIFT: 1,
        Param.INNER_CHANCE: 128, Param.INNER_SLOPE: 60, Param.INNER_BIAS: 5, Param.FEEDBACK: 16,
        Param.CRITIC_FEEDBACK: 8, Param.INNER_EVERY: 2, Param.FRACTION_BITS: 4,
    }  # fmt: skip
    params = np.zeros((2, config.clusters, len(Param)), np.int32)
    params[..., [Param.THRESHOLD, Param.THRESHOLD_SLOPE]] = 8, 1
    for column, value in settings.items():
        params[..., column] = value
    # each brain of the two has a rule of its own
    params[:, :, Param.INNER_RULE] = np.arange(2)[:, None] + drive
    arrays = random_arrays(Dice(11, 0), config, 2)
    arrays["presentation"][:] = 500
    arrays["value"][:] = arrays["surprise"][:] = 1000
    return Case(11, config, params, 5, arrays)


def stacked(steps: Sequence[Observed]) -> Observed:
    """The arguments of a run from those of its steps; where a step forces nothing, its actions are free."""
    seen, rewards, flags, forced = zip(*steps, strict=True)
    shape = next(array.shape for array in forced if array is not None)
    told = [np.full(shape, -1, np.int32) if array is None else array for array in forced]
    return Observed(*(np.stack(column) for column in (seen, rewards, flags, told)))


def assert_same_bits(backend: ShimBackend, case: Case, presentations: int) -> None:
    both = (lives(one, case, presentations) for one in (load(SPECIFICATION), backend))
    for expected, found in zip(*both, strict=True):
        assert differences(expected, found) == {}


@pytest.mark.parametrize("number", range(8))
def test_random_brains_agree_under_every_schedule(number: int) -> None:
    assert_same_bits(ShimBackend(), random_case(number), 8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("sensory", "drive"), [(0, 0), (1, 1)])
def test_brains_of_every_shape_agree(shape: str, sensory: int, drive: int) -> None:
    assert_same_bits(ShimBackend(), busy_case(SHAPES[shape], sensory, drive), 5)


def test_a_large_block_draws_anew_what_a_small_one_keeps() -> None:
    case = busy_case(BrainConfig(3, 520, (2,), cycles=2))
    assert "-DHOLD_PLANES=0" in defines(layout(case.config, SHARED_LIMIT))
    assert_same_bits(ShimBackend(), case, 3)


def test_more_learning_words_than_warps_agree() -> None:
    case = busy_case(BrainConfig(1, 0, (2,), cycles=2, echo_pool=3, learning_words=18, clusters=3))
    assert layout(case.config, SHARED_LIMIT).warps == RESIDENT_WARPS < case.config.learning_words
    assert_same_bits(ShimBackend(), case, 2)


def test_the_shapes_are_what_they_are_called() -> None:
    made = {name: layout(config, SHARED_LIMIT) for name, config in SHAPES.items()}
    assert [one.warps for one in made.values()] == [1, 2, 3, 1, 2, 1, 1, 1, 1, 3, 1, 3, 1, 1]
    assert [name for name, one in made.items() if not one.pairs_shared] == [
        "outputs beyond shared memory", "learning words beyond shared memory",
    ]  # fmt: skip


def test_answers_look_at_the_eight_planes_of_the_weights_alone() -> None:
    case, backend = busy_case(SHAPES["two warps"]), ShimBackend()
    state = backend.create(case.config, case.params, case.seed, case.arrays)
    asked = random_asked(Dice(11, 2), case, False)
    before = backend.predict(state, *asked)._asdict()
    row, shape = state.layout.row, (len(case.params), PLANES, case.config.outputs * case.config.words)
    planes = state.memory[:, row["PAIRS"] : row["INNER"]].reshape(shape)
    planes[:, :4] = planes[:, 12:] = 0xA5A5A5A5
    state.memory[:, row["PAIRS"] : row["INNER"]] = planes.reshape(len(planes), -1)
    assert differences(before, backend.predict(state, *asked)._asdict()) == {}
    for plane in range(4, 12):
        turned = planes.copy()
        turned[:, plane] ^= 0xFFFFFFFF
        state.memory[:, row["PAIRS"] : row["INNER"]] = turned.reshape(len(planes), -1)
        assert differences(before, backend.predict(state, *asked)._asdict()), plane


@pytest.mark.parametrize("shape", ["one warp", "two warps"])
def test_older_hardware_takes_other_instructions_and_gives_the_same_bits(shape: str) -> None:
    assert_same_bits(ShimBackend(architecture=750), busy_case(SHAPES[shape]), 4)


def test_many_brains_are_many_single_ones() -> None:
    case = random_case(3, 5)
    alone = replace(case, params=case.params[2:3], arrays={name: array[2:3] for name, array in case.arrays.items()})
    dice = Dice(3, 4)
    seen = dice.integers(0, 15, (4, 5, case.config.sensory_words, 32)).astype(np.uint8)
    rewards, flags = np.full((4, 5), 7, np.int32), np.full((4, 5), 2, np.uint8)
    backend = ShimBackend()
    states = [backend.create(one.config, one.params, one.seed, one.arrays) for one in (case, alone)]
    together = backend.run(states[0], seen, rewards, flags)
    single = backend.run(states[1], seen[:, 2:3], rewards[:, 2:3], flags[:, 2:3])
    assert np.array_equal(together[:, 2:3], single)
    assert digest({name: array[2:3] for name, array in backend.export(states[0]).items()}) == digest(
        backend.export(states[1])
    )


def test_a_run_with_forced_actions_is_its_steps() -> None:
    case, dice = random_case(8, 3), Dice(8, 5)
    seen = stacked([random_observed(dice, case) for _ in range(6)])
    assert seen.forced is not None and seen.forced.min() < 0 <= seen.forced.max()
    ends = []
    for backend in (load(SPECIFICATION), ShimBackend()):
        state = backend.create(case.config, case.params, case.seed, case.arrays)
        ends.append({"actions": backend.run(state, *seen), **backend.export(state)})
    assert differences(*ends) == {}


def test_a_checkpoint_goes_on_in_the_same_bits(tmp_path: Path) -> None:
    """Trained on Numba, continued on the kernels' text and on the specification."""
    agent = SpikingAgent("CartPole-v1", seed=3, config={"pool_words": 8}, backend="numba")
    agent.learn(150)
    agent.save(tmp_path / "half.npz")
    ends = {}
    for name in ("numpy", "numba", "shim"):
        later = SpikingAgent.load(tmp_path / "half.npz", backend=name)
        later.learn(100)
        ends[name] = digest(later.arrays())
    assert ends["shim"] == ends["numpy"] == ends["numba"]
    assert ends["numpy"] != digest(agent.arrays())
