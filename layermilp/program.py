"""One matrix-form program, what limits its solution, what a solver answers, and the check of that
answer in numpy.

Everything that layermilp optimizes passes through `Program`; nothing here knows of networks or of
solvers."""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from layermilp.checks import check_whole, is_number, shortened
from layermilp.errors import OptionError, ProgramError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

FEASIBILITY_TOLERANCE = 1e-6
"""Largest violation of a bound, a row or integrality, relative to the row's scale, with which an
answer is accepted."""

PROVEN_GAP = 1e-7
"""Relative gap that is asked of a solver when no gap is given: ten times finer than the 1e-6 that
layermilp promises."""


@dataclass(frozen=True, eq=False)
class Program:
    """A mixed-integer linear program in matrix form.

    minimize ``costs . x + offset`` subject to ``row_lower <= matrix x <= row_upper``, ``col_lower
    <= x <= col_upper`` and ``x[j]`` integer where ``integrality[j]``.

    Parameters
    ----------
    costs : (n,) array
        Objective coefficients, finite.
    matrix : (m, n) sparse or dense matrix
        Row coefficients, finite; kept as CSR with 32-bit indices.
    row_lower, row_upper : (m,) arrays
        Row bounds; ``-inf`` and ``inf`` mean none.
    col_lower, col_upper : (n,) arrays
        Column bounds; ``-inf`` and ``inf`` mean none.
    integrality : (n,) array of bool, optional
        Which columns must be integer. Default: none.
    offset : float
        Constant of the objective.
    start : (n,) array, optional
        A point a solver may start from. It need not be feasible.
    name : str
        Name in files and messages.
    column_groups : tuple of (str, int)
        Names of consecutive groups of columns with their sizes, such as ``(("w", 9), ("z", 100))``;
        see `column_names`. Default: one group ``x``.

    Raises
    ------
    ProgramError
        If the arrays do not fit together, a value is NaN, a coefficient is infinite, or a lower
        bound exceeds the upper.
    """

    costs: FloatArray
    matrix: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    col_lower: FloatArray
    col_upper: FloatArray
    integrality: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    offset: float = 0.0
    start: FloatArray | None = None
    name: str = "program"
    column_groups: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        costs = _vector(self.costs, None, "costs")
        n = costs.size
        matrix = _csr(self.matrix)
        if matrix.shape[1] != n:
            raise ProgramError(
                f"{self.name}: the matrix has {matrix.shape[1]} columns, but there are {n} costs"
            )
        m = matrix.shape[0]
        values: dict[str, Any] = {
            "costs": costs,
            "matrix": matrix,
            "row_lower": _vector(self.row_lower, m, "row_lower"),
            "row_upper": _vector(self.row_upper, m, "row_upper"),
            "col_lower": _vector(self.col_lower, n, "col_lower"),
            "col_upper": _vector(self.col_upper, n, "col_upper"),
            "integrality": _mask(self.integrality, n),
            "offset": float(self.offset),
            "start": None if self.start is None else _vector(self.start, n, "start"),
            "column_groups": tuple(self.column_groups) or (("x", n),),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        self._validate()

    def _validate(self) -> None:
        for what, array in (("cost", self.costs), ("matrix coefficient", self.matrix.data)):
            if not np.all(np.isfinite(array)):
                raise ProgramError(
                    f"{self.name}: a {what} is {array[~np.isfinite(array)][0]}; all must be finite"
                )
        if not math.isfinite(self.offset):
            raise ProgramError(f"{self.name}: the offset is {self.offset}; it must be finite")
        if self.start is not None and not np.all(np.isfinite(self.start)):
            raise ProgramError(f"{self.name}: the start holds NaN or infinite values")
        for what, lower, upper in (
            ("row", self.row_lower, self.row_upper),
            ("column", self.col_lower, self.col_upper),
        ):
            wrong = np.flatnonzero((lower > upper) | (lower == np.inf) | (upper == -np.inf))
            if wrong.size:
                i = wrong[0]
                raise ProgramError(
                    f"{self.name}: {what} {i} has lower bound {lower[i]} and upper bound {upper[i]}"
                )
        if sum(size for _, size in self.column_groups) != self.costs.size:
            raise ProgramError(
                f"{self.name}: column_groups name another number of columns than {self.costs.size}"
            )

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.matrix.shape[1])

    @cached_property
    def is_mip(self) -> bool:
        """Whether any column must be integer."""
        return bool(self.integrality.any())

    def column_names(self) -> list[str]:
        """Names of the columns, unique and free of spaces: ``w_0, w_1, ..., z_0, ...``."""
        return [f"{group}_{i}" for group, size in self.column_groups for i in range(size)]

    def row_names(self) -> list[str]:
        """Names of the rows: ``r_0, r_1, ...``."""
        return [f"r_{i}" for i in range(self.n_rows)]

    @property
    def least(self) -> float:
        """A lower bound of the objective: its least value over the bounds of the columns."""
        costs, lower, upper = self.costs, self.col_lower, self.col_upper
        ends = np.where(costs > 0.0, lower, np.where(costs < 0.0, upper, 0.0))
        return float(costs @ ends) + self.offset

    def row_kinds(self) -> NDArray[np.str_]:
        """Kinds of the rows, shape ``(m,)``: ``E`` where the bounds are equal, ``R`` with two
        others, ``L`` with only an upper, ``G`` with only a lower one, ``N`` without any."""
        has_lower, has_upper = np.isfinite(self.row_lower), np.isfinite(self.row_upper)
        is_equation = self.row_lower == self.row_upper
        kinds = [is_equation, has_lower & has_upper, has_upper, has_lower]
        return np.select(kinds, ["E", "R", "L", "G"], "N")

    def rows(self) -> Iterator[tuple[list[int], list[float]]]:
        """Yield columns and coefficients of each row, as lists, which other packages take faster
        than arrays."""
        a = self.matrix
        for first, last in itertools.pairwise(a.indptr.tolist()):
            yield a.indices[first:last].tolist(), a.data[first:last].tolist()

    def objective(self, x: FloatArray) -> float:
        """``costs . x + offset`` of a point."""
        return float(self.costs @ x) + self.offset

    def with_fixed(self, columns: ArrayLike, values: ArrayLike) -> Program:
        """Return the program with columns, given by k numbers or by a mask of shape ``(n,)``, fixed
        at values, shape ``(k,)``; fixed columns are no longer integer."""
        which = np.asarray(columns)
        if which.dtype != bool:
            which = which.astype(np.intp)
        lower, upper = self.col_lower.copy(), self.col_upper.copy()
        integrality = self.integrality.copy()
        lower[which] = upper[which] = values
        integrality[which] = False
        return replace(self, col_lower=lower, col_upper=upper, integrality=integrality)

    def relaxed(self) -> Program:
        """Return the linear relaxation."""
        return replace(self, integrality=np.zeros(self.n_columns, dtype=bool))


class Status(enum.Enum):
    """Status of a solve, in the same words for every solver."""

    OPTIMAL = "optimal"
    OPTIMAL_WITHIN_GAP = "optimal within gap"
    FEASIBLE_AT_LIMIT = "feasible at limit"
    NO_SOLUTION_AT_LIMIT = "no solution at limit"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    INFEASIBLE_OR_UNBOUNDED = "infeasible or unbounded"
    TOO_LARGE = "too large"
    ERROR = "error"

    @property
    def is_optimal(self) -> bool:
        """Whether the solution is optimal, to proof or within the gap that was asked for."""
        return self in (Status.OPTIMAL, Status.OPTIMAL_WITHIN_GAP)

    @property
    def is_at_limit(self) -> bool:
        """Whether a limit ended the solve, which is no failure."""
        return self in (Status.FEASIBLE_AT_LIMIT, Status.NO_SOLUTION_AT_LIMIT)


@dataclass(frozen=True)
class Limits:
    """When a solver may stop.

    Parameters
    ----------
    time_limit : float, optional
        Seconds for one solve, > 0. Runs in which it is hit are not repeatable.
    gap : float, optional
        Relative gap at which an incumbent counts as optimal, >= 0. Default: proven to 1e-6.
    node_limit : int, optional
        Branch-and-bound nodes for one solve, >= 1: a limit that is repeatable.
    absolute_gap : float, optional
        Gap in units of the objective at which an incumbent counts as optimal, whatever the relative
        gap, >= 0.
    objective_target : float, optional
        A solve of a MILP stops at an incumbent whose objective is at most this. CBC has no such
        limit and goes on.
    seed : int
        Seed of the solver's own random choices, 0 to 2**31 - 1.
    threads : int
        Threads of one solve. More than one may cost repeatability.

    Raises
    ------
    OptionError
        If a value is out of its range; the message names the option.
    """

    time_limit: float | None = None
    gap: float | None = None
    node_limit: int | None = None
    absolute_gap: float | None = None
    objective_target: float | None = None
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        least = {"time_limit": 0.0, "gap": 0.0, "absolute_gap": 0.0, "objective_target": -math.inf}
        for name, low in least.items():
            value, above = getattr(self, name), name == "time_limit"
            if value is not None and not (
                is_number(value) and (value > low if above else value >= low)
            ):
                raise OptionError(
                    f"{name} is {shortened(value)}; it must be a finite number "
                    f"{'above' if above else 'of at least'} {low:g}"
                )
        if self.node_limit is not None:
            check_whole("node_limit", self.node_limit, 1)
        check_whole("seed", self.seed, 0)
        check_whole("threads", self.threads, 1, 1024)

    @property
    def relative_gap(self) -> float:
        """The gap to ask of a solver."""
        return PROVEN_GAP if self.gap is None else self.gap

    def proof(self, objective: float, bound: float) -> Status | None:
        """Return what a lower bound, ``-inf`` for none, proves of a feasible point's objective.

        OPTIMAL if they agree to `FEASIBILITY_TOLERANCE`, OPTIMAL_WITHIN_GAP if they agree to the
        gap that was asked for; None if they do not."""
        # Without `gap` the difference is measured against 1 at least, because a proven optimum near
        # zero has a large relative gap.
        rounding = FEASIBILITY_TOLERANCE * max(1.0, abs(objective))
        allowed = max(self.relative_gap * abs(objective), self.absolute_gap or 0.0)
        if objective - bound > allowed + rounding:
            return None
        is_open = self.gap is not None and relative_gap(objective, bound) > FEASIBILITY_TOLERANCE
        if is_open or objective - bound > rounding:
            return Status.OPTIMAL_WITHIN_GAP
        return Status.OPTIMAL


@dataclass(frozen=True, eq=False)
class Result:
    """Answer of a solver, after the check in numpy.

    Parameters
    ----------
    status : Status
        How the solve ended.
    x : (n,) array or None
        The best feasible point, integers rounded: the solution, or the program's start where that
        is better; None if there is none.
    objective : float
        ``costs . x + offset`` recomputed in numpy; ``nan`` without an incumbent.
    bound : float
        Proven lower bound of the objective; ``-inf`` unless proven.
    solver : str
        Name of the solver that answered.
    seconds : float
        Wall time of the solve, model building included.
    nodes : int
        Branch-and-bound nodes, 0 if unknown.
    message : str
        The solver's own words for how it ended.
    is_contradiction : bool
        Whether its claims exclude each other or a feasible point; the status is ERROR then.
    """

    status: Status
    x: FloatArray | None = None
    objective: float = math.nan
    bound: float = -math.inf
    solver: str = ""
    seconds: float = 0.0
    nodes: int = 0
    message: str = ""
    is_contradiction: bool = False

    @property
    def gap(self) -> float:
        """Its relative gap, see `relative_gap`."""
        return relative_gap(self.objective, self.bound)


def relative_gap(objective: float, bound: float) -> float:
    """Return ``(objective - bound) / max(|objective|, 1e-10)``, at least 0; ``inf`` where either is
    missing."""
    if math.isnan(objective) or math.isinf(bound):
        return math.inf
    return max(0.0, (objective - bound) / max(abs(objective), 1e-10))


@dataclass(frozen=True)
class Check:
    """Violations of a point, each the largest over the program, relative to ``max(1, |bound|)``."""

    objective: float
    bounds: float
    rows: float
    integrality: float

    @property
    def violation(self) -> float:
        """The largest of the violations."""
        return max(self.bounds, self.rows, self.integrality)

    def holds(self, tolerance: float = FEASIBILITY_TOLERANCE) -> bool:
        """Whether no violation exceeds the tolerance."""
        return self.violation <= tolerance


def check(program: Program, x: ArrayLike) -> Check:
    """Evaluate a point, shape ``(n,)``, in numpy.

    One of another shape, or with values that are not finite, counts as an infinite violation.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.shape != (program.n_columns,) or not np.all(np.isfinite(x)):
        return Check(math.nan, math.inf, math.inf, math.inf)
    integers = x[program.integrality]
    return Check(
        objective=program.objective(x),
        bounds=_violation(x, program.col_lower, program.col_upper),
        rows=_violation(program.matrix @ x, program.row_lower, program.row_upper),
        integrality=float(np.abs(integers - np.round(integers)).max(initial=0.0)),
    )


def _violation(values: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    with np.errstate(invalid="ignore"):
        below = (lower - values) / np.maximum(1.0, np.abs(lower))
        above = (values - upper) / np.maximum(1.0, np.abs(upper))
    # Where a bound is infinite, the quotient is NaN, which `fmax` leaves out.
    worst = np.where(np.isnan(values), np.inf, np.fmax(below, above))
    return float(np.fmax.reduce(worst, initial=0.0))


def _vector(values: ArrayLike, size: int | None, name: str) -> FloatArray:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1 or (size is not None and array.size != size):
        raise ProgramError(
            f"{name} has shape {array.shape}; expected ({'n' if size is None else size},)"
        )
    if np.isnan(array).any():
        raise ProgramError(
            f"{name} holds NaN at position {int(np.flatnonzero(np.isnan(array))[0])}"
        )
    return array


def _mask(values: ArrayLike, size: int) -> BoolArray:
    mask = np.asarray(values, dtype=bool)
    if mask.size == 0:
        return np.zeros(size, dtype=bool)
    if mask.shape != (size,):
        raise ProgramError(f"integrality has shape {mask.shape}; expected ({size},)")
    return mask


def _csr(matrix: Any) -> sparse.csr_array:
    csr = sparse.csr_array(matrix, dtype=np.float64)
    if csr.nnz >= 2**31:
        raise ProgramError(f"the matrix has {csr.nnz} non-zeros; solvers take at most {2**31 - 1}")
    csr.sum_duplicates()
    csr.indices = csr.indices.astype(np.int32, copy=False)
    csr.indptr = csr.indptr.astype(np.int32, copy=False)
    return csr
