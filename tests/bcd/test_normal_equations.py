"""Ridge regressions of free, tied and fixed weights, against the rows of all samples."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp.bcd import normal_equations
from layermilp.bcd.normal_equations import WeightFit, gram, moments
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer, Tied
from layermilp.networks.parameters import ParameterMap
from layermilp.networks.windows import Window


def _ties() -> ParameterMap:
    """Two neurons that share a weight, one of whose weights is fixed; a third by itself, with one
    parameter in two places."""
    index = np.array([[0, 1, -1, 2], [1, -1, 3, -1], [4, 4, 5, 6]])
    fixed = np.zeros((3, 4))
    fixed[0, 2], fixed[1, 3] = 0.5, -2.0
    return ParameterMap(index, fixed)


LAYERS: dict[str, Layer] = {
    "dense": Dense(5, 3),
    "dense without offset": Dense(5, 3, bias=False),
    "convolution": Conv2d.plain(4, 5, 3),
    "convolution with offset": Conv2d.plain(4, 5, 3, bias=True),
    "kernels and channels": Conv2d((2, 4, 4), Window((2, 2), (2, 2), (1, 1, 1, 1)), 3, bias=True),
    "groups": Conv2d((2, 3, 3), Window((2, 2)), 4, 2),
    "tied": Tied(_ties()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_fit_is_the_ridge_regression_of_all_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each parameter counted once, offsets without a price, also where the sums have parts."""
    monkeypatch.setattr(normal_equations, "SAMPLES_AT_ONCE", 7)
    ties, rng = LAYERS[name].parameters, np.random.default_rng(0)
    X, targets = rng.normal(size=(30, ties.n_inputs)), rng.normal(size=(30, ties.n_outputs))
    fit, price = WeightFit(ties), 0.7
    theta = fit.best(fit.factored(gram(X), price), moments(X, targets))
    for group in ties.groups:
        rows, constants = ties.rows(group, X)
        free = np.where(np.isin(group.parameters, ties.index[:, -1]), 0.0, np.sqrt(price))
        wanted = np.append(targets[:, group.neurons].reshape(-1) - constants, np.zeros(free.size))
        expected = np.linalg.lstsq(np.vstack([rows, np.diag(free)]), wanted, rcond=None)[0]
        np.testing.assert_allclose(theta[group.parameters], expected, atol=1e-9)
    assert fit.price(theta) == pytest.approx(
        (theta[~np.isin(np.arange(theta.size), ties.index[:, -1])] ** 2).sum()
    )


def test_neurons_that_see_the_same_inputs_share_a_factor() -> None:
    assert len(WeightFit(Dense(5, 3).parameters).factored(np.eye(6), 1.0).factors) == 1
    kernels = Conv2d((1, 4, 4), Window((2, 2)), 8)
    assert len(WeightFit(kernels.parameters).factored(np.eye(17), 1.0).factors) == 1


def test_what_has_no_parameters_has_nothing_to_fit() -> None:
    fit = WeightFit(AveragePool2d.plain(4, 4, 2).parameters)
    assert fit.best(fit.factored(np.eye(17), 1.0), np.zeros((17, 4))).shape == (0,)
