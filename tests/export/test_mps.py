"""MPS files, word for word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layermilp.errors import OutputError
from layermilp.export import write_mps
from tests.conformance.problems import box, knapsack
from tests.export.readers import INF


def test_mps_file_in_full(tmp_path: Path) -> None:
    program = box(
        "a name",
        [1, 0, -1],
        [
            ([1, 2, 0], 3, 8),
            ([0, 1, 1], 2, 2),
            ([1, 0, 0], -4, INF),
            ([0, 0, 1], -INF, 5),
            ([1, 1, 1], -INF, INF),
        ],
        [(-INF, INF), (0, INF), (-INF, 2)],
        integers=[1],
        offset=10,
    )
    assert write_mps(program, tmp_path / "p.mps").read_text().splitlines() == [
        *("NAME a_name FREE", "ROWS", " N cost", " L r_0", " E r_1", " G r_2", " L r_3", " N r_4"),
        *("COLUMNS", " x_0 cost 1.0", " x_0 r_0 1.0", " x_0 r_2 1.0", " x_0 r_4 1.0"),
        *(" M1 'MARKER' 'INTORG'", " x_1 cost 0.0", " x_1 r_0 2.0", " x_1 r_1 1.0", " x_1 r_4 1.0"),
        *(
            " M2 'MARKER' 'INTEND'",
            " x_2 cost -1.0",
            " x_2 r_1 1.0",
            " x_2 r_3 1.0",
            " x_2 r_4 1.0",
        ),
        *(
            "RHS",
            " RHS cost -10.0",
            " RHS r_0 8.0",
            " RHS r_1 2.0",
            " RHS r_2 -4.0",
            " RHS r_3 5.0",
        ),
        *("RANGES", " RNG r_0 5.0"),
        *(
            "BOUNDS",
            " FR BND x_0",
            " LO BND x_1 0.0",
            " PL BND x_1",
            " MI BND x_2",
            " UP BND x_2 2.0",
            "ENDATA",
        ),
    ]


def test_mps_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program.mps"
    path.write_text("old")

    def fail(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_mps(knapsack(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_mps_file_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        write_mps(knapsack(), tmp_path / "missing" / "program.mps")
