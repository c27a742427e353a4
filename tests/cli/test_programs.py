"""`layermilp dump-programs` as a user types it: the files, their index, and what other solvers
find in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from layermilp import Network
from layermilp.cli import main
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.hybrid import trainer as hybrid
from layermilp.hybrid.options import Rounds
from layermilp.hybrid.sklearn_models import SklearnTrainee
from layermilp.integer import IntegerNetwork
from layermilp.integer.formulation import SignNetwork, thetas
from layermilp.integer.losses import OBJECTIVES
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.programs import Selection, sweep_programs
from layermilp.layerwise.sweep import InputTask, Step
from layermilp.layerwise.trainer import training
from layermilp.networks.integer import IntegerLayer
from layermilp.parallel import Workers
from layermilp.program import Program
from tests.cli.commands import Command
from tests.common import PATIENCE

SMALL = ["--net", "2-3-3-2", "--batches", "3", "--batch-size", "8", "--jobs", "1"]


@pytest.fixture
def dump(here: Command, table: Path, tmp_path: Path) -> Command:
    """Return what runs the command on the table, into ``out``, in this process."""

    def call(*words: str, out: Path = tmp_path / "out") -> subprocess.CompletedProcess[str]:
        return here("dump-programs", "--data", str(table), "--out", str(out), *words)

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two classes, 24 samples."""
    rng = np.random.default_rng(0)
    X = rng.random((24, 2)).round(3)
    path = tmp_path / "points.csv"
    lines = [f"{a},{b},{int(a > b)}" for a, b in X]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return path


def _data(path: Path) -> tuple[np.ndarray, np.ndarray]:
    values = np.loadtxt(path, delimiter=",", skiprows=1)
    return values[:, :2], values[:, 2].astype(int)


def _index(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "programs.json").read_text())
    return found


def _read(path: Path) -> Any:
    highspy = pytest.importorskip("highspy", reason="the package highspy is not installed")
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("mip_rel_gap", 1e-9)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    return highs


def _optimum(path: Path) -> float:
    highs = _read(path)
    highs.run()
    assert highs.modelStatusToString(highs.getModelStatus()) == "Optimal"
    return float(highs.getInfo().objective_function_value)


def test_the_command_writes_programs_and_an_index(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "programs"
    words = [
        "dump-programs",
        "--out",
        str(out),
        *SMALL,
        "--data",
        str(table),
        *split("--batch 2 --input-samples 4"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "layermilp", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The last layer has one program for all outputs; two layers propose inputs.
    assert re.fullmatch(
        rf"written +{out}/: programs.json and 15 programs, \d+ of them mixed-integer\n", done.stdout
    )
    index = _index(out)
    assert (index["net"], index["batch"], index["sweep"], index["formulation"]) == (
        "2-3-3-2",
        2,
        1,
        "reduced",
    )
    entries = index["programs"]
    assert {path.name for path in out.iterdir()} == {entry["file"] for entry in entries} | {
        "programs.json"
    }
    assert [(entry["layer"], entry["kind"]) for entry in entries] == [
        (3, "weights"),
        *[(3, "inputs")] * 4,
        *[(2, "weights")] * 3,
        *[(2, "inputs")] * 4,
        *[(1, "weights")] * 3,
    ]
    assert [entry["neurons"] for entry in entries if entry["kind"] == "weights"] == [
        [1, 2],
        [1],
        [2],
        [3],
        [1],
        [2],
        [3],
    ]
    # The second batch begins with the ninth sample.
    assert [(entry["sample"], entry["row"]) for entry in entries[1:5]] == [
        (1, 8),
        (2, 9),
        (3, 10),
        (4, 11),
    ]
    for entry in entries:
        model = _read(out / entry["file"]).getLp()
        assert (model.num_row_, model.num_col_) == (entry["rows"], entry["columns"])
        assert len(model.a_matrix_.value_) == entry["nonzeros"]
        assert sum(int(kind) for kind in model.integrality_) == entry["integers"]


@pytest.mark.parametrize("objective", ["margin", "l1"])
@pytest.mark.parametrize("formulation", ["reduced", "paper"])
def test_every_file_has_the_optimum_that_the_library_reports(
    formulation: str, objective: str, table: Path, dump: Command, tmp_path: Path
) -> None:
    """Of a sweep after the first, under trust regions, and in both formats."""
    options = [
        *split("--batch 2 --formulation"),
        formulation,
        "--objective",
        objective,
        "--input-samples",
        "8",
    ]
    for suffix in ("mps", "lp"):
        done = dump(*SMALL, *options, "--format", suffix, out=tmp_path / suffix)
        assert done.returncode == 0, done.stderr
    entries = _index(tmp_path / "mps")["programs"]
    assert len(entries) == 16 + 6 + (1 if objective == "margin" else 2)
    expected = _solved_by_the_library(table, formulation, objective)
    assert len(expected) == len(entries)
    for entry, best in zip(entries, expected, strict=True):
        for suffix in ("mps", "lp"):
            path = tmp_path / suffix / Path(entry["file"]).with_suffix(f".{suffix}")
            assert _optimum(path) == pytest.approx(best, rel=1e-5, abs=1e-5), path.name
        assert entry["start_objective"] >= best - 1e-6
        assert entry["integers"] > 0 or formulation == "reduced" or entry["layer"] == 3


def _solved_by_the_library(table: Path, formulation: str, objective: str) -> list[float]:
    """Return the losses that the library's own tasks reach when they are solved to the proven
    optimum."""
    settings = Sweeps(batches=3, batch_size=8, formulation=formulation, objective=objective)
    network = Network.from_notation("2-3-3-2", init="he", seed=0)
    steps: list[Step] = []
    data = TrainingData.of(network, *_data(table))
    with Workers(1) as workers:
        for state in training(network, data, settings, workers, steps.append):
            if state.batch == 2:
                break
            if state.batch_ended:
                steps.clear()
    exact = replace(settings.setup, tie_break="none", target_gap=0.0)
    losses: list[float] = []
    for task in (
        replace(task, options=exact) for step in steps if not step.done for task in step.tasks
    ):
        solved = task.solve()
        if isinstance(task, InputTask) and isinstance(task.loss, ReluL1):
            outputs = np.maximum(solved.inputs @ task.weights.T + task.bias, 0.0)
            losses += np.abs(outputs - task.targets).sum(axis=1).tolist()
        elif isinstance(task, InputTask):
            losses += [task.problem(slice(k, k + 1)).loss(x) for k, x in enumerate(solved.inputs)]
        else:
            assert solved.status.is_optimal
            losses.append(solved.objective)
    return losses


def test_kinds_and_layers_are_chosen(dump: Command, tmp_path: Path) -> None:
    assert dump(*SMALL, "--kind", "weights", "--layer", "2").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "layer2-weights-1.mps",
        "layer2-weights-2.mps",
        "layer2-weights-3.mps",
        "programs.json",
    ]
    other = tmp_path / "other"
    assert (
        dump(
            *SMALL, "--kind", "inputs", "--input-samples", "99", "--format", "lp", out=other
        ).returncode
        == 0
    )
    assert len(list(other.glob("*-inputs-*.lp"))) == 16 == len(_index(other)["programs"])


def test_programs_that_a_run_with_ridge_regressions_does_not_solve_are_named(
    dump: Command,
) -> None:
    done = dump(*SMALL, *split("--weight-fit ridge --kind weights --layer 2"))
    assert done.returncode == 0
    assert "fits hidden layers by ridge regression (ridge 0.3)" in done.stderr
    assert "programs of the same regressions, which --proximity 0 solves" in done.stderr


def test_a_later_sweep_has_other_programs(dump: Command, tmp_path: Path) -> None:
    options = split("--net 2-3-2 --batch-size 20 --max-sweeps 3 --jobs 1 --layer 1")
    for sweep in ("1", "2"):
        done = dump(*options, "--sweep", sweep, out=tmp_path / sweep)
        assert done.returncode == 0, done.stderr
    first, second = (
        (tmp_path / sweep / "layer1-weights-1.mps").read_text() for sweep in ("1", "2")
    )
    assert first != second


def test_shared_weights_are_one_program(tmp_path: Path, dump: Command) -> None:
    done = dump(*split("--data digits --net 8x8-conv3-10 --batch-size 5 --jobs 1 --layer 1"))
    assert done.returncode == 0, done.stderr
    (entry,) = _index(tmp_path / "out")["programs"]
    assert entry["neurons"] == list(range(1, 37)) and entry["integers"] > 0


def test_programs_come_from_python_too(table: Path) -> None:
    network = Network.from_notation("2-3-2", init="he", seed=0)
    data = TrainingData.of(network, *_data(table))
    with Workers(1) as workers:
        found = list(
            sweep_programs(
                network, data, Sweeps(batch_size=8), Selection(kinds=("weights",)), workers
            )
        )
    assert [(one.layer, one.neurons) for one in found] == [
        (2, (1, 2)),
        (1, (1,)),
        (1, (2,)),
        (1, (3,)),
    ]
    assert all(isinstance(one.program, Program) for one in found)
    assert found[1].program.column_names()[:3] == ["theta_0", "theta_1", "theta_2"]


@pytest.mark.parametrize("suffix", ["mps", "lp"])
@pytest.mark.parametrize("hidden", ["2", "2-2"])
def test_the_whole_integer_network_is_one_program(
    hidden: str, suffix: str, table: Path, dump: Command, tmp_path: Path
) -> None:
    options = [
        *split("--method integer --hidden"),
        hidden,
        *split("--bound 1 --samples 6 --format"),
        suffix,
    ]
    done = dump(*options)
    assert done.returncode == 0, done.stderr
    index = _index(tmp_path / "out")
    (entry,) = index["programs"]
    assert (entry["file"], entry["kind"], index["samples"]) == (f"network.{suffix}", "network", 6)
    highs = _read(tmp_path / "out" / entry["file"])
    highs.run()
    x = np.array(highs.getSolution().col_value)
    X, y = _data(table)
    chosen = np.random.default_rng(0).choice(24, 6, replace=False)
    sizes = (2, *map(int, hidden.split("-")), 2)
    objective = OBJECTIVES["sat-margin"](1, 2, 2)
    problem = SignNetwork(X[chosen], y[chosen], sizes, 1, objective, (1.0,) * (len(sizes) - 1))
    network = IntegerNetwork([IntegerLayer.of(theta) for theta in thetas(problem, x)], 1)
    loss = objective.losses(network.output_sums(X[chosen]), y[chosen]).sum()
    assert highs.getInfo().objective_function_value == pytest.approx(loss, abs=1e-6)


HYBRID = split("--method hybrid --hidden 3 --epochs 2 --batch-size 8 --solver-samples 6 --keep 4")


@pytest.mark.parametrize("number", [1, 2])
def test_the_last_layer_of_a_hybrid_run_is_a_program(
    number: int, table: Path, dump: Command, tmp_path: Path
) -> None:
    """The count of wrong samples that a run with --exact reaches in that round, and the count
    before."""
    done = dump(*HYBRID, "--round", str(number), "--format", "lp")
    assert done.returncode == 0, done.stderr
    (entry,) = _index(tmp_path / "out")["programs"]
    settings = Rounds(epochs=2, solver_samples=6, keep=4, exact=True)
    X, y = _data(table)
    trainee = SklearnTrainee(MLPClassifier((3,), batch_size=8, random_state=0), y)
    if number == 2:
        # What the first round has found decides the second; the descent without --exact is what the
        # command trains by.
        settings = replace(settings, exact=False)
    records = [
        one
        for one in hybrid.training(trainee, hybrid.Data.of(X, y, None, 0), settings)
        if one.kind == "solver"
    ]
    record = records[number - 1]
    assert record.objective is not None and record.start_objective is not None
    best = _optimum(tmp_path / "out" / "last-layer.lp")
    assert (
        best == pytest.approx(record.objective, abs=1e-6)
        if settings.exact
        else best <= record.objective + 1e-6
    )
    assert entry["start_objective"] == pytest.approx(record.start_objective)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--format", "xls"], ["'xls'", "mps, lp"]),
        (["--kind", "weights,biases"], ["'biases'", "weights, inputs"]),
        (["--batch", "0"], ["batch is 0"]),
        (["--batches", "2", "--epochs", "1", "--batch", "3"], ["batch is 3", "at most 2"]),
        (["--sweep", "2"], ["sweep is 2", "at most 1"]),
        (["--layer", "4"], ["layer is 4", "at most 3"]),
        (["--input-samples", "-1"], ["input_samples is -1"]),
        (["--committee", "2"], ["--committee"]),
        (["--init-trials", "3"], ["--init-trials"]),
        (["--formulation", "nope"], ["'nope'"]),
        (["--net", "3-2"], ["3 inputs"]),
        (["--batch-size", "25"], ["25", "24"]),
        (["--method", "smt"], ["layerwise, integer, hybrid", "smt"]),
        (["--method", "hybrid", "--round", "3"], ["round is 3", "1 to 2"]),
        (
            ["--method", "hybrid", "--desired-loss", "99", "--batch-size", "5"],
            ["round is 1", "as low as desired"],
        ),
        (["--method", "nope"], ["'nope'"]),
        (["--method", "integer", "--neurons", "fewest"], ["neurons is fewest"]),
        (["--method", "integer", "--batch-size", "10"], ["batch_size is 10"]),
        (["--method", "integer", "--samples", "99"], ["samples is 99"]),
        (["--method", "integer", "--layer", "1"], ["--layer"]),
    ],
)
def test_refusals_are_one_line(
    words: list[str], expected: list[str], dump: Command, tmp_path: Path
) -> None:
    done = dump(*([] if "--method" in words else SMALL), *words)
    assert done.returncode == 2 and done.stdout == "", done
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith(("data: ", "the run fits"))
    ]
    assert len(lines) == 1 and lines[0].startswith("layermilp: "), done.stderr
    for word in expected:
        assert word in lines[0]
    assert not (tmp_path / "out" / "programs.json").exists()


def test_a_sweep_that_is_not_reached_is_refused(dump: Command) -> None:
    """The first sweep of a batch of one sample gets it right, and ends the batch."""
    done = dump(
        "--net", "2-3-2", "--batch-size", "1", "--max-sweeps", "9", "--sweep", "9", "--jobs", "1"
    )
    assert done.returncode == 2 and "batch 1 ended after" in done.stderr


def test_nothing_is_overwritten(dump: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    done = dump(*SMALL)
    assert done.returncode == 2 and "is not empty" in done.stderr
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    done = dump(*SMALL, out=out / "mine.txt")
    assert done.returncode == 2 and "cannot make the directory" in done.stderr
    assert (out / "mine.txt").read_text() == "mine"


def test_out_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["dump-programs"])
    assert stop.value.code == 2 and "--out" in capsys.readouterr().err
