"""Every solver, the same problems. What a solver does otherwise is declared in the tables below,
not tolerated."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from layermilp import solvers
from layermilp.errors import OptionError
from layermilp.program import Limits, Program, Status, check
from layermilp.solvers import SOLVERS, Solver
from layermilp.solvers.base import Option
from layermilp.solvers.highs import silent_highs
from layermilp.solvers.warm_lp import WarmLp
from tests.common import PATIENCE, ROOT
from tests.conformance.problems import (
    SOLVABLE,
    UNSOLVABLE,
    Problem,
    box,
    knapsack,
    market_slack,
    market_split,
)

UNKNOWN_OPTION = {"cplex": "mip.nope", "highs": "nope", "cbc": "nope", "gurobi": "Nope"}
KNOWN_OPTION: dict[str, dict[str, Option]] = {
    "cplex": {"emphasis.mip": 1, "mip.strategy.probe": -1},
    "highs": {"presolve": "off", "mip_heuristic_effort": 0.1},
    "cbc": {"cuts": "off", "heur": True, "strong": 3},
    "gurobi": {"MIPFocus": 1, "Heuristics": 0.2},
}
REFUSED_VALUES: dict[str, list[tuple[str, Option]]] = {
    "cplex": [
        ("emphasis.mip", 99),
        ("emphasis.mip", 1.5),
        ("mip.tolerances.mipgap", "x"),
        ("threads", -1),
        ("mip", 1),
    ],
    "highs": [("presolve", "maybe"), ("mip_rel_gap", -1.0), ("threads", "x")],
    "cbc": [
        ("cuts", "maybe"),
        ("ratioGap", -1),
        ("ratioGap", "x"),
        ("strong", 2**40),
        ("solve", 1),
        ("cuts", "on -solve"),
    ],
    "gurobi": [
        ("MIPFocus", 99),
        ("MIPFocus", 1.5),
        ("MIPGap", "x"),
        ("MIPGap", -1),
        ("Threads", 2**40),
        ("LogFile", 1),
    ],
}
GAP_OPTION = {
    "cplex": "mip.tolerances.mipgap",
    "highs": "mip_rel_gap",
    "cbc": "ratioGap",
    "gurobi": "MIPGap",
}
# The presolve of most stops before it knows which of the two it is.
OTHER_STATUS = {
    ("cplex", "unbounded lp"): Status.INFEASIBLE_OR_UNBOUNDED,
    ("highs", "unbounded milp"): Status.INFEASIBLE_OR_UNBOUNDED,
    ("cplex", "ray milp"): Status.INFEASIBLE_OR_UNBOUNDED,
    # It looks at the relaxation only, which has a point.
    ("cbc", "ray milp"): Status.UNBOUNDED,
}
REFUSED_LIMITS: dict[str, list[tuple[str, Any]]] = {
    "cplex": [("gap", 3.0), ("time_limit", 1e200)],
    "highs": [],
    "cbc": [("threads", 100)],
    "gurobi": [],
}


@pytest.fixture
def solver(solver: str) -> Solver:
    """Return each solver."""
    return SOLVERS[solver]


@pytest.mark.parametrize("problem", SOLVABLE, ids=repr)
def test_finds_the_optimum(solver: Solver, problem: Problem) -> None:
    result = solver.solve(problem.program)
    assert result.status is Status.OPTIMAL, result
    assert result.solver == solver.name
    assert result.x is not None and problem.objective is not None
    scale = max(1.0, abs(problem.objective))
    assert abs(result.objective - problem.objective) <= 1e-6 * scale
    assert result.bound <= result.objective
    assert result.objective - result.bound <= 1e-6 * scale
    found = check(problem.program, result.x)
    assert found.holds()
    assert found.objective == pytest.approx(result.objective, abs=1e-12)


def test_solution_keeps_all_its_digits(solver: Solver) -> None:
    (problem,) = (problem for problem in SOLVABLE if problem.program.name == "full digits")
    result = solver.solve(problem.program)
    assert result.x is not None
    np.testing.assert_allclose(result.x, [1 / 9, np.pi - 1 / 27], rtol=1e-14)


@pytest.mark.parametrize("problem", UNSOLVABLE, ids=repr)
def test_says_why_there_is_no_optimum(solver: Solver, problem: Problem) -> None:
    result = solver.solve(problem.program)
    assert result.status is OTHER_STATUS.get((solver.name, repr(problem)), problem.status), result
    assert result.x is None
    assert math.isnan(result.objective)
    assert result.bound == -math.inf
    assert result.gap == math.inf


def test_all_solvers_agree_on_a_program_with_nodes(solver: Solver) -> None:
    expected = _reference(knapsack())
    result = solver.solve(knapsack())
    assert result.status is Status.OPTIMAL
    assert result.objective == pytest.approx(expected, rel=1e-6)
    assert result.gap <= 1e-6
    assert result.bound <= expected + 1e-9 * abs(expected)


def _reference(program: Program) -> float:
    """Return the optimum by a solver that layermilp does not use otherwise."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    answer = milp(
        program.costs,
        integrality=program.integrality.astype(int),
        bounds=Bounds(program.col_lower, program.col_upper),
        constraints=LinearConstraint(program.matrix, program.row_lower, program.row_upper),
        options={"mip_rel_gap": 0.0},
    )
    return float(answer.fun) + program.offset


def test_gap_counts_as_optimal_and_is_reported(solver: Solver) -> None:
    expected = _reference(knapsack())
    result = solver.solve(knapsack(), Limits(gap=0.2))
    assert result.status.is_optimal
    assert result.gap <= 0.2 + 1e-6
    assert result.bound <= expected + 1e-9
    assert (result.status is Status.OPTIMAL_WITHIN_GAP) == (result.gap > 1e-6)


def test_absolute_gap_is_kept(solver: Solver) -> None:
    result = solver.solve(knapsack(), Limits(absolute_gap=5.0))
    assert result.status.is_optimal
    assert result.objective - 5.0 - 1e-6 <= result.bound <= _reference(knapsack()) + 1e-9


def test_gap_by_own_option_is_not_called_proven(solver: Solver) -> None:
    expected = _reference(knapsack())
    result = solver.solve(knapsack(), options={GAP_OPTION[solver.name]: 0.5})
    assert result.bound <= expected + 1e-9
    assert result.status is (Status.OPTIMAL_WITHIN_GAP if result.gap > 1e-6 else Status.OPTIMAL)


def test_incumbent_at_time_limit_is_kept(solver: Solver) -> None:
    program = market_slack()
    assert program.start is not None
    result = solver.solve(program, Limits(time_limit=0.3))
    assert result.status is Status.FEASIBLE_AT_LIMIT
    assert result.x is not None and check(program, result.x).holds()
    assert result.objective <= check(program, program.start).objective + 1e-6
    assert result.bound <= 1e-6
    assert result.gap > 0.5


def test_no_incumbent_at_time_limit_is_no_solution(solver: Solver) -> None:
    result = solver.solve(market_split(), Limits(time_limit=0.3))
    assert result.status is Status.NO_SOLUTION_AT_LIMIT
    assert result.x is None and math.isnan(result.objective)
    assert result.bound <= 1e-6


@pytest.mark.parametrize(
    "limits", [Limits(node_limit=1), Limits(time_limit=0.01), Limits(time_limit=0.1)], ids=repr
)
def test_start_is_never_made_worse(solver: Solver, limits: Limits) -> None:
    best = solver.solve(market_slack(), Limits(node_limit=200))
    assert best.x is not None
    result = solver.solve(replace(market_slack(), start=best.x), limits)
    assert result.status is Status.FEASIBLE_AT_LIMIT
    assert result.objective <= best.objective + 1e-6


def test_slightly_infeasible_start_is_repaired(solver: Solver) -> None:
    best = solver.solve(market_slack(), Limits(node_limit=200))
    assert best.x is not None
    off = best.x + 1e-4 * np.random.default_rng(0).standard_normal(best.x.size)
    result = solver.solve(replace(market_slack(), start=off), Limits(node_limit=1))
    assert result.objective <= best.objective + 1e-6


@pytest.mark.parametrize("value", [-50.0, 0.4, 1e6])
def test_useless_start_does_no_harm(solver: Solver, value: float) -> None:
    program = replace(knapsack(), start=np.full(25, value))
    assert solver.solve(program).objective == pytest.approx(_reference(program), rel=1e-6)


def test_start_of_a_linear_program_does_no_harm(solver: Solver) -> None:
    program = replace(SOLVABLE[0].program, start=np.array([1.0, 1.0]))
    assert solver.solve(program).objective == pytest.approx(-36.0)


def test_node_limit_is_kept(solver: Solver) -> None:
    result = solver.solve(market_slack(), Limits(node_limit=20))
    assert result.status is Status.FEASIBLE_AT_LIMIT
    assert 0 < result.nodes <= 200


def test_stopped_linear_program_has_no_infeasible_point(solver: Solver) -> None:
    random = np.random.default_rng(0)
    n = 400
    program = Program(
        random.standard_normal(n),
        random.standard_normal((n, n)),
        np.ones(n),
        np.full(n, 2.0),
        np.full(n, -50.0),
        np.full(n, 50.0),
        name="dense",
    )
    result = solver.solve(program, Limits(time_limit=0.01))
    assert result.status in (
        Status.OPTIMAL,
        Status.FEASIBLE_AT_LIMIT,
        Status.NO_SOLUTION_AT_LIMIT,
    ), result
    assert result.x is None or check(program, result.x).holds()


def test_same_seed_same_answer(solver: Solver) -> None:
    first, second = (solver.solve(market_slack(), Limits(node_limit=50, seed=7)) for _ in range(2))
    assert first.x is not None and second.x is not None
    np.testing.assert_array_equal(first.x, second.x)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 2, 2**31 - 1])
def test_every_seed_is_taken(solver: Solver, seed: int) -> None:
    assert solver.solve(SOLVABLE[1].program, Limits(seed=seed)).objective == pytest.approx(-20.0)


def test_threads_may_change_within_a_process(solver: Solver) -> None:
    for threads in (1, 2, 1):
        result = solver.solve(knapsack(), Limits(threads=threads))
        assert result.status is Status.OPTIMAL
        assert result.objective == pytest.approx(_reference(knapsack()), rel=1e-6)


def test_programs_of_a_search_do_not_mind_other_threads_before() -> None:
    """HiGHS refuses another number of threads than the first one of a thread, whoever used it."""
    pytest.importorskip("highspy", reason="the package highspy is not installed")
    other, one = silent_highs(), np.ones(1)
    other.setOptionValue("threads", 2)
    other.addVars(1, one, one)
    other.run()
    answer = WarmLp(sparse.csr_array([[1.0, 1.0]])).solve(np.ones(2), one, np.zeros(2), np.ones(2))
    assert answer is not None and answer[0].sum() == 1.0


def test_unknown_option_is_named(solver: Solver) -> None:
    name = UNKNOWN_OPTION[solver.name]
    with pytest.raises(OptionError, match=name):
        solver.solve(knapsack(), options={name: 1})


@pytest.mark.parametrize("name", ["", "-", "_env", "a b", "__class__"])
def test_strange_option_names_are_refused(solver: Solver, name: str) -> None:
    with pytest.raises(OptionError):
        solver.solve(knapsack(), options={name: 1})


def test_refused_value_is_named(solver: Solver) -> None:
    for name, value in REFUSED_VALUES[solver.name]:
        with pytest.raises(OptionError, match=name.replace(".", r"\.")) as caught:
            solver.solve(knapsack(), options={name: value})
        assert name in ("mip", "solve") or str(value) in str(caught.value)


def test_known_options_are_taken(solver: Solver) -> None:
    result = solver.solve(knapsack(), options=KNOWN_OPTION[solver.name])
    assert result.objective == pytest.approx(_reference(knapsack()), rel=1e-6)


def test_limits_that_a_solver_refuses_are_named(solver: Solver) -> None:
    for name, value in REFUSED_LIMITS[solver.name]:
        with pytest.raises(OptionError, match=name):
            solver.solve(knapsack(), Limits(**{name: value}))


def test_is_silent(solver: Solver, capfd: pytest.CaptureFixture[str]) -> None:
    for program in (knapsack(), UNSOLVABLE[0].program, UNSOLVABLE[3].program):
        solver.solve(program)
    with pytest.raises(OptionError):
        solver.solve(knapsack(), options=dict(REFUSED_VALUES[solver.name][:1]))
    assert capfd.readouterr() == ("", "")


def test_version_is_told(solver: Solver) -> None:
    assert any(character.isdigit() for character in solver.version())


def test_works_in_threads(solver: Solver) -> None:
    objectives: list[float] = []
    expected = _reference(knapsack())

    def work() -> None:
        objectives.append(solver.solve(knapsack()).objective)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objectives == pytest.approx([expected] * 2, rel=1e-6)


_ENDLESS = """
import sys, tempfile
from layermilp.program import Limits
from layermilp.solvers import SOLVERS
sys.path.insert(0, {tests!r})
from tests.conformance.problems import SOLVABLE, market_slack
tempfile.tempdir = {folder!r}
SOLVERS[{name!r}].solve(SOLVABLE[0].program)
print("ready", flush=True)
try:
    SOLVERS[{name!r}].solve(market_slack(), Limits(time_limit={limit!r}))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows sends Ctrl-C to a whole console, not to one process"
)
def test_ctrl_c_reaches_the_caller(solver: Solver, tmp_path: Path) -> None:
    code = _ENDLESS.format(
        tests=str(ROOT),
        folder=str(tmp_path),
        name=solver.name,
        limit=10.0 * PATIENCE,
    )
    root = str(Path(solvers.__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(1.0)  # most likely it is in its solve by then; whenever it is, the same holds
        child.send_signal(signal.SIGINT)
        try:
            output = child.communicate(timeout=PATIENCE)[0]
        finally:
            child.kill()
    assert output == "interrupted\n"
    assert child.returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("integers", [[], [2, 3]], ids=["lp", "milp"])
def test_a_ray_is_no_proof_that_there_is_a_point(solver: Solver, integers: list[int]) -> None:
    """Costs fall along the first columns for ever, but no values of the others meet the second
    row."""
    upper = 5.0 if integers else 0.5
    rows = [([1, -1, 0, 0], -np.inf, 1), ([0, 0, 2, 2], 3, 3)]
    program = box(
        f"ray {'milp' if integers else 'lp'}",
        [-1, 0, 0, 0],
        rows,
        [(0, np.inf)] * 2 + [(0, upper)] * 2,
        integers,
    )
    assert solver.solve(program).status is OTHER_STATUS.get(
        (solver.name, program.name), Status.INFEASIBLE
    )
