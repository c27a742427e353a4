"""The programs of the layerwise method on numpy arrays: one neuron, one output neuron, the inputs
of one layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.fit import solve_linear, solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Fit
from layermilp.errors import DataError, OptionError
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.formulations.l1 import HingeRegression, hinge_of_inputs
from layermilp.formulations.problem import Regression
from layermilp.formulations.relu_l1 import ReluL1, ReluRegression, reference_big_m
from layermilp.program import FloatArray, IntArray, Limits


def fit_relu_neuron(  # noqa: PLR0913 - the documented contract
    inputs: ArrayLike,
    targets: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    start: ArrayLike | None = None,
    formulation: str = "reduced",
    solver: str = "auto",
    time_limit: float | None = None,
    gap: float | None = None,
    node_limit: int | None = None,
) -> Fit:
    """Fit weights and bias of one ReLU neuron to targets in the l1 norm.

    minimize ``sum_k |max(0, w . x_k + c) - t_k|`` over ``lower <= (w, c) <= upper``: objective (2)
    of Goebbels 2021 under its (1) and (3) to (6), for one neuron.

    Parameters
    ----------
    inputs : (m, d) array
        Inputs `x` of the neuron.
    targets : (m,) array
        Targets `t` of its output, non-negative.
    lower, upper : float or (d + 1,) array
        Box of the `d` weights and then the bias.
    start : (d + 1,) array, optional
        Present weights and bias, where the search begins; clipped to the box. The result is never
        worse. Default: the point of the box nearest to zero.
    formulation : {"reduced", "paper"}
        Program to solve, see `layermilp.formulations.big_m`; both have the same optimum.
    solver : {"auto", "cplex", "highs", "cbc", "gurobi"}
        Name of the solver; ``auto`` chooses one.
    time_limit : float, optional
        Seconds, > 0. The best point found is returned.
    gap : float, optional
        Relative gap at which to stop. With no limit and no gap the result is the proven optimum, to
        1e-6 relative.
    node_limit : int, optional
        Branch-and-bound nodes, a limit that is repeatable.

    Returns
    -------
    Fit
        ``parameters`` (`d` weights, then the bias), ``objective`` (recomputed in numpy), ``bound``,
        ``status``, ``gap``.

    Raises
    ------
    DataError
        If shapes do not fit, a value is not finite, a target is negative, or a lower bound exceeds
        the upper.
    OptionError
        If a name is unknown or a limit out of its range.
    SolverError
        If the solver is not installed, or the program is too large for its edition.
    """
    x = _finite(inputs, "inputs")
    t = _finite(targets, "targets", len(x))
    if np.any(t < 0.0):
        raise DataError(
            f"target {int(np.argmin(t))} is {t.min():g}; a ReLU has no negative outputs"
        )
    options = _options(formulation, solver, Limits(time_limit, gap, node_limit))
    rows = _rows(x, lower, upper, start)
    big_m = reference_big_m(x, np.concatenate([rows["lower"], rows["upper"]]))
    problem = ReluRegression(**rows, targets=t, big_m=big_m)
    return solve_relu(problem, options)


def fit_output_neuron(
    inputs: ArrayLike,
    is_target: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    tolerance: float = 0.0,
    start: ArrayLike | None = None,
    solver: str = "auto",
    time_limit: float | None = None,
) -> Fit:
    """Fit weights and bias of one output neuron: the LP (7) and (8) of Goebbels 2021.

    minimize ``sum max(0, a_k - s)`` over the samples that are not of the neuron's class plus ``sum
    max(0, |a_k - 1| - s)`` over those that are, where ``a_k = w . x_k + c``. With ``s = 0.49`` it
    is the post-processing of section 2.3.

    Parameters
    ----------
    inputs : (m, d) array
        Inputs `x` of the neuron.
    is_target : (m,) array of bool
        Whether a sample is of the neuron's class (ground truth one).
    lower, upper : float or (d + 1,) array
        Box of the `d` weights and then the bias.
    tolerance : float
        The dead zone `s`, at least 0.
    start, solver, time_limit
        As in `fit_relu_neuron`.

    Returns
    -------
    Fit
        As in `fit_relu_neuron`, with its errors.
    """
    x = _finite(inputs, "inputs")
    flags = np.asarray(is_target)
    if flags.shape != (len(x),) or not np.all((flags == 0) | (flags == 1)):
        raise DataError(f"is_target must hold one 0 or 1 (or bool) per sample, {len(x)} in all")
    if not (np.isfinite(tolerance) and tolerance >= 0.0):
        raise OptionError(f"tolerance is {tolerance!r}; it must be a finite number of at least 0")
    problem = HingeRegression(
        **_rows(x, lower, upper, start),
        is_target=flags.astype(bool),
        row_weights=np.ones(len(x)),
        tolerance=float(tolerance),
    )
    return solve_linear(problem, SolveOptions(solver=solver, limits=Limits(time_limit)))


def propose_inputs(  # noqa: PLR0913 - the documented contract
    weights: ArrayLike,
    bias: ArrayLike,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    last_layer: bool = False,
    formulation: str = "reduced",
    solver: str = "auto",
    time_limit: float | None = None,
    gap: float | None = None,
) -> FloatArray:
    """Propose inputs of a layer that bring its outputs closer to their targets (Goebbels 2021,
    section 2.2).

    For every sample, minimize ``sum_j |max(0, w_j . x' + c_j) - t_j|`` over ``max(0, 0.9 x - 0.1)
    <= x' <= 1.1 x + 0.1``: objective (2) under (1), (3) to (6) and the bounds (9). For the last
    layer the objective is (7) with (8). Training so, with targets in place of gradients for every
    layer, is also known as *target propagation*.

    Parameters
    ----------
    weights, bias : (n, d) array, (n,) array
        The layer.
    inputs : (m, d) array
        Present inputs `x`, non-negative.
    targets : (m, n) array
        Targets of the outputs, non-negative; for the last layer 0 or 1.
    last_layer : bool
        Whether the layer is the output layer.
    formulation, solver, time_limit, gap
        As in `fit_relu_neuron`; the time limit is for one program.

    Returns
    -------
    (m, d) array
        Proposed inputs, within (9). A sample for which nothing better was found keeps its inputs.

    Raises
    ------
    DataError, OptionError, SolverError
        As in `fit_relu_neuron`; also if an input is negative.
    """
    w, x = _finite(weights, "weights"), _finite(inputs, "inputs")
    c, t = _finite(bias, "bias", len(w)), _finite(targets, "targets")
    if x.shape[1] != w.shape[1] or t.shape != (len(x), len(w)):
        raise DataError(
            f"weights {w.shape}, inputs {x.shape} and targets {t.shape} do not fit together"
        )
    for name, array in (("input", x), ("target", t)):
        if np.any(array < 0.0):
            raise DataError(
                f"the smallest {name} is {array.min():g}; outputs of a ReLU layer are non-negative"
            )
    if last_layer and not np.all((t == 0.0) | (t == 1.0)):
        raise DataError("targets of the last layer must be 0 or 1")
    options = _options(formulation, solver, Limits(time_limit, gap))

    def problem_of(part: slice | IntArray) -> Regression:
        if last_layer:
            return hinge_of_inputs(w, c, x[part], t[part] > 0.5)
        return ReluL1().of_inputs(w, c, x[part], t[part])

    return propose(x, problem_of, options).inputs


def _options(formulation: str, solver: str, limits: Limits) -> SolveOptions:
    if formulation not in FORMULATIONS:
        raise OptionError(
            f"formulation {formulation!r} is unknown; choose {', '.join(FORMULATIONS)}"
        )
    return SolveOptions(formulation, solver, limits)


def _finite(values: ArrayLike, name: str, *shape: int) -> FloatArray:
    """Return finite values of a shape, or of a matrix of any shape where none is given."""
    array = np.asarray(values, dtype=np.float64)
    if shape and array.shape != shape:
        raise DataError(f"{name} must have shape {shape}, got {array.shape}")
    if not shape and (array.ndim != 2 or array.size == 0):
        raise DataError(f"{name} must be a non-empty matrix, got an array of shape {array.shape}")
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        place, value = ", ".join(map(str, wrong[0])), array[tuple(wrong[0])]
        raise DataError(f"{name}[{place}] is {value}; every value must be finite")
    return array


def _rows(
    inputs: FloatArray, lower: ArrayLike, upper: ArrayLike, start: ArrayLike | None
) -> dict[str, Any]:
    """Return the fields of `Rows` for one neuron, whose unknowns are its weights and then its
    bias; the start is clipped to the box."""
    m, size = len(inputs), inputs.shape[1] + 1
    low, high = (
        _finite(np.full(size, values) if np.ndim(values) == 0 else values, name, size)
        for name, values in (("lower", lower), ("upper", upper))
    )
    if np.any(low > high):
        place = int(np.flatnonzero(low > high)[0])
        raise DataError(
            f"lower[{place}] is {low[place]:g}, above upper[{place}], which is {high[place]:g}"
        )
    at = np.zeros(size) if start is None else _finite(start, "start", size)
    return {
        "coefficients": sparse.csr_array(np.column_stack([inputs, np.ones(m)])),
        "constants": np.zeros(m),
        "lower": low,
        "upper": high,
        "start": np.clip(at, low, high),
    }
