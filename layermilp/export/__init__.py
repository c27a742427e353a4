"""A program for other tools: as an MPS or LP file, a docplex model or a PuLP problem."""

from layermilp.export.lp import write_lp
from layermilp.export.models import to_docplex, to_pulp
from layermilp.export.mps import write_mps

__all__ = ["to_docplex", "to_pulp", "write_lp", "write_mps"]
