"""What follows evaluations: patience, new bests, and their place in a resumed run; the model only counts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent
from hebbit.agents.callbacks import (
    BaseCallback,
    CallbackList,
    EvalCallback,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from tests.agents.test_callbacks import CountingModel, Diary, train


@pytest.mark.parametrize(
    ("scores", "patience", "least", "expected"),
    [
        ((1, 1, 1, 1), 2, 0, 4),  # the third evaluation without a new best is one too many
        ((1, 2, 2, 3, 3, 3, 9), 1, 0, 6),
        ((1, 2, 3, 4), 0, 0, None),
        ((4, 3), 0, 0, 2),
        ((4, 3, 2, 1, 0), 0, 3, 4),  # the first three are not counted
        ((-9, -9, -8, -8), 0, 2, 4),
    ],
)
def test_patience_ends(scores: tuple[float, ...], patience: int, least: int, expected: int | None) -> None:
    model = CountingModel(scores)
    stop = StopTrainingOnNoModelImprovement(patience, least)
    steps = train(model, EvalCallback("env", eval_freq=3, callback_after_eval=stop), 3 * len(scores))
    assert len(model.evaluated) == (len(scores) if expected is None else expected)
    assert steps == 3 * len(model.evaluated)


def test_patience_says_why_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    stop = StopTrainingOnNoModelImprovement(1, verbose=1)
    train(CountingModel((3, 2, 1)), EvalCallback("env", eval_freq=1, callback_after_eval=stop), 9)
    assert capsys.readouterr().out == "Stopping training: no new best model in the last 2 evaluations\n"


@pytest.mark.parametrize(
    ("stop", "place"),
    [
        (StopTrainingOnNoModelImprovement(1), "callback_after_eval"),
        (StopTrainingOnRewardThreshold(1.0), "callback_on_new_best"),
    ],
)
def test_without_evaluations_it_is_refused(stop: BaseCallback, place: str) -> None:
    with pytest.raises(ValueError, match=f"goes into an EvalCallback, as its {place}"):
        stop.init_callback(CountingModel())


def test_who_is_triggered_by_what() -> None:
    best, after = Diary(), Diary()
    callback = EvalCallback("env", eval_freq=2, callback_on_new_best=best, callback_after_eval=[after])
    train(CountingModel((1, 0, 2)), callback, 7, episode_length=99)
    assert best.events == ["init", "start", "step 2", "step 6", "end"]
    assert after.events == ["init", "start", "step 2", "step 4", "step 6", "end"]
    assert best.parent is after.parent is callback


def test_a_new_best_that_ends_training_is_the_last_word() -> None:
    after = Diary()
    callback = EvalCallback("env", eval_freq=1, callback_on_new_best=Diary(False), callback_after_eval=after)
    assert train(CountingModel((1, 2)), callback, 2) == 1
    assert after.n_calls == 0


def test_a_return_that_is_no_number_is_no_best() -> None:
    model = CountingModel((np.nan, 1))
    callback = EvalCallback("env", eval_freq=1, best_model_save_path="folder")
    train(model, callback, 1)
    assert model.saved == [] and callback.best_mean_reward == -np.inf
    train(model, callback, 1)
    assert len(model.saved) == 1 and callback.best_mean_reward == 1


def make(patience: int = 2) -> CallbackList:
    stop = StopTrainingOnNoModelImprovement(patience, 1)
    return CallbackList([EvalCallback("env", eval_freq=2, callback_on_new_best=Diary(), callback_after_eval=stop)])


@pytest.mark.parametrize("at", range(12))
def test_patience_is_resumed(at: int) -> None:
    scores = (1.0, 4.0, 2.0, 4.0, 3.0, 9.0)
    straight, model = make(), CountingModel(scores)
    total = train(model, straight, 12)
    assert total == 10 and model.scores == [9.0]

    stopped, model = make(), CountingModel(scores)
    done = train(model, stopped, at)
    again = make()
    again.restore(json.loads(json.dumps(stopped.state(), allow_nan=False)))
    if done < total:
        done += train(model, again, 12 - at)
    assert done == total and again.state() == straight.state()


def test_other_callbacks_inside_are_refused() -> None:
    state: dict[str, Any] = make().state()
    with pytest.raises(HebbitError, match="of a EvalCallback must be of 1 callbacks within, got 2"):
        CallbackList([EvalCallback("env", callback_after_eval=Diary())]).restore(state)
    state["children"][0]["children"][1]["last_best_mean_reward"] = "high"
    with pytest.raises(HebbitError, match="must be a number or null, got 'high'"):
        make().restore(state)


def test_a_log_that_is_not_its_own_is_not_cut(tmp_path: Path) -> None:
    """An older file stays until the first evaluation, however the state came about."""
    older = tmp_path / "evaluations.npz"
    older.write_bytes(b"an older one")
    without = EvalCallback("env", eval_freq=2)
    train(CountingModel((1.0,)), without, 2)
    early = EvalCallback("env", eval_freq=5, log_path=tmp_path)
    train(CountingModel(), early, 2)
    for callback in (without, early):
        state = json.loads(json.dumps(callback.state()))
        assert state["rows"] is None
        again, model = EvalCallback("env", eval_freq=5, log_path=tmp_path), CountingModel((1.0,))
        again.restore(state)
        train(model, again, 2)
        assert older.read_bytes() == b"an older one"


def test_what_came_after_the_state_is_cut_even_the_first_row(tmp_path: Path) -> None:
    callback, model = EvalCallback("env", eval_freq=5, log_path=tmp_path), CountingModel((1.0,))
    train(model, callback, 2)
    state = callback.state()
    assert state["rows"] == 0
    train(model, callback, 3)
    assert (tmp_path / "evaluations.npz").exists()
    again = EvalCallback("env", eval_freq=5, log_path=tmp_path)
    again.restore(state)
    train(CountingModel(), again, 2)
    assert not (tmp_path / "evaluations.npz").exists()


class Scaled(gym.ObservationWrapper[Any, Any, Any]):
    """Another space of observations."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-1, 1, (4,))

    def observation(self, observation: Any) -> Any:
        return observation / 10


class Closing(gym.Wrapper[Any, Any, Any, Any]):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        Closing.closed += 1
        super().close()


def cartpole(*wrappers: Callable[[Any], Any]) -> Any:
    env: Any = gym.make("CartPole-v1")
    for wrapper in wrappers:
        env = wrapper(env)
    return env


def test_an_environment_with_other_spaces_is_refused_before_training() -> None:
    agent = SpikingAgent("CartPole-v1", config={"pool_words": 4})
    scaled = SpikingAgent(cartpole(Scaled), config={"pool_words": 4})
    closing = EnvSpec("Acrobot-v1", wrappers=(f"{__name__}.Closing",))
    Closing.closed = 0
    for one, env in ((agent, cartpole(Scaled)), (agent, "Acrobot-v1"), (agent, closing), (scaled, "CartPole-v1")):
        with pytest.raises(HebbitError, match="env must have the agent's spaces .*: wrap it as in training"):
            one.learn(20, EvalCallback(env, eval_freq=10))
        assert one.num_timesteps == 0
        with pytest.raises(HebbitError, match="env must have the agent's spaces .*: wrap it as in training"):
            one.evaluate(env, episodes=1)
    assert Closing.closed == 2


def test_wrappers_that_keep_the_spaces_are_served() -> None:
    spec = EnvSpec("CartPole-v1", wrappers=(f"{__name__}.Closing",))
    for trained, env in (
        ("CartPole-v1", spec),
        ("CartPole-v1", cartpole(RecordEpisodeStatistics, Closing)),
        (cartpole(Scaled), cartpole(RecordEpisodeStatistics, Scaled)),
    ):
        agent = SpikingAgent(trained, config={"pool_words": 4})
        callback = EvalCallback(env, eval_freq=20, n_eval_episodes=1)
        agent.learn(20, callback)
        assert callback.last_mean_reward >= 8
