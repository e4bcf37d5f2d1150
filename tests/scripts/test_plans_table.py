"""Figures of rows, and what is drawn of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.scripts.bench.play import Episodes
from hebbit.scripts.plans import picture
from hebbit.scripts.plans.plan import parse
from hebbit.scripts.plans.table import Row, Table, figures, pooled
from hebbit.scripts.plans.worlds import Ranges
from hebbit.scripts.plots import new_figure

CONDITIONS = [
    {"name": "clean"},
    {"sweep": {"lesion": [0.5, 0, 1]}},
    {"cycles": 4},
    {"sweep": {"deterministic": [True, False]}},
    {"sweep": {"attributes": {"length": [0.5]}}},
    {"sweep": {"attributes": {"length": [0.25, 1]}}, "lesion": 0.1},
]


def episodes(mean: float, number: int = 40, seed: int = 0) -> Episodes:
    """Returns around a mean."""
    returns = np.random.default_rng(seed).normal(mean, 10, number)
    return Episodes(returns, np.arange(number))


def table(*runs: tuple[str, str]) -> Table:
    """A row for each run and condition; models have no cycles."""
    plan = parse({"conditions": CONDITIONS, "episodes": 40})
    found = Table(plan, {"id": "Some-v0"}, 90.0, Ranges(np.zeros(1), np.ones(1)), [])
    for number, condition in enumerate(plan.conditions):
        for place, (run, algorithm) in enumerate(runs):
            if algorithm != "hebbit" and condition.cycles:
                found.rows.append(Row(run, None, algorithm, 0, "0f", condition, "n/a", "no cycles"))
                continue
            played = episodes(100 - 5 * number, seed=place)
            own = figures(played, 90.0, 0)
            found.rows.append(Row(run, None, algorithm, 0, "0f", condition, "ok", None, played, own))
    return found


def test_intervals_are_those_of_the_normal_distribution() -> None:
    own = figures(episodes(100, 400), 100, 1)
    half = 1.96 * own["std"] / np.sqrt(400)
    assert own["mean_low"] == pytest.approx(own["mean"] - half, abs=0.2)
    assert own["mean_high"] == pytest.approx(own["mean"] + half, abs=0.2)
    assert own["iqm_low"] < own["iqm"] < own["iqm_high"] and 0.4 < own["solved"] < 0.6
    assert figures(episodes(100, 400), 100, 1) == own


def test_figures_of_little() -> None:
    one = figures(Episodes(np.array([3.0]), np.array([7])), None, 0)
    assert (one["mean"], one["mean_low"], one["iqm_high"], one["std"]) == (3.0, 3.0, 3.0, 0.0)
    assert one["solved"] is None and one["mean_length"] == 7 and one["episodes"] == 1
    none = figures(Episodes(np.array([3.0, np.inf]), np.array([7, 8])), 1.0, 0)
    assert none["mean"] is none["iqm_low"] is None and none["mean_length"] == 7.5 and none["solved"] == 1.0


def test_several_runs_are_resampled_too() -> None:
    def rows(*means: float) -> list[Row]:
        condition = parse({"conditions": [{}]}).conditions[0]
        played = [episodes(mean, seed=3) for mean in means]
        return [Row("r", None, "hebbit", 0, "", condition, "ok", None, e, figures(e, None, 0)) for e in played]

    (mean, low, high), alone = pooled(rows(100), 0), figures(episodes(100, seed=3), None, 0)
    assert mean == alone["mean"] and high - low == pytest.approx(alone["mean_high"] - alone["mean_low"], rel=0.1)
    # between runs lies more than between the episodes of one
    mean, low, high = pooled(rows(100, 200, 300), 0)
    assert mean == pytest.approx(alone["mean"] + 100) and 140 < high - low < 200


def test_the_text_has_a_line_for_each_row_and_each_group() -> None:
    text = table(("one", "hebbit"), ("two", "hebbit"), ("ppo:m", "ppo")).text().splitlines()
    assert len(text) == 1 + 3 * 10 + 10 and text[0].split() == [
        "condition",
        "run",
        "mean",
        "95",
        "%",
        "IQM",
        "solved",
        "length",
    ]
    assert sum("hebbit, 2 runs" in line for line in text) == 10 and sum("no cycles" in line for line in text) == 1
    assert len({line.index("ppo:m") for line in text if "ppo:m" in line}) == 1


def drawn(found: Table, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The figure that would have been written."""
    figure: list[Any] = []

    def kept(*size: float) -> Any:
        figure.append(new_figure(*size))
        return figure[0]

    monkeypatch.setattr(picture, "new_figure", kept)
    monkeypatch.setattr(picture, "save_figure", lambda figure, path: figure.draw_without_rendering())
    assert picture.draw(found, Path("none"))
    return figure[0]


def test_curves_of_sweeps_and_intervals_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    found = table(("one", "hebbit"), ("two", "hebbit"), ("ppo:m", "ppo"))
    figure = drawn(found, monkeypatch)
    lesion, length, others = (axes for part in figure.subfigs for axes in part.axes)
    assert lesion.get_title(loc="left") == "lesion" and length.get_title(loc="left") == "length, lesion 0.1"
    thick = {line.get_label(): line for line in lesion.lines if line.get_marker() == "o"}
    assert list(thick) == ["hebbit, 2 runs", "PPO"]
    ours = thick["hebbit, 2 runs"]
    assert ours.get_xdata().tolist() == [0, 0.5, 1]
    # 0.5 was played first
    means = [np.mean([r.figures["mean"] for r in found.rows if r.condition.name == f"lesion {x}" and r.figures
                      and r.algorithm == "hebbit"]) for x in ("0", "0.5", "1")]  # fmt: skip
    assert np.allclose(ours.get_ydata(), means) and means[1] > means[0]
    assert len(lesion.lines) == 2 + 3 + 1 and length.lines[0].get_xdata().tolist() == [0.25, 1]
    names = [label.get_text() for label in others.get_yticklabels()]
    assert names == ["clean", "cycles 4", "greedy", "stochastic", "length 0.5"]
    assert [text.get_text().strip() for text in others.texts] == ["PPO: n/a"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(legend) == ["PPO", "hebbit, 2 runs", "solved: 90"]


def test_what_is_not_finite_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = table(("one", "hebbit"), ("ppo:m", "ppo"))
    row = found.rows[0]
    assert row.condition.name == "clean" and row.algorithm == "hebbit"
    broken = Episodes(np.full(40, np.nan), np.arange(40))
    found.rows[0] = replace(row, episodes=broken, figures=figures(broken, 90.0, 0))
    others = drawn(found, monkeypatch).subfigs[-1].axes[0]
    assert [text.get_text().strip() for text in others.texts] == ["hebbit: a return is not finite", "PPO: n/a"]


def test_nothing_to_draw() -> None:
    found = table(("one", "hebbit"))
    found.rows = []
    assert not picture.draw(found, Path("none"))
