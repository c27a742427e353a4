"""Small data, quick options, and the states of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from layermilp import Network
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.state import State
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import training
from layermilp.parallel import Workers

SAMPLES = 240


def clusters(samples: int = SAMPLES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return overlapping clusters of three classes, of which the first is rare."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, samples, p=[0.1, 0.4, 0.5])
    centres = rng.random((3, 5))
    return np.maximum(centres[y] + 0.35 * rng.normal(size=(samples, 5)), 0.0), y


def blobs(samples: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return non-negative samples of two classes, each with an input of its own, mixed."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    return np.eye(2)[y] + 0.2 * rng.random((samples, 2)), y


def bars(samples: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return 4 x 4 images of a horizontal or a vertical bar with some noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    images = 0.1 * rng.random((samples, 4, 4))
    for image, label, place in zip(images, y, rng.integers(0, 4, samples), strict=True):
        image[(slice(None), place) if label else (place, slice(None))] += 0.9
    return images.reshape(samples, 16), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the first sixty handwritten digits."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels[:60] / 16.0, labels[:60]


FEW: dict[str, Any] = {
    "batches": 3,
    "batch_size": 8,
    "epochs": 1,
    "first_sample": 0,
    "seed": 0,
    "objective": "l1",
    "class_weight": None,
    "input_penalty": 0.02,
    "max_sweeps": 4,
    "box": 1.0,
    "trust_factor": 0.6,
    "trust_offset": 0.01,
    "average": 0.0,
    "postprocess": "none",
    "tolerance": 0.49,
}
"""Values of all settings for a run that takes a moment; no default decides what is tested here."""
REGULARIZED = {"weight_fit": "ridge", "ridge": 0.2, "weight_decay": 0.05}
"""The same for fits with more weights than targets."""


def tiny(**changes: Any) -> Sweeps:
    """Return settings of a run that takes a moment."""
    solving = {"node_limit": 50, "target_gap": 0.01, "tie_break": "l1"}
    return Sweeps(**FEW | REGULARIZED | solving | changes)


def fast(**changes: Any) -> dict[str, Any]:
    """Return options of `train` for the same in one process."""
    return (
        {**FEW, "target_gap": 0.01, "node_limit": 50, "tie_break": "l1", "n_jobs": 1}
        | REGULARIZED
        | changes
    )


def states(
    network: Network,
    X: np.ndarray,
    y: np.ndarray,
    settings: Sweeps,
    watch: list[Step] | None = None,
) -> list[State]:
    """Train in this process; return every state, and append every step to `watch`."""
    told = [] if watch is None else watch
    data = TrainingData.of(network, X, y)
    with Workers(1) as workers:
        return list(training(network, data, settings, workers, told.append))


def weights(network: Network) -> list[bytes]:
    """Return the parameters bit by bit."""
    return [block.theta.tobytes() for block in network.blocks]


objectives = pytest.mark.parametrize("objective", ["l1", "margin"])
