"""The digits of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp.datasets import Dataset, load


def test_digits() -> None:
    data = load("digits")
    assert isinstance(data, Dataset) and data.name == "digits" and "scikit-learn" in data.source
    assert (
        data.X_train.shape == (1500, 64)
        and data.X_test is not None
        and data.X_test.shape == (297, 64)
    )
    assert data.X_train.min() == 0.0 and data.X_train.max() == 1.0
    assert data.y_test is not None and set(data.y_test) == set(range(10))
    assert np.array_equal(load("digits", n_inputs=64).X_train, data.X_train)


def test_enlarged_digits() -> None:
    small, large = load("digits"), load("digits", n_inputs=784)
    assert large.name == "digits (28 x 28)" and "enlarged to 28 x 28" in large.source
    assert (
        large.X_train.shape == (1500, 784)
        and large.X_test is not None
        and large.X_test.shape == (297, 784)
    )
    assert large.X_train.min() >= 0.0 and large.X_train.max() <= 1.0
    assert np.array_equal(large.y_train, small.y_train)
    pictures = large.X_train.reshape(-1, 28, 28)
    for shift in range(3):
        assert np.array_equal(
            pictures[:, 2 + shift : 26 : 3, 2 + shift : 26 : 3].reshape(-1, 64), small.X_train
        )
    assert pictures.sum() == pytest.approx(9 * small.X_train.sum())
