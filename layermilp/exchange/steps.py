"""Networks as steps of other tools: linear layers, ReLUs, changes of shape; and what all formats
require.

`to_network` makes a block of each linear layer and the ReLU behind it, `to_steps` does the reverse.
Values go from step to step in row-major order, channels before rows before columns."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from layermilp.errors import NetworkError, PackageNotAvailable
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer, Shape, Tied
from layermilp.networks.network import Block, Network
from layermilp.networks.parameters import ParameterMap, layer_size
from layermilp.networks.windows import Window
from layermilp.program import FloatArray, IntArray

DTYPES = ("float64", "float32")
"""Types that weights are written in."""

LARGEST = 2**26
"""Largest number of entries of the weight matrices that are made from fewer numbers: 1.6 GB."""


@dataclass(frozen=True)
class Relu:
    """``max(x, 0)``."""

    name: str = "relu"


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape, of which one side may be -1, which stands for what is left,
    and 0 for the side before."""

    sides: Shape
    name: str = "reshape"

    def outputs(self, shape: Shape) -> Shape:
        """Return the new shape of samples of a shape."""
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


FLAT = Reshape((-1,), "flatten")


@dataclass(frozen=True, eq=False)
class Linear:
    """What makes the layer for samples of a shape, with its weights and offset as in
    `Layer.arrays`, if it has any. Without `inputs` samples are images of any shape."""

    name: str
    of: Callable[[Any], Layer]
    weights: FloatArray | None = None
    offset: FloatArray | None = None
    inputs: Shape | None = None

    def layer(self, shape: Shape) -> Layer:
        """Return the layer for samples of a shape."""
        if self.inputs is None and len(shape) != 3:
            raise NetworkError(
                f"{self.name} takes images, but gets samples of shape {shape}; give the shape of "
                "an image, such as 28x28"
            )
        if self.inputs not in (None, shape):
            raise NetworkError(
                f"{self.name} takes samples of shape {self.inputs}, but gets {shape}"
            )
        return self.of(shape)

    def theta(self, layer: Layer) -> FloatArray:
        """Return the parameters of the layer."""
        return np.zeros(0) if self.weights is None else layer.theta(self.weights, self.offset)


Step = Linear | Relu | Reshape


def dense(name: str, weights: FloatArray, offset: FloatArray | None = None) -> Linear:
    """Return ``W x + c`` with weights of shape ``(n, d)``, and an offset of shape ``(n,)`` or
    none."""
    n, d = weights.shape
    return Linear(name, lambda shape: Dense(d, n, offset is not None), weights, offset, (d,))


def convolution(
    name: str, kernels: FloatArray, offset: FloatArray | None, window: Window, groups: int = 1
) -> Linear:
    """Return a convolution with kernels of shape ``(maps, channels of a group, height, width)``,
    and an offset of shape ``(maps,)`` or none."""

    def of(image: tuple[int, int, int]) -> Layer:
        if kernels.shape[1] * groups != image[0]:
            raise NetworkError(
                f"{name} has kernels of shape {kernels.shape} in {groups} groups, which do not fit "
                f"images of {image[0]} channels"
            )
        return Conv2d(image, window, len(kernels), groups, offset is not None)

    return Linear(name, of, kernels, offset)


def mean(name: str, window: Window | None = None, count_include_pad: bool = False) -> Linear:
    """Return mean values of the pixels in a window, channel by channel; without a window those of
    whole images."""

    def of(image: tuple[int, int, int]) -> Layer:
        whole = Window(image[1:], image[1:])
        return AveragePool2d(image, window or whole, count_include_pad)

    return Linear(name, of)


def tied(name: str, index: IntArray, values: FloatArray) -> Linear:
    """Return ``W x + c`` whose entries are entries of `values`, by an index of shape ``(n, d +
    1)``; what is counted from the end, by a negative number, is fixed."""
    if index.min() < -len(values) or index.max() >= len(values):
        raise NetworkError(f"{name} takes entries of {len(values)} values that are not there")
    extended = values[index]
    used, numbers = np.unique(index, return_inverse=True)
    numbers = np.maximum(numbers.reshape(index.shape) - np.count_nonzero(used < 0), -1)
    layer = Tied(ParameterMap.of_weights(numbers, extended))
    return Linear(name, lambda shape: layer, extended[:, :-1], extended[:, -1], layer.inputs)


def to_network(
    given: Iterable[Step | None],
    shape: Shape | None,
    classes: ArrayLike | None = None,
    decision: str | None = None,
) -> Network:
    """Return the network of steps for samples of a shape.

    Mean values need no ReLU behind them where their inputs are those of a ReLU, which it would
    leave as they are.

    Parameters
    ----------
    given : iterable of Step
        First to last; None does nothing.
    shape : tuple of int or None
        Shape of a sample; None for that which the first steps take.
    classes, decision
        As in `import_model`.

    Raises
    ------
    NetworkError
        If a step does not fit the one before, a ReLU is missing, there is no linear layer, nothing
        says the shape of a sample, or the matrices are too large.
    """
    steps = [step for step in given if step is not None]
    shape = shape or _first_shape(steps)
    blocks: list[Block] = []
    entries, waiting = 0, None  # for its ReLU
    for step in steps:
        if isinstance(step, Reshape):
            shape = step.outputs(shape)
        elif isinstance(step, Relu):
            if not blocks:
                raise NetworkError(
                    f"{step.name} is put on the inputs; a network begins with a linear layer"
                )
            waiting = None
        else:
            if waiting is not None:
                _require_signs_kept(blocks, waiting, step)
            layer = step.layer(shape)
            entries += layer.n_outputs * (layer.n_inputs + 1)
            entries -= sum(array.size for array in (step.weights, step.offset) if array is not None)
            if entries > LARGEST:
                raise NetworkError(
                    f"the network is too large: written out as matrices, weights and their ties up "
                    f"to {step.name} take {24 * entries / 1e9:.1f} GB, and "
                    f"{24 * LARGEST / 1e9:.1f} GB are the limit"
                )
            blocks.append(Block(layer, step.theta(layer)))
            shape, waiting = layer.outputs, step.name
    if decision is None:
        decision = "closest_to_one" if waiting is None else "argmax"
    return Network(blocks, classes, decision)


def _require_signs_kept(blocks: Sequence[Block], waiting: str, following: Linear) -> None:
    """Refuse two linear layers without a ReLU between that would change something."""
    keeps_signs = blocks[-1].theta.size == 0 and np.all(blocks[-1].extended >= 0.0)
    if keeps_signs and len(blocks) > 1:
        return
    reason = "and a block cannot be without"
    if keeps_signs:
        reason = "which changes nothing if no input is negative: then add one"
    raise NetworkError(
        f"{waiting} and {following.name} follow each other; there is no ReLU between them, {reason}"
    )


def to_steps(
    network: Network, takes_image: Callable[[Layer], bool]
) -> Iterator[tuple[str, Block | Relu | Reshape]]:
    """Yield the steps of a network with their names, blocks without their ReLUs.

    Samples are rows of values, and so is what each layer takes and gives, but for those of which
    `takes_image` says that they take and give images."""
    shape: Shape = (network.n_inputs,)
    for i, block in enumerate(network.blocks, start=1):
        has_image = takes_image(block.layer)
        wanted = block.layer.inputs if has_image else (block.n_inputs,)
        if shape != wanted:
            yield ("reshape", Reshape(wanted)) if len(wanted) == 3 else ("flatten", FLAT)
        yield f"block{i}", block
        shape = block.layer.outputs if has_image else (block.n_outputs,)
        if i < len(network.blocks) or network.decision == "closest_to_one":
            yield f"relu{i}", Relu()
    if len(shape) == 3:
        yield "flatten", FLAT


def is_plain_pool(layer: Layer) -> bool:
    """Whether a layer is of mean values that every tool computes: without padding and
    dilations."""
    return isinstance(layer, AveragePool2d) and layer.window == Window(
        layer.window.size, layer.window.strides
    )


def _first_shape(steps: Iterable[Step]) -> Shape:
    """Return the shape of a sample that the first steps take."""
    for step in steps:
        if isinstance(step, Linear) and step.inputs is not None:
            return step.inputs
        if isinstance(step, Reshape) and min(step.sides, default=0) > 0:
            return (math.prod(step.sides),)
        if not isinstance(step, Reshape):
            break
    raise NetworkError(
        "nothing says the shape of a sample; give it as image, such as (1, 28, 28), or (28, 28) "
        "for one channel"
    )


def image_shape(image: Sequence[int] | None) -> Shape | None:
    """Return ``(channels, height, width)`` of an image, which may be without channels, or None."""
    if image is None:
        return None
    sides = tuple(layer_size(side) for side in image)
    if len(sides) not in (2, 3):
        raise NetworkError(
            f"image is {tuple(image)}; give channels, height and width, or height and width"
        )
    return (1, *sides)[-3:]


def require_package(module: str, extra: str) -> Any:
    """Return a module; raise `PackageNotAvailable` if it is not installed, with the extra that
    brings it."""
    if importlib.util.find_spec(module) is None:
        raise PackageNotAvailable(
            f"the package {module} is not installed; `pip install 'layermilp[{extra}]'` brings it"
        )
    return importlib.import_module(module)


def require_dtype(dtype: str) -> str:
    """Return the name of a type if weights are written in it."""
    if dtype not in DTYPES:
        raise NetworkError(f"dtype {dtype!r} is unknown; choose {', '.join(DTYPES)}")
    return dtype


def as_type(name: str, values: FloatArray, dtype: DTypeLike) -> NDArray[Any]:
    """Return weights in a type; `NetworkError` names the first that is beyond it."""
    with np.errstate(over="ignore"):
        found = np.array(values, dtype=dtype)
    if not np.all(np.isfinite(found)):
        raise NetworkError(
            f"{name} has the value {np.abs(values).max():g}, which is beyond {np.dtype(dtype)}; "
            "use float64"
        )
    return found


def require_network(model: Any) -> Network:
    """Return a model if it is a single network of ReLU blocks."""
    if isinstance(model, Network):
        return model
    hint = "; export its members, `committee.networks`, one by one"
    raise NetworkError(
        f"{type(model).__name__} cannot be exported, only networks of ReLU blocks"
        f"{hint if hasattr(model, 'networks') else ''}"
    )
