"""An episode as a video: environment, spikes, value and TD error side by side."""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.files import replacing
from hebbit.backends.spec import LANES
from hebbit.scripts.look.episode import Episode
from hebbit.scripts.look.filming import check_movie
from hebbit.scripts.plots import BLUE, DPI, GREEN, INK, PALE, VERMILION, new_figure, tidy

WIDTH, HEIGHT = 1280, 720
RATE = 15
"""Presentations a second."""
SHOWN = 8
"""Presentations of the raster."""
PICTURE = (20, 70, 500, 450)
"""Left, top, right and bottom of the environment, in pixels ..."""
RASTER = (600, 70, 1260, 500)
CURVES = (0, 505, WIDTH, HEIGHT)
BAND_GAP, KIND_GAP = 4, 14

Image = NDArray[np.uint8]


def write_movie(episode: Episode, path: Path) -> None:
    """Write an mp4, whole or not at all, one image for each presentation."""
    check_movie()
    from moviepy import VideoClip

    film, last = Film(episode), len(episode.recording) - 1

    def image(seconds: float) -> Image:
        return film.image(min(last, round(seconds * RATE)))

    clip = VideoClip(image, duration=(last + 1) / RATE)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / path.name
        clip.write_videofile(str(whole), fps=RATE, codec="libx264", audio=False, logger=None)
        with open(whole, "rb") as source, replacing(path, what="video") as file:
            shutil.copyfileobj(source, file)


class Film:
    """Draws one image after the other over what never changes."""

    def __init__(self, episode: Episode) -> None:
        """Draw the curves once."""
        from matplotlib import font_manager
        from PIL import ImageFont

        self.episode = episode
        font = font_manager.findfont("DejaVu Sans")
        self.large, self.plain = ImageFont.truetype(font, 24), ImageFont.truetype(font, 16)
        self.curves, self.places, self.span = _curves(episode)
        self.bands = _bands(episode)

    def image(self, now: int) -> Image:
        """The image of a presentation: uint8 [720, 1280, 3]."""
        from PIL import Image as pillow
        from PIL import ImageDraw

        canvas = pillow.new("RGB", (WIDTH, HEIGHT), "white")
        draw = ImageDraw.Draw(canvas)
        draw.text((20, 14), self.episode.title, font=self.large, fill=INK)
        draw.text((20, 44), self.episode.about, font=self.plain, fill="#666666")
        self._picture(canvas, draw, now)
        canvas.paste(pillow.fromarray(self._raster(now)), RASTER[:2])
        self._labels(draw, now)
        canvas.paste(self.curves, CURVES[:2])
        x = CURVES[0] + round(float(self.places[now]))
        draw.line([(x, CURVES[1] + self.span[0]), (x, CURVES[1] + self.span[1])], fill=INK, width=2)
        return np.asarray(canvas)

    def _picture(self, canvas: Any, draw: Any, now: int) -> None:
        """The environment, and what came of it in figures."""
        from PIL import Image as pillow

        frames, left, top, right, bottom = self.episode.frames, *PICTURE
        if frames.coded and frames.problem is None:
            picture = pillow.open(io.BytesIO(frames.coded[now // frames.stride])).convert("RGB")
            factor = min((right - left) / picture.width, (bottom - top) / picture.height)
            picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
            canvas.paste(picture, (left, top))
        else:
            draw.text((left, top), "no pictures of the environment", font=self.plain, fill=INK)
        recording = self.episode.recording
        value, td = (array[now].mean() / recording.unit for array in (recording.value, recording.td))
        facts = f"{now}   action {self.episode.actions[now]}   reward {recording.reward[now]:.3g}"
        draw.text((left, 458), facts, font=self.plain, fill=INK)
        draw.text((left, 480), f"value {value:.2f}   TD error {td:+.2f}", font=self.plain, fill=INK)

    def _raster(self, now: int) -> Image:
        """Spikes of the latest presentations, the present one on the right."""
        recording, (left, top, right, bottom) = self.episode.recording, RASTER
        image = np.full((bottom - top, right - left, 3), 255, np.uint8)
        cycles = recording.pool.shape[1]
        cell = (right - left) / (SHOWN * cycles)
        image[:, round((right - left) * (1 - 1 / SHOWN)) :] = np.array([250, 244, 208])
        for kind, word, colour, first, height in self.bands:
            for back in range(min(SHOWN, now + 1)):
                start = (SHOWN - 1 - back) * cycles * cell
                cells = self._word(kind, word, now - back)
                for cycle in range(cycles):
                    x, y = round(start + cycle * cell) + 1, round(start + (cycle + 1) * cell)
                    image[first : first + height, x:y][stretched(cells[cycle], height)] = colour
        for part in range(SHOWN):
            image[:, round(part * cycles * cell)] = np.array([221, 221, 221])
        return image

    def _word(self, kind: str, word: int, t: int) -> NDArray[np.bool_]:
        """Spikes of a word in each cycle [C, 32]; of a motor unit that draws none, a bar as high as its chance."""
        recording = self.episode.recording
        words = getattr(recording, kind)[t, :, word]
        if kind == "motor" and self.episode.deterministic:
            bar = np.arange(LANES) >= LANES * (1 - recording.chances[t, word] / 256)
            return np.broadcast_to(bar, (len(words), LANES))
        bits = words[:, None] >> np.arange(LANES, dtype=np.uint32) & np.uint32(1)
        fired: NDArray[np.bool_] = bits.astype(np.bool_)
        return fired

    def _labels(self, draw: Any, now: int) -> None:
        """Names of the words, and a frame around each unit that acts."""
        recording, (left, top, right, _) = self.episode.recording, RASTER
        starts = np.concatenate([[0], np.cumsum(recording.groups)[:-1]])
        part = (right - left) / SHOWN
        kinds: set[str] = set()
        for kind, word, _, first, height in self.bands:
            if height >= 10:
                draw.text((left - 8, top + first + height / 2), str(word), font=self.plain, fill="#666666", anchor="rm")
            if kind not in kinds:
                kinds.add(kind)
                draw.text((left - 36, top + first), kind, font=self.plain, fill=INK, anchor="ra")
            for back in range(min(SHOWN, now + 1)):
                if kind == "motor" and word in recording.units[now - back] + starts:
                    x = left + (SHOWN - 1 - back) * part
                    draw.rectangle((x, top + first - 2, x + part - 1, top + first + height + 1), outline=INK, width=2)


def stretched(bits: NDArray[np.bool_], height: int) -> NDArray[np.bool_]:
    """Spikes of 32 neurons as rows of pixels; of fewer rows than neurons, each shows whether any of its own fired."""
    if height >= len(bits):
        return bits[np.arange(height) * len(bits) // height]
    rows = np.zeros(height, np.bool_)
    rows[np.flatnonzero(bits) * height // len(bits)] = True
    return rows


def _colour(name: str) -> Image:
    return np.array([int(name[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)


def _bands(episode: Episode) -> list[tuple[str, int, Image, int, int]]:
    """Kind, word, colour, first row and height of each band of the raster."""
    colours = {"sensory": _colour(BLUE), "pool": _colour(GREEN), "motor": _colour(VERMILION)}
    kinds = [kind for kind, words in episode.words.items() if len(words)]
    number = sum(len(episode.words[kind]) for kind in kinds)
    room = RASTER[3] - RASTER[1] - KIND_GAP * (len(kinds) - 1) - BAND_GAP * number
    height, top, found = min(48, room // number), 2, []
    for kind in kinds:
        for word in episode.words[kind].tolist():
            found.append((kind, word, colours[kind], top, height))
            top += height + BAND_GAP
        top += KIND_GAP
    return found


def _curves(episode: Episode) -> tuple[Any, NDArray[np.float64], tuple[int, int]]:
    """Value and TD error as an image; the column of each presentation, and the rows that a cursor crosses."""
    from PIL import Image as pillow

    recording, time = episode.recording, np.arange(len(episode.recording))
    width, height = CURVES[2] - CURVES[0], CURVES[3] - CURVES[1]
    figure = new_figure(width / DPI, height / DPI)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.plot(time, recording.value.mean(axis=1) / recording.unit, color=BLUE, linewidth=1.4)
    below.vlines(time, 0, recording.td.mean(axis=1) / recording.unit, color=VERMILION, linewidth=1.2)
    below.axhline(0, color=PALE, linewidth=0.6)
    for axes, name in ((above, "value"), (below, "TD error")):
        tidy(axes)
        axes.tick_params(labelsize=7)
        axes.set_ylabel(name, color=INK, fontsize=8)
    below.set_xlim(-0.5, len(time) - 0.5)
    figure.align_ylabels()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    places = below.transData.transform(np.column_stack([time, np.zeros(len(time))]))[:, 0]
    top, low = height - above.get_window_extent().y1, height - below.get_window_extent().y0
    image = pillow.open(buffer).convert("RGB").resize((width, height))
    return image, places, (round(top), round(low))
