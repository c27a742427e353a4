"""The written and translated programs have the optimum of the original."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layermilp.errors import OutputError, SolverNotAvailable
from layermilp.export import to_docplex, to_pulp, write_mps
from layermilp.program import Program
from layermilp.solvers import SOLVERS

sys.path.insert(0, str(Path(__file__).parent))
from conformance.problems import SOLVABLE, Problem, box, knapsack, market_slack

INF = np.inf
WITH_COLUMNS = [problem for problem in SOLVABLE if problem.program.n_columns]


def _package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"the package {name} is not installed")


def _highs_reads(path: Path) -> tuple[float, Any]:
    highs = _package("highspy").Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == _package("highspy").HighsStatus.kOk
    highs.run()
    return float(highs.getInfo().objective_function_value), highs.getLp()


def _cplex_reads(path: Path) -> float:
    with _package("cplex").Cplex() as problem:
        for switch_off in (problem.set_log_stream, problem.set_results_stream, problem.set_warning_stream):
            switch_off(None)
        problem.read(str(path))
        problem.solve()
        return float(problem.solution.get_objective_value())


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_highs_reads_the_mps_file(problem: Problem, tmp_path: Path) -> None:
    objective, model = _highs_reads(write_mps(problem.program, tmp_path / "program.mps"))
    assert objective == pytest.approx(problem.objective, abs=1e-6)
    np.testing.assert_array_equal(model.col_lower_, problem.program.col_lower)
    np.testing.assert_array_equal(model.col_upper_, problem.program.col_upper)
    np.testing.assert_array_equal(model.col_cost_, problem.program.costs)
    assert list(model.col_names_) == problem.program.column_names()


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_cplex_reads_the_mps_file(problem: Problem, tmp_path: Path) -> None:
    path = write_mps(problem.program, tmp_path / "program.mps")
    assert _cplex_reads(path) == pytest.approx(problem.objective, abs=1e-6)


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_docplex_model_has_the_same_optimum(problem: Problem) -> None:
    _package("docplex")
    _package("cplex")
    model = to_docplex(problem.program)
    solution = model.solve()
    assert solution is not None
    assert solution.objective_value == pytest.approx(problem.objective, abs=1e-6)
    assert [variable.name for variable in model.iter_variables()] == problem.program.column_names()
    model.end()


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_pulp_problem_has_the_same_optimum(problem: Problem) -> None:
    pulp = _package("pulp")
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
    _package("docplex")
    model = to_docplex(program)
    assert model.number_of_mip_starts == 1
    first = next(iter(model.iter_mip_starts()))[0]
    np.testing.assert_allclose(first.get_values(list(model.iter_variables())), program.start)
    model.end()
    _package("pulp")
    values = {variable.name: variable.value() for variable in to_pulp(program).variables()}
    assert [values[name] for name in program.column_names()] == program.start.tolist()


def test_methods_of_program_do_the_same(tmp_path: Path) -> None:
    program = knapsack()
    assert program.write_mps(tmp_path / "a.mps").read_text() == write_mps(program, tmp_path / "b.mps").read_text()
    _package("docplex")
    assert program.to_docplex().number_of_variables == 25
    _package("pulp")
    assert len(program.to_pulp().variables()) == 25


def test_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shape = (7, 5)
    program = Program(
        random.standard_normal(5) * 10.0 ** random.integers(-9, 9, 5),
        random.standard_normal(shape) * 10.0 ** random.integers(-9, 9, shape),
        np.full(7, -INF),
        random.random(7),
        -random.random(5),
        random.random(5),
        offset=np.pi,
    )
    _, model = _highs_reads(write_mps(program, tmp_path / "program.mps"))
    np.testing.assert_array_equal(model.col_cost_, program.costs)
    np.testing.assert_array_equal(model.col_lower_, program.col_lower)
    np.testing.assert_array_equal(model.row_upper_, program.row_upper)
    np.testing.assert_array_equal(model.a_matrix_.value_, program.matrix.tocsc().data)
    assert model.offset_ == program.offset


def test_mps_file_in_full(tmp_path: Path) -> None:
    program = box(
        "a name",
        [1, 0, -1],
        [([1, 2, 0], 3, 8), ([0, 1, 1], 2, 2), ([1, 0, 0], -4, INF), ([0, 0, 1], -INF, 5), ([1, 1, 1], -INF, INF)],
        [(-INF, INF), (0, INF), (-INF, 2)],
        integers=[1],
        offset=10,
    )
    assert write_mps(program, tmp_path / "p.mps").read_text().splitlines() == [
        *("NAME a_name FREE", "ROWS", " N cost", " L r_0", " E r_1", " G r_2", " L r_3", " N r_4"),
        *("COLUMNS", " x_0 cost 1.0", " x_0 r_0 1.0", " x_0 r_2 1.0", " x_0 r_4 1.0"),
        *(" M1 'MARKER' 'INTORG'", " x_1 cost 0.0", " x_1 r_0 2.0", " x_1 r_1 1.0", " x_1 r_4 1.0"),
        *(" M2 'MARKER' 'INTEND'", " x_2 cost -1.0", " x_2 r_1 1.0", " x_2 r_3 1.0", " x_2 r_4 1.0"),
        *("RHS", " RHS cost -10.0", " RHS r_0 8.0", " RHS r_1 2.0", " RHS r_2 -4.0", " RHS r_3 5.0"),
        *("RANGES", " RNG r_0 5.0"),
        *("BOUNDS", " FR BND x_0", " LO BND x_1 0.0", " PL BND x_1", " MI BND x_2", " UP BND x_2 2.0", "ENDATA"),
    ]


def test_mps_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program.mps"
    path.write_text("old")

    def fail(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_mps(knapsack(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_mps_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        write_mps(knapsack(), tmp_path / "missing" / "program.mps")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SolverNotAvailable, match="pip install docplex"):
        to_docplex(knapsack())
    with pytest.raises(SolverNotAvailable, match="pip install 'pulp<4'"):
        to_pulp(knapsack())
