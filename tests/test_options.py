"""Options that are defined once: what their fields say is what every way to them says."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

import layermilp
from layermilp.cli.arguments import add_options, options_of
from layermilp.cli.parser import Parser
from layermilp.errors import OptionError
from layermilp.options import Options, described, documented, named_value, option, with_options
from layermilp.runs.methods import METHODS
from layermilp.runs.run import RunOptions

PACKAGE = Path(layermilp.__file__).parent


@dataclass(kw_only=True)
class Example(Options):
    """Options of every kind."""

    count: int = option(3, "how many", metavar="N", least=1, most=9)
    share: float = option(0.5, "part of it", metavar="S", least=0.0, below=1.0)
    limit: float | None = option(None, "seconds", metavar="S", above=0.0)
    rule: str = option("a", "which one", metavar="RULE", choices=("a", "b"))
    layers: tuple[int, ...] = option((4,), "neurons", metavar="N[-N...]", least=1)
    names: tuple[str, ...] = option(("a",), "names", metavar="NAME", choices=("a", "b"))
    is_on: bool = option(False, "whether it is on", flag="--on")
    pairs: Any = option(None, "pairs", parse=named_value, repeats=True, metavar="NAME=VALUE")
    place: str = option("here", "where", decides=False, is_flag=False)

    def check_together(self) -> None:
        if self.rule == "b" and self.count > 5:
            raise OptionError(f"count is {self.count}; with rule b it must be at most 5")


@with_options(Example)
def example(X: list[float], y: list[float], options: Example) -> tuple[float, Example]:
    """Add.

    Parameters
    ----------
    X, y : list
        Numbers.
    {options}
    """
    return sum(X) + sum(y), options


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"count": 0}, "count is 0; it must be a whole number of at least 1 and at most 9"),
        ({"count": 10}, "count is 10"),
        ({"count": 1.5}, r"count is 1\.5"),
        ({"count": True}, "count is True"),
        ({"count": None}, "count is None"),
        ({"share": 1.0}, r"share is 1\.0; it must be a finite number of at least 0 and below 1"),
        ({"share": float("nan")}, "share is nan"),
        ({"share": "0.5"}, "share is '0.5'"),
        ({"limit": 0.0}, r"limit is 0\.0; it must be a finite number above 0"),
        ({"rule": "c"}, "rule 'c' is unknown; choose a, b"),
        ({"rule": ["a"]}, "rule .* is unknown"),
        ({"layers": ()}, r"layers is \(\); it must have at least one item, such as \(4,\)"),
        ({"layers": (2, 0)}, "layers is 0"),
        ({"layers": 4}, "layers is 4"),
        ({"names": ("a", "c")}, "names 'c' is unknown; choose a, b"),
        ({"is_on": 1}, "is_on is 1; it must be True or False"),
        ({"place": 3}, "place is 3; it must be a text"),
        ({"rule": "b", "count": 6}, "with rule b it must be at most 5"),
    ],
)
def test_a_value_out_of_its_range_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Example(**changes)
    with pytest.raises(OptionError, match=words):
        example([1.0], [2.0], **changes)


def test_a_function_takes_the_options_as_keywords() -> None:
    total, options = example([1.0], y=[2.0], count=5)  # type: ignore[call-arg]
    assert (total, options) == (3.0, Example(count=5))
    with pytest.raises(TypeError, match="unexpected keyword argument 'counts'"):
        example([1.0], [2.0], counts=5)  # type: ignore[call-arg]
    signature = inspect.signature(example)
    assert list(signature.parameters) == ["X", "y", *(field.name for field in fields(Example))]
    assert signature.parameters["count"].default == 3
    assert signature.parameters["count"].kind is inspect.Parameter.KEYWORD_ONLY
    told = inspect.getdoc(example) or ""
    assert documented(Example) in told
    assert "count : int\n    How many." in told and 'rule : {"a", "b"}' in told


def test_the_command_line_has_the_options_too() -> None:
    parser = Parser(prog="example")
    add_options(parser, Example, defaults={"share": 0.25})
    assert "--place" not in parser.format_help() and "which one: a, b" in parser.format_help()
    assert options_of(parser.parse_args([]), Example) == Example(share=0.25)
    words = "--count 4 --share 0.75 --limit 2 --rule b --layers 8-4 --names a,b --on"
    given = parser.parse_args([*words.split(), "--pairs", "x=1", "--pairs", "y=up"])
    assert options_of(given, Example) == Example(
        count=4,
        share=0.75,
        limit=2.0,
        rule="b",
        layers=(8, 4),
        names=("a", "b"),
        is_on=True,
        pairs={"x": 1, "y": "up"},
    )


def test_what_decides_is_told_apart() -> None:
    assert set(Example().values()) - set(Example().values(decisive=True)) == {"place"}
    decides = {each.name for each in described(RunOptions) if each.option.decides}
    assert decides == {"committee", "init_trials"}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_default_is_in_its_range_and_every_option_is_described(method: Any) -> None:
    method()
    for each in described(method):
        assert each.option.help and not each.option.help.endswith(".")


ADDED = """    flavour: int = option(3, "a flavour of the sweeps", metavar="N", least=1, most=7)
"""

SCRIPT = """
import inspect, json, sys
import layermilp
from layermilp.cli import main
from layermilp.errors import OptionError
from layermilp.estimators import LayerwiseClassifier

assert layermilp.__file__.startswith(sys.argv[1]), layermilp.__file__
assert inspect.signature(layermilp.train).parameters["flavour"].default == 3
assert "flavour : int" in layermilp.train.__doc__
assert LayerwiseClassifier().get_params()["flavour"] == 3
assert LayerwiseClassifier().set_params(flavour=4).flavour == 4
for value in (0, 8, "2"):
    try:
        layermilp.Layerwise(flavour=value)
    except OptionError as error:
        assert "flavour is" in str(error)
    else:
        raise AssertionError(value)
words = ["--net", "64-10", "--data", "digits", "--batches", "2", "--epochs", "1", "--jobs", "1"]
assert main(["train", *words, "--flavour", "9", "--quiet"]) == 2
assert main(["train", *words, "--flavour", "5", "--quiet", "--out", "run"]) == 0
assert json.load(open("run/summary.json"))["flavour"] == 5
assert main(["train", "--resume", "run", "--quiet"]) == 0
assert json.load(open("run/summary.json"))["flavour"] == 5
try:
    main(["train", "--help"])
except SystemExit:
    pass
"""


def test_a_new_option_is_one_field(tmp_path: Path) -> None:
    """A field more in the options of the layerwise method, and it is everywhere."""
    copy = tmp_path / "layermilp"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "layerwise" / "options.py"
    head, found, rest = file.read_text().partition('    """The options of `layermilp.train`."""\n')
    assert found
    file.write_text(f"{head}{found}\n{ADDED}{rest}")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(copy)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--flavour N" in done.stdout
    assert "a flavour of the sweeps (default: 3)" in " ".join(done.stdout.split())
    assert "flavour is 9; it must be a whole number" in done.stderr


def test_an_option_of_a_summary_can_be_written_as_json() -> None:
    for method in METHODS.values():
        json.dumps(method().settled())
