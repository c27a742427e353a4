"""Writes networks as ONNX graphs. Needs onnx."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from layermilp.errors import NetworkError
from layermilp.exchange.onnx_graph import LARGEST_FILE, METADATA
from layermilp.exchange.steps import FLAT, Relu, Reshape, as_type, is_plain_pool, to_steps
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer
from layermilp.networks.network import Block, Network
from layermilp.networks.windows import Window
from layermilp.program import FloatArray
from layermilp.version import __version__

OPSET, IR_VERSION = 17, 8
"""Versions of written files: old enough for every onnxruntime since 1.12, and for converters."""


class Writer:
    """A graph that grows by a layer at a time."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.current, self.size = "inputs", 0

    def model(self, network: Network) -> ModelProto:
        """Return the model of a network."""
        for name, step in to_steps(network, self.has_images):
            self.add(name, step)
        self.current = self.nodes[-1].output[0] = "outputs"
        labels = self.add_labels(network)
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        values = [
            helper.make_tensor_value_info("inputs", kind, ["samples", network.n_inputs]),
            helper.make_tensor_value_info("outputs", kind, ["samples", network.n_outputs]),
            helper.make_tensor_value_info("labels", labels, ["samples"]),
        ]
        graph = helper.make_graph(self.nodes, "network", values[:1], values[1:], self.constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="layermilp",
            producer_version=__version__,
        )
        model.ir_version = IR_VERSION
        kept = {
            "classes": json.dumps(network.classes.tolist()),
            "decision": network.decision,
            "notation": network.notation,
            "layers": json.dumps([block.layer.text for block in network.blocks]),
        }
        helper.set_model_props(model, {METADATA + name: text for name, text in kept.items()})
        checker.check_model(model, full_check=True)
        return model

    def has_images(self, layer: Layer) -> bool:
        """Whether a layer is written as a node that takes images."""
        return self.dtype == np.float32 and (isinstance(layer, Conv2d) or is_plain_pool(layer))

    def add(self, name: str, step: Block | Relu | Reshape) -> None:
        """Add the nodes of a step."""
        numbered = f"{name}{len(self.nodes)}"
        if isinstance(step, Relu):
            self.node("Relu", name, [])
        elif isinstance(step, Block):
            self.add_block(name, step)
        elif step.sides == FLAT.sides:
            self.node("Flatten", numbered, [], axis=1)
        else:
            sides = self.constant(f"{numbered}.shape", np.array([0, *step.sides]))
            self.node("Reshape", numbered, [sides])

    def add_block(self, name: str, block: Block) -> None:
        """Add the node of a block without its ReLU."""
        layer = block.layer
        if not self.has_images(layer):
            self.node("Gemm", name, self.operands(name, block), transB=1)
        elif isinstance(layer, Conv2d):
            geometry = _geometry(layer.window) | {"dilations": layer.window.dilations}
            self.node("Conv", name, self.operands(name, block), **geometry, group=layer.groups)
        elif isinstance(layer, AveragePool2d):
            self.node("AveragePool", name, [], **_geometry(layer.window), count_include_pad=0)

    def operands(self, name: str, block: Block) -> list[str]:
        """Add weights and offset; return their names. Where weights are tied, they are gathered
        from the parameters and fixed values."""
        if isinstance(block.layer, Dense) or self.has_images(block.layer):
            weights, offset = block.layer.arrays(block.theta)
            added = [self.weights(f"{name}.weight", weights)]
            return added if offset is None else [*added, self.weights(f"{name}.bias", offset)]
        index, is_fixed = block.parameters.index.astype(np.int32), block.parameters.index < 0
        fixed, which = np.unique(block.parameters.fixed[is_fixed], return_inverse=True)
        index[is_fixed] = which - len(fixed)
        values = self.weights(f"{name}.values", np.append(block.theta, fixed))
        parts = {f"{name}.weight": index[:, :-1], f"{name}.bias": index[:, -1]}
        return [
            self.plain_node("Gather", part, [values, self.constant(f"{part}.index", numbers)])
            for part, numbers in parts.items()
        ]

    def add_labels(self, network: Network) -> int:
        """Add what chooses the labels, as the network's decision does; return their type."""
        labels = network.classes.tolist()
        for label in labels:
            if isinstance(label, int) and label > np.iinfo(np.int64).max:
                raise NetworkError(
                    f"label {label} is too large for ONNX; choose others by `with_classes`"
                )
            if isinstance(label, str) and any("\ud800" <= each <= "\udfff" for each in label):
                raise NetworkError(
                    f"label {label!r} is no text that ONNX can hold; choose others by "
                    "`with_classes`"
                )
        if network.decision == "argmax":
            self.plain_node("ArgMax", "chosen", ["outputs"], axis=1, keepdims=0)
        else:
            one = self.weights("one", np.array(1.0))
            self.plain_node("Sub", "difference", ["outputs", one])
            self.plain_node("Abs", "distance", ["difference"])
            self.plain_node("ArgMin", "chosen", ["distance"], axis=1, keepdims=0)
        is_text = isinstance(labels[0], str)
        classes = np.array(labels, dtype=object if is_text else np.int64)
        self.plain_node("Gather", "labels", [self.constant("classes", classes), "chosen"])
        return int(TensorProto.STRING if is_text else TensorProto.INT64)

    def node(self, op: str, name: str, operands: list[str], **attributes: Any) -> None:
        """Add a node that goes on from the one before."""
        self.current = self.plain_node(op, name, [self.current, *operands], **attributes)

    def plain_node(self, op: str, name: str, operands: list[str], **attributes: Any) -> str:
        """Add a node; return the name of its output, which is its own."""
        self.nodes.append(helper.make_node(op, operands, [name], name=name, **attributes))
        return name

    def weights(self, name: str, values: FloatArray) -> str:
        """Add numbers in the type of the weights; return their name."""
        return self.constant(name, as_type(name, values, self.dtype))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an array as it is; return its name."""
        self.size += values.nbytes
        if self.size > LARGEST_FILE:
            raise NetworkError(
                "the network is too large for an ONNX model, which has two gigabytes at most"
            )
        self.constants.append(numpy_helper.from_array(values, name))
        return name


def _geometry(window: Window) -> dict[str, Any]:
    return {"kernel_shape": window.size, "strides": window.strides, "pads": window.padding}
