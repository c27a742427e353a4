"""Layers as other tools have them: what formats are read into, and what they are written from.

A network elsewhere is a sequence of `Layer`: linear ones, ReLUs, and changes of the shape of a sample. `to_network` puts a
ReLU block together from each linear layer and the ReLU behind it, `to_layers` does the reverse. Values go from layer to layer
in row-major order, channels before rows before columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layermilp import notation
from layermilp.errors import NetworkError
from layermilp.network import Block, Network
from layermilp.parameters import ParameterMap, layer_size
from layermilp.program import FloatArray, IntArray
from layermilp.windows import Window

Shape = tuple[int, ...]
"""What one sample is: ``(values,)``, or ``(channels, height, width)`` of an image."""

LARGEST = 2**26
"""Most entries of weight matrices that are made from fewer numbers: 1.6 GB in memory."""

DTYPES = ("float64", "float32")
"""Types that weights are written in."""


@dataclass(frozen=True, eq=False)
class Dense:
    """``W x + c`` with weights of shape ``(n, d)``, and an offset of shape ``(n,)`` or none."""

    weights: FloatArray
    bias: FloatArray | None = None
    name: str = "dense"

    def block(self, shape: Shape) -> tuple[Block, Shape]:
        """Return the block that does the same to samples of the shape, and the shape of what it gives."""
        n, d = self.weights.shape
        if shape != (d,):
            raise NetworkError(f"{self.name} takes samples of shape {(d,)}, but gets {shape}")
        if self.bias is None:
            return _block(_with_bias(np.arange(n * d).reshape(n, d), np.full(n, -1)), self.weights.reshape(-1)), (n,)
        extended = np.column_stack([self.weights, self.bias])
        return Block(ParameterMap.dense(d, n), extended.reshape(-1)), (n,)


@dataclass(frozen=True, eq=False)
class Convolution:
    """Kernels of shape ``(maps, channels of a group, height, width)``, and an offset of shape ``(maps,)`` or none."""

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
                f"{self.name} has kernels of shape {self.kernels.shape} in {self.groups} groups, which do not fit images of "
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
        values = self.kernels.reshape(-1) if self.bias is None else np.append(self.kernels, self.bias)
        return _block(_with_bias(index, np.repeat(offsets, n_positions)), values), outputs


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean values of the pixels in a window, channel by channel; padding counts as pixels of zero, or not at all.

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
            fixed[channel * n_positions + position, channel * height * width + pixel] = 1.0 / counts[position]
        return Block(ParameterMap(_with_bias(index, np.full(len(index), -1)), fixed), np.zeros(0)), outputs


@dataclass(frozen=True, eq=False)
class Tied:
    """``W x + c`` of any ties: entry ``index`` of `values`, counted from the end where it is negative, which is a fixed value.

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
            raise NetworkError(f"{self.name} takes entries of {len(self.values)} values that are not there")
        fixed = np.where(self.index < 0, self.values[self.index], 0.0)
        return _block(np.maximum(self.index, -1), self.values, fixed), (n,)


@dataclass(frozen=True)
class Relu:
    """``max(x, 0)``."""

    name: str = "relu"


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape; one side may be -1, which stands for what is left, and 0 for what was there."""

    sides: Shape
    name: str = "reshape"

    def outputs(self, shape: Shape) -> Shape:
        """Shape after it for samples of a shape."""
        sides = [shape[i] if side == 0 and i < len(shape) else side for i, side in enumerate(self.sides)]
        size, known = math.prod(shape), math.prod(side for side in sides if side != -1)
        if sides.count(-1) == 1 and known > 0:
            sides[sides.index(-1)] = size // known
        if min(sides, default=0) < 1 or math.prod(sides) != size:
            raise NetworkError(f"{self.name} makes samples of shape {self.sides} from those of shape {shape}, which do not fit")
        return tuple(sides)


Linear = Dense | Convolution | Mean | Tied
Layer = Linear | Relu | Reshape

FLAT = Reshape((-1,), "flatten")


@dataclass
class _Assembly:
    """Blocks so far, and the linear layer whose ReLU may still come."""

    shape: Shape
    blocks: list[Block] = field(default_factory=list)
    waiting: str | None = None
    entries: int = 0

    def add(self, layer: Layer) -> None:
        if isinstance(layer, Reshape):
            self.shape = layer.outputs(self.shape)
        elif isinstance(layer, Relu):
            if not self.blocks:
                raise NetworkError(f"{layer.name} is put on the inputs; a network begins with a linear layer")
            self.waiting = None
        else:
            self._require_relu(layer)
            block, self.shape = layer.block(self.shape)
            self.blocks.append(block)
            # Each block is within the limit; so must all of them be that are made from fewer numbers.
            self.entries += block.parameters.index.size - block.theta.size
            _require_room(self.entries, "the network")
            self.waiting = layer.name

    def _require_relu(self, following: Linear) -> None:
        """Refuse a second linear layer without a ReLU between, unless a ReLU there would change nothing."""
        if self.waiting is None or (len(self.blocks) > 1 and _keeps_signs(self.blocks[-1])):
            return
        reason = "between them, and a block cannot be without"
        if _keeps_signs(self.blocks[-1]):
            reason = "between them; it changes nothing if no input is negative: then add one"
        raise NetworkError(f"{self.waiting} and {following.name} follow each other; there is no ReLU {reason}")


def to_network(
    layers: Iterable[Layer], shape: Shape, classes: ArrayLike | None = None, decision: str | None = None
) -> Network:
    """Return the network of layers for samples of a shape.

    A fixed layer of means needs no ReLU behind it where its inputs are those of a ReLU, which it leaves as they are.

    Parameters
    ----------
    layers : iterable of Layer
        First to last.
    shape : tuple of int
        Of a sample.
    classes : array of int or str, optional
        Label of each output; default: 0, 1, ...
    decision : {"nearest", "largest"}, optional
        Default: "nearest" if a ReLU comes last, else "largest".

    Raises
    ------
    NetworkError
        If a layer does not fit the one before, a ReLU is missing, or there is no linear layer.
    """
    assembly = _Assembly(shape)
    for layer in layers:
        assembly.add(layer)
    if decision is None:
        decision = "nearest" if assembly.waiting is None else "largest"
    return Network(assembly.blocks, classes, decision)


def to_layers(network: Network, *, with_images: bool) -> tuple[Shape, list[Layer]]:
    """Return the shape of a sample and the layers of a network.

    Parameters
    ----------
    network : Network
        What to write.
    with_images : bool
        Whether blocks that the notation has as convolutions and means are `Convolution` and `Mean`, with `Reshape` where it
        is needed. Otherwise they are `Tied`.
    """
    found = (notation.layers([block.parameters for block in network.blocks]) if with_images else None) or ()
    readings = dict(enumerate(found))
    shape: Shape = (network.n_inputs,)
    layers: list[Layer] = []
    for i, block in enumerate(network.blocks):
        image, reading = readings.get(i, ((), None))
        wanted = (1, *image) if reading is not None and reading.prefix else (block.n_inputs,)
        if shape != wanted:
            layers.append(Reshape(wanted) if len(wanted) == 3 else FLAT)
        layer = _linear(block, reading, f"block{i + 1}")
        layers.append(layer)
        shape = (block.n_outputs,)
        if isinstance(layer, Convolution | Mean) and reading is not None:
            shape = (1, *reading.outputs(image))
        if i < len(network.blocks) - 1 or network.decision == "nearest":
            layers.append(Relu(f"relu{i + 1}"))
    return (network.n_inputs,), layers if len(shape) == 1 else [*layers, FLAT]


def _linear(block: Block, reading: notation.Layer | None, name: str) -> Linear:
    """Return the layer that a block is, as the notation reads it if it does."""
    if reading is not None and reading.prefix == "mean":
        return Mean(Window((reading.size,) * 2, (reading.size,) * 2), name=name)
    if reading is not None and reading.prefix == "conv":
        size = reading.size**2
        bias = block.theta[size:] if reading.suffix else None
        return Convolution(block.theta[:size].reshape(1, 1, reading.size, reading.size), bias, name=name)
    return _as_dense(block, name) or _as_tied(block, name)


def _as_dense(block: Block, name: str) -> Dense | None:
    index, n, d = block.parameters.index, block.n_outputs, block.n_inputs
    if np.array_equal(index.reshape(-1), np.arange(index.size)):
        return Dense(block.weights, block.bias, name)
    if np.array_equal(index[:, :-1].reshape(-1), np.arange(n * d)) and not _has_offset(block):
        return Dense(block.weights, None, name)
    return None


def _as_tied(block: Block, name: str) -> Tied:
    is_fixed = block.parameters.index < 0
    fixed, which = np.unique(block.parameters.fixed[is_fixed], return_inverse=True)
    index = block.parameters.index.copy()
    index[is_fixed] = which - len(fixed)
    return Tied(index, np.append(block.theta, fixed), name)


def _has_offset(block: Block) -> bool:
    return bool(np.any(block.parameters.index[:, -1] >= 0) or np.any(block.bias))


def _keeps_signs(block: Block) -> bool:
    """Whether a block is fixed and gives nothing negative if it is given nothing negative."""
    return block.theta.size == 0 and bool(np.all(block.extended >= 0.0))


def _image(shape: Shape, name: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise NetworkError(f"{name} takes images, but gets samples of shape {shape}; give the shape of an image, such as 28x28")
    return shape[0], shape[1], shape[2]


def _meetings(window: Window, height: int, width: int) -> tuple[IntArray, IntArray, IntArray]:
    """Position, entry and pixel wherever an entry of the window is on a pixel."""
    pixels = window.pixels(height, width)
    positions, entries = np.nonzero(pixels >= 0)
    return positions, entries, pixels[positions, entries]


def _empty(outputs: Shape, inputs: Shape, window: Window, name: str) -> IntArray:
    """Return an index of the weights without any parameter, if it and the window's pixels are not too large."""
    _entries(math.prod(outputs[1:]), math.prod(window.size), name)
    return np.full((math.prod(outputs), _entries(math.prod(outputs), math.prod(inputs), name)), -1)


def _entries(n_outputs: int, n_inputs: int, name: str) -> int:
    """Return the number of inputs if a matrix with them is not too large."""
    _require_room(n_outputs * (n_inputs + 1), f"{name} with {n_inputs:,} inputs and {n_outputs:,} outputs")
    return n_inputs


def _require_room(entries: int, what: str) -> None:
    if entries > LARGEST:
        raise NetworkError(
            f"{what} is too large: written out as matrices, weights and their ties take {24 * entries / 1e9:.1f} GB, "
            f"and {24 * LARGEST / 1e9:.1f} GB are the limit"
        )


def _with_bias(index: IntArray, offsets: IntArray) -> IntArray:
    return np.column_stack([index, offsets])


def _block(index: IntArray, values: FloatArray, fixed: FloatArray | None = None) -> Block:
    """Block whose entries are numbered among values of which some may not be used."""
    is_used = np.zeros(len(values), dtype=bool)
    is_used[index[index >= 0]] = True
    numbers = np.append(np.cumsum(is_used) - 1, -1)[index]
    return Block(ParameterMap(numbers, np.zeros(index.shape) if fixed is None else fixed), values[is_used])


def first_shape(layers: Iterable[Layer]) -> Shape:
    """Return the shape of a sample that the first layers take.

    Raises
    ------
    NetworkError
        If they do not say it.
    """
    for layer in layers:
        if isinstance(layer, Dense):
            return (layer.weights.shape[1],)
        if isinstance(layer, Tied):
            return (layer.index.shape[1] - 1,)
        if isinstance(layer, Reshape) and min(layer.sides) > 0:
            return (math.prod(layer.sides),)
        if not isinstance(layer, Reshape):
            break
    raise NetworkError("nothing says the shape of a sample; give it as image, such as (1, 28, 28), or (28, 28) for one channel")


def image_shape(image: Sequence[int]) -> Shape:
    """Return ``(channels, height, width)`` of an image that is given so, or by height and width alone.

    Raises
    ------
    NetworkError
        If it has fewer or more sides, or one is below 1.
    """
    sides = tuple(layer_size(side) for side in image)
    if len(sides) not in (2, 3):
        raise NetworkError(f"image is {tuple(image)}; give channels, height and width, or height and width")
    return (1, *sides)[-3:]


def require_dtype(dtype: str) -> str:
    """Return the name of a type if weights are written in it.

    Raises
    ------
    NetworkError
        If they are not.
    """
    if dtype not in DTYPES:
        raise NetworkError(f"dtype {dtype!r} is unknown; choose {', '.join(DTYPES)}")
    return dtype


def require_network(model: Any) -> Network:
    """Return a model if it is a single network of ReLU blocks.

    Raises
    ------
    NetworkError
        If it is not.
    """
    if isinstance(model, Network):
        return model
    hint = "; export its members, `committee.networks`, one by one" if hasattr(model, "networks") else ""
    raise NetworkError(f"{type(model).__name__} cannot be exported, only networks of ReLU blocks{hint}")
