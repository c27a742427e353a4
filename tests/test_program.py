"""The program's validation, its variants, and the check of a point."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layermilp.errors import ProgramError
from layermilp.program import Check, Program, Result, Status, check, relative_gap
from tests.conformance.problems import knapsack, market_slack

INF = np.inf


def _parts(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "costs": [1.0, 2.0],
        "matrix": [[1.0, 1.0]],
        "row_lower": [1.0],
        "row_upper": [INF],
        "col_lower": [0.0, -INF],
        "col_upper": [1.0, INF],
    }
    return {**parts, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"costs": [1.0]}, "2 columns"),
        ({"costs": [[1.0, 2.0]]}, "costs has shape"),
        ({"costs": [1.0, math.nan]}, "costs holds NaN at position 1"),
        ({"costs": [1.0, INF]}, "a cost is inf"),
        ({"matrix": [[1.0, math.nan]]}, "coefficient is nan"),
        ({"matrix": [[1.0, -INF]]}, "coefficient is -inf"),
        ({"row_lower": [1.0, 2.0]}, "row_lower has shape"),
        ({"row_lower": [math.nan]}, "row_lower holds NaN"),
        ({"row_lower": [2.0], "row_upper": [1.0]}, "row 0 has lower bound 2.0 and upper bound 1.0"),
        ({"row_lower": [INF]}, "row 0"),
        ({"col_lower": [2.0, 0.0]}, "column 0 has lower bound 2.0 and upper bound 1.0"),
        ({"col_upper": [1.0, -INF]}, "column 1"),
        ({"integrality": [True]}, "integrality has shape"),
        ({"offset": math.nan}, "offset is nan"),
        ({"offset": INF}, "offset is inf"),
        ({"start": [1.0]}, "start has shape"),
        ({"start": [1.0, INF]}, "start holds NaN or infinite"),
        ({"column_groups": (("w", 3),)}, "column_groups"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProgramError, match=words.replace("(", r"\(")):
        Program(**_parts(**changes))


def test_arrays_are_brought_into_one_form() -> None:
    program = Program(**_parts(integrality=[0, 1]))
    assert program.matrix.indices.dtype == program.matrix.indptr.dtype == np.int32
    assert program.matrix.data.dtype == program.costs.dtype == np.float64
    assert program.integrality.tolist() == [False, True]
    assert (program.n_rows, program.n_columns, program.is_mip) == (1, 2, True)
    assert not Program(**_parts()).is_mip


def test_names_follow_the_groups() -> None:
    assert Program(**_parts()).column_names() == ["x_0", "x_1"]
    grouped = Program(**_parts(column_groups=(("w", 1), ("z", 1))))
    assert grouped.column_names() == ["w_0", "z_0"]
    assert grouped.row_names() == ["r_0"]


def test_fixed_columns_are_no_longer_integer() -> None:
    program = knapsack()
    fixed = program.with_fixed([0, 3], [1.0, 0.0])
    assert fixed.col_lower[[0, 3]].tolist() == fixed.col_upper[[0, 3]].tolist() == [1.0, 0.0]
    assert fixed.integrality.sum() == 23
    assert program.integrality.all() and program.col_upper[3] == 1.0
    assert program.with_fixed((0, 3), 1.0).col_lower[:4].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert program.with_fixed([], []).integrality.all()
    by_mask = program.with_fixed(np.arange(25) < 2, [0.0, 1.0])
    assert by_mask.col_lower[:3].tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ProgramError):
        program.with_fixed([0], [math.nan])


def test_relaxation_keeps_everything_but_integrality() -> None:
    relaxed = market_slack().relaxed()
    assert not relaxed.is_mip
    assert relaxed.start is not None
    assert market_slack().is_mip


def test_program_survives_pickling() -> None:
    program = market_slack()
    assert program.is_mip
    copy = pickle.loads(pickle.dumps(program))
    np.testing.assert_array_equal(copy.costs, program.costs)
    assert (copy.matrix != program.matrix).nnz == 0
    assert copy.column_names() == program.column_names()


def test_check_measures_each_violation() -> None:
    program = Program(**_parts(integrality=[1, 0], offset=0.5))
    assert check(program, [1.0, 0.0]) == Check(1.5, 0.0, 0.0, 0.0)
    assert check(program, [0.75, 0.0]) == Check(1.25, 0.0, 0.25, 0.25)
    assert check(program, [3.0, 0.0]) == Check(3.5, 2.0, 0.0, 0.0)
    assert check(program, [-1.0, 5.0]).bounds == 1.0


def test_violations_are_relative_to_the_bound() -> None:
    one, infinite = np.ones(1), np.full(1, INF)
    program = Program(one, [[1.0]], 1000.0 * one, infinite, -infinite, infinite)
    assert check(program, [999.0]).rows == pytest.approx(1e-3)
    assert check(program, [1000.0 - 1e-4]).holds()
    assert not check(program, [1000.0 - 1e-2]).holds()


@pytest.mark.parametrize("point", [[math.nan, 0.0], [INF, 0.0], [1.0], [[1.0, 0.0]]])
def test_what_is_no_point_does_not_hold(point: Any) -> None:
    found = check(Program(**_parts()), point)
    assert math.isnan(found.objective)
    assert not found.holds()


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2))
def test_check_agrees_with_plain_arithmetic(point: list[float]) -> None:
    found = check(Program(**_parts()), point)
    assert found.bounds == pytest.approx(max(0.0, -point[0], point[0] - 1.0))
    assert found.rows == pytest.approx(max(0.0, 1.0 - point[0] - point[1]))


def test_relative_gap() -> None:
    assert relative_gap(10.0, 9.0) == pytest.approx(0.1)
    assert relative_gap(-10.0, -11.0) == pytest.approx(0.1)
    assert relative_gap(1.0, 2.0) == 0.0
    assert relative_gap(math.nan, 0.0) == relative_gap(1.0, -INF) == INF
    assert Result(Status.ERROR).gap == INF
