"""The SMT trainer as a classifier."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Self

from numpy.typing import ArrayLike

from layermilp.errors import SolverError
from layermilp.estimators.base import Classifier, seed_of, sizes_of
from layermilp.networks.network import Network
from layermilp.options import option, with_described_options
from layermilp.smt.options import Portfolio
from layermilp.smt.trainer import run


@with_described_options
@dataclass(eq=False, repr=False)
class SMTClassifier(Classifier, Portfolio):
    """A ReLU network that has every training sample right; see `layermilp.smt.train`.

    Parameters
    ----------
    {options}

    Attributes
    ----------
    network_ : Network
        The network.
    classes_ : (n_outputs,) array
        The labels.
    outcome_ : Outcome
        Which stage answered, and the exact margin of the worst sample.
    """

    hidden_layer_sizes: tuple[int, ...] = option((16,), "neurons of the hidden layers", least=1)
    _: KW_ONLY
    seed: int = field(default=0, init=False)

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
        options = Portfolio.of(self, seed=seed_of(self.random_state))
        sizes = (inputs.shape[1], *sizes_of(self.hidden_layer_sizes), len(self.classes_))
        outcome = run(Network.dense(sizes, seed=options.seed), inputs, outputs, options)
        for stage in outcome.stages:
            self._say(f"{stage.name}: {stage.said}, {stage.seconds:.2f} s")
        if outcome.network is None:
            raise SolverError(
                f"no network has all samples right: {outcome.verdict.value}, {outcome.reason}"
            )
        self.network_, self.outcome_ = outcome.network, outcome
        return self
