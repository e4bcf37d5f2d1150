"""Logs by steps and the progress bar."""

import json

import pytest

from hebbit.agents import HebbitError, SpikingAgent
from hebbit.agents.callbacks import LogEveryNTimesteps, ProgressBarCallback
from tests.agents.test_callbacks import CountingModel, train

SMALL = {"pool_words": 4}


def test_logs_by_steps() -> None:
    model = CountingModel(per_step=3)
    train(model, LogEveryNTimesteps(7), 7, episode_length=2)
    steps, values = [step for step, _ in model.recorder.dumps], [dump for _, dump in model.recorder.dumps]
    assert steps == [9, 18] == [dump["time/total_timesteps"] for dump in values]
    for dump in values:
        assert dump["rollout/ep_rew_mean"] == 1 and dump["rollout/ep_len_mean"] == 2
        assert dump["time/fps"] > 0 and dump["time/time_elapsed"] > 0


def test_before_the_first_episode_there_is_no_return() -> None:
    model = CountingModel()
    train(model, LogEveryNTimesteps(2), 2, episode_length=9)
    assert "rollout/ep_rew_mean" not in model.recorder.dumps[0][1]


def test_the_latest_episodes_are_those_of_the_agent_and_are_resumed() -> None:
    dumps = []

    class Spy(LogEveryNTimesteps):
        def _on_event(self) -> bool:
            dumps.append((self.logger, len(self.recent)))
            super()._on_event()
            assert self.recent == [[r, n] for episodes in agent.books.recent for r, n in episodes]
            return True

    agent = SpikingAgent("CartPole-v1", config=SMALL, seed=2)
    callback = Spy(1000)
    agent.learn(4500, callback, log_interval=None)
    assert [count for _, count in dumps] == sorted(count for _, count in dumps) and len(dumps) == 4
    assert dumps[-1][1] > 20
    again = Spy(1000)
    again.restore(json.loads(json.dumps(callback.state())))
    agent.learn(1500, again, log_interval=None, reset_num_timesteps=False)
    # triggered at 5000 and 6000, as if never stopped
    assert len(dumps) == 6


def test_a_hundred_episodes_are_kept() -> None:
    callback = LogEveryNTimesteps(50)
    train(CountingModel(), callback, 250, episode_length=2)
    assert len(callback.recent) == 100 and len(callback.state()["recent"]) == 100


def test_training_begun_anew_is_logged_again() -> None:
    model, callback = CountingModel(), LogEveryNTimesteps(4)
    train(model, callback, 9, episode_length=3)
    model.num_timesteps = 0
    train(model, callback, 9, episode_length=5)
    assert [step for step, _ in model.recorder.dumps] == [4, 8, 4, 8]
    # and of its own episodes alone
    assert "rollout/ep_len_mean" not in model.recorder.dumps[2][1]
    assert model.recorder.dumps[3][1]["rollout/ep_len_mean"] == 5


def test_a_log_of_no_steps_is_refused() -> None:
    with pytest.raises(HebbitError, match="n_steps must be at least 1, got 0"):
        LogEveryNTimesteps(0)


def test_the_bar_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    callback = ProgressBarCallback()
    agent = SpikingAgent("CartPole-v1", config=SMALL).learn(350, callback)
    shown = capsys.readouterr().err
    assert "350/350" in shown and "return " in shown and callback.bar is None
    agent.learn(50, callback, reset_num_timesteps=False)
    assert "50/50" in capsys.readouterr().err


def test_a_training_that_broke_off_leaves_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    callback = ProgressBarCallback()
    agent = SpikingAgent("CartPole-v1", config=SMALL)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        agent.learn(10, [callback, fail])
    left = callback.bar
    assert left is not None
    agent.learn(10, callback)
    assert left.disable and callback.bar is None
