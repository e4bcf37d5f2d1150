"""The rest of what machine instructions do within a warp: logic, comparisons, conversions, votes and special values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.scripts.instructions_registers import (
    LANES,
    WORD,
    Action,
    Lanes,
    Longs,
    Registers,
    Words,
    low_word,
    means,
    modifiers,
    pair,
    predicate,
    register,
    simple,
    targets,
    truth,
    unknown,
    words,
)
from hebbit.scripts.instructions_text import Instruction

_OF_TWO: tuple[Callable[[Words, Words], Words], ...] = (
    lambda a, b: np.zeros_like(a),
    lambda a, b: ~(a | b),
    lambda a, b: ~a & b,
    lambda a, b: ~a,
    lambda a, b: a & ~b,
    lambda a, b: ~b,
    lambda a, b: a ^ b,
    lambda a, b: ~(a & b),
    lambda a, b: a & b,
    lambda a, b: ~(a ^ b),
    lambda a, b: b,
    lambda a, b: ~a | b,
    lambda a, b: a,
    lambda a, b: a | ~b,
    lambda a, b: a | b,
    lambda a, b: np.full_like(a, WORD),
)
"""Functions of two words by truth table: bit 2 a + b of the number is the value."""
_COMPARISONS: dict[str, np.ufunc] = {
    "LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal, "EQ": np.equal, "NE": np.not_equal,
}  # fmt: skip
_KINDS: dict[str, type] = {"U32": np.uint32, "U64": np.uint64, "S64": np.int64}
_JOINS: dict[str, np.ufunc] = {"AND": np.logical_and, "OR": np.logical_or, "XOR": np.logical_xor}


def of_three(table: int) -> Callable[[Words, Words, Words], Words]:
    """The function of three words with this truth table: bit 4 a + 2 b + c is the value."""
    without = sum((table >> 2 * i & 1) << i for i in range(4))
    with_ = sum((table >> 2 * i + 1 & 1) << i for i in range(4))
    base, change = _OF_TWO[without], _OF_TWO[without ^ with_]
    if without == with_:
        return lambda a, b, c: base(a, b)
    return lambda a, b, c: base(a, b) ^ (change(a, b) & c)


@means("LOP3", "ULOP3")
def logic(one: Instruction) -> Action:
    """Any function of three words; a predicate says whether the result is not zero."""
    operands = list(one.operands)
    out = predicate(operands.pop(0)) if "P" in operands[0] else None
    target, _, rest = targets(operands)
    function, (a, b, c) = of_three(int(rest[3], 0)), (words(text) for text in rest[:3])
    also = truth(rest[4])

    def act(file: Registers, lanes: Lanes) -> None:
        result = function(a(file), b(file), c(file))
        if out is not None:
            file.put_predicate(out, lanes, (result != 0) | also(file))
        file.put(target, lanes, result)

    return act


@means("PLOP3", "UPLOP3")
def predicate_logic(one: Instruction) -> Action:
    """Two functions of three predicates."""
    outs = [predicate(text) for text in one.operands[:2]]
    sources = [truth(text) for text in one.operands[2:5]]
    tables = [int(text, 0) for text in one.operands[5:7]]

    def act(file: Registers, lanes: Lanes) -> None:
        a, b, c = (source(file).astype(np.uint32) for source in sources)
        place = 4 * a + 2 * b + c
        for out, table in zip(outs, tables, strict=True):
            file.put_predicate(out, lanes, (np.uint32(table) >> place & np.uint32(1)).astype(np.bool_))

    return act


@means("ISETP", "UISETP")
def compare(one: Instruction) -> Action:
    """A comparison joined with a predicate; with EX of the upper words, the lower ones' result given."""
    marks = modifiers(one)
    if marks[0] not in _COMPARISONS:
        raise unknown(one)
    kind = next((_KINDS[mark] for mark in marks if mark in _KINDS), np.int32)
    fetch: Callable[[str], Callable[[Registers], NDArray[Any]]] = pair if kind in (np.uint64, np.int64) else words
    outs, (a, b) = [predicate(text) for text in one.operands[:2]], (fetch(text) for text in one.operands[2:4])
    given, lower = truth(one.operands[4]), truth(one.operands[5]) if "EX" in marks else None
    join = next(_JOINS[mark] for mark in marks if mark in _JOINS)
    exact, strict = _COMPARISONS[marks[0]], _COMPARISONS[{"GE": "GT", "LE": "LT"}.get(marks[0], marks[0])]

    def act(file: Registers, lanes: Lanes) -> None:
        x: NDArray[Any] = a(file).view(kind)
        y: NDArray[Any] = b(file).view(kind)
        if lower is None:
            found = exact(x, y)
        elif marks[0] == "EQ":
            found = (x == y) & lower(file)
        elif marks[0] == "NE":
            found = (x != y) | lower(file)
        else:
            found = strict(x, y) | ((x == y) & lower(file))
        other, first = given(file).copy(), join(found, given(file))
        file.put_predicate(outs[1], lanes, join(~found, other))
        file.put_predicate(outs[0], lanes, first)

    return act


@means("SEL", "USEL")
def select(one: Instruction) -> Action:
    """One of two words, as a predicate says."""
    target, _, rest = targets(one.operands)
    which = truth(rest[2])
    if "64" in modifiers(one):
        c, d = pair(rest[0]), pair(rest[1])
        return lambda file, lanes: file.put_pair(target, lanes, np.where(which(file), c(file), d(file)))
    a, b = words(rest[0]), words(rest[1])
    return lambda file, lanes: file.put(target, lanes, np.where(which(file), a(file), b(file)))


@means("IMNMX", "VIMNMX", "VIMNMX3", "VIADDMNMX", "UIMNMX")
def extreme(one: Instruction) -> Action:
    """The least word if the predicate is true, else the largest; VIADDMNMX adds the first two before.

    With U16x2 the halves of the words are compared, each with its own.
    """
    if one.opcode == "IMNMX.U64":
        return _least_long(one)
    target, _, rest = targets(one.operands)
    fetch, least = [words(text) for text in rest[:-1]], truth(rest[-1])
    kinds: dict[tuple[str, ...], type] = {(): np.int32, ("U32",): np.uint32, ("U16x2",): np.uint16}
    adds = one.opcode.startswith("VIADD")
    marks = tuple(mark for mark in modifiers(one) if mark != "S32")
    if marks not in kinds or (adds and marks == ("U16x2",)):
        raise unknown(one)
    kind = kinds[marks]

    def act(file: Registers, lanes: Lanes) -> None:
        values: list[NDArray[Any]] = [source(file).view(kind) for source in fetch]
        if adds:
            values = [values[0] + values[1], values[2]]
        low, high = np.min(values, axis=0).view(np.uint32), np.max(values, axis=0).view(np.uint32)
        file.put(target, lanes, np.where(least(file), low, high))

    return act


def _least_long(one: Instruction) -> Action:
    if one.operands[:2] != ("PT", "PT") or one.operands[5:] != ("PT", "!PT"):
        raise unknown(one)
    target, a, b = register(one.operands[2]), pair(one.operands[3]), pair(one.operands[4])
    return lambda file, lanes: file.put_pair(target, lanes, np.minimum(a(file), b(file)))


@means("VOTE", "VOTEU")
def vote(one: Instruction) -> Action:
    """The lanes in which a predicate holds, and whether it does in any or all."""
    operands = list(one.operands)
    target = None if operands[0].lstrip("U").startswith("P") else register(operands.pop(0))
    out, source, wants_all = predicate(operands[0]), truth(operands[1]), "ALL" in modifiers(one)

    def act(file: Registers, lanes: Lanes) -> None:
        ayes = source(file) & lanes
        if target is not None:
            file.put(target, lanes, np.full(LANES, np.packbits(ayes, bitorder="little").view(np.uint32)[0], np.uint32))
        file.put_predicate(out, lanes, np.full(LANES, bool((ayes == lanes).all() if wants_all else ayes.any())))

    return act


@means("REDUX", "CREDUX")
def reduce(one: Instruction) -> Action:
    """The sum over the lanes at work, or the largest unsigned word; other reductions are not needed."""
    marks = modifiers(one)
    if marks[0] not in ("SUM", "MAX") or marks == ["MAX", "S32"]:
        raise unknown(one)
    function = np.sum if marks[0] == "SUM" else np.max
    target, source = register(one.operands[0]), words(one.operands[1])

    def act(file: Registers, lanes: Lanes) -> None:
        result = int(function(source(file)[lanes].astype(np.int64))) & WORD if lanes.any() else 0
        file.put(target, lanes, np.full(LANES, result, np.uint32))

    return act


@means("R2UR")
def to_uniform(one: Instruction) -> Action:
    """What the first lane at work holds."""
    target, source = register(one.operands[0]), words(one.operands[1])
    return lambda file, lanes: file.put(target, lanes, np.full(LANES, source(file)[int(lanes.argmax())], np.uint32))


@means("P2R")
def predicates_to_register(one: Instruction) -> Action:
    """Predicates as bits, where a mask has ones; elsewhere a register."""
    if one.opcode != "P2R":
        raise unknown(one)
    target, source, mask = register(one.operands[0]), words(one.operands[2]), words(one.operands[3])

    def act(file: Registers, lanes: Lanes) -> None:
        bits = np.zeros(LANES, np.uint32)
        for number in range(7):
            bits |= file.predicates[number].astype(np.uint32) << np.uint32(number)
        file.put(target, lanes, (bits & mask(file)) | (source(file) & ~mask(file)))

    return act


@means("R2P")
def register_to_predicates(one: Instruction) -> Action:
    """And back, from one of the register's four bytes."""
    name, _, part = one.operands[1].partition(".B")
    if one.opcode != "R2P" or part not in ("", "1", "2", "3"):
        raise unknown(one)
    source, mask, first = words(name), int(one.operands[2], 0), np.uint32(8 * int(part or 0))

    def act(file: Registers, lanes: Lanes) -> None:
        bits = source(file) >> first
        for number in (number for number in range(7) if mask >> number & 1):
            file.put_predicate(number, lanes, (bits >> np.uint32(number) & np.uint32(1)).astype(np.bool_))

    return act


@means("CS2R")
def zeros(one: Instruction) -> Action:
    """Two registers cleared; other special values are not needed."""
    if one.opcode != "CS2R" or one.operands[1] != "SRZ":
        raise unknown(one)
    target = register(one.operands[0])
    return lambda file, lanes: file.put_pair(target, lanes, np.zeros(LANES, np.uint64))


def _float_above(numbers: Sequence[int]) -> Words:
    """The least floats of 32 bits that are not below these numbers."""
    floats = np.array(numbers, np.float64).astype(np.float32)
    short = np.array([int(one) < number for one, number in zip(floats, numbers, strict=True)])
    return np.where(short, np.nextafter(floats, np.float32(np.inf)), floats).view(np.uint32)


@means("I2F", "I2FP")
def to_float(one: Instruction) -> Action:
    """An integer as a float, rounded up."""
    marks, target = modifiers(one), register(one.operands[0])
    if "RP" not in marks or "S64" in marks:
        raise unknown(one)
    wide, narrow = pair(one.operands[1]), words(one.operands[1])
    kind: type = np.uint32 if "U32" in marks else np.int32

    def act(file: Registers, lanes: Lanes) -> None:
        source = wide(file) if "U64" in marks else narrow(file).view(kind)
        file.put(target, lanes, _float_above([int(number) for number in source]))

    return act


@means("F2I")
def to_integer(one: Instruction) -> Action:
    """A float without its fraction, within the range of the integer."""
    marks, target, source = modifiers(one), register(one.operands[0]), words(one.operands[1])
    if "TRUNC" not in marks or not {"U32", "U64"} & set(marks):
        raise unknown(one)
    most = (1 << (64 if "U64" in marks else 32)) - 1

    def act(file: Registers, lanes: Lanes) -> None:
        with np.errstate(invalid="ignore"):  # lanes that are not at work may hold anything
            floats = np.nan_to_num(source(file).view(np.float32).astype(np.float64), posinf=2.0**65)
        whole: Longs = np.array([min(max(int(number), 0), most) for number in floats], np.uint64)
        if "U64" in marks:
            file.put_pair(target, lanes, whole)
        else:
            file.put(target, lanes, low_word(whole))

    return act


def _reciprocal(x: Words) -> Words:
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return (np.float32(1) / x.view(np.float32)).view(np.uint32)


@means("MUFU")
def function_unit(one: Instruction) -> Action:
    """The reciprocal of a float; other functions are not needed."""
    if one.opcode != "MUFU.RCP":
        raise unknown(one)
    return simple(_reciprocal, 1)(one)
