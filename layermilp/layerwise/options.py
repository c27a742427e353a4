"""Everything that decides a layerwise training besides the network and the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tie_break import TIE_BREAKS
from layermilp.errors import NetworkError, OptionError
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.formulations.loss import OutputLoss
from layermilp.formulations.margin import Margin
from layermilp.layerwise.objective import (
    OBJECTIVES,
    ClassWeight,
    check_class_weight,
    one_weights,
)
from layermilp.networks.network import Network
from layermilp.options import named_value, number_or_name, option
from layermilp.parallel import WorkerOptions
from layermilp.program import IntArray, Limits
from layermilp.solvers import Option as SolverOption
from layermilp.solvers.options import SolverChoice

WEIGHT_FITS = ("milp", "ridge")
"""How hidden layers' weights are fitted."""

PROXIMITY = RIDGE = 0.3
"""Price of a change of the weights, and softness of the ridge regression, where none is given."""

POSTPROCESS = ("none", "batch", "end", "all")
"""When the last layer is post-processed: never, after every batch on that batch, or at the end on
all samples seen or on all samples there are."""

TOTAL_BATCHES, MOST_EPOCHS = 200, 20
"""Batches of all epochs together, and most epochs, where the number of batches decides the
epochs."""

MOST_SAMPLES = 10**8
"""Samples of all batches together: their order is drawn before the first."""

INPUT_PROPOSALS = ("layer", "network")
"""What proposed inputs of a layer are to improve: its own outputs, or those of the network."""

WEIGHT_DECAY = 0.01, 0.1
"""Ends of the weight decay ``1 / batches``, by which an epoch forgets what no batch asks for."""


@dataclass(kw_only=True)
class LastLayer(SolverChoice):
    """What `layermilp.train` and `layermilp.postprocess` both have to know."""

    class_weight: ClassWeight = option(
        None,
        "factor of the loss where a target is one (l1): a number, or balanced",
        "Factor of the ``l1`` loss where a target is one: None for 1, ``balanced``, a number, or a "
        "mapping of labels to numbers, see `postprocess`.",
        "W",
        check=lambda name, value: check_class_weight(value),
        parse=number_or_name,
    )
    tolerance: float = option(0.49, "dead zone of post-processing (l1)", metavar="S", least=0.0)
    time_limit: float | None = option(
        None,
        "limit per program (not repeatable)",
        "Seconds per program. Runs in which it is hit are not repeatable.",
        "SECONDS",
        above=0.0,
    )
    gap: float | None = option(
        None,
        "a program is also solved within this gap relative to its objective",
        "Relative gap at which a program counts as solved, besides `target_gap`; None for 1e-6.",
        "GAP",
        least=0.0,
    )


@dataclass(kw_only=True)
class Postprocess(LastLayer, WorkerOptions):
    """Keywords of `layermilp.postprocess`."""

    objective: str | None = option(
        None,
        "of the last layer (default: the one that the model was trained for)",
        "What is minimized; by default the one that fits how the network decides, ``margin`` where "
        "the class is the largest output.",
        choices=OBJECTIVES,
    )
    box: float | None = option(
        None,
        "weights stay in [-B, B] (default: 1 for l1, 10 for margin)",
        metavar="B",
        above=0.0,
    )
    watch: Callable[[int, int], None] | None = option(
        None, "is told how many programs are solved, and of how many", is_flag=False, decides=False
    )


@dataclass(kw_only=True)
class Sweeps(LastLayer):
    """The options of `layermilp.train`."""

    batches: int = option(
        20,
        "batches of an epoch",
        "Batches of an epoch. They are taken in the order of the samples; when these are used up, "
        "batches run on into reshuffled passes.",
        least=1,
    )
    batch_size: int = option(100, "samples per batch", least=1)
    epochs: int | None = option(
        None,
        "passes over the samples of the batches, reshuffled (default: as many as make 200 "
        "batches, from 1 to 20)",
        "Passes over the samples of these batches; every one after the first is reshuffled. By "
        "default as many as make 200 batches, from 1 to 20.",
        least=1,
    )
    first_sample: int = option(
        0, "sample with which the first batch begins", least=0, most=math.inf, is_flag=False
    )
    part: int = option(
        0,
        "which part of the samples the epochs take",
        "Which part of the samples the epochs take, counted from 0: each has the samples of an "
        "epoch and none of another part, as long as there are enough; later ones are drawn.",
        least=0,
        most=math.inf,
        is_flag=False,
    )
    seed: int = option(
        0,
        "seed of weights, reshuffling and solvers",
        "Seed of reshuffled passes and of the solvers.",
        least=0,
        most=math.inf,
    )
    objective: str = option(
        "margin",
        "of the last layer",
        "What the last layer minimizes: ``margin`` is the lack of a margin of one over every other "
        "output, all outputs jointly, where the class is the largest output; ``l1`` is the "
        "paper's (7) and (8), the sum of the absolute deviations from one-hot targets, where it is "
        "the output closest to one.",
        choices=OBJECTIVES,
    )
    input_penalty: float = option(
        0.06,
        "price of a change of the last layer's inputs (margin)",
        "Price `mu` of a change of the last layer's inputs, for ``margin``: its proposals minimize "
        "``xi + mu |x' - x|_1``.",
        "MU",
        least=0.0,
    )
    input_proposals: str = option(
        "layer",
        "what proposed inputs of a layer are to improve: its own outputs or the network's",
        "What the proposed inputs of a hidden layer are to improve: ``layer``, its own outputs "
        "towards their targets; ``network``, the outputs of the network, by a mixed-integer "
        "program per sample with all later weights given, see "
        "`layermilp.formulations.later_layers`.",
        choices=INPUT_PROPOSALS,
    )
    target_noise: float = option(
        0.0,
        "noise on the targets of the last layer, uniform in [-E, E]",
        "Reach `E` of noise on the targets of the last layer in training, zeros and ones, drawn "
        "uniform in ``[-E, E]`` for every batch by the seed; below 0.5, at which zeros and ones "
        "could not be told apart. A target does not become negative. Post-processing has none.",
        "E",
        least=0.0,
        below=0.5,
    )
    dropout: float = option(
        0.0,
        "share P of hidden neurons' outputs that are left out in a sweep",
        "Probability `P` with which an output of a hidden neuron is left out for a sample in a "
        "sweep, drawn by the seed; what stays is multiplied by ``1 / (1 - P)``. A neuron is not "
        "asked for what is left out. Accuracies and post-processing leave nothing out.",
        "P",
        least=0.0,
        below=1.0,
    )
    max_sweeps: int | None = option(
        1,
        "most sweeps per batch, as long as the accuracy on it rises (none: no limit, the paper's)",
        "Most sweeps per batch; there are no more once the accuracy on the batch does not rise or "
        "is 1. None for no limit, as in Algorithm 1.",
        least=1,
    )
    average: float = option(
        0.97,
        "factor of the average of weights over batches",
        "Factor `f` of the exponential average of the weights over batches that is returned, "
        "``sum_t f^(T - t) w_t / sum_t f^(T - t)``; 0 for the last weights.",
        "F",
        least=0.0,
        below=1.0,
    )
    box: float = option(1.0, "weights stay in [-B, B]", metavar="B", above=0.0)
    output_box: float | None = option(
        None,
        "the same for the last layer in post-processing at the end (default: 1 for l1, 10 for "
        "margin)",
        metavar="B",
        above=0.0,
    )
    trust_factor: float = option(
        0.6,
        "factor f of the trust region w - f |w| - a, w + f |w| + a",
        "Factor `f` of the trust region (10) of a parameter from its value `w` before the batch, "
        "``[w - f |w| - a, w + f |w| + a]``.",
        "F",
        least=0.0,
    )
    trust_offset: float = option(0.03, "offset a of the trust region", metavar="A", least=0.0)
    tie_break: str = option(
        "l2",
        "which optimum",
        "Which of several optimal weights: those nearest to the present ones in the l2 or l1 norm, "
        "or whichever the solver returns.",
        "RULE",
        choices=TIE_BREAKS,
    )
    weight_fit: str = option(
        "milp",
        "how hidden layers' weights are fitted: by mixed-integer programs or by ridge regression",
        "``milp``: near the present weights by mixed-integer programs, see `proximity`; ``ridge``: "
        "by ridge regression, see `ridge`. The formulation ``paper`` does without either.",
        choices=WEIGHT_FITS,
    )
    proximity: float | None = option(
        None,
        "price of a change of hidden layers' weights (milp; default: 0.3; 0: none, the paper's)",
        "Price of a change of the weights relative to the loss, for ``milp``, in units of the mean "
        "squared norm of an input and its 1, see `layermilp.formulations.proximal`; by default "
        "0.3. With 0, the paper's, they minimize ``sum_k |max(0, a) - t|``, and `tie_break` "
        "chooses among the solutions.",
        "K",
        least=0.0,
    )
    ridge: float | None = option(
        None,
        "softness of the hidden layers' ridge regression (ridge; default: 0.3)",
        "For ``ridge``, hidden layers minimize ``|w - (1 - weight_decay) w_0|^2 + sum_k m_k^2 / "
        "(ridge q)``, where a sample misses its target by ``m = a - t``, or ``max(0, a)`` for a "
        "target of zero, ``w_0`` are the present weights, and `q` is the mean squared norm of an "
        "input and its 1; see `layermilp.algorithms.ridge`. By default 0.3.",
        "R",
        above=0.0,
    )
    weight_decay: float | None = option(
        None,
        "share of its weights that a hidden neuron forgets in every fit (default: 1 / batches, "
        "from 0.01 to 0.1)",
        "See `proximity` and `ridge`; without a price of a change there is none. By default ``1 / "
        "batches``, from 0.01 to 0.1.",
        "D",
        least=0.0,
        most=1.0,
    )
    postprocess: str = option(
        "end",
        "last layer's LP",
        "When the last layer's program of section 2.3 runs: never; after each batch that is not "
        "fully learned, on that batch and within its trust region; at the end on all samples of "
        "the batches; or at the end on all samples of `X`. For ``margin`` it stops within 1 % of "
        "the optimum unless `gap` says otherwise.",
        "WHEN",
        choices=POSTPROCESS,
    )
    formulation: str = option(
        "reduced",
        "weight program",
        "Weight program, see `layermilp.formulations.big_m`.",
        choices=FORMULATIONS,
    )
    target_gap: float = option(
        0.05,
        "a program is solved within this share of the sum of its targets",
        "A program also counts as solved when ``objective - bound`` is at most this share of the "
        "sum of its targets. With 0 and no limits every program is solved to its proven optimum, "
        "which takes hours.",
        "SHARE",
        least=0.0,
    )
    node_limit: int | None = option(
        20,
        "branch-and-bound nodes per program",
        "Branch-and-bound nodes per program, a limit that is repeatable; None for none. With a "
        "limit, hidden layers' programs of 400,000 entries and more (rows times unknowns) are "
        "improved by descents and not searched.",
        least=1,
    )
    solver_options: Mapping[str, SolverOption] | None = option(
        None,
        "option of the solver itself, by its own name (repeatable)",
        "Options of the solver itself by its own names; the solver must be named.",
        "NAME=VALUE",
        parse=named_value,
        flag="--solver-option",
        repeats=True,
    )

    def check_together(self) -> None:
        """Raise `OptionError` where values do not fit together."""
        used = self.total_batches * self.batch_size
        if used > MOST_SAMPLES:
            raise OptionError(
                f"{self.total_batches:,} batches of {self.batch_size:,} samples are {used:,} "
                f"samples; at most {MOST_SAMPLES:,} can be used, ask for fewer batches or epochs"
            )
        if self.class_weight is not None and self.objective != "l1":
            raise OptionError(
                f"class_weight is for the objective l1, not {self.objective}; leave it out"
            )
        for name, fit in (("proximity", "milp"), ("ridge", "ridge")):
            if getattr(self, name) is not None and self.weight_fit != fit:
                raise OptionError(
                    f"{name} is for the weight fit {fit}, not {self.weight_fit}; leave it out"
                )
        if self.weight_decay and not (self.softness or self.price):
            raise OptionError(
                f"weight_decay is {self.weight_decay!r}, but the proximity it belongs to is 0; "
                "leave it out"
            )
        if self.solver_options and self.solver == "auto":
            raise OptionError(
                f"options of a solver ({', '.join(self.solver_options)}) need that solver to be "
                "named, not auto"
            )

    @property
    def setup(self) -> SolveOptions:
        """How programs are solved."""
        return SolveOptions(
            formulation=self.formulation,
            solver=self.solver,
            limits=Limits(self.time_limit, self.gap, self.node_limit),
            options=self.solver_options or {},
            tie_break=self.tie_break,
            target_gap=self.target_gap,
            ridge=self.softness,
            proximity=self.price,
            weight_decay=self.decay,
        )

    def objective_for(self, network: Network, labels: IntArray) -> OutputLoss:
        """Return the objective for training samples for whose classes the given outputs of the
        network stand."""
        if self.objective == Margin.name and network.n_outputs < 2:
            raise NetworkError(
                "the objective margin compares outputs, but the network has only one; use "
                "objective l1"
            )
        weights = one_weights(self.class_weight, network, labels)
        return OBJECTIVES[self.objective].of(weights, self.input_penalty)

    @property
    def decay(self) -> float:
        """The weight decay, of which the number of batches decides by default."""
        if self.weight_decay is not None:
            return self.weight_decay
        low, high = WEIGHT_DECAY
        is_near = self.softness or self.price
        return min(max(1.0 / self.batches, low), high) if is_near else 0.0

    @property
    def softness(self) -> float:
        """The ridge, zero where there is no ridge regression."""
        if self.weight_fit != "ridge":
            return 0.0
        return RIDGE if self.ridge is None else self.ridge

    @property
    def price(self) -> float:
        """The proximity, zero where it is not asked for."""
        if self.weight_fit != "milp":
            return 0.0
        return PROXIMITY if self.proximity is None else self.proximity

    @property
    def n_epochs(self) -> int:
        """The epochs, of which the number of batches decides by default."""
        if self.epochs is not None:
            return self.epochs
        return max(1, min(TOTAL_BATCHES // self.batches, MOST_EPOCHS))

    @property
    def total_batches(self) -> int:
        """Batches of all epochs."""
        return self.n_epochs * self.batches
