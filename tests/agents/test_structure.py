"""Pool words that draw new sources, and pool words that are taken out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent, checkpoint, evaluate
from hebbit.agents.errors import CheckpointError
from hebbit.agents.structure import (
    ERAS,
    Structure,
    condemned,
    mean_weight,
    most_useful,
    prune,
    read_words,
    renew,
    rewire,
    usefulness,
)
from hebbit.agents.structure_probe import Watcher, spikes
from hebbit.backends.spec import Arrays, BrainConfig, Flag, empty_arrays
from hebbit.backends.wiring import wire

CARTPOLE = "CartPole-v1"
ALL, HIDDEN, LEARNING = 7, 6, 4
TINY = {"pool_words": 4, "cycles": 2, "rewire_every": 10, "rewire_protect": 1}
LEARNERS: dict[str, Any] = {"learning_words": 1, "learning_pool": True, "learning_density": 0.5}


def newborn(brains: Any = 1, backend: str = "numpy", seed: int = 1, **changes: Any) -> SpikingAgent:
    return SpikingAgent(CARTPOLE, seed=seed, config={**TINY, **changes}, backend=backend, brains=brains)


def noisy(config: BrainConfig, brains: int = 1, seed: int = 0) -> Arrays:
    """Arrays with something everywhere."""
    dice, arrays = np.random.default_rng(seed), empty_arrays(config, np.arange(brains, dtype=np.uint32))
    for name in ("weights", "inner_weights"):
        arrays[name][...] = dice.integers(-100, 100, arrays[name].shape)
    for name in ("traces", "inner_traces", "excitement"):
        arrays[name][...] = dice.integers(1, 15, arrays[name].shape)
    return arrays


def worked() -> tuple[BrainConfig, Arrays]:
    """One sensory word, two pool words, groups of two and of three motor units."""
    config = BrainConfig(sensory_words=1, pool_words=2, groups=(2, 3))
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    weights = arrays["weights"][0]
    weights[:2, 1, 0] = 7, -3
    weights[2:5, 1, 0] = 1, 4, 2
    weights[:5, 2, :] = 50
    weights[-1, :, 5] = 12, 0, 0
    weights[-1, 2, 6] = -96
    return config, arrays


def test_usefulness_is_what_differs() -> None:
    config, arrays = worked()
    # the critic's 96 weights are 12 - 96 in all: -0.875 on average, rounded to -1
    assert mean_weight(arrays["weights"][0, -1]) == -1
    assert usefulness(config, ALL, arrays, 0).tolist() == [10 + 3 + 32, 31 + 95]
    # of the pool alone: 64 weights, -1.5 on average, rounded up to -1
    assert usefulness(config, HIDDEN, arrays, 0).tolist() == [45, 126]
    arrays["weights"][0, -1, 0] = 127
    assert usefulness(config, ALL, arrays, 0).tolist() != [45, 126] == usefulness(config, HIDDEN, arrays, 0).tolist()
    assert usefulness(config, LEARNING, arrays, 0).tolist() == [0, 0]


def test_usefulness_counts_spikes() -> None:
    config, arrays = worked()
    fired = np.zeros((3, 32), np.int64)
    fired[0] = 99
    fired[1, 0], fired[1, 9], fired[2, 6], fired[2, 7] = 5, 3, 2, 1
    assert usefulness(config, ALL, arrays, 0, fired).tolist() == [5 * (13 + 1) + 3, 2 * 95 + 1]


def test_usefulness_for_learning_words() -> None:
    config = BrainConfig(sensory_words=1, pool_words=2, groups=(2,), learning_words=1, learning_pool=True)
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    arrays["inner_weights"][0, :, 1, 0] = -3
    arrays["inner_weights"][0, 0, 2, 4] = 100
    arrays["inner_weights"][0, :, 0] = 100
    assert usefulness(config, LEARNING, arrays, 0).tolist() == [3, 3]
    deaf = BrainConfig(sensory_words=1, pool_words=2, groups=(2,), learning_words=1)
    assert usefulness(deaf, LEARNING, arrays, 0).tolist() == [0, 0]


def test_usefulness_by_clusters() -> None:
    config = BrainConfig(sensory_words=1, pool_words=3, groups=(2,), clusters=2)
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    arrays["weights"][0, -1] = np.array([10, 50, 10, 70])[:, None]
    # words 1 and 3 form one cluster, with a mean of 60
    assert usefulness(config, ALL, arrays, 0).tolist() == [320, 0, 320]


def test_the_mean_is_rounded() -> None:
    assert [mean_weight(np.array(a, np.int8)) for a in ([], [1, 2], [-1, -2], [127] * 5, [1, 1, 2])] == [
        0,
        2,
        -1,
        127,
        1,
    ]


def test_what_readouts_see() -> None:
    config = BrainConfig(sensory_words=1, pool_words=2, groups=(2,), echo_delay=1, learning_words=1)
    seen = {reads: read_words(config, reads).tolist() for reads in (1, 2, 4, 7)}
    assert seen == {
        1: [True, True, False, False, False],
        2: [False, False, True, True, False],
        4: [False, False, False, False, True],
        7: [True] * 5,
    }


@pytest.mark.parametrize("learning_pool", [True, False])
def test_a_renewed_word_is_newborn_and_the_others_are_not_touched(learning_pool: bool) -> None:
    config = BrainConfig(
        sensory_words=2, pool_words=3, groups=(2,), learning_words=1, learning_pool=learning_pool, echo_delay=1
    )
    arrays, before = noisy(config, 2), noisy(config, 2)
    for either in (arrays, before):
        either["generation"][1] = [5, 0x0003FFFF, 0xFFFF0000]
    renew(config, ALL, arrays, 1, np.array([1, 2]))
    assert arrays["generation"].tolist() == [[0, 0, 0], [5, 0x00030000, 0xFFFF0001]]
    words = [5, 6]
    others = [0, 1, 2, 3, 4, 7]
    mean = mean_weight(before["weights"][1, -1, others])
    assert (arrays["weights"][1][:-1, words] == 0).all() and (arrays["weights"][1][-1, words] == mean).all()
    assert (arrays["traces"][1][:, words] == 0).all() and (arrays["excitement"][1][[1, 2]] == 0).all()
    if learning_pool:
        for name in ("inner_weights", "inner_traces"):
            assert (arrays[name][1][:, words] == 0).all()
            before[name][1][:, words] = 0
    before["weights"][1][:, words] = arrays["weights"][1][:, words]
    before["traces"][1][:, words] = 0
    before["excitement"][1][[1, 2]] = 0
    for name in ("weights", "traces", "excitement", "inner_weights", "inner_traces", "value", "brain"):
        np.testing.assert_array_equal(arrays[name], before[name])


def test_a_renewed_word_starts_at_its_own_cluster_s_value_and_at_what_is_read() -> None:
    config = BrainConfig(sensory_words=2, pool_words=4, groups=(2,), clusters=2)
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    arrays["weights"][0, -1] = np.array([100, 100, 10, 20, 30, 40])[:, None]
    renew(config, HIDDEN, arrays, 0, np.array([0, 1]))
    assert arrays["weights"][0, -1, :, 3].tolist() == [100, 100, 30, 40, 30, 40]


def test_a_generation_wraps() -> None:
    assert ERAS - 1 == 0xFFFF
    config = BrainConfig(sensory_words=1, pool_words=1, groups=(2,))
    arrays = empty_arrays(config, np.zeros(1, np.uint32))
    arrays["generation"][:] = ERAS - 1
    renew(config, ALL, arrays, 0, np.array([0]))
    assert arrays["generation"].tolist() == [[0]]


def test_the_least_useful_grown_words_go() -> None:
    agent = newborn(pool_words=6, rewire_share=0.5, rewire_protect=2)
    arrays = agent.arrays()
    for word, weight in enumerate([6, 1, 2, 5, 3, 1]):
        arrays["weights"][0, 0, 4 + word] = weight
    agent.structure.clock = 100
    agent.structure.born[0] = [0, 80, 79, 0, 0, 0]
    # word 1 is too young by a step; of equals the first goes first
    assert condemned(agent, arrays, 0).tolist() == [5, 2, 4]
    agent.structure.born[0] = 90
    assert condemned(agent, arrays, 0).tolist() == []
    before = agent.state
    assert not rewire(agent).any() and agent.state is before


@pytest.mark.parametrize(("share", "words"), [(0.0, 1), (0.24, 1), (0.5, 2), (1.0, 4)])
def test_how_many_go(share: float, words: int) -> None:
    agent = newborn(rewire_share=share)
    agent.structure.clock = 1000
    assert len(condemned(agent, agent.arrays(), 0)) == words
    renewed = rewire(agent)
    assert renewed.sum() == words
    assert agent.structure.born[renewed].tolist() == [1000] * words and not agent.structure.born[~renewed].any()
    assert (agent.arrays()["generation"] > 0).tolist() == renewed.tolist()


def test_random_words_differ_between_brains_and_times_and_agree_elsewhere() -> None:
    def order(agent: SpikingAgent, brain: int, clock: int) -> list[int]:
        agent.structure.clock = clock
        return [int(word) for word in condemned(agent, agent.arrays(), brain)]

    agent = newborn(brains=[3, 8], pool_words=12, rewire_choice="random", rewire_share=1.0)
    orders = {tuple(order(agent, brain, clock)) for brain in (0, 1) for clock in (1000, 1010)}
    assert len(orders) == 4 and all(sorted(one) == list(range(12)) for one in orders)
    alone = newborn(brains=[8], pool_words=12, rewire_choice="random", rewire_share=1.0)
    assert order(alone, 0, 1010) == order(agent, 1, 1010)


def test_when_words_are_rewired() -> None:
    def times(**changes: int) -> list[int]:
        structure = Structure(AgentConfig().replace(changes), 1)
        return [step for step in range(1, 31) if structure.tick()[0]]

    assert times() == times(rewire_until=20) == []
    assert times(rewire_every=10) == [10, 20, 30]
    assert times(rewire_every=10, rewire_until=20) == [10, 20]
    assert times(rewire_every=7, rewire_until=27) == [7, 14, 21]


def test_learning_rewires() -> None:
    still = newborn(rewire_every=0).learn(60)
    assert not still.arrays()["generation"].any() and still.structure.clock == 0
    agent = newborn().learn(60)
    # at 20, 30, .. 60 one of the words that are older than 10 steps
    assert agent.arrays()["generation"].sum() == 5 and agent.structure.born.max() == 60
    assert (agent.structure.born % 10 == 0).all() and len(set(agent.structure.born[0])) > 1
    assert newborn(rewire_until=40).learn(60).arrays()["generation"].sum() == 3


def go_on_alike(*agents: SpikingAgent, steps: int = 25) -> None:
    """Whether agents go on in the same bits, over more than one re-wiring."""
    for agent in agents:
        agent.learn(steps, reset_num_timesteps=False)
    assert len({agent.digest() for agent in agents}) == 1


def test_ages_survive_a_checkpoint(tmp_path: Path) -> None:
    agent = newborn().learn(45)
    agent.save(tmp_path / "a.zip")
    again = SpikingAgent.load(tmp_path / "a.zip", backend="numpy")
    assert again.structure.born.tolist() == agent.structure.born.tolist() and again.structure.clock == 45
    assert agent.structure.born.any()
    go_on_alike(agent, again)
    other = newborn().learn(3)
    other.set_parameters(agent.get_parameters())
    assert other.digest() == agent.digest() and other.structure.clock == agent.structure.clock == 70


def test_a_brain_of_a_population_is_rewired_as_if_alone() -> None:
    both = newborn(brains=[1, 2]).learn(45)
    assert both.structure.born.any(axis=1).all()
    alone, extracted = newborn(brains=[2]).learn(45), both.extract(1)
    assert alone.digest() == extracted.digest()
    go_on_alike(alone, extracted)


def test_backends_agree() -> None:
    settings: dict[str, Any] = {**LEARNERS, "rewire_share": 0.5, "clusters": 2}
    one, other = (newborn(backend=name, **settings).learn(45) for name in ("numpy", "numba"))
    assert one.digest() == other.digest() and one.arrays()["generation"].any()
    pruned = [prune(agent, [0, 3]) for agent in (one, other)]
    go_on_alike(*pruned)


def test_a_tampered_age_is_refused(tmp_path: Path) -> None:
    newborn(brains=2).learn(25).save(tmp_path / "a.zip")
    found = checkpoint.read(tmp_path / "a.zip")
    for name, change in (
        ("born", 26),
        ("born", -26),
        ("words", -1),
        ("words", 32768),
        ("clock", [0, 1]),
        ("clock", -50),
    ):
        arrays = {**found.arrays, f"structure_{name}": found.arrays[f"structure_{name}"] + change}
        checkpoint.write(tmp_path / "b.zip", found.meta, arrays)
        with pytest.raises(CheckpointError, match="holds values that no agent has"):
            SpikingAgent.load(tmp_path / "b.zip", backend="numpy")
    checkpoint.write(tmp_path / "b.zip", found.meta, {k: v for k, v in found.arrays.items() if k != "structure_born"})
    with pytest.raises(CheckpointError, match="no array 'structure_born'"):
        SpikingAgent.load(tmp_path / "b.zip", backend="numpy")


def wired(agent: SpikingAgent, brain: int = 0) -> list[str]:
    """What each pool word reads."""
    wiring = wire(agent.brain_config, agent.arrays()["generation"][brain], (agent.seed, int(agent.brains[brain])))
    return [str([part[word].tolist() for part in wiring]) for word in range(agent.brain_config.pool_words)]


def test_what_is_left_keeps_its_wiring_and_all_that_it_has_learned() -> None:
    agent = newborn(brains=2, pool_words=7, **LEARNERS).learn(45)
    once = prune(agent, [5, 1, 2, 6])
    again = prune(once, [[1, 3], [0, 2]])
    assert again.config == agent.config.replace({"pool_words": 2}) and agent.brain_config.pool_words == 7
    assert again.structure.words.tolist() == [7, 7] and again.structure.clock == 45
    assert (again.num_timesteps, again.total_steps, again.spec) == (45, 45, agent.spec)
    for brain, kept in enumerate(([2, 6], [1, 5])):
        assert wired(again, brain) == [wired(agent, brain)[word] for word in kept]
        np.testing.assert_array_equal(again.structure.born[brain], agent.structure.born[brain, kept])
        old, new = ({name: a[brain] for name, a in one.arrays().items()} for one in (agent, again))
        places = [0, 1, 2, 3, *(4 + word for word in kept)]
        for name in ("weights", "traces"):
            np.testing.assert_array_equal(new[name], old[name][:, [*places, 11]])
        for name in ("inner_weights", "inner_traces"):
            np.testing.assert_array_equal(new[name], old[name][:, places])
        np.testing.assert_array_equal(new["excitement"], old["excitement"][[*kept, 7]])
        assert new["generation"].tolist() == [
            (word ^ place) << 16 | int(old["generation"][word]) for place, word in enumerate(kept)
        ]
        for name in ("brain", "episode", "presentation", "value", "surprise", "collected"):
            np.testing.assert_array_equal(new[name], old[name])
    assert len(set(wired(agent))) == 7


def test_a_pruned_brain_goes_on_and_is_rewired(tmp_path: Path) -> None:
    agent = newborn().learn(45)
    small = prune(agent, [0, 2, 3])
    assert small._resumable and small.books.begun == agent.books.begun
    small.save(tmp_path / "a.zip")
    go_on_alike(small, SpikingAgent.load(tmp_path / "a.zip", backend="numpy"))
    assert small.num_timesteps == 70 and small.structure.born.max() == 70
    assert (small.arrays()["generation"] >> 16).tolist() == [[0, 3, 1]]


def lively(agent: SpikingAgent) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Spikes of each neuron over a few presentations."""
    dice = np.random.default_rng(0)
    shown = [dice.integers(0, 16, (1, 4, 32), np.uint8) for _ in range(12)]
    return spikes(agent, shown, [Flag.START, *[Flag.CONTINUE] * 5, Flag.START, *[Flag.CONTINUE] * 5])


def test_words_that_are_left_fire_as_before() -> None:
    """Without decay nothing in a presentation is drawn for a pool word."""
    agent = newborn(pool_words=6, excitement_decay=0.0, base_rate=0.0, cycles=4, rewire_share=0.5).learn(40)
    fired, small = lively(agent), prune(agent, [1, 4, 5])
    np.testing.assert_array_equal(lively(small), fired[[0, 1, 2, 3, 5, 8, 9]])
    assert (fired[4:].sum(axis=1) > 0).all() and len({tuple(row) for row in fired.tolist()}) == 10


def test_the_probe_counts_what_backends_count() -> None:
    agent = newborn(**LEARNERS, reads="learning").learn(30)
    before, counted = agent.digest(), []
    for number in (1, 2, 5):
        watcher = Watcher(agent, number)
        evaluate(watcher, CARTPOLE, 2)
        assert len(watcher.flags) == number and watcher.flags[0] == Flag.START
        counted.append(watcher.spikes())
    assert agent.digest() == before
    first = watcher.intensities[0]
    zeros, calm = np.zeros((1, agent.brain_config.carried_words, 32), np.uint8), np.zeros(1, np.uint32)
    # sensory spikes of the phase code: as many in every presentation of two cycles as chance has it, at most two
    assert ((counted[0][:4] > 0) <= (first[0] > 0)).all() and counted[0].max() <= 2
    assert (counted[0] <= counted[1]).all() and (counted[1] <= counted[2]).all() and (counted[2] > counted[1]).any()
    answer = agent.backend.predict(agent.state, np.zeros(1, np.int64), first, zeros, calm, False)
    assert 0.5 < counted[0].sum() / int(answer.spikes[0]) < 2
    assert (watcher.usefulness() == 0).all() == (not counted[2][4:8].any())


def test_the_most_useful_words_of_each_cluster_stay() -> None:
    agent, rank = newborn(pool_words=6), np.array([5, 9, 1, 0, 7, 9])
    assert [most_useful(agent, rank, n).tolist() for n in (0, 1, 2, 5)] == [[], [1], [1, 5], [0, 1, 2, 4, 5]]
    split = newborn(pool_words=6, clusters=2)
    assert [most_useful(split, rank, n).tolist() for n in (1, 2, 3, 4)] == [[4], [1, 4], [0, 1, 4], [0, 1, 4, 5]]


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_words_stay_in_their_clusters(clusters: int) -> None:
    agent = newborn(pool_words=9, clusters=clusters).learn(15)
    rank = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5])
    for number in range(10):
        kept = most_useful(agent, rank, number)
        small = prune(agent, kept)
        names = (small.arrays()["generation"][0] >> 16) ^ np.arange(number, dtype=np.uint32)
        assert sorted(names.tolist()) == kept.tolist()
        assert (names % clusters).tolist() == [place % clusters for place in range(number)]
        assert wired(small) == [wired(agent)[name] for name in names.tolist()]


@pytest.mark.parametrize(
    ("changes", "keep", "said"),
    [
        ({}, [4], r"keep must be different pool words of 0\.\.3"),
        ({}, [-1], "keep must be"),
        ({}, [1, 1], "keep must be"),
        ({}, [0.0], "keep must be"),
        ({}, [[0], [1]], "keep must be"),
        ({}, [[[0]]], "keep must be"),
        ({"echo_pool": 2}, [0], "no echo_pool, got 2"),
        ({"clusters": 2}, [0, 2], "2 pool words need 1 with a number of 0 modulo 2 clusters, got 2"),
        ({"clusters": 2, "learning_words": 1}, [0], "take out a multiple of 2 words, got 3"),
        ({"clusters": 6}, [0], "clusters in 1..5, got 6"),
    ],
)
def test_what_cannot_be_pruned(changes: dict[str, Any], keep: Any, said: str) -> None:
    with pytest.raises(HebbitError, match=said):
        prune(newborn(**changes), keep)


def test_all_words_or_none() -> None:
    agent = newborn(learning_words=1).learn(15)
    assert prune(agent, range(4)).digest() == agent.digest()
    nothing = prune(agent, [])
    assert nothing.brain_config.pool_words == 0 and nothing.learn(15).num_timesteps == 15
    assert nothing.structure.words.tolist() == [4] and nothing.structure.clock == 30
