"""HiGHS through highspy, by arrays."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, ClassVar

import numpy as np

from layermilp.errors import OptionError, SolverError
from layermilp.program import Limits, Program, Status
from layermilp.solvers.base import Answer, Option, Solver


class Highs(Solver):
    """HiGHS (MIT licence), no size limit."""

    name: ClassVar[str] = "highs"
    title: ClassVar[str] = "HiGHS"
    modules: ClassVar[tuple[str, ...]] = ("highspy",)
    limit_options: ClassVar[Mapping[str, str]] = {
        "threads": "threads",
        "random_seed": "seed",
        "primal_feasibility_tolerance": "tolerance",
        "dual_feasibility_tolerance": "tolerance",
        "mip_feasibility_tolerance": "integer_tolerance",
        "mip_rel_gap": "gap",
        "mip_abs_gap": "absolute_gap",
        "time_limit": "time_limit",
        "mip_max_nodes": "node_limit",
        "objective_target": "objective_target",
    }

    def version(self) -> str:
        """Version of HiGHS."""
        import highspy

        parts = (getattr(highspy, f"HIGHS_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH"))
        return ".".join(map(str, parts))

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        import highspy

        highs = silent_highs()
        for name, value, words in self.settings(program, limits, options):
            # HiGHS reports a refused option only by the returned status.
            if highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
                raise OptionError(f"HiGHS refuses {words}")
        pass_model(highs, program)
        if program.is_mip and program.start is not None:
            columns = np.arange(program.n_columns, dtype=np.int32)
            highs.setSolution(program.n_columns, columns, program.start)
        run(highs, functools.partial(_run_interruptibly, highs))
        return _answer(highs)


def silent_highs() -> Any:
    """Return a new object of HiGHS that prints nothing."""
    return _silent_class()()


@functools.cache
def _silent_class() -> Any:
    """Return the class `highspy.Highs` with its output switched off from the beginning.

    The first object that release 1.16 makes in a process prints a banner while its constructor
    enables the callbacks, which is before a caller can set an option."""
    import highspy

    class SilentHighs(highspy.Highs):
        def enableCallbacks(self) -> None:  # noqa: N802 - overrides
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()  # type: ignore[no-untyped-call]

    return SilentHighs


def pass_model(highs: Any, program: Program) -> None:
    """Hand a program over, without its start."""
    import highspy

    a = program.matrix
    status = highs.passModel(
        program.n_columns,
        program.n_rows,
        a.nnz,
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        program.offset,
        program.costs,
        program.col_lower,
        program.col_upper,
        program.row_lower,
        program.row_upper,
        a.indptr,
        a.indices,
        a.data,
        program.integrality.astype(np.int32),
    )
    if status == highspy.HighsStatus.kError:
        raise SolverError(f"HiGHS refuses the model of {program.name}")


def run(highs: Any, call: Callable[[], Any]) -> None:
    """Run HiGHS by a call, also where another number of threads was used earlier in this
    process, by whomever."""
    import highspy

    failed = highspy.HighsStatus.kError, highspy.HighsModelStatus.kNotset
    if (call(), highs.getModelStatus()) == failed:
        # The only such failure seen.
        highspy.Highs.resetGlobalScheduler(True)
        call()


def _run_interruptibly(highs: Any) -> Any:
    """Run HiGHS; in the main thread a KeyboardInterrupt ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        return highs.run()
    # Python sees Ctrl-C only between its own instructions, so the solve goes into a thread of its
    # own. highspy's own handling would print to stdout.
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(highs.run())
        except BaseException as error:
            answer.set_exception(error)

    highs.HandleUserInterrupt = True
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        return answer.result()
    except KeyboardInterrupt:
        highs.cancelSolve()
        if thread.ident is not None:
            # Not Thread.join, which may take an interrupted thread for a finished one.
            wait([answer])
        raise


def _answer(highs: Any) -> Answer:
    import highspy

    ends = highspy.HighsModelStatus
    end = highs.getModelStatus()
    status = {
        ends.kOptimal: Status.OPTIMAL,
        ends.kInfeasible: Status.INFEASIBLE,
        ends.kUnbounded: Status.UNBOUNDED,
        ends.kUnboundedOrInfeasible: Status.INFEASIBLE_OR_UNBOUNDED,
        ends.kTimeLimit: Status.FEASIBLE_AT_LIMIT,
        ends.kIterationLimit: Status.FEASIBLE_AT_LIMIT,
        ends.kObjectiveTarget: Status.FEASIBLE_AT_LIMIT,
        ends.kSolutionLimit: Status.FEASIBLE_AT_LIMIT,
    }.get(end, Status.ERROR)
    info = highs.getInfo()
    is_feasible = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    # A point that is called optimal is for the check in numpy, whatever else is said of it.
    has_point = is_feasible or status is Status.OPTIMAL
    x = np.array(highs.getSolution().col_value) if has_point else None
    return Answer(
        status=status,
        x=x if status in (Status.OPTIMAL, Status.FEASIBLE_AT_LIMIT) else None,
        bound=float(info.mip_dual_bound),
        nodes=max(0, int(info.mip_node_count)),
        message=highs.modelStatusToString(end),
        # Release 1.16 may improve a start while it presolves, and return the start all the same.
        objective=float(info.objective_function_value),
    )
