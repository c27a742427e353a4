"""Networks of PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import hybrid
from layermilp.errors import DataError, NetworkError
from tests.hybrid.samples import blobs


class TestTorch:
    """PyTorch modules, where PyTorch is installed."""

    def module(self, seed: int = 0, *tail: Any) -> Any:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3), *tail
        )

    def test_a_module_is_trained_in_place(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        X, y = blobs()
        histories, weights = [], []
        for _ in range(2):
            module = self.module()
            optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
            run = hybrid.train(
                module, X, y, optimizer=optimizer, rounds=2, epochs=6, keep=30, batch_size=16
            )
            histories.append([(record.validation_loss, record.undone) for record in run.history])
            weights.append(module[2].weight.detach().numpy().copy())
        assert histories[0] == histories[1]
        np.testing.assert_array_equal(*weights)
        accuracy = run.history[-1].validation_accuracy
        assert accuracy is not None and accuracy > 0.6

    def test_finetuning_with_relu_outputs_and_convolutions(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        torch.manual_seed(1)
        rng = np.random.default_rng(0)
        images, y = rng.normal(size=(24, 1, 6, 6)).astype(np.float32), rng.integers(3, size=24)
        body = [
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(64, 3),
        ]
        for tail in ([], [torch.nn.ReLU()]):
            module = torch.nn.Sequential(*body, *tail)
            fit = hybrid.finetune_last_layer(module, images, y, radius=2.0, solver="highs")
            with torch.no_grad():
                predicted = module(torch.as_tensor(images)).argmax(dim=1).numpy()
            assert np.mean(predicted != y) <= fit.objective / 24 + 1e-9
            assert fit.objective < fit.start_objective

    def test_modules_that_end_otherwise_are_refused(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        X, y = blobs()
        with pytest.raises(NetworkError, match="remove what follows"):
            hybrid.finetune_last_layer(self.module(0, torch.nn.Softmax(dim=1)), X, y)
        with pytest.raises(NetworkError, match=r"no nn\.Linear"):
            hybrid.train(torch.nn.ReLU(), X, y)
        with pytest.raises(DataError, match="labels go from 0 to 3"):
            hybrid.finetune_last_layer(self.module(), X, y + (np.arange(len(y)) == 5) * (3 - y))
