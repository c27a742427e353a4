"""Integer networks as a classifier."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Self

from numpy.typing import ArrayLike

from layermilp.estimators.base import Classifier, seed_of, sizes_of
from layermilp.integer.options import Whole
from layermilp.integer.trainer import training
from layermilp.options import option, with_described_options
from layermilp.parallel import Workers


@with_described_options
@dataclass(eq=False, repr=False)
class IntegerNetClassifier(Classifier, Whole):
    """A network of integer weights and sign activations; see `layermilp.integer.train`.

    Parameters
    ----------
    {options}

    Attributes
    ----------
    network_ : IntegerNetwork
        The trained network.
    classes_ : (n_outputs,) array
        The labels.
    objective_, objective_bound_ : float
        The paper's objective of the network, and what no network exceeds.
    """

    hidden_layer_sizes: tuple[int, ...] = option((16,), "neurons of the hidden layers", least=1)
    _: KW_ONLY
    n_jobs: int = option(1, "worker processes; the result does not depend on it")
    hidden: tuple[int, ...] = field(default=(16,), init=False)
    seed: int = field(default=0, init=False)

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
        sizes = sizes_of(self.hidden_layer_sizes)
        settings = Whole.of(self, hidden=sizes, seed=seed_of(self.random_state))
        with Workers(self.n_jobs) as workers:
            for trained in training(inputs, outputs, settings, workers):
                self._say(
                    f"{trained.programs} programs, accuracy {trained.accuracy:.3f}, objective "
                    f"{trained.objective:g}"
                )
        self.network_ = trained.network
        self.objective_, self.objective_bound_ = trained.objective, trained.bound
        return self
