"""What machine instructions do to integers: sums, products, shifts, permutations.

Taken from NVIDIA's names for them and from how compiled integer code uses them. What is not known is refused, and whole
kernels are run whose results have to be the specification's.
"""

from collections.abc import Sequence

import numpy as np

from hebbit.scripts.instructions_registers import (
    LANES,
    WORD,
    Action,
    Lanes,
    Longs,
    Registers,
    Words,
    carried,
    is_predicate,
    low_word,
    means,
    modifiers,
    pair,
    register,
    simple,
    targets,
    truth,
    unknown,
    words,
)
from hebbit.scripts.instructions_text import Instruction


def _reversed(x: Words) -> Words:
    for shift, keep in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF), (16, 0x0000FFFF)):
        x = (x >> np.uint32(shift) & np.uint32(keep)) | (x & np.uint32(keep)) << np.uint32(shift)
    return x


def _leading(x: Words) -> Words:
    return np.array([int(word).bit_length() - 1 & WORD for word in x], np.uint32)


def _permuted(low: Words, selector: Words, high: Words) -> Words:
    both = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    result = np.zeros(LANES, np.uint64)
    for place in range(4):
        nibble = (selector >> np.uint32(4 * place) & np.uint32(15)).astype(np.uint64)
        byte = both >> (nibble & np.uint64(7)) * np.uint64(8) & np.uint64(255)
        sign = (byte >> np.uint64(7)) * np.uint64(255)
        result |= np.where(nibble > 7, sign, byte) << np.uint64(8 * place)
    return low_word(result)


means("POPC", "UPOPC")(simple(lambda x: np.bitwise_count(x).astype(np.uint32), 1))
means("BREV", "UBREV")(simple(_reversed, 1))
means("FLO", "UFLO")(simple(_leading, 1))
means("IABS")(simple(lambda x: np.abs(x.view(np.int32)).view(np.uint32), 1))
means("PRMT", "UPRMT")(simple(_permuted, 3))


@means("IADD3", "UIADD3", "VIADD", "IADD")
def add(one: Instruction) -> Action:
    """Up to three summands; carries out, and with X carries in."""
    target, outs, rest = targets(one.operands)
    if "64" in modifiers(one):
        return _add_long(one, target, rest)
    summands = [carried(text) for text in rest if not is_predicate(text)]
    carries = [truth(text) for text in rest if is_predicate(text)] if "X" in modifiers(one) else []

    def act(file: Registers, lanes: Lanes) -> None:
        total = summands[0](file)
        for summand in summands[1:]:
            total = total + summand(file)
        for carry in carries:
            total = total + carry(file).astype(np.uint64)
        file.put(target, lanes, low_word(total))
        for number, out in enumerate(outs):
            file.put_predicate(out, lanes, total >> np.uint64(32) > number)

    return act


def _add_long(one: Instruction, target: int, rest: Sequence[str]) -> Action:
    if any(is_predicate(text) for text in (*one.operands[1:], *rest) if not text.endswith("PT")):
        raise unknown(one)
    summands = [pair(text) for text in rest]

    def act(file: Registers, lanes: Lanes) -> None:
        total = summands[0](file)
        for summand in summands[1:]:
            total = total + summand(file)
        file.put_pair(target, lanes, total)

    return act


@means("MOV", "UMOV")
def move(one: Instruction) -> Action:
    """A copy of a word, or of a long."""
    target, long, word = register(one.operands[0]), pair(one.operands[1]), words(one.operands[1])
    if "64" in modifiers(one):
        return lambda file, lanes: file.put_pair(target, lanes, long(file))
    return lambda file, lanes: file.put(target, lanes, word(file))


@means("HFMA2")
def constant(one: Instruction) -> Action:
    """Two halves of sixteen bits, the upper one first; compilers make constants of zero times zero plus that."""
    if one.operands[1:3] != ("-RZ", "RZ"):
        raise unknown(one)
    halves = np.array([float(text) for text in one.operands[4:2:-1]], np.float16)
    word = np.full(LANES, halves.view(np.uint32)[0], np.uint32)
    return lambda file, lanes: file.put(register(one.operands[0]), lanes, word)


@means("IMAD", "UIMAD")
def multiply(one: Instruction) -> Action:
    """The product of two words and a summand: the low word, the high one (HI) or both (WIDE)."""
    target, outs, rest = targets(one.operands)
    marks = modifiers(one)
    if "WIDE" in marks or "HI" in marks:
        return _multiply_long(one, target, outs, rest)
    a, b, c = (words(text) for text in rest[:3])
    carry = truth(rest[3]) if "X" in marks else None

    def act(file: Registers, lanes: Lanes) -> None:
        result = a(file) * b(file) + c(file)
        file.put(target, lanes, result if carry is None else result + carry(file).astype(np.uint32))

    if "MOV" in marks and rest[:2] == ["RZ", "RZ"]:
        return lambda file, lanes: file.put(target, lanes, c(file))
    return act


def _multiply_long(one: Instruction, target: int, outs: Sequence[int], rest: Sequence[str]) -> Action:
    a, b, c = words(rest[0]), words(rest[1]), pair(rest[2])
    signed, high = "U32" not in modifiers(one), "HI" in modifiers(one)
    if (signed and outs) or "X" in modifiers(one):
        raise unknown(one)

    def factor(x: Words) -> Longs:
        return x.view(np.int32).astype(np.int64).view(np.uint64) if signed else x.astype(np.uint64)

    def act(file: Registers, lanes: Lanes) -> None:
        product = factor(a(file)) * factor(b(file))
        total = product + c(file)
        if high:
            file.put(target, lanes, low_word(total >> np.uint64(32)))
        else:
            file.put_pair(target, lanes, total)
        for out in outs:
            file.put_predicate(out, lanes, total < product)

    return act


@means("LEA", "ULEA")
def shift_and_add(one: Instruction) -> Action:
    """A word shifted, plus another; with HI what a long loses to the left (with SX32 a word, as a signed long)."""
    target, outs, rest = targets(one.operands)
    marks = modifiers(one)
    carry = truth(rest.pop()) if "X" in marks else None
    shift = np.uint64(int(rest.pop(), 0))
    a, b = words(rest[0]), carried(rest[1])
    upper = words(rest[2]) if "HI" in marks and "SX32" not in marks else None

    def act(file: Registers, lanes: Lanes) -> None:
        if "SX32" in marks:
            whole = a(file).view(np.int32).astype(np.int64).view(np.uint64)
            total = (whole << shift >> np.uint64(32)) + b(file)
        elif upper is None:
            total = (a(file).astype(np.uint64) << shift & np.uint64(WORD)) + b(file)
        else:
            whole = a(file).astype(np.uint64) | upper(file).astype(np.uint64) << np.uint64(32)
            total = (whole << shift >> np.uint64(32)) + b(file)
        if carry is not None:
            total = total + carry(file).astype(np.uint64)
        file.put(target, lanes, low_word(total))
        for out in outs:
            file.put_predicate(out, lanes, total > WORD)

    return act


@means("SHF", "USHF")
def shift(one: Instruction) -> Action:
    """Two words shifted as one long, of which one word is kept."""
    target, _, rest = targets(one.operands)
    marks = modifiers(one)
    low, by, high = (words(text) for text in rest)
    most = np.uint64(64 if {"U64", "S64"} & set(marks) else 32)
    signed = bool({"S32", "S64"} & set(marks))

    def act(file: Registers, lanes: Lanes) -> None:
        whole = low(file).astype(np.uint64) | high(file).astype(np.uint64) << np.uint64(32)
        count = by(file).astype(np.uint64)
        count = count & (most - np.uint64(1)) if "W" in marks else np.minimum(count, most)
        half = count >> np.uint64(1)  # in two halves, as no shift by 64 is defined
        if "L" in marks:
            whole = whole << half << (count - half)
        elif signed:
            whole = (whole.view(np.int64) >> half.view(np.int64) >> (count - half).view(np.int64)).view(np.uint64)
        else:
            whole = whole >> half >> (count - half)
        file.put(target, lanes, low_word(whole >> np.uint64(32) if "HI" in marks else whole))

    return act
