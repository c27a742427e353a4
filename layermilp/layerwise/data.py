"""Training and test data, checked against a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from layermilp.errors import DataError
from layermilp.networks.network import Network
from layermilp.program import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples and the outputs their labels stand for, checked against a network; test data may be
    missing."""

    X: FloatArray
    y: IntArray
    X_test: FloatArray | None = None
    y_test: IntArray | None = None

    @classmethod
    def of(
        cls,
        network: Network,
        X: ArrayLike,
        y: ArrayLike,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
    ) -> TrainingData:
        """Check the data against the network; raise `DataError` as `train` does."""
        samples, labels = _checked(network, X, y, "training")
        if (X_test is None) != (y_test is None):
            raise DataError("test data need both samples and labels")
        if X_test is None or y_test is None:
            return cls(samples, labels)
        return cls(samples, labels, *_checked(network, X_test, y_test, "test"))


def _checked(
    network: Network, X: ArrayLike, y: ArrayLike, what: str
) -> tuple[FloatArray, IntArray]:
    samples = np.ascontiguousarray(X, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[1] != network.n_inputs:
        raise DataError(
            f"the network takes {network.n_inputs} inputs, but the {what} data have shape "
            f"{samples.shape}"
        )
    labels = network.class_indices(y)
    if len(samples) != len(labels) or not len(samples):
        raise DataError(f"there are {len(samples)} {what} samples and {len(labels)} labels")
    wrong = np.argwhere(~(np.isfinite(samples) & (samples >= 0.0)))
    if len(wrong):
        row, column = wrong[0]
        value = samples[row, column]
        advice = "; the method needs non-negative inputs, scale them to [0, 1]"
        raise DataError(
            f"{what} sample {row} has the value {value:g} at input {column}"
            f"{advice if np.isfinite(value) else ''}"
        )
    return samples, labels
