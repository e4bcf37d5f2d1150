"""What a plan may say, and what is said to those who write something else."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hebbit.agents.errors import HebbitError
from hebbit.scripts.plans.plan import PARAMETERS, TOP, Condition, Plan, read

Cli = Callable[..., Any]


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Read a plan given as text."""

    def given(text: str, **flags: Any) -> Plan:
        (tmp_path / "plan.toml").write_text(text)
        return read(tmp_path / "plan.toml", **flags)

    return given


def test_every_parameter_is_read(plan: Callable[..., Plan]) -> None:
    found = plan(
        """
        episodes = 7
        seed = 4294967295
        env_id = "LunarLander-v3"
        env_kwargs = {gravity = -9.0}
        wrappers = ["gymnasium.wrappers.TimeAwareObservation"]
        observation_ranges = [[-1, 1], [0.0, 2.5]]
        [[conditions]]
        name = "all   of\\n it"
        observation_noise = 0.1
        dead_inputs = [3, 1]
        dead_value = -2
        sticky_actions = 1
        env_kwargs = {enable_wind = true}
        attributes = {gravity = -3}
        dropped_spikes = 0.3
        spurious_spikes = 0.01
        lesion = 0.25
        cycles = 15
        deterministic = false
        """
    )
    assert (found.episodes, found.seed, found.ranges) == (7, 2**32 - 1, ((-1.0, 1.0), (0.0, 2.5)))
    assert found.environment is not None and found.environment.to_dict() == {
        "id": "LunarLander-v3",
        "kwargs": {"gravity": -9.0},
        "wrappers": ["gymnasium.wrappers.TimeAwareObservation"],
    }
    wanted = {
        "observation_noise": 0.1,
        "dead_inputs": [1, 3],
        "dead_value": -2.0,
        "sticky_actions": 1.0,
        "env_kwargs": {"enable_wind": True},
        "attributes": {"gravity": -3},
        "dropped_spikes": 0.3,
        "spurious_spikes": 0.01,
        "lesion": 0.25,
        "cycles": 15,
        "deterministic": False,
    }
    (one,) = found.conditions
    assert one.parameters() == wanted and one.name == "all of it"
    # every field has been changed: none was forgotten
    born = Condition("all of it")
    kept = [f.name for f in dataclasses.fields(one) if getattr(one, f.name) == getattr(born, f.name)]
    assert kept == ["name", "sweep"]


def test_flags_go_before_the_plan(plan: Callable[..., Plan]) -> None:
    text = "episodes = 7\nseed = 3\n[[conditions]]\n"
    assert (plan(text).episodes, plan(text).seed) == (7, 3)
    assert (plan(text, episodes=2, seed=9).episodes, plan(text, episodes=2, seed=9).seed) == (2, 9)
    bare = plan("[[conditions]]")
    assert (bare.episodes, bare.seed, bare.environment, bare.ranges) == (100, 0, None, None)


def test_names(plan: Callable[..., Plan]) -> None:
    found = plan(
        """
        [[conditions]]
        [[conditions]]
        lesion = 0.5
        cycles = 4
        [[conditions]]
        deterministic = false
        attributes = {length = 1.0, kinematics_integrator = "other"}
        [[conditions]]
        dead_inputs = [0, 2]
        dead_value = "centre"
        """
    )
    assert [one.name for one in found.conditions] == [
        "clean",
        "lesion 0.5, cycles 4",
        "length 1, kinematics_integrator other, stochastic",
        "dead inputs 0+2, dead value centre",
    ]


def test_a_sweep_is_a_condition_for_each_value(plan: Callable[..., Plan]) -> None:
    found = plan(
        """
        [[conditions]]
        sweep = {lesion = [0, 0.25]}
        cycles = 4
        [[conditions]]
        name = "long"
        attributes = {gravity = 9.0}
        sweep = {attributes = {length = [0.5, 2]}}
        [[conditions]]
        sweep = {dead_inputs = [[], [1], [0, 2]]}
        dead_value = 0
        """
    ).conditions
    assert [one.name for one in found] == [
        "lesion 0, cycles 4",
        "lesion 0.25, cycles 4",
        "long: length 0.5",
        "long: length 2",
        "dead inputs none, dead value 0",
        "dead inputs 1, dead value 0",
        "dead inputs 0+2, dead value 0",
    ]
    assert [one.parameters() for one in found[:4]] == [
        {"cycles": 4},
        {"cycles": 4, "lesion": 0.25},
        {"attributes": {"gravity": 9.0, "length": 0.5}},
        {"attributes": {"gravity": 9.0, "length": 2}},
    ]
    axes = [(one.sweep.number, one.sweep.axis, one.sweep.value) for one in found if one.sweep is not None]
    assert axes[:4] == [
        (0, "lesion", 0),
        (0, "lesion", 0.25),
        (1, "attributes.length", 0.5),
        (1, "attributes.length", 2),
    ]
    # no dimension is dead: the value of the dead ones makes no difference
    assert found[4].parameters() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("episodes = 5", "at least one [[conditions]] table"),
        ("conditions = []", "at least one [[conditions]] table"),
        ("conditions = [1]", "at least one [[conditions]] table"),
        ("episode = 5\n[[conditions]]", "unknown key 'episode' at the top; did you mean episodes?"),
        ("[[conditions]]\nlesions = 0.1", "in [[conditions]] number 1; did you mean lesion?"),
        ("[[conditions]]\n[[conditions]]\nxyz = 0.1", "number 2; there are observation_noise, dead_inputs"),
        ("episodes = 0\n[[conditions]]", "episodes must be a whole number of 1 or more, got 0"),
        ("episodes = true\n[[conditions]]", "episodes must be a whole number of 1 or more, got True"),
        ("seed = -1\n[[conditions]]", "seed must be a whole number of 0..2**32 - 1, got -1"),
        ("seed = 4294967296\n[[conditions]]", "seed must be"),
        ("[[conditions]]\nlesion = 1.01", "lesion must be a number of 0..1, got 1.01"),
        ("[[conditions]]\ndropped_spikes = -0.1", "dropped_spikes must be a number of 0..1"),
        ("[[conditions]]\nspurious_spikes = '1'", "spurious_spikes must be a number of 0..1, got '1'"),
        ("[[conditions]]\nsticky_actions = nan", "sticky_actions must be a number of 0..1"),
        ("[[conditions]]\nobservation_noise = inf", "observation_noise must be a number of 0 or more"),
        ("[[conditions]]\nlesion = true", "lesion must be a number of 0..1, got True"),
        ("[[conditions]]\ncycles = 16", "cycles must be a whole number of 1..15, got 16"),
        ("[[conditions]]\ncycles = 8.0", "cycles must be a whole number of 1..15, got 8.0"),
        ("[[conditions]]\ndeterministic = 1", "deterministic must be true or false, got 1"),
        ("[[conditions]]\ndead_inputs = 2", "dead_inputs must be a list of dimensions"),
        ("[[conditions]]\ndead_inputs = [-1]", "dead_inputs must be a list of dimensions"),
        ("[[conditions]]\ndead_inputs = [1, 1]", "each once"),
        ("[[conditions]]\ndead_value = 'first'", "dead_value in [[conditions]] number 1 needs dead_inputs"),
        ("[[conditions]]\ndead_inputs = [1]\ndead_value = 'last'", "dead_value must be first, centre or a number"),
        ("[[conditions]]\nenv_kwargs = {day = 1979-05-27}", "env_kwargs must be a table of plain values"),
        ("[[conditions]]\nenv_kwargs = 3", "env_kwargs must be a table of plain values"),
        ("[[conditions]]\nattributes = {length = [1]}", "attributes must be a table of numbers"),
        ("[[conditions]]\nname = ' '", "name must be a text, got ' '"),
        ("[[conditions]]\nname = 'a'\n[[conditions]]\nname = 'a'", "got 'a' twice"),
        ("[[conditions]]\n[[conditions]]", "got 'clean' twice; set name"),
        ("[[conditions]]\nsweep = [1]", "must vary one thing"),
        ("[[conditions]]\nsweep = {lesion = [0], cycles = [1]}", "must vary one thing"),
        ("[[conditions]]\nsweep = {lesion = 0.5}", "must list the values of lesion"),
        ("[[conditions]]\nsweep = {lesion = []}", "must list the values of lesion"),
        ("[[conditions]]\nsweep = {lesion = [0.5, 2]}", "lesion must be a number of 0..1, got 2"),
        ("[[conditions]]\nsweep = {lesion = [0.5, 0.5]}", "got 'lesion 0.5' twice"),
        ("[[conditions]]\nsweep = {leison = [0.5]}", "did you mean lesion?"),
        ("[[conditions]]\nsweep = {attributes = [1]}", "must vary one of attributes"),
        ("[[conditions]]\nsweep = {attributes = {length = 1}}", "must list the values of attributes.length"),
        (
            "[[conditions]]\nlesion = 0.1\nsweep = {lesion = [0.5]}",
            "lesion in [[conditions]] number 1 must be fixed or",
        ),
        (
            "[[conditions]]\nattributes = {length = 1}\nsweep = {attributes = {length = [2]}}",
            "attributes.length in [[conditions]] number 1 must be fixed or swept",
        ),
        ("env_kwargs = {a = 1}\n[[conditions]]", "env_kwargs at the top belongs to an env_id there"),
        ("wrappers = ['a']\n[[conditions]]", "wrappers at the top belongs to an env_id there"),
        ("env_id = 3\n[[conditions]]", "env_id must be a text"),
        ("env_id = 'A'\nwrappers = 'b'\n[[conditions]]", "wrappers must be a list of texts"),
        ("observation_ranges = [[1, 0]]\n[[conditions]]", "observation_ranges must be a list of [least, largest]"),
        ("observation_ranges = [1]\n[[conditions]]", "observation_ranges must be a list of [least, largest]"),
        ("[[conditions", "must be TOML"),
    ],
)
def test_what_cannot_be_meant(plan: Callable[..., Plan], text: str, said: str) -> None:
    with pytest.raises(HebbitError) as error:
        plan(text)
    assert said in str(error.value) and "plan.toml" in str(error.value)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HebbitError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")


def test_a_plan_as_json(plan: Callable[..., Plan]) -> None:
    found = plan("seed = 3\nobservation_ranges = [[0, 1]]\n[[conditions]]\nsweep = {dead_inputs = [[1]]}").to_dict()
    assert found == {
        "episodes": 100,
        "seed": 3,
        "environment": None,
        "observation_ranges": [[0.0, 1.0]],
        "conditions": [
            {
                "name": "dead inputs 1",
                "dead_inputs": [1],
                "sweep": {"number": 0, "title": "dead inputs", "axis": "dead_inputs", "value": [1]},
            }
        ],
    }


def test_the_example_of_the_documentation_is_a_plan(plan: Callable[..., Plan]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    names = [one.name for one in plan(example).conditions]
    assert names[:2] == ["clean", "observation noise 0"] and names[-1] == "short and damaged"
    # and it explains every key
    missing = [name for name in (*PARAMETERS, *TOP) if name != "conditions" and f"`{name}`" not in page]
    assert missing == []
