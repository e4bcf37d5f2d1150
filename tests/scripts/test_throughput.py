"""Throughput: what is counted is what the specification does, refusals are rows, peers are never dropped silently."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hebbit.backends import equations, load
from hebbit.backends.equations import Clock
from hebbit.backends.spec import CONTRACT_VERSION, LANES, Flag, Param
from hebbit.backends.wiring import source_lane, wire
from hebbit.scripts import (
    peers,
    peers_brian2,
    peers_network,
    peers_ours,
    peers_torch,
    throughput,
    throughput_figure,
    throughput_timing,
)
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.peers_network import Task
from hebbit.scripts.throughput_points import Point

Cli = Callable[..., Any]
TINY = "--quick --brains 1 2 --words 1 --synapses 1 2 --cycles 1 2 --population 1 --sensory 2"
RATES = ("presentations", "neuron_updates", "synapse_visits", "delivered_spikes", "weight_updates")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least work that has every part."""
    monkeypatch.setattr(sizes, "BASE_WORDS", 2)
    monkeypatch.setattr(throughput, "QUICK_BUDGET", throughput_timing.Budget(0.0, 2))
    monkeypatch.setattr(throughput, "QUICK_EFFORT", peers.Effort(0.0, 1, 1))
    monkeypatch.setattr(peers, "BATCHES", (1, 2))


def task(batch: int = 1) -> Task:
    return Task(sensory_words=3, pool_words=2, synapses=2, batch=batch, seconds=0.0, repeats=1)


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_the_result_is_complete(cli: Cli, tiny: None, name: str) -> None:
    status, out, err = cli(f"throughput --backend {name} {TINY} --out t.json")
    assert (status, err) == (0, "")
    result = json.loads(Path("t.json").read_text())
    assert sorted(path.name for path in Path().iterdir()) == ["t.json", "t.png"]
    assert result["backend"] == name and result["threads"] >= 1 and result["contract"] == CONTRACT_VERSION
    assert result["machine"]["cpu"] and result["device"] is None and result["peers"] is None
    assert result["command"].startswith(f"hebbit throughput --backend {name} --quick --brains 1 2 --words 1")
    assert set(result["definitions"]) >= {"neuron update", "synapse visit", "delivered spike", "presentation"}
    groups = [group for row in result["measurements"] for group in row["varied"]]
    assert [groups.count(group) for group in sizes.SWEEPS] == [2, 2, 1, 2, 2, 3]
    for row in result["measurements"]:
        learning, answering, work = row["learning"], row["answering"], row["per_presentation"]
        seconds = learning["seconds"]
        assert 0 < seconds["best"] <= seconds["median"] and seconds["repeats"] == 2
        assert set(learning["cpu_seconds"]) == set(seconds) and answering["answers_per_cpu_second"]["median"] > 0
        assert learning["compile_seconds"] > 0 and answering["answers_per_second"]["best"] > 0
        for rate in RATES:
            amount = learning["presentations"] * work.get(rate, 1)
            assert learning[f"{rate}_per_second"]["best"] == pytest.approx(amount / seconds["best"])
        assert f"\n{row['varied'][0]:<16}{row['brains']:>7}{row['neurons']:>8}" in out


def test_a_size_beyond_a_brain_is_a_row(cli: Cli, tiny: None) -> None:
    words = "--quick --brains 1 --words 1 99999 --synapses 2 3 9 --cycles 16 --population 1 --sensory 2"
    status, out, err = cli(f"throughput --backend numba {words} --out t.json")
    assert (status, err) == (0, "")
    rows = json.loads(Path("t.json").read_text())["measurements"]
    said = {row["varied"][0]: row["refused"] for row in rows if "refused" in row}
    assert said == {
        "neurons": "pool_words must lie in 0..32768, got 99999",
        "synapses": "a pool neuron reads each sensory word at most once: 9 synapses need as many sensory words, got 2",
        "cycles": "cycles must lie in 1..15, got 16",
    }
    assert len([row for row in rows if "refused" in row]) == 4
    assert "refused: cycles must lie in 1..15, got 16" in out


def test_what_a_backend_refuses_is_a_row_too() -> None:
    class Small:
        name = "small"

        def create(self, *_: Any) -> None:
            raise MemoryError

    point = Point(1, 1, 2, (1, 2), 1)
    small: Any = Small()
    row = throughput_timing.measure(small, point, throughput_timing.Budget(0.0, 1))
    assert row == point.describe() | {"refused": "MemoryError"}
    assert throughput_timing.sentence(ValueError("too\nlarge")) == "too large"
    assert throughput_timing.sentence(RuntimeError("no room")) == "RuntimeError: no room"


def test_if_nothing_could_be_measured_the_status_says_so(cli: Cli, tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "measure", lambda backend, point, *_: point.describe() | {"refused": "no"})
    status, out, _ = cli(f"throughput --backend numpy {TINY} --out t.json")
    assert status == 1 and "refused: no" in out and Path("t.png").exists()


def delivered_one_by_one(point: Point, brain: int, intensity: Any, clock: Clock) -> int:
    """Every synapse of every neuron in every cycle, looked at."""
    config, params = point.brain_config(), point.params()[brain]
    wiring = wire(config, np.zeros(config.pool_words, np.uint32), (sizes.SEED, brain))
    count = 0
    for cycle in range(config.cycles):
        fired = equations.sensory_spikes(intensity.astype(np.int32), cycle, params, clock)
        for word in range(config.pool_words):
            for slot in range(wiring.slots[word]):
                lanes = source_lane(wiring.rotation[word, slot], wiring.xor[word, slot])
                count += sum(int(fired[wiring.source[word, slot], lane]) for lane in lanes)
    return count


@pytest.mark.parametrize("slots", [(1, 1), (2, 3), (3, 3)])
def test_delivered_spikes_are_those_of_the_specification(slots: tuple[int, int]) -> None:
    point = Point(2, 5, 3, slots, 4)
    config, params = point.brain_config(), point.params()
    shown = sizes.observations(point, sizes.SAMPLED_PRESENTATIONS, np.random.default_rng(sizes.SEED))
    expected = []
    for t, brain in np.ndindex(sizes.SAMPLED_PRESENTATIONS, 2):
        clock = Clock(sizes.AGE + t, 0, (sizes.SEED, brain), False)
        wiring = wire(config, np.zeros(5, np.uint32), (sizes.SEED, brain))
        found = sizes.delivered_spikes(config, wiring, params[brain], shown[t, brain], clock)
        assert found == delivered_one_by_one(point, brain, shown[t, brain], clock)
        spikes = (equations.sensory_spikes(shown[t, brain].astype(np.int32), c, params[brain], clock) for c in range(4))
        summed = (equations.drive(fired, wiring, np.ones(5, np.int32), np.zeros(5, np.int32)) for fired in spikes)
        assert found == sum(int(drive.sum()) for drive in summed)
        expected.append(found)
    work = sizes.work(point)
    assert work["delivered_spikes"] == np.mean(expected) > 0
    wirings = [wire(config, np.zeros(5, np.uint32), (sizes.SEED, brain)) for brain in range(2)]
    assert work["synapse_visits"] == np.mean([w.slots.sum() for w in wirings]) * 32 * 4
    assert (work["neuron_updates"], work["weight_updates"]) == (5 * 32 * 4, 3 * 8 * 32)
    assert (work["sampled_brains"], work["sampled_presentations"]) == (2, 2 * sizes.SAMPLED_PRESENTATIONS)


def test_every_point_is_measured_once() -> None:
    options: Any = SimpleNamespace(
        brains=[1, 4, 4], words=[8, 32], synapses=[8], cycles=[8], population=4, sensory=8, quick=True
    )
    plan = sizes.points(options)
    base = Point(4, 32, 8, (8, 8), 8)
    assert plan[base] == ["brains", "neurons", "synapses", "cycles", "rule"]
    assert plan[Point(1, 64, 4, (2, 4), 8)] == ["brains, default"]
    assert len(plan) == 7
    options.sensory = 4
    assert sizes.base_point(options) == Point(4, 32, 4, (4, 4), 8)


def test_rules_change_what_they_name() -> None:
    point = Point(3, 2, 2, (1, 2), 8)
    default = point.params()
    assert default.shape == (3, 1, len(Param)) and np.array_equal(replace(point, rule="default").params(), default)
    noisy = replace(point, rule="noisy").params()
    changed = {Param(column) for column in np.flatnonzero((noisy != default).any(axis=(0, 1))).tolist()}
    assert changed == {Param.NOISE, Param.GAIN, Param.DECAY_SHIFT, Param.DECAY_CHANCE}
    young = replace(point, rule="young").params()
    assert (young[..., Param.BASE_AGE] == 0).all() and (young[..., Param.BASE_RATE] > 0).all()
    assert equations.anneal(int(default[0, 0, Param.BASE_RATE]), int(default[0, 0, Param.BASE_AGE]), sizes.AGE) == 0


def test_a_life_starts_once_and_goes_on() -> None:
    point = Point(2, 1, 3, (1, 1), 1)
    given = sizes.workload(point, 5)
    assert given.intensities.shape == (5, 2, 3, LANES) and given.intensities.max() == 15
    assert (given.flags == Flag.CONTINUE).all() and np.abs(given.rewards).max() <= sizes.REWARD
    assert (sizes.workload(point, 1, Flag.START).flags == Flag.START).all()
    seen: list[int] = []

    class Recording:
        name = "recording"
        waited = 0

        def run(self, state: Any, intensities: Any, rewards: Any, flags: Any) -> None:
            seen.extend(flags[:, 0].tolist())

        def synchronize(self) -> None:
            self.waited += 1

        def report(self) -> dict[str, int]:
            return {"waited": self.waited}

    backend: Any = Recording()
    throughput_timing.learning(backend, None, point, throughput_timing.Budget(0.0, 2))
    assert seen == [Flag.START] + [Flag.CONTINUE] * 3
    assert throughput_timing.device(backend) == {"waited": 8} and throughput_timing.threads(backend) == 1


def test_it_is_said_where_it_was_measured() -> None:
    result: dict[str, Any] = {"device": None, "threads": 2, "machine": {"cpu": "Pentium"}}
    assert throughput_figure.place(result) == "2 threads, Pentium"
    assert throughput_figure.place(result | {"device": {"name": "H200", "sm": 132}}) == "H200"


def test_calls_grow_until_they_last() -> None:
    asked: list[int] = []

    def call(number: int) -> float:
        asked.append(number)
        return 0.001 * number

    number = throughput_timing.long_enough(call, 0.3, 10_000)
    assert asked == [1, 16, 256, number] and 300 <= number <= 512
    assert throughput_timing.long_enough(call, 0.3, 100) == 100
    assert throughput_timing.long_enough(call, 0.0, 100) == 1


def test_figures_are_short() -> None:
    shown = [throughput.si(x) for x in (0, 0.5, 1, 9.999, 123.4, 999.6, 12345, 3.2e7, 2.15e9, 1e12)]
    assert shown == ["0", "0.5", "1.00", "10.0", "123", "1.00 k", "12.3 k", "32.0 M", "2.15 G", "1.00 T"]


def test_nothing_is_overwritten(cli: Cli, tiny: None) -> None:
    for mine in ("t.json", "t.png"):
        Path(mine).write_text("mine")
        status, out, err = cli(f"throughput {TINY} --out t.json")
        assert (status, out) == (2, "") and f"{mine} exists already" in err and err.count("\n") == 1
        assert [(path.name, path.read_text()) for path in Path().iterdir()] == [(mine, "mine")]
        Path(mine).unlink()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--backend cuda", "--backend must be one of auto, numpy, numba"),
        ("--brains 0", "expected a whole number of 1 or more, got '0'"),
        ("--words few", "got 'few'"),
        ("--cycles", "expected at least one argument"),
        ("--out t.txt", "--out must end in .json"),
        ("--out no/folder.json", "no/folder.json needs its folder"),
    ],
)
def test_bad_flags_are_one_sentence(cli: Cli, line: str, said: str) -> None:
    status, out, err = cli(f"throughput {line}")
    assert (status, out) == (2, "")
    assert err.startswith("hebbit: ") and err.count("\n") == 1 and said in err
    assert list(Path().iterdir()) == []


def test_the_network_of_the_peers_is_ours() -> None:
    asked = task(batch=2)
    point = asked.point()
    read, matrix, fired = peers_network.sources(asked), peers_network.weights(asked), peers_network.spikes(asked)
    assert read.shape == (64, 2) and fired.shape == (peers_network.RECORDED, 15, 2, 96)
    wiring = wire(point.brain_config(), np.zeros(2, np.uint32), (sizes.SEED, 0))
    for moment in fired[:3, :3, 0].reshape(9, 96):
        drive = equations.drive(
            moment.reshape(3, LANES).astype(np.int32), wiring, np.ones(2, np.int32), np.zeros(2, np.int32)
        )
        assert np.array_equal(matrix @ moment, drive.ravel())
        assert np.array_equal(moment[read].sum(axis=1), drive.ravel())


def test_our_side_keeps_its_state_and_times_every_length() -> None:
    backend = load("numpy")
    present = peers_ours.presenting(backend, "noisy", task())
    for i in range(3):
        present(i, 1)
    found = peers_ours.measure("numpy", {**task().__dict__})
    assert [one["variant"] for one in found["variants"]] == ["quiet", "full"]
    assert all(set(one["seconds"]) == {1, 8, 15} for one in found["variants"])


def test_a_cycle_is_the_slope_and_the_whole_a_share() -> None:
    found = peers.microseconds({1: [3e-6, 9e-6, 4e-6], 8: [16e-6], 15: [17e-6, 18e-6, 30e-6]}, 2)
    assert found["slope"] == pytest.approx({"best": 0.5, "median": 0.5})
    assert found["whole"] == pytest.approx({"best": 1.0, "median": 1.0})
    assert peers.microseconds({2000: [4e-3, 2e-3]}, 1) == {
        "slope": pytest.approx({"best": 1.0, "median": 1.5}),
        "whole": None,
    }


def test_every_peer_has_its_function() -> None:
    for function in peers.PEERS.values():
        module, _, name = function.partition(":")
        assert callable(getattr(import_module(module), name))
    assert {peers_brian2.__name__, peers_torch.__name__} <= {one.partition(":")[0] for one in peers.PEERS.values()}
    code = "import sys; import hebbit.scripts.peers_brian2, hebbit.scripts.peers_torch; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hebbit.scripts.peers_torch" in loaded and not {"torch", "brian2"} & set(loaded)


def test_peers_are_compared_in_turn() -> None:
    turns: list[tuple[str, int]] = []

    def ask(function: str, arguments: Mapping[str, Any]) -> Any:
        batch = arguments["task"]["batch"]
        turns.append((function, batch))
        times = 1 if function == peers.PEERS[peers.OURS] else 10
        long = function.endswith("brian2")
        seconds = {"2000": [0.02]} if long else {"1": [1e-6 * times], "8": [8e-6 * times], "15": [15e-6 * times]}
        variants = [
            {"variant": "slow", "seconds": {"1": [1.0], "8": [8.0], "15": [15.0]}},
            {"variant": "a", "seconds": seconds},
        ]
        return {"cycle": "c", "neuron": "n", "note": "", "variants": variants[long:] if times > 1 else variants[1:]}

    everybody = {name: function for name, function in peers.PEERS.items()}
    shape = {"sensory_words": 3, "pool_words": 2, "synapses": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "norse" else name)
        result = peers.compare("numpy", shape, peers.Effort(0.0, 1, 2), ask)
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == list(everybody) and rows["norse"]["status"] == "not installed"
    order = [everybody[name] for name in everybody if name != "norse"]
    assert turns == [(function, batch) for _ in range(2) for batch in peers.BATCHES for function in order]
    assert [ratio["ratio"] for ratio in rows["snntorch"]["ratios"]] == pytest.approx([10.0, 10.0])
    assert rows["brian2"]["ratios"][0] == {
        "batch": 1, "ours": "a", "theirs": "slope", "ratio": pytest.approx(10.0),
    }  # fmt: skip
    assert rows["brian2"]["variants"][0]["whole"] is None
    lines = peers.table(result).splitlines()
    assert "norse  not installed" in lines
    assert [line.split() for line in lines if line.startswith("snntorch /")] == ["snntorch / hebbit a 10 10".split()]
    assert any(line.startswith("brian2, its slope / hebbit a") for line in lines)


def test_a_peer_that_fails_is_named_with_its_error(
    cli: Cli, tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sickpeer.py").write_text("def measure(task):\n    raise RuntimeError('the synapses\\nhave gone')\n")
    (tmp_path / "deadpeer.py").write_text("def measure(task):\n    raise SystemExit(7)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    fakes = {"sickpeer": "sickpeer:measure", "deadpeer": "deadpeer:measure", "nopeer": "nopeer:measure"}
    monkeypatch.setattr(peers, "PEERS", {peers.OURS: peers.PEERS[peers.OURS], **fakes})
    status, out, err = cli(f"throughput --backend numpy --peers {TINY} --out t.json")
    assert (status, err) == (0, "")
    result = json.loads(Path("t.json").read_text())["peers"]
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["sickpeer"]["status"] == "failed" and rows["sickpeer"]["error"].endswith("have gone")
    assert rows["deadpeer"]["error"] == "ended with status 7"
    assert rows["nopeer"]["status"] == "not installed" and rows["hebbit"]["status"] == "measured"
    assert {one["batch"] for one in rows["hebbit"]["variants"]} == {1, 2}
    for said in ("sickpeer  failed: ", "deadpeer  failed: ended with status 7", "nopeer  not installed"):
        assert said in out
    assert Path("t.png").exists()
