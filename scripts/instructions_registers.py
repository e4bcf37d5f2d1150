"""The registers of a warp and how machine instructions name them.

Every register is a row of 32 lanes. Uniform registers, which a warp has once, hold the same in every lane.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts.instructions_text import Instruction

LANES = 32
WORD = 0xFFFFFFFF
Words = NDArray[np.uint32]
Longs = NDArray[np.uint64]
Lanes = NDArray[np.bool_]

ZERO, UNIFORM, UNIFORM_ZERO = 255, 256, 511
"""Numbers of RZ, UR0 and URZ in the register file; uniform registers hold the same in every lane."""
TRUE, UNIFORM_TRUE = 7, 15
"""Numbers of PT and UPT; UP0 is 8."""
_PREDICATE = re.compile(r"!?U?P[T\d]")
_CONSTANT = re.compile(r"c\[(0x[0-9a-f]+)\]\[(0x[0-9a-f]+)\]")


class UnknownInstructionError(RuntimeError):
    """Machine code that this emulator has not learnt."""


class Memory:
    """Global memory: arrays with gaps between them, addressed by bytes. Reading or writing into a gap is refused."""

    START = 0x1_FFFF_FF00
    GAP = 1024

    def __init__(self, size: int) -> None:
        """Room for so many bytes, none of them in an array yet."""
        self.bytes = np.zeros(size, np.uint8)
        self._taken = np.zeros(size, np.bool_)
        self._next = self.GAP

    def place(self, array: NDArray[Any]) -> int:
        """The address of a copy of an array."""
        start = self._next
        self.bytes[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        self._taken[start : start + array.nbytes] = True
        self._next = start + -(-array.nbytes // self.GAP) * self.GAP + self.GAP
        return self.START + start

    @classmethod
    def room(cls, sizes: Iterable[int]) -> int:
        """Bytes for arrays of so many bytes."""
        return cls.GAP + sum(-(-size // cls.GAP) * cls.GAP + cls.GAP for size in sizes)

    def content(self, address: int, size: int) -> bytes:
        """What lies there."""
        return self.bytes[address - self.START : address - self.START + size].tobytes()

    def items(self, addresses: Longs, kind: type) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The memory as items of a kind, and which of them these addresses mean.

        Raises:
            FaultError: an address lies in no array or between two items.
        """
        size = np.dtype(kind).itemsize
        places = addresses.astype(np.int64) - self.START
        inside = (places >= 0) & (places < len(self.bytes))
        if not inside.all() or not self._taken[places].all() or (places % size).any():
            raise FaultError(f"access to addresses {[hex(int(address)) for address in addresses]}")
        return self.bytes.view(kind), places // size


class FaultError(RuntimeError):
    """What would end a kernel on a GPU."""


class Registers:
    """The registers of a warp, and the memory that its instructions reach."""

    def __init__(self, constants: Mapping[int, Words], shared: NDArray[np.uint8], memory: Memory) -> None:
        """All zero.

        Args:
            constants: banks, in words.
            shared: bytes of shared memory.
            memory: global memory.
        """
        self.words = np.zeros((UNIFORM_ZERO + 1, LANES), np.uint32)
        self.predicates = np.zeros((UNIFORM_TRUE + 1, LANES), np.bool_)
        self.predicates[[TRUE, UNIFORM_TRUE]] = True
        self.constants = constants
        self.shared = shared
        self.memory = memory
        self.special: dict[str, Words] = {}
        """What S2R reads, by name."""
        self.conflicts = 0
        """Further passes through shared memory that the last instruction needed because lanes met in a bank."""

    def put(self, register: int, lanes: Lanes, words: Words) -> None:
        """Write a register in some lanes; a uniform one whole."""
        if register in (ZERO, UNIFORM_ZERO):
            return
        if register < UNIFORM:
            np.copyto(self.words[register], words, where=lanes)
        elif lanes.any():
            self.words[register] = words

    def put_pair(self, register: int, lanes: Lanes, longs: Longs) -> None:
        """Write two registers, the lower half first."""
        self.put(register, lanes, (longs & np.uint64(WORD)).astype(np.uint32))
        if register not in (ZERO, UNIFORM_ZERO):
            self.put(register + 1, lanes, (longs >> np.uint64(32)).astype(np.uint32))

    def put_predicate(self, predicate: int, lanes: Lanes, truth: Lanes) -> None:
        """Write a predicate in some lanes; a uniform one whole."""
        if predicate in (TRUE, UNIFORM_TRUE):
            return
        if predicate < TRUE:
            np.copyto(self.predicates[predicate], truth, where=lanes)
        elif lanes.any():
            self.predicates[predicate] = truth


Action = Callable[[Registers, Lanes], None]
Fetch = Callable[[Registers], Words]
FetchLong = Callable[[Registers], Longs]
FetchTruth = Callable[[Registers], Lanes]
MEANINGS: dict[str, Callable[[Instruction], Action]] = {}
"""Makers of actions by opcode without modifiers."""


def means(*opcodes: str) -> Callable[[Callable[[Instruction], Action]], Callable[[Instruction], Action]]:
    """Enter a maker for opcodes."""

    def enter(maker: Callable[[Instruction], Action]) -> Callable[[Instruction], Action]:
        MEANINGS.update(dict.fromkeys(opcodes, maker))
        return maker

    return enter


def unknown(one: Instruction) -> UnknownInstructionError:
    """For what cannot be executed."""
    text = f"{one.opcode} {', '.join(one.operands)}"
    return UnknownInstructionError(f"the emulator does not know the instruction {text!r} at {one.address:#x}")


def register(text: str) -> int:
    """The number of a register."""
    uniform = UNIFORM if text.startswith("U") else 0
    name = text.removeprefix("U")[1:].split(".")[0]
    return uniform + (ZERO if name == "Z" else int(name))


def predicate(text: str) -> int:
    """The number of a predicate, whether negated or not."""
    bare = text.removeprefix("!")
    return (TRUE + 1 if bare.startswith("U") else 0) + (TRUE if bare.endswith("T") else int(bare[-1]))


def is_predicate(text: str) -> bool:
    """Whether an operand is one."""
    return _PREDICATE.fullmatch(text) is not None


def words(text: str) -> Fetch:
    """How to read a source operand of 32 bits."""
    if text[0] == "~":
        inner = words(text[1:])
        return lambda file: ~inner(file)
    if re.match(r"-?U?R", text):
        if text[0] == "-":
            inner = words(text[1:])
            return lambda file: np.negative(inner(file))
        number = register(text)
        return lambda file: file.words[number]
    if found := _CONSTANT.fullmatch(text):
        bank, place = int(found[1], 16), int(found[2], 16) // 4
        return lambda file: np.full(LANES, file.constants[bank][place], np.uint32)
    immediate = np.full(LANES, int(text, 0) & WORD, np.uint32)
    return lambda file: immediate


def carried(text: str) -> FetchLong:
    """The same with a carry: minus x is its complement and one, so that minus zero carries."""
    if re.match(r"-U?R", text):
        inner = words(text[1:])
        return lambda file: (~inner(file)).astype(np.uint64) + np.uint64(1)
    plain = words(text)
    return lambda file: plain(file).astype(np.uint64)


def pair(text: str) -> FetchLong:
    """How to read a source operand of 64 bits: two registers, or two words of a constant bank."""
    low: Fetch
    if re.match(r"-U?R", text):
        inner = pair(text[1:])
        return lambda file: np.uint64(0) - inner(file)
    if found := _CONSTANT.fullmatch(text):
        low, high = words(text), words(f"c[{found[1]}][{int(found[2], 16) + 4:#x}]")
    elif re.match(r"U?R\d", text):
        number = register(text)
        low, high = words(text), lambda file: file.words[number + 1]
    elif re.match(r"U?RZ", text):
        return carried(text)
    else:
        immediate = np.full(LANES, int(text, 0), np.int64).view(np.uint64)
        return lambda file: immediate
    return lambda file: low(file).astype(np.uint64) | high(file).astype(np.uint64) << np.uint64(32)


def truth(text: str) -> FetchTruth:
    """How to read a predicate."""
    number = predicate(text)
    if text.startswith("!"):
        return lambda file: ~file.predicates[number]
    return lambda file: file.predicates[number]


def modifiers(one: Instruction) -> list[str]:
    """What stands behind the dots of an opcode."""
    return one.opcode.split(".")[1:]


def targets(operands: Sequence[str]) -> tuple[int, list[int], list[str]]:
    """The register that is written, the predicates behind it, and the sources."""
    rest = list(operands[1:])
    outs = []
    while rest and is_predicate(rest[0]):
        outs.append(predicate(rest.pop(0)))
    return register(operands[0]), outs, rest


def low_word(longs: Longs) -> Words:
    """The lower half."""
    return longs.astype(np.uint32)


def simple(compute: Callable[..., Words], sources: int) -> Callable[[Instruction], Action]:
    """A maker for instructions that write one register from so many sources."""

    def make(one: Instruction) -> Action:
        target, _, rest = targets(one.operands)
        fetch = [words(text) for text in rest[:sources]]

        def act(file: Registers, lanes: Lanes) -> None:
            file.put(target, lanes, compute(*(source(file) for source in fetch)))

        return act

    return make
