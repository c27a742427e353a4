"""Rules of the initial weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layermilp.errors import NetworkError
from layermilp.networks.parameters import ParameterMap
from layermilp.program import FloatArray


def initialize(parameters: ParameterMap, init: str, rng: np.random.Generator) -> FloatArray:
    """Draw initial parameters by a named rule.

    Parameters
    ----------
    parameters : ParameterMap
        Map from the parameters to the weights.
    init : {"he", "uniform", "positive", "paper"}
        ``uniform``: every parameter uniform in [-1, 1] (Goebbels 2021, section 3). ``positive``:
        every parameter uniform in [0, 1] (the same section, convolutional network). ``paper``: the
        parameters of kernels as ``positive``, all others as ``uniform``. ``he``: weights normal
        with variance 2 / fan-in (He et al. 2015), cut at [-1, 1]; the signs of a neuron's weights
        are turned where their sum is negative, because such a neuron is silent on most non-negative
        inputs; biases zero.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (p,) array
        The parameters.

    Raises
    ------
    NetworkError
        If the rule is unknown.
    """
    if init not in INITIALIZERS:
        raise NetworkError(f"initialization {init!r} is unknown; choose {', '.join(INITIALIZERS)}")
    return INITIALIZERS[init](parameters, rng)


def _he(parameters: ParameterMap, rng: np.random.Generator) -> FloatArray:
    theta = rng.normal(size=parameters.n_parameters)
    for group in parameters.groups:
        of_weights = parameters.index[group.neurons, :-1]
        of_weights = of_weights[of_weights >= 0]
        fan_in = of_weights.size / group.neurons.size
        drawn = np.clip(theta[group.parameters] * np.sqrt(2.0 / max(fan_in, 1.0)), -1.0, 1.0)
        theta[group.parameters] = drawn
        if theta[of_weights].sum() < 0.0:
            theta[group.parameters] = -drawn
    of_bias = parameters.index[:, -1]
    theta[of_bias[of_bias >= 0]] = 0.0
    return theta


def _paper(parameters: ParameterMap, rng: np.random.Generator) -> FloatArray:
    theta = rng.uniform(-1.0, 1.0, parameters.n_parameters)
    for group in parameters.groups:
        if group.neurons.size > 1:  # neurons that share a kernel
            theta[group.parameters] = 0.5 * (theta[group.parameters] + 1.0)
    return theta


INITIALIZERS: dict[str, Callable[[ParameterMap, np.random.Generator], FloatArray]] = {
    "he": _he,
    "uniform": lambda parameters, rng: rng.uniform(-1.0, 1.0, parameters.n_parameters),
    "positive": lambda parameters, rng: rng.uniform(0.0, 1.0, parameters.n_parameters),
    "paper": _paper,
}
"""Rules of the initial weights by name."""
