"""Formulations: pure functions from arrays to programs. No solver is known here."""

from layermilp.formulations.neuron import FORMULATIONS, paper, reduced
from layermilp.formulations.output import output
from layermilp.formulations.regression import HingeRegression, ReluRegression, Rows

__all__ = ["FORMULATIONS", "HingeRegression", "ReluRegression", "Rows", "output", "paper", "reduced"]
