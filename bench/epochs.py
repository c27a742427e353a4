"""How many epochs serve the paper's setting before the last layer is post-processed on all images.

Trains with the preset goebbels2021, the last layer post-processed after every batch, on the first
50,000 MNIST images, from the best of five starts and with the options that
``bench/goebbels2021.py`` takes beside it. After some epochs a copy of the network is post-processed
on all of them. What judges are training images 50,001 to 60,000 (with the digits, their last 300
training images): for each epoch the accuracy of the network, and of the copy post-processed by `l1`
and by `margin`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layermilp import Layerwise, postprocess
from layermilp.datasets import Dataset, load
from layermilp.datasets.dataset import from_arrays
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.presets import preset
from layermilp.layerwise.trainer import training
from layermilp.method import Listener
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray

FOUND = {"formulation": "reduced", "tie_break": "l2", "target_gap": 0.05, "node_limit": 20}
"""Options beside the preset, as in ``goebbels2021.py``."""

NET, TRIALS, BATCHES = "784-8-8-8-10", 5, 10


def parts(data: Dataset) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """Return what is learned from and what judges."""
    count = 50_000 if len(data.X_train) == 60_000 else len(data.X_train) - 300
    return data.X_train[:count], data.y_train[:count], data.X_train[count:], data.y_train[count:]


def curve(data: Dataset, seed: int, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train one seed, and yield a row after every epoch that is asked for."""
    X, y, X_judge, y_judge = parts(data)
    net, trials, batches = ("784-4-10", 2, 2) if arguments.quick else (NET, TRIALS, BATCHES)
    changes = {**FOUND, "batches": batches, "epochs": max(arguments.epochs), "seed": seed}
    changes |= {"max_sweeps": 2} if arguments.quick else {}
    settings = Sweeps(**{**preset("goebbels2021").options, **changes})
    method, dataset = Layerwise.of(settings, net=net), from_arrays(X, y)
    with Workers(arguments.jobs) as workers:
        scores = method.trials(trials, dataset, workers, Listener())
        chosen = method.trial(scores.index(max(scores))).network_for(dataset)
        samples = TrainingData.of(chosen, X, y)
        for state in training(chosen, samples, settings, workers):
            epoch, rest = divmod(state.batch, batches)
            if not state.batch_ended or rest or epoch not in arguments.epochs:
                continue
            copies = {
                "none": state.network,
                "l1": postprocess(state.network, X, y, objective="l1", n_jobs=1),
                "margin": postprocess(state.network, X, y, objective="margin", gap=0.01, n_jobs=1),
            }
            yield {"seed": seed, "epoch": epoch} | {
                name: copy.accuracy(X_judge, y_judge) for name, copy in copies.items()
            }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--seeds", type=int, default=2, help="seeds 0 to N - 1")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument(
        "--quick", action="store_true", help="the digits, one short epoch, one seed"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.data, arguments.epochs, arguments.seeds = "digits", [1], 1
    data = load(arguments.data, n_inputs=784, data_dir=arguments.data_dir)
    rows = []
    print("seed epoch  network post-processed by l1  by margin")
    for seed in range(arguments.seeds):
        for row in curve(data, seed, arguments):
            rows.append(row)
            scores = f"{row['none']:>8.4f} {row['l1']:>20.4f} {row['margin']:>10.4f}"
            print(f"{row['seed']:>4} {row['epoch']:>5} {scores}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
