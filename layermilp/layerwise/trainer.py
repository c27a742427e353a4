"""Training in batches: the ``while`` loop of Algorithm 1, trust regions from batch to batch,
post-processing."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.algorithms.search import Fit
from layermilp.algorithms.statistics import Phase, Statistics, Tally
from layermilp.formulations.loss import Box, OutputLoss
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.editions import check_edition
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.postprocess import fit_last_layer
from layermilp.layerwise.schedule import WeightAverage, sample_order, trust_box, whole_box
from layermilp.layerwise.state import Record, State
from layermilp.layerwise.sweep import Sweep, Watch
from layermilp.networks.network import Network
from layermilp.options import option, with_options
from layermilp.parallel import WorkerOptions, Workers
from layermilp.program import FloatArray, IntArray


def training(
    network: Network,
    data: TrainingData,
    settings: Sweeps,
    workers: Workers,
    watch: Watch = lambda step: None,
    begin: State | None = None,
) -> Iterator[State]:
    """Train as `train` does; yield the state after every sweep and at the end of every batch.

    Whoever iterates holds the best weights so far at any time, so an interrupted run loses one
    sweep at most. With the state at the end of a batch as `begin` the run goes on with the next
    one, as if it had not been interrupted."""
    objective = settings.objective_for(network, data.y)
    check_edition(network, settings, objective)
    state, order = begin, sample_order(len(data.X), settings)
    if state is None:
        start, mean = network.with_decision(objective.decision), WeightAverage(settings.average)
        state = State(start, start, 0, mean, (), Tally(), 0.0, 0.0, None)
    for number in range(state.batch + 1, settings.total_batches + 1):
        batch = _Batch(number, order, data, settings, objective, workers, watch)
        state = yield from batch.states(state)


class _Batch:
    """What the steps of one batch have in common."""

    def __init__(
        self,
        number: int,
        order: IntArray,
        data: TrainingData,
        settings: Sweeps,
        objective: OutputLoss,
        workers: Workers,
        watch: Watch,
    ) -> None:
        self.number, self.objective = number, objective
        self.data, self.settings, self.workers, self.watch = data, settings, workers, watch
        end = number * settings.batch_size
        self.part = order[end - settings.batch_size : end]
        self.seen = _as_slice(np.unique(order[:end]))

    def states(self, before: State) -> Generator[State, None, State]:
        """Sweep while the accuracy rises; yield the best weights after every sweep, and yield and
        return the end of the batch."""
        settings, state, iterate = self.settings, before, before.iterate
        boxes = tuple(
            trust_box(block.theta, settings, first=not before.mean.sums) for block in iterate.blocks
        )
        X, labels = self.data.X[self.part], self.data.y[self.part]
        accuracy, last_accuracy = 0.0, -1.0
        for number in itertools.count(1):
            is_last = settings.max_sweeps is not None and number > settings.max_sweeps
            if is_last or accuracy <= last_accuracy or accuracy == 1.0:
                break
            began = time.perf_counter()
            sweep = Sweep(self.objective, settings, self.number, number, self.workers, self.watch)
            swept = sweep.run(iterate, X, labels, boxes)
            iterate, last_accuracy = swept.network, accuracy
            found = self._judged(state, iterate, before.mean.with_weights(iterate).of(iterate))
            accuracy = found.batch_accuracy
            taken = number == 1 or accuracy > state.batch_accuracy
            losses = (swept.start_objectives, swept.objectives)
            phases = swept.statistics.phases
            record = Record.of(found, phases, began, sweep=number, taken=taken, losses=losses)
            state = (found if taken else state).after(state, record)
            yield state
        state = self._ended(state, boxes[-1])
        yield state
        return state

    def _ended(self, best: State, box: Box) -> State:
        """End the batch: post-process the last layer where the settings say so; record the end
        where the last sweep does not say what goes on."""
        when, is_last = self.settings.postprocess, self.number == self.settings.total_batches
        iterate, result, began = best.iterate, best.network, time.perf_counter()
        fits: list[Fit] = []
        if when == "batch" and best.batch_accuracy < 1.0:
            iterate, fits = self._postprocess(iterate, box, self.part)
            result = best.mean.with_weights(iterate).of(iterate)
        elif is_last and when in ("end", "all"):
            bound = self.settings.output_box or self.objective.output_box
            whole = whole_box(result.blocks[-1].theta, bound)
            part = self.seen if when == "end" else slice(None)
            result, fits = self._postprocess(result, whole, part)
        ended, phases = best, list[Phase]()
        if fits:
            ended = self._judged(best, iterate, result)
            if iterate is best.iterate:  # the training ends, with other weights than the batch's
                ended = replace(ended, batch_accuracy=self._share_right(result))
            counts = Statistics.of(fits)
            phases = [Phase.ended(len(result.blocks), "post-processing", True, began, counts)]
        if fits or not best.history[-1].taken:
            sweep = next(record.sweep for record in reversed(best.history) if record.taken)
            ended = ended.after(best, Record.of(ended, phases, began, sweep=sweep, kind="end"))
        mean = best.mean.with_weights(iterate)
        return replace(ended, mean=mean, batch_ended=True, is_last=is_last)

    def _postprocess(
        self, network: Network, box: Box, part: IntArray | slice
    ) -> tuple[Network, list[Fit]]:
        """Post-process the last layer on the given samples."""
        options = self.settings.setup
        if options.limits.gap is None:
            limits = replace(options.limits, gap=self.objective.postprocess_gap)
            options = replace(options, limits=limits)
        return fit_last_layer(
            network,
            TrainingData(self.data.X[part], self.data.y[part]),
            self.objective.postprocessed(self.settings.tolerance),
            box,
            options,
            self.workers,
            self.watch,
            self.number,
        )

    def _judged(self, state: State, iterate: Network, result: Network) -> State:
        """Return the state in which these are the weights, with their accuracies."""
        data, test_accuracy = self.data, None
        if data.X_test is not None and data.y_test is not None:
            test_accuracy = share_right(result, data.X_test, data.y_test)
        return replace(
            state,
            network=result,
            iterate=iterate,
            batch=self.number,
            batch_accuracy=self._share_right(iterate),
            seen_accuracy=share_right(result, data.X[self.seen], data.y[self.seen]),
            test_accuracy=test_accuracy,
            batch_ended=False,
        )

    def _share_right(self, network: Network) -> float:
        """Share of the batch's samples for which the network decides right."""
        return share_right(network, self.data.X[self.part], self.data.y[self.part])


def _as_slice(indices: IntArray) -> IntArray | slice:
    """Return ascending indices as a slice, which takes no copy, where there is no gap."""
    first, end = int(indices[0]), int(indices[-1]) + 1
    return slice(first, end) if end - first == indices.size else indices


def share_right(network: Network, X: FloatArray, y: IntArray) -> float:
    """Share of the samples for which the network decides for output `y`."""
    return float(np.mean(network.decide(network.forward(X)) == y))


@dataclass(frozen=True, eq=False)
class Trained:
    """Outcome of `train`.

    Parameters
    ----------
    network : Network
        The network.
    history : tuple of Record
        A record of every sweep, and of the end of every batch whose last sweep does not say what
        goes on.
    tally : Statistics
        Counts of what was solved.
    purposes : mapping
        The same by what the programs are for, one of `layermilp.algorithms.statistics.PURPOSES`.
    seconds : float
        Wall seconds.
    """

    network: Network
    history: tuple[Record, ...]
    tally: Statistics
    purposes: Mapping[str, Statistics]
    seconds: float


@dataclass(kw_only=True)
class Call(Sweeps, WorkerOptions):
    """Keywords of `train`: its options, the workers, and test data."""

    X_test: ArrayLike | None = option(
        None,
        "test samples",
        "Test samples, shape ``(m_test, n_inputs)``, whose accuracy is recorded. They decide "
        "nothing.",
        is_flag=False,
        decides=False,
    )
    y_test: ArrayLike | None = option(None, "their labels", is_flag=False, decides=False)


@with_options(Call)
def train(network: Network, X: ArrayLike, y: ArrayLike, options: Call) -> Trained:
    """Train a network with linear and mixed-integer programs (Goebbels 2021, Algorithm 1 in
    batches).

    For every batch, sweeps from the last layer to the first are repeated while the accuracy on the
    batch rises; the weights of the best sweep go on. From the second batch on each parameter `w`
    stays within ``w - trust_factor |w| - trust_offset`` and ``w + trust_factor |w| + trust_offset``
    of its value before the batch (10). The paper's setting is
    ``**layermilp.preset("goebbels2021").options``, for a network with ``init="paper"``.

    Parameters
    ----------
    network : Network
        Where to start; it is not changed.
    X : (m, n_inputs) array
        Training samples, non-negative.
    y : (m,) array
        Their labels, among ``network.classes``.
    {options}

    Returns
    -------
    Trained
        ``network``, ``history``, ``tally``, ``purposes``, ``seconds``.

    Raises
    ------
    DataError
        If the data do not fit the network, hold NaN, infinite or negative values or unknown labels,
        or are fewer than a batch.
    OptionError
        If an option is unknown or out of its range.
    SolverError
        If the solver is not installed, or a program is too large for its edition.
    """
    with options.workers() as workers:
        data = TrainingData.of(network, X, y, options.X_test, options.y_test)
        return run(network, data, Sweeps.of(options), workers)


def run(
    network: Network,
    data: TrainingData,
    settings: Sweeps,
    workers: Workers,
    watch: Watch = lambda step: None,
) -> Trained:
    """Train to the end."""
    began = time.perf_counter()
    state = deque(training(network, data, settings, workers, watch), maxlen=1).pop()
    seconds, tally = time.perf_counter() - began, state.tally
    return Trained(state.network, state.records, tally.total, tally.purposes, seconds)
