"""The SMT trainer as a classifier."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from layermilp.errors import SolverError
from layermilp.estimators.base import Classifier, seed_of, sizes_of
from layermilp.networks.network import Network
from layermilp.options import option, with_described_options
from layermilp.program import FloatArray, IntArray
from layermilp.smt.options import Portfolio
from layermilp.smt.trainer import run


@with_described_options
@dataclass(eq=False, repr=False)
class SMTClassifier(Classifier, Portfolio):
    """A ReLU network that has every training sample right; see `layermilp.smt.train`.

    `fit` raises `SolverError` if there is no such network, or none was found in time; the message
    says which.

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

    def _train(self, inputs: FloatArray, targets: IntArray) -> None:
        options = Portfolio.of(self, seed=seed_of(self.random_state))
        sizes = (inputs.shape[1], *sizes_of(self.hidden_layer_sizes), len(self.classes_))
        outcome = run(Network.dense(sizes, seed=options.seed), inputs, targets, options)
        for stage in outcome.stages:
            self._say(f"{stage.name}: {stage.said}, {stage.seconds:.2f} s")
        if outcome.network is None:
            raise SolverError(
                f"no network has all samples right: {outcome.verdict.value}, {outcome.reason}"
            )
        self.network_, self.outcome_ = outcome.network, outcome
