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
        values = [
            [_number(solver.get_value(term)) for term in layer.ravel()]
            for layer in encoding.weights
        ]
    layers = zip(values, encoding.weights, strict=True)
    weights = tuple(
        np.array([v for v, _ in row], dtype=object).reshape(layer.shape) for row, layer in layers
    )
    irrational = sum(not exact for row in values for _, exact in row)
    return "sat", weights, f"{irrational} irrational weights rounded" if irrational else ""


def _number(value: Any) -> tuple[Fraction, bool]:
    """Return a constant of a model as a fraction, and whether it is one."""
    if value.is_constant() and not value.is_algebraic_constant():
        return Fraction(str(value.constant_value())), True
    return value.constant_value().approx(DIGITS).as_fraction(), False


if __name__ == "__main__":
    main()
