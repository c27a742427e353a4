"""Options of block coordinate descent."""

from __future__ import annotations

from dataclasses import dataclass

from layermilp.options import Options, option


@dataclass(kw_only=True)
class Penalties(Options):
    """Prices of the terms of the objective, see `layermilp.bcd.descent`; the loss has price 1."""

    tau: float = option(
        1.0,
        "price of a preactivation's squared distance from what the weights make of the inputs",
        metavar="T",
        above=0.0,
    )
    rho: float = option(
        1.0,
        "price of an activation's squared distance from its preactivation's ReLU",
        metavar="R",
        above=0.0,
    )
    ridge: float = option(0.005, "price of the squared weights, per sample", metavar="L", above=0.0)
    relaxation: float = option(
        1.0,
        "share of the way to their minimum that weights go; above 1 beyond it",
        "Share of the way to their minimum that weights go in a sweep: 1 to it, more beyond. Below "
        "2 the objective never rises.",
        metavar="R",
        above=0.0,
        below=2.0,
    )


@dataclass(kw_only=True)
class Descents(Penalties):
    """Everything that decides a descent besides the network and the data."""

    sweeps: int = option(200, "sweeps over all layers and samples", metavar="N", least=1)
