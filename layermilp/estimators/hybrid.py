"""GDSolver as a classifier and a regressor, around scikit-learn's networks."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import validate_data

from layermilp.estimators.base import Estimator, classes_of, seed_of, sizes_of
from layermilp.hybrid.options import OPTIMIZERS, Rounds
from layermilp.hybrid.sklearn_models import SklearnTrainee
from layermilp.hybrid.trainer import Data, training
from layermilp.options import option, with_described_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray

DESCRIBED = """

    A fifth of the samples is kept from training to judge the rounds.

    Parameters
    ----------
    {options}

    Attributes
    ----------
    model_ : MLPClassifier or MLPRegressor
        The trained network.
    history_ : tuple of Record
        A record of every stage.
    """


@dataclass(eq=False, repr=False)
class _Hybrid(Estimator, Rounds):
    """What classifier and regressor share, around a network of the class `_kind`."""

    _kind: ClassVar[type[MLPClassifier | MLPRegressor]]

    hidden_layer_sizes: tuple[int, ...] = option((64,), "neurons of the hidden layers", least=1)
    _: KW_ONLY
    optimizer: str = option("adam", "of gradient descent", choices=OPTIMIZERS)
    learning_rate: float = option(0.001, "its first step size", above=0.0)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the classes or the values of samples."""
        inputs = self._inputs(X)
        return np.asarray(self.model_.predict(inputs))

    def _train(self, inputs: FloatArray, targets: NDArray[Any]) -> None:
        settings = Rounds.of(self, seed=seed_of(self.random_state))
        data = Data.of(inputs, targets, None, settings.seed)
        model = self._kind(
            hidden_layer_sizes=sizes_of(self.hidden_layer_sizes),
            solver=self.optimizer,
            learning_rate_init=self.learning_rate,
            batch_size=min(self.batch_size, len(data.X)),
            random_state=settings.seed,
        )
        records = []
        with Workers(1):
            for record in training(SklearnTrainee(model, targets), data, settings):
                records.append(record)
                self._say(f"round {record.round}, {record.kind}, loss {record.validation_loss:.4f}")
        self.model_, self.history_ = model, tuple(records)
        self.n_iter_ = sum(record.epochs for record in records)


@with_described_options
@dataclass(eq=False, repr=False)
class HybridClassifier(ClassifierMixin, _Hybrid):  # type: ignore[misc]  # noqa: D101
    __doc__ = f"A classifier trained as by `layermilp.hybrid.train`.{DESCRIBED}"

    _kind = MLPClassifier

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Return the probabilities of the classes, shape ``(m, n_classes)``."""
        inputs = self._inputs(X)
        return np.asarray(self.model_.predict_proba(inputs))

    def _samples(self, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
        inputs, labels = validate_data(self, X, y, dtype=np.float64)
        self.classes_ = classes_of(labels)
        return inputs, labels


@with_described_options
@dataclass(eq=False, repr=False)
class HybridRegressor(RegressorMixin, MultiOutputMixin, _Hybrid):  # type: ignore[misc]  # noqa: D101
    __doc__ = f"A regressor trained as by `layermilp.hybrid.train`.{DESCRIBED}"

    _kind = MLPRegressor

    def _samples(self, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
        inputs, targets = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        return inputs, np.asarray(targets, dtype=np.float64)
