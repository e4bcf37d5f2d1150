"""The ablation commands: which part does what, and how many bits the rule needs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.agents.errors import HebbitError
from hebbit.scripts.ablation import __main__ as commands
from hebbit.scripts.ablation import bits, runs, table
from hebbit.scripts.ablation import bits_world as world
from hebbit.scripts.ablation.variants import Variant, chosen, parsed, variants

TINY = {"pool_words": 2, "cycles": 2}
HEAD = (
    "| variant | what it shows | steps | greedy return: IQM | spread | seeds | stochastic: IQM |\n"
    "|---|---|---:|---:|---:|---:|---:|\n"
)


def tiny(name: str = "default", **changes: Any) -> Variant:
    return Variant(name, "a part", "CartPole-v1", 40, {**TINY, **changes})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two variants with tiny brains and few episodes."""
    monkeypatch.setattr(commands, "variants", lambda: [tiny(), tiny("optimism=0", optimism=0.0)])
    monkeypatch.setattr(runs, "GREEDY_EPISODES", 2)
    monkeypatch.setattr(runs, "STOCHASTIC_EPISODES", 2)


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return rows


def row(name: str, seed: int, greedy: float, **others: Any) -> dict[str, Any]:
    return {
        **runs.Run(tiny(name), seed).about(), "part": "a | part", "greedy": greedy, "stochastic": greedy / 2, **others
    }  # fmt: skip


def test_every_variant_of_an_environment_is_another_one() -> None:
    known = variants()
    assert len(known) == 57
    settings = [(own.env_id, json.dumps(own.config().to_dict())) for own in known]
    assert len(set(settings)) == len(settings)


def test_variants_are_named_after_what_they_change() -> None:
    for own in variants():
        name, _, value = own.name.replace("slots=", "slots_max=").partition("=")
        if value and hasattr(own.config(), name):
            assert str(getattr(own.config(), name)).lower().removesuffix(".0") == value, own.name


def test_an_environments_own_preset_is_what_changes() -> None:
    games = [own for own in variants() if "MinAtar" in own.env_id]
    assert len(games) == 15 and {own.steps for own in games} == {150_000, 200_000}
    assert {(own.config().pool_words, own.config().reward_bits) for own in games} == {(0, 11)}
    assert {own.config().learning_words for own in games} == {0, 1, 4}
    assert [own.config().relations for own in games].count(0) == 2


def test_what_an_environment_shares_gives_way_to_changes() -> None:
    text = """
        base."CartPole-v1" = { pool_words = 3, cycles = 5 }
        [[variant]]
        name = "a"
        part = "b"
        env_id = "CartPole-v1"
        steps = 1
        changes = { cycles = 2 }
    """
    assert parsed(text) == [Variant("a", "b", "CartPole-v1", 1, {"pool_words": 3, "cycles": 2})]
    assert parsed(text)[0].config().to_dict().items() >= {"pool_words": 3, "cycles": 2, "gamma": 0.99}.items()


BEGIN = '[[variant]]\nname = "a"\npart = "b"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BEGIN + 'env_id = "c"\n', "a variant must have name"),
        (BEGIN + 'env_id = "c"\nsteps = 1\nseed = 2\n', "a variant must have name"),
        (BEGIN + 'env_id = "c"\nsteps = 1\nchanges = { optimismus = 1 }\n', "unknown hyperparameter"),
        (2 * (BEGIN + 'env_id = "c"\nsteps = 1\n'), "different names, got 'a' twice"),
    ],
)
def test_what_is_no_variant_is_refused(text: str, said: str) -> None:
    with pytest.raises(HebbitError, match=said):
        parsed(text)


def test_variants_are_chosen_by_name_and_environment() -> None:
    known = variants()
    assert [own.env_id for own in chosen(known, ["optimism=0"])] == [
        "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0"
    ]  # fmt: skip
    assert len(chosen(known, ["MountainCar-v0"])) == 6
    one = chosen(known, ["hebbit.envs.masked:CartPoleNoVel-v1:echo_delay=2", "CartPole-v1:default"])
    assert [own.name for own in one] == ["default", "echo_delay=2"]
    assert chosen(known, None) == known
    with pytest.raises(HebbitError, match="--only must name variants or environments"):
        chosen(known, ["default", "optimism=1"])


@pytest.mark.usefixtures("small")
def test_runs_are_kept_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "ablation.json"
    words = ["run", "--seeds", "2", "--out", str(out)]
    assert commands.main([*words, "--only", "optimism=0"]) == 0
    first = rows_of(out)
    assert commands.main(words) == 0
    assert "2 of 4 runs are there" in capsys.readouterr().out
    kept = rows_of(out)
    assert [(one["name"], one["seed"]) for one in kept] == [
        ("default", 2000), ("default", 2001), ("optimism=0", 2000), ("optimism=0", 2001)
    ]  # fmt: skip
    assert kept[2:] == first
    assert kept[0]["changes"] == TINY and kept[2]["changes"] == {**TINY, "optimism": 0.0}
    assert all(one["steps"] == 40 and one["contract"] and one["cpu_seconds"] >= 0 for one in kept)
    assert all(1 <= one[kind] <= 500 for one in kept for kind in ("greedy", "stochastic"))

    monkeypatch.setattr(runs, "trained", refuse)
    before = out.read_bytes()
    assert commands.main(words) == 0
    assert out.read_bytes() == before


def refuse(run: runs.Run) -> runs.Row:
    raise AssertionError(f"{run.key} was run")


@pytest.mark.usefixtures("small")
def test_a_row_tells_what_an_agent_of_its_seed_and_settings_does() -> None:
    made = runs.trained(runs.Run(tiny(optimism=0.0), 2003))
    agent = SpikingAgent("CartPole-v1", seed=2003, config={**TINY, "optimism": 0.0}, backend="numba")
    agent.learn(40, log_interval=None)
    assert made["greedy"] == agent.evaluate(episodes=2)[0].mean()
    assert made["stochastic"] == agent.evaluate(episodes=2, deterministic=False)[0].mean()


def test_the_file_is_complete_after_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(todo: list[runs.Run], jobs: int) -> Iterator[runs.Row]:
        yield row("default", todo[0].seed, 1.0, cpu_seconds=0.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "results", interrupted)
    out = tmp_path / "ablation.json"
    with pytest.raises(KeyboardInterrupt):
        runs.measure([runs.Run(tiny(), seed) for seed in (1, 2)], [tiny()], out)
    assert [one["seed"] for one in rows_of(out)] == [1]


def test_rows_of_other_settings_are_replaced_only_when_asked() -> None:
    old, new = runs.Run(tiny(), 7), runs.Run(tiny(optimism=1.0), 7)
    kept = {old.key: old.about()}
    with pytest.raises(HebbitError, match="got other changes, settings_sha256: choose another --out, or replace"):
        runs.missing([new], kept, anew=False)
    assert list(kept) == [old.key]
    assert runs.missing([new], kept, anew=True) == [new]
    assert kept == {}
    assert runs.missing([old], {old.key: old.about() | {"contract": -1}}, anew=True) == [old]


@pytest.mark.slow
def test_several_runs_at_a_time_give_the_same_rows(tmp_path: Path) -> None:
    two = [runs.Run(tiny(), seed) for seed in (5, 6)]
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    runs.measure(two, [tiny()], alone, jobs=1)
    runs.measure(two, [tiny()], together, jobs=2)

    def timeless(path: Path) -> list[dict[str, Any]]:
        return [{name: value for name, value in one.items() if name != "cpu_seconds"} for one in rows_of(path)]

    assert timeless(alone) == timeless(together)


@pytest.mark.parametrize("content", ["{", '{"claim": "bits", "rows": []}', '{"claim": "ablation", "rows": [{}]}'])
def test_other_files_are_left_alone(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.json"
    out.write_text(content)
    assert commands.main(["run", "--only", "CartPole-v1:default", "--out", str(out)]) == 2
    assert "choose another --out" in capsys.readouterr().err
    out.write_text('{"claim": "ablation", "rows": []}')
    assert commands.main(["bits", "--steps", "1", "--out", str(out)]) == 2
    assert out.read_text() == '{"claim": "ablation", "rows": []}'


def test_the_tables_of_a_document(tmp_path: Path) -> None:
    rows = [row("default", seed, greedy) for seed, greedy in enumerate([0.0, 10.0, 20.0, 30.0, 1000.0])]
    rows += [row("slots=1", 0, 4.0), row("default", 0, 7.0, env_id="Other-v0")]
    results, widths, document = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "learning.md"
    runs.write_rows(results, rows)
    own = [{"weight_bits": 8, "trace_bits": 2, "greedy": [3.0, 5.0]}]
    widths.write_text(json.dumps({"claim": "bits", "rows": own}))
    marks = ("<!-- ablation: begin -->\n", "<!-- ablation: end -->\n", "<!-- bits: begin -->\n", "<!-- bits: end -->\n")
    document.write_text(f"before\n{marks[0]}old\n{marks[1]}between\n{marks[2]}{marks[3]}after\n")
    assert commands.main(["table", str(results), str(document), "--bits", str(widths)]) == 0
    assert document.read_text() == (
        f"before\n{marks[0]}**CartPole-v1**\n\n{HEAD}"
        "| `default` | a \\| part | 40 | 20.0 | 0.0 .. 1000.0 | 5 | 10.0 |\n"
        "| `slots=1` | a \\| part | 40 | 4.0 | 4.0 .. 4.0 | 1 | 2.0 |\n\n"
        f"**Other-v0**\n\n{HEAD}"
        "| `default` | a \\| part | 40 | 7.0 | 7.0 .. 7.0 | 1 | 3.5 |\n"
        f"{marks[1]}between\n{marks[2]}"
        "| bits of a weight | bits of a trace | greedy return: IQM | spread | seeds |\n|---:|---:|---:|---:|---:|\n"
        "| 8 | 2 | 4.0 | 3.0 .. 5.0 | 2 |\n"
        f"{marks[3]}after\n"
    )


def test_a_document_without_marks_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, document = tmp_path / "a.json", tmp_path / "learning.md"
    runs.write_rows(results, [row("default", 0, 1.0)])
    document.write_text("<!-- ablation: end -->\n<!-- ablation: begin -->\n")
    assert commands.main(["table", str(results), str(document)]) == 2
    assert "the document must have the lines '<!-- ablation: begin -->'" in capsys.readouterr().err
    assert document.read_text() == "<!-- ablation: end -->\n<!-- ablation: begin -->\n"
    assert commands.main(["table", str(tmp_path / "none.json"), str(document)]) == 2
    assert "must be a result file, got none" in capsys.readouterr().err
    assert commands.main(["table", str(results), str(tmp_path / "none.md")]) == 2
    assert "must be a document to update" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "at least one row"),
        ([row("default", 0, 1.0), row("default", 1, 1.0, contract=2)], "one version and contract"),
        ([row("default", 0, 1.0), row("default", 1, 1.0, settings_sha256="other")], "equal settings"),
    ],
)
def test_rows_that_do_not_belong_together_make_no_table(rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(HebbitError, match=said):
        table.ablation_table(rows)


def test_the_world_is_gymnasiums() -> None:
    env = gym.make("CartPole-v1").unwrapped
    env.reset(seed=1)
    random = np.random.default_rng(1)
    states = random.uniform(-1, 1, (200, 4)) * [2.5, 3.0, 0.22, 3.0]
    actions = random.integers(0, 2, 200)
    after, fallen = world.moved(states, actions == 1)
    for state, action, own, ends in zip(states, actions, after, fallen, strict=True):
        env.state = state  # type: ignore[attr-defined]  # CartPole's own attribute
        env.steps_beyond_terminated = None  # type: ignore[attr-defined]  # CartPole's own attribute
        observation, _, terminated, _, _ = env.step(int(action))
        np.testing.assert_allclose(own, observation, rtol=1e-6, atol=1e-6)
        assert terminated == ends
    assert 0 < fallen.sum() < 200
    assert np.abs(world.newborn((500,), random)).max() <= 0.05


def test_counts_of_the_pool() -> None:
    seeds = np.array([3, 4, 3])
    pool = world.pool(seeds, 5)
    assert (pool.first[0] == pool.first[2]).all() and (pool.second[0] == pool.second[2]).all()
    assert (pool.first[0] != pool.first[1]).any()
    assert (pool.first // 32 != pool.second // 32).all()
    states = np.zeros((3, 400, 4))
    counts = pool.counts(states, np.random.default_rng(0))
    assert counts.shape == (3, 400, 32 * (4 + 5)) and counts.min() == 0 and counts.max() == 8
    # in the middle of its range, a word's middle neurons fire in nearly every cycle and its outer ones never
    assert counts[0, 0, :32].argmax() in (15, 16) and not counts[0, 0, [0, 31]].any()
    n, m = (np.take_along_axis(counts[:, :1, :128], side, -1) for side in (pool.first, pool.second))
    assert np.abs(counts[:, :, 128:].mean(axis=1) - (n * m / 8)[:, 0]).max() < 0.15


def brains(widths: list[tuple[int, int]], features: int, seed: int = 0) -> bits.Brains:
    return bits.Brains(np.array(widths), features, np.random.default_rng(seed))


def full(own: bits.Brains, share: float = 1.0) -> bits.Brains:
    number, outputs, features = own.weights.shape
    own.remember(np.full((number, features), 8, np.float32), np.full((number, outputs), share, np.float32))
    return own


def test_traces_of_all_widths_decay_saturate_and_mean_the_same() -> None:
    widths = [(8, b) for b in (2, 4, 8, 16)]
    most = np.array([3, 15, 255, 65535])
    own = full(brains(widths, 4000))
    np.testing.assert_array_equal(own.traces[:, 0, 0], [2, 8, 128, 32768])
    own.remember(np.zeros((4, 4000), np.float32), np.ones((4, 3), np.float32))
    keep = bits.SETTINGS.gamma * bits.SETTINGS.trace_lambda
    np.testing.assert_allclose(own.traces.mean(axis=(1, 2)), keep * (most + 1) / 2, rtol=0.01)
    for sign in (1, -1):
        for _ in range(20):
            full(own, sign)
        np.testing.assert_array_equal(own.traces.max(axis=(1, 2)) * sign, most)
    assert (own.traces == np.floor(own.traces)).all()


def test_weights_of_all_widths_move_alike_on_average_and_saturate() -> None:
    widths = [(b, 4) for b in (2, 4, 8, 16)]
    own = full(brains(widths, 20_000))
    grid = np.array([64, 16, 1, 1 / 256])[:, None, None]
    np.testing.assert_allclose(own.weights[:, 2].mean(axis=1), bits.SETTINGS.optimism, rtol=0.05)
    before = own.weights.copy()
    own.learn(np.full(4, -3.0, np.float32))
    change = (own.weights - before).mean(axis=2)
    half = 0.5 * -3.0
    expected = [half * bits.SETTINGS.actor_step] * 2 + [half * bits.SETTINGS.critic_step]
    np.testing.assert_allclose(change, np.tile(expected, (4, 1)), rtol=0.25)
    np.testing.assert_allclose(change[2:], np.tile(expected, (2, 1)), rtol=0.05)
    assert (own.weights / grid == np.floor(own.weights / grid)).all()
    for dopamine, bound in ((1e4, 128 - grid), (-1e4, -128 + 0 * grid)):
        own.learn(np.full(4, dopamine, np.float32))
        np.testing.assert_array_equal(own.weights, np.broadcast_to(bound, own.weights.shape))


def test_drives_are_means_and_credit_is_ones_share() -> None:
    own = brains([(8, 4)], 64)
    own.weights[0, 0, :32], own.weights[0, 1] = 10, -4
    counts = np.full((1, 1, 64), 3, np.float32)
    np.testing.assert_allclose(own.readout(counts)[0, 0], [5, -4, bits.SETTINGS.optimism])
    drives = np.tile(np.array([[0.0, 127 / bits.SETTINGS.temperature]], np.float32), (4000, 1))
    action, credit = bits.acted(drives, np.random.default_rng(0))
    np.testing.assert_allclose(action.mean(), 1 / (1 + np.exp(-1)), atol=0.03)
    np.testing.assert_allclose(credit.sum(axis=1), 0, atol=1e-6)
    assert (credit[np.arange(4000), action] > 0).all()
    np.testing.assert_allclose(credit.mean(axis=0), 0, atol=0.03)


def test_the_command_writes_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bits.json"
    words = ["bits", "--seeds", "2", "--steps", "30", "--episodes", "2", "--out", str(out)]
    assert commands.main(words) == 0
    found = json.loads(out.read_text())
    assert "not the product" in found["note"] and found["steps"] == 30 and found["features"] == 640
    assert [(one["weight_bits"], one["trace_bits"]) for one in found["rows"]] == list(bits.WIDTHS)
    assert all(len(one["greedy"]) == 2 and 1 <= min(one["greedy"]) for one in found["rows"])
    assert capsys.readouterr().out == table.bits_table(found["rows"])
    assert commands.main(words) == 0
    assert rows_of(out) == found["rows"]


def first_dopamine(monkeypatch: pytest.MonkeyPatch) -> float:
    """The first TD error of a brain whose episodes last one step; no trace outlives an episode."""
    met: list[float] = []
    learn: Callable[[bits.Brains, Any], None] = bits.Brains.learn

    def noted(own: bits.Brains, dopamine: Any) -> None:
        met.append(float(dopamine[0]))
        learn(own, dopamine)

    monkeypatch.setattr(bits.Brains, "learn", noted)
    own = brains([(8, 4)], 640)
    bits.train(own, world.pool(np.array([1]), 16), 3)
    assert len(met) == 3 and not own.traces.any()
    assert (own.weights[0, :2] != 0).any()
    return met[0]


def test_an_episode_that_is_cut_keeps_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "LIMIT", 1)
    lost = (1 - bits.SETTINGS.gamma) * bits.SETTINGS.optimism
    assert first_dopamine(monkeypatch) == pytest.approx(1 - lost, rel=1e-3)


def test_an_episode_that_has_ended_has_no_value_left(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = world.moved
    monkeypatch.setattr(world, "moved", lambda states, right: (moved(states, right)[0], np.ones_like(right)))
    assert first_dopamine(monkeypatch) == pytest.approx(1 - bits.SETTINGS.optimism, rel=1e-3)


def test_a_greedy_episode_ends_when_the_pole_falls() -> None:
    pool, own = world.pool(np.array([1, 1]), 2), brains([(8, 4), (8, 4)], 192)
    towards = np.concatenate([np.zeros(64), np.linspace(-50, 50, 32), np.linspace(-50, 50, 32), np.zeros(64)])
    # the first pushes the cart below the pole, the second away from it
    own.weights[:, 1] = [towards, -towards]
    held, lost = bits.greedy(own, pool, 20)
    assert held.shape == (20,) and held.min() > 50 and held.max() <= 500
    # which no more than some ten steps can last
    assert 5 < lost.min() <= lost.max() < 15


@pytest.mark.slow
def test_the_model_learns_cartpole_with_the_products_widths() -> None:
    wide, narrow = bits.rows([(8, 4), (2, 4)], bits.Plan(seeds=3, steps=20_000, episodes=10))
    assert np.median(wide["greedy"]) > 400
    assert np.median(narrow["greedy"]) < 300
