"""GDSolver as a classifier and a regressor, around scikit-learn's networks."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from layermilp.estimators.base import Seeded, classes_of, seed_of, sizes_of
from layermilp.hybrid.options import Rounds
from layermilp.hybrid.sklearn_models import OPTIMIZERS, SklearnTrainee
from layermilp.hybrid.trainer import Data, training
from layermilp.options import option, with_described_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray

DESCRIBED = """

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
class _Hybrid(Seeded, Rounds):
    """What classifier and regressor share."""

    hidden_layer_sizes: tuple[int, ...] = option((64,), "neurons of the hidden layers", least=1)
    _: KW_ONLY
    optimizer: str = option("adam", "of gradient descent", choices=OPTIMIZERS)
    learning_rate: float = option(0.001, "its first step size", above=0.0)
    seed: int = field(default=0, init=False)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the classes or the values of samples."""
        check_is_fitted(self)
        return np.asarray(
            self.model_.predict(validate_data(self, X, dtype=np.float64, reset=False))
        )

    def _train(
        self, kind: type[MLPClassifier | MLPRegressor], X: FloatArray, y: NDArray[Any]
    ) -> None:
        settings = Rounds.of(self, seed=seed_of(self.random_state))
        data = Data.of(X, y, None, settings.seed)
        model = kind(
            hidden_layer_sizes=sizes_of(self.hidden_layer_sizes),
            solver=self.optimizer,
            learning_rate_init=self.learning_rate,
            batch_size=min(self.batch_size, len(data.X)),
            random_state=settings.seed,
        )
        trainee = SklearnTrainee(model, y)
        records = []
        with Workers(1):
            for record in training(trainee, data, settings):
                records.append(record)
                self._say(f"round {record.round}, {record.kind}, loss {record.validation_loss:.4f}")
        self.model_, self.history_ = model, tuple(records)
        self.n_iter_ = sum(record.epochs for record in records)


@with_described_options
@dataclass(eq=False, repr=False)
class HybridClassifier(ClassifierMixin, _Hybrid):  # type: ignore[misc]  # noqa: D101
    __doc__ = f"A classifier trained as by `layermilp.hybrid.train`.{DESCRIBED}"

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on four fifths of the samples; a fifth judges the rounds.

        Parameters
        ----------
        X : (m, n_features) array
            Training samples.
        y : (m,) array
            Their labels, of two classes at least.
        """
        inputs, labels = validate_data(self, X, y, dtype=np.float64)
        self.classes_ = classes_of(labels)
        self._train(MLPClassifier, inputs, labels)
        return self

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Return the probabilities of the classes, shape ``(m, n_classes)``."""
        check_is_fitted(self)
        return np.asarray(
            self.model_.predict_proba(validate_data(self, X, dtype=np.float64, reset=False))
        )


@with_described_options
@dataclass(eq=False, repr=False)
class HybridRegressor(RegressorMixin, MultiOutputMixin, _Hybrid):  # type: ignore[misc]  # noqa: D101
    __doc__ = f"A regressor trained as by `layermilp.hybrid.train`.{DESCRIBED}"

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on four fifths of the samples; a fifth judges the rounds.

        Parameters
        ----------
        X : (m, n_features) array
            Training samples.
        y : (m,) or (m, n_outputs) array
            What the outputs are to be.
        """
        inputs, targets = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        self._train(MLPRegressor, inputs, np.asarray(targets, dtype=np.float64))
        return self
