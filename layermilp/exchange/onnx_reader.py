"""Reads ONNX graphs that are chains of layers. Needs onnx."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import ArrayLike
from onnx import ModelProto

from layermilp.errors import ModelFileError, NetworkError
from layermilp.exchange.onnx_graph import LARGEST_FILE, METADATA, Constant, Graph, Node
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
    to_network,
)
from layermilp.networks.files import file_size
from layermilp.networks.layers import Shape, Tied, described
from layermilp.networks.network import Block, Network
from layermilp.networks.notation import parse
from layermilp.networks.windows import Window
from layermilp.program import FloatArray


def parsed(path: Path) -> Any:
    """Return the model in a file; weights in other files are not read."""
    file_size(path, LARGEST_FILE)
    try:
        model = ModelProto.FromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise ModelFileError(f"{path} is damaged or not an ONNX file") from error
    if not model.HasField("graph"):
        raise ModelFileError(f"{path} is damaged or not an ONNX file: it has no graph")
    return model


class Reader(Graph):
    """A graph that is read as a chain of layers."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}

    def network(
        self, classes: ArrayLike | None, decision: str | None, image: Sequence[int] | None
    ) -> Network:
        """Return the network; options as in `import_model`."""
        labels = self.metadata.get(f"{METADATA}classes")
        if classes is None and labels is not None:
            classes = np.array(json.loads(labels))
        network = to_network(self.steps(), self.input_shape(image), classes, decision)
        for i, (block, text) in enumerate(zip(network.blocks, self._layers(), strict=False)):
            # Where another tool has changed the graph, ties are others.
            if isinstance(block.layer, Tied):
                with suppress(NetworkError):
                    layer = described(text, block.parameters)
                    network = network.with_block(i, Block(layer, block.theta))
        return network

    def _layers(self) -> list[str]:
        """What metadata say of the layers, see `Layer.text`."""
        layers = self.metadata.get(f"{METADATA}layers")
        if layers is not None:
            return list(json.loads(layers))
        # A file of before layers were written may have a notation.
        notation = self.metadata.get(f"{METADATA}notation")
        return [] if notation is None else [layer.text for layer in parse(notation)]

    def steps(self) -> Iterator[Step | None]:
        """Steps from input to output, None for a node that does nothing."""
        while (node := self.take()) is not None:
            handler = _HANDLERS.get(node.op) if node.is_standard else None
            if handler is None:
                raise node.refusal(
                    f"is not supported there; a network is made of {', '.join(_HANDLERS)}, and "
                    "Add after them"
                )
            yield handler(self, node)

    def input_shape(self, image: Sequence[int] | None) -> Shape | None:
        """Shape of a sample: the given one, else that of the graph; None if it has none."""
        sides = self.sides()
        if image is None and len(sides) == 1:
            raise NetworkError(
                "the model takes one sample without a dimension for several, which is not supported"
            )
        is_known = image is None and sides and min(sides[1:]) > 0
        return tuple(sides[1:]) if is_known else image_shape(image)

    def gemm(self, node: Node) -> Step:
        """Read a Gemm, or a MatMul, which is one without offset and options."""
        data, weight, bias = self.operands(node, 3)
        options = node.options
        if weight is None or data is not None or options.get("transA", 0):
            raise node.refusal("multiplies in another way than samples by weights")
        alpha, beta = options.get("alpha", 1.0), options.get("beta", 1.0)
        for factor in (alpha, beta):
            if not abs(factor) <= np.finfo(np.float32).max:
                raise node.refusal(f"multiplies by {factor}")
        if weight.array.ndim != 2 or weight.array.size == 0:
            raise node.refusal(f"has weights of shape {weight.array.shape}; they must be a matrix")
        weights, index = node.floats(weight.array), weight.index
        if not options.get("transB", 0):
            weights, index = weights.T, None if index is None else index.T
        if bias is None:
            return dense(str(node), weights * alpha, self._added(len(weights)))
        shared = weight.values is not None and weight.values is bias.values
        if shared and index is not None and bias.index is not None and alpha == beta == 1.0:
            if bias.index.shape != (len(index),):
                raise node.refusal(
                    f"adds an array of shape {bias.index.shape} to {len(index)} outputs"
                )
            values = node.floats(np.asarray(bias.values))
            return tied(str(node), np.column_stack([index, bias.index]), values)
        return dense(str(node), weights * alpha, _offset(bias, len(weights), node) * beta)

    def conv(self, node: Node) -> Step:
        data, kernel, bias = self.operands(node, 3)
        if kernel is None or data is not None or kernel.array.ndim != 4 or kernel.array.size == 0:
            raise node.refusal("has no constant kernels of shape (maps, channels, height, width)")
        kernels = node.floats(kernel.array)
        window, n = _window(node, kernels.shape[2:]), len(kernels)
        offset = self._added(n, behind=2) if bias is None else _offset(bias, n, node)
        return convolution(str(node), kernels, offset, window, int(node.options.get("group", 1)))

    def average_pool(self, node: Node) -> Step:
        if node.options.get("ceil_mode", 0):
            raise node.refusal("has ceil_mode, which is not supported")
        window = _window(node, node.options["kernel_shape"])
        return mean(str(node), window, bool(node.options.get("count_include_pad", 0)))

    def reduce_mean(self, node: Node) -> Step:
        # The axes are an attribute or, since opset 18, an input.
        axes, operand = node.options.get("axes", ()), self.operands(node, 2)[1]
        if operand is not None and "axes" not in node.options:
            axes = node.integers(operand.array).reshape(-1)
        if sorted(map(int, axes)) not in ([2, 3], [-2, -1]) or not node.options.get("keepdims", 1):
            raise node.refusal("is no mean over the pixels of an image that keeps its dimensions")
        return mean(str(node))

    def flatten(self, node: Node) -> Step:
        if node.options.get("axis", 1) != 1:
            raise node.refusal("does not keep the samples apart; its axis must be 1")
        return Reshape(FLAT.sides, str(node))

    def reshape(self, node: Node) -> Step:
        data, target = self.operands(node, 2)
        if data is not None or target is None or target.array.ndim != 1 or target.array.size < 2:
            raise node.refusal("has no constant shape of samples and their values")
        samples, *sides = node.integers(target.array).tolist()
        keeps = (
            samples == 0
            or (samples == -1 and -1 not in sides)
            or (samples > 0 and samples in self.sides()[:1])
        )
        if not keeps or (node.options.get("allowzero", 0) and 0 in (samples, *sides)):
            raise node.refusal(f"does not keep the samples apart: its shape is {[samples, *sides]}")
        # A zero stands for the side at its place, of which the first is the samples.
        return Reshape(tuple(sides), str(node))

    def dropout(self, node: Node) -> None:
        training = node.inputs[2] if len(node.inputs) > 2 else ""
        if training and np.any(self.constant(training).array):
            raise node.refusal("is in training mode; export the model for evaluation")

    def cast(self, node: Node) -> None:
        if node.options.get("to") != self.input.type.tensor_type.elem_type:
            raise node.refusal("changes the type of the inputs, which is not supported")

    def softmax(self, node: Node) -> Step:
        if node.options.get("axis", -1) not in (1, -1):
            raise node.refusal("is not over the outputs")
        while (following := self.take()) is not None:
            if following.op not in ("Identity", "Cast"):
                raise node.refusal(
                    f"is supported only at the end of a network, not before {following}"
                )
        # Leaves plain outputs as they are; those of an image, over which it is taken in parts, do
        # not fit.
        return Reshape((0,), str(node))

    def _added(self, size: int, behind: int = 0) -> FloatArray | None:
        """Return what the next node adds, if it is an Add of a constant, which then is done
        with."""
        node = self.take("Add")
        if node is None:
            return None
        (constant,) = [found for found in self.operands(node, 2) if found is not None]
        return _offset(constant, size, node, behind)


_HANDLERS: dict[str, Callable[[Reader, Node], Step | None]] = {
    "Gemm": Reader.gemm,
    "MatMul": Reader.gemm,
    "Conv": Reader.conv,
    "AveragePool": Reader.average_pool,
    "GlobalAveragePool": lambda reader, node: mean(str(node)),
    "ReduceMean": Reader.reduce_mean,
    "Relu": lambda reader, node: Relu(str(node)),
    "Flatten": Reader.flatten,
    "Reshape": Reader.reshape,
    "Identity": lambda reader, node: None,
    "Dropout": Reader.dropout,
    "Cast": Reader.cast,
    "Softmax": Reader.softmax,
    "LogSoftmax": Reader.softmax,
}
"""Readers of nodes, by operator."""


def _offset(constant: Constant, size: int, node: Node, behind: int = 0) -> FloatArray:
    """Return what is added to each of the outputs, or of the maps, which have so many dimensions
    behind them."""
    values = node.floats(constant.array)
    whole = (1, size, *(1,) * behind)
    if values.ndim > len(whole) or (values.size != 1 and values.shape != whole[-values.ndim :]):
        raise node.refusal(f"adds an array of shape {values.shape} to {size} outputs or maps")
    return np.array(np.broadcast_to(values.reshape(-1), size))


def _window(node: Node, size: Sequence[int]) -> Window:
    options = node.options
    padding = options.get("auto_pad", b"NOTSET")
    if padding not in (b"NOTSET", b"VALID"):
        raise node.refusal(f"has auto_pad {str(padding)[:20]}; give its pads as numbers")
    given = options.get("kernel_shape", size)
    if tuple(given) != tuple(size):
        raise node.refusal(f"has kernels of shape {tuple(size)}, but says {tuple(given)}")
    return Window(
        size,  # type: ignore[arg-type]
        options.get("strides", (1, 1)),
        options.get("pads", (0, 0, 0, 0)) if padding == b"NOTSET" else (0, 0, 0, 0),
        options.get("dilations", (1, 1)),
    )
