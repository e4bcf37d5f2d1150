"""Relations: which planes of an image show something at which distance from something else, wherever it is.

A pair of planes and an offset is one neuron; it fires if anywhere in the image a lit pixel of the one plane has a lit
pixel of the other at that offset. What such a neuron has learned holds at every place. Pairwise relative offsets in
space are the features with which linear learners came up to DQN (Liang, Machado, Talvitie and Bowling 2016, "State of
the Art Control of Atari Games Using Shallow Reinforcement Learning", AAMAS).
"""

import numpy as np
from numpy.typing import NDArray

LIT = 8
"""A pixel is lit from half its intensity on."""
FULL = 15
MAX_PIXELS = 4096
"""Pixels over all planes: the pairs of lit ones are looked at one by one."""


class Relations:
    """Neurons for the pairs of pixels in an image."""

    def __init__(self, shape: tuple[int, ...], reach: int, width: int) -> None:
        """Number the neurons.

        Args:
            shape: rows, columns and planes.
            reach: largest offset in rows and in columns, in pixels.
            width: neurons of one plane, of which the first are its pixels.
        """
        rows, columns, planes = shape
        down, right = min(reach, rows - 1), min(reach, columns - 1)
        self.size = planes * (planes - 1) // 2 * (2 * down + 1) * (2 * right + 1)
        """Neurons."""
        # a pair of pixels finds its neuron through the sum of two numbers, one of each pixel
        wide = 2 * columns
        spread = 2 * rows * wide
        place = np.zeros(width, np.intp)
        place[: rows * columns] = (np.arange(rows)[:, None] * wide + np.arange(columns)).ravel()
        plane = np.arange(planes)[:, None]
        self._first = (plane * planes * spread + spread // 2 - place).ravel()
        self._second = (plane * spread + place).ravel()
        self._neuron = np.full(planes * planes * spread, self.size, np.intp)
        y, x = np.meshgrid(np.arange(-down, down + 1), np.arange(-right, right + 1), indexing="ij")
        offsets = (spread // 2 + y * wide + x).ravel()
        pairs = [(one, other) for one in range(planes) for other in range(one + 1, planes)]
        for number, (one, other) in enumerate(pairs):
            neurons = number * offsets.size + np.arange(offsets.size)
            self._neuron[(one * planes + other) * spread + offsets] = neurons

    def encode(self, intensities: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Intensities of the neurons, 0 or 15.

        Args:
            intensities: of the planes' neurons, plane by plane: uint8 [n, planes * width].

        Returns:
            uint8 [n, size].
        """
        out = np.zeros((len(intensities), self.size + 1), np.uint8)
        for image, neurons in zip(intensities, out, strict=True):
            lit = (image >= LIT).nonzero()[0]
            neurons[self._neuron.take(np.add.outer(self._first.take(lit), self._second.take(lit)))] = FULL
        return out[:, :-1]
