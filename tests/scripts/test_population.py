"""Many brains at once are as many brains, one by one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import EnvSpec, SpikingAgent
from hebbit.scripts import train
from hebbit.scripts.population import Ranking, evaluate_brains

Cli = Callable[..., Any]
CARTPOLE = EnvSpec("CartPole-v1")
SMALL = {"pool_words": 4}


@pytest.fixture(scope="module")
def population() -> SpikingAgent:
    return SpikingAgent(CARTPOLE, seed=4, brains=3, config=SMALL).learn(120)


@pytest.mark.parametrize("deterministic", [True, False])
def test_lockstep_is_one_by_one(population: SpikingAgent, deterministic: bool) -> None:
    seen: list[None] = []
    returns, lengths = evaluate_brains(population, CARTPOLE, 3, deterministic, on_episode=lambda: seen.append(None))
    assert len(seen) == 9
    for brain in range(3):
        population.active = brain
        alone = population.evaluate(episodes=3, deterministic=deterministic)
        assert np.array_equal(returns[brain], alone[0]) and np.array_equal(lengths[brain], alone[1])


def test_lockstep_takes_seeds(population: SpikingAgent) -> None:
    own, other = (evaluate_brains(population, CARTPOLE, 2, seed=seed)[0] for seed in (4, 5))
    assert np.array_equal(own, evaluate_brains(population, CARTPOLE, 2)[0]) and not np.array_equal(own, other)


def test_ranking() -> None:
    ranking = Ranking(np.array([3.0, 1.0, 5.0, 5.0]), 3.0)
    assert (ranking.best, ranking.median, ranking.solved) == (2, 0, 0.75)
    assert ranking.to_dict()["quartiles"] == [1, 2.5, 4, 5, 5]
    assert "75% of 4 solved" in ranking.text()
    assert Ranking(np.array([1.0, 2.0]), None).solved is None


def test_a_run_of_a_population(cli: Cli) -> None:
    flags = "--eval-episodes 3 --eval-freq 60 --run-dir r -P pool_words=4"
    status, out, err = cli(f"train CartPole-v1 --steps 120 --seed 4 --brains 3 {flags}")
    assert (status, err) == (0, "") and "3 brains, 120 steps" in out and "quartiles" in out and "% of 3 solved" in out
    result = json.loads(Path("r/result.json").read_text())
    ranking = result["population"]
    assert result["brains"] == 3 and len(ranking["means"]) == 3 and len(result["evaluation"]["returns"]) == 9
    assert {f"{i}.monitor.csv" for i in range(3)} == {path.name for path in Path("r").glob("*.monitor.csv")}
    with np.load("r/evaluations.npz") as log:
        assert log["results"].shape == (2, 9) and log["timesteps"].tolist() == [60, 120]
    for name, brain in (("best", ranking["best"]), ("median", ranking["median"])):
        alone = SpikingAgent(CARTPOLE, seed=4, brains=[brain], config=SMALL).learn(120)
        assert SpikingAgent.load(f"r/{name}_brain.zip").digest() == alone.digest()
        assert alone.evaluate(episodes=3)[0].mean() == ranking["means"][brain]
    _evaluations_of(cli, ranking)


def _evaluations_of(cli: Cli, ranking: dict[str, Any]) -> None:
    """The same run, played by its brains."""
    _, out, _ = cli("evaluate r --episodes 3")
    assert Ranking(np.array(ranking["means"]), 475.0).text() in out
    for brain, position in (("best", ranking["best"]), ("median", ranking["median"]), ("1", 1)):
        _, out, _ = cli(f"evaluate r --episodes 3 --brain {brain}")
        assert f"mean return {ranking['means'][position]:.1f}" in out
    for line, said in (
        ("evaluate r --brain 3", "one of 0..2"),
        ("evaluate r --render", "pick one"),
        ("evaluate r/CartPole-v1.zip --brain best", "needs a run's folder"),
    ):
        status, _, err = cli(line)
        assert status == 2 and said in err
    assert "brains           3" in cli("info r")[1]


def test_many_brains_may_open_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    wished: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: wished.append(limits))
    for brains in (1, 500, 1000, 5000):
        train._allow_files(brains)
    assert wished == [(1200, 4096)]
