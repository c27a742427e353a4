"""scikit-learn's multi-layer perceptrons as trainees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import check_is_fitted

from layermilp.errors import DataError, NetworkError
from layermilp.hybrid.options import OPTIMIZERS
from layermilp.networks.network import Block, Network
from layermilp.program import FloatArray, IntArray

ACTIVATIONS = {
    "identity": lambda sums: sums,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda sums: np.maximum(sums, 0.0),
}
"""What scikit-learn's hidden neurons do, by its names."""


class SklearnTrainee:
    """An ``MLPClassifier`` or ``MLPRegressor``, which descends by ``partial_fit``; see `Trainee`.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Trained in place; may be new.
    y : array
        Labels or targets that hold all classes.

    Raises
    ------
    NetworkError
        If the model trains by L-BFGS, which has no epochs, or has several labels per sample.
    """

    output = "identity"

    def __init__(self, model: MLPClassifier | MLPRegressor, y: Any) -> None:
        if model.solver not in OPTIMIZERS:
            raise NetworkError(
                f"the model's solver is {model.solver!r}, which has no epochs; choose "
                f"{' or '.join(OPTIMIZERS)}"
            )
        self.model = model
        self.is_classifier = isinstance(model, MLPClassifier)
        if not self.is_classifier and getattr(model, "loss", "squared_error") != "squared_error":
            raise NetworkError(
                f"the model's loss is {model.loss!r}; its outputs are no weighted sums, choose "
                "'squared_error'"
            )
        if self.is_classifier and np.ndim(y) != 1:
            raise NetworkError(
                f"labels have shape {np.shape(y)}; the hybrid trainer takes one label per sample"
            )
        self.classes: Any = None
        if self.is_classifier:
            self.classes = np.asarray(getattr(model, "classes_", np.unique(y)))

    def epoch(self, X: Any, y: Any) -> None:
        if self.is_classifier:
            self.model.partial_fit(X, y, classes=self.classes)
        else:
            self.model.partial_fit(X, y)

    def features(self, X: Any) -> FloatArray:
        try:
            check_is_fitted(self.model)
        except ValueError as error:
            raise NetworkError(
                f"this {type(self.model).__name__} has no weights yet; fit it first, or call train"
            ) from error
        activation, values = ACTIVATIONS[self.model.activation], np.asarray(X, dtype=np.float64)
        *hidden, _ = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        for weights, offsets in hidden:
            values = activation(values @ weights + offsets)
        return np.asarray(values, dtype=np.float64)

    def last_layer(self) -> tuple[FloatArray, FloatArray]:
        weights, offsets = self.model.coefs_[-1].T, self.model.intercepts_[-1]
        return weights.astype(np.float64), offsets.astype(np.float64)

    def replace_last_layer(self, weights: FloatArray, offsets: FloatArray) -> None:
        # In place: the optimizer of the model holds these very arrays.
        self.model.coefs_[-1][...] = weights.T
        self.model.intercepts_[-1][...] = offsets

    def labels(self, y: Any) -> IntArray:
        values = np.asarray(y)
        known = np.isin(values, self.classes)
        if not known.all():
            raise DataError(f"label {values[~known][0]!r} is none of the model's classes")
        return np.searchsorted(self.classes, values).astype(np.int64)

    def predicted(self, X: Any) -> IntArray:
        return self.labels(self.model.predict(X))

    def loss(self, X: Any, y: Any) -> float:
        if self.is_classifier:
            return float(log_loss(y, self.model.predict_proba(X), labels=self.classes))
        return float(mean_squared_error(y, self.model.predict(X)))

    @property
    def _weights(self) -> list[FloatArray]:
        """The weights of every layer, then the offsets of every layer, as the model holds them."""
        return [*self.model.coefs_, *self.model.intercepts_]

    def state(self) -> Any:
        if not hasattr(self.model, "coefs_"):
            return None
        return [array.copy() for array in self._weights]

    def restore(self, state: Any) -> None:
        if state is not None:
            for array, values in zip(self._weights, state, strict=True):
                array[...] = values

    def progress(self) -> dict[str, Any]:
        """Return the arrays that decide how descent goes on: weights, offsets, and what the
        optimizer remembers."""
        arrays, numbers = self._remembered()
        return {name: np.array(value) for name, value in (arrays | numbers).items()}

    def resume(self, kept: Mapping[str, Any], X: Any, y: Any) -> None:
        """Go on where `progress` was asked for, with samples of the same kind."""
        self.epoch(X[: self.model.batch_size], y[: self.model.batch_size])
        arrays, numbers = self._remembered()
        for name, array in arrays.items():
            array[...] = kept[name]
        for name, number in numbers.items():
            setattr(self.model._optimizer, name, type(number)(kept[name]))

    def _remembered(self) -> tuple[dict[str, FloatArray], dict[str, float]]:
        """Return by name what decides how descent goes on: the weights, and the moments or
        velocities that the optimizer has for each of them; and its numbers."""
        values = vars(self.model._optimizer).items()
        lists = {"weights": self._weights}
        lists |= {name: value for name, value in values if isinstance(value, list)}
        arrays = {f"{name}_{i}": each for name in lists for i, each in enumerate(lists[name])}
        numbers = {
            name: value
            for name, value in values
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        return arrays, numbers

    def network(self) -> Network:
        """Return the network of a classifier of ReLUs, which reads the class from the largest
        output.

        Raises
        ------
        NetworkError
            If the model is no classifier, or its activation is another.
        """
        if not self.is_classifier or self.model.activation != "relu":
            raise NetworkError(
                "only a classifier with the activation 'relu' is a network of ReLU blocks"
            )
        layers = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        thetas = [np.column_stack([weights.T, offsets]) for weights, offsets in layers]
        if len(thetas[-1]) == 1:  # one output tells two classes apart by its sign
            thetas[-1] = np.concatenate([-thetas[-1], thetas[-1]]) / 2.0
        blocks = [
            Block.dense(theta.shape[1] - 1, len(theta)).with_theta(theta.reshape(-1))
            for theta in thetas
        ]
        return Network(blocks, self.classes, "argmax")
