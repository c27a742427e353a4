"""Formulas against all networks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layermilp.smt import exact
from layermilp.smt.encoding import Encoding, on_grid, plain, reduced
from layermilp.smt.problem import Domain, Problem, leads, outputs
from layermilp.smt.worker import decided
from tests.smt.samples import SEEDS, every_network


@settings(deadline=None, max_examples=12)
@given(SEEDS, st.sampled_from([(2, 1, 2), (1, 2), (1, 1, 1, 2)]))
def test_the_formula_of_a_grid_agrees_with_all_networks(seed: int, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    X, labels = rng.integers(-2, 3, (3, sizes[0])).astype(float), rng.integers(0, 2, 3)
    problem = Problem(X, labels, sizes, Domain(1.0, 1.0))
    possible = any(
        leads(outputs(weights, X), labels).min() > 0.0 for weights in every_network(sizes)
    )
    answer, weights, _ = decided(on_grid(problem), 0)
    assert answer == ("sat" if possible else "unsat")
    if possible:
        floats = tuple(layer.astype(float) for layer in weights)
        assert problem.domain.contains(floats) and problem.model(floats) is not None


@settings(deadline=None, max_examples=12)
@given(SEEDS, st.sampled_from([(1, 1, 2), (1, 2, 2), (1, 1, 3)]))
def test_the_reduced_formula_is_satisfiable_where_the_plain_one_is(
    seed: int, sizes: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(seed)
    X, labels = np.arange(4.0)[:, None], rng.integers(0, sizes[-1], 4)
    problem = Problem(X, labels, sizes)
    answers = [decided(encoding(problem), 0) for encoding in (plain, reduced)]
    assert answers[0][0] == answers[1][0] != "unknown"
    for _, weights, _ in answers:
        if weights is not None:
            assert exact.least_lead(weights, X, labels) > 0


def test_an_irrational_model_is_rounded_and_said_to_be() -> None:
    from pysmt import shortcuts as build
    from pysmt.typing import REAL

    x = build.Symbol("x", REAL)
    formula = build.And(build.Equals(build.Times(x, x), build.Real(2)), build.GT(x, build.Real(0)))
    answer, (weights,), told = decided(
        Encoding(formula, (np.array([[x]], dtype=object),), "QF_NRA"), 0
    )
    assert answer == "sat" and told == "1 irrational weights rounded"
    assert abs(weights[0, 0] ** 2 - 2) < Fraction(1, 10**30)
