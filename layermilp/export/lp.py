"""A program as an LP file, the format of CPLEX that other solvers read too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from layermilp.export.parts import OBJECTIVE, one_sided_rows, write_sections
from layermilp.program import Program

_CONSTANT = "constant"

# With these no line exceeds 255 characters, the least that a reader takes.
_TERMS_PER_LINE = 3
_LONGEST_NAME = 40


def write_lp(program: Program, path: str | Path) -> Path:
    """Write a program as an LP file, atomically, and return its path.

    Its start is not part of the file. Numbers are written with all the digits that tell one double
    from the next. A row with two different finite bounds becomes two, the second with ``_lower``
    behind its name, because not every reader takes such rows; rows without any bound are left out.
    A constant of the objective is the price of a last column ``constant``, which is fixed to one:
    readers differ on constants.

    Columns are named as in `Program.column_names`, with ``_`` before names that begin like a
    number; where one would still be misread, all are named ``x_0, x_1, ...``.

    Raises
    ------
    OutputError
        If the file cannot be written; one that is there is then as it was.
    """
    return write_sections(path, _sections(program))


def _sections(program: Program) -> Iterator[list[str]]:
    columns, costs = _names(program.column_names()), program.costs.tolist()
    # A row must have a column, and only this one is there in every program.
    has_constant = bool(program.offset) or not columns
    if has_constant:
        columns, costs = [*columns, _CONSTANT], [*costs, program.offset]
    yield [f"\\ {' '.join(program.name.split())}", "Minimize"]
    # The costs are written even where they are zero, so that every column is named, in the
    # program's order.
    yield _sum(OBJECTIVE, costs, columns)
    yield ["Subject To"]
    for name, comparison, side, row, values in one_sided_rows(program):
        # No reader takes an empty sum.
        sum_of_row = (values, [columns[j] for j in row]) if row else ([0.0], columns[:1])
        yield [*_sum(name, *sum_of_row), f" {comparison} {side!r}"]
    # A line for each column, because readers differ on what a missing one means for integers.
    ends = zip(columns, program.col_lower.tolist(), program.col_upper.tolist(), strict=False)
    yield ["Bounds", *(f" {_bound(name, lower, upper)}" for name, lower, upper in ends)]
    if has_constant:
        yield [f" {_CONSTANT} = 1"]
    if program.is_mip:
        yield ["General", *(f" {columns[j]}" for j in np.flatnonzero(program.integrality).tolist())]
    yield ["End"]


def _names(names: list[str]) -> list[str]:
    """Return names that no reader takes for numbers, words of the format, or parts of
    expressions."""
    # A number may be followed by an exponent; infinite ones are numbers too.
    safe = [
        f"_{name}" if re.match(r"\d|e|inf|nan", name, re.IGNORECASE) else name for name in names
    ]
    is_readable = all(
        re.fullmatch(r"\w+", name, re.ASCII) and len(name) <= _LONGEST_NAME for name in safe
    )
    if is_readable and len(set(safe)) == len(safe):
        return safe
    return [f"x_{j}" for j in range(len(names))]


def _sum(name: str, values: Sequence[float], columns: Sequence[str]) -> list[str]:
    """Return the lines of a named sum."""
    terms = [
        f" {'-' if value < 0.0 else '+'} {abs(value)!r} {column}"
        for value, column in zip(values, columns, strict=True)
    ]
    lines = ["".join(terms[i : i + _TERMS_PER_LINE]) for i in range(0, len(terms), _TERMS_PER_LINE)]
    return [f" {name}:{lines[0]}", *lines[1:]]


def _bound(name: str, lower: float, upper: float) -> str:
    if lower == upper:
        return f"{name} = {lower!r}"
    if lower == -np.inf and upper == np.inf:
        return f"{name} free"
    # Python writes infinite numbers as the format does.
    return f"{lower!r} <= {name} <= {upper!r}"
