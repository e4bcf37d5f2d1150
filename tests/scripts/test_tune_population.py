"""A search by a population: halving in compiled worlds, training that copies and varies, and what both leave."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, EnvSpec, HebbitError, SpikingAgent, configure, resident, saving
from hebbit.agents.variety import OWN
from hebbit.scripts import tune, tune_exploit, tune_landscape, tune_population
from hebbit.scripts.tune_crowd import Crowd, newborn, shape
from hebbit.scripts.tune_draws import Draws
from hebbit.scripts.tune_halving import cost, ladder, survivors
from hebbit.scripts.tune_space import Range, Space, space
from hebbit.scripts.tune_trial import Conditions, score

Cli = Callable[..., Any]
BAD = "actor_step=2 critic_step=0.01 temperature=100 trace_lambda=0.99 gamma=0.5 base_rate=0.1"
SMALL = AgentConfig(pool_words=8)
CONDITIONS = Conditions("CartPole-v1", 150, 2, 4, "numba")
WORDS = (
    f"tune CartPole-v1 --population 24 --seeds 2 --trials 20 --steps 150 --episodes 2 --seed 4 -P pool_words=8 {BAD}"
)
TABLE, PICTURE, PRESET = "CartPole-v1.population.json", "CartPole-v1.population.png", "CartPole-v1.preset.toml"


def own_space(start: AgentConfig = SMALL) -> Space:
    made = EnvSpec("CartPole-v1").make()
    return space(start, made.observation_space, made.action_space)


def alone(config: AgentConfig, steps: int, numbers: list[int]) -> NDArray[np.float64]:
    """What brains of one configuration come to without any others."""
    agent = SpikingAgent(
        EnvSpec("CartPole-v1", resident=True), seed=4, config=config, backend="numba", brains=numbers
    ).learn(steps, log_interval=None)
    means: NDArray[np.float64] = resident.trial(agent, 2)[0].mean(axis=1)
    return means


def test_configurations_share_seeds_and_change_nothing_for_each_other() -> None:
    configs = [SMALL, SMALL.replace({"pool_words": 4}), SMALL.replace({"actor_step": 1.0, "temperature": 60.0})]
    crowd = Crowd(CONDITIONS, configs, range(3))
    # two shapes, so two populations; the last configuration sleeps for a while
    assert [own for own, _ in crowd._parts] == [[0, 2], [1]]
    crowd.live(1100, [0, 1, 2])
    crowd.live(300, [2, 0])
    found = crowd.means(2, [2, 1])
    expected = [alone(configs[2], 1400, [0, 1, 2]), alone(configs[1], 1100, [0, 1, 2])]
    assert np.array_equal(found, expected) and len(np.unique(found)) > 3
    crowd.close()


def test_a_shape_is_what_brains_share() -> None:
    own = {"actor_step": 0.3, "gamma": 0.9, "motor_base": 0.03}
    assert own.keys() <= OWN and shape(SMALL.replace(own)) == shape(SMALL)
    assert shape(SMALL.replace({"cycles": 4})) != shape(SMALL)


def test_what_no_brain_can_have_fails_alone() -> None:
    crowd = Crowd(CONDITIONS, [SMALL, SMALL.replace({"replay_steps": 100})], [0])
    assert list(crowd.failed) == [1] and "replay_steps must be 0" in crowd.failed[1]
    crowd.live(20, [0])
    assert crowd.means(1, [0]).shape == (1, 1)
    crowd.close()


@pytest.mark.parametrize(
    ("steps", "eta", "rungs"),
    [(30_000, 2.5, [1920, 4800, 12_000, 30_000]), (27, 3.0, [1, 3, 9, 27]), (2, 10.0, [1, 2]), (1, 2.0, [1])],
)
def test_the_ladder(steps: int, eta: float, rungs: list[int]) -> None:
    assert ladder(steps, eta) == rungs


def test_the_cost_of_a_wave() -> None:
    # 9 trials make 3 steps with 2 seeds, 3 of them 6 more, and 1 of these 18 more
    assert cost(9, 2, [3, 9, 27], 3.0) == 2 * (9 * 3 + 3 * 6 + 1 * 18)
    assert [survivors(n, 3.0) for n in (9, 4, 1)] == [3, 2, 1]


def test_a_wave_is_drawn_in_few_shapes_and_begins_with_the_start() -> None:
    draws = Draws("s", own_space(), {"seed": 4}, None)
    first = draws.wave(12, 3)
    shapes = [shape(draws.space.config(trial.params)) for trial in first]
    assert first[0].params == draws.space.first() and shapes[0] == shape(SMALL)
    assert [shapes.count(one) for one in dict.fromkeys(shapes)] == [4, 4, 4]
    assert len({json.dumps(trial.params) for trial in first}) == 12
    for number, trial in enumerate(first):
        if number == 7:
            draws.complete(trial, 100.0, [100.0])
        else:
            trial.report(1.0, 0)
            draws.leave(trial, [1.0])
    # the next wave begins in the shape of the best, and most of its trials keep some of its settings
    best = draws.best()
    assert best is not None and best.number == 7
    second = draws.wave(12, 3)
    assert shape(draws.space.config(second[0].params)) == shapes[7]
    kept = [sum(trial.params[name] == value for name, value in first[7].params.items()) for trial in second[:4]]
    assert max(kept) > len(first[7].params) / 2
    # the start counts although it was left behind
    start = draws.start()
    assert start is not None and (start.number, start.value) == (0, 1.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A search of two waves: what it printed aside, all that it left."""
    from hebbit.scripts import main

    folder = tmp_path_factory.mktemp("whole")
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert main([*WORDS.split(), "--quiet", "--shapes", "2"]) == 0
    finally:
        os.chdir(before)
    return {"folder": folder, "table": json.loads((folder / TABLE).read_text())}


def test_a_search_leaves_a_preset_a_table_and_a_picture(whole: dict[str, Any]) -> None:
    folder, table = whole["folder"], whole["table"]
    assert sorted(os.listdir(folder)) == sorted([TABLE, PICTURE, PRESET])
    assert (folder / PICTURE).read_bytes()[:4] == b"\x89PNG"
    rungs = ladder(150, 2.5)
    assert table["rungs"] == rungs and [one["trial"] for one in table["trials"]] == list(range(20))
    counts = {k: sum(len(one["rungs"]) > k for one in table["trials"] if one["wave"] == 1) for k in range(4)}
    assert list(counts.values()) == [10, 4, 2, 1]
    for wave in (1, 2):
        for k, steps in enumerate(rungs[:-1]):
            on = [one for one in table["trials"] if one["wave"] == wave and len(one["rungs"]) > k]
            left = [one["rungs"][k]["score"] for one in on if len(one["rungs"]) == k + 1]
            gone = [one["rungs"][k]["score"] for one in on if len(one["rungs"]) > k + 1]
            assert {one["rungs"][k]["steps"] for one in on} == {steps} and max(left) <= min(gone)
    fresh = len(table["fresh"]) * 4 * 150
    assert table["brain_steps"] == 2 * cost(10, 2, rungs, 2.5) + fresh


def test_the_table_is_what_was_trained(whole: dict[str, Any]) -> None:
    table, drawn = whole["table"], own_space(configure("CartPole-v1", None, changes()))
    survivor = max(table["trials"], key=lambda one: len(one["rungs"]))
    config, last = drawn.config(survivor["params"]), survivor["rungs"][-1]
    means = alone(config, last["steps"], [0, 1])
    assert np.allclose(means, last["means"], atol=1e-3) and abs(score(means) - last["score"]) < 1e-3
    # and so is the preset, on fresh seeds
    winner = table["fresh"][str(table["winner"])]
    preset = configure(None, str(whole["folder"] / PRESET))
    assert np.allclose(alone(preset, 150, list(range(1000, 1004))), winner, atol=1e-3)


def changes() -> dict[str, str]:
    return dict(word.split("=") for word in ["pool_words=8", *BAD.split()])


def test_the_same_seed_gives_the_same_search(cli: Cli, whole: dict[str, Any]) -> None:
    status, out, err = cli(f"{WORDS} --shapes 2")
    assert (status, err) == (0, "")
    again = json.loads(Path(TABLE).read_text())
    assert {**again, "seconds": 0} == {**whole["table"], "seconds": 0}
    # all but the day on which it was found
    texts = [re.sub("found on .*", "", path.read_text()) for path in (Path(PRESET), whole["folder"] / PRESET)]
    assert texts[0] == texts[1]
    assert re.findall(r"^\[(\d/2)\] (\d+) steps: (\d+) trials", out, re.M)[:4] == [
        ("1/2", "10", "10"), ("1/2", "24", "4"), ("1/2", "60", "2"), ("1/2", "150", "1")
    ]  # fmt: skip
    assert "trial 0 (the start)" in out and "where it was tuned for a part of the steps" in out
    assert f"--shapes 2 -P pool_words=8 {BAD}" in texts[0]
    # nothing that is there is overwritten
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    for out_flag, name in (("", PRESET), (" --out other.toml", "other.population.json")):
        if out_flag:
            Path(name).write_text("mine")
            before[name] = b"mine"
        status, _, err = cli(WORDS + out_flag)
        assert status == 2 and f"{name} exists already" in err
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


def test_the_landscape_is_drawn_from_the_table(whole: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "l.png"
    assert tune_landscape.command([str(whole["folder"] / TABLE), "--out", str(path)]) == 0
    assert path.read_bytes() == (whole["folder"] / PICTURE).read_bytes()


def made_table(matters: str) -> dict[str, Any]:
    """Forty trials of which one setting alone decides, and not the more the better."""
    rng = np.random.default_rng(5)
    trials = []
    for number in range(40):
        params: dict[str, Any] = {
            "gamma": float(rng.uniform(0.01, 0.1)),
            "cycles": int(rng.integers(4, 13)),
            "reads": "all",
        }
        middle = {"gamma": 0.055, "cycles": 8}[matters]
        params["reads"] = ["all", "hidden"][int(rng.integers(2))]
        value = 500 - 400 * abs(params[matters] - middle) / middle
        trials.append(
            {"trial": number, "wave": number // 20, "params": params, "rungs": [{"steps": 9, "score": value}]}
        )
    bounds = {"gamma": {"low": 0.01, "high": 0.1, "scale": "one minus log"}, "reads": {"options": ["all", "hidden"]}}
    bounds["cycles"] = {"low": 4, "high": 12, "scale": "linear"}
    return {"env_id": "X", "kind": "k", "brain_steps": 1, "space": bounds, "trials": trials, "winner": 3}


@pytest.mark.parametrize("matters", ["gamma", "cycles"])
def test_what_matters_is_found(matters: str) -> None:
    found = dict(tune_landscape.ranking(made_table(matters)))
    assert max(found, key=found.__getitem__) == matters and found[matters] > 0.5
    assert all(share < 0.2 for name, share in found.items() if name != matters)


def test_a_wave_that_is_better_as_a_whole_makes_nothing_important() -> None:
    table = made_table("gamma")
    for one in table["trials"]:
        late = one["wave"] == 1
        one["params"]["cycles"] = 12 if late else 4
        one["rungs"][0]["score"] += 1000 * late
    assert tune_landscape.importance(table, "cycles") == 0.0
    assert tune_landscape.importance(table, "gamma") > 0.5


def test_no_trials_are_no_picture(tmp_path: Path) -> None:
    with pytest.raises(HebbitError, match="holds no trials to draw"):
        tune_landscape.draw({"trials": [], "space": {}}, tmp_path / "x.png")


def test_copies_are_the_brains_that_they_copy() -> None:
    faster = SMALL.replace({"actor_step": 0.5})
    agent = newborn(CONDITIONS, [SMALL] * 4, range(4))
    resident.live(agent, 700)
    before = {name: value.copy() for name, value in saving.learned(agent).items()}
    rows = [0, 2, 2, 1]
    copy = tune_exploit.copied(agent, rows, [SMALL, SMALL, faster, SMALL])
    assert copy.brains.tolist() == rows and copy.num_timesteps == 700
    after = saving.learned(copy)
    # copies have what was learned and their scale of rewards; the first observation of an episode moves ranges a little
    for name in ("weights", "reward_unit", "reward_seen"):
        assert len(np.unique(before[name])) > 1 or name == "reward_seen"
        assert np.array_equal(after[name], before[name][rows])
    assert np.array_equal(after["encoder_seen"], before["encoder_seen"][rows] + 1)
    assert np.array_equal(after["episode"], before["episode"][rows] + 1)
    # from there on their own settings tell
    resident.live(copy, 400)
    weights = copy.arrays()["weights"]
    assert not np.array_equal(weights[1], weights[2])
    copy.close()


def test_settings_change_within_their_ranges_and_sizes_stay() -> None:
    drawn, rng = own_space(), np.random.default_rng(1)
    params = drawn.first()
    seen: dict[str, set[Any]] = {name: set() for name in params}
    for _ in range(200):
        params = tune_exploit.perturbed(drawn, params, rng)
        for name, value in params.items():
            seen[name].add(value)
        drawn.config(params)
    for one in drawn.dimensions:
        if one.name not in OWN:
            assert seen[one.name] == {drawn.first()[one.name]}
        elif isinstance(one, Range):
            assert one.low <= min(seen[one.name]) < max(seen[one.name]) <= one.high and len(seen[one.name]) > 3
        else:
            assert seen[one.name] == set(one.options)


def test_population_based_training_leaves_a_brain_and_how_its_settings_went(cli: Cli) -> None:
    words = f"tune CartPole-v1 --population 12 --steps 1500 --episodes 4 --seed 4 --exploit -P pool_words=8 {BAD}"
    status, out, err = cli(words)
    assert (status, err) == (0, "")
    assert sorted(os.listdir()) == sorted([TABLE, PICTURE, PRESET, "best_brain.zip"])
    table = json.loads(Path(TABLE).read_text())
    trials = {one["trial"]: one for one in table["trials"]}
    # a quarter of the brains begins anew after each part but the last
    assert len(trials) == 12 + 9 * 3 and [one.get("parent") for one in trials.values()].count(None) == 12
    assert all(one["parent"] in trials and one["rungs"][0]["steps"] == 150 * (one["wave"] + 1)
               for one in trials.values() if "parent" in one)  # fmt: skip
    ends = [one["rungs"][-1]["steps"] for one in trials.values()]
    assert ends.count(1500) == 12
    # the saved brain is the one of the table, and plays as well as it says
    brain = SpikingAgent.load("best_brain.zip")
    told = table["best_brain"]
    assert (brain.num_timesteps, brain.brains.tolist()) == (1500, [told["number"]])
    assert resident.trial(brain_with_env(brain), 20, seed=4 + 10 + 2)[0].mean() == told["mean"]
    lineage = table["schedule"]
    assert lineage[0]["from_step"] == 0 and f"mean return {told['mean']:.1f} in 20 further episodes" in out
    last = {name: value for part in lineage for name, value in part["settings"].items()}
    assert {name: getattr(brain.config, name) for name in last} == last
    status, _, err = cli(f"{words} --out new.toml")
    assert status == 2 and "best_brain.zip exists already" in err


def brain_with_env(agent: SpikingAgent) -> SpikingAgent:
    agent._prepare(False)
    return agent


def test_ctrl_c_leaves_the_best_so_far(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lives: list[int] = []
    live = Crowd.live

    def interrupted(crowd: Crowd, steps: int, chosen: Any) -> None:
        lives.append(steps)
        if len(lives) == 6:  # the second rung of the second wave
            os.kill(os.getpid(), signal.SIGINT)
        live(crowd, steps, chosen)

    monkeypatch.setattr(Crowd, "live", interrupted)
    status, _, err = cli(f"{WORDS} --quiet")
    assert status == 130 and re.search(
        rf"interrupted; the best so far is in {PRESET}, trials: 20; it cannot go on", err
    )
    assert "Not yet trained on fresh seeds" in Path(PRESET).read_text()
    table = json.loads(Path(TABLE).read_text())
    assert len(table["trials"]) == 20 and "winner" not in table
    assert not Path(PICTURE).exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("LunarLander-v3 --population 8", "has no resident form; there are"),
        ("CartPole-v1 --population 3", "--population must be at least 4, the --seeds of one trial, got 3"),
        ("CartPole-v1 --population 3 --exploit", "--population must be at least 4, for its quarters, got 3"),
        ("CartPole-v1 --population 8 --storage s", "leave --storage out"),
        ("CartPole-v1 --population 8 -P rewire_every=100", "add -P rewire_every=0 actor_fading=0"),
        ("CartPole-v1 --population 8 --budget-steps 100", "--budget-steps must be at least"),
        ("CartPole-v1 --population 8 --eta 1", "expected a number of more than 1 and at most 100, got '1'"),
        ("CartPole-v1 --exploit", "need a --population"),
        ("CartPole-v1 --population 8 --steps 20 --trials 2 --backend numpy", "steps brains one observation at a time"),
    ],
)
def test_flags_that_do_not_go_together(cli: Cli, flags: str, said: str) -> None:
    status, _, err = cli(f"tune {flags}")
    assert status == 2 and said in err and err.count("\n") == 1
    assert os.listdir() == []


def test_a_budget_is_kept() -> None:
    from argparse import Namespace

    given = {
        "env_id": "CartPole-v1", "trials": None, "steps": 1000, "seeds": 4, "episodes": 1, "storage": None, "seed": 4,
        "out": None, "preset": None, "backend": "numba", "quiet": True, "population": 40, "budget_steps": None,
        "eta": 2.0, "shapes": 1, "exploit": False, "params": None,
    }  # fmt: skip

    def sizes(**changed: Any) -> list[int]:
        course = tune_population._begun(Namespace(**given | changed))
        course.tuning.search.close()
        return tune_population.waves(course)

    assert sizes() == [10] * 10 and sizes(trials=25) == [8, 8, 9]
    rungs, check = ladder(1000, 2.0), (1 + tune.FINALISTS) * 8 * 1000
    wave = cost(10, 4, rungs, 2.0)
    assert sizes(budget_steps=check + 3 * wave + 5) == [10] * 3
    assert sizes(budget_steps=check + wave, trials=30) == [10]
