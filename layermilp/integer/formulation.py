"""A whole network of integer weights and sign activations as one program, for other solvers.

The source is Thorbjarnarson and Yorke-Smith 2020, equations (1) to (24). For every sample `k` and
hidden neuron `j` a binary `u` says whether the neuron fires, and in layers after the first a column
`c` for every connection is the weight with the sign of the activation before it::

    (2)         a >= -A (1 - u)            A is the largest |a| for weights in -P..P
    (3)         a <= -step + (A + step) u
    (5) to (8)  c = (2 u - 1) w            by four inequalities with 2 P

In place of (2) and (3) the paper has indicator constraints.
Biases are those of all layers; (9) as printed has only those of the last. With `switches` a binary
for every hidden neuron switches its weights off, at a price: the number of neurons is optimized
too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from layermilp.integer.losses import OBJECTIVES, MaxCorrect, MinHinge, Objective, SatMargin
from layermilp.integer.neighbourhood import Samples
from layermilp.integer.options import Whole
from layermilp.networks.integer import GRID
from layermilp.program import FloatArray, IntArray, Program

Terms = Sequence[tuple[IntArray, FloatArray | float]]
"""Columns, shape ``(..., t)``, and what they are multiplied by; the axes before the last are those
of the rows, and broadcast."""


@dataclass(frozen=True, eq=False)
class SignNetwork:
    """What is trained.

    Parameters
    ----------
    inputs : (m, d) array
        Samples.
    labels : (m,) array of int
        The output that is each sample's own.
    sizes : tuple of int
        Inputs, hidden layers, outputs.
    bound : int
        `P`.
    objective : Objective
        What is minimized: the losses of the samples.
    steps : tuple of float
        For every layer by how much a sum that is not to be at least zero (or its threshold) stays
        below: the paper's 1e-5, or the distance of the sums' possible values.
    switches : float
        Price of a hidden neuron that is not switched off; 0 for no switches.
    """

    inputs: FloatArray
    labels: IntArray
    sizes: tuple[int, ...]
    bound: int
    objective: Objective
    steps: tuple[float, ...]
    switches: float = 0.0


def whole_program(X: ArrayLike, y: ArrayLike, settings: Whole) -> Program:
    """Return the program (1) to (24) of Thorbjarnarson and Yorke-Smith 2020 for all samples and the
    whole network.

    The library itself searches by programs of parts of the network.

    Parameters
    ----------
    X, y
        As for `layermilp.integer.train`.
    settings : Whole
        Of which hidden layers, bound and objective are used.

    Raises
    ------
    DataError
        If the data do not fit together, lie outside [0, 1], or have one class only.
    """
    samples, classes = Samples.checked(X, y)
    sizes = (samples.inputs.shape[1], *settings.hidden, classes.size)
    objective = OBJECTIVES[settings.objective](settings.bound, sizes[-2], classes.size)
    # Sums of the first layer are multiples of the inputs' grid, all others whole.
    steps = (1.0 / GRID, *(1.0 for _ in sizes[2:]))
    inputs, labels = samples.inputs, samples.labels
    return plain(SignNetwork(inputs, labels, sizes, settings.bound, objective, steps))


def plain(problem: SignNetwork) -> Program:
    """Return the program as the paper has it, with big-M for its indicator constraints; it
    minimizes the loss.

    Columns are weights and bias of every neuron, layer by layer, then `u` and `c`, then those of
    the objective."""
    return _Builder(problem).program()


def thetas(problem: SignNetwork, x: FloatArray) -> list[IntArray]:
    """Return the weights and biases of every layer, shape ``(n, d + 1)``, from a solution."""
    found, first = [], 0
    for d, n in itertools.pairwise(problem.sizes):
        found.append(np.rint(x[first : first + n * (d + 1)]).astype(np.int64).reshape(n, d + 1))
        first += n * (d + 1)
    return found


class _Builder:
    """Collects groups of columns, as arrays of their indices, and rows ``terms >= lower``."""

    def __init__(self, problem: SignNetwork) -> None:
        self.problem = problem
        self.n_columns = self.n_rows = 0
        self.groups: list[tuple[str, int]] = []
        self.ends: list[tuple[float, float, bool]] = []
        self.costs: list[FloatArray] = []
        self.entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self.row_lower: list[FloatArray] = []
        self.offset = 0.0
        pairs = list(itertools.pairwise(problem.sizes))
        p, m = float(problem.bound), len(problem.inputs)
        self.theta = [self._columns("theta", (n, d + 1), -p, p, True) for d, n in pairs]
        self.u = [self._columns("u", (m, n), 0.0, 1.0, True) for _, n in pairs[:-1]]
        self.c = [self._columns("c", (m, n, d), -p, p, False) for d, n in pairs[1:]]
        for i, u in enumerate(self.u):
            self._decide(*self._sums(i), u, 0.0, problem.steps[i])  # (2), (3)
            self._connect(i)
        self._optimize()
        if problem.switches:
            self._switch()

    def program(self) -> Program:
        """Return the program of all columns and rows."""
        counts = [count for _, count in self.groups]
        lower, upper, integer = (np.repeat(each, counts) for each in zip(*self.ends, strict=True))
        i, j, values = (np.concatenate(each) for each in zip(*self.entries, strict=True))
        matrix = sparse.csr_array((values, (i, j)), shape=(self.n_rows, self.n_columns))
        matrix.eliminate_zeros()
        return Program(
            costs=np.concatenate(self.costs),
            matrix=matrix,
            row_lower=np.concatenate(self.row_lower),
            row_upper=np.full(self.n_rows, np.inf),
            col_lower=lower,
            col_upper=upper,
            integrality=integer,
            offset=self.offset,
            name="sign_network",
            column_groups=tuple(
                (f"{name}{k}", count) for k, (name, count) in enumerate(self.groups)
            ),
        )

    def _columns(
        self,
        name: str,
        shape: tuple[int, ...],
        lower: float,
        upper: float,
        integer: bool,
        cost: FloatArray | float = 0.0,
    ) -> IntArray:
        first, count = self.n_columns, int(np.prod(shape))
        self.n_columns += count
        self.groups.append((name, count))
        self.ends.append((lower, upper, integer))
        self.costs.append(np.broadcast_to(cost, shape).reshape(-1))
        return np.arange(first, first + count).reshape(shape)

    def _rows(self, terms: Terms, lower: FloatArray | float) -> None:
        """Add a row for every place of the axes before the last, to which `lower` broadcasts."""
        shape = np.broadcast_shapes(*(columns.shape[:-1] for columns, _ in terms))
        rows = self.n_rows + np.arange(int(np.prod(shape))).reshape(*shape, 1)
        self.n_rows += rows.size
        for columns, values in terms:
            whole = (*shape, columns.shape[-1])
            i, j, full = (np.broadcast_to(each, whole) for each in (rows, columns, values))
            self.entries.append((i.reshape(-1), j.reshape(-1), full.reshape(-1)))
        self.row_lower.append(np.broadcast_to(lower, shape).reshape(-1))

    def _sums(self, i: int) -> tuple[Terms, FloatArray]:
        """Return the terms of the sums of layer `i`, and their largest absolute values, shape ``(m,
        1)``."""
        theta, p = self.theta[i], float(self.problem.bound)
        if i == 0:
            x = np.column_stack([self.problem.inputs, np.ones(len(self.problem.inputs))])
            return [(theta, x[:, None])], p * np.abs(x).sum(axis=1, keepdims=True)
        c = self.c[i - 1]
        return [(c, 1.0), (theta[:, -1:], 1.0)], np.full((len(c), 1), p * theta.shape[1])

    def _decide(
        self, terms: Terms, most: FloatArray, binary: IntArray, least: float, step: float
    ) -> None:
        """Binary one: the terms are at least `least`; zero: at most that less the step."""
        binary, room = binary[..., None], most[..., None]
        self._rows([*terms, (binary, -(room + least))], -most)
        negated = [(columns, -values) for columns, values in terms]
        self._rows([*negated, (binary, np.maximum(room - least + step, 0.0))], step - least)

    def _connect(self, i: int) -> None:
        """(5) to (8) for the connections out of hidden layer `i`."""
        c, p = self.c[i][..., None], float(self.problem.bound)
        w, fires = self.theta[i + 1][:, :-1, None], self.u[i][:, None, :, None]
        for c_sign, w_sign, u_value, lower in (
            (-1.0, 1.0, -2.0 * p, -2.0 * p),  # (5)
            (-1.0, -1.0, 2.0 * p, 0.0),  # (6)
            (1.0, -1.0, -2.0 * p, -2.0 * p),  # (7)
            (1.0, 1.0, 2.0 * p, 0.0),  # (8)
        ):
            self._rows([(c, c_sign), (w, w_sign), (fires, u_value)], lower)

    def _optimize(self) -> None:
        """(13) to (24), as the loss."""
        problem, objective = self.problem, self.problem.objective
        own = np.arange(problem.sizes[-1]) == problem.labels[:, None]
        terms, most = self._sums(len(self.theta) - 1)
        signs = np.where(own, 1.0, -1.0)[..., None]
        signed = [(columns, signs * values) for columns, values in terms]
        if isinstance(objective, MinHinge):
            z = self._columns("z", own.shape, 0.0, np.inf, False, cost=1.0)
            for slope, intercept in zip(*objective.pieces, strict=True):
                scaled = [(columns, -slope * values) for columns, values in signed]
                self._rows([*scaled, (z[..., None], 1.0)], intercept)
        elif isinstance(objective, SatMargin):
            o = self._columns("o", own.shape, 0.0, 1.0, True, cost=-1.0)
            self._decide(signed, most, o, float(objective.least), problem.steps[-1])
            self.offset = float(own.size)
        elif isinstance(objective, MaxCorrect):
            o = self._columns("o", own.shape, 0.0, 1.0, True, cost=np.where(own, -1.0, 0.0))
            self._decide(terms, most, o, 0.0, problem.steps[-1])
            self._rows([(o, 1.0)], 1.0)
            self._rows([(o, -1.0)], -1.0)
            self.offset = float(len(own))

    def _switch(self) -> None:
        """A neuron that is off has no weights, and none takes its output."""
        p = float(self.problem.bound)
        for weights, taken in itertools.pairwise(self.theta):
            shape, price = (len(weights), 1), self.problem.switches
            on = self._columns("on", shape, 0.0, 1.0, True, cost=price)
            for sign in (1.0, -1.0):
                for each in (weights, taken[:, :-1].T):
                    self._rows([(each[..., None], sign), (on[..., None], p)], 0.0)
