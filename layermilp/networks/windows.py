"""Windows that slide over an image: the geometry that convolutions and mean values share."""

from __future__ import annotations

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
        lengths = (len(self.size), len(self.strides), len(self.padding), len(self.dilations))
        from_one, from_zero = (*self.size, *self.strides, *self.dilations), self.padding
        if (
            lengths != (2, 2, 4, 2)
            or min(from_one) < 1
            or min(from_zero) < 0
            or max(*from_one, *from_zero) > LARGEST
        ):
            raise NetworkError(
                f"a window of size {self.size}, strides {self.strides}, padding {self.padding} "
                f"and dilations {self.dilations} "
                "is none of an image; padding is four numbers from 0, the others are two from 1, "
                f"and {LARGEST} is the largest"
            )

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of positions on an image.

        Raises
        ------
        NetworkError
            If the window does not fit the image.
        """
        found = tuple(
            (
                length
                + self.padding[i]
                + self.padding[i + 2]
                - self.dilations[i] * (self.size[i] - 1)
                - 1
            )
            // self.strides[i]
            + 1
            for i, length in enumerate((height, width))
        )
        if min(found) < 1:
            rows, columns = self.size
            raise NetworkError(
                f"a window of {rows} x {columns} does not fit an image of {height} x {width}"
            )
        return found[0], found[1]

    def pixels(self, height: int, width: int) -> IntArray:
        """Number of the pixel under each entry of the window at each position, -1 where there is
        padding.

        Pixels, positions and entries are numbered row by row.

        Returns
        -------
        (positions, entries) array of int
            Pixel numbers.

        Raises
        ------
        NetworkError
            If the window does not fit the image.
        """
        counts = self.positions(height, width)
        rows, columns = (
            self._along(i, length, counts[i]) for i, length in enumerate((height, width))
        )
        found = rows[:, np.newaxis, :, np.newaxis] * width + columns[np.newaxis, :, np.newaxis, :]
        found[np.broadcast_to(rows[:, np.newaxis, :, np.newaxis] < 0, found.shape)] = -1
        found[np.broadcast_to(columns[np.newaxis, :, np.newaxis, :] < 0, found.shape)] = -1
        return np.asarray(found.reshape(counts[0] * counts[1], -1))

    def _along(self, i: int, length: int, count: int) -> IntArray:
        """Row (``i`` is 0) or column (1) under each entry at each position, -1 where there is
        padding."""
        starts = np.arange(count) * self.strides[i] - self.padding[i]
        found = starts[:, np.newaxis] + np.arange(self.size[i]) * self.dilations[i]
        return np.asarray(np.where((found >= 0) & (found < length), found, -1))
