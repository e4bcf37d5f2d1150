"""One physics in three languages: NumPy, Numba and the CUDA text give the same bits, with one sine of their own."""

import subprocess
import sys
from decimal import Decimal, localcontext
from importlib.resources import files
from pathlib import Path
from shutil import copytree, ignore_patterns

import numpy as np
import pytest
from cupy.cuda import nvrtc
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hebbit.backends.cuda_compile import _USAGE, OPTIONS
from hebbit.envs import physics
from hebbit.envs.sine import cosine, sine, sine_and_cosine
from hebbit.envs.worlds import WORLDS, World, draws, mix
from tests.envs.resident_tools import ALL, NAMES, Floats, Native, on_host, random_actions

ROOT = Path(__file__).parents[2]
# Of Abramowitz and Stegun, table 1.1, continued.
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798")
WIDEST = (4.0, 30.0, 30.0, 30.0)
"""Ranges of the columns of wide states, far beyond what episodes reach, either way."""


def languages(world: World) -> dict[str, Native]:
    return {"numba": Native(*world.addresses()), "g++": on_host(world, "-O2", "-fno-tree-vectorize")}


def output(world: World, state: Floats, reward: Floats | float = 0.0, terminated: Floats | float = 0.0) -> Floats:
    """What the C functions write beside the state."""
    out = np.zeros((len(state), 8))
    out[:, : world.values] = world.observe(state)
    out[:, 6], out[:, 7] = reward, terminated
    return out


def step_all(world: World, state: Floats, actions: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """One step of the specification: state, output, ends."""
    after, reward, terminated = world.step(state, actions)
    return after, output(world, after, reward, terminated.astype(np.float64)), terminated


@pytest.mark.parametrize("name", NAMES)
def test_all_languages_give_the_same_bits_over_episodes(name: str) -> None:
    world, dice = WORLDS[name], np.random.default_rng(11)
    seeds, numbers = (dice.integers(2**32, size=64, dtype=np.uint32) for _ in range(2))
    state = world.start(seeds, numbers)
    natives, ages, ends = languages(world), np.zeros(64, np.int64), 0
    for native in natives.values():
        begun, out = native.start(seeds, numbers)
        assert begun.tobytes() == state.tobytes() and out.tobytes() == output(world, state).tobytes()
    for _ in range(2000):
        actions = random_actions(world, 64, dice)
        after, expected, terminated = step_all(world, state, actions)
        for language, native in natives.items():
            got, out = native.step(state, actions)
            assert got.tobytes() == after.tobytes() and out.tobytes() == expected.tobytes(), language
        ages += 1
        done = terminated | (ages >= world.limit)
        numbers, ages, ends = numbers + done.astype(np.uint32), np.where(done, 0, ages), ends + int(done.sum())
        state = np.where(done[:, None], world.start(seeds, numbers), after)
    assert ends >= 64


@pytest.mark.parametrize("name", NAMES)
def test_all_languages_give_the_same_bits_far_from_the_usual(name: str) -> None:
    world, dice = WORLDS[name], np.random.default_rng(12)
    state = np.zeros((2048, 8))
    for column in range(min(world.state_size, 4)):
        state[:, column] = WIDEST[column] * dice.uniform(-1, 1, 2048) * 10.0 ** dice.integers(-9, 1, 2048)
    if world.state_size == 3:
        state[:, 2] = dice.integers(2, size=2048)
    actions = random_actions(world, 2048, dice)
    after, expected, _ = step_all(world, state, actions)
    assert np.isfinite(after).all()
    for language, native in {**languages(world), "g++ -O0": on_host(world, "-O0")}.items():
        got, out = native.step(state, actions)
        assert got.tobytes() == after.tobytes() and out.tobytes() == expected.tobytes(), language


@given(
    st.sampled_from(NAMES),
    st.lists(st.floats(-50, 50), min_size=4, max_size=4),
    st.floats(-3, 3, width=32),
    st.booleans(),
)
def test_all_languages_agree_on_any_state(name: str, numbers: list[float], push: float, fresh: bool) -> None:
    world = WORLDS[name]
    state = np.zeros((1, 8))
    state[0, : world.state_size] = numbers[: world.state_size]
    if world.state_size == 3:
        state[0, 2] = float(fresh)
    actions = np.array([abs(round(push)) % world.units if world.units else push], np.float64)
    after, expected, _ = step_all(world, state, actions)
    for language, native in languages(world).items():
        got, out = native.step(state, actions)
        assert got.tobytes() == after.tobytes() and out.tobytes() == expected.tobytes(), language


def test_a_joint_at_full_speed_is_wrapped() -> None:
    dice = np.random.default_rng(13)
    state = np.zeros((20000, 8))
    state[:, :2] = dice.uniform(-np.pi, np.pi, (20000, 2))
    state[:, 2] = dice.choice([-1, 1], 20000) * physics.MOST_TURN_1 * dice.uniform(0.8, 1, 20000)
    state[:, 3] = dice.choice([-1, 1], 20000) * physics.MOST_TURN_2 * dice.uniform(0.8, 1, 20000)
    after = WORLDS["Acrobot-v1"].step(state, random_actions(WORLDS["Acrobot-v1"], 20000, dice))[0]
    assert np.abs(after[:, :2]).max() <= np.pi
    assert np.abs(after[:, 2]).max() <= physics.MOST_TURN_1 and np.abs(after[:, 3]).max() <= physics.MOST_TURN_2


def test_a_rod_is_normalized_to_the_bit() -> None:
    """Angles a few places around whole turns too, where the quotient is rounded up to a whole number."""
    dice = np.random.default_rng(15)
    whole = dice.integers(-400, 400, 20000) * (2 * np.pi) - np.pi
    near = whole + dice.integers(-3, 4, 20000) * np.spacing(np.abs(whole))
    angles = np.concatenate([near, dice.uniform(-1000, 1000, 20000)])
    shifted = angles + np.pi
    turns = np.floor(np.abs(shifted) / (2 * np.pi))
    assert ((turns * physics.TURN_HEAD + turns * physics.TURN_TAIL) > np.abs(shifted)).sum() > 100
    assert physics.normalized(angles).tolist() == ((angles + np.pi) % (2 * np.pi) - np.pi).tolist()
    world, state = WORLDS["Pendulum-v1"], np.zeros((40000, 8))
    state[:, 0] = angles
    actions = random_actions(world, 40000, dice)
    after, expected, _ = step_all(world, state, actions)
    for language, native in languages(world).items():
        got, out = native.step(state, actions)
        assert got.tobytes() == after.tobytes() and out.tobytes() == expected.tobytes(), language


def exact_sine(angle: Decimal) -> Decimal:
    """Sine to some fifty digits: the angle reduced by half turns, then Taylor."""
    turns = (angle / PI).to_integral_value()
    angle -= turns * PI
    total = term = angle
    for n in range(3, 60, 2):
        term = -term * angle * angle / (n * (n - 1))
        total += term
    return -total if int(turns) % 2 else total


def units_off(got: float, exact: Decimal) -> float:
    """Error in units in the last place of the exact value."""
    return float(abs(Decimal(got) - exact)) / float(np.spacing(abs(float(exact))))


def test_sine_and_cosine_are_good_to_a_unit_in_the_last_place() -> None:
    dice = np.random.default_rng(14)
    parts = [
        dice.uniform(-1, 1, 400) * np.pi / 4,
        dice.uniform(-100, 100, 400),
        dice.uniform(-1.6e6, 1.6e6, 400),
        dice.integers(-(2**20), 2**20, 200) * (np.pi / 2),
        dice.integers(-100, 100, 200) * (np.pi / 2) + 1e-9 * dice.normal(size=200),
        10.0 ** dice.uniform(-300, 0, 100),
    ]
    angles = np.concatenate(parts)
    sines, cosines = sine_and_cosine(angles)
    with localcontext(prec=60):
        exact = [Decimal(x) for x in angles.tolist()]
        assert max(units_off(s, exact_sine(x)) for x, s in zip(exact, sines.tolist(), strict=True)) < 0.78
        assert max(units_off(c, exact_sine(x + PI / 2)) for x, c in zip(exact, cosines.tolist(), strict=True)) < 0.78


def test_sine_of_special_angles() -> None:
    assert sine(np.array([0.0, -0.0])).tobytes() == np.zeros(2).tobytes()
    assert cosine(np.array([0.0, -0.0])).tolist() == [1.0, 1.0]
    assert np.isnan(sine_and_cosine(np.array([np.nan]))).all()


def test_the_draws_are_splitmix() -> None:
    """The first outputs of SplitMix64 from the state 1234567, as its reference implementation prints them."""
    state, golden = np.uint64(1234567), np.uint64(0x9E3779B97F4A7C15)
    states = state + golden * np.arange(1, 4, dtype=np.uint64)
    assert mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    chances = np.stack(draws(*(np.arange(5000, dtype=np.uint64) for _ in range(2))))
    assert chances.min() >= 0 and chances.max() < 1
    assert np.abs(chances.mean(1) - 0.5).max() < 0.015 and np.abs(np.corrcoef(chances) - np.eye(4)).max() < 0.05


KERNEL = """
extern "C" __global__ void roll(double *states, const double *actions, double *outs, u64 seed, int steps) {
  double state[8], out[8];
  world_start(seed, blockIdx.x, state, out);
  for (int t = 0; t < steps; ++t) {
    world_step(state, actions[t], out);
    if (out[7] != 0.0) world_start(seed, t, state, out);
  }
  for (int i = 0; i < 8; ++i) states[i] = state[i];
  for (int i = 0; i < 8; ++i) outs[i] = out[i];
}
"""


@pytest.mark.parametrize("architecture", [80, 90, 120])
@pytest.mark.parametrize("world", ALL, ids=NAMES)
def test_the_text_compiles_for_gpus_without_local_memory(world: World, architecture: int) -> None:
    bits = (files("hebbit.backends") / "cuda_bits.cu").read_text()
    defines = ["-DROUNDS_UNROLLED=10", "-DHOLD_PLANES=0", *(f"-DPHILOX_{n}=1u" for n in ("M0", "M1", "W0", "W1"))]
    program = nvrtc.createProgram(bits + world.cuda() + KERNEL, "world.cu", (), ())
    options = (*OPTIONS, f"-arch=sm_{architecture}", "--fmad=false", f"-DWORLD={world.number}", *defines)
    nvrtc.compileProgram(program, options)
    (usage,) = _USAGE.finditer(nvrtc.getProgramLog(program))
    nvrtc.destroyProgram(program)
    assert (usage["stack"], usage["stores"], usage["loads"]) == ("0", "0", "0")
    assert int(usage["registers"]) <= 128


CHILD = """
import numpy as np
from hebbit.envs.worlds import WORLDS
from hebbit.envs import resident_numba
world = WORLDS["MountainCar-v0"]
fingerprint = resident_numba.source_fingerprint()
step_all = resident_numba.compile_step(world.step_columns, world.see_columns, world.state_size, fingerprint)[1]
state, seen = np.zeros((1, 8)), np.zeros((1, 2), np.float32)
step_all(state, np.ones(1), seen, np.zeros(1), np.zeros(1, bool))
assert state.tobytes() == world.step(np.zeros((1, 8)), np.ones(1))[0].tobytes()
print(len(step_all.stats.cache_hits), len(step_all.stats.cache_misses), state[0, 1])
"""


def child(root: Path) -> list[str]:
    """Cache hits, cache misses, and the speed after a step, in a process of its own with a cache of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(root / "cache"), "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_compiled_code_is_read_from_disk_until_an_equation_changes(tmp_path: Path) -> None:
    copytree(ROOT / "envs", tmp_path / "hebbit" / "envs", ignore=ignore_patterns("__pycache__"))
    (tmp_path / "hebbit" / "__init__.py").touch()
    assert child(tmp_path) == ["0", "1", "-0.0025"]
    assert child(tmp_path) == ["1", "0", "-0.0025"]
    text = (tmp_path / "hebbit" / "envs" / "sine.py").read_text()
    (tmp_path / "hebbit" / "envs" / "sine.py").write_text(text.replace("c = one + ", "c = 0.5 * one + "))
    assert child(tmp_path) == ["0", "1", "-0.00125"]
