"""Interruptions while a solver's interface is set up: nothing is left half done, and nothing is swallowed."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

from layermilp.program import Program, Status
from layermilp.solvers import solve
from layermilp.solvers.interrupts import postponed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_comes_at_the_end(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    passed = []
    try:
        with pytest.raises(KeyboardInterrupt), postponed() as is_interrupted:
            passed.append(is_interrupted())
            os.kill(os.getpid(), number)
            passed.append(is_interrupted())
        assert passed == [False, True]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_nothing_changes_without_an_interruption() -> None:
    before = signal.getsignal(signal.SIGINT)
    with postponed() as is_interrupted:
        assert not is_interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_cplex_is_closed_after_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes while a stream is set, and the next solve is none the worse."""
    cplex = pytest.importorskip("cplex", reason="the package cplex is not installed")
    set_log_stream = cplex.Cplex.set_log_stream

    def interrupted(problem: Any, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return set_log_stream(problem, *arguments)

    ends = np.zeros(1), np.ones(1)
    program = Program(np.array([-1.0]), np.ones((1, 1)), *ends, *ends)
    # Whoever runs the tests in the background may have had the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(cplex.Cplex, "set_log_stream", interrupted)
            with pytest.raises(KeyboardInterrupt):
                solve(program, "cplex")
    finally:
        signal.signal(signal.SIGINT, before)
    assert solve(program, "cplex").status is Status.OPTIMAL
