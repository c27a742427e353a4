"""Networks that classify all samples, or proofs that there are none, with an SMT solver behind a
portfolio (after Ison)."""

from layermilp.smt.outcome import Outcome, Stage, Verdict
from layermilp.smt.trainer import train

__all__ = ["Outcome", "Stage", "Verdict", "train"]
