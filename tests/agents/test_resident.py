"""Resident runs: the bits of the ordinary loop, on every backend that serves them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from hebbit.agents import EnvSpec, HebbitError, SpikingAgent, resident
from hebbit.agents.config import AgentConfig
from hebbit.agents.saving import learned
from hebbit.backends import load
from hebbit.backends.resident import Real, Whole
from hebbit.envs.resident import ResidentVectorEnv, make_resident
from hebbit.envs.worlds import WORLDS as WORLDS_TABLE

WORLDS = ("CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1", "Pendulum-v1")
TINY: dict[str, Any] = {"pool_words": 3, "cycles": 3}
RICH: dict[str, Any] = {
    **TINY, "clusters": 2, "echo_delay": 1, "echo_pool": 1, "learning_words": 1, "reads": "all", "ranges": "adaptive",
    "warmup": 40, "noise_bits": 2, "gain": 5,
}  # fmt: skip


def newborn(
    env_id: str, brains: int = 3, backend: str = "numba", seed: int = 3, config: Any = None, first: int = 5
) -> SpikingAgent:
    envs = make_resident(env_id, brains, autoreset_mode=AutoresetMode.DISABLED)
    own = AgentConfig(**TINY) if config is None else config
    return SpikingAgent(envs, seed=seed, brains=range(first, first + brains), backend=backend, config=own)


def one_by_one(agent: SpikingAgent, steps: int) -> SpikingAgent:
    """The ordinary loop: a callback wants to see every step."""
    return agent.learn(steps, lambda local, all_: True, reset_num_timesteps=agent._units is None)


def assert_same(agent: SpikingAgent, other: SpikingAgent) -> None:
    own, others = learned(agent), learned(other)
    assert [name for name, array in own.items() if not np.array_equal(array, others[name])] == []
    assert agent._units is not None and other._units is not None
    assert np.array_equal(agent._units, other._units) and np.array_equal(agent._intensities, other._intensities)
    assert agent.books.begun == other.books.begun and agent.books.returns == other.books.returns
    assert agent.books.lengths == other.books.lengths and agent.books.recent == other.books.recent
    assert agent.num_timesteps == other.num_timesteps and agent.digest() == other.digest()


@pytest.mark.parametrize("config", [None, AgentConfig(**RICH)], ids=["plain", "rich"])
@pytest.mark.parametrize("env_id", WORLDS)
def test_a_resident_run_has_the_bits_of_the_ordinary_loop(env_id: str, config: AgentConfig | None) -> None:
    expected = one_by_one(newborn(env_id, config=config), 700)
    assert_same(newborn(env_id, config=config).learn(700, log_interval=None), expected)


@pytest.mark.parametrize("env_id", WORLDS)
def test_the_kernels_text_and_the_specification_agree(env_id: str) -> None:
    expected = one_by_one(newborn(env_id, 2, "numpy"), 60)
    for backend in ("numba", "shim"):
        assert_same(newborn(env_id, 2, backend).learn(60, log_interval=None), expected)


def test_the_kernels_text_agrees_where_much_happens() -> None:
    config = AgentConfig(**RICH)
    expected = newborn("CartPole-v1", 2, config=config).learn(150, log_interval=None)
    assert_same(newborn("CartPole-v1", 2, "shim", config=config).learn(150, log_interval=None), expected)


def test_rewards_are_rescaled_on_the_way() -> None:
    config = AgentConfig(**TINY, clusters=2, gamma=0.999, reward_steps=120.0)
    agent, units = newborn("CartPole-v1", 2, config=config), set()
    for _ in range(40):
        agent.learn(5, log_interval=None, reset_num_timesteps=agent._units is None)
        units |= {gauge.unit for gauge in agent.rewards.gauges}
    assert len(units) > 1
    assert_same(agent, one_by_one(newborn("CartPole-v1", 2, config=config), 200))
    assert_same(newborn("CartPole-v1", 2, "shim", config=config).learn(200, log_interval=None), agent)


def test_resident_and_ordinary_steps_may_take_turns() -> None:
    expected = one_by_one(newborn("CartPole-v1"), 300)
    agent = newborn("CartPole-v1").learn(100, log_interval=None)
    one_by_one(agent, 77)
    agent.learn(123, log_interval=None, reset_num_timesteps=False)
    assert_same(agent, expected)


@pytest.mark.parametrize(
    "changes", [{"rewire_every": 60}, {"actor_fading": 0.1}, {"rewire_every": 40, "rewire_until": 90}]
)
def test_structure_changes_at_the_same_steps(changes: dict[str, Any]) -> None:
    config = AgentConfig(**TINY).replace(changes)
    steps = 1100 if "actor_fading" in changes else 200
    expected = one_by_one(newborn("CartPole-v1", 2, config=config), steps)
    assert_same(newborn("CartPole-v1", 2, config=config).learn(steps, log_interval=None), expected)


def test_more_episodes_than_the_books_hold() -> None:
    """Brains that learn nothing fall soon."""
    steps, config = 4000, AgentConfig(**TINY, actor_step=0.0)
    agent = newborn("CartPole-v1", 2, config=config).learn(steps, log_interval=None)
    assert min(agent.books.begun) > 101 and all(len(recent) == 100 for recent in agent.books.recent)
    assert_same(agent, one_by_one(newborn("CartPole-v1", 2, config=config), steps))


def test_brains_that_sleep_are_left_alone() -> None:
    agent = newborn("CartPole-v1")
    agent.learn(100, log_interval=None)
    before = learned(agent)
    ended = resident.live(agent, 200, np.array([True, False, True]))
    after, alone = learned(agent), newborn("CartPole-v1").learn(300, log_interval=None)
    assert all(np.array_equal(before[name][1], after[name][1]) for name in before)
    whole = learned(alone)
    assert all(np.array_equal(whole[name][[0, 2]], after[name][[0, 2]]) for name in whole)
    assert ended[1] == 0 and ended[0] > 0


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "MountainCarContinuous-v0", "Pendulum-v1"])
def test_a_trial_plays_what_an_evaluation_plays(env_id: str, deterministic: bool) -> None:
    config = AgentConfig(**TINY, box_bins=9)
    agent = newborn(env_id, 2, config=config).learn(300, log_interval=None)
    before = agent.digest()
    returns, lengths = resident.trial(agent, 3, deterministic)
    for row in range(2):
        single = make_resident(env_id, 1, autoreset_mode=AutoresetMode.DISABLED)
        expected = played(agent, row, single, 3, deterministic)
        assert (returns[row].tolist(), lengths[row].tolist()) == expected
    assert agent.digest() == before
    theirs = newborn(env_id, 2, "shim", config=config)
    theirs.set_parameters(agent.get_parameters())
    some = resident.trial(theirs, 1, deterministic, brains=[1])
    assert np.array_equal(some[0], returns[1:, :1]) and np.array_equal(some[1], lengths[1:, :1])


def played(
    agent: SpikingAgent, row: int, envs: Any, episodes: int, deterministic: bool
) -> tuple[list[float], list[int]]:
    """The same episodes, step by step through ``predict``'s parts."""
    from hebbit.agents.environment import episode_seed

    returns, lengths, shown = [], [], 0
    for episode in range(episodes):
        seed = episode_seed(agent.seed, int(agent.brains[row]), episode, evaluation=True)
        observation, excitement = (
            envs.reset(seed=[seed])[0][0],
            np.zeros((1, agent.brain_config.carried_words, 32), np.uint8),
        )
        total, length, done = 0.0, 0, False
        while not done:
            rows = np.array([row])
            answer = agent.backend.predict(
                agent.state, rows, agent.encoder.encode([observation], rows), excitement,
                np.array([0 if deterministic else shown], np.uint32), deterministic,
            )  # fmt: skip
            excitement, shown = answer.excitement, shown + 1
            decoder = agent.decoder
            action = (
                decoder.decode_mean(answer.volley[0], answer.actions[0])
                if deterministic
                else decoder.decode(answer.actions[0])
            )
            observations, rewards, terminated, truncated, _ = envs.step(np.array([action]))
            observation, total, length = observations[0], total + float(rewards[0]), length + 1
            done = bool(terminated[0] or truncated[0])
        returns.append(total)
        lengths.append(length)
    return returns, lengths


def test_a_run_goes_on_from_its_checkpoint_in_the_same_bits(tmp_path: Path) -> None:
    expected = newborn("MountainCar-v0").learn(500, log_interval=None)
    agent = newborn("MountainCar-v0").learn(230, log_interval=None)
    agent.save(tmp_path / "a.zip")
    envs = make_resident("MountainCar-v0", 3, autoreset_mode=AutoresetMode.DISABLED)
    found = SpikingAgent.load(tmp_path / "a.zip", envs)
    found.learn(270, log_interval=None, reset_num_timesteps=False)
    assert_same(found, expected)


def test_one_brain_of_a_population_goes_on_alone_in_the_same_bits(tmp_path: Path) -> None:
    agent = newborn("CartPole-v1").learn(200, log_interval=None)
    agent.spec = None
    alone = agent.extract(1)
    alone.save(tmp_path / "alone.zip")
    assert alone.brains.tolist() == [6]
    population = agent.learn(150, log_interval=None, reset_num_timesteps=False)
    single = newborn("CartPole-v1", 1, first=6).learn(350, log_interval=None)
    own, others = learned(population), learned(single)
    assert all(np.array_equal(own[name][1], others[name][0]) for name in own)


def test_a_state_that_no_world_comes_to_is_refused(tmp_path: Path) -> None:
    agent = newborn("CartPole-v1").learn(50, log_interval=None)
    stream: Any = agent._stream
    state, elapsed = stream.snapshot()
    stream.restore(np.full_like(state, 1e9), elapsed)
    agent.save(tmp_path / "bad.zip")
    envs = make_resident("CartPole-v1", 3, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(HebbitError, match="world_state"):
        SpikingAgent.load(tmp_path / "bad.zip", envs)


def test_what_cannot_be_resident_says_why() -> None:
    with pytest.raises(HebbitError, match="must be resident"):
        resident.live(SpikingAgent("CartPole-v1", config=TINY).learn(1), 5)
    with pytest.raises(HebbitError, match="numpy steps brains one observation at a time"):
        resident.live(newborn("CartPole-v1", 1, "numpy").learn(1), 5)
    fading = newborn("CartPole-v1", config=AgentConfig(**TINY, actor_fading=0.1)).learn(1, log_interval=None)
    with pytest.raises(HebbitError, match="must live together"):
        resident.live(fading, 5, np.array([True, False, True]))


def test_the_compiled_run_shares_its_constants_with_the_agent() -> None:
    from hebbit.agents import books, encoder, rewards
    from hebbit.backends import cuda_layout, numba_resident
    from hebbit.backends import resident as contract

    names = ("HUGE", "TINY", "HORIZON", "LIMIT", "YOUNG", "SLACK", "FORGETTING", "EVERY")
    assert [getattr(numba_resident, name) for name in names] == [getattr(rewards, name) for name in names]
    assert (contract.LEVELS, contract.RECENT, numba_resident.FAR) == (encoder.LEVELS, books.EPISODES_KEPT, encoder.HUGE)
    assert (cuda_layout.EVERY, 2.0**-cuda_layout.FORGETTING_BITS) == (rewards.EVERY, rewards.FORGETTING)
    assert Real.LENGTH == Real.RETURNS + contract.RECENT and Whole.LENGTH == Whole.LENGTHS + contract.RECENT


def test_backends_say_whether_they_serve_resident_runs() -> None:
    assert [hasattr(load(name), "live") for name in ("numpy", "numba", "shim")] == [False, True, True]


@pytest.mark.parametrize("brains", [[3], [-1], [0, 0], [0.5], [[0]], np.array([True, False, True])])
def test_a_trial_of_brains_that_are_not_there_is_refused(brains: Any) -> None:
    agent = newborn("CartPole-v1").learn(1, log_interval=None)
    with pytest.raises(HebbitError, match="different positions of 0..2"):
        resident.trial(agent, 1, brains=brains)


def test_a_run_is_of_whole_steps_and_of_all_brains() -> None:
    agent = newborn("CartPole-v1")
    with pytest.raises(HebbitError, match="call learn first"):
        resident.live(agent, 5)
    agent.learn(0)
    resident.live(agent, 1e2)  # type: ignore[arg-type]  # as learn takes it
    assert agent.num_timesteps == 100 and type(agent.num_timesteps) is int
    for awake in (np.array([True]), np.array([1, 0, 1])):
        with pytest.raises(HebbitError, match="awake must be 3 truth values"):
            resident.live(agent, 5, awake)


def test_an_interruption_leaves_brains_and_books_together(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, expected = newborn("Pendulum-v1"), newborn("Pendulum-v1").learn(400, log_interval=None)
    agent.learn(100, log_interval=None)
    honest = agent.backend.live  # type: ignore[attr-defined]  # a resident one has it

    def interrupted(state: Any, life: Any) -> None:
        honest(state, life)
        raise KeyboardInterrupt

    monkeypatch.setattr(agent.backend, "live", interrupted)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(300, log_interval=None, reset_num_timesteps=False)
    assert_same(agent, expected)


def test_an_environment_that_only_looks_resident_is_stepped() -> None:
    class Own(ResidentVectorEnv):
        """Rewards of its own."""

        def step(self, actions: Any) -> Any:
            observations, rewards, *rest = super().step(actions)
            return observations, 0 * rewards, *rest

    envs = Own(WORLDS_TABLE["CartPole-v1"], 2, AutoresetMode.DISABLED)
    agent = SpikingAgent(envs, config=AgentConfig(**TINY)).learn(100, log_interval=None)
    assert {total for recent in agent.books.recent for total, _ in recent} == {0.0}


def test_a_loaded_agent_finds_its_resident_world(tmp_path: Path) -> None:
    spec = EnvSpec("CartPole-v1", resident=True)
    agent = SpikingAgent(spec, brains=2, config=AgentConfig(**TINY)).learn(50, log_interval=None)
    agent.save(tmp_path / "a.zip")
    found = SpikingAgent.load(tmp_path / "a.zip")
    assert np.array_equal(resident.trial(found, 2)[0], resident.trial(agent, 2)[0])
    found.learn(50, log_interval=None, reset_num_timesteps=False)
    assert_same(found, agent.learn(50, log_interval=None, reset_num_timesteps=False))
