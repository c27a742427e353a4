"""The toy set of Ison's *Using an SMT Solver for Training Feedforward Neural Networks*, answered in
three ways.

Points on the unit sphere, of class 1 where both of two random planes through the center have them
on their positive side, and networks with one hidden layer and two outputs; two hidden neurons are
always enough. ``plain`` is the paper's way: the whole formula, every weight unknown, given to Z3
through pySMT. ``portfolio`` is ``layermilp.smt.train`` as it is by default. ``adam`` is
back-propagation in PyTorch on all points at once, until the training accuracy is 1. All have the
same time, process starts and checks included; what counts as answered is a network whose every
label is on top, of ``plain`` and ``portfolio`` in exact arithmetic. Up to 64 hidden neurons, that
is 386 weights, about as many as the paper's, ``plain`` gets every network; larger ones only while
it answers any of the size before.

In DIR go ``results.json``, ``results.md``, ``answered.png`` and ``seconds.png``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from layermilp import Network, smt

METHODS = ("plain", "portfolio", "adam")
RATE = 0.01
"""Adam's learning rate."""

ALWAYS = 64
"""Hidden neurons up to which the plain formula is always tried."""


@dataclass(frozen=True)
class Scope:
    """How much is run."""

    points: tuple[int, ...]
    hidden: tuple[int, ...]
    seeds: int
    seconds: float


FULL = Scope((20, 50, 500), (2, 3, 4, 8, 16, 64, 256, 1000, 4000, 15_000, 17_000), 10, 10.0)
QUICK = Scope((20,), (2, 8, 300), 2, 2.0)


def toy_set(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points on the unit sphere, as float32 numbers, and their classes, both of which
    occur."""
    rng = np.random.default_rng(seed)
    while True:
        points = rng.normal(size=(count, 3))
        points /= np.linalg.norm(points, axis=1)[:, None]
        labels = np.all(points @ rng.normal(size=(3, 2)) > 0.0, axis=1).astype(int)
        if 0 < labels.sum() < count:
            return points.astype(np.float32).astype(float), labels


def by_smt(
    X: np.ndarray, y: np.ndarray, hidden: int, seed: int, seconds: float, **options: Any
) -> dict[str, Any]:
    """Return what the library says, and which stage of it."""
    found = smt.train(Network.dense([3, hidden, 2]), X, y, time_limit=seconds, seed=seed, **options)
    return {
        "answered": found.verdict is smt.Verdict.SATISFIED,
        "verdict": found.verdict.value,
        "stage": found.stage,
    }


def by_plain(
    X: np.ndarray, y: np.ndarray, hidden: int, seed: int, seconds: float
) -> dict[str, Any]:
    """Return what Z3 says of the formula as it is."""
    return by_smt(X, y, hidden, seed, seconds, stages=("plain",))


def by_adam(X: np.ndarray, y: np.ndarray, hidden: int, seed: int, seconds: float) -> dict[str, Any]:
    """Train by Adam on all points at once until the accuracy is 1."""
    import torch
    from torch import nn

    ends = time.perf_counter() + seconds
    torch.manual_seed(seed)
    torch.set_num_threads(
        1
    )  # threads that wait for each other make small networks slow, on a busy machine very slow
    model = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    points, labels = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    answered, steps = False, 0
    while not answered and time.perf_counter() < ends:
        optimizer.zero_grad()
        values = model(points)
        answered = bool((values.argmax(dim=1) == labels).all())
        nn.functional.cross_entropy(values, labels).backward()
        optimizer.step()
        steps += 1
    return {
        "answered": answered,
        "verdict": "satisfied" if answered else "time-out",
        "steps": steps,
    }


TRAINERS: dict[str, Callable[..., dict[str, Any]]] = {
    "plain": by_plain,
    "portfolio": by_smt,
    "adam": by_adam,
}


def measured(scope: Scope, methods: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for every set, network and method."""
    for count in scope.points:
        hopeless: set[str] = set()
        for hidden in scope.hidden:
            for method in methods:
                if method in hopeless:
                    continue
                rows = [
                    _row(method, count, hidden, seed, scope.seconds) for seed in range(scope.seeds)
                ]
                yield from rows
                if (
                    method == "plain"
                    and hidden >= ALWAYS
                    and not any(row["answered"] for row in rows)
                ):
                    hopeless.add(method)


def _row(method: str, count: int, hidden: int, seed: int, seconds: float) -> dict[str, Any]:
    X, y = toy_set(count, seed)
    began = time.perf_counter()
    found = TRAINERS[method](X, y, hidden, seed, seconds)
    passed = time.perf_counter() - began
    row = {
        "method": method,
        "points": count,
        "hidden": hidden,
        "weights": 6 * hidden + 2,
        "seed": seed,
    }
    # A check that ends after the time is no answer within it.
    row |= found | {"seconds": passed, "answered": found["answered"] and passed <= seconds}
    print(
        f"{method}: {count} points, {hidden} hidden, seed {seed}: {found['verdict']}, "
        f"{passed:.2f} s",
        flush=True,
    )
    return row


def summarized(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return shares and seconds over the seeds; an unanswered network counts with the time it
    took."""
    keys = dict.fromkeys(
        (row["points"], row["hidden"], row["weights"], row["method"]) for row in rows
    )
    entries = []
    for key in keys:
        chosen = [
            row
            for row in rows
            if (row["points"], row["hidden"], row["weights"], row["method"]) == key
        ]
        entry = dict(zip(("points", "hidden", "weights", "method"), key, strict=True))
        seconds = [row["seconds"] for row in chosen]
        entry["share"] = statistics.fmean(row["answered"] for row in chosen)
        entry |= {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
        stages = Counter(row["stage"] for row in chosen if row["answered"] and "stage" in row)
        entry["stages"] = ", ".join(f"{name} {number}" for name, number in stages.most_common())
        entries.append(entry)
    return entries


def table(rows: list[dict[str, Any]], methods: list[str]) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    entries = {
        (entry["points"], entry["hidden"], entry["method"]): entry for entry in summarized(rows)
    }
    cells = " | ".join(f"{method} | seconds" for method in methods)
    yield f"| points | hidden | weights | {cells} | answered by |"
    yield "|---" * (4 + 2 * len(methods)) + "|"
    for points, hidden in dict.fromkeys((row["points"], row["hidden"]) for row in rows):
        line = f"| {points} | {hidden:,} | {6 * hidden + 2:,} |"
        for method in methods:
            entry = entries.get((points, hidden, method))
            shown = (
                "not tried | "
                if entry is None
                else f"{entry['share']:.0%} | {entry['median']:.2f} ({entry['most']:.2f})"
            )
            line += f" {shown} |"
        yield f"{line} {entries.get((points, hidden, 'portfolio'), {'stages': ''})['stages']} |"


def plot(rows: list[dict[str, Any]], scope: Scope, methods: list[str], out: Path) -> None:
    """Draw share answered and seconds against the number of weights."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    entries = summarized(rows)
    for name, label in (
        ("answered", f"share answered in {scope.seconds:g} s"),
        ("seconds", "seconds, median and range"),
    ):
        figure, axes = plt.subplots(
            1, len(scope.points), figsize=(4.2 * len(scope.points), 3.6), sharey=True, squeeze=False
        )
        for axis, points in zip(axes[0], scope.points, strict=True):
            for method, style in zip(methods, ("s--", "o-", "^:"), strict=False):
                chosen = [
                    entry
                    for entry in entries
                    if (entry["points"], entry["method"]) == (points, method)
                ]
                weights = [entry["weights"] for entry in chosen]
                if name == "answered":
                    axis.plot(weights, [entry["share"] for entry in chosen], style, label=method)
                    continue
                middle = [entry["median"] for entry in chosen]
                below = [entry["median"] - entry["least"] for entry in chosen]
                above = [entry["most"] - entry["median"] for entry in chosen]
                axis.errorbar(weights, middle, (below, above), fmt=style, capsize=2, label=method)
            axis.set(xscale="log", xlabel="weights", title=f"{points} points")
            axis.grid(alpha=0.3)
            if name == "seconds":
                axis.set_yscale("log")
                axis.axhline(scope.seconds, color="gray", linewidth=0.8)
        axes[0][0].set_ylabel(label)
        axes[0][0].legend(fontsize=8, loc="best")
        figure.tight_layout()
        figure.savefig(out / f"{name}.png", dpi=130)
        plt.close(figure)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--only", nargs="*", choices=METHODS, help="these methods alone")
    parser.add_argument(
        "--points", type=int, nargs="+", help="numbers of points (default: 20, 50 and 500)"
    )
    parser.add_argument("--hidden", type=int, nargs="+", help="numbers of hidden neurons")
    parser.add_argument("--seeds", type=int, help="sets and networks of each size (default: 10)")
    parser.add_argument("--seconds", type=float, help="time for each (default: 10)")
    parser.add_argument(
        "--quick", action="store_true", help="few and small networks, two seeds, two seconds each"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    given = {
        name: getattr(arguments, name)
        for name in ("points", "hidden", "seeds", "seconds")
        if getattr(arguments, name)
    }
    scope = replace(QUICK if arguments.quick else FULL, **given)
    methods = [
        name
        for name in arguments.only or METHODS
        if name != "adam" or importlib.util.find_spec("torch") is not None
    ]
    for method in methods:  # so that no measurement pays for what is imported
        TRAINERS[method](np.eye(3), np.array([0, 1, 0]), 2, 0, 0.1 if method == "plain" else 1.0)
    rows: list[dict[str, Any]] = []
    for row in measured(scope, methods):
        rows.append(row)
        results = {"seconds": scope.seconds, "seeds": scope.seeds, "rows": rows}
        (arguments.out / "results.json").write_text(json.dumps(results, indent=2))
    text = "\n".join(table(rows, methods))
    (arguments.out / "results.md").write_text(text + "\n")
    plot(rows, scope, methods, arguments.out)
    print(text)


if __name__ == "__main__":
    main()
