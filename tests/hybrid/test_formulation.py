"""The margins of the last layer's programs, and every solver on these."""

from __future__ import annotations

import numpy as np

from layermilp.hybrid.formulation import LastLayer, margin_count, regression
from layermilp.solvers import SOLVERS, solve
from tests.conformance.problems import missing
from tests.hybrid.samples import small


def test_margins_are_differences_of_outputs() -> None:
    h, w, b, labels = small(5, 3)
    layer = LastLayer(h, w, b, 1.0)
    found = margin_count(layer, labels, 1.0)
    outputs = layer.outputs(layer.theta)
    own = outputs[np.arange(len(labels)), labels]
    least = np.array(
        [
            (found.coefficients @ layer.theta.reshape(-1))[found.samples == t].min()
            for t in range(len(labels))
        ]
    )
    rival = np.where(np.arange(3) == labels[:, None], -np.inf, outputs).max(axis=1)
    np.testing.assert_allclose(least, own - rival)


def test_programs_are_solved_to_the_same_optimum_by_every_solver() -> None:
    h, w, b, _ = small(8, 2, m=10)
    y = np.random.default_rng(9).normal(size=(10, 2))
    for output in ("identity", "relu"):
        program = regression(LastLayer(h, w, b, 0.5, output), y, 1, each=False, total=True)
        objectives = [solve(program, name).objective for name in SOLVERS if missing(name) is None]
        np.testing.assert_allclose(objectives, objectives[0], rtol=1e-6)
