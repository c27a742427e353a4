"""Networks that classify all samples, or proofs that there are none, with an SMT solver behind a
portfolio (after Ison)."""

from layermilp.smt.trainer import Outcome, Stage, Verdict, train

__all__ = ["Outcome", "Stage", "Verdict", "train"]
