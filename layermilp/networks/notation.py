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

from layermilp.errors import NetworkError
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer, Shape
from layermilp.networks.parameters import check_size, layer_size

_INPUT = re.compile("([0-9]{1,18})(?:x([0-9]{1,18}))?")
_LAYER = re.compile("(conv|mean|)([0-9]{1,18})(b?)")


def parse(text: str) -> list[Layer]:
    """Return the layers of a network given in the notation; raise `NetworkError` if nothing is to
    be trained, or an item, which it names, is not understood or does not fit the one before."""
    first, *items = text.split("-")
    with _naming(text, first):
        shape = _input(first)
    if not items:
        raise NetworkError(
            f"net {text!r} has no layers; write inputs, hidden layers and outputs, such as 784-8-10"
        )
    check_size(len(items), 0)
    layers: list[Layer] = []
    for item in items:
        with _naming(text, item):
            layers.append(_layer(item, shape))
            check_size(len(items), sum((layer.n_inputs + 1) * layer.n_outputs for layer in layers))
            shape = layers[-1].outputs
    if all(isinstance(layer, AveragePool2d) for layer in layers):
        raise NetworkError(f"net {text!r} has nothing to train; add a layer, such as {text}-10")
    return layers


def written(layers: Sequence[Layer]) -> str:
    """Return the notation of a network; the sizes of its layers alone where an item is missing or
    does not fit the one before."""
    shapes = [layers[0].inputs, *(layer.outputs for layer in layers)]
    items = [layer.item for layer in layers if layer.item is not None]
    fits = all(
        isinstance(layer, Dense) or layer.inputs == shape
        for layer, shape in zip(layers, shapes, strict=False)
    )
    if len(items) < len(layers) or not fits:
        items = [str(layer.n_outputs) for layer in layers]
        return "-".join([str(layers[0].n_inputs), *items])
    return "-".join(["x".join(map(str, shapes[0][-2:])), *items])


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
    sides = tuple(layer_size(int(side)) for side in match.groups() if side)
    return sides if len(sides) == 1 else (1, *sides)


def _layer(item: str, shape: Shape) -> Layer:
    """Return the layer of an item for samples of a shape."""
    match = _LAYER.fullmatch(item)
    if match is None or (match[3] and match[1] != "conv"):
        raise NetworkError(
            "write a number of neurons from 1, such as 8, or one of conv3, conv3b and mean4"
        )
    size = layer_size(int(match[2]))
    if not match[1]:
        return Dense(math.prod(shape), size)
    if len(shape) == 1:
        raise NetworkError(
            "conv and mean take an image; begin with one, such as 28x28, and put dense layers last"
        )
    _, height, width = shape
    if match[1] == "mean":
        return AveragePool2d.plain(height, width, size)
    return Conv2d.plain(height, width, size, bias=bool(match[3]))
