"""Other programs that read what was written, and the programs that are written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layermilp.solvers import SOLVERS, cbc
from tests.common import PATIENCE
from tests.conformance.problems import SOLVABLE, missing

INF = np.inf
WITH_COLUMNS = [problem for problem in SOLVABLE if problem.program.n_columns]


def package_of(name: str) -> Any:
    return pytest.importorskip(name, reason=f"the package {name} is not installed")


def highs_reads(path: Path) -> Any:
    highs = package_of("highspy").Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == package_of("highspy").HighsStatus.kOk
    return highs


def _highs_solves(path: Path) -> float:
    highs = highs_reads(path)
    highs.run()
    return float(highs.getInfo().objective_function_value)


def _cplex_solves(path: Path) -> float:
    with package_of("cplex").Cplex() as problem:
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
    gurobipy = package_of("gurobipy")
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
