"""How algorithms look in every picture and table: the same everywhere, and told apart by more than colour."""

from collections.abc import Sequence
from dataclasses import dataclass

from hebbit.scripts.bench.baselines import NAMES
from hebbit.scripts.bench.rows import OURS
from hebbit.scripts.plots import BLUE, GREEN, INK, PALE, SKY, VERMILION

PURPLE, GREY, ORANGE = "#CC79A7", "#777777", "#E69F00"
"""More of Okabe and Ito's colours, and a grey."""

DARK = {
    VERMILION: "#FF8A3D",
    BLUE: "#4FA8E8",
    GREEN: "#2CC79B",
    SKY: "#9AD7FB",
    PURPLE: "#E5A3C6",
    GREY: "#A9A9A9",
    ORANGE: "#F2C14E",
    INK: "#D7DBDF",
    PALE: "#3A4148",
}
"""What a colour becomes on a dark page."""

Dash = tuple[float, tuple[float, ...]]
_BASELINES: dict[str, tuple[str, str, Dash]] = {
    "ppo": (BLUE, "s", (0, ())),
    "a2c": (SKY, "^", (0, (5, 1.5))),
    "dqn": (GREEN, "D", (0, (3, 1, 1, 1))),
    "qrdqn": (PURPLE, "v", (0, (1, 1))),
    "ars": (GREY, "P", (0, (7, 2))),
}
_SPARE: tuple[str, str, Dash] = (ORANGE, "X", (0, (2, 2)))


@dataclass(frozen=True)
class Look:
    """Of an algorithm."""

    name: str
    """As it is written."""
    colour: str
    marker: str
    dash: Dash
    ours: bool

    @property
    def width(self) -> float:
        """Of its lines, in points."""
        return 2.6 if self.ours else 1.5

    @property
    def order(self) -> int:
        """Ours lies on top."""
        return 5 if self.ours else 3


def looks(algorithms: Sequence[str]) -> dict[str, Look]:
    """The look of each algorithm. Those with a place of their own have it in every report."""
    spare = [_SPARE, *[style for name, style in _BASELINES.items() if name not in algorithms]]
    others = [name for name in algorithms if name != OURS and name not in _BASELINES]
    found: dict[str, Look] = {}
    for name in algorithms:
        if name == OURS:
            found[name] = Look(NAMES.get(name, name), VERMILION, "o", (0, ()), True)
            continue
        style = _BASELINES[name] if name in _BASELINES else spare[others.index(name) % len(spare)]
        found[name] = Look(NAMES.get(name, name), *style, False)
    return found
