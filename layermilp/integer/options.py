"""Everything that decides the training of an integer network, besides the data."""

from __future__ import annotations

from dataclasses import dataclass

from layermilp.errors import OptionError
from layermilp.integer.losses import OBJECTIVES
from layermilp.options import option
from layermilp.program import Limits
from layermilp.solvers.options import SolverChoice

NEURONS = ("all", "fewest")
"""How many hidden neurons the network has: all, or as few as exceed the accuracy at which the
search ends."""

STARTS = ("none", "gradient")
"""Where the search begins: at nothing, or at a straight-through network."""


@dataclass(kw_only=True)
class Whole(SolverChoice):
    """The options of `layermilp.integer.train`."""

    hidden: tuple[int, ...] = option(
        (16,), "neurons of the hidden layers", metavar="N[-N...]", least=1
    )
    bound: int = option(
        15,
        "weights are whole numbers from -P to P",
        "`P`: weights and biases are whole numbers in ``-P, ..., P``; 1 for a binarized network "
        "(with zeros).",
        "P",
        least=1,
        most=float("inf"),  # how large it may be depends on the number of inputs
    )
    objective: str = option(
        "sat-margin",
        "what is optimized",
        "What is optimized, see `layermilp.integer.losses`.",
        "NAME",
        choices=OBJECTIVES,
    )
    start: str = option(
        "none",
        "where the search begins",
        "Where to begin; ``gradient`` trains a straight-through network for a second, improves it, "
        "and takes the vote too if it becomes better.",
        "NAME",
        choices=STARTS,
    )
    neurons: str = option(
        "all",
        "how many of them",
        "``fewest`` adds neurons one by one, up to `hidden`, and returns the first network that "
        "exceeds `stop_accuracy`.",
        "NAME",
        choices=NEURONS,
    )
    stop_accuracy: float = option(
        0.9,
        "accuracy on the training samples above which the search ends; 1 asks for the best "
        "objective",
        "The search ends when the accuracy on the samples exceeds this, as the paper's does; 1 "
        "asks for the best objective.",
        "SHARE",
        least=0.0,
        most=1.0,
    )
    seed: int = option(
        0,
        "seed of samples, order and solvers",
        "Seed of all that is random.",
        "N",
        least=0,
        most=float("inf"),
    )
    node_limit: int | None = option(
        100,
        "branch-and-bound nodes per program",
        "Branch-and-bound nodes per program, a limit that is repeatable.",
        "N",
        least=1,
    )
    time_limit: float | None = option(
        None,
        "limit of the whole run (not repeatable)",
        "Seconds for the whole run. As long as `stop_accuracy` is not exceeded, the search begins "
        "anew in what is left of them, with other bootstrap samples. Runs in which the limit is "
        "hit are not repeatable.",
        "SECONDS",
        above=0.0,
    )
    batch_size: int | None = option(
        None,
        "train in batches of about so many samples (default: all at once)",
        "Train in batches of about this many samples, see `layermilp.integer.batches`: for "
        "thousands of samples.",
        "N",
        least=2,
    )
    epochs: int = option(5, "passes over the batches", metavar="N", least=1)
    prove: bool = option(
        False,
        "look for a bound of the objective afterwards, which may take minutes",
        "Afterwards look for a bound of the objective, see `layermilp.integer.prove`; it may take "
        "minutes, within `time_limit`.",
    )

    def check_together(self) -> None:
        """Raise `OptionError` where values do not fit together."""
        is_fewest = self.neurons == "fewest"
        if is_fewest and (len(self.hidden) != 1 or self.start != "none"):
            raise OptionError("neurons is 'fewest', which is for one hidden layer and start 'none'")
        if is_fewest and self.batch_size is not None:
            raise OptionError("neurons is 'fewest', which is for training without batches")
        if self.prove and (len(self.hidden) != 1 or self.batch_size is not None or is_fewest):
            raise OptionError(
                "prove is for networks of one hidden layer and all neurons, trained without batches"
            )

    @property
    def limits(self) -> Limits:
        """Limits of every program."""
        return Limits(time_limit=self.time_limit, node_limit=self.node_limit, gap=0.0)
