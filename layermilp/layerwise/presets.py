"""Presets: the settings of publications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layermilp.errors import OptionError


@dataclass(frozen=True)
class Preset:
    """The setting of a publication: the rule of the initial weights, and options of
    `layermilp.train` by name."""

    init: str
    options: Mapping[str, Any]


PRESETS = {
    "goebbels2021": Preset(
        init="paper",
        options={
            "objective": "l1",
            "class_weight": None,
            "batch_size": 100,
            "epochs": 1,
            "max_sweeps": None,
            "average": 0.0,
            "formulation": "paper",
            "weight_fit": "milp",
            "proximity": 0.0,
            "weight_decay": 0.0,
            "tie_break": "none",
            "target_gap": 0.0,
            "gap": None,
            "time_limit": None,
            "node_limit": 1000,
            "box": 1.0,
            "output_box": 1.0,
            "trust_factor": 0.6,
            "trust_offset": 0.01,
            "input_proposals": "layer",
            "target_noise": 0.0,
            "dropout": 0.0,
            "postprocess": "batch",
            "tolerance": 0.49,
        },
    )
}
"""Presets by name. ``goebbels2021`` is the paper's setting, whatever the defaults of the options.

What the paper says: batches of 100 samples, each taken once; Algorithm 1 on every batch, whose
sweeps have no limit but that the accuracy on the batch must rise; the l1 losses (2) and (7) with
(8), by the programs (1) and (3) to (6) with their big M; weights in [-1, 1], and from the second
batch on in the trust region (10) with 0.6 and 0.01; post-processing with slacks up to 0.49 where a
batch is not fully learned; initial weights in [-1, 1], of a kernel in [0, 1].

Where it is silent: which of several optima goes on, here the one that the solver returns; and when
a program ends, here with its proven optimum or after 1,000 nodes of the solver, which no program of
a few inputs and few open neurons needs, and with which the free solvers take some tens of seconds
for a sweep of 784-8-8-8-10. Of noise and dropout (`target_noise`, `dropout`) it says only that they
were tried and did not help."""


def preset(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    OptionError
        If the name is unknown.
    """
    if name not in PRESETS:
        raise OptionError(f"preset {name!r} is unknown; choose {', '.join(PRESETS)}")
    return PRESETS[name]
