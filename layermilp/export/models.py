"""A program as a docplex model or a PuLP problem."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layermilp.errors import SolverNotAvailable
from layermilp.export.parts import row_kinds, runs
from layermilp.program import Program

if TYPE_CHECKING:
    import docplex.mp.model
    import pulp


def to_docplex(program: Program) -> docplex.mp.model.Model:
    """Return a program as a docplex model.

    Parameters
    ----------
    program : Program
        The program.

    Returns
    -------
    docplex.mp.model.Model
        With variables and constraints named and ordered as the program's columns and rows, and its
        start as a MIP start. Rows without any bound are left out.

    Raises
    ------
    SolverNotAvailable
        If docplex is not installed.
    """
    _require("docplex", "docplex")
    from docplex.mp.advmodel import AdvModel
    from docplex.mp.constants import WriteLevel

    # The matrix calls take a quarter of the time of sums over expressions; only `AdvModel` has
    # them.
    model = AdvModel(name=program.name)
    variables = _docplex_variables(model, program)
    rows, kinds = _docplex_rows(model, program, variables), row_kinds(program)
    for row, name, kind in zip(rows, program.row_names(), kinds.tolist(), strict=True):
        # Not in one block: docplex takes no rows with two bounds there.
        if kind != "N":
            model.add(row, name)
    model.minimize(model.scal_prod(variables, program.costs.tolist()) + program.offset)
    if program.start is not None and program.is_mip:
        point = dict(zip(variables, program.start.tolist(), strict=True))
        # By default docplex drops the continuous variables, and zeros in any case that is not
        # complete.
        model.add_mip_start(
            model.new_solution(point), write_level=WriteLevel.AllVars, complete_vars=True
        )
    return model


def _docplex_variables(model: Any, program: Program) -> list[Any]:
    infinity = model.infinity
    lower = np.maximum(program.col_lower, -infinity).tolist()
    upper = np.minimum(program.col_upper, infinity).tolist()
    names = program.column_names()
    variables: list[Any] = []
    for first, last, integer in runs(program):
        make = model.integer_var_list if integer else model.continuous_var_list
        run = slice(first, last)
        variables += make(last - first, lb=lower[run], ub=upper[run], name=names[run])
    return variables


def _docplex_rows(model: Any, program: Program, variables: list[Any]) -> list[Any]:
    lower, upper = program.row_lower, program.row_upper
    kinds = row_kinds(program)
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
        _place(
            rows,
            which,
            model.matrix_ranges(
                program.matrix[which].tocoo(), variables, lower[which], upper[which]
            ),
        )
    return rows


def _place(rows: list[Any], which: NDArray[np.intp], made: list[Any]) -> None:
    for i, row in zip(which.tolist(), made, strict=True):
        rows[i] = row


def to_pulp(program: Program) -> pulp.LpProblem:
    """Return a program as a PuLP problem.

    Parameters
    ----------
    program : Program
        The program.

    Returns
    -------
    pulp.LpProblem
        With variables named as the program's columns, which hold the start if there is one. A row
        with two different bounds becomes two constraints, the second with ``_lower`` behind its
        name; rows without any are left out.

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
    bounds = zip(
        program.row_names(), program.row_lower.tolist(), program.row_upper.tolist(), strict=True
    )
    for i, (name, lower, upper) in enumerate(bounds):
        cells = range(starts[i], starts[i + 1])
        row = pulp.LpAffineExpression([(variables[indices[k]], values[k]) for k in cells])
        _add_pulp_row(problem, row, name, lower, upper)
    return problem


def _pulp_variables(problem: Any, program: Program) -> list[Any]:
    import pulp

    # Newer versions let the problem make its variables, and older ones only the class.
    make = getattr(problem, "add_variable", pulp.LpVariable)
    bounds = zip(
        program.column_names(), program.col_lower.tolist(), program.col_upper.tolist(), strict=True
    )
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
