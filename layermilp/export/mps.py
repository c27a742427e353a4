"""A program as an MPS file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse

from layermilp.export.parts import OBJECTIVE, columns, name_in_one_word, write_sections
from layermilp.program import FloatArray, Program


def write_mps(program: Program, path: str | Path) -> Path:
    """Write a program as a free-format MPS file, atomically, and return its path.

    Its start is not part of the file. Numbers are written with all the digits that tell one double
    from the next. Only the second bound of a row with two different finite bounds may be off in its
    last digit, because MPS states the width of such a row instead. Rows without any bound become
    ``N`` rows, which most readers drop.

    Raises
    ------
    OutputError
        If the file cannot be written; one that is there is then as it was.
    """
    return write_sections(path, _sections(program))


def _sections(program: Program) -> Iterator[list[str]]:
    rows, kinds = program.row_names(), program.row_kinds()
    # MPS states the upper bound of a row with two, and their difference.
    letters = np.where(kinds == "R", "L", kinds).tolist()
    # FREE is for CBC, which otherwise guesses the format and may guess wrong at a bound without a
    # value.
    yield [f"NAME {name_in_one_word(program)} FREE", "ROWS", f" N {OBJECTIVE}"]
    yield [f" {letter} {row}" for letter, row in zip(letters, rows, strict=True)] or ["*"]
    yield ["COLUMNS"]
    yield from _column_section(program, [OBJECTIVE, *rows])
    # By convention the right-hand side of the objective row is minus the constant.
    yield ["RHS", *([f" RHS {OBJECTIVE} {-program.offset!r}"] if program.offset else [])]
    sides = np.select([kinds == "N", kinds == "G"], [0.0, program.row_lower], program.row_upper)
    yield [f" RHS {rows[i]} {value!r}" for i, value in _nonzero(sides)]
    with np.errstate(invalid="ignore"):
        widths = np.where(kinds == "R", program.row_upper - program.row_lower, 0.0)
    yield ["RANGES", *(f" RNG {rows[i]} {value!r}" for i, value in _nonzero(widths))]
    yield ["BOUNDS"]
    for name, lower, upper, integer in columns(program):
        yield [f" {kind} BND {name}{value}" for kind, value in _bounds(lower, upper, integer)]
    yield ["ENDATA"]


def _column_section(program: Program, rows: list[str]) -> Iterator[list[str]]:
    # The costs are written even where they are zero, so that every column is named, in the
    # program's order.
    n = program.n_columns
    costs = sparse.csr_array((program.costs, np.arange(n), [0, n]), shape=(1, n))
    matrix = sparse.vstack([costs, program.matrix]).tocsc()
    starts, indices, values = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    # Integer columns stand between markers.
    within = False
    for j, (name, _, _, integer) in enumerate(columns(program)):
        if integer != within:
            yield [_marker(j, integer)]
            within = integer
        cells = range(starts[j], starts[j + 1])
        yield [f" {name} {rows[indices[k]]} {values[k]!r}" for k in cells]
    if within:
        yield [_marker(n, False)]


def _marker(column: int, begins: bool) -> str:
    return f" M{column} 'MARKER' 'INT{'ORG' if begins else 'END'}'"


def _nonzero(values: FloatArray) -> Iterator[tuple[int, float]]:
    where = np.flatnonzero(values)
    return zip(where.tolist(), values[where].tolist(), strict=True)


def _bounds(lower: float, upper: float, integer: bool) -> list[tuple[str, str]]:
    """Return the bound lines of a column: always all of them, because readers differ on what a
    missing one means."""
    if lower == upper:
        return [("FX", f" {lower!r}")]
    if lower == -np.inf and upper == np.inf:
        return [("FR", "")]
    if lower == 0.0 and upper == np.inf and not integer:
        return []
    first = ("MI", "") if lower == -np.inf else ("LO", f" {lower!r}")
    second = ("PL", "") if upper == np.inf else ("UP", f" {upper!r}")
    return [first, second]
