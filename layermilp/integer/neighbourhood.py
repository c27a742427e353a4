"""Parts of a network that one program improves exactly, all else fixed: a hidden neuron, or weights
of the output layer.

Once all else is fixed, the effect of a hidden neuron on a sample is one number, in whatever layer
it lies: the loss of the sample if the neuron does not fire, less the loss if it does, both by a
forward pass. So its best weights are those of a `Violations` program with one binary at most for
every sample on which the neuron has an effect, exactly, for any depth. The weights of the output
layer are integers in linear sums, and the losses of a sample's outputs are violations or piecewise
linear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from layermilp.algorithms.options import SolveOptions
from layermilp.errors import DataError
from layermilp.integer.losses import MaxCorrect, MinHinge, Objective
from layermilp.integer.violations import Violations, added, neuron, violations
from layermilp.networks.integer import GRID, IntegerNetwork, correct, rounded
from layermilp.program import FloatArray, IntArray, Status
from layermilp.solvers import solve


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds of every weight and bias: for each layer arrays of the shape of its ``theta``."""

    lower: tuple[IntArray, ...]
    upper: tuple[IntArray, ...]

    @classmethod
    def of(cls, network: IntegerNetwork, radius: int | None = None) -> Box:
        """Return the bounds ``-P`` and ``P``, or those of them that are as far around the
        weights."""
        p = network.bound
        radius = 2 * p if radius is None else radius
        return cls(
            tuple(np.maximum(layer.theta - radius, -p) for layer in network.layers),
            tuple(np.minimum(layer.theta + radius, p) for layer in network.layers),
        )


@dataclass(frozen=True)
class Goal:
    """What a search minimizes: an objective, and the smooth one at a small price, so that equals
    are told apart."""

    objective: Objective
    smooth: MinHinge
    price: float

    def losses(self, sums: FloatArray, labels: IntArray) -> FloatArray:
        """Return the losses of samples."""
        return self.objective.losses(sums, labels) + self.price * self.smooth.losses(sums, labels)


@dataclass(frozen=True, eq=False)
class Samples:
    """Rounded inputs ``(m, d)`` and the outputs that stand for the labels ``(m,)``."""

    inputs: FloatArray
    labels: IntArray

    @classmethod
    def checked(cls, X: ArrayLike, y: ArrayLike) -> tuple[Samples, IntArray]:
        """Return the samples with labels 0, 1, ..., and the labels these stand for; raise
        `DataError` as `layermilp.integer.train` does."""
        x = np.asarray(X, dtype=np.float64)
        labels = np.asarray(y)
        if x.ndim != 2 or labels.shape != (len(x),) or x.size == 0:
            raise DataError(
                f"X has shape {x.shape} and y {labels.shape}; they need a sample a row and a label "
                "for each"
            )
        classes, indices = np.unique(labels, return_inverse=True)
        if classes.size < 2:
            raise DataError(
                f"all {len(x)} labels are {classes[0]!r}; there is nothing to tell apart"
            )
        return cls(rounded(x, x.shape[1]), indices.astype(np.int64)), classes

    def part(self, rows: IntArray) -> Samples:
        """Return some of them."""
        return Samples(self.inputs[rows], self.labels[rows])

    def conflicts(self) -> IntArray:
        """Return for every group of equal samples how many have each label, shape ``(G,
        n_outputs)``."""
        groups, place = np.unique(self.inputs, axis=0, return_inverse=True)
        counts = np.zeros((len(groups), int(self.labels.max()) + 1), dtype=np.int64)
        np.add.at(counts, (place.reshape(-1), self.labels), 1)
        return counts

    def accuracy(self, network: IntegerNetwork) -> float:
        """Return the share that a network has right; ties count as errors."""
        return float(correct(network.output_sums_of_rounded(self.inputs), self.labels).mean())


@dataclass(frozen=True, eq=False)
class Solved:
    """Weights and bias of a neuron, the nodes they took, and why the solver failed if it did."""

    theta: IntArray
    nodes: int = 0
    error: str = ""


@dataclass(frozen=True, eq=False)
class NeuronTask:
    """The program of one neuron, ready for a worker."""

    network: IntegerNetwork
    samples: Samples
    goal: Goal
    box: Box
    layer: int
    neuron: int
    options: SolveOptions

    def solve(self) -> Solved:
        """Return better weights; without any the neuron stays."""
        return solved(self.problem(), self.options)

    @property
    def _is_one_of_two(self) -> bool:
        """Whether it is one of two outputs, of which the other follows."""
        return self.layer == len(self.network.layers) - 1 and self.network.n_outputs == 2

    def problem(self) -> Violations:
        """Return the problem of the neuron."""
        return self._output() if self.layer == len(self.network.layers) - 1 else self._hidden()

    def applied(self, network: IntegerNetwork, theta: IntArray) -> IntegerNetwork:
        """Return a network with other weights of the neuron; of two outputs the second mirrors the
        first.

        The programs of two outputs are mirror images for sat-margin and min-hinge, so with the
        signs of one turned the other has the same loss. For max-correct the other output is to be
        below zero where the first is not: ``-a - 1``."""
        i, j = self.layer, self.neuron
        layer = network.layers[i].with_neuron(j, theta)
        if self._is_one_of_two:
            mirrored = -theta
            if isinstance(self.goal.objective, MaxCorrect):
                mirrored[-1] -= 1
            layer = layer.with_neuron(1 - j, mirrored)
        return network.with_layer(i, layer)

    def _hidden(self) -> Violations:
        """Build that of a hidden neuron, from the losses with it firing and not."""
        network, i, j, labels = self.network, self.layer, self.neuron, self.samples.labels
        inputs = network.activations_of_rounded(self.samples.inputs)[i]
        signs = np.where(network.sums(i, inputs) >= 0.0, 1.0, -1.0)
        losses = []
        for sign in (1.0, -1.0):
            signs[:, j] = sign
            losses.append(self.goal.losses(network.output_sums_of_rounded(signs, i + 1), labels))
        step = 1.0 / GRID if i == 0 else 1.0
        return neuron(inputs, losses[1] - losses[0], step, **self._ends())

    def _output(self) -> Violations:
        """Build that of one output, on which a sample depends where all others are right, or mirror
        it."""
        network, j, goal, labels = self.network, self.neuron, self.goal, self.samples.labels
        inputs = network.activations_of_rounded(self.samples.inputs)[self.layer]
        own = labels == j
        y = np.where(own, 1.0, -1.0)
        is_smooth = isinstance(goal.objective, MinHinge)
        least = np.full(len(y), -np.inf) if is_smooth else goal.objective.targets(own)
        prices = np.ones(len(y))
        if goal.objective.is_shared:
            prices = _depends(network.sums(self.layer, inputs), labels, j)
        rows, place = np.unique(
            np.column_stack([inputs * y[:, None], y, least]), axis=0, return_inverse=True
        )
        counts = added(place, np.ones(len(y)))
        prices = added(place, prices)
        slopes, intercepts = goal.smooth.pieces
        return Violations(
            matrix=rows[:, :-1],
            least=np.where(prices > 0.0, rows[:, -1], -np.inf),
            prices=prices,
            slopes=slopes,
            intercepts=intercepts,
            weights=counts * (1.0 if is_smooth else goal.price),
            **self._ends(),
        )

    def _ends(self) -> dict[str, FloatArray]:
        """Return the box of the neuron, and its weights in it, by the names of `Violations`."""
        i, j, network = self.layer, self.neuron, self.network
        lower, upper = (ends[i][j].astype(np.float64) for ends in (self.box.lower, self.box.upper))
        if self._is_one_of_two and isinstance(self.goal.objective, MaxCorrect):
            upper[-1] = min(upper[-1], network.bound - 1)  # the other output has the bias -b - 1
        return {
            "lower": lower,
            "upper": upper,
            "start": np.clip(network.layers[i].theta[j], lower, upper),
        }


def solved(problem: Violations, options: SolveOptions) -> Solved:
    """Solve a problem; return whole numbers that are no worse than its start.

    Weights of inputs that are zero in all rows stay at the start: no sample says what they should
    be."""
    theta = np.rint(problem.start).astype(np.int64)
    used = problem.nonzero_columns
    program = violations(problem.restricted(used))
    if not program.is_mip or not program.costs.any():
        return Solved(theta)
    result = solve(program, options.solver, options.limits)
    if result.x is not None:
        found = theta.copy()
        found[used] = np.rint(result.x[: used.size])
        if problem.loss(found.astype(np.float64)) <= problem.loss(problem.start):
            theta = found
    error = result.message if result.status is Status.ERROR else ""
    return Solved(theta, result.nodes, error)


def _depends(sums: FloatArray, labels: IntArray, j: int) -> FloatArray:
    """Return 1 for every sample whose other outputs are right, by their signs, else 0; of two
    outputs the other follows."""
    right = (sums >= 0.0) == (np.arange(sums.shape[1]) == labels[:, None])
    right[:, [j] if sums.shape[1] > 2 else [0, 1]] = True
    return np.asarray(right.all(axis=1), dtype=np.float64)
