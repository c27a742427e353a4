"""A whole network of integer weights and sign activations as one program.

The source is Thorbjarnarson and Yorke-Smith 2020, equations (1) to (24). For every sample `k` and
hidden neuron `j` a binary `u` says whether the neuron fires, and in layers after the first a column
`c` for every connection is the weight with the sign of the activation before it::

    (2)         a >= -A (1 - u)            A is the largest |a| for weights in -P..P
    (3)         a <= -step + (A + step) u
    (5) to (8)  c = (2 u - 1) w            by four inequalities with 2 P

In place of (2) and (3) the paper has indicator constraints.
Biases are those of all layers; (9) as printed has only those of the last. With `switches` a binary
for every hidden neuron switches its weights off, at a price: the number of neurons is optimized
while training, as in the paper of 2023."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from layermilp.integer.losses import MaxCorrect, MinHinge, Objective, SatMargin
from layermilp.program import FloatArray, IntArray, Program


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

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.inputs)


class _Columns:
    """Consecutive columns by name, as arrays of indices."""

    def __init__(self) -> None:
        self.size = 0
        self.groups: list[tuple[str, int]] = []
        self.lower: list[FloatArray] = []
        self.upper: list[FloatArray] = []
        self.integer: list[IntArray] = []

    def add(
        self, name: str, shape: tuple[int, ...], lower: float, upper: float, integer: bool
    ) -> IntArray:
        count = int(np.prod(shape))
        index = np.arange(self.size, self.size + count).reshape(shape)
        self.size += count
        self.groups.append((name, count))
        self.lower.append(np.full(count, lower))
        self.upper.append(np.full(count, upper))
        self.integer.append(np.full(count, integer))
        return index


class _Rows:
    """Rows ``terms >= lower``, in blocks."""

    def __init__(self) -> None:
        self.size = 0
        self.entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self.lower: list[FloatArray] = []

    def add(
        self, terms: list[tuple[IntArray, FloatArray | float]], lower: FloatArray | float
    ) -> None:
        """Add as many rows as the index arrays, shape ``(r,)`` or ``(r, t)``, have."""
        count = len(terms[0][0])
        rows = np.arange(self.size, self.size + count)
        for columns, values in terms:
            columns = columns.reshape(count, -1)
            by_row = np.asarray(values, dtype=np.float64)
            full = np.broadcast_to(by_row[:, None] if by_row.ndim == 1 else by_row, columns.shape)
            keep = full != 0.0
            self.entries.append(
                (np.broadcast_to(rows[:, None], columns.shape)[keep], columns[keep], full[keep])
            )
        self.lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), (count,)))
        self.size += count


def plain(problem: SignNetwork) -> Program:
    """Return the program as the paper has it, with big-M for its indicator constraints; it
    minimizes the loss.

    Columns are weights and bias of every neuron, layer by layer, then `u` and `c`, then those of
    the objective."""
    return _Builder(problem).build()


class _Builder:
    def __init__(self, problem: SignNetwork) -> None:
        self.problem = problem
        self.columns, self.rows = _Columns(), _Rows()
        pairs = list(itertools.pairwise(problem.sizes))
        p, m = float(problem.bound), problem.n_samples
        self.theta = [self.columns.add("theta", (n, d + 1), -p, p, True) for d, n in pairs]
        self.u = [self.columns.add("u", (m, n), 0.0, 1.0, True) for _, n in pairs[:-1]]
        self.c = [self.columns.add("c", (m, n, d), -p, p, False) for d, n in pairs[1:]]
        self.costs: list[tuple[IntArray, float]] = []
        self.offset = 0.0

    def build(self) -> Program:
        for i in range(len(self.u)):
            self._activations(i)
            self._connections(i)
        self._objective()
        if self.problem.switches:
            self._switches()
        return self._program()

    def _sums(
        self, i: int, samples: IntArray, neurons: IntArray
    ) -> tuple[list[tuple[IntArray, FloatArray]], FloatArray]:
        """Return the terms of some sums of layer `i` and their largest absolute values."""
        theta, p = self.theta[i][neurons], float(self.problem.bound)
        if i == 0:
            x = np.column_stack([self.problem.inputs[samples], np.ones(samples.size)])
            return [(theta, x)], p * np.abs(x).sum(axis=1)
        connections = self.c[i - 1][samples, neurons]
        terms = [
            (connections, np.ones(connections.shape)),
            (theta[:, -1:], np.ones((samples.size, 1))),
        ]
        return terms, np.full(samples.size, p * (connections.shape[1] + 1))

    def _activations(self, i: int) -> None:
        """(2), (3)."""
        m, n = self.u[i].shape
        samples, neurons = (index.reshape(-1) for index in np.indices((m, n)))
        terms, most = self._sums(i, samples, neurons)
        self._decided(
            terms, self.u[i].reshape(-1), most, np.zeros(samples.size), self.problem.steps[i]
        )

    def _decided(
        self,
        terms: list[tuple[IntArray, FloatArray]],
        binary: IntArray,
        most: FloatArray,
        least: FloatArray,
        step: float,
    ) -> None:
        """Binary one: the terms are at least `least`; zero: at most that less the step."""
        self.rows.add([*terms, (binary, -(most + least))], -most)
        negated = [(columns, -values) for columns, values in terms]
        self.rows.add([*negated, (binary, np.maximum(most - least + step, 0.0))], step - least)

    def _connections(self, i: int) -> None:
        """(5) to (8) for the connections out of hidden layer `i`."""
        c, u, p = self.c[i], self.u[i], float(self.problem.bound)
        m, n, d = c.shape
        k, j, h = (index.reshape(-1) for index in np.indices((m, n, d)))
        columns, w, fires = c[k, j, h], self.theta[i + 1][j, h], u[k, h]
        for c_sign, w_sign, u_value, lower in (
            (-1.0, 1.0, -2.0 * p, -2.0 * p),  # (5)
            (-1.0, -1.0, 2.0 * p, 0.0),  # (6)
            (1.0, -1.0, -2.0 * p, -2.0 * p),  # (7)
            (1.0, 1.0, 2.0 * p, 0.0),  # (8)
        ):
            ones = np.ones(columns.size)
            self.rows.add(
                [(columns, c_sign * ones), (w, w_sign * ones), (fires, u_value * ones)], lower
            )

    def _objective(self) -> None:
        problem, objective = self.problem, self.problem.objective
        m, n = problem.n_samples, problem.sizes[-1]
        samples, neurons = (index.reshape(-1) for index in np.indices((m, n)))
        terms, most = self._sums(len(self.theta) - 1, samples, neurons)
        own = problem.labels[samples] == neurons
        if isinstance(objective, MinHinge):
            z = self.columns.add("z", (m * n,), 0.0, np.inf, False)
            signs = np.where(own, 1.0, -1.0)
            for slope, intercept in zip(*objective.pieces, strict=True):
                scaled = [(columns, -slope * signs[:, None] * values) for columns, values in terms]
                self.rows.add([*scaled, (z, np.ones(z.size))], intercept)
            self.costs.append((z, 1.0))
            return
        o = self.columns.add("o", (m, n), 0.0, 1.0, True)
        if isinstance(objective, SatMargin):
            signs = np.where(own, 1.0, -1.0)
            signed = [(columns, signs[:, None] * values) for columns, values in terms]
            self._decided(
                signed,
                o.reshape(-1),
                most,
                np.full(m * n, float(objective.least)),
                problem.steps[-1],
            )
            self.costs.append((o, -1.0))
            self.offset = float(m * n)
        elif isinstance(objective, MaxCorrect):
            self._decided(terms, o.reshape(-1), most, np.zeros(m * n), problem.steps[-1])
            self.rows.add([(o, np.ones(o.shape))], 1.0)
            self.rows.add([(o, -np.ones(o.shape))], -1.0)
            self.costs.append((o[np.arange(m), problem.labels], -1.0))
            self.offset = float(m)

    def _switches(self) -> None:
        """A neuron that is off has no weights, and none takes its output."""
        p = float(self.problem.bound)
        for i in range(len(self.u)):
            n = self.theta[i].shape[0]
            on = self.columns.add("on", (n,), 0.0, 1.0, True)
            for j in range(n):
                weights = np.concatenate([self.theta[i][j], self.theta[i + 1][:, j]])
                for sign in (1.0, -1.0):
                    ones = np.ones(weights.size)
                    self.rows.add(
                        [(weights, sign * ones), (np.full(weights.size, on[j]), p * ones)], 0.0
                    )
            self.costs.append((on, self.problem.switches))

    def _program(self) -> Program:
        columns, rows = self.columns, self.rows
        i, j, values = (np.concatenate(parts) for parts in zip(*rows.entries, strict=True))
        costs = np.zeros(columns.size)
        for index, price in self.costs:
            costs[index.reshape(-1)] = price
        return Program(
            costs=costs,
            matrix=sparse.csr_array((values, (i, j)), shape=(rows.size, columns.size)),
            row_lower=np.concatenate(rows.lower),
            row_upper=np.full(rows.size, np.inf),
            col_lower=np.concatenate(columns.lower),
            col_upper=np.concatenate(columns.upper),
            integrality=np.concatenate(columns.integer),
            offset=self.offset,
            name="sign_network",
            column_groups=tuple(
                (f"{name}{k}", size) for k, (name, size) in enumerate(columns.groups)
            ),
        )


def thetas(problem: SignNetwork, x: FloatArray) -> list[IntArray]:
    """Return the weights and biases of every layer, shape ``(n, d + 1)``, from a solution."""
    found, first = [], 0
    for d, n in itertools.pairwise(problem.sizes):
        found.append(np.rint(x[first : first + n * (d + 1)]).astype(np.int64).reshape(n, d + 1))
        first += n * (d + 1)
    return found
