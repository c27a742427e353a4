"""What the last layer minimizes, by name, and class weights. To add an objective: write an
`OutputLoss` and put it into `OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layermilp.checks import is_number
from layermilp.errors import OptionError
from layermilp.formulations.l1 import L1
from layermilp.formulations.loss import OutputLoss
from layermilp.formulations.margin import Margin
from layermilp.networks.network import Network
from layermilp.program import FloatArray, IntArray

ClassWeight = str | float | Mapping[Any, float] | None
"""Factor of the l1 loss where a target is one: none, ``balanced``, a number, or one for each
label."""

OBJECTIVES: dict[str, type[OutputLoss]] = {loss.name: loss for loss in (L1, Margin)}
"""Losses of the last layer by name."""


def one_weights(class_weight: ClassWeight, network: Network, labels: IntArray) -> FloatArray:
    """Return the factor of the l1 loss where the target of an output is one, shape
    ``(n_outputs,)``.

    Parameters
    ----------
    class_weight : None, "balanced", number or mapping
        1; the number of samples not of the class over that of the class, so that ones and zeros of
        an output weigh the same; the number itself; or by label, 1 where none is given.
    network : Network
        Whose classes the labels of a mapping are.
    labels : (m,) array of int
        The outputs that stand for the samples' classes.
    """
    n = network.n_outputs
    if isinstance(class_weight, str):
        ones = np.bincount(labels, minlength=n)
        return np.asarray(np.where(ones > 0, (len(labels) - ones) / np.maximum(ones, 1), 1.0))
    if isinstance(class_weight, Mapping):
        weights = np.ones(n)
        weights[network.class_indices(list(class_weight))] = list(class_weight.values())
        return weights
    return np.full(n, 1.0 if class_weight is None else float(class_weight))


def check_class_weight(class_weight: ClassWeight) -> None:
    """Raise `OptionError` unless it is None, "balanced", a positive number, or a mapping of labels
    to positive numbers."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    values = list(class_weight.values()) if isinstance(class_weight, Mapping) else [class_weight]
    for value in values:
        if not is_number(value) or value <= 0.0:
            raise OptionError(
                f"class_weight is {value!r}; it must be balanced, or a number above 0, or one for "
                "each label"
            )
