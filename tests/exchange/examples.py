"""What the tests of exchange share: networks, digits, ONNX graphs, damaged files, and when two
networks are the same."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from layermilp import Network
from layermilp.errors import ModelFileError, NetworkError
from layermilp.exchange import from_onnx, import_model
from layermilp.networks.layers import Conv2d, Dense

REAL_MNIST = os.environ.get("LAYERMILP_DATA")
SEEDS = st.integers(0, 2**32 - 1)
NETS = [
    "64-8-10",
    "8x8-conv3-10",
    "8x8-conv3b-6-10",
    "8x8-mean2-conv3b-10",
    "8x8-conv3-mean2-10",
    "8x8-mean2-conv3-conv2",
]
DECISIONS = ["closest_to_one", "argmax"]
IMAGE = ("n", 1, 4, 4)

PIXELS, DIGITS = load_digits(return_X_y=True)
PIXELS = PIXELS / 16.0

onnxruntime.set_default_logger_severity(3)


def trained(net: str, decision: str) -> Network:
    """Return a network with random hidden layers and the last one, where it is dense, fitted to the
    digits."""
    network = Network.from_notation(net, init="he", seed=1)
    features, last = network.activations(PIXELS)[-2], network.blocks[-1]
    if isinstance(last.layer, Dense):
        targets = np.eye(10)[DIGITS]
        fitted = np.linalg.lstsq(
            np.column_stack([features, np.ones(len(features))]), targets, rcond=None
        )[0]
        network = network.with_block(len(network.blocks) - 1, last.with_theta(fitted.T.reshape(-1)))
    return network.with_decision(decision)


def run(model: onnx.ModelProto, X: np.ndarray) -> list[np.ndarray]:
    """Compute the outputs of a model by onnxruntime."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (given_input,) = session.get_inputs()
    dtype = np.float64 if given_input.type == "tensor(double)" else np.float32
    return list(session.run(None, {given_input.name: X.astype(dtype)}))


def same(one: Network, other: Network) -> None:
    """Check for the same layers, the same bytes of every parameter, and the same way to read a
    class."""
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert a.layer.text == b.layer.text
        assert np.array_equal(a.parameters.index, b.parameters.index)
        assert a.parameters.fixed.tobytes() == b.parameters.fixed.tobytes()
        assert a.theta.tobytes() == b.theta.tobytes()
    assert one.classes.tolist() == other.classes.tolist() and one.decision == other.decision


def graph(
    nodes: list[Any],
    constants: dict[str, Any],
    shape: tuple[Any, ...] | None,
    *,
    outputs: tuple[str, ...] = ("y",),
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a model from `x` to `y`; constants of floating-point numbers take its type."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    arrays = {name: np.asarray(array) for name, array in constants.items()}
    arrays = {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in arrays.items()
    }
    made = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(
        op, inputs.split(), [output], name=f"{op.lower()}_{output}", **attributes
    )


def dyadic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers whose sums and products are exact in float32."""
    return rng.integers(-4, 5, size=shape) / 4.0


def agrees(
    model: onnx.ModelProto, shape: tuple[int, ...], atol: float = 0.0, **options: Any
) -> Network:
    network, X = from_onnx(model, **options), dyadic(np.random.default_rng(0), 6, *shape)
    found = run(model, X)[0].reshape(6, -1)
    np.testing.assert_allclose(network.forward(X.reshape(6, -1)), found, rtol=0, atol=atol)
    return network


def images_graph() -> onnx.ModelProto:
    """Two channels, padding, stride, groups, dilation; pools without ReLU behind them."""
    rng = np.random.default_rng(3)
    nodes = [
        node("Conv", "x k1 b1", "a", kernel_shape=[3, 3], pads=[1, 0, 1, 2], strides=[2, 1]),
        node("Relu", "a", "b"),
        node("Conv", "b k2", "c", group=2, dilations=[1, 2], auto_pad="VALID"),
        node("Relu", "c", "d"),
        node(
            "AveragePool",
            "d",
            "e",
            kernel_shape=[2, 2],
            pads=[0, 1, 0, 1],
            strides=[1, 2],
            count_include_pad=1,
        ),
        node("Flatten", "e", "f"),
        node("Gemm", "f w bias", "y", transB=1),
    ]
    constants = {"k1": dyadic(rng, 4, 2, 3, 3), "b1": dyadic(rng, 4), "k2": dyadic(rng, 6, 2, 2, 2)}
    return graph(
        nodes, constants | {"w": dyadic(rng, 3, 36), "bias": dyadic(rng, 3)}, ("n", 2, 8, 6)
    )


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield the content truncated, with bytes changed, and with parts doubled or taken away."""
    rng = random.Random(seed)
    for number in range(count):
        damaged = bytearray(content)
        if number % 4 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        elif number % 4 == 1:
            begin, length = rng.randrange(len(damaged)), rng.randrange(1, 40)
            damaged[begin : begin + length] = damaged[begin : begin + length] * rng.choice((0, 2))
        else:
            for _ in range(rng.choice((1, 2, 8))):
                damaged[rng.randrange(len(damaged))] = rng.choice(
                    (0, 1, 127, 128, 255, rng.randrange(256))
                )
        yield bytes(damaged)


def survives(path: Path, contents: Iterator[bytes], **options: Any) -> int:
    """Read damaged files; return how many were refused."""
    refused = 0
    for content in contents:
        path.write_bytes(content)
        try:
            assert isinstance(import_model(path, **options), Network)
        except (ModelFileError, NetworkError) as error:
            assert str(error)
            refused += 1
    return refused


def correlated(
    images: np.ndarray, layer: Conv2d, kernels: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Compute a convolution by its definition, a number at a time."""
    window = layer.window
    top, left, bottom, right = window.padding
    padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
    maps, of_group, kh, kw = kernels.shape
    height, width = (
        padded.shape[2 + i] - window.dilations[i] * ((kh, kw)[i] - 1) - 1 for i in (0, 1)
    )
    out = np.zeros(
        (len(images), maps, height // window.strides[0] + 1, width // window.strides[1] + 1)
    )
    for s, o, r, c in np.ndindex(*out.shape):
        for j, p, q in np.ndindex(of_group, kh, kw):
            channel = o // (maps // layer.groups) * of_group + j
            row, column = (
                r * window.strides[0] + p * window.dilations[0],
                c * window.strides[1] + q * window.dilations[1],
            )
            out[s, o, r, c] += kernels[o, j, p, q] * padded[s, channel, row, column]
        out[s, o, r, c] += 0.0 if bias is None else bias[o]
    return out
