"""The process of Z3: what it does not know, and answers that do not hold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from layermilp import Network, smt
from layermilp.errors import SolverNotAvailable
from layermilp.smt import Verdict, process
from layermilp.smt.problem import Problem
from tests.smt.samples import APART, CORNERS


def test_what_z3_does_not_know_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ask", lambda *words: process.Reply("unknown", None, "incomplete"))
    found = smt.train(Network.dense([2, 1, 2]), CORNERS, APART, stages=("formula",))
    assert found.verdict is Verdict.UNKNOWN and found.reason == "formula: incomplete"


def test_without_a_limit_a_stage_that_gave_up_early_is_no_end_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies = {
        "reduced": process.Reply("timeout", None, "stopped"),
        "plain": process.Reply("unknown", None, "incomplete"),
    }
    limits = {}

    def ask(problem: Problem, kind: str, seed: int, seconds: float | None) -> process.Reply:
        limits[kind] = seconds
        return replies[kind]

    monkeypatch.setattr(process, "ask", ask)
    found = smt.train(
        Network.dense([2, 1, 1, 2]), CORNERS, APART, stages=("formula", "plain"), time_limit=None
    )
    assert (
        found.verdict is Verdict.UNKNOWN and found.reason == "formula: stopped; plain: incomplete"
    )
    assert limits["plain"] is None and limits["reduced"] is not None


@pytest.mark.parametrize(
    ("size", "verdict"),
    [(Fraction(1, 2**2000), Verdict.UNKNOWN), (Fraction(2**2000), Verdict.SATISFIED)],
)
def test_models_that_floating_point_cannot_hold(
    size: Fraction, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lead of 2^-2000 is one in exact arithmetic only; a weight of 2^2000 may be a smaller
    one."""
    weights = (np.array([[size, Fraction(0)], [Fraction(0), Fraction(0)]], dtype=object),)
    monkeypatch.setattr(process, "ask", lambda *words: process.Reply("sat", weights))
    monkeypatch.setattr("layermilp.smt.trainer.last_layer", lambda *words: None)
    found = smt.train(Network.dense([1, 2]), [[1.0]], [0], stages=("formula",))
    assert found.verdict is verdict and ("do not survive rounding to float64" in found.reason) == (
        found.network is None
    )


def test_a_wrong_model_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tuple(np.full(shape, Fraction(1), dtype=object) for shape in ((1, 3), (2, 2)))
    monkeypatch.setattr(process, "ask", lambda *words: process.Reply("sat", weights))
    found = smt.train(Network.dense([2, 1, 2]), CORNERS, APART, stages=("formula",))
    assert found.verdict is Verdict.UNKNOWN and "does not hold in exact arithmetic" in found.reason


def test_without_z3_the_cheap_stages_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MODULES", ("no_such_module",))
    assert smt.train(Network.dense([2, 3, 2]), CORNERS, APART).verdict is Verdict.SATISFIED
    with pytest.raises(SolverNotAvailable, match=r"pip install 'layermilp\[smt\]'"):
        smt.train(Network.dense([2, 1, 2]), CORNERS, APART, rounds=1)
