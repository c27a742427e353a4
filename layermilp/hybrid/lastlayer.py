"""Solving the programs of a last layer: arrays in, better weights out, every claim checked in numpy."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from layermilp.checks import is_number
from layermilp.errors import DataError, OptionError
from layermilp.formulations.last_layer import OUTPUTS, LastLayer, classification, leads, regression
from layermilp.program import FEASIBILITY_TOLERANCE, FloatArray, IntArray, Limits, Result, Status
from layermilp.solvers import require, solve

GOALS = ("total", "feasible")
"""What a regression asks for: the least total error, or any point at which no error is larger, as in the paper."""

EPSILON = 0.1
"""Lead over every rival from which a sample counts as right."""


@dataclass(frozen=True, eq=False)
class LastLayerFit:
    """Weights of a last layer, and what is known of them.

    Parameters
    ----------
    weights : (M, N) array
        Within the interval around the given ones.
    offsets : (M,) array
        Likewise.
    objective : float
        Classification: samples that do not lead all rivals by `epsilon`. Regression: the total error. Recomputed in numpy.
    start_objective : float
        The same of the given weights, never less than `objective`.
    bound : float
        Proven lower bound of the objective; ``-inf`` where there is none.
    status : Status
        The worst of the programs'; ERROR where an answer did not hold and the given weights were kept.
    seconds : float
        Wall seconds.
    """

    weights: FloatArray
    offsets: FloatArray
    objective: float
    start_objective: float
    bound: float
    status: Status
    seconds: float


def fit_classification(
    features: ArrayLike,
    weights: ArrayLike,
    offsets: ArrayLike,
    labels: ArrayLike,
    *,
    radius: float,
    epsilon: float = EPSILON,
    output: str = "identity",
    solver: str = "auto",
    time_limit: float | None = None,
    node_limit: int | None = None,
) -> LastLayerFit:
    """Find the weights within an interval at which most samples are right by a margin (Figure 3 of Ashok et al. 2022).

    Parameters
    ----------
    features : (m, N) array
        What the layers below give for every sample.
    weights, offsets : (M, N) and (M,) arrays
        The present ones.
    labels : (m,) array of int
        The output of every sample's class; with a single output 1 where it is to be positive, else 0.
    radius : float
        How far every weight may move, above 0.
    epsilon : float
        Lead over every rival from which a sample counts, above 0.
    output : {"identity", "relu"}
        What the outputs are of their weighted sums.
    solver : {"auto", "cplex", "highs", "cbc"}
        Who solves the program.
    time_limit, node_limit
        Limits of the solver; what is found by then counts.

    Raises
    ------
    DataError
        If the arrays do not fit together.
    OptionError
        If an option is unknown or out of its range.
    """
    layer = _layer(features, weights, offsets, radius, output)
    y = _labels(labels, layer)
    if layer.n_outputs == 1 and output == "relu":
        raise OptionError("output is 'relu', but a single output tells two classes apart by its sign; choose 'identity'")
    if not is_number(epsilon) or not epsilon > 0.0:
        raise OptionError(f"epsilon is {epsilon!r}; it must be a number above 0")
    require(solver)
    began = time.perf_counter()
    found = leads(layer, y)
    start = layer.theta
    wrong_at_start = int((~found.is_right(start, epsilon)).sum())
    result = solve(classification(layer, y, epsilon), solver, Limits(time_limit=time_limit, node_limit=node_limit, gap=0.0))
    theta, wrong, status = start, wrong_at_start, _status(result)
    if result.x is not None:
        candidate = _within(result.x[: start.size].reshape(start.shape), layer)
        # A row holds within the solver's tolerance only; a sample at the edge is still right.
        count = int((~found.is_right(candidate, epsilon * (1.0 - 1e-3))).sum())
        if count <= wrong_at_start:
            theta, wrong = candidate, count
        else:
            status = Status.ERROR
    # The count is whole and the price of the distance below one.
    bound = float(np.floor(result.bound)) if np.isfinite(result.bound) else -np.inf
    return _fit(theta, float(wrong), float(wrong_at_start), min(bound, float(wrong)), status, began)


def fit_regression(
    features: ArrayLike,
    weights: ArrayLike,
    offsets: ArrayLike,
    targets: ArrayLike,
    *,
    radius: float,
    goal: str = "total",
    each: bool = True,
    output: str = "identity",
    solver: str = "auto",
    time_limit: float | None = None,
    node_limit: int | None = None,
) -> LastLayerFit:
    """Find weights within an interval at which no error is larger than at present (Figure 2 of Ashok et al. 2022).

    Parameters
    ----------
    features, weights, offsets, radius, output, solver, time_limit, node_limit
        As for `fit_classification`.
    targets : (m,) or (m, M) array
        What the outputs are to be.
    goal : {"total", "feasible"}
        Minimize the sum of all errors, or take any feasible point, as the paper does: the present weights are one.
    each : bool
        Whether no sample's error may exceed the present one. Without this only the total counts.

    Raises
    ------
    DataError
        If the arrays do not fit together.
    OptionError
        If an option is unknown or out of its range.
    """
    layer = _layer(features, weights, offsets, radius, output)
    y = _targets(targets, layer)
    if goal not in GOALS:
        raise OptionError(f"goal {goal!r} is unknown; choose {', '.join(GOALS)}")
    if goal == "feasible" and not each:
        raise OptionError("goal 'feasible' without each asks for nothing; choose goal 'total' or each=True")
    require(solver)
    began = time.perf_counter()
    limits = Limits(time_limit=time_limit, node_limit=node_limit)
    before = layer.errors(layer.theta, y)
    theta, bound, statuses = layer.theta.copy(), 0.0, []
    for j in range(layer.n_outputs):
        result = solve(regression(layer, y, j, each=each, total=goal == "total"), solver, limits)
        statuses.append(_status(result))
        bound += max(result.bound, 0.0) if goal == "total" else 0.0
        if result.x is None:
            continue
        candidate = theta.copy()
        candidate[j] = result.x[: theta.shape[1]]
        candidate = _within(candidate, layer)
        after = layer.errors(candidate, y)[:, j]
        slack = FEASIBILITY_TOLERANCE * np.maximum(1.0, np.abs(y[:, j]) + before[:, j])
        if after.sum() > before[:, j].sum() + slack.sum() or (each and np.any(after > before[:, j] + slack)):
            statuses[-1] = Status.ERROR
        elif after.sum() < before[:, j].sum():
            theta = candidate
    total = float(layer.errors(theta, y).sum())
    status = next((status for status in statuses if not status.is_optimal), statuses[0])
    return _fit(theta, total, float(before.sum()), min(bound, total), status, began)


def _fit(
    theta: FloatArray, objective: float, start_objective: float, bound: float, status: Status, began: float
) -> LastLayerFit:
    seconds = time.perf_counter() - began
    return LastLayerFit(theta[:, :-1].copy(), theta[:, -1].copy(), objective, start_objective, bound, status, seconds)


def _status(result: Result) -> Status:
    """The present weights are a solution, whatever the solver says."""
    if result.status is Status.NO_SOLUTION_AT_LIMIT:
        return Status.FEASIBLE_AT_LIMIT
    return Status.ERROR if result.x is None else result.status


def _within(theta: FloatArray, layer: LastLayer) -> FloatArray:
    return np.clip(theta, layer.theta - layer.radius, layer.theta + layer.radius)


def _layer(features: ArrayLike, weights: ArrayLike, offsets: ArrayLike, radius: float, output: str) -> LastLayer:
    h, w, b = (np.asarray(array, dtype=np.float64) for array in (features, weights, offsets))
    if h.ndim != 2 or w.ndim != 2 or b.ndim != 1 or not len(h) or w.shape != (b.size, h.shape[1]) or not w.size:
        raise DataError(
            f"features {h.shape}, weights {w.shape} and offsets {b.shape} do not fit; they must be (m, N), (M, N) and (M,)"
        )
    for name, array in (("features", h), ("weights", w), ("offsets", b)):
        if not np.all(np.isfinite(array)):
            raise DataError(f"{name} hold NaN or infinite values")
    if not is_number(radius) or not 0.0 < radius < np.inf:
        raise OptionError(f"radius is {radius!r}; it must be a number above 0")
    if output not in OUTPUTS:
        raise OptionError(f"output {output!r} is unknown; choose {', '.join(OUTPUTS)}")
    return LastLayer(h, w, b, float(radius), output)


def _labels(labels: ArrayLike, layer: LastLayer) -> IntArray:
    y = np.asarray(labels)
    most = max(layer.n_outputs, 2)
    if y.shape != (len(layer.features),) or y.dtype.kind not in "iub" or np.any((y < 0) | (y >= most)):
        raise DataError(f"labels must be {len(layer.features)} whole numbers from 0 to {most - 1}, one for every sample")
    return y.astype(np.int64)


def _targets(targets: ArrayLike, layer: LastLayer) -> FloatArray:
    y = np.asarray(targets, dtype=np.float64)
    if y.ndim == 1 and layer.n_outputs == 1:
        y = y[:, None]
    if y.shape != (len(layer.features), layer.n_outputs) or not np.all(np.isfinite(y)):
        raise DataError(
            f"targets have shape {y.shape}; they must be {len(layer.features)} rows of {layer.n_outputs} finite numbers"
        )
    return y
