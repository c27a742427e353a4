"""How near other tools come to a network's own outputs: exported, and computed by onnxruntime and
PyTorch.

The networks are trained on the first images of the data, a few batches each. Of the test images the
largest difference of any output from `Network.forward` is shown, and how many labels differ, in
both types of numbers."""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from layermilp import Network, train
from layermilp.datasets import Dataset, load
from layermilp.exchange import export_model, to_torch
from layermilp.program import FloatArray

NETS = {"784-8-8-10": "he", "28x28-mean4-conv3-10": "positive", "28x28-conv5b-10": "positive"}
"""Networks and their initial weights: dense, the paper's convolution, and a convolution of all
pixels with an offset."""


def trained(net: str, data: Dataset, batches: int) -> Network:
    """Return a network after some batches of 100 images, taken once, with ridge regressions: how it
    is trained does not matter here."""
    network = Network.from_notation(net, init=NETS[net]).with_classes(data.classes)
    return train(
        network,
        data.X_train,
        data.classes[data.y_train],
        batches=batches,
        epochs=1,
        weight_fit="ridge",
    ).network


def by_onnxruntime(network: Network, X: FloatArray, dtype: str) -> FloatArray:
    """Return the outputs of the exported graph."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = export_model(network, Path(folder, "network.onnx"), dtype=dtype)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (outputs,) = session.run(["outputs"], {"inputs": X.astype(dtype)})
    return np.asarray(outputs, dtype=np.float64)


def by_torch(network: Network, X: FloatArray, dtype: str) -> FloatArray:
    """Return the outputs of the module."""
    import torch

    module = to_torch(network, dtype=dtype)
    with torch.no_grad():
        outputs = module(torch.tensor(X.astype(dtype)))
    return np.asarray(outputs.numpy(), dtype=np.float64)


TOOLS: dict[str, Callable[[Network, FloatArray, str], FloatArray]] = {
    "onnxruntime": by_onnxruntime,
    "torch": by_torch,
}
"""What computes the outputs, by the package that it needs."""


def main() -> None:
    """Print a row for every network, tool and type, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="auto", help="mnist, digits, or auto")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument(
        "--quick", action="store_true", help="digits and one batch: to see that the script runs"
    )
    parser.add_argument("--json", type=Path, help="write the table here")
    arguments = parser.parse_args()
    data = load("digits" if arguments.quick else arguments.data, n_inputs=784)
    assert data.X_test is not None
    print(f"{data.source}, {len(data.X_test):,} test images")
    installed = {
        tool: run for tool, run in TOOLS.items() if importlib.util.find_spec(tool) is not None
    }
    print(
        "\n| network | largest output | tool | type | largest difference | other labels "
        "|\n|---|---|---|---|---|---|"
    )
    table = []
    for net in NETS:
        network = trained(net, data, 1 if arguments.quick else arguments.batches)
        own = network.forward(data.X_test)
        for tool, run in installed.items():
            for dtype in ("float64", "float32"):
                outputs = run(network, data.X_test, dtype)
                difference = float(np.abs(outputs - own).max())
                others = int(np.sum(network.decide(outputs) != network.decide(own)))
                row = {
                    "net": net,
                    "tool": tool,
                    "dtype": dtype,
                    "difference": difference,
                    "other_labels": others,
                }
                table.append(row | {"largest_output": float(np.abs(own).max())})
                print(
                    f"| {net} | {np.abs(own).max():.0f} | {tool} | {dtype} | {difference:.1g} | "
                    f"{others} |",
                    flush=True,
                )
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"data": data.name, "table": table}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
