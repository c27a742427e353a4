"""The hybrid method as a run knows it: a network of scikit-learn's, by turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layermilp.datasets.dataset import Dataset
from layermilp.hybrid.options import OPTIMIZERS, Rounds
from layermilp.hybrid.trainer import STAGES, Data, Record, training
from layermilp.method import Listener, SampledMethod, State
from layermilp.networks.files import Arrays
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.networks.parameters import check_size, n_weights
from layermilp.options import option
from layermilp.parallel import Workers

if TYPE_CHECKING:
    from layermilp.hybrid.sklearn_models import SklearnTrainee


@dataclass(frozen=True, eq=False)
class Staged(State):
    """A network after a stage, the stages so far, what gradient descent has to know, and the state
    of the generator that chooses samples."""

    network: Network
    stages: tuple[Record, ...]
    arrays: Arrays
    rng: Mapping[str, Any]

    @property
    def model(self) -> Network:
        """The network."""
        return self.network

    @property
    def records(self) -> Sequence[Record]:
        """The stages so far."""
        return self.stages

    @property
    def score(self) -> float:
        """Validation loss, negative."""
        return -self.stages[-1].validation_loss

    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps."""
        records = [asdict(record) for record in self.stages]
        return {"records": records, "rng": dict(self.rng)}, self.arrays


@dataclass(kw_only=True)
class Hybrid(Rounds, SampledMethod):
    """GDSolver on a network of scikit-learn's: turns of gradient descent and solver."""

    name: ClassVar[str] = "hybrid"
    kept_words: ClassVar[str] = "these are the last weights"

    hidden: tuple[int, ...] = option(
        (64,), "neurons of the hidden layers", metavar="N[-N...]", least=1
    )
    optimizer: str = option("adam", "of gradient descent", metavar="NAME", choices=OPTIMIZERS)
    learning_rate: float = option(0.001, "its step", metavar="R", above=0.0)
    rounds: int = option(2, "turns of gradient descent and solver", metavar="N", least=1)

    def check(self, data: Dataset) -> None:
        """Raise an error if there are fewer samples, or there is not enough memory."""
        super().check(data)
        sizes = [data.n_inputs, *self.hidden, data.n_classes]
        check_size(len(sizes) - 1, n_weights(sizes))

    def trainee(self, data: Dataset, kept: Arrays | None = None) -> SklearnTrainee:
        """Return the network, not trained yet, or where a checkpoint has kept it."""
        # Every other command starts without scikit-learn, which takes longer than all the rest.
        from sklearn.neural_network import MLPClassifier

        from layermilp.hybrid.sklearn_models import SklearnTrainee

        model = MLPClassifier(
            self.hidden,
            solver=self.optimizer,
            learning_rate_init=self.learning_rate,
            batch_size=self.batch_size,
            random_state=self.seed,
        )
        trainee = SklearnTrainee(model, data.classes[data.y_train])
        if kept is not None:
            trainee.resume(kept, data.X_train, data.classes[data.y_train])
        return trainee

    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: Staged | None = None
    ) -> Iterator[Staged]:
        """Train by turns; yield every stage."""
        split = Data.of(data.X_train, data.classes[data.y_train], None, self.seed)
        rng = np.random.default_rng(self.seed)
        stages: tuple[Record, ...] = ()
        kept: Arrays | None = None
        if begin is not None:
            stages, kept, rng.bit_generator.state = begin.stages, begin.arrays, begin.rng
        trainee = self.trainee(data, kept)
        listener.show(self._shown(len(stages)), 0.0)
        for record in training(trainee, split, self, rng, stages):
            stages = (*stages, record)
            listener.note(_line(record))
            listener.show(self._shown(len(stages)), len(stages) / max(len(STAGES) * self.rounds, 1))
            yield Staged(trainee.network(), stages, trainee.progress(), rng.bit_generator.state)

    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> Staged:
        """Return the state of which a checkpoint holds the content."""
        network = self.trainee(self.prepared(data), arrays).network()
        records = tuple(Record(**record) for record in content["records"])
        return Staged(network, records, arrays, content["rng"])

    def results(
        self, model: Model | None, states: Sequence[State], data: Dataset
    ) -> dict[str, Any]:
        """Return accuracies and what was done."""
        assert model is not None  # every stage has a network
        records = [record for state in states for record in state.records]
        return {
            **self.claims(model, len(states), data),
            "validation_loss": records[-1].validation_loss,
            "epochs_done": sum(record.epochs for record in records),
            "rounds_done": sum(record.kind == "solver" for record in records),
            "rounds_undone": sum(record.undone for record in records),
        }

    def report(self, summary: Mapping[str, Any]) -> list[str]:
        """Return the lines that are printed at the end."""
        test = summary["test_accuracy"]
        return [
            f"net             {summary['net']} on {summary['samples']:,} samples of "
            f"{summary['data']}",
            f"train accuracy  {summary['train_accuracy']:.4f} (samples used "
            f"{summary['seen_accuracy']:.4f})",
            f"test accuracy   {'none' if test is None else f'{test:.4f}'}",
            f"rounds          {summary['rounds_done']} of the solver, {summary['rounds_undone']} "
            f"undone; {summary['epochs_done']} epochs of gradient descent",
            f"wall time       {summary['wall_seconds']:.1f} s",
        ]

    def _shown(self, done: int) -> str:
        turn, stage = divmod(done, len(STAGES))
        return f"round {min(turn + 1, self.rounds)}/{self.rounds} · {STAGES[stage]}"


def _line(record: Record) -> str:
    """Return a line about a stage."""
    judged = f"validation loss {record.validation_loss:.4f}, accuracy "
    judged += f"{record.validation_accuracy:.4f}"
    if record.kind == "gradient":
        return f"round {record.round}: {record.epochs} epochs of gradient descent, {judged}"
    undone = ", worse on the validation samples and undone" if record.undone else f", {judged}"
    return (
        f"round {record.round}: solver, {record.start_objective:g} to {record.objective:g} samples "
        f"wrong{undone}"
    )
