"""The written programs have the optimum of the original, in every reader."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layermilp.export import write_lp, write_mps
from layermilp.program import Program
from layermilp.solvers import solve
from tests.conformance.problems import Problem, knapsack
from tests.export.readers import INF, READERS, WITH_COLUMNS, highs_reads

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
    model = highs_reads(write_mps(program, path)).getLp()
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
    model = highs_reads(write_lp(program, path)).getLp()
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
