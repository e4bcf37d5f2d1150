"""Episodes and returns of a recorder, whether their presentations are kept or not."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hebbit.agents import SpikingAgent
from hebbit.agents.recording import CUT, RUNNING, TERMINATED, TRUNCATED, BrainRecorder

SMALL: dict[str, Any] = {"pool_words": 6, "warmup": 200}


class Sevens(gym.Env[Any, Any]):
    """Episodes of seven steps that are cut short in turn."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def __init__(self) -> None:
        self.episode = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left, self.episode = 7, self.episode + 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        reward, seen = float(self.np_random.uniform()), self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return seen, reward, not self.left and self.episode % 2 == 0, not self.left and self.episode % 2 == 1, {}


@pytest.mark.parametrize("every", [1, 4, 1000])
def test_returns_count_all_presentations_whether_kept_or_not(every: int) -> None:
    whole = BrainRecorder(SpikingAgent(Sevens(), config=SMALL), 80)
    played = whole.play(Sevens(), 80, seed=3)
    ends = np.flatnonzero(played.end != RUNNING)
    parts = np.split(played.reward, ends + 1)[:11]
    thinned = BrainRecorder(whole.agent, 3, every)
    thinned.play(Sevens(), 80, seed=3)
    assert thinned.tally.whole == 11 and thinned.tally.ends == {TERMINATED: 5, TRUNCATED: 6, CUT: 1}
    assert thinned.tally.return_mean == pytest.approx(np.mean([part.sum() for part in parts]))
    thinned.clear()
    assert thinned.tally.return_mean is None and not any(thinned.tally.ends.values())


def test_episodes_of_which_something_was_missed_have_no_return() -> None:
    recorder = BrainRecorder(SpikingAgent("CartPole-v1", config=SMALL), 10)
    observation = np.zeros(4, np.float32)
    _, state = recorder.predict(observation)
    # nobody told what came of it
    recorder.predict(observation, state)
    recorder.met(4.0, terminated=True)
    assert recorder.tally.whole == 0 and recorder.tally.ends[TERMINATED] == 1
    # one that was running already
    recorder.predict(observation, state)
    recorder.met(2.0, truncated=True)
    assert recorder.tally.whole == 0 and recorder.tally.ends[TRUNCATED] == 1
    _, state = recorder.predict(observation)
    recorder.met(1.0)
    recorder.predict(observation, state)
    recorder.met(2.5, truncated=True)
    assert recorder.tally.whole == 1 and recorder.tally.return_mean == 3.5


def test_returns_while_it_learns() -> None:
    agent = SpikingAgent("CartPole-v1", config=SMALL).learn(5)
    kept, thinned = BrainRecorder(agent, 400), BrainRecorder(agent, 1, 50)
    recording = None
    for recorder in (kept, thinned):
        own = SpikingAgent("CartPole-v1", config=SMALL).learn(5)
        recorder.agent = own
        with recorder.learning():
            own.learn(200, reset_num_timesteps=False)
        recording = recording or recorder.recording()
    assert recording is not None
    ends, starts = np.flatnonzero(recording.end != RUNNING), np.flatnonzero(recording.start)
    # the first was running already
    assert ends[0] < starts[0]
    returns = [recording.reward[a : b + 1].sum() for a, b in zip(starts, ends[1:], strict=False)]
    assert len(returns) > 3 and kept.tally == thinned.tally
    assert kept.tally.whole == len(returns) and kept.tally.return_mean == pytest.approx(np.mean(returns))
