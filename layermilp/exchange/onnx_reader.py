"""Reads ONNX graphs that are chains of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layermilp.errors import NetworkError
from layermilp.exchange.onnx_graph import Constant, Graph, attributes, integers, shown
from layermilp.exchange.steps import (
    FLAT,
    Relu,
    Reshape,
    Step,
    convolution,
    dense,
    image_shape,
    mean,
    tied,
)
from layermilp.networks.layers import Shape
from layermilp.networks.windows import Window
from layermilp.program import FloatArray


class Reader(Graph):
    """A graph that is read as a chain of layers."""

    def steps(self) -> Iterator[Step]:
        """Steps from input to output."""
        while (node := self.take()) is not None:
            handler = _HANDLERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if handler is None:
                known = ", ".join(_HANDLERS)
                raise NetworkError(
                    f"{shown(node)} is not supported there; a network is made of {known}, and "
                    "Add after them"
                )
            step = handler(self, node)
            if step is not None:
                yield step

    def input_shape(self, image: Sequence[int] | None) -> Shape | None:
        """Shape of a sample: the given one, else that of the graph; None if it has none."""
        sides = self.sides()
        if image is None and len(sides) == 1:
            raise NetworkError(
                "the model takes one sample without a dimension for several, which is not supported"
            )
        is_known = image is None and sides and min(sides[1:]) > 0
        return tuple(sides[1:]) if is_known else image_shape(image)

    def gemm(self, node: Any) -> Step:
        data, weight, bias = self.operands(node, 3)
        options = attributes(node)
        if weight is None or data is not None or options.get("transA", 0):
            raise NetworkError(f"{shown(node)} multiplies in another way than samples by weights")
        alpha, beta = (_factor(options.get(name, 1.0), node) for name in ("alpha", "beta"))
        weights, index = self._matrix(weight, node), weight.index
        if not options.get("transB", 0):
            weights, index = weights.T, None if index is None else index.T
        if bias is None:
            return dense(shown(node), weights * alpha, self._added(len(weights)))
        shared = weight.values is not None and weight.values is bias.values
        if shared and index is not None and bias.index is not None and alpha == beta == 1.0:
            if bias.index.shape != (len(index),):
                raise NetworkError(
                    f"{shown(node)} adds an array of shape {bias.index.shape} to {len(index)} "
                    "outputs"
                )
            values = _floats(np.asarray(bias.values), node)
            return tied(shown(node), np.column_stack([index, bias.index]), values)
        return dense(shown(node), weights * alpha, _offset(bias, len(weights), node) * beta)

    def matmul(self, node: Any) -> Step:
        data, weight = self.operands(node, 2)
        if weight is None or data is not None:
            raise NetworkError(f"{shown(node)} multiplies in another way than samples by weights")
        weights = self._matrix(weight, node)
        return dense(shown(node), weights.T, self._added(weights.shape[1]))

    def conv(self, node: Any) -> Step:
        data, kernel, bias = self.operands(node, 3)
        if kernel is None or data is not None or kernel.array.ndim != 4 or kernel.array.size == 0:
            raise NetworkError(
                f"{shown(node)} has no constant kernels of shape (maps, channels, height, width)"
            )
        kernels, options = _floats(kernel.array, node), attributes(node)
        window = _window(node, options, kernels.shape[2:])
        offset = (
            self._added(len(kernels), behind=2)
            if bias is None
            else _offset(bias, len(kernels), node)
        )
        groups = int(options.get("group", 1))
        return convolution(shown(node), kernels, offset, window, groups)

    def average_pool(self, node: Any) -> Step:
        options = attributes(node)
        if options.get("ceil_mode", 0):
            raise NetworkError(f"{shown(node)} has ceil_mode, which is not supported")
        window = _window(node, options, options["kernel_shape"])
        return mean(shown(node), window, bool(options.get("count_include_pad", 0)))

    def global_average_pool(self, node: Any) -> Step:
        return mean(shown(node))

    def reduce_mean(self, node: Any) -> Step:
        if self._axes(node) not in ([2, 3], [-2, -1]) or not attributes(node).get("keepdims", 1):
            raise NetworkError(
                f"{shown(node)} is no mean over the pixels of an image that keeps its dimensions"
            )
        return mean(shown(node))

    def relu(self, node: Any) -> Step:
        return Relu(shown(node))

    def flatten(self, node: Any) -> Step:
        if attributes(node).get("axis", 1) != 1:
            raise NetworkError(f"{shown(node)} does not keep the samples apart; its axis must be 1")
        return Reshape(FLAT.sides, shown(node))

    def reshape(self, node: Any) -> Step:
        data, target = self.operands(node, 2)
        if data is not None or target is None or target.array.ndim != 1 or target.array.size < 2:
            raise NetworkError(f"{shown(node)} has no constant shape of samples and their values")
        samples, *sides = integers(target.array, node).tolist()
        sides_of_input = self.sides()
        keeps = (
            samples == 0
            or (samples == -1 and -1 not in sides)
            or (sides_of_input and 0 < sides_of_input[0] == samples)
        )
        if not keeps or (attributes(node).get("allowzero", 0) and 0 in (samples, *sides)):
            raise NetworkError(
                f"{shown(node)} does not keep the samples apart: its shape is {[samples, *sides]}"
            )
        # A zero stands for the side at its place, of which the first is the samples.
        return Reshape(tuple(sides), shown(node))

    def identity(self, node: Any) -> None:
        if (
            node.op_type == "Dropout"
            and len(node.input) > 2
            and node.input[2]
            and np.any(self.constant(node.input[2]).array)
        ):
            raise NetworkError(
                f"{shown(node)} is in training mode; export the model for evaluation"
            )

    def cast(self, node: Any) -> None:
        if attributes(node).get("to") != self.input.type.tensor_type.elem_type:
            raise NetworkError(
                f"{shown(node)} changes the type of the inputs, which is not supported"
            )

    def softmax(self, node: Any) -> Step:
        if attributes(node).get("axis", -1) not in (1, -1):
            raise NetworkError(f"{shown(node)} is not over the outputs")
        while (following := self.take()) is not None:
            if following.op_type not in ("Identity", "Cast"):
                raise NetworkError(
                    f"{shown(node)} is supported only at the end of a network, not before "
                    f"{shown(following)}"
                )
        # Leaves plain outputs as they are; those of an image, over which it is taken in parts, do
        # not fit.
        return Reshape((0,), shown(node))

    def _added(self, size: int, behind: int = 0) -> FloatArray | None:
        """Return what the next node adds, if it is an Add of a constant, which then is done
        with."""
        node = self.take("Add")
        if node is None:
            return None
        (constant,) = [found for found in self.operands(node, 2) if found is not None]
        return _offset(constant, size, node, behind)

    def _axes(self, node: Any) -> list[int] | None:
        """Axes of a node, which are an attribute or, since opset 18, an input; ascending."""
        axes = attributes(node).get("axes")
        operand = self.operands(node, 2)[1]
        if axes is None and operand is not None:
            axes = integers(operand.array, node).reshape(-1)
        return None if axes is None else sorted(int(axis) for axis in axes)

    def _matrix(self, constant: Constant, node: Any) -> FloatArray:
        if constant.array.ndim != 2 or constant.array.size == 0:
            raise NetworkError(
                f"{shown(node)} has weights of shape {constant.array.shape}; they must be a matrix"
            )
        return _floats(constant.array, node)


_HANDLERS: dict[str, Callable[[Reader, Any], Step | None]] = {
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
"""Readers of nodes, by operator."""


def _floats(array: NDArray[Any], node: Any) -> FloatArray:
    if array.dtype.kind != "f":
        raise NetworkError(
            f"{shown(node)} has weights of type {array.dtype}; float32 and float64 are supported"
        )
    if not np.all(np.isfinite(array)):
        raise NetworkError(f"{shown(node)} has weights that are not finite")
    return array.astype(np.float64)


def _factor(value: float, node: Any) -> float:
    if not abs(value) <= np.finfo(np.float32).max:
        raise NetworkError(f"{shown(node)} multiplies by {value}")
    return float(value)


def _offset(constant: Constant, size: int, node: Any, behind: int = 0) -> FloatArray:
    """Return what is added to each of the outputs, or of the maps, which have so many dimensions
    behind them."""
    values = _floats(constant.array, node)
    whole = (1, size, *(1,) * behind)
    if values.ndim > len(whole) or (values.size != 1 and values.shape != whole[-values.ndim :]):
        raise NetworkError(
            f"{shown(node)} adds an array of shape {values.shape} to {size} outputs or maps"
        )
    return np.array(np.broadcast_to(values.reshape(-1), size))


def _window(node: Any, options: dict[str, Any], size: Sequence[int]) -> Window:
    padding = options.get("auto_pad", b"NOTSET")
    if padding not in (b"NOTSET", b"VALID"):
        raise NetworkError(
            f"{shown(node)} has auto_pad {str(padding)[:20]}; give its pads as numbers"
        )
    pads = options.get("pads", (0, 0, 0, 0)) if padding == b"NOTSET" else (0, 0, 0, 0)
    given = options.get("kernel_shape", size)
    if tuple(given) != tuple(size):
        raise NetworkError(
            f"{shown(node)} has kernels of shape {tuple(size)}, but says {tuple(given)}"
        )
    whole = (
        tuple(map(int, part))
        for part in (size, options.get("strides", (1, 1)), pads, options.get("dilations", (1, 1)))
    )
    return Window(*whole)  # type: ignore[arg-type]
