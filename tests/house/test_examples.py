"""Every example runs in a fresh process, elsewhere, and prints what its docstring promises."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.common import PATIENCE, ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"onnx_exchange": "onnx"}
"""Packages that examples need and that not everybody has."""
PROMISE = "Prints: "


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_an_example_prints_what_it_promises(path: Path, tmp_path: Path) -> None:
    needed = NEEDS.get(path.stem)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    words = told.splitlines()[-1]
    assert words.startswith(PROMISE)
    assert words.removeprefix(PROMISE) in done.stdout
    assert not list(tmp_path.iterdir()), "an example leaves files behind"


def test_there_is_an_example_for_every_entry_point_and_each_is_short() -> None:
    sources = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES}
    assert max(source.count("\n") for source in sources.values()) <= 60
    for name in (
        "layermilp.train(",
        "layermilp.Run(",
        "layermilp.fit_relu_neuron(",
        "layermilp.postprocess(",
        "integer.train(",
        "hybrid.train(",
        "smt.train(",
        "write_mps(",
        "export_model(",
        "SOLVERS[",
        "OBJECTIVES[",
        "layermilp.estimators",
    ):
        assert any(name in source for source in sources.values()), name
