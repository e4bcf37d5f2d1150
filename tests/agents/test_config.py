"""Settings: documented, checked, converted from text, and turned into the backends' integers."""

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hebbit.agents import AgentConfig, HebbitError, configure
from hebbit.agents import config as module
from hebbit.agents.config import convert, decay_by_chance, presets
from hebbit.backends import equations
from hebbit.backends.spec import DOPAMINE_LIMIT, Param

HINTS = get_type_hints(AgentConfig)
NUMBERS = [name for name, hint in HINTS.items() if hint in (int, float)]
WORDS = {name: get_args(hint) for name, hint in HINTS.items() if get_args(hint)}


def test_every_field_is_documented() -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "AgentConfig")
    documented = [
        field.target.id
        for field, below in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and len(str(below.value.value)) > 20
    ]
    assert documented == [field.name for field in dataclasses.fields(AgentConfig)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-(10**12), 10**12, float("nan"), float("inf"), "1", None])
def test_numbers_out_of_range_are_refused(name: str, value: Any) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(HebbitError, match=f"^{name} must "):
        AgentConfig(**changes)


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("value", ["nonsense", "", 1, None])
def test_unknown_choices_are_refused(name: str, value: Any) -> None:
    with pytest.raises(HebbitError, match=f"{name} must be one of {WORDS[name][0]}, "):
        AgentConfig(**{name: value})


@pytest.mark.parametrize("name", [name for name, hint in HINTS.items() if hint is int])
def test_whole_numbers_are_whole(name: str) -> None:
    with pytest.raises(HebbitError, match=f"{name} must be a whole number, got 2.5"):
        AgentConfig().replace({name: 2.5})
    changes: dict[str, Any] = {name: 2.5}
    with pytest.raises(HebbitError, match=f"{name} must .*got 2.5"):
        AgentConfig(**changes)


def test_switches_are_true_or_false() -> None:
    with pytest.raises(HebbitError, match="motor_ramp must .*'perhaps'"):
        AgentConfig().replace({"motor_ramp": "perhaps"})
    with pytest.raises(HebbitError, match="motor_ramp must .*'perhaps'"):
        AgentConfig(motor_ramp="perhaps")  # type: ignore[arg-type]  # the wrong type is the point


def test_numpy_numbers_are_numbers() -> None:
    config = AgentConfig().replace({"pool_words": np.int64(4), "gamma": np.float32(0.5), "motor_ramp": np.bool_(True)})
    assert config == AgentConfig(pool_words=4, gamma=0.5, motor_ramp=True)
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()


def test_slots_are_in_order() -> None:
    with pytest.raises(HebbitError, match="slots_min must be at most slots_max, got 5 and 4"):
        AgentConfig(slots_min=5)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pool_words", "1_024", 1024), ("pool_words", 12, 12), ("reward_bits", "-3", -3), ("gamma", "0.5", 0.5),
        ("gamma", "1e-1", 0.1), ("gamma", 1, 1.0), ("motor_ramp", "true", True), ("motor_ramp", "False", False),
        ("motor_ramp", "1", True), ("motor_ramp", 0, False), ("motor_ramp", True, True), ("drive", "sum", "sum"),
        ("reward_scale", "fixed", "fixed"), ("reward_steps", "64", 64.0),
    ],
)  # fmt: skip
def test_text_is_converted(name: str, text: Any, value: Any) -> None:
    converted = convert(name, text)
    assert converted == value and type(converted) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("pool_words", "many"), ("pool_words", "4.0"), ("pool_words", None), ("gamma", "high"), ("gamma", []),
     ("motor_ramp", "yes"), ("pool_words", {}), ("gamma", {}), ("motor_ramp", [])],
)  # fmt: skip
def test_text_that_is_none_of_it_is_refused(name: str, text: Any) -> None:
    with pytest.raises(HebbitError, match=f"^{name} must be (a whole number|a number|true or false), got "):
        convert(name, text)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(HebbitError, match="unknown hyperparameter 'pool_word'; did you mean pool_words"):
        AgentConfig().replace({"pool_word": 3})
    with pytest.raises(HebbitError, match="unknown hyperparameter 'zzz'; there are pool_words, cycles, "):
        convert("zzz", 3)


def test_fields_make_a_round_trip_through_json() -> None:
    config = AgentConfig(pool_words=7, drive="sum", gamma=0.123456789, motor_ramp=True)
    data = json.loads(json.dumps(config.to_dict()))
    assert set(data) == set(HINTS)
    assert AgentConfig().replace(data) == config


def test_presets_come_from_names_files_and_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "presets", lambda: {"Env-v0": {"pool_words": 5}, "small": {"pool_words": 6}})
    assert configure("Env-v0") == AgentConfig(pool_words=5)
    assert configure("Env-v0", "default") == configure(None) == AgentConfig()
    assert configure("Env-v0", "small", {"gamma": "0.5"}) == AgentConfig(pool_words=6, gamma=0.5)
    assert configure("Env-v0", None, {"cycles": 3}) == AgentConfig(pool_words=5, cycles=3)
    (tmp_path / "a.toml").write_text('pool_words = 9\ndrive = "sum"\n')
    (tmp_path / "a.json").write_text('{"pool_words": 9, "drive": "sum"}')
    for name in ("a.toml", "a.json"):
        assert configure("Env-v0", str(tmp_path / name)) == AgentConfig(pool_words=9, drive="sum")


def test_our_presets_are_settings() -> None:
    for name in presets():
        assert configure(name) == configure(None, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "pool_words ="), ("a.json", "{"), ("a.json", "[1]"), ("a.json", "3"), ("a.toml", "nonsense = 3"),
     ("a.json", "\xff\xfe"), ("a.toml", "pool_words = 'many'"), ("a.json", '{"pool_words": null}'),
     ("a.json", "[" * 100_000)],
)  # fmt: skip
def test_wrong_preset_files_are_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(HebbitError) as caught:
        configure(None, str(path))
    assert "\n" not in str(caught.value)


def test_a_preset_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    for name in ("nowhere.toml", "", str(tmp_path)):
        with pytest.raises(HebbitError, match="preset must be default, "):
            configure(None, name)


@given(st.floats(0, 1))
def test_decay_by_chance_keeps_the_mean(keep: float) -> None:
    shift, chance = decay_by_chance(keep)
    assert 0 <= shift <= 3 and 0 <= chance <= 256
    assert abs(1 - chance / 256 / 2**shift - keep) <= 1 / 512 / 2**shift + 1e-12


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.875, 0.9, 0.99, 1.0])
def test_a_trace_decays_by_that_much(keep: float) -> None:
    shift, chance = decay_by_chance(keep)
    rounding, number = np.meshgrid(np.arange(8, dtype=np.int32), np.arange(256, dtype=np.int32))
    for trace in range(16):
        x = np.full_like(number, trace)
        kept = equations.lose(x, np.int32(shift), rounding, np.int32(chance), number)  # type: ignore[arg-type]  # scalars broadcast
        assert kept.mean() == pytest.approx(trace * (1 - chance / 256 / 2**shift), abs=1e-9)


@pytest.mark.parametrize("steps", [0.0, 0.99, 127.01])
def test_returns_span_what_eight_bits_hold(steps: float) -> None:
    assert AgentConfig().reward_scale == "auto"
    assert [AgentConfig(reward_steps=ends).reward_steps for ends in (1, 127)] == [1, 127]
    with pytest.raises(HebbitError, match=f"reward_steps must lie in 1..127, got {steps}"):
        AgentConfig(reward_steps=steps)


def test_integers_of_the_defaults() -> None:
    params = AgentConfig().params()
    assert params.dtype == np.int32 and params.shape == (1, len(Param))
    expected = {
        Param.DRIVE: 0, Param.GAIN: 15, Param.NOISE: 0, Param.DECAY_SHIFT: 1, Param.DECAY_CHANCE: 128,
        Param.BASE_RATE: 8, Param.BASE_AGE: 2000, Param.SENSORY: 0, Param.GAMMA: 32440, Param.CRITIC_RATE: 20972,
        Param.ACTOR_RATE: 8192, Param.RATE_AGE: 0, Param.TEMPERATURE: 60, Param.MOTOR_BASE: 0, Param.MOTOR_RULE: 0,
        Param.MOTOR_RAMP: 0, Param.SURPRISE_SHIFT: 0, Param.SURPRISE_FLOOR: 64, Param.DOPAMINE_CLIP: DOPAMINE_LIMIT,
        Param.CRITIC_RULE: 0,
    }  # fmt: skip
    assert {column: int(params[0, column]) for column in expected} == expected
    shift, chance = decay_by_chance(0.99 * 0.884)
    for columns in ((Param.CRITIC_SHIFT, Param.CRITIC_CHANCE), (Param.ACTOR_SHIFT, Param.ACTOR_CHANCE)):
        assert params[0, list(columns)].tolist() == [shift, chance]


def test_integers_of_other_settings() -> None:
    config = AgentConfig(
        clusters=3, drive="sum", sensory="bernoulli", motor_rule="second_draw", critic_trace="replacing", gamma=1.0,
        motor_ramp=True, motor_base=0.5, surprise_shift=4, dopamine_clip=2.0, base_rate=0.5, critic_step=16.0,
    )  # fmt: skip
    params = config.params()
    assert params.shape == (3, len(Param)) and (params == params[0]).all()
    ones = [Param.DRIVE, Param.SENSORY, Param.MOTOR_RULE, Param.CRITIC_RULE, Param.MOTOR_RAMP]
    assert params[0, ones].tolist() == [1] * 5
    others = [Param.GAMMA, Param.MOTOR_BASE, Param.DOPAMINE_CLIP, Param.BASE_RATE, Param.CRITIC_RATE]
    assert params[0, others].tolist() == [32768, 128, 512, 2048, 1 << 20]


def test_a_brain_that_cannot_be_is_refused() -> None:
    brain = AgentConfig(pool_words=4, slots_max=3).brain(2, (2, 3))
    assert (brain.words, brain.units, brain.slots) == (6, 5, (2, 2))
    for config, words in ((AgentConfig(clusters=1024), 2), (AgentConfig(), 5000), (AgentConfig(threshold=31), 0)):
        with pytest.raises(HebbitError, match="a brain needs "):
            config.brain(words, (2,))
