"""Training integer networks: what is found, what is repeatable, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import integer
from layermilp.errors import DataError, OptionError
from layermilp.integer.neighbourhood import Samples
from layermilp.integer.search import Search
from layermilp.networks.integer import (
    rounded,
)
from tests.integer.instances import NAMES, blobs, drawn_goal, loss_of


def test_weights_of_inputs_that_no_sample_has_stay_zero() -> None:
    X, y = blobs()
    X[:, 2] = 0.0
    network = integer.train(
        X, y, hidden=(3,), bound=7, stop_accuracy=1.0, node_limit=10, n_jobs=1
    ).network
    assert not network.layers[0].weights[:, 2].any() and network.layers[0].weights.any()


@pytest.mark.parametrize("objective", NAMES)
@pytest.mark.parametrize("bound", [1, 7])
def test_training_beats_the_majority_and_says_what_it_found(objective: str, bound: int) -> None:
    X, y = blobs()
    trained = integer.train(
        X,
        y,
        hidden=(4,),
        bound=bound,
        objective=objective,
        stop_accuracy=1.0,
        node_limit=20,
        n_jobs=1,
    )
    network = trained.network
    assert trained.accuracy == network.accuracy(X, y) > 0.6
    assert trained.programs > 0 and trained.start_accuracy == 0.0
    loss = loss_of(network, Samples(rounded(X, 6), y), drawn_goal(network, objective))
    assert trained.loss == pytest.approx(loss)
    assert np.all(np.diff([record.programs for record in trained.history]) >= 0)


def test_a_gradient_start_is_never_made_worse() -> None:
    X, y = blobs()
    trained = integer.train(
        X, y, hidden=(3,), bound=1, start="gradient", stop_accuracy=1.0, node_limit=10, n_jobs=1
    )
    assert trained.objective >= trained.start_objective and trained.start_accuracy > 0.5


def test_what_is_left_of_the_time_goes_to_other_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs()
    votes: list[int] = []
    vote = Search.vote

    def counted(search: Search, *parts: Any) -> Any:
        votes.append(1)
        return vote(search, *parts)

    monkeypatch.setattr(Search, "vote", counted)
    options: dict[str, Any] = {
        "hidden": (2,),
        "bound": 1,
        "stop_accuracy": 1.0,
        "node_limit": 1,
        "n_jobs": 1,
    }
    once = integer.train(X, y, **options)
    assert len(votes) == 1
    longer = integer.train(X, y, time_limit=2.0, **options)
    assert len(votes) > 2 or longer.is_optimal
    assert longer.objective >= once.objective


def test_deep_networks_and_more_classes_are_trained() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(45) % 3
    X = np.clip(0.3 * rng.random((45, 3)) + 0.7 * np.eye(3)[y], 0.0, 1.0)
    trained = integer.train(X, y, hidden=(3, 3), bound=3, node_limit=20, n_jobs=1)
    assert trained.accuracy > 0.9 and trained.network.notation == "3-3-3-3"


def test_the_number_of_workers_changes_nothing() -> None:
    X, y = blobs()
    one, two = (
        integer.train(
            X, y, hidden=(3,), bound=3, stop_accuracy=1.0, node_limit=10, n_jobs=n
        ).network
        for n in (1, 2)
    )
    assert all(
        np.array_equal(a.theta, b.theta) for a, b in zip(one.layers, two.layers, strict=True)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": ()}, "hidden is \\(\\)"),
        ({"hidden": (0,)}, "hidden is 0"),
        ({"bound": 0}, "bound is 0"),
        (
            {"objective": "hinge"},
            "objective 'hinge' is unknown; choose sat-margin, min-hinge, max-correct",
        ),
        ({"neurons": "fewest", "start": "gradient"}, "neurons is 'fewest'"),
        ({"neurons": "few"}, "neurons 'few' is unknown"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"prove": 1}, "prove is 1"),
        ({"prove": True, "hidden": (4, 4)}, "prove is for networks of one hidden layer"),
        ({"start": "warm"}, "start 'warm' is unknown; choose none, gradient"),
        ({"stop_accuracy": 1.5}, "stop_accuracy is 1.5"),
        ({"node_limit": 0}, "node_limit is 0"),
        ({"solver": "scip"}, "solver 'scip' is unknown"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        integer.train(*blobs(), n_jobs=1, **options)


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to tell apart"):
        integer.train(np.zeros((3, 2)), [1, 1, 1], n_jobs=1)
