"""Parts that the formats and models share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from layermilp.files import write_atomically
from layermilp.program import Program

OBJECTIVE = "cost"
"""Name of the objective."""


def row_kinds(program: Program) -> NDArray[np.str_]:
    """Return the kind of each row, as MPS names it: ``L`` where there is an upper bound, be there a
    lower one or not."""
    has_lower, has_upper = np.isfinite(program.row_lower), np.isfinite(program.row_upper)
    equal = program.row_lower == program.row_upper
    return np.select([equal, has_upper, has_lower], ["E", "L", "G"], "N")


def runs(program: Program) -> list[tuple[int, int, bool]]:
    """Return first column, end and integrality of each run of columns of one type."""
    mask = program.integrality
    edges = [0, *(np.flatnonzero(mask[1:] != mask[:-1]) + 1).tolist(), mask.size]
    return [
        (first, last, bool(mask[first]))
        for first, last in itertools.pairwise(edges)
        if first < last
    ]


def write_sections(path: str | Path, sections: Iterable[list[str]]) -> Path:
    """Write the lines of sections to a text file, atomically; return the path."""

    def write(file: BinaryIO) -> None:
        for section in sections:
            file.write("\n".join([*section, ""]).encode())

    return write_atomically(Path(path), write)
