"""Training an integer network whole: a first network, rounds of neighbourhoods, and what is proven
of the result."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from numpy.typing import ArrayLike

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.integer import batches as batch
from layermilp.integer.bagging import bootstrap
from layermilp.integer.gradient import straight_through
from layermilp.integer.journal import Journal, JournaledWorkers
from layermilp.integer.losses import OBJECTIVES, MinHinge
from layermilp.integer.neighbourhood import Box, Goal, Samples
from layermilp.integer.options import Whole
from layermilp.integer.prove import least_loss, needed
from layermilp.integer.search import Found, Search
from layermilp.networks.integer import IntegerNetwork
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
        return deque(training(X, y, options, workers), maxlen=1).pop()


def training(
    X: ArrayLike, y: ArrayLike, settings: Whole, workers: Workers, journal: Journal | None = None
) -> Iterator[Trained]:
    """Yield the network so far: the start, and what every round of programs makes of it.

    With a `journal` its answers are taken for those of the first programs.
    """
    samples, classes = Samples.checked(X, y)
    journal = Journal() if journal is None else journal
    budget = journal.budget(settings.time_limit)
    run = _Run(samples, classes, settings, JournaledWorkers(workers, journal), budget)
    if settings.neurons == "fewest":
        yield from _trained_with_fewest(run)
    elif settings.batch_size is None:
        yield from _trained(run)
    else:
        yield from _trained_in_batches(run)


def _trained_with_fewest(run: _Run) -> Iterator[Trained]:
    """Begin with as many neurons as are proven to be needed; add one as long as the accuracy is not
    reached."""
    settings, samples = run.settings, run.samples
    nodes = None if settings.node_limit is None else PROOF * settings.node_limit
    # The two programs of the proof may take half of the time.
    limits = run.budget.limits(replace(settings.limits, node_limit=nodes), tasks=4)
    options = SolveOptions(solver=settings.solver, limits=limits)
    least = run.journal.once(
        lambda: needed(samples, settings.bound, settings.stop_accuracy, options)
    )
    for h in range(max(least, 1), settings.hidden[0] + 1):
        for trained in _trained(replace(run, settings=replace(settings, hidden=(h,)))):
            yield replace(trained, least_neurons=least)
        if trained.accuracy > settings.stop_accuracy or run.budget.is_over:
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
            if run.journal.once(lambda: run.budget.is_half_over):
                break
    is_first = settings.start == "none"
    while not run.is_done(best):
        for found in _voted(run, first.network):
            if is_first or run.is_better(found, best):
                best = found
            yield run.trained(best)
        if settings.time_limit is None or settings.neurons == "fewest":
            break
        is_first = False
    if settings.prove and best.loss > run.least:
        run.prove()
        yield run.trained(best)


def _voted(run: _Run, network: IntegerNetwork) -> Iterator[Found]:
    """Yield the vote of neurons that learn bootstrap samples, and what improvement makes of it."""
    search = run.search
    parts = bootstrap(run.samples, min(run.settings.hidden), search.rng)
    for found in search.vote(network, parts):
        yield found
    yield from search.improve(found.network)


def _trained_in_batches(run: _Run) -> Iterator[Trained]:
    """Begin with a vote of neurons that learn a batch each, then train all batches in epochs around
    their average.

    Yields the best network on the validation samples so far.
    """
    settings, search = run.settings, run.search
    assert settings.batch_size is not None
    learned, validation = batch.validated(run.samples, VALIDATION, settings.seed)
    first = best = run.start(learned)
    parts = batch.split(learned, settings.batch_size, settings.seed)
    if settings.start == "none":
        turns = itertools.islice(itertools.cycle(parts), min(settings.hidden))
        for best in search.vote(first.network, list(turns)):
            yield run.trained(best)
    score = validation.accuracy(best.network)
    averages = batch.epochs(search, best.network, parts, validation, settings.epochs, settings.seed)
    for number, network in enumerate(averages, start=1):
        reached = validation.accuracy(network)
        if reached > score:
            best, score = search.found(network), reached
        yield replace(run.trained(best), share=number / settings.epochs)
        if run.budget.is_over:
            return


@dataclass(eq=False)
class _Run:
    """A run: its search, and what it has found so far."""

    samples: Samples
    classes: IntArray
    settings: Whole
    workers: JournaledWorkers
    budget: Budget
    first: Found = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.journal = self.workers.journal
        sizes = (self.samples.inputs.shape[1], *settings.hidden, self.classes.size)
        shape = settings.bound, sizes[-2], sizes[-1]
        self.objective = OBJECTIVES[settings.objective](*shape)
        price = 0.0 if isinstance(self.objective, MinHinge) else PRICE
        self.zeros = IntegerNetwork.zeros(sizes, settings.bound, self.classes)
        self.search = Search(
            self.samples,
            Goal(self.objective, MinHinge(*shape), price),
            Box.of(self.zeros),
            SolveOptions(solver=settings.solver, limits=settings.limits),
            self.workers,
            settings.stop_accuracy,
            self.budget,
            settings.seed,
        )
        self.least = self.objective.least_loss(self.samples.conflicts())
        self.records: list[Record] = []

    def start(self, samples: Samples) -> Found:
        """Return the network that the search starts from; a gradient start learns the given
        samples."""
        settings, network = self.settings, self.zeros
        if settings.start == "gradient":
            network = straight_through(samples, network, settings.seed)
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
        options, seed = self.search.options, self.settings.seed
        proven = self.journal.once(
            lambda: least_loss(self.samples, self.objective, options, self.budget, seed)
        )
        self.least = max(self.least, proven)

    def trained(self, found: Found) -> Trained:
        """Return what is known of a network after all programs so far."""
        count, seconds = len(self.samples.labels), self.budget.passed
        programs, nodes = self.search.programs, self.search.nodes
        self.records.append(Record(programs, found.loss, found.accuracy, seconds))
        return Trained(
            network=found.network,
            objective=self.objective.reported(found.loss, count),
            bound=self.objective.reported(self.least, count),
            loss=found.loss,
            accuracy=found.accuracy,
            start_objective=self.objective.reported(self.first.loss, count),
            start_accuracy=self.first.accuracy,
            history=tuple(self.records),
            programs=programs,
            nodes=nodes,
            seconds=seconds,
        )
