"""Integer networks as a classifier."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from layermilp.estimators.base import Classifier, seed_of, sizes_of
from layermilp.integer.options import Whole
from layermilp.integer.trainer import training
from layermilp.options import option, with_described_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray


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

    def _train(self, inputs: FloatArray, targets: IntArray) -> None:
        sizes = sizes_of(self.hidden_layer_sizes)
        settings = Whole.of(self, hidden=sizes, seed=seed_of(self.random_state))
        with Workers(self.n_jobs) as workers:
            for trained in training(inputs, targets, settings, workers):
                self._say(
                    f"{trained.programs} programs, accuracy {trained.accuracy:.3f}, objective "
                    f"{trained.objective:g}"
                )
        self.network_ = trained.network
        self.objective_, self.objective_bound_ = trained.objective, trained.bound
