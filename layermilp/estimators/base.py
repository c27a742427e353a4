"""What the estimators have in common: checked data, labels, scaled inputs, seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from layermilp.errors import DataError, OptionError
from layermilp.options import option
from layermilp.program import FloatArray, IntArray


def seed_of(random_state: Any) -> int:
    """Return a seed: the number itself, or one drawn from a generator."""
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def sizes_of(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Return the neurons of hidden layers that are given as one number or several."""
    return tuple(int(size) for size in np.atleast_1d(hidden_layer_sizes))


def classes_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the different labels; raise `DataError` if there is only one."""
    check_classification_targets(labels)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise DataError(f"the samples have 1 class, {classes[0]}; a classifier needs two")
    return classes


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(BaseEstimator, ABC):  # type: ignore[misc]
    """An estimator whose parameters are the options of a trainer; they are checked in `fit`."""

    random_state: Any = option(
        None,
        "seed of all that is random: int, RandomState or None",
        "Seed of all that is random: a whole number, a ``RandomState``, or None for another seed "
        "in every call.",
    )
    verbose: int = option(0, "whether a line is printed on the way")
    seed: int = field(default=0, init=False)  # in place of the trainers' option

    def __post_init__(self) -> None:
        """Check nothing: scikit-learn wants parameters as they are."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on all samples.

        Parameters
        ----------
        X : (m, n_features) array
            Training samples.
        y : (m,) array
            Their labels, of two classes at least. A regressor takes what the outputs are to be,
            shape ``(m,)`` or ``(m, n_outputs)``.
        """
        self._train(*self._samples(X, y))
        return self

    @abstractmethod
    def _samples(self, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
        """Check training data; return inputs, and what is learned of them."""

    @abstractmethod
    def _train(self, inputs: FloatArray, targets: NDArray[Any]) -> None:
        """Train on checked data, and keep what was learned."""

    def _inputs(self, X: ArrayLike) -> FloatArray:
        """Check samples for a prediction."""
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, dtype=np.float64, reset=False))

    def _say(self, text: str) -> None:
        """Print where the user wants to hear of it."""
        if self.verbose:
            print(f"{type(self).__name__}: {text}")


@dataclass(kw_only=True, eq=False, repr=False)
class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A classifier whose network stands in ``network_``; its outputs, 0, 1, ..., stand for
    ``classes_``."""

    scale: str | None = option(
        "minmax",
        "how inputs are scaled",
        "Inputs are scaled to [0, 1] by their range in training (``minmax``), or taken as they "
        "are (None).",
        choices=("minmax",),
    )

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the classes of samples, shape ``(m,)``."""
        inputs = self._scaled(self._inputs(X))
        return np.asarray(self.classes_[self.network_.predict(inputs)])

    def _samples(self, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, IntArray]:
        """Check training data; learn the classes and the scale of the inputs; return scaled inputs
        and outputs."""
        if self.scale not in ("minmax", None):
            raise OptionError(f"scale {self.scale!r} is unknown; choose 'minmax' or None")
        inputs, labels = validate_data(self, X, y, dtype=np.float64)
        self.classes_ = classes_of(labels)
        self._learn_scale(inputs)
        return self._scaled(inputs), np.searchsorted(self.classes_, labels)

    def _learn_scale(self, inputs: FloatArray) -> None:
        self.least_, self.largest_ = inputs.min(axis=0), inputs.max(axis=0)

    def _scaled(self, inputs: FloatArray) -> FloatArray:
        """Scale to [0, 1]; what lies outside of the training data's range is taken for its end."""
        if self.scale is None:
            return inputs
        with np.errstate(over="ignore"):
            width = self.largest_ - self.least_
            shares = (inputs - self.least_) / np.where(width > 0.0, width, 1.0)
        return np.asarray(np.clip(shares, 0.0, 1.0))
