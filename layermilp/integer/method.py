"""Integer networks as a run knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from layermilp.datasets.dataset import Dataset
from layermilp.integer.answers import packed, unpacked
from layermilp.integer.journal import Journal
from layermilp.integer.options import Whole
from layermilp.integer.trainer import Record, Trained, training
from layermilp.method import Listener, SampledMethod, State, accuracies, majority
from layermilp.networks.files import Arrays
from layermilp.networks.integer import IntegerNetwork
from layermilp.networks.load import Model
from layermilp.parallel import Workers

NUMBERS = tuple(field.name for field in fields(Trained) if field.name not in ("network", "history"))
"""Fields of `Trained` that are numbers."""


@dataclass(frozen=True, eq=False)
class Searched(State):
    """Where a search is: the best network with what is known of it, and the answers of all programs
    so far, see `Journal`. It can be judged when the network that it starts from is complete."""

    trained: Trained
    answers: tuple[Any, ...]
    can_be_judged: bool = True

    @property
    def model(self) -> IntegerNetwork:
        """The best network."""
        return self.trained.network

    @property
    def records(self) -> Sequence[Record]:
        """Improvements so far."""
        return self.trained.history

    @property
    def score(self) -> float:
        """Accuracy on the training samples."""
        return self.trained.accuracy

    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps."""
        content, arrays = packed(self.model, self.answers)
        numbers = {name: getattr(self.trained, name) for name in NUMBERS}
        records = [asdict(record) for record in self.records]
        return {**content, **numbers, "records": records}, arrays


@dataclass(kw_only=True)
class Integer(Whole, SampledMethod):
    """A network of integer weights and sign activations, by programs of single neurons."""

    name: ClassVar[str] = "integer"

    @property
    def seconds_limit(self) -> float | None:
        """Seconds after which a training ends by itself."""
        return self.time_limit

    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: Searched | None = None
    ) -> Iterator[Searched]:
        """Search; yield every improvement, of those before a resumed search the last."""
        X, y = data.X_train, data.classes[data.y_train]
        journal = Journal()
        if begin is not None:
            journal = Journal(list(begin.answers), begin.trained.seconds)
        state, is_told = None, False
        for trained in training(X, y, self, workers, journal):
            # A vote grows by one neuron a program; before its last it is no network to judge.
            is_complete = self.start == "gradient" or trained.programs >= min(self.hidden)
            state = Searched(trained, tuple(journal.answers), is_complete)
            if begin is not None and not journal.has_new:
                continue
            is_told = True
            line = (
                f"{trained.programs} programs, accuracy {trained.accuracy:.3f}, objective "
                f"{trained.objective:g}"
            )
            listener.detail(line)
            listener.show(line, trained.share)
            yield state
        if state is not None and not is_told:
            yield state

    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> Searched:
        """Return the state of which a checkpoint holds the content."""
        network, answers = unpacked(content, arrays)
        trained = Trained(
            network=network,
            history=tuple(Record(**record) for record in content["records"]),
            **{name: content[name] for name in NUMBERS},
        )
        return Searched(trained, tuple(answers))

    def results(
        self, model: Model | None, states: Sequence[Searched], data: Dataset
    ) -> dict[str, Any]:
        """Return accuracies on the samples used and on the test part, and of a single network its
        objective and what is proven of it."""
        assert model is not None  # the start is one
        mine = self.seen(data, len(states))
        found = accuracies(model, mine)
        trained = [state.trained for state in states]
        best = trained[0]
        return {
            "samples": self.n_samples(data),
            "train_accuracy": found["train"],
            "train_majority": majority(mine.y_train),
            "test_accuracy": found["test"],
            "test_majority": None if data.y_test is None else majority(data.y_test),
            "objective_value": best.objective,
            "objective_bound": best.bound,
            "start_objective": best.start_objective,
            "start_accuracy": best.start_accuracy,
            "proven_optimal": best.is_optimal,
            "least_neurons": best.least_neurons,
            "n_hidden": best.network.n_hidden,
            "programs_solved": sum(each.programs for each in trained),
            "nodes": sum(each.nodes for each in trained),
            "bytes": sum(each.network.n_bytes for each in trained),
            "weight_type": best.network.dtype.name,
        }

    def report(self, summary: Mapping[str, Any]) -> list[str]:
        """Return the lines that are printed at the end."""
        test = "none"
        if summary["test_accuracy"] is not None:
            test = "{test_accuracy:.4f} (majority class {test_majority:.4f})".format(**summary)
        is_optimal = summary["proven_optimal"]
        proof = "the optimum" if is_optimal else f"bound {summary['objective_bound']:g}"
        lines = [
            f"net             {summary['net']} on {summary['samples']:,} samples of "
            f"{summary['data']}, weights from -{self.bound} to {self.bound} in "
            f"{summary['bytes']:,} bytes ({summary['weight_type']})",
            f"train accuracy  {summary['train_accuracy']:.4f} (majority class "
            f"{summary['train_majority']:.4f})",
            f"test accuracy   {test}",
            f"{self.objective:15} {summary['objective_value']:g} ({proof})",
            f"programs        {summary['programs_solved']:,} solved, {summary['nodes']:,} nodes",
            f"wall time       {summary['wall_seconds']:.1f} s",
        ]
        least, count = summary["least_neurons"], summary["n_hidden"]
        if least is not None:
            proof = "the fewest" if count == least else f"at least {least} are needed"
            lines.insert(3, f"neurons         {count} ({proof})")
        return lines
