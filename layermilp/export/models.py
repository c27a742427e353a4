"""A program as a docplex model or a PuLP problem."""

from __future__ import annotations

import importlib.util
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from layermilp.errors import SolverNotAvailable
from layermilp.export.parts import columns, name_in_one_word, one_sided_rows
from layermilp.program import Program

if TYPE_CHECKING:
    import docplex.mp.model
    import pulp


def to_docplex(program: Program) -> docplex.mp.model.Model:
    """Return a program as a docplex model.

    Variables and constraints are named and ordered as the program's columns and rows; its start is
    a MIP start. Rows without any bound are left out.

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
    infinity = model.infinity
    variables = [
        (model.integer_var if integer else model.continuous_var)(
            max(lower, -infinity), min(upper, infinity), name
        )
        for name, lower, upper, integer in columns(program)
    ]
    rows = _docplex_rows(model, program, variables)
    for row, name in zip(rows, program.row_names(), strict=True):
        # Not in one block: docplex takes no rows with two bounds there.
        if row is not None:
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


def _docplex_rows(model: Any, program: Program, variables: list[Any]) -> list[Any]:
    """Return a constraint for each row, None for one without bounds."""
    lower, upper, kinds = program.row_lower, program.row_upper, program.row_kinds()
    rows: list[Any] = [None] * program.n_rows
    senses = {"E": "eq", "L": "le", "G": "ge"}
    for kind in ("E", "L", "G", "R"):
        which = np.flatnonzero(kinds == kind)
        if not which.size:
            continue
        matrix = program.matrix[which].tocoo()
        if kind == "R":
            made = model.matrix_ranges(matrix, variables, lower[which], upper[which])
        else:
            sides = (lower if kind == "G" else upper)[which]
            made = model.matrix_constraints(matrix, variables, sides, senses[kind])
        for i, row in zip(which.tolist(), made, strict=True):
            rows[i] = row
    return rows


def to_pulp(program: Program) -> pulp.LpProblem:
    """Return a program as a PuLP problem.

    Variables are named as the program's columns, and hold the start if there is one. A row with two
    different bounds becomes two constraints, the second with ``_lower`` behind its name; rows
    without any are left out.

    Raises
    ------
    SolverNotAvailable
        If PuLP is not installed.
    """
    _require("pulp", "'pulp<4'")
    import pulp

    problem = pulp.LpProblem(name_in_one_word(program), pulp.LpMinimize)
    variables = _pulp_variables(problem, program)
    costs = zip(variables, program.costs.tolist(), strict=True)
    problem += pulp.LpAffineExpression(list(costs), constant=program.offset)
    compare = {"=": operator.eq, "<=": operator.le, ">=": operator.ge}
    for name, comparison, side, row, values in one_sided_rows(program):
        terms = [(variables[j], value) for j, value in zip(row, values, strict=True)]
        problem += compare[comparison](pulp.LpAffineExpression(terms), side), name
    return problem


def _pulp_variables(problem: Any, program: Program) -> list[Any]:
    import pulp

    # Newer versions let the problem make its variables, and older ones only the class.
    make = getattr(problem, "add_variable", pulp.LpVariable)
    variables = [
        make(
            name,
            lower if np.isfinite(lower) else None,
            upper if np.isfinite(upper) else None,
            pulp.LpInteger if integer else pulp.LpContinuous,
        )
        for name, lower, upper, integer in columns(program)
    ]
    if program.start is not None:
        for variable, value in zip(variables, program.start.tolist(), strict=True):
            variable.varValue = value
    return variables


def _require(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise SolverNotAvailable(f"{module} is not installed; `pip install {package}` brings it")
