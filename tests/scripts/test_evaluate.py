"""Playing a run or a checkpoint, and telling about it."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from hebbit.agents import EnvSpec, SpikingAgent, resident

Cli = Callable[..., Any]


@pytest.fixture
def run(cli: Cli) -> SpikingAgent:
    """A run in the folder r, and its agent."""
    cli("train CartPole-v1 --steps 100 --run-dir r --quiet --no-plots --eval-episodes 2 -P pool_words=4")
    return SpikingAgent.load("r/CartPole-v1.zip")


def test_it_prints_what_the_api_gives(cli: Cli, run: SpikingAgent) -> None:
    before = {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file()}
    returns = run.evaluate(episodes=4)[0]
    wanted = (
        f"mean return {returns.mean():.1f}, std {returns.std():.1f}, min {returns.min():.1f}, max {returns.max():.1f}"
    )
    for path in ("r", "r/CartPole-v1.zip"):
        status, out, err = cli(f"evaluate {path} --episodes 4")
        assert (status, err) == (0, "") and wanted in out and "not solved (threshold 475)" in out
    assert {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file()} == before


def test_seeds_and_noise(cli: Cli, run: SpikingAgent) -> None:
    def returns(flags: str) -> Any:
        Path("e.json").unlink(missing_ok=True)
        assert cli(f"evaluate r --episodes 5 --out e.json {flags}")[0] == 0
        return json.loads(Path("e.json").read_text())

    assert returns("") == returns("--seed 0") == returns("--backend numba")
    assert returns("")["returns"] == run.evaluate(episodes=5)[0].tolist()
    noisy = returns("--stochastic")
    assert noisy["returns"] == run.evaluate(episodes=5, deterministic=False)[0].tolist() != returns("")["returns"]
    assert not noisy["deterministic"] and noisy["digest"] == run.digest()
    assert returns("--seed 1")["returns"] != returns("")["returns"]


def test_it_plays_in_the_compiled_world(cli: Cli) -> None:
    cli("train CartPole-v1 --steps 100 --brains 3 --run-dir p --quiet --no-plots --eval-episodes 0 -P pool_words=4")
    agent = SpikingAgent.load("p/CartPole-v1.zip", EnvSpec("CartPole-v1", resident=True))

    def returns(flags: str) -> Any:
        Path("e.json").unlink(missing_ok=True)
        status, _, err = cli(f"evaluate p --episodes 4 --resident --out e.json {flags}")
        assert status == 0, err
        found = json.loads(Path("e.json").read_text())
        assert found["resident"]
        return found["returns"]

    everyone = resident.trial(agent, 4)[0]
    assert returns("") == everyone.ravel().tolist()
    assert returns("--brain 1") == everyone[1].tolist()
    assert returns("--seed 8 --stochastic") == resident.trial(agent, 4, False, seed=8)[0].ravel().tolist()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--resident --render", "not allowed with"),
        ("--resident --env-kwargs", "unrecognized"),
        ("--resident", "no resident form"),
    ],
)
def test_what_the_compiled_world_cannot_do(cli: Cli, words: str, text: str) -> None:
    cli("train FrozenLake-v1 --steps 20 --run-dir f --quiet --no-plots --eval-episodes 0 -P pool_words=4")
    status, _, err = cli(f"evaluate f {words}")
    assert status != 0 and text in err


def test_out_is_never_overwritten(cli: Cli, run: SpikingAgent) -> None:
    Path("e.json").write_text("mine")
    status, out, err = cli("evaluate r --episodes 1 --out e.json")
    assert (status, out, Path("e.json").read_text()) == (2, "", "mine") and "exists already" in err
    status, _, err = cli("evaluate r --episodes 1 --out no/folder.json")
    assert status == 2 and "no/folder.json" in err


def test_render_opens_human_mode(cli: Cli, run: SpikingAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[Any] = []
    original = gym.make
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    def make(env_id: str, **flags: Any) -> gym.Env[Any, Any]:
        modes.append(flags)
        return original(env_id)

    monkeypatch.setattr(gym, "make", make)
    assert cli("evaluate r --episodes 1 --render")[0] == 0
    assert modes == [{"render_mode": "human"}]


def test_video_films_every_episode(cli: Cli, run: SpikingAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    filmed: list[Any] = []

    class Camera(gym.Wrapper[Any, Any, Any, Any]):
        def __init__(self, env: gym.Env[Any, Any], folder: str, **flags: Any) -> None:
            super().__init__(env)
            filmed.append((env.render_mode, folder, flags["name_prefix"], flags["episode_trigger"](7)))

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(gym.wrappers, "RecordVideo", Camera)
    assert cli("evaluate r --episodes 1 --video v")[0] == 0
    assert filmed == [("rgb_array", "v", "CartPole-v1", True)]


def test_an_environment_that_cannot_be_filmed(cli: Cli, run: SpikingAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any, **flags: Any) -> None:
        raise ValueError("no pictures")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(gym.wrappers, "RecordVideo", refuse)
    status, _, err = cli("evaluate r --episodes 1 --video v")
    assert status == 2 and err == "hebbit: CartPole-v1 cannot be filmed: no pictures\n"


def test_a_run_without_a_checkpoint(cli: Cli, run: SpikingAgent) -> None:
    Path("r/CartPole-v1.zip").unlink()
    for line, said in (("evaluate r", "no checkpoint yet"), ("evaluate r --brain best", "no best_brain.zip")):
        status, _, err = cli(line)
        assert status == 2 and said in err
