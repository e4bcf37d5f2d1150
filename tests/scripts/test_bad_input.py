"""Whatever is wrong: one sentence on standard error, exit status 2, nothing half-written."""

import importlib.util
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents import SpikingAgent
from hebbit.backends.spec import CONTRACT_VERSION

Cli = Callable[..., Any]
SMALL = "--steps 50 --eval-episodes 1 --no-plots -P pool_words=4"
F32 = NDArray[np.float32]


class Sick(gym.Env[F32, np.int64]):
    """Observations that stop being numbers, or a space that no brain can see."""

    def __init__(self, space: str = "box") -> None:
        self.observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        if space == "text":
            self.observation_space = gym.spaces.Text(4)  # type: ignore[assignment]  # the wrong space is the point
        self.action_space = gym.spaces.Discrete(2)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[F32, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: np.int64) -> tuple[F32, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        value = np.nan if self.steps == 20 else 0.5
        return np.full(2, value, np.float32), 0.0, False, False, {}


@pytest.fixture
def sick() -> Iterator[str]:
    gym.register("Sick-v0", entry_point=lambda **flags: Sick(**flags), disable_env_checker=True)
    yield "Sick-v0"
    del gym.registry["Sick-v0"]


def refused(outcome: Any, *said: str) -> None:
    status, out, err = outcome
    assert (status, out) == (2, ""), err
    assert err.startswith("hebbit: ") and err.count("\n") == 1 and "Traceback" not in err
    for words in said:
        assert words in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train CartPol-v1 --steps 5", "did you mean CartPole-v1"),
        ("train cartpole-v1 --steps 5", "did you mean CartPole-v1"),
        ("train Nothing-v3 --steps 5", "module:Name-v0"),
        ("train nowhere:Nothing-v3 --steps 5", "nowhere"),
        ("train CartPole-v1", "--steps 30000"),
        ("train CartPole-v1 --steps 5 --seed 4294967296", "seed must be a whole number of 0..2**32 - 1"),
        (
            "train CartPole-v1 --steps 5 --backend cuda",
            "--backend must be one of auto, numpy, numba, cupy, shim, got 'cuda'",
        ),
        ("train CartPole-v1 --steps 5 --preset missing", "got 'missing'"),
        ("train CartPole-v1 --steps 5 -P pool_word=3", "did you mean pool_words?"),
        ("train CartPole-v1 --steps 5 -P pool_words=few", "pool_words must be a whole number, got 'few'"),
        ("train CartPole-v1 --steps 5 -P pool_words=-1", "pool_words must lie in 0..32768"),
        ("train CartPole-v1 --steps 5 -P pool_words", "-P takes key=value, got 'pool_words'"),
        ("train CartPole-v1 --steps 5 --env-kwargs wind=3", "wind"),
        ("train CartPole-v1 --steps 5 --env-kwargs {wind", "JSON object"),
        ("train CartPole-v1 --steps 5 --wrapper no.Such", "no.Such"),
        ("train CartPole-v1 --steps 5 --eval-freq 5 --eval-episodes 0", "at least 1 episode"),
        ("train CartPole-v1 --steps 5 --run-dir file/r", "file"),
        ("train CartPole-v1 --steps 5 --run-dir file", "file"),
        ("train CartPole-v1 --steps 5 --run-dir full", "full is not empty"),
        ("train CartPole-v1 --resume", "--run-dir"),
        ("train CartPole-v1 --resume --run-dir missing", "missing does not exist"),
        ("train CartPole-v1 --resume --run-dir full", "config.json"),
        ("evaluate missing", "missing"),
        ("evaluate file", "not a checkpoint"),
        ("evaluate full", "config.json"),
        ("info missing", "missing"),
    ],
)
def test_it_is_said_and_nothing_is_left(cli: Cli, line: str, said: str) -> None:
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full/mine").write_text("mine")
    refused(cli(line), said)
    assert sorted(path.name for path in Path().rglob("*")) == ["file", "full", "mine"]


def test_a_run_is_never_overwritten(cli: Cli) -> None:
    cli(f"train CartPole-v1 --run-dir r --quiet {SMALL}")
    before = {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file()}
    refused(cli(f"train CartPole-v1 --run-dir r {SMALL}"), "r holds a run", "--resume")
    assert {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file()} == before


def test_observations_that_are_no_numbers(cli: Cli, sick: str) -> None:
    outcome = cli(f"train {sick} --run-dir r --save-freq 10 {SMALL}")
    refused(outcome, "observations must be finite, got nan", f"go on with: hebbit train {sick} --run-dir r --resume")
    assert SpikingAgent.load("r/Sick-v0.zip").num_timesteps == 10


def test_spaces_that_no_brain_serves(cli: Cli, sick: str) -> None:
    refused(cli(f"train {sick} --run-dir r --env-kwargs space=text {SMALL}"), "observations must be Box", "Text")
    assert not Path("r").exists()


def test_an_extra_that_is_missing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    refused(cli(f"train LunarLander-v3 --run-dir r {SMALL}"), "LunarLander-v3", "pip install")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(cli(f"train CartPole-v1 --run-dir r --tensorboard {SMALL}"), "pip install 'hebbit[tensorboard]'")
    assert not Path("r").exists()


def test_a_backend_that_cannot_load(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hebbit.backends._LOADED", {})
    monkeypatch.setitem(sys.modules, "hebbit.backends.numba_backend", None)
    refused(cli(f"train CartPole-v1 --run-dir r {SMALL}"), "backend 'numba' cannot load")
    assert not Path("r").exists()


def test_video_without_its_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli(f"train CartPole-v1 --run-dir r --quiet {SMALL}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(cli("evaluate r --video v"), "pip install 'hebbit[video]'")
    assert not Path("v").exists()


def test_checkpoints_that_hebbit_did_not_write(cli: Cli) -> None:
    SpikingAgent("CartPole-v1", config={"pool_words": 4}).save("good.zip")
    Path("cut.zip").write_bytes(Path("good.zip").read_bytes()[:-30])
    with zipfile.ZipFile("evil.zip", "w") as archive:
        archive.writestr("../../evil.py", "print('evil')")
    with zipfile.ZipFile("empty.zip", "w") as archive:
        archive.writestr("meta.json", json.dumps({"format": 1, "contract": CONTRACT_VERSION}))
    for name, said in (("cut", "damaged"), ("evil", "evil.py"), ("empty", "brain")):
        refused(cli(f"evaluate {name}.zip"), said)
        refused(cli(f"info {name}.zip"), said)


def test_a_checkpoint_without_an_environment(cli: Cli) -> None:
    spaces = gym.make("CartPole-v1").observation_space, gym.spaces.Discrete(2)
    SpikingAgent(None, spaces=spaces, config={"pool_words": 4}).save("a.zip")
    refused(cli("evaluate a.zip"), "does not say how its environment is made")
