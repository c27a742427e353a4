"""The command ``train --method hybrid``: a network of scikit-learn's, trained by turns of gradient
descent and solver."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, fields
from typing import Any

from sklearn.neural_network import MLPClassifier

from layermilp.checks import check_whole, is_number
from layermilp.cli.models import accuracies
from layermilp.cli.sources import chosen_samples, load, origin
from layermilp.cli.train import INTERRUPTED, keeping, kept_model, terminated_like_interrupted
from layermilp.datasets import Dataset
from layermilp.errors import OptionError
from layermilp.hybrid.sklearn_models import OPTIMIZERS, SklearnTrainee
from layermilp.hybrid.trainer import Data, Record, Settings, training
from layermilp.networks.parameters import check_size, n_weights
from layermilp.parallel import Workers
from layermilp.program import IntArray
from layermilp.runs.directory import RunDirectory
from layermilp.runs.progress import Progress
from layermilp.version import __version__

OPTIONS = tuple(entry.name for entry in fields(Settings) if entry.name not in ("goal", "each"))
"""Settings that are options under their own names; the others are for regressions."""

KINDS = ("gradient", "solver")
"""The stages of a round."""

MODEL_OPTIONS = ("hidden", "optimizer", "learning_rate", "batch_size")
"""Options of the network of scikit-learn's."""


def train_hybrid(arguments: argparse.Namespace) -> int:
    """Train and write what was learned."""
    settings = Settings(**{name: getattr(arguments, name) for name in OPTIONS})
    model = model_of(arguments, settings.seed)
    directory = RunDirectory(arguments.out) if arguments.out is not None else None
    with Progress(quiet=arguments.quiet, verbose=arguments.verbose) as progress:
        data = load(arguments, None, progress.note)
        progress.note(f"data: {data.source}")
        chosen = chosen_samples(data, arguments.samples, settings.seed)
        sizes = [data.n_inputs, *arguments.hidden, data.n_classes]
        check_size(len(sizes) - 1, n_weights(sizes))
        if directory is not None:
            directory.begin(arguments.argv)
        run = _Run(arguments, settings, model, data, chosen, directory)
        with keeping(run):
            interrupted = run.follow(progress)
            run.write(interrupted)
    if not run.records:
        progress.note("layermilp: interrupted before anything was learned")
        return INTERRUPTED
    print(report(run.summary(interrupted)))
    return INTERRUPTED if interrupted else 0


class _Run:
    """A training run from the command line: the stages so far, and what is written of them."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        model: MLPClassifier,
        data: Dataset,
        chosen: IntArray,
        directory: RunDirectory | None,
    ) -> None:
        self.arguments, self.settings, self.data, self.directory = (
            arguments,
            settings,
            data,
            directory,
        )
        self.X, self.y = data.X_train[chosen], data.classes[data.y_train[chosen]]
        self.trainee = SklearnTrainee(model, self.y)
        self.records: list[Record] = []
        self.began = time.perf_counter()

    def follow(self, progress: Progress) -> bool:
        """Train to the end or until interrupted; return whether it was."""
        try:
            # One thread for linear algebra, whose rounding may depend on their number.
            with terminated_like_interrupted(), Workers(1):
                progress.show(f"round 1/{self.settings.rounds} · gradient")
                for record in training(
                    self.trainee, Data.of(self.X, self.y, None, self.settings.seed), self.settings
                ):
                    self.records.append(record)
                    progress.note(_line(record))
                    begun, follows = divmod(len(self.records), len(KINDS))
                    rounds = self.settings.rounds
                    text = f"round {min(begun + 1, rounds)}/{rounds} · {KINDS[follows]}"
                    progress.show(text, len(self.records) / (len(KINDS) * rounds))
        except KeyboardInterrupt:
            return True
        return False

    def write(self, interrupted: bool) -> None:
        """Write what was learned so far, if there is something, and a directory for it."""
        if self.directory is not None and self.records:
            self.directory.write(
                self.trainee.network(), map(asdict, self.records), self.summary(interrupted)
            )

    @property
    def kept(self) -> str:
        """What is left of the run, in words."""
        return kept_model(self.directory, bool(self.records))

    def summary(self, interrupted: bool) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        arguments, records, network = self.arguments, self.records, self.trainee.network()
        found = accuracies(network, self.data)
        return {
            "method": "hybrid",
            **origin(arguments, self.data),
            "net": network.notation,
            "samples": len(self.X),
            **{name: getattr(arguments, name) for name in (*MODEL_OPTIONS, *OPTIONS)},
            "seen_accuracy": network.accuracy(self.X, self.y),
            "train_accuracy": found["train"],
            "test_accuracy": found["test"],
            "validation_loss": records[-1].validation_loss,
            "epochs_done": sum(record.epochs for record in records),
            "rounds_done": sum(record.kind == "solver" for record in records),
            "rounds_undone": sum(record.undone for record in records),
            "wall_seconds": round(time.perf_counter() - self.began, 3),
            "interrupted": interrupted,
            "layermilp_version": __version__,
        }


def model_of(arguments: argparse.Namespace, seed: int) -> MLPClassifier:
    """Return the network, not yet trained."""
    if arguments.optimizer not in OPTIMIZERS:
        raise OptionError(
            f"optimizer {arguments.optimizer!r} is unknown; choose {', '.join(OPTIMIZERS)}"
        )
    rate, size = arguments.learning_rate, arguments.batch_size
    if not is_number(rate) or rate <= 0.0:
        raise OptionError(f"learning_rate is {rate!r}; it must be a number above 0")
    check_whole("batch_size", size, 1)
    for value in arguments.hidden:
        check_whole("hidden", value, 1)
    return MLPClassifier(
        arguments.hidden,
        solver=arguments.optimizer,
        learning_rate_init=rate,
        batch_size=size,
        random_state=seed,
    )


def _line(record: Record) -> str:
    """Return a line about a stage."""
    judged = (
        f"validation loss {record.validation_loss:.4f}, accuracy {record.validation_accuracy:.4f}"
    )
    if record.kind == "gradient":
        return f"round {record.round}: {record.epochs} epochs of gradient descent, {judged}"
    undone = ", worse on the validation samples and undone" if record.undone else f", {judged}"
    return (
        f"round {record.round}: solver, {record.start_objective:g} to {record.objective:g} "
        f"samples wrong{undone}"
    )


def report(summary: dict[str, Any]) -> str:
    """Return what is printed at the end."""
    test = "none" if summary["test_accuracy"] is None else f"{summary['test_accuracy']:.4f}"
    lines = [
        f"net             {summary['net']} on {summary['samples']:,} samples of {summary['data']}",
        f"train accuracy  {summary['train_accuracy']:.4f} (samples used "
        f"{summary['seen_accuracy']:.4f})",
        f"test accuracy   {test}",
        f"rounds          {summary['rounds_done']} of the solver, {summary['rounds_undone']} "
        "undone; "
        f"{summary['epochs_done']} epochs of gradient descent",
        f"wall time       {summary['wall_seconds']:.1f} s",
    ]
    if summary["interrupted"]:
        lines.append("interrupted: these are the last weights")
    return "\n".join(lines)
