"""Gurobi through gurobipy, by arrays."""

from __future__ import annotations

import functools
import itertools
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from layermilp.errors import OptionError, ProgramTooLarge, SolverError, SolverNotAvailable
from layermilp.program import FloatArray, Limits, Program, Status, check
from layermilp.solvers.base import Answer, Option, Solver
from layermilp.solvers.interrupts import postponed, take_back

RESTRICTED_SIZE = 2000
"""Columns, and rows, that the licence takes which the package brings."""

# By name in `gurobipy.GRB.Status`.
_STATUS = {
    "OPTIMAL": Status.OPTIMAL,
    "INFEASIBLE": Status.INFEASIBLE,
    "INF_OR_UNBD": Status.INFEASIBLE_OR_UNBOUNDED,
    # A ray only: `_told_apart` finds out whether there is a point.
    "UNBOUNDED": Status.INFEASIBLE_OR_UNBOUNDED,
    # As are all those whose names end in _LIMIT.
    "CUTOFF": Status.FEASIBLE_AT_LIMIT,
    "SUBOPTIMAL": Status.FEASIBLE_AT_LIMIT,
}


class Gurobi(Solver):
    """Gurobi (commercial; the package brings a licence for 2,000 columns and 2,000 rows)."""

    name: ClassVar[str] = "gurobi"
    title: ClassVar[str] = "Gurobi"
    modules: ClassVar[tuple[str, ...]] = ("gurobipy",)
    limit_options: ClassVar[Mapping[str, str]] = {
        "threads": "threads",
        "seed": "seed",
        "feasibilitytol": "tolerance",
        "optimalitytol": "tolerance",
        "intfeastol": "integer_tolerance",
        "mipgap": "gap",
        "mipgapabs": "absolute_gap",
        "timelimit": "time_limit",
        "nodelimit": "node_limit",
        "bestobjstop": "objective_target",
    }
    largest_seed: ClassVar[int] = 2_000_000_000

    def version(self) -> str:
        """Version of Gurobi, with its edition, or with what is wrong with its licence."""
        import gurobipy

        number = ".".join(map(str, gurobipy.gurobi.version()))
        try:
            return f"{number} ({'restricted' if _is_restricted() else 'full'} edition)"
        except SolverNotAvailable as error:
            return f"{number} ({error})"

    def size_limit(self, program: Program) -> str | None:
        """Return the limit of the restricted edition, if that is installed and exceeded."""
        # A row with two bounds takes a column more. The edition is asked for only where it matters:
        # asking imports Gurobi and may take a licence.
        columns = program.n_columns + int((program.row_kinds() == "R").sum())
        if max(columns, program.n_rows) <= RESTRICTED_SIZE or not _is_restricted():
            return None
        size = f"{RESTRICTED_SIZE:,}"
        return (
            f"at most {size} columns, one more for each row with two bounds, and {size} rows "
            "(restricted edition)"
        )

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        import gurobipy

        began = time.perf_counter()
        # A fresh environment for each solve costs a millisecond; the one that gurobipy would keep
        # is hidden state, and prints.
        with (
            gurobipy.Env(empty=True) as environment,
            _started(environment, self.settings(program, limits, options)) as model,
        ):
            try:
                _pass_model(model, program)
            except gurobipy.GurobiError as error:
                raise SolverError(f"Gurobi refuses the model of {program.name}: {error}") from error
            answer = _run(model, program)
            if answer.status is not Status.INFEASIBLE_OR_UNBOUNDED:
                return answer
            if limits.time_limit is not None:
                left = limits.time_limit - (time.perf_counter() - began)
                model.Params.TimeLimit = max(left, 0.0)
            return _told_apart(model, program, answer)


def _started(environment: Any, settings: Iterable[tuple[str, Option, str]]) -> Any:
    """Start an environment with the settings; return an empty model in it."""
    import gurobipy

    environment.setParam("OutputFlag", 0)
    for setting in settings:
        _set_option(environment, *setting)
    try:
        environment.start()
    except gurobipy.GurobiError as error:
        words = " ".join(str(error).split())
        raise SolverNotAvailable(
            f"Gurobi does not start: {words}; see to its licence, or use solver 'auto'"
        ) from error
    return gurobipy.Model(env=environment)


@functools.cache
def _is_restricted() -> bool:
    """Whether the licence takes only programs of the restricted size. Asked once per process."""
    return Gurobi().refuses_size(RESTRICTED_SIZE + 1)


def _set_option(environment: Any, name: str, value: Option, words: str) -> None:
    """Set a parameter; `words` name it in the message of a refusal."""
    import gurobipy

    unknown = f"Gurobi does not know the option {name!r}; write a parameter such as 'MIPFocus'"
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise OptionError(unknown)
    try:
        environment.setParam(name, value)
        kept = environment.getParam(name)
    except (gurobipy.GurobiError, AttributeError, TypeError, ValueError, OverflowError) as error:
        is_unknown = str(error).startswith("Unknown parameter")
        raise OptionError(unknown if is_unknown else f"Gurobi refuses {words}: {error}") from error
    if kept != value:
        raise OptionError(f"Gurobi refuses {words}: it would take {kept!r}")


def _pass_model(model: Any, program: Program) -> None:
    import gurobipy

    infinity = gurobipy.GRB.INFINITY
    x = model.addMVar(
        program.n_columns,
        lb=np.maximum(program.col_lower, -infinity),
        ub=np.minimum(program.col_upper, infinity),
        obj=program.costs,
        vtype=np.where(program.integrality, "I", "C"),
    )
    model.ObjCon = program.offset
    lower, upper, kinds = program.row_lower, program.row_upper, program.row_kinds()
    two_sided = kinds == "R"
    bound = np.flatnonzero(kinds != "N")
    senses = np.select([kinds == "L", kinds == "G"], ["<", ">"], "=")[bound]
    matrix = program.matrix[bound]
    columns = x.tolist()
    if two_sided.any():
        # Gurobi's rows have one side: a.x - s = lower with s from 0 to the width.
        slack = model.addMVar(two_sided.sum(), ub=(upper - lower)[two_sided])
        columns += slack.tolist()
        matrix = sparse.hstack(
            [matrix, -sparse.eye_array(program.n_rows).tocsr()[bound][:, two_sided]]
        )
    sides = np.where((kinds == "G") | two_sided, lower, upper)[bound]
    model.addMConstr(sparse.csr_matrix(matrix), gurobipy.MVar.fromlist(columns), senses, sides)
    if program.is_mip and program.start is not None:
        # Gurobi solves for what is not given, so that a start which is slightly infeasible is not
        # lost.
        x[program.integrality].Start = np.round(program.start[program.integrality])


def _run(model: Any, program: Program) -> Answer:
    import gurobipy

    try:
        _optimize(model)
    except gurobipy.GurobiError as error:
        if error.errno == gurobipy.GRB.Error.SIZE_LIMIT_EXCEEDED:
            raise ProgramTooLarge(
                f"{program.name} is larger than the installed edition of Gurobi takes"
            ) from error
        return Answer(Status.ERROR, message=str(error))
    if model.Status == gurobipy.GRB.Status.INTERRUPTED:
        # It was Gurobi that caught Ctrl-C, which only ends the solve; nothing else here ends one.
        raise KeyboardInterrupt
    ends = gurobipy.GRB.Status
    words = {getattr(ends, name): name for name in dir(ends) if name.isupper()}
    word = words.get(model.Status, f"status {model.Status}")
    is_limit = word.endswith("_LIMIT")
    status = _STATUS.get(word, Status.FEASIBLE_AT_LIMIT if is_limit else Status.ERROR)
    # What Gurobi does not know it refuses as a missing attribute.
    return Answer(
        status=status,
        x=_point(model, program, status),
        bound=getattr(model, "ObjBound", -math.inf),
        nodes=int(getattr(model, "NodeCount", 0)),
        message=word,
    )


def _optimize(model: Any) -> None:
    """Solve. In the main thread Ctrl-C is Python's, also where it is ignored: Gurobi's own handling
    prints to stdout."""
    with postponed() as is_interrupted:
        calls = itertools.count()

        def watch(model: Any, where: int) -> None:  # noqa: ARG001
            if next(calls) == 0:
                take_back()
            if is_interrupted():
                model.terminate()

        model.optimize(watch)


def _point(model: Any, program: Program, status: Status) -> FloatArray | None:
    if status not in (Status.OPTIMAL, Status.FEASIBLE_AT_LIMIT) or not model.SolCount:
        return None
    x = np.array(model.getAttr("X", model.getVars()[: program.n_columns]), dtype=np.float64)
    # At a limit an LP may hold a point that is not feasible.
    return x if status is Status.OPTIMAL or check(program, x).holds() else None


def _told_apart(model: Any, program: Program, answer: Answer) -> Answer:
    """Return which of infeasible and unbounded it is: whether there is a point, by solving without
    costs."""
    model.setObjective(0.0)
    found = _run(model, program)
    if found.x is not None:
        return replace(answer, status=Status.UNBOUNDED)
    if found.status in (Status.INFEASIBLE, Status.INFEASIBLE_OR_UNBOUNDED):
        return replace(answer, status=Status.INFEASIBLE)
    return answer
