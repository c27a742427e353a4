"""Training in batches: the ``while`` loop of Algorithm 1, trust regions from batch to batch, post-processing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from layermilp.errors import DataError, OptionError
from layermilp.formulations.neuron import FORMULATIONS
from layermilp.layerwise.solve import TIE_BREAKS, Setup
from layermilp.layerwise.sweep import Box, SeededSetups, Step, Swept, Watcher, fit_block, sweep
from layermilp.layerwise.tally import Tally
from layermilp.network import Network, nearest_to_one
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray, Limits
from layermilp.solvers import require

POSTPROCESS = ("batch", "end", "none")
"""When the last layer is post-processed: after every batch, once on all samples seen, or never."""

DEFAULT_TARGET_GAP = 0.05
"""Share of its targets' sum to within which a program is solved in training, see `Setup`."""

DEFAULT_NODE_LIMIT = 20
"""Branch-and-bound nodes per program in training, so that no program stalls a run, repeatably."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run, besides the network and the data; see `train` for each.

    Raises
    ------
    OptionError
        If a value is out of its range; the message names it.
    """

    batches: int = 20
    batch_size: int = 100
    seed: int = 0
    setup: Setup = field(default_factory=Setup)
    max_sweeps: int = 20
    box: float = 1.0
    trust_factor: float = 0.6
    trust_offset: float = 0.01
    postprocess: str = "end"
    tolerance: float = 0.49

    def __post_init__(self) -> None:
        for name in ("batches", "batch_size", "max_sweeps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise OptionError(f"{name} is {value!r}; it must be a whole number of at least 1")
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise OptionError(f"seed is {self.seed!r}; it must be a whole number of at least 0")
        for name in ("box", "trust_factor", "trust_offset", "tolerance"):
            value = getattr(self, name)
            if not np.isfinite(value) or value < 0.0 or (name == "box" and value == 0.0):
                raise OptionError(f"{name} is {value!r}; it must be a finite number of at least 0 (the box above 0)")
        if self.postprocess not in POSTPROCESS:
            raise OptionError(f"postprocess is {self.postprocess!r}; choose {', '.join(POSTPROCESS)}")
        if self.setup.formulation not in FORMULATIONS:
            raise OptionError(f"formulation {self.setup.formulation!r} is unknown; choose {', '.join(FORMULATIONS)}")
        if not 0.0 <= self.setup.target_gap < np.inf:
            raise OptionError(f"target_gap is {self.setup.target_gap!r}; it must be a finite number of at least 0")
        if self.setup.tie_break not in TIE_BREAKS:
            raise OptionError(f"tie_break is {self.setup.tie_break!r}; choose {', '.join(TIE_BREAKS)}")
        if self.setup.options and self.setup.solver == "auto":
            raise OptionError(f"options of a solver ({', '.join(self.setup.options)}) need that solver to be named, not auto")
        require(self.setup.solver)


@dataclass(frozen=True)
class Record:
    """One sweep, as a line of ``history.jsonl``.

    Accuracies are shares of right predictions with the weights after the sweep: on the batch, on all training samples seen
    up to and with this batch, and on the test data (None without them, never used for a choice).
    """

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


@dataclass(frozen=True, eq=False)
class State:
    """Where training is after a sweep, or at the end of a batch.

    Parameters
    ----------
    network : Network
        The best weights of the batch so far; at the end of a batch those that go on.
    batch : int
        Number of the batch, from 1.
    batch_ended : bool
        Whether the batch is over.
    records : tuple of Record
        All sweeps so far.
    tally : Tally
        All programs so far, post-processing included.
    batch_accuracy, seen_accuracy, test_accuracy : float
        Of `network`, as in `Record`.
    """

    network: Network
    batch: int
    batch_ended: bool
    records: tuple[Record, ...]
    tally: Tally
    batch_accuracy: float
    seen_accuracy: float
    test_accuracy: float | None


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples and the outputs their labels stand for, checked against a network; test data may be missing."""

    X: FloatArray
    y: IntArray
    X_test: FloatArray | None = None
    y_test: IntArray | None = None

    @classmethod
    def of(
        cls,
        network: Network,
        X: ArrayLike,
        y: ArrayLike,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
    ) -> TrainingData:
        """Check the data against the network.

        Raises
        ------
        DataError
            See `train`.
        """
        samples, labels = _checked(network, X, y, "training")
        if (X_test is None) != (y_test is None):
            raise DataError("test data need both samples and labels")
        if X_test is None or y_test is None:
            return cls(samples, labels)
        return cls(samples, labels, *_checked(network, X_test, y_test, "test"))


def training(
    network: Network, data: TrainingData, settings: Settings, workers: Workers, watch: Watcher = lambda step: None
) -> Iterator[State]:
    """Train as `train` does; yield the state after every sweep and at the end of every batch.

    Whoever iterates holds the best weights so far at any time, so an interrupted run loses one sweep at most.
    """
    order = sample_order(len(data.X), settings)
    records: tuple[Record, ...] = ()
    tally = Tally()
    for batch in range(1, settings.batches + 1):
        part = order[(batch - 1) * settings.batch_size : batch * settings.batch_size]
        run = _Batch(batch, part, min(batch * settings.batch_size, len(data.X)), data, settings, workers, watch)
        boxes = tuple(trust_box(block.theta, settings, first=batch == 1) for block in network.blocks)
        accuracy, last_accuracy = 0.0, -1.0
        best, best_accuracy = network, -1.0
        for sweep_number in range(1, settings.max_sweeps + 1):
            if accuracy <= last_accuracy or accuracy == 1.0:
                break
            began = time.perf_counter()
            swept = run.sweep(network, boxes, sweep_number)
            network, last_accuracy = swept.network, accuracy
            record = run.record(sweep_number, swept, began)
            records, tally, accuracy = (*records, record), tally + swept.tally, record.batch_accuracy
            if accuracy > best_accuracy:
                best, best_accuracy = network, accuracy
            yield run.state(best, False, records, tally)
        network = best
        if settings.postprocess == "batch" and best_accuracy < 1.0:
            network, more = run.postprocess(network, boxes[-1], part)
            tally += more
        if settings.postprocess == "end" and batch == settings.batches:
            network, more = run.postprocess(network, _whole_box(network, settings), np.unique(order[: batch * part.size]))
            tally += more
        yield run.state(network, True, records, tally)


class _Batch:
    """What the steps of one batch have in common."""

    def __init__(
        self,
        number: int,
        part: IntArray,
        n_seen: int,
        data: TrainingData,
        settings: Settings,
        workers: Workers,
        watch: Watcher,
    ) -> None:
        self.number, self.part, self.n_seen = number, part, n_seen
        self.data, self.settings, self.workers, self.watch = data, settings, workers, watch

    def sweep(self, network: Network, boxes: tuple[Box, ...], number: int) -> Swept:
        """Run one sweep on the batch."""
        return sweep(
            network,
            self.data.X[self.part],
            _one_hot(self.data.y[self.part], network.n_outputs),
            boxes,
            self.settings.setup,
            (self.settings.seed, self.number, number),
            self.workers,
            lambda step: self.watch(replace(step, batch=self.number, sweep=number)),
        )

    def postprocess(self, network: Network, box: Box, part: IntArray) -> tuple[Network, Tally]:
        """Fit the last layer with the dead zone on the given samples (section 2.3)."""
        last = len(network.blocks) - 1
        block, fits = fit_block(
            network.blocks[last],
            network.activations(self.data.X[part])[last],
            _one_hot(self.data.y[part], network.n_outputs),
            box,
            True,
            self.settings.tolerance,
            SeededSetups(self.settings.setup, (self.settings.seed, self.number, 0, last)),
            self.workers,
            lambda done, total: self.watch(Step(last + 1, "post-processing", done, total, self.number)),
        )
        return network.with_block(last, block), Tally.of(fits)

    def record(self, number: int, swept: Swept, began: float) -> Record:
        """Describe a sweep that began at a time of the performance counter."""
        batch_accuracy, seen_accuracy, test_accuracy = self._accuracies(swept.network)
        return Record(
            batch=self.number,
            sweep=number,
            batch_accuracy=batch_accuracy,
            seen_accuracy=seen_accuracy,
            test_accuracy=test_accuracy,
            objectives=tuple(fit.objective for fit in swept.layers),
            start_objectives=tuple(fit.start_objective for fit in swept.layers),
            programs=swept.tally.programs,
            optimal=swept.tally.optimal,
            at_limit=swept.tally.at_limit,
            failed=swept.tally.failed,
            largest_gap=swept.tally.largest_gap,
            solver_calls=dict(swept.tally.solver_calls),
            seconds=time.perf_counter() - began,
        )

    def state(self, network: Network, ended: bool, records: tuple[Record, ...], tally: Tally) -> State:
        """Describe where training is."""
        return State(network, self.number, ended, records, tally, *self._accuracies(network))

    def _accuracies(self, network: Network) -> tuple[float, float, float | None]:
        data = self.data
        test = None
        if data.X_test is not None and data.y_test is not None:
            test = share_right(network, data.X_test, data.y_test)
        seen = slice(0, self.n_seen)
        return (
            share_right(network, data.X[self.part], data.y[self.part]),
            share_right(network, data.X[seen], data.y[seen]),
            test,
        )


def sample_order(n_samples: int, settings: Settings) -> IntArray:
    """Order in which samples fill the batches: as they come, then in reshuffled passes.

    Raises
    ------
    DataError
        If a batch is larger than the data.
    """
    if settings.batch_size > n_samples:
        raise DataError(f"a batch of {settings.batch_size} needs more than the {n_samples} training samples there are")
    rng = np.random.default_rng(settings.seed)
    wanted = settings.batches * settings.batch_size
    passes = [np.arange(n_samples)]
    while len(passes) * n_samples < wanted:
        passes.append(rng.permutation(n_samples))
    return np.concatenate(passes)[:wanted]


def trust_box(theta: FloatArray, settings: Settings, *, first: bool) -> Box:
    """Bounds of the parameters in a batch: the box in the first, (10) within the box in the others."""
    whole = np.full(theta.shape, settings.box)
    if first:
        return Box(-whole, whole)
    theta = np.clip(theta, -whole, whole)
    reach = settings.trust_factor * np.abs(theta) + settings.trust_offset
    return Box(np.maximum(theta - reach, -whole), np.minimum(theta + reach, whole))


def share_right(network: Network, X: FloatArray, y: IntArray) -> float:
    """Share of the samples for which the output closest to one is `y`."""
    return float(np.mean(nearest_to_one(network.forward(X)) == y))


def _whole_box(network: Network, settings: Settings) -> Box:
    return trust_box(network.blocks[-1].theta, settings, first=True)


def _one_hot(y: IntArray, n_outputs: int) -> FloatArray:
    return np.eye(n_outputs)[y]


def _checked(network: Network, X: ArrayLike, y: ArrayLike, what: str) -> tuple[FloatArray, IntArray]:
    samples = np.ascontiguousarray(X, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[1] != network.n_inputs:
        raise DataError(f"the network takes {network.n_inputs} inputs, but the {what} data have shape {samples.shape}")
    labels = network.class_indices(y)
    if len(samples) != len(labels) or not len(samples):
        raise DataError(f"there are {len(samples)} {what} samples and {len(labels)} labels")
    if not np.all(np.isfinite(samples)):
        row, column = np.argwhere(~np.isfinite(samples))[0]
        raise DataError(f"{what} sample {row} has the value {samples[row, column]} at input {column}")
    if np.any(samples < 0.0):
        row, column = np.argwhere(samples < 0.0)[0]
        raise DataError(
            f"{what} sample {row} has the value {samples[row, column]:g} at input {column}; the method needs non-negative "
            "inputs, scale them to [0, 1]"
        )
    return samples, labels


@dataclass(frozen=True, eq=False)
class Trained:
    """Outcome of `train`: the network, a record per sweep, what was solved, and wall seconds."""

    network: Network
    history: tuple[Record, ...]
    tally: Tally
    seconds: float


def train(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    batches: int = 20,
    batch_size: int = 100,
    solver: str = "auto",
    n_jobs: int = 2,
    seed: int = 0,
    formulation: str = "reduced",
    time_limit: float | None = None,
    gap: float | None = None,
    target_gap: float = DEFAULT_TARGET_GAP,
    node_limit: int | None = DEFAULT_NODE_LIMIT,
    max_sweeps: int = 20,
    box: float = 1.0,
    trust_factor: float = 0.6,
    trust_offset: float = 0.01,
    postprocess: str = "end",
    tolerance: float = 0.49,
    tie_break: str = "nearest",
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
) -> Trained:
    """Train a network with linear and mixed-integer programs (Goebbels 2021, Algorithm 1 in batches).

    For every batch, sweeps from the last layer to the first are repeated while the accuracy on the batch rises; the weights
    of the best sweep go on. From the second batch on each parameter `w` stays within
    ``w - trust_factor |w| - trust_offset`` and ``w + trust_factor |w| + trust_offset`` of its value before the batch (10).

    Parameters
    ----------
    network : Network
        Where to start; it is not changed.
    X : (m, n_inputs) array
        Training samples, non-negative.
    y : (m,) array
        Their labels, among ``network.classes``.
    batches : int
        Number of batches. They are taken in the order of the samples; when these are used up, batches run on into
        reshuffled passes.
    batch_size : int
        Samples per batch.
    solver : {"auto", "cplex", "highs", "cbc"}
        Who solves the programs; ``auto`` chooses per program.
    n_jobs : int
        Worker processes; -1 for one per core. The result does not depend on it unless a time limit is hit.
    seed : int
        Seed of reshuffled passes and of the solvers.
    formulation : {"reduced", "paper"}
        Weight program, see `layermilp.formulations.neuron`.
    time_limit : float, optional
        Seconds per program. Runs in which it is hit are not repeatable.
    gap : float, optional
        Relative gap at which a program counts as solved, besides `target_gap`; None for 1e-6.
    target_gap : float
        A program also counts as solved when ``objective - bound`` is at most this share of the sum of its targets. With 0
        and no limits every program is solved to its proven optimum, which takes hours.
    node_limit : int, optional
        Branch-and-bound nodes per program, a limit that is repeatable; None for none.
    max_sweeps : int
        Most sweeps per batch.
    box : float
        Bound of every parameter's absolute value (the report's 1).
    trust_factor, trust_offset : float
        Of the bounds (10).
    postprocess : {"batch", "end", "none"}
        When the last layer's LP with a dead zone (section 2.3) runs: after each batch that is not fully learned, within its
        bounds; once at the end on all samples seen; or never.
    tolerance : float
        Its dead zone.
    tie_break : {"nearest", "none"}
        Which of several optimal weights: those nearest to the present ones in the l1 norm, or whichever the solver returns.
    X_test, y_test : arrays, optional
        Test data whose accuracy is recorded. It decides nothing.

    Returns
    -------
    Trained
        ``network``, ``history`` (a `Record` per sweep), ``tally``, ``seconds``.

    Raises
    ------
    DataError
        If the data do not fit the network, hold NaN, infinite or negative values or unknown labels, or are fewer than a
        batch.
    OptionError
        If an option is unknown or out of its range.
    SolverError
        If the solver is not installed, or a program is too large for its edition.
    """
    settings = Settings(
        batches=batches,
        batch_size=batch_size,
        seed=seed,
        setup=Setup(formulation, solver, Limits(time_limit, gap, node_limit), {}, tie_break, target_gap),
        max_sweeps=max_sweeps,
        box=box,
        trust_factor=trust_factor,
        trust_offset=trust_offset,
        postprocess=postprocess,
        tolerance=tolerance,
    )
    began = time.perf_counter()
    data = TrainingData.of(network, X, y, X_test, y_test)
    state = None
    with Workers(n_jobs) as workers:
        for state in training(network, data, settings, workers):  # noqa: B007
            pass
    assert state is not None  # there is at least one batch
    return Trained(state.network, state.records, state.tally, time.perf_counter() - began)
