"""One episode to be watched: what was seen, what the brain did, and pictures of the environment."""

import argparse
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from hebbit.agents.recording import BrainRecorder, Recording
from hebbit.backends.spec import LANES
from hebbit.scripts.evaluate import Subject
from hebbit.scripts.look.filming import no_picture, rendering
from hebbit.scripts.look.folder import VIDEO, WATCH

WATCHED = 1000
"""Most presentations of the episode."""
PAGE_WIDTH, PAGE_BYTES = 360, 2_500_000
"""Of a picture in pixels, and of all pictures of a page."""
VIDEO_WIDTH, VIDEO_BYTES = 560, 64_000_000
MOST_WORDS = {"sensory": 8, "pool": 12, "motor": 8}
"""Words whose spikes are shown: the liveliest."""
COLOURS = 64

Image = NDArray[np.uint8]


@dataclass
class Frames:
    """Pictures of an environment in bounded memory: too many, and every second one goes."""

    width: int
    budget: int
    """Bytes of all together."""
    stride: int = 1
    """Presentations from one picture to the next."""
    coded: list[bytes] = field(default_factory=list)
    """PNG or JPEG, whichever is smaller."""
    taken: int = 0
    """Presentations so far."""
    problem: str | None = None
    """Why there are no pictures."""

    def take(self, env: gym.Env[Any, Any]) -> None:
        """Take a picture, if it is time for one."""
        if self.problem is None and self.taken % self.stride == 0:
            picture: Any = env.render()
            self.problem = no_picture(picture)
            if self.problem is None:
                self.coded.append(shrunk(picture[..., :3].astype(np.uint8), self.width))
        self.taken += 1
        while sum(map(len, self.coded)) > self.budget and len(self.coded) > 1:
            self.coded = self.coded[::2]
            self.stride *= 2


def shrunk(picture: Image, width: int) -> bytes:
    """A picture of at most this width as PNG of few colours or as JPEG, whichever is smaller."""
    from PIL import Image as pillow

    image = pillow.fromarray(picture)
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), pillow.Resampling.LANCZOS)
    flat, photo = io.BytesIO(), io.BytesIO()
    image.quantize(COLOURS, dither=pillow.Dither.NONE).save(flat, "PNG", optimize=True)
    image.save(photo, "JPEG", quality=80)
    return min(flat.getvalue(), photo.getvalue(), key=len)


@dataclass(frozen=True)
class Episode:
    """What there is to be seen."""

    title: str
    about: str
    recording: Recording
    actions: list[str]
    """As the environment takes them, by presentation."""
    deterministic: bool
    words: dict[str, NDArray[np.intp]]
    """Those that are shown, by kind."""
    frames: Frames

    @property
    def note(self) -> str:
        """What is missing, for the reader."""
        return "" if self.frames.problem is None else f"No pictures of the environment: {self.frames.problem}."


def film(subject: Subject, arguments: argparse.Namespace, seed: int, out: Path) -> None:
    """Play one episode for each of the page and the video that are asked for, and write them."""
    if arguments.watch:
        from hebbit.scripts.look.watch import write_page

        episode = play(subject, arguments, seed, Frames(PAGE_WIDTH, PAGE_BYTES))
        write_page(episode, out / WATCH)
    if arguments.video:
        from hebbit.scripts.look.video import write_movie

        episode = play(subject, arguments, seed, Frames(VIDEO_WIDTH, VIDEO_BYTES))
        write_movie(episode, out / VIDEO)
    if episode.note:
        print(episode.note)


def play(subject: Subject, arguments: argparse.Namespace, seed: int, frames: Frames) -> Episode:
    """The first episode of the play, with pictures where the environment gives some."""
    agent, deterministic = subject.agent, not arguments.stochastic
    env, frames.problem = rendering(subject.spec)
    recorder = BrainRecorder(agent, min(arguments.steps, WATCHED))
    try:
        recording = recorder.play(
            env, recorder.tape.capacity, episodes=1, deterministic=deterministic, seed=seed, on_step=frames.take
        )
    finally:
        env.close()
    total = np.nansum(recording.reward)
    brain = f", brain {agent.brains[agent.active]}" if len(agent.brains) > 1 else ""
    how = "the strongest unit acts" if deterministic else "actions are drawn from the spikes"
    about = f"seed {seed}{brain}, {agent.num_timesteps:,} steps of training; {how}; return {total:,.6g}"
    actions = [" ".join(f"{number:.4g}" for number in row.tolist()) for row in recording.action]
    words = {kind: liveliest(recording, kind, most) for kind, most in MOST_WORDS.items()}
    return Episode(subject.spec.id, about, recording, actions, deterministic, words, frames)


def liveliest(recording: Recording, kind: str, most: int) -> NDArray[np.intp]:
    """Words of a kind with most spikes, in their order; of the motor units those chosen most if none fire."""
    total = recording.counts(kind).sum(axis=(0, 2), dtype=np.int64)
    if kind == "motor":
        total = recording.chances.sum(axis=0, dtype=np.int64) * LANES
    return np.sort(np.argsort(-total, kind="stable")[:most])
