"""Networks of scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from layermilp import hybrid
from layermilp.errors import DataError, NetworkError, OptionError
from layermilp.hybrid.sklearn_models import SklearnTrainee
from tests.hybrid.samples import blobs, classifier


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
