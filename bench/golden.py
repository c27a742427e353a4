"""Digests of the weights that some runs end with: what a change of the structure must not change.

``python bench/golden.py`` prints a JSON object of digests by run, for the packages of this machine.
Two commits are compared in one environment:

    python bench/golden.py --out before.json      (at the commit before)
    python bench/golden.py --against before.json  (at the commit after)

The digests depend on the versions of numpy, of its linear algebra and of the solvers, and so do not
hold from one machine to another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # the commit's own code, not an installed one
import layermilp
from layermilp import estimators
from layermilp.cli import main as command_line
from layermilp.datasets import load

FIRST_VERSIONS = {"layermilp.network": 2, "layermilp.committee": 1, "layermilp.integer": 1}
"""Versions of the formats when the first digests were taken; a later one alone changes none."""

REPORT: dict[str, Any] = {
    "epochs": 1,
    "max_sweeps": 3,
    "average": 0.0,
    "proximity": 0.0,
}
"""Options near to those of the preset ``goebbels2021``, with fewer sweeps."""


def library(net: str, seed: int = 0, **options: Any) -> bytes:
    """Train by a library call on scikit-learn's digits and return the bytes of the weights."""
    data = load("digits")
    network = layermilp.Network.from_notation(net, init="he", seed=seed)
    given = {"batches": 2, "batch_size": 50, "epochs": 2, "n_jobs": 1, "seed": seed, **options}
    trained = layermilp.train(network, data.X_train, data.y_train, **given).network
    return b"".join(block.theta.tobytes() for block in trained.blocks)


def two_classes(path: Path) -> None:
    """Write the digits as black and white images with two classes, odd and even."""
    data = load("digits")
    np.savez(path, X=(data.X_train > 0.5).astype(float), y=data.y_train % 2)


def command(*words: str) -> bytes:
    """Train by the command line and return the bytes of the arrays of ``model.npz``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = tuple(word.replace("FOLDER", folder) for word in words)
        two_classes(Path(folder) / "two.npz")
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            data = [] if "--data" in words else ["--data", "digits"]
            code = command_line(["train", *data, *words, "--quiet", "--out", str(out)])
        if code != 0:
            raise SystemExit(f"{' '.join(words)} ended with exit code {code}")
        with np.load(out / "model.npz") as archive:
            version = FIRST_VERSIONS[str(archive["format"])]
            arrays = {**archive, "version": np.array(version)}
            return b"".join(
                name.encode() + arrays[name].tobytes()
                for name in sorted(arrays)
                if arrays[name].dtype.kind in "fiu"
            )


def estimator(made: Any) -> bytes:
    """Fit an estimator on digits and return the bytes of its predictions of the test images."""
    data = load("digits")
    made.fit(data.X_train[:200], data.y_train[:200])
    return np.asarray(made.predict(data.X_test)).tobytes()


RUNS: dict[str, Callable[[], bytes]] = {
    "library margin": lambda: library("64-6-6-10", weight_fit="ridge"),
    "library l1": lambda: library(
        "64-5-10", objective="l1", class_weight="balanced", seed=1, weight_fit="ridge"
    ),
    "library without ridge": lambda: library("64-4-10", node_limit=5, **REPORT),
    "library paper's form": lambda: library(
        "64-3-10", formulation="paper", node_limit=3, batches=1, objective="l1", **REPORT
    ),
    "library convolution": lambda: library("8x8-mean2-conv3b-10", proximity=0.0),
    "library highs": lambda: library(
        "64-4-10", solver="highs", postprocess="batch", max_sweeps=2, weight_fit="ridge"
    ),
    "library cbc": lambda: library(
        "64-3-10",
        solver="cbc",
        batches=1,
        epochs=1,
        node_limit=3,
        batch_size=20,
        **{name: value for name, value in REPORT.items() if name not in ("epochs",)},
    ),
    "command layerwise": lambda: command(
        *split("--net 64-6-10 --batches 3 --epochs 2 --weight-fit ridge")
    ),
    "command two workers": lambda: command(
        *split("--net 64-5-5-10 --batches 2 --epochs 2 --jobs 2 --proximity 0 --node-limit 5")
    ),
    "command preset": lambda: command(
        *split(
            "--net 64-4-10 --batches 2 --preset goebbels2021 --max-sweeps 2 --jobs 1 "
            "--batch-size 30 --node-limit 5"
        )
    ),
    "command committee, trials": lambda: command(
        *split(
            "--net 64-4-10 --batches 2 --epochs 1 --committee 2 --init-trials 2 --seed 3 "
            "--weight-fit ridge"
        )
    ),
    "command integer": lambda: command(
        *split("--method integer --data FOLDER/two.npz --hidden 4 --samples 30 --bound 1 --jobs 1")
    ),
    "command integer batches": lambda: command(
        *split(
            "--method integer --data FOLDER/two.npz --data FOLDER/two.npz --hidden 4 "
            "--samples 60 --bound 3 --jobs 1 --batch-size 30 --epochs 1 "
            "--objective min-hinge"
        )
    ),
    "command hybrid": lambda: command(
        "--method", "hybrid", "--hidden", "8", "--samples", "200", "--rounds", "2", "--epochs", "3"
    ),
    "command smt": lambda: command(
        *split(
            "--method smt --net 64-8-10 --samples 40 --stages random,trained,patterns "
            "--time-limit 60"
        )
    ),
    "estimator layerwise": lambda: estimator(
        estimators.LayerwiseClassifier(
            (5,), batches=2, batch_size=50, random_state=0, weight_fit="ridge"
        )
    ),
    "estimator hybrid": lambda: estimator(
        estimators.HybridClassifier((6,), rounds=1, random_state=0)
    ),
    "estimator smt": lambda: estimator(
        estimators.SMTClassifier((40,), stages=("random",), time_limit=600.0, random_state=0)
    ),
}
"""What is run, by name; only names that stay from version to version are called."""


def digests(names: list[str]) -> dict[str, str]:
    """Return the SHA-256 of the weights of each run."""
    return {name: hashlib.sha256(RUNS[name]()).hexdigest() for name in names}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the digests here")
    parser.add_argument("--against", type=Path, metavar="FILE", help="digests to compare with")
    parser.add_argument("--only", nargs="*", default=list(RUNS), metavar="RUN", help="runs by name")
    arguments = parser.parse_args()
    found = digests(arguments.only)
    print(json.dumps(found, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.against is not None:
        before = json.loads(arguments.against.read_text())
        changed = [name for name in found if found[name] != before.get(name)]
        print(f"{len(found) - len(changed)} runs give the same weights as before", file=sys.stderr)
        if changed:
            raise SystemExit(f"other weights: {', '.join(changed)}")


if __name__ == "__main__":
    main()
