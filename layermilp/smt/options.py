"""Everything that decides a training by the portfolio, besides network and data."""

from __future__ import annotations

from dataclasses import dataclass

from layermilp.options import Options, option
from layermilp.smt.problem import Domain

LARGEST_SEED = 2**32 - 1
"""Largest seed that Z3 takes."""

STAGES = ("random", "trained", "patterns", "rounded", "formula", "plain")
"""Names of the stages, in the order in which they are tried."""


@dataclass(kw_only=True)
class Portfolio(Options):
    """The options of `layermilp.smt.train`."""

    bound: float | None = option(
        None,
        "weights and biases lie in [-B, B]",
        "Weights and biases lie in ``[-bound, bound]``. Without a grid this excludes no "
        "classification, see `Domain.fitted`.",
        "B",
    )
    grid: float | None = option(
        None,
        "and are multiples of this",
        "They are multiples of this. The formula is then one of linear arithmetic over finitely "
        "many weights.",
        "STEP",
    )
    stages: tuple[str, ...] = option(
        STAGES,
        "what is tried",
        "Which stages are tried, in the order above whatever the order here.",
        "NAME[,NAME...]",
        choices=STAGES,
    )
    rounds: int = option(
        4,
        "rounds of the search for firing patterns",
        "Rounds of training and descent over firing patterns.",
        "N",
        least=1,
    )
    seed: int = option(
        0,
        "seed of samples, weights and Z3",
        "Seed of all that is random.",
        "N",
        least=0,
        most=LARGEST_SEED,
    )
    time_limit: float | None = option(
        10.0,
        "limit of the whole run",
        "Seconds for the whole run, after which Z3 is killed; the exact check of what was found "
        "may come on top. Runs in which it is hit are not repeatable.",
        "SECONDS",
        above=0.0,
    )

    def check_together(self) -> None:
        """Raise `OptionError` where no weights are allowed."""
        self.domain("float64")

    def domain(self, dtype: str) -> Domain:
        """Return which weights of a floating-point type are allowed."""
        return Domain(self.bound, self.grid, dtype)
