"""Parts that the formats and models share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from layermilp.files import write_atomically
from layermilp.program import Program

OBJECTIVE = "cost"
"""Name of the objective."""


def name_in_one_word(program: Program) -> str:
    """Return the name of a program without blanks."""
    return "_".join(program.name.split()) or "program"


def columns(program: Program) -> Iterator[tuple[str, float, float, bool]]:
    """Yield name, bounds and integrality of each column."""
    bounds = program.col_lower.tolist(), program.col_upper.tolist()
    return zip(program.column_names(), *bounds, program.integrality.tolist(), strict=True)


def one_sided_rows(
    program: Program,
) -> Iterator[tuple[str, str, float, list[int], list[float]]]:
    """Yield name, comparison, side, columns and coefficients of each row.

    One with two different bounds is two, the second with ``_lower`` behind its name; one without
    any is left out."""
    kinds, lower, upper = program.row_kinds(), program.row_lower, program.row_upper
    parts = (program.row_names(), kinds.tolist(), lower.tolist(), upper.tolist(), program.rows())
    for name, kind, low, high, row in zip(*parts, strict=True):
        if kind == "E":
            yield name, "=", high, *row
        if kind in "LR":
            yield name, "<=", high, *row
        if kind in "GR":
            yield f"{name}_lower" if kind == "R" else name, ">=", low, *row


def write_sections(path: str | Path, sections: Iterable[list[str]]) -> Path:
    """Write the lines of sections to a text file, atomically; return the path."""

    def write(file: BinaryIO) -> None:
        for section in sections:
            file.write("\n".join([*section, ""]).encode())

    return write_atomically(Path(path), write)
