"""The portfolio as a run knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from layermilp.datasets.dataset import Dataset
from layermilp.method import (
    Listener,
    SampledMethod,
    State,
    accuracies,
    majority,
    output_classes,
)
from layermilp.networks.files import Arrays
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.options import option
from layermilp.parallel import Workers
from layermilp.smt.options import Portfolio
from layermilp.smt.outcome import Outcome, Stage, Verdict
from layermilp.smt.trainer import training

HIDDEN = 8
"""Hidden neurons where no net is named."""


@dataclass(frozen=True, eq=False)
class Tried(State):
    """What is known after some stages."""

    outcome: Outcome

    @property
    def model(self) -> Network | None:
        """The network, if one was found."""
        return self.outcome.network

    @property
    def records(self) -> Sequence[Stage]:
        """The stages so far."""
        return self.outcome.stages

    @property
    def score(self) -> float:
        """1 with a network, else 0."""
        return float(self.outcome.network is not None)

    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps."""
        outcome = self.outcome
        blocks = () if outcome.network is None else outcome.network.blocks
        return {
            "verdict": outcome.verdict.value,
            "stage": outcome.stage,
            "lead": None if outcome.lead is None else str(outcome.lead),
            "reason": outcome.reason,
            "stages": [asdict(stage) for stage in outcome.stages],
            "seconds": outcome.seconds,
        }, {f"theta_{i}": block.theta for i, block in enumerate(blocks)}


@dataclass(kw_only=True)
class SMT(Portfolio, SampledMethod):
    """A network that has every training sample right, by a portfolio with an SMT solver."""

    name: ClassVar[str] = "smt"

    net: str | None = option(
        None,
        "inputs and layers: 64-8-10 (default: 8 hidden neurons between what the data have)",
        metavar="LAYERS",
    )

    @property
    def n_inputs(self) -> int | None:
        """The number of inputs that the data must have; None where the data decide."""
        return None if self.net is None else Network.from_notation(self.net).n_inputs

    @property
    def seconds_limit(self) -> float | None:
        """Seconds after which a training ends by itself."""
        return self.time_limit

    def check(self, data: Dataset) -> None:
        """Raise an error if there are fewer samples, or another number of classes."""
        super().check(data)
        self._network(data)

    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: Tried | None = None
    ) -> Iterator[Tried]:
        """Try the stages; yield what is known after each."""
        X, y = data.X_train, data.classes[data.y_train]
        before = None if begin is None else begin.outcome
        if before is not None and before.verdict in (Verdict.SATISFIED, Verdict.UNSATISFIABLE):
            yield Tried(before)
            return
        told = 0 if before is None else len(before.stages)
        network = self._network(data)
        for outcome in training(network, X, y, self, watch=listener.show, before=before):
            for stage in outcome.stages[told:]:
                listener.detail(f"{stage.name}: {stage.said}, {stage.seconds:.1f} s")
            told = len(outcome.stages)
            yield Tried(outcome)

    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> Tried:
        """Return the state of which a checkpoint holds the content."""
        network = None
        if "theta_0" in arrays:
            network = self._network(data).with_decision("argmax")
            for i, block in enumerate(network.blocks):
                theta = np.asarray(arrays[f"theta_{i}"], dtype=np.float64)
                network = network.with_block(i, block.with_theta(theta))
        lead = None if content["lead"] is None else Fraction(content["lead"])
        return Tried(
            Outcome(
                Verdict(content["verdict"]),
                network,
                content["stage"],
                lead,
                content["reason"],
                tuple(Stage(**stage) for stage in content["stages"]),
                float(content["seconds"]),
            )
        )

    def results(
        self, model: Model | None, states: Sequence[Tried], data: Dataset
    ) -> dict[str, Any]:
        """Return the verdict of the last member, and accuracies where there is a network."""
        mine = self.seen(data, len(states))
        network, outcome = self._network(data), states[-1].outcome
        found: dict[str, Any] = {
            "net": network.notation,
            "n_weights": sum(block.parameters.n_parameters for block in network.blocks),
            "samples": self.n_samples(data),
            "verdict": outcome.verdict.value,
            "stage": outcome.stage,
            "reason": outcome.reason,
            "tried": [asdict(stage) for stage in outcome.stages],
            "least_lead": None if outcome.lead is None else float(outcome.lead),
            "train_accuracy": None,
            "train_majority": majority(mine.y_train),
            "test_accuracy": None,
            "test_majority": None,
        }
        if model is not None:
            shares = accuracies(model, mine)
            found |= {"train_accuracy": shares["train"], "test_accuracy": shares["test"]}
            if data.y_test is not None:
                found["test_majority"] = majority(data.y_test)
        return found

    def report(self, summary: Mapping[str, Any]) -> list[str]:
        """Return the lines that are printed at the end."""
        by = "" if summary["stage"] is None else f", answered by {summary['stage']}"
        lines = [
            f"net             {summary['net']} on {summary['samples']:,} samples of "
            f"{summary['data']}, {summary['n_weights']:,} weights",
            f"verdict         {summary['verdict']}{by}",
        ]
        if summary["train_accuracy"] is not None:
            test = "none"
            if summary["test_accuracy"] is not None:
                test = "{test_accuracy:.4f} (majority class {test_majority:.4f})".format(**summary)
            lines += [
                f"train accuracy  {summary['train_accuracy']:.4f} (majority class "
                f"{summary['train_majority']:.4f}; least lead {summary['least_lead']:.3g}, exact)",
                f"test accuracy   {test}",
            ]
        else:
            lines.append(f"reason          {summary['reason']}")
        tried = ", ".join(f"{stage['name']} {stage['seconds']:.1f}" for stage in summary["tried"])
        return [*lines, f"wall time       {summary['wall_seconds']:.1f} s ({tried})"]

    def _network(self, data: Dataset) -> Network:
        """Return the network that is named, or one for the data, with classes."""
        network = (
            Network.dense([data.n_inputs, HIDDEN, data.n_classes])
            if self.net is None
            else Network.from_notation(self.net)
        )
        return network.with_classes(output_classes(network, data))
