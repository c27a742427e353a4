"""Shared fixtures."""

from __future__ import annotations

import pytest

from layermilp import Network, Trained, train
from tests.layerwise.samples import digits, fast


@pytest.fixture(scope="module", params=["l1", "margin"])
def on_digits(request: pytest.FixtureRequest) -> Trained:
    X, y = digits()
    options = fast(
        batches=2,
        batch_size=30,
        objective=request.param,
        postprocess="end",
        target_gap=0.05,
        node_limit=20,
    )
    return train(Network.dense([64, 4, 10], seed=1), X, y, **options)
