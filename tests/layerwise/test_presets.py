"""Presets."""

from __future__ import annotations

import pytest

from layermilp import Network, preset, train
from layermilp.errors import OptionError
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.presets import PRESETS
from tests.layerwise.samples import blobs


def test_presets_are_options_of_training() -> None:
    X, y = blobs()
    chosen = preset("goebbels2021")
    options = {**dict(chosen.options), "batches": 2, "batch_size": 8, "n_jobs": 1, "node_limit": 50}
    trained = train(Network.dense([2, 2, 2], init=chosen.init, seed=3), X, y, **options)
    assert trained.network.decision == "closest_to_one" and {
        record.batch for record in trained.history
    } == {1, 2}
    assert chosen is PRESETS["goebbels2021"] and chosen.init == "paper"
    expected = {
        "objective": "l1",
        "class_weight": None,
        "tie_break": "none",
        "average": 0.0,
        "postprocess": "batch",
    }
    expected |= {"weight_fit": "milp", "proximity": 0.0, "formulation": "paper"}
    expected |= {"trust_factor": 0.6, "trust_offset": 0.01, "max_sweeps": None}
    assert expected.items() <= chosen.options.items()


def test_the_preset_leaves_nothing_to_defaults_that_the_paper_or_its_docstring_decides() -> None:
    settings = Sweeps(**preset("goebbels2021").options)
    assert (settings.softness, settings.price, settings.decay) == (0.0, 0.0, 0.0)
    open_options = set(settings.values()) - set(preset("goebbels2021").options)
    # What experiments vary, what is about the solver, and what l1 and no ridge do not need.
    assert open_options <= {
        "batches",
        "seed",
        "first_sample",
        "part",
        "solver",
        "solver_options",
        "input_penalty",
        "ridge",
    }


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(OptionError, match="preset 'goebbels' is unknown; choose goebbels2021"):
        preset("goebbels")
