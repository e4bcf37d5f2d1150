"""What all pictures of a report share: a canvas, axes, legends, and drawings as PNG and SVG."""

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts.bench.report_document import Picture
from hebbit.scripts.bench.report_style import Look
from hebbit.scripts.plots import INK, PALE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

WIDTH, HEIGHT = 4.6, 3.3
"""Inches: beside each other on a desk, one below the other on a phone."""
WIDE = 5.2
"""Inches, of pictures that stand alone: more would leave the letters too small on a phone."""
GOLDEN = 0.618034
SPREAD = 5.0
"""Budgets that differ by more than this factor are drawn on a logarithmic axis."""


def canvas(width: float = WIDTH, height: float = HEIGHT) -> "tuple[Figure, Axes]":
    """A figure with one pair of axes."""
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    tidy(axes)
    axes.tick_params(labelsize=10)
    return figure, axes


def label(axes: "Axes", title: str, x: str, y: str = "") -> None:
    """Title and axes."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x, color=INK, fontsize=10)
    if y:
        axes.set_ylabel(y, color=INK, fontsize=10)


def rows(axes: "Axes", names: Iterable[str]) -> None:
    """One row for each name, the first on top, with lines across."""
    texts = list(names)
    axes.set_yticks(range(len(texts)), texts)
    axes.set_ylim(len(texts) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def legend(figure: "Figure", columns: int = 3) -> None:
    """Below the axes."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        columns = len(labels) if len(labels) <= 4 else columns
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9.5,
            labelcolor=INK, columnspacing=1.2, handlelength=2.2, handletextpad=0.5,
        )  # fmt: skip


def curve(axes: "Axes", look: Look, x: F64, value: F64, low: F64, high: F64) -> None:
    """A line and its band."""
    every = max(1, len(x) // 6)
    axes.plot(
        x, value, color=look.colour, linewidth=look.width, linestyle=look.dash, zorder=look.order, label=look.name,
        marker=look.marker, markersize=5, markevery=every, markeredgewidth=0,
    )  # fmt: skip
    axes.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0, zorder=look.order - 1)


def logarithmic(extents: Iterable[float]) -> bool:
    """Whether axes of these extents are better logarithmic."""
    known = [extent for extent in extents if extent > 0]
    return len(known) > 1 and max(known) > SPREAD * min(known)


def plain_ticks(axes: "Axes") -> None:
    """Figures with separators on the horizontal axis, short ones."""
    axes.xaxis.set_major_formatter(lambda x, _: short(x))


def plain_log(axes: "Axes", low: float, high: float) -> None:
    """A logarithmic horizontal axis with at least two figures on it."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 1000 * low else (1.0, 3.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    plain_ticks(axes)


def short(x: float) -> str:
    """A tick: 30 k rather than 30000."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(x) >= size:
            return f"{x / size:g}{unit}"
    return f"{x:g}"


def jitter(count: int, width: float) -> F64:
    """Offsets that keep dots apart, within the width, the same on every call."""
    offsets = np.arange(count) * GOLDEN % 1
    return np.asarray((offsets - offsets.mean()) * width, np.float64)


def picture(figure: "Figure", name: str, alt: str, caption: str, wide: bool = False) -> Picture:
    """Draw a figure, as PNG and as SVG; equal figures give equal bytes."""
    import matplotlib

    def draw(kind: str, **keywords: object) -> bytes:
        file = io.BytesIO()
        save: Callable[..., None] = figure.savefig
        save(file, format=kind, **keywords)
        return file.getvalue()

    png = draw("png", metadata={"Software": "hebbit"})
    # laid out once: the second drawing is of the same places
    figure.set_layout_engine("none")
    # letters as shapes: whoever reads it need not have the font
    with matplotlib.rc_context({"svg.hashsalt": "hebbit", "svg.fonttype": "path"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        svg = draw("svg", metadata=nothing, transparent=True).decode()
    return Picture(name, alt, caption, png, svg, wide)
