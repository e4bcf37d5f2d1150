"""The page and the video of an episode: what they hold, in which bounds, and where there is nothing to be seen."""

import base64
import importlib.util
import io
import json
import re
import sys
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

from hebbit.agents import EnvSpec, SpikingAgent
from hebbit.agents.recording import BrainRecorder
from hebbit.scripts import inspect
from hebbit.scripts.evaluate import Subject
from hebbit.scripts.look import episode, video, watch

Cli = Callable[..., Any]
SMALL = {"pool_words": 5}


class Colours(gym.Env[Any, Any]):
    """Shows one colour after the other, or what it is told to show."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space, action_space = spaces.Discrete(4), spaces.Discrete(3)
    shown: Any = "colour"

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.t += 1
        return self.t % 4, 1.0, self.t == 30, False, {}

    def render(self) -> Any:
        if isinstance(self.shown, Exception):
            raise self.shown
        return np.full((40, 60, 3), 8 * self.t, np.uint8) if self.shown == "colour" else self.shown


@pytest.fixture
def colours() -> Any:
    """Its id, known to Gymnasium for the time of a test."""
    gym.register("Colours-v0", lambda **kwargs: Colours(**kwargs), disable_env_checker=True)
    yield "Colours-v0"
    del gym.registry["Colours-v0"]


def subject(env_id: str, **settings: Any) -> Subject:
    return Subject(SpikingAgent(env_id, config=SMALL, **settings), EnvSpec(env_id), Path("a.zip"))


def asked(**changes: Any) -> Namespace:
    return Namespace(**{"steps": 100, "stochastic": False, "watch": True, "video": False, **changes})


def held(page: Path) -> dict[str, Any]:
    """The data within a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def pictures(data: dict[str, Any]) -> list[Image.Image]:
    coded = [base64.b64decode(uri.partition("base64,")[2]) for uri in data["frames"]]
    return [Image.open(io.BytesIO(one)).convert("RGB") for one in coded]


@pytest.mark.parametrize("stochastic", [False, True])
def test_the_page_holds_what_was_recorded(tmp_path: Path, stochastic: bool) -> None:
    one = subject("CartPole-v1", seed=2)
    shown = episode.play(one, asked(stochastic=stochastic, steps=40), 7, episode.Frames(80, 10**6))
    recording = BrainRecorder(one.agent, 40).play(steps=40, episodes=1, deterministic=not stochastic, seed=7)
    watch.write_page(shown, tmp_path / "w.html")
    data = held(tmp_path / "w.html")
    words = np.frombuffer(base64.b64decode(data["spikes"]), "<u4").reshape(len(recording), 8, -1)
    chosen = np.concatenate([recording.sensory, recording.pool, recording.motor], axis=2)
    np.testing.assert_array_equal(words, chosen)
    np.testing.assert_allclose(data["value"], recording.value[:, 0] / recording.unit, rtol=1e-5)
    np.testing.assert_allclose(data["td"], recording.td[:, 0] / recording.unit, rtol=1e-5)
    assert data["units"] == recording.units.tolist() and data["end"] == recording.end.tolist()
    assert data["n"] == len(recording) == len(data["frames"]) and data["calm"] != stochastic
    assert {"src=", "href=", "http"} & set(re.findall(r"src=|href=|http", (tmp_path / "w.html").read_text())) == set()


def test_pictures_show_what_the_brain_saw(colours: str, tmp_path: Path) -> None:
    shown = episode.play(subject(colours), asked(), 0, episode.Frames(30, 10**6))
    watch.write_page(shown, tmp_path / "w.html")
    found = pictures(held(tmp_path / "w.html"))
    assert [picture.getpixel((5, 5))[0] for picture in found] == [8 * t for t in range(30)]  # type: ignore[index]  # three bytes in RGB
    assert found[0].size == (30, 20) and not shown.note


def test_pictures_stay_within_their_budget(colours: str) -> None:
    frames = episode.Frames(60, 700)
    shown = episode.play(subject(colours), asked(), 0, frames)
    assert sum(map(len, frames.coded)) <= 700 and frames.stride > 1
    assert len(frames.coded) == -(-30 // frames.stride)
    levels = [np.asarray(Image.open(io.BytesIO(one)).convert("RGB"))[0, 0, 0] for one in frames.coded]
    assert levels == [8 * frames.stride * i for i in range(len(levels))] and len(shown.recording) == 30


def test_the_smaller_of_two_codes_is_taken() -> None:
    flat = np.zeros((50, 50, 3), np.uint8)
    rough = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(rough).resize((200, 200), Image.Resampling.BICUBIC))
    assert episode.shrunk(flat, 50).startswith(b"\x89PNG") and episode.shrunk(smooth, 200).startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("shown", "note"),
    [
        (RuntimeError("no\ndisplay"), "rendering failed with RuntimeError: no display"),
        ("a text", "rendering gave str instead of a picture"),
        (None, "rendering gave NoneType instead of a picture"),
    ],
)
def test_without_pictures_the_rest_is_there(
    colours: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shown: Any, note: str
) -> None:
    monkeypatch.setattr(Colours, "shown", shown)
    one = episode.play(subject(colours), asked(), 0, episode.Frames(60, 1000))
    assert note in one.note
    watch.write_page(one, tmp_path / "w.html")
    data = held(tmp_path / "w.html")
    assert data["frames"] == [] and data["n"] == 30 and note in (tmp_path / "w.html").read_text()
    assert video.Film(one).image(3).shape == (720, 1280, 3)


def test_an_environment_that_cannot_be_rendered(colours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Colours.metadata, "render_modes", ["human"])
    one = episode.play(subject(colours), asked(), 0, episode.Frames(60, 1000))
    assert one.note == "No pictures of the environment: Colours-v0 cannot be rendered as rgb_array."


def test_the_page_cannot_be_broken_out_of(colours: str, tmp_path: Path) -> None:
    one = episode.play(subject(colours), asked(steps=2), 0, episode.Frames(60, 1000))
    evil = "</script><script>alert(1)</script>"
    hostile = episode.Episode(evil, evil, one.recording, [evil] * 2, True, one.words, one.frames)
    watch.write_page(hostile, tmp_path / "w.html")
    text = (tmp_path / "w.html").read_text()
    assert text.count("<script") == text.count("</script") == 2 and held(tmp_path / "w.html")["actions"][0] == evil


def test_the_liveliest_words_are_shown(colours: str) -> None:
    agent = SpikingAgent(colours, config={"pool_words": 40})
    recording = BrainRecorder(agent, 20).play(steps=20)
    shown = episode.liveliest(recording, "pool", 12)
    total = recording.counts("pool").sum(axis=(0, 2))
    assert len(shown) == 12 and (np.diff(shown) > 0).all()
    assert total[shown].min() >= np.delete(total, shown).max()


def test_the_command_writes_the_page_and_links_it(cli: Cli, colours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "_draw", lambda *_: None)
    cli(f"train {colours} --steps 40 --run-dir r --quiet --no-plots --eval-episodes 1 -P pool_words=3")
    status, out, err = cli("inspect r --steps 50 --watch")
    assert (status, err) == (0, "") and "watch.html" in out
    assert 'href="watch.html"' in Path("r/inspection/index.html").read_text()
    assert held(Path("r/inspection/watch.html"))["n"] == 30


def test_a_video_needs_moviepy(cli: Cli, colours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cli(f"train {colours} --steps 4 --run-dir r --quiet --no-plots --eval-episodes 1 -P pool_words=3")
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "moviepy" else original(name))
    status, out, err = cli("inspect r --steps 5 --video")
    assert (status, out) == (2, "") and "pip install 'hebbit[video]'" in err and not Path("r/inspection").exists()


class Clip:
    """Stands in for moviepy, which need not be installed: asks for every image and notes how."""

    def __init__(self, image: Callable[[float], Any], duration: float) -> None:
        self.image, self.duration = image, duration

    def write_videofile(self, path: str, fps: int, **_: Any) -> None:
        images = [self.image(i / fps) for i in range(round(self.duration * fps))]
        assert {image.shape for image in images} == {(720, 1280, 3)}
        changes = [int((a != b).any()) for a, b in zip(images[1:], images, strict=False)]
        Path(path).write_text(f"{len(images)} images, {sum(changes)} changes")


def test_a_video_has_an_image_for_each_presentation(
    colours: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moviepy = types.ModuleType("moviepy")
    moviepy.VideoClip = Clip  # type: ignore[attr-defined]  # a module made for the test
    monkeypatch.setitem(sys.modules, "moviepy", moviepy)
    monkeypatch.setattr(video, "check_movie", lambda: None)
    one = episode.play(subject(colours), asked(steps=12, stochastic=True), 0, episode.Frames(60, 10**6))
    video.write_movie(one, tmp_path / "m.mp4")
    assert (tmp_path / "m.mp4").read_text() == "12 images, 11 changes"
    assert [path.name for path in tmp_path.iterdir()] == ["m.mp4"]


def test_no_spike_is_lost_in_a_low_band() -> None:
    for neuron in range(32):
        bits = np.arange(32) == neuron
        for height in (5, 18, 31, 32, 40, 64):
            rows = video.stretched(bits, height)
            assert len(rows) == height and rows.any()
            assert abs(rows.nonzero()[0].mean() / height - neuron / 32) < 1.5 / min(height, 32)
