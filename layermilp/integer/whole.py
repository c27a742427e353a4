"""The whole network as one program, as the paper has it, for other solvers."""

from __future__ import annotations

from numpy.typing import ArrayLike

from layermilp.integer.formulation import SignNetwork, plain
from layermilp.integer.losses import OBJECTIVES
from layermilp.integer.options import Whole
from layermilp.integer.trainer import checked_samples
from layermilp.networks.integer import GRID
from layermilp.program import Program


def whole_program(X: ArrayLike, y: ArrayLike, settings: Whole) -> Program:
    """Return the program (1) to (24) of Thorbjarnarson and Yorke-Smith 2020 for all samples and the
    whole network.

    The library itself searches by programs of parts of the network.

    Parameters
    ----------
    X, y
        As for `train`.
    settings : Whole
        Of which hidden layers, bound and objective are used.

    Raises
    ------
    DataError
        If the data do not fit together, lie outside [0, 1], or have one class only.
    """
    samples, classes = checked_samples(X, y)
    sizes = (samples.inputs.shape[1], *settings.hidden, classes.size)
    objective = OBJECTIVES[settings.objective](settings.bound, sizes[-2], classes.size)
    # Sums of the first layer are multiples of the inputs' grid, all others whole.
    steps = (1.0 / GRID, *(1.0 for _ in sizes[2:]))
    return plain(
        SignNetwork(samples.inputs, samples.labels, sizes, settings.bound, objective, steps)
    )
