"""What a run has to know of a method: how it trains one network, and what is kept of it.

A method is the dataclass of its options; a new one is a subclass of `Method` in a file of its own,
and one line in `layermilp.runs.methods`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar, Self

import numpy as np

from layermilp.datasets.dataset import Dataset
from layermilp.datasets.parts import part_of
from layermilp.errors import NetworkError, OptionError
from layermilp.networks.files import Arrays
from layermilp.networks.load import Model
from layermilp.networks.network import Network
from layermilp.options import Options, option
from layermilp.parallel import Workers
from layermilp.program import IntArray


class Listener:
    """Is told what a training does; every hook is empty."""

    def show(self, text: str, share: float = 0.0) -> None:
        """What is being done, and the share of the work that is over; 0 where that is not known."""

    def note(self, text: str) -> None:
        """A line about what is over."""

    def detail(self, text: str) -> None:
        """A line for who wants to know more."""

    def ended(self, text: str, share: float) -> None:
        """A line about a part of the work that is over, and the share of the work."""


class State(ABC):
    """Where the training of one network is.

    Attributes
    ----------
    is_resumable : bool
        Whether training can go on from here after the process has ended.
    is_last : bool
        Whether it is known that training ends here.
    can_be_judged : bool
        Whether enough has happened to tell a good initialization from others.
    """

    is_resumable: bool = True
    is_last: bool = False
    can_be_judged: bool = True

    @property
    @abstractmethod
    def model(self) -> Model | None:
        """What a training that ends here has learned; None where that is nothing."""

    @property
    @abstractmethod
    def records(self) -> Sequence[Any]:
        """What happened so far: dataclasses, each a line of ``history.jsonl``."""

    @property
    @abstractmethod
    def score(self) -> float:
        """How good it is, for the choice among initializations; more is better."""

    @abstractmethod
    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps: values for JSON, and arrays."""


@dataclass(kw_only=True)
class Method(Options, ABC):
    """A method with its options.

    Attributes
    ----------
    name : str
        Its name: ``--method`` of the command line, and in what a run writes.
    kept_words : str
        What an interrupted run keeps, in words.
    size_name : str
        The options that decide how many samples one training uses.
    """

    name: ClassVar[str]
    kept_words: ClassVar[str] = "these are the best weights so far"
    size_name: ClassVar[str] = "option samples"

    seed: int = option(0, "seed of all that is random", metavar="N", least=0, most=inf)

    @property
    def n_inputs(self) -> int | None:
        """The number of inputs that the data must have; None where the data decide."""
        return None

    @property
    def seconds_limit(self) -> float | None:
        """Seconds after which a training ends by itself, where that is known."""
        return None

    def check_memory(self, networks: int) -> None:
        """Raise an error, before data are loaded, if so many networks need too much memory."""

    @abstractmethod
    def check(self, data: Dataset) -> None:
        """Raise an error if the method cannot take the data."""

    def prepared(self, data: Dataset) -> Dataset:
        """Return the data of one training, a part where the method takes one."""
        return data

    @abstractmethod
    def used(self, data: Dataset) -> IntArray:
        """Return the training samples that one training uses, each once."""

    @abstractmethod
    def training(
        self, data: Dataset, workers: Workers, listener: Listener, begin: Any = None
    ) -> Iterator[State]:
        """Train one network on data that are `prepared`; yield where it is, the end at last.

        After a resumable state `begin` training goes on as if nothing had been between.
        """

    @abstractmethod
    def restored(self, content: Mapping[str, Any], arrays: Arrays, data: Dataset) -> State:
        """Return the state of which a checkpoint holds the content, see `State.content`."""

    @abstractmethod
    def results(self, model: Model | None, states: Sequence[Any], data: Dataset) -> dict[str, Any]:
        """Return what ``summary.json`` says of the outcome, for the states of all members."""

    @abstractmethod
    def report(self, summary: Mapping[str, Any]) -> list[str]:
        """Return the lines that are printed at the end."""

    def settled(self) -> dict[str, Any]:
        """Return the options, for ``summary.json``, with what the data and other options
        decide."""
        values = self.values(decisive=True)
        return {name: value for name, value in values.items() if name != "samples"}

    def told(self, states: Sequence[State]) -> str:
        """Return where a run goes on, in words, with these members' states."""
        return f"goes on after {sum(len(state.records) for state in states)} steps"

    def member(self, number: int) -> Self:
        """Return the method as a member of a committee has it, counted from 0; the first member's
        is that of a single network."""
        return replace(self, seed=derived_seed(self.seed, number))

    def trial(self, number: int) -> Self:
        """Return the method with another initialization, counted from 0; the first is its own."""
        return replace(self, seed=derived_seed(self.seed, number))

    def trials(
        self, count: int, data: Dataset, workers: Workers, listener: Listener
    ) -> tuple[float, ...]:
        """Try initializations; return their scores, more is better.

        Each is trained to its first state that can be judged. Test data are not looked at.
        """
        scores = []
        for number in range(count):
            for state in self.trial(number).training(data, workers, Listener()):
                if state.can_be_judged:
                    break
            scores.append(state.score)
            listener.note(f"initialization {number + 1}/{count}: score {state.score:.3f}")
        return tuple(scores)


@dataclass(kw_only=True)
class SampledMethod(Method):
    """A method that trains on a part of the samples."""

    samples: int | None = option(
        None, "training samples, drawn by the seed (default: all)", metavar="N", least=1
    )
    part: int = option(
        0, "which of the parts of so many samples, see `part_of`", least=0, most=inf, is_flag=False
    )
    draw_seed: int | None = option(
        None, "seed of the draw (default: the seed)", least=0, most=inf, is_flag=False
    )

    def check(self, data: Dataset) -> None:
        """Raise `OptionError` if there are fewer samples."""
        self.used(data)

    def prepared(self, data: Dataset) -> Dataset:
        """Return the data with the samples that are used."""
        return _part(data, self.used(data))

    def n_samples(self, data: Dataset) -> int:
        """Return how many samples a member uses."""
        return len(data.X_train) if self.samples is None else self.samples

    def seen(self, data: Dataset, members: int) -> Dataset:
        """Return the data with the samples that any of so many members has used."""
        used = [self.member(number).used(data) for number in range(members)]
        return _part(data, np.unique(np.concatenate(used)))

    def claims(self, model: Model, members: int, data: Dataset) -> dict[str, Any]:
        """Return how many samples each of so many members uses, and the model's accuracies: on
        those that any of them uses, on all training samples, and on the test part."""
        whole = accuracies(model, data)
        return {
            "samples": self.n_samples(data),
            "seen_accuracy": accuracies(model, self.seen(data, members))["train"],
            "train_accuracy": whole["train"],
            "test_accuracy": whole["test"],
        }

    def member(self, number: int) -> Self:
        """Return the method of a member: its own seed, and its own part of the samples."""
        seed = self.seed if self.draw_seed is None else self.draw_seed
        return replace(super().member(number), part=self.part + number, draw_seed=seed)

    def settled(self) -> dict[str, Any]:
        """Return the options, without what a run decides for its members."""
        found = super().settled()
        del found["part"], found["draw_seed"]
        return found

    def used(self, data: Dataset) -> IntArray:
        """Return the training samples that are used: all, or as many drawn by the seed."""
        n = len(data.X_train)
        if self.samples is None:
            return np.arange(n)
        if self.samples > n:
            raise OptionError(f"samples is {self.samples}; {data.name} has {n:,} training samples")
        rng = np.random.default_rng(self.seed if self.draw_seed is None else self.draw_seed)
        drawn = rng.choice(n, self.samples, replace=False)
        if not self.part:
            return drawn
        others = rng.permutation(np.setdiff1d(np.arange(n), drawn))
        return part_of(np.concatenate([drawn, others]), self.samples, self.part)


def _part(data: Dataset, chosen: IntArray) -> Dataset:
    return replace(data, X_train=data.X_train[chosen], y_train=data.y_train[chosen])


def derived_seed(seed: int, number: int) -> int:
    """Return the seed of a member or a trial, counted from 0; the first has the seed itself."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def accuracies(model: Model, data: Dataset) -> dict[str, float | None]:
    """Return the accuracies on the parts ``train`` and ``test``, None where there is no test part;
    raise `DataError` if a label is none of the model's."""
    parts = {"train": (data.X_train, data.y_train), "test": (data.X_test, data.y_test)}
    found: dict[str, float | None] = dict.fromkeys(parts)
    for name, (X, y) in parts.items():
        if X is not None and y is not None:
            labels = data.classes[y]
            model.class_indices(labels)
            found[name] = model.accuracy(X, labels)
    return found


def majority(y: IntArray) -> float:
    """Return the share of the most frequent class."""
    return float(np.bincount(y).max() / len(y))


def output_classes(network: Network, data: Dataset) -> Any:
    """Return the labels of the network's outputs: 0, 1, ... where that holds all labels of the
    data, else these."""
    numbers = np.arange(network.n_outputs)
    if data.classes.dtype.kind in "iu" and np.isin(data.classes, numbers).all():
        return numbers
    if len(data.classes) != network.n_outputs:
        raise NetworkError(
            f"the net {network.notation} has {network.n_outputs} outputs, but {data.name} has "
            f"{len(data.classes)} classes; end --net with {len(data.classes)}"
        )
    return data.classes
