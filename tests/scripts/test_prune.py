"""Taking words out of a trained brain from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import EnvSpec, SpikingAgent, evaluate
from hebbit.scripts.prune import Trial, _finish, fewest, possible

Cli = Callable[..., Any]
TINY = {"pool_words": 6, "cycles": 2}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(**changes: Any) -> SpikingAgent:
    agent = SpikingAgent("CartPole-v1", seed=1, config={**TINY, **changes}, backend="numpy").learn(60)
    agent.save("a.zip")
    return agent


@pytest.mark.parametrize("tolerance", [0.0, 0.3, 100.0])
def test_words_go_as_long_as_it_plays_as_well(cli: Cli, tolerance: float) -> None:
    agent = trained()
    status, out, err = cli(f"prune a.zip --out b.zip --episodes 2 --tolerance {tolerance} --backend numpy")
    assert (status, err) == (0, "")
    before, other = (evaluate(agent, "CartPole-v1", 2, seed=seed)[0].mean() for seed in (1, 2))
    least = before - tolerance * before
    first, *tried, last = out.splitlines()
    assert first == f"CartPole-v1, a.zip: 6 pool words, mean return {before:.1f}; {least:.1f} or more is as well"
    judged = {line: float(line.split()[2].strip(",")) for line in tried}
    assert all(
        ("well enough" in line) == (score >= least - 0.05) for line, score in judged.items() if "other" not in line
    )
    refused = {line.split()[0] for line in tried if "on other episodes" in line}
    enough = {line.split()[0] for line in tried if "well enough" in line}
    small = SpikingAgent.load("b.zip", backend="numpy")
    left = small.brain_config.pool_words
    assert left == min([6, *map(int, enough - refused)]) and (tolerance < 100 or left == 0)
    after = evaluate(small, "CartPole-v1", 2, seed=2)[0].mean()
    assert left == 6 or after >= other - tolerance * other
    assert last.startswith(f"b.zip: {left} of 6 pool words") and last.endswith(f"{after:.1f}, before {other:.1f}")
    assert agent.digest() == SpikingAgent.load("a.zip", backend="numpy").digest()


def test_what_does_not_hold_in_other_episodes_is_not_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    agent = trained()
    trial = Trial(agent, EnvSpec("CartPole-v1"), 2, 1, 0.1, np.arange(6), 100.0)
    chosen = {1: 95.0, 2: 80.0, 3: 91.0, 4: 100.0, 5: 100.0, 6: 100.0}
    elsewhere = {1: 70.0, 3: 80.0, 4: 90.0, 6: 100.0}

    def score(self: Trial, agent: SpikingAgent, seed: int) -> float:
        return (chosen if seed == 1 else elsewhere)[agent.brain_config.pool_words]

    monkeypatch.setattr(Trial, "score", score)
    for words in (1, 2, 3, 4):
        trial.attempt(words)
    _finish(trial, [1, 3, 4, 6], tmp_path / "b.zip")
    out = capsys.readouterr().out
    assert "1 words: 70.0 on other episodes instead of 100.0, too little" in out and "4 of 6 pool words" in out
    assert SpikingAgent.load(tmp_path / "b.zip", backend="numpy").brain_config.pool_words == 4


def test_so_many_are_kept(cli: Cli) -> None:
    agent = trained()
    status, out, err = cli("prune a.zip --out b.zip --episodes 1 --keep 2 --backend numpy --seed 5")
    assert (status, err) == (0, "") and "well enough" not in out
    small = SpikingAgent.load("b.zip", backend="numpy")
    names = (small.arrays()["generation"][0] >> 16) ^ [0, 1]
    assert small.brain_config.pool_words == 2 and small.structure.words.tolist() == [6]
    weights = agent.arrays()["weights"][0]
    assert (small.arrays()["weights"][0][:, 4:] == weights[:, 4 + names.astype(int)]).all()
    # 6 inputs and pool words, 2 motor units and the critic; 4 bits, 8 bits, 4 bits, 5 bits
    assert "2 of 6 pool words, 1,256 of 2,136 bytes; on 1 other episodes" in out
    assert (2 * 32 * 4 + 3 * 6 * 32 * 13) // 8 == 968
    assert "pool words       2 in use, 4 of 6 pruned" in cli("info b.zip")[1]


def test_a_brain_of_a_population(cli: Cli) -> None:
    both = SpikingAgent("CartPole-v1", config=TINY, brains=[4, 7], backend="numpy").learn(30)
    both.save("a.zip")
    status, _, err = cli("prune a.zip --out b.zip --episodes 1 --backend numpy")
    assert status == 2 and "holds 2 brains: pick one to be pruned with --brain" in err and not Path("b.zip").exists()
    assert cli("prune a.zip --out b.zip --episodes 1 --keep 3 --brain 1 --backend numpy")[0] == 0
    assert SpikingAgent.load("b.zip", backend="numpy").brains.tolist() == [7]


def test_nothing_is_overwritten(cli: Cli) -> None:
    trained()
    Path("b.zip").write_text("mine")
    status, out, err = cli("prune a.zip --out b.zip --episodes 1 --backend numpy")
    assert (status, out, Path("b.zip").read_text()) == (2, "", "mine") and "exists already" in err
    assert cli("prune a.zip --out a.zip --episodes 1 --backend numpy")[0] == 2
    status, _, err = cli("prune a.zip --out no/b.zip --episodes 1 --backend numpy")
    assert status == 2 and "needs its folder no" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--tolerance -1", "expected a number of 0 or more, got '-1'"),
        ("--tolerance nan", "expected a number of 0 or more"),
        ("--keep 7", "--keep must be one of 0..6 here, got 7"),
        ("--env Pendulum-v1", "must have the agent's spaces"),
        ("--backend none", "--backend must be one of"),
        ("--brain best", "needs a run's folder"),
    ],
)
def test_what_makes_no_sense(cli: Cli, flags: str, said: str) -> None:
    trained()
    status, _, err = cli(f"prune a.zip --out b.zip --episodes 1 --backend numpy {flags}")
    assert status == 2 and said in err and not Path("b.zip").exists()


def test_there_must_be_words(cli: Cli) -> None:
    trained(pool_words=0)
    status, _, err = cli("prune a.zip --out b.zip --backend numpy")
    assert status == 2 and "no pool words that could be pruned" in err
    trained(echo_pool=1)
    status, _, err = cli("prune a.zip --out b.zip --episodes 1 --backend numpy")
    assert status == 2 and "no echo_pool, got 1" in err and not Path("b.zip").exists()


def test_bisection() -> None:
    tried: list[int] = []

    def score(number: int) -> float:
        tried.append(number)
        return float(number)

    for least in range(12):
        tried.clear()
        found = fewest(score, range(11), least)
        # the last is never tried: it is what there was
        assert found == min(least, 10) and len(tried) <= 4 and 10 not in tried
    assert fewest(score, [5], 9) == 5


def test_what_is_possible() -> None:
    def numbers(**changes: Any) -> list[int]:
        return possible(SpikingAgent("CartPole-v1", config={**TINY, **changes}, backend="numpy"))

    assert numbers() == [0, 1, 2, 3, 4, 5, 6] == numbers(learning_words=1)
    assert numbers(clusters=6) == [2, 3, 4, 5, 6]
    assert numbers(clusters=4, learning_words=1) == [2, 6]
