"""Every kernel compiles for every architecture, within its registers and without spills; no GPU is needed for that."""

import pytest

from hebbit.agents.config import AgentConfig, configure
from hebbit.backends.cuda_compile import ARCHITECTURES, REGISTER_BUDGET, Usage, cubin
from hebbit.backends.cuda_layout import layout
from hebbit.backends.spec import BrainConfig
from hebbit.envs.worlds import WORLDS

SHARED_LIMITS = {80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}
"""Bytes that a block may have, from the CUDA programming guide, table of technical specifications."""
REGISTERS = 64 << 10
"""Of a multiprocessor."""
BRAINS = {
    "1024 neurons, 8 synapses, 2 actions": BrainConfig(8, 32, (2,), slots_min=8, slots_max=8),
    "default, CartPole": AgentConfig().brain(4, (2,)),
    "default, LunarLander": AgentConfig(pool_words=96).brain(9, (4,)),
    "clusters and groups": BrainConfig(5, 20, (3, 2), clusters=3),
    "16 warps": BrainConfig(20, 512, (4,), slots_min=1, slots_max=8),
    "24 warps": BrainConfig(100, 768, (18,), slots_min=1, slots_max=8, clusters=8),
    "17 warps": BrainConfig(8, 520, (2,), cycles=15),
    "no pool": BrainConfig(1, 0, (1,), cycles=1),
    "echo words": AgentConfig(echo_delay=2, echo_pool=3).brain(4, (2,)),
    "learning words": AgentConfig(learning_words=4).brain(4, (2,)),
    "learning and echo words": BrainConfig(
        9, 32, (3, 2), cycles=15, clusters=3, echo_delay=3, echo_pool=9, learning_words=16, learning_pool=True
    ),
    "learning and echo words, 24 warps": BrainConfig(
        20, 768, (18,), slots_max=8, clusters=8, echo_delay=1, echo_pool=90, learning_words=4, learning_pool=True
    ),
    "a learning word alone": BrainConfig(1, 0, (1,), cycles=1, learning_words=1),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("brain", BRAINS)
def test_kernels_fit_their_registers(brain: str, architecture: int) -> None:
    made = layout(BRAINS[brain], SHARED_LIMITS[architecture])
    binary, usage = cubin(made, architecture)
    assert binary.startswith(b"\x7fELF") and set(usage) == {"run", "predict"}
    for kernel, used in usage.items():
        assert (used.spilled, used.stack) == (0, 0), kernel
        assert used.registers <= min(REGISTER_BUDGET, REGISTERS // made.threads), kernel


@pytest.mark.parametrize("architecture", [80, 100])
@pytest.mark.parametrize("world", ["CartPole-v1", "Acrobot-v1"])
def test_worlds_fit_beside_the_brain(world: str, architecture: int) -> None:
    config, place = configure(world), WORLDS[world]
    made = layout(config.brain(place.values, (place.units,)), SHARED_LIMITS[architecture], place)
    usage = cubin(made, architecture)[1]
    assert set(usage) == {"live", "trial"}
    for kernel, used in usage.items():
        assert (used.spilled, used.stack) == (0, 0), kernel
        assert used.registers <= REGISTER_BUDGET, kernel


def test_spills_are_seen() -> None:
    """Too few registers, so that the test above is known to be able to fail."""
    made = layout(BRAINS["default, CartPole"], SHARED_LIMITS[90])
    usage = cubin(made, 90, ("--maxrregcount=32", "-UMIN_BLOCKS", "-DMIN_BLOCKS=32"))[1]
    assert usage["run"].registers <= 32 and usage["run"].spilled > 0


def test_text_that_does_not_compile_says_why() -> None:
    made = layout(BRAINS["no pool"], SHARED_LIMITS[90])
    with pytest.raises(RuntimeError, match="NVRTC does not compile the kernels: .*POOL"):
        cubin(made, 90, ("-UPOOL",))


def test_usage_compares() -> None:
    assert Usage(70, 0, 0) == Usage(70, 0, 0) != Usage(70, 8, 0)
