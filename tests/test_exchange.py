"""Networks to and from ONNX and PyTorch: the outputs of both sides, the ties, foreign graphs, refusals, damaged files."""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import pickle
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from layermilp import Block, Committee, Network, load_model, postprocess, train
from layermilp.cli import main
from layermilp.datasets import load
from layermilp.errors import LayermilpError, ModelFileError, NetworkError, OptionError, OutputError, PackageNotAvailable
from layermilp.exchange import (
    export_model,
    from_onnx,
    from_state_dict,
    from_torch,
    import_model,
    to_onnx,
    to_state_dict,
    to_torch,
)
from layermilp.exchange import layers as exchange_layers
from layermilp.exchange.layers import Convolution, Mean
from layermilp.parameters import ParameterMap
from layermilp.windows import Window

REAL_MNIST = os.environ.get("LAYERMILP_DATA")
SEEDS = st.integers(0, 2**32 - 1)
NETS = ["64-8-10", "8x8-conv3-10", "8x8-conv3b-6-10", "8x8-mean2-conv3b-10", "8x8-conv3-mean2-10", "8x8-mean2-conv3-conv2"]
DECISIONS = ["nearest", "largest"]

PIXELS, DIGITS = load_digits(return_X_y=True)
PIXELS = PIXELS / 16.0

onnxruntime.set_default_logger_severity(3)


def trained(net: str, decision: str) -> Network:
    """Return a network with random hidden layers and the last one, where it is dense, fitted to the digits."""
    network = Network.from_notation(net, init="he", seed=1)
    features, last = network.activations(PIXELS)[-2], network.blocks[-1]
    if last.parameters.n_parameters == last.parameters.index.size:
        targets = np.eye(10)[DIGITS]
        fitted = np.linalg.lstsq(np.column_stack([features, np.ones(len(features))]), targets, rcond=None)[0]
        network = network.with_block(len(network.blocks) - 1, last.with_theta(fitted.T.reshape(-1)))
    return network.with_decision(decision)


def run(model: onnx.ModelProto, X: np.ndarray) -> list[np.ndarray]:
    """Compute the outputs of a model by onnxruntime."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (given_input,) = session.get_inputs()
    dtype = np.float64 if given_input.type == "tensor(double)" else np.float32
    return list(session.run(None, {given_input.name: X.astype(dtype)}))


def same(one: Network, other: Network) -> None:
    """Check for the same maps, the same bytes of every parameter, and the same way to read a class."""
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert np.array_equal(a.parameters.index, b.parameters.index)
        assert a.parameters.fixed.tobytes() == b.parameters.fixed.tobytes()
        assert a.theta.tobytes() == b.theta.tobytes()
    assert one.classes.tolist() == other.classes.tolist() and one.decision == other.decision


# ---------------------------------------------------------------------------------------------------- export to ONNX


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("net", NETS)
def test_onnxruntime_agrees_on_the_digits(net: str, decision: str) -> None:
    network = trained(net, decision)
    outputs, labels = run(to_onnx(network), PIXELS)
    np.testing.assert_allclose(outputs, network.forward(PIXELS), rtol=0, atol=1e-12)
    assert outputs.dtype == np.float64 and np.array_equal(labels, network.predict(PIXELS))
    outputs, labels = run(to_onnx(network, dtype="float32"), PIXELS)
    np.testing.assert_allclose(outputs, network.forward(PIXELS), rtol=0, atol=1e-5)
    assert outputs.dtype == np.float32 and np.mean(labels == network.predict(PIXELS)) > 0.99


@pytest.mark.skipif(not REAL_MNIST, reason="REAL MNIST IS NOT EXPORTED: set LAYERMILP_DATA to a directory that has its files")
@pytest.mark.parametrize("net", ["784-8-8-10", "28x28-mean4-conv3-10", "28x28-conv5b-10"])
def test_onnxruntime_agrees_on_mnist(net: str) -> None:
    data = load("mnist", data_dir=REAL_MNIST, n_inputs=784)
    assert data.X_test is not None
    network = Network.from_notation(net).with_decision("largest")
    outputs, labels = run(to_onnx(network), data.X_test)
    np.testing.assert_allclose(outputs, network.forward(data.X_test), rtol=0, atol=1e-6)
    assert np.array_equal(labels, network.predict(data.X_test))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("net", NETS)
def test_models_are_valid_and_take_any_number_of_samples(net: str, dtype: str) -> None:
    model = to_onnx(trained(net, "largest"), dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "layermilp" and [value.name for value in model.graph.output] == ["outputs", "labels"]
    for m in (1, 7):
        assert run(model, PIXELS[:m])[0].shape[0] == run(model, PIXELS[:m])[1].shape[0] == m
    operators = {node.op_type for node in model.graph.node}
    assert ("Conv" in operators) == ("conv" in net and dtype == "float32")


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("net", NETS)
def test_what_was_exported_comes_back_the_same(net: str, decision: str, tmp_path: Path) -> None:
    network = trained(net, decision)
    network = network.with_classes([f"class {k} \N{GREEK SMALL LETTER ALPHA}" for k in range(network.n_outputs)])
    same(import_model(export_model(network, tmp_path / "net.onnx")), network)
    rounded = from_onnx(to_onnx(network, dtype="float32"))
    assert rounded.notation == net
    same(from_onnx(to_onnx(rounded, dtype="float32")), rounded)


@st.composite
def any_network(draw: st.DrawFn) -> Network:
    """Draw blocks with any free, tied and fixed entries."""
    rng = np.random.default_rng(draw(SEEDS))
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    blocks = []
    for d, n in itertools.pairwise(sizes):
        drawn = rng.integers(-1, draw(st.integers(0, n * (d + 1))), size=n * (d + 1))
        index = np.full(drawn.size, -1)
        index[drawn >= 0] = np.unique(drawn[drawn >= 0], return_inverse=True)[1]
        fixed = np.where(index >= 0, 0.0, rng.integers(-2, 3, size=index.size) + 0.0)
        parameters = ParameterMap(index.reshape(n, -1), fixed.reshape(n, -1))
        blocks.append(Block(parameters, rng.normal(size=parameters.n_parameters)))
    return Network(blocks, draw(st.permutations(range(sizes[-1]))), draw(st.sampled_from(DECISIONS)))


@settings(deadline=None, max_examples=40)
@given(any_network(), SEEDS)
def test_any_ties_survive(network: Network, seed: int) -> None:
    model, X = to_onnx(network), np.random.default_rng(seed).normal(size=(5, network.n_inputs))
    outputs, labels = run(model, X)
    np.testing.assert_allclose(outputs, network.forward(X), rtol=0, atol=1e-9)
    same(from_onnx(model), network)
    np.testing.assert_allclose(run(to_onnx(network, dtype="float32"), X)[0], network.forward(X), rtol=1e-4, atol=1e-4)
    assert set(labels.tolist()) <= set(network.classes.tolist())


@pytest.mark.parametrize("decision", DECISIONS)
def test_labels_are_the_first_of_equals(decision: str) -> None:
    network = Network([Block.dense(2, 3).with_theta(np.zeros(9))], ["c", "a", "b"], decision)
    assert run(to_onnx(network), np.ones((2, 2)))[1].tolist() == network.predict(np.ones((2, 2))).tolist() == ["c", "c"]


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    network = Network.dense([2, 2])
    for model, words in (
        (Committee([network, network]), "Committee cannot be exported.*one by one"),
        ("net", "str cannot be exported"),
    ):
        with pytest.raises(NetworkError, match=words):
            export_model(model, tmp_path / "a.onnx")  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="dtype 'float16' is unknown; choose float64, float32"):
        to_onnx(network, dtype="float16")
    huge = network.with_block(0, network.blocks[0].with_theta(np.full(6, 1e300)))
    for refused in (to_onnx, to_state_dict):
        with pytest.raises(NetworkError, match=r"1e\+300.* beyond float32; use float64"):
            refused(huge, dtype="float32")
    with pytest.raises(NetworkError, match="no text that ONNX can hold"):
        to_onnx(network.with_classes(["a", "\udc80"]))
    with pytest.raises(NetworkError, match="too large for ONNX"):
        to_onnx(network.with_classes(np.array([1, 2**63], dtype=np.uint64)))
    with pytest.raises(OptionError, match=r"suffix of no format; choose \.onnx, \.pt, \.pth"):
        export_model(network, tmp_path / "a.h5")
    with pytest.raises(OutputError, match="missing"):
        export_model(network, tmp_path / "missing" / "a.onnx")
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------------- geometry


def correlated(images: np.ndarray, layer: Convolution) -> np.ndarray:
    """Compute a convolution by its definition, a number at a time."""
    top, left, bottom, right = layer.padding
    padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
    maps, of_group, kh, kw = layer.kernels.shape
    height, width = (padded.shape[2 + i] - layer.dilations[i] * ((kh, kw)[i] - 1) - 1 for i in (0, 1))
    out = np.zeros((len(images), maps, height // layer.strides[0] + 1, width // layer.strides[1] + 1))
    for s, o, r, c in np.ndindex(*out.shape):
        for j, p, q in np.ndindex(of_group, kh, kw):
            channel = o // (maps // layer.groups) * of_group + j
            row, column = r * layer.strides[0] + p * layer.dilations[0], c * layer.strides[1] + q * layer.dilations[1]
            out[s, o, r, c] += layer.kernels[o, j, p, q] * padded[s, channel, row, column]
        out[s, o, r, c] += 0.0 if layer.bias is None else layer.bias[o]
    return out


small = st.integers(1, 2)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    pair = st.tuples(small, small)
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    return {"size": draw(pair), "strides": draw(pair), "padding": padding, "dilations": draw(pair)}


@settings(deadline=None, max_examples=40)
@given(SEEDS, small, small, small, st.tuples(st.integers(3, 5), st.integers(3, 5)), windows(), st.booleans())
def test_convolutions_are_what_they_say(
    seed: int, groups: int, of_group: int, maps: int, image: Any, window: dict[str, Any], bias: bool
) -> None:
    size, *others = window.values()
    rng = np.random.default_rng(seed)
    kernels, offset = rng.normal(size=(groups * maps, of_group, *size)), rng.normal(size=groups * maps) if bias else None
    layer = Convolution(kernels, offset, *others, groups)
    images = rng.normal(size=(2, groups * of_group, *image))
    block, shape = layer.block(images.shape[1:])
    expected = correlated(images, layer)
    assert shape == expected.shape[1:]
    np.testing.assert_allclose(block.preactivation(images.reshape(2, -1)), expected.reshape(2, -1), rtol=0, atol=1e-12)
    # What meets no pixel is no parameter; all else is one, however often it is used.
    assert block.theta.size <= kernels.size + (0 if offset is None else offset.size)
    assert set(block.theta.tolist()) <= {*kernels.reshape(-1).tolist(), *([] if offset is None else offset.tolist())}

    ones = np.ones((groups * of_group, 1, *size))
    sums = correlated(images, Convolution(ones, None, *others, groups * of_group))
    counts = correlated(np.ones_like(images), Convolution(ones, None, *others, groups * of_group))
    for counts_padding, divisor in ((False, np.maximum(counts, 1)), (True, np.float64(size[0] * size[1]))):
        block, _ = Mean(Window(size, *others), counts_padding).block(images.shape[1:])
        expected = (sums / divisor).reshape(2, -1)
        np.testing.assert_allclose(block.preactivation(images.reshape(2, -1)), expected, rtol=0, atol=1e-12)
        assert block.theta.size == 0


def test_one_channel_gives_the_maps_of_the_library() -> None:
    for bias, free in ((None, False), (np.ones(1), True)):
        block, _ = Convolution(np.arange(9.0).reshape(1, 1, 3, 3), bias).block((1, 5, 7))
        assert np.array_equal(block.parameters.index, ParameterMap.conv2d(5, 7, 3, free_bias=free).index)
    block, _ = Mean(Window((2, 2), (2, 2))).block((1, 4, 6))
    assert block.extended.tobytes() == Block.mean2d(4, 6, 2).extended.tobytes()


# ---------------------------------------------------------------------------------------------------- foreign graphs


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
    arrays = {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in arrays.items()}
    made = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], name=f"{op.lower()}_{output}", **attributes)


def dyadic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers whose sums and products are exact in float32."""
    return rng.integers(-4, 5, size=shape) / 4.0


def agrees(model: onnx.ModelProto, shape: tuple[int, ...], atol: float = 0.0, **options: Any) -> Network:
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
        node("AveragePool", "d", "e", kernel_shape=[2, 2], pads=[0, 1, 0, 1], strides=[1, 2], count_include_pad=1),
        node("Flatten", "e", "f"),
        node("Gemm", "f w bias", "y", transB=1),
    ]
    constants = {"k1": dyadic(rng, 4, 2, 3, 3), "b1": dyadic(rng, 4), "k2": dyadic(rng, 6, 2, 2, 2)}
    return graph(nodes, constants | {"w": dyadic(rng, 3, 36), "bias": dyadic(rng, 3)}, ("n", 2, 8, 6))


def test_convolutions_of_several_channels() -> None:
    network = agrees(images_graph(), (2, 8, 6))
    assert [block.parameters.n_parameters for block in network.blocks] == [4 * 18 + 4, 6 * 8, 0, 3 * 37]
    assert network.decision == "largest" and network.classes.tolist() == [0, 1, 2]
    same(from_onnx(to_onnx(network)), network)
    X = dyadic(np.random.default_rng(1), 4, 96)
    np.testing.assert_allclose(run(to_onnx(network), X)[0], network.forward(X), rtol=0, atol=1e-12)


W1, W2, B1, B2 = (dyadic(np.random.default_rng(k), *shape) for k, shape in enumerate([(5, 4), (3, 5), (5,), (3,)]))
GEMM = node("Gemm", "x w1 b1", "a", transB=1)
DENSE = {"w1": W1, "b1": B1, "w2": W2, "b2": B2}


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([GEMM, node("Relu", "a", "b"), node("Gemm", "b w2 b2", "y", transB=1, alpha=0.5, beta=2.0)], DENSE),
        ([node("Gemm", "x v b1", "a"), node("Relu", "a", "b"), node("Gemm", "b w2", "y", transB=1)], DENSE | {"v": W1.T}),
        ([node("MatMul", "x v", "m"), node("Add", "m b1", "y")], DENSE | {"v": W1.T}),
        ([node("MatMul", "x v", "m"), node("Add", "b1 m", "a"), node("Relu", "a", "y")], {"v": W1.T, "b1": B1[None]}),
        ([node("Gemm", "x w1", "m", transB=1), node("Add", "m b1", "y")], {"w1": W1, "b1": B1[:1]}),
        ([node("Transpose", "w1", "v", perm=[1, 0]), node("MatMul", "x v", "y")], DENSE),
        ([helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(W1.T.astype(np.float32))),
          node("Identity", "v", "u"), node("Identity", "x", "z"), node("MatMul", "z u", "y")], {}),
        ([node("Dropout", "x", "z"), GEMM, node("Relu", "a", "b"), node("Relu", "b", "y")], DENSE),
        ([node("Cast", "x", "z", to=TensorProto.FLOAT), node("Gemm", "z w1 b1", "y", transB=1)], DENSE),
        ([node("Reshape", "x s", "z"), node("Flatten", "z", "f"), node("Gemm", "f w1 b1", "y", transB=1)],
         DENSE | {"s": np.array([-1, 1, 2, 2])}),
        ([node("Reshape", "x s", "z"), node("Reshape", "z t", "f"), node("Gemm", "f w1 b1", "y", transB=1)],
         DENSE | {"s": np.array([0, 2, -1]), "t": np.array([0, -1])}),
    ],
)  # fmt: skip
def test_dense_graphs(nodes: list[Any], constants: dict[str, Any]) -> None:
    network = agrees(graph(nodes, constants, ("n", 4)), (4,))
    assert network.decision == ("nearest" if nodes[-1].op_type == "Relu" else "largest")
    if not any(side.op_type == "Reshape" for side in nodes):
        same(from_onnx(graph(nodes, constants, ("n", None))), network)
        same(from_onnx(graph(nodes, constants, None)), network)


@pytest.mark.parametrize(
    ("nodes", "opset"),
    [
        ([node("GlobalAveragePool", "b", "p")], 17),
        ([node("ReduceMean", "b", "p", axes=[2, 3])], 17),
        ([node("ReduceMean", "b axes", "p")], 18),
        ([node("Conv", "b ones", "c"), node("Add", "c shifts", "d"), node("Relu", "d", "q"),
          node("GlobalAveragePool", "q", "p")], 17),
    ],
)  # fmt: skip
def test_means_of_whole_images(nodes: list[Any], opset: int) -> None:
    nodes = [node("Conv", "x k", "a"), node("Relu", "a", "b"), *nodes, node("Flatten", "p", "f"), node("Gemm", "f w", "y")]
    rng = np.random.default_rng(0)
    constants = {"k": dyadic(rng, 2, 1, 2, 2), "w": dyadic(rng, 2, 3), "axes": np.array([-2, -1])}
    constants |= {"ones": dyadic(rng, 2, 2, 1, 1), "shifts": dyadic(rng, 2, 1, 1)}
    agrees(graph(nodes, constants, ("n", 1, 3, 3), opset=opset), (1, 3, 3))


def test_softmax_and_labels_at_the_end_are_left_out() -> None:
    nodes = [GEMM, node("Softmax", "a", "s"), node("Identity", "s", "y"), node("ArgMax", "y", "label", axis=1)]
    model = graph(nodes, DENSE, ("n", 4), outputs=("label", "y"))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    network, X = from_onnx(model), dyadic(np.random.default_rng(0), 9, 4)
    np.testing.assert_array_equal(network.forward(X), X @ W1.T + B1)
    assert network.decision == "largest" and np.array_equal(network.predict(X), run(model, X)[0].reshape(-1))


def test_options_win_over_the_file() -> None:
    model = to_onnx(Network.dense([4, 2]).with_classes(["a", "b"]))
    network = from_onnx(model, classes=[7, 8], decision="largest")
    assert network.classes.tolist() == [7, 8] and network.decision == "largest"
    conv = graph([node("Conv", "x k", "y")], {"k": dyadic(np.random.default_rng(0), 1, 1, 2, 2)}, ("n", None, None, None))
    with pytest.raises(NetworkError, match="nothing says the shape of a sample"):
        from_onnx(conv)
    assert from_onnx(conv, image=(3, 4)).n_inputs == from_onnx(conv, image=(1, 3, 4)).n_inputs == 12


RELU = [GEMM, node("Relu", "a", "b")]
IMAGE = ("n", 1, 4, 4)


@pytest.mark.parametrize(
    ("nodes", "constants", "shape", "words"),
    [
        ([GEMM, node("Gemm", "a w2 b2", "y", transB=1)], DENSE, ("n", 4), "Gemm 'gemm_a' and Gemm 'gemm_y' follow each other"),
        ([node("AveragePool", "x", "p", kernel_shape=[2, 2]), node("Conv", "p k", "y")], {"k": np.ones((1, 1, 2, 2))}, IMAGE,
         "AveragePool 'averagepool_p' and Conv 'conv_y' follow.*changes nothing if no input is negative"),
        ([node("Conv", "x k", "c"), node("AveragePool", "c", "y", kernel_shape=[2, 2])], {"k": np.ones((1, 1, 2, 2))}, IMAGE,
         "Conv 'conv_c' and AveragePool 'averagepool_y' follow each other"),
        ([GEMM, node("Tanh", "a", "y")], DENSE, ("n", 4), "Tanh 'tanh_y' is not supported.*Gemm, MatMul, Conv"),
        ([helper.make_node("Gemm", ["x", "w1"], ["y"], name="mine", domain="com.example")], DENSE, ("n", 4), "'mine' is not"),
        ([GEMM, node("Relu", "a", "b"), node("Add", "a b", "y")], DENSE, ("n", 4), "Add 'add_y' takes 2 computed values"),
        ([node("Relu", "x", "r"), node("Gemm", "r w1 b1", "y", transB=1)], DENSE, ("n", 4), "Relu 'relu_r' is put on the"),
        ([node("Gemm", "x w1", "y", transA=1)], DENSE, ("n", 4), "another way than samples by weights"),
        ([node("MatMul", "w1 x", "y")], DENSE, ("n", 4), "another way than samples by weights"),
        ([node("Gemm", "x w1 b2", "y", transB=1)], DENSE, ("n", 4), r"adds an array of shape \(3,\) to 5 outputs"),
        ([node("Gemm", "x w1", "m", transB=1), node("Add", "m b1", "y")], DENSE | {"b1": B1[:, None]}, ("n", 4),
         r"Add 'add_y' adds an array of shape \(5, 1\) to 5 outputs"),
        ([node("Conv", "x k", "c"), node("Add", "c s", "y")], {"k": np.ones((3, 1, 2, 2)), "s": np.ones(3)}, IMAGE,
         r"adds an array of shape \(3,\) to 3 outputs or maps"),
        ([node("Conv", "x k", "c"), node("Softmax", "c", "y", axis=1)], {"k": np.ones((3, 1, 2, 2))}, IMAGE,
         r"Softmax 'softmax_y' makes samples of shape \(0,\) from those of shape \(3, 3, 3\)"),
        ([*RELU, node("Gemm", "b w1 b1", "y", transB=1)], DENSE, ("n", 4), r"takes samples of shape \(4,\), but gets \(5,\)"),
        ([*RELU, node("Add", "b b1", "y")], DENSE, ("n", 4), "Add 'add_y' is not supported there"),
        ([GEMM, node("Softmax", "a", "s"), node("Gemm", "s w2 b2", "y", transB=1)], DENSE, ("n", 4), "only at the end"),
        ([node("Reshape", "x s", "z"), node("Gemm", "z w1 b1", "y", transB=1)], DENSE | {"s": np.array([1, -1])}, ("n", 4),
         r"does not keep the samples apart: its shape is \[1, -1\]"),
        ([node("Flatten", "x", "z", axis=0), node("Gemm", "z w1 b1", "y", transB=1)], DENSE, ("n", 4), "keep the samples"),
        ([node("Conv", "x k", "y")], {"k": np.ones((1, 2, 2, 2))}, IMAGE, "do not fit images of 1 channels"),
        ([node("Conv", "x k", "y")], {"k": np.ones((1, 1, 5, 5))}, IMAGE, "window of 5 x 5 does not fit an image of 4 x 4"),
        ([node("Conv", "x k", "y", strides=[0, 1])], {"k": np.ones((1, 1, 2, 2))}, IMAGE, "strides .*none of an image"),
        ([node("Conv", "x k", "y", pads=[2**40] * 4)], {"k": np.ones((1, 1, 2, 2))}, IMAGE, "padding .*none of an image"),
        ([node("Conv", "x k", "y", auto_pad="SAME_UPPER")], {"k": np.ones((1, 1, 2, 2))}, IMAGE, "auto_pad b'SAME_UPPER'"),
        ([node("Conv", "x k", "y", auto_pad=2**62)], {"k": np.ones((1, 1, 2, 2))}, IMAGE, "auto_pad 4611686018427387904"),
        ([node("AveragePool", "x", "y", kernel_shape=[3, 3], ceil_mode=1)], {}, IMAGE, "has ceil_mode"),
        ([node("Conv", "x k", "y")], {"k": np.ones((1, 1, 2, 2))}, ("n", 1, 40_000, 40_000), r"GB, and 1\.6 GB are"),
        ([node("Conv", "x k", "y", pads=[9**6] * 4)], {"k": np.ones((1, 1, 2, 2))}, IMAGE, "GB are the limit"),
        ([node("AveragePool", "x", "y", kernel_shape=[2**31 - 1] * 2, pads=[2**30] * 4)], {}, IMAGE, "GB are the limit"),
        ([node("Gemm", "x w1", "y", transB=1)], {"w1": np.full((2, 2), np.nan)}, ("n", 2), "finite"),
        ([node("Gemm", "x w1", "y", alpha=float("inf"))], {"w1": np.zeros((2, 2))}, ("n", 2), "multiplies by inf"),
        ([node("Gemm", "x w1", "y", transB=1)], {"w1": np.ones((2, 2), np.int64)}, ("n", 2), "type int64"),
        ([node("Gemm", "x w1", "y", transB=1)], {"w1": np.ones((0, 2))}, ("n", 2), "must be a matrix"),
        ([node("Gemm", "x w1", "y", transB=1)], {"w1": np.ones((2, 4))}, (4,), "without a dimension for several"),
        ([node("Sub", "w1 w1", "d"), node("Gemm", "x d", "y")], DENSE, ("n", 5), "Sub 'sub_d' computes a constant"),
        ([node("Identity", "w1", "y")], DENSE, ("n", 4), "takes 0 computed values"),
        ([GEMM], DENSE, ("n", 4), "does not lead from 'x' to 'y'"),
        ([], DENSE, ("n", 4), "does not lead from 'x' to 'y'"),
        ([node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")], {}, ("n", 4), "does not lead from 'x'"),
        ([node("Gather", f"g{k} g{k}", f"g{k + 1}") for k in range(60)] + [node("Gemm", "x g60", "y")],
         {"g0": np.arange(4)}, ("n", 4), r"weights of shape \(4,\); they must be a matrix"),
        ([part for k in range(2000) for part in (node("Gemm", f"{'x' if k == 0 else f'b{k}'} w", f"a{k}"),
                                                 node("Relu", f"a{k}", f"b{k + 1}"))] + [node("Identity", "b2000", "y")],
         {"w": np.zeros((200, 200))}, ("n", 200), "uses the same weights in many places"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(nodes: list[Any], constants: dict[str, Any], shape: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        from_onnx(graph(nodes, constants, shape))


def test_models_that_are_none_are_refused(tmp_path: Path) -> None:
    model = graph([node("Gemm", "x w1 b1", "y", transB=1)], DENSE, ("n", 4))
    two, old, no_floats, half = (onnx.ModelProto.FromString(model.SerializeToString()) for _ in range(4))
    two.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    old.opset_import[0].version = 6
    no_floats.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    half.graph.initializer[0].CopyFrom(numpy_helper.from_array(W1.astype(np.float16), "w1"))
    for wrong, words in (
        (two, "has 2 inputs"),
        (old, "opset 6; 7 is the oldest"),
        (no_floats, "zipmap"),
        (half, "'w1' is of ONNX type 10"),
    ):
        with pytest.raises(NetworkError, match=words):
            from_onnx(wrong)
    path = tmp_path / "net.onnx"
    for content in (b"", b"hello", b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="damaged or not an ONNX file"):
            import_model(path)
    with pytest.raises(ModelFileError, match=r"there is no model file .*none\.onnx"):
        import_model(tmp_path / "none.onnx")
    with pytest.raises(OptionError, match="says itself what its layers are"):
        import_model(path, net="4-5")


def test_weights_in_other_files_are_never_read(tmp_path: Path) -> None:
    model = graph([node("Gemm", "x w1 b1", "y", transB=1)], {"w1": np.ones((5, 4)), "b1": B1}, ("n", 4))
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    with pytest.raises(ModelFileError, match="in another file, which is not read; save the model in one file"):
        import_model(path)


# ---------------------------------------------------------------------------------------------------- damaged files


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
                damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
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


@pytest.mark.parametrize("number", range(4))
def test_damaged_onnx_files_are_refused_or_read(number: int, tmp_path: Path) -> None:
    network = Network.from_notation("4x4-mean2-conv2b-3").with_decision("largest").with_classes(["a", "b", "c"])
    tied = Network([Block(ParameterMap(np.array([[0, 0, -1], [1, -1, 2]]), np.array([[0, 0, 2.0], [0, 3, 0]])), np.ones(3))])
    models = [to_onnx(network), to_onnx(network, dtype="float32"), to_onnx(tied), images_graph()]
    content = models[number].SerializeToString()
    assert survives(tmp_path / "net.onnx", mutations(content, 300, number)) > 50


# ------------------------------------------------------------------------------------------- mappings of arrays


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("net", NETS)
def test_state_dicts_come_back_the_same(net: str, decision: str) -> None:
    network = trained(net, decision)
    mapping = to_state_dict(network)
    assert all(array.dtype == np.float64 for array in mapping.values())
    same(from_state_dict(mapping, net=net, decision=decision), network)
    rounded = from_state_dict(to_state_dict(network, dtype="float32"), net=net, decision=decision)
    np.testing.assert_allclose(rounded.forward(PIXELS), network.forward(PIXELS), rtol=0, atol=1e-5)


def test_names_and_shapes_are_those_of_a_sequential() -> None:
    shapes = {name: array.shape for name, array in to_state_dict(Network.dense([4, 3, 2])).items()}
    assert shapes == {"0.weight": (3, 4), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}
    shapes = {name: array.shape for name, array in to_state_dict(Network.conv(8, 8, 3, mean=2, free_bias=True)).items()}
    assert shapes == {"3.weight": (1, 1, 3, 3), "3.bias": (1,), "6.weight": (10, 4), "6.bias": (10,)}


def test_mappings_of_others() -> None:
    rng = np.random.default_rng(0)
    mapping = {
        "features.0.weight": dyadic(rng, 4, 1, 2, 2),
        "features.0.bias": dyadic(rng, 4),
        "features.2.weight": dyadic(rng, 2, 4, 3, 3),
        "head.weight": dyadic(rng, 3, 8),
        "head.bias": dyadic(rng, 3),
    }
    mapping = {name: array.astype(np.float32) for name, array in mapping.items()}
    network = from_state_dict(mapping, image=(2, 5, 5), strides=[1, 2], padding=(0, 1), classes=["a", "b", "c"])
    X = dyadic(rng, 3, 2, 5, 5)
    first = correlated(X, Convolution(mapping["features.0.weight"].astype(float), mapping["features.0.bias"], groups=2))
    second = Convolution(mapping["features.2.weight"].astype(float), None, (2, 2), (1, 1, 1, 1))
    hidden = np.maximum(correlated(np.maximum(first, 0), second), 0).reshape(3, -1)
    expected = hidden @ mapping["head.weight"].T.astype(float) + mapping["head.bias"]
    np.testing.assert_allclose(network.forward(X.reshape(3, -1)), expected, rtol=0, atol=1e-12)
    assert network.classes.tolist() == ["a", "b", "c"] and network.decision == "largest"


def test_weights_return_to_the_names_they_came_from() -> None:
    rng = np.random.default_rng(0)
    mapping = {
        "body.0.weight": rng.normal(size=(4, 2, 2, 2)),
        "body.0.bias": rng.normal(size=4),
        "body.1.weight": rng.normal(size=(2, 4, 2, 2)),
        "weight": rng.normal(size=(3, 8)),
        "bias": rng.normal(size=3),
    }
    network = from_state_dict(mapping, image=(2, 4, 4))
    back = to_state_dict(network, like=mapping)
    assert list(back) == list(mapping) and all(np.array_equal(back[name], mapping[name]) for name in mapping)
    doubled = Network([block.with_theta(2 * block.theta) for block in network.blocks], decision="largest")
    same(from_state_dict(to_state_dict(doubled, like=mapping), image=(2, 4, 4)), doubled)
    with pytest.raises(NetworkError, match="has 1 layers with weights, but what it shall be like has 3"):
        to_state_dict(Network.dense([8, 3]), like=mapping)
    with pytest.raises(NetworkError, match=r"is not like '0' of shape \(3, 8\)"):
        to_state_dict(Network.dense([8, 2]), like={"0.weight": mapping["weight"]})


@pytest.mark.parametrize(
    ("mapping", "options", "words"),
    [
        ({}, {}, "there are no weights"),
        ({"0.weight": np.ones((2, 3)), "1.running_mean": np.ones(2)}, {}, "'1.running_mean' is neither a weight nor a bias"),
        ({"0.weight": np.ones(3)}, {}, "neither a Linear nor a Conv2d"),
        ({"0.bias": np.ones(3)}, {}, "neither a Linear nor a Conv2d"),
        ({"0.weight": np.ones((2, 3)), "0.bias": np.ones(3)}, {}, r"'0' has weight of shape \(2, 3\), bias of shape \(3,\)"),
        ({"0.weight": np.ones((0, 3))}, {}, "neither a Linear nor a Conv2d"),
        ({"0.weight": np.ones((2, 3), np.float16)}, {}, "type float16"),
        ({"0.weight": "text"}, {}, "type str"),
        ({"0.weight": np.ones((2, 3)), "2.weight": np.ones((2, 3))}, {}, r"Linear '2' takes samples of shape \(3,\), but gets"),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {}, "give it as image"),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {"image": (4,)}, "give channels, height and width"),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {"image": (4, 0)}, "0 is not a layer size"),
        ({"0.weight": np.ones((1, 1, 2, 2))}, {"image": (4, 4), "strides": [1, 1]}, "each of the 1 Conv2d layers"),
        ({"0.weight": np.ones((1, 3, 2, 2))}, {"image": (4, 4)}, "do not fit images of 1 channels"),
        ({"0.weight": np.ones((2, 3))}, {"net": "3-2-2"}, "weights of 1 layers, but net '3-2-2' has 2"),
        ({"0.weight": np.ones((2, 3))}, {"net": "3-2"}, "a bias where '0' has shape .* no bias"),
        ({"0.weight": np.ones((2, 3))}, {"decision": "best"}, "decision 'best' is unknown"),
        ({"0.weight": np.ones((2, 3))}, {"classes": [1]}, "as many different"),
    ],
)
def test_mappings_that_are_no_network_are_refused(mapping: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        from_state_dict(mapping, **options)


# ------------------------------------------------------------------------------------------------------------- torch


class TestTorch:
    """Modules and files of PyTorch, where it is installed."""

    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[torch]' brings it")

    @pytest.mark.parametrize("decision", DECISIONS)
    @pytest.mark.parametrize("net", NETS)
    def test_modules_agree_on_the_digits(self, torch: Any, net: str, decision: str, tmp_path: Path) -> None:
        network = trained(net, decision)
        module = to_torch(network)
        with torch.no_grad():
            outputs = module(torch.tensor(PIXELS)).numpy()
            rounded = to_torch(network, dtype="float32")(torch.tensor(PIXELS).float()).numpy()
        np.testing.assert_allclose(outputs, network.forward(PIXELS), rtol=0, atol=1e-12)
        np.testing.assert_allclose(rounded, network.forward(PIXELS), rtol=0, atol=1e-5)
        same(from_torch(module), network)
        assert list(module.state_dict()) == list(to_state_dict(network))
        path = export_model(network, tmp_path / "net.pt")
        module.load_state_dict(torch.load(path, weights_only=True))
        same(import_model(path, net=net, decision=decision), network)

    @pytest.mark.filterwarnings("ignore:Using padding='same'")
    def test_modules_of_others(self, torch: Any) -> None:
        nn = torch.nn
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), padding=(1, 0), stride=(2, 1), groups=2), nn.ReLU(), nn.AvgPool2d(2, padding=1),
            nn.Dropout(), nn.Sequential(nn.Conv2d(4, 6, 2, dilation=3, padding="same", bias=False), nn.ReLU()), nn.Identity(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        ).double().eval()  # fmt: skip
        X = torch.randn(9, 2, 7, 6, dtype=torch.float64)
        network = from_torch(module, image=(2, 7, 6), classes=["a", "b", "c"])
        with torch.no_grad():
            np.testing.assert_allclose(network.forward(X.reshape(9, -1)), module(X).numpy(), rtol=0, atol=1e-12)
            again = to_torch(network)(X.reshape(9, -1)).numpy()
        np.testing.assert_allclose(again, module(X).detach().numpy(), rtol=0, atol=1e-12)
        kernels = sum(part.numel() for part in module[0].parameters())
        assert network.blocks[0].theta.size == kernels and network.decision == "largest"

    def test_modules_that_are_no_network_are_refused(self, torch: Any) -> None:
        nn = torch.nn

        class Linear(nn.Linear):  # type: ignore[misc, name-defined]
            """By its name one of PyTorch's."""

        for module, words in (
            (nn.Linear(2, 2), "from a Sequential, not from Linear"),
            (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "Tanh '1' is not supported; a network is made of Linear"),
            (nn.Sequential(Linear(2, 2)), "Linear '0' is not supported"),
            (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "Linear '0' and Linear '1' follow each other"),
            (nn.Sequential(nn.Linear(2, 2).half()), "type float16"),
            (nn.Sequential(nn.Conv2d(1, 1, 2)), "give it as image"),
            (nn.Sequential(nn.Conv2d(1, 1, 2, padding=1, padding_mode="circular")), "pads with circular"),
            (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.AvgPool2d(2, ceil_mode=True)), "ceil_mode"),
            (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.AvgPool2d(2)), r"gets samples of shape \(4,\)"),
            (nn.Sequential(nn.Flatten(0), nn.Linear(4, 4)), "does not flatten all of a sample"),
            (nn.Sequential(), "nothing says"),
        ):
            with pytest.raises(NetworkError, match=words):
                from_torch(module)

    def test_the_example_of_the_documentation_runs(self, torch: Any, tmp_path: Path) -> None:
        page = (Path(__file__).parent.parent / "docs" / "exchange.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr

    def test_nothing_in_a_file_is_executed(self, torch: Any, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> Any:
                return (os.mkdir, (str(tmp_path / "executed"),))

        path = tmp_path / "net.pt"
        for content in ({"0.weight": Evil()}, Evil(), torch.nn.Linear(2, 2)):
            torch.save(content, path)
            with pytest.raises(ModelFileError, match="damaged or holds more than tensors"):
                import_model(path)
        path.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ModelFileError, match="damaged"):
            import_model(path)
        assert not (tmp_path / "executed").exists()

    def test_files_that_claim_more_than_they_hold_are_refused(self, torch: Any, tmp_path: Path) -> None:
        path = tmp_path / "net.pt"
        torch.save({"0.weight": torch.zeros(1, 1).expand(10**6, 10**6)}, path)
        with pytest.raises(ModelFileError, match="share numbers"):
            import_model(path)
        torch.save({"0.weight": torch.zeros(500, 500)}, path)
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in source.namelist():
                packed.writestr(name, source.read(name))
        with pytest.raises(ModelFileError, match="holds no mapping"):
            import_model(tmp_path / "packed.pt")
        for content in ([torch.ones(2, 2)], {"0.weight": 1.0}, {"0.weight": torch.eye(2).to_sparse()}):
            torch.save(content, path)
            with pytest.raises(ModelFileError, match="holds"):
                import_model(path)

    def test_damaged_files_are_refused_or_read(self, torch: Any, tmp_path: Path) -> None:
        content = io.BytesIO()
        torch.save({name: torch.tensor(array) for name, array in to_state_dict(Network.dense([4, 3, 2])).items()}, content)
        assert survives(tmp_path / "net.pt", mutations(content.getvalue(), 300, 0)) > 50


# --------------------------------------------------------------------------------------------------- what comes after


def test_an_imported_network_is_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = [node("MatMul", "x w1", "m"), node("Add", "m b1", "a"), node("Relu", "a", "b"), node("Gemm", "b w2 b2", "y")]
    constants = {"w1": rng.normal(size=(64, 4)) / 8, "b1": np.zeros(4), "w2": rng.normal(size=(4, 3)), "b2": np.zeros(3)}
    network = from_onnx(graph(nodes, constants, ("n", 64)), classes=[0, 1, 2])
    chosen = DIGITS < 3
    X, y = PIXELS[chosen][:120], DIGITS[chosen][:120]
    better = train(network, X, y, batches=2, batch_size=20, max_sweeps=1, postprocess="none").network
    better = postprocess(better, X, y)
    assert better.accuracy(X, y) > max(network.accuracy(X, y), 0.8)
    same(load_model(better.save(tmp_path / "model.npz")), better)
    same(from_onnx(to_onnx(better)), better)
    assert np.array_equal(run(to_onnx(better), X)[1], better.predict(X))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "layermilp", *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def test_commands(tmp_path: Path) -> None:
    model, other, back = (str(tmp_path / name) for name in ("model.npz", "net.onnx", "back.npz"))
    network = trained("8x8-mean2-conv3-10", "largest")
    network.save(model)
    done = command("export", model, "--out", other)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:2] == ["net             8x8-mean2-conv3-10", "format          ONNX, float64"]
    done = command("import", other, "--out", back)
    assert (done.returncode, done.stderr) == (0, "") and "decision        largest" in done.stdout
    same(load_model(back), network)  # type: ignore[arg-type]
    assert main(["import", other, "--out", back, "--classes", "a,b,c,d,e,f,g,h,i,j", "--decision", "nearest"]) == 0
    assert load_model(back).classes.tolist() == list("abcdefghij")
    assert load_model(back).decision == "nearest"  # type: ignore[union-attr]
    assert main(["export", model, "--out", other, "--dtype", "float32"]) == 0
    assert load_model(model).n_inputs == from_onnx(other).n_inputs


def test_commands_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[torch]' brings it")
    model, other, back = (str(tmp_path / name) for name in ("model.npz", "net.pt", "back.npz"))
    network = trained("8x8-mean2-conv3-10", "largest")
    network.save(model)
    assert main(["export", model, "--out", other]) == 0
    assert main(["import", other, "--out", back, "--net", network.notation]) == 0
    same(load_model(back), network)  # type: ignore[arg-type]
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2), torch.nn.ReLU()).state_dict(), other)
    assert main(["import", other, "--out", back, "--image", "3x4x5", "--classes", ",".join(map(str, range(1, 25)))]) == 0
    assert load_model(back).n_inputs == 60 and load_model(back).classes.tolist() == [*range(1, 25)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("export", "missing.npz", "--out", "a.onnx"), "there is no model file missing.npz"),
        (("export", "model.npz", "--out", "a.h5"), "suffix of no format; choose .onnx, .pt, .pth"),
        (("export", "model.npz", "--out", "a.onnx", "--dtype", "int8"), "dtype 'int8' is unknown"),
        (("export", "committee.npz", "--out", "a.onnx"), "Committee cannot be exported"),
        (("import", "model.npz", "--out", "a.npz"), "suffix of no format"),
        (("import", "missing.onnx", "--out", "a.npz"), "there is no model file missing.onnx"),
        (("import", "net.onnx", "--out", "a.npz", "--image", "28"), "'28' is no shape of an image; write 28x28 or 3x32x32"),
        (("import", "net.onnx", "--out", "a.npz", "--classes", "a"), "as many different integer or text labels"),
        (("import", "net.onnx", "--out", "a.npz", "--decision", "best"), "decision 'best' is unknown"),
        (("import", "net.onnx", "--out", "missing/a.npz"), "cannot write missing"),
    ],
)
def test_refused_commands(
    words: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    network = Network.dense([2, 3])
    network.save("model.npz")
    Committee([network, network]).save("committee.npz")
    export_model(network, "net.onnx")
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    output, errors = capsys.readouterr()
    assert code == 2 and output == "" and not Path("a.npz").exists() and not Path("a.onnx").exists()
    assert errors.count("\n") == 1 and errors.startswith("layermilp: ") and expected in errors


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network.dense([2, 3])
    network.save(tmp_path / "model.npz")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for suffix, extra in (("onnx", "onnx"), ("pt", "torch"), ("pth", "torch")):
        for call in (lambda path: export_model(network, path), import_model):
            with pytest.raises(PackageNotAvailable, match=rf"`pip install 'layermilp\[{extra}\]'` brings it"):
                call(tmp_path / f"net.{suffix}")
    assert main(["export", str(tmp_path / "model.npz"), "--out", str(tmp_path / "a.onnx")]) == 2
    assert "pip install 'layermilp[onnx]'" in capsys.readouterr().err
    assert issubclass(PackageNotAvailable, LayermilpError) and to_state_dict(network)


def test_import_loads_neither_onnx_nor_torch() -> None:
    script = "import layermilp.exchange, layermilp.cli, sys; print({'onnx', 'torch', 'google.protobuf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_many_small_layers_are_too_large_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exchange_layers.LARGEST * 24 < 2e9
    monkeypatch.setattr(exchange_layers, "LARGEST", 1000)
    names = ["x", *(f"b{k}" for k in range(4)), "y"]
    nodes = [part for a, b in itertools.pairwise(names) for part in (node("Conv", f"{a} k", f"c{b}"), node("Relu", f"c{b}", b))]
    with pytest.raises(NetworkError, match="the network is too large: written out as matrices"):
        from_onnx(graph(nodes, {"k": np.ones((1, 1, 1, 1))}, IMAGE))
    assert len(from_onnx(graph([*nodes[:4], node("Identity", "b1", "y")], {"k": np.ones((1, 1, 1, 1))}, IMAGE)).blocks) == 2
