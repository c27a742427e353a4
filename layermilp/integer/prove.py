"""What no network of one hidden layer reaches, proven by groups of samples that no vote of its
neurons gets right together.

Equal samples of different labels are the simplest such group, see
`layermilp.integer.vote_dual` for all of them. Neurons are found by steps of single weights,
and by the program of the best neuron when no step helps; that program is the proof, and small,
since a group has few samples. Weights of the samples are whole numbers, so that nothing is rounded
in the proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tolerances import NEW_NEURON, WHOLE_ROOM
from layermilp.integer.losses import Objective
from layermilp.integer.neighbourhood import Samples
from layermilp.integer.violations import free_neuron, violations
from layermilp.integer.vote_dual import vote_dual
from layermilp.program import FloatArray, IntArray
from layermilp.solvers import fitting, solve

ROUNDS = 500
"""Programs of sample weights for one group."""

CLIMBS = 8
"""Random neurons from which steps of single weights begin, in a round."""

TRIES = 20
"""Times that neurons are sought by steps before the program of a proof is built."""

WHOLE = 1000
"""Largest weight of a sample in a proof, as a whole number."""

NODES = 100_000
"""Branch-and-bound nodes of a proof."""

PACE = 0.3
"""Part of the way to the newest weights that the mean weights go, for which neurons are sought
first: newest ones swing."""


@dataclass(frozen=True, eq=False)
class _Group:
    """A proof: ``sum_i weights_i y_i a_i`` of one output is at most `most`, whatever the network,
    for samples `rows`."""

    rows: IntArray
    weights: IntArray
    most: int


class _Prover:
    """Looks for groups of one output; parameters as of `least_loss`."""

    def __init__(
        self,
        samples: Samples,
        output: int,
        objective: Objective,
        options: SolveOptions,
        budget: Budget,
        seed: int,
    ) -> None:
        self.inputs = np.column_stack([samples.inputs, np.ones(len(samples.labels))])
        own = samples.labels == output
        self.y = np.where(own, 1.0, -1.0)
        self.targets = objective.targets(own)
        self.bound, self.weight = objective.bound, objective.bound * objective.n_last
        self.options, self.budget = options, budget
        self.rng = np.random.default_rng(seed)
        self.votes = np.ones((1, len(self.y)))

    def groups(self) -> Iterator[_Group]:
        """Yield groups without common samples, until none is found."""
        rest = np.arange(len(self.y))
        while rest.size and (group := self._group(rest)) is not None:
            yield group
            rest = np.setdiff1d(rest, group.rows)

    def _group(self, rest: IntArray) -> _Group | None:
        """Return a group among some samples: weights by the program of known neurons, until no
        violated neuron is left."""
        y, targets, center = self.y[rest], self.targets[rest], np.zeros(rest.size)
        for _ in range(ROUNDS):
            if self.budget.is_over:
                return None
            program = vote_dual(self.votes[:, rest], y, targets, self.weight, self.bound)
            solver = fitting(program, self.options.solver)
            result = solve(program, solver, self.budget.limits(self.options.limits))
            if result.x is None or result.objective > -NEW_NEURON:
                return None
            u = result.x[: rest.size]
            center += PACE * (u - center)
            if self._climb(rest, center * y, NEW_NEURON):
                continue
            whole = np.rint(u * (WHOLE / u.max())).astype(np.int64)
            rows, weights = rest[whole > 0], whole[whole > 0]
            v: FloatArray = np.asarray(weights * self.y[rows])
            if any(self._climb(rows, v, 0.5) for _ in range(TRIES)):
                continue
            most, found = self._proven(rows, v)
            if weights @ self.targets[rows] > most:
                return _Group(rows, weights, most)
            if abs(found[rows] @ v) <= np.abs(self.votes[:, rows] @ v).max():
                return None  # the limit of the program leaves it open
            self.votes = np.vstack([self.votes, found])
        return None

    def _climb(self, rows: IntArray, v: FloatArray, least: float) -> bool:
        """Look for neurons whose weighted votes add up to more than those of the known ones; say
        whether there are any."""
        inputs, known = self.inputs[rows], np.abs(self.votes[:, rows] @ v).max()
        size, p = (CLIMBS, inputs.shape[1]), self.bound
        starts = self.rng.integers(-p, p, size, endpoint=True).astype(np.float64)
        thetas = [climbed(inputs, v, start, float(p)) for start in starts]
        votes = np.where(self.inputs @ np.transpose(thetas) >= 0.0, 1.0, -1.0).T
        new = votes[np.abs(votes[:, rows] @ v) > known + least]
        self.votes = np.vstack([self.votes, np.unique(new, axis=0)])
        return len(new) > 0

    def _proven(self, rows: IntArray, v: FloatArray) -> tuple[int, FloatArray]:
        """Return the proven `most` of a group, and the votes of the best neuron that was found."""
        limits = self.budget.limits(replace(self.options.limits, node_limit=NODES))
        options = replace(self.options, limits=limits)
        both = [
            strongest(self.inputs[rows, :-1], sign * v, self.bound, options) for sign in (1.0, -1.0)
        ]
        votes = [np.where(self.inputs @ theta >= 0.0, 1.0, -1.0) for theta, _ in both]
        most = self.weight * max(most for _, most in both) + self.bound * abs(int(v.sum()))
        return most, max(votes, key=lambda own: float(abs(own[rows] @ v)))


def strongest(
    inputs: FloatArray, v: FloatArray, bound: int, options: SolveOptions
) -> tuple[IntArray, int]:
    """Return weights and bias of a neuron, and a whole number that ``sum_i v_i h(i)`` exceeds for
    no neuron `h`.

    Parameters
    ----------
    inputs : (m, d) array
        Samples.
    v : (m,) array of whole numbers
        Weights of their votes.
    bound : int
        `P`.
    options : SolveOptions
        Solver and limits of the program. At a limit the number is not the smallest that there is.
    """
    problem = free_neuron(inputs, v, bound)
    theta, total = np.zeros(problem.n_unknowns, dtype=np.int64), round(problem.prices.sum())
    used = problem.nonzero_columns
    if not used.size:
        return theta, total
    program = violations(problem.restricted(used))
    result = solve(program, fitting(program, options.solver), options.limits)
    if result.x is not None:
        theta[used] = np.rint(result.x[: used.size])
    # Violations are whole numbers, so a bound may be rounded up.
    violated = max(0, int(np.ceil(result.bound - WHOLE_ROOM))) if np.isfinite(result.bound) else 0
    return theta, total - 2 * violated


def climbed(inputs: FloatArray, v: FloatArray, theta: FloatArray, bound: float) -> FloatArray:
    """Return the weights after steps of single ones, each the best, as long as ``sum_i v_i h(i)``
    grows.

    Parameters
    ----------
    inputs : (m, p) array
        Inputs with a column of ones.
    v : (m,) array
        Weights of the votes.
    theta : (p,) array
        Where to begin: whole numbers from ``-bound`` to ``bound``, which is `P`.
    """
    steps = np.concatenate([np.full(theta.size, step) for step in (-1.0, 1.0, -bound, bound)])
    places = np.tile(np.arange(theta.size), 4)
    sums = inputs @ theta
    reached = v @ np.where(sums >= 0.0, 1.0, -1.0)
    while True:
        inside = np.flatnonzero(np.abs(theta[places] + steps) <= bound)
        moved = sums[:, None] + inputs[:, places[inside]] * steps[inside]
        values = v @ np.where(moved >= 0.0, 1.0, -1.0)
        best = int(values.argmax())
        if values[best] <= reached + NEW_NEURON:
            return theta
        theta = theta.copy()
        theta[places[inside[best]]] += steps[inside[best]]
        sums, reached = inputs @ theta, values[best]


def needed(samples: Samples, bound: int, accuracy: float, options: SolveOptions) -> int:
    """Return a number of neurons that every network of one hidden layer needs to exceed an accuracy
    on the samples: 0, 1 or 2.

    Without neurons all samples have one class. A network of one neuron has two answers, one where
    the neuron fires and one where it does not; with two classes its errors are those of the neuron,
    for which class it may fire. If their proven lower bound is too large, there must be two.

    There are two programs, with weights up to `bound`; where they end at a limit, the number may be
    less than is needed.
    """
    m = len(samples.labels)
    if np.bincount(samples.labels).max() > accuracy * m:
        return 0
    if samples.labels.max() > 1:
        return 1
    votes = np.where(samples.labels == 1, 1.0, -1.0)
    # Right ones less errors, of a neuron that fires for the second class or for the first.
    most = max(strongest(samples.inputs, sign * votes, bound, options)[1] for sign in (1.0, -1.0))
    errors = (m - most) / 2.0
    return 2 if m - errors <= accuracy * m else 1


def least_loss(
    samples: Samples, objective: Objective, options: SolveOptions, budget: Budget, seed: int
) -> float:
    """Return a proven lower bound of the loss of every network of one hidden layer on the samples,
    and of every part of one.

    The objective also says `P` and the number of hidden neurons; options are those of the programs,
    and the seed is that of the neurons that steps begin from. What was proven at the end of the
    budget counts.
    """
    n_outputs = objective.n_outputs
    losses = []
    # Of two outputs one mirrors the other where each has a loss of its own.
    for output in range(n_outputs if n_outputs > 2 or objective.is_shared else 1):
        own = samples.labels == output
        groups = _Prover(samples, output, objective, options, budget, seed).groups()
        losses.append(
            sum(objective.least_loss_of_group(g.weights, g.most, own[g.rows]) for g in groups)
        )
    if objective.is_shared:
        return float(max(losses))
    return float(sum(losses) * n_outputs / len(losses))
