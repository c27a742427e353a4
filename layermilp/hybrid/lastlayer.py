"""Solving the programs of a last layer: arrays in, better weights out, every claim checked in
numpy."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.checks import is_number
from layermilp.errors import DataError, OptionError
from layermilp.hybrid.formulation import (
    OUTPUTS,
    LastLayer,
    Leads,
    classification,
    leads,
    nearest,
    regression,
)
from layermilp.program import (
    FEASIBILITY_TOLERANCE,
    BoolArray,
    FloatArray,
    IntArray,
    Limits,
    Program,
    Result,
    Status,
)
from layermilp.solvers import require, solve

GOALS = ("total", "feasible")
"""What a regression asks for: the least total error, or any point at which no error is larger, as
in the paper."""

MOST_STEPS = 20
"""Largest number of steps of a descent."""

PATIENCE = 2
"""Steps without fewer wrong samples after which it ends with the next."""

SOFTNESS = 0.01
"""Shortfall, as a share of the largest, below which a sample's weight hardly grows any more."""

EDGE = 1e-3
"""Share of the lead that a solver's tolerance may take from a sample."""

EPSILON = 1.0
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
        Classification: samples that do not lead all rivals by `epsilon`. Regression: the total
        error. Recomputed in numpy.
    start_objective : float
        The same of the given weights, never less than `objective`.
    bound : float
        Proven lower bound of the objective; ``-inf`` where there is none.
    status : Status
        The worst of the programs'; ERROR where an answer did not hold and the given weights were
        kept.
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
    exact: bool = True,
    solver: str = "auto",
    time_limit: float | None = None,
    node_limit: int | None = None,
) -> LastLayerFit:
    """Find the weights within an interval at which most samples are right by a margin (Figure 3 of
    Ashok et al. 2022).

    Parameters
    ----------
    features : (m, N) array
        What the layers below give for every sample.
    weights, offsets : (M, N) and (M,) arrays
        The present ones.
    labels : (m,) array of int
        The output of every sample's class; with a single output 1 where it is to be positive, else
        0.
    radius : float
        How far every weight may move, above 0.
    epsilon : float
        Lead over every rival from which a sample counts, above 0.
    output : {"identity", "relu"}
        What the outputs are of their weighted sums.
    exact : bool
        Whether the mixed-integer program is solved, to its end or a limit, from where the descent
        by linear programs got to. Without it the descent is all, and mostly as good.
    solver : {"auto", "cplex", "highs", "cbc", "gurobi"}
        Who solves the programs.
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
        raise OptionError(
            "output is 'relu', but a single output tells two classes apart by its sign; choose "
            "'identity'"
        )
    if not is_number(epsilon) or not epsilon > 0.0:
        raise OptionError(f"epsilon is {epsilon!r}; it must be a number above 0")
    require(solver)
    search = _Search(layer, leads(layer, y), float(epsilon))
    search.descend(solver, Limits(time_limit=time_limit))
    if exact and not search.is_proven:
        search.solve(solver, Limits(time_limit=time_limit, node_limit=node_limit, gap=0.0))
    search.move_nearer(solver, Limits(time_limit=time_limit))
    return search.fit()


def classification_program(
    features: ArrayLike,
    weights: ArrayLike,
    offsets: ArrayLike,
    labels: ArrayLike,
    *,
    radius: float,
    epsilon: float = EPSILON,
    output: str = "identity",
) -> Program:
    """Return the mixed-integer program of `fit_classification`, with the present weights as its
    start."""
    layer = _layer(features, weights, offsets, radius, output)
    return _Search(layer, leads(layer, _labels(labels, layer)), float(epsilon)).program()


class _Search:
    """The best weights so far, how many samples are wrong with them, and how many are wrong with
    any."""

    def __init__(self, layer: LastLayer, found: Leads, epsilon: float) -> None:
        self.layer, self.found, self.epsilon = layer, found, epsilon
        self.began = time.perf_counter()
        self.theta = layer.theta
        self.wrong = self.wrong_at_start = self.count(self.theta)
        self.bound = 0
        self.status = Status.FEASIBLE_AT_LIMIT

    @property
    def is_proven(self) -> bool:
        """Whether no weights of the box make more samples right."""
        return self.wrong <= self.bound

    def is_right(self, theta: FloatArray) -> BoolArray:
        """Return whether every sample is right; a row holds within the solver's tolerance only, so
        one at the edge is."""
        return self.found.is_right(theta, self.epsilon * (1.0 - EDGE))

    def count(self, theta: FloatArray) -> int:
        """Return how many samples are wrong."""
        return int((~self.is_right(theta)).sum())

    def program(self) -> Program:
        """Return the mixed-integer program, which starts at the best weights."""
        return classification(self.layer, self.found, self.epsilon, self.theta)

    def offer(self, values: FloatArray) -> bool:
        """Take weights, clipped to the box, unless more samples are wrong; return whether fewer
        are."""
        before, theta = self.wrong, _within(values.reshape(self.layer.theta.shape), self.layer)
        wrong = self.count(theta)
        if wrong <= before:
            self.theta, self.wrong = theta, wrong
        return wrong < before

    def descend(self, solver: str, limits: Limits) -> None:
        """Solve the relaxation, then again with samples the cheaper the more they fall short.

        The sum of shortfalls is no count; with weights ``1 / (e + delta)`` it comes near to one
        (Candes, Wakin and Boyd, J. Fourier Anal. Appl. 14, 2008). The first relaxation also bounds
        the count."""
        p, relaxed, stalled = self.theta.size, self.program().relaxed(), 0
        weights = np.ones(relaxed.n_columns - p)
        for step in range(MOST_STEPS):
            result = solve(
                replace(relaxed, costs=np.concatenate([np.zeros(p), weights])), solver, limits
            )
            if step == 0:
                self.learn(result)
            if result.x is None:
                return
            stalled = 0 if self.offer(result.x[:p]) else stalled + 1
            short = result.x[p:]
            if self.is_proven or stalled > PATIENCE or not short.any():
                return
            weights = 1.0 / (short + SOFTNESS * short.max())
            weights /= weights.max()

    def solve(self, solver: str, limits: Limits) -> None:
        """Solve the program from the best weights."""
        result = solve(self.program(), solver, limits)
        self.learn(result)
        if result.x is not None:
            self.offer(result.x[: self.theta.size])

    def learn(self, result: Result) -> None:
        """Take the bound of the count, which is whole, and note a failure: there is a solution, the
        present weights."""
        if np.isfinite(result.bound):
            self.bound = max(self.bound, math.ceil(result.bound - FEASIBILITY_TOLERANCE))
        if _status(result) is Status.ERROR:
            self.status = Status.ERROR

    def move_nearer(self, solver: str, limits: Limits) -> None:
        """Of the weights that make the same samples right take the nearest to the present ones."""
        if self.theta is self.layer.theta:
            return
        right = self.is_right(self.theta)
        result = solve(nearest(self.layer, self.found, right, self.epsilon), solver, limits)
        if result.x is not None:
            plus, minus = np.split(result.x, 2)
            self.offer(self.layer.theta.reshape(-1) + plus - minus)

    def fit(self) -> LastLayerFit:
        """Return what was found."""
        status = Status.OPTIMAL if self.is_proven else self.status
        bound = float(min(self.bound, self.wrong))
        return _fit(
            self.theta, float(self.wrong), float(self.wrong_at_start), bound, status, self.began
        )


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
    """Find weights within an interval at which no error is larger than at present (Figure 2 of
    Ashok et al. 2022).

    Parameters
    ----------
    features, weights, offsets, radius, output, solver, time_limit, node_limit
        As for `fit_classification`.
    targets : (m,) or (m, M) array
        What the outputs are to be.
    goal : {"total", "feasible"}
        Minimize the sum of all errors, or take any feasible point, as the paper does: the present
        weights are one.
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
        raise OptionError(
            "goal 'feasible' without each asks for nothing; choose goal 'total' or each=True"
        )
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
        if after.sum() > before[:, j].sum() + slack.sum() or (
            each and np.any(after > before[:, j] + slack)
        ):
            statuses[-1] = Status.ERROR
        elif after.sum() < before[:, j].sum():
            theta = candidate
    total = float(layer.errors(theta, y).sum())
    status = next((status for status in statuses if not status.is_optimal), statuses[0])
    return _fit(theta, total, float(before.sum()), min(bound, total), status, began)


def _fit(
    theta: FloatArray,
    objective: float,
    start_objective: float,
    bound: float,
    status: Status,
    began: float,
) -> LastLayerFit:
    seconds = time.perf_counter() - began
    return LastLayerFit(
        theta[:, :-1].copy(),
        theta[:, -1].copy(),
        objective,
        start_objective,
        bound,
        status,
        seconds,
    )


def _status(result: Result) -> Status:
    """The present weights are a solution, whatever the solver says."""
    if result.status is Status.NO_SOLUTION_AT_LIMIT:
        return Status.FEASIBLE_AT_LIMIT
    return Status.ERROR if result.x is None else result.status


def _within(theta: FloatArray, layer: LastLayer) -> FloatArray:
    return np.clip(theta, layer.theta - layer.radius, layer.theta + layer.radius)


def _layer(
    features: ArrayLike, weights: ArrayLike, offsets: ArrayLike, radius: float, output: str
) -> LastLayer:
    h, w, b = (np.asarray(array, dtype=np.float64) for array in (features, weights, offsets))
    if (
        h.ndim != 2
        or w.ndim != 2
        or b.ndim != 1
        or not len(h)
        or w.shape != (b.size, h.shape[1])
        or not w.size
    ):
        raise DataError(
            f"features {h.shape}, weights {w.shape} and offsets {b.shape} do not fit; they must "
            "be (m, N), (M, N) and (M,)"
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
    if (
        y.shape != (len(layer.features),)
        or y.dtype.kind not in "iub"
        or np.any((y < 0) | (y >= most))
    ):
        raise DataError(
            f"labels must be {len(layer.features)} whole numbers from 0 to {most - 1}, one for "
            "every sample"
        )
    return y.astype(np.int64)


def _targets(targets: ArrayLike, layer: LastLayer) -> FloatArray:
    y = np.asarray(targets, dtype=np.float64)
    if y.ndim == 1 and layer.n_outputs == 1:
        y = y[:, None]
    if y.shape != (len(layer.features), layer.n_outputs) or not np.all(np.isfinite(y)):
        raise DataError(
            f"targets have shape {y.shape}; they must be {len(layer.features)} rows of "
            f"{layer.n_outputs} finite numbers"
        )
    return y
