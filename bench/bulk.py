"""Post-processing over all samples: ``layermilp.algorithms.bundle`` against one complete LP.

Features are a random ReLU layer over the data. ``hinge``: ten LPs, one for each output neuron
(Goebbels 2021, section 2.3), one after the other, by the bundle method; ``margin``: one LP for all
outputs, by interior points, which solve no program of their own (``rounds`` 0). A part of the rows
is also solved by one complete LP an output (``part``), where the last column is the relative
difference of the objectives, summed over the outputs; then all rows. ``rounds`` counts the
restricted master programs solved, ``largest`` the constraints of the largest. One thread; prints a
table and writes JSON with ``--json``."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import threadpoolctl
from scipy.sparse import csr_array

from layermilp.algorithms import bundle
from layermilp.algorithms.bundle import minimize
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.restricted_master import restricted_master
from layermilp.datasets import load
from layermilp.formulations import HingeRegression
from layermilp.formulations.margin import MarginPieces
from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.networks.layers import Dense
from layermilp.program import FloatArray, IntArray, Limits, Program
from layermilp.solvers import solve


def features(images: FloatArray, size: int) -> FloatArray:
    """Outputs of random ReLU neurons, He-scaled."""
    weights = np.random.default_rng(0).normal(
        0.0, math.sqrt(2.0 / images.shape[1]), (images.shape[1], size)
    )
    return np.maximum(images @ weights, 0.0)


def hinges(x: FloatArray, labels: IntArray, weight: float) -> Iterator[HingeRegression]:
    """Yield the problem of every output neuron, with the given weight of its own class."""
    matrix, size = np.column_stack([x, np.ones(len(x))]), x.shape[1] + 1
    start = np.random.default_rng(1).uniform(-1.0, 1.0, size)
    for digit in range(10):
        is_target = labels == digit
        weights = np.where(is_target, weight, 1.0)
        yield HingeRegression(
            matrix, np.zeros(len(x)), -np.ones(size), np.ones(size), start, is_target, weights, 0.49
        )


def margin(x: FloatArray, labels: IntArray) -> MarginPieces:
    """Return the problem of all outputs."""
    parameters = Dense(x.shape[1], 10).parameters
    box = np.ones(parameters.n_parameters)
    start = np.random.default_rng(1).uniform(-1.0, 1.0, box.size)
    return MarginPieces(parameters, x, labels, -box, box, start, np.ones(len(x)))


def bulk(problems: Sequence[PiecewiseLinear], time_limit: float) -> dict[str, float]:
    """Solve by `minimize`."""
    rows: list[int] = []
    bundle.restricted_master = lambda *parts: counted(  # type: ignore[attr-defined]
        rows, restricted_master(*parts)
    )
    began = time.perf_counter()
    setup = SolveOptions(solver="highs", limits=Limits(time_limit=time_limit))
    fits = [minimize(problem, setup) for problem in problems]
    return {
        "seconds": time.perf_counter() - began,
        "rounds": len(rows),
        "largest": max(rows, default=0),
        "objective": sum(fit.objective for fit in fits),
        "open": sum(not fit.status.is_optimal for fit in fits),
    }


def counted(rows: list[int], program: Program) -> Program:
    """Append the number of a program's constraints; return the program."""
    rows.append(program.n_rows)
    return program


def complete_program(problem: PiecewiseLinear) -> Program:
    """LP of all rows and pieces: the problem itself."""
    if isinstance(problem, HingeRegression):
        return replace(problem, coefficients=csr_array(problem.coefficients)).program()
    assert isinstance(problem, MarginPieces)
    return problem.rows().program()


def complete(problems: Sequence[PiecewiseLinear]) -> dict[str, float]:
    """Solve by one LP of all rows and pieces for each problem."""
    began = time.perf_counter()
    programs = [complete_program(problem) for problem in problems]
    objective = sum(solve(program, "highs").objective for program in programs)
    largest = max(program.n_rows for program in programs)
    return {
        "seconds": time.perf_counter() - began,
        "rounds": len(programs),
        "largest": largest,
        "objective": objective,
    }


def compare(
    name: str,
    parts: Sequence[PiecewiseLinear],
    problems: Sequence[PiecewiseLinear],
    time_limit: float,
) -> list[dict[str, float | str]]:
    """Solve a part by both methods and all rows in bulk; print and return the rows of the table."""
    reference, same = complete(parts), bulk(parts, time_limit)
    same["difference"] = abs(same["objective"] - reference["objective"]) / max(
        abs(reference["objective"]), 1e-10
    )
    runs = [
        ("complete", parts, reference),
        ("bulk", parts, same),
        ("bulk", problems, bulk(problems, time_limit)),
    ]
    rows: list[dict[str, Any]] = [
        {"problem": name, "method": method, "rows": of[0].n_rows, "unknowns": of[0].n_unknowns}
        | run
        for method, of, run in runs
    ]
    for row in rows:
        print(
            f"{name:<14} {row['method']:<9} {row['rows']:>6} {row['unknowns']:>8} "
            f"{row['seconds']:>8.2f} {row['rounds']:>7} "
            f"{row['largest']:>8} {row.get('open', 0):>5} {row['objective']:>14.6f} "
            f"{row.get('difference', math.nan):>10.1e}",
            flush=True,
        )
    return rows


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--part", type=int, default=2_000, help="rows that both methods solve")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[8, 25, 100],
        help="numbers of features of the hinge LPs",
    )
    parser.add_argument(
        "--margin-sizes", type=int, nargs="+", default=[8, 25], help="those of the margin LPs"
    )
    parser.add_argument(
        "--weights", type=float, nargs="+", default=[1.0, 9.0], help="weights of the own class"
    )
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for one LP")
    parser.add_argument(
        "--quick", action="store_true", help="the digits, 8 features, parts of 500 rows"
    )
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.part, arguments.sizes, arguments.margin_sizes = (
            5_000,
            500,
            [8],
            [8],
        )
        arguments.data, arguments.time_limit = "digits", 5.0
    data = load(arguments.data, data_dir=arguments.data_dir)
    images, labels = data.X_train[: arguments.rows], data.y_train[: arguments.rows].astype(np.int64)
    print(
        f"{'problem':<14} {'method':<9} {'rows':>6} {'unknowns':>8} {'seconds':>8} {'rounds':>7} "
        f"{'largest':>8} {'open':>5} "
        f"{'objective':>14} {'difference':>10}"
    )
    rows = []
    with threadpoolctl.threadpool_limits(limits=1):
        part, limit = arguments.part, arguments.time_limit
        for size in arguments.sizes:
            x = features(images, size)
            for weight in arguments.weights:
                parts, whole = (list(hinges(x[:n], labels[:n], weight)) for n in (part, len(x)))
                rows += compare(f"hinge, w={weight:g}", parts, whole, limit)
        for size in arguments.margin_sizes:
            x = features(images, size)
            rows += compare("margin", [margin(x[:part], labels[:part])], [margin(x, labels)], limit)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(arguments), "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
