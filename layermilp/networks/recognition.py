"""Layers of model files that hold maps alone, without a word on what they are: versions 1 and 2."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer, Shape, Tied
from layermilp.networks.parameters import ParameterMap


def recognized(maps: Sequence[ParameterMap]) -> list[Layer]:
    """Return layers with the given maps.

    Of several readings in the notation of networks the one with dense layers is taken, then the one
    with the squarest image; where there is none, layers that are not dense are `Tied`.
    """
    n_inputs = maps[0].n_inputs
    for shape in [(n_inputs,), *_images(n_inputs)]:
        layers: list[Layer] = []
        for parameters in maps:
            found = _first_same(parameters, _plain(parameters, shape))
            if found is None:
                break
            layers.append(found)
            shape = found.outputs
        else:
            return layers
    return [_first_same(parameters, _dense(parameters)) or Tied(parameters) for parameters in maps]


def _first_same(parameters: ParameterMap, layers: Iterable[Layer]) -> Layer | None:
    """Return the first layer that has the map."""
    fitting = (layer for layer in layers if layer.n_outputs == parameters.n_outputs)
    return next((layer for layer in fitting if layer.parameters.is_same(parameters)), None)


def _dense(parameters: ParameterMap) -> Iterator[Layer]:
    """Dense layers with as many parameters as a map."""
    n, d = parameters.n_outputs, parameters.n_inputs
    return (
        Dense(d, n, bias) for bias in (True, False) if parameters.n_parameters == n * (d + bias)
    )


def _plain(parameters: ParameterMap, shape: Shape) -> Iterator[Layer]:
    """Layers of the notation for samples of a shape, with as many parameters as a map."""
    yield from (layer for layer in _dense(parameters) if layer.item)
    if len(shape) == 1 or math.prod(shape) != parameters.n_inputs:
        return
    _, height, width = shape
    n_parameters = parameters.n_parameters
    for size in range(1, min(height, width) + 1):
        if n_parameters in (size**2, size**2 + 1):
            yield Conv2d.plain(height, width, size, bias=n_parameters > size**2)
        if n_parameters == 0 and height % size == width % size == 0:
            yield AveragePool2d.plain(height, width, size)


def _images(n_inputs: int) -> list[Shape]:
    """Shapes of images with as many pixels, the squarest first."""
    heights = (side for side in range(1, n_inputs + 1) if n_inputs % side == 0)
    shapes = [(1, height, n_inputs // height) for height in heights]
    return sorted(shapes, key=lambda shape: (abs(shape[1] - shape[2]), shape))
