"""hebbit evaluate with a plan, from the command line to the files."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import SpikingAgent, evaluate
from hebbit.agents.environment import episode_seed
from hebbit.scripts.bench.play import Episodes, play
from hebbit.scripts.plans import session
from hebbit.scripts.plans.damage import Damage, Stage
from hebbit.scripts.plans.worlds import Kind, stream

Cli = Callable[..., Any]
SMALL = {"pool_words": 2}


@pytest.fixture
def runs(cli: Cli) -> list[SpikingAgent]:
    """Two brains, in a.zip and b.zip."""
    agents = [SpikingAgent("CartPole-v1", seed=seed, config=SMALL).learn(300) for seed in (1, 2)]
    for name, agent in zip("ab", agents, strict=True):
        agent.save(f"{name}.zip")
    return agents


@pytest.fixture
def table(cli: Cli, runs: Any) -> Callable[..., Any]:
    """Rows of an evaluation by (run, condition)."""

    def rows(conditions: str, names: str = "a.zip", episodes: int = 6, out: str = "out", flags: str = "") -> Any:
        Path("plan.toml").write_text(f"episodes = {episodes}\nseed = 77\n{conditions}")
        folder = Path(out)
        outcome = cli(f"evaluate {names} --plan plan.toml --out {folder} {flags}")
        assert outcome.status == 0, outcome.err
        found = json.loads((folder / "evaluation.json").read_text())["rows"]
        for path in folder.iterdir():
            path.unlink()
        return {(row["run"], row["condition"]): row for row in found}

    return rows


DAMAGED = """
[[conditions]]
name = "spikes"
dropped_spikes = 0.5
spurious_spikes = 0.1
deterministic = false
[[conditions]]
name = "world"
observation_noise = 0.05
sticky_actions = 0.3
"""
CLEAN = '[[conditions]]\nname = "clean"\n'


def test_files_and_table(cli: Cli, runs: list[SpikingAgent]) -> None:
    Path("plan.toml").write_text(
        'seed = 5\nepisodes = 9\n[[conditions]]\n[[conditions]]\nsweep = {lesion = [0, 0.5]}\nname = "damaged"\n'
        "[[conditions]]\nattributes = {length = 1}\ndead_inputs = [0, 2]\n"
    )
    status, out, err = cli("evaluate a.zip b.zip --plan plan.toml --out deep/out")
    assert (status, err) == (0, "")
    folder = Path("deep/out")
    assert sorted(path.name for path in folder.iterdir()) == ["evaluation.csv", "evaluation.json", "evaluation.png"]
    content = json.loads((folder / "evaluation.json").read_text())
    assert content["environment"] == {"id": "CartPole-v1", "kwargs": {}, "wrappers": []}
    assert content["reward_threshold"] == 475 and content["plan"]["seed"] == 5 and content["versions"]["numpy"]
    assert len(content["observation_ranges"]) == 4
    with open(folder / "evaluation.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    names = ["clean", "damaged: lesion 0", "damaged: lesion 0.5", "dead inputs 0+2, length 1"]
    assert [(line["run"], line["condition"]) for line in lines] == [
        (run, name) for name in names for run in ("a.zip", "b.zip")
    ]
    for line, row in zip(lines, content["rows"], strict=True):
        returns = np.array(row["returns"])
        assert len(returns) == len(row["lengths"]) == 9 and line["status"] == "ok" and line["error"] == ""
        middle = np.sort(returns)[2:7].mean()
        for name, value in (
            ("mean", returns.mean()), ("std", returns.std()), ("min", returns.min()), ("max", returns.max()),
            ("iqm", middle), ("solved", (returns >= 475).mean()), ("mean_length", np.mean(row["lengths"])),
        ):  # fmt: skip
            assert float(line[name]) == row[name] == pytest.approx(value), name
        assert row["min"] <= row["mean_low"] <= row["mean"] <= row["mean_high"] <= row["max"]
        assert row["min"] <= row["iqm_low"] <= row["iqm"] <= row["iqm_high"] <= row["max"]
    assert [line["digest"] for line in lines[:2]] == [agent.digest() for agent in runs]
    assert [(line["algorithm"], line["seed"]) for line in lines[:2]] == [("hebbit", "1"), ("hebbit", "2")]
    assert [(line["sweep"], line["value"]) for line in lines[2:6:2]] == [("lesion", "0"), ("lesion", "0.5")]
    assert (lines[6]["attributes"], lines[6]["dead_inputs"]) == ('{"length": 1}', "[0, 2]")
    assert "damaged: lesion 0.5" in out and "hebbit, 2 runs" in out and f"{content['rows'][0]['mean']:.1f}" in out


def test_a_clean_row_is_an_evaluation(table: Callable[..., Any], runs: list[SpikingAgent]) -> None:
    rows = table(CLEAN, "a.zip b.zip")
    for agent, name in zip(runs, ("a.zip", "b.zip"), strict=True):
        returns, lengths = evaluate(agent, "CartPole-v1", 6, True, 77, 0)
        assert rows[name, "clean"]["returns"] == returns.tolist()
        assert rows[name, "clean"]["lengths"] == lengths.tolist()


def test_a_row_depends_on_nothing_but_itself(table: Callable[..., Any]) -> None:
    alone = table(DAMAGED)
    with_others = table(CLEAN + DAMAGED, "b.zip a.zip")
    first, _, second = DAMAGED.partition('[[conditions]]\nname = "world"')
    turned = table('[[conditions]]\nname = "world"' + second + first + CLEAN)
    # more episodes than environments side by side: the first ones stay what they were
    more = table(DAMAGED, episodes=56)
    for name in ("spikes", "world"):
        own = alone["a.zip", name]["returns"]
        assert own == with_others["a.zip", name]["returns"] == turned["a.zip", name]["returns"]
        assert own == more["a.zip", name]["returns"][:6] and len(more["a.zip", name]["returns"]) == 56
        assert own != with_others["a.zip", "clean"]["returns"] != with_others["b.zip", "clean"]["returns"]
    seeded = table(DAMAGED, flags="--seed 78 --episodes 4")
    assert len(seeded["a.zip", "spikes"]["returns"]) == 4
    assert seeded["a.zip", "spikes"]["returns"] != alone["a.zip", "spikes"]["returns"][:4]


def alone(agent: SpikingAgent, stage: Stage | None, episode: int) -> float:
    """Return of one stochastic episode of the plan, played by itself."""
    seed = episode_seed(77, 0, episode, evaluation=True)
    chances, rows = [stream(Kind.SPIKES, seed)], np.zeros(1, np.int64)
    excitement = np.zeros((1, agent.brain_config.pool_words, 32), np.uint8)
    env = gym.make("CartPole-v1")
    observation, done, step = env.reset(seed=seed)[0], False, 0
    while not done:
        shown = agent.encoder.encode([observation], rows), excitement, np.array([episode * 10_000 + step], np.uint32)
        if stage is None:
            answer = agent.backend.predict(agent.state, rows, *shown, False)
        else:
            answer = stage.predict(*shown, False, chances)
        observation, _, terminated, truncated, _ = env.step(agent.decoder.decode(answer.actions[0]))
        excitement, done, step = answer.excitement, bool(terminated or truncated), step + 1
    return float(step)


def test_every_episode_has_presentations_and_spikes_of_its_own(table: Callable[..., Any]) -> None:
    # excitement that outlives a presentation
    agent = SpikingAgent("CartPole-v1", seed=6, config={"pool_words": 4, "drive": "sum", "excitement_decay": 0.1})
    agent.learn(300).save("s.zip")
    lost = "dropped_spikes = 0.5\nspurious_spikes = 0.1\n"
    rows = table(f"[[conditions]]\ndeterministic = false\n[[conditions]]\nname = 'x'\n{lost}deterministic = false",
                 "s.zip", episodes=54)  # fmt: skip
    stage = Stage(agent, Damage(0.5, 0.1, 0.0, 77))
    for name, own in (("stochastic", None), ("x", stage)):
        returns = rows["s.zip", name]["returns"]
        for episode in (0, 1, 2, 50, 51, 53):
            assert returns[episode] == alone(agent, own, episode), (name, episode)


def test_what_is_the_same_is_played_once(table: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []

    def counting(*words: Any) -> Episodes:
        played.append(len(words[2]))
        return play(*words)

    monkeypatch.setattr(session, "play", counting)
    rows = table(CLEAN + "[[conditions]]\nsweep = {lesion = [0, 0.5]}\n[[conditions]]\nsweep = {cycles = [8, 1]}")
    assert rows["a.zip", "clean"]["returns"] == rows["a.zip", "lesion 0"]["returns"]
    # the brain's own length is another parameter, though it changes nothing
    assert rows["a.zip", "clean"]["returns"] == rows["a.zip", "cycles 8"]["returns"] and len(played) == 4


def test_all_brains_of_a_population(cli: Cli) -> None:
    cli("train CartPole-v1 --brains 3 --steps 50 --run-dir p --quiet --no-plots --eval-episodes 2 -P pool_words=2")
    Path("plan.toml").write_text("episodes = 2\n[[conditions]]\nlesion = 0.5\n[[conditions]]")
    for flags, brains in (("", ["0", "1", "2"]), ("--brain 1", ["1"]), ("--brain best", [""])):
        assert cli(f"evaluate p --plan plan.toml --out o{len(brains)}{brains[0]} {flags}")[0] == 0
        with open(f"o{len(brains)}{brains[0]}/evaluation.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert [line["brain"] for line in lines] == brains * 2
        assert len({line["digest"] for line in lines}) == len(brains)


class Crashing(gym.Env[Any, Any]):
    """Breaks where told to; its observations are of a kind that no array holds."""

    def __init__(self, fuse: int = 0, units: int = 2) -> None:
        box = gym.spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = gym.spaces.Tuple([gym.spaces.Discrete(3), box])
        self.action_space = gym.spaces.Discrete(units)
        self.fuse, self.steps, self.worth, self.mad = fuse, 0, 1.0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return (1, np.zeros(2, np.float32)), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        if self.steps == self.fuse:
            raise RuntimeError("a wire\nhas come loose")
        return (1, np.zeros(2, np.float32)), np.nan if self.mad else self.worth, False, self.steps == 9, {}


@pytest.fixture
def crashing(cli: Cli) -> Iterator[str]:
    gym.register("Crashing-v0", entry_point=lambda **flags: Crashing(**flags), disable_env_checker=True)
    SpikingAgent("Crashing-v0", config=SMALL).save("c.zip")
    yield "c.zip"
    del gym.registry["Crashing-v0"]


def test_a_row_that_fails_does_not_stop_the_others(cli: Cli, crashing: str) -> None:
    Path("plan.toml").write_text(
        "episodes = 3\n[[conditions]]\nattributes = {fuse = 4}\n[[conditions]]\nattributes = {fuse = 1}\n"
        "[[conditions]]\nenv_kwargs = {units = 3}\n[[conditions]]\nattributes = {mad = true}\n[[conditions]]"
    )
    status, out, err = cli("evaluate c.zip --plan plan.toml --out out")
    assert status == 1 and err == "hebbit: 3 of 5 rows ended with an error, which stands in the table\n"
    rows = json.loads(Path("out/evaluation.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["error", "error", "error", "ok", "ok"]
    assert rows[0]["error"] == rows[1]["error"] == "RuntimeError: a wire has come loose"
    assert "its actions are Discrete(3) here, but it was trained with Discrete(2)" in rows[2]["error"]
    assert rows[3]["returns"] == [None] * 3 and rows[3]["mean"] is None and rows[3]["mean_length"] == 9
    assert rows[4]["returns"] == [9.0] * 3 and rows[0]["returns"] is None
    assert "a wire has come loose" in out and "a return is not finite" in out
    assert Path("out/evaluation.png").read_bytes()[:4] == b"\x89PNG"


def test_where_everything_fails_nothing_is_drawn(cli: Cli, crashing: str) -> None:
    Path("plan.toml").write_text("episodes = 1\n[[conditions]]\nattributes = {fuse = 4}")
    status, out, _ = cli("evaluate c.zip --plan plan.toml --out out")
    assert status == 1 and "evaluation.png" not in out
    assert sorted(path.name for path in Path("out").iterdir()) == ["evaluation.csv", "evaluation.json"]


def test_an_interrupt_keeps_what_was_played(cli: Cli, runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(9))

    def stopped(*words: Any) -> Episodes:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return play(*words)

    monkeypatch.setattr(session, "play", stopped)
    Path("plan.toml").write_text(f"episodes = 2\n{CLEAN}{DAMAGED}")
    status, out, err = cli("evaluate a.zip b.zip --plan plan.toml --out out")
    assert (status, out) == (130, "") and "3 of 6 rows were finished; they are in out" in err
    with open("out/evaluation.csv", newline="") as file:
        assert [(row["run"], row["condition"]) for row in csv.DictReader(file)] == [
            ("a.zip", "clean"), ("b.zip", "clean"), ("a.zip", "spikes"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.zip b.zip", "2 runs need --plan FILE.toml"),
        ("ppo:m.zip", "ppo:m.zip needs --plan FILE.toml"),
        ("a.zip --plan none.toml", "none.toml cannot be read"),
        ("a.zip --plan plan.toml --stochastic", "deterministic = false in a condition"),
        ("a.zip --plan plan.toml --render", "use --video DIR"),
        ("a.zip --plan plan.toml --out full", "full is not empty"),
        ("a.zip --plan plan.toml --video full", "full is not empty: choose another --video"),
        ("a.zip --plan plan.toml --out plan.toml", "plan.toml is a file where a folder is needed"),
        ("a.zip a.zip --plan plan.toml", "a.zip is named 2 times"),
        ("none.zip --plan plan.toml", "none.zip"),
        ("pop:none.zip --plan plan.toml", "before a colon stands one of trained, ppo, a2c, dqn, qrdqn, ars"),
        ("ppo:none.zip --plan plan.toml", "none.zip is no file"),
        ("a.zip m.zip --plan plan.toml", "two runs have {'id': 'CartPole-v1'"),
        ("m.zip --plan named.toml", "the plan and a run have {'id': 'CartPole-v1'"),
        ("a.zip --plan typo.toml", "the condition 'lenght 1' cannot be played: CartPoleEnv has no attribute 'lenght'"),
        ("a.zip --plan plan.toml --backend cuda", "--backend must be one of"),
        ("a.zip --plan plan.toml --seed 4294967296", "seed must be a whole number"),
    ],
)
def test_it_is_said_before_anything_is_played(
    cli: Cli, runs: Any, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    SpikingAgent("MountainCar-v0", config=SMALL).save("m.zip")
    Path("plan.toml").write_text(CLEAN)
    Path("named.toml").write_text('env_id = "CartPole-v1"\n' + CLEAN)
    Path("typo.toml").write_text(CLEAN + "[[conditions]]\nattributes = {lenght = 1}")
    Path("full").mkdir()
    Path("full/mine").write_text("mine")
    before = sorted(Path().rglob("*"))
    monkeypatch.setattr(session, "play", None)
    status, out, err = cli(f"evaluate {line}")
    assert (status, out) == (2, "") and said in err and err.count("\n") == 1, err
    assert sorted(Path().rglob("*")) == before


def test_a_brain_that_names_no_environment(cli: Cli) -> None:
    SpikingAgent(gym.make("CartPole-v1"), config=SMALL).save("n.zip")
    Path("plan.toml").write_text(f'env_id = "CartPole-v1"\nepisodes = 2\n{CLEAN}')
    assert cli("evaluate n.zip --plan plan.toml")[0] == 0
    Path("plan.toml").write_text(f"episodes = 2\n{CLEAN}")
    status, _, err = cli("evaluate n.zip --plan plan.toml")
    assert status == 2 and "does not say how its environment is made" in err


@pytest.mark.parametrize("names", ["a.zip ./a.zip", "a.zip copy.zip", "p p/CartPole-v1.zip", "p p/best_brain.zip"])
def test_one_run_under_two_names(cli: Cli, runs: list[SpikingAgent], names: str) -> None:
    runs[0].save("copy.zip")
    if names[0] == "p":
        cli("train CartPole-v1 --brains 2 --steps 50 --run-dir p --quiet --no-plots --eval-episodes 2 -P pool_words=2")
    Path("plan.toml").write_text(f"episodes = 2\n{CLEAN}")
    status, out, err = cli(f"evaluate {names} --plan plan.toml --out out")
    assert (status, out) == (2, "") and "are the same, bit for bit: name each run once" in err
    assert not Path("out").exists()


def test_a_brain_of_another_number_plays_the_episodes_of_brain_0(cli: Cli, table: Callable[..., Any]) -> None:
    agent = SpikingAgent("CartPole-v1", seed=5, config=SMALL, brains=[3]).learn(300)
    agent.save("three.zip")
    row = table(CLEAN, "three.zip")["three.zip", "clean"]
    assert row["returns"] == evaluate(agent, "CartPole-v1", 6, True, 77, 0)[0].tolist()
    assert row["returns"] != evaluate(agent, "CartPole-v1", 6, True, 77, 3)[0].tolist()
    # what the command gives without a plan are the episodes of the brain's own number
    assert cli("evaluate three.zip --episodes 6 --seed 77 --out e.json")[0] == 0
    without = json.loads(Path("e.json").read_text())["returns"]
    assert without == evaluate(agent, "CartPole-v1", 6, True, 77, 3)[0].tolist()
