"""What an option of training does: seconds and accuracies of `layermilp.train` over several seeds.

``--option NAME=VALUE`` (repeatable) names an option of `layermilp.train` with a Python literal or a
word, such as ``--option epochs=5 --option tie_break=l1``. Options are compared with ``--held-out``,
which trains on the first 50,000 MNIST images and judges on training images 50,001 to 60,000;
without it the judge is the test data, which must decide nothing.

``--wrong-labels SHARE`` replaces the labels of that share of the training images by drawn ones: a
mixed-integer program may leave out what cannot be met, a ridge regression cannot."""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import time
from typing import Any

import numpy as np

from layermilp import Network, train
from layermilp.datasets import load
from layermilp.datasets.dataset import Dataset
from layermilp.program import IntArray

HELD_OUT = 50_000
"""Training images before the ones that judge."""


def option(text: str) -> tuple[str, Any]:
    """Parse ``NAME=VALUE``."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def mislabelled(y: IntArray, classes: int, share: float, seed: int) -> IntArray:
    """Return the labels, of which a share is drawn anew."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(y)) < share, rng.integers(0, classes, len(y)), y)


def one(seed: int, data: Dataset, arguments: argparse.Namespace) -> dict[str, float]:
    """Train once; return seconds and accuracies."""
    network = Network.from_notation(arguments.net, init=arguments.init, seed=seed)
    X, y, X_judge, y_judge = data.X_train, data.y_train, data.X_test, data.y_test
    if arguments.held_out:
        X, y, X_judge, y_judge = X[:HELD_OUT], y[:HELD_OUT], X[HELD_OUT:], y[HELD_OUT:]
    y = mislabelled(y, data.classes.size, arguments.wrong_labels, seed)
    options = dict(arguments.option)
    began = time.perf_counter()
    trained = train(
        network, X, y, batches=arguments.batches, n_jobs=arguments.jobs, seed=seed, **options
    )
    seconds = time.perf_counter() - began
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "sweeps": sum(record.kind == "sweep" for record in trained.history),
        "programs": trained.tally.programs,
        "seen_accuracy": trained.network.accuracy(
            X[: arguments.batches * 100], y[: arguments.batches * 100]
        ),
        "judged_accuracy": float("nan")
        if X_judge is None or y_judge is None
        else trained.network.accuracy(X_judge, y_judge),
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="784-8-8-8-10")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1")
    parser.add_argument("--init", default="he")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--held-out", action="store_true", help="judge on training images 50,001 to 60,000"
    )
    parser.add_argument("--wrong-labels", type=float, default=0.0, metavar="SHARE")
    parser.add_argument(
        "--quick", action="store_true", help="the digits, 64-4-10, two batches, one seed"
    )
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.data, arguments.net, arguments.batches, arguments.seeds = (
            "digits",
            "64-4-10",
            2,
            1,
        )
    inputs = Network.from_notation(arguments.net).n_inputs
    data = load(arguments.data, n_inputs=inputs, data_dir=arguments.data_dir)
    rows = []
    print(f"{'seed':>4} {'seconds':>8} {'sweeps':>7} {'programs':>9} {'seen':>7} {'judged':>7}")
    for seed in range(arguments.seeds):
        row = one(seed, data, arguments)
        rows.append(row)
        print(
            f"{seed:>4} {row['seconds']:>8.1f} {row['sweeps']:>7} {row['programs']:>9} "
            f"{row['seen_accuracy']:>7.4f} "
            f"{row['judged_accuracy']:>7.4f}",
            flush=True,
        )
    means = {
        key: statistics.fmean(row[key] for row in rows)
        for key in ("seconds", "seen_accuracy", "judged_accuracy")
    }
    print(
        f"mean {means['seconds']:>8.1f} {'':>7} {'':>9} {means['seen_accuracy']:>7.4f} "
        f"{means['judged_accuracy']:>7.4f}"
    )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(arguments), "rows": rows, "means": means}, file, indent=2)


if __name__ == "__main__":
    main()
