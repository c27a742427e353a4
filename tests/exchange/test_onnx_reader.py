"""ONNX graphs of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from layermilp import Network
from layermilp.errors import ModelFileError, NetworkError, OptionError
from layermilp.exchange import from_onnx, import_model, to_onnx
from tests.exchange.examples import IMAGE, agrees, dyadic, graph, images_graph, node, run, same


def test_convolutions_of_several_channels() -> None:
    network = agrees(images_graph(), (2, 8, 6))
    assert [block.parameters.n_parameters for block in network.blocks] == [
        4 * 18 + 4,
        6 * 8,
        0,
        3 * 37,
    ]
    assert network.decision == "argmax" and network.classes.tolist() == [0, 1, 2]
    same(from_onnx(to_onnx(network)), network)
    X = dyadic(np.random.default_rng(1), 4, 96)
    np.testing.assert_allclose(run(to_onnx(network), X)[0], network.forward(X), rtol=0, atol=1e-12)
    single = to_onnx(network, dtype="float32")
    np.testing.assert_allclose(run(single, X)[0], network.forward(X), rtol=0, atol=1e-4)
    operators = [node.op_type for node in single.graph.node]
    assert operators.count("Conv") == 2 and "AveragePool" not in operators  # which has padding


W1, W2, B1, B2 = (
    dyadic(np.random.default_rng(k), *shape) for k, shape in enumerate([(5, 4), (3, 5), (5,), (3,)])
)
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
    assert network.decision == ("closest_to_one" if nodes[-1].op_type == "Relu" else "argmax")
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
    nodes = [
        node("Conv", "x k", "a"),
        node("Relu", "a", "b"),
        *nodes,
        node("Flatten", "p", "f"),
        node("Gemm", "f w", "y"),
    ]
    rng = np.random.default_rng(0)
    constants = {"k": dyadic(rng, 2, 1, 2, 2), "w": dyadic(rng, 2, 3), "axes": np.array([-2, -1])}
    constants |= {"ones": dyadic(rng, 2, 2, 1, 1), "shifts": dyadic(rng, 2, 1, 1)}
    agrees(graph(nodes, constants, ("n", 1, 3, 3), opset=opset), (1, 3, 3))


def test_softmax_and_labels_at_the_end_are_left_out() -> None:
    nodes = [
        GEMM,
        node("Softmax", "a", "s"),
        node("Identity", "s", "y"),
        node("ArgMax", "y", "label", axis=1),
    ]
    model = graph(nodes, DENSE, ("n", 4), outputs=("label", "y"))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    network, X = from_onnx(model), dyadic(np.random.default_rng(0), 9, 4)
    np.testing.assert_array_equal(network.forward(X), X @ W1.T + B1)
    assert network.decision == "argmax" and np.array_equal(
        network.predict(X), run(model, X)[0].reshape(-1)
    )


def test_options_win_over_the_file() -> None:
    model = to_onnx(Network.dense([4, 2]).with_classes(["a", "b"]))
    network = from_onnx(model, classes=[7, 8], decision="argmax")
    assert network.classes.tolist() == [7, 8] and network.decision == "argmax"
    conv = graph(
        [node("Conv", "x k", "y")],
        {"k": dyadic(np.random.default_rng(0), 1, 1, 2, 2)},
        ("n", None, None, None),
    )
    with pytest.raises(NetworkError, match="nothing says the shape of a sample"):
        from_onnx(conv)
    assert from_onnx(conv, image=(3, 4)).n_inputs == from_onnx(conv, image=(1, 3, 4)).n_inputs == 12


RELU = [GEMM, node("Relu", "a", "b")]


@pytest.mark.parametrize(
    ("nodes", "constants", "shape", "words"),
    [
        ([GEMM, node("Gemm", "a w2 b2", "y", transB=1)], DENSE, ("n", 4), "Gemm 'gemm_a' and Gemm 'gemm_y' follow each other"),
        ([node("AveragePool", "x", "p", kernel_shape=[2, 2]), node("Conv", "p k", "y")], {"k": np.ones((1, 1, 2, 2))}, IMAGE,
         "AveragePool 'averagepool_p' and Conv 'conv_y' follow.*changes nothing if no input is "
         "negative"),
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
        ([node("Conv", "x k", "y")], {"k": np.ones((1, 1, 2, 2))}, ("n", 1, 150, 150), r"GB, and 1\.6 GB are"),
        ([node("Conv", "x k", "y")], {"k": np.ones((1, 1, 2, 2))}, ("n", 1, 40_000, 40_000), "1 weights are the limit"),
        ([node("Conv", "x k", "y", pads=[9**6] * 4)], {"k": np.ones((1, 1, 2, 2))}, IMAGE, "1 weights are the limit"),
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
def test_what_is_no_network_is_refused(
    nodes: list[Any], constants: dict[str, Any], shape: Any, words: str
) -> None:
    with pytest.raises(NetworkError, match=words):
        from_onnx(graph(nodes, constants, shape))


def test_models_that_are_none_are_refused(tmp_path: Path) -> None:
    model = graph([node("Gemm", "x w1 b1", "y", transB=1)], DENSE, ("n", 4))
    two, old, no_floats, half = (
        onnx.ModelProto.FromString(model.SerializeToString()) for _ in range(4)
    )
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
    model = graph(
        [node("Gemm", "x w1 b1", "y", transB=1)], {"w1": np.ones((5, 4)), "b1": B1}, ("n", 4)
    )
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    with pytest.raises(
        ModelFileError, match="in another file, which is not read; save the model in one file"
    ):
        import_model(path)
