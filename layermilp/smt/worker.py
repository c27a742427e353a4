"""The process in which Z3 runs: reads a formula's name and a problem, writes what Z3 says."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction
from typing import Any

import numpy as np
from pysmt.exceptions import SolverReturnedUnknownResultError
from pysmt.shortcuts import Solver
from z3 import Z3Exception

from layermilp.smt.encoding import ENCODINGS, Encoding

DIGITS = 40
"""Decimal digits to which an irrational number of a model is rounded."""


def main() -> None:
    """Answer one question: pickles of this library's own objects, from stdin to stdout."""
    kind, problem, seed = pickle.load(sys.stdin.buffer)
    answer = decided(ENCODINGS[kind](problem), seed)
    pickle.dump(answer, sys.stdout.buffer)


def decided(encoding: Encoding, seed: int) -> tuple[str, Any, str]:
    """Return "sat", "unsat" or "unknown", the weights as arrays of fractions for "sat", and what
    there is to say."""
    with Solver(name="z3", logic=encoding.logic, random_seed=seed) as solver:
        solver.add_assertion(encoding.formula)
        try:
            if not solver.solve():
                return "unsat", None, ""
        except SolverReturnedUnknownResultError:
            return "unknown", None, str(solver.z3.reason_unknown())
        except Z3Exception as error:
            return "unknown", None, str(error)
        values = [np.vectorize(solver.get_value, otypes=[object])(w) for w in encoding.weights]
    weights = tuple(np.vectorize(_fraction, otypes=[object])(layer) for layer in values)
    irrational = sum(_is_irrational(value) for layer in values for value in layer.flat)
    return "sat", weights, f"{irrational} irrational weights rounded" if irrational else ""


def _is_irrational(value: Any) -> bool:
    """Whether a constant of a model is no fraction."""
    return not value.is_constant() or value.is_algebraic_constant()


def _fraction(value: Any) -> Fraction:
    """Return a constant of a model, rounded if it is irrational."""
    constant = value.constant_value()
    if _is_irrational(value):
        constant = constant.approx(DIGITS).as_fraction()
    return Fraction(str(constant))


if __name__ == "__main__":
    main()
