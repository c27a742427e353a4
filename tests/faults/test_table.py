"""Every row of docs/faults.md has its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.common import ROOT

TABLE = ROOT / "docs" / "faults.md"


def _tests_of(path: Path) -> set[str]:
    return {
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }


def test_every_fault_has_a_test_and_every_test_a_row() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE.read_text())
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10 and all(re.search(r"`tests/[\w/]+\.py::test_\w+`", row) for row in rows)
    for file, test in named:
        assert test in _tests_of(ROOT / file), (file, test)
    for path in (ROOT / "tests" / "faults").glob("test_*.py"):
        if path.name != Path(__file__).name:
            tests = {test for test in _tests_of(path) if test.startswith("test_")}
            file = str(path.relative_to(ROOT))
            assert tests - {test for where, test in named if where == file} == set()
