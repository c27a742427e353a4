"""Networks from layers, and layers from networks.

`to_network` puts a block together from each linear layer and the ReLU behind it, `to_layers` does
the reverse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layermilp.errors import NetworkError
from layermilp.exchange.layers import (
    FLAT,
    Convolution,
    Dense,
    Layer,
    Linear,
    Mean,
    Relu,
    Reshape,
    Shape,
    Tied,
    require_room,
)
from layermilp.networks import notation
from layermilp.networks.network import Block, Network
from layermilp.networks.parameters import layer_size
from layermilp.networks.windows import Window

DTYPES = ("float64", "float32")
"""Types that weights are written in."""


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
                raise NetworkError(
                    f"{layer.name} is put on the inputs; a network begins with a linear layer"
                )
            self.waiting = None
        else:
            self._require_relu(layer)
            block, self.shape = layer.block(self.shape)
            self.blocks.append(block)
            # Each block is within the limit; so must all of them be that are made from fewer
            # numbers.
            self.entries += block.parameters.index.size - block.theta.size
            require_room(self.entries, "the network")
            self.waiting = layer.name

    def _require_relu(self, following: Linear) -> None:
        """Refuse a second linear layer without a ReLU between, unless a ReLU there would change
        nothing."""
        if self.waiting is None or (len(self.blocks) > 1 and _keeps_signs(self.blocks[-1])):
            return
        reason = "between them, and a block cannot be without"
        if _keeps_signs(self.blocks[-1]):
            reason = "between them; it changes nothing if no input is negative: then add one"
        raise NetworkError(
            f"{self.waiting} and {following.name} follow each other; there is no ReLU {reason}"
        )


def to_network(
    layers: Iterable[Layer],
    shape: Shape,
    classes: ArrayLike | None = None,
    decision: str | None = None,
) -> Network:
    """Return the network of layers for samples of a shape.

    A fixed layer of means needs no ReLU behind it where its inputs are those of a ReLU, which it
    leaves as they are.

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


def to_layers(network: Network, *, with_images: bool) -> list[Layer]:
    """Return the layers of a network; its samples are rows of values.

    Parameters
    ----------
    network : Network
        What to write.
    with_images : bool
        Whether blocks that the notation has as convolutions and means are `Convolution` and `Mean`,
        with `Reshape` where it is needed. Otherwise they are `Tied`.
    """
    found = (
        notation.layers([block.parameters for block in network.blocks]) if with_images else None
    ) or ()
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
    return layers if len(shape) == 1 else [*layers, FLAT]


def _linear(block: Block, reading: notation.Layer | None, name: str) -> Linear:
    """Return the layer that a block is, as the notation reads it if it does."""
    if reading is not None and reading.prefix == "mean":
        return Mean(Window((reading.size,) * 2, (reading.size,) * 2), name=name)
    if reading is not None and reading.prefix == "conv":
        size = reading.size**2
        bias = block.theta[size:] if reading.suffix else None
        return Convolution(
            block.theta[:size].reshape(1, 1, reading.size, reading.size), bias, name=name
        )
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
        if isinstance(layer, Reshape) and min(layer.sides, default=0) > 0:
            return (math.prod(layer.sides),)
        if not isinstance(layer, Reshape):
            break
    raise NetworkError(
        "nothing says the shape of a sample; give it as image, such as (1, 28, 28), or (28, 28) "
        "for one channel"
    )


def image_shape(image: Sequence[int]) -> Shape:
    """Return ``(channels, height, width)`` of an image that is given so, or by height and width
    alone.

    Raises
    ------
    NetworkError
        If it has fewer or more sides, or one is below 1.
    """
    sides = tuple(layer_size(side) for side in image)
    if len(sides) not in (2, 3):
        raise NetworkError(
            f"image is {tuple(image)}; give channels, height and width, or height and width"
        )
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
    hint = (
        "; export its members, `committee.networks`, one by one"
        if hasattr(model, "networks")
        else ""
    )
    raise NetworkError(
        f"{type(model).__name__} cannot be exported, only networks of ReLU blocks{hint}"
    )
