"""Ridge regression through a ReLU against its definition and a general optimizer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize

from layermilp.algorithms import search as solving
from layermilp.algorithms.fit import solve_relu
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.ridge import Ridge, fit_ridge
from layermilp.algorithms.search import Search
from layermilp.formulations import ReluRegression
from layermilp.program import Status
from layermilp.solvers import quadratic


def problem_of(seed: int, samples: int, inputs: int, reach: float = 1.0) -> ReluRegression:
    """Return a fit with targets of both kinds; the last unknown is a bias."""
    rng = np.random.default_rng(seed)
    h = np.column_stack([rng.random((samples, inputs)), np.ones(samples)])
    box = np.full(inputs + 1, reach)
    targets = np.where(rng.random(samples) < 0.3, 0.0, rng.random(samples))
    start = reach * rng.uniform(-0.5, 0.5, inputs + 1)
    offsets = rng.choice([0.0, 0.2], samples)
    return ReluRegression(
        sparse.csr_array(h), offsets, -box, box, start, targets=targets, big_m=20.0
    )


def objective(problem: ReluRegression, ridge: float, decay: float, theta: np.ndarray) -> float:
    """The sum as documented, written out."""
    h = problem.coefficients.toarray()
    a, t = h @ theta + problem.constants, problem.targets
    missed = np.where(t > 0.0, a - t, np.maximum(a, 0.0))
    s = ridge * (h**2).sum(axis=1).mean()
    return float(((theta - (1.0 - decay) * problem.start) ** 2).sum() + (missed**2).sum() / s)


def fitted(problem: ReluRegression, ridge: float, decay: float) -> np.ndarray | None:
    """The optimum, or None if it was not found."""
    search = Search(Ridge.of(problem, ridge, decay), SolveOptions())
    fit_ridge(search)
    return search.theta if search.stop is None else None


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1.0, 0.2, 9.0]),
    st.sampled_from([0.01, 0.3, 5.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_the_fit_is_the_optimum(
    seed: int, samples: int, inputs: int, reach: float, ridge: float, decay: float
) -> None:
    problem = problem_of(seed, samples, inputs, reach)
    theta = fitted(problem, ridge, decay)
    assert theta is not None
    assert np.all((problem.lower <= theta) & (theta <= problem.upper))
    answer = minimize(
        lambda at: objective(problem, ridge, decay, at),
        theta,
        bounds=list(zip(problem.lower, problem.upper, strict=True)),
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    reached = objective(problem, ridge, decay, theta)
    assert reached <= answer.fun * (1.0 + 1e-6) + 1e-9
    # Convex: no point between it and any other is better.
    other = np.random.default_rng(seed).uniform(problem.lower, problem.upper)
    assert objective(problem, ridge, decay, theta + 1e-3 * (other - theta)) >= reached - 1e-9


@pytest.mark.parametrize("samples", [4, 12])
def test_both_ways_to_the_optimum_agree_where_either_is_used(samples: int) -> None:
    """With a row that asks for nothing more, the other method is used, and nothing changes."""
    problem = problem_of(3, samples, samples - 1)
    theta = fitted(problem, 0.3, 0.1)
    longer: dict[str, Any] = {
        name: np.append(getattr(problem, name), 0.0) for name in ("lower", "upper", "start")
    }
    wide = replace(
        problem,
        coefficients=sparse.csr_array(
            np.column_stack([problem.coefficients.toarray(), np.zeros(samples)])
        ),
        **longer,
    )
    other = fitted(wide, 0.3, 0.1)
    assert theta is not None and other is not None and other.size == theta.size + 1
    np.testing.assert_allclose(other[:-1], theta, atol=1e-7)


def test_the_bound_is_one_of_the_sum() -> None:
    """Objective, bound and start are those of the sum that is minimized, as documented."""
    for seed in range(40):
        problem = problem_of(seed, 3 + seed % 12, 6)
        fit = solve_relu(problem, SolveOptions(ridge=0.3, weight_decay=0.1))
        other = minimize(
            lambda at, of=problem: objective(of, 0.3, 0.1, at),
            problem.start,
            bounds=list(zip(problem.lower, problem.upper, strict=True)),
            method="L-BFGS-B",
        )
        assert fit.bound <= min(fit.objective, other.fun)
        assert fit.objective == pytest.approx(objective(problem, 0.3, 0.1, fit.parameters))
        assert fit.start_objective == pytest.approx(objective(problem, 0.3, 0.1, problem.start))
        assert fit.objective - fit.bound <= 1e-6 * fit.objective


def test_a_fit_takes_no_solver_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "solve", None)
    for samples in (4, 30):
        problem = problem_of(1, samples, 8)
        fit = solve_relu(problem, SolveOptions(ridge=0.3, weight_decay=0.1))
        assert fit.status is Status.OPTIMAL and fit.gap <= 1e-6
        assert (fit.kind, dict(fit.solver_calls)) == ("qp", {"daqp": 1})
        assert fit.parameters.tolist() == list(fitted(problem, 0.3, 0.1))  # type: ignore[arg-type]


@pytest.mark.parametrize(("samples", "method"), [(4, "project"), (30, "box_quadratic")])
def test_a_point_that_is_not_the_optimum_is_not_taken(
    samples: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the quadratic solver says is recomputed: a point a little off, and no answer, leave the
    start."""
    problem, setup = problem_of(1, samples, 8), SolveOptions(ridge=0.3, weight_decay=0.1)
    right = fitted(problem, 0.3, 0.1)
    assert right is not None
    for answer in (np.clip(right + 0.02, problem.lower, problem.upper), None):
        monkeypatch.setattr(quadratic, method, lambda *arguments, answer=answer: answer)
        assert fitted(problem, 0.3, 0.1) is None
        fit = solve_relu(problem, setup)
        assert fit.status is Status.ERROR and fit.parameters.tolist() == problem.start.tolist()


def test_inputs_that_no_sample_has_decay_too() -> None:
    problem = problem_of(4, 4, 8)
    h = problem.coefficients.toarray()
    h[:, 2] = 0.0
    fit = solve_relu(
        replace(problem, coefficients=sparse.csr_array(h)),
        SolveOptions(ridge=0.3, weight_decay=0.25),
    )
    assert fit.parameters[2] == pytest.approx(0.75 * problem.start[2])


def test_a_start_that_meets_its_targets_stays() -> None:
    problem = problem_of(5, 6, 3)
    met = replace(problem, targets=np.maximum(problem.preactivation(problem.start), 0.0))
    assert (
        solve_relu(met, SolveOptions(ridge=0.3, weight_decay=0.1)).parameters.tolist()
        == problem.start.tolist()
    )


def test_the_reference_form_has_no_ridge() -> None:
    problem = problem_of(6, 6, 2)
    plain, ridged = (
        solve_relu(problem, SolveOptions("paper")),
        solve_relu(problem, SolveOptions("paper", ridge=0.3)),
    )
    assert plain.parameters.tolist() == ridged.parameters.tolist()


def test_no_rows_leave_the_decayed_start() -> None:
    problem = problem_of(7, 3, 2)
    empty = replace(problem, coefficients=sparse.csr_array(np.zeros((3, 3))))
    assert fitted(empty, 0.3, 0.5) == pytest.approx(0.5 * problem.start)
