"""The SMT trainer as a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from numpy.typing import ArrayLike

from layermilp.errors import SolverError
from layermilp.estimators.base import Classifier, seed_of
from layermilp.networks.network import Network
from layermilp.smt.trainer import Settings, train


class SMTClassifier(Classifier):
    """A ReLU network that has every training sample right; see `layermilp.smt.train` for what the
    options mean.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        Neurons of the hidden layers.
    bound, grid, time_limit, rounds, stages
        As for `layermilp.smt.train`.
    scale : {"minmax", None}
        Inputs are scaled to [0, 1] by their range in training, or taken as they are.
    random_state : int, RandomState or None
        Seed of all that is random.
    verbose : int
        Whether the stages are printed.

    Attributes
    ----------
    network_ : Network
        The network.
    classes_ : (n_outputs,) array
        The labels.
    outcome_ : Outcome
        Which stage answered, and the exact lead of the worst sample.
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (16,),
        *,
        bound: float | None = Settings.bound,
        grid: float | None = Settings.grid,
        time_limit: float | None = Settings.time_limit,
        rounds: int = Settings.rounds,
        stages: Sequence[str] = Settings.stages,
        scale: str | None = "minmax",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.bound = bound
        self.grid = grid
        self.time_limit = time_limit
        self.rounds = rounds
        self.stages = stages
        self.scale = scale
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Find a network.

        Parameters
        ----------
        X : (m, n_features) array
            Training samples.
        y : (m,) array
            Their labels, of two classes at least.

        Raises
        ------
        SolverError
            If there is no such network, or none was found in time; the message says which.
        """
        inputs, outputs = self._samples(X, y)
        seed = seed_of(self.random_state)
        network = Network.dense(
            (inputs.shape[1], *self.hidden_layer_sizes, len(self.classes_)), seed=seed
        )
        outcome = train(
            network,
            inputs,
            outputs,
            bound=self.bound,
            grid=self.grid,
            time_limit=self.time_limit,
            rounds=self.rounds,
            stages=self.stages,
            seed=seed,
        )
        for stage in outcome.stages:
            self._say(f"{stage.name}: {stage.said}, {stage.seconds:.2f} s")
        if outcome.network is None:
            raise SolverError(
                f"no network has all samples right: {outcome.verdict.value}, {outcome.reason}"
            )
        self.network_, self.outcome_ = outcome.network, outcome
        return self
