"""Block coordinate descent as a classifier and a regressor."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import validate_data

from layermilp.bcd.options import Descents
from layermilp.bcd.trainer import training
from layermilp.estimators.base import Classifier, Estimator, seed_of, sizes_of
from layermilp.networks.network import Network
from layermilp.options import option, with_described_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray


@dataclass(eq=False, repr=False)
class _BCD(Estimator, Descents):
    """What classifier and regressor share."""

    hidden_layer_sizes: tuple[int, ...] = option((64,), "neurons of the hidden layers", least=1)
    _: KW_ONLY
    init: str = option(
        "he", "rule of the initial weights", "Rule of the initial weights, see `Network.dense`."
    )

    def _descend(self, inputs: FloatArray, targets: NDArray[Any], n_outputs: int) -> None:
        """Train on labels 0, 1, ... or on the outputs there are to be."""
        settings = Descents.of(self)
        sizes = (inputs.shape[1], *sizes_of(self.hidden_layer_sizes), n_outputs)
        network = Network.dense(sizes, init=self.init, seed=seed_of(self.random_state))
        with Workers(1):
            for state in training(network, inputs, targets, settings):
                record = state.sweeps[-1]
                self._say(f"sweep {record.sweep}, objective {record.objective:.5g}")
        self.network_, self.history_ = state.model, state.sweeps
        self.n_iter_ = len(self.history_)


@with_described_options
@dataclass(eq=False, repr=False)
class BCDClassifier(Classifier, _BCD):
    """A ReLU network trained by block coordinate descent; see `layermilp.bcd.train`.

    Parameters
    ----------
    {options}

    Attributes
    ----------
    network_ : Network
        The trained network.
    classes_ : (n_outputs,) array
        The labels.
    history_ : tuple of Record
        A record of every sweep.
    n_iter_ : int
        Sweeps.
    """

    def _train(self, inputs: FloatArray, targets: IntArray) -> None:
        self._descend(inputs, targets, len(self.classes_))


@with_described_options
@dataclass(eq=False, repr=False)
class BCDRegressor(RegressorMixin, MultiOutputMixin, _BCD):  # type: ignore[misc]
    """A ReLU network with linear outputs, trained by block coordinate descent on inputs and targets
    of mean 0 and variance 1; see `layermilp.bcd.train`.

    Parameters
    ----------
    {options}

    Attributes
    ----------
    network_ : Network
        The trained network, of scaled inputs and targets.
    history_ : tuple of Record
        A record of every sweep.
    n_iter_ : int
        Sweeps.
    """

    def predict(self, X: ArrayLike) -> FloatArray:
        """Return the values of samples, shape ``(m,)`` or ``(m, n_outputs)`` as in training."""
        inputs = self._inputs(X)
        outputs = self.network_.forward(self.scaler_.transform(inputs))
        values = self.target_scaler_.inverse_transform(outputs)
        return np.asarray(values if self.has_columns_ else values[:, 0])

    def _samples(self, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
        inputs, targets = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        return inputs, np.asarray(targets, dtype=np.float64)

    def _train(self, inputs: FloatArray, targets: NDArray[Any]) -> None:
        self.has_columns_ = targets.ndim == 2
        columns = targets.reshape(len(targets), -1)
        self.scaler_, self.target_scaler_ = StandardScaler(), StandardScaler()
        scaled = self.scaler_.fit_transform(inputs)
        self._descend(scaled, self.target_scaler_.fit_transform(columns), columns.shape[1])
