"""Numba's rows: sixteen words at once are sixteen words one by one."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from hebbit.backends import numba_rows
from hebbit.backends.numba_layout import B
from hebbit.backends.numba_planes import draw, drawn
from hebbit.backends.philox import draws, philox4x32, random_number

rows: Any = numba_rows
"""To a type checker an intrinsic is the function that compiles it."""

X, Y = np.random.default_rng(0).integers(0, 2**32, (2, B), dtype=np.uint32)
X[:2] = 0, 2**32 - 1


@njit
def binary(operation: Any, x: Any, y: Any, found: Any) -> None:
    rows.store(rows.pointer(found), 0, operation(rows.load(rows.pointer(x), 0), rows.load(rows.pointer(y), 0)))


@njit
def short(operation: Any, x: Any, y: Any, found: Any) -> None:
    one, other = rows.load_short(rows.pointer(x), 0), rows.load_short(rows.pointer(y), 0)
    rows.store(rows.pointer(found), 0, operation(one, other))


@njit
def scalar(operation: Any, x: Any, number: Any, found: Any) -> None:
    rows.store(rows.pointer(found), 0, operation(rows.load(rows.pointer(x), 0), number))


def compiled(operation: Callable[[Any, Any], Any]) -> Any:
    return njit(lambda x, y: operation(x, y))


@pytest.mark.parametrize("operation", [operator.and_, operator.or_, operator.xor, operator.add, operator.mul])
def test_operators(operation: Callable[[Any, Any], Any]) -> None:
    found = np.zeros(B, np.uint32)
    binary(compiled(operation), X, Y, found)
    assert np.array_equal(found, operation(X, Y))
    scalar(compiled(operation), X, Y[5], found)
    assert np.array_equal(found, operation(X, Y[5]))


def test_short_rows_are_half_as_long() -> None:
    found = np.zeros(B, np.uint32)
    short(compiled(operator.xor), X, Y, found)
    assert np.array_equal(found[: B // 2], (X ^ Y)[: B // 2]) and not found[B // 2 :].any()


@pytest.mark.parametrize("operation", [operator.lshift, operator.rshift])
@pytest.mark.parametrize("by", [0, 1, 31])
def test_shifts(operation: Callable[[Any, Any], Any], by: int) -> None:
    found = np.zeros(B, np.uint32)
    scalar(compiled(operation), X, by, found)
    assert np.array_equal(found, operation(X, np.uint32(by)))


@pytest.mark.parametrize("by", [0, 1, 31])
def test_rotated(by: int) -> None:
    found = np.zeros(B, np.uint32)
    scalar(njit(lambda x, number: rows.rotated(x, number)), X, by, found)
    assert found.tolist() == [(int(x) << by | int(x) >> (32 - by)) & 0xFFFFFFFF for x in X]


@njit
def made(word: Any, x: Any, found: Any) -> Any:
    start, row = rows.pointer(found), rows.load(rows.pointer(x), 0)
    rows.store(start, 0, rows.spread(word))
    rows.store(rows.beyond(start, B), 0, rows.ascending())
    rows.store(start, 2 * B, ~row)
    rows.store(start, 3 * B, rows.popcount(row))
    return rows.total(row), rows.empty(row), rows.empty(row & 0), rows.signed(start)[2 * B], rows.octets(start)[1]


def test_what_rows_are_made_of_and_tell() -> None:
    found = np.zeros((4, B), np.uint32)
    answers = made(0x1234, X, found.ravel())
    assert np.array_equal(found, np.stack([np.full(B, 0x1234), np.arange(B), ~X, np.bitwise_count(X)]))
    assert answers == (X.view(np.int32).sum(), False, True, -1, 0x12)


def test_no_single_bit_is_overlooked() -> None:
    @njit
    def empty(x: Any) -> Any:
        return rows.empty(rows.load(rows.pointer(x), 0))

    for word in range(B):
        for lane in (0, 13, 31):
            assert not empty(np.where(np.arange(B) == word, 1 << lane, 0).astype(np.uint32))


@njit
def nibbles(numbers: Any, at: Any) -> Any:
    return rows.nibble_planes(rows.pointer(numbers), at)


def test_nibble_planes() -> None:
    numbers = np.random.default_rng(1).integers(0, 16, 64).astype(np.uint8)
    for at in (0, 32, 7):
        found = nibbles(numbers, at)
        expected = [
            sum((int(x) >> digit & 1) << lane for lane, x in enumerate(numbers[at : at + 32])) for digit in range(4)
        ]
        assert [int(plane) for plane in found] == expected


@njit
def bytes_of(numbers: Any, at: Any) -> Any:
    return rows.byte_planes(rows.pointer(numbers), at)


def test_byte_planes() -> None:
    numbers = np.random.default_rng(3).integers(0, 256, 64).astype(np.uint8)
    for at in (0, 32, 7):
        found = bytes_of(numbers, at)
        expected = [
            sum((int(x) >> digit & 1) << lane for lane, x in enumerate(numbers[at : at + 32])) for digit in range(8)
        ]
        assert [int(plane) for plane in found] == expected


@njit
def sixteen(first: Any, third: Any, now: Any, stream: Any, k0: Any, k1: Any, found: Any) -> None:
    words = rows.load(rows.pointer(first), 0), rows.load(rows.pointer(third), 0)
    answer = rows.philox_row(words[0], now, words[1], stream, k0, k1)
    for i in range(4):
        rows.store(rows.pointer(found), B * i, answer[i])


def test_sixteen_counters_at_once_are_each_alone() -> None:
    now, stream, k0, k1 = np.random.default_rng(2).integers(2**31, 2**32, 4, dtype=np.uint32)
    found = np.zeros((4, B), np.uint32)
    sixteen(X, Y, now, stream, k0, k1, found.ravel())
    counters = np.stack([X, np.full(B, now), Y, np.full(B, stream)], axis=-1)
    assert np.array_equal(found.T, philox4x32(counters, (int(k0), int(k1))))


@njit
def draw_all(start: Any, stop: Any, first: Any, now: Any, stream: Any, k0: Any, k1: Any, scratch: Any) -> None:
    draw(rows.pointer(scratch), B, start, stop, first, now, stream, k0, k1)


@njit
def turned(scratch: Any, plane: Any, turn: Any, found: Any) -> None:
    rows.store(rows.pointer(found), 0, drawn(rows.pointer(scratch), B, plane, turn))


def test_draws_and_turns_are_those_of_the_specification() -> None:
    now, stream, k0, k1 = (np.uint32(number) for number in (5, 4, 8, 9))
    scratch, found = np.zeros(29 * B, np.uint32), np.zeros(B, np.uint32)
    words = np.arange(100, 100 + B, dtype=np.uint32)
    draw_all(2, 7, np.uint32(100), now, stream, k0, k1, scratch)
    expected = draws(words, 5, 0, range(2, 7), 4, (8, 9))
    assert np.array_equal(scratch[9 * B :].reshape(5, 4, B), np.moveaxis(expected, 1, 2)) and not scratch[: 9 * B].any()
    for turn in range(32):
        for plane in (8, 13, 27):
            turned(scratch, plane, turn, found)
            number = random_number(words, 5, 0, range(plane, plane + 1), 4, (8, 9), turn)
            assert found.tolist() == [sum(int(bit) << lane for lane, bit in enumerate(word)) for word in number]
