"""ONNX graphs: chains of nodes and the constants that they use. Needs onnx."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from layermilp.errors import ModelFileError, NetworkError
from layermilp.exchange.steps import LARGEST
from layermilp.program import FloatArray, IntArray

OLDEST_OPSET = 7
"""Oldest opset in which the nodes that are read mean what they mean today."""

LARGEST_FILE = 2**31 - 2**20
"""Largest number of bytes of arrays in a file: protobuf's limit, with room for names."""

METADATA = "layermilp."
"""Prefix of the names of the metadata that are written beside a graph."""

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
"""Types of the numbers of a network."""


@dataclass(frozen=True, eq=False)
class Constant:
    """An array of a graph; if gathered from a vector of values, with the index of its entries."""

    array: NDArray[Any]
    index: IntArray | None = None
    values: NDArray[Any] | None = None


class Node:
    """A node of a graph; as a text it is its operator and name."""

    def __init__(self, proto: Any) -> None:
        self.op: str = proto.op_type
        self.is_standard = proto.domain in ("", "ai.onnx")
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self._proto = proto

    def __str__(self) -> str:
        name = self._proto.name or next(iter(self.outputs), "")
        return f"{repr(self.op[:40])[1:-1]} {name[:60]!r}"

    @cached_property
    def options(self) -> dict[str, Any]:
        """Attributes by their names."""
        attributes = self._proto.attribute
        return {each.name: helper.get_attribute_value(each) for each in attributes}

    def refusal(self, why: str) -> NetworkError:
        """Return the error that says why the node is refused."""
        return NetworkError(f"{self} {why}")

    def integers(self, array: NDArray[Any]) -> IntArray:
        """Return an array that must hold integers."""
        if array.dtype.kind != "i":
            raise self.refusal(f"has numbers of type {array.dtype} where integers must be")
        return array.astype(np.int64)

    def floats(self, array: NDArray[Any]) -> FloatArray:
        """Return an array that must hold finite weights."""
        if array.dtype.kind != "f":
            raise self.refusal(
                f"has weights of type {array.dtype}; float32 and float64 are supported"
            )
        if not np.all(np.isfinite(array)):
            raise self.refusal("has weights that are not finite")
        return array.astype(np.float64)


class Graph:
    """The graph of a model as a chain of nodes from its input to its output; raises `NetworkError`
    if it is none."""

    def __init__(self, model: Any) -> None:
        _require_opset(model)
        graph = model.graph
        nodes = [Node(proto) for proto in graph.node]
        self.constants: dict[str, Constant] = {}
        self.used, self.most = 0, max(LARGEST, model.ByteSize())
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {output: node for node in nodes for output in node.outputs if output}
        self.fixed = set(self.tensors)
        for node in nodes:
            if all(name in self.fixed for name in node.inputs if name):
                self.fixed.update(node.outputs)
        inputs = [value for value in graph.input if value.name not in self.tensors]
        if len(inputs) != 1:
            raise NetworkError(f"the model has {len(inputs)} inputs; a network has one")
        self.input = inputs[0]
        self.nodes, self.n_taken = self._chain(_output(graph)), 0

    def take(self, op: str | None = None) -> Node | None:
        """Return the next node, if there is one and it is the named one, and go on."""
        if self.n_taken == len(self.nodes) or op not in (None, self.nodes[self.n_taken].op):
            return None
        self.n_taken += 1
        return self.nodes[self.n_taken - 1]

    def operands(self, node: Node, count: int) -> list[Constant | None]:
        """Constants at the inputs of a node, None for that of the layer before and for missing
        ones."""
        names = [*node.inputs, *[""] * count][:count]
        return [self.constant(name) if name in self.fixed else None for name in names]

    def constant(self, name: str) -> Constant:
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

    def _computed(self, name: str) -> Constant:
        if name in self.tensors:
            return Constant(_array(self.tensors[name]))
        node = self.makers[name]
        if node.op == "Constant" and "value" in node.options:
            return Constant(_array(node.options["value"]))
        if node.op == "Identity":
            return self.constant(node.inputs[0])
        if node.op == "Transpose":
            array = self.constant(node.inputs[0]).array
            return Constant(array.transpose(node.options.get("perm")))
        if node.op == "Gather" and node.options.get("axis", 0) == 0:
            values, numbers = (self.constant(part).array for part in node.inputs)
            if values.ndim != 1:
                raise node.refusal(
                    f"gathers from an array of shape {values.shape}; it must be a vector"
                )
            index = node.integers(numbers)
            return Constant(values[index], index, values)
        raise node.refusal("computes a constant, which is not supported; simplify the model first")

    def sides(self) -> list[int]:
        """Sides of the graph's input, samples first, zero where one is unknown; none at all if it
        has no shape."""
        return [
            side.dim_value if side.HasField("dim_value") else 0
            for side in self.input.type.tensor_type.shape.dim
        ]

    def _chain(self, name: str) -> list[Node]:
        """Nodes from the input to the named value."""
        found: list[Node] = []
        seen: set[Node] = set()
        while name != self.input.name:
            node = self.makers.get(name)
            if node is None or node in seen:
                raise NetworkError(
                    f"the graph does not lead from {self.input.name[:60]!r} to {name[:60]!r}"
                )
            computed = [operand for operand in node.inputs if operand and operand not in self.fixed]
            if len(computed) != 1:
                hint = "; export with a constant shape (torch.onnx.export: dynamo=True)"
                raise node.refusal(
                    f"takes {len(computed)} computed values; in a chain of layers it is one"
                    f"{hint if node.op == 'Reshape' else ''}"
                )
            seen.add(node)
            found.append(node)
            name = computed[0]
        return found[::-1]


def _require_opset(model: Any) -> None:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or min(versions) < OLDEST_OPSET:
        found = min(versions, default="unknown")
        raise NetworkError(
            f"the model is written in opset {found}; {OLDEST_OPSET} is the oldest that is read"
        )


def _output(graph: Any) -> str:
    """Name of the output of the network: the only one of floating-point numbers."""
    outputs = [each for each in graph.output if each.type.tensor_type.elem_type in FLOATS]
    if len(outputs) != 1:
        raise NetworkError(
            f"the model has {len(outputs)} outputs that are tensors of float32 or float64; a "
            "network has one (skl2onnx: convert with options={'zipmap': False})"
        )
    return str(outputs[0].name)


def _array(tensor: Any) -> NDArray[Any]:
    """Return the array of a tensor that holds it itself."""
    if tensor.data_location == TensorProto.EXTERNAL:
        raise ModelFileError(
            f"tensor {tensor.name[:60]!r} is in another file, which is not read; save the model "
            "in one file (torch.onnx.export: external_data=False)"
        )
    if tensor.data_type not in (*FLOATS, TensorProto.INT64, TensorProto.INT32):
        raise NetworkError(
            f"tensor {tensor.name[:60]!r} is of ONNX type {tensor.data_type}; float32 and float64 "
            "are supported"
        )
    return np.asarray(numpy_helper.to_array(tensor))
