"""Everything that decides a training run besides the network and the data, and presets of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tie_break import TIE_BREAKS
from layermilp.checks import check_whole, is_number
from layermilp.errors import NetworkError, OptionError
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.formulations.l1 import L1
from layermilp.formulations.loss import OutputLoss
from layermilp.formulations.margin import Margin
from layermilp.layerwise.objective import (
    OBJECTIVES,
    ClassWeight,
    check_class_weight,
    one_weights,
)
from layermilp.networks.network import Network
from layermilp.program import IntArray, Limits
from layermilp.solvers import require

POSTPROCESS = ("none", "batch", "end", "all")
"""When the last layer is post-processed: never, after every batch on that batch, or at the end on
all samples seen or on all samples there are."""

DEFAULT_TARGET_GAP = 0.05
"""Share of its targets' sum to within which a program is solved in training, see `SolveOptions`."""

DEFAULT_NODE_LIMIT = 20
"""Branch-and-bound nodes per program in training, so that no program stalls a run, repeatably."""

DEFAULT_SETUP = SolveOptions(
    limits=Limits(node_limit=DEFAULT_NODE_LIMIT), target_gap=DEFAULT_TARGET_GAP
)
"""How programs are solved in training."""

TOTAL_BATCHES, MOST_EPOCHS = 200, 20
"""Batches of all epochs together, and most epochs, where the number of batches decides the
epochs."""

MOST_SAMPLES = 10**8
"""Samples of all batches together: their order is drawn before the first."""

WEIGHT_DECAY = 0.01, 0.1
"""Ends of the weight decay that the number of batches decides."""


@dataclass(frozen=True)
class Preset:
    """The setting of a publication: the rule of the initial weights, and options of `train` by
    name."""

    init: str
    options: Mapping[str, Any]

    def settings(self, changes: Mapping[str, Any]) -> Settings:
        """Return settings of these options, some of them changed or added."""
        options = {**self.options, **changes}
        setup = replace(DEFAULT_SETUP, tie_break=options.pop("tie_break", DEFAULT_SETUP.tie_break))
        return Settings(**options, setup=setup)


PRESETS = {
    "goebbels2021": Preset(
        init="uniform",
        options={
            "objective": "l1",
            "class_weight": None,
            "epochs": 1,
            "max_sweeps": 20,
            "average": 0.0,
            "tie_break": "none",
            "ridge": 0.0,
            "weight_decay": 0.0,
            "box": 1.0,
            "output_box": 1.0,
            "trust_factor": 0.6,
            "trust_offset": 0.01,
            "postprocess": "batch",
            "tolerance": 0.49,
        },
    )
}
"""Presets by name. ``goebbels2021`` is the report's setting: Algorithm 1 on every batch under the
bounds (10), weights from [-1, 1], and no choice among optima. It leaves open when a program stops,
because the report does not say."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run, besides the network and the data; see `train` for
    each.

    Raises
    ------
    OptionError
        If a value is out of its range; the message names it.
    """

    batches: int = 20
    batch_size: int = 100
    epochs: int | None = None
    first_sample: int = 0
    seed: int = 0
    objective: str = "margin"
    class_weight: ClassWeight = None
    input_penalty: float = 0.06
    setup: SolveOptions = DEFAULT_SETUP
    max_sweeps: int = 1
    box: float = 1.0
    output_box: float | None = None
    trust_factor: float = 0.6
    trust_offset: float = 0.03
    average: float = 0.97
    postprocess: str = "end"
    tolerance: float = 0.49
    ridge: float = 0.3
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        for name in ("batches", "batch_size", "max_sweeps"):
            check_whole(name, getattr(self, name), 1)
        if self.epochs is not None:
            check_whole("epochs", self.epochs, 1)
        for name in ("seed", "first_sample"):
            check_whole(name, getattr(self, name), 0, None)
        used = self.total_batches * self.batch_size
        if used > MOST_SAMPLES:
            raise OptionError(
                f"{self.total_batches:,} batches of {self.batch_size:,} samples are {used:,} "
                f"samples; at most {MOST_SAMPLES:,} "
                "can be used, ask for fewer batches or epochs"
            )
        for name in (
            "box",
            "trust_factor",
            "trust_offset",
            "tolerance",
            "input_penalty",
            "ridge",
            "average",
        ):
            value = getattr(self, name)
            if not is_number(value) or value < 0.0 or (name == "box" and value == 0.0):
                raise OptionError(
                    f"{name} is {value!r}; it must be a finite number of at least 0 (the box "
                    "above 0)"
                )
        if self.output_box is not None and (
            not is_number(self.output_box) or self.output_box <= 0.0
        ):
            raise OptionError(
                f"output_box is {self.output_box!r}; it must be a finite number above 0"
            )
        if self.average >= 1.0:
            raise OptionError(f"average is {self.average!r}; it must be at least 0 and below 1")
        for name, value, choices in (
            ("objective", self.objective, OBJECTIVES),
            ("postprocess", self.postprocess, POSTPROCESS),
            ("formulation", self.setup.formulation, FORMULATIONS),
            ("tie_break", self.setup.tie_break, TIE_BREAKS),
        ):
            if not isinstance(value, str) or value not in choices:
                raise OptionError(f"{name} {value!r} is unknown; choose {', '.join(choices)}")
        check_class_weight(self.class_weight)
        if self.class_weight is not None and self.objective != "l1":
            raise OptionError(
                f"class_weight is for the objective l1, not {self.objective}; leave it out"
            )
        if self.weight_decay is not None and (
            not is_number(self.weight_decay) or not 0.0 <= self.weight_decay <= 1.0
        ):
            raise OptionError(
                f"weight_decay is {self.weight_decay!r}; it must be a number from 0 to 1"
            )
        if self.weight_decay and not self.ridge:
            raise OptionError(
                f"weight_decay is {self.weight_decay!r}, but the ridge it belongs to is 0; leave "
                "it out"
            )
        if not is_number(self.setup.target_gap) or self.setup.target_gap < 0.0:
            raise OptionError(
                f"target_gap is {self.setup.target_gap!r}; it must be a finite number of at least 0"
            )
        if self.setup.options and self.setup.solver == "auto":
            raise OptionError(
                f"options of a solver ({', '.join(self.setup.options)}) need that solver to be "
                "named, not auto"
            )
        require(self.setup.solver)

    def objective_for(self, network: Network, labels: IntArray) -> OutputLoss:
        """Return the objective for training samples for whose classes the given outputs of the
        network stand."""
        if self.objective == Margin.name:
            if network.n_outputs < 2:
                raise NetworkError(
                    "the objective margin compares outputs, but the network has only one; use "
                    "objective l1"
                )
            return Margin(self.input_penalty)
        return L1(one_weights(self.class_weight, network, labels))

    def bound_of_outputs(self, objective: OutputLoss) -> float:
        """Return the bound of the last layer's parameters in post-processing at the end."""
        return objective.output_box if self.output_box is None else self.output_box

    @property
    def regularized_setup(self) -> SolveOptions:
        """How programs are solved in sweeps: the setup with the ridge and the weight decay of these
        settings."""
        return replace(self.setup, ridge=self.ridge, weight_decay=self.decay)

    @property
    def decay(self) -> float:
        """The weight decay; by default ``1 / batches``, from 0.01 to 0.1, so that an epoch forgets
        what no batch asks for."""
        low, high = WEIGHT_DECAY
        by_default = min(max(1.0 / self.batches, low), high) if self.ridge else 0.0
        return by_default if self.weight_decay is None else self.weight_decay

    @property
    def n_epochs(self) -> int:
        """The epochs; by default as many as make 200 batches, from 1 to 20."""
        by_default = max(1, min(TOTAL_BATCHES // self.batches, MOST_EPOCHS))
        return by_default if self.epochs is None else self.epochs

    @property
    def total_batches(self) -> int:
        """Batches of all epochs."""
        return self.n_epochs * self.batches


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
