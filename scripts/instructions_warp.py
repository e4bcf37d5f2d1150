"""Warps that execute machine code and count it.

Threads of a warp that go different ways are executed one way after the other and meet again where the code says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts import instructions_arithmetic, instructions_logic, instructions_memory
from hebbit.scripts.instructions_registers import (
    MEANINGS,
    WORD,
    Action,
    FaultError,
    Lanes,
    Registers,
    UnknownInstructionError,
    register,
    truth,
    unknown,
    words,
)
from hebbit.scripts.instructions_text import INSTRUCTION_BYTES, Instruction, Kernel

TAUGHT = (instructions_arithmetic, instructions_logic, instructions_memory)
"""Modules that enter what instructions do."""
IGNORED = ("NOP", "YIELD", "ERRBAR", "MEMBAR", "DEPBAR")
PATIENCE = 10**7
"""Instructions of a warp after which it is taken to run for ever."""


def bits_of(lanes: Lanes) -> int:
    """Lanes as a number."""
    return int(np.packbits(lanes, bitorder="little").view(np.uint32)[0])


def lanes_of(bits: int) -> Lanes:
    """And back."""
    return np.unpackbits(np.array([bits], np.uint32).view(np.uint8), bitorder="little").astype(np.bool_)


@dataclass
class Tally:
    """What was executed of one kernel."""

    executed: NDArray[np.int64]
    """By instruction: how often a warp issued it."""
    lanes: NDArray[np.int64]
    """By instruction: how many lanes that were, all together."""
    conflicts: NDArray[np.int64]
    """By instruction: further passes through shared memory because lanes met in a bank."""

    @classmethod
    def of(cls, kernel: Kernel) -> "Tally":
        """Nothing yet."""
        return cls(*(np.zeros(len(kernel.instructions), np.int64) for _ in range(3)))

    def __sub__(self, other: "Tally") -> "Tally":
        """What was executed besides."""
        return Tally(self.executed - other.executed, self.lanes - other.lanes, self.conflicts - other.conflicts)


@dataclass(eq=False)
class Group:
    """Threads of a warp that go the same way."""

    at: int
    """Number of their next instruction."""
    bits: int
    waits: tuple[str, int] | None = None
    """For what: a barrier within the warp, other threads of the warp, the block."""
    lanes: Lanes = field(init=False)

    def __post_init__(self) -> None:
        """Know the lanes in both forms."""
        self.lanes = lanes_of(self.bits)


class Program:
    """A kernel made ready to run."""

    def __init__(self, kernel: Kernel) -> None:
        """Find out what every instruction does."""
        self.kernel = kernel
        self.steps = [self._step(one) for one in kernel.instructions]
        self.guards = [truth(one.guard) if one.guard else None for one in kernel.instructions]

    def _step(self, one: Instruction) -> Action | str | None:
        """An action, nothing, or the name of a control instruction; what is never reached may be unknown."""
        name = one.opcode.split(".")[0]
        if name in IGNORED:
            return None
        if hasattr(Warp, f"do_{name.lower()}"):
            return name.lower()
        try:
            return MEANINGS[name](one) if name in MEANINGS else "unknown"
        except (UnknownInstructionError, ValueError, IndexError):
            return "unknown"

    def target(self, one: Instruction) -> int:
        """The number of the instruction to which one jumps."""
        return self.kernel.labels[one.operands[-1].strip("()")] // INSTRUCTION_BYTES


class Warp:
    """Thirty-two threads."""

    def __init__(self, program: Program, registers: Registers, tally: Tally) -> None:
        """All threads at the first instruction."""
        self.program, self.registers, self.tally = program, registers, tally
        self.groups = [Group(0, WORD)]
        self.members: dict[str, list[int]] = {}
        """Of each barrier within the warp: sets of threads that wait for one another."""
        self._left = PATIENCE

    def run(self) -> bool:
        """Go on until all threads have ended (False) or wait for the block (True).

        Raises:
            FaultError: threads wait for others that never come, or run for ever.
        """
        while self.groups:
            ready = next((group for group in reversed(self.groups) if group.waits is None), None)
            if ready is not None:
                self._follow(ready)
            elif all(group.waits == ("block", 0) for group in self.groups):
                return True
            else:
                raise FaultError(f"threads wait for ever: {[(group.at, group.waits) for group in self.groups]}")
        return False

    def _follow(self, group: Group) -> None:
        """Execute a group until it waits, splits or ends."""
        program, registers, tally = self.program, self.registers, self.tally
        while True:
            at = group.at
            step, guard = program.steps[at], program.guards[at]
            lanes = group.lanes if guard is None else group.lanes & guard(registers)
            tally.executed[at] += 1
            tally.lanes[at] += np.count_nonzero(lanes)
            group.at = at + 1
            if isinstance(step, str):
                if getattr(self, f"do_{step}")(group, lanes, program.kernel.instructions[at]):
                    return
            elif step is not None:
                step(registers, lanes)
                if registers.conflicts:
                    tally.conflicts[at] += registers.conflicts
                    registers.conflicts = 0
            self._left -= 1
            if not self._left:
                raise FaultError(f"a warp has executed {PATIENCE} instructions and does not end")

    # Each control instruction takes the group, the lanes whose guard holds and itself; True if others may go on first.

    def do_unknown(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Refused only when it is reached: slow paths that never are may hold anything."""
        raise unknown(one)

    def do_bra(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Jump, perhaps under another predicate; DIV if threads are missing, CONV if none is."""
        marks, target = one.opcode.split(".")[1:], self.program.target(one)
        if marks and marks[0] in ("DIV", "CONV"):
            expected = one.operands[0]
            wanted = WORD if expected == "~URZ" else int(words(expected)(self.registers)[0])
            if (group.bits != wanted) == (marks[0] == "DIV"):
                group.at = target
            return False
        if len(one.operands) > 1:
            lanes = lanes & truth(one.operands[0])(self.registers)
        return self._jump(group, bits_of(lanes), target)

    def _jump(self, group: Group, bits: int, target: int) -> bool:
        if bits == group.bits:
            group.at = target
            return False
        if not bits:
            return False
        self.groups.remove(group)
        self.groups += [Group(target, bits), Group(group.at, group.bits & ~bits)]
        return True

    def do_brx(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Jump to one of several places: a register plus what stands behind it, from the next instruction."""
        name, offset = one.operands[0].split()
        places = self.registers.words[register(name)].astype(np.int64) + int(offset, 0) + INSTRUCTION_BYTES * group.at
        target = int(places[lanes][0])
        there = bits_of(lanes & (places == target))
        if there == group.bits:
            group.at = target // INSTRUCTION_BYTES
            return False
        self.groups.remove(group)
        self.groups += [Group(target // INSTRUCTION_BYTES, there), Group(group.at - 1, group.bits & ~there)]
        return True

    def do_call(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Jump to a subroutine; where to return stands in a register already."""
        return self._jump(group, bits_of(lanes), self.program.target(one))

    def do_ret(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Jump to the address in a register, from the kernel's start."""
        places = self.registers.words[register(one.operands[0].split()[0])][lanes]
        if not lanes.any() or (places != places[0]).any():
            raise unknown(one)
        return self._jump(group, bits_of(lanes), int(places[0]) // INSTRUCTION_BYTES)

    def do_exit(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Threads end."""
        bits = bits_of(lanes)
        if not bits:
            return False
        self.groups.remove(group)
        if group.bits & ~bits:
            self.groups.append(Group(group.at, group.bits & ~bits))
        self._leave(bits, tuple(self.members))
        return True

    def do_bssy(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """These threads will wait for one another at a barrier."""
        sets = self.members.setdefault(one.operands[0], [])
        sets[:] = [left for own in sets if (left := own & ~group.bits)]
        sets.append(group.bits)
        return False

    def do_bsync(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Wait for them."""
        own = next(own for own in self.members[one.operands[0]] if own & group.bits)
        if own == group.bits:
            return False
        return self._wait(group, (one.operands[0], own))

    def do_break(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Threads will not come to a barrier."""
        self._leave(bits_of(lanes), (one.operands[0],))
        return False

    def do_warpsync(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Wait for the threads that a mask names."""
        if "COLLECTIVE" in one.opcode:
            raise unknown(one)
        wanted = WORD if one.opcode.endswith("ALL") else int(words(one.operands[0])(self.registers)[lanes][0])
        return wanted != group.bits and self._wait(group, ("warp", wanted))

    def do_bar(self, group: Group, lanes: Lanes, one: Instruction) -> bool:
        """Wait for the block."""
        if not one.opcode.startswith("BAR.SYNC") or one.operands[0] != "0x0":
            raise unknown(one)
        group.waits = ("block", 0)
        self._release()
        return True

    def _wait(self, group: Group, what: tuple[str, int]) -> bool:
        group.waits = what
        self._release()
        return True

    def _leave(self, bits: int, barriers: tuple[str, ...]) -> None:
        """Threads leave barriers; others need not wait for them any longer."""
        for name in barriers:
            self.members[name] = [left for own in self.members.get(name, []) if (left := own & ~bits)]
        for group in self.groups:
            if group.waits and group.waits[0] in (*barriers, "warp"):
                group.waits = (group.waits[0], group.waits[1] & ~bits)
        self._release()

    def _release(self) -> None:
        """Let threads go on, as one group, for which nobody is missing."""
        for what in {group.waits for group in self.groups if group.waits and group.waits[0] != "block"}:
            waiting = [group for group in self.groups if group.waits == what]
            here = sum(group.bits for group in waiting)
            if here & what[1] != what[1]:
                continue
            for place in {group.at for group in waiting}:
                self._merge([group for group in waiting if group.at == place])

    def _merge(self, groups: list[Group]) -> None:
        for group in groups:
            self.groups.remove(group)
        self.groups.append(Group(groups[0].at, sum(group.bits for group in groups)))

    def pass_barrier(self) -> None:
        """The block has come together."""
        for group in self.groups:
            group.waits = None
        for place in {group.at for group in self.groups}:
            self._merge([group for group in self.groups if group.at == place])


def run_block(warps: Sequence[Warp]) -> None:
    """Run warps until all have ended."""
    left = list(warps)
    while left := [warp for warp in left if warp.run()]:
        for warp in left:
            warp.pass_barrier()
