"""Networks as ONNX models: the outputs of both sides, the ties, refusals, damaged files."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp import Block, Committee, Network
from layermilp.datasets import load
from layermilp.errors import NetworkError, OptionError, OutputError
from layermilp.exchange import export_model, from_onnx, import_model, to_onnx, to_state_dict
from layermilp.networks.layers import Tied
from layermilp.networks.parameters import ParameterMap
from tests.exchange.examples import (
    DECISIONS,
    NETS,
    PIXELS,
    REAL_MNIST,
    SEEDS,
    images_graph,
    mutations,
    run,
    same,
    survives,
    trained,
)


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


@pytest.mark.skipif(
    not REAL_MNIST,
    reason="REAL MNIST IS NOT EXPORTED: set LAYERMILP_DATA to a directory that has its files",
)
@pytest.mark.parametrize("net", ["784-8-8-10", "28x28-mean4-conv3-10", "28x28-conv5b-10"])
def test_onnxruntime_agrees_on_mnist(net: str) -> None:
    data = load("mnist", data_dir=REAL_MNIST, n_inputs=784)
    assert data.X_test is not None
    network = Network.from_notation(net).with_decision("argmax")
    outputs, labels = run(to_onnx(network), data.X_test)
    np.testing.assert_allclose(outputs, network.forward(data.X_test), rtol=0, atol=1e-6)
    assert np.array_equal(labels, network.predict(data.X_test))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("net", NETS)
def test_models_are_valid_and_take_any_number_of_samples(net: str, dtype: str) -> None:
    model = to_onnx(trained(net, "argmax"), dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "layermilp" and [value.name for value in model.graph.output] == [
        "outputs",
        "labels",
    ]
    for m in (1, 7):
        assert run(model, PIXELS[:m])[0].shape[0] == run(model, PIXELS[:m])[1].shape[0] == m
    operators = {node.op_type for node in model.graph.node}
    assert ("Conv" in operators) == ("conv" in net and dtype == "float32")


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("net", NETS)
def test_what_was_exported_comes_back_the_same(net: str, decision: str, tmp_path: Path) -> None:
    network = trained(net, decision)
    network = network.with_classes(
        [f"class {k} \N{GREEK SMALL LETTER ALPHA}" for k in range(network.n_outputs)]
    )
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
        blocks.append(Block(Tied(parameters), rng.normal(size=parameters.n_parameters)))
    return Network(
        blocks, draw(st.permutations(range(sizes[-1]))), draw(st.sampled_from(DECISIONS))
    )


@settings(deadline=None, max_examples=40)
@given(any_network(), SEEDS)
def test_any_ties_survive(network: Network, seed: int) -> None:
    model, X = to_onnx(network), np.random.default_rng(seed).normal(size=(5, network.n_inputs))
    outputs, labels = run(model, X)
    np.testing.assert_allclose(outputs, network.forward(X), rtol=0, atol=1e-9)
    same(from_onnx(model), network)
    np.testing.assert_allclose(
        run(to_onnx(network, dtype="float32"), X)[0], network.forward(X), rtol=1e-4, atol=1e-4
    )
    assert set(labels.tolist()) <= set(network.classes.tolist())


@pytest.mark.parametrize("decision", DECISIONS)
def test_labels_are_the_first_of_equals(decision: str) -> None:
    network = Network([Block.dense(2, 3).with_theta(np.zeros(9))], ["c", "a", "b"], decision)
    assert (
        run(to_onnx(network), np.ones((2, 2)))[1].tolist()
        == network.predict(np.ones((2, 2))).tolist()
        == ["c", "c"]
    )


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


@pytest.mark.parametrize("number", range(4))
def test_damaged_onnx_files_are_refused_or_read(number: int, tmp_path: Path) -> None:
    network = (
        Network.from_notation("4x4-mean2-conv2b-3")
        .with_decision("argmax")
        .with_classes(["a", "b", "c"])
    )
    tied = Network(
        [
            Block(
                Tied(
                    ParameterMap(
                        np.array([[0, 0, -1], [1, -1, 2]]), np.array([[0, 0, 2.0], [0, 3, 0]])
                    )
                ),
                np.ones(3),
            )
        ]
    )
    models = [to_onnx(network), to_onnx(network, dtype="float32"), to_onnx(tied), images_graph()]
    content = models[number].SerializeToString()
    assert survives(tmp_path / "net.onnx", mutations(content, 300, number)) > 50
