"""The layerwise method as a classifier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from layermilp.errors import DataError, OptionError
from layermilp.estimators.base import Classifier, seed_of
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import DEFAULT_NODE_LIMIT, DEFAULT_SETUP, Settings
from layermilp.layerwise.trainer import State, training
from layermilp.networks.network import Network
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray, Limits


class LayerwiseClassifier(Classifier):
    """A ReLU network trained by Goebbels' backward sweep; see `layermilp.train` for what the
    options mean.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        Neurons of the hidden layers.
    net : str, optional
        The whole network in the notation of `layermilp.networks.notation`, such as
        ``28x28-mean4-conv3-10``, instead.
    batches : int, optional
        Batches of an epoch. Default: as many as the samples fill.
    batch_size : int
        Samples per batch; all of them if there are fewer.
    epochs, objective, ridge, weight_decay, postprocess, max_sweeps, average, solver, node_limit,
    time_limit
        As for `layermilp.train`.
    init : str
        Rule of the initial weights, see `layermilp.Network.dense`.
    scale : {"minmax", None}
        Inputs are scaled to [0, 1] by their range in training, or taken as they are and must not be
        negative.
    n_jobs : int
        Worker processes; the result does not depend on it.
    random_state : int, RandomState or None
        Seed of the initial weights, the reshuffled passes and the solvers.
    verbose : int
        Whether a line is printed after every batch.

    Attributes
    ----------
    network_ : Network
        The trained network.
    classes_ : (n_outputs,) array
        The labels.
    history_ : tuple of Record
        A record of every sweep.
    n_batches_ : int
        Batches so far.
    """

    state_: State | None

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (8, 8),
        *,
        net: str | None = None,
        batches: int | None = None,
        batch_size: int = Settings.batch_size,
        epochs: int | None = Settings.epochs,
        objective: str = Settings.objective,
        ridge: float = Settings.ridge,
        weight_decay: float | None = Settings.weight_decay,
        postprocess: str = Settings.postprocess,
        max_sweeps: int = Settings.max_sweeps,
        average: float = Settings.average,
        solver: str = "auto",
        node_limit: int | None = DEFAULT_NODE_LIMIT,
        time_limit: float | None = None,
        init: str = "he",
        scale: str | None = "minmax",
        n_jobs: int = 1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.net = net
        self.batches = batches
        self.batch_size = batch_size
        self.epochs = epochs
        self.objective = objective
        self.ridge = ridge
        self.weight_decay = weight_decay
        self.postprocess = postprocess
        self.max_sweeps = max_sweeps
        self.average = average
        self.solver = solver
        self.node_limit = node_limit
        self.time_limit = time_limit
        self.init = init
        self.scale = scale
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on all samples.

        Parameters
        ----------
        X : (m, n_features) array
            Training samples.
        y : (m,) array
            Their labels, of two classes at least.
        """
        inputs, outputs = self._samples(X, y)
        self.seed_ = seed_of(self.random_state)
        size = min(self.batch_size, len(inputs))
        batches = max(1, len(inputs) // size) if self.batches is None else self.batches
        settings = self._settings(batches=batches, batch_size=size, epochs=self.epochs)
        self._train(self._initial(), inputs, outputs, settings, None)
        self.n_batches_ = settings.total_batches
        return self

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
            self._begin(inputs, labels, classes)
        unknown = np.setdiff1d(labels, self.classes_)
        if unknown.size:
            raise DataError(
                f"the label {unknown[0]} is not among the classes {self.classes_.tolist()} of the "
                "first call"
            )
        self.n_batches_ += 1
        decay = (
            Settings(batches=self.n_batches_).decay
            if self.weight_decay is None and self.ridge
            else self.weight_decay
        )
        settings = self._settings(batches=1, batch_size=len(inputs), epochs=1)
        settings = replace(settings, weight_decay=decay, postprocess="none")
        outputs = np.searchsorted(self.classes_, labels)
        self._train(self.network_, self._scaled(inputs), outputs, settings, self.state_)
        return self

    def _begin(self, inputs: FloatArray, labels: NDArray[Any], classes: ArrayLike | None) -> None:
        if classes is None:
            raise DataError("the first call of partial_fit needs classes, all labels there will be")
        self.classes_ = np.unique(classes)
        self._learn_scale(inputs)
        self.seed_, self.n_batches_ = seed_of(self.random_state), 0
        self.network_, self.state_ = self._initial(), None

    def _initial(self) -> Network:
        if self.net is not None:
            network = Network.from_notation(self.net, init=self.init, seed=self.seed_)
        else:
            sizes = (self.n_features_in_, *self.hidden_layer_sizes, len(self.classes_))
            network = Network.dense(sizes, init=self.init, seed=self.seed_)
        if network.n_outputs != len(self.classes_):
            raise OptionError(
                f"net {self.net} has {network.n_outputs} outputs, but there are "
                f"{len(self.classes_)} classes"
            )
        return network

    def _settings(self, *, batches: int, batch_size: int, epochs: int | None) -> Settings:
        limits = Limits(time_limit=self.time_limit, node_limit=self.node_limit)
        return Settings(
            batches=batches,
            batch_size=batch_size,
            epochs=epochs,
            seed=self.seed_,
            objective=self.objective,
            setup=replace(DEFAULT_SETUP, solver=self.solver, limits=limits),
            max_sweeps=self.max_sweeps,
            average=self.average,
            postprocess=self.postprocess,
            ridge=self.ridge,
            weight_decay=self.weight_decay,
        )

    def _train(
        self,
        network: Network,
        inputs: FloatArray,
        outputs: IntArray,
        settings: Settings,
        begin: State | None,
    ) -> None:
        """Train, after the batches of `begin` if there are any, and keep what was learned."""
        data = TrainingData.of(network, inputs, outputs)
        begin = None if begin is None else replace(begin, batch=0)
        with Workers(self.n_jobs) as workers:
            for state in training(network, data, settings, workers, begin=begin):
                if state.batch_ended:
                    self._say(
                        f"batch {state.batch}/{settings.total_batches}, accuracy "
                        f"{state.batch_accuracy:.3f}"
                    )
        self.network_, self.state_, self.history_ = state.network, state, state.records
