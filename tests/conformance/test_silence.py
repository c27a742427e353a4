"""Nothing of a solver reaches the file descriptors of standard output and standard error, in a
fresh process, from its first word on.

A solver may greet once a process, before any option of it can be set; a test in this process, in
which others were before, would not see that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import layermilp
from layermilp.solvers import SOLVERS
from tests.common import ROOT
from tests.conformance.problems import missing

FOLDERS = str(Path(layermilp.__file__).parents[1]), str(ROOT)
PROGRAMS = """
from dataclasses import replace
import numpy as np
from tests.conformance.problems import SOLVABLE, UNSOLVABLE, knapsack, market_slack
from layermilp.program import Limits
from layermilp.solvers import SOLVERS
solver = SOLVERS[{name!r}]
solver.version()
solver.solve(SOLVABLE[0].program)
for problem in UNSOLVABLE:
    solver.solve(problem.program)
solver.solve(replace(knapsack(), start=np.full(25, 0.4)))
solver.solve(market_slack(), Limits(node_limit=20, threads=2))
solver.solve(market_slack(), Limits(time_limit=0.1))
"""
CALLS = {
    "warm programs": """
import numpy as np
from scipy import sparse
from layermilp.solvers.warm_lp import WarmLp
one = np.ones(2)
lp = WarmLp(sparse.csr_array(one[None]))
assert lp.solve(one, one[:1], 0 * one, one) is not None
assert lp.solve(one, 3 * one[:1], 0 * one, one) is None
""",
    "quadratic programs": """
import numpy as np
from layermilp.solvers.quadratic import project
one = np.ones(2)
assert project(one, one[None], 0 * one[:1], one[:1], 0 * one, one) is not None
assert project(one, one[None], 3 * one[:1], 4 * one[:1], 0 * one, one) is None
""",
}
TRAINING = """
import numpy as np
import layermilp
rng = np.random.default_rng(0)
X = rng.random((40, 3))
y = (X.sum(axis=1) > 1.5).astype(int)
layermilp.train(
    layermilp.Network.dense((3, 3, 2), seed=0), X, y, batches=2, batch_size=20, epochs=1,
    proximity=0.0, n_jobs={jobs}, solver={solver!r},
)
"""


def _silent(*words: str) -> str:
    """Run Python in a process of its own; return what it wrote, both streams in one."""
    path = os.pathsep.join(filter(None, [*FOLDERS, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _skip_if_missing(name: str) -> None:
    why = None if name == "auto" else missing(name)
    if why is not None:
        pytest.skip(why)


@pytest.mark.parametrize("name", list(SOLVERS))
def test_a_solver_is_silent_from_its_first_program_on(name: str) -> None:
    _skip_if_missing(name)
    assert _silent("-c", PROGRAMS.format(name=name)) == ""


@pytest.mark.parametrize("what", CALLS)
def test_what_calls_a_solver_directly_is_silent(what: str) -> None:
    assert _silent("-c", CALLS[what]) == ""


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_workers_are_silent(solver: str, jobs: int) -> None:
    _skip_if_missing(solver)
    assert _silent("-c", TRAINING.format(jobs=jobs, solver=solver)) == ""


@pytest.mark.parametrize("solver", ["auto", "highs"])
def test_the_command_line_prints_the_lines_of_its_result_alone(solver: str) -> None:
    _skip_if_missing(solver)
    words = "train --data digits --net 64-8-10 --batches 1 --epochs 1 --jobs 2 --quiet --solver"
    lines = _silent("-m", "layermilp", *words.split(), solver).splitlines()
    heads = ["net", "train accuracy", "test accuracy", "programs", "hidden weights", "last layer"]
    heads += ["last inputs", "post-processing", "solver calls", "wall time"]
    assert [line[:16].strip() for line in lines] == heads
