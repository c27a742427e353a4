"""Integer networks as a classifier."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import ArrayLike

from layermilp.estimators.base import Classifier, seed_of
from layermilp.integer.trainer import Settings, training
from layermilp.parallel import Workers


class IntegerNetClassifier(Classifier):
    """A network of integer weights and sign activations; see `layermilp.integer.train` for what the
    options mean.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        Neurons of the hidden layers.
    bound : int
        Weights are whole numbers from ``-bound`` to ``bound``.
    objective, start, neurons, stop_accuracy, solver, node_limit, time_limit, batch_size, epochs,
    prove
        As for `layermilp.integer.train`.
    scale : {"minmax", None}
        Inputs are scaled to [0, 1] by their range in training, or must lie there.
    n_jobs : int
        Worker processes; the result does not depend on it.
    random_state : int, RandomState or None
        Seed of all that is random.
    verbose : int
        Whether a line is printed after every round of programs.

    Attributes
    ----------
    network_ : IntegerNetwork
        The trained network.
    classes_ : (n_outputs,) array
        The labels.
    objective_, objective_bound_ : float
        The paper's objective of the network, and what no network exceeds.
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (16,),
        *,
        bound: int = Settings.bound,
        objective: str = Settings.objective,
        start: str = Settings.start,
        neurons: str = Settings.neurons,
        stop_accuracy: float = Settings.stop_accuracy,
        solver: str = Settings.solver,
        node_limit: int | None = Settings.node_limit,
        time_limit: float | None = Settings.time_limit,
        batch_size: int | None = Settings.batch_size,
        epochs: int = Settings.epochs,
        prove: bool = Settings.prove,
        scale: str | None = "minmax",
        n_jobs: int = 1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.bound = bound
        self.objective = objective
        self.start = start
        self.neurons = neurons
        self.stop_accuracy = stop_accuracy
        self.solver = solver
        self.node_limit = node_limit
        self.time_limit = time_limit
        self.batch_size = batch_size
        self.epochs = epochs
        self.prove = prove
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
        settings = Settings(
            hidden=tuple(self.hidden_layer_sizes),
            bound=self.bound,
            objective=self.objective,
            start=self.start,
            neurons=self.neurons,
            stop_accuracy=self.stop_accuracy,
            seed=seed_of(self.random_state),
            solver=self.solver,
            node_limit=self.node_limit,
            time_limit=self.time_limit,
            batch_size=self.batch_size,
            epochs=self.epochs,
            prove=self.prove,
        )
        with Workers(self.n_jobs) as workers:
            for trained in training(inputs, outputs, settings, workers):
                self._say(
                    f"{trained.programs} programs, accuracy {trained.accuracy:.3f}, objective "
                    f"{trained.objective:g}"
                )
        self.network_ = trained.network
        self.objective_, self.objective_bound_ = trained.objective, trained.bound
        return self
