"""What machine instructions do with memory: constants, shared and global memory, other lanes, special registers."""

import re

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts.instructions_registers import (
    LANES,
    WORD,
    Action,
    FaultError,
    FetchLong,
    Lanes,
    Longs,
    Registers,
    Words,
    is_predicate,
    means,
    modifiers,
    pair,
    predicate,
    register,
    unknown,
    words,
)
from hebbit.scripts.instructions_text import Instruction

BANKS = 32
"""Of shared memory, each a word wide; lanes that want different words of one bank take turns."""
_KINDS: dict[str, type] = {"U8": np.uint8, "U16": np.uint16}


def address(text: str) -> FetchLong:
    """How to compute an address, such as [R5.X4+UR4+0x10], or desc[UR6][R24.64+0x10]."""
    inner = text[text.rindex("[") + 1 : text.rindex("]")].replace("+-", "+~")
    parts: list[FetchLong] = []
    for part in inner.split("+"):
        if part.startswith("~") or part[0].isdigit():
            offset = np.full(LANES, int(part.replace("~", "-"), 0), np.int64).view(np.uint64)
            parts.append(lambda file, offset=offset: offset)  # type: ignore[misc]  # the default binds the loop's value
        else:
            parts.append(_register_part(part))
    return lambda file: sum((part(file) for part in parts), start=np.zeros(LANES, np.uint64))


def _register_part(text: str) -> FetchLong:
    if text.endswith(".64"):
        return pair(text.removesuffix(".64"))
    name, _, scale = text.partition(".X")
    source, factor = words(name), np.uint64(int(scale or 1))
    return lambda file: source(file).astype(np.uint64) * factor


def shape(one: Instruction) -> tuple[type, int]:
    """The kind of item that an access moves, and how many of them."""
    for mark in modifiers(one):
        if mark in _KINDS:
            return _KINDS[mark], 1
        if mark in ("64", "128"):
            return np.uint32, int(mark) // 32
        if mark in ("S8", "S16"):
            raise unknown(one)
    return np.uint32, 1


def shared_items(file: Registers, places: Longs, kind: type) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Shared memory as items of a kind, and which these addresses mean.

    Raises:
        FaultError: an address lies outside of what was asked for, or between two items.
    """
    size = np.dtype(kind).itemsize
    at = (places & np.uint64(WORD)).astype(np.int64)
    if (at > len(file.shared) - size).any() or (at % size).any():
        raise FaultError(f"access to shared memory at {at.tolist()} of {len(file.shared)} bytes")
    return file.shared.view(kind), at // size


def conflicts(places: Longs) -> int:
    """Further passes through shared memory that these addresses need because lanes meet in a bank."""
    distinct = np.unique(places >> np.uint64(2))
    return int(np.bincount((distinct % np.uint64(BANKS)).astype(np.int64)).max()) - 1 if len(distinct) else 0


def global_items(file: Registers, places: Longs, kind: type) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Global memory likewise."""
    return file.memory.items(places, kind)


@means("LDS", "LDG")
def load(one: Instruction) -> Action:
    """Words, or a smaller item, from memory."""
    (kind, number), shared = shape(one), one.opcode.startswith("LDS")
    target, where, locate = (
        register(one.operands[0]),
        address(one.operands[1]),
        shared_items if shared else global_items,
    )

    def act(file: Registers, lanes: Lanes) -> None:
        places = where(file)[lanes]
        file.conflicts = conflicts(places) if shared else 0
        for i in range(number):
            items, at = locate(file, places + np.uint64(4 * i), kind)
            found = np.zeros(LANES, np.uint32)
            found[lanes] = items[at]
            file.put(target + i, lanes, found)

    return act


@means("STS", "STG")
def store(one: Instruction) -> Action:
    """Words, or a smaller item, into memory."""
    (kind, number), shared = shape(one), one.opcode.startswith("STS")
    where, locate = address(one.operands[0]), shared_items if shared else global_items
    sources = [words(one.operands[1])]
    if number > 1:
        first = register(one.operands[1])
        sources = [words(f"R{first + i}") for i in range(number)]

    def act(file: Registers, lanes: Lanes) -> None:
        places = where(file)[lanes]
        file.conflicts = conflicts(places) if shared else 0
        for i, source in enumerate(sources):
            items, at = locate(file, places + np.uint64(4 * i), kind)
            items[at] = source(file)[lanes].astype(kind)

    return act


@means("ATOMS")
def change_shared(one: Instruction) -> Action:
    """A sum or maximum in shared memory; the value from before is given back."""
    function = {"ADD": np.add, "MAX": np.maximum}.get((modifiers(one) or [""])[0])
    if function is None or "S32" in modifiers(one):
        raise unknown(one)
    target, where, source = register(one.operands[0]), address(one.operands[1]), words(one.operands[2])

    def act(file: Registers, lanes: Lanes) -> None:
        places = where(file)[lanes]
        file.conflicts = conflicts(places)
        items, at = shared_items(file, places, np.uint32)
        before = np.zeros(LANES, np.uint32)
        for lane, place, value in zip(np.flatnonzero(lanes), at, source(file)[lanes], strict=True):
            before[lane] = items[place]
            items[place] = function(items[place : place + 1], value)[0]
        file.put(target, lanes, before)

    return act


@means("LDC", "ULDC", "LDCU")
def load_constant(one: Instruction) -> Action:
    """One or two words of a constant bank, at a place that a register may say."""
    found = re.fullmatch(r"c\[(0x[0-9a-f]+)\](\[.*\])", one.operands[1])
    if found is None:
        raise unknown(one)
    number, target = shape(one)[1], register(one.operands[0])
    bank, where = int(found[1], 16), address(found[2])

    def act(file: Registers, lanes: Lanes) -> None:
        constants = file.constants[bank]
        places = np.where(lanes, where(file), 0) // np.uint64(4)
        for i in range(number):
            file.put(target + i, lanes, constants[places + np.uint64(i)])

    return act


@means("S2R", "S2UR")
def special(one: Instruction) -> Action:
    """What a special register says."""
    target, name = register(one.operands[0]), one.operands[1]

    def act(file: Registers, lanes: Lanes) -> None:
        if name not in file.special:
            raise unknown(one)
        file.put(target, lanes, file.special[name])

    return act


@means("SHFL")
def exchange(one: Instruction) -> Action:
    """A word of another lane: of a given one, or of one whose number differs in given bits."""
    marks, operands = modifiers(one), list(one.operands)
    out = predicate(operands.pop(0)) if is_predicate(operands[0]) else None
    target, source, other = register(operands[0]), words(operands[1]), words(operands[2])
    if marks[0] not in ("IDX", "BFLY") or operands[3] != "0x1f":
        raise unknown(one)
    own = np.arange(LANES, dtype=np.uint32)

    def act(file: Registers, lanes: Lanes) -> None:
        places: Words = other(file) & np.uint32(31) if marks[0] == "IDX" else own ^ other(file)
        if not lanes[places[lanes]].all():
            raise FaultError("a word is wanted of a lane that does not take part")
        file.put(target, lanes, source(file)[places])
        if out is not None:
            file.put_predicate(out, lanes, np.ones(LANES, np.bool_))

    return act
