"""The portfolio: cheap witnesses first, then firing patterns, then the formula; and what is known
in the end."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from layermilp.algorithms.budget import Budget
from layermilp.errors import DataError, NetworkError, SolverError
from layermilp.networks.network import Network
from layermilp.options import with_options
from layermilp.program import Limits
from layermilp.smt import modules, process
from layermilp.smt.exact import least_lead
from layermilp.smt.gradient import trained
from layermilp.smt.options import STAGES, Portfolio
from layermilp.smt.outcome import Outcome, Stage, Verdict
from layermilp.smt.patterns import descent
from layermilp.smt.problem import Domain, Model, Problem, Weights, activations
from layermilp.smt.witness import last_layer, random_layers, shortened

DRAWS = 3
"""Random lower layers that are tried."""

STARTS = 8
"""Networks that are trained side by side."""

STEPS = 400
"""Steps of their training."""

DESCENTS = 4
"""How many of them, the best ones, are searched for firing patterns."""

WORK = 2e9
"""Multiplications that training may take; large networks get fewer starts and steps for it."""

LARGEST_DESCENT = 50_000
"""Neurons of the last hidden layer times samples beyond which firing patterns are not searched."""

BITS = 8
"""Bits of the values of samples that are rounded for Z3."""

PATIENCE = 240.0
"""Seconds of which a stage before the last takes its share where there is no time limit."""

NODES = 1000
"""Branch-and-bound nodes of a last layer's program on a grid."""


@with_options(Portfolio)
def train(network: Any, X: ArrayLike, y: ArrayLike, options: Portfolio) -> Outcome:
    """Find weights with which every sample's label has the largest output, or prove that there are
    none.

    The formula is that of C. Ison, *Using an SMT Solver for Training Feedforward Neural Networks*.
    It is answered by the first of these stages that can: lower layers drawn at random (``random``)
    or trained by Adam (``trained``), with a last layer by linear equations or a linear program;
    linear programs over firing patterns (``patterns``); and by Z3 through pySMT the formula without
    its symmetries (see `layermilp.smt.encoding.reduced`), for samples of few digits (``rounded``)
    and for the true ones (``formula``), and as it is (``plain``). Only the last two, and equal
    samples with different labels, prove that there are no such weights. What is found is checked in
    exact rational arithmetic and in floating point.

    Parameters
    ----------
    network : Network or torch.nn.Sequential
        Which layers; its weights do not matter. Of a `Network` all blocks are dense. A `Sequential`
        has `Linear` layers with biases and `ReLU` between them, perhaps after a `Flatten`; weights
        that are found are set in it.
    X : (m, d) array
        Samples. A `Sequential` sees them in its own floating-point type.
    y : (m,) array
        Their labels: classes of the network, for a `Sequential` numbers of outputs.
    {options}

    Returns
    -------
    Outcome
        The network, if there is one, and what is known.

    Raises
    ------
    DataError
        If the data do not fit the network, or hold values that are not finite.
    NetworkError
        If the network has another kind of layer, or fewer than two outputs.
    OptionError
        If an option is unknown or out of its range.
    SolverNotAvailable
        If no other stage has an answer, and pySMT or Z3 is not installed.
    """
    if not modules.is_module(network):
        return run(network, X, y, options)
    module = modules.Sequential(network)
    outcome = run(module.network, module.rounded(X), y, options, module.dtype)
    if outcome.network is not None:
        module.set(outcome.network)
        if not module.holds(X, outcome.network.class_indices(y)):
            raise SolverError(
                "the weights hold in exact arithmetic, but not in PyTorch's; use a float64 module"
            )
    return outcome


def run(
    network: Network, X: ArrayLike, y: ArrayLike, options: Portfolio, dtype: str = "float64"
) -> Outcome:
    """Go through the stages until one answers; arguments as in `train`, weights of the given
    floating-point type."""
    return deque(training(network, X, y, options, dtype), maxlen=1).pop()


def training(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    options: Portfolio,
    dtype: str = "float64",
    watch: Callable[[str], None] = lambda text: None,
    before: Outcome | None = None,
) -> Iterator[Outcome]:
    """Go through the stages until one answers; yield what is known after each, the outcome at last.

    `watch` is told of every stage that begins; the stages of an outcome of `before` are not tried
    again. The other arguments are as in `run`.
    """
    problem = _problem(network, X, y, options.domain(dtype))
    budget = Budget.of(options.time_limit, 0.0 if before is None else before.seconds)
    search = Search(problem, options, budget)
    tried = [] if before is None else list(before.stages)

    def outcome(answer: Answer, stage: str | None = None) -> Outcome:
        model = answer.model
        return Outcome(
            answer.verdict,
            None if model is None else _network(network, model.weights),
            stage,
            None if model is None else model.lead,
            answer.reason,
            tuple(tried),
            budget.passed,
        )

    chosen = [stage for stage in STAGES if stage in options.stages]
    for name in ["samples", *chosen][len(tried) :]:
        if budget.is_over:
            break
        watch(f"stage {name}")
        began = time.perf_counter()
        # How linear algebra rounds may depend on its threads, and what is found on that.
        with threadpool_limits(1):
            answer: Answer | None = getattr(search, name)()
        seconds = round(time.perf_counter() - began, 3)
        if answer is None:
            tried.append(Stage(name, "nothing", seconds))
        else:
            tried.append(Stage(name, answer.verdict.value, seconds, answer.reason))
            if answer.verdict in (Verdict.SATISFIED, Verdict.UNSATISFIABLE):
                yield outcome(answer, name)
                return
        yield outcome(Answer(Verdict.UNKNOWN, "the search is not over"))
    yield outcome(_undecided(search, tried))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a stage found: a model, a proof that there is none, or why neither."""

    verdict: Verdict
    reason: str = ""
    model: Model | None = None


class Search:
    """The stages, each of which says what it found, or None if it has nothing to say."""

    def __init__(self, problem: Problem, settings: Portfolio, budget: Budget) -> None:
        self.problem, self.settings, self.budget = problem, settings, budget

    def samples(self) -> Answer | None:
        """Look for equal samples with different labels, which no network tells apart."""
        labels = self.problem.labels
        _, groups = np.unique(self.problem.X, axis=0, return_inverse=True)
        groups = groups.reshape(-1)
        order = np.lexsort((labels, groups))
        a, b = order[:-1], order[1:]
        clash = np.flatnonzero((groups[a] == groups[b]) & (labels[a] != labels[b]))
        if not clash.size:
            return None
        i, j = sorted((int(a[clash[0]]), int(b[clash[0]])))
        reason = f"samples {i} and {j} are equal, but their labels differ"
        return Answer(Verdict.UNSATISFIABLE, reason)

    def random(self) -> Answer | None:
        """Draw lower layers, and solve for the last."""
        rng, problem = self._rng(0), self.problem
        for _ in range(DRAWS if len(problem.sizes) > 2 else 1):
            if self.budget.is_over:
                return None
            lower = random_layers(problem.inputs, problem.sizes[:-1], rng)
            lower = shortened(problem.of_samples(lower)) if lower else lower
            found = last_layer(problem, lower, self._limits())
            if found is not None:
                return Answer(Verdict.SATISFIED, model=found)
        return None

    def trained(self) -> Answer | None:
        """Train all layers, and solve for the last."""
        return self._finished(self._starts(self._rng(1)))

    def patterns(self) -> Answer | None:
        """Train all layers in rounds, each with twice the steps, and descend over the firing
        patterns of the last two."""
        problem, rng = self.problem, self._rng(2)
        if len(problem.sizes) < 3:
            return None
        is_small = problem.sizes[-2] * len(problem.X) * (problem.n_outputs - 1) <= LARGEST_DESCENT
        for i in range(self.settings.rounds):
            starts = self._starts(rng, 2**i)
            descents = (self._descent(start) for start in starts[:DESCENTS] if is_small)
            for candidates in (starts, *descents):
                answer = self._finished(candidates)
                if answer is not None or self.budget.is_over:
                    return answer
        return None

    def _descent(self, start: Weights) -> Iterator[Weights]:
        """Yield what linear programs make of the last two layers."""
        features = activations(start[:-2], self.problem.inputs)
        for pair in descent(features, self.problem.labels, start[-2], start[-1], self._limits()):
            yield (*start[:-2], *pair)

    def rounded(self) -> Answer | None:
        """Ask Z3 about rounded samples, whose numbers are short, for a quarter of the time; a model
        is for the true ones."""
        problem = self.problem.with_short_inputs(BITS)
        if np.array_equal(problem.X, self.problem.X):
            return None
        answer = self._asked(self._formula, 0.25, problem)
        # What holds for rounded samples is no proof, and no reason to say that the time is over.
        return answer if answer.verdict is Verdict.SATISFIED else None

    def formula(self) -> Answer | None:
        """Ask Z3 about the formula without its symmetries; of nonlinear arithmetic it gets half of
        the time."""
        share = 1.0 if self.problem.is_linear or "plain" not in self.settings.stages else 0.5
        return self._asked(self._formula, share, self.problem)

    def plain(self) -> Answer | None:
        """Ask Z3 about the formula as it is."""
        has_grid = self.problem.domain.grid is not None
        return None if has_grid else self._asked("plain", 1.0, self.problem)

    def _finished(self, candidates: Iterable[Weights]) -> Answer | None:
        """Return the first candidate that is a model, or whose lower layers have a last layer that
        makes them one."""
        problem = self.problem
        for candidate in candidates:
            if self.budget.is_over:
                return None
            weights = problem.of_samples(candidate)
            # The last layer's program has the widest margin, so it goes first.
            found = last_layer(problem, weights[:-1], self._limits()) or problem.model(weights)
            if found is not None:
                return Answer(Verdict.SATISFIED, model=found)
        return None

    def _starts(self, rng: np.random.Generator, factor: int = 1) -> list[Weights]:
        """Return trained networks, the best first; the factor is of the work."""
        sizes = self.problem.sizes
        once = 6.0 * len(self.problem.X) * sum(d * n for d, n in itertools.pairwise(sizes))
        runs, steps = factor * WORK / once, factor * STEPS
        starts = int(min(max(runs / steps, 1), STARTS))
        steps = int(min(max(runs / starts, 20), steps))
        return trained(self.problem, starts, steps, rng, self.budget)

    @property
    def _formula(self) -> str:
        return "reduced" if self.problem.domain.grid is None else "grid"

    def _asked(self, kind: str, share: float, asked: Problem) -> Answer:
        """Ask Z3, and check its model exactly before its weights are rounded and after."""
        left = self.budget.ends - time.perf_counter()
        if math.isinf(left) and share < 1.0:
            left = PATIENCE  # others wait
        seconds = None if math.isinf(left) else max(share * left, 0.0)
        reply = process.ask(asked, kind, self.settings.seed, seconds)
        if reply.answer == "timeout":
            return Answer(Verdict.TIMEOUT, reply.reason)
        if reply.answer == "unknown":
            return Answer(Verdict.UNKNOWN, reply.reason)
        if reply.weights is None:
            return Answer(Verdict.UNSATISFIABLE, "Z3 proved that the formula has no model")
        if least_lead(reply.weights, asked.X, asked.labels) <= 0:
            why = f"Z3's model does not hold in exact arithmetic: {reply.reason or 'it is wrong'}"
            return Answer(Verdict.UNKNOWN, why)
        problem, weights = self.problem, _floats(reply.weights)
        found = problem.model(weights) or last_layer(problem, weights[:-1], self._limits())
        if found is None:
            why = "there are such weights, but they do not survive rounding to "
            return Answer(Verdict.UNKNOWN, why + problem.domain.dtype)
        return Answer(Verdict.SATISFIED, model=found)

    def _limits(self) -> Limits:
        """Return the limits of one program: a quarter of the time that is left, and a number of
        nodes."""
        return self.budget.limits(Limits(node_limit=NODES), tasks=4)

    def _rng(self, stage: int) -> np.random.Generator:
        return np.random.default_rng((self.settings.seed, stage))


def _floats(weights: Sequence[NDArray[np.object_]]) -> Weights:
    """Return the nearest floating-point numbers of fractions, the largest in place of what is
    larger."""
    most: Any = Fraction(float(np.finfo(np.float64).max))
    return tuple(np.clip(layer, -most, most).astype(np.float64) for layer in weights)


def _undecided(search: Search, tried: Sequence[Stage]) -> Answer:
    """Return why no stage has decided."""
    limit = search.settings.time_limit
    reasons = [f"{stage.name}: {stage.reason}" for stage in tried if stage.said != "nothing"]
    is_late = any(stage.said == Verdict.TIMEOUT.value for stage in tried)
    if limit is not None and (is_late or search.budget.is_over):
        told = f"the time limit of {limit:g} s was reached"
        return Answer(Verdict.TIMEOUT, "; ".join([told, *reasons]))
    return Answer(Verdict.UNKNOWN, "; ".join(reasons) or "no complete search was among the stages")


def _problem(network: Network, X: ArrayLike, y: ArrayLike, domain: Domain) -> Problem:
    """Return the problem of a network and samples, checked."""
    for i, block in enumerate(network.blocks, start=1):
        if block.parameters.n_parameters != block.n_outputs * (block.n_inputs + 1):
            raise NetworkError(
                f"block {i} of {network.notation} has tied or fixed weights; smt trains dense "
                "layers"
            )
    if network.n_outputs < 2:
        raise NetworkError(
            f"{network.notation} has one output; smt needs one for each of two or more classes"
        )
    x = np.asarray(X, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != network.n_inputs or not len(x):
        raise DataError(
            f"X has shape {x.shape}; {network.notation} needs samples in rows of "
            f"{network.n_inputs} values"
        )
    if not np.all(np.isfinite(x)):
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"sample {row} has the value {x[row, column]} at input {column}")
    labels = network.class_indices(y)
    if labels.shape != (len(x),):
        raise DataError(f"there are {len(x)} samples, but {labels.size} labels")
    sizes = (network.n_inputs, *(block.n_outputs for block in network.blocks))
    return Problem(x, labels, sizes, domain)


def _network(network: Network, weights: Weights) -> Network:
    """Return the network with the weights, and the largest output as its decision."""
    blocks = (
        b.with_theta(b.parameters.collect(layer))
        for b, layer in zip(network.blocks, weights, strict=True)
    )
    return Network(blocks, network.classes, "argmax")
