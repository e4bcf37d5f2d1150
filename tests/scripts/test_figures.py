"""The documentation's figures can be drawn, and its table says what the code says."""

import dataclasses
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from hebbit.agents.config import AgentConfig
from hebbit.agents.errors import HebbitError
from hebbit.scripts import figures, figures_brain, figures_rule, hyperparameters

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(figures.DRAWERS))
def test_every_figure_can_be_drawn(name: str, tmp_path: Path) -> None:
    assert figures.command([name, "--quick", "--out", str(tmp_path)]) == 0
    picture = matplotlib.image.imread(tmp_path / f"{name}.png")
    # as wide as a README shows it, and not empty
    assert picture.shape[1] == 1080
    assert np.ptp(picture[..., :3]) > 0.5


def test_the_pictures_of_a_run_are_the_command_lines(tmp_path: Path) -> None:
    figures.draw(figures.OF_A_RUN, tmp_path / "new", quick=True)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"learning_curve.png", "raster.png"}


def test_a_figure_draws_the_same_bytes_again(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        figures.draw(["tuning"], tmp_path / folder)
    assert (tmp_path / "a" / "tuning.png").read_bytes() == (tmp_path / "b" / "tuning.png").read_bytes()


def test_an_unknown_figure_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        figures.command(["portrait", "--out", str(tmp_path)])
    assert "there is no figure 'portrait'; there are tuning" in capsys.readouterr().err


# hebbit evaluate --plan and hebbit inspect draw these, from the runs that their pages describe
OF_RUNS = {
    "tune_population",
    "evaluation",
    "resident_rate",
    *(f"inspect_{name}" for name in ("fields", "preferred", "value", "watch", "weights")),
}


def test_documents_show_every_figure_and_no_other() -> None:
    shown = {
        name
        for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md")
        for name in re.findall(r"\]\((?:docs/)?figures/(\w+)\.png\)", page.read_text(encoding="utf-8"))
    }
    assert shown == set(figures.NAMES) | OF_RUNS
    assert {path.stem for path in (DOCS / "figures").glob("*.png")} == shown


def test_the_phase_code_counts_half_the_intensity_rounded_up() -> None:
    # the claim below the figure
    assert sorted(figures_brain.phase_thresholds()) == [1, 3, 5, 7, 9, 11, 13, 15]


def test_a_place_cell_fires_in_one_place() -> None:
    counts = figures_brain.coincidences(16, 1)
    assert counts.shape == (16, 16, 32)
    reached = (counts > 0).mean(axis=(0, 1))
    assert (reached > 0).all() and (reached < 0.15).all()


def test_more_spikes_help_the_share_and_hurt_plain_spikes() -> None:
    # the claim below the figure
    noise = []
    for cycles, quieter in (figures_rule.VOLLEYS[0], figures_rule.VOLLEYS[-1]):
        chances = np.array(figures_rule.UNIT_CHANCES, np.int32) // quieter
        found = figures_rule.estimates(chances, cycles, 1000)
        noise.append([figures_rule.signal_to_noise(estimate) for estimate in found.values()])
    (exact, few_share, _, few_plain), (_, many_share, second, many_plain) = noise
    assert few_share < many_share == pytest.approx(exact, rel=0.15)
    assert many_plain < few_plain < few_share
    assert many_plain < second < many_share


def test_weights_change_as_expected() -> None:
    expected = np.array([1 / 8, 1.0, 8.0])
    assert figures_rule.mean_changes(expected, 15, 10) == pytest.approx(expected * 15 / 16, rel=0.05)


def test_the_table_of_hyperparameters_is_up_to_date() -> None:
    text = (DOCS / "rule.md").read_text(encoding="utf-8")
    assert hyperparameters.updated(text) == text, "run: python -m hebbit.scripts.hyperparameters docs/rule.md"


def test_every_hyperparameter_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert hyperparameters.command([]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [field.name for field in dataclasses.fields(AgentConfig)]
    assert set(hyperparameters.descriptions()) >= {field.name for field in dataclasses.fields(AgentConfig)}


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(HebbitError, match="must have the lines"):
        hyperparameters.updated("# nothing here\n")
