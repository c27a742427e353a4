"""The written and translated programs have the optimum of the original."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE
from scipy import sparse

from layermilp.errors import OutputError, SolverNotAvailable
from layermilp.export import to_docplex, to_pulp, write_lp, write_mps
from layermilp.program import Program
from layermilp.solvers import SOLVERS, cbc, solve

sys.path.insert(0, str(Path(__file__).parent))
from conformance.problems import SOLVABLE, Problem, box, knapsack, market_slack, missing

INF = np.inf
WITH_COLUMNS = [problem for problem in SOLVABLE if problem.program.n_columns]


def _package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"the package {name} is not installed")


def _highs_reads(path: Path) -> Any:
    highs = _package("highspy").Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == _package("highspy").HighsStatus.kOk
    return highs


def _highs_solves(path: Path) -> float:
    highs = _highs_reads(path)
    highs.run()
    return float(highs.getInfo().objective_function_value)


def _cplex_solves(path: Path) -> float:
    with _package("cplex").Cplex() as problem:
        for switch_off in (
            problem.set_log_stream,
            problem.set_results_stream,
            problem.set_warning_stream,
        ):
            switch_off(None)
        problem.read(str(path))
        problem.solve()
        return float(problem.solution.get_objective_value())


def _gurobi_solves(path: Path) -> float:
    why = missing("gurobi")
    if why is not None:
        pytest.skip(why)
    gurobipy = _package("gurobipy")
    with (
        gurobipy.Env(params={"OutputFlag": 0}) as environment,
        gurobipy.read(str(path), environment) as model,
    ):
        model.optimize()
        return float(model.ObjVal)


def _cbc_solves(path: Path) -> float:
    if not SOLVERS["cbc"].is_available():
        pytest.skip("CBC is not installed: needs pulp<4")
    words = [
        cbc._executable(),
        str(path),
        "-solve",
        "-solution",
        str(path.with_suffix(".txt")),
        "-quit",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "ERROR" not in done.stdout, done.stdout
    # Not the value at the end of its output, which presolve may leave wrong.
    first = path.with_suffix(".txt").read_text().partition("\n")[0]
    assert first.startswith("Optimal"), first
    return float(first.split()[-1])


READERS: dict[str, Callable[[Path], float]] = {
    "highs": _highs_solves,
    "cplex": _cplex_solves,
    "cbc": _cbc_solves,
    "gurobi": _gurobi_solves,
}

WRITERS = {"mps": write_mps, "lp": write_lp}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_every_reader_finds_the_optimum(
    problem: Problem, reader: str, suffix: str, tmp_path: Path
) -> None:
    path = WRITERS[suffix](problem.program, tmp_path / f"program.{suffix}")
    assert READERS[reader](path) == pytest.approx(problem.objective, abs=1e-6)


@pytest.mark.parametrize("problem", WITH_COLUMNS, ids=repr)
def test_highs_reads_the_arrays(problem: Problem, tmp_path: Path) -> None:
    _assert_mps_is(problem.program, tmp_path / "program.mps")
    _assert_lp_is(problem.program, tmp_path / "program.lp")


def _assert_mps_is(program: Program, path: Path) -> None:
    model = _highs_reads(write_mps(program, path)).getLp()
    kept = np.isfinite(program.row_lower) | np.isfinite(program.row_upper)
    _assert_columns(model, program, program.column_names())
    # The second bound of a row is stated by the difference.
    np.testing.assert_allclose(
        model.row_lower_, program.row_lower[kept], rtol=1e-15, atol=1e-15 * _largest(program)
    )
    np.testing.assert_array_equal(model.row_upper_, program.row_upper[kept])
    np.testing.assert_array_equal(_dense(model), program.matrix.toarray()[kept])
    assert model.offset_ == program.offset


def _largest(program: Program) -> float:
    sides = np.concatenate([program.row_lower, program.row_upper])
    return float(np.abs(sides[np.isfinite(sides)]).max(initial=0.0))


def _assert_lp_is(program: Program, path: Path) -> None:
    """Rows with two bounds are two, and the constant is a fixed column."""
    model = _highs_reads(write_lp(program, path)).getLp()
    parts = []
    for i, (lower, upper) in enumerate(zip(program.row_lower, program.row_upper, strict=True)):
        ends = (
            [(lower, upper)]
            if lower == upper
            else [(-INF, upper)] * bool(upper < INF) + [(lower, INF)] * bool(lower > -INF)
        )
        parts += [(i, *end) for end in ends]
    rows, lowers, uppers = ([part[k] for part in parts] for k in range(3))
    fixed = [1.0] if program.offset else []
    expected = replace(
        program,
        costs=np.r_[program.costs, [program.offset] if program.offset else []],
        matrix=sparse.hstack(
            [program.matrix, sparse.csr_array((program.n_rows, len(fixed)))]
        ).tocsr()[np.array(rows, int)],
        row_lower=np.array(lowers),
        row_upper=np.array(uppers),
        col_lower=np.r_[program.col_lower, fixed],
        col_upper=np.r_[program.col_upper, fixed],
        integrality=np.r_[program.integrality, np.zeros(len(fixed), bool)],
        start=None,
        column_groups=(),
    )
    _assert_columns(model, expected, program.column_names() + ["constant"] * len(fixed))
    np.testing.assert_array_equal(model.row_lower_, expected.row_lower)
    np.testing.assert_array_equal(model.row_upper_, expected.row_upper)
    np.testing.assert_array_equal(_dense(model), expected.matrix.toarray())
    assert max(map(len, path.read_text().splitlines())) <= 255


def _assert_columns(model: Any, program: Program, names: list[str]) -> None:
    np.testing.assert_array_equal(model.col_lower_, program.col_lower)
    np.testing.assert_array_equal(model.col_upper_, program.col_upper)
    np.testing.assert_array_equal(model.col_cost_, program.costs)
    integers = [int(kind) for kind in model.integrality_] or [0] * program.n_columns
    np.testing.assert_array_equal(integers, program.integrality)
    assert list(model.col_names_) == names


def _dense(model: Any) -> np.ndarray:
    a, shape = model.a_matrix_, (model.num_row_, model.num_col_)
    return np.asarray(sparse.csc_array((a.value_, a.index_, a.start_), shape=shape).toarray())


# HiGHS takes smaller entries for nothing, and larger values for infinite.
NUMBERS = st.one_of(
    st.just(0.0), st.floats(1e-8, 1e8), st.floats(-1e8, -1e-8), st.integers(-3, 3).map(float)
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw programs of every kind of rows and columns, mostly without a solution."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(0, 4))

    def numbers(size: int) -> np.ndarray:
        return np.array(draw(st.lists(NUMBERS, min_size=size, max_size=size)))

    def ends(size: int) -> tuple[np.ndarray, np.ndarray]:
        kinds = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), dtype=int)
        one, two = numbers(size), numbers(size)
        lower, upper = np.minimum(one, two), np.maximum(one, two)
        upper = np.where(kinds == 0, lower, upper)
        return np.where((kinds == 1) | (kinds == 2), -INF, lower), np.where(
            (kinds == 1) | (kinds == 3), INF, upper
        )

    integrality = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    matrix = numbers(m * n).reshape(m, n)
    return Program(numbers(n), matrix, *ends(m), *ends(n), integrality, draw(NUMBERS))


@settings(max_examples=150, deadline=None)
@given(programs())
def test_highs_reads_the_arrays_of_any_program(program: Program) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _assert_mps_is(program, Path(folder, "program.mps"))
        _assert_lp_is(program, Path(folder, "program.lp"))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_program_with_nodes_has_its_optimum_everywhere(
    reader: str, suffix: str, tmp_path: Path
) -> None:
    program = knapsack()
    path = WRITERS[suffix](program, tmp_path / f"program.{suffix}")
    assert READERS[reader](path) == pytest.approx(solve(program, "highs").objective, rel=1e-4)


MISLEADING = (
    "E",
    "e5",
    "1",
    ".5",
    "inf",
    "Infinity",
    "nan",
    "free",
    "st",
    "end",
    "bounds",
    "x-y",
    "a b",
    "s^2",
    "ä",
    "x" * 99,
)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("group", MISLEADING)
def test_names_that_an_lp_file_would_misread_are_changed(
    group: str, reader: str, tmp_path: Path
) -> None:
    problem = WITH_COLUMNS[1]
    program = replace(problem.program, column_groups=((group, 1), (f"_{group}", 1)))
    assert READERS[reader](write_lp(program, tmp_path / "program.lp")) == pytest.approx(
        problem.objective, abs=1e-6
    )


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
    _assert_mps_is(program, tmp_path / "program.mps")
    _assert_lp_is(program, tmp_path / "program.lp")


def test_mps_file_in_full(tmp_path: Path) -> None:
    program = box(
        "a name",
        [1, 0, -1],
        [
            ([1, 2, 0], 3, 8),
            ([0, 1, 1], 2, 2),
            ([1, 0, 0], -4, INF),
            ([0, 0, 1], -INF, 5),
            ([1, 1, 1], -INF, INF),
        ],
        [(-INF, INF), (0, INF), (-INF, 2)],
        integers=[1],
        offset=10,
    )
    assert write_mps(program, tmp_path / "p.mps").read_text().splitlines() == [
        *("NAME a_name FREE", "ROWS", " N cost", " L r_0", " E r_1", " G r_2", " L r_3", " N r_4"),
        *("COLUMNS", " x_0 cost 1.0", " x_0 r_0 1.0", " x_0 r_2 1.0", " x_0 r_4 1.0"),
        *(" M1 'MARKER' 'INTORG'", " x_1 cost 0.0", " x_1 r_0 2.0", " x_1 r_1 1.0", " x_1 r_4 1.0"),
        *(
            " M2 'MARKER' 'INTEND'",
            " x_2 cost -1.0",
            " x_2 r_1 1.0",
            " x_2 r_3 1.0",
            " x_2 r_4 1.0",
        ),
        *(
            "RHS",
            " RHS cost -10.0",
            " RHS r_0 8.0",
            " RHS r_1 2.0",
            " RHS r_2 -4.0",
            " RHS r_3 5.0",
        ),
        *("RANGES", " RNG r_0 5.0"),
        *(
            "BOUNDS",
            " FR BND x_0",
            " LO BND x_1 0.0",
            " PL BND x_1",
            " MI BND x_2",
            " UP BND x_2 2.0",
            "ENDATA",
        ),
    ]


def test_lp_file_in_full(tmp_path: Path) -> None:
    program = box(
        "a\nname",
        [1, 0, -1, 0.1],
        [
            ([1, 2, 0, 1e-7], 3, 8),
            ([0, 1, 1, 0], 2, 2),
            ([-1, 0, 0, 0], -4, INF),
            ([0, 0, 0, 0], -INF, 5),
            ([1, 1, 1, 1], -INF, INF),
        ],
        [(-INF, INF), (0, INF), (-INF, 2), (3, 3)],
        integers=[1],
        offset=-10,
    )
    assert write_lp(program, tmp_path / "p.lp").read_text().splitlines() == [
        *(
            "\\ a name",
            "Minimize",
            " cost: + 1.0 x_0 + 0.0 x_1 - 1.0 x_2",
            " + 0.1 x_3 - 10.0 constant",
        ),
        *("Subject To", " r_0: + 1.0 x_0 + 2.0 x_1 + 1e-07 x_3", " <= 8.0"),
        *(
            " r_0_lower: + 1.0 x_0 + 2.0 x_1 + 1e-07 x_3",
            " >= 3.0",
            " r_1: + 1.0 x_1 + 1.0 x_2",
            " = 2.0",
        ),
        *(" r_2: - 1.0 x_0", " >= -4.0", " r_3: + 0.0 x_0", " <= 5.0"),
        *(
            "Bounds",
            " x_0 free",
            " 0.0 <= x_1 <= inf",
            " -inf <= x_2 <= 2.0",
            " x_3 = 3.0",
            " constant = 1",
        ),
        *("General", " x_1", "End"),
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
