"""The bench of the SMT trainer runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shlex import split

from tests.common import PATIENCE, ROOT


def test_the_bench_runs(tmp_path: Path) -> None:
    words = [
        sys.executable,
        str(ROOT / "bench" / "ison.py"),
        *split("--quick --seeds 1 --hidden 2 300"),
    ]
    words += ["--seconds", "1.5", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["method"] for row in rows} >= {"plain", "portfolio"} and {
        row["hidden"] for row in rows
    } == {2, 300}
    assert {row["verdict"] for row in rows} <= {"satisfied", "time-out"}
    assert all(row["verdict"] == "satisfied" for row in rows if row["method"] == "portfolio")
    assert (tmp_path / "results.md").read_text().strip() in done.stdout
    assert {path.name for path in tmp_path.glob("*.png")} == {"answered.png", "seconds.png"}
