"""The main job over several seeds: seconds and accuracies of ``layermilp train`` with given options.

One run per seed; prints a table and writes JSON with ``--json``. The last column is the accuracy on the test data, which
must not decide anything: to compare options use ``--held-out``, which judges on training images 50,001 to 60,000 instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from layermilp import Network, train
from layermilp.datasets import load


def one(seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Train once; return seconds and accuracies."""
    n_inputs = int(arguments.net.split("-")[0])
    data = load(arguments.data, n_inputs=n_inputs, data_dir=arguments.data_dir)
    network = Network.from_notation(arguments.net, init=arguments.init, seed=seed)
    X_judge, y_judge = data.X_test, data.y_test
    if arguments.held_out:
        X_judge, y_judge = data.X_train[50_000:], data.y_train[50_000:]
    began = time.perf_counter()
    trained = train(
        network,
        data.X_train,
        data.y_train,
        batches=arguments.batches,
        solver=arguments.solver,
        formulation=arguments.formulation,
        n_jobs=arguments.jobs,
        seed=seed,
        postprocess=arguments.postprocess,
        tie_break=arguments.tie_break,
        target_gap=arguments.target_gap,
        node_limit=arguments.node_limit,
    )
    seconds = time.perf_counter() - began
    seen = min(arguments.batches * 100, len(data.X_train))
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "sweeps": len(trained.history),
        "programs": trained.tally.programs,
        "seen_accuracy": trained.network.accuracy(data.X_train[:seen], data.y_train[:seen]),
        "judged_accuracy": float("nan") if X_judge is None else trained.network.accuracy(X_judge, y_judge),
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="784-8-8-8-10")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1")
    parser.add_argument("--init", default="he")
    parser.add_argument("--solver", default="auto")
    parser.add_argument("--formulation", default="reduced")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--postprocess", default="end")
    parser.add_argument("--tie-break", default="l2")
    parser.add_argument("--target-gap", type=float, default=0.05)
    parser.add_argument("--node-limit", type=int, default=20)
    parser.add_argument("--held-out", action="store_true", help="judge on training images 50,001 to 60,000")
    parser.add_argument("--quick", action="store_true", help="the digits, 64-4-10, two batches, one seed")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.data, arguments.net, arguments.batches, arguments.seeds = "digits", "64-4-10", 2, 1
    rows = []
    print(f"{'seed':>4} {'seconds':>8} {'sweeps':>7} {'programs':>9} {'seen':>7} {'judged':>7}")
    for seed in range(arguments.seeds):
        row = one(seed, arguments)
        rows.append(row)
        print(
            f"{seed:>4} {row['seconds']:>8.1f} {row['sweeps']:>7} {row['programs']:>9} {row['seen_accuracy']:>7.4f} "
            f"{row['judged_accuracy']:>7.4f}",
            flush=True,
        )
    means = {key: statistics.fmean(row[key] for row in rows) for key in ("seconds", "seen_accuracy", "judged_accuracy")}
    print(f"mean {means['seconds']:>8.1f} {'':>7} {'':>9} {means['seen_accuracy']:>7.4f} {means['judged_accuracy']:>7.4f}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(arguments), "rows": rows, "means": means}, file, indent=2)


if __name__ == "__main__":
    main()
