"""Small programs with known answers, the same for every solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from layermilp.program import Program, Status
from layermilp.solvers import SOLVERS

INF = np.inf


def missing(name: str) -> str | None:
    """Return why a solver cannot be tested, None if it can be: its package is not installed, or its
    licence has expired."""
    solver = SOLVERS[name]
    if not solver.is_available():
        return f"{solver.title} is not installed: needs {', '.join(solver.modules)}"
    version = solver.version() if name == "gurobi" else ""
    return version if "does not start" in version else None


@dataclass(frozen=True, eq=False)
class Problem:
    """A program with its optimum, or with the status that is right for it."""

    program: Program
    objective: float | None = None
    status: Status = Status.OPTIMAL

    def __repr__(self) -> str:
        """Name of the program, for the names of tests."""
        return self.program.name


def box(
    name: str,
    costs: ArrayLike,
    rows: Sequence[tuple[ArrayLike, float, float]],
    columns: Sequence[tuple[float, float]],
    integers: Sequence[int] = (),
    offset: float = 0.0,
    start: ArrayLike | None = None,
) -> Program:
    """Return a program from rows (coefficients, lower, upper) and columns (lower, upper)."""
    n = len(columns)
    return Program(
        costs=np.asarray(costs, dtype=float),
        matrix=np.array([row for row, _, _ in rows], dtype=float).reshape(len(rows), n),
        row_lower=np.array([low for _, low, _ in rows], dtype=float),
        row_upper=np.array([high for _, _, high in rows], dtype=float),
        col_lower=np.array([low for low, _ in columns], dtype=float),
        col_upper=np.array([high for _, high in columns], dtype=float),
        integrality=np.isin(np.arange(n), integers),
        offset=offset,
        start=None if start is None else np.asarray(start, dtype=float),
        name=name,
    )


POSITIVE = (0.0, INF)
FREE = (-INF, INF)

SOLVABLE = [
    Problem(
        box(
            "lp",
            [-3, -5],
            [([1, 0], -INF, 4), ([0, 2], -INF, 12), ([3, 2], -INF, 18)],
            [POSITIVE] * 2,
        ),
        -36.0,
    ),
    Problem(
        box("milp", [-5, -4], [([6, 4], -INF, 24), ([1, 2], -INF, 6)], [POSITIVE] * 2, [0, 1]),
        -20.0,
    ),
    Problem(
        box("mixed", [-1, -1], [([2, 2], -INF, 5)], [(0, 1.7), (0, 10)], [1], start=[0.5, 2]), -2.5
    ),
    Problem(
        box("equality", [1, 2, 3], [([1, 1, 1], 6, 6), ([1, -1, 0], 1, 1)], [POSITIVE] * 3), 8.5
    ),
    Problem(box("ranges", [1, 1], [([1, 2], 3, 8), ([2, -1], -1, 4)], [POSITIVE] * 2), 1.6),
    Problem(box("free row", [1, 1], [([1, 1], -INF, INF), ([1, 2], 3, INF)], [POSITIVE] * 2), 1.5),
    Problem(box("free columns", [1, 1], [([1, 2], -4, INF), ([2, 1], -5, INF)], [FREE] * 2), -3.0),
    Problem(
        box("negative bounds", [1, -1], [([1, 1], -9, INF)], [(-7.5, -2.5), (-6, -1)], [1]), -6.5
    ),
    Problem(
        box(
            "free integers",
            [1, 0.5],
            [([1, 1], -3.5, INF), ([1, -1], -0.5, 2.5)],
            [FREE] * 2,
            [0, 1],
        ),
        -2.0,
    ),
    Problem(
        box("integers above one", [-1, -1], [([1, 1], -INF, 12.5)], [POSITIVE, (0, 7)], [0, 1]),
        -12.0,
    ),
    Problem(box("upper bound only", [-1, -2], [([1, 1], -INF, 3)], [(-INF, 5), (-INF, 2)]), -5.0),
    Problem(box("offset", [2, 3], [([1, 1], 4, INF)], [POSITIVE] * 2, offset=-1000.25), -992.25),
    Problem(
        box("milp offset", [2, 3], [([1, 1], 3.5, INF)], [POSITIVE] * 2, [0, 1], offset=0.125),
        8.125,
    ),
    Problem(
        box("full digits", [1 / 3, -1 / 7], [([1 / 3, 1], -INF, np.pi)], [(1 / 9, 10), (0, 10)]),
        1 / 27 - (np.pi - 1 / 27) / 7,
    ),
    Problem(
        box(
            "degenerate",
            [-1, -1],
            [([1, 1], -INF, 1), ([1, 0], -INF, 1), ([0, 1], -INF, 1), ([2, 2], -INF, 2)],
            [POSITIVE] * 2,
        ),
        -1.0,
    ),
    Problem(box("fixed columns", [1, 1], [([1, 1], 2, INF)], [(1.5, 1.5), POSITIVE], [1]), 2.5),
    Problem(box("zero costs", [0, 0], [([1, 1], 1, 1)], [POSITIVE] * 2, [0]), 0.0),
    Problem(
        box(
            "empty row and column",
            [1, 1, 0],
            [([0, 0, 0], -1, 1), ([1, 1, 0], 2, INF)],
            [POSITIVE] * 3,
        ),
        2.0,
    ),
    Problem(box("no rows", [1, -1], [], [(-2, 5), (0, 3.5)], [1]), -5.0),
    Problem(box("no columns", [], [([], -1, 1)], [], offset=2.5), 2.5),
]

UNSOLVABLE = [
    Problem(
        box("infeasible lp", [1], [([1], 2, INF), ([1], -INF, 1)], [POSITIVE]),
        status=Status.INFEASIBLE,
    ),
    Problem(
        box("infeasible milp", [1, 1], [([2, 2], 3, 3)], [(0, 5)] * 2, [0, 1]),
        status=Status.INFEASIBLE,
    ),
    Problem(box("infeasible without columns", [], [([], 1, 2)], []), status=Status.INFEASIBLE),
    Problem(
        box("unbounded lp", [-1, 0], [([1, -1], -INF, 1)], [POSITIVE] * 2), status=Status.UNBOUNDED
    ),
    Problem(
        box("unbounded milp", [-1, 0], [([1, -1], -INF, 1)], [POSITIVE] * 2, [0, 1]),
        status=Status.UNBOUNDED,
    ),
]


def _split(n: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.random.default_rng(seed).integers(0, 100, (m, n)).astype(float)
    return matrix, np.floor(matrix.sum(axis=1) / 2)


def market_split(n: int = 50, m: int = 6, seed: int = 0) -> Program:
    """Return an equality knapsack problem for which no solver finds a solution soon."""
    matrix, half = _split(n, m, seed)
    return Program(
        costs=np.zeros(n),
        matrix=matrix,
        row_lower=half,
        row_upper=half,
        col_lower=np.zeros(n),
        col_upper=np.ones(n),
        integrality=np.ones(n, dtype=bool),
        name="market split",
    )


def market_slack(n: int = 50, m: int = 6, seed: int = 0) -> Program:
    """Return the same problem with slacks to minimize and a feasible start: far from proven for a
    long time."""
    matrix, half = _split(n, m, seed)
    x = (np.random.default_rng(seed + 1).random(n) < 0.5).astype(float)
    rest = half - matrix @ x
    return Program(
        costs=np.r_[np.zeros(n), np.ones(2 * m)],
        matrix=np.hstack([matrix, np.eye(m), -np.eye(m)]),
        row_lower=half,
        row_upper=half,
        col_lower=np.zeros(n + 2 * m),
        col_upper=np.r_[np.ones(n), np.full(2 * m, INF)],
        integrality=np.r_[np.ones(n, dtype=bool), np.zeros(2 * m, dtype=bool)],
        start=np.r_[x, np.maximum(rest, 0), np.maximum(-rest, 0)],
        name="market split with slacks",
        column_groups=(("x", n), ("above", m), ("below", m)),
    )


def knapsack(n: int = 25, m: int = 8, seed: int = 1) -> Program:
    """Return a knapsack problem that takes some nodes."""
    random = np.random.default_rng(seed)
    return Program(
        costs=-10 * random.random(n),
        matrix=random.random((m, n)),
        row_lower=np.full(m, -INF),
        row_upper=np.full(m, 3.0),
        col_lower=np.zeros(n),
        col_upper=np.ones(n),
        integrality=np.ones(n, dtype=bool),
        offset=1 / 3,
        name="knapsack",
    )


def wide(n: int = 1001) -> Program:
    """Return a trivial program with more columns than CPLEX's community edition takes; its optimum
    is 1."""
    rows = np.ones(1), np.full(1, INF)
    return Program(np.ones(n), np.ones((1, n)), *rows, np.zeros(n), np.ones(n), name="wide")
