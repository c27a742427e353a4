"""The command ``train --method integer``."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from layermilp.cli.sources import chosen_samples, load, origin
from layermilp.cli.train import INTERRUPTED, keeping, kept_model, terminated_like_interrupted
from layermilp.datasets import Dataset
from layermilp.integer.trainer import Settings, Trained, training
from layermilp.parallel import Workers
from layermilp.program import IntArray
from layermilp.runs.directory import RunDirectory
from layermilp.runs.progress import Progress
from layermilp.version import __version__

OPTIONS = tuple(entry.name for entry in fields(Settings))
"""Settings that are options under their own names."""


def train_integer(arguments: argparse.Namespace) -> int:
    """Train and write what was learned."""
    settings = Settings(**{name: getattr(arguments, name) for name in OPTIONS})
    workers = Workers(arguments.jobs, arguments.backend, arguments.address)
    directory = RunDirectory(arguments.out) if arguments.out is not None else None
    with Progress(
        quiet=arguments.quiet, verbose=arguments.verbose, limit=settings.time_limit
    ) as progress:
        data = load(arguments, None, progress.note)
        progress.note(f"data: {data.source}")
        chosen = chosen_samples(data, arguments.samples, settings.seed)
        if directory is not None:
            directory.begin(arguments.argv)
        run = _Run(arguments, settings, data, chosen, directory, progress)
        with keeping(run):
            interrupted = run.follow(workers)
            run.write(interrupted)
    if run.trained is None:
        progress.note("layermilp: interrupted before anything was learned")
        return INTERRUPTED
    print(report(run.summary(interrupted), run.trained))
    return INTERRUPTED if interrupted else 0


class _Run:
    """A training run from the command line: the network so far, and what is written of it."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        data: Dataset,
        chosen: IntArray,
        directory: RunDirectory | None,
        progress: Progress,
    ) -> None:
        self.arguments, self.settings, self.data, self.chosen = arguments, settings, data, chosen
        self.directory, self.progress = directory, progress
        self.trained: Trained | None = None

    def follow(self, workers: Workers) -> bool:
        """Train to the end or until interrupted; return whether it was."""
        X, y = self.data.X_train[self.chosen], self.data.classes[self.data.y_train[self.chosen]]
        try:
            with terminated_like_interrupted(), workers:
                for trained in training(X, y, self.settings, workers):
                    self.trained = trained
                    line = (
                        f"{trained.programs} programs, accuracy {trained.accuracy:.3f}, objective "
                        f"{trained.objective:g}"
                    )
                    self.progress.show(line, trained.share)
                    if self.arguments.verbose:
                        self.progress.note(line)
        except KeyboardInterrupt:
            return True
        return False

    def write(self, interrupted: bool) -> None:
        """Write what was learned so far, if there is something, and a directory for it."""
        if self.directory is not None and self.trained is not None:
            self.directory.write(
                self.trained.network, map(asdict, self.trained.history), self.summary(interrupted)
            )

    @property
    def kept(self) -> str:
        """What is left of the run, in words."""
        return kept_model(self.directory, self.trained is not None)

    def summary(self, interrupted: bool) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        assert self.trained is not None  # there is one if there is a summary
        return summary(
            self.arguments, self.settings, self.data, self.chosen, self.trained, interrupted
        )


def summary(
    arguments: argparse.Namespace,
    settings: Settings,
    data: Dataset,
    chosen: IntArray,
    trained: Trained,
    interrupted: bool,
) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    network = trained.network
    found: dict[str, Any] = {
        "method": "integer",
        **origin(arguments, data),
        "net": network.notation,
        "samples": len(chosen),
        **{name: getattr(settings, name) for name in OPTIONS},
        "train_accuracy": trained.accuracy,
        "train_majority": float(np.bincount(data.y_train[chosen]).max() / len(chosen)),
        "test_accuracy": None,
        "test_majority": None,
        "objective_value": trained.objective,
        "objective_bound": trained.bound,
        "start_objective": trained.start_objective,
        "start_accuracy": trained.start_accuracy,
        "proven_optimal": trained.is_optimal,
        "least_neurons": trained.least_neurons,
        "programs_solved": trained.programs,
        "nodes": trained.nodes,
        "wall_seconds": round(trained.seconds, 3),
        "bytes": network.n_bytes,
        "weight_type": network.dtype.name,
        "interrupted": interrupted,
        "layermilp_version": __version__,
    }
    if data.X_test is not None and data.y_test is not None:
        found["test_accuracy"] = network.accuracy(data.X_test, data.classes[data.y_test])
        found["test_majority"] = float(np.bincount(data.y_test).max() / len(data.y_test))
    return found


def report(found: dict[str, Any], trained: Trained) -> str:
    """Return what is printed at the end."""
    test = "none"
    if found["test_accuracy"] is not None:
        test = f"{found['test_accuracy']:.4f} (majority class {found['test_majority']:.4f})"
    proof = "the optimum" if found["proven_optimal"] else f"bound {found['objective_bound']:g}"
    lines = [
        f"net             {found['net']} on {found['samples']:,} samples of {found['data']}, "
        "weights from "
        f"-{found['bound']} to {found['bound']} in {found['bytes']:,} bytes "
        f"({found['weight_type']})",
        f"train accuracy  {found['train_accuracy']:.4f} (majority class "
        f"{found['train_majority']:.4f})",
        f"test accuracy   {test}",
        f"{found['objective']:15} {found['objective_value']:g} ({proof})",
        f"programs        {found['programs_solved']:,} solved, {found['nodes']:,} nodes",
        f"wall time       {found['wall_seconds']:.1f} s",
    ]
    if trained.least_neurons is not None:
        count = trained.network.n_hidden
        proof = (
            "the fewest"
            if count == trained.least_neurons
            else f"at least {trained.least_neurons} are needed"
        )
        lines.insert(3, f"neurons         {count} ({proof})")
    if found["interrupted"]:
        lines.append("interrupted: these are the best weights so far")
    return "\n".join(lines)
