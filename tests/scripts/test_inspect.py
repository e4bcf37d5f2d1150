"""hebbit inspect: what it writes, what its figures say, and what it refuses to touch."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from hebbit.agents import EnvSpec, SpikingAgent
from hebbit.scripts import inspect, raster
from hebbit.scripts.evaluate import Subject
from hebbit.scripts.look import folder, synapses

Cli = Callable[..., Any]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is most of the time: where no picture is looked at, an empty one will do."""

    def draw(findings: inspect.Findings, out: Path, seed: int) -> None:
        for name in folder.PICTURES:
            (out / name).write_bytes(PNG)

    monkeypatch.setattr(inspect, "_draw", draw)


def train(cli: Cli, env: str = "CartPole-v1", flags: str = "", name: str = "r") -> SpikingAgent:
    command = f"train {env} --steps 60 --run-dir {name} --quiet --no-plots --eval-episodes 2 -P pool_words=6 {flags}"
    assert cli(command)[0] == 0
    return SpikingAgent.load(next(Path(name).glob(f"{env}.zip")))


def content(where: str = "r/inspection") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(where, folder.FIGURES).read_text())
    return found


def test_a_run_is_inspected(cli: Cli) -> None:
    agent = train(cli)
    before = {path: path.read_bytes() for path in Path("r").rglob("*") if path.is_file()}
    status, out, err = cli("inspect r --steps 90")
    assert (status, err) == (0, "") and "90 observations" in out
    names = {path.name for path in Path("r/inspection").iterdir()}
    assert names == {*folder.PICTURES, folder.FIGURES, folder.ARRAYS, folder.INDEX}
    for picture in folder.PICTURES:
        assert Path("r/inspection", picture).read_bytes().startswith(PNG)
    found = content()
    assert found["digest"] == agent.digest() and found["made_by"] == "hebbit inspect"
    assert found["observations"] == found["kept"] == 90 and found["every"] == 1
    assert {path: path.read_bytes() for path in Path("r").rglob("*") if path in before} == before
    index = Path("r/inspection/index.html").read_text()
    assert index.count("data:image/png;base64,") == len(folder.PICTURES)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', index)


def test_its_figures_are_those_of_the_arrays(cli: Cli, undrawn: None) -> None:
    agent = train(cli)
    assert cli("inspect r --steps 80 --stochastic --seed 5")[0] == 0
    found = content()
    with np.load("r/inspection/inspection.npz", allow_pickle=False) as arrays:
        kept = dict(arrays)
    bits = np.unpackbits(np.ascontiguousarray(kept["pool"], "<u4").view(np.uint8), bitorder="little")
    spikes = bits.reshape(80, 8, 6, 32).sum(axis=1)
    pool = found["activity"]["pool"]
    assert pool["spikes_per_action"] == pytest.approx(spikes.sum(axis=(1, 2)).mean())
    assert pool["silent_share"] == pytest.approx((spikes.sum(axis=0) == 0).mean())
    assert pool["active_share"] == pytest.approx((spikes > 0).mean())
    chances = kept["chances"] / kept["chances"].sum(axis=1, keepdims=True)
    entropy = -np.where(chances > 0, chances * np.log2(np.maximum(chances, 1e-300)), 0).sum(axis=1)
    assert found["actions"][0]["entropy_of_policy"] == pytest.approx(entropy.mean())
    assert found["actions"][0]["chosen"] == (np.bincount(kept["units"][:, 0], minlength=2) / 80).tolist()
    np.testing.assert_array_equal(kept["weights"], agent.arrays()["weights"][0])
    np.testing.assert_array_equal(kept["traces"], agent.arrays()["traces"][0])
    zero = float((kept["weights"] == 0).mean())
    assert found["synapses"]["weights"]["all"]["zero_share"] == pytest.approx(zero)
    for index in range(4):
        rates, seen = kept[f"tuning_{index}_rates"], kept[f"tuning_{index}_occupancy"]
        assert rates.shape == (192, len(seen)) and (np.isnan(rates[0]) == (seen < 3)).all()
    assert found["seed"] == 5 and not found["deterministic"]


@pytest.mark.slow
def test_the_same_call_gives_the_same_files(cli: Cli) -> None:
    train(cli)
    for name in ("a", "b"):
        assert cli(f"inspect r --steps 40 --out {name}")[0] == 0
    for picture in (*folder.PICTURES, folder.FIGURES, folder.INDEX):
        assert Path("a", picture).read_bytes() == Path("b", picture).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "flags"),
    [
        ("Pendulum-v1", ""),
        ("FrozenLake-v1", ""),
        ("Taxi-v4", ""),
        ("Blackjack-v1", ""),
        ("CartPole-v1", "clusters=2 cycles=3"),
        ("CartPole-v1", "pool_words=0"),
        ("CartPole-v1", "--steps 0"),
    ],
)
def test_all_kinds_of_brains_are_drawn(cli: Cli, env: str, flags: str) -> None:
    train(cli, env, flags)
    status, _, err = cli("inspect r --steps 60 --stochastic")
    assert (status, err) == (0, "")
    there = {path.name for path in Path("r/inspection").iterdir()}
    assert {"raster.png", "rates.png", "value.png", "actions.png", "weights.png", "traces.png"} <= there
    assert ("tuning.png" in there) == ("pool_words=0" not in flags)
    # two numbers of the observation make a field
    assert ("fields.png" in there) == (env not in ("FrozenLake-v1", "Taxi-v4") and "pool_words=0" not in flags)


def test_one_brain_of_a_population(cli: Cli, undrawn: None) -> None:
    agent = train(cli, flags="--brains 3")
    assert cli("inspect r --steps 30")[0] == 0
    assert content()["brains"] == 1 and content()["checkpoint"].endswith("best_brain.zip")
    status, out, _ = cli("inspect r --steps 30 --brain 2")
    assert status == 0 and "brain 2" in out and (content()["brain"], content()["brains"]) == (2, 3)
    with np.load("r/inspection/inspection.npz") as kept:
        np.testing.assert_array_equal(kept["weights"], agent.arrays()["weights"][2])
    status, _, err = cli("inspect r --brain 3")
    assert status == 2 and "--brain must be one of 0..2, got 3" in err


def test_a_checkpoint_is_inspected_beside_itself(cli: Cli, undrawn: None) -> None:
    train(cli)
    os.rename("r/CartPole-v1.zip", "mine.zip")
    assert cli("inspect mine.zip --steps 20")[0] == 0
    assert content("mine_inspection")["observations"] == 20


def test_a_long_play_is_thinned(cli: Cli, undrawn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    train(cli)
    monkeypatch.setattr(inspect, "MEMORY", 40_000)
    assert cli("inspect r --steps 200")[0] == 0
    found = content()
    assert found["every"] > 1 and found["observations"] == 200 and found["kept"] == -(-200 // found["every"])
    assert found["recording_bytes"] <= 40_000
    with np.load("r/inspection/inspection.npz") as kept:
        assert np.diff(kept["number"]).tolist() == [found["every"]] * (found["kept"] - 1)
    monkeypatch.setattr(inspect, "MEMORY", 1 << 28)
    assert cli("inspect r --steps 200 --out whole")[0] == 0
    whole = content("whole")
    assert whole["every"] == 1 and whole["episodes"]["whole"] > 3 and whole["episodes"]["cut"] == 1
    for name in ("episodes", "return_mean"):
        assert found[name] == whole[name], name
    with np.load("whole/inspection.npz") as kept:
        parts = np.split(kept["reward"], np.flatnonzero(kept["end"]) + 1)[: whole["episodes"]["whole"]]
        assert whole["return_mean"] == pytest.approx(np.mean([part.sum() for part in parts]))


def test_only_our_own_folder_is_renewed(cli: Cli, undrawn: None) -> None:
    train(cli)
    assert cli("inspect r --steps 20")[0] == 0
    Path("r/inspection/watch.html").write_text("of an older call")
    assert cli("inspect r --steps 30")[0] == 0
    assert content()["observations"] == 30 and not Path("r/inspection/watch.html").exists()
    Path("r/inspection/notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in Path("r/inspection").iterdir()}
    status, out, err = cli("inspect r --steps 20")
    assert (status, out) == (2, "") and "holds notes.txt" in err and "--out" in err
    assert {path: path.read_bytes() for path in Path("r/inspection").iterdir()} == before


def test_folders_of_others_are_refused(cli: Cli) -> None:
    train(cli)
    Path("pictures").mkdir()
    Path("pictures/raster.png").write_text("mine")
    Path("file").write_text("mine")
    Path("damaged").mkdir()
    Path("damaged/inspection.json").write_text('{"made_by": "someone"}')
    for where, why in (
        ("pictures", "of which no inspection.json says"),
        ("damaged", "of which no inspection.json says"),
        ("r", "which is no part of an inspection"),
        ("file", "is a file where a folder is needed"),
        ("file/deeper", "is a file"),
    ):
        status, out, err = cli(f"inspect r --steps 20 --out {where}")
        assert (status, out) == (2, "") and why in err
    assert Path("pictures/raster.png").read_text() == Path("file").read_text() == "mine"


def test_a_read_only_place_is_refused_before_the_work(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    train(cli)
    # root may write everywhere: ask the operating system's answer instead
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(inspect, "load", lambda *_: pytest.fail("the work has begun"))
    status, _, err = cli("inspect r --out new")
    assert status == 2 and "read-only" in err and "--out" in err and not Path("new").exists()


def test_what_is_no_run_is_one_sentence(cli: Cli) -> None:
    train(cli)
    Path("empty").mkdir()
    Path("broken.zip").write_bytes(Path("r/CartPole-v1.zip").read_bytes()[:1000])
    for name in ("missing", "empty", "broken.zip"):
        status, out, err = cli(f"inspect {name}")
        assert (status, out, err.count("\n")) == (2, "", 1) and name in err
    assert not Path("empty/inspection").exists() and not Path("broken_inspection").exists()
    status, _, err = cli("inspect r --steps 0")
    assert status == 2 and "1 or more" in err


def test_an_environment_that_breaks_leaves_all_as_it_was(
    cli: Cli, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(cli)
    assert cli("inspect r --steps 20")[0] == 0
    before = {path: path.read_bytes() for path in Path("r/inspection").iterdir()}

    def fail(self: Any, action: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CartPoleEnv, "step", fail)
    assert cli("inspect r --steps 20")[0] == 2
    assert {path: path.read_bytes() for path in Path("r/inspection").iterdir()} == before


def test_a_full_disk_leaves_what_can_be_renewed(cli: Cli, undrawn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    train(cli)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        status, _, err = cli("inspect r --steps 20")
        assert status == 2 and "No space left" in err and "free some space" in err
    assert cli("inspect r --steps 20")[0] == 0


def test_the_raster_is_drawn_from_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = SpikingAgent("Pendulum-v1", config={"pool_words": 20})
    subject = Subject(agent, EnvSpec("Pendulum-v1"), tmp_path)
    shown: list[Any] = []
    monkeypatch.setattr(raster, "draw", lambda presentations, *_: shown.append(presentations))
    monkeypatch.setattr(inspect, "activity", MagicMock())
    monkeypatch.setattr(inspect, "choices", MagicMock())
    monkeypatch.setattr(synapses, "draw_synapses", MagicMock())
    for seed in (0, 0, 1):
        inspect._draw(inspect.look(subject, 5, seed, True), tmp_path, seed)
    first, again, other = (np.stack([one.pool for one in drawn]) for drawn in shown)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
