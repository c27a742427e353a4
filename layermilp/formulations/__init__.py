"""Formulations: pure functions from arrays to programs. No solver is known here."""

from layermilp.formulations.margin import margin
from layermilp.formulations.neuron import FORMULATIONS, paper, reduced
from layermilp.formulations.output import output
from layermilp.formulations.regression import (
    HingeRegression,
    LinearRegression,
    MarginRegression,
    ReluRegression,
    Rows,
)
from layermilp.program import Program

__all__ = [
    "FORMULATIONS",
    "HingeRegression",
    "LinearRegression",
    "MarginRegression",
    "ReluRegression",
    "Rows",
    "linear",
    "margin",
    "output",
    "paper",
    "reduced",
]


def linear(problem: LinearRegression) -> Program:
    """Return the linear program of an output layer's problem."""
    return margin(problem) if isinstance(problem, MarginRegression) else output(problem)
