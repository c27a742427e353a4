"""Weight programs of ReLU neurons: the paper's reference form and a reduced form with the same
optimum.

A formulation is a pure function from a `ReluRegression` to a `Program` whose first columns are the
unknowns. To add one: write the function and put it into `FORMULATIONS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from layermilp.formulations.problem import OutputRegression, Regression
from layermilp.formulations.relu_l1 import ReluRegression
from layermilp.program import FloatArray, IntArray, Program


def paper(problem: ReluRegression) -> Program:
    """Reference form: objective (2) under (1) and (3) to (6) of Goebbels 2021.

    The columns are the unknowns and, for every row, the preactivation ``a``, the output ``o``, the
    binary ``b`` that says whether the neuron fires, and the deviations ``d+`` and ``d-``; `M` is
    the same for all rows::

        (1)  o - d+ + d-  =  t                 (5)  o - a + M b <=  M
        (3)  a - H theta  =  g                      o - a - M b >= -M
        (4)  -M <= a - M b <= 0                (6)  o - M b <= 0,   0 <= o <= M

    (4) is the paper's ``-M (1 - b) <= a <= M b`` as one row. The start is the point that
    `problem.start` implies."""
    n_rows, big_m = problem.n_rows, problem.big_m
    eye = sparse.eye_array(n_rows, format="csr")
    big_eye = big_m * eye
    matrix = sparse.block_array(
        [
            # theta, a, o, b, d+, d-
            [None, None, eye, None, -eye, eye],
            [-problem.coefficients, eye, None, None, None, None],
            [None, eye, None, -big_eye, None, None],
            [None, -eye, eye, big_eye, None, None],
            [None, -eye, eye, -big_eye, None, None],
            [None, None, eye, -big_eye, None, None],
        ],
        format="csr",
    )
    t, g = problem.targets, problem.constants
    zero, big, inf = np.zeros(n_rows), np.full(n_rows, big_m), np.full(n_rows, np.inf)
    a = problem.preactivation(problem.start)
    o = np.maximum(a, 0.0)
    return Program(
        costs=np.repeat([0.0, 1.0], [problem.n_unknowns + 3 * n_rows, 2 * n_rows]),
        matrix=matrix,
        row_lower=np.concatenate([t, g, -big, -inf, -big, -inf]),
        row_upper=np.concatenate([t, g, zero, big, inf, zero]),
        col_lower=np.concatenate([problem.lower, -big, zero, zero, zero, zero]),
        col_upper=np.concatenate([problem.upper, big, big, np.ones(n_rows), inf, inf]),
        integrality=np.repeat(
            [False, True, False], [problem.n_unknowns + 2 * n_rows, n_rows, 2 * n_rows]
        ),
        start=np.concatenate(
            [problem.start, a, o, a > 0.0, np.maximum(o - t, 0.0), np.maximum(t - o, 0.0)]
        ),
        name="neuron_paper",
        column_groups=(
            ("theta", problem.n_unknowns),
            *((name, n_rows) for name in ("a", "o", "b", "dp", "dm")),
        ),
    )


def reduced(problem: ReluRegression) -> Program:
    """Reduced form: the same optimum with a binary only where the box leaves open which piece of
    the loss applies.

    With interval bounds ``A- <= a <= A+`` of every row and one loss column ``z >= 0``::

        t = 0                    z >= a                                          (convex)
        t > 0,  A- >= 0          z >= a - t,   z >= t - a                        (convex)
        t > 0,  A+ <= 0          the loss is the constant t, the row goes
        t > 0,  A- < 0 < A+      z >= a - t,   z >= t (1 - b),   z >= t - a + A- (1 - b)

    In the last case ``b = 1`` gives ``|a - t|`` and ``b = 0`` gives ``max(t, a - t)``; both are at
    least the loss, and one of them equals it for every `a`. Its relaxation is the convex envelope
    of the loss between ``A-`` and `t`, so no formulation of one row alone is tighter. The start is
    the point that `problem.start` implies."""
    low, high = problem.interval
    t, g, h = problem.targets, problem.constants, problem.coefficients
    opened = open_rows(problem)
    # With the rows in this order every selection of loss columns below is a leading part of the
    # identity.
    two_sided = np.concatenate([opened, np.flatnonzero((t > 0.0) & (low >= 0.0))])
    kept = np.concatenate([two_sided, np.flatnonzero((t == 0.0) & (high > 0.0))])
    n_open, n_two_sided, n_kept = opened.size, two_sided.size, kept.size
    a_low = low[opened]
    matrix = sparse.block_array(
        [
            # theta, z, b
            [-h[kept], sparse.eye_array(n_kept), sparse.csr_array((n_kept, n_open))],
            [h[two_sided], sparse.eye_array(n_two_sided, n_kept), _diagonal(a_low, n_two_sided)],
            [None, sparse.eye_array(n_open, n_kept), _diagonal(t[opened], n_open)],
        ],
        format="csr",
    )
    shift = np.append(a_low, np.zeros(n_two_sided - n_open))
    row_lower = np.concatenate([g[kept] - t[kept], t[two_sided] - g[two_sided] + shift, t[opened]])
    a = problem.preactivation(problem.start)[kept]
    z = np.abs(np.maximum(a, 0.0) - t[kept])
    return Program(
        costs=np.repeat([0.0, 1.0, 0.0], [problem.n_unknowns, n_kept, n_open]),
        matrix=matrix,
        row_lower=row_lower,
        row_upper=np.full(row_lower.size, np.inf),
        col_lower=np.concatenate([problem.lower, np.zeros(n_kept + n_open)]),
        col_upper=np.concatenate([problem.upper, np.full(n_kept, np.inf), np.ones(n_open)]),
        integrality=np.repeat([False, True], [problem.n_unknowns + n_kept, n_open]),
        offset=float(t[(low < 0.0) & (high <= 0.0)].sum()),
        start=np.concatenate([problem.start, z, a[:n_open] > 0.0]),
        name="neuron_reduced",
        column_groups=(("theta", problem.n_unknowns), ("z", n_kept), ("b", n_open)),
    )


def open_rows(problem: ReluRegression) -> IntArray:
    """Rows that have a binary in the reduced form, ascending, in the order of the binaries."""
    low, high = problem.interval
    return np.flatnonzero((problem.targets > 0.0) & (low < 0.0) & (high > 0.0))


def all_rows(problem: ReluRegression) -> IntArray:
    """Rows that have a binary in the reference form: every one."""
    return np.arange(problem.n_rows)


@dataclass(frozen=True)
class Formulation:
    """A weight program and what is known of its binaries.

    Parameters
    ----------
    build : callable
        From the problem to the program; the first columns are the unknowns.
    binary_rows : callable
        From the problem to the rows whose firing the integer columns stand for, in their order.
    is_reference : bool
        Whether the program is solved as it stands, with none of the library's shortcuts.
    is_envelope : bool
        Whether its relaxation is the convex envelope of every row, as in `envelope`, so that a
        search by those may replace it.
    """

    build: Callable[[Any], Program]
    binary_rows: Callable[[Any], IntArray]
    is_reference: bool = False
    is_envelope: bool = False


FORMULATIONS: dict[str, Formulation] = {
    "reduced": Formulation(reduced, open_rows, is_envelope=True),
    "paper": Formulation(paper, all_rows, is_reference=True),
}
"""Weight programs by name, the default first."""


def program_of(problem: Regression, formulation: str) -> Program:
    """Return the program of a problem; a linear one has only one, whatever the formulation."""
    if isinstance(problem, OutputRegression):
        return problem.program()
    assert isinstance(problem, ReluRegression)
    return FORMULATIONS[formulation].build(problem)


def _diagonal(values: FloatArray, n_rows: int) -> sparse.csr_array:
    """Matrix with the values on its diagonal and `n_rows` rows, one column per value."""
    places = np.arange(values.size)
    return sparse.csr_array((values, (places, places)), shape=(n_rows, values.size))
