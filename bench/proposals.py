"""Input proposals in bulk against one solver call for every sample: seconds, and the objective of
each sample.

The layer is the second of a 64-8-8-10 network on scikit-learn's digits, its targets what its last
layer proposes: 100 samples, 8 inputs and 8 outputs. ``bulk`` is what `layermilp.propose_inputs`
does; ``reduced`` and ``paper`` solve every sample as a program of its own, in that formulation. One
thread; every method to the proven optimum."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from layermilp import Network, propose_inputs
from layermilp.datasets import load
from layermilp.formulations import FORMULATIONS
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.program import FloatArray
from layermilp.solvers import solve


def layer(seed: int, samples: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return weights, bias, inputs and targets of the second layer of an untrained network."""
    data = load("digits", n_inputs=64)
    network = Network.dense([64, 8, 8, 10], init="he", seed=seed)
    block, last = network.blocks[1:]
    images, labels = data.X_train[:samples], data.y_train[:samples].astype(np.int64)
    _, inputs, outputs, *_ = network.activations(images)
    targets = propose_inputs(last.weights, last.bias, outputs, np.eye(10)[labels], last_layer=True)
    return block.weights, block.bias, inputs, targets


def one_by_one(form: str, solver: str) -> Callable[..., FloatArray]:
    """Return a function that solves every sample as a program of its own."""

    def propose(
        weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: FloatArray
    ) -> FloatArray:
        proposed = inputs.copy()
        for k in range(len(inputs)):
            problem = ReluL1().of_inputs(weights, bias, inputs[k : k + 1], targets[k : k + 1])
            x = solve(FORMULATIONS[form].build(problem), solver).x
            if x is not None:
                proposed[k] = np.clip(x[: problem.n_unknowns], problem.lower, problem.upper)
        return proposed

    return propose


def losses(
    weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: FloatArray
) -> FloatArray:
    """Objective of every sample, recomputed."""
    return np.asarray(np.abs(np.maximum(inputs @ weights.T + bias, 0.0) - targets).sum(axis=1))


def compare(seed: int, samples: int, solver: str) -> dict[str, Any]:
    """Run all methods on one layer."""
    weights, bias, inputs, targets = layer(seed, samples)
    methods: dict[str, Callable[..., FloatArray]] = {
        "bulk": lambda *arrays: propose_inputs(*arrays, solver=solver),
        "reduced": one_by_one("reduced", solver),
        "paper": one_by_one("paper", solver),
    }
    row: dict[str, Any] = {"seed": seed, "samples": samples}
    found: dict[str, FloatArray] = {}
    for name, method in methods.items():
        began = time.perf_counter()
        proposed = method(weights, bias, inputs, targets)
        row[f"{name}_seconds"] = time.perf_counter() - began
        found[name] = losses(weights, bias, proposed, targets)
    row["difference"] = max(
        float(np.abs(found["bulk"] - found[name]).max()) for name in ("reduced", "paper")
    )
    row["improved"] = float(np.mean(found["bulk"] < losses(weights, bias, inputs, targets) - 1e-9))
    return row


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--solver", default="highs")
    parser.add_argument("--quick", action="store_true", help="20 samples, one seed")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.samples, arguments.seeds = 20, 1
    rows = []
    print(
        f"seed samples improved {'bulk s':>8} {'reduced s':>10} {'paper s':>8} {'ratio':>6} "
        f"{'ratio':>6} difference"
    )
    with threadpoolctl.threadpool_limits(limits=1):
        compare(0, 5, arguments.solver)  # what is imported at the first call is not timed
        for seed in range(arguments.seeds):
            row = compare(seed, arguments.samples, arguments.solver)
            row["ratio"], row["paper_ratio"] = (
                row[f"{name}_seconds"] / row["bulk_seconds"] for name in ("reduced", "paper")
            )
            rows.append(row)
            print(
                f"{seed:>4} {row['samples']:>7} {row['improved']:>8.2f} "
                f"{row['bulk_seconds']:>8.3f} "
                f"{row['reduced_seconds']:>10.3f} {row['paper_seconds']:>8.3f} "
                f"{row['ratio']:>6.1f} {row['paper_ratio']:>6.1f} "
                f"{row['difference']:>10.1e}",
                flush=True,
            )
    means = {
        name: statistics.geometric_mean(row[name] for row in rows)
        for name in ("ratio", "paper_ratio")
    }
    print(
        f"geometric means: {means['ratio']:.1f} against reduced, {means['paper_ratio']:.1f} "
        "against paper"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "geometric_means": means}, indent=2))


if __name__ == "__main__":
    main()
