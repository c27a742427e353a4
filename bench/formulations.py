"""Recorded weight programs by the paper's formulation and by the reduced one: time to the proven
optimum, and to within 1 %.

Every program of ``programs.npz`` (see `record.py`) is solved twice as `layermilp.fit_relu_neuron`
does it, by the same solver, on one thread, under the same limits, one right after the other: as
``paper``, the reference form in one solver call, and as ``reduced``. A time-out counts at its
limit, and a pair in which both time out does not count. Then both are run again until a point is
within 1 % of the optimum, where that is proven and the start is not as good already (not for CBC,
which cannot be told to stop there). The recorded starts are given to both."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from record import PROGRAMS, load

from layermilp import fit_relu_neuron
from layermilp.algorithms.fit import solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Fit
from layermilp.errors import ProgramTooLarge
from layermilp.formulations import ReluRegression
from layermilp.program import Limits

FORMS = ("paper", "reduced")
"""What is compared."""

NEAR = 0.01
"""Share of the optimum within which a point is near it."""

QUICK = 7
"""Every which program a quick run takes."""

SHORT = 0.2
"""Seconds below which a time is the median of three."""

SAME = 1e-6
"""Relative difference of objectives that are equal."""


def timed(problem: ReluRegression, setup: SolveOptions) -> tuple[float, Fit]:
    """Solve, three times where that is quick; return median seconds and the last fit."""
    seconds: list[float] = []
    while not seconds or (seconds[0] < SHORT and len(seconds) < 3):
        began = time.perf_counter()
        fit = solve_relu(problem, setup)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), fit


def compare(name: str, problem: ReluRegression, solver: str, time_limit: float) -> dict[str, Any]:
    """Solve to the proven optimum by both formulations."""
    row: dict[str, Any] = {"name": name, "rows": problem.n_rows, "columns": problem.n_unknowns}
    row["start"] = problem.loss(problem.start)
    for form in FORMS:
        seconds, fit = timed(problem, SolveOptions(form, solver, Limits(time_limit)))
        row |= {
            f"{form}_seconds": seconds if fit.status.is_optimal else max(seconds, time_limit),
            f"{form}_objective": fit.objective,
            f"{form}_bound": fit.bound,
            f"{form}_finished": fit.status.is_optimal,
            f"{form}_nodes": fit.nodes,
        }
    finished = [row[f"{form}_finished"] for form in FORMS]
    if any(finished):
        row["ratio"] = row["paper_seconds"] / row["reduced_seconds"]
        row["optimum"] = min(row[f"{form}_objective"] for form in FORMS)
    if all(finished):
        row["difference"] = abs(row["paper_objective"] - row["reduced_objective"]) / max(
            1.0, row["optimum"]
        )
    return row


def approach(row: dict[str, Any], problem: ReluRegression, solver: str, time_limit: float) -> None:
    """Add the times to within 1 % of the optimum, where that is known and the start is not
    there."""
    if "optimum" not in row:
        return
    target = (1.0 + NEAR) * row["optimum"] + 1e-9 * problem.n_rows
    if row["start"] <= target:
        return
    for form in FORMS:
        seconds, fit = timed(
            problem, SolveOptions(form, solver, Limits(time_limit, objective_target=target))
        )
        row[f"{form}_near_seconds"] = (
            seconds if fit.objective <= target else max(seconds, time_limit)
        )
    row["near_ratio"] = row["paper_near_seconds"] / row["reduced_near_seconds"]


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean; ``nan`` of nothing."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the programs, all of them and by layer."""
    ratios = {row["name"]: row["ratio"] for row in rows if "ratio" in row}
    layers = sorted({_layer(row["name"]) for row in rows})
    return {
        "geometric_mean": geometric_mean(ratios.values()),
        "geometric_mean_near": geometric_mean(
            row["near_ratio"] for row in rows if "near_ratio" in row
        ),
        "by_layer": {
            layer: geometric_mean(ratio for name, ratio in ratios.items() if _layer(name) == layer)
            for layer in layers
        },
        "programs": len(rows),
        "counted": len(ratios),
        "counted_near": sum("near_ratio" in row for row in rows),
        "paper_finished": sum(row["paper_finished"] for row in rows),
        "reduced_finished": sum(row["reduced_finished"] for row in rows),
        "largest_difference": max(
            (row["difference"] for row in rows if "difference" in row), default=math.nan
        ),
        "different": [row["name"] for row in rows if row.get("difference", 0.0) > SAME],
    }


def _layer(name: str) -> str:
    kind, _, _, _, layer, _ = name.split("-")
    return f"{kind} {layer}"


def line(row: dict[str, Any]) -> str:
    """Return a program's line of the table."""
    times = (
        f"{row[f'{form}_seconds']:9.3f}{' ' if row[f'{form}_finished'] else '*'}" for form in FORMS
    )
    near = (f"{row.get(f'{form}_near_seconds', math.nan):8.3f}" for form in FORMS)
    ratios = f"{row.get('ratio', math.nan):9.1f}", f"{row.get('near_ratio', math.nan):9.1f}"
    paper, reduced = times
    size = f"{row['rows']:>5} {row['columns']:>4}"
    objective = f"{row['reduced_objective']:12.6f}"
    nodes = f"{row['paper_nodes']:>7} {row['reduced_nodes']:>7}"
    return (
        f"{row['name']:<40} {size} {paper} {reduced} {ratios[0]} {objective} {nodes} "
        f"{' '.join(near)} {ratios[1]}"
    )


def totals(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines below the table."""
    proven = f"{found['paper_finished']} proven as paper, {found['reduced_finished']} as reduced"
    yield f"{found['programs']} programs, {proven}"
    mean = found["geometric_mean"]
    yield f"geometric mean of the ratios of seconds, {found['counted']} programs: {mean:.1f}"
    yield "  " + ", ".join(f"{layer} {mean:.1f}" for layer, mean in found["by_layer"].items())
    if found["counted_near"]:
        mean = found["geometric_mean_near"]
        yield f"the same to within 1 %, {found['counted_near']} programs: {mean:.1f}"
    yield f"largest relative difference of the optima: {found['largest_difference']:.1e}"


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--solver", default="highs", help="cplex, highs or cbc")
    parser.add_argument(
        "--time-limit", type=float, help="seconds for one solve (default 60, quick 5)"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="programs with this in their names"
    )
    parser.add_argument("--programs", type=Path, default=PROGRAMS)
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table here")
    arguments = parser.parse_args()
    time_limit = arguments.time_limit or (5.0 if arguments.quick else 60.0)
    problems = {
        name: problem
        for name, problem in load(arguments.programs).items()
        if arguments.only in name
    }
    if arguments.quick:
        problems = dict(list(problems.items())[::QUICK])
    print(
        f"{'program':<40} {'rows':>5} {'cols':>4} {'paper s':>10} {'reduced s':>10} {'ratio':>9} "
        f"{'optimum':>12} "
        f"{'nodes':>7} {'nodes':>7} {'to 1 %':>8} {'to 1 %':>8} {'ratio':>9}        (* not proven "
        "at the limit)"
    )
    rows, skipped = [], []
    with threadpoolctl.threadpool_limits(limits=1):
        for form in FORMS:  # what is imported at the first call is not timed
            fit_relu_neuron(
                np.eye(3), [1.0, 2.0, 0.0], -1.0, 1.0, formulation=form, solver=arguments.solver
            )
        for name, problem in problems.items():
            try:
                row = compare(name, problem, arguments.solver, time_limit)
            except ProgramTooLarge:
                skipped.append(name)
                continue
            if arguments.solver != "cbc":
                approach(row, problem, arguments.solver, time_limit)
            rows.append(row)
            print(line(row), flush=True)
    found = summary(rows)
    print("\n".join(totals(found)))
    if skipped:
        print(f"too large for this edition of {arguments.solver}: {len(skipped)} programs")
    if arguments.json:
        options = {"solver": arguments.solver, "time_limit": time_limit, "quick": arguments.quick}
        arguments.json.write_text(
            json.dumps(
                {**found, "options": options, "skipped": skipped, "instances": rows}, indent=2
            )
        )


if __name__ == "__main__":
    main()
