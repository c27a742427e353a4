"""Why the adapters use the low-level interfaces: the time to hand a model over, by each way there
is.

One dense program of 900 rows and 300 columns, with about 236,000 non-zeros. CPLEX: sparse rows as
the adapter passes them, against docplex's matrix calls. CBC: this library's MPS file, against PuLP
expressions and PuLP's own MPS file. Times are the smallest of the repetitions; only the ratios
carry over to other machines."""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from layermilp.export import to_docplex, to_pulp, write_mps
from layermilp.program import Program

FULL, QUICK = (900, 300), (90, 30)


def dense_program(rows: int, columns: int, density: float = 0.875) -> Program:
    """Return a random linear program with two-sided rows."""
    random = np.random.default_rng(0)
    matrix = random.standard_normal((rows, columns)) * (random.random((rows, columns)) < density)
    ones = np.ones(columns)
    return Program(ones, matrix, np.full(rows, -1.0), np.full(rows, 1.0), -ones, ones, name="dense")


def by_cplex(program: Program) -> None:
    """Hand over as the CPLEX adapter does."""
    import cplex

    from layermilp.solvers.cplex import _pass_model, _silence

    with cplex.Cplex() as problem:
        _silence(problem)
        _pass_model(problem, program)


def by_docplex(program: Program) -> None:
    """Hand over by docplex's matrix calls, up to the engine's model."""
    model = to_docplex(program)
    model.get_cplex()
    model.end()


def by_mps(program: Program) -> None:
    """Hand over by an MPS file, as the CBC adapter does."""
    with tempfile.TemporaryDirectory() as folder:
        write_mps(program, Path(folder) / "program.mps")


def by_pulp(program: Program) -> None:
    """Hand over by PuLP expressions and PuLP's MPS file."""
    with tempfile.TemporaryDirectory() as folder:
        to_pulp(program).writeMPS(str(Path(folder) / "program.mps"))


WAYS: list[tuple[str, str, tuple[str, ...], Callable[[Program], None]]] = [
    ("cplex", "low-level, sparse rows", ("cplex",), by_cplex),
    ("cplex", "docplex, matrix calls", ("cplex", "docplex"), by_docplex),
    ("cbc", "own MPS file", (), by_mps),
    ("cbc", "PuLP expressions", ("pulp",), by_pulp),
]


def measure(program: Program, repeats: int) -> list[dict[str, object]]:
    """Return a row for each way whose packages are installed; `ratio` is to the first way of the
    same solver."""
    table: list[dict[str, object]] = []
    first: dict[str, float] = {}
    for solver, way, modules, hand_over in WAYS:
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            print(f"{solver}, {way}: left out, {', '.join(missing)} is not installed")
            continue
        hand_over(dense_program(2, 2))  # imports are not measured
        seconds = min(_seconds(hand_over, program) for _ in range(repeats))
        ratio = seconds / first.setdefault(solver, seconds)
        table.append({"solver": solver, "way": way, "seconds": seconds, "ratio": ratio})
    return table


def _seconds(hand_over: Callable[[Program], None], program: Program) -> float:
    began = time.perf_counter()
    hand_over(program)
    return time.perf_counter() - began


def main() -> None:
    """Print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a small program, once: to see that the script runs"
    )
    parser.add_argument("--json", type=Path, help="write the table here")
    arguments = parser.parse_args()
    rows, columns = QUICK if arguments.quick else FULL
    program = dense_program(rows, columns)
    table = measure(program, 1 if arguments.quick else 5)
    print(f"{rows} rows, {columns} columns, {program.matrix.nnz} non-zeros")
    for row in table:
        print(f"{row['solver']:<8}{row['way']:<26}{row['seconds']:>9.4f} s {row['ratio']:>7.1f}")
    if arguments.json is not None:
        document = {
            "rows": rows,
            "columns": columns,
            "nonzeros": program.matrix.nnz,
            "table": table,
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
