"""Training an integer network whole: a first network, rounds of neighbourhoods, and what is proven
of the result."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.errors import DataError
from layermilp.integer import batches as batch
from layermilp.integer.bagging import bootstrap
from layermilp.integer.fewest import needed
from layermilp.integer.gradient import straight_through
from layermilp.integer.journal import Journal, JournaledWorkers
from layermilp.integer.losses import OBJECTIVES, MinHinge
from layermilp.integer.neighbourhood import Box, Goal, Samples
from layermilp.integer.options import Whole
from layermilp.integer.prove import least_loss
from layermilp.integer.search import Found, Search
from layermilp.networks.integer import IntegerNetwork, rounded
from layermilp.options import with_options
from layermilp.parallel import WorkerOptions, Workers
from layermilp.program import IntArray

PRICE = 0.01
"""Price of the smooth loss beside the objective, small enough that no sample's objective is given
for it."""

VALIDATION = 0.2
"""Share of the samples by which batches are weighed."""

PROOF = 20
"""Times as many nodes for the proof of how many neurons are needed."""


@dataclass(frozen=True)
class Record:
    """The network after some programs: loss and accuracy on the training samples, and seconds since
    the start."""

    programs: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Trained:
    """Outcome of a run.

    Parameters
    ----------
    network : IntegerNetwork
        The best network.
    objective : float
        The paper's objective (13), (19) or (20) of it, recomputed in integer arithmetic.
    bound : float
        What no network can exceed (for min-hinge: fall below): proven by samples that are equal and
        differ in their labels, and, if that was asked for, by groups of samples that no vote of
        neurons gets right together.
    loss : float
        Loss of the objective; 0 at best.
    accuracy, start_accuracy : float
        On the training samples, at the end and of the start; ties count as errors.
    start_objective : float
        The objective of the start.
    history : tuple of Record
        After every improvement.
    programs, nodes : int
        Programs solved, and their branch-and-bound nodes.
    seconds : float
        Wall seconds.
    least_neurons : int, optional
        With the fewest neurons: how many are proven to be needed, see `needed`.
    share : float
        Share of the epochs that are done; 0 where it is not known how much is to do.
    """

    network: IntegerNetwork
    objective: float
    bound: float
    loss: float
    accuracy: float
    start_objective: float
    start_accuracy: float
    history: tuple[Record, ...]
    programs: int
    nodes: int
    seconds: float
    least_neurons: int | None = None
    share: float = 0.0

    @property
    def is_optimal(self) -> bool:
        """Whether the objective equals its bound, so that no network is better."""
        return math.isclose(self.objective, self.bound, rel_tol=1e-9, abs_tol=1e-9)


@dataclass(kw_only=True)
class Call(Whole, WorkerOptions):
    """Keywords of `train`: its options, and the workers."""


@with_options(Call)
def train(X: ArrayLike, y: ArrayLike, options: Call) -> Trained:
    """Train a network of integer weights by mixed-integer programs (Thorbjarnarson and Yorke-Smith
    2020).

    Without a start the first network is a vote of neurons, each the best, by a program, for a
    sample of its own; then all neurons are improved in turns, each by the program of its best
    weights given all others, until nothing improves.

    Parameters
    ----------
    X : (m, d) array
        Training samples in [0, 1].
    y : (m,) array
        Their labels; there is an output for each that occurs.
    {options}

    Raises
    ------
    DataError
        If the data do not fit together, lie outside [0, 1], or have one class only.
    OptionError
        If an option is unknown or out of its range.
    SolverError
        If the solver is not installed.
    """
    with options.workers() as workers:
        return run(X, y, options, workers)


def run(X: ArrayLike, y: ArrayLike, settings: Whole, workers: Workers) -> Trained:
    """Train to the end."""
    return deque(training(X, y, settings, workers), maxlen=1).pop()


def training(
    X: ArrayLike,
    y: ArrayLike,
    settings: Whole,
    workers: Workers,
    journal: Journal | None = None,
) -> Iterator[Trained]:
    """Yield the network so far: the start, and what every round of programs makes of it.

    With a `journal` its answers are taken for those of the first programs.
    """
    samples, classes = checked_samples(X, y)
    run = _Run(samples, classes, settings, workers, Journal() if journal is None else journal)
    if settings.neurons == "fewest":
        yield from _trained_with_fewest(run)
    elif settings.batch_size is None:
        yield from _trained(run)
    else:
        yield from _trained_in_batches(run)


def _trained_with_fewest(run: _Run) -> Iterator[Trained]:
    """Begin with as many neurons as are proven to be needed; add one as long as the accuracy is not
    reached."""
    settings, budget, samples = run.settings, run.search.budget, run.samples
    nodes = None if settings.node_limit is None else PROOF * settings.node_limit
    # The two programs of the proof may take half of the time.
    limits = budget.limits(replace(settings.limits, node_limit=nodes), tasks=4)
    options = SolveOptions(solver=settings.solver, limits=limits)
    least = run.journal.once(
        lambda: needed(samples, settings.bound, settings.stop_accuracy, options)
    )
    for h in range(max(least, 1), settings.hidden[0] + 1):
        for trained in _trained(run.with_hidden(h)):
            yield replace(trained, least_neurons=least)
        if trained.accuracy > settings.stop_accuracy or budget.is_over:
            return


def _trained(run: _Run) -> Iterator[Trained]:
    """Improve the start; after a gradient start, and half of the time, a vote of neurons too. The
    better network stays.

    What a time limit leaves goes to votes of other bootstrap samples.
    """
    settings, search, first = run.settings, run.search, run.start(run.samples)
    yield run.trained(first)
    best = first
    if settings.start == "gradient":
        for best in search.improve(first.network):
            yield run.trained(best)
            if run.is_half_over:
                break
    is_first = settings.start == "none"
    while not run.is_done(best):
        for found in _voted(run, first.network):
            if is_first or run.is_better(found, best):
                best = found
            yield run.trained(replace(best, programs=found.programs, nodes=found.nodes))
        if settings.time_limit is None or settings.neurons == "fewest":
            break
        is_first = False
    if settings.prove and best.loss > run.least:
        run.prove()
        yield run.trained(replace(best, programs=search.programs, nodes=search.nodes))


def _voted(run: _Run, network: IntegerNetwork) -> Iterator[Found]:
    """Yield the vote of neurons that learn bootstrap samples, and what improvement makes of it."""
    settings, search = run.settings, run.search
    for found in search.vote(network, bootstrap(run.samples, min(settings.hidden), search.rng)):
        yield found
        network = found.network
    yield from search.improve(network)


def _trained_in_batches(run: _Run) -> Iterator[Trained]:
    """Begin with a vote of neurons that learn a batch each, then train all batches in epochs around
    their average.

    Yields the best network on the validation samples so far.
    """
    settings, search = run.settings, run.search
    assert settings.batch_size is not None
    learned, validation = batch.validated(run.samples, VALIDATION, settings.seed)
    first = run.start(learned)
    parts = batch.split(learned, settings.batch_size, settings.seed)
    found = best = first
    if settings.start == "none":
        turns = itertools.islice(itertools.cycle(parts), min(settings.hidden))
        for found in search.vote(first.network, list(turns)):
            yield run.trained(found)
        best = found
    score = batch.accuracy(best.network, validation)
    averages = batch.epochs(search, best.network, parts, validation, settings.epochs, settings.seed)
    programs, nodes = found.programs, found.nodes
    for number, epoch in enumerate(averages, start=1):
        programs, nodes = programs + epoch.programs, nodes + epoch.nodes
        if epoch.validation_accuracy > score:
            best, score = search.found(epoch.network), epoch.validation_accuracy
        trained = run.trained(replace(best, programs=programs, nodes=nodes))
        yield replace(trained, share=number / settings.epochs)
        if search.budget.is_over:
            return


class _Run:
    """A run: its search, and what it has found so far."""

    def __init__(
        self,
        samples: Samples,
        classes: IntArray,
        settings: Whole,
        workers: Workers,
        journal: Journal,
        budget: Budget | None = None,
    ) -> None:
        self.samples, self.settings, self.classes, self.journal = (
            samples,
            settings,
            classes,
            journal,
        )
        self.workers = JournaledWorkers(workers, journal)
        budget = journal.budget(settings.time_limit) if budget is None else budget
        self.sizes = (samples.inputs.shape[1], *settings.hidden, classes.size)
        self.objective = OBJECTIVES[settings.objective](
            settings.bound, self.sizes[-2], classes.size
        )
        smooth = MinHinge(settings.bound, self.sizes[-2], classes.size)
        goal = Goal(self.objective, smooth, 0.0 if isinstance(self.objective, MinHinge) else PRICE)
        box = Box.of(IntegerNetwork.zeros(self.sizes, settings.bound))
        self.search = Search(
            samples,
            goal,
            box,
            SolveOptions(solver=settings.solver, limits=settings.limits),
            self.workers,
            settings.stop_accuracy,
            budget,
            settings.seed,
        )
        self.least = self.objective.least_loss(conflicts(samples))
        self.first: Found | None = None
        self.records: list[Record] = []

    def with_hidden(self, count: int) -> _Run:
        """Return the run of a network with so many hidden neurons, in the same time."""
        settings = replace(self.settings, hidden=(count,))
        workers, budget = self.workers.workers, self.search.budget
        return _Run(self.samples, self.classes, settings, workers, self.journal, budget)

    @property
    def is_half_over(self) -> bool:
        """Whether less than half of the time is left."""
        return self.journal.once(lambda: self.search.budget.is_half_over)

    def start(self, samples: Samples) -> Found:
        """Return the network that the search starts from; a gradient start learns the given
        samples."""
        settings = self.settings
        network = IntegerNetwork.zeros(self.sizes, settings.bound, self.classes)
        if settings.start == "gradient":
            started = straight_through(
                samples.inputs, samples.labels, self.sizes, settings.bound, settings.seed
            )
            network = IntegerNetwork(started.layers, settings.bound, self.classes)
        self.first = self.search.found(network)
        return self.first

    def is_done(self, found: Found) -> bool:
        """Whether a network cannot or need not be better, or the time is over."""
        return found.loss <= self.least or self.search.is_done(found)

    def is_better(self, found: Found, best: Found) -> bool:
        """Whether a network is better: it exceeds the accuracy at which the search ends, or has
        less loss."""
        stop = self.settings.stop_accuracy
        return (found.accuracy > stop, -found.loss) > (best.accuracy > stop, -best.loss)

    def prove(self) -> None:
        """Look for a larger bound of the loss."""
        settings = self.settings
        proven = self.journal.once(
            lambda: least_loss(
                self.samples,
                self.objective,
                self.search.options,
                self.search.budget,
                settings.seed,
            )
        )
        self.least = max(self.least, proven)

    def trained(self, found: Found) -> Trained:
        """Return what is known of a network."""
        first, count, seconds = (
            self.first or found,
            len(self.samples.labels),
            self.search.budget.passed,
        )
        self.records.append(Record(found.programs, found.loss, found.accuracy, seconds))
        return Trained(
            network=found.network,
            objective=self.objective.reported(found.loss, count),
            bound=self.objective.reported(self.least, count),
            loss=found.loss,
            accuracy=found.accuracy,
            start_objective=self.objective.reported(first.loss, count),
            start_accuracy=first.accuracy,
            history=tuple(self.records),
            programs=found.programs,
            nodes=found.nodes,
            seconds=seconds,
        )


def conflicts(samples: Samples) -> IntArray:
    """Return for every group of equal samples how many have each label, shape ``(G,
    n_outputs)``."""
    groups, place = np.unique(samples.inputs, axis=0, return_inverse=True)
    counts = np.zeros((len(groups), int(samples.labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (place.reshape(-1), samples.labels), 1)
    return counts


def checked_samples(X: ArrayLike, y: ArrayLike) -> tuple[Samples, IntArray]:
    """Return the samples with labels 0, 1, ..., and the labels these stand for; raise `DataError`
    as `train` does."""
    x = np.asarray(X, dtype=np.float64)
    labels = np.asarray(y)
    if x.ndim != 2 or labels.shape != (len(x),) or x.size == 0:
        raise DataError(
            f"X has shape {x.shape} and y {labels.shape}; they need a sample a row and a label "
            "for each"
        )
    classes, indices = np.unique(labels, return_inverse=True)
    if classes.size < 2:
        raise DataError(f"all {len(x)} labels are {classes[0]!r}; there is nothing to tell apart")
    return Samples(rounded(x, x.shape[1]), indices.astype(np.int64)), classes
