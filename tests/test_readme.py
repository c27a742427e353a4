"""What the README says is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Status.OPTIMAL" in done.stdout


def test_options_in_the_table_exist() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "layermilp", "train", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    table = README[README.index("| option |") :].split("\n\n")[0]
    options = set(re.findall(r"`(--[a-z-]+)", table))
    assert len(options) > 15
    assert options <= set(re.findall(r"--[a-z-]+", done.stdout))


@pytest.mark.parametrize("script", ["adapters.py", "bulk.py", "train.py"])
def test_benches_run(script: str, tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "bench" / script), "--quick", "--json", str(tmp_path / "out.json")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.json").is_file()
