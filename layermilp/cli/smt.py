"""The command ``train --method smt``."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from layermilp.cli.sources import chosen_samples, load, origin
from layermilp.cli.train import output_classes, terminated_like_interrupted
from layermilp.datasets import Dataset
from layermilp.networks.network import Network
from layermilp.program import IntArray
from layermilp.runs.directory import RunDirectory
from layermilp.runs.progress import Progress
from layermilp.smt.trainer import Outcome, Settings, Verdict, run
from layermilp.version import __version__

NO_ANSWER = 1
"""Exit code where there is no such network, or none was found."""

OPTIONS = tuple(entry.name for entry in fields(Settings))
"""Settings that are options under their own names."""


def train_smt(arguments: argparse.Namespace) -> int:
    """Train and write what was found; without a network that is the summary alone."""
    settings = Settings(**{name: getattr(arguments, name) for name in OPTIONS})
    network = None if arguments.net is None else Network.from_notation(arguments.net)
    directory = RunDirectory(arguments.out) if arguments.out is not None else None
    with Progress(
        quiet=arguments.quiet, verbose=arguments.verbose, limit=settings.time_limit
    ) as progress:
        data = load(arguments, None if network is None else network.n_inputs, progress.note)
        progress.note(f"data: {data.source}")
        network = network or Network.dense([data.n_inputs, 8, data.n_classes])
        network = network.with_classes(output_classes(network, data))
        chosen = chosen_samples(data, arguments.samples, settings.seed)
        if directory is not None:
            directory.begin(arguments.argv)
        X, y = data.X_train[chosen], data.classes[data.y_train[chosen]]
        with terminated_like_interrupted():
            outcome = run(
                network, X, y, settings, watch=lambda stage: progress.show(f"stage {stage}")
            )
        for stage in outcome.stages if arguments.verbose else ():
            progress.note(f"{stage.name}: {stage.said}, {stage.seconds:.1f} s")
    found = summary(arguments, settings, network, data, chosen, outcome)
    if directory is not None:
        if outcome.network is None:
            directory.summarize(found)
        else:
            directory.write(outcome.network, map(asdict, outcome.stages), found)
    print(report(found))
    return 0 if outcome.verdict is Verdict.SATISFIED else NO_ANSWER


def summary(
    arguments: argparse.Namespace,
    settings: Settings,
    network: Network,
    data: Dataset,
    chosen: IntArray,
    outcome: Outcome,
) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    found: dict[str, Any] = {
        "method": "smt",
        **origin(arguments, data),
        "net": network.notation,
        "n_weights": sum(block.parameters.n_parameters for block in network.blocks),
        "samples": len(chosen),
        **{name: getattr(settings, name) for name in OPTIONS},
        "verdict": outcome.verdict.value,
        "stage": outcome.stage,
        "reason": outcome.reason,
        "tried": [asdict(stage) for stage in outcome.stages],
        "least_lead": None if outcome.lead is None else float(outcome.lead),
        "train_accuracy": None,
        "train_majority": float(np.bincount(data.y_train[chosen]).max() / len(chosen)),
        "test_accuracy": None,
        "test_majority": None,
        "wall_seconds": round(outcome.seconds, 3),
        "layermilp_version": __version__,
    }
    if outcome.network is None:
        return found
    found["train_accuracy"] = outcome.network.accuracy(
        data.X_train[chosen], data.classes[data.y_train[chosen]]
    )
    if data.X_test is not None and data.y_test is not None:
        found["test_accuracy"] = outcome.network.accuracy(data.X_test, data.classes[data.y_test])
        found["test_majority"] = float(np.bincount(data.y_test).max() / len(data.y_test))
    return found


def report(found: dict[str, Any]) -> str:
    """Return what is printed at the end."""
    lines = [
        f"net             {found['net']} on {found['samples']:,} samples of {found['data']}, "
        f"{found['n_weights']:,} weights",
        f"verdict         {found['verdict']}{_by(found)}",
    ]
    if found["train_accuracy"] is not None:
        test = "none"
        if found["test_accuracy"] is not None:
            test = f"{found['test_accuracy']:.4f} (majority class {found['test_majority']:.4f})"
        exactly = (
            f"majority class {found['train_majority']:.4f}; least lead {found['least_lead']:.3g}, "
            "exact"
        )
        lines += [
            f"train accuracy  {found['train_accuracy']:.4f} ({exactly})",
            f"test accuracy   {test}",
        ]
    else:
        lines.append(f"reason          {found['reason']}")
    tried = ", ".join(f"{stage['name']} {stage['seconds']:.1f}" for stage in found["tried"])
    lines.append(f"wall time       {found['wall_seconds']:.1f} s ({tried})")
    return "\n".join(lines)


def _by(found: dict[str, Any]) -> str:
    return "" if found["stage"] is None else f", answered by {found['stage']}"
