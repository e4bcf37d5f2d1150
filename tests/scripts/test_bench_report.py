"""The report of a benchmark: its figures are those of the result files, and nothing is missing or made nicer."""

import json
import math
import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hebbit.scripts import main
from hebbit.scripts.bench import report_html, report_markdown
from hebbit.scripts.bench.report_style import DARK, looks
from tests.scripts.bench_results import TASKS, Made, plain, table, text_of

FAILED = {("CartPole-v1", "dqn", 1001): "crashed", ("Breakout", "ppo", 1002): "timed out"}
FAILED |= {("Breakout", "dqn", seed): "missing" for seed in (1000, 1001)}
MADE = Made(tasks=("CartPole-v1", "Breakout"), seeds=(1000, 1001, 1002, 1003, 1004), failed=FAILED)
NAMES = {"hebbit": "hebbit", "ppo": "PPO", "dqn": "DQN"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with a report, all pictures drawn."""
    path = MADE.write(tmp_path_factory.mktemp("results") / "a b")
    assert main(["report", str(path), "--repetitions", "300"]) == 0
    return path


def raw(folder: Path, task: str, algorithm: str) -> list[dict[str, Any]]:
    """Result files of finished runs."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"runs/{task}/{algorithm}-*.json"))]
    return [row for row in found if row["status"] == "done"]


def finals(folder: Path, task: str, algorithm: str, kind: str = "greedy") -> list[float]:
    return [float(np.mean(row["final"][kind]["returns"])) for row in raw(folder, task, algorithm)]


def iqm(values: list[float]) -> float:
    return float(stats.trim_mean(values, 0.25))


def value(cell: str) -> float:
    """The first figure of a cell."""
    return float(cell.split()[0].replace(",", "").strip("†"))


@pytest.mark.parametrize("task", ["CartPole-v1", "Breakout"])
def test_returns_are_those_of_the_files(folder: Path, task: str) -> None:
    found = table(folder, f"{task}: returns")
    assert [row["algorithm"] for row in found] == list(NAMES.values())
    for row, algorithm in zip(found, NAMES, strict=True):
        for kind in ("greedy", "stochastic"):
            cell = row[f"{kind} return"]
            exact = iqm(finals(folder, task, algorithm, kind))
            assert value(cell) == pytest.approx(exact, abs=0.051)
            low, high = map(float, cell[cell.index("[") + 1 : -1].split(", "))
            assert low <= exact + 0.051 and exact - 0.051 <= high and low < high


def test_failed_and_missing_runs_are_counted_and_listed(folder: Path) -> None:
    counts = {row["algorithm"]: row["seeds done / failed / missing"] for row in table(folder, "Breakout: returns")}
    assert counts == {"hebbit": "5 / 0 / 0", "PPO": "4 / 1 / 0", "DQN": "3 / 0 / 2"}
    found = [tuple(row.values()) for row in table(folder, "Runs that are not finished")]
    assert found == [
        ("DQN", "CartPole-v1", "1001", "crashed", "ValueError: crashed <b>|</b> with seed 1001"),
        ("PPO", "Breakout", "1002", "timed out", "ValueError: timed out <b>|</b> with seed 1002"),
        ("DQN", "Breakout", "1000-1001", "missing", "there is no file of it"),
    ]
    assert "Of 30 runs, 26 finished, 2 failed and 2 are missing." in text_of(folder)


def shared(folder: Path, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Points of a curve that every algorithm has which learns for that long."""
    others = [raw(folder, "CartPole-v1", name)[0]["curve"] for name in NAMES]
    steps = [[p["steps"] for p in other] for other in others]
    return [p for p in run["curve"] if all(p["steps"] in own or p["steps"] > own[-1] for own in steps)]


def test_thresholds_are_reached_where_the_files_say(folder: Path) -> None:
    own = float("nan")
    for row, algorithm in zip(table(folder, "CartPole-v1: returns"), NAMES, strict=True):
        runs, threshold = raw(folder, "CartPole-v1", algorithm), 475.0
        first = [next((p for p in shared(folder, run) if np.mean(p["greedy"]) >= threshold), None) for run in runs]
        solved = sum(mean >= threshold for mean in finals(folder, "CartPole-v1", algorithm))
        assert row["solved"].startswith(f"{solved} of {len(runs)} [")
        arrived = [point for point in first if point is not None]
        assert row["steps to threshold"].endswith(f" {len(arrived)} of {len(runs)} did")
        for column, axis in (("steps", "steps"), ("seconds", "seconds"), ("CPU seconds", "cpu_seconds")):
            median = float(np.median([np.inf if point is None else point[axis] for point in first]))
            cell = row[f"{column} to threshold"].split()[0]
            assert cell == "never" if math.isinf(median) else value(cell) == pytest.approx(median, rel=0.01)
        own = median if algorithm == "hebbit" else own
        multiple = row["CPU seconds, times hebbit's"]
        assert (
            multiple == "-" if math.isinf(median / own) else value(multiple) == pytest.approx(median / own, abs=0.051)
        )
    assert math.isfinite(own)


def test_tasks_without_a_threshold_have_no_such_columns(folder: Path) -> None:
    assert list(table(folder, "Breakout: returns")[0])[-1] == "stochastic return"
    assert "there is no threshold" in text_of(folder)


def test_the_same_number_of_steps(folder: Path) -> None:
    found = table(folder, "CartPole-v1: at the same number of steps, 30,000")
    for row, algorithm in zip(found, NAMES, strict=True):
        within = [
            [p for p in run["curve"] if p["steps"] <= 30_000][-1] for run in raw(folder, "CartPole-v1", algorithm)
        ]
        assert within[0] in shared(folder, raw(folder, "CartPole-v1", algorithm)[0])
        assert value(row["checkpoint at"]) == within[0]["steps"]
        assert value(row["greedy return"]) == pytest.approx(iqm([np.mean(p["greedy"]) for p in within]), abs=0.051)
    assert [value(row["checkpoint at"]) for row in found] == [30_000, 30_000, 30_000]


def test_normalised_scores(folder: Path) -> None:
    for row, algorithm in zip(table(folder, "Normalised final greedy scores over 2 tasks"), NAMES, strict=True):
        scores = []
        for task in MADE.tasks:
            low, high = TASKS[task]["score_low"], TASKS[task]["score_high"]
            scores.append([(x - low) / (high - low) for x in finals(folder, task, algorithm)])
        means = [np.mean(one) for one in scores]
        gap = np.mean([np.mean([1 - min(x, 1) for x in one]) for one in scores])
        exact = (iqm([x for one in scores for x in one]), np.mean(means), np.median(means), gap)
        cells = [value(row[name]) for name in ("interquartile mean", "mean", "median", "optimality gap")]
        assert cells == pytest.approx(exact, abs=0.0051)
        assert row["runs"] == str(sum(map(len, scores)))
    assert "2 tasks are few" in text_of(folder)


def test_who_beats_whom(folder: Path) -> None:
    found = {row["task"]: row for row in table(folder, "Chance that a run of hebbit")}
    for algorithm, name in list(NAMES.items())[1:]:
        chances = []
        for task in MADE.tasks:
            own, other = (finals(folder, task, one) for one in ("hebbit", algorithm))
            chances.append(stats.mannwhitneyu(own, other).statistic / (len(own) * len(other)))
            assert value(found[task][name]) == pytest.approx(chances[-1], abs=0.0051)
        assert value(found["average"][name]) == pytest.approx(np.mean(chances), abs=0.0051)
    assert found["average"]["DQN"].startswith("1.00 ahead") and found["average"]["PPO"].split()[1] == "open"
    assert "hebbit is ahead, and so it is on each of these tasks" in text_of(folder)
    assert "too close, or too few runs, to say who is better" in text_of(folder)


def test_costs_and_energy(folder: Path) -> None:
    training, answering = table(folder, "Training: medians"), table(folder, "Answering: medians")
    assert len(training) == len(answering) == 6
    for row, answer in zip(training, answering, strict=True):
        algorithm = next(key for key, name in NAMES.items() if name == row["algorithm"])
        costs = [run["cost"] for run in raw(folder, row["task"], algorithm)]
        assert value(row["CPU seconds"]) == pytest.approx(np.median([c["cpu_seconds"] for c in costs]), rel=0.01)
        assert row["peak memory"] == ("219 MiB" if algorithm == "hebbit" else "458 MiB")
        operations = [c["operations"] for c in costs]
        spiking = algorithm == "hebbit"
        picojoules = [o["synaptic_per_action"] * 0.03 if spiking else o["macs_per_action"] * 4.6 for o in operations]
        number, unit = answer["energy an action, estimated"].split()
        scale = {"pJ": 1, "nJ": 1e3}[unit]
        assert float(number) * scale == pytest.approx(np.median(picojoules), rel=0.01)
        assert value(answer["microseconds an answer"]) == pytest.approx(8.1 if spiking else 190)
        assert answer["spikes an action"] == ("2,900" if spiking else "-")
    for words in ("Horowitz", "not a measurement", "access to memory", "neuron updates"):
        assert words in text_of(folder)


def test_settings_versions_and_machines_are_stated(folder: Path) -> None:
    assert [tuple(row.values()) for row in table(folder, "PPO on each task")] == [
        ("all", "gamma", "0.99"),
        ("all", "net_arch", "[64, 64]"),
    ]
    origins = {row["what"]: row["value"] for row in table(folder, "Versions, machines and calls")}
    assert origins["version of hebbit"] == "0.1.0" and origins["commit of hebbit"] == "0123abcd"
    assert origins["machine 1"] == "A processor of this test, 2 cores: 28 runs"
    assert origins["first and last run finished"] == "2026-11-22 13:40 UTC and 2026-11-22 13:44 UTC"


def test_every_run_is_linked(folder: Path) -> None:
    links = re.findall(r"\[JSON\]\(([^)]*)\)", text_of(folder))
    assert len(links) == 28
    assert {(folder / urllib.parse.unquote(link)).resolve() for link in links} == set(folder.glob("runs/*/*.json"))
    assert len(table(folder, "Every run and its file")) == 30


def test_pictures_lie_beside_the_markdown(folder: Path) -> None:
    from matplotlib.image import imread

    named = re.findall(r'<img src="(figures/[^"]*)" alt="([^"]{30,})"', text_of(folder))
    assert sorted(name for name, _ in named) == sorted(f"figures/{path.name}" for path in folder.glob("figures/*"))
    kinds = ("steps", "cpu_seconds", "seeds")
    expected = {f"{kind}_{task}" for kind in kinds for task in MADE.tasks} | {"profiles_2_tasks", "improvement"}
    expected |= {f"cost_{name}" for name in ("time", "memory", "policy", "answer", "energy")}
    assert {Path(name).stem for name, _ in named} == expected
    for name, _ in named:
        pixels = imread(folder / name)
        assert 0.01 < np.mean(pixels[..., :3].min(axis=2) < 0.9) < 0.6
        # hebbit is seen in every picture of its own runs, in its own colour
        hue = np.abs(pixels[..., :3] - np.array([0xD5, 0x5E, 0]) / 255).max(axis=2) < 0.02
        assert hue.any() or name == "figures/improvement.png"


class Page(HTMLParser):
    """What a page is made of, in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        """Of all tables, without white space."""
        self.begun = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.begun = len(self.words)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.cells.append(re.sub(r"\s+", "", "".join(self.words[self.begun :])))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_needs_nothing_else(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = Page(text)
    sources = [one.get("src") or one.get("srcset") or "" for tag in ("img", "source") for one in page.all(tag)]
    assert len(sources) == 2 * 13 and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert {"script", "iframe", "object", "video"} & {tag for tag, _ in page.found} == set()
    assert [one.get("href") for one in page.all("link")] == ["data:,"]
    assert {"http-equiv": "Content-Security-Policy", "content": report_html.POLICY} in page.all("meta")
    assert "url(" not in text and "@import" not in text
    assert all("://" not in str(one["href"]) for one in page.all("a"))


def test_the_page_is_accessible(folder: Path) -> None:
    page = Page((folder / "report.html").read_text())
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(one["alt"] or "") > 30 for one in page.all("img"))
    assert len(page.all("table")) == len(page.all("caption")) == len(page.all("thead"))
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    anchors = [one["id"] for tag, one in page.found if "id" in one]
    assert len(set(anchors)) == len(anchors)
    assert {str(one["href"])[1:] for one in page.all("a") if str(one["href"]).startswith("#")} <= set(anchors)


def test_markdown_and_page_say_the_same(folder: Path) -> None:
    """Every cell of every table, and every sentence of the summary."""
    page = Page((folder / "report.html").read_text())
    everything, cells = re.sub(r"\s+", "", "".join(page.words)), []
    for line in text_of(folder).splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            words = [re.sub(r"\[(JSON)\]\(.*\)", r"\1", cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            cells += [re.sub(r"\s+", "", plain(one)) for one in words]
        elif line.startswith("- **"):
            assert re.sub(r"\s+", "", plain(line[2:]).replace("**", "")) in everything
    assert len(cells) > 300 and cells == page.cells


def test_the_same_results_give_the_same_report(folder: Path) -> None:
    """Which takes the place of the first."""
    files = [path for path in folder.rglob("*") if path.suffix in (".png", ".md", ".html")]
    before = {path: path.read_bytes() for path in files}
    assert len(before) == 15
    (folder / "report.md").write_text(report_markdown.MARK)
    assert main(["report", str(folder), "--repetitions", "300"]) == 0
    assert {path: path.read_bytes() for path in files} == before


def test_drawings_have_both_colour_schemes() -> None:
    assert {look.colour for look in looks(["hebbit", *NAMES, "x", "y"]).values()} <= set(DARK)
    svg = "".join(f'<path style="fill: {colour.lower()}"/>' for colour in DARK)
    night = report_html.dark(svg)
    assert night.count("<path") == len(DARK) and all(colour.lower() in night for colour in DARK.values())
    assert not any(colour.lower() in night for colour in DARK)


def test_algorithms_keep_their_looks() -> None:
    few, many = looks(["hebbit", "dqn"]), looks(["hebbit", "ppo", "a2c", "dqn", "qrdqn", "ars", "new"])
    assert few["dqn"] == many["dqn"] and few["hebbit"].ours and not few["dqn"].ours
    for part in ("colour", "marker", "dash"):
        assert len({getattr(look, part) for name, look in many.items() if name != "hebbit"}) == 6
    assert len({look.colour for look in many.values()}) == 7
