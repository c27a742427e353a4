"""Interruptions while a solver's interface is set up: nothing is left half done, and nothing is
swallowed."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

from layermilp.program import Limits, Program, Status
from layermilp.solvers import solve
from layermilp.solvers.interrupts import postponed, take_back
from tests.conformance.problems import market_slack, missing


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_comes_at_the_end(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    passed = []
    try:
        with pytest.raises(KeyboardInterrupt), postponed() as is_interrupted:  # noqa: PT012
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


def test_python_takes_its_handling_back() -> None:
    """What a library does to signals, without Python's knowledge, is undone."""
    libc = ctypes.CDLL(None)
    arrived: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: arrived.append(number))
    try:
        libc.signal(int(signal.SIGINT), 1)  # ignored
        os.kill(os.getpid(), signal.SIGINT)
        assert not arrived
        take_back()
        os.kill(os.getpid(), signal.SIGINT)
        assert arrived == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_gurobi_does_not_see_ctrl_c_where_it_is_ignored(capfd: pytest.CaptureFixture[str]) -> None:
    """Workers ignore it: whoever started them decides what to do."""
    why = missing("gurobi")
    if why is not None:
        pytest.skip(why)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        result = solve(market_slack(), "gurobi", Limits(time_limit=0.8))
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert result.status is Status.FEASIBLE_AT_LIMIT and result.message == "TIME_LIMIT"
    assert capfd.readouterr() == ("", "")
