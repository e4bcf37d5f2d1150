"""Films of a row: its best, its median and its worst episode, played once more."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from hebbit.agents.errors import HebbitError
from hebbit.scripts.bench.play import WIDTH, Episodes
from hebbit.scripts.plans.worlds import World

Env = gym.Env[Any, Any]


def chosen(episodes: Episodes) -> dict[str, int]:
    """The numbers of the best, the median and the worst episode: the first of several, the lower of two medians."""
    order = np.argsort(episodes.returns, kind="stable")
    best = int(np.argmax(episodes.returns))
    return {"best": best, "median": int(order[(len(order) - 1) // 2]), "worst": int(order[0])}


@dataclass
class Film:
    """The films of one row."""

    folder: Path
    name: str
    """Of the row."""
    episodes: Episodes
    """As they were played before."""

    def maker(self, world: World, dress: Callable[[Env], Env]) -> Callable[[], Env]:
        """Makes the environments of the second play, one after another; those of the chosen episodes film them.

        The whole row is played again, and not these episodes alone: a network may round otherwise in other company.
        """
        width = min(WIDTH, len(self.episodes.returns))
        wanted = set(chosen(self.episodes).values())
        places = iter(range(width))

        def make() -> Env:
            place = next(places)
            own = {number // width for number in wanted if number % width == place}
            if not own:
                return dress(world.make())
            env = world.make("rgb_array")
            take = str(self._take(place))
            return dress(gym.wrappers.RecordVideo(env, take, lambda number: number in own, disable_logger=True))

        return make

    def finish(self, again: Episodes) -> None:
        """Give the files their names.

        Raises:
            HebbitError: the second play went another way, so the films show something else.
        """
        width = min(WIDTH, len(self.episodes.returns))
        same = np.array_equal(again.returns, self.episodes.returns, equal_nan=True)
        films: dict[int, list[str]] = {}
        for kind, number in chosen(self.episodes).items():
            films.setdefault(number, []).append(kind)
        for number, kinds in films.items():
            if same:
                take = self._take(number % width) / f"rl-video-episode-{number // width}.mp4"
                take.rename(self.folder / f"{_slug(self.name)}-{'-'.join(kinds)}-episode-{number}.mp4")
        if not same:
            raise HebbitError("the environment does not repeat its episodes, so that they cannot be filmed")

    def clean(self) -> None:
        """Remove whatever of the second play has no name: nothing, but for its empty folders, if all went well."""
        width = min(WIDTH, len(self.episodes.returns))
        for number in chosen(self.episodes).values():
            shutil.rmtree(self._take(number % width), ignore_errors=True)

    def _take(self, place: int) -> Path:
        """The folder of one environment's films, until they have their names."""
        return self.folder / f".{_slug(self.name)}-take-{place}"


def _slug(name: str) -> str:
    """Fit for a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:120]
