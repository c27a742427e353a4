"""The scikit-learn estimators: scikit-learn's own checks, and what people do with estimators."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import layermilp
from layermilp.errors import DataError, OptionError, SolverError
from layermilp.estimators import (
    BCDClassifier,
    BCDRegressor,
    HybridClassifier,
    HybridRegressor,
    IntegerNetClassifier,
    LayerwiseClassifier,
    SMTClassifier,
)

QUICK: list[Any] = [
    LayerwiseClassifier(epochs=2, batch_size=20, node_limit=1, random_state=0),
    BCDClassifier((8,), sweeps=30, random_state=0),
    BCDRegressor((8,), sweeps=30, random_state=0),
    IntegerNetClassifier((3,), node_limit=5, random_state=0),
    HybridClassifier((8,), rounds=1, epochs=20, learning_rate=0.05, random_state=0),
    HybridRegressor((8,), rounds=1, epochs=20, learning_rate=0.01, random_state=0),
    SMTClassifier((64,), random_state=0),
]
"""Estimators that train in a moment."""
CLASSIFIERS = [estimator for estimator in QUICK if is_classifier(estimator)]


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return checks of scikit-learn that an estimator is not meant to pass, and why."""
    if isinstance(estimator, LayerwiseClassifier):
        return {"check_class_weight_classifiers": "class weights are for the objective l1 only"}
    return {}


@parametrize_with_checks(QUICK, expected_failed_checks=expected_failures)  # type: ignore[untyped-decorator]
def test_scikit_learn_s_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", QUICK, ids=lambda estimator: type(estimator).__name__)
def test_there_are_so_many_checks(estimator: Any) -> None:
    assert len(list(estimator_checks_generator(estimator))) >= 50


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda estimator: type(estimator).__name__)
def test_labels_of_any_kind_in_pipelines_and_validation(estimator: Any) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    frame = pandas.DataFrame(
        X, columns=["sepal length", "sepal width", "petal length", "petal width"]
    )
    pipeline = make_pipeline(StandardScaler(), clone(estimator))
    pipeline.fit(frame, pandas.Series(names))
    assert set(pipeline.predict(frame)) <= set(names) and pipeline.score(frame, names) > 0.6
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(frame), pipeline.predict(frame))


def test_cross_validation_and_grid_search() -> None:
    X, y = load_iris(return_X_y=True)
    estimator = LayerwiseClassifier((4,), epochs=4, batch_size=30, random_state=0)
    assert cross_val_score(estimator, X, y, cv=3).mean() > 0.8
    search = GridSearchCV(
        estimator, {"hidden_layer_sizes": [(2,), (6,)], "proximity": [0.3, 1.0]}, cv=2
    ).fit(X, y)
    assert search.best_score_ > 0.8 and len(search.cv_results_["params"]) == 4


def test_the_estimator_is_the_library_s_training() -> None:
    X, y = load_iris(return_X_y=True)
    X = X / 8.0
    estimator = LayerwiseClassifier(
        (5,), batches=3, batch_size=50, epochs=2, scale=None, random_state=3
    ).fit(X, y)
    start = layermilp.Network.dense((4, 5, 3), seed=3)
    trained = layermilp.train(start, X, y, batches=3, batch_size=50, epochs=2, seed=3, n_jobs=1)
    assert all(
        np.array_equal(a.theta, b.theta)
        for a, b in zip(estimator.network_.blocks, trained.network.blocks, strict=True)
    )
    assert estimator.n_batches_ == 6
    found, expected = (
        [replace(record, seconds=0.0) for record in history]
        for history in (estimator.history_, trained.history)
    )
    assert found == expected and sum(record.kind == "sweep" for record in found) == 6


def test_the_number_of_workers_changes_nothing() -> None:
    X, y = load_iris(return_X_y=True)
    one, two = (
        LayerwiseClassifier((3,), epochs=1, random_state=0, n_jobs=n).fit(X, y).network_
        for n in (1, 2)
    )
    assert all(
        np.array_equal(a.theta, b.theta) for a, b in zip(one.blocks, two.blocks, strict=True)
    )


def test_batches_one_by_one_learn() -> None:
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    estimator = LayerwiseClassifier((6,), random_state=0)
    with pytest.raises(DataError, match="needs classes"):
        estimator.partial_fit(X[:50], y[:50])
    for turn in range(12):
        part = np.roll(order, 50 * turn)[:50]
        estimator.partial_fit(X[part], y[part], classes=[0, 1, 2])
    assert estimator.score(X, y) > 0.85 and estimator.n_batches_ == 12
    with pytest.raises(DataError, match="label 7"):
        estimator.partial_fit(X[:2], [0, 7])


def test_verbose_says_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = load_iris(return_X_y=True)
    for estimator in QUICK:
        estimator = clone(estimator).set_params(verbose=1)
        estimator.fit(X, y)
        assert capsys.readouterr().out.startswith(f"{type(estimator).__name__}: ")


def test_targets_of_several_outputs() -> None:
    X, _ = load_iris(return_X_y=True)
    regressor = HybridRegressor((8,), epochs=30, learning_rate=0.01, random_state=0).fit(
        X[:, :2], X[:, 2:]
    )
    assert (
        regressor.predict(X[:, :2]).shape == (150, 2) and regressor.score(X[:, :2], X[:, 2:]) > 0.5
    )


@pytest.mark.parametrize(
    ("estimator", "error", "words"),
    [
        (LayerwiseClassifier(scale="standard"), OptionError, "scale 'standard' is unknown"),
        (
            LayerwiseClassifier(net="4-3-2"),
            OptionError,
            "net 4-3-2 has 2 outputs, but there are 3 classes",
        ),
        (LayerwiseClassifier(scale=None), DataError, "non-negative"),
        (IntegerNetClassifier(bound=0), OptionError, "bound is 0"),
        (HybridClassifier(rounds=-1), OptionError, "rounds is -1"),
        (
            SMTClassifier((1,), bound=0.5, grid=0.5, time_limit=2.0),
            SolverError,
            "no network has all samples right",
        ),
    ],
)
def test_bad_options_are_named(estimator: Any, error: type[Exception], words: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(error, match=words):
        estimator.fit(X - X.mean(axis=0), y)
