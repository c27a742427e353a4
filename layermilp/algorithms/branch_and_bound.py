"""Branch and bound for one regression: thousands of small nodes instead of a solver's few expensive
ones.

A node is a box and, for some rows, the decision whether the neuron fires. Its relaxation is an
`Envelope` linear program, of which only the numbers differ from node to node, so that each takes a
few pivots; the bound is recomputed in numpy from the multipliers. Every node tightens its box, by
its decided rows and by what the multipliers say a better point must satisfy, and with the box the
envelopes of the rows that are still open, which a mixed-integer program with its coefficients fixed
cannot."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from layermilp.algorithms.interior_point import interior_point
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Search
from layermilp.algorithms.tolerances import (
    EMPTY_BOX,
    EXACT,
    FAR,
    FINE_ROUNDING,
    LEAST_GAIN,
    ROUNDING,
)
from layermilp.formulations.envelope import FIRES, OPEN, SILENT, Envelope, envelope_lp
from layermilp.formulations.l1 import HingeRegression
from layermilp.formulations.relu_l1 import FiringRegression, ReluRows
from layermilp.program import FEASIBILITY_TOLERANCE, BoolArray, FloatArray, IntArray, Limits
from layermilp.solvers.warm_lp import WarmLp

MOST_ROUNDS = 3
"""Relaxations of one node, as long as they tighten its box."""

SHRINKS = 0.7
"""Factor by which some side of the box must shrink for another round."""

MOST_DESCENTS = 50
"""Largest number of steps of one descent: a guard, since every step but the last lowers the
loss."""

LARGE = 400_000
"""Rows times unknowns from which the first program of a search, which has no basis to start from,
takes seconds."""


class LpFailed(Exception):
    """A linear program that is feasible and bounded was not solved."""


def descend(
    search: Search[FiringRegression],
    firing: BoolArray,
    step: Callable[[BoolArray], tuple[FloatArray, BoolArray]],
) -> None:
    """Improve the best point by steps from a firing pattern (a convex-concave procedure).

    The loss with the firing fixed is convex, nowhere below the loss itself and equal to it at the
    points with the pattern, so the optimum of a step is no worse than any of them, and has the next
    pattern. `step` returns both, or raises `LpFailed`."""
    loss = np.inf
    for _ in range(MOST_DESCENTS):
        # A descent is cheap: it goes on to its end, even where less was asked for.
        if search.is_optimal() or search.is_at_target or search.clock.is_over:
            return
        try:
            theta, followed = step(firing)
        except LpFailed:
            return
        before, loss = loss, search.offer(theta)
        if loss >= before - ROUNDING * max(1.0, before) or np.array_equal(followed, firing):
            return
        firing = followed


@dataclass(frozen=True, eq=False)
class _Node:
    """A part of the search: its bound, or that of its parent, which branched at a row and expected
    a gain of it."""

    bound: float
    decided: IntArray
    lower: FloatArray
    upper: FloatArray
    row: int = 0
    gain: float = 0.0


class _PseudoCosts:
    """What deciding a row has gained, per unit of the gain expected: a mean for each row and side,
    else that of all rows."""

    def __init__(self, n_rows: int) -> None:
        self.sums, self.counts = np.zeros((2, n_rows)), np.zeros((2, n_rows))

    def learn(self, node: _Node, bound: float) -> None:
        """Take in that a child had a bound."""
        side = int(node.decided[node.row] == SILENT)
        self.sums[side, node.row] += (bound - node.bound) / max(node.gain, LEAST_GAIN)
        self.counts[side, node.row] += 1.0

    def factors(self) -> FloatArray:
        """Return the means, shape ``(2, R)``: of firing, of being silent."""
        total = self.counts.sum(axis=1, keepdims=True)
        overall = np.ones((2, 1))
        np.divide(self.sums.sum(axis=1, keepdims=True), total, out=overall, where=total > 0.0)
        return np.where(self.counts > 0.0, self.sums / np.maximum(self.counts, 1.0), overall)


def _room(lower: FloatArray, upper: FloatArray) -> float:
    """Return by how much rounding may turn parts of a box inside out."""
    largest = max(float(-lower.min(initial=0.0)), float(upper.max(initial=0.0)))
    return EMPTY_BOX * max(1.0, largest / FAR)


class Tree:
    """The search. Rows that cannot fire within the box of the problem are left out; they have a
    constant loss.

    Parameters
    ----------
    search : Search
        Is offered better points and bounds, and decides when they are good enough.
    """

    def __init__(self, search: Search[FiringRegression]) -> None:
        problem, high = search.problem, search.problem.interval[1]
        every = problem.firing_rows(np.ones(problem.n_rows, dtype=bool))
        can_fire = high > every.thresholds
        self.problem, self.best, self.can_fire = problem, search, can_fire
        self.h, self.g = problem.coefficients[can_fire].toarray(), problem.constants[can_fire]
        self.rows, self.constant = (
            problem.firing_rows(can_fire),
            float(every.losses(high)[~can_fire].sum()),
        )
        self.positive, self.negative = np.maximum(self.h, 0.0), np.minimum(self.h, 0.0)
        self.box_room = _room(problem.lower, problem.upper)
        self.row_room = _room(*problem.interval)
        self.lp = envelope_lp(self.h, self.g, self.rows.n_slopes)
        self.warm = WarmLp(self.lp.matrix)
        self.n_rows = int(self.g.size)
        self.costs = _PseudoCosts(self.n_rows)
        self.programs = 0
        search.raise_bound(self.constant)

    def descend(self, firing: BoolArray) -> None:
        """Improve the best point by steps from a firing pattern, see `descend`."""

        def step(firing: BoolArray) -> tuple[FloatArray, BoolArray]:
            theta = self.step(firing)
            return theta, self.pattern(theta)

        descend(self.best, firing, step)

    def step(self, firing: BoolArray) -> FloatArray:
        """Return the optimum with the firing fixed; from an interior-point method if the program is
        large."""
        problem, rows = self.problem, self.rows
        if not (self.is_large and isinstance(rows, ReluRows)):
            return self._solve(rows.fixed(firing), problem.lower, problem.upper)[2]
        # A row that fires costs |a - t|, one that does not t + max(0, a - 2 t): losses of a hinge,
        # but for the constant t.
        t, fires, off = rows.targets, rows.can_choose & firing, rows.can_choose & ~firing
        constants = self.g - np.where(fires, t - 1.0, np.where(off, 2.0 * t, 0.0))
        box = problem.lower, problem.upper, problem.start
        pieces = HingeRegression(self.h, constants, *box, fires, np.ones(self.n_rows))
        options = SolveOptions(limits=Limits(gap=FEASIBILITY_TOLERANCE))
        search = Search(pieces, options, self.best.clock, FINE_ROUNDING)
        interior_point(search)
        return search.theta

    @property
    def is_mip(self) -> bool:
        """Whether any row has a choice."""
        low = self.problem.interval[0][self.can_fire]
        return bool((self.rows.can_choose & (low < self.rows.thresholds)).any())

    @property
    def is_large(self) -> bool:
        """Whether a linear program takes seconds without a basis to start from."""
        return bool(self.h.size >= LARGE)

    def pattern(self, theta: FloatArray) -> BoolArray:
        """Whether each row fires at a point."""
        return np.asarray(self.h @ theta + self.g > self.rows.thresholds)

    def explore(self, most_nodes: int) -> bool:
        """Search, best node first, until every node is good enough or a limit is hit, of which that
        of nodes is repeatable; return whether all linear programs were solved."""
        problem, best = self.problem, self.best
        root = _Node(0.0, np.zeros(self.n_rows, dtype=np.int8), problem.lower, problem.upper)
        waiting = [(root.bound, 0, root)]
        closed, numbers, nodes, succeeded = np.inf, itertools.count(1), 0, True
        while waiting and nodes < most_nodes and not best.clock.is_over:
            bound, _, node = waiting[0]
            if best.is_done(bound):
                break
            try:
                bound, children = self._expand(node)
            except LpFailed:
                succeeded = False
                break
            heapq.heappop(waiting)
            nodes += 1
            if not children:
                closed = min(closed, bound)
            for child in children:
                heapq.heappush(waiting, (child.bound, next(numbers), child))
        left = waiting[0][0] if waiting else np.inf
        best.raise_bound(min(closed, left, best.loss))
        best.nodes += nodes
        return succeeded

    def _expand(self, node: _Node) -> tuple[float, list[_Node]]:
        """Solve, tighten and branch a node; return its bound and its children, none where no point
        of it is better than the best."""
        decided, bound = node.decided, node.bound
        box = node.lower, node.upper
        for turn in range(MOST_ROUNDS):
            allowed = self._propagate(decided, *box)
            if allowed is None:
                return self.best.loss, []
            lower, upper = allowed
            low, high = self._interval(lower, upper)
            is_silent = (decided == OPEN) & self.rows.can_choose & (high <= self.rows.thresholds)
            decided = np.where(is_silent, np.int8(SILENT), decided)
            envelope = self.rows.relaxed(low, decided)
            own, slopes, theta = self._solve(envelope, lower, upper)
            bound = max(bound, own)
            self.best.offer(theta)
            if turn == 0 and node.gain:
                self.costs.learn(node, min(bound, self.best.loss))
            if self.best.is_done(bound):
                return bound, []
            # A better point lies where the linear function below the relaxation does not exceed the
            # best loss.
            room = np.full(slopes.size, np.inf)
            np.divide(self.best.loss - own, np.abs(slopes), out=room, where=slopes != 0.0)
            box = (
                np.where(slopes < 0.0, np.maximum(lower, upper - room), lower),
                np.where(slopes > 0.0, np.minimum(upper, lower + room), upper),
            )
            if not np.any(box[1] - box[0] < SHRINKS * (upper - lower)):
                break
        return bound, self._branch(_Node(bound, decided, lower, upper), theta, envelope)

    def _solve(
        self, envelope: Envelope, lower: FloatArray, upper: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Return a proven bound, the slopes of the linear function that proves it, and a point."""
        self.programs += 1
        answer = self.warm.solve(*self.lp.numbers(envelope, lower, upper))
        if answer is None:
            raise LpFailed
        multipliers, theta = self.lp.multipliers(envelope, *answer)
        slopes = multipliers @ self.h
        least = float(np.minimum(lower * slopes, upper * slopes).sum())
        bound = self.constant + float(envelope.constants_of(multipliers, self.g).sum()) + least
        return bound, slopes, np.clip(theta, lower, upper)

    def _branch(self, node: _Node, theta: FloatArray, envelope: Envelope) -> list[_Node]:
        """Decide one row in both ways: the one that promises most on both sides; no children if no
        envelope errs at the point."""
        a = self.h @ theta + self.g
        below = envelope.at(a)
        error = self.rows.losses(a) - below
        can_branch = (node.decided == OPEN) & self.rows.can_choose & (error > EXACT)
        if not can_branch.any():
            return []
        gains = np.maximum(self.rows.choices(a) - below, LEAST_GAIN)
        promise = np.maximum(gains * self.costs.factors(), LEAST_GAIN)
        row = int(np.argmax(np.where(can_branch, promise[0] * promise[1], -1.0)))
        children = []
        for gain, decision in zip(gains[:, row].tolist(), (FIRES, SILENT), strict=True):
            decided = node.decided.copy()
            decided[row] = decision
            children.append(_Node(node.bound, decided, node.lower, node.upper, row, gain))
        return children

    def _interval(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest preactivations of the points of a box that are no worse than the
        best."""
        least, most = (each[self.can_fire] for each in self.problem.reach(self.best.loss))
        low = self.positive @ lower + self.negative @ upper + self.g
        high = self.positive @ upper + self.negative @ lower + self.g
        return np.maximum(low, least), np.minimum(high, most)

    def _propagate(
        self, decided: IntArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return the box without what no decided row allows; None if nothing is left."""
        rows = np.flatnonzero(decided != OPEN)
        if np.any(lower > upper + self.box_room):
            return None
        if not rows.size:
            return lower, np.maximum(lower, upper)
        sign = decided[rows].astype(np.float64)
        h, g = sign[:, None] * self.h[rows], sign * (self.g - self.rows.thresholds)[rows]
        # Every such row now reads h . theta + g >= 0, and this is how far it is satisfied at best.
        room = np.maximum(h, 0.0) @ upper + np.minimum(h, 0.0) @ lower + g
        if np.any(room < -self.row_room):
            return None
        reach = np.full(h.shape, np.inf)
        np.divide(np.maximum(room, 0.0)[:, None], np.abs(h), out=reach, where=h != 0.0)
        least = np.where(h > 0.0, upper - reach, -np.inf).max(axis=0)
        most = np.where(h < 0.0, lower + reach, np.inf).min(axis=0)
        lower, upper = np.maximum(lower, least), np.minimum(upper, most)
        if np.any(lower > upper + self.box_room):
            return None
        return lower, np.maximum(lower, upper)
