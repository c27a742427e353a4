"""Everything that decides a hybrid training besides the model and the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layermilp.hybrid.lastlayer import EPSILON, GOALS
from layermilp.options import option
from layermilp.solvers.options import SolverChoice

OPTIMIZERS = ("adam", "sgd")
"""Those of scikit-learn's optimizers that have epochs."""


@dataclass(kw_only=True)
class LastLayer(SolverChoice):
    """The options of a last layer's program."""

    solver_samples: int | None = option(
        None,
        "wrong samples given to the solver",
        "Samples that the solver is given: of a classification those that are wrong. None for all "
        "samples, the right ones as well.",
        "N",
        least=1,
    )
    keep: int = option(
        96,
        "right samples given to it, to stay right",
        "Samples that are right and are given to the solver as well, so that they stay right.",
        "N",
        least=0,
    )
    radius: float = option(
        8.0,
        "half interval, in root mean squares of the weights",
        "Half of the interval of every weight of the last layer, in root mean squares of its "
        "weights.",
        "R",
        above=0.0,
    )
    epsilon: float = option(
        EPSILON, "margin over its rivals that makes a sample right", metavar="E", above=0.0
    )
    goal: str = option(
        "total", "of a regression, see `fit_regression`", choices=GOALS, is_flag=False
    )
    each: bool = option(
        True, "whether no sample may get worse, see `fit_regression`", is_flag=False
    )
    exact: bool = option(
        False,
        "go on from the descent to the optimum of the mixed-integer program",
        "Whether a classification goes on from the descent to the optimum of its program.",
    )
    seed: int = option(
        0,
        "seed of weights, order and samples",
        "Of the order of samples and the choice of the solver's.",
        "N",
        least=0,
        most=2**32 - 1,  # as scikit-learn has it
    )
    time_limit: float | None = option(
        None, "limit per program (not repeatable)", metavar="SECONDS", above=0.0
    )
    node_limit: int | None = option(
        None, "branch-and-bound nodes per program (with --exact)", metavar="N", least=1
    )


@dataclass(kw_only=True)
class FineTuning(LastLayer):
    """Keywords of `layermilp.hybrid.finetune_last_layer`."""

    validation: Any = option(
        None,
        "samples and labels whose loss must not grow; if it does, the model stays as it was",
        is_flag=False,
    )


@dataclass(kw_only=True)
class Rounds(LastLayer):
    """The options of a training by turns."""

    rounds: int = option(2, "turns of gradient descent and solver", metavar="N", least=0)
    epochs: int = option(10, "most epochs of gradient descent in a turn", metavar="N", least=0)
    patience: int = option(
        1,
        "epochs without lower validation loss that end it",
        "Epochs without a lower validation loss after which gradient descent has stalled.",
        "N",
        least=1,
    )
    desired_loss: float = option(0.0, "validation loss that ends training", metavar="L")
    batch_size: int = option(32, "samples of a step of gradient descent", metavar="N", least=1)
    solver_samples: int | None = option(
        32,
        "wrong samples given to the solver",
        "Samples that the solver is given: of a classification those that are wrong.",
        "N",
        least=1,
    )


@dataclass(kw_only=True)
class Call(Rounds):
    """Keywords of `layermilp.hybrid.train`."""

    validation: Any = option(
        None,
        "pair of samples and labels that judge",
        "Samples and labels that say when gradient descent stalls and whether the solver's weights "
        "are kept. Default: a fifth of the training samples, which then are not trained with.",
        is_flag=False,
    )
    optimizer: Any = option(
        None,
        "``torch.optim.Optimizer`` of a PyTorch module; by default Adam",
        is_flag=False,
    )
