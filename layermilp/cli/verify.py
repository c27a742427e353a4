"""The command ``verify``: what a run claims in ``summary.json``, recomputed from its model and the
data."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from layermilp.bcd.method import BCD
from layermilp.checks import shortened
from layermilp.cli.sources import load_again, to_stderr
from layermilp.datasets import Dataset
from layermilp.errors import ModelFileError
from layermilp.hybrid.method import Hybrid
from layermilp.integer import IntegerNetwork
from layermilp.integer.losses import OBJECTIVES
from layermilp.layerwise.method import Layerwise
from layermilp.method import accuracies, majority
from layermilp.networks.files import DAMAGE
from layermilp.networks.load import Model, load_model
from layermilp.runs.directory import read_history, read_summary

DIFFERENT = 1
"""Exit code where a claim does not hold."""


def verify(arguments: argparse.Namespace) -> int:
    """Recompute the claims; print them; return whether all hold."""
    path = Path(arguments.model)
    path = path / "model.npz" if path.is_dir() else path
    model = load_model(path)
    summary = read_summary(path.parent)
    data = load_again(arguments, summary, model.n_inputs)
    to_stderr(f"data: {data.source}")
    try:
        found = _recomputed(summary, path.parent, model, data)
        claims = {name: None if summary[name] is None else float(summary[name]) for name in found}
    except DAMAGE as error:
        raise ModelFileError(
            f"{path.with_name('summary.json')} is not the summary of {path}: {shortened(error)}"
        ) from error
    different = 0
    for name, value in found.items():
        claim = claims[name]
        if claim is None or value is None:
            holds = claim is value
        else:
            holds = math.isclose(claim, value, rel_tol=1e-9, abs_tol=1e-9)
        different += not holds
        told = "" if holds else ": differs"
        print(f"{name:16} {_shown(claim)} claimed, {_shown(value)} recomputed{told}")
    print("all claims hold" if not different else f"{different} of {len(found)} claims do not hold")
    return DIFFERENT if different else 0


def _recomputed(
    summary: dict[str, Any], directory: Path, model: Model, data: Dataset
) -> dict[str, float | None]:
    """Return what the claims of a summary should be, by the model, the data, and the batches that
    the history of the directory names."""
    method, whole = summary.get("method", Layerwise.name), accuracies(model, data)
    known = {"train_accuracy": whole["train"], "test_accuracy": whole["test"]}
    if method == Layerwise.name:
        counts = ("batches", "batch_size", "epochs", "seed")
        options: dict[str, Any] = {name: int(summary[name]) for name in counts}
        records = read_history(directory)
        last = {record.get("member", 1): int(record["batch"]) for record in records}
        batches = [last[member] for member in sorted(last)]
        return known | Layerwise(**options).claims(model, batches, data)
    count, seed = int(summary["samples"]), int(summary["seed"])
    # Which samples are drawn is the same for every method that draws them.
    mine = Hybrid(samples=count, seed=seed).seen(data, int(summary.get("members_done", 1)))
    X, y = mine.X_train, mine.classes[mine.y_train]
    seen = accuracies(model, mine)["train"]
    if method in (BCD.name, Hybrid.name):
        return known | {"seen_accuracy": seen}
    found = known | {"train_accuracy": seen, "train_majority": majority(mine.y_train)}
    if data.y_test is not None:
        found["test_majority"] = majority(data.y_test)
    if isinstance(model, IntegerNetwork):
        objective = OBJECTIVES[summary["objective"]](model.bound, model.sizes[-2], model.n_outputs)
        loss = float(objective.losses(model.output_sums(X), model.class_indices(y)).sum())
        found |= {"objective_value": objective.reported(loss, count), "bytes": model.n_bytes}
    return found


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:g}" if value > 1.0 else f"{value:.4f}"
