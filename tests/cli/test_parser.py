"""Help, lists, and options that are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import SMALL, Command, refused, run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--net", "3-3-2"], "3 inputs"),
        (["--net", "2-3-5"], "end --net with 2"),
        (["--net", "2-x-2"], "'2-x-2'"),
        (["--net", "2"], "784-8-10"),
        (["--net", "2-0-2"], "0 is not a layer size"),
        (["--solver", "scip"], "'scip'"),
        (["--formulation", "big"], "'big'"),
        (["--init", "zeros"], "'zeros'"),
        (["--batches", "0"], "batches is 0"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--batch-size", "41"], "41"),
        (["--jobs", "0"], "n_jobs is 0"),
        (["--seed", "-1"], "seed is -1"),
        (["--gap", "-1"], "gap is -1.0"),
        (["--time-limit", "0"], "time_limit is 0.0"),
        (["--node-limit", "0"], "node_limit is 0"),
        (["--label-column", "class"], "'class'"),
        (["--batches", "x"], "--batches"),
        (["--solver-option", "threads"], "NAME=VALUE"),
        (["--solver-option", "threads=2"], "need that solver to be named"),
        (["--solver", "highs", "--solver-option", "no_such=1"], "no_such"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--data", "fashion"], "'fashion'"),
        (["--committee", "0"], "committee is 0"),
        (["--init-trials", "0"], "init_trials is 0"),
        (["--init-trials", "2", "--batch-size", "40"], "holds all training samples"),
        (["--objective", "foo"], "objective 'foo' is unknown; choose l1, margin"),
        (["--objective", "l1", "--class-weight", "-1"], "class_weight is -1.0"),
        (["--objective", "l1", "--class-weight", "rare"], "class_weight is 'rare'"),
        (["--class-weight", "balanced"], "class_weight is for the objective l1, not margin"),
        (
            ["--net", "7x7-conv9-10"],
            "item 'conv9': a kernel of 9 x 9 does not fit an image of 7 x 7",
        ),
        (["--net", "28x28-mean5-10"], "item 'mean5'"),
        (["--preset", "foo"], "preset 'foo' is unknown; choose goebbels2021"),
        (["--epochs", "0"], "epochs is 0"),
        (["--average", "1"], "average is 1.0"),
        (["--input-penalty", "-1"], "input_penalty is -1.0"),
        (["--tie-break", "nearest"], "tie_break 'nearest' is unknown"),
        (["--postprocess", "sometimes"], "postprocess 'sometimes' is unknown"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    here: Command, table: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    out = tmp_path / "run"
    refused(here("train", *SMALL, "--data", str(table), "--out", str(out), *words), message)
    assert not out.exists() or {path.name for path in out.iterdir()} <= {"run.json"}


@pytest.mark.parametrize(
    ("cell", "message"),
    [("nan", "nan"), ("-0.5", "non-negative"), ("inf", "inf"), ("abc", "'abc'"), ("", "empty")],
)
def test_bad_values_are_refused_in_one_line(
    here: Command, tmp_path: Path, cell: str, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,b,label\n" + "0.1,0.2,0\n" * 10 + f"{cell},0.3,1\n")
    refused(here("train", *SMALL, "--data", str(path)), message)


def test_solvers_and_data_are_listed(tmp_path: Path) -> None:
    listed = run("solvers")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [
        "cplex",
        "highs",
        "cbc",
        "gurobi",
    ]
    catalogue = run("data", XDG_CACHE_HOME=str(tmp_path))
    assert "digits" in catalogue.stdout and "mnist" in catalogue.stdout
    assert (
        "1,500 training and 297 test samples, 64 inputs, 10 classes" in run("data", "digits").stdout
    )


def test_help_and_version() -> None:
    assert run("--version").stdout.startswith("layermilp 0.")
    text = run("train", "--help").stdout
    options = (
        "net batches batch-size data data-dir seed solver formulation time-limit gap jobs init "
        "out quiet verbose preset epochs "
        "objective class-weight input-penalty average committee init-trials postprocess tie-break "
        "tolerance"
    )
    for option in (f"--{name}" for name in options.split(" ")):
        assert option in text
    text = run("postprocess", "--help").stdout
    options = "out data objective class-weight tolerance box gap time-limit jobs"
    for option in (f"--{name}" for name in options.split(" ")):
        assert option in text
    assert "28x28-mean4-conv3-10" in run("train", "--help").stdout
    refused(run("trian"), "trian")
