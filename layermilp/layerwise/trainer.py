"""Training in batches: the ``while`` loop of Algorithm 1, trust regions from batch to batch,
post-processing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.statistics import Phase, Statistics
from layermilp.formulations.loss import Box, OutputLoss
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.objective import ClassWeight
from layermilp.layerwise.options import (
    DEFAULT_NODE_LIMIT,
    DEFAULT_SETUP,
    DEFAULT_TARGET_GAP,
    Settings,
)
from layermilp.layerwise.postprocess import fit_last_layer
from layermilp.layerwise.schedule import WeightAverage, sample_order, trust_box, whole_box
from layermilp.layerwise.sweep import SILENT, Sweep, SweepCallback, Swept
from layermilp.networks.network import Network
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray, Limits


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
    settings: Settings,
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
        settings: Settings,
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


def train(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    batches: int = Settings.batches,
    batch_size: int = Settings.batch_size,
    epochs: int | None = Settings.epochs,
    objective: str = Settings.objective,
    class_weight: ClassWeight = Settings.class_weight,
    input_penalty: float = Settings.input_penalty,
    solver: str = "auto",
    n_jobs: int = 2,
    backend: str = "loky",
    address: str | None = None,
    seed: int = Settings.seed,
    first_sample: int = Settings.first_sample,
    formulation: str = DEFAULT_SETUP.formulation,
    time_limit: float | None = None,
    gap: float | None = None,
    target_gap: float = DEFAULT_TARGET_GAP,
    node_limit: int | None = DEFAULT_NODE_LIMIT,
    max_sweeps: int = Settings.max_sweeps,
    box: float = Settings.box,
    output_box: float | None = Settings.output_box,
    trust_factor: float = Settings.trust_factor,
    trust_offset: float = Settings.trust_offset,
    average: float = Settings.average,
    postprocess: str = Settings.postprocess,
    tolerance: float = Settings.tolerance,
    tie_break: str = DEFAULT_SETUP.tie_break,
    ridge: float = Settings.ridge,
    weight_decay: float | None = Settings.weight_decay,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
) -> Trained:
    """Train a network with linear and mixed-integer programs (Goebbels 2021, Algorithm 1 in
    batches).

    For every batch, sweeps from the last layer to the first are repeated while the accuracy on the
    batch rises; the weights of the best sweep go on. From the second batch on each parameter `w`
    stays within ``w - trust_factor |w| - trust_offset`` and ``w + trust_factor |w| + trust_offset``
    of its value before the batch (10). The report's setting is
    ``**layermilp.preset("goebbels2021").options``, for a network with ``init="uniform"``.

    Parameters
    ----------
    network : Network
        Where to start; it is not changed.
    X : (m, n_inputs) array
        Training samples, non-negative.
    y : (m,) array
        Their labels, among ``network.classes``.
    batches : int
        Batches of an epoch. They are taken in the order of the samples; when these are used up,
        batches run on into reshuffled passes.
    batch_size : int
        Samples per batch.
    epochs : int, optional
        Passes over the samples of these batches; every one after the first is reshuffled. By
        default as many as make 200 batches, from 1 to 20.
    objective : {"margin", "l1"}
        What the last layer minimizes: the lack of a lead of one over every other output, all
        outputs jointly, where the class is the largest output; or the report's (7) and (8), the
        deviation from one-hot targets, where it is the output closest to one.
    class_weight : None, "balanced", number or mapping
        Factor of the ``l1`` loss where a target is one, see `postprocess`.
    input_penalty : float
        Price `mu` of a change of the last layer's inputs, for ``margin``: its proposals minimize
        ``xi + mu |x' - x|_1``.
    solver : {"auto", "cplex", "highs", "cbc", "gurobi"}
        Who solves the programs; ``auto`` chooses per program.
    n_jobs : int
        Worker processes; -1 for one per core. The result does not depend on it unless a time limit
        is hit.
    backend : {"loky", "dask", "ray"}
        Where they are: on this machine, or in a Dask or Ray cluster, which has as many as it has
        cores.
    address : str, optional
        Of the running cluster; without it one of `n_jobs` processes is started on this machine.
    seed : int
        Seed of reshuffled passes and of the solvers.
    first_sample : int
        Sample with which the first batch begins.
    formulation : {"reduced", "paper"}
        Weight program, see `layermilp.formulations.big_m`.
    time_limit : float, optional
        Seconds per program. Runs in which it is hit are not repeatable.
    gap : float, optional
        Relative gap at which a program counts as solved, besides `target_gap`; None for 1e-6.
    target_gap : float
        A program also counts as solved when ``objective - bound`` is at most this share of the sum
        of its targets. With 0 and no limits every program is solved to its proven optimum, which
        takes hours.
    node_limit : int, optional
        Branch-and-bound nodes per program, a limit that is repeatable; None for none. With a limit,
        hidden layers' programs of 400,000 entries and more (rows times unknowns) are improved by
        descents and not searched.
    max_sweeps : int
        Most sweeps per batch.
    box : float
        Bound of every parameter's absolute value (the report's 1).
    output_box : float, optional
        The same in post-processing at the end, for the last layer; by default 1 for ``l1`` and 10
        for ``margin``.
    trust_factor, trust_offset : float
        Of the bounds (10).
    average : float
        Factor `f` of the exponential average of the weights over batches that is returned,
        ``sum_t f^(T - t) w_t / sum_t f^(T - t)``; 0 for the last weights.
    postprocess : {"none", "batch", "end", "all"}
        When the last layer's program of section 2.3 runs: never; after each batch that is not fully
        learned, on that batch and within its bounds; at the end on all samples of the batches; or
        at the end on all samples of `X`. For ``margin`` it stops within 1 % of the optimum unless
        `gap` says otherwise.
    tolerance : float
        Its dead zone, for ``l1``.
    tie_break : {"l2", "l1", "none"}
        Which of several optimal weights: those nearest to the present ones in a norm, or whichever
        the solver returns.
    ridge, weight_decay : float
        Hidden layers minimize ``|w - (1 - weight_decay) w_0|^2 + sum_k m_k^2 / (ridge q)``, where a
        sample misses its target by ``m = a - t``, or ``max(0, a)`` for a target of zero, ``w_0``
        are the present weights, and `q` is the mean squared norm of an input and its 1; see
        `layermilp.algorithms.ridge`. By default the decay is ``1 / batches``, from 0.01 to 0.1, so
        that an epoch forgets what no batch asks for. With ``ridge=0``, the report's, they minimize
        ``sum_k |max(0, a) - t|`` by mixed-integer programs, among whose solutions `tie_break`
        chooses; the formulation ``paper`` always does so. A weight decay needs a ridge.
    X_test, y_test : arrays, optional
        Test data whose accuracy is recorded. It decides nothing.

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
    settings = Settings(
        batches=batches,
        batch_size=batch_size,
        epochs=epochs,
        first_sample=first_sample,
        seed=seed,
        objective=objective,
        class_weight=class_weight,
        input_penalty=input_penalty,
        ridge=ridge,
        weight_decay=weight_decay,
        setup=SolveOptions(
            formulation, solver, Limits(time_limit, gap, node_limit), {}, tie_break, target_gap
        ),
        max_sweeps=max_sweeps,
        box=box,
        output_box=output_box,
        trust_factor=trust_factor,
        trust_offset=trust_offset,
        average=average,
        postprocess=postprocess,
        tolerance=tolerance,
    )
    with Workers(n_jobs, backend, address) as workers:
        return run(network, TrainingData.of(network, X, y, X_test, y_test), settings, workers)


def run(
    network: Network,
    data: TrainingData,
    settings: Settings,
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
