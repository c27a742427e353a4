"""Windows that slide over an image: the geometry that convolutions and mean values share."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np

from layermilp.errors import NetworkError
from layermilp.program import IntArray

LARGEST = 2**31 - 1
"""Largest size, stride, padding or dilation, so that no product of two overflows."""


@dataclass(frozen=True)
class Window:
    """A window of pixels that slides over an image; height comes before width.

    Parameters
    ----------
    size : (int, int)
        Rows and columns of pixels in the window.
    strides : (int, int)
        Pixels from one position to the next.
    padding : (int, int, int, int)
        Zeros above, left of, below and right of the image.
    dilations : (int, int)
        Pixels from one entry of the window to the next.

    Raises
    ------
    NetworkError
        If a size, stride or dilation is below 1, a padding below 0, or any of them above `LARGEST`.
    """

    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name in ("size", "strides", "padding", "dilations"):
            object.__setattr__(self, name, tuple(map(operator.index, getattr(self, name))))
        pairs = (self.size, self.strides, self.dilations)
        are_pairs = all(len(pair) == 2 and 1 <= min(pair) <= max(pair) <= LARGEST for pair in pairs)
        pads = self.padding
        if not are_pairs or len(pads) != 4 or min(pads) < 0 or max(pads) > LARGEST:
            raise NetworkError(
                f"a window of size {self.size}, strides {self.strides}, padding {self.padding} "
                f"and dilations {self.dilations} is none of an image; padding is four numbers from "
                f"0, the others are two from 1, and {LARGEST} is the largest"
            )

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of positions on an image; raise `NetworkError` if the window does not
        fit it."""
        parts = (self.size, self.strides, self.dilations, self.padding[:2], self.padding[2:])
        rows, columns = (
            (length + before + after - dilation * (size - 1) - 1) // stride + 1
            for length, size, stride, dilation, before, after in zip(
                (height, width), *parts, strict=True
            )
        )
        if min(rows, columns) < 1:
            raise NetworkError(
                f"a window of {self.size[0]} x {self.size[1]} does not fit an image of {height} x "
                f"{width}"
            )
        return rows, columns

    def meetings(self, height: int, width: int) -> tuple[IntArray, IntArray, IntArray]:
        """Numbers of position, entry and pixel wherever an entry of the window is on a pixel of an
        image; each is numbered row by row. Errors as in `positions`."""
        counts = self.positions(height, width)
        rows, columns = (self._along(i, side, counts[i]) for i, side in enumerate((height, width)))
        strides = (counts[1], self.size[1], width)
        position, entry, pixel = (
            np.add.outer(row * stride, column).reshape(-1)
            for row, column, stride in zip(rows, columns, strides, strict=True)
        )
        return position, entry, pixel

    def _along(self, i: int, length: int, count: int) -> tuple[IntArray, IntArray, IntArray]:
        """Positions, entries and pixels that meet along the height (``i`` is 0) or the width
        (1)."""
        starts = np.arange(count) * self.strides[i] - self.padding[i]
        entries, rest = np.divmod(np.arange(length) - starts[:, np.newaxis], self.dilations[i])
        on_pixel = (rest == 0) & (entries >= 0) & (entries < self.size[i])
        positions, pixels = np.nonzero(on_pixel)
        return positions, entries[on_pixel], pixels
