"""Training in batches: the ``while`` loop of Algorithm 1, trust regions from batch to batch,
post-processing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.algorithms.statistics import Phase, Statistics
from layermilp.formulations.loss import Box, OutputLoss
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.postprocess import fit_last_layer
from layermilp.layerwise.schedule import WeightAverage, sample_order, trust_box, whole_box
from layermilp.layerwise.sweep import SILENT, Sweep, SweepCallback, Swept
from layermilp.networks.network import Network
from layermilp.options import option, with_options
from layermilp.parallel import WorkerOptions, Workers
from layermilp.program import FloatArray, IntArray


@dataclass(frozen=True)
class Record:
    """One sweep, as a line of ``history.jsonl``.

    Accuracies are shares of right predictions: on the batch, with the weights after the sweep; and
    with the weights that a run which ends here returns, their average over batches, on all training
    samples seen up to and with this batch and on the test data (None without them, never used for a
    choice). Programs are those of the sweep; its phases, in their order, may be followed by that of
    post-processing."""

    batch: int
    sweep: int
    batch_accuracy: float
    seen_accuracy: float
    test_accuracy: float | None
    objectives: tuple[float, ...]
    start_objectives: tuple[float, ...]
    programs: int
    optimal: int
    at_limit: int
    failed: int
    largest_gap: float
    solver_calls: dict[str, int]
    seconds: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, eq=False)
class State:
    """Where training is after a sweep, or at the end of a batch.

    Parameters
    ----------
    network : Network
        What a run that ends here returns: the average of the weights after the batches, the best of
        this one included.
    iterate : Network
        The best weights of the batch so far; at the end of a batch those that go on.
    batch : int
        Number of the batch, from 1.
    batch_ended : bool
        Whether the batch is over.
    mean : WeightAverage
        Average of the weights after the batches that are over.
    records : tuple of Record
        All sweeps so far.
    tally : Statistics
        All programs so far, post-processing included.
    batch_accuracy : float
        Of `iterate` on the batch.
    seen_accuracy, test_accuracy : float
        Of `network`, as in `Record`.
    """

    network: Network
    iterate: Network
    batch: int
    batch_ended: bool
    mean: WeightAverage
    records: tuple[Record, ...]
    tally: Statistics
    batch_accuracy: float
    seen_accuracy: float
    test_accuracy: float | None


def training(
    network: Network,
    data: TrainingData,
    settings: Sweeps,
    workers: Workers,
    callback: SweepCallback = SILENT,
    begin: State | None = None,
) -> Iterator[State]:
    """Train as `train` does; yield the state after every sweep and at the end of every batch.

    Whoever iterates holds the best weights so far at any time, so an interrupted run loses one
    sweep at most. With the state at the end of a batch as `begin` the run goes on with the next
    one, as if it had not been interrupted. The callback is told of the tasks and steps of all
    sweeps."""
    objective = settings.objective_for(network, data.y)
    iterate = network.with_decision(objective.decision)
    order, mean = sample_order(len(data.X), settings), WeightAverage(settings.average)
    records: tuple[Record, ...] = ()
    tally, done = Statistics(), 0
    if begin is not None:
        iterate, mean, records, tally, done = (
            begin.iterate,
            begin.mean,
            begin.records,
            begin.tally,
            begin.batch,
        )
    for number in range(done + 1, settings.total_batches + 1):
        batch = _Batch(number, order, data, settings, objective, workers, callback)
        boxes = tuple(
            trust_box(block.theta, settings, first=not mean.sums) for block in iterate.blocks
        )
        accuracy, last_accuracy = 0.0, -1.0
        best: State | None = None
        for sweep_number in range(1, settings.max_sweeps + 1):
            if accuracy <= last_accuracy or accuracy == 1.0:
                break
            began = time.perf_counter()
            swept = batch.sweep(iterate, boxes, sweep_number)
            iterate, last_accuracy = swept.network, accuracy
            result = mean.with_weights(iterate).of(iterate)
            record = batch.record(sweep_number, swept, result, began)
            records, tally, accuracy = (
                (*records, record),
                tally + swept.statistics,
                record.batch_accuracy,
            )
            if best is None or accuracy > best.batch_accuracy:
                accuracies = accuracy, record.seen_accuracy, record.test_accuracy
                best = State(result, iterate, number, False, mean, records, tally, *accuracies)
            best = replace(best, records=records, tally=tally)
            yield best
        assert best is not None  # there is at least one sweep
        ended = batch.ended(best, mean, boxes[-1])
        yield ended
        iterate, tally, mean = ended.iterate, ended.tally, ended.mean


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
        callback: SweepCallback,
    ) -> None:
        self.number, self.objective = number, objective
        self.data, self.settings, self.workers, self.callback = data, settings, workers, callback
        end = number * settings.batch_size
        self.part = order[end - settings.batch_size : end]
        self.seen = _as_slice(np.unique(order[:end]))

    def sweep(self, network: Network, boxes: tuple[Box, ...], number: int) -> Swept:
        """Run one sweep on the batch."""
        sweep = Sweep(
            self.objective,
            self.settings.regularized_setup,
            self.settings.seed,
            self.number,
            number,
            self.workers,
            self.callback,
        )
        return sweep.run(network, self.data.X[self.part], self.data.y[self.part], boxes)

    def record(self, number: int, swept: Swept, result: Network, began: float) -> Record:
        """Describe a sweep that began at a time of the performance counter, and after which
        `result` would be returned."""
        seen_accuracy, test_accuracy = self._accuracies(result)
        return Record(
            batch=self.number,
            sweep=number,
            batch_accuracy=self._share(swept.network, self.part),
            seen_accuracy=seen_accuracy,
            test_accuracy=test_accuracy,
            objectives=tuple(fit.objective for fit in swept.layers),
            start_objectives=tuple(fit.start_objective for fit in swept.layers),
            programs=swept.statistics.programs,
            optimal=swept.statistics.optimal,
            at_limit=swept.statistics.at_limit,
            failed=swept.statistics.failed,
            largest_gap=swept.statistics.largest_gap,
            solver_calls=dict(swept.statistics.solver_calls),
            seconds=time.perf_counter() - began,
            phases=swept.phases,
        )

    def ended(self, best: State, mean: WeightAverage, box: Box) -> State:
        """End the batch: post-process the last layer where the settings say so; `mean` is the
        average before the batch."""
        when, is_last = self.settings.postprocess, self.number == self.settings.total_batches
        iterate, result, tally, began = best.iterate, best.network, best.tally, time.perf_counter()
        if when == "batch" and best.batch_accuracy < 1.0:
            iterate, more = self._postprocess(iterate, box, self.part)
            result = mean.with_weights(iterate).of(iterate)
        elif is_last and when in ("end", "all"):
            part = self.seen if when == "end" else slice(None)
            bound = self.settings.bound_of_outputs(self.objective)
            result, more = self._postprocess(
                result, whole_box(result.blocks[-1].theta, bound), part
            )
        else:
            return replace(best, batch_ended=True, mean=mean.with_weights(iterate))
        accuracies = (self._share(iterate, self.part), *self._accuracies(result))
        after = mean.with_weights(iterate)
        phase = Phase.ended(len(result.blocks), "post-processing", began, more)
        last = replace(best.records[-1], phases=(*best.records[-1].phases, phase))
        return State(
            result,
            iterate,
            self.number,
            True,
            after,
            (*best.records[:-1], last),
            tally + more,
            *accuracies,
        )

    def _postprocess(
        self, network: Network, box: Box, part: IntArray | slice
    ) -> tuple[Network, Statistics]:
        """Post-process the last layer on the given samples."""
        options = self.settings.setup
        if options.limits.gap is None:
            limits = replace(options.limits, gap=self.objective.postprocess_gap)
            options = replace(options, limits=limits)
        network, fits = fit_last_layer(
            network,
            TrainingData(self.data.X[part], self.data.y[part]),
            self.objective.postprocessed(self.settings.tolerance),
            box,
            options,
            self.workers,
            self.callback,
            self.number,
        )
        return network, Statistics.of(fits)

    def _accuracies(self, network: Network) -> tuple[float, float | None]:
        """Return the accuracy on all samples seen and on the test data."""
        seen, data = self._share(network, self.seen), self.data
        if data.X_test is None or data.y_test is None:
            return seen, None
        return seen, share_right(network, data.X_test, data.y_test)

    def _share(self, network: Network, part: IntArray | slice) -> float:
        return share_right(network, self.data.X[part], self.data.y[part])


def _as_slice(indices: IntArray) -> IntArray | slice:
    """Return ascending indices as a slice where there is no gap, which takes no copy of the
    samples."""
    first, end = int(indices[0]), int(indices[-1]) + 1
    return slice(first, end) if end - first == indices.size else indices


def share_right(network: Network, X: FloatArray, y: IntArray) -> float:
    """Share of the samples for which the network decides for output `y`."""
    return float(np.mean(network.decide(network.forward(X)) == y))


@dataclass(frozen=True, eq=False)
class Trained:
    """Outcome of `train`: the network, a record per sweep, what was solved, and wall seconds."""

    network: Network
    history: tuple[Record, ...]
    tally: Statistics
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
    y_test: ArrayLike | None = option(
        None, "their labels", "Their labels.", is_flag=False, decides=False
    )


@with_options(Call)
def train(network: Network, X: ArrayLike, y: ArrayLike, options: Call) -> Trained:
    """Train a network with linear and mixed-integer programs (Goebbels 2021, Algorithm 1 in
    batches).

    For every batch, sweeps from the last layer to the first are repeated while the accuracy on the
    batch rises; the weights of the best sweep go on. From the second batch on each parameter `w`
    stays within ``w - trust_factor |w| - trust_offset`` and ``w + trust_factor |w| + trust_offset``
    of its value before the batch (10). The paper's setting is
    ``**layermilp.preset("goebbels2021").options``, for a network with ``init="uniform"``.

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
        ``network``, ``history`` (a `Record` per sweep), ``tally``, ``seconds``.

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
    callback: SweepCallback = SILENT,
) -> Trained:
    """Train to the end."""
    began = time.perf_counter()
    state = None
    for state in training(network, data, settings, workers, callback):  # noqa: B007
        pass
    assert state is not None  # there is at least one batch
    return Trained(state.network, state.records, state.tally, time.perf_counter() - began)
