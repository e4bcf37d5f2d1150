"""Bit planes on the host: how integers of 32 neurons become words, one for each binary digit, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.backends.spec import LANES, WEIGHT_MAX

I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]


def pack(values: NDArray[Any], planes: int) -> U32:
    """Bit planes of integers: [..., words, 32] -> uint32 [..., planes, words]."""
    packed = np.empty((*values.shape[:-2], planes, values.shape[-2]), np.uint32)
    for digit in range(planes):
        # plane by plane, so that on the way a number takes a byte or two and not as many as there are planes
        bits = (values >> digit & 1).astype(np.uint8)
        packed[..., digit, :] = np.packbits(bits, axis=-1, bitorder="little").view(np.uint32)[..., 0]
    return packed


def unpack(planes: U32) -> I32:
    """Unsigned integers from bit planes: uint32 [..., planes, words] -> int32 [..., words, 32]."""
    numbers = np.zeros((*planes.shape[:-2], planes.shape[-1], LANES), np.int32)
    for digit in range(planes.shape[-2]):
        words = np.ascontiguousarray(planes[..., digit, :, None])
        numbers += np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little").astype(np.int32) << digit
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
