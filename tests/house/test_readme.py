"""What the README says is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from layermilp.datasets.source import DataSource
from layermilp.options import described
from layermilp.runs.methods import METHODS
from layermilp.runs.run import RunOptions
from tests.common import PATIENCE, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "Status.OPTIMAL"),
        (1, "net             3 x 64-8-10 on digits"),
        (2, "{'hidden_layer_sizes': ("),
    ],
)
def test_python_example_runs(number: int, words: str, tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


def _help(*words: str) -> set[str]:
    """Options that the help of a command names."""
    command = [sys.executable, "-m", "layermilp", *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


@pytest.mark.parametrize("method", METHODS)
def test_help_names_every_option_of_a_method_and_of_a_run(method: str) -> None:
    """The page on the command line shows this help, see `test_every_command_has_its_help`."""
    flags = {
        each.flag
        for options in (METHODS[method], RunOptions, DataSource)
        for each in described(options)
        if each.option.is_flag
    }
    assert len(flags) > 15 and flags <= _help("train", "--method", method)


def test_every_option_that_the_readme_names_exists() -> None:
    known = set().union(*(_help("train", "--method", method) for method in METHODS))
    scripts = {"--only", "--samples", "--keep-going", "--version", "--dist", "--quick", "--png"}
    scripts |= {"--held-out", "--seeds", "--wrong-labels", "--option"}  # of bench/train.py
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README))
    assert len(named) > 30 and named <= known | scripts
