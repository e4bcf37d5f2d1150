"""Machine code is emulated to the specification's bits, and counted as it is executed."""

import ctypes
import functools
import json
import re
import shutil
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hebbit.agents.config import AgentConfig
from hebbit.backends import cuda_compile, load
from hebbit.backends.cuda_backend import DeviceBackend
from hebbit.backends.cuda_compile import cubin
from hebbit.backends.cuda_layout import layout, source
from hebbit.backends.shim_backend import SCHEDULES, SHARED_LIMIT, ShimBackend
from hebbit.backends.spec import BrainConfig
from hebbit.scripts import instructions, instructions_text, instructions_warp
from hebbit.scripts import instructions_count as count
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.conformance import SPECIFICATION, differences, lives, random_case
from hebbit.scripts.instructions_logic import of_three
from hebbit.scripts.instructions_machine import SHARED_LIMITS, EmulatedMachine
from hebbit.scripts.instructions_memory import conflicts
from hebbit.scripts.instructions_registers import (
    LANES,
    MEANINGS,
    FaultError,
    Memory,
    Registers,
    UnknownInstructionError,
    simple,
)
from hebbit.scripts.instructions_text import Kernel, Listing, kernels, split_operands
from hebbit.scripts.instructions_warp import Program, Tally, Warp, run_block

SMALL = BrainConfig(8, 32, (2,), slots_min=8, slots_max=8)
DEFAULT = AgentConfig().brain(4, (2,))
THREE_SENSORY_ROWS = BrainConfig(8, 32, (6,), slots_min=2, slots_max=2)
LEARNING = BrainConfig(2, 4, (2,), cycles=3, echo_delay=1, echo_pool=1, learning_words=1, learning_pool=True)
FEW = 2
"""Presentations that are counted here."""


@functools.cache
def counted(config: BrainConfig, architecture: int = 90, rule: str = "default") -> count.Counted:
    return count.per_presentation(config, architecture, rule, FEW)


def differing(architecture: int, number: int, presentations: int) -> list[dict[str, int]]:
    case, machine = random_case(number), DeviceBackend(EmulatedMachine(architecture))
    both = (lives(one, case, presentations) for one in (load(SPECIFICATION), machine))
    return [differences(*pair) for pair in zip(*both, strict=True)]


@pytest.mark.parametrize(("architecture", "number"), list(zip(SHARED_LIMITS, (1, 2, 6, 5, 3, 4), strict=True)))
def test_the_code_of_every_architecture_gives_the_specifications_bits(architecture: int, number: int) -> None:
    """Other than on the shim it is the compiled code that is proved here, answers without learning included."""
    assert differing(architecture, number, 3) == [{}] * 3


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SHARED_LIMITS)
@pytest.mark.parametrize("number", range(7, 15))
def test_more_random_brains_agree(architecture: int, number: int) -> None:
    assert differing(architecture, number, 4) == [{}] * 4


@pytest.mark.parametrize("opcode", ["POPC", "PRMT", "BREV"])
def test_a_wrong_emulation_is_noticed(opcode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANINGS, opcode, simple(lambda x: x ^ np.uint32(1), 1))
    with pytest.raises(count.CountError, match="^on sm_90 the emulated kernel gives other bits than the spec"):
        count.emulated(DEFAULT, 90, "default", FEW)


@pytest.mark.parametrize("config", [SMALL, DEFAULT], ids=["one warp", "two warps"])
def test_nothing_is_lost(config: BrainConfig) -> None:
    found = counted(config)
    assert sum(found.phases.values()) == pytest.approx(found.instructions)
    assert sum(found.functions.values()) == pytest.approx(found.instructions)
    assert sum(found.opcodes.values()) == pytest.approx(found.instructions)
    assert sum(found.pipes.values()) == pytest.approx(found.instructions + found.conflicts)
    assert found.unassigned == () and found.warps == layout(config, SHARED_LIMIT).warps
    assert 0 < found.code_bytes <= found.kernel_bytes and 0.5 < found.lanes <= 1


def test_every_instruction_of_the_binary_is_listed() -> None:
    binary, _ = cubin(layout(LEARNING, SHARED_LIMITS[80]), 80, ("--generate-line-info",))
    for name, kernel in kernels(binary).items():
        size = len(instructions_text.sections(binary)[f".text.{name}"][1])
        assert len(kernel.instructions) * instructions_text.INSTRUCTION_BYTES == size
        named = [one for one in kernel.instructions if one.lines]
        assert len(named) > 0.9 * len(kernel.instructions)
        assert {line.file for one in named for line in one.lines} == set(count.functions_by_line())


def test_lines_belong_to_functions() -> None:
    known = count.functions_by_line()
    assert known["cuda_bits.cu"][46] == "scaled" and known["cuda_kernels.cu"][118] == "run"
    assert known["cuda_learning.cu"][5] == "" and known["cuda_bits.cu"][47] == ""
    named = {name for names in known.values() for name in names} - {""}
    assert named == {*re.findall(r"^INLINE [^(]*?(\w+)\(", source(), re.MULTILINE), "run", "predict"}
    assert {member for members in count.PHASES.values() for member in members} <= named


# How often some places are executed, found out twice: by counters planted in the text on the shim, and by the emulator.
MARKS = {
    "pair summed": "      mine = weighted(",
    "pair changed": "    for (u32 i = 0; i < 5; ++i) e[i] = pair[",
    "prepared": "      prepare(planes, 0, 4, clock);",
    "slot": "    u32 packed_wire = board[BOARD_WIRES",
    "sensory word": "    packed(intensity[32 * word + lane], planes);",
}
SIGNS = {
    "pair summed": ("sums: sum_weights/weighted", "LDS", 8),
    "pair changed": ("change: change/change_pair", "STS", 5),
    "prepared": ("change: change/prepare/draw", "LOP3", None),
    "slot": ("coincidences: coincidences/arriving", "PRMT", 8),
    "sensory word": ("sense: sense/packed", "VOTE", 4),
}
"""Functions of the code that is executed there, an opcode, how many of it (None: each as often as the place)."""


def on_the_shim(config: BrainConfig) -> dict[str, float]:
    """Executions of the marked lines by the first thread of each warp, in one presentation."""
    text = source()
    for number, mark in enumerate(MARKS.values()):
        assert text.count(mark) == 1
        text = text.replace(mark, f"marked[{number}] += threadIdx.x % 32 == 0;\n{mark}")
    text = re.sub(r"(#pragma unroll\n)(marked.*\n)", r"\2\1", text)
    backend = ShimBackend('extern "C" { unsigned marked[16]; }\n' + text)
    state = backend.create(config, count.params_of(config, "default"), sizes.SEED, count.born(config))
    backend.run(state, *sizes.workload(count.point_of(config, "default"), FEW))
    marked = (ctypes.c_uint * 16).in_dll(state.module, "marked")
    return {name: marked[number] / (len(SCHEDULES) * FEW) for number, name in enumerate(MARKS)}


def on_the_emulator(config: BrainConfig) -> dict[str, set[float]]:
    """The same of warps, from the machine code."""
    state, tally, _ = count.emulated(config, 90, "default", FEW)
    code, found = state.module["run"].kernel.instructions, {}
    for name, (chain, opcode, each) in SIGNS.items():
        executed = [
            number / FEW
            for one, number in zip(code, tally.executed.tolist(), strict=True)
            if number and one.opcode.startswith(opcode) and ": ".join(count.phase_of(count.path(one))) == chain
        ]
        found[name] = {sum(executed) / each} if each else set(executed)
    return found


@pytest.mark.parametrize(
    ("config", "expected"),
    [(SMALL, (4, 4, 2, 8, 8)), (THREE_SENSORY_ROWS, (9, 9, 3, 2, 8))],
    ids=["small", "three sensory rows"],
)
def test_code_is_executed_as_often_as_counters_in_the_text_say(config: BrainConfig, expected: tuple[int, ...]) -> None:
    assert on_the_shim(config) == dict(zip(MARKS, expected, strict=True))
    assert on_the_emulator(config) == {name: {number} for name, number in zip(SIGNS, expected, strict=True)}


def slope(phase: str, config: BrainConfig, **changed: Any) -> float:
    """Instructions that a phase takes more if a size is changed."""
    return counted(replace(config, **changed)).phases[phase] - counted(config).phases[phase]


def test_slopes_are_those_of_the_text() -> None:
    """A slot more costs coincidences alone, an action more a row of sums and of changes, and it is all linear."""
    few = BrainConfig(4, 32, (2,), slots_min=3, slots_max=3)
    assert 8 * 6 < slope("coincidences", few, slots_min=4, slots_max=4) < counted(few).phases["coincidences"] / 2
    for phase, least in (("sums", 8 * 12), ("change", 250)):
        row = slope(phase, few, groups=(3,))
        # whether a row's weights move is a matter of chance
        assert row > least and slope(phase, few, groups=(4,)) == pytest.approx(2 * row, rel=0.2)
    assert slope("coincidences", few, groups=(3,)) == 0


def test_young_brains_draw_and_old_ones_do_not() -> None:
    old, young = counted(SMALL), counted(SMALL, rule="young")
    draws = "cycles: cycles_quiet/prepare/draw"
    assert young.phases["cycles"] > old.phases["cycles"] + 100
    assert draws not in old.functions and young.functions[draws] > 60
    assert counted(SMALL, rule="noisy").instructions > young.instructions


def test_the_bound_is_that_of_the_slowest_pipe() -> None:
    found = counted(SMALL)
    clocks = found.clocks()
    assert clocks["issue"] == found.instructions / 4 and clocks["alu"] == found.pipes["alu"] * 32 / 64
    assert clocks["special"] == found.pipes["special"] * 2 and set(clocks) == {
        "issue", "alu", "multiply", "special", "memory",
    }  # fmt: skip
    gpu = count.Gpu(90, 100, 1e9)
    assert found.bound(gpu) == pytest.approx(100 * 1e9 / max(clocks.values()))
    assert list(found.bounds()) == ["H200", "H100 SXM"]
    busy = replace(found, pipes={**found.pipes, "special": 1e4})
    assert busy.bound(gpu) == pytest.approx(100 * 1e9 / 2e4)


def test_every_opcode_has_one_pipe_and_every_architecture_a_gpu() -> None:
    opcodes = [opcode for pipe in count.PIPES.values() for opcode in pipe.opcodes]
    assert len(opcodes) == len(set(opcodes)) and set(MEANINGS) <= set(opcodes)
    assert [count.pipe_of(opcode) for opcode in ("IMAD.WIDE.U32", "UIADD3", "QUUX")] == ["multiply", "uniform", None]
    assert {gpu.architecture for gpu in count.GPUS.values()} == set(SHARED_LIMITS)


def run(text: str, shared: int = 64, warps: int = 1) -> tuple[list[Warp], Tally]:
    """Execute handwritten machine code: instructions and labels, one a line."""
    listing, address = Listing(), 0
    listing.read(".text.run:")
    for line in text.strip().splitlines():
        if line.strip().endswith(":"):
            listing.read(line.strip())
        else:
            listing.read(f" /*{address:04x}*/ {line.strip()} ;")
            address += 16
    kernel = Kernel("run", tuple(listing.code["run"]), listing.labels["run"], {}, b"", 0)
    assert len(kernel.instructions) == address // 16
    board, tally, program = np.zeros(shared, np.uint8), Tally.of(kernel), Program(kernel)
    made = [Warp(program, Registers({}, board, Memory(Memory.GAP)), tally) for _ in range(warps)]
    for one in made:
        one.registers.special["SR_LANEID"] = np.arange(LANES, dtype=np.uint32)
    run_block(made)
    return made, tally


LOOP = """
S2R R0, SR_LANEID
LOP3.LUT R1, R0, 0x3, RZ, 0xc0, !PT
BSSY B0, `(.L_x_2)
.L_x_1:
ISETP.EQ.AND P0, PT, R1, RZ, PT
@P0 BRA `(.L_x_2)
IADD3 R1, R1, -0x1, RZ
IADD3 R2, R2, 0x5, RZ
BRA `(.L_x_1)
.L_x_2:
BSYNC B0
IADD3 R2, R2, 0x1, RZ
EXIT
"""


def test_threads_that_leave_a_loop_early_wait_for_the_others() -> None:
    (warp,), tally = run(LOOP)
    assert warp.registers.words[2].tolist() == [5 * (lane % 4) + 1 for lane in range(LANES)]
    # each of four groups comes to the barrier, and all go on as one
    assert tally.executed.tolist() == [1, 1, 1, 4, 4, 3, 3, 3, 4, 1, 1]
    assert tally.lanes[5] == 8 * (1 + 2 + 3) and tally.lanes[9] == LANES


def test_threads_that_end_are_not_waited_for() -> None:
    (warp,), tally = run(LOOP.replace("BSSY B0", "ISETP.GT.AND P1, PT, R1, 0x2, PT\nBSSY B0").replace(
        "IADD3 R1, R1, -0x1", "@P1 EXIT\nIADD3 R1, R1, -0x1"
    ))  # fmt: skip
    assert warp.registers.words[2].tolist() == [(1, 6, 11, 0)[lane % 4] for lane in range(LANES)]
    assert tally.lanes[-2] == 24


@pytest.mark.parametrize("end", ["EXIT", "NOP\nBAR.SYNC.DEFER_BLOCKING 0x0\nEXIT"])
def test_a_barrier_that_cannot_be_passed_is_a_fault(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "S2R R0, SR_LANEID\nISETP.EQ.AND P0, PT, R0, RZ, PT\n@P0 BRA `(.L_x_1)\n"
    assert run(f"{head}.L_x_1:\nWARPSYNC 0xffffffff\n{end}")[1].executed[3] == 2
    monkeypatch.setattr(instructions_warp, "PATIENCE", 1000)
    with pytest.raises(FaultError, match="wait for ever" if "BAR" in end else "does not end"):
        run(head + ("BAR.SYNC.DEFER_BLOCKING 0x0\n" if "BAR" in end else ".L_x_2:\nBRA `(.L_x_2)\n") + (
            f".L_x_1:\nWARPSYNC 0xffffffff\n{end}"
        ))  # fmt: skip


def test_warps_of_a_block_wait_for_each_other() -> None:
    warps, _ = run("MOV R0, 0x1\nATOMS.ADD RZ, [RZ+0x4], R0\nBAR.SYNC.DEFER_BLOCKING 0x0\nLDS R1, [0x4]\nEXIT", 8, 3)
    assert all((warp.registers.words[1] == 3 * LANES).all() for warp in warps)


@pytest.mark.parametrize("access", ["LDS R1, [0x40]", "STS [0x2], R1", "LDG.E R1, desc[UR4][R2.64]"])
def test_memory_that_is_nobodys_is_a_fault(access: str) -> None:
    with pytest.raises(FaultError, match="^access to "):
        run(f"{access}\nEXIT")


def test_unknown_instructions_are_refused_when_they_are_reached() -> None:
    run("EXIT\nQUUX.3D R1, R2")
    with pytest.raises(UnknownInstructionError, match="does not know the instruction 'QUUX.3D R1, R2' at 0x10$"):
        run("NOP\nQUUX.3D R1, R2\nEXIT")
    with pytest.raises(UnknownInstructionError, match="'SHFL.UP PT, R1, R2, 0x1, 0x0'"):
        run("SHFL.UP PT, R1, R2, 0x1, 0x0\nEXIT")


SIGNED = """
S2R R0, SR_LANEID
IADD3 R1, R0, -0x10, RZ
MOV R4, 0x10
MOV R5, 0x7
LEA R2, P0, R1, R4, 0x1
LEA.HI.X.SX32 R3, R1, R5, 0x1, P0
IMAD.HI R6, R1, 0x40000000, RZ
VIMNMX.U16x2 R7, PT, R1, 0xf000f, PT
EXIT
"""


def test_signs_and_halves_are_kept_apart() -> None:
    words = run(SIGNED)[0][0].registers.words
    number = np.arange(LANES, dtype=np.int64) - 16
    place = words[2].astype(np.int64) | words[3].astype(np.int64) << 32
    assert place.tolist() == ((7 << 32 | 0x10) + 2 * number).tolist()
    assert words[6].view(np.int32).tolist() == (number >> 2).tolist()
    assert words[7].tolist() == [0xF000F if one < 0 else min(one, 15) for one in number.tolist()]
    with pytest.raises(UnknownInstructionError, match="VIMNMX.S16x2"):
        run(SIGNED.replace("U16x2", "S16x2"))


def test_every_function_of_three_words() -> None:
    bits = [np.array([number], np.uint32) for number in (0xF0, 0xCC, 0xAA)]
    assert [int(of_three(table)(*bits)[0]) & 255 for table in range(256)] == list(range(256))


def test_lanes_that_meet_in_a_bank_take_turns() -> None:
    lane = np.arange(LANES, dtype=np.uint64)
    assert [conflicts(4 * stride * lane) for stride in (0, 1, 2, 3, 32)] == [0, 0, 1, 0, 31]
    assert conflicts(lane) == 0 and conflicts(lane[:0]) == 0


def test_operands_are_told_apart() -> None:
    assert split_operands("R5.reuse, c[0x0][0x160], desc[UR6][R24.64+0x10], `(.L_x_3)") == (
        "R5", "c[0x0][0x160]", "desc[UR6][R24.64+0x10]", "(.L_x_3)",
    )  # fmt: skip
    assert split_operands("") == ()


def test_the_command_reports_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "counted.json"
    flags = ["--arch", "80", "--words", "4", "--slots", "2", "--sensory", "3", "--cycles", "3", "--presentations", "2"]
    assert instructions.main([*flags, "--out", str(out)]) == 0
    told, written = capsys.readouterr().out, json.loads(out.read_text())
    assert told.startswith(
        "sm_80, 128 pool neurons of 2 synapses, 3 sensory words, 3 cycles, 2 actions; rule default\n"
    )
    assert f"{written['instructions']:,.0f} warp instructions a presentation (1 warp, " in told
    assert all(phase in told for phase in (*count.PHASES, count.REST)) and "A100 SXM" in told and "H200" not in told
    assert written["phases"]["change"] > 0 and written["bounds"]["A100 SXM"] > 1e6 and written["architecture"] == 80
    assert instructions.main([*flags, "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_default_brain_is_throughputs() -> None:
    options = instructions.parser().parse_args(["--default"])
    assert instructions.brain(options) == DEFAULT
    assert instructions.brain(instructions.parser().parse_args([])) == SMALL


def test_what_cannot_be_counted_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert instructions.main(["--slots", "8", "--sensory", "4"]) == 2
    assert "8 synapses need as many sensory words, got 4" in capsys.readouterr().err

    def nowhere(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", nowhere)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert instructions.main(["--words", "3"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "instructions: counting instructions needs NVIDIA's disassembler; "
        "install it with pip install nvidia-cuda-nvdisasm\n"
    )


def test_additions_that_are_not_atomic_are_seen_in_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shim cannot see them: a fiber never stops within an addition."""
    text = re.sub(r"atomicAdd\(([^;]*?), (\(u32\)\w+|spikes)\);", r"*(\1) += \2;", source())
    assert "atomicAdd(" not in text
    monkeypatch.setattr(cuda_compile, "source", lambda world: text)
    assert any(differing(90, 1, 3))
