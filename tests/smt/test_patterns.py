"""Programs over firing patterns."""

from __future__ import annotations

import numpy as np

from layermilp.program import Limits
from layermilp.smt.patterns import descent
from layermilp.smt.problem import outputs
from tests.smt.samples import drawn_weights


def test_programs_over_firing_patterns_never_lose() -> None:
    """Labels at random: the loss falls from round to round, which the procedure promises."""
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(40, 2)), rng.integers(0, 3, 40)
    hidden, last = drawn_weights(rng, (2, 4, 3))
    losses = []
    for theta, above in descent(X, labels, hidden, last, Limits()):
        values = outputs((theta, above), X)
        others = values[np.arange(40), labels][:, None] - values
        rest = others[np.arange(3) != labels[:, None]]
        losses.append(np.maximum(1.0 - rest, 0.0).sum())
    assert len(losses) > 2 and np.all(np.diff(losses) <= 1e-6)
