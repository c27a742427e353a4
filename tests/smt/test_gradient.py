"""Training by gradient."""

from __future__ import annotations

import numpy as np

from layermilp.algorithms.budget import Budget
from layermilp.smt.gradient import trained
from layermilp.smt.problem import Problem, leads, outputs


def test_training_learns_what_is_separable() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2)) * [1000.0, 0.001]
    labels = (X[:, 1] > 0.0).astype(int)
    problem = Problem(X, labels, (2, 3, 2))
    best = trained(problem, 4, 200, np.random.default_rng(0), Budget.of(None))[0]
    assert leads(outputs(problem.of_samples(best), X), labels).min() > 0.0
