"""Mappings of names to arrays, as the ``state_dict`` of a PyTorch `Sequential` is, without
PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.errors import NetworkError
from layermilp.exchange.steps import (
    DTYPES,
    FLAT,
    Relu,
    Reshape,
    Step,
    as_type,
    convolution,
    dense,
    image_shape,
    is_plain_pool,
    require_dtype,
    require_network,
    to_network,
    to_steps,
)
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer
from layermilp.networks.network import Block, Network
from layermilp.networks.windows import Window
from layermilp.program import FloatArray

PARTS = ("weight", "bias")
"""Last parts of the names of the arrays of a layer."""

Weights = list[tuple[str, FloatArray, FloatArray | None]]
"""Name, weight and bias of each layer."""


def to_state_dict(
    network: Network, *, like: Mapping[str, Any] | None = None, dtype: str = "float64"
) -> dict[str, NDArray[Any]]:
    """Return the weights of a network in the names of the ``state_dict`` of `to_torch`, such as
    ``0.weight``.

    Parameters
    ----------
    network : Network
        The network.
    like : mapping of str to array or tensor, optional
        The ``state_dict`` that the network was made from: names and shapes are those of this one,
        so that convolutions of several channels and maps return to their module after training.
    dtype : {"float64", "float32"}
        Type of the arrays.

    Returns
    -------
    dict of str to array
        In the order of the layers. ``weight`` has shape ``(n, d)`` for a dense layer and ``(maps,
        channels of a group, rows, columns)`` for a convolution; ``bias`` is there where a layer has
        a free one. Means have nothing.

    Raises
    ------
    NetworkError
        If it is no network of ReLU blocks, the type is unknown, a weight is beyond it, or the
        weights are not as many as those of `like`.
    """
    require_dtype(dtype)
    if like is not None:
        found = dict(_like(require_network(network), like))
    else:
        found = {
            f"{number}.{part}": array
            for number, step in enumerate(modules(network))
            if isinstance(step, Block) and step.theta.size
            for part, array in zip(PARTS, step.layer.arrays(step.theta), strict=True)
            if array is not None
        }
    return {name: as_type(name, array, dtype) for name, array in found.items()}


def from_state_dict(
    mapping: Mapping[str, Any],
    *,
    image: Sequence[int] | None = None,
    net: str | None = None,
    strides: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    classes: ArrayLike | None = None,
    decision: str = "argmax",
) -> Network:
    """Return the network whose weights are those of a PyTorch ``state_dict``, with ReLUs between
    the layers.

    Parameters
    ----------
    mapping : mapping of str to array or tensor
        Names that end with ``weight`` or ``bias``, in the order of the layers: `Linear` layers,
        whose weights have two dimensions, and `Conv2d` layers, whose weights have four. Groups
        follow from the number of channels.
    image
        As in `import_model`; needed where a `Conv2d` comes first.
    net : str, optional
        Network in the notation of `layermilp.networks.notation`, whose weights they are; for
        networks with means, which have none.
    strides, padding : int or sequence of int
        Strides and padding of every `Conv2d`, or of each in their order; not with `net`.
    classes, decision
        As in `Network`; "closest_to_one" puts a ReLU at the end.

    Raises
    ------
    NetworkError
        If there are other arrays, or they do not fit together, the image or the net; the message
        names them.
    """
    weights = _weights(mapping)
    if net is not None:
        return Network(_filled(net, weights), classes, decision)
    steps = _steps(weights, image, strides, padding)
    return to_network(steps, image_shape(image), classes, decision)


def modules(network: Network) -> Iterator[Block | Relu | Reshape]:
    """Yield the step of each module of a network; blocks that PyTorch has no module for become
    dense."""
    for _, step in to_steps(require_network(network), _has_images):
        if not isinstance(step, Block) or isinstance(step.layer, Dense) or _has_images(step.layer):
            yield step
        else:
            yield Block(Dense(step.n_inputs, step.n_outputs), step.extended.reshape(-1))


def _has_images(layer: Layer) -> bool:
    """Whether PyTorch has a module of images for a layer."""
    if isinstance(layer, Conv2d):
        return layer.window.padding[:2] == layer.window.padding[2:]
    return is_plain_pool(layer)


def _like(network: Network, like: Mapping[str, Any]) -> Iterator[tuple[str, FloatArray]]:
    """Weights of the blocks that have parameters, in the names and shapes of a mapping."""
    blocks, layers = [block for block in network.blocks if block.theta.size], _weights(like)
    if len(blocks) != len(layers):
        raise NetworkError(
            f"{network} has {len(blocks)} layers with weights, but what it shall be like has "
            f"{len(layers)}"
        )
    for block, (name, weight, bias) in zip(blocks, layers, strict=True):
        prefix = f"{name}." if name else ""
        size = 0 if bias is None else bias.size
        has_place = bias is not None or not block.bias.any()
        if weight.ndim == 2 and block.weights.shape == weight.shape and has_place:
            weights, offset = block.weights, block.bias
        elif weight.ndim == 4 and block.theta.size == weight.size + size:
            weights, offset = np.split(block.theta, [weight.size])
            weights = weights.reshape(weight.shape)
        else:
            raise NetworkError(
                f"a layer of {block.theta.size} parameters is not like {name[:60]!r} of shape "
                f"{weight.shape}"
            )
        yield f"{prefix}weight", weights
        if bias is not None:
            yield f"{prefix}bias", offset


def _weights(mapping: Mapping[str, Any]) -> Weights:
    """Return the arrays of each layer, in the order of the mapping."""
    layers: dict[str, dict[str, FloatArray]] = {}
    for name, value in mapping.items():
        prefix, _, part = str(name).rpartition(".")
        if part not in PARTS:
            raise NetworkError(
                f"{str(name)[:60]!r} is neither a weight nor a bias; Linear and Conv2d layers "
                "have no others"
            )
        layers.setdefault(prefix, {})[part] = as_float64(name, value)
    found: Weights = []
    for prefix, parts in layers.items():
        weight, bias = parts.get("weight"), parts.get("bias")
        is_layer = weight is not None and weight.ndim in (2, 4) and weight.size > 0
        if weight is None or not is_layer or (bias is not None and bias.shape != weight.shape[:1]):
            shapes = ", ".join(f"{part} of shape {array.shape}" for part, array in parts.items())
            raise NetworkError(
                f"{prefix[:60]!r} has {shapes}; it is neither a Linear nor a Conv2d layer"
            )
        found.append((prefix, weight, bias))
    if not found:
        raise NetworkError("there are no weights")
    return found


def as_float64(name: str, value: Any) -> FloatArray:
    """Return an array or tensor as float64."""
    kind = str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")
    if kind not in DTYPES:
        raise NetworkError(
            f"{str(name)[:60]!r} is of type {kind}; float32 and float64 are supported"
        )
    array = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    return np.array(array, dtype=np.float64)


def _steps(
    weights: Weights,
    image: Sequence[int] | None,
    strides: int | Sequence[int],
    padding: int | Sequence[int],
) -> Iterator[Step]:
    """Steps of a ``state_dict``, with ReLUs between the layers."""
    count = sum(weight.ndim == 4 for _, weight, _ in weights)
    windows = zip(_each("strides", strides, count), _each("padding", padding, count), strict=True)
    channels = (image_shape(image) or (0,))[0]
    for i, (name, weight, bias) in enumerate(weights):
        if i:
            yield Relu()
        if weight.ndim == 2:
            yield FLAT
            yield dense(f"Linear {name[:60]!r}", weight, bias)
            continue
        stride, pad = next(windows)
        window = Window(weight.shape[2:], (stride, stride), (pad, pad, pad, pad))
        groups = max(channels // weight.shape[1], 1)
        yield convolution(f"Conv2d {name[:60]!r}", weight, bias, window, groups)
        channels = len(weight)


def _each(what: str, value: int | Sequence[int], count: int) -> list[int]:
    """Return a number for each convolution."""
    found = [value] * count if isinstance(value, int) else list(value)
    if len(found) != count or not all(isinstance(number, int) for number in found):
        raise NetworkError(
            f"{what} is {value}; give one whole number, or one for each of the {count} Conv2d "
            "layers"
        )
    return found


def _filled(net: str, weights: Weights) -> list[Block]:
    """Return the blocks of a net with other weights."""
    blocks = list(Network.from_notation(net).blocks)
    places = [i for i, block in enumerate(blocks) if not isinstance(block.layer, AveragePool2d)]
    if len(places) != len(weights):
        raise NetworkError(
            f"there are weights of {len(weights)} layers, but net {net!r} has {len(places)} "
            "layers with weights"
        )
    for i, (name, weight, bias) in zip(places, weights, strict=True):
        wanted, offset = blocks[i].layer.arrays(blocks[i].theta)
        if weight.shape != wanted.shape or (bias is None) != (offset is None):
            raise NetworkError(
                f"net {net!r} has weights of shape {wanted.shape} and "
                f"{'no bias' if offset is None else 'a bias'} where {name[:60]!r} has shape "
                f"{weight.shape} and {'no bias' if bias is None else 'a bias'}"
            )
        blocks[i] = blocks[i].with_theta(blocks[i].layer.theta(weight, bias))
    return blocks
