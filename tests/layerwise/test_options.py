"""Defaults that follow from others, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp import Network, train
from layermilp.errors import DataError, OptionError, SolverError
from layermilp.layerwise.options import Sweeps
from tests.layerwise.samples import blobs, fast


@pytest.mark.parametrize(
    ("batches", "epochs", "decay"),
    [(1, 20, 0.1), (10, 20, 0.1), (20, 10, 0.05), (150, 1, 0.01), (600, 1, 0.01)],
)
def test_the_number_of_batches_decides_epochs_and_decay(
    batches: int, epochs: int, decay: float
) -> None:
    settings = Sweeps(batches=batches)
    assert (settings.n_epochs, settings.total_batches) == (epochs, epochs * batches)
    assert settings.decay == settings.setup.weight_decay == pytest.approx(decay)
    assert Sweeps(batches=batches, proximity=0.0).decay == 0.0
    given = Sweeps(batches=batches, epochs=3, weight_decay=0.2)
    assert (given.n_epochs, given.total_batches, given.decay) == (3, 3 * batches, 0.2)


def _with(X: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    changed = X.copy()
    changed[row, column] = value
    return changed


GOOD_X, GOOD_Y = blobs(8)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"X": _with(GOOD_X, 3, 1, np.nan)},
            DataError,
            "training sample 3 has the value nan at input 1",
        ),
        (
            {"X": _with(GOOD_X, 3, 1, np.inf)},
            DataError,
            "training sample 3 has the value inf at input 1",
        ),
        (
            {"X": _with(GOOD_X, 2, 0, -0.5)},
            DataError,
            r"training sample 2 has the value -0\.5 at input 0.*scale",
        ),
        (
            {"X": GOOD_X[:, :1]},
            DataError,
            r"takes 2 inputs, but the training data have shape \(8, 1\)",
        ),
        ({"X": GOOD_X[0]}, DataError, "takes 2 inputs"),
        ({"X": np.zeros((0, 2)), "y": []}, DataError, "0 training samples and 0 labels"),
        ({"X": []}, DataError, r"shape \(0,\)"),
        ({"X": GOOD_X[:5]}, DataError, "5 training samples and 8 labels"),
        (
            {"y": np.append(GOOD_Y[:-1], 7)},
            DataError,
            "label .*7.* is none of the network's 2 classes",
        ),
        ({"y": np.array(["0"] * 8)}, DataError, "label"),
        ({"X_test": GOOD_X}, DataError, "test data need both samples and labels"),
        ({"y_test": GOOD_Y}, DataError, "test data need both samples and labels"),
        ({"X_test": -GOOD_X, "y_test": GOOD_Y}, DataError, "test sample 0"),
        ({"X_test": GOOD_X, "y_test": GOOD_Y + 1}, DataError, "label"),
        ({"batch_size": 9}, DataError, "batch of 9 needs more than the 8 training samples"),
        ({"batches": 0}, OptionError, "batches is 0"),
        ({"batches": 1.5}, OptionError, r"batches is 1\.5"),
        ({"batches": True}, OptionError, "batches is True"),
        ({"batch_size": 0}, OptionError, "batch_size is 0"),
        ({"max_sweeps": 0}, OptionError, "max_sweeps is 0"),
        ({"n_jobs": 0}, OptionError, "n_jobs is 0"),
        ({"n_jobs": -2}, OptionError, "n_jobs is -2"),
        ({"n_jobs": "2"}, OptionError, "n_jobs is '2'"),
        ({"seed": -1}, OptionError, "seed is -1"),
        ({"box": 0.0}, OptionError, r"box is 0\.0"),
        ({"box": np.inf}, OptionError, "box is inf"),
        ({"trust_factor": -0.1}, OptionError, r"trust_factor is -0\.1"),
        ({"trust_offset": np.nan}, OptionError, "trust_offset is nan"),
        ({"tolerance": -1.0}, OptionError, r"tolerance is -1\.0"),
        (
            {"postprocess": "x"},
            OptionError,
            "postprocess 'x' is unknown; choose none, batch, end, all",
        ),
        (
            {"tie_break": "nearest"},
            OptionError,
            "tie_break 'nearest' is unknown; choose l2, l1, none",
        ),
        ({"objective": "hinge"}, OptionError, "objective 'hinge' is unknown; choose l1, margin"),
        ({"epochs": 0}, OptionError, "epochs is 0"),
        ({"epochs": True}, OptionError, "epochs is True"),
        ({"first_sample": -1}, OptionError, "first_sample is -1"),
        ({"first_sample": 0.5}, OptionError, r"first_sample is 0\.5"),
        (
            {"average": 1.0},
            OptionError,
            r"average is 1\.0; it must be .* at least 0 and below 1",
        ),
        ({"average": -0.5}, OptionError, r"average is -0\.5"),
        ({"average": np.nan}, OptionError, "average is nan"),
        ({"input_penalty": -1.0}, OptionError, r"input_penalty is -1\.0"),
        ({"input_penalty": np.inf}, OptionError, "input_penalty is inf"),
        ({"class_weight": 0.0}, OptionError, r"class_weight is 0\.0"),
        ({"class_weight": -2}, OptionError, "class_weight is -2"),
        ({"class_weight": np.nan}, OptionError, "class_weight is nan"),
        ({"class_weight": True}, OptionError, "class_weight is True"),
        ({"class_weight": "balance"}, OptionError, "class_weight is 'balance'"),
        ({"class_weight": {0: 1.0, 1: 0.0}}, OptionError, r"class_weight is 0\.0"),
        ({"class_weight": {0: "2"}}, OptionError, "class_weight is '2'"),
        ({"class_weight": {7: 2.0}}, DataError, "label .*7.* is none of the network's 2 classes"),
        (
            {"class_weight": "balanced", "objective": "margin"},
            OptionError,
            "class_weight is for the objective l1, not margin",
        ),
        (
            {"class_weight": 2.0, "objective": "margin"},
            OptionError,
            "class_weight is for the objective l1, not margin",
        ),
        ({"formulation": "tight"}, OptionError, "'tight' is unknown"),
        ({"solver": "scip"}, OptionError, "'scip' is unknown"),
        ({"time_limit": 0.0}, OptionError, "time_limit"),
        ({"gap": -1.0}, OptionError, "gap"),
        ({"node_limit": 0}, OptionError, "node_limit"),
        ({"target_gap": -1.0}, OptionError, r"target_gap is -1\.0"),
        ({"ridge": 0.0, "weight_fit": "ridge"}, OptionError, r"ridge is 0\.0"),
        ({"ridge": float("nan"), "weight_fit": "ridge"}, OptionError, "ridge is nan"),
        (
            {"weight_decay": 0.1, "weight_fit": "milp", "ridge": None, "proximity": 0.0},
            OptionError,
            r"weight_decay is 0\.1, but the proximity it belongs to is 0",
        ),
        (
            {"weight_decay": 1.5},
            OptionError,
            r"weight_decay is 1\.5; it must be a finite number from 0 to 1",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = fast(**{"X": GOOD_X, "y": GOOD_Y, "batches": 1, "batch_size": 4, **changes})
    with pytest.raises(error, match=words) as caught:
        train(Network.dense([2, 2, 2], seed=1), **arguments)  # type: ignore[call-arg]
    assert isinstance(caught.value, ValueError) and not isinstance(caught.value, SolverError)
