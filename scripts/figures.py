"""Draw the figures of the documentation, each from the code that it explains.

``python -m hebbit.scripts.figures --out docs/figures`` draws all of them, names after it some of them.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hebbit.scripts import figures_brain, figures_gpu, figures_rule, main
from hebbit.scripts.plots import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWERS: dict[str, Callable[[bool], "Figure"]] = {
    "tuning": figures_brain.tuning,
    "phase": figures_brain.phase,
    "wiring": figures_brain.wiring,
    "place_cells": figures_brain.place_cells,
    "excitement": figures_brain.excitement,
    "volley": figures_brain.volley,
    "traces": figures_rule.traces,
    "estimator": figures_rule.estimator,
    "weight_change": figures_rule.weight_change,
    "gpu_layout": figures_gpu.gpu_layout,
}
"""Figures by name; True draws them roughly and at once."""
OF_A_RUN = ("learning_curve", "raster")
"""Pictures that ``hebbit train`` leaves in a run's folder."""
NAMES = (*DRAWERS, *OF_A_RUN)
OF_README = "--steps 30000 --eval-freq 5000"
"""The brain of ``make demo``, evaluated now and then, which changes nothing."""
QUICKLY = "--steps 300 --eval-episodes 1 -P pool_words=4"


def draw_run(names: Sequence[str], out: Path, quick: bool) -> None:
    """Train the brain that the README shows and take the pictures of its run.

    Raises:
        RuntimeError: the run failed; why is on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        flags = QUICKLY if quick else OF_README
        if main(["train", "CartPole-v1", "--seed", "0", "--run-dir", str(run), "--quiet", *flags.split()]):
            raise RuntimeError("the run for the pictures failed; what it said stands above")
        for name in names:
            shutil.copyfile(run / f"{name}.png", out / f"{name}.png")


def draw(names: Sequence[str], out: Path, quick: bool = False) -> None:
    """Draw some figures into a folder, as PNG.

    Args:
        names: of NAMES.
        out: made if it is not there.
        quick: few draws, coarse grids: to see that everything can be drawn.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in DRAWERS:
            save_figure(DRAWERS[name](quick), out / f"{name}.png")
    pictures = [name for name in names if name in OF_A_RUN]
    if pictures:
        draw_run(pictures, out, quick)


def command(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status."""
    parser = argparse.ArgumentParser(prog="python -m hebbit.scripts.figures", description="Draw the docs' figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), metavar="DIR", help="(default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few draws and coarse grids")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no figure {unknown[0]!r}; there are {', '.join(NAMES)}")
    draw(arguments.names or NAMES, arguments.out, arguments.quick)
    return 0


if __name__ == "__main__":
    sys.exit(command())
