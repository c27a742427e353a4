"""Layers as other tools have them: what formats are read into, and what they are written from.

A network elsewhere is a sequence of `Layer`: linear ones, ReLUs, and changes of the shape of a
sample. Values go from layer to layer in row-major order, channels before rows before columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from layermilp.errors import NetworkError
from layermilp.networks.network import Block
from layermilp.networks.parameters import ParameterMap
from layermilp.networks.windows import Window
from layermilp.program import FloatArray, IntArray

Shape = tuple[int, ...]
"""What one sample is: ``(values,)``, or ``(channels, height, width)`` of an image."""

LARGEST = 2**26
"""Most entries of weight matrices that are made from fewer numbers: 1.6 GB in memory."""


@dataclass(frozen=True, eq=False)
class Dense:
    """``W x + c`` with weights of shape ``(n, d)``, and an offset of shape ``(n,)`` or none."""

    weights: FloatArray
    bias: FloatArray | None = None
    name: str = "dense"

    def block(self, shape: Shape) -> tuple[Block, Shape]:
        """Return the block that does the same to samples of the shape, and the shape of what it
        gives."""
        n, d = self.weights.shape
        if shape != (d,):
            raise NetworkError(f"{self.name} takes samples of shape {(d,)}, but gets {shape}")
        if self.bias is None:
            return _block(
                _with_bias(np.arange(n * d).reshape(n, d), np.full(n, -1)), self.weights.reshape(-1)
            ), (n,)
        extended = np.column_stack([self.weights, self.bias])
        return Block(ParameterMap.dense(d, n), extended.reshape(-1)), (n,)


@dataclass(frozen=True, eq=False)
class Convolution:
    """Kernels of shape ``(maps, channels of a group, height, width)``, and an offset of shape
    ``(maps,)`` or none."""

    kernels: FloatArray
    bias: FloatArray | None = None
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    name: str = "convolution"

    def block(self, shape: Shape) -> tuple[Block, Shape]:
        """As `Dense.block`; entries of a kernel that only meet padding are no parameters."""
        maps, of_group, *size = self.kernels.shape
        channels, height, width = _image(shape, self.name)
        if self.groups < 1 or of_group * self.groups != channels or maps % self.groups:
            raise NetworkError(
                f"{self.name} has kernels of shape {self.kernels.shape} in {self.groups} groups, "
                "which do not fit images of "
                f"{channels} channels"
            )
        window = Window((size[0], size[1]), self.strides, self.padding, self.dilations)
        outputs = (maps, *window.positions(height, width))
        index = _empty(outputs, shape, window, self.name)
        position, entry, pixel = _meetings(window, height, width)
        n_positions, n_entries = math.prod(outputs[1:]), math.prod(size)
        within = np.arange(of_group)[:, np.newaxis]
        for o in range(maps):
            channel = o // (maps // self.groups) * of_group + within
            first = (o * of_group + within) * n_entries
            index[o * n_positions + position, channel * height * width + pixel] = first + entry
        offsets = np.full(maps, -1) if self.bias is None else np.arange(maps) + self.kernels.size
        values = (
            self.kernels.reshape(-1) if self.bias is None else np.append(self.kernels, self.bias)
        )
        return _block(_with_bias(index, np.repeat(offsets, n_positions)), values), outputs


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean values of the pixels in a window, channel by channel; padding counts as pixels of zero,
    or not at all.

    Without a window the mean of the whole image is taken.
    """

    window: Window | None
    counts_padding: bool = False
    name: str = "mean"

    def block(self, shape: Shape) -> tuple[Block, Shape]:
        """As `Dense.block`; there is no parameter."""
        channels, height, width = _image(shape, self.name)
        window = self.window or Window((height, width))
        outputs = (channels, *window.positions(height, width))
        index = _empty(outputs, shape, window, self.name)
        position, _, pixel = _meetings(window, height, width)
        n_positions = math.prod(outputs[1:])
        counts = np.bincount(position, minlength=n_positions)
        if self.counts_padding:
            counts[:] = math.prod(window.size)
        fixed = np.zeros((index.shape[0], index.shape[1] + 1))
        for channel in range(channels):
            fixed[channel * n_positions + position, channel * height * width + pixel] = (
                1.0 / counts[position]
            )
        return Block(
            ParameterMap(_with_bias(index, np.full(len(index), -1)), fixed), np.zeros(0)
        ), outputs


@dataclass(frozen=True, eq=False)
class Tied:
    """``W x + c`` of any ties: entry ``index`` of `values`, counted from the end where it is
    negative, which is a fixed value.

    Parameters
    ----------
    index : (n, d + 1) array of int
        Number of the value of each entry of ``(W, c)``.
    values : array
        Parameters, then fixed values.
    name : str
        For messages.
    """

    index: IntArray
    values: FloatArray
    name: str = "tied"

    def block(self, shape: Shape) -> tuple[Block, Shape]:
        """As `Dense.block`."""
        n, d = self.index.shape[0], self.index.shape[1] - 1
        if shape != (d,):
            raise NetworkError(f"{self.name} takes samples of shape {(d,)}, but gets {shape}")
        if self.index.min() < -len(self.values) or self.index.max() >= len(self.values):
            raise NetworkError(
                f"{self.name} takes entries of {len(self.values)} values that are not there"
            )
        fixed = np.where(self.index < 0, self.values[self.index], 0.0)
        return _block(np.maximum(self.index, -1), self.values, fixed), (n,)


@dataclass(frozen=True)
class Relu:
    """``max(x, 0)``."""

    name: str = "relu"


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape; one side may be -1, which stands for what is left, and 0
    for what was there."""

    sides: Shape
    name: str = "reshape"

    def outputs(self, shape: Shape) -> Shape:
        """Shape after it for samples of a shape."""
        sides = [
            shape[i] if side == 0 and i < len(shape) else side for i, side in enumerate(self.sides)
        ]
        size, known = math.prod(shape), math.prod(side for side in sides if side != -1)
        if sides.count(-1) == 1 and known > 0:
            sides[sides.index(-1)] = size // known
        if min(sides, default=0) < 1 or math.prod(sides) != size:
            raise NetworkError(
                f"{self.name} makes samples of shape {self.sides} from those of shape {shape}, "
                "which do not fit"
            )
        return tuple(sides)


Linear = Dense | Convolution | Mean | Tied
Layer = Linear | Relu | Reshape

FLAT = Reshape((-1,), "flatten")


def _image(shape: Shape, name: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise NetworkError(
            f"{name} takes images, but gets samples of shape {shape}; give the shape of an image, "
            "such as 28x28"
        )
    return shape[0], shape[1], shape[2]


def _meetings(window: Window, height: int, width: int) -> tuple[IntArray, IntArray, IntArray]:
    """Position, entry and pixel wherever an entry of the window is on a pixel."""
    pixels = window.pixels(height, width)
    positions, entries = np.nonzero(pixels >= 0)
    return positions, entries, pixels[positions, entries]


def _empty(outputs: Shape, inputs: Shape, window: Window, name: str) -> IntArray:
    """Return an index of the weights without any parameter, if it and the window's pixels are not
    too large."""
    _entries(math.prod(outputs[1:]), math.prod(window.size), name)
    return np.full((math.prod(outputs), _entries(math.prod(outputs), math.prod(inputs), name)), -1)


def _entries(n_outputs: int, n_inputs: int, name: str) -> int:
    """Return the number of inputs if a matrix with them is not too large."""
    require_room(
        n_outputs * (n_inputs + 1), f"{name} with {n_inputs:,} inputs and {n_outputs:,} outputs"
    )
    return n_inputs


def require_room(entries: int, what: str) -> None:
    if entries > LARGEST:
        raise NetworkError(
            f"{what} is too large: written out as matrices, weights and their ties take "
            f"{24 * entries / 1e9:.1f} GB, "
            f"and {24 * LARGEST / 1e9:.1f} GB are the limit"
        )


def _with_bias(index: IntArray, offsets: IntArray) -> IntArray:
    return np.column_stack([index, offsets])


def _block(index: IntArray, values: FloatArray, fixed: FloatArray | None = None) -> Block:
    """Block whose entries are numbered among values of which some may not be used."""
    is_used = np.zeros(len(values), dtype=bool)
    is_used[index[index >= 0]] = True
    numbers = np.append(np.cumsum(is_used) - 1, -1)[index]
    return Block(
        ParameterMap(numbers, np.zeros(index.shape) if fixed is None else fixed), values[is_used]
    )
