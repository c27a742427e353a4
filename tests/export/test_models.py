"""Models of docplex and PuLP."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from layermilp.errors import SolverNotAvailable
from layermilp.export import to_docplex, to_pulp
from layermilp.solvers import SOLVERS
from tests.conformance.problems import Problem, knapsack, market_slack
from tests.export.readers import WITH_COLUMNS, package_of


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_docplex_model_has_the_same_optimum(problem: Problem) -> None:
    package_of("docplex")
    package_of("cplex")
    model = to_docplex(problem.program)
    solution = model.solve()
    assert solution is not None
    assert solution.objective_value == pytest.approx(problem.objective, abs=1e-6)
    assert [variable.name for variable in model.iter_variables()] == problem.program.column_names()
    model.end()


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_pulp_problem_has_the_same_optimum(problem: Problem) -> None:
    pulp = package_of("pulp")
    if not SOLVERS["cbc"].is_available():
        pytest.skip("CBC is not installed: needs pulp<4")
    translated = to_pulp(problem.program)
    from layermilp.solvers.cbc import _executable

    assert translated.solve(pulp.COIN_CMD(path=_executable(), msg=False)) == pulp.LpStatusOptimal
    assert (pulp.value(translated.objective) or 0.0) == pytest.approx(problem.objective, abs=1e-5)
    names = {variable.name for variable in translated.variables()}
    assert names <= set(problem.program.column_names())


def test_starts_are_translated() -> None:
    program = market_slack()
    assert program.start is not None
    package_of("docplex")
    model = to_docplex(program)
    assert model.number_of_mip_starts == 1
    first = next(iter(model.iter_mip_starts()))[0]
    np.testing.assert_allclose(first.get_values(list(model.iter_variables())), program.start)
    model.end()
    package_of("pulp")
    values = {variable.name: variable.value() for variable in to_pulp(program).variables()}
    assert [values[name] for name in program.column_names()] == program.start.tolist()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SolverNotAvailable, match="pip install docplex"):
        to_docplex(knapsack())
    with pytest.raises(SolverNotAvailable, match="pip install 'pulp<4'"):
        to_pulp(knapsack())
