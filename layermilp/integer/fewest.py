"""How many hidden neurons an accuracy needs: a number that is proven, for networks of one hidden
layer."""

from __future__ import annotations

import numpy as np

from layermilp.algorithms.options import SolveOptions
from layermilp.integer.neighbourhood import Samples
from layermilp.integer.prove import strongest


def needed(samples: Samples, bound: int, accuracy: float, options: SolveOptions) -> int:
    """Return a number of neurons that every network needs to exceed an accuracy on the samples: 0,
    1 or 2.

    Without neurons all samples have one class. A network of one neuron has two answers, one where
    the neuron fires and one where it does not; with two classes its errors are those of the neuron,
    for which class it may fire. If their proven lower bound is too large, there must be two.

    Parameters
    ----------
    samples : Samples
        The samples.
    bound : int
        `P`.
    accuracy : float
        What is to be exceeded.
    options : SolveOptions
        Solver and limits of the two programs.
    """
    m = len(samples.labels)
    if np.bincount(samples.labels).max() > accuracy * m:
        return 0
    if samples.labels.max() > 1:
        return 1
    errors = min(_fewest_errors(samples, sign, bound, options) for sign in (1.0, -1.0))
    return 2 if m - errors <= accuracy * m else 1


def _fewest_errors(samples: Samples, sign: float, bound: int, options: SolveOptions) -> float:
    """Return a proven lower bound of the errors of one neuron that fires for the second class, or
    for the first."""
    votes = np.where(samples.labels == 1, sign, -sign)
    _, most = strongest(samples.inputs, votes, bound, options)
    return (len(votes) - most) / 2.0
