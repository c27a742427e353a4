"""Solving the programs of a last layer: arrays in, better weights out, every claim checked in
numpy."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Search, Stop
from layermilp.algorithms.tolerances import WHOLE_ROOM
from layermilp.checks import is_number
from layermilp.errors import DataError, OptionError
from layermilp.hybrid.formulation import OUTPUTS, LastLayer, MarginCount, margin_count, regression
from layermilp.program import FEASIBILITY_TOLERANCE, FloatArray, IntArray, Limits, Result, Status
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

EPSILON = 1.0
"""Margin over every rival from which a sample counts as right."""


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
        Classification: samples that do not exceed all rivals by `epsilon`. Regression: the total
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


def fit_classification(  # noqa: PLR0913 - the documented contract
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
        Margin over every rival from which a sample counts, above 0.
    output : {"identity", "relu"}
        What the outputs are of their weighted sums.
    exact : bool
        Whether the mixed-integer program is solved, to its end or a limit, from where the descent
        by linear programs got to. Without it the descent is all, and mostly as good.
    solver : {"auto", "cplex", "highs", "cbc", "gurobi"}
        Name of the solver; ``auto`` chooses per program.
    time_limit, node_limit
        Limits of the solver; what is found by then counts.

    Raises
    ------
    DataError
        If the arrays do not fit together.
    OptionError
        If an option is unknown or out of its range.
    """
    began = time.perf_counter()
    problem = classification(
        features, weights, offsets, labels, radius=radius, epsilon=epsilon, output=output
    )
    require(solver)
    limits = Limits(time_limit=time_limit, node_limit=node_limit, gap=0.0)
    # The time limit is that of every program.
    search = Search(problem, SolveOptions(solver=solver, limits=limits), Budget.of(None))
    search.stop = Stop.LIMIT
    _descend(search)
    if exact and not search.is_optimal():
        _learn(search, search.solve(problem.program(search.theta)))
    _move_nearer(search)
    fit = search.fit()
    found = _split(fit.parameters.reshape(np.size(offsets), -1))
    seconds = time.perf_counter() - began
    return LastLayerFit(*found, fit.objective, fit.start_objective, fit.bound, fit.status, seconds)


def classification(
    features: ArrayLike,
    weights: ArrayLike,
    offsets: ArrayLike,
    labels: ArrayLike,
    *,
    radius: float,
    epsilon: float,
    output: str,
) -> MarginCount:
    """Return the problem of `fit_classification`; parameters and errors are as there."""
    layer = _layer(features, weights, offsets, radius, output)
    if layer.n_outputs == 1 and output == "relu":
        raise OptionError(
            "output is 'relu', but a single output tells two classes apart by its sign; choose "
            "'identity'"
        )
    return margin_count(layer, _labels(labels, layer), _positive("epsilon", epsilon))


def _descend(search: Search[MarginCount]) -> None:
    """Solve the relaxation, then again with samples the cheaper the more they fall short.

    The sum of shortfalls is no count; with weights ``1 / (e + delta)`` it comes near to one
    (Candes, Wakin and Boyd, J. Fourier Anal. Appl. 14, 2008). The first relaxation also bounds the
    count."""
    p, stalled = search.problem.n_unknowns, 0
    relaxed = search.problem.program(search.theta).relaxed()
    weights = np.ones(relaxed.n_columns - p)
    for step in range(MOST_STEPS):
        result = search.solve(replace(relaxed, costs=np.concatenate([np.zeros(p), weights])))
        before = search.loss
        _learn(search, result, has_bound=step == 0)
        if result.x is None:
            return
        stalled = 0 if search.loss < before else stalled + 1
        short = result.x[p:]
        if search.is_optimal() or stalled > PATIENCE or not short.any():
            return
        weights = 1.0 / (short + SOFTNESS * short.max())
        weights /= weights.max()


def _learn(search: Search[MarginCount], result: Result, *, has_bound: bool = True) -> None:
    """Take the weights unless more samples are wrong, the bound of the count, which is whole, and
    that the solver failed: there is a solution, the present weights."""
    if has_bound and np.isfinite(result.bound):
        search.raise_bound(math.ceil(result.bound - WHOLE_ROOM))
    if has_bound and Stop.of(result) is Stop.FAILED:
        search.stop = Stop.FAILED
    if result.x is not None:
        search.accept(result.x[: search.problem.n_unknowns], search.loss)


def _move_nearer(search: Search[MarginCount]) -> None:
    """Of the weights that make the same samples right take the nearest to the present ones."""
    problem = search.problem
    if search.theta is not problem.start:
        result = search.solve(problem.nearest(problem.is_about_right(search.theta)))
        if result.x is not None:
            plus, minus = np.split(result.x, 2)
            search.accept(problem.start + plus - minus, search.loss)


def fit_regression(  # noqa: PLR0913 - the documented contract
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
    began = time.perf_counter()
    layer = _layer(features, weights, offsets, radius, output)
    y = _targets(targets, layer)
    if goal not in GOALS:
        raise OptionError(f"goal {goal!r} is unknown; choose {', '.join(GOALS)}")
    if goal == "feasible" and not each:
        raise OptionError(
            "goal 'feasible' without each asks for nothing; choose goal 'total' or each=True"
        )
    require(solver)
    limits = Limits(time_limit=time_limit, node_limit=node_limit)
    before = layer.errors(layer.theta, y)
    slack = FEASIBILITY_TOLERANCE * np.maximum(1.0, np.abs(y) + before)
    theta, bound, statuses = layer.theta.copy(), 0.0, []
    for j in range(layer.n_outputs):
        result = solve(regression(layer, y, j, each=each, total=goal == "total"), solver, limits)
        statuses.append(_status(result))
        bound += max(result.bound, 0.0) if goal == "total" else 0.0
        if result.x is None:
            continue
        candidate = theta.copy()
        found = result.x[: theta.shape[1]]
        candidate[j] = np.clip(found, layer.theta[j] - layer.radius, layer.theta[j] + layer.radius)
        now, after, room = before[:, j], layer.errors(candidate, y)[:, j], slack[:, j]
        if after.sum() > now.sum() + room.sum() or (each and np.any(after > now + room)):
            statuses[-1] = Status.ERROR
        elif after.sum() < now.sum():
            theta = candidate
    total = float(layer.errors(theta, y).sum())
    status = next((status for status in statuses if not status.is_optimal), statuses[0])
    seconds = time.perf_counter() - began
    return LastLayerFit(
        *_split(theta), total, float(before.sum()), min(bound, total), status, seconds
    )


def _split(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weights and offsets as arrays of their own, shapes ``(M, N)`` and ``(M,)``."""
    return theta[:, :-1].copy(), theta[:, -1].copy()


def _status(result: Result) -> Status:
    """The present weights are a solution, whatever the solver says."""
    if result.status is Status.NO_SOLUTION_AT_LIMIT:
        return Status.FEASIBLE_AT_LIMIT
    return Status.ERROR if result.x is None else result.status


def _layer(
    features: ArrayLike, weights: ArrayLike, offsets: ArrayLike, radius: float, output: str
) -> LastLayer:
    h, w, b = (np.asarray(array, dtype=np.float64) for array in (features, weights, offsets))
    fits = h.ndim == w.ndim == 2 and w.shape == (*b.shape, *h.shape[1:])
    if not fits or not h.size or not w.size:
        raise DataError(
            f"features {h.shape}, weights {w.shape} and offsets {b.shape} do not fit; they must "
            "be (m, N), (M, N) and (M,)"
        )
    for name, array in (("features", h), ("weights", w), ("offsets", b)):
        if not np.all(np.isfinite(array)):
            raise DataError(f"{name} hold NaN or infinite values")
    if output not in OUTPUTS:
        raise OptionError(f"output {output!r} is unknown; choose {', '.join(OUTPUTS)}")
    return LastLayer(h, w, b, _positive("radius", radius), output)


def _positive(name: str, value: float) -> float:
    if not is_number(value) or not value > 0.0:
        raise OptionError(f"{name} is {value!r}; it must be a number above 0")
    return float(value)


def _labels(labels: ArrayLike, layer: LastLayer) -> IntArray:
    y = np.asarray(labels)
    m, most = len(layer.features), max(layer.n_outputs, 2) - 1
    if y.shape != (m,) or y.dtype.kind not in "iub" or np.any((y < 0) | (y > most)):
        raise DataError(f"labels must be {m} whole numbers from 0 to {most}, one for every sample")
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
