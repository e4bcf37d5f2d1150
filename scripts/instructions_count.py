"""Warp instructions of one presentation with its learning step: by phase, by pipe, and the bound that follows.

The compiled kernel ``run`` is executed by an emulator (:mod:`hebbit.scripts.instructions_machine`) on what ``hebbit
throughput`` shows to brains, and the result has to be the specification's, bit for bit. So loops, branches that some
lanes take and what the compiler made of the source are counted as they happen, not estimated.

The bound is of throughput alone: as if every pipe were always fed. It knows no latency, no instruction cache and no
device memory, so no GPU is faster than it says, and a brain on an idle multiprocessor is much slower.
"""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.config import AgentConfig
from hebbit.backends import load, spec
from hebbit.backends.cuda_backend import DeviceBackend, DeviceState
from hebbit.backends.cuda_layout import PARTS
from hebbit.backends.spec import Arrays, Backend, BrainConfig
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.instructions_machine import EmulatedMachine
from hebbit.scripts.instructions_text import INSTRUCTION_BYTES, Instruction
from hebbit.scripts.instructions_warp import Tally

SPECIFICATION = "numpy"
KERNEL = "run"
WARM_UP = 4
"""Presentations before those that are counted: the first one of an episode, and some that fill the traces."""
PRESENTATIONS = 8
"""That are counted, unless told otherwise."""
ISSUED = 4
"""Warp instructions that a multiprocessor issues in a clock: one for each of its four schedulers."""
WARP = 32


class Pipe(NamedTuple):
    """A part of a multiprocessor that executes some instructions."""

    lanes: int | None
    """Results a clock of a multiprocessor; None: counted, but taken to bind nothing besides being issued."""
    opcodes: tuple[str, ...]
    """Without modifiers; those that begin with U are uniform."""


SOURCE = (
    "CUDA C++ Programming Guide, throughput of native arithmetic instructions, results per clock and multiprocessor of "
    "compute capabilities 8.x and 9.0: 64 for 32-bit integer addition, comparison, minimum, logic, shift and for "
    "multiply-add; 16 for population count, bit reverse, conversions, reciprocals and warp-wide reductions; 32 for "
    "shared memory and shuffles. Long multiplications (IMAD.WIDE, IMAD.HI) are taken to be as fast as short ones. For "
    "10.0 and 12.0 the same is assumed"
)
PIPES = {
    "alu": Pipe(64, (
        "LOP3", "SHF", "IADD3", "IADD", "LEA", "ISETP", "SEL", "PRMT", "VIADD", "IMNMX", "VIMNMX", "VIMNMX3",
        "VIADDMNMX", "PLOP3", "IABS", "MOV", "CS2R", "P2R", "R2P", "VOTE", "VOTEU", "R2UR", "I2FP",
    )),
    "multiply": Pipe(64, ("IMAD", "HFMA2")),
    "special": Pipe(16, ("POPC", "BREV", "FLO", "MUFU", "I2F", "F2I", "REDUX", "CREDUX", "S2R", "S2UR")),
    "memory": Pipe(32, ("LDS", "STS", "ATOMS", "LDG", "STG", "SHFL", "LDC", "LD", "ST")),
    "uniform": Pipe(None, (
        "UIADD3", "UIMAD", "ULOP3", "ULEA", "USHF", "UMOV", "USEL", "UISETP", "UPOPC", "UFLO", "UPLOP3", "UBREV",
        "UPRMT", "UIMNMX", "ULDC", "LDCU",
    )),
    "control": Pipe(None, (
        "BRA", "BRX", "BSSY", "BSYNC", "BREAK", "WARPSYNC", "BAR", "NOP", "YIELD", "CALL", "RET", "EXIT", "ERRBAR",
        "MEMBAR", "DEPBAR",
    )),
}  # fmt: skip
"""An instruction of no pipe counts as one of the first."""


class Gpu(NamedTuple):
    """What the bound needs to know."""

    architecture: int
    multiprocessors: int
    boost: float
    """Highest clock in ordinary use, in Hz."""


GPUS = {
    "H200": Gpu(90, 132, 1.98e9),
    "H100 SXM": Gpu(90, 132, 1.98e9),
    "A100 SXM": Gpu(80, 108, 1.41e9),
    "GeForce RTX 3090": Gpu(86, 82, 1.695e9),
    "GeForce RTX 4090": Gpu(89, 128, 2.52e9),
    "B200": Gpu(100, 148, 1.965e9),
    "GeForce RTX 5090": Gpu(120, 170, 2.407e9),
}
"""From NVIDIA's data sheets."""

PHASES = {
    "sense": ("sense", "count_inputs"),
    "coincidences": ("coincidences",),
    "cycles": ("pool_of", "cycles_quiet", "cycles_full"),
    "sums": ("clear_sums", "sum_spikes", "sum_weights"),
    "readout": ("readout",),
    "motors": ("fire_motors",),
    "choose": ("choose",),
    "credit": ("credit",),
    "broadcast": ("broadcast", "keep_values"),
    "change": ("change",),
    "echoes": ("keep_carried",),
    "learning words": ("fire_learning", "credit_learning", "change_learning"),
}
"""Functions of the kernels' text, with everything that they call; what is in none of them is the rest."""
REST = "rest"
_FUNCTION = re.compile(r"(?:INLINE .*?)?\b(\w+)\(")


class CountError(RuntimeError):
    """The emulated kernel does not compute what the specification says."""


@dataclass(frozen=True)
class Counted:
    """Warp instructions of one presentation of one brain, those of all its warps together."""

    architecture: int
    rule: str
    presentations: int
    """That were counted and averaged."""
    warps: int
    """Of the brain."""
    registers: int
    """Of a thread."""
    code_bytes: int
    """Machine code that the presentations passed through."""
    kernel_bytes: int
    """Machine code of the whole kernel."""
    instructions: float
    lanes: float
    """Share of the lanes that were at work."""
    phases: dict[str, float]
    functions: dict[str, float]
    """The same, by the functions that called one another from the phase on; largest first."""
    pipes: dict[str, float]
    opcodes: dict[str, float]
    """With modifiers; largest first."""
    conflicts: float
    """Further passes through shared memory because lanes met in a bank; part of the memory pipe's."""
    unassigned: tuple[str, ...]
    """Opcodes that belong to no pipe."""

    def clocks(self) -> dict[str, float]:
        """Clocks that each pipe of one multiprocessor needs, and those that issuing takes."""
        needed = {name: self.pipes[name] * WARP / pipe.lanes for name, pipe in PIPES.items() if pipe.lanes}
        return {"issue": self.instructions / ISSUED} | needed

    def bound(self, gpu: Gpu) -> float:
        """Presentations a second that a GPU cannot exceed, all brains together."""
        return gpu.multiprocessors * gpu.boost / max(self.clocks().values())

    def bounds(self) -> dict[str, float]:
        """The same for every known GPU of this architecture."""
        return {name: self.bound(gpu) for name, gpu in GPUS.items() if gpu.architecture == self.architecture}

    def describe(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self) | {"clocks": self.clocks(), "bounds": self.bounds()}


@functools.cache
def functions_by_line() -> dict[str, list[str]]:
    """For each part of the kernels' text, the function that each line belongs to; empty between functions."""
    found = {}
    for part in PARTS:
        names, current = [""], ""
        for line in (files("hebbit.backends") / part).read_text(encoding="utf-8").splitlines():
            opens = _FUNCTION.match(line) if line.startswith(("INLINE", "run(", "predict(")) else None
            if opens:
                current = opens[1]
            names.append(current)
            if line.startswith("}") or (opens and line.endswith("}")):
                current = ""
        found[part] = names
    return found


def path(one: Instruction) -> list[str]:
    """The functions that an instruction comes from, outermost first."""
    known = functions_by_line()
    return [known[line.file][line.number] for line in reversed(one.lines)]


def phase_of(called: list[str]) -> tuple[str, str]:
    """The phase that a chain of functions belongs to, and the chain from there on."""
    for depth, name in enumerate(called):
        for phase, members in PHASES.items():
            if name in members:
                return phase, "/".join(called[depth:])
    return REST, called[-1] if called else "subroutines of the compiler"


def pipe_of(opcode: str) -> str | None:
    """The pipe that executes an opcode."""
    bare = opcode.split(".")[0]
    return next((name for name, pipe in PIPES.items() if bare in pipe.opcodes), None)


def point_of(config: BrainConfig, rule: str) -> sizes.Point:
    """What throughput would call such a brain."""
    return sizes.Point(1, config.pool_words, config.sensory_words, config.slots, config.cycles, rule)


def params_of(config: BrainConfig, rule: str) -> NDArray[np.int32]:
    """The default hyperparameters under a rule of throughput's, [1, K, Param]."""
    own = AgentConfig(clusters=config.clusters).params()
    for column, value in sizes.RULES[rule].items():
        own[:, column] = value
    return own[None]


def born(config: BrainConfig) -> Arrays:
    """One brain, as old as throughput's are."""
    arrays = spec.empty_arrays(config, np.zeros(1, np.uint32))
    arrays["presentation"][:] = sizes.AGE
    return arrays


def emulated(config: BrainConfig, architecture: int, rule: str, presentations: int) -> tuple[DeviceState, Tally, int]:
    """Execute some presentations and count them alone.

    Returns:
        The brain afterwards with its kernels, what was executed, and registers of a thread.

    Raises:
        CountError: it is not the brain that the specification makes.
    """
    machine = EmulatedMachine(architecture)
    backend: Backend = DeviceBackend(machine)
    given = sizes.workload(point_of(config, rule), WARM_UP + presentations)
    given.flags[0] = spec.Flag.START
    state = backend.create(config, params_of(config, rule), sizes.SEED, born(config))
    before = state.memory.copy()
    backend.run(state, given.intensities[:WARM_UP], given.rewards[:WARM_UP], given.flags[:WARM_UP])
    warm, machine.tallies[KERNEL] = machine.tallies[KERNEL], Tally.of(state.module[KERNEL].kernel)
    state.memory[...] = before
    actions = backend.run(state, *given)
    reference = load(SPECIFICATION)
    expected = reference.create(config, params_of(config, rule), sizes.SEED, born(config))
    same = np.array_equal(actions, reference.run(expected, *given))
    found, wanted = backend.export(state), reference.export(expected)
    if not same or any(not np.array_equal(found[name], wanted[name]) for name in wanted):
        raise CountError(f"on sm_{architecture} the emulated kernel gives other bits than the specification")
    return state, machine.tallies[KERNEL] - warm, machine.usage[KERNEL].registers


@functools.lru_cache
def per_presentation(
    config: BrainConfig, architecture: int, rule: str = "default", presentations: int = PRESENTATIONS
) -> Counted:
    """Count the warp instructions of one presentation of a brain with its learning step.

    Args:
        config: the brain.
        architecture: compute capability that is compiled for.
        rule: of :data:`hebbit.scripts.throughput_points.RULES`.
        presentations: that are counted and averaged.

    Raises:
        ImportError: compiler or disassembler are missing.
        ValueError: the architecture is not understood, or the brain too large for it.
        CountError: the brain that comes out is not the one that the specification makes.
    """
    state, tally, registers = emulated(config, architecture, rule, presentations)
    code = state.module[KERNEL].kernel.instructions
    conflicts = float(tally.conflicts.sum() / presentations)
    return Counted(
        architecture=architecture,
        rule=rule,
        presentations=presentations,
        warps=state.layout.warps,
        registers=registers,
        code_bytes=INSTRUCTION_BYTES * int(np.count_nonzero(tally.executed)),
        kernel_bytes=INSTRUCTION_BYTES * len(code),
        instructions=float(tally.executed.sum() / presentations),
        lanes=float(tally.lanes.sum() / (WARP * tally.executed.sum())),
        conflicts=conflicts,
        **shares(code, tally.executed / presentations, conflicts),
    )


def shares(code: Sequence[Instruction], executed: NDArray[np.float64], conflicts: float) -> dict[str, Any]:
    """What was executed, by phase, function, pipe and opcode."""
    phases, pipes = dict.fromkeys([*PHASES, REST], 0.0), dict.fromkeys(PIPES, 0.0)
    functions, opcodes = Counter[str](), Counter[str]()
    for one, number in zip(code, executed.tolist(), strict=True):
        if not number:
            continue
        phase, chain = phase_of(path(one))
        phases[phase] += number
        functions[f"{phase}: {chain}"] += number
        opcodes[one.opcode] += number
        pipes[pipe_of(one.opcode) or next(iter(PIPES))] += number
    pipes["memory"] += conflicts
    return {
        "phases": phases,
        "functions": dict(functions.most_common()),
        "pipes": pipes,
        "opcodes": dict(opcodes.most_common()),
        "unassigned": tuple(sorted(opcode for opcode in opcodes if pipe_of(opcode) is None)),
    }
