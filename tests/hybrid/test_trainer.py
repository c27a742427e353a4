"""The loop of gradient descent and solver."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from layermilp import hybrid
from tests.hybrid.samples import blobs, classifier


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
