"""The hybrid trainer: its programs against enumeration, the loop, people's own networks, and the
command line."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance.problems import missing
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.neural_network import MLPClassifier, MLPRegressor

from layermilp import hybrid, load_model
from layermilp.algorithms.tolerances import ERROR_ROOM
from layermilp.cli import main
from layermilp.errors import DataError, NetworkError, OptionError
from layermilp.hybrid.formulation import LastLayer, margin_count, regression
from layermilp.hybrid.sklearn_models import SklearnTrainee
from layermilp.program import FloatArray, IntArray, Status
from layermilp.solvers import SOLVERS, solve

EPSILON = 0.1


def small(
    seed: int, outputs: int, m: int = 6, d: int = 2
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(max(outputs, 2), size=m)
    return rng.normal(size=(m, d)), rng.normal(size=(outputs, d)), rng.normal(size=outputs), labels


def fewest_wrong(layer: LastLayer, labels: IntArray) -> int:
    """Enumerate which samples are right; an LP of scipy's says whether they can be."""
    h, theta = layer.extended, layer.theta
    n, p = theta.shape
    box = list(
        zip((theta - layer.radius).reshape(-1), (theta + layer.radius).reshape(-1), strict=True)
    )

    def demands(t: int) -> list[FloatArray]:
        own, rows = np.zeros((n, p)), []
        if n == 1:
            own[0] = h[t] if labels[t] == 1 else -h[t]
            return [own.reshape(-1)]
        own[labels[t]] = h[t]
        for j in range(n):
            if j != labels[t]:
                row = own.copy()
                row[j] -= h[t]
                rows.append(row.reshape(-1))
        return [*rows, own.reshape(-1)] if layer.output == "relu" else rows

    for wrong in range(len(labels) + 1):
        for right in itertools.combinations(range(len(labels)), len(labels) - wrong):
            rows = [row for t in right for row in demands(t)]
            if not rows:
                return wrong
            found = linprog(
                np.zeros(n * p), -np.array(rows), np.full(len(rows), -EPSILON), bounds=box
            )
            if found.status == 0:
                return wrong
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("outputs", "output"),
    [(1, "identity"), (2, "identity"), (3, "identity"), (2, "relu"), (3, "relu")],
)
@pytest.mark.parametrize("seed", range(4))
def test_classification_finds_the_fewest_wrong(seed: int, outputs: int, output: str) -> None:
    h, w, b, labels = small(seed, outputs)
    layer = LastLayer(h, w, b, 0.5, output)
    fit = hybrid.fit_classification(h, w, b, labels, radius=0.5, epsilon=EPSILON, output=output)
    assert fit.status.is_optimal
    assert fit.objective == fit.bound == fewest_wrong(layer, labels) <= fit.start_objective
    assert (
        np.abs(fit.weights - w).max() <= 0.5 + 1e-12
        and np.abs(fit.offsets - b).max() <= 0.5 + 1e-12
    )


def test_the_descent_alone_gains_most_of_what_there_is_to_gain() -> None:
    gained = possible = 0.0
    for seed in range(20):
        h, w, b, labels = small(seed, 3, m=15)
        quick, exact = (
            hybrid.fit_classification(h, w, b, labels, radius=0.5, exact=exact)
            for exact in (False, True)
        )
        assert quick.bound <= exact.objective <= quick.objective <= quick.start_objective
        assert quick.status is (
            Status.OPTIMAL if quick.objective == quick.bound else Status.FEASIBLE_AT_LIMIT
        )
        gained += quick.start_objective - quick.objective
        possible += exact.start_objective - exact.objective
    assert gained >= 0.7 * possible > 0.0


@pytest.mark.parametrize("solver", [name for name in SOLVERS if missing(name) is None])
def test_solvers_agree_on_classification(solver: str) -> None:
    for seed in range(3):
        h, w, b, labels = small(seed, 3, m=12)
        fits = [
            hybrid.fit_classification(h, w, b, labels, radius=0.4, solver=name)
            for name in (solver, "highs")
        ]
        assert fits[0].objective == fits[1].objective


def test_present_weights_that_are_best_stay() -> None:
    """Of equally many samples the nearest weights are taken."""
    h, labels = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1])
    fit = hybrid.fit_classification(h, np.eye(2), np.zeros(2), labels, radius=0.5, epsilon=EPSILON)
    assert fit.objective == fit.start_objective == 0.0
    np.testing.assert_allclose(fit.weights, np.eye(2), atol=1e-9)


def test_a_sample_that_is_right_only_at_the_end_of_the_box_is_found() -> None:
    fit = hybrid.fit_classification([[1.0]], [[-0.4]], [-0.4], [1], radius=0.46, epsilon=EPSILON)
    assert (fit.start_objective, fit.objective) == (1.0, 0.0)


def least_total(layer: LastLayer, y: FloatArray, each: bool) -> float:
    """Least sum of errors of a layer of one output: enumerate which ReLUs fire, with LPs of
    scipy's."""
    h, theta = layer.extended, layer.theta[0]
    m, p = h.shape
    errors = np.abs(layer.outputs(layer.theta)[:, 0] - y)
    best = np.inf
    patterns = (
        itertools.product([False, True], repeat=m) if layer.output == "relu" else [(True,) * m]
    )
    for pattern in patterns:
        fires = np.array(pattern)
        # Unknown theta and errors z; where it fires z >= |a - y|, elsewhere a <= 0 and z is |y|.
        rows, right = [], []
        for t in range(m):
            unit = np.zeros(m)
            unit[t] = -1.0
            if fires[t]:
                rows += [np.append(h[t], unit), np.append(-h[t], unit)]
                right += [y[t], -y[t]]
                if layer.output == "relu":
                    rows.append(np.append(-h[t], np.zeros(m)))
                    right.append(0.0)
            else:
                rows += [np.append(h[t], np.zeros(m)), np.append(np.zeros(p), unit)]
                right += [0.0, -abs(y[t])]
        box = [(value - layer.radius, value + layer.radius) for value in theta]
        rooms = ERROR_ROOM * np.maximum(1.0, np.abs(y) + errors)  # as in the program
        caps = [
            (0.0, error + room if each else None) for error, room in zip(errors, rooms, strict=True)
        ]
        found = linprog(
            np.repeat([0.0, 1.0], [p, m]), np.array(rows), np.array(right), bounds=box + caps
        )
        if found.status == 0:
            best = min(best, found.fun)
    return float(best)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), output=st.sampled_from(["identity", "relu"]), each=st.booleans()
)
def test_regression_finds_the_least_total_error(seed: int, output: str, each: bool) -> None:
    h, w, b, _ = small(seed, 1, m=4)
    y = np.random.default_rng((seed, 1)).normal(size=4)
    fit = hybrid.fit_regression(h, w, b, y, radius=0.5, each=each, output=output)
    layer = LastLayer(h, w, b, 0.5, output)
    expected = min(least_total(layer, y, each), fit.start_objective)
    assert fit.objective == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert fit.bound == pytest.approx(fit.objective, rel=1e-6, abs=1e-7)
    assert fit.status.is_optimal and fit.objective <= fit.start_objective


@pytest.mark.parametrize("goal", ["total", "feasible"])
@pytest.mark.parametrize("output", ["identity", "relu"])
def test_no_error_grows(goal: str, output: str) -> None:
    rng = np.random.default_rng(3)
    h, w, b, y = (
        rng.normal(size=(5, 8)),
        rng.normal(size=(2, 8)),
        rng.normal(size=2),
        rng.normal(size=(5, 2)),
    )
    fit = hybrid.fit_regression(h, w, b, y, radius=0.3, goal=goal, output=output)

    def errors(weights: FloatArray, offsets: FloatArray) -> FloatArray:
        sums = h @ weights.T + offsets
        return np.abs((np.maximum(sums, 0.0) if output == "relu" else sums) - y)

    before, after = errors(w, b), errors(fit.weights, fit.offsets)
    assert np.all(after <= before + 1e-5)
    assert fit.objective == pytest.approx(after.sum())
    assert (
        (fit.objective < 0.95 * before.sum())
        if goal == "total"
        else (fit.objective <= before.sum() + 1e-5)
    )


def test_hardly_any_binary_is_spent() -> None:
    rng = np.random.default_rng(0)
    layer = LastLayer(rng.normal(size=(50, 4)), rng.normal(size=(3, 4)), np.zeros(3), 0.01, "relu")
    labels = np.argmax(layer.outputs(layer.theta), axis=1)
    problem = margin_count(layer, labels, 1e-3)
    program = problem.program(problem.start)
    assert program.integrality.sum() < 15  # samples whose margins the box leaves open
    y = np.maximum(layer.outputs(layer.theta), 0.0)
    assert not regression(layer, y, 0, each=True, total=False).is_mip
    assert not regression(
        LastLayer(layer.features, layer.weights, layer.offsets, 0.01), y, 0, each=True, total=True
    ).is_mip


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


def test_a_limit_keeps_what_was_found() -> None:
    rng = np.random.default_rng(1)
    h, labels = rng.normal(size=(60, 5)), rng.integers(3, size=60)
    w, b = rng.normal(size=(3, 5)), np.zeros(3)
    fit = hybrid.fit_classification(h, w, b, labels, radius=1.0, node_limit=1, solver="highs")
    assert fit.status in (Status.FEASIBLE_AT_LIMIT, Status.OPTIMAL, Status.OPTIMAL_WITHIN_GAP)
    assert fit.bound <= fit.objective <= fit.start_objective


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"features": np.zeros((2, 3))}, DataError, r"features \(2, 3\)"),
        ({"weights": np.full((2, 2), np.nan)}, DataError, "weights hold NaN"),
        ({"labels": [0, 2]}, DataError, "from 0 to 1"),
        ({"labels": [0.0, 1.0]}, DataError, "whole numbers"),
        ({"radius": 0.0}, OptionError, "radius is 0.0"),
        ({"radius": True}, OptionError, "radius is True"),
        ({"epsilon": -1.0}, OptionError, "epsilon is -1.0"),
        ({"output": "tanh"}, OptionError, "'tanh'"),
        (
            {"output": "relu", "weights": np.zeros((1, 2)), "offsets": np.zeros(1)},
            OptionError,
            "by its sign",
        ),
        ({"solver": "gurobee"}, OptionError, "'gurobee'"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], error: type[Exception], words: str) -> None:
    given: dict[str, object] = {
        "features": np.zeros((2, 2)),
        "weights": np.zeros((2, 2)),
        "offsets": np.zeros(2),
        "labels": [0, 1],
        "radius": 1.0,
    } | change
    with pytest.raises(error, match=words):
        hybrid.fit_classification(**given)  # type: ignore[arg-type]


def test_bad_goals_are_named() -> None:
    common = ([[1.0]], [[1.0]], [0.0], [1.0])
    with pytest.raises(OptionError, match="'most'"):
        hybrid.fit_regression(*common, radius=1.0, goal="most")
    with pytest.raises(OptionError, match="asks for nothing"):
        hybrid.fit_regression(*common, radius=1.0, goal="feasible", each=False)
    with pytest.raises(DataError, match="targets have shape"):
        hybrid.fit_regression([[1.0]], [[1.0]], [0.0], [1.0, 2.0], radius=1.0)


def blobs(m: int = 120, seed: int = 0) -> tuple[FloatArray, IntArray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=m)
    return rng.normal(size=(m, 4)) + np.eye(3, 4)[y] * 2.0, y


def classifier(**more: object) -> MLPClassifier:
    return MLPClassifier((6,), random_state=0, batch_size=16, **more)


def test_training_by_turns_repeats_and_counts_what_it_undoes() -> None:
    X, y = blobs()
    models = classifier(), classifier()
    runs = [hybrid.train(model, X, y, rounds=3, epochs=4, solver="highs") for model in models]
    histories = [
        [(r.kind, r.epochs, r.validation_loss, r.undone, r.objective) for r in run.history]
        for run in runs
    ]
    assert histories[0] == histories[1]
    np.testing.assert_array_equal(models[0].coefs_[-1], models[1].coefs_[-1])
    kinds = [record.kind for record in runs[0].history]
    assert kinds == ["gradient", "solver"] * 3
    assert runs[0].undone == sum(record.undone for record in runs[0].history)
    for before, after in itertools.pairwise(runs[0].history):
        if after.kind == "solver":
            assert after.validation_loss <= before.validation_loss
            assert not after.undone or after.validation_loss == before.validation_loss


def test_a_worse_round_is_undone() -> None:
    """Validation labels are turned around, so that whatever serves the training samples is
    worse."""
    X, y = blobs()
    model = classifier().fit(X, y)
    before = [array.copy() for array in (*model.coefs_, *model.intercepts_)]
    probabilities = model.predict_proba(X)
    fit = hybrid.finetune_last_layer(
        model, X, y, validation=(X, np.argmin(probabilities, axis=1)), epsilon=3.0, radius=3.0
    )
    assert fit.objective < fit.start_objective
    for array, kept in zip((*model.coefs_, *model.intercepts_), before, strict=True):
        np.testing.assert_array_equal(array, kept)
    np.testing.assert_array_equal(fit.weights, model.coefs_[-1].T)


def test_finetuning_does_not_lose_training_samples() -> None:
    X, y = blobs(60)
    model = classifier(max_iter=3).fit(X, y)
    before = model.score(X, y)
    fit = hybrid.finetune_last_layer(model, X, y, solver="highs", time_limit=20)
    assert fit.objective <= fit.start_objective
    assert model.score(X, y) >= before and model.score(X, y) >= 1.0 - fit.objective / 60 - 1e-9


def test_two_classes_have_one_output() -> None:
    X, y = blobs(80)
    names = np.where(y == 0, "no", "yes")
    model = classifier()
    hybrid.train(model, X, names, rounds=2, epochs=5)
    trainee = SklearnTrainee(model, names)
    assert model.coefs_[-1].shape == (6, 1)
    np.testing.assert_array_equal(trainee.network().predict(X), model.predict(X))
    np.testing.assert_array_equal(trainee.predicted(X), (model.predict(X) == "yes").astype(int))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_features_are_what_the_last_layer_is_given(activation: str) -> None:
    X, y = blobs()
    model = MLPRegressor(
        hidden_layer_sizes=(5, 4), activation=activation, random_state=0, max_iter=5
    ).fit(X, y.astype(float))
    trainee = SklearnTrainee(model, y.astype(float))
    weights, offsets = trainee.last_layer()
    np.testing.assert_allclose((trainee.features(X) @ weights.T + offsets)[:, 0], model.predict(X))


def test_a_regressor_gets_better() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(300, 3))
    y = 3.0 * X[:, 0] + X[:, 1]
    model = MLPRegressor(hidden_layer_sizes=(16,), random_state=0)
    run = hybrid.train(model, X, y, rounds=1, epochs=3, solver_samples=240, each=False, radius=2.0)
    gradient, solver = run.history
    assert not solver.undone and solver.validation_loss < 0.5 * gradient.validation_loss
    assert run.validation_loss == solver.validation_loss


def test_data_of_pandas_and_lists_serve_as_arrays_do() -> None:
    pandas = pytest.importorskip("pandas")
    X, y = blobs()
    frame, series = pandas.DataFrame(X), pandas.Series(y, index=np.arange(len(y))[::-1])
    scores = []
    for inputs, answers in ((X, y), (frame, series), (X.tolist(), y.tolist())):
        model = MLPClassifier(hidden_layer_sizes=(8,), random_state=0)
        run = hybrid.train(model, inputs, answers, rounds=1, epochs=2)
        fit = hybrid.finetune_last_layer(model, inputs, answers)
        scores.append((run.validation_loss, fit.objective))
    assert scores[0] == scores[1] == scores[2]


def test_training_ends_at_the_desired_loss() -> None:
    X, y = blobs()
    assert len(hybrid.train(classifier(), X, y, desired_loss=100.0).history) == 1


def test_networks_and_data_that_do_not_serve_are_refused() -> None:
    X, y = blobs()
    with pytest.raises(NetworkError, match="dict is no network"):
        hybrid.train({}, X, y)
    with pytest.raises(NetworkError, match="'lbfgs'"):
        hybrid.train(MLPClassifier(solver="lbfgs"), X, y)
    with pytest.raises(NetworkError, match="no weights yet"):
        hybrid.finetune_last_layer(classifier(), X, y)
    with pytest.raises(NetworkError, match="one label per sample"):
        hybrid.train(classifier(), X, np.eye(3)[y])
    with pytest.raises(DataError, match="120 training samples, but 119"):
        hybrid.train(classifier(), X, y[1:])
    with pytest.raises(OptionError, match="rounds is -1"):
        hybrid.train(classifier(), X, y, rounds=-1)
    with pytest.raises(OptionError, match="goal 'more'"):
        hybrid.train(classifier(), X, y, goal="more")


class TestTorch:
    """PyTorch modules, where PyTorch is installed."""

    def module(self, seed: int = 0, *tail: Any) -> Any:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3), *tail
        )

    def test_a_module_is_trained_in_place(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        X, y = blobs()
        histories, weights = [], []
        for _ in range(2):
            module = self.module()
            optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
            run = hybrid.train(
                module, X, y, optimizer=optimizer, rounds=2, epochs=6, keep=30, batch_size=16
            )
            histories.append([(record.validation_loss, record.undone) for record in run.history])
            weights.append(module[2].weight.detach().numpy().copy())
        assert histories[0] == histories[1]
        np.testing.assert_array_equal(*weights)
        accuracy = run.history[-1].validation_accuracy
        assert accuracy is not None and accuracy > 0.6

    def test_finetuning_with_relu_outputs_and_convolutions(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        torch.manual_seed(1)
        rng = np.random.default_rng(0)
        images, y = rng.normal(size=(24, 1, 6, 6)).astype(np.float32), rng.integers(3, size=24)
        body = [
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(64, 3),
        ]
        for tail in ([], [torch.nn.ReLU()]):
            module = torch.nn.Sequential(*body, *tail)
            fit = hybrid.finetune_last_layer(module, images, y, radius=2.0, solver="highs")
            with torch.no_grad():
                predicted = module(torch.as_tensor(images)).argmax(dim=1).numpy()
            assert np.mean(predicted != y) <= fit.objective / 24 + 1e-9
            assert fit.objective < fit.start_objective

    def test_modules_that_end_otherwise_are_refused(self) -> None:
        torch = pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install '.[bench]' brings it"
        )
        X, y = blobs()
        with pytest.raises(NetworkError, match="remove what follows"):
            hybrid.finetune_last_layer(self.module(0, torch.nn.Softmax(dim=1)), X, y)
        with pytest.raises(NetworkError, match=r"no nn\.Linear"):
            hybrid.train(torch.nn.ReLU(), X, y)
        with pytest.raises(DataError, match="labels go from 0 to 3"):
            hybrid.finetune_last_layer(self.module(), X, y + (np.arange(len(y)) == 5) * (3 - y))


def test_the_command_trains_writes_and_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "train",
        "--method",
        "hybrid",
        "--data",
        "digits",
        "--hidden",
        "12",
        "--samples",
        "300",
        "--epochs",
        "3",
    ]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    printed = capsys.readouterr()
    assert (
        "net             64-12-10 on 300 samples of digits" in printed.out
        and "solver, " in printed.err
    )
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    history = [
        json.loads(line) for line in (tmp_path / "a" / "history.jsonl").read_text().splitlines()
    ]
    assert summary["rounds_undone"] == sum(record["undone"] for record in history)
    assert summary["epochs_done"] == sum(record["epochs"] for record in history)
    assert main(["evaluate", str(tmp_path / "a" / "model.npz"), "--data", "digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == summary["test_accuracy"]
    assert main([*command, "--out", str(tmp_path / "b"), "--quiet"]) == 0
    first, second = (load_model(tmp_path / name / "model.npz") for name in "ab")
    for one, other in zip(first.blocks, second.blocks, strict=True):  # type: ignore[union-attr]
        np.testing.assert_array_equal(one.theta, other.theta)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer", "lbfgs"], "optimizer 'lbfgs' is unknown"),
        (["--hidden", "0"], "hidden is 0"),
        (["--hidden", "a"], "'a' names no layers"),
        (["--learning-rate", "-1"], "learning_rate is -1.0"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--samples", "9999"], "samples is 9999"),
        (["--radius", "0"], "radius is 0.0"),
        (["--rounds", "-2"], "rounds is -2"),
        (["--bound", "3"], "--bound"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["train", "--method", "hybrid", "--data", "digits", "--quiet", *words])
    except SystemExit as error:
        code = int(str(error.code))
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(lines) == 1 and message in lines[0]


def test_programs_are_solved_to_the_same_optimum_by_every_solver() -> None:
    h, w, b, _ = small(8, 2, m=10)
    y = np.random.default_rng(9).normal(size=(10, 2))
    for output in ("identity", "relu"):
        program = regression(LastLayer(h, w, b, 0.5, output), y, 1, each=False, total=True)
        objectives = [solve(program, name).objective for name in SOLVERS if missing(name) is None]
        np.testing.assert_allclose(objectives, objectives[0], rtol=1e-6)
