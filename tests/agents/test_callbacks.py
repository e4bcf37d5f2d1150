"""Callbacks against a model that only counts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.agents import HebbitError
from hebbit.agents.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    ConvertCallback,
    EvalCallback,
    EventCallback,
    EveryNTimesteps,
    Model,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
    as_callback,
)
from hebbit.agents.logger import Logger


class Recorder:
    """A logger's output that keeps what is dumped."""

    def __init__(self) -> None:
        self.dumps: list[tuple[int, dict[str, Any]]] = []

    def write(self, values: Any, step: int) -> None:
        self.dumps.append((step, dict(values)))

    def close(self) -> None:
        pass


class CountingModel:
    """Evaluates to a scripted return and remembers what it was asked."""

    def __init__(self, scores: tuple[float, ...] = (), per_step: int = 1) -> None:
        self.num_timesteps = 0
        self.recorder = Recorder()
        self.logger = Logger([self.recorder])
        self.scores, self.per_step = list(scores), per_step
        self.saved: list[Path] = []
        self.evaluated: list[tuple[Any, int, bool]] = []

    def save(self, path: str | Path) -> None:
        self.saved.append(Path(path))

    def evaluate(
        self, env: Any, episodes: int, deterministic: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        self.evaluated.append((env, episodes, deterministic))
        return np.full(episodes, self.scores.pop(0)), np.full(episodes, 7, np.int64)


def train(model: CountingModel, callback: BaseCallback, steps: int, episode_length: int = 5) -> int:
    """The agent's loop in short: how many steps it made."""
    checked: Model = model  # the protocol, seen by mypy
    callback.init_callback(checked)
    callback.on_training_start({})
    made, going = 0, True
    while made < steps and going:
        made += 1
        model.num_timesteps += model.per_step
        if made % episode_length == 0:
            going = callback.on_episode_end({"r": 1.0, "l": episode_length, "brain": 0, "episode": made})
        going = callback.on_step() and going
    callback.on_training_end()
    return made


class Diary(BaseCallback):
    """Writes down every event."""

    def __init__(self, answer: bool | None = True) -> None:
        super().__init__()
        self.answer, self.events = answer, list[str]()

    def _init_callback(self) -> None:
        self.events.append("init")

    def _on_training_start(self) -> None:
        self.events.append("start")

    def _on_step(self) -> bool | None:
        self.events.append(f"step {self.num_timesteps}")
        return self.answer

    def _on_episode_end(self) -> bool | None:
        self.events.append(f"episode {self.locals['episode']['l']}")
        return self.answer

    def _on_training_end(self) -> None:
        self.events.append("end")


EVENTS = ["init", "start", "step 2", "episode 2", "step 4", "step 6", "end"]


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: [d], lambda d: [lambda *_: True, [d]]])
def test_events_come_in_order(wrap: Callable[[Diary], Any]) -> None:
    diary = Diary()
    callback = as_callback(wrap(diary))
    assert train(CountingModel(per_step=2), callback, 3, episode_length=2) == 3
    assert diary.events == EVENTS
    assert diary.n_calls == callback.n_calls == 3


def test_children_of_an_event_hear_all_but_steps() -> None:
    diary = Diary()
    train(CountingModel(per_step=2), EventCallback(diary), 3, episode_length=2)
    assert diary.events == [event for event in EVENTS if "step" not in event]


@pytest.mark.parametrize(("answer", "steps"), [(True, 3), (None, 3), (False, 1)])
def test_only_false_ends_training(answer: bool | None, steps: int) -> None:
    assert train(CountingModel(), Diary(answer), 3) == steps
    assert train(CountingModel(), ConvertCallback(lambda *_: answer), 3) == steps
    assert train(CountingModel(), ConvertCallback(lambda *_: np.bool_(answer is not False)), 3) == steps
    last = Diary()
    assert train(CountingModel(), as_callback([Diary(answer), last]), 3) == steps
    assert last.n_calls == steps


def test_the_end_of_an_episode_can_end_training() -> None:
    class Stop(BaseCallback):
        def _on_episode_end(self) -> bool:
            return False

    assert train(CountingModel(), Stop(), 20, episode_length=5) == 5
    assert train(CountingModel(), as_callback([Stop(), Diary()]), 20, episode_length=5) == 5
    assert train(CountingModel(), EventCallback(Stop()), 20, episode_length=5) == 5


def test_functions_see_the_loops_own_dict() -> None:
    seen = []

    def look(locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        seen.append((locals_["x"], globals_))

    callback = as_callback(look)
    callback.init_callback(CountingModel())
    locals_ = {"x": 1}
    callback.on_training_start(locals_, {"g": 1})
    callback.on_step()
    locals_["x"] = 2
    callback.on_step()
    as_callback([callback]).update_locals({"x": 3})
    callback.on_step()
    assert seen == [(1, {"g": 1}), (2, {"g": 1}), (3, {"g": 1})]


def test_what_can_be_a_callback() -> None:
    diary = Diary()
    assert as_callback(diary) is diary
    assert isinstance(as_callback(None), CallbackList) and not as_callback(None)
    assert as_callback([diary])
    assert train(CountingModel(), as_callback(None), 3) == 3
    with pytest.raises(TypeError, match="got 3"):
        as_callback(3)  # type: ignore[arg-type]  # the wrong type is the point


def test_a_callback_without_a_model_says_so() -> None:
    with pytest.raises(AttributeError, match="Diary knows its model once training begins"):
        _ = Diary().logger


def test_evaluations_are_made_logged_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = CountingModel(scores=(1.0, 3.0, 2.0), per_step=2)
    callback = EvalCallback(
        "env", n_eval_episodes=4, eval_freq=2, log_path=tmp_path, best_model_save_path=tmp_path, deterministic=False,
        verbose=1,
    )  # fmt: skip
    train(model, callback, 7)
    assert model.evaluated == [("env", 4, False)] * 3
    assert [step for step, _ in model.recorder.dumps] == [4, 8, 12]
    assert model.recorder.dumps[1][1] == {
        "eval/mean_reward": 3.0,
        "eval/mean_ep_length": 7.0,
        "time/total_timesteps": 8,
    }
    assert model.saved == [tmp_path / "best_model.zip"] * 2
    assert (callback.best_mean_reward, callback.last_mean_reward) == (3.0, 2.0)
    with np.load(tmp_path / "evaluations.npz") as file:
        assert file["timesteps"].tolist() == [4, 8, 12]
        assert file["results"].tolist() == [[1.0] * 4, [3.0] * 4, [2.0] * 4]
        assert file["ep_lengths"].tolist() == [[7] * 4] * 3
    assert "Eval num_timesteps=8, episode_reward=3.00" in capsys.readouterr().out


def test_no_frequency_no_evaluation(tmp_path: Path) -> None:
    model = CountingModel()
    train(model, EvalCallback("env", eval_freq=0, log_path=tmp_path), 5)
    assert model.evaluated == [] and list(tmp_path.iterdir()) == []


def test_a_second_learn_goes_on_with_the_log(tmp_path: Path) -> None:
    callback = EvalCallback("env", eval_freq=2, log_path=tmp_path)
    model = CountingModel(scores=(1.0, 2.0))
    for _ in range(2):
        train(model, callback, 2)
    with np.load(tmp_path / "evaluations.npz") as file:
        assert file["timesteps"].tolist() == [2, 4]


def test_a_good_evaluation_ends_training() -> None:
    children: list[Any] = [StopTrainingOnRewardThreshold(2.0), [lambda *_: True, StopTrainingOnRewardThreshold(2.0)]]
    for child in children:
        model = CountingModel(scores=(1.0, 0.5, 2.0, 9.0))
        callback = EvalCallback("env", eval_freq=3, callback_on_new_best=child)
        assert train(model, callback, 100) == 9
        assert model.scores == [9.0]


def test_a_threshold_without_an_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="goes into an EvalCallback, as its callback_on_new_best"):
        StopTrainingOnRewardThreshold(1.0).init_callback(CountingModel())


def test_checkpoints_are_saved_by_the_calls_and_named_by_the_steps(tmp_path: Path) -> None:
    model = CountingModel(per_step=10)
    train(model, CheckpointCallback(2, tmp_path, "brain"), 5)
    assert model.saved == [tmp_path / "brain_20_steps.zip", tmp_path / "brain_40_steps.zip"]
    train(model, CheckpointCallback(0, tmp_path), 5)
    assert len(model.saved) == 2


def test_episodes_end_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert train(CountingModel(), StopTrainingOnMaxEpisodes(3, verbose=1), 100, episode_length=4) == 12
    assert "after 3 episodes and 12 steps" in capsys.readouterr().out


def test_every_n_timesteps() -> None:
    diary = Diary()
    train(CountingModel(per_step=3), EveryNTimesteps(7, diary), 7, episode_length=99)
    assert [event for event in diary.events if "step" in event] == ["step 9", "step 18"]


def make_callbacks(folder: Path) -> CallbackList:
    evaluation = EvalCallback("env", eval_freq=2, log_path=folder, callback_on_new_best=Diary())
    return CallbackList([evaluation, StopTrainingOnMaxEpisodes(9), EveryNTimesteps(3, Diary())])


def test_a_resumed_run_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    scores = (1.0, 4.0, 2.0, 3.0, 5.0)
    straight = make_callbacks(tmp_path / "straight")
    train(CountingModel(scores), straight, 10)

    killed, model = make_callbacks(tmp_path / "killed"), CountingModel(scores)
    train(model, killed, 5)
    state, left, at = killed.state(), tuple(model.scores), model.num_timesteps
    train(model, killed, 3)  # what the checkpoint does not know

    again, model = make_callbacks(tmp_path / "killed"), CountingModel(left)
    again.restore(state)
    model.num_timesteps = at
    train(model, again, 5)
    assert again.state() == straight.state()
    for ours, theirs in zip(again.callbacks, straight.callbacks, strict=True):
        for name in ("n_calls", "n_episodes", "last_time_trigger", "best_mean_reward"):
            assert getattr(ours, name, None) == getattr(theirs, name, None)
    logs = [(tmp_path / name / "evaluations.npz").read_bytes() for name in ("straight", "killed")]
    assert logs[0] == logs[1]


def test_states_are_plain_json() -> None:
    callbacks = CallbackList([EvalCallback("env"), EveryNTimesteps(3, Diary())])
    assert json.loads(json.dumps(callbacks.state(), allow_nan=False)) == callbacks.state()
    fresh = CallbackList([EvalCallback("env"), EveryNTimesteps(3, Diary())])
    fresh.restore(callbacks.state())
    evaluation = fresh.callbacks[0]
    assert isinstance(evaluation, EvalCallback) and evaluation.best_mean_reward == -np.inf


def whole_state() -> dict[str, Any]:
    return make_callbacks(Path("folder")).state()


def without(state: dict[str, Any], place: int, key: str) -> dict[str, Any]:
    del state["children"][place][key]
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (CallbackList([Diary()]).state(), "of a CallbackList must be of 3 callbacks within, got 1"),
        (Diary().state(), r"of a CallbackList must have \['children', 'n_calls'\], got \['n_calls'\]"),
        ([1], "of a CallbackList must have .*, got list"),
        ({"n_calls": 1, "children": 3}, "of 3 callbacks within, got int"),
        (without(whole_state(), 1, "n_episodes"), "of a StopTrainingOnMaxEpisodes must have"),
        (without(whole_state(), 2, "children"), "of a EveryNTimesteps must have"),
        ({"n_calls": 1, "children": [*whole_state()["children"][:2], None]}, "of a EveryNTimesteps .* got NoneType"),
        ({"n_calls": 1, "children": whole_state()["children"][::-1]}, "of a EvalCallback must have"),
    ],
)
def test_a_state_of_other_callbacks_is_refused_whole(state: Any, message: str) -> None:
    callbacks = make_callbacks(Path("folder"))
    before = json.dumps(callbacks.state())
    if isinstance(state, dict):
        state["n_calls"] = 77
    with pytest.raises(HebbitError, match=message):
        callbacks.restore(state)
    assert json.dumps(callbacks.state()) == before


@pytest.mark.parametrize("wrong", [{"best_mean_reward": "good"}, {"rows": "3"}, {"rows": -1}, {"rows": True}])
def test_an_evaluations_state_of_other_kinds_is_refused_whole(wrong: dict[str, Any]) -> None:
    callbacks = make_callbacks(Path("folder"))
    state = {**whole_state(), "n_calls": 77}
    state["children"][0] |= wrong
    with pytest.raises(HebbitError, match="must be a (whole )?number or null"):
        callbacks.restore(state)
    assert callbacks.n_calls == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EvalCallback("env", n_eval_episodes=0), "n_eval_episodes must be at least 1, got 0"),
        (lambda: EvalCallback("env", n_eval_episodes=-1), "n_eval_episodes must be 0 or more, got -1"),
        (lambda: EvalCallback("env", eval_freq=-1), "eval_freq must be 0 or more, got -1"),
        (lambda: CheckpointCallback(-5, "folder"), "save_freq must be 0 or more, got -5"),
        (lambda: StopTrainingOnMaxEpisodes(0), "max_episodes must be at least 1, got 0"),
        (lambda: EveryNTimesteps(0), "n_steps must be at least 1, got 0"),
        (lambda: EveryNTimesteps(-3), "n_steps must be 0 or more, got -3"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make: Callable[[], BaseCallback], message: str) -> None:
    with pytest.raises(HebbitError, match=message):
        make()


def test_every_n_timesteps_begins_anew_with_training() -> None:
    diary = Diary()
    callback, model = EveryNTimesteps(4, diary), CountingModel()
    train(model, callback, 10, episode_length=99)
    for begun, expected in ((0, ["step 4", "step 8"]), (6, ["step 8", "step 12"])):
        # anew from 0; and an agent of fewer steps goes on in the same rhythm
        diary.events.clear()
        model.num_timesteps = begun
        train(model, callback, 9, episode_length=99)
        assert [event for event in diary.events if "step" in event] == expected
