"""Remembered episodes: what is kept, what is shown again, and that nothing else notices."""

from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from hebbit.agents import EnvSpec, SpikingAgent, checkpoint
from hebbit.agents import replay as module
from hebbit.agents.callbacks import BaseCallback
from hebbit.agents.environment import episode_seed
from hebbit.agents.errors import CheckpointError, HebbitError
from hebbit.agents.replay import packed, unpacked
from hebbit.backends.spec import Backend, Flag

STEPS = 40
TINY = {"pool_words": 2, "cycles": 2, "reward_scale": "fixed"}
REPLAY = {**TINY, "replay_steps": STEPS, "replay_episodes": 2}
SCALED = {**REPLAY, "reward_scale": "auto"}
WALK = "hebbit-tests/Walk-v0"
LONGEST = 12


class Walk(gym.Env[Any, Any]):
    """A walk to the right that may stumble; it ends at the seventh field, or after twelve steps."""

    observation_space, action_space = spaces.Discrete(8), spaces.MultiDiscrete([2, 3])

    def __init__(self) -> None:
        self.at, self.made = 0, 0
        self.seeds: list[int | None] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.at, self.made = int(self.np_random.integers(5)), 0
        return self.at, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.made += 1
        stumbles = self.np_random.random() < 0.2
        self.at = max(0, self.at + (1 if action[0] and not stumbles else -1))
        reward = 1.0 if self.at == 7 else -0.125 * float(action[1])
        return self.at, reward, self.at == 7, self.made == LONGEST, {}


gym.register(WALK, lambda **_: Walk())


def newborn(env: Any = WALK, **settings: Any) -> SpikingAgent:
    return SpikingAgent(env, **{"config": REPLAY, "seed": 5, **settings})


class Shown(NamedTuple):
    """One presentation."""

    again: bool
    seen: bytes
    reward: int
    flag: int
    units: tuple[int, ...]


class Ear:
    """A backend that notes what each brain is shown."""

    def __init__(self, backend: Backend, brains: int) -> None:
        self.backend, self.name, self.refill = backend, backend.name, backend.refill
        self.create, self.export, self.predict = backend.create, backend.export, backend.predict
        self.shown: list[list[Shown]] = [[] for _ in range(brains)]

    def step(self, state: Any, seen: Any, rewards: Any, flags: Any, forced: Any = None) -> NDArray[np.int32]:
        units = self.backend.step(state, seen, rewards, flags, forced)
        self.note(False, seen, rewards, flags, units)
        return units

    def run(self, state: Any, seen: Any, rewards: Any, flags: Any, forced: Any = None) -> NDArray[np.int32]:
        units = self.backend.run(state, seen, rewards, flags, forced)
        for told in zip(seen, rewards, flags, units, strict=True):
            self.note(True, *told)
        return units

    def note(self, again: bool, seen: Any, rewards: Any, flags: Any, units: Any) -> None:
        for b in np.flatnonzero(flags):
            what = seen[b].tobytes(), int(rewards[b]), int(flags[b]), tuple(units[b].tolist())
            self.shown[b].append(Shown(again, *what))

    def episodes(self, brain: int = 0) -> list[list[Shown]]:
        """Those of one brain in the order in which they began; the last one may still run."""
        episodes: list[list[Shown]] = []
        for one in self.shown[brain]:
            if one.flag == Flag.START:
                episodes.append([])
            episodes[-1].append(one)
        return episodes


def listened(agent: SpikingAgent) -> Ear:
    ear = Ear(agent.backend, len(agent.brains))
    agent.backend = ear
    return ear


def told(episode: list[Shown]) -> list[tuple[Any, ...]]:
    return [one[1:] for one in episode]


def test_intensities_are_packed_two_a_byte() -> None:
    every = np.arange(256, dtype=np.uint8)
    pairs = np.stack([every & 15, every >> 4], axis=1).reshape(16, 32)
    assert packed(pairs).ravel().tolist() == every.tolist()
    assert np.array_equal(unpacked(packed(pairs)), pairs)


@pytest.mark.parametrize("brains", [1, 2])
def test_remembered_episodes_are_shown_again_as_they_were(brains: int) -> None:
    agent = newborn(brains=brains)
    ear = listened(agent)
    agent.learn(120)
    for brain in range(brains):
        lived: list[list[tuple[Any, ...]]] = []
        again, whole = 0, ear.episodes(brain)[:-1]
        for episode in whole:
            assert len({one.again for one in episode}) == 1 and episode[-1].flag >= Flag.TERMINATED
            if episode[0].again:
                # in time, too: of what has been lived until now
                assert told(episode) in lived
                again += 1
            else:
                lived.append(told(episode))
        assert again == 2 * len(lived) == agent.memory.shown[brain] > 10
        kinds = [episode[0].again for episode in whole]
        assert kinds == [False, True, True] * len(lived)


def test_any_remembered_episode_may_be_drawn() -> None:
    agent = newborn(config={**REPLAY, "replay_steps": 1000, "replay_episodes": 1})
    ear = listened(agent)
    agent.learn(400)
    lived: list[Any] = []
    ages = []
    for episode in ear.episodes()[:-1]:
        if episode[0].again:
            ages.append(len(lived) - 1 - lived.index(told(episode)))
        else:
            lived.append(told(episode))
    assert len(lived) > 30 and 0 in ages and max(ages) > 15
    assert np.mean(ages) == pytest.approx(len(lived) / 4, rel=0.35)


def test_another_seed_or_brain_draws_others() -> None:
    draws = []
    for seed, number in ((5, 0), (6, 0), (5, 1)):
        agent = newborn(config={**REPLAY, "replay_steps": 1000, "replay_episodes": 0}).learn(100)
        agent.seed, agent.brains[0], agent.memory.number = seed, number, 8
        draws.append(agent.memory._drawn(agent, 0).rewards.tolist())
    assert draws[0] not in draws[1:] and draws[1] != draws[2]


def test_off_by_default_and_remembering_alone_changes_no_brain() -> None:
    plain = newborn(config=TINY).learn(100)
    silent = newborn(config={**REPLAY, "replay_episodes": 0}).learn(100)
    replaying = newborn().learn(100)
    assert not [name for name in plain.get_parameters() if name.startswith("replay")]
    assert silent.memory.episodes[0] and not plain.memory.episodes[0]
    for name, array in plain.arrays().items():
        assert np.array_equal(array, silent.arrays()[name]), name
    assert not np.array_equal(plain.arrays()["weights"], replaying.arrays()["weights"])


def test_the_oldest_are_forgotten_and_memory_is_bounded() -> None:
    agent = newborn(config={**REPLAY, "replay_episodes": 0})
    ear = listened(agent)
    sizes = []
    for step in range(150):
        agent.learn(1, reset_num_timesteps=step == 0)
        sizes.append(int(agent.memory.arrays()["replay_used"][0]))
        kept = [len(episode) for episode in agent.memory.episodes[0]]
        assert sum(kept) + len(agent.memory.running[0]) == sizes[-1] <= STEPS
        lengths = [len(e) for e in ear.episodes()]
        # the latest, as many as there is room for
        assert [*kept, len(agent.memory.running[0])] == [n for n in lengths[-len(kept) - 1 :] if n] or not kept
        assert all(not e.units[-1].any() and e.flags[-1] >= Flag.TERMINATED for e in agent.memory.episodes[0])
    assert max(sizes) > STEPS - 2


def test_what_is_too_long_is_not_remembered() -> None:
    agent = newborn(config={**REPLAY, "replay_steps": 11})
    ear = listened(agent)
    for step in range(300):
        agent.learn(1, reset_num_timesteps=step == 0)
        assert len(agent.memory.running[0]) <= 11
    episodes = ear.episodes()[:-1]
    lengths = {again: {len(e) for e in episodes if e[0].again == again} for again in (False, True)}
    assert max(lengths[False]) == LONGEST + 1 and max(lengths[True]) == 11
    assert all(len(e) <= 11 for e in agent.memory.episodes[0])


@pytest.mark.parametrize("brains", [1, 3])
def test_environments_notice_nothing(brains: int, tmp_path: Path) -> None:
    """Replays are no episodes of the environment, and none of its steps."""

    class Count(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.numbers: list[tuple[int, int]] = []

        def _on_episode_end(self) -> bool:
            self.numbers.append((self.locals["episode"]["brain"], self.locals["episode"]["episode"]))
            return True

    agent, count = newborn(brains=brains), Count()
    assert agent.learn(80, count).num_timesteps == agent.total_steps == 80
    agent.save(tmp_path / "a.zip")
    agent = SpikingAgent.load(tmp_path / "a.zip")
    agent.learn(80, count, reset_num_timesteps=False)
    assert agent.num_timesteps == 160
    env: Any = agent.get_env()
    for brain, own in enumerate(env.envs if brains > 1 else [env]):
        # loading repeats the episode that ran
        first = agent.books.begun[brain] - len(own.unwrapped.seeds)
        assert own.unwrapped.seeds == [episode_seed(5, brain, first + n) for n in range(len(own.unwrapped.seeds))]
        numbers = [number for b, number in count.numbers if b == brain]
        assert numbers == list(range(len(numbers))) and len(numbers) > 10
        assert agent.arrays()["episode"][brain] == agent.books.begun[brain] + agent.memory.shown[brain]


@pytest.mark.parametrize("brains", [1, 2])
def test_a_loaded_agent_goes_on_in_the_same_bits(brains: int, tmp_path: Path) -> None:
    agent = newborn(brains=brains, config=SCALED)
    for part in range(12):
        agent.learn(7, reset_num_timesteps=part == 0)
        agent.save(tmp_path / "a.zip")
        again = SpikingAgent.load(tmp_path / "a.zip")
        assert again.digest() == agent.digest()
        if part % 4 == 0:
            again.save(tmp_path / "b.zip")
            assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()
    for one in (agent, again):
        one.learn(60, reset_num_timesteps=False)
    assert again.digest() == agent.digest() and again.books.begun == agent.books.begun
    assert again.memory.shown.min() > 8


def test_brains_of_a_population_are_as_alone(tmp_path: Path) -> None:
    together = newborn(brains=[3, 1], config=SCALED).learn(60)
    for row, number in enumerate((3, 1)):
        alone = newborn(brains=[number], config=SCALED).learn(60)
        part = together.extract(row)
        assert part.digest() == alone.digest()
        assert part.learn(30, reset_num_timesteps=False).digest() == alone.learn(30, reset_num_timesteps=False).digest()


def test_machines_agree(backend: Backend) -> None:
    ours, theirs = newborn(brains=2).learn(30), newborn(brains=2, backend=backend.name).learn(30)
    assert theirs.digest() == ours.digest() and ours.memory.shown.min() >= 4


@pytest.mark.parametrize("chunk", [1, 256 * 7])
def test_long_replays_are_shown_in_parts(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = newborn(brains=2).learn(60)
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk)
    assert newborn(brains=2).learn(60).digest() == whole.digest()


@pytest.mark.parametrize("mode", AutoresetMode)
def test_every_kind_of_vector(mode: AutoresetMode) -> None:
    envs = SyncVectorEnv([lambda: EnvSpec(WALK).make()] * 2, autoreset_mode=mode)
    agent = newborn(envs)
    ear = listened(agent)
    agent.learn(60)
    for brain in range(2):
        kinds = [episode[0].again for episode in ear.episodes(brain)]
        assert kinds[: len(kinds) // 3 * 3] == [False, True, True] * (len(kinds) // 3) and len(kinds) > 9


def test_an_episode_that_is_given_up_is_not_remembered(tmp_path: Path) -> None:
    agent = newborn(config={**REPLAY, "replay_steps": 200}).learn(7)
    ear = listened(agent)
    agent.learn(60)
    agent.save(tmp_path / "a.zip")
    assert SpikingAgent.load(tmp_path / "a.zip").digest() == agent.digest()
    for episode in ear.episodes()[:-1]:
        assert [one.flag for one in episode[:-1]] == [Flag.START] + [Flag.CONTINUE] * (len(episode) - 2)


def test_parameters_bring_their_memory() -> None:
    agent, other = newborn().learn(60), newborn()
    other.set_parameters(agent.get_parameters())
    assert other.digest() == agent.digest()
    assert other.learn(30).digest() == agent.learn(30).digest()


def test_an_interrupted_replay_is_no_episode_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = newborn().learn(50)

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(agent.backend, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agent.learn(50, reset_num_timesteps=False)
    agent.learn(50, reset_num_timesteps=False)
    env: Any = agent.get_env()
    # what was cut off begins again
    assert list(dict.fromkeys(env.unwrapped.seeds)) == [episode_seed(5, 0, n) for n in range(agent.books.begun[0])]


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("used", 0, -1), ("used", 0, STEPS + 1), ("flags", (0, 0), 2), ("flags", (0, 1), 0), ("flags", (0, 1), 1),
        ("flags", (0, 1), 5), ("units", (0, 1, 0), 2), ("units", (0, 1, 1), -1), ("rewards", (0, 1), 32768),
        ("rewards", (0, 1), -(2**31)),
    ],
)  # fmt: skip
def test_what_nobody_can_remember_is_refused(name: str, at: Any, value: int, tmp_path: Path) -> None:
    newborn().learn(50).save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    found.arrays[f"replay_{name}"][at] = value
    checkpoint.write(tmp_path / "a.zip", found.meta, found.arrays)
    with pytest.raises(CheckpointError, match="remembered episodes that no agent has"):
        SpikingAgent.load(tmp_path / "a.zip")


def test_an_unknown_end_is_refused(tmp_path: Path) -> None:
    newborn().learn(50).save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    flags = found.arrays["replay_flags"][0]
    flags[np.flatnonzero(flags >= Flag.TERMINATED)[0]] = Flag.TRUNCATED + 1
    checkpoint.write(tmp_path / "a.zip", found.meta, found.arrays)
    with pytest.raises(CheckpointError, match="remembered episodes that no agent has"):
        SpikingAgent.load(tmp_path / "a.zip")


def test_a_memory_of_another_size_is_refused(tmp_path: Path) -> None:
    newborn().learn(20).save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    found.meta["config"]["replay_steps"] = 1 << 20
    checkpoint.write(tmp_path / "b.zip", found.meta, found.arrays)
    with pytest.raises(CheckpointError, match="'replay_intensities' should be"):
        SpikingAgent.load(tmp_path / "b.zip")
    with pytest.raises(HebbitError, match="replay_steps must lie in"):
        newborn(config={"replay_steps": (1 << 20) + 1})
