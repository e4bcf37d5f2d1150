"""Pictures: they show what was, and are pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, SpikingAgent
from hebbit.agents.environment import episode_seed
from hebbit.scripts import plots, raster

Cli = Callable[..., Any]
SMALL = {"pool_words": 4}


def picture(path: Path) -> NDArray[np.float32]:
    """A PNG, sane and not empty."""
    from matplotlib.image import imread

    pixels = imread(path)
    height, width, _ = pixels.shape
    assert 300 <= height <= 3000 and 900 <= width <= 2000
    assert 0.005 < np.mean(pixels[..., :3].min(axis=2) < 0.9) < 0.7
    return pixels


def test_running_mean() -> None:
    assert plots.running_mean(np.array([2.0, 4.0, 6.0, 0.0]), 2).tolist() == [2, 3, 5, 3]
    assert plots.running_mean(np.zeros(0), 3).tolist() == []
    assert [plots.window_of(n) for n in (0, 300, 5000)] == [10, 30, 100]


def test_monitor_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "0.monitor.csv"
    path.write_text('#{"t_start": 0, "env_id": "x"}\nr,l,t\n1.5,10,0.1\n-2,5,0.2\n')
    steps, returns = plots.read_monitor(path)
    assert steps.tolist() == [10, 15] and returns.tolist() == [1.5, -2]


@pytest.mark.parametrize(
    "flags", ["--steps 200 --eval-freq 50", "--steps 150 --brains 3", "--steps 3", "--steps 3 --brains 2"]
)
def test_runs_are_drawn(cli: Cli, flags: str) -> None:
    status, _, err = cli(f"train CartPole-v1 --run-dir r --eval-episodes 2 -P pool_words=4 {flags}")
    assert (status, err) == (0, "")
    picture(Path("r/learning_curve.png"))
    picture(Path("r/raster.png"))


def test_the_same_run_gives_the_same_picture(tmp_path: Path) -> None:
    agent = SpikingAgent("CartPole-v1", config=SMALL)
    for name in "ab":
        raster.draw_agent(agent, EnvSpec("CartPole-v1"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_the_raster_is_what_runs(env_id: str) -> None:
    agent = SpikingAgent(env_id, seed=3, config=SMALL).learn(60)
    env = agent.spec.make() if agent.spec else None
    assert env is not None
    observation, _ = env.reset(seed=episode_seed(3, 0, 0, evaluation=True))
    excitement = np.zeros((1, 4, 32), np.uint8)
    shown = raster.record(agent, EnvSpec(env_id), skipped=0, shown=5)
    assert len(shown) == 5
    for number, one in enumerate(shown):
        intensities = agent.encoder.encode([observation], np.zeros(1, np.intp))
        row, now = np.zeros(1, np.int64), np.array([number], np.uint32)
        answer = agent.backend.predict(agent.state, row, intensities, excitement, now, False)
        excitement = answer.excitement
        assert answer.spikes[0] == one.sensory.sum() + one.pool.sum()
        assert np.array_equal(answer.volley[0], one.motor.sum(axis=(1, 2)))
        assert np.array_equal(answer.actions[0], one.actions)
        observation = env.step(agent.decoder.decode(one.actions))[0]
    env.close()


def test_large_brains_show_their_liveliest_words(tmp_path: Path) -> None:
    spikes = np.zeros((40, 32, 8), np.int32)
    spikes[7:17] = 1
    panel = raster.Panel.of("pool", plots.GREEN, spikes, 10)
    assert panel.labels == [str(word) for word in range(7, 17)] and panel.name == "pool\nliveliest 10\nof 40 words"
    assert raster.Panel.of("motor", plots.GREEN, spikes[:1], 10).name == "motor\n1 unit"
    agent = SpikingAgent("CartPole-v1", config={"pool_words": 0})
    raster.draw_agent(agent, EnvSpec("CartPole-v1"), tmp_path / "bare.png")
    picture(tmp_path / "bare.png")
