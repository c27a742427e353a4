"""Shared fixtures."""

from __future__ import annotations

import pytest

from layermilp.solvers import SOLVERS
from tests.conformance.problems import missing


@pytest.fixture(params=list(SOLVERS))
def solver(request: pytest.FixtureRequest) -> str:
    """Return the name of each solver; one that is missing is skipped with its name."""
    why = missing(request.param)
    if why is not None:
        pytest.skip(why)
    return str(request.param)
