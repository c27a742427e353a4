"""LP files, word for word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layermilp.export import write_lp
from tests.conformance.problems import box
from tests.export.readers import INF, READERS, WITH_COLUMNS

MISLEADING = (
    "E",
    "e5",
    "1",
    ".5",
    "inf",
    "Infinity",
    "nan",
    "free",
    "st",
    "end",
    "bounds",
    "x-y",
    "a b",
    "s^2",
    "ä",
    "x" * 99,
)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("group", MISLEADING)
def test_names_that_an_lp_file_would_misread_are_changed(
    group: str, reader: str, tmp_path: Path
) -> None:
    problem = WITH_COLUMNS[1]
    program = replace(problem.program, column_groups=((group, 1), (f"_{group}", 1)))
    assert READERS[reader](write_lp(program, tmp_path / "program.lp")) == pytest.approx(
        problem.objective, abs=1e-6
    )


def test_lp_file_in_full(tmp_path: Path) -> None:
    program = box(
        "a\nname",
        [1, 0, -1, 0.1],
        [
            ([1, 2, 0, 1e-7], 3, 8),
            ([0, 1, 1, 0], 2, 2),
            ([-1, 0, 0, 0], -4, INF),
            ([0, 0, 0, 0], -INF, 5),
            ([1, 1, 1, 1], -INF, INF),
        ],
        [(-INF, INF), (0, INF), (-INF, 2), (3, 3)],
        integers=[1],
        offset=-10,
    )
    assert write_lp(program, tmp_path / "p.lp").read_text().splitlines() == [
        *(
            "\\ a name",
            "Minimize",
            " cost: + 1.0 x_0 + 0.0 x_1 - 1.0 x_2",
            " + 0.1 x_3 - 10.0 constant",
        ),
        *("Subject To", " r_0: + 1.0 x_0 + 2.0 x_1 + 1e-07 x_3", " <= 8.0"),
        *(
            " r_0_lower: + 1.0 x_0 + 2.0 x_1 + 1e-07 x_3",
            " >= 3.0",
            " r_1: + 1.0 x_1 + 1.0 x_2",
            " = 2.0",
        ),
        *(" r_2: - 1.0 x_0", " >= -4.0", " r_3: + 0.0 x_0", " <= 5.0"),
        *(
            "Bounds",
            " x_0 free",
            " 0.0 <= x_1 <= inf",
            " -inf <= x_2 <= 2.0",
            " x_3 = 3.0",
            " constant = 1",
        ),
        *("General", " x_1", "End"),
    ]
