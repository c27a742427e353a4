"""Layers: the affine part ``W x + c`` of a block, and which entries of ``(W, c)`` are free, tied or
fixed.

A sample is a vector of shape ``(values,)``, or an image of shape ``(channels, height, width)``,
whose values are numbered by channel, then row, then column.

To add a layer, subclass `Layer` and put the class into `KINDS`."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from layermilp.errors import NetworkError
from layermilp.networks.parameters import ParameterMap, layer_size
from layermilp.networks.windows import Window
from layermilp.program import FloatArray, IntArray

Shape = tuple[int, ...]
"""Shape of a sample: ``(values,)``, or ``(channels, height, width)`` of an image."""


class Layer(ABC):
    """The affine part of a block: shapes of samples, and the map from parameters to weights."""

    @abstractmethod
    def _shapes(self) -> tuple[Shape, Shape]:
        """Return the shapes of a sample of inputs and of outputs."""

    @abstractmethod
    def _map(self) -> ParameterMap:
        """Return the map from the parameters to the weights."""

    @property
    def inputs(self) -> Shape:
        """Shape of a sample of inputs."""
        return self._shapes()[0]

    @property
    def outputs(self) -> Shape:
        """Shape of a sample of outputs."""
        return self._shapes()[1]

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return math.prod(self.inputs)

    @property
    def n_outputs(self) -> int:
        """Number of neurons."""
        return math.prod(self.outputs)

    @property
    def item(self) -> str | None:
        """Item of the layer in the notation of networks; None if there is none."""
        return None

    @property
    def text(self) -> str:
        """Name and fields as JSON, which `described` reads."""
        # The ties of a `Tied` layer are arrays of their own.
        fields = {} if isinstance(self, Tied) else asdict(self)  # type: ignore[call-overload]
        return json.dumps([type(self).__name__, fields])

    @cached_property
    def parameters(self) -> ParameterMap:
        """Map from the parameters to the weights."""
        return self._map()

    def arrays(self, theta: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Weights and offset of parameters, in the shapes that PyTorch gives them; no offset where
        it is fixed at zero."""
        extended, is_free = self.parameters.expand(theta), self.parameters.index[:, -1] >= 0
        has_offset = np.any(is_free) or np.any(extended[:, -1])
        return extended[:, :-1], extended[:, -1] if has_offset else None

    def theta(self, weights: FloatArray, offset: FloatArray | None) -> FloatArray:
        """Parameters, shape ``(p,)``, of weights and offset as from `arrays`."""
        last = np.zeros(self.n_outputs) if offset is None else offset
        return self.parameters.collect(np.column_stack([weights, last]))


@dataclass(frozen=True)
class Dense(Layer):
    """Fully connected layer of `in_features` inputs and `out_features` neurons, each at least 1.

    Its offset is free, or zero without `bias`."""

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        _check_sizes(self, "in_features", "out_features")

    def _shapes(self) -> tuple[Shape, Shape]:
        return (self.in_features,), (self.out_features,)

    @property
    def item(self) -> str | None:
        """Number of neurons; None without a free offset."""
        return str(self.out_features) if self.bias else None

    def _map(self) -> ParameterMap:
        n, used = self.out_features, self.in_features + self.bias
        index = np.full((n, self.in_features + 1), -1)
        index[:, :used] = np.arange(n * used).reshape(n, used)
        return ParameterMap(index, np.zeros(index.shape))


@dataclass(frozen=True)
class _WindowLayer(Layer):
    """A layer of windows that slide over an image."""

    image: tuple[int, int, int]
    window: Window

    def __post_init__(self) -> None:
        if len(self.image) != 3:
            raise NetworkError(f"image is {self.image}; give channels, height and width")
        object.__setattr__(self, "image", tuple(map(layer_size, self.image)))
        _check_sizes(self)

    def _shapes(self) -> tuple[Shape, Shape]:
        return self.image, (self.image[0], *self.window.positions(*self.image[1:]))

    def _entries(self, channel: IntArray, out_channel: IntArray) -> tuple[IntArray, ...]:
        """Rows and columns of the weights that join pairs of channels, shape ``(pairs, meetings)``,
        and the number of the window's entry at each meeting."""
        position, entry, pixel = self.window.meetings(*self.image[1:])
        rows = np.add.outer(out_channel * math.prod(self.outputs[1:]), position)
        return rows, np.add.outer(channel * math.prod(self.image[1:]), pixel), entry


@dataclass(frozen=True)
class Conv2d(_WindowLayer):
    """Convolution: kernels that slide over an image.

    Parameters are the entries of the kernels, shape ``(out_channels, channels / groups, rows,
    columns)``, and then the offsets. Entries that are on padding at every position are left out.

    Parameters
    ----------
    image : (int, int, int)
        Channels, height and width of the inputs.
    window : Window
        Size of the kernels, strides, padding with zeros, dilations.
    out_channels : int
        Number of kernels, at least 1.
    groups : int
        Number of groups of channels, of which each kernel sees one; divides both numbers of
        channels.
    bias : bool
        Whether there is a free offset for each kernel; otherwise it is zero.
    """

    out_channels: int = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes(self, "out_channels", "groups")
        if self.image[0] % self.groups or self.out_channels % self.groups:
            raise NetworkError(
                f"{self.out_channels} kernels in {self.groups} groups do not fit images of "
                f"{self.image[0]} channels"
            )

    @classmethod
    def plain(cls, height: int, width: int, kernel: int, *, bias: bool = False) -> Conv2d:
        """Valid convolution of one channel with one square kernel of side `k`, as in the notation.

        Parameter ``k * p + q`` multiplies the pixel `p` rows below and `q` columns right of the
        neuron's upper left pixel; parameter ``k * k`` is the offset, where that is free.
        """
        height, width, kernel = map(layer_size, (height, width, kernel))
        if kernel > min(height, width):
            raise NetworkError(
                f"a kernel of {kernel} x {kernel} does not fit an image of {height} x {width}; "
                f"choose at most {min(height, width)}"
            )
        return cls((1, height, width), Window((kernel, kernel)), bias=bias)

    @property
    def item(self) -> str | None:
        """``conv3`` or ``conv3b`` of a `plain` convolution."""
        size = self.window.size[0]
        is_plain = self == Conv2d((1, *self.image[1:]), Window((size, size)), bias=self.bias)
        return f"conv{size}{'b' * self.bias}" if is_plain else None

    @property
    def kernels(self) -> tuple[int, int, int, int]:
        """Shape of the kernels."""
        return self.out_channels, self.image[0] // self.groups, *self.window.size

    def _shapes(self) -> tuple[Shape, Shape]:
        inputs, (_, *positions) = super()._shapes()
        return inputs, (self.out_channels, *positions)

    @cached_property
    def _used(self) -> IntArray:
        """Numbers of the entries of a kernel that are on a pixel at some position, ascending."""
        return np.unique(self.window.meetings(*self.image[1:])[1])

    def _map(self) -> ParameterMap:
        k, j = map(np.ravel, np.indices(self.kernels[:2]))  # kernel, channel of its group
        group = k // (self.out_channels // self.groups)
        rows, columns, entry = self._entries(group * self.kernels[1] + j, k)
        index = np.full((self.n_outputs, self.n_inputs + 1), -1)
        numbers = np.searchsorted(self._used, entry)
        index[rows, columns] = np.add.outer(np.arange(k.size) * self._used.size, numbers)
        if self.bias:
            offsets = np.arange(self.out_channels) + k.size * self._used.size
            index[:, -1] = np.repeat(offsets, self.n_outputs // self.out_channels)
        return ParameterMap(index, np.zeros(index.shape))

    def arrays(self, theta: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Kernels, zero where an entry is no parameter, and offset or None, see `Layer.arrays`."""
        n_free = theta.size - self.out_channels * self.bias
        kernels = np.zeros((*self.kernels[:2], math.prod(self.window.size)))
        kernels[:, :, self._used] = theta[:n_free].reshape(*self.kernels[:2], -1)
        return kernels.reshape(self.kernels), theta[n_free:] if self.bias else None

    def theta(self, weights: FloatArray, offset: FloatArray | None) -> FloatArray:
        """Parameters, shape ``(p,)``, of kernels and offset."""
        free = weights.reshape(*self.kernels[:2], -1)[:, :, self._used]
        return np.append(free, [] if offset is None else offset)


@dataclass(frozen=True)
class AveragePool2d(_WindowLayer):
    """Mean values of the pixels in windows, channel by channel: nothing is free.

    Parameters
    ----------
    image, window
        As in `Conv2d`.
    count_include_pad : bool
        Whether padding counts as pixels of zero; otherwise it is left out of the mean.
    """

    count_include_pad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = bool(self.count_include_pad and any(self.window.padding))
        object.__setattr__(self, "count_include_pad", counts)

    @classmethod
    def plain(cls, height: int, width: int, size: int) -> AveragePool2d:
        """Mean values of disjoint square regions of one channel, as in the notation; height and
        width are multiples of their side."""
        height, width, size = map(layer_size, (height, width, size))
        if height % size or width % size:
            raise NetworkError(
                f"regions of {size} x {size} do not fit an image of {height} x {width}; choose a "
                "common divisor of height and width"
            )
        return cls((1, height, width), Window((size, size), (size, size)))

    @property
    def item(self) -> str | None:
        """``mean4`` of `plain` regions."""
        size = self.window.size[0]
        is_plain = self == AveragePool2d((1, *self.image[1:]), Window((size, size), (size, size)))
        return f"mean{size}" if is_plain and not any(s % size for s in self.image[1:]) else None

    def _map(self) -> ParameterMap:
        channels = np.arange(self.image[0])
        rows, columns, _ = self._entries(channels, channels)
        counts = np.bincount(rows[0], minlength=self.n_outputs)
        n_pixels = math.prod(self.window.size) if self.count_include_pad else counts[rows[0]]
        fixed = np.zeros((self.n_outputs, self.n_inputs + 1))
        fixed[rows, columns] = 1.0 / n_pixels
        return ParameterMap(np.full(fixed.shape, -1), fixed)


@dataclass(frozen=True)
class Tied(Layer):
    """Layer of any ties and fixed values, which its map says."""

    ties: ParameterMap

    def _shapes(self) -> tuple[Shape, Shape]:
        return (self.ties.n_inputs,), (self.ties.n_outputs,)

    def _map(self) -> ParameterMap:
        return self.ties


KINDS = {kind.__name__: kind for kind in (Dense, Conv2d, AveragePool2d)}
"""Layers that are described by their fields alone, by name."""


def described(text: str, ties: ParameterMap) -> Layer:
    """Return the layer that a text says a map is of, see `Layer.text`; raise `NetworkError` if it
    has another map. Wrong texts raise KeyError, TypeError, ValueError or the like."""
    kind, fields = json.loads(text)
    if kind == Tied.__name__:
        return Tied(ties)
    if "window" in fields:
        fields["window"] = Window(**fields["window"])
    layer: Layer = KINDS[kind](**fields)
    # Sizes are compared first: a map of other sizes may not fit into the memory.
    is_same = (layer.n_outputs, layer.n_inputs) == (ties.n_outputs, ties.n_inputs)
    if not is_same or not layer.parameters.is_same(ties):
        raise NetworkError(f"ties and fixed weights are not those of {layer}")
    return layer


def _check_sizes(layer: Layer, *names: str) -> None:
    """Check that the named fields are sizes, and that 32 bits can number the entries of ``(W, c)``,
    as model files do."""
    for name in names:
        object.__setattr__(layer, name, layer_size(getattr(layer, name)))
    if layer.n_outputs * (layer.n_inputs + 1) > np.iinfo(np.int32).max:
        raise NetworkError(
            f"a layer of {layer.n_inputs} inputs and {layer.n_outputs} outputs is too large; "
            "2^31 - 1 weights are the limit"
        )
