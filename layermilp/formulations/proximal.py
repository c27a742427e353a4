"""Hidden layers near their present weights: deviations of ReLU outputs from their targets, and the
change of the weights, both with a convex piecewise linear loss in place of the square.

With the unknowns `z`, the change of a neuron's weights from a centre `c` in some orthonormal
coordinates, preactivations ``a = H z + g`` at the samples, targets `t`, and `kappa` the price of a
change::

    minimize  sum_r l_r(a_r) + kappa sum_j q(z_j; delta_j)   over a box

    l_r(a) = q(a - t_r; rho)                  where the neuron fires
           = 4 q(t_r; rho)                    where it is silent and t_r > 0: at most
           = q(max(0, a); rho)                where t_r = 0

``q(e; s)`` interpolates the square ``e^2`` at multiples of the scale `s`, and grows on with its
last slope. A row with a positive target has the lower of its first two losses: silence has a price,
four times the loss that an output of zero has. At one times, the true ReLU, a neuron that falls
silent for some samples in one batch is never asked for them again; without a limit a single sample
that cannot be reached pulls at all weights.

Which row is silent is a binary, and everything else is linear: a mixed-integer linear program,
whose relaxation is the convex envelope of every row. `proximal` is that program."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from layermilp.formulations.big_m import Formulation
from layermilp.formulations.firing_rows import PiecewiseRows, square
from layermilp.formulations.relu_l1 import FiringRegression, ReluRegression
from layermilp.program import BoolArray, FloatArray, IntArray, Program

LOSS_KNOTS = 1.0, 3.0
"""Multiples of the scale at which a row's loss is that of the square."""

CHANGE_KNOTS = 0.7, 1.7, 4.0
"""The same for the change of an unknown."""

SILENCE = 4.0
"""Price of silence where the target is above zero, as a multiple of the loss of an output of
zero."""

RANK = 1e-10
"""Eigenvalue, relative to the largest, of inputs that support no direction."""

LEAST_SCALE = 0.3
"""Least scale of a change, relative to the root mean square of all."""


@dataclass(frozen=True, eq=False)
class ProximalRegression(FiringRegression):
    """The losses of the samples' rows and, in the last `p` rows, of the change of every unknown.

    Parameters
    ----------
    pieces : PiecewiseRows
        The losses of all rows.
    """

    pieces: PiecewiseRows

    def reach(self, loss: float) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation at the points of no greater loss.

        A change that alone costs no more is at most ``Z_j``, and up to there its cost is at least
        ``w_j z_j^2``, with ``w_j`` the least quotient at a kink or at ``Z_j``. So ``sum_j w_j z_j^2
        <= loss``, and by the inequality of Cauchy and Schwarz no preactivation changes by more than
        ``sqrt(loss sum_j H_rj^2 / w_j)``."""
        changes = self.firing_rows(np.arange(self.n_rows) >= self.n_rows - self.n_unknowns)
        first = changes.n_slopes // 2  # the kink after that at zero
        kinks, values = changes.kinks[:, first:], changes.at_kinks[:, first:]
        beyond = np.maximum(loss - values[:, -1], 0.0)
        most = kinks[:, -1] + beyond / changes.slopes[:, -1]
        weights = np.minimum((values / kinks**2).min(axis=1), (values[:, -1] + beyond) / most**2)
        squares = self.coefficients.multiply(self.coefficients) @ (1.0 / weights)
        spread = np.sqrt(loss * np.asarray(squares))
        return self.constants - spread, self.constants + spread

    @cached_property
    def scale(self) -> float:
        """Sum of the prices of silence: the loss of a silent neuron."""
        return float(self.pieces.silence[self.pieces.can_choose].sum())

    def losses(self, theta: FloatArray) -> FloatArray:
        """Loss of every row, shape ``(R,)``."""
        return self.pieces.losses(self.preactivation(theta))

    def firing_rows(self, part: BoolArray) -> PiecewiseRows:
        """Return the losses of some rows."""
        pieces = self.pieces
        return PiecewiseRows(pieces.slopes[part], pieces.kinks[part], pieces.silence[part])

    def level(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interval of every preactivation: its value, since the loss leaves no choice."""
        a = self.preactivation(theta)
        return a, a


@dataclass(frozen=True, eq=False)
class Proximity:
    """A regression near its start, and the way back from its unknowns to the weights.

    Parameters
    ----------
    problem : ProximalRegression
        In the coordinates `z`.
    centre : (p,) array
        Weights at ``z = 0``.
    basis : (p, q) array or None
        Orthonormal directions, the columns; None for those of the weights.
    """

    problem: ProximalRegression
    centre: FloatArray
    basis: FloatArray | None

    @classmethod
    def of(
        cls, regression: ReluRegression, proximity: float, weight_decay: float, *, by_axes: bool
    ) -> Proximity:
        """Build the problem for the rows of a regression.

        The centre is ``(1 - weight_decay) theta_0``, within the box, and `kappa` is the proximity
        times the mean squared norm of a row. The scales are those of the least-squares fit without
        silence and box: `rho` the root mean square of its deviations, ``delta_j`` its change of
        unknown `j`, or the size expected of it.

        Parameters
        ----------
        by_axes : bool
            With more unknowns than rows, whether the change is searched among the combinations of
            the rows, by the directions of their principal axes, as far as the box of the weights
            reaches along each. Where the optimum is in that box, it is the optimum of all such
            changes."""
        h = regression.coefficients.toarray()
        lower, upper = regression.lower, regression.upper
        centre = np.clip((1.0 - weight_decay) * regression.start, lower, upper)
        kappa = max(proximity * _mean_square(h) * h.shape[1], TINY)
        missed = regression.targets - regression.constants - h @ centre
        below, above = lower - centre, upper - centre
        basis = None
        if by_axes and 0 < h.shape[0] < h.shape[1]:
            axes, sizes = _axes(h)
            basis = h.T @ (axes / sizes)
            h = axes * sizes
            along = np.abs(basis).T @ np.maximum(-below, above)
            below, above = -along, along
            change = sizes / (sizes**2 + kappa) * (axes.T @ missed)
            scales = sizes / (sizes**2 + kappa) * np.sqrt(_mean_square(missed))
        else:
            change = np.linalg.solve(h.T @ h + kappa * np.eye(h.shape[1]), h.T @ missed)
            scales = np.maximum(np.abs(change), LEAST_SCALE * np.sqrt(_mean_square(change)))
        rho = np.sqrt(_mean_square(missed - h @ change))
        problem = ProximalRegression(
            coefficients=sparse.csr_array(np.vstack([h, np.eye(h.shape[1])])),
            constants=np.append(regression.targets - missed, np.zeros(h.shape[1])),
            lower=below,
            upper=above,
            start=np.zeros(h.shape[1]),
            pieces=_pieces(regression.targets, max(rho, TINY), kappa, np.maximum(scales, TINY)),
        )
        return cls(problem, centre, basis)

    def weights(self, z: FloatArray) -> FloatArray:
        """Return the weights of a change."""
        return self.centre + (z if self.basis is None else self.basis @ z)


TINY = 1e-9
"""Least scale: below it nothing is to be told apart from rounding."""


def _mean_square(values: FloatArray) -> float:
    return float((values**2).mean()) if values.size else 0.0


def _axes(h: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the left singular vectors of a matrix with fewer rows than columns, the columns of an
    array, and its singular values, of directions that the rows support."""
    values, vectors = np.linalg.eigh(h @ h.T)
    supported = values > RANK * max(float(values[-1]), TINY)
    return vectors[:, supported], np.sqrt(values[supported])


def _pieces(targets: FloatArray, rho: float, kappa: float, scales: FloatArray) -> PiecewiseRows:
    """Return the losses of samples with the given targets, then those of the changes."""
    loss_slopes, loss_kinks = square(LOSS_KNOTS)
    change_slopes, change_kinks = square(CHANGE_KNOTS)
    extra = (len(change_slopes) - len(loss_slopes)) // 2
    loss_slopes, loss_kinks = np.pad(loss_slopes, extra, "edge"), np.pad(loss_kinks, extra, "edge")
    of_rows = np.tile(rho * loss_slopes, (targets.size, 1))
    of_rows[targets == 0.0, : len(loss_slopes) // 2] = 0.0
    slopes = np.vstack([of_rows, kappa * np.outer(scales, change_slopes)])
    kinks = np.vstack([targets[:, None] + rho * loss_kinks, np.outer(scales, change_kinks)])
    every = PiecewiseRows(slopes, kinks, np.full(len(slopes), np.inf))
    at_zero = every.convex.at(np.zeros(len(slopes)))[: targets.size]
    silence = np.full(len(slopes), np.inf)
    silence[: targets.size] = np.where(targets > 0.0, SILENCE * at_zero, np.inf)
    return PiecewiseRows(slopes, kinks, silence)


def choosing_rows(problem: ProximalRegression) -> IntArray:
    """Rows that have a binary in the program, ascending: those that may fire or be silent within
    the box."""
    low, high = problem.interval
    pieces = problem.pieces
    return np.flatnonzero(
        pieces.can_choose & (low < pieces.thresholds) & (high > pieces.thresholds)
    )


def proximal(problem: ProximalRegression) -> Program:
    """Return the mixed-integer program.

    For every row there is a column ``u`` for what its preactivation is below the first kink ``k1``
    and columns ``v_i`` for its parts above; a row that may choose has a binary ``b``, whether it
    fires, and a column ``d`` that lifts it to its target where it is silent::

        H z + u - v_1 - v_2 - ... + d = k1 - g,     d <= (t - A-) (1 - b)
        minimize  sum -s0 u + s1 v_1 + s2 v_2 + ... + (1 - b) silence

    with ``A-`` the smallest preactivation over the box. A row that cannot fire has the constant
    loss of silence."""
    low, high = problem.interval
    pieces, chosen = problem.pieces, choosing_rows(problem)
    is_constant = pieces.can_choose & (high <= pieces.thresholds)
    rows = np.flatnonzero(~is_constant)
    slopes, kinks = pieces.slopes[rows].T, pieces.kinks[rows].T
    n, p, k = rows.size, problem.n_unknowns, chosen.size
    place = np.searchsorted(rows, chosen)
    eye = sparse.eye_array(n, format="csr")
    lifts = sparse.csr_array((np.ones(k), (place, np.arange(k))), shape=(n, k))
    target = pieces.kinks[chosen, pieces.at_kinks[chosen].argmin(axis=1)]
    room = target - low[chosen]
    parts = len(slopes)
    matrix = (
        sparse.block_array(
            [
                [problem.coefficients[rows], eye, *[-eye] * (parts - 1), lifts, None],
                [*[None] * (1 + parts), sparse.eye_array(k), sparse.diags_array(room)],
            ],
            format="csr",
        )
        if k
        else sparse.block_array(
            [[problem.coefficients[rows], eye, *[-eye] * (parts - 1), lifts, lifts]], format="csr"
        )
    )
    a = problem.preactivation(problem.start)
    fires = a[chosen] > pieces.thresholds[chosen]
    lift = np.where(fires, 0.0, np.maximum(target - a[chosen], 0.0))
    lifted = a[rows]
    lifted[place] += lift
    widths = np.diff(kinks, axis=0)
    above = [
        np.clip(lifted - begin, 0.0, width) for begin, width in zip(kinks, widths, strict=False)
    ]
    inf = np.inf
    silence = pieces.silence[chosen]
    return Program(
        costs=np.concatenate([np.zeros(p), -slopes[0], *slopes[1:], np.zeros(k), -silence]),
        matrix=matrix,
        row_lower=np.concatenate([kinks[0] - problem.constants[rows], np.full(k, -inf)]),
        row_upper=np.concatenate([kinks[0] - problem.constants[rows], room]),
        col_lower=np.concatenate([problem.lower, np.zeros(parts * n + 2 * k)]),
        col_upper=np.concatenate(
            [problem.upper, np.full(n, inf), *widths, np.full(n + k, inf), np.ones(k)]
        ),
        integrality=np.repeat([False, True], [p + parts * n + k, k]),
        offset=float(
            pieces.silence[is_constant].sum() + silence.sum() + pieces.convex.values[rows].sum()
        ),
        start=np.concatenate(
            [
                problem.start,
                np.maximum(kinks[0] - lifted, 0.0),
                *above,
                np.maximum(lifted - kinks[-1], 0.0),
                lift,
                fires,
            ]
        ),
        name="neuron_proximal",
        column_groups=(
            ("theta", p),
            ("u", n),
            *((f"v{i}_", n) for i in range(1, parts)),
            ("d", k),
            ("b", k),
        ),
    )


PROXIMAL = Formulation(proximal, choosing_rows, is_envelope=True)
"""The program and its binaries."""
