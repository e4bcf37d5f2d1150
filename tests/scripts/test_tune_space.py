"""What a search varies, and the presets it writes."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import optuna
import pytest
import scipy.stats
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, configure
from hebbit.agents.errors import RunError
from hebbit.scripts.tune import _winner
from hebbit.scripts.tune_preset import PresetFile, toml
from hebbit.scripts.tune_space import DIMENSIONS, SLOTS_MORE, Options, Range, Space, differences, space
from hebbit.scripts.tune_study import _distribution
from hebbit.scripts.tune_trial import Conditions, clearly_better, score, t_tail

BOX = spaces.Box(-1.0, 1.0, (2,))
UNBOUNDED = spaces.Box(-np.inf, np.inf, (2,))
TWO = spaces.Discrete(2)
STARTS: dict[str, dict[str, Any]] = {
    "default": {},
    "far": {"pool_words": 700, "slots_min": 5, "slots_max": 8, "gamma": 0.9999, "reward_bits": -3, "cycles": 15},
    "fine": {"critic_step": 0.123456789, "gamma": 0.98765, "tuning_width": 3.14159},
    "none": {"base_rate": 0.0, "temperature": 0.0, "gamma": 1.0, "motor_base": 0.5, "surprise_shift": 7},
}


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("actions", [TWO, BOX])
def test_the_first_trial_is_the_start(name: str, actions: gym.Space[Any]) -> None:
    start = AgentConfig(**STARTS[name])
    own = space(start, BOX, actions)
    first = own.first()
    assert own.config(first) == start
    for one in own.dimensions:
        assert _distribution(one)._contains(_distribution(one).to_internal_repr(first[one.name])), one.name


def test_what_a_scale_cannot_hold_stays_as_it_is() -> None:
    names = {one.name for one in space(AgentConfig(**STARTS["none"]), BOX, TWO).dimensions}
    assert {one.name for one in space(AgentConfig(), BOX, TWO).dimensions} - names == {
        "base_rate",
        "temperature",
        "gamma",
    }


def test_what_makes_no_difference_is_left_out() -> None:
    def varied(observations: gym.Space[Any], actions: gym.Space[Any]) -> set[str]:
        return {one.name for one in space(AgentConfig(), observations, actions).dimensions}

    everything = {one.name for one in DIMENSIONS}
    nested = spaces.Dict(a=TWO, b=spaces.Tuple([BOX]))
    assert varied(nested, spaces.Dict(x=BOX)) == everything
    assert varied(BOX, TWO) == everything - {"box_bins", "box_decode"}
    assert (
        varied(UNBOUNDED, TWO) == varied(spaces.Discrete(4), TWO) == everything - {"box_bins", "box_decode", "ranges"}
    )


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_drawn_is_a_configuration(seed: int) -> None:
    own = space(AgentConfig(), BOX, BOX)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask({one.name: _distribution(one) for one in own.dimensions}).params
    config = own.config(drawn)
    assert 0.9 <= config.gamma <= 0.999 and config.slots_min <= config.slots_max <= 8
    assert config.slots_max - config.slots_min == drawn[SLOTS_MORE]
    for one in own.dimensions:
        value = drawn[SLOTS_MORE] if one.name == SLOTS_MORE else getattr(config, one.name)
        if isinstance(one, Options):
            assert value in one.options
        elif one.scale != "one minus log":
            assert one.low * 0.99 <= value <= one.high * 1.01
            assert one.whole or float(f"{value:.3g}") == value
    # and a preset that is read back as what was meant
    assert AgentConfig().replace(tomllib.loads(toml(differences(config), ["a comment"]))) == config


def test_every_dimension_says_why_and_holds_the_default() -> None:
    fields = AgentConfig().to_dict()
    assert all(one.why and (one.name in fields or one.name == SLOTS_MORE) for one in DIMENSIONS)
    assert len({one.name for one in DIMENSIONS}) == len(DIMENSIONS)
    assert all(one.including(one_default(one)) == one for one in DIMENSIONS)


def one_default(one: Range | Options) -> Any:
    default = AgentConfig()
    return default.slots_max - default.slots_min if one.name == SLOTS_MORE else getattr(default, one.name)


def test_more_slots_than_there_are_are_not_asked_for() -> None:
    own = Space(AgentConfig(slots_min=7, slots_max=8), space(AgentConfig(), BOX, TWO).dimensions)
    assert own.config({**own.first(), "slots_min": 7, SLOTS_MORE: 3}).slots_max == 8


def test_a_preset_holds_differences_alone(tmp_path: Path) -> None:
    config = configure("LunarLander-v3").replace({"gamma": 0.995, "motor_ramp": True, "ranges": "bounds"})
    path = tmp_path / "p.toml"
    file = PresetFile(path)
    file.write(file.prepared(config, ["found by", "  hebbit tune X"], (0, True)))
    text = path.read_text()
    assert text.startswith("# found by\n#   hebbit tune X\n") and "motor_ramp = true" in text
    assert "ranges" not in text and "critic_step" not in text
    assert configure("LunarLander-v3", str(path)) == config == configure(None, str(path))
    assert toml({}, ["nothing differs"]) == "# nothing differs\n"


def test_only_what_the_search_wrote_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    file = PresetFile(path)
    for gamma in (0.9, 0.95):
        file.write(file.prepared(AgentConfig(gamma=gamma), [], (3, False)))
    assert configure(None, str(path)).gamma == 0.95
    assert PresetFile(path, file.written).own() == (3, False)
    with pytest.raises(RunError, match="is not as this search left it: choose another --out"):
        PresetFile(path)
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(RunError, match="would not be overwritten"):
        file.write(file.prepared(AgentConfig(), [], (3, False)))
    assert path.read_text().endswith("# mine\n")
    with pytest.raises(RunError, match="needs its folder"):
        PresetFile(tmp_path / "none" / "p.toml")


def test_an_older_preset_in_another_place_is_still_its_own(tmp_path: Path) -> None:
    first, second = PresetFile(tmp_path / "p.toml"), PresetFile(tmp_path / "q.toml")
    first.write(first.prepared(AgentConfig(gamma=0.9), [], (0, False)))
    second.written = first.written
    for number in range(1, 9):
        second.write(second.prepared(AgentConfig(gamma=0.9 + number / 100), [], (number, number == 8)))
    written = json.loads(json.dumps(second.written))
    assert PresetFile(first.path, written).own() == [0, False]
    assert PresetFile(second.path, written).own() == [8, True]
    assert PresetFile(tmp_path / "r.toml", written).own() is None


def test_one_failing_seed_costs_more_than_being_a_little_worse() -> None:
    assert score(np.array([500.0, 500, 500, 100])) < score(np.array([390.0] * 4))
    assert score(np.array([7.0])) == 7
    assert score(np.array([-80.0, -120])) == -110


DEFAULTS = np.array([500.0, 498, 494, 500, 494, 500, 492, 498])


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        (DEFAULTS + [0, 0, 6, 0, -1, 0, 7, 1], False),  # a lead of 1.6 with a standard error of 1.1
        (DEFAULTS + [5, 4, 6, 5, 4, 5, 7, 5], True),
        (DEFAULTS, False),
        (DEFAULTS - 5, False),
        # the same lead everywhere: a chance of one in 256; and nearly the same
        (DEFAULTS + 1, True),
        (DEFAULTS * 1.01, True),
        # five of eight are better, none is worse: one in 32
        (DEFAULTS + [9, 9, 9, 9, 9, 0, 0, 0], False),
    ],
)
def test_the_start_must_be_clearly_beaten(means: NDArray[np.float64], expected: bool) -> None:
    assert clearly_better(means, DEFAULTS, 3) == expected


def test_few_seeds_are_no_certainty() -> None:
    others = np.array([490.0, 480, 470, 495])
    assert not clearly_better(others + 5, others, 1)  # one in 16, whatever the spread
    assert not clearly_better(others + 0.1 * 3, others, 1)  # the same, but for roundings
    assert clearly_better(others + [5, 5.1, 5.2, 5.3], others, 3)
    with pytest.raises(ValueError, match="at least 4 seeds, got 3"):
        clearly_better(others[:3] + 5, others[:3], 1)


def test_more_rivals_need_a_clearer_lead() -> None:
    others = np.array([90.0, 100, 110, 80])
    means = others + [0.2, 1.0, 1.6, 3.0]
    assert 0.05 / 3 < scipy.stats.ttest_rel(means, others, alternative="greater").pvalue < 0.05
    assert clearly_better(means, others, 1) and not clearly_better(means, others, 3)


@pytest.mark.parametrize("degrees", [*range(1, 12), 31, 400])
def test_the_tail_of_students_t(degrees: int) -> None:
    for t in (0.0, 0.3, 1.0, 2.4, 7.0, 40.0):
        assert t_tail(t, degrees) == pytest.approx(scipy.stats.t.sf(t, degrees), abs=1e-13)


RETURNS: dict[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    "normal": lambda rng, shape: rng.normal(0, 1, shape),
    "two values": lambda rng, shape: rng.choice([100.0, 500.0], shape),
    "mostly solved": lambda rng, shape: np.where(rng.random(shape) < 0.15, 100.0, 500.0),
    "capped": lambda rng, shape: np.minimum(500, rng.normal(495, 10, shape)),
    "skewed": lambda rng, shape: rng.exponential(1, shape),
}


@pytest.mark.parametrize("name", RETURNS)
@pytest.mark.parametrize("seeds", [4, 8, 16])
def test_equal_settings_rarely_beat_the_start(name: str, seeds: int) -> None:
    """In one search of twenty at most, here with room for three standard errors."""
    rng, searches = np.random.default_rng(5), 1000
    wrong = 0
    for _ in range(searches):
        start, *others = RETURNS[name](rng, (4, seeds))
        wrong += any(clearly_better(one, start, len(others)) for one in others)
    assert wrong / searches < 0.05 + 3 * (0.05 * 0.95 / searches) ** 0.5


def test_a_real_lead_is_mostly_seen() -> None:
    rng = np.random.default_rng(6)
    seen = sum(clearly_better(rng.normal(2, 1, 8), rng.normal(0, 1, 8), 3) for _ in range(200))
    assert seen > 160


def test_more_on_average_but_less_reliable_is_not_better() -> None:
    others = np.full(32, 100.0)
    means = others + np.where(np.arange(32) < 5, 1000, 0)
    assert score(means) < score(others) and not clearly_better(means, others, 3)


def test_who_wins_on_fresh_seeds() -> None:
    study = optuna.create_study(direction="maximize")
    start, good, better, lucky = (study.tell(study.ask(), 1.0) for _ in range(4))
    fresh = {0: DEFAULTS, 1: DEFAULTS + 3, 2: DEFAULTS + 4, 3: DEFAULTS + [0, 0, 0, 0, 40, 0, 40, 0]}
    assert _winner([good, better, lucky], start, fresh).number == 2
    assert _winner([lucky], start, fresh).number == 0
    assert _winner([lucky, good], None, fresh).number == 3
    assert _winner([], start, fresh).number == 0


@pytest.mark.parametrize(
    ("steps", "looks"),
    [(100, [25, 50, 75, 100]), (10, [3, 5, 8, 10]), (3, [1, 2, 3]), (1, [1])],
)
def test_when_brains_are_evaluated(steps: int, looks: list[int]) -> None:
    assert Conditions("X", steps, 1, 0, "auto").looks() == looks
