"""The command ``verify``: what a run claims in ``summary.json``, recomputed from its model and the
data."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

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
    data = load_again(arguments, summary, model.n_inputs, to_stderr)
    to_stderr(f"data: {data.source}")
    try:
        found = recomputed(summary, _last_batches(path, summary), model, data)
        claims = {name: _number(summary[name]) for name in found}
    except DAMAGE as error:
        told = shortened(error)
        raise ModelFileError(
            f"{path.with_name('summary.json')} is not the summary of {path}: {told}"
        ) from error
    different = 0
    for name, value in found.items():
        holds = _equal(claims[name], value)
        different += not holds
        print(
            f"{name:16} {_shown(claims[name])} claimed, {_shown(value)} "
            f"recomputed{'' if holds else ': differs'}"
        )
    print("all claims hold" if not different else f"{different} of {len(found)} claims do not hold")
    return DIFFERENT if different else 0


def recomputed(
    summary: dict[str, Any], last_batches: list[int], model: Model, data: Dataset
) -> dict[str, float | None]:
    """Return what the claims of a summary should be.

    Parameters
    ----------
    summary : dict
        Content of ``summary.json``.
    last_batches : list of int
        Last batch of every member, for the layerwise method.
    model : Model
        What the run has learned.
    data : Dataset
        What it has learned from.
    """
    method = summary.get("method", Layerwise.name)
    if method == Layerwise.name:
        counts = ("batches", "batch_size", "epochs", "seed")
        options: dict[str, Any] = {name: int(summary[name]) for name in counts}
        whole = accuracies(model, data)
        of_batches = Layerwise(**options).claims(model, last_batches, data)
        return {"train_accuracy": whole["train"], "test_accuracy": whole["test"], **of_batches}
    count, seed = int(summary["samples"]), int(summary["seed"])
    drawn = None if count == len(data.X_train) else count
    # Which samples are drawn is the same for every method that draws them.
    mine = Hybrid(samples=drawn, seed=seed).seen(data, int(summary.get("members_done", 1)))
    X, y = mine.X_train, mine.classes[mine.y_train]
    whole, seen = accuracies(model, data), accuracies(model, mine)["train"]
    if method == Hybrid.name:
        known = {"train_accuracy": whole["train"], "test_accuracy": whole["test"]}
        return known | {"seen_accuracy": seen}
    found: dict[str, float | None] = {
        "train_accuracy": seen,
        "test_accuracy": whole["test"],
        "train_majority": majority(mine.y_train),
    }
    if data.y_test is not None:
        found["test_majority"] = majority(data.y_test)
    if isinstance(model, IntegerNetwork):
        objective = OBJECTIVES[summary["objective"]](model.bound, model.sizes[-2], model.n_outputs)
        loss = float(objective.losses(model.output_sums(X), model.class_indices(y)).sum())
        found |= {"objective_value": objective.reported(loss, count), "bytes": model.n_bytes}
    return found


def _last_batches(path: Path, summary: dict[str, Any]) -> list[int]:
    """Return the last batch of every member, from ``history.jsonl``."""
    if summary.get("method", "layerwise") != "layerwise":
        return []
    last: dict[int, int] = {}
    for record in read_history(path.parent):
        last[record.get("member", 1)] = int(record["batch"])
    return [last[member] for member in sorted(last)]


def _number(claim: Any) -> float | None:
    """Return a claim as a number; None stays None."""
    return None if claim is None else float(claim)


def _equal(claimed: float | None, value: float | None) -> bool:
    if claimed is None or value is None:
        return claimed is value
    return math.isclose(claimed, value, rel_tol=1e-9, abs_tol=1e-9)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:g}" if value > 1.0 else f"{value:.4f}"
