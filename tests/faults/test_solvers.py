"""Solvers that answer nonsense, fail, or crash."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pytest

from layermilp import Network, Run, fit_relu_neuron, load_model
from layermilp.algorithms.batched_branch_and_bound import propose
from layermilp.algorithms.options import SolveOptions
from layermilp.cli import main
from layermilp.errors import SolverError
from layermilp.formulations import FORMULATIONS
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import Program, Status
from layermilp.smt import process
from layermilp.smt.method import Tried
from layermilp.solvers import SOLVERS
from tests import faulty
from tests.faults.runs import HYBRID, INTEGER, SMALL, SOLVED, refused

LAST = [*SMALL, "--objective", "l1"]
"""The solver is asked for the last layer alone."""


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put the faulty solver among the others; the call says what it does, and after how many
    calls."""

    def be(mode: str, after: int = 0, every: int = 1, name: str = "faulty") -> None:
        monkeypatch.setitem(SOLVERS, name, faulty.Faulty())
        monkeypatch.setenv("FAULTY_EVERY", str(every))
        monkeypatch.setattr(faulty.Faulty, "calls", 0)
        monkeypatch.setenv("FAULTY_MODE", mode)
        monkeypatch.setenv("FAULTY_AFTER", str(after))

    return be


GARBAGE = {
    "raise": r"Faulty failed: RuntimeError: the licence",
    "none": "Faulty failed: AttributeError",
    "words": "Faulty failed: ValueError",
    "ragged": "Faulty failed: ValueError",
    "short": "violates the program by inf",
    "scalar": "violates the program by inf",
    "nan": "violates the program by inf",
    "infeasible": "violates the program by",
    "status": "Faulty failed: ValueError",
}


@pytest.mark.parametrize("mode", GARBAGE)
def test_garbage_is_an_error_and_no_point(mode: str, sick: Callable[..., None]) -> None:
    sick(mode)
    program = Program(np.ones(2), np.ones((1, 2)), np.ones(1), np.ones(1), np.zeros(2), np.ones(2))
    result = SOLVERS["faulty"].solve(program)
    assert result.status is Status.ERROR and result.x is None and np.isnan(result.objective)
    assert result.bound == -np.inf
    assert re.search(GARBAGE[mode], result.message)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_proposals_whose_programs_fail_say_why(sick: Callable[..., None], formulation: str) -> None:
    sick("raise")
    inputs, weights = np.full((3, 2), 0.5), np.array([[1.0, -0.5], [-1.0, 1.0]])
    targets = np.tile([0.1, 0.9], (3, 1))
    found = propose(
        inputs,
        lambda part: ReluL1().of_inputs(weights, np.zeros(2), inputs[part], targets[part]),
        SolveOptions(formulation=formulation, solver="faulty"),
    )
    assert found.statistics.failed == 3 and "server is on fire" in found.message


def test_a_bound_above_the_objective_proves_nothing(sick: Callable[..., None]) -> None:
    sick("above")
    ends = np.zeros(2), np.ones(2)
    program = Program(
        np.ones(2), np.ones((1, 2)), np.ones(1), np.full(1, np.inf), *ends, np.ones(2, dtype=bool)
    )
    result = SOLVERS["faulty"].solve(program)
    assert result.status is Status.ERROR and result.x is not None
    assert result.objective == 1.0 and result.bound == -np.inf
    assert "the bound 1e+06 is above the objective 1" in result.message


def test_a_fit_keeps_the_best_point_known(sick: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    X, y, start = rng.random((12, 3)), rng.random(12), rng.uniform(-1.0, 1.0, 4)
    sick("raise")
    fit = fit_relu_neuron(X, y, -1.0, 1.0, start=start, solver="faulty", formulation="paper")
    losses = [
        np.abs(np.maximum(X @ theta[:3] + theta[3], 0.0) - y).sum()
        for theta in (fit.parameters, start)
    ]
    assert fit.objective == pytest.approx(losses[0]) and losses[0] <= losses[1] + 1e-9
    assert fit.bound <= fit.objective and fit.status is Status.ERROR


@pytest.mark.parametrize("mode", ["above", "start", "nan", "infeasible"])
def test_a_fit_whose_solver_contradicts_itself_gets_the_answer_of_another(
    mode: str, sick: Callable[..., None]
) -> None:
    rng = np.random.default_rng(0)
    X, y, start = rng.random((12, 3)), rng.random(12), rng.uniform(-1.0, 1.0, 4)
    right = fit_relu_neuron(X, y, -1.0, 1.0, start=start, formulation="paper")
    sick(mode)
    fit = fit_relu_neuron(X, y, -1.0, 1.0, start=start, solver="faulty", formulation="paper")
    assert fit.status is Status.OPTIMAL and fit.objective == pytest.approx(right.objective)
    assert "faulty" not in fit.solver_calls or mode == "start"


def test_programs_that_fail_are_counted_and_training_goes_on(
    tmp_path: Path, sick: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Every second call fails, so that every sweep has some of both."""
    sick("raise", every=2)
    assert main([*SOLVED, "--jobs", "1", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 < summary["programs_failed"] < summary["programs_solved"]
    assert f"{summary['programs_failed']} failed" in capfd.readouterr().out


@pytest.mark.parametrize(
    "words", [SOLVED, LAST, INTEGER, HYBRID], ids=["layers", "last", "integer", "hybrid"]
)
def test_a_run_whose_programs_all_fail_ends_with_an_error(
    words: list[str], tmp_path: Path, sick: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where only the last layer is left to the solver; an earlier model stays unless something
    new was learned."""
    sick("raise")
    out = tmp_path / "run"
    out.mkdir()
    Network.dense([64, 10], seed=0).save(out / "model.npz")
    before = (out / "model.npz").read_bytes()
    alone = [] if "hybrid" in words or "--jobs" in words else ["--jobs", "1"]
    code = main([*words, *alone, "--solver", "faulty", "--out", str(out)])
    refused(code, capfd.readouterr().err, "failed")
    if "hybrid" in words:
        assert (out / "history.jsonl").read_text().count('"status": "error"') == 2
    elif "integer" in words:
        load_model(out / "model.npz")
    else:
        assert (out / "model.npz").read_bytes() == before


def test_post_processing_whose_programs_all_fail_says_so(
    tmp_path: Path, sick: Callable[..., None], capfd: Any
) -> None:
    sick("raise")
    Network.dense([64, 4, 10], seed=0).save(tmp_path / "model.npz")
    words = [
        "postprocess",
        str(tmp_path / "model.npz"),
        *split("--data digits --solver faulty --jobs 1"),
    ]
    refused(
        main([*words, "--out", str(tmp_path / "new.npz")]),
        capfd.readouterr().err,
        "programs of the last layer failed",
    )
    assert not (tmp_path / "new.npz").exists()


@pytest.mark.parametrize(
    ("answer", "words"), [((-11, b""), "exit code -11"), ((0, b"no pickle"), "no answer")]
)
def test_a_crash_of_z3_ends_the_run(
    answer: tuple[int, bytes],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    done = subprocess.CompletedProcess([], answer[0], answer[1], b"")
    monkeypatch.setattr(process, "is_available", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda *given, **options: done)
    command = ["train", "--method", "smt", "--data", "digits", "--net", "64-1-10"]
    command += ["--samples", "30", "--stages", "random,formula", "--out", str(tmp_path), "--quiet"]
    refused(main(command), capfd.readouterr().err, "the process of Z3", words)
    later = Run.resume(tmp_path)
    with pytest.raises(SolverError, match="the process of Z3"):
        later.follow()
    (state,) = later.states
    assert isinstance(state, Tried)
    assert [stage.name for stage in state.records] == ["samples", "random"]
