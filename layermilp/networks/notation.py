"""The notation of networks: ``784-8-8-8-10``, or ``28x28-mean4-conv3-10`` for images.

The first item is the input: a number of values, or the height and width of an image. The others are
layers:

========== ===================================================================================
``8``      dense layer of 8 neurons
``conv3``  valid convolution with one 3 x 3 kernel of tied weights, offsets zero
``conv3b`` the same with one shared free offset
``mean4``  mean values of disjoint 4 x 4 regions, nothing trained; height and width must be
           multiples of 4
========== ===================================================================================

``conv`` and ``mean`` take an image and give one, a dense layer takes either and gives plain values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from layermilp.errors import NetworkError
from layermilp.networks.parameters import ParameterMap, check_size, layer_size

Shape = tuple[int, ...]
"""What goes from layer to layer: ``(values,)``, or ``(height, width)`` of an image."""

_INPUT = re.compile("([0-9]{1,18})(?:x([0-9]{1,18}))?")
_LAYER = re.compile("(conv|mean|)([0-9]{1,18})(b?)")


class Layer(NamedTuple):
    """A layer item: prefix, size and suffix, such as ``("conv", 3, "b")``."""

    prefix: str
    size: int
    suffix: str = ""

    def __str__(self) -> str:
        return f"{self.prefix}{self.size}{self.suffix}"

    def parameters(self, shape: Shape) -> ParameterMap:
        """Return the map of the layer's block for inputs of the given shape.

        Raises
        ------
        NetworkError
            If the layer does not fit the shape.
        """
        if not self.prefix:
            return ParameterMap.dense(math.prod(shape), self.size)
        if len(shape) != 2:
            raise NetworkError(
                "conv and mean take an image; begin with one, such as 28x28, and put dense layers "
                "last"
            )
        if self.prefix == "mean":
            return ParameterMap.mean2d(*shape, self.size)
        return ParameterMap.conv2d(*shape, self.size, free_bias=bool(self.suffix))

    def outputs(self, shape: Shape) -> Shape:
        """Return the shape of the layer's outputs for inputs of a shape that it fits."""
        if not self.prefix:
            return (self.size,)
        if self.prefix == "mean":
            return tuple(side // self.size for side in shape)
        return tuple(side - self.size + 1 for side in shape)


def parse(text: str) -> list[ParameterMap]:
    """Return the maps of the blocks of a network given in the notation.

    Raises
    ------
    NetworkError
        If an item is not understood or does not fit the one before; the message names it. If
        nothing is to be trained.
    """
    first, *items = text.split("-")
    with _naming(text, first):
        shape = _input(first)
    if not items:
        raise NetworkError(
            f"net {text!r} has no layers; write inputs, hidden layers and outputs, such as 784-8-10"
        )
    check_size(len(items), 0)
    maps, n_weights = [], 0
    for item in items:
        with _naming(text, item):
            layer = _layer(item)
            n_weights += (math.prod(shape) + 1) * math.prod(layer.outputs(shape))
            check_size(len(items), n_weights)
            maps.append(layer.parameters(shape))
            shape = layer.outputs(shape)
    if not any(parameters.n_parameters for parameters in maps):
        raise NetworkError(f"net {text!r} has nothing to train; add a layer, such as {text}-10")
    return maps


def describe(maps: Sequence[ParameterMap]) -> str:
    """Return the notation of a network with the given maps.

    `parse` gives the same maps back. Where several notations do, this is the one with dense layers,
    then with the squarest image. Networks with other maps are given by the sizes of their layers.
    """
    found = layers(maps)
    if found is None:
        return "-".join(
            str(size) for size in (maps[0].n_inputs, *(parameters.n_outputs for parameters in maps))
        )
    return "-".join(["x".join(map(str, found[0][0])), *(str(layer) for _, layer in found)])


def layers(maps: Sequence[ParameterMap]) -> list[tuple[Shape, Layer]] | None:
    """Return the layers that `describe` writes, each with the shape of its inputs; None where it
    writes sizes alone."""
    n_inputs = maps[0].n_inputs
    for shape in [(n_inputs,), *_images(n_inputs)]:
        for found in _readings(maps, shape):
            return found
    return None


@contextmanager
def _naming(text: str, item: str) -> Iterator[None]:
    """Say in errors which item of which net they are about."""
    try:
        yield
    except NetworkError as error:
        raise NetworkError(f"net {text!r}, item {item!r}: {error}") from error


def _input(item: str) -> Shape:
    match = _INPUT.fullmatch(item)
    if match is None:
        raise NetworkError("write the size of the input first, such as 784 or 28x28")
    return tuple(layer_size(int(side)) for side in match.groups() if side)


def _layer(item: str) -> Layer:
    match = _LAYER.fullmatch(item)
    if match is None or (match[3] and match[1] != "conv"):
        raise NetworkError(
            "write a number of neurons from 1, such as 8, or one of conv3, conv3b and mean4"
        )
    return Layer(match[1], layer_size(int(match[2])), match[3])


def _readings(maps: Sequence[ParameterMap], shape: Shape) -> Iterator[list[tuple[Shape, Layer]]]:
    """Every way to write maps as layers after an input of the given shape."""
    if not maps:
        yield []
        return
    for layer in _candidates(maps[0], shape):
        if _same(layer.parameters(shape), maps[0]):
            for rest in _readings(maps[1:], layer.outputs(shape)):
                yield [(shape, layer), *rest]


def _candidates(parameters: ParameterMap, shape: Shape) -> Iterator[Layer]:
    """Layers for inputs of a shape with as many outputs and parameters as the map has, dense
    first."""
    n_outputs, n_parameters = parameters.n_outputs, parameters.n_parameters
    if n_parameters == parameters.index.size:
        yield Layer("", n_outputs)
    for size in range(1, min(shape) + 1 if len(shape) == 2 else 1):
        for layer, count in (
            (Layer("conv", size), size**2),
            (Layer("conv", size, "b"), size**2 + 1),
            (Layer("mean", size), 0),
        ):
            fits = layer.prefix == "conv" or not any(side % size for side in shape)
            if fits and count == n_parameters and math.prod(layer.outputs(shape)) == n_outputs:
                yield layer


def _images(n_inputs: int) -> list[tuple[int, int]]:
    """Heights and widths of images with as many pixels, the squarest first."""
    sides = [side for side in range(1, math.isqrt(n_inputs) + 1) if n_inputs % side == 0]
    shapes = {
        shape for side in sides for shape in ((side, n_inputs // side), (n_inputs // side, side))
    }
    return sorted(shapes, key=lambda shape: (abs(shape[0] - shape[1]), shape))


def _same(one: ParameterMap, other: ParameterMap) -> bool:
    return np.array_equal(one.index, other.index) and np.array_equal(one.fixed, other.fixed)
