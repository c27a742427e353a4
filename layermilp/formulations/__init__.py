"""What is minimized: losses, with their value in numpy and their programs. No solver is known
here."""

from layermilp.formulations.big_m import FORMULATIONS, paper, program_of, reduced
from layermilp.formulations.l1 import HingeRegression
from layermilp.formulations.margin import MarginRegression
from layermilp.formulations.problem import Rows
from layermilp.formulations.relu_l1 import ReluRegression, reference_big_m

__all__ = [
    "FORMULATIONS",
    "HingeRegression",
    "MarginRegression",
    "ReluRegression",
    "Rows",
    "paper",
    "program_of",
    "reduced",
    "reference_big_m",
]
