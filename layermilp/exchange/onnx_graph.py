"""ONNX graphs: chains of nodes and the constants that they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layermilp.errors import ModelFileError, NetworkError
from layermilp.exchange.steps import LARGEST
from layermilp.program import IntArray

OLDEST_OPSET = 7
"""Oldest opset in which the nodes that are read mean what they mean today."""


@dataclass(frozen=True, eq=False)
class Constant:
    """An array of a graph; where it was gathered from a vector, with the numbers of its entries in
    it."""

    array: NDArray[Any]
    index: IntArray | None = None
    values: NDArray[Any] | None = None


class Graph:
    """A graph as a chain of nodes from its input to its output.

    Parameters
    ----------
    model : onnx.ModelProto
        The model whose graph it is.

    Raises
    ------
    NetworkError
        If the graph is no chain.
    """

    def __init__(self, model: Any) -> None:
        _require_opset(model)
        self.graph = model.graph
        self.constants: dict[str, Constant] = {}
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
        self.nodes, self.n_taken = self._chain(self._output()), 0

    def take(self, *ops: str) -> Any:
        """Return the next node and go on, or None if it is none of the named ones (any, if none is
        named)."""
        if self.n_taken == len(self.nodes) or (ops and self.nodes[self.n_taken].op_type not in ops):
            return None
        self.n_taken += 1
        return self.nodes[self.n_taken - 1]

    def operands(self, node: Any, count: int) -> list[Constant | None]:
        """Constants at the inputs of a node, None for that of the layer before and for missing
        ones."""
        names = [*node.input, *[""] * count][:count]
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
        tensor = self.tensors.get(name)
        if tensor is not None:
            return Constant(_array(tensor))
        node = self.graph.node[self.makers[name]]
        options = attributes(node)
        if node.op_type == "Constant" and "value" in options:
            return Constant(_array(options["value"]))
        if node.op_type == "Identity":
            return self.constant(node.input[0])
        if node.op_type == "Transpose":
            return Constant(self.constant(node.input[0]).array.transpose(options.get("perm")))
        if node.op_type == "Gather" and options.get("axis", 0) == 0:
            values, numbers = (self.constant(part).array for part in node.input)
            if values.ndim != 1:
                raise NetworkError(
                    f"{shown(node)} gathers from an array of shape {values.shape}; it must be a "
                    "vector"
                )
            index = integers(numbers, node)
            return Constant(values[index], index, values)
        raise NetworkError(
            f"{shown(node)} computes a constant, which is not supported; simplify the model first"
        )

    def sides(self) -> list[int]:
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
                    f"{shown(node)} takes {len(computed)} computed values; in a chain of layers "
                    f"it is one{hint}"
                )
            seen.add(number)
            numbers.append(number)
            name = computed[0]
        return [self.graph.node[number] for number in reversed(numbers)]


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


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by their names."""
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


def integers(array: NDArray[Any], node: Any) -> IntArray:
    """Return an array that must hold integers."""
    if array.dtype.kind != "i":
        raise NetworkError(
            f"{shown(node)} has numbers of type {array.dtype} where integers must be"
        )
    return array.astype(np.int64)


def shown(node: Any) -> str:
    """Operator and name of a node, for messages."""
    name = node.name or next(iter(node.output), "")
    return f"{repr(node.op_type[:40])[1:-1]} {name[:60]!r}"
