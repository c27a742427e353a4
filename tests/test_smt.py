"""Networks by an SMT solver: exact arithmetic, formulas against enumeration, the portfolio,
PyTorch, the command line."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE

from layermilp import Network, load_model, smt
from layermilp.algorithms.budget import Budget
from layermilp.cli import main
from layermilp.errors import DataError, NetworkError, OptionError, SolverNotAvailable
from layermilp.program import Limits
from layermilp.smt import Verdict, exact, process
from layermilp.smt.encoding import Encoding, on_grid, plain, reduced
from layermilp.smt.gradient import trained
from layermilp.smt.patterns import descent
from layermilp.smt.problem import Domain, Problem, Weights, leads, outputs
from layermilp.smt.witness import last_layer, random_layers, widest_margin
from layermilp.smt.worker import decided

ROOT = Path(__file__).parent.parent
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(2, 2), (3, 2, 2), (2, 3, 3), (2, 3, 2, 3), (1, 1, 1, 2)])
CORNERS, APART = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 0, 1, 1])


def _weights(rng: np.random.Generator, sizes: tuple[int, ...]) -> Weights:
    return tuple(rng.normal(size=(n, d + 1)) for d, n in itertools.pairwise(sizes))


def _exactly(weights: Weights, X: np.ndarray) -> list[list[Fraction]]:
    values, denominator = exact.outputs(weights, X)
    return [[Fraction(value, denominator) for value in row] for row in values.tolist()]


def _by_hand(weights: Weights, x: np.ndarray) -> list[Fraction]:
    """Forward pass in fractions, a sum at a time."""
    values = [Fraction(float(v)) for v in x]
    for i, layer in enumerate(weights):
        sums = []
        for row in layer:
            terms = [Fraction(float(w)) * v for w, v in zip(row[:-1], values, strict=True)]
            sums.append(sum(terms, Fraction(float(row[-1]))))
        values = sums if i == len(weights) - 1 else [max(total, Fraction(0)) for total in sums]
    return values


def _holds(network: Network | None, X: np.ndarray, labels: np.ndarray) -> bool:
    """Whether every label's output is above all others, in fractions and as the network
    predicts."""
    assert network is not None
    weights = tuple(block.extended for block in network.blocks)
    for x, label in zip(X, labels, strict=True):
        values = _by_hand(weights, x)
        if any(values[label] <= value for j, value in enumerate(values) if j != label):
            return False
    return network.decision == "argmax" and network.accuracy(X, network.classes[labels]) == 1.0


def _planes(m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3))
    return X, np.all(X @ rng.normal(size=(3, 2)) > 0.0, axis=1).astype(int)


@settings(deadline=None, max_examples=60)
@given(SEEDS, SHAPES, st.sampled_from([0, 30, 200]))
def test_the_forward_pass_is_exact(seed: int, sizes: tuple[int, ...], spread: int) -> None:
    """Against fractions one sum at a time, with weights of very different sizes and zeros among
    them; and against numpy."""
    rng = np.random.default_rng(seed)
    weights = tuple(
        np.ldexp(layer, rng.integers(-spread, spread + 1, layer.shape))
        * (rng.random(layer.shape) > 0.2)
        for layer in _weights(rng, sizes)
    )
    X, labels = rng.normal(size=(5, sizes[0])), rng.integers(0, sizes[-1], 5)
    found = _exactly(weights, X)
    assert found == [_by_hand(weights, x) for x in X]
    least = min(
        row[y] - max(v for j, v in enumerate(row) if j != y)
        for row, y in zip(found, labels, strict=True)
    )
    assert exact.least_lead(weights, X, labels) == least
    if spread == 0:
        np.testing.assert_allclose(
            np.array(found, dtype=float), outputs(weights, X), rtol=1e-9, atol=1e-9
        )
    fractions = tuple(
        np.array([[Fraction(float(w)) for w in row] for row in layer], dtype=object)
        for layer in weights
    )
    assert _exactly(fractions, X) == found


def test_sums_beyond_64_bits_are_exact() -> None:
    """On both sides of the limit, where numbers change from one kind to the other; and without any
    neuron in use."""
    for size in (2.0**20, 2.0**31, 2.0**40, 2.0**60):
        weights = (
            np.array([[size - 1, 1.0], [1.0, -size]]),
            np.array([[size - 3, 1.0, 2.0**-30], [1.0, 0.0, 0.0]]),
        )
        X = np.array([[size - 7.0], [-3.0], [0.0]])
        assert _exactly(weights, X) == [_by_hand(weights, x) for x in X]
    idle = (np.ones((2, 2)), np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]))
    assert _exactly(idle, np.ones((1, 1))) == [[1, 2]]


def test_a_tie_is_no_lead() -> None:
    assert exact.least_lead((np.zeros((2, 2)),), np.ones((1, 1)), np.array([0])) == 0
    problem = Problem(np.ones((1, 1)), np.array([0]), (1, 2))
    assert problem.model((np.zeros((2, 2)),)) is None
    # A lead that only rounding makes: 1 + 2^-60 - 1 is zero in floating point, and its tie is
    # refused as well.
    assert problem.model((np.array([[2.0**-60, 1.0], [0.0, 1.0]]),)) is None


@settings(deadline=None, max_examples=60)
@given(SEEDS, SHAPES, st.floats(1e-3, 1e3), st.sampled_from(["float32", "float64"]))
def test_a_bound_changes_no_decision(
    seed: int, sizes: tuple[int, ...], bound: float, dtype: str
) -> None:
    rng = np.random.default_rng(seed)
    domain, weights, X = (
        Domain(bound, None, dtype),
        _weights(rng, sizes),
        rng.normal(size=(5, sizes[0])),
    )
    weights = tuple(layer.astype(dtype).astype(float) for layer in weights)
    fitted = domain.fitted(weights)
    assert domain.contains(fitted)
    for before, after in zip(_exactly(weights, X), _exactly(fitted, X), strict=True):
        order, again = (np.argsort(np.array(each), kind="stable") for each in (before, after))
        assert np.array_equal(order, again)
        (scale,) = {b / a for a, b in zip(before, after, strict=True) if a} or {Fraction(1)}
        assert scale > 0


@settings(deadline=None, max_examples=40)
@given(SEEDS, SHAPES, st.sampled_from([(1.0, 1.0), (2.0, 0.25), (3.0, 2.0)]))
def test_a_grid_is_kept(seed: int, sizes: tuple[int, ...], limits: tuple[float, float]) -> None:
    domain = Domain(*limits)
    fitted = domain.fitted(_weights(np.random.default_rng(seed), sizes))
    assert domain.contains(fitted)
    assert all(
        np.array_equal(again, layer)
        for again, layer in zip(domain.fitted(fitted), fitted, strict=True)
    )
    off = (fitted[0] + limits[1] / 2, *fitted[1:])
    assert not domain.contains(off)


def _every_network(sizes: tuple[int, ...]) -> Iterator[Weights]:
    """Yield all networks with weights from -1 to 1."""
    shapes = [(n, d + 1) for d, n in itertools.pairwise(sizes)]
    counts = [a * b for a, b in shapes]
    for values in itertools.product((-1.0, 0.0, 1.0), repeat=sum(counts)):
        parts = np.split(np.array(values), np.cumsum(counts)[:-1])
        yield tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


@settings(deadline=None, max_examples=12)
@given(SEEDS, st.sampled_from([(2, 1, 2), (1, 2), (1, 1, 1, 2)]))
def test_the_formula_of_a_grid_agrees_with_all_networks(seed: int, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    X, labels = rng.integers(-2, 3, (3, sizes[0])).astype(float), rng.integers(0, 2, 3)
    problem = Problem(X, labels, sizes, Domain(1.0, 1.0))
    possible = any(
        leads(outputs(weights, X), labels).min() > 0.0 for weights in _every_network(sizes)
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


@pytest.mark.parametrize("sizes", [(3, 40, 2), (3, 50, 30, 3), (3, 60, 60, 2)])
def test_wide_networks_need_no_search(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(30, 3)), rng.integers(0, sizes[-1], 30)
    found = smt.train(Network.dense(sizes), X, labels, stages=("random",))
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage == "random"
        and found.lead is not None
        and found.lead > 0
    )
    assert _holds(found.network, X, labels)


@pytest.mark.parametrize("sizes", [(3, 2, 2), (3, 3, 2), (3, 3, 3, 2)])
def test_narrow_networks_are_found(sizes: tuple[int, ...]) -> None:
    X, labels = _planes(50)
    found = smt.train(
        Network.dense(sizes), X, labels, stages=("trained", "patterns"), time_limit=None
    )
    assert found.verdict is Verdict.SATISFIED and _holds(found.network, X, labels)
    again = smt.train(
        Network.dense(sizes), X, labels, stages=("trained", "patterns"), time_limit=None
    )
    assert found.network is not None and again.network is not None
    assert all(
        np.array_equal(a.theta, b.theta)
        for a, b in zip(found.network.blocks, again.network.blocks, strict=True)
    )


def test_three_classes_and_two_hidden_layers() -> None:
    X = np.random.default_rng(1).normal(size=(30, 2))
    labels = np.arange(30) % 3
    for sizes in ([2, 10, 3], [2, 6, 6, 3]):
        network = Network.dense(sizes).with_classes(["a", "b", "c"])
        found = smt.train(network, X, np.array(["a", "b", "c"])[labels], time_limit=60.0)
        assert found.verdict is Verdict.SATISFIED and _holds(found.network, X, labels)


def test_programs_over_firing_patterns_never_lose() -> None:
    """Labels at random: the loss falls from round to round, which the procedure promises."""
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(40, 2)), rng.integers(0, 3, 40)
    hidden, last = _weights(rng, (2, 4, 3))
    losses = []
    for theta, above in descent(X, labels, hidden, last, Limits()):
        values = outputs((theta, above), X)
        others = values[np.arange(40), labels][:, None] - values
        rest = others[np.arange(3) != labels[:, None]]
        losses.append(np.maximum(1.0 - rest, 0.0).sum())
    assert len(losses) > 2 and np.all(np.diff(losses) <= 1e-6)


def test_training_learns_what_is_separable() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2)) * [1000.0, 0.001]
    labels = (X[:, 1] > 0.0).astype(int)
    problem = Problem(X, labels, (2, 3, 2))
    best = trained(problem, 4, 200, np.random.default_rng(0), Budget.of(None))[0]
    assert leads(outputs(problem.of_samples(best), X), labels).min() > 0.0


def test_the_last_layer_has_the_widest_margin_or_none() -> None:
    features = np.column_stack([[0.0, 1.0, 3.0, 4.0], np.ones(4)])
    theta = widest_margin(features, np.array([0, 0, 1, 1]), 2, Limits())
    assert theta is not None
    # Weights of difference (w, c) in [-1, 1]: w + c <= -t and 3 w + c >= t, best at w = 2/3 + ...,
    # c = -1.
    assert leads(features @ theta.T, np.array([0, 0, 1, 1])).min() == pytest.approx(0.5)
    assert widest_margin(features, np.array([0, 1, 0, 1]), 2, Limits()) is None


def test_a_last_layer_on_a_grid_is_solved_by_a_program() -> None:
    """Weights from -1 to 1 in whole steps, where rounding the real ones fails."""
    rng, count = np.random.default_rng(0), 0
    for _ in range(10):
        X, labels = rng.integers(-3, 4, (5, 3)).astype(float), rng.integers(0, 2, 5)
        problem = Problem(X, labels, (3, 2), Domain(1.0, 1.0))
        possible = any(
            leads(outputs(weights, X), labels).min() > 0.0 for weights in _every_network((3, 2))
        )
        found = last_layer(problem, (), Limits())
        assert (found is not None) == possible
        count += possible
    assert 0 < count < 10


def test_neurons_bend_among_the_samples() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3)) + 100.0
    (layer,) = random_layers(X, (3, 20), np.random.default_rng(0))
    fires = (X @ layer[:, :-1].T + layer[:, -1] > 0.0).mean(axis=0)
    assert np.all(fires > 0.0) and np.all(fires < 1.0)


@pytest.mark.parametrize(
    ("hidden", "options"),
    [((1,), {}), ((1, 1), {"bound": 0.5}), ((1,), {"bound": 1.0, "grid": 1.0})],
)
def test_what_one_neuron_cannot_tell_apart_is_proven(
    hidden: tuple[int, ...], options: dict[str, Any]
) -> None:
    found = smt.train(
        Network.dense([2, *hidden, 2]), CORNERS, APART, rounds=1, time_limit=120.0, **options
    )
    assert (
        found.verdict is Verdict.UNSATISFIABLE
        and found.stage == "formula"
        and found.network is None
    )


@pytest.mark.parametrize("stages", [("trained", "patterns"), ("formula",), ("plain",)])
@pytest.mark.parametrize("bound", [None, 0.125])
def test_two_neurons_tell_it_apart(stages: tuple[str, ...], bound: float | None) -> None:
    found = smt.train(
        Network.dense([2, 2, 2]), CORNERS, APART, stages=stages, bound=bound, time_limit=120.0
    )
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage in stages
        and _holds(found.network, CORNERS, APART)
    )
    assert found.network is not None
    assert all(np.abs(block.theta).max() <= (bound or np.inf) for block in found.network.blocks)


@pytest.mark.parametrize("stages", [("trained", "patterns"), ("formula",)])
def test_a_grid_is_respected(stages: tuple[str, ...]) -> None:
    options: dict[str, Any] = {"bound": 1.5, "grid": 0.5, "time_limit": 120.0}
    found = smt.train(Network.dense([2, 2, 2]), CORNERS, APART, stages=stages, **options)
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage in stages
        and _holds(found.network, CORNERS, APART)
    )
    assert found.network is not None
    for block in found.network.blocks:
        assert np.abs(block.theta).max() <= 1.5 and not np.any(block.theta % 0.5)


def test_rounded_samples_give_a_model_of_the_true_ones() -> None:
    X, labels = _planes(15)
    found = smt.train(Network.dense([3, 2, 2]), X, labels, stages=("rounded",), time_limit=100.0)
    assert (
        found.verdict is Verdict.SATISFIED
        and found.stage == "rounded"
        and _holds(found.network, X, labels)
    )
    # Three samples that become one: no proof for the true ones.
    close = np.array([[1.0], [1.00001], [1.00002]])
    found = smt.train(
        Network.dense([1, 2, 2]), close, [0, 1, 0], stages=("rounded",), time_limit=100.0
    )
    assert found.verdict is Verdict.UNKNOWN


def test_equal_samples_with_different_labels_are_seen_at_once() -> None:
    X = np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0]])
    found = smt.train(Network.dense([2, 4, 2]), X, [0, 1, 1], stages=("random",))
    assert found.verdict is Verdict.UNSATISFIABLE and found.stage == "samples"
    assert found.reason == "samples 0 and 2 are equal, but their labels differ"


def test_the_end_of_the_time_is_no_proof() -> None:
    X, labels = _planes(60)
    found = smt.train(Network.dense([3, 6, 2]), X, labels, stages=("plain",), time_limit=1.0)
    assert (
        found.verdict is Verdict.TIMEOUT
        and found.network is None
        and "time limit of 1 s" in found.reason
    )
    found = smt.train(
        Network.dense([2, 1, 2]), CORNERS, APART, stages=("random", "trained", "patterns"), rounds=1
    )
    assert (
        found.verdict is Verdict.UNKNOWN
        and found.reason == "no complete search was among the stages"
    )


def test_what_z3_does_not_know_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ask", lambda *words: process.Reply("unknown", None, "incomplete"))
    found = smt.train(Network.dense([2, 1, 2]), CORNERS, APART, stages=("formula",))
    assert found.verdict is Verdict.UNKNOWN and found.reason == "formula: incomplete"


def test_without_a_limit_a_stage_that_gave_up_early_is_no_end_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies = {
        "reduced": process.Reply("timeout", None, "stopped"),
        "plain": process.Reply("unknown", None, "incomplete"),
    }
    limits = {}

    def ask(problem: Problem, kind: str, seed: int, seconds: float | None) -> process.Reply:
        limits[kind] = seconds
        return replies[kind]

    monkeypatch.setattr(process, "ask", ask)
    found = smt.train(
        Network.dense([2, 1, 1, 2]), CORNERS, APART, stages=("formula", "plain"), time_limit=None
    )
    assert (
        found.verdict is Verdict.UNKNOWN and found.reason == "formula: stopped; plain: incomplete"
    )
    assert limits["plain"] is None and limits["reduced"] is not None


@pytest.mark.parametrize(
    ("size", "verdict"),
    [(Fraction(1, 2**2000), Verdict.UNKNOWN), (Fraction(2**2000), Verdict.SATISFIED)],
)
def test_models_that_floating_point_cannot_hold(
    size: Fraction, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lead of 2^-2000 is one in exact arithmetic only; a weight of 2^2000 may be a smaller
    one."""
    weights = (np.array([[size, Fraction(0)], [Fraction(0), Fraction(0)]], dtype=object),)
    monkeypatch.setattr(process, "ask", lambda *words: process.Reply("sat", weights))
    monkeypatch.setattr("layermilp.smt.trainer.last_layer", lambda *words: None)
    found = smt.train(Network.dense([1, 2]), [[1.0]], [0], stages=("formula",))
    assert found.verdict is verdict and ("do not survive rounding to float64" in found.reason) == (
        found.network is None
    )


def test_a_wrong_model_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tuple(np.full(shape, Fraction(1), dtype=object) for shape in ((1, 3), (2, 2)))
    monkeypatch.setattr(process, "ask", lambda *words: process.Reply("sat", weights))
    found = smt.train(Network.dense([2, 1, 2]), CORNERS, APART, stages=("formula",))
    assert found.verdict is Verdict.UNKNOWN and "does not hold in exact arithmetic" in found.reason


def test_without_z3_the_cheap_stages_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MODULES", ("no_such_module",))
    assert smt.train(Network.dense([2, 3, 2]), CORNERS, APART).verdict is Verdict.SATISFIED
    with pytest.raises(SolverNotAvailable, match=r"pip install 'layermilp\[smt\]'"):
        smt.train(Network.dense([2, 1, 2]), CORNERS, APART, rounds=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pytorch_module_gets_the_weights(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    X, labels = _planes(50)
    layers = [torch.nn.Flatten(), torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)]
    module = torch.nn.Sequential(*layers).to(getattr(torch, dtype))
    found = smt.train(module, X, labels, time_limit=60.0)
    assert found.verdict is Verdict.SATISFIED and found.network is not None
    for layer, block in zip((layers[1], layers[3]), found.network.blocks, strict=True):
        assert np.array_equal(layer.weight.detach().numpy().astype(float), block.weights)
        assert np.array_equal(layer.bias.detach().numpy().astype(float), block.bias)
    values = module(torch.tensor(X, dtype=getattr(torch, dtype))).detach().numpy()
    assert np.all(values.argmax(axis=1) == labels)
    assert _holds(found.network, X.astype(dtype).astype(float), labels)


def test_other_modules_are_refused() -> None:
    nn = pytest.importorskip("torch").nn
    for module, words in (
        (nn.Linear(2, 2), "takes a Sequential"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), "where a ReLU must be"),
        (nn.Sequential(nn.Linear(2, 2, bias=False)), "where a Linear with a bias must be"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "must end with a Linear"),
        (
            nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(2, 2)),
            "has 3 outputs, the next 2 inputs",
        ),
        (nn.Sequential(nn.Linear(2, 2)).half(), "type float16"),
    ):
        with pytest.raises(NetworkError, match=words):
            smt.train(module, CORNERS, APART)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bound": 0.0}, "bound is 0.0; it must be a number above 0"),
        ({"grid": 1.0}, "there is no bound"),
        ({"grid": 2.0, "bound": 1.0}, "above the bound 1"),
        ({"grid": 0.1, "bound": 1.0}, "use a whole number or a power of two"),
        ({"time_limit": 0.0}, "time_limit is 0.0"),
        ({"rounds": 0}, "rounds is 0"),
        ({"seed": -1}, "seed is -1"),
        (
            {"stages": ("magic",)},
            "stages 'magic' is unknown; choose random, trained, patterns, rounded, formula, plain",
        ),
        ({"stages": ()}, "stages is \\(\\)"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        smt.train(Network.dense([2, 2, 2]), CORNERS, APART, **options)


@pytest.mark.parametrize(
    ("network", "X", "y", "kind", "words"),
    [
        (Network.dense([3, 2, 2]), CORNERS, APART, DataError, "needs samples in rows of 3 values"),
        (Network.dense([2, 2, 2]), CORNERS[:0], APART[:0], DataError, r"X has shape \(0, 2\)"),
        (
            Network.dense([2, 2, 2]),
            CORNERS * np.nan,
            APART,
            DataError,
            "sample 0 has the value nan at input 0",
        ),
        (
            Network.dense([2, 2, 2]),
            CORNERS,
            [0, 0, 1, 2],
            DataError,
            "label '2' is none of the network's 2 classes",
        ),
        (Network.dense([2, 2, 2]), CORNERS, [0, 1], DataError, "there are 4 samples, but 2 labels"),
        (Network.dense([2, 2, 1]), CORNERS, [0] * 4, NetworkError, "has one output"),
        (
            Network.conv(2, 2, 2, 2),
            np.ones((2, 4)),
            [0, 1],
            NetworkError,
            "block 1 of .* has tied or fixed weights",
        ),
    ],
)
def test_data_and_networks_that_cannot_be_are_refused(
    network: Network, X: Any, y: Any, kind: Any, words: str
) -> None:
    with pytest.raises(kind, match=words):
        smt.train(network, X, y)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "layermilp", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_command_line_trains_and_says_what_answered(tmp_path: Path) -> None:
    words = (
        "train",
        "--method",
        "smt",
        "--data",
        "digits",
        "--samples",
        "60",
        "--net",
        "64-8-10",
        "--bound",
        "2",
    )
    done = _run(*words, "--seed", "1", "--time-limit", "100", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (
        "64-8-10 on 60 samples of digits, 610 weights" in done.stdout
        and "satisfied, answered by" in done.stdout
    )
    found = json.loads((tmp_path / "summary.json").read_text())
    assert (
        found["verdict"] == "satisfied"
        and found["train_accuracy"] == 1.0
        and found["least_lead"] > 0.0
    )
    model = load_model(tmp_path / "model.npz")
    assert (
        isinstance(model, Network)
        and max(np.abs(block.theta).max() for block in model.blocks) <= 2.0
    )
    evaluated = _run("evaluate", str(tmp_path / "model.npz"), "--data", "digits", "--json")
    assert json.loads(evaluated.stdout)["test_accuracy"] == found["test_accuracy"]
    stages = [
        json.loads(line)["name"] for line in (tmp_path / "history.jsonl").read_text().splitlines()
    ]
    assert stages[0] == "samples" and stages[-1] == found["stage"]


def test_the_command_line_ends_with_1_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "xor.npz"
    np.savez(path, X=CORNERS, y=APART)
    words = (
        "train",
        "--method",
        "smt",
        "--data",
        str(path),
        "--time-limit",
        "100",
        "--rounds",
        "1",
    )
    done = _run(*words, "--net", "2-1-2", "--out", str(tmp_path / "run"))
    assert done.returncode == 1 and "unsatisfiable, answered by formula" in done.stdout, done.stderr
    assert {file.name for file in (tmp_path / "run").iterdir()} == {
        "checkpoint-before.npz",
        "checkpoint.npz",
        "run.json",
        "summary.json",
    }
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["test_accuracy"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--net", "64-8-3", "--data", "digits"), "has 3 outputs, but digits has 10 classes"),
        (("--net", "64-a"), "a"),
        (("--grid", "1"), "there is no bound"),
        (("--stages", "random,magic"), "stages 'magic' is unknown"),
        (("--samples", "0", "--data", "digits"), "samples is 0"),
        (("--gap", "2"), "unrecognized arguments: --gap"),
    ],
)
def test_the_command_line_refuses_in_one_line(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(["train", "--method", "smt", *words])
    except SystemExit as end:
        code = end.code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("layermilp:")]
    assert code == 2 and len(lines) == 1 and message in lines[0]


def test_the_bench_runs(tmp_path: Path) -> None:
    words = [
        sys.executable,
        str(ROOT / "bench" / "ison.py"),
        "--quick",
        "--seeds",
        "1",
        "--hidden",
        "2",
        "300",
    ]
    words += ["--seconds", "1.5", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["method"] for row in rows} >= {"plain", "portfolio"} and {
        row["hidden"] for row in rows
    } == {2, 300}
    assert {row["verdict"] for row in rows} <= {"satisfied", "time-out"}
    assert all(row["verdict"] == "satisfied" for row in rows if row["method"] == "portfolio")
    assert (tmp_path / "results.md").read_text().strip() in done.stdout
    assert {path.name for path in tmp_path.glob("*.png")} == {"answered.png", "seconds.png"}
