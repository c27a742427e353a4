"""The layerwise method as a classifier."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from layermilp.errors import DataError, OptionError
from layermilp.estimators.base import Classifier, seed_of, sizes_of
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.state import State
from layermilp.layerwise.trainer import training
from layermilp.networks.network import Network
from layermilp.options import option, with_described_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray


@with_described_options
@dataclass(eq=False, repr=False)
class LayerwiseClassifier(Classifier, Sweeps):
    """A ReLU network trained by Goebbels' backward sweep; see `layermilp.train`.

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
        Records of sweeps and ends of batches, as `layermilp.train` returns them.
    n_batches_ : int
        Batches so far.
    """

    hidden_layer_sizes: tuple[int, ...] = option((8, 8), "neurons of the hidden layers", least=1)
    _: KW_ONLY
    net: str | None = option(
        None,
        "the whole network, instead",
        "The whole network in the notation of `layermilp.networks.notation`, such as "
        "``28x28-mean4-conv3-10``, instead.",
    )
    init: str = option(
        "he", "rule of the initial weights", "Rule of the initial weights, see `Network.dense`."
    )
    batches: int | None = option(  # type: ignore[assignment]
        None, "batches of an epoch", "Batches of an epoch. Default: as many as the samples fill."
    )
    n_jobs: int = option(1, "worker processes; the result does not depend on it")
    first_sample: int = field(default=0, init=False)
    part: int = field(default=0, init=False)

    def _train(self, inputs: FloatArray, targets: IntArray) -> None:
        self._begin()
        size = min(self.batch_size, len(inputs))
        batches = max(1, len(inputs) // size) if self.batches is None else self.batches
        settings = Sweeps.of(self, seed=self.seed_, batches=batches, batch_size=size)
        self._go_on(inputs, targets, settings)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Train on one batch more, within the trust region of the weights so far; the average of
        the weights goes on.

        Parameters
        ----------
        X, y
            The batch.
        classes : array, optional
            All labels there will be; needed in the first call. The first batch also decides the
            scale of the inputs.
        """
        first = not hasattr(self, "state_")
        inputs, labels = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(labels)
        if first:
            if classes is None:
                raise DataError(
                    "the first call of partial_fit needs classes, all labels there will be"
                )
            self.classes_ = np.unique(classes)
            self._learn_scale(inputs)
            self._begin()
        unknown = np.setdiff1d(labels, self.classes_)
        if unknown.size:
            raise DataError(
                f"the label {unknown[0]} is not among the classes {self.classes_.tolist()} of the "
                "first call"
            )
        settings = Sweeps.of(
            self,
            seed=self.seed_,
            batches=1,
            batch_size=len(inputs),
            epochs=1,
            weight_decay=Sweeps.of(self, batches=self.n_batches_ + 1, batch_size=1, epochs=1).decay,
            postprocess="none",
        )
        self._go_on(self._scaled(inputs), np.searchsorted(self.classes_, labels), settings)
        return self

    def _begin(self) -> None:
        """Take up the initial network."""
        self.seed_, self.n_batches_ = seed_of(self.random_state), 0
        self.network_ = self._initial()
        self.state_: State | None = None

    def _initial(self) -> Network:
        if self.net is not None:
            network = Network.from_notation(self.net, init=self.init, seed=self.seed_)
        else:
            sizes = (self.n_features_in_, *sizes_of(self.hidden_layer_sizes), len(self.classes_))
            network = Network.dense(sizes, init=self.init, seed=self.seed_)
        if network.n_outputs != len(self.classes_):
            raise OptionError(
                f"net {self.net} has {network.n_outputs} outputs, but there are "
                f"{len(self.classes_)} classes"
            )
        return network

    def _go_on(self, inputs: FloatArray, outputs: IntArray, settings: Sweeps) -> None:
        """Train after the batches so far, and keep what was learned."""
        data = TrainingData.of(self.network_, inputs, outputs)
        with Workers(self.n_jobs) as workers:
            for state in training(self.network_, data, settings, workers, begin=self.state_):
                if state.batch_ended:
                    self._say(
                        f"batch {state.batch}/{settings.total_batches}, accuracy "
                        f"{state.batch_accuracy:.3f}"
                    )
        self.network_, self.history_ = state.network, state.records
        self.state_ = replace(state, batch=0)  # batches count anew in every call
        self.n_batches_ += settings.total_batches
