"""Modules of PyTorch's get the weights."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp import smt
from layermilp.errors import NetworkError
from layermilp.smt import Verdict
from tests.smt.samples import APART, CORNERS, holds, planes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pytorch_module_gets_the_weights(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    X, labels = planes(50)
    layers = [torch.nn.Flatten(), torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)]
    module = torch.nn.Sequential(*layers).to(getattr(torch, dtype))
    found = smt.train(module, X, labels, time_limit=60.0)
    assert found.verdict is Verdict.SATISFIED and found.network is not None
    for layer, block in zip((layers[1], layers[3]), found.network.blocks, strict=True):
        assert np.array_equal(layer.weight.detach().numpy().astype(float), block.weights)
        assert np.array_equal(layer.bias.detach().numpy().astype(float), block.bias)
    values = module(torch.tensor(X, dtype=getattr(torch, dtype))).detach().numpy()
    assert np.all(values.argmax(axis=1) == labels)
    assert holds(found.network, X.astype(dtype).astype(float), labels)


def test_other_modules_are_refused() -> None:
    nn = pytest.importorskip("torch").nn
    for module, words in (
        (nn.Linear(2, 2), "takes a Sequential"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), "where a ReLU must be"),
        (nn.Sequential(nn.Linear(2, 2, bias=False)), "where a Linear with a bias must be"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "must end with a Linear"),
        (
            nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(2, 2)),
            "has 3 outputs, the next 2 inputs",
        ),
        (nn.Sequential(nn.Linear(2, 2)).half(), "type float16"),
    ):
        with pytest.raises(NetworkError, match=words):
            smt.train(module, CORNERS, APART)
