"""Formulas in pySMT: there are weights with which every label's output is above all others.

`plain` is the formula of C. Ison, *Using an SMT Solver for Training Feedforward Neural Networks*:
every weight an unknown, ReLU as a maximum, for each sample the label's output greater than each
other (its (1), (2) and (5)). `reduced` is satisfiable if and only if `plain` is, with fewer
unknowns and products. `on_grid` is for weights of a finite grid, without any product of unknowns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pysmt import shortcuts as smt
from pysmt.typing import REAL

from layermilp.smt.problem import Problem

Term = Any
"""A node of a pySMT formula; pySMT has no types of its own."""

Product = Callable[[Term], Term]
"""A weight: what it makes of its input."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """A formula, and where its weights are.

    Parameters
    ----------
    formula : pysmt FNode
        That there are weights with which every sample is right.
    weights : tuple of (n, d + 1) arrays of pysmt FNode
        Extended weights of every layer as terms, whose values in a model are the network's.
    logic : str or None
        The logic that the formula is in, where Z3 does better to know it.
    """

    formula: Term
    weights: tuple[NDArray[np.object_], ...]
    logic: str | None = None


def plain(problem: Problem) -> Encoding:
    """Every weight and bias a real unknown, within the bound where there is one; a grid is not in
    this formula."""
    assert problem.domain.grid is None
    weights = _unknowns(problem)
    bounds: list[Term] = []
    if problem.domain.bound is not None:
        bound = _real(problem.domain.bound)
        for weight in itertools.chain.from_iterable(layer.ravel() for layer in weights):
            bounds += [smt.LE(weight, bound), smt.GE(weight, smt.Times(smt.Real(-1), bound))]
    return Encoding(
        smt.And(*bounds, *_leads(problem, _products(weights))),
        tuple(weights),
        "QF_NRA" if len(weights) > 1 else None,
    )


def reduced(problem: Problem) -> Encoding:
    """The formula without its symmetries, for real weights; bounds are met by scaling the model.

    Only differences of outputs count, so output 0 is zero. A neuron of the last hidden layer may be
    scaled by a positive factor and its weights in the last layer by the inverse, so its weight in
    output 1 is 1 or -1 (of more than two outputs: or 0; of two that is a neuron without weights).
    With two outputs the signs are ordered. With two outputs and one hidden layer nothing is
    multiplied but unknowns by numbers: the formula is one of linear arithmetic."""
    weights = _unknowns(problem)
    last, n = weights[-1], problem.sizes[-2]
    last[0] = smt.Real(0)
    products = _products(weights)
    products[-1][0] = [lambda term: smt.Real(0)] * (n + 1)
    symmetries: list[Term] = []
    if len(weights) > 1:
        positive = [smt.Symbol(f"p{h}") for h in range(n)]
        if problem.n_outputs == 2:
            negative = [smt.Not(p) for p in positive]
            symmetries = [
                smt.Implies(after, before) for before, after in itertools.pairwise(positive)
            ]
        else:
            negative = [smt.Symbol(f"n{h}") for h in range(n)]
        products[-1][1][:n] = [_signed(p, q) for p, q in zip(positive, negative, strict=True)]
        last[1, :n] = [product(smt.Real(1)) for product in products[-1][1][:n]]
    return Encoding(
        smt.And(*symmetries, *_leads(problem, products)),
        tuple(weights),
        None if problem.is_linear else "QF_NRA",
    )


def on_grid(problem: Problem) -> Encoding:
    """Weights ``step (-K + sum_b 2^b z_b)`` with truth values `z_b`: products with a weight are
    sums of conditional terms."""
    domain = problem.domain
    assert domain.grid is not None
    step, most = Fraction(float(domain.grid)), domain.steps
    products, weights, limits = [], [], []
    for i, (d, n) in enumerate(itertools.pairwise(problem.sizes)):
        layer = [[_digits(step, most, f"z{i}_{j}_{h}") for h in range(d + 1)] for j in range(n)]
        terms = np.array([[product(smt.Real(1)) for product in row] for row in layer], dtype=object)
        limits += [smt.LE(term, smt.Real(step * most)) for term in terms.ravel()]
        products.append(layer)
        weights.append(terms)
    return Encoding(smt.And(*limits, *_leads(problem, products)), tuple(weights))


def _unknowns(problem: Problem) -> list[NDArray[np.object_]]:
    """Return an unknown for every weight and bias, shapes ``(n, d + 1)``."""
    return [
        np.array(
            [[smt.Symbol(f"w{i}_{j}_{h}", REAL) for h in range(d + 1)] for j in range(n)],
            dtype=object,
        )
        for i, (d, n) in enumerate(itertools.pairwise(problem.sizes))
    ]


def _products(weights: list[NDArray[np.object_]]) -> list[list[list[Product]]]:
    return [[[_times(weight) for weight in row] for row in layer] for layer in weights]


def _leads(problem: Problem, layers: list[list[list[Product]]]) -> list[Term]:
    """Return that the label's output is above each other, for every sample."""
    leads: list[Term] = []
    for x, label in zip(problem.X, problem.labels, strict=True):
        values = [_real(value) for value in x]
        for i, layer in enumerate(layers):
            if i > 0:
                values = [smt.Max(smt.Real(0), total) for total in values]
            inputs = [*values, smt.Real(1)]
            values = [
                smt.Plus([product(value) for product, value in zip(row, inputs, strict=True)])
                for row in layer
            ]
        leads += [smt.GT(values[label], value) for j, value in enumerate(values) if j != label]
    return leads


def _real(value: float) -> Term:
    return smt.Real(Fraction(float(value)))


def _times(weight: Term) -> Product:
    return lambda term: smt.Times(weight, term)


def _signed(positive: Term, negative: Term) -> Product:
    """Return the weight that is 1, -1, or 0 where it is neither."""
    return lambda term: smt.Ite(
        positive, term, smt.Ite(negative, smt.Times(smt.Real(-1), term), smt.Real(0))
    )


def _digits(step: Fraction, most: int, name: str) -> Product:
    """Return the weight whose binary digits are truth values of that name."""
    bits = [smt.Symbol(f"{name}_{b}") for b in range((2 * most).bit_length())]

    def product(term: Term) -> Term:
        digits = [
            smt.Ite(bit, smt.Times(smt.Real(step * 2**b), term), smt.Real(0))
            for b, bit in enumerate(bits)
        ]
        return smt.Plus([smt.Times(smt.Real(-step * most), term), *digits])

    return product


ENCODINGS: dict[str, Callable[[Problem], Encoding]] = {
    "plain": plain,
    "reduced": reduced,
    "grid": on_grid,
}
"""Formulas by name."""
