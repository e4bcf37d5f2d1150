"""Bit planes on the host: how integers of 32 neurons become words, one for each binary digit, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.spec import LANES, WEIGHT_MAX

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]


def pack(values: NDArray[Any], planes: int) -> U32:
    """Bit planes of integers: [..., words, 32] -> uint32 [..., planes, words]."""
    bits = values[..., None, :, :].astype(np.int32) >> np.arange(planes, dtype=np.int32)[:, None, None]
    packed = np.packbits((bits & 1).astype(np.uint8), axis=-1, bitorder="little")
    words: U32 = packed.view(np.uint32)[..., 0]
    return words


def unpack(planes: U32) -> I32:
    """Unsigned integers from bit planes: uint32 [..., planes, words] -> int32 [..., words, 32]."""
    bits = planes[..., None] >> np.arange(LANES, dtype=np.uint32) & np.uint32(1)
    digits = np.arange(planes.shape[-2], dtype=np.uint32)[:, None, None]
    numbers: I32 = (bits << digits).sum(axis=-3).astype(np.int32)
    return numbers


def pack_traces(traces: NDArray[Any]) -> U32:
    """Four planes of the magnitude, then one of the sign: uint32 [..., 5, words]."""
    signed = np.asarray(traces).astype(np.int32)
    return np.concatenate([pack(np.abs(signed), 4), pack(signed < 0, 1)], axis=-2)


def unpack_traces(planes: U32) -> NDArray[np.int8]:
    """Traces from the planes of :func:`pack_traces`: int8 [..., words, 32]."""
    signs = 1 - 2 * unpack(planes[..., 4:, :])
    return (signs * unpack(planes[..., :4, :])).astype(np.int8)


def unpack_weights(planes: U32) -> NDArray[np.int8]:
    """Weights from eight planes of two's complement: int8 [..., words, 32]."""
    unsigned = unpack(planes)
    return (unsigned - 256 * (unsigned > WEIGHT_MAX)).astype(np.int8)
