"""Resident runs in waves: the bits of all brains at once, whatever stops them on the way."""

import json
import shutil
import signal
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import SpikingAgent, checkpoint
from hebbit.backends.resident import Room
from hebbit.scripts import resident_job, resident_population, resident_waves
from hebbit.scripts.settings import Settings

Cli = Callable[..., Any]
SMALL = "train CartPole-v1 --resident --brains 5 --eval-episodes 3 -P pool_words=8 --no-plots --look 100"
WAVES = ("wave_0000", "wave_0001", "wave_0002")
GO_ON = "train CartPole-v1 --run-dir waves --resume --no-plots"


def result(folder: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "result.json").read_text())
    return found


def learned(folder: str) -> dict[str, Any]:
    return SpikingAgent.load(f"{folder}/CartPole-v1.zip").get_parameters()


def assert_same_as_one(cli: Cli, steps: int) -> None:
    """The run in waves has what all its brains at once have become."""
    assert cli(f"{SMALL} --steps {steps} --run-dir one").status == 0
    one, many = result("one"), result("waves")
    for name in ("solved_at", "evaluation", "population", "steps_made", "brains", "reward_threshold"):
        assert many[name] == one[name], name
    expected, parts = learned("one"), [learned(f"waves/{wave}") for wave in WAVES]
    for name, array in expected.items():
        assert np.array_equal(np.concatenate([part[name] for part in parts]), array), name
    for name in ("best_brain", "median_brain"):
        assert SpikingAgent.load(f"waves/{name}.zip").digest() == SpikingAgent.load(f"one/{name}.zip").digest()


def test_waves_have_the_bits_of_all_at_once(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident_population, "TRIALS", (1, 2))
    monkeypatch.setattr("hebbit.scripts.train.reward_threshold", lambda env_id: 15.0)
    status, out, err = cli(f"{SMALL} --steps 1000 --wave 2 --run-dir waves")
    assert status == 0, err
    assert "wave_0001 of 3: brains 2..3" in out and "wave_0002 of 3: brains 4..4" in out
    assert "5 brains" in out.splitlines()[-6] and len(set(result("waves")["solved_at"])) > 1
    assert_same_as_one(cli, 1000)
    assert [part["brains"] for part in result("waves")["waves"]] == [2, 2, 1]


def test_waves_go_on_where_they_were_stopped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, made = resident_job._finish, []

    def killed(*arguments: Any) -> None:
        made.append(arguments)
        if len(made) == 2:
            raise RuntimeError("the power failed")
        honest(*arguments)

    monkeypatch.setattr(resident_job, "_finish", killed)
    status, _, err = cli(f"{SMALL} --steps 400 --wave 2 --run-dir waves")
    assert status != 0 and "the power failed" in err
    assert not Path("waves/result.json").exists() and not Path("waves/wave_0002").exists()
    status, out, err = cli(GO_ON)
    assert status == 0 and "wave_0000" not in out and "wave_0001 of 3" in out, err
    assert_same_as_one(cli, 400)
    status, out, _ = cli(GO_ON)
    assert status == 0 and "has come to its end" in out
    # its result can be made again from those of its waves
    before = result("waves")
    Path("waves/result.json").unlink()
    assert cli(GO_ON).status == 0 and result("waves") == before


def test_further_steps_outlive_a_kill(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run is to become is written before it goes there, and its result is gone until it is true again."""
    assert cli(f"{SMALL} --steps 250 --wave 2 --run-dir waves").status == 0
    with monkeypatch.context() as patch:
        patch.setattr(resident_job, "_finish", lambda *_: (_ for _ in ()).throw(RuntimeError("the power failed")))
        status, _, err = cli(f"{GO_ON} --steps 500")
    assert status != 0 and "the power failed" in err and not Path("waves/result.json").exists()
    assert cli(GO_ON).status == 0 and result("waves")["steps"] == 500
    assert_same_as_one(cli, 500)


def test_waves_end_at_another_share(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident_population, "TRIALS", (1, 2))
    monkeypatch.setattr("hebbit.scripts.train.reward_threshold", lambda env_id: 15.0)
    assert cli(f"{SMALL} --steps 1000 --wave 2 --until 0.1 --run-dir waves").status == 0
    few = result("waves")["steps_made"]
    status, _, err = cli(f"{GO_ON} --until 1")
    assert status == 0, err
    assert few < result("waves")["steps_made"]
    assert_same_as_one(cli, 1000)
    best = SpikingAgent.load("waves/best_brain.zip")
    solved_at = result("waves")["solved_at"][result("waves")["population"]["best"]]
    assert best.num_timesteps == (solved_at if solved_at >= 0 else 1000)


def test_a_wave_that_is_over_is_not_read_again(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves").status == 0
    with monkeypatch.context() as patch:
        patch.setattr(resident_job, "restored", lambda *_: pytest.fail("a wave was read"))
        assert cli(GO_ON).status == 0
        Path("waves/wave_0001/result.json").write_text('{"steps_of_each": "many"}')
        status, _, err = cli(GO_ON)
        assert status != 0 and "result.json is damaged" in err and "or remove waves/wave_0001" in err
    Path("waves/wave_0001/result.json").write_text("{}")
    assert cli(GO_ON).status == 0 and result("waves/wave_0001")["steps_of_each"] == 100


def test_one_wave_is_gone_before_the_next_is_born(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for one of them."""
    alive: set[int] = set()
    honest = resident_population.newborn

    def newborn(*arguments: Any, **more: Any) -> SpikingAgent:
        assert not alive
        agent = honest(*arguments, **more)
        alive.add(id(agent))
        weakref.finalize(agent, alive.discard, id(agent))
        return agent

    monkeypatch.setattr(resident_population, "newborn", newborn)
    monkeypatch.setattr(resident_job, "newborn", newborn)
    monkeypatch.setattr(resident_waves, "newborn", newborn)
    status, _, err = cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves")
    assert status == 0, err


@pytest.mark.parametrize("value", [-2, "2", None, True])
def test_settings_that_no_run_has_are_refused(cli: Cli, value: Any) -> None:
    assert cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves").status == 0
    config = json.loads(Path("waves/config.json").read_text())
    Path("waves/config.json").write_text(json.dumps({**config, "wave": value}))
    status, _, err = cli(GO_ON)
    assert status != 0 and f"wave is {value!r}" in err


def test_older_settings_go_on(cli: Cli) -> None:
    """What a later version adds does not part waves from their run."""
    assert cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves").status == 0
    for path in Path("waves").rglob("config.json"):
        config = json.loads(path.read_text())
        del config["tensorboard"]
        path.write_text(json.dumps(config))
    status, _, err = cli(f"{GO_ON} --steps 200")
    assert status == 0, err


def test_more_room_than_brains(cli: Cli) -> None:
    words = f"{SMALL} --steps 100 --wave 50000000 --run-dir waves"
    assert cli(words).status == 0 and Path("waves/CartPole-v1.zip").exists()
    status, out, err = cli(f"{words} --resume".replace("--brains 5", "").replace("-P pool_words=8", ""))
    assert status == 0 and "has come to its end" in out, err


def test_waves_that_are_interrupted_say_how_to_go_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(resident_job, "_finish", lambda *_: signal.raise_signal(signal.SIGINT))
        status, _, err = cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves")
    assert status == 130 and "go on with: hebbit train CartPole-v1 --run-dir waves --resume" in err
    assert cli(GO_ON).status == 0
    assert_same_as_one(cli, 100)


def test_waves_are_evaluated_one_by_one(cli: Cli) -> None:
    assert cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves").status == 0
    status, _, err = cli("evaluate waves --episodes 1")
    assert status != 0 and "name one, such as waves/wave_0000" in err
    status, _, err = cli("evaluate waves --brain 3 --episodes 1")
    assert status != 0 and "brain 3 is --brain 1 of waves/wave_0001" in err
    for words in ("waves/wave_0002", "waves/wave_0001 --brain 1", "waves --brain best"):
        assert cli(f"evaluate {words} --episodes 1").status == 0


def test_waves_go_further(cli: Cli) -> None:
    assert cli(f"{SMALL} --steps 250 --wave 2 --run-dir waves").status == 0
    status, _, err = cli(f"{GO_ON} --steps 600")
    assert status == 0, err
    assert result("waves")["steps"] == 600
    assert_same_as_one(cli, 600)
    status, _, err = cli(f"{GO_ON} --steps 500")
    assert status != 0 and "has made 600 steps already" in err and result("waves")["steps"] == 600


def test_another_share_that_is_to_solve_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident_population, "TRIALS", (1, 2))
    monkeypatch.setattr("hebbit.scripts.train.reward_threshold", lambda env_id: 15.0)
    assert cli(f"{SMALL} --steps 1000 --until 0.1 --run-dir run").status == 0
    few = result("run")["steps_made"]
    status, out, _ = cli("train CartPole-v1 --run-dir run --resume --steps 9000")
    assert status == 0 and "of its brains have solved it; go further with a larger --until" in out
    status, _, err = cli("train CartPole-v1 --run-dir run --resume --until 1")
    assert status == 0, err
    assert result("run")["steps_made"] > few
    # the rows are those of a run that nobody stopped
    assert cli(f"{SMALL} --steps 1000 --run-dir whole").status == 0
    rows, whole = (
        [row.split(",")[:1] + row.split(",")[2:] for row in Path(f"{run}/progress.csv").read_text().splitlines()]
        for run in ("run", "whole")
    )
    assert rows == whole[: len(rows)] and rows[1][0] == "100"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (f"{GO_ON} --wave 3", "has wave 2, which cannot change"),
        (f"{SMALL} --steps 9 --wave 2 --run-dir waves", "holds a run"),
        (f"{SMALL} --steps 9 --wave 2 --ray", "leave --ray out"),
    ],
)
def test_what_cannot_be_is_said(cli: Cli, words: str, text: str) -> None:
    assert cli(f"{SMALL} --steps 100 --wave 2 --run-dir waves").status == 0
    before = result("waves")
    status, _, err = cli(words)
    assert status != 0 and text in err and result("waves") == before


def test_a_wave_of_another_run_is_refused(cli: Cli) -> None:
    for seed, folder in ((1, "waves"), (2, "other")):
        assert cli(f"{SMALL} --steps 100 --wave 2 --seed {seed} --run-dir {folder}").status == 0
    shutil.rmtree("waves/wave_0001")
    shutil.copytree("other/wave_0001", "waves/wave_0001")
    status, _, err = cli(f"{GO_ON} --steps 200")
    assert status != 0 and "wave_0001 is not a wave of this run" in err


class Arguments:
    """Of a command, as far as the plan looks at them."""

    ray, backend = None, "numba"


def plan(monkeypatch: pytest.MonkeyPatch, brains: int, wave: int, held: int, at_once: int) -> int:
    """Brains of a wave on a machine with so much room."""
    monkeypatch.setattr("hebbit.backends.numba_backend.NumbaBackend.room", lambda *a: Room(held, at_once))
    monkeypatch.setattr(resident_waves, "host_memory", lambda: 1 << 40)
    settings = Settings("CartPole-v1", 10, brains=brains, wave=wave, resident=True)
    arguments: Any = Arguments()
    return resident_waves.planned(settings, arguments).wave


@pytest.mark.parametrize(
    ("brains", "wave", "held", "at_once", "expected"),
    [
        (1000, 0, 1000, 132, 0),
        (1001, 0, 1000, 132, 924),
        (1001, 0, 100, 132, 100),
        (1001, 300, 1000, 132, 300),
        (200, 300, 1000, 132, 0),
    ],
)
def test_a_wave_is_what_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, brains: int, wave: int, held: int, at_once: int, expected: int
) -> None:
    assert plan(monkeypatch, brains, wave, held, at_once) == expected


def test_auto_is_asked_as_the_run_will_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many brains there are decides whether auto takes a GPU."""
    asked: list[tuple[int, str]] = []
    honest = resident_population.newborn

    def newborn(settings: Settings, backend: str) -> SpikingAgent:
        asked.append((settings.brains, backend))
        return honest(settings, backend)

    monkeypatch.setattr(resident_waves, "newborn", newborn)
    for brains, backend in ((9, "auto"), (700, "auto"), (700, "numba")):
        resident_waves.room(Settings("CartPole-v1", 10, brains=brains, resident=True), backend)
    assert asked == [(9, "auto"), (256, "auto"), (1, "numba")]


def test_a_host_holds_what_is_born_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings("CartPole-v1", 10, brains=10, resident=True)
    plenty = resident_waves.room(settings, "numba")[0]
    monkeypatch.setattr(resident_waves, "host_memory", lambda: 100 << 20)
    assert 100 < resident_waves.room(settings, "numba")[0] < plenty
    monkeypatch.undo()
    assert resident_waves.host_memory() > 1 << 28


def test_a_checkpoint_holds_a_wave(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_BYTES", (1 << 20) + 15_000)
    status, out, err = cli(f"{SMALL} --steps 100 --run-dir waves")
    assert status == 0 and "wave_0001" in out, err
    monkeypatch.setattr(checkpoint, "MAX_BYTES", (1 << 20) + 1000)
    status, _, err = cli(f"{SMALL} --steps 100")
    assert status != 0 and "room for 0 such brains" in err


def test_shares_cover_all_brains() -> None:
    settings = Settings("CartPole-v1", 10, brains=10, wave=4, resident=True)
    parts = resident_waves.shares(settings)
    assert [(part.first, part.brains, part.wave) for part in parts] == [(0, 4, 0), (4, 4, 0), (8, 2, 0)]
    assert all(replace(part, first=0, brains=10, wave=4) == settings for part in parts)
