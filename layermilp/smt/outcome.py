"""What is known of a problem after some stages."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction

from layermilp.networks.network import Network


class Verdict(enum.Enum):
    """What is known of a problem in the end."""

    SATISFIED = "satisfied"
    UNSATISFIABLE = "unsatisfiable"
    UNKNOWN = "unknown"
    TIMEOUT = "time-out"


@dataclass(frozen=True)
class Stage:
    """One stage that was tried: its name, what it said and why, and its seconds."""

    name: str
    said: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Outcome of a run.

    Parameters
    ----------
    verdict : Verdict
        Whether there is such a network. Only a complete search says that there is none.
    network : Network or None
        The network, with the decision "argmax", if the verdict is SATISFIED.
    stage : str or None
        What answered: a stage's name, or ``samples`` for equal samples with different labels.
    lead : Fraction or None
        Least lead of a label's output over the others, in exact arithmetic.
    reason : str
        Why nothing is known, or nothing is possible; empty if the verdict is SATISFIED.
    stages : tuple of Stage
        All that was tried, in order.
    seconds : float
        Wall seconds.
    """

    verdict: Verdict
    network: Network | None
    stage: str | None
    lead: Fraction | None
    reason: str
    stages: tuple[Stage, ...]
    seconds: float
