"""A solver that goes wrong on purpose, also in worker processes; see `run` for what a test starts.

It solves with HiGHS until its calls in a process exceed ``FAULTY_AFTER``, and then does what
``FAULTY_MODE`` says, in every call or every ``FAULTY_EVERY``-th one; with ``FAULTY_WORKERS`` only
in worker processes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from layermilp import parallel
from layermilp.program import Limits, Program, Status
from layermilp.solvers import SOLVERS
from layermilp.solvers.base import Answer, Option, Solver
from layermilp.solvers.highs import Highs
from tests.common import PATIENCE, ROOT


def _raise() -> Answer:
    raise RuntimeError("the licence\nserver is on fire")


def _end(number: signal.Signals) -> Answer:
    os.kill(os.getpid(), number)
    return _sleep()


def _sleep() -> Answer:
    time.sleep(1000.0)
    return Answer(Status.ERROR)


MODES: dict[str, Callable[[Program, Answer], Any]] = {
    "raise": lambda program, answer: _raise(),
    "none": lambda program, answer: None,
    "words": lambda program, answer: Answer(Status.OPTIMAL, np.array(["many", "words"])),
    "ragged": lambda program, answer: Answer(Status.OPTIMAL, [[1.0], [2.0, 3.0]]),  # type: ignore[arg-type]
    "short": lambda program, answer: Answer(Status.OPTIMAL, np.zeros(1)),
    "scalar": lambda program, answer: Answer(Status.OPTIMAL, np.float64(0.0)),  # type: ignore[arg-type]
    "nan": lambda program, answer: Answer(Status.OPTIMAL, np.full(program.n_columns, np.nan)),
    "infeasible": lambda program, answer: Answer(Status.OPTIMAL, np.full(program.n_columns, 1e9)),
    "status": lambda program, answer: Answer("splendid", answer.x),  # type: ignore[arg-type]
    "start": lambda program, answer: Answer(
        answer.status, answer.x if program.start is None else program.start, answer.bound
    ),
    "above": lambda program, answer: Answer(Status.OPTIMAL, answer.x, 1e6),
    "segfault": lambda program, answer: _end(signal.SIGSEGV),
    "kill": lambda program, answer: _end(signal.SIGKILL),
    "hang": lambda program, answer: _sleep(),
}


class Faulty(Solver):
    """HiGHS, until it goes wrong."""

    name: ClassVar[str] = "faulty"
    title: ClassVar[str] = "Faulty"
    modules: ClassVar[tuple[str, ...]] = ()
    calls: ClassVar[int] = 0
    is_worker: ClassVar[bool] = False

    def version(self) -> str:
        return "0"

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        answer = Highs()._solve(program, limits, options)
        if "FAULTY_WORKERS" in os.environ and not self.is_worker:
            return answer
        type(self).calls += 1
        after, every = (
            int(os.environ.get(f"FAULTY_{name}", default))
            for name, default in (("AFTER", "0"), ("EVERY", "1"))
        )
        if self.calls <= after or self.calls % every:
            return answer
        found: Answer = MODES[os.environ["FAULTY_MODE"]](program, answer)
        return found


def install() -> None:
    """Make the solver known in this process, and in workers that are started from it."""
    SOLVERS["faulty"] = Faulty()
    parallel.GRACE = float(os.environ.get("FAULTY_GRACE", "60"))
    parallel._in_process = in_process


_IN_PROCESS = parallel._in_process


def in_process(function: Callable[[Any], Any], task: Any) -> Any:
    """Do what a worker does; it imports this module to find the function."""
    install()
    Faulty.is_worker = True
    return _IN_PROCESS(function, task)


def run(
    *words: str,
    mode: str = "",
    after: int = 0,
    grace: float = 60.0,
    limits: dict[str, int] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own that knows the faulty solver.

    Parameters
    ----------
    mode, after : str, int
        What its workers do, after how many calls of each.
    grace : float
        Of the processes, see `layermilp.parallel`.
    limits : dict, optional
        Limits of the process by the names of `resource`, such as ``{"RLIMIT_AS": 2**32}``.
    """
    environment = {name: value for name, value in os.environ.items() if name != "LAYERMILP_DATA"}
    environment |= {"FAULTY_AFTER": str(after), "FAULTY_GRACE": str(grace)}
    environment |= {"FAULTY_MODE": mode, "FAULTY_WORKERS": "1"} if mode else {}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment["FAULTY_LIMITS"] = json.dumps(limits or {})
    code = "import sys; from tests import faulty; sys.exit(faulty.main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE,
        check=False,
    )


def main(words: list[str]) -> int:
    """Set the limits, then run the command line."""
    for name, value in json.loads(os.environ.get("FAULTY_LIMITS", "{}")).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    from layermilp import cli

    install()
    return cli.main(words)
