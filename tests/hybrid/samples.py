"""Small last layers and data."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from layermilp.program import FloatArray, IntArray


def small(
    seed: int, outputs: int, m: int = 6, d: int = 2
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(max(outputs, 2), size=m)
    return rng.normal(size=(m, d)), rng.normal(size=(outputs, d)), rng.normal(size=outputs), labels


def blobs(m: int = 120, seed: int = 0) -> tuple[FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=m)
    return rng.normal(size=(m, 4)) + np.eye(3, 4)[y] * 2.0, y


def classifier(**more: object) -> MLPClassifier:
    return MLPClassifier((6,), random_state=0, batch_size=16, **more)
