"""GDSolver as a classifier and a regressor, around scikit-learn's networks."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from layermilp.estimators.base import classes_of, seed_of
from layermilp.hybrid.sklearn_models import SklearnTrainee
from layermilp.hybrid.trainer import Data, Settings, training
from layermilp.parallel import Workers
from layermilp.program import FloatArray


class _Hybrid(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share; see `layermilp.hybrid.train` for what the options mean.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        Neurons of the hidden layers.
    optimizer : {"adam", "sgd"}
        Of gradient descent.
    learning_rate : float
        Its first step size.
    batch_size : int
        Samples of a step of gradient descent.
    rounds, epochs, patience, desired_loss, solver_samples, keep, radius, epsilon, exact, solver,
    time_limit, node_limit
        As for `layermilp.hybrid.train`.
    random_state : int, RandomState or None
        Seed of the initial weights, the order of the samples, and the solver's samples.
    verbose : int
        Whether a line is printed after every stage.

    Attributes
    ----------
    model_ : MLPClassifier or MLPRegressor
        The trained network.
    history_ : tuple of Record
        A record of every stage.
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (64,),
        *,
        optimizer: str = "adam",
        learning_rate: float = 0.001,
        batch_size: int = 32,
        rounds: int = Settings.rounds,
        epochs: int = Settings.epochs,
        patience: int = Settings.patience,
        desired_loss: float = Settings.desired_loss,
        solver_samples: int = Settings.solver_samples,
        keep: int = Settings.keep,
        radius: float = Settings.radius,
        epsilon: float = Settings.epsilon,
        exact: bool = Settings.exact,
        solver: str = Settings.solver,
        time_limit: float | None = Settings.time_limit,
        node_limit: int | None = Settings.node_limit,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.rounds = rounds
        self.epochs = epochs
        self.patience = patience
        self.desired_loss = desired_loss
        self.solver_samples = solver_samples
        self.keep = keep
        self.radius = radius
        self.epsilon = epsilon
        self.exact = exact
        self.solver = solver
        self.time_limit = time_limit
        self.node_limit = node_limit
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the classes or the values of samples."""
        check_is_fitted(self)
        return np.asarray(
            self.model_.predict(validate_data(self, X, dtype=np.float64, reset=False))
        )

    def _train(
        self, kind: type[MLPClassifier | MLPRegressor], X: FloatArray, y: NDArray[Any]
    ) -> None:
        seed = seed_of(self.random_state)
        settings = Settings(
            rounds=self.rounds,
            epochs=self.epochs,
            patience=self.patience,
            desired_loss=self.desired_loss,
            solver_samples=self.solver_samples,
            keep=self.keep,
            radius=self.radius,
            epsilon=self.epsilon,
            exact=self.exact,
            seed=seed,
            solver=self.solver,
            time_limit=self.time_limit,
            node_limit=self.node_limit,
        )
        data = Data.of(X, y, None, seed)
        model = kind(
            hidden_layer_sizes=tuple(self.hidden_layer_sizes),
            solver=self.optimizer,
            learning_rate_init=self.learning_rate,
            batch_size=min(self.batch_size, len(data.X)),
            random_state=seed,
        )
        trainee = SklearnTrainee(model, y)
        records = []
        with Workers(1):
            for record in training(trainee, data, settings):
                records.append(record)
                if self.verbose:
                    print(
                        f"{type(self).__name__}: round {record.round}, {record.kind}, loss "
                        f"{record.validation_loss:.4f}"
                    )
        self.model_, self.history_ = model, tuple(records)
        self.n_iter_ = sum(record.epochs for record in records)


class HybridClassifier(ClassifierMixin, _Hybrid):  # type: ignore[misc]
    __doc__ = _Hybrid.__doc__

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


class HybridRegressor(RegressorMixin, MultiOutputMixin, _Hybrid):  # type: ignore[misc]
    __doc__ = _Hybrid.__doc__

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
