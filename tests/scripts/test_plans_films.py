"""Films and folders of an evaluation by a plan."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.agents.environment import episode_seed
from hebbit.scripts.bench.play import Episodes, play
from hebbit.scripts.plans import session

Cli = Callable[..., Any]
SMALL = {"pool_words": 2}
CLEAN = '[[conditions]]\nname = "clean"\n'
DAMAGED = """
[[conditions]]
name = "spikes"
dropped_spikes = 0.5
spurious_spikes = 0.1
deterministic = false
[[conditions]]
name = "world"
observation_noise = 0.05
sticky_actions = 0.3
"""


@pytest.fixture
def runs(cli: Cli) -> None:
    """Two brains, in a.zip and b.zip."""
    for seed, name in enumerate("ab", 1):
        SpikingAgent("CartPole-v1", seed=seed, config=SMALL).learn(300).save(f"{name}.zip")


class Camera(gym.Wrapper[Any, Any, Any, Any]):
    """Writes what Gymnasium's would name alike: the seed and the return of each episode that is to be filmed."""

    def __init__(self, env: gym.Env[Any, Any], folder: str, trigger: Callable[[int], bool], **flags: Any) -> None:
        super().__init__(env)
        Path(folder).mkdir(parents=True)
        self.folder, self.trigger, self.number, self.total = Path(folder), trigger, -1, 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.write()
        self.number, self.total, self.seed = self.number + 1, 0.0, seed
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        assert self.env.render_mode == "rgb_array"
        observation, reward, *rest = self.env.step(action)
        self.total += float(reward)
        return (observation, reward, *rest)

    def write(self) -> None:
        if self.number >= 0 and self.trigger(self.number):
            path = self.folder / f"rl-video-episode-{self.number}.mp4"
            path.write_text(json.dumps([self.seed, self.total]))

    def close(self) -> None:
        self.write()
        super().close()


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(gym.wrappers, "RecordVideo", Camera)
    monkeypatch.setattr(session, "refuse_films", lambda spec: None)


def test_films_show_the_episodes_that_were_played(cli: Cli, runs: None, camera: None) -> None:
    Path("plan.toml").write_text(f"episodes = 56\nseed = 77\n{CLEAN}{DAMAGED}")
    assert cli("evaluate a.zip --plan plan.toml --out out --video v")[0] == 0
    found = json.loads(Path("out/evaluation.json").read_text())["rows"]
    rows = {row["condition"]: row for row in found}
    films = sorted(Path("v").iterdir())
    assert all(path.suffix == ".mp4" for path in films)
    for number, (name, row) in enumerate(rows.items(), 1):
        returns = np.array(row["returns"])
        own = [path for path in films if path.name.startswith(f"{number:03d}-a.zip-{name}-")]
        assert {kind for path in own for kind in ("best", "median", "worst") if kind in path.name} == {
            "best", "median", "worst",
        }  # fmt: skip
        for path in own:
            episode = int(path.stem.rpartition("-")[2])
            seed, total = json.loads(path.read_text())
            assert seed == episode_seed(77, 0, episode, evaluation=True) and total == returns[episode]
            wanted = {"best": returns.max(), "worst": returns.min(), "median": np.sort(returns)[27]}
            assert all(total == value for kind, value in wanted.items() if kind in path.name)


class Unsteady(gym.Env[Any, Any]):
    """Gives other rewards every time."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    given = 0

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        Unsteady.given += 1
        self.steps += 1
        return np.zeros(2, np.float32), float(Unsteady.given), False, self.steps == 9, {}

    def render(self) -> Any:
        raise gym.error.DependencyNotInstalled("crayons are not installed: pip install crayons")


@pytest.fixture
def unsteady(cli: Cli) -> Iterator[None]:
    gym.register("Unsteady-v0", entry_point=lambda **flags: Unsteady(**flags), disable_env_checker=True)
    SpikingAgent("Unsteady-v0", config=SMALL).save("u.zip")
    yield
    del gym.registry["Unsteady-v0"]


def test_films_of_an_environment_that_does_not_repeat(cli: Cli, camera: None, unsteady: None) -> None:
    Path("plan.toml").write_text(f"episodes = 3\n{CLEAN}")
    status, _, _ = cli("evaluate u.zip --plan plan.toml --video v --out out")
    (row,) = json.loads(Path("out/evaluation.json").read_text())["rows"]
    assert status == 1 and "does not repeat its episodes" in row["error"] and len(row["returns"]) == 3
    assert list(Path("v").iterdir()) == []


def test_two_evaluations_at_once_do_not_share_a_folder(cli: Cli, runs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("plan.toml").write_text(f"episodes = 2\n{CLEAN}")
    prepared, others = session._prepared, iter([0])

    def overtaken(*words: Any) -> Any:
        """While this one is prepared, after it has found its folder free, another one plays into it."""
        mine = prepared(*words)
        if next(others, None) is not None:
            assert cli("evaluate b.zip --plan plan.toml --out out")[0] == 0
        return mine

    monkeypatch.setattr(session, "_prepared", overtaken)
    status, out, err = cli("evaluate a.zip --plan plan.toml --out out")
    assert (status, out) == (2, "") and "out is not empty any more" in err
    (row,) = json.loads(Path("out/evaluation.json").read_text())["rows"]
    assert row["run"] == "b.zip"
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "evaluation.csv",
        "evaluation.json",
        "evaluation.png",
    ]


@pytest.mark.parametrize("flag", ["--out", "--video"])
def test_a_folder_is_owned_while_it_is_written_to(
    cli: Cli, runs: None, camera: None, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    Path("plan.toml").write_text(f"episodes = 2\n{CLEAN}")
    said: list[Any] = []

    def meanwhile(*words: Any) -> Episodes:
        monkeypatch.setattr(session, "play", play)
        said.append(cli(f"evaluate b.zip --plan plan.toml {flag} out"))
        # as far as it came before the folder was taken
        monkeypatch.setattr(session, "_free_folder", lambda name, flag: name and Path(name))
        said.append(cli(f"evaluate b.zip --plan plan.toml {flag} out"))
        return play(*words)

    monkeypatch.setattr(session, "play", meanwhile)
    assert cli(f"evaluate a.zip --plan plan.toml {flag} out")[0] == 0
    assert [one.status for one in said] == [2, 2]
    assert f"another evaluation writes to out, or was killed there: choose another {flag}" in said[0].err
    assert "another evaluation has begun to write to out" in said[1].err
    assert not any(path.name.startswith(".") for path in Path("out").iterdir())


def test_both_folders_may_lie_in_each_other(cli: Cli, runs: None, camera: None) -> None:
    Path("plan.toml").write_text(f"episodes = 2\n{CLEAN}")
    for out, films in (("a/o", "a"), ("b", "b/v"), ("c", "./c")):
        assert cli(f"evaluate a.zip --plan plan.toml --out {out} --video {films}")[0] == 0
        assert (Path(out) / "evaluation.csv").is_file() and list(Path(films).glob("*.mp4"))


@pytest.mark.parametrize("error", [RuntimeError("no more space"), KeyboardInterrupt()])
def test_a_second_play_that_fails_leaves_no_pieces(
    cli: Cli, runs: None, camera: None, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    calls = iter(range(9))

    def failing(*words: Any) -> Episodes:
        found = play(*words)
        if next(calls) == 1:
            assert any(path.suffix == ".mp4" for path in Path("v").rglob("*"))
            raise error
        return found

    monkeypatch.setattr(session, "play", failing)
    Path("plan.toml").write_text(f"episodes = 3\n{CLEAN}")
    status, _, _ = cli("evaluate a.zip --plan plan.toml --video v")
    assert status == (1 if isinstance(error, RuntimeError) else 130) and list(Path("v").iterdir()) == []


def test_an_environment_that_cannot_be_drawn(cli: Cli, unsteady: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("plan.toml").write_text(CLEAN)
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "moviepy" or original(name))
    status, out, err = cli("evaluate u.zip --plan plan.toml --video v")
    assert (status, out) == (2, "") and not Path("v").exists()
    assert "Unsteady-v0 cannot be filmed" in err and "pip install crayons" in err and "leave --video out" in err
    # without a plan
    monkeypatch.setattr(gym.wrappers, "RecordVideo", lambda env, *words, **flags: Drawing(env))
    status, out, err = cli("evaluate u.zip --episodes 1 --video v")
    assert (status, out) == (2, "") and "Unsteady-v0 cannot be drawn: crayons are not installed" in err


class Drawing(gym.Wrapper[Any, Any, Any, Any]):
    """Draws what it begins with."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        found = self.env.reset(seed=seed, options=options)
        self.env.render()
        return found


def test_what_cannot_be_filmed(cli: Cli, runs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("plan.toml").write_text(CLEAN)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, _, err = cli("evaluate a.zip --plan plan.toml --video v")
    assert status == 2 and "pip install 'hebbit[video]'" in err and not Path("v").exists()
