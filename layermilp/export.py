"""A program for other tools: as an MPS file, a docplex model or a PuLP problem."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layermilp.errors import SolverNotAvailable
from layermilp.files import write_atomically
from layermilp.program import FloatArray, Program

if TYPE_CHECKING:
    import docplex.mp.model
    import pulp

_OBJECTIVE = "cost"


def write_mps(program: Program, path: str | Path) -> Path:
    """Write a program as a free-format MPS file, atomically.

    Numbers are written with all the digits that tell one double from the next. Only the second bound of a row with two
    different finite bounds may be off in its last digit, because MPS states the width of such a row instead. Rows
    without any bound become ``N`` rows, which most readers drop.

    Parameters
    ----------
    program : Program
        What to write. Its start is not part of the file.
    path : str or Path
        Where to write; an existing file is replaced only when the new one is complete.

    Returns
    -------
    Path
        The path that was written.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        for section in _sections(program):
            file.write("\n".join([*section, ""]).encode())

    return write_atomically(Path(path), write)


def _sections(program: Program) -> Iterator[list[str]]:
    columns, rows = program.column_names(), program.row_names()
    kinds = _row_kinds(program)
    name = "_".join(program.name.split()) or "program"
    # FREE is for CBC, which otherwise guesses the format and may guess wrong at a bound without a value.
    yield [f"NAME {name} FREE", "ROWS", f" N {_OBJECTIVE}"]
    yield [f" {kind} {row}" for kind, row in zip(kinds.tolist(), rows, strict=True)] or ["*"]
    yield ["COLUMNS"]
    yield from _column_section(program, columns, [_OBJECTIVE, *rows])
    yield _rhs_section(program, rows, kinds)
    yield _range_section(program, rows)
    yield _bound_section(program, columns)
    yield ["ENDATA"]


def _row_kinds(program: Program) -> NDArray[np.str_]:
    has_lower, has_upper = np.isfinite(program.row_lower), np.isfinite(program.row_upper)
    equal = program.row_lower == program.row_upper
    return np.select([equal, has_upper, has_lower], ["E", "L", "G"], "N")


def _column_section(program: Program, columns: list[str], rows: list[str]) -> Iterator[list[str]]:
    # The costs are written even where they are zero, so that every column is named, in the program's order.
    n = program.n_columns
    costs = sparse.csr_array((program.costs, np.arange(n), [0, n]), shape=(1, n))
    matrix = sparse.vstack([costs, program.matrix]).tocsc()
    names = [f" {columns[j]} " for j in np.repeat(np.arange(n), np.diff(matrix.indptr)).tolist()]
    cells = zip(names, matrix.indices.tolist(), matrix.data.tolist(), strict=True)
    lines = [f"{name}{rows[i]} {value!r}" for name, i, value in cells]
    for first, last, integer in _runs(program):
        if integer:
            yield [f" M{first} 'MARKER' 'INTORG'"]
        yield lines[matrix.indptr[first] : matrix.indptr[last]]
        if integer:
            yield [f" M{last} 'MARKER' 'INTEND'"]


def _runs(program: Program) -> list[tuple[int, int, bool]]:
    """Return first column, end and integrality of each run of columns of one type."""
    mask = program.integrality
    edges = [0, *(np.flatnonzero(mask[1:] != mask[:-1]) + 1).tolist(), mask.size]
    return [(first, last, bool(mask[first])) for first, last in itertools.pairwise(edges) if first < last]


def _rhs_section(program: Program, rows: list[str], kinds: NDArray[np.str_]) -> list[str]:
    # By convention the right-hand side of the objective row is minus the constant.
    lines = ["RHS"]
    if program.offset:
        lines.append(f" RHS {_OBJECTIVE} {-program.offset!r}")
    values = np.select([kinds == "N", kinds == "G"], [0.0, program.row_lower], program.row_upper)
    return lines + [f" RHS {rows[i]} {value!r}" for i, value in _nonzero(values)]


def _range_section(program: Program, rows: list[str]) -> list[str]:
    two_sided = np.isfinite(program.row_lower) & np.isfinite(program.row_upper)
    with np.errstate(invalid="ignore"):
        widths = np.where(two_sided, program.row_upper - program.row_lower, 0.0)
    return ["RANGES"] + [f" RNG {rows[i]} {value!r}" for i, value in _nonzero(widths)]


def _nonzero(values: FloatArray) -> Iterator[tuple[int, float]]:
    where = np.flatnonzero(values)
    return zip(where.tolist(), values[where].tolist(), strict=True)


def _bound_section(program: Program, columns: list[str]) -> list[str]:
    lines = ["BOUNDS"]
    bounds = zip(columns, program.col_lower.tolist(), program.col_upper.tolist(), program.integrality, strict=True)
    for name, lower, upper, integer in bounds:
        lines += [f" {kind} BND {name}{value}" for kind, value in _bounds(lower, upper, bool(integer))]
    return lines


def _bounds(lower: float, upper: float, integer: bool) -> list[tuple[str, str]]:
    """Return the bound lines of a column: always all of them, because readers differ on what a missing one means."""
    if lower == upper:
        return [("FX", f" {lower!r}")]
    if lower == -np.inf and upper == np.inf:
        return [("FR", "")]
    if lower == 0.0 and upper == np.inf and not integer:
        return []
    first = ("MI", "") if lower == -np.inf else ("LO", f" {lower!r}")
    second = ("PL", "") if upper == np.inf else ("UP", f" {upper!r}")
    return [first, second]


def to_docplex(program: Program) -> docplex.mp.model.Model:
    """Return a program as a docplex model.

    Parameters
    ----------
    program : Program
        What to translate.

    Returns
    -------
    docplex.mp.model.Model
        With variables and constraints named and ordered as the program's columns and rows, and its start as a MIP
        start. Rows without any bound are left out.

    Raises
    ------
    SolverNotAvailable
        If docplex is not installed.
    """
    _require("docplex", "docplex")
    from docplex.mp.advmodel import AdvModel
    from docplex.mp.constants import WriteLevel

    # The matrix calls take a quarter of the time of sums over expressions; only `AdvModel` has them.
    model = AdvModel(name=program.name)
    variables = _docplex_variables(model, program)
    rows, kinds = _docplex_rows(model, program, variables), _row_kinds(program)
    for row, name, kind in zip(rows, program.row_names(), kinds.tolist(), strict=True):
        # Not in one block: docplex takes no rows with two bounds there.
        if kind != "N":
            model.add(row, name)
    model.minimize(model.scal_prod(variables, program.costs.tolist()) + program.offset)
    if program.start is not None and program.is_mip:
        point = dict(zip(variables, program.start.tolist(), strict=True))
        # By default docplex drops the continuous variables, and zeros in any case that is not complete.
        model.add_mip_start(model.new_solution(point), write_level=WriteLevel.AllVars, complete_vars=True)
    return model


def _docplex_variables(model: Any, program: Program) -> list[Any]:
    infinity = model.infinity
    lower = np.maximum(program.col_lower, -infinity).tolist()
    upper = np.minimum(program.col_upper, infinity).tolist()
    names = program.column_names()
    variables: list[Any] = []
    for first, last, integer in _runs(program):
        make = model.integer_var_list if integer else model.continuous_var_list
        run = slice(first, last)
        variables += make(last - first, lb=lower[run], ub=upper[run], name=names[run])
    return variables


def _docplex_rows(model: Any, program: Program, variables: list[Any]) -> list[Any]:
    lower, upper = program.row_lower, program.row_upper
    kinds = _row_kinds(program)
    two_sided = (kinds == "L") & np.isfinite(lower)
    rows: list[Any] = [None] * program.n_rows
    for kind, sense in (("E", "eq"), ("L", "le"), ("G", "ge")):
        which = np.flatnonzero((kinds == kind) & ~two_sided)
        if which.size:
            sides = (lower if kind == "G" else upper)[which]
            made = model.matrix_constraints(program.matrix[which].tocoo(), variables, sides, sense)
            _place(rows, which, made)
    which = np.flatnonzero(two_sided)
    if which.size:
        _place(rows, which, model.matrix_ranges(program.matrix[which].tocoo(), variables, lower[which], upper[which]))
    return rows


def _place(rows: list[Any], which: NDArray[np.intp], made: list[Any]) -> None:
    for i, row in zip(which.tolist(), made, strict=True):
        rows[i] = row


def to_pulp(program: Program) -> pulp.LpProblem:
    """Return a program as a PuLP problem.

    Parameters
    ----------
    program : Program
        What to translate.

    Returns
    -------
    pulp.LpProblem
        With variables named as the program's columns, which hold the start if there is one. A row with two different
        bounds becomes two constraints, the second with ``_lower`` behind its name; rows without any are left out.

    Raises
    ------
    SolverNotAvailable
        If PuLP is not installed.
    """
    _require("pulp", "'pulp<4'")
    import pulp

    problem = pulp.LpProblem("_".join(program.name.split()) or "program", pulp.LpMinimize)
    variables = _pulp_variables(problem, program)
    costs = zip(variables, program.costs.tolist(), strict=True)
    problem += pulp.LpAffineExpression(list(costs), constant=program.offset)
    matrix = program.matrix
    starts, indices, values = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    bounds = zip(program.row_names(), program.row_lower.tolist(), program.row_upper.tolist(), strict=True)
    for i, (name, lower, upper) in enumerate(bounds):
        cells = range(starts[i], starts[i + 1])
        row = pulp.LpAffineExpression([(variables[indices[k]], values[k]) for k in cells])
        _add_pulp_row(problem, row, name, lower, upper)
    return problem


def _pulp_variables(problem: Any, program: Program) -> list[Any]:
    import pulp

    # Newer versions let the problem make its variables, and older ones only the class.
    make = getattr(problem, "add_variable", pulp.LpVariable)
    bounds = zip(program.column_names(), program.col_lower.tolist(), program.col_upper.tolist(), strict=True)
    variables = [
        make(
            name,
            lower if np.isfinite(lower) else None,
            upper if np.isfinite(upper) else None,
            pulp.LpInteger if integer else pulp.LpContinuous,
        )
        for (name, lower, upper), integer in zip(bounds, program.integrality.tolist(), strict=True)
    ]
    if program.start is not None:
        for variable, value in zip(variables, program.start.tolist(), strict=True):
            variable.varValue = value
    return variables


def _add_pulp_row(problem: Any, row: Any, name: str, lower: float, upper: float) -> None:
    if lower == upper:
        problem += row == upper, name
        return
    if np.isfinite(upper):
        problem += row <= upper, name
    if np.isfinite(lower):
        problem += row >= lower, f"{name}_lower" if np.isfinite(upper) else name


def _require(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise SolverNotAvailable(f"{module} is not installed; `pip install {package}` brings it")
