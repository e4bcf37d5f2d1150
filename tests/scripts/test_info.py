"""A brain in figures."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hebbit import backends
from hebbit.agents import EnvSpec, SpikingAgent
from hebbit.agents.structure import prune
from hebbit.scripts.info import measure

Cli = Callable[..., Any]


def rows(out: str) -> dict[str, str]:
    return {line[:15].strip(): line[15:].strip() for line in out.splitlines()}


def test_what_is_installed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = cli("info")
    assert (status, err) == (0, "")
    table = rows(out)
    assert {"hebbit", "python", "numpy", "numba", "gymnasium", "default brain"} <= set(table)
    assert all(table[f"backend {name}"] == "available" for name in backends.names() if name != "cupy")
    # whether there is a GPU is this machine's affair
    assert table["backend cupy"] == "available" or table["backend cupy"].endswith("use the backend numba")

    def fail(name: str) -> None:
        raise ImportError(f"no {name} here")

    monkeypatch.setattr(backends, "load", fail)
    assert rows(cli("info")[1])["backend numba"] == "no numba here"


def test_a_brain(cli: Cli) -> None:
    SpikingAgent("CartPole-v1", config={"pool_words": 10, "slots_min": 2, "slots_max": 2}).save("a.zip")
    status, out, err = cli("info a.zip")
    assert (status, err) == (0, "")
    table = {line[:17].strip(): line[17:].strip() for line in out.splitlines()}
    # 4 sensory words, 10 pool words, 2 motor units and the critic; 32 neurons each
    assert table["neurons"] == "512: 128 sensory, 320 pool, 64 motor"
    assert table["synapses"] == "1,984: 640 fixed (recomputed, not stored), 1,344 that learn"
    assert table["bytes"] == (
        "3,016: 160 in 4-bit states, 1,344 in 8-bit weights, 672 in their 4-bit fractions, "
        "840 in traces of 4 bits and a sign"
    )
    assert table["spikes per step"].endswith("over 200 steps") and "of 3,584 possible" in table["spikes per step"]
    assert table["environment"] == "CartPole-v1" and table["backend"] == "numba"


def test_a_brain_with_learning_and_echo_words(cli: Cli) -> None:
    config = {"pool_words": 3, "learning_words": 2, "learning_pool": True, "echo_delay": 1, "cycles": 2}
    SpikingAgent("CartPole-v1", config=config, backend="numpy").save("a.zip")
    table = {line[:17].strip(): line[17:].strip() for line in cli("info a.zip")[1].splitlines()}
    assert table["neurons"] == "480: 128 sensory, 128 echo, 96 pool, 64 learning, 64 motor"
    # 3 outputs read 13 words, 64 learning neurons read 11; pool, echo and learning words outlive a presentation
    assert table["synapses"].endswith("23,776 that learn") and (3 * 13 + 64 * 11) * 32 == 23_776
    assert table["bytes"].startswith("50,668: 144 in 4-bit states, 23,776 in 8-bit weights, 11,888 in their")
    assert table["pool words"] == "3 in use" and "re-wired" not in table


def test_words_that_were_rewired(cli: Cli) -> None:
    config = {"pool_words": 3, "cycles": 2, "rewire_every": 10, "rewire_protect": 1, "rewire_until": 50}
    agent = SpikingAgent("CartPole-v1", config=config, backend="numpy").learn(60)
    agent.save("a.zip")
    table = {line[:17].strip(): line[17:].strip() for line in cli("info a.zip")[1].splitlines()}
    often = agent.arrays()["generation"][0]
    assert often.sum() == 4
    wanted = f"{(often > 0).sum()} of 3 words, 4 times in all, one of them {often.max()} times; last after 50 steps"
    assert (table["pool words"], table["re-wired"]) == ("3 in use", wanted)
    kept = int(often.argmax())
    prune(agent, [kept]).save("b.zip")
    table = {line[:17].strip(): line[17:].strip() for line in cli("info b.zip")[1].splitlines()}
    assert table["pool words"] == "1 in use, 2 of 3 pruned"
    assert table["re-wired"].startswith(f"1 of 1 words, {often[kept]} times in all")


def test_spikes_are_measured_over_whole_episodes_and_alike_everywhere() -> None:
    counts: list[Sequence[int]] = []
    for backend in ("numpy", "numba", "shim"):
        agent = SpikingAgent("CartPole-v1", config={"pool_words": 2}, backend=backend)
        counts.append(measure(agent, EnvSpec("CartPole-v1"), 30))
    assert len(counts[0]) == 30
    assert all(np.array_equal(counts[0], other) for other in counts[1:])
