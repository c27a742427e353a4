"""Reads ONNX graphs that are chains of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layermilp.errors import ModelFileError, NetworkError
from layermilp.exchange.layers import (
    FLAT,
    LARGEST,
    Convolution,
    Dense,
    Layer,
    Mean,
    Relu,
    Reshape,
    Shape,
    Tied,
)
from layermilp.exchange.networks import first_shape, image_shape
from layermilp.networks.windows import Window
from layermilp.program import FloatArray, IntArray

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7
"""From this one on the nodes that are read mean what they mean today."""


@dataclass(frozen=True, eq=False)
class _Constant:
    """An array of a graph; where it was gathered from a vector, with the numbers of its entries in
    it."""

    array: NDArray[Any]
    index: IntArray | None = None
    values: NDArray[Any] | None = None


@dataclass(eq=False)
class _Cursor:
    """The nodes from input to output, and which comes next."""

    nodes: list[Any]
    at: int = 0

    def take(self, *ops: str) -> Any:
        """Return the next node and go on, or None if it is none of the named ones (any, if none is
        named)."""
        if self.at == len(self.nodes) or (ops and self.nodes[self.at].op_type not in ops):
            return None
        self.at += 1
        return self.nodes[self.at - 1]


class Reader:
    """A graph that is read as a chain of layers."""

    def __init__(self, model: onnx.ModelProto) -> None:
        _require_opset(model)
        self.graph = model.graph
        self.constants: dict[str, _Constant] = {}
        self.used, self.most = 0, max(LARGEST, model.ByteSize())
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = {
            output: i for i, node in enumerate(self.graph.node) for output in node.output if output
        }
        self.fixed = set(self.tensors)
        for node in self.graph.node:
            if all(name in self.fixed for name in node.input if name):
                self.fixed.update(node.output)
        inputs = [value for value in self.graph.input if value.name not in self.tensors]
        if len(inputs) != 1:
            raise NetworkError(f"the model has {len(inputs)} inputs; a network has one")
        self.input = inputs[0]
        self.cursor = _Cursor(self._chain(self._output()))

    def layers(self) -> Iterator[Layer]:
        """Layers from input to output."""
        while (node := self.cursor.take()) is not None:
            handler = _HANDLERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if handler is None:
                known = ", ".join(_HANDLERS)
                raise NetworkError(
                    f"{_shown(node)} is not supported there; a network is made of {known}, and "
                    "Add after them"
                )
            layer = handler(self, node)
            if layer is not None:
                yield layer

    def input_shape(self, layers: Sequence[Layer], image: Sequence[int] | None) -> Shape:
        """Shape of a sample: the given one, else that of the graph, else what the first layer
        takes."""
        if image is not None:
            return image_shape(image)
        sides = self._sides()
        if len(sides) == 1:
            raise NetworkError(
                "the model takes one sample without a dimension for several, which is not supported"
            )
        if sides and min(sides[1:]) > 0:
            return tuple(sides[1:])
        return first_shape(layers)

    def gemm(self, node: Any) -> Layer:
        data, weight, bias = self._operands(node, 3)
        options = _attributes(node)
        if weight is None or data is not None or options.get("transA", 0):
            raise NetworkError(f"{_shown(node)} multiplies in another way than samples by weights")
        alpha, beta = (_factor(options.get(name, 1.0), node) for name in ("alpha", "beta"))
        weights, index = self._matrix(weight, node), weight.index
        if not options.get("transB", 0):
            weights, index = weights.T, None if index is None else index.T
        if bias is None:
            return Dense(weights * alpha, self._added(len(weights)), _shown(node))
        shared = weight.values is not None and weight.values is bias.values
        if shared and index is not None and bias.index is not None and alpha == beta == 1.0:
            if bias.index.shape != (len(index),):
                raise NetworkError(
                    f"{_shown(node)} adds an array of shape {bias.index.shape} to {len(index)} "
                    "outputs"
                )
            return Tied(
                np.column_stack([index, bias.index]),
                _floats(np.asarray(bias.values), node),
                _shown(node),
            )
        return Dense(weights * alpha, _offset(bias, len(weights), node) * beta, _shown(node))

    def matmul(self, node: Any) -> Layer:
        data, weight = self._operands(node, 2)
        if weight is None or data is not None:
            raise NetworkError(f"{_shown(node)} multiplies in another way than samples by weights")
        weights = self._matrix(weight, node)
        return Dense(weights.T, self._added(weights.shape[1]), _shown(node))

    def conv(self, node: Any) -> Layer:
        data, kernel, bias = self._operands(node, 3)
        if kernel is None or data is not None or kernel.array.ndim != 4 or kernel.array.size == 0:
            raise NetworkError(
                f"{_shown(node)} has no constant kernels of shape (maps, channels, height, width)"
            )
        kernels, options = _floats(kernel.array, node), _attributes(node)
        window = _window(node, options, kernels.shape[2:])
        offset = (
            self._added(len(kernels), behind=2)
            if bias is None
            else _offset(bias, len(kernels), node)
        )
        groups = int(options.get("group", 1))
        return Convolution(
            kernels, offset, window.strides, window.padding, window.dilations, groups, _shown(node)
        )

    def average_pool(self, node: Any) -> Layer:
        options = _attributes(node)
        if options.get("ceil_mode", 0):
            raise NetworkError(f"{_shown(node)} has ceil_mode, which is not supported")
        return Mean(
            _window(node, options, options["kernel_shape"]),
            bool(options.get("count_include_pad", 0)),
            _shown(node),
        )

    def global_average_pool(self, node: Any) -> Layer:
        return Mean(None, name=_shown(node))

    def reduce_mean(self, node: Any) -> Layer:
        if self._axes(node) not in ([2, 3], [-2, -1]) or not _attributes(node).get("keepdims", 1):
            raise NetworkError(
                f"{_shown(node)} is no mean over the pixels of an image that keeps its dimensions"
            )
        return Mean(None, name=_shown(node))

    def relu(self, node: Any) -> Layer:
        return Relu(_shown(node))

    def flatten(self, node: Any) -> Layer:
        if _attributes(node).get("axis", 1) != 1:
            raise NetworkError(
                f"{_shown(node)} does not keep the samples apart; its axis must be 1"
            )
        return Reshape(FLAT.sides, _shown(node))

    def reshape(self, node: Any) -> Layer:
        data, target = self._operands(node, 2)
        if data is not None or target is None or target.array.ndim != 1 or target.array.size < 2:
            raise NetworkError(f"{_shown(node)} has no constant shape of samples and their values")
        samples, *sides = _integers(target.array, node).tolist()
        sides_of_input = self._sides()
        keeps = (
            samples == 0
            or (samples == -1 and -1 not in sides)
            or (sides_of_input and 0 < sides_of_input[0] == samples)
        )
        if not keeps or (_attributes(node).get("allowzero", 0) and 0 in (samples, *sides)):
            raise NetworkError(
                f"{_shown(node)} does not keep the samples apart: its shape is {[samples, *sides]}"
            )
        # A zero stands for the side at its place, of which the first is the samples.
        return Reshape(tuple(sides), _shown(node))

    def identity(self, node: Any) -> None:
        if (
            node.op_type == "Dropout"
            and len(node.input) > 2
            and node.input[2]
            and np.any(self._constant(node.input[2]).array)
        ):
            raise NetworkError(
                f"{_shown(node)} is in training mode; export the model for evaluation"
            )

    def cast(self, node: Any) -> None:
        if _attributes(node).get("to") != self.input.type.tensor_type.elem_type:
            raise NetworkError(
                f"{_shown(node)} changes the type of the inputs, which is not supported"
            )

    def softmax(self, node: Any) -> Layer:
        if _attributes(node).get("axis", -1) not in (1, -1):
            raise NetworkError(f"{_shown(node)} is not over the outputs")
        while (following := self.cursor.take()) is not None:
            if following.op_type not in ("Identity", "Cast"):
                raise NetworkError(
                    f"{_shown(node)} is supported only at the end of a network, not before "
                    f"{_shown(following)}"
                )
        # Leaves plain outputs as they are; those of an image, over which it is taken in parts, do
        # not fit.
        return Reshape((0,), _shown(node))

    def _operands(self, node: Any, count: int) -> list[_Constant | None]:
        """Constants at the inputs of a node, None for that of the layer before and for missing
        ones."""
        names = [*node.input, *[""] * count][:count]
        return [self._constant(name) if name in self.fixed else None for name in names]

    def _added(self, size: int, behind: int = 0) -> FloatArray | None:
        """Return what the next node adds, if it is an Add of a constant, which then is done
        with."""
        node = self.cursor.take("Add")
        if node is None:
            return None
        (constant,) = [found for found in self._operands(node, 2) if found is not None]
        return _offset(constant, size, node, behind)

    def _axes(self, node: Any) -> list[int] | None:
        """Axes of a node, which are an attribute or, since opset 18, an input; ascending."""
        axes = _attributes(node).get("axes")
        operand = self._operands(node, 2)[1]
        if axes is None and operand is not None:
            axes = _integers(operand.array, node).reshape(-1)
        return None if axes is None else sorted(int(axis) for axis in axes)

    def _matrix(self, constant: _Constant, node: Any) -> FloatArray:
        if constant.array.ndim != 2 or constant.array.size == 0:
            raise NetworkError(
                f"{_shown(node)} has weights of shape {constant.array.shape}; they must be a matrix"
            )
        return _floats(constant.array, node)

    def _constant(self, name: str) -> _Constant:
        """Return a constant of the graph, which is computed once."""
        if name not in self.constants:
            self.constants[name] = self._computed(name)
        # A small file could use the same numbers again and again.
        self.used += self.constants[name].array.size
        if self.used > self.most:
            raise NetworkError(
                "the model uses the same weights in many places; together they are too large"
            )
        return self.constants[name]

    def _computed(self, name: str) -> _Constant:
        tensor = self.tensors.get(name)
        if tensor is not None:
            return _Constant(_array(tensor))
        node = self.graph.node[self.makers[name]]
        options = _attributes(node)
        if node.op_type == "Constant" and "value" in options:
            return _Constant(_array(options["value"]))
        if node.op_type == "Identity":
            return self._constant(node.input[0])
        if node.op_type == "Transpose":
            return _Constant(self._constant(node.input[0]).array.transpose(options.get("perm")))
        if node.op_type == "Gather" and options.get("axis", 0) == 0:
            values, numbers = (self._constant(part).array for part in node.input)
            if values.ndim != 1:
                raise NetworkError(
                    f"{_shown(node)} gathers from an array of shape {values.shape}; it must be a "
                    "vector"
                )
            index = _integers(numbers, node)
            return _Constant(values[index], index, values)
        raise NetworkError(
            f"{_shown(node)} computes a constant, which is not supported; simplify the model first"
        )

    def _sides(self) -> list[int]:
        """Sides of the graph's input, samples first, zero where one is unknown; none at all if it
        has no shape."""
        return [
            side.dim_value if side.HasField("dim_value") else 0
            for side in self.input.type.tensor_type.shape.dim
        ]

    def _output(self) -> str:
        """Name of the output that holds the outputs of the network: the only one of floating-point
        numbers."""
        names = [
            value.name
            for value in self.graph.output
            if value.type.tensor_type.elem_type in _float_types()
        ]
        if len(names) != 1:
            raise NetworkError(
                f"the model has {len(names)} outputs that are tensors of float32 or float64; a "
                "network has one "
                "(skl2onnx: convert with options={'zipmap': False})"
            )
        return str(names[0])

    def _chain(self, name: str) -> list[Any]:
        """Nodes from the input to the named value."""
        numbers: list[int] = []
        seen: set[int] = set()
        while name != self.input.name:
            number = self.makers.get(name, -1)
            if number < 0 or number in seen:
                raise NetworkError(
                    f"the graph does not lead from {self.input.name[:60]!r} to {name[:60]!r}"
                )
            node = self.graph.node[number]
            computed = [operand for operand in node.input if operand and operand not in self.fixed]
            if len(computed) != 1:
                hint = (
                    "; export with a constant shape (torch.onnx.export: dynamo=True)"
                    if node.op_type == "Reshape"
                    else ""
                )
                raise NetworkError(
                    f"{_shown(node)} takes {len(computed)} computed values; in a chain of layers "
                    f"it is one{hint}"
                )
            seen.add(number)
            numbers.append(number)
            name = computed[0]
        return [self.graph.node[number] for number in reversed(numbers)]


_HANDLERS: dict[str, Callable[[Reader, Any], Layer | None]] = {
    "Gemm": Reader.gemm,
    "MatMul": Reader.matmul,
    "Conv": Reader.conv,
    "AveragePool": Reader.average_pool,
    "GlobalAveragePool": Reader.global_average_pool,
    "ReduceMean": Reader.reduce_mean,
    "Relu": Reader.relu,
    "Flatten": Reader.flatten,
    "Reshape": Reader.reshape,
    "Identity": Reader.identity,
    "Dropout": Reader.identity,
    "Cast": Reader.cast,
    "Softmax": Reader.softmax,
    "LogSoftmax": Reader.softmax,
}
"""What reads a node, by its operator."""


def _require_opset(model: Any) -> None:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or min(versions) < OLDEST_OPSET:
        found = min(versions, default="unknown")
        raise NetworkError(
            f"the model is written in opset {found}; {OLDEST_OPSET} is the oldest that is read"
        )


def _float_types() -> tuple[int, int]:
    from onnx import TensorProto

    return TensorProto.FLOAT, TensorProto.DOUBLE


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _array(tensor: Any) -> NDArray[Any]:
    """Return the array of a tensor that holds it itself."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        raise ModelFileError(
            f"tensor {tensor.name[:60]!r} is in another file, which is not read; save the model "
            "in one file "
            "(torch.onnx.export: external_data=False)"
        )
    if tensor.data_type not in (*_float_types(), TensorProto.INT64, TensorProto.INT32):
        raise NetworkError(
            f"tensor {tensor.name[:60]!r} is of ONNX type {tensor.data_type}; float32 and float64 "
            "are supported"
        )
    return np.asarray(numpy_helper.to_array(tensor))


def _floats(array: NDArray[Any], node: Any) -> FloatArray:
    if array.dtype.kind != "f":
        raise NetworkError(
            f"{_shown(node)} has weights of type {array.dtype}; float32 and float64 are supported"
        )
    if not np.all(np.isfinite(array)):
        raise NetworkError(f"{_shown(node)} has weights that are not finite")
    return array.astype(np.float64)


def _factor(value: float, node: Any) -> float:
    if not abs(value) <= np.finfo(np.float32).max:
        raise NetworkError(f"{_shown(node)} multiplies by {value}")
    return float(value)


def _integers(array: NDArray[Any], node: Any) -> IntArray:
    if array.dtype.kind != "i":
        raise NetworkError(
            f"{_shown(node)} has numbers of type {array.dtype} where integers must be"
        )
    return array.astype(np.int64)


def _offset(constant: _Constant, size: int, node: Any, behind: int = 0) -> FloatArray:
    """Return what is added to each of the outputs, or of the maps, which have so many dimensions
    behind them."""
    values = _floats(constant.array, node)
    whole = (1, size, *(1,) * behind)
    if values.ndim > len(whole) or (values.size != 1 and values.shape != whole[-values.ndim :]):
        raise NetworkError(
            f"{_shown(node)} adds an array of shape {values.shape} to {size} outputs or maps"
        )
    return np.array(np.broadcast_to(values.reshape(-1), size))


def _window(node: Any, options: dict[str, Any], size: Sequence[int]) -> Window:
    padding = options.get("auto_pad", b"NOTSET")
    if padding not in (b"NOTSET", b"VALID"):
        raise NetworkError(
            f"{_shown(node)} has auto_pad {str(padding)[:20]}; give its pads as numbers"
        )
    pads = options.get("pads", (0, 0, 0, 0)) if padding == b"NOTSET" else (0, 0, 0, 0)
    given = options.get("kernel_shape", size)
    if tuple(given) != tuple(size):
        raise NetworkError(
            f"{_shown(node)} has kernels of shape {tuple(size)}, but says {tuple(given)}"
        )
    whole = (
        tuple(map(int, part))
        for part in (size, options.get("strides", (1, 1)), pads, options.get("dilations", (1, 1)))
    )
    return Window(*whole)  # type: ignore[arg-type]


def _shown(node: Any) -> str:
    """Operator and name of a node, for messages."""
    name = node.name or next(iter(node.output), "")
    return f"{repr(node.op_type[:40])[1:-1]} {name[:60]!r}"
