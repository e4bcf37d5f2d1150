"""Sizes and places of a brain on the device, and what is refused before anything is allocated."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.backends import cuda_backend, spec
from hebbit.backends.cuda_backend import Call, DeviceBackend, from_rows, to_rows
from hebbit.backends.cuda_layout import PLANES, Layout, constants, defines, layout, source
from hebbit.backends.shim_backend import SHARED_LIMIT, ShimBackend, ShimMachine
from hebbit.backends.spec import BrainConfig, Param
from hebbit.scripts.conformance import Dice, differences, random_arrays, random_case

ROUND = [random_case(number).config for number in range(6)]


@pytest.mark.parametrize("config", ROUND)
def test_rows_keep_every_array(config: BrainConfig) -> None:
    arrays, made = random_arrays(Dice(1, 2), config, 3), layout(config, SHARED_LIMIT)
    rows = to_rows(config, made, arrays)
    assert rows.shape == (3, made.row["LENGTH"])
    back = from_rows(config, made, rows)
    assert differences(arrays, back) == {} and tuple(back) == spec.CANONICAL


def test_parts_do_not_overlap() -> None:
    config = BrainConfig(3, 40, (3, 2), clusters=3, echo_delay=1, echo_pool=2, learning_words=2)
    made = layout(config, SHARED_LIMIT)
    for places in (made.row, made.board):
        starts = list(places.values())
        assert starts == sorted(starts) and starts[0] == 0
    inner = PLANES * config.learning_units * config.learning_sources
    assert made.row["EXCITEMENT"] - made.row["INNER"] == inner and made.row_bytes > 4 * inner


def test_brains_take_turns_on_their_way_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BrainConfig(2, 3, (2,), learning_words=1)
    arrays, made = random_arrays(Dice(1, 2), config, 5), layout(config, SHARED_LIMIT)
    at_once = to_rows(config, made, arrays)
    monkeypatch.setattr(cuda_backend, "AT_ONCE", 2 * 32 * (config.outputs * config.words + 32 * 2))
    assert [some.start for some in cuda_backend.portions(config, 5)] == [0, 2, 4]
    assert np.array_equal(to_rows(config, made, arrays), at_once)
    assert differences(arrays, from_rows(config, made, at_once)) == {}


def test_without_learning_and_echo_words_nothing_is_kept_for_them() -> None:
    """Default brains stay as small as they are."""
    made = layout(AgentConfig().brain(4, (2,)), SHARED_LIMIT)
    empty = [made.board[name] for name in ("FIRED", "SOURCES", "BEFORE", "CHANCES", "INNER_CREDIT", "INNER_MOVE")]
    assert len(set(empty)) == 1 and made.row["EXCITEMENT"] == made.row["INNER"]


def test_a_warp_holds_1024_neurons() -> None:
    assert [layout(BrainConfig(4, words, (2,)), SHARED_LIMIT).warps for words in (0, 1, 32, 33, 768)] == [
        1, 1, 1, 2, 24,
    ]  # fmt: skip


def test_bytes_of_a_brain_are_those_of_the_document() -> None:
    """docs/gpu.md quotes them."""
    made = layout(BrainConfig(8, 32, (2,), slots_min=8, slots_max=8), SHARED_LIMIT)
    assert (made.row_bytes, made.shared_bytes, made.threads) == (8980, 11712, 32)
    made = layout(AgentConfig().brain(4, (2,)), SHARED_LIMIT)
    assert (made.warps, made.pairs_shared) == (2, True)


def test_sizes_go_through_the_compilers_options() -> None:
    options = defines(layout(BrainConfig(3, 5, (2,), slots_min=1, slots_max=8), SHARED_LIMIT))
    assert {"-DSENSORY=3", "-DPOOL=5", "-DUNITS=2", "-DSLOTS_MIN=1", "-DSLOTS=3"} <= set(options)
    assert all(re.fullmatch(r"-D[A-Z_]+=\d+", option) for option in options)


def test_every_size_is_used_by_the_text() -> None:
    text = source()
    for option in defines(layout(BrainConfig(3, 5, (2,)), SHARED_LIMIT)):
        name = option[2:].split("=")[0]
        # the ends of parts that are only measured
        if name not in ("ROW_LENGTH", "BOARD_LENGTH") and not name.startswith("BOARD_SUMS_END"):
            assert re.search(rf"\b{name}\b", text), name


def test_constants_are_the_contracts() -> None:
    text = constants()
    assert f"#define PARAM_CRITIC_RULE {int(Param.CRITIC_RULE)}\n" in text
    table = re.search(r"TABLES\[\d+\] = \{([^}]*)\}", text)
    assert table is not None
    assert [int(number) for number in table[1].split(",")] == [*spec.EXPONENTIAL, *spec.SIGMOID]
    assert f"#define EXPONENTIAL_SIZE {len(spec.EXPONENTIAL)}\n" in text


@pytest.mark.parametrize(
    ("config", "limit", "said"),
    [
        (BrainConfig(4, 769, (2,)), SHARED_LIMIT, "at most 768 pool words .24576 neurons., got 769; use fewer"),
        (BrainConfig(4096, 768, (2,)), SHARED_LIMIT, "needs [0-9]+ bytes of shared memory and the GPU has 232448"),
        (BrainConfig(4, 32, (2,)), 1000, "the GPU has 1000 for a block; use a smaller brain or the backend numba"),
    ],
)
def test_a_brain_too_large_for_a_block_is_refused(config: BrainConfig, limit: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        layout(config, limit)


class SmallMachine(ShimMachine):
    """A device of 66 MiB, of which 64 are left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def free_memory(self) -> int:
        return 66 << 20

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        self.taken += 1
        return super().upload(array)

    def load(self, made: Layout) -> Any:
        return None

    def launch(self, module: Any, made: Layout, call: Call) -> None:
        call.arguments[7][...] = 0


CONFIG = BrainConfig(4, 32, (2,))
RULES = AgentConfig().params()[None]


def newborn(brains: int) -> dict[str, Any]:
    return spec.empty_arrays(CONFIG, np.arange(brains, dtype=np.uint32))


def test_a_population_too_large_for_the_device_is_refused_before_anything_is_allocated() -> None:
    machine = SmallMachine()
    said = r"^1000 brains need 7\.\d MiB of device memory \([0-9,]+ bytes each\) and 2\.0 MiB are free; use fewer"
    with pytest.raises(MemoryError, match=said):
        DeviceBackend(machine).create(CONFIG, np.repeat(RULES, 1000, axis=0), 0, newborn(1000))
    assert machine.taken == 0


def test_too_many_presentations_are_refused_before_anything_is_allocated() -> None:
    machine = SmallMachine()
    backend = DeviceBackend(machine)
    state = backend.create(CONFIG, RULES, 0, newborn(1))
    before, steps = machine.taken, 20000
    seen = np.zeros((steps, 1, 4, 32), np.uint8)
    with pytest.raises(MemoryError, match=r"^20000 presentations need 2\.\d MiB .* and 2\.0 MiB are free"):
        backend.run(state, seen, np.zeros((steps, 1), np.int32), np.zeros((steps, 1), np.uint8))
    assert machine.taken == before
    backend.run(state, seen[:100], np.zeros((100, 1), np.int32), np.zeros((100, 1), np.uint8))


def test_arrays_of_another_shape_are_refused() -> None:
    backend = ShimBackend()
    state = backend.create(CONFIG, RULES, 0, newborn(1))
    flags, rewards, seen = np.ones((1, 1), np.uint8), np.zeros((1, 1), np.int32), np.zeros((1, 1, 4, 32), np.uint8)
    with pytest.raises(ValueError, match=r"^intensities must be of shape \[1, 1, 4, 32\], got \[1, 1, 3, 32\]"):
        backend.run(state, seen[:, :, :3], rewards, flags)
    with pytest.raises(ValueError, match=r"^rewards must be of shape \[1, 1\], got \[1, 2\]"):
        backend.run(state, seen, np.zeros((1, 2), np.int32), flags)
    with pytest.raises(ValueError, match=r"^forced must be of shape \[1, 1, 1\], got \[1, 1\]"):
        backend.run(state, seen, rewards, flags, np.zeros((1, 1), np.int32))
    with pytest.raises(ValueError, match=r"^brains must be within 0\.\.0, got \[1\]"):
        backend.predict(
            state, np.ones(1, np.int64), seen[0], np.zeros((1, 32, 32), np.uint8), np.zeros(1, np.uint32), True
        )


def test_nothing_to_do_is_done() -> None:
    backend = ShimBackend()
    state = backend.create(CONFIG, RULES, 0, newborn(1))
    none = backend.run(state, np.zeros((0, 1, 4, 32), np.uint8), np.zeros((0, 1), np.int32), np.zeros((0, 1), np.uint8))
    assert none.shape == (0, 1, 1)
    empty = np.zeros(0, np.int64), np.zeros((0, 4, 32), np.uint8), np.zeros((0, 32, 32), np.uint8)
    answer = backend.predict(state, *empty, np.zeros(0, np.uint32), False)
    assert answer.volley.shape == (0, 2) and answer.excitement.shape == (0, 32, 32)


def test_what_is_recorded_can_be_replayed() -> None:
    backend = ShimBackend()
    case = random_case(1)
    shape = (3, len(case.params))
    seen = np.full((*shape, case.config.sensory_words, 32), 9, np.uint8)
    rewards, flags = np.full(shape, 5, np.int32), np.full(shape, spec.Flag.CONTINUE, np.uint8)
    one, other = (backend.create(case.config, case.params, case.seed, case.arrays) for _ in range(2))
    recorded = backend.record(one, seen, rewards, flags)
    for _ in range(2):
        backend.replay(one, recorded)
        actions = backend.run(other, seen, rewards, flags)
        assert np.array_equal(recorded.actions, actions)
    assert differences(backend.export(one), backend.export(other)) == {}


def test_without_a_compiler_the_shim_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError, match=r"with g\+\+; install that, or use the backend numba$"):
        ShimBackend()
