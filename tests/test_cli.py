"""The command line as a user types it: its output, its exit code, and what it leaves behind.

Every command runs in a process of its own; most refusals are looked at in this one, which saves the
start of a process."""

from __future__ import annotations

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

from layermilp import Committee, Network, load_model, postprocess
from layermilp.cli import main
from layermilp.layerwise.method import Layerwise

METHOD = [
    "--objective",
    "margin",
    "--epochs",
    "1",
    "--max-sweeps",
    "2",
    "--average",
    "0.5",
    "--tie-break",
    "l2",
]
"""Options given in full, so that no default decides what is tested here."""

SMALL = [
    "--net",
    "2-3-2",
    *METHOD,
    "--postprocess",
    "end",
    "--batches",
    "3",
    "--batch-size",
    "10",
    "--jobs",
    "1",
]
FILES = {"checkpoint.npz", "run.json", "history.jsonl", "model.npz", "summary.json"}
"""What a run leaves in its directory, besides the checkpoint before the newest."""


def run(
    *words: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line; nothing of the user's environment decides where data come from."""
    env = {name: value for name, value in os.environ.items() if name != "LAYERMILP_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "layermilp", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        env={**env, **environment},
        check=False,
    )


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what runs the command line in this process."""
    monkeypatch.delenv("LAYERMILP_DATA", raising=False)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return subprocess.CompletedProcess(words, code, *capfd.readouterr())

    return call


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check for one line on stderr that holds the words, nothing on stdout, and exit code 2."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("data: ")]
    assert len(lines) == 1 and lines[0].startswith("layermilp: "), done.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two separable classes with text labels, 40 samples."""
    rng = np.random.default_rng(0)
    X = rng.random((40, 2)).round(3)
    path = tmp_path / "points.csv"
    lines = [f"{a},{b},{'right' if a > b else 'left'}" for a, b in X]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return path


def test_train_evaluate_predict(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run("train", *SMALL, "--data", str(table), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "train accuracy" in done.stdout and "test accuracy   none" in done.stdout
    assert done.stderr.splitlines()[0] == f"data: table from {table}"
    assert [line.split(":")[0] for line in done.stderr.splitlines()[1:]] == [
        "batch 1/3",
        "batch 2/3",
        "batch 3/3",
    ]
    assert {path.name for path in out.iterdir()} - {"checkpoint-before.npz"} == FILES

    summary = json.loads((out / "summary.json").read_text())
    wanted = (
        "data net seed solver solver_version formulation batches batch_accuracy seen_accuracy "
        "train_accuracy test_accuracy "
        "wall_seconds programs_solved programs_optimal programs_at_limit largest_gap committee "
        "members_done init_trials "
        "init_scores preset objective class_weight input_penalty epochs average tie_break ridge "
        "weight_decay postprocess"
    )
    assert set(wanted.split()) <= set(summary)
    assert (
        summary["net"] == "2-3-2" and summary["batches"] == 3 and summary["test_accuracy"] is None
    )
    counted = (
        summary["programs_optimal"] + summary["programs_at_limit"] + summary["programs_failed"]
    )
    assert counted == summary["programs_solved"] > 0

    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert len(history) == summary["sweeps"]
    assert [record["batch"] for record in history] == sorted(record["batch"] for record in history)
    assert not any("member" in record for record in history)
    assert (summary["committee"], summary["members_done"], summary["batches_done"]) == (1, 1, 3)
    assert (summary["init_scores"], summary["preset"], summary["class_weight"]) == ([], None, None)
    given = {
        "objective": "margin",
        "epochs": 1,
        "average": 0.5,
        "tie_break": "l2",
        "postprocess": "end",
        "max_sweeps": 2,
    }
    assert given.items() <= summary.items()
    assert summary["weight_decay"] == 0.1

    model = str(out / "model.npz")
    scored = run("evaluate", model, "--data", str(table), "--json")
    assert json.loads(scored.stdout)["train_accuracy"] == summary["train_accuracy"]

    labels = run("predict", model, str(table)).stdout.split()
    truth = [line.split(",")[2] for line in table.read_text().splitlines()[1:]]
    assert np.mean(np.array(labels) == np.array(truth)) == summary["train_accuracy"]
    assert run("predict", model, str(table), "--out", str(tmp_path / "labels.txt")).stdout == ""
    assert (tmp_path / "labels.txt").read_text().split() == labels


def test_unlabelled_samples_are_predicted(here: Command, table: Path, tmp_path: Path) -> None:
    Network.dense([2, 2], seed=1).save(tmp_path / "m.npz")
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.rsplit(",", 1)[0] for line in table.read_text().splitlines()))
    with_labels, without = (
        here("predict", str(tmp_path / "m.npz"), str(path)).stdout for path in (table, bare)
    )
    assert with_labels == without and len(without.split()) == 40


def test_quiet_prints_the_result_alone(table: Path) -> None:
    done = run("train", *SMALL, "--data", str(table), "--quiet")
    assert done.returncode == 0 and done.stderr == "" and "train accuracy" in done.stdout


def test_verbose_prints_a_line_per_sweep(table: Path) -> None:
    done = run("train", *SMALL, "--data", str(table), "--verbose")
    assert "batch 1 sweep 1: accuracy" in done.stderr


def test_same_seed_same_bytes_for_any_number_of_workers(table: Path, tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        done = run("train", *SMALL[:-1], jobs, "--data", str(table), "--out", str(tmp_path / jobs))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1" / "model.npz").read_bytes() == (
        tmp_path / "2" / "model.npz"
    ).read_bytes()


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


def test_unknown_labels_are_refused(here: Command, table: Path, tmp_path: Path) -> None:
    Network.dense([2, 2], seed=0).save(tmp_path / "m.npz")
    refused(
        here("evaluate", str(tmp_path / "m.npz"), "--data", str(table)),
        "none of the network's 2 classes",
    )


def test_unwritable_directory_is_refused_before_training(
    here: Command, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    refused(
        here("train", *SMALL, "--data", str(table), "--out", str(tmp_path / "file")),
        "cannot make the directory",
    )
    refused(
        here("train", *SMALL, "--data", str(table), "--out", str(tmp_path / "file" / "x")),
        "cannot make the directory",
    )


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 broken"])
def test_foreign_models_are_refused(here: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    refused(here("evaluate", str(tmp_path / "m.npz"), "--data", "digits"), "m.npz")
    refused(here("evaluate", str(tmp_path / "missing.npz"), "--data", "digits"), "missing.npz")


def _idx(shape: tuple[int, ...], payload: bytes) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + payload


def _four_files(directory: Path, train_images: bytes) -> None:
    directory.mkdir()
    for name, content in (
        ("train-images-idx3-ubyte", train_images),
        ("train-labels-idx1-ubyte", _idx((2,), b"\0\1")),
        ("t10k-images-idx3-ubyte", _idx((2, 28, 28), bytes(2 * 784))),
        ("t10k-labels-idx1-ubyte", _idx((2,), b"\0\1")),
    ):
        (directory / f"{name}.gz").write_bytes(gzip.compress(content))


def test_corrupt_idx_and_wrong_checksum_are_refused(here: Command, tmp_path: Path) -> None:
    _four_files(tmp_path / "cut", _idx((2, 28, 28), bytes(784)))
    refused(
        here("train", "--data", "mnist", "--data-dir", str(tmp_path / "cut")),
        "train-images-idx3-ubyte",
    )
    _four_files(tmp_path / "other", _idx((2, 28, 28), bytes(2 * 784)))
    refused(here("train", "--data", "mnist", "--data-dir", str(tmp_path / "other")), "SHA-256")
    refused(here("train", "--data", "mnist", "--data-dir", str(tmp_path / "none")), "none")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interruption_keeps_what_was_learned(tmp_path: Path, jobs: str) -> None:
    out = tmp_path / "run"
    words = [
        "train",
        "--net",
        "64-6-10",
        *METHOD,
        "--batches",
        "500",
        "--batch-size",
        "30",
        "--data",
        "digits",
        "--jobs",
        jobs,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "layermilp", *words, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not (out / "summary.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does, to every process
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert "interrupted: these are the best weights so far" in stdout
    assert "Traceback" not in stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["interrupted"] and summary["sweeps"] >= 1
    assert len((out / "history.jsonl").read_text().splitlines()) == summary["sweeps"]
    assert Network.load(out / "model.npz").notation == "64-6-10"
    assert {path.name for path in out.iterdir()} - {"checkpoint-before.npz"} == FILES


@pytest.fixture(scope="module")
def committee_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train committees of three on a table, with one worker and with two; return the directory of
    both."""
    folder = tmp_path_factory.mktemp("committee")
    rng = np.random.default_rng(0)
    X = rng.random((40, 2)).round(3)
    lines = [f"{a},{b},{'right' if a > b else 'left'}" for a, b in X]
    (folder / "points.csv").write_text("\n".join(["a,b,label", *lines]) + "\n")
    words = [
        "train",
        "--net",
        "2-3-2",
        *METHOD,
        "--postprocess",
        "end",
        "--batches",
        "2",
        "--batch-size",
        "6",
    ]
    for jobs in ("1", "2"):
        given = [
            "--data",
            str(folder / "points.csv"),
            "--committee",
            "3",
            "--jobs",
            jobs,
            "--out",
            str(folder / jobs),
        ]
        done = run(*words, *given)
        assert done.returncode == 0, done.stderr
        (folder / f"{jobs}.out").write_text(done.stdout)
        (folder / f"{jobs}.err").write_text(done.stderr)
    return folder


def test_committee_is_trained_and_taken_by_all_commands(
    committee_run: Path, tmp_path: Path
) -> None:
    table, model = str(committee_run / "points.csv"), str(committee_run / "1" / "model.npz")
    told = (committee_run / "1.err").read_text().splitlines()
    assert told[1] == "3 members, 1 at a time"
    assert [line.split(",")[0] for line in told[2:]] == ["member 1/3", "member 2/3", "member 3/3"]
    assert "net             3 x 2-3-2 on points" in (committee_run / "1.out").read_text()

    summary = json.loads((committee_run / "1" / "summary.json").read_text())
    assert (summary["committee"], summary["members_done"], summary["batches_done"]) == (3, 3, 6)
    assert summary["net"] == "3 x 2-3-2" and not summary["interrupted"]
    history = [
        json.loads(line)
        for line in (committee_run / "1" / "history.jsonl").read_text().splitlines()
    ]
    assert len(history) == summary["sweeps"]
    assert [record["member"] for record in history] == sorted(
        record["member"] for record in history
    )
    assert {record["member"] for record in history} == {1, 2, 3}

    found = load_model(model)
    assert isinstance(found, Committee) and found.classes.tolist() == ["left", "right"]
    members = [network for network in found.networks if isinstance(network, Network)]
    assert len({network.blocks[0].theta.tobytes() for network in members}) == 3
    scored = json.loads(run("evaluate", model, "--data", table, "--json").stdout)
    assert scored["train_accuracy"] == summary["train_accuracy"] and scored["net"] == "3 x 2-3-2"
    labels = run("predict", model, table).stdout.split()
    truth = [line.split(",")[2] for line in Path(table).read_text().splitlines()[1:]]
    assert np.mean(np.array(labels) == np.array(truth)) == summary["train_accuracy"]

    done = run(
        "postprocess", model, "--data", table, "--out", str(tmp_path / "after.npz"), "--jobs", "1"
    )
    assert done.returncode == 0, done.stderr
    after = Committee.load(tmp_path / "after.npz")
    X = np.loadtxt(table, delimiter=",", skiprows=1, usecols=(0, 1))
    for before, fitted in zip(members, after.networks, strict=True):
        assert isinstance(fitted, Network)
        expected = postprocess(before, X, truth, objective="margin", n_jobs=1)
        assert [block.theta.tobytes() for block in fitted.blocks] == [
            block.theta.tobytes() for block in expected.blocks
        ]


def without_seconds(record: dict[str, Any]) -> dict[str, Any]:
    """Return a line of a history without what differs from run to run."""
    phases = [{**phase, "seconds": 0} for phase in record["phases"]]
    return {**record, "seconds": 0, "phases": phases}


def test_committee_is_the_same_for_any_number_of_workers(committee_run: Path) -> None:
    assert (committee_run / "1" / "model.npz").read_bytes() == (
        committee_run / "2" / "model.npz"
    ).read_bytes()
    assert (committee_run / "2.err").read_text().splitlines()[1] == "3 members, 2 at a time"
    with_seconds = [
        [
            json.loads(line)
            for line in (committee_run / jobs / "history.jsonl").read_text().splitlines()
        ]
        for jobs in "12"
    ]
    one, two = ([without_seconds(record) for record in records] for records in with_seconds)
    assert one == two


def test_first_member_is_the_single_network(
    here: Command, committee_run: Path, tmp_path: Path
) -> None:
    words = [
        "train",
        "--net",
        "2-3-2",
        *METHOD,
        "--postprocess",
        "end",
        "--batches",
        "2",
        "--batch-size",
        "6",
        "--jobs",
        "1",
    ]
    done = here(*words, "--data", str(committee_run / "points.csv"), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    first = Committee.load(committee_run / "1" / "model.npz").networks[0]
    alone = Network.load(tmp_path / "model.npz")
    assert isinstance(first, Network)
    assert [block.theta.tobytes() for block in first.blocks] == [
        block.theta.tobytes() for block in alone.blocks
    ]


def test_initializations_are_tried(here: Command, table: Path, tmp_path: Path) -> None:
    words = [
        "train",
        *SMALL,
        "--data",
        str(table),
        "--init",
        "uniform",
        "--init-trials",
        "3",
        "--out",
        str(tmp_path),
    ]
    done = here(*words)
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert [line.split(":")[0] for line in told[1:4]] == [
        f"initialization {k}/3" for k in (1, 2, 3)
    ]
    summary = json.loads((tmp_path / "summary.json").read_text())
    (scores,) = summary["init_scores"]
    assert len(scores) == summary["init_trials"] == 3 and all(
        0.0 <= score <= 1.0 for score in scores
    )
    assert [f"{score:.3f}" for score in scores] == [line.split()[-1] for line in told[1:4]]
    assert told[4] == f"initialization {scores.index(max(scores)) + 1} of 3 goes on"


def test_every_member_has_trials_of_its_own(here: Command, table: Path, tmp_path: Path) -> None:
    words = [
        *_member_words(table, tmp_path),
        "--committee",
        "2",
        "--init-trials",
        "2",
        "--init",
        "uniform",
    ]
    words += ["--objective", "l1", "--class-weight", "2.5"]
    done = here(*words)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [len(scores) for scores in summary["init_scores"]] == [2, 2]
    assert (summary["class_weight"], summary["objective"], summary["members_done"]) == (
        2.5,
        "l1",
        2,
    )
    assert load_model(tmp_path / "model.npz").decision == "closest_to_one"


def test_preset_is_overruled_by_what_is_given(here: Command, table: Path, tmp_path: Path) -> None:
    few = [
        "train",
        "--net",
        "2-3-2",
        "--batches",
        "1",
        "--batch-size",
        "10",
        "--jobs",
        "1",
        "--data",
        str(table),
    ]
    runs = {
        "alone": ["--preset", "goebbels2021"],
        "before": [
            "--postprocess",
            "end",
            "--init",
            "he",
            "--max-sweeps",
            "2",
            "--preset",
            "goebbels2021",
        ],
        "after": ["--preset=goebbels2021", "--postprocess=end", "--init=he", "--max-sweeps=2"],
    }
    found = {}
    for name, words in runs.items():
        done = here(*few, *words, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        found[name] = json.loads((tmp_path / name / "summary.json").read_text())
    report = {
        "preset": "goebbels2021",
        "objective": "l1",
        "tie_break": "none",
        "average": 0.0,
        "class_weight": None,
    }
    for summary in found.values():
        assert report.items() <= summary.items()
    assert {"init": "uniform", "postprocess": "batch", "max_sweeps": 20}.items() <= found[
        "alone"
    ].items()
    for name in ("before", "after"):
        assert {"init": "he", "postprocess": "end", "max_sweeps": 2}.items() <= found[name].items()


def test_convolutions_are_written_as_nets(here: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "images.npz", X=rng.random((30, 36)), y=np.arange(30) % 3)
    words = [
        "train",
        "--net",
        "6x6-mean2-conv2-3",
        *METHOD,
        "--batches",
        "1",
        "--batch-size",
        "20",
        "--jobs",
        "1",
    ]
    done = here(*words, "--data", str(tmp_path / "images.npz"), "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    network = Network.load(tmp_path / "run" / "model.npz")
    assert network.notation == "6x6-mean2-conv2-3" and [
        block.theta.size for block in network.blocks
    ] == [0, 4, 15]
    assert "net             6x6-mean2-conv2-3 on images" in done.stdout


def test_postprocess_writes_a_model_with_another_last_layer(
    here: Command, table: Path, tmp_path: Path
) -> None:
    network = Network.dense([2, 3, 2], seed=1).with_classes(["left", "right"])
    network.save(tmp_path / "m.npz")
    words = [
        "postprocess",
        str(tmp_path / "m.npz"),
        "--data",
        str(table),
        "--objective",
        "l1",
        "--tolerance",
        "0.3",
    ]
    words += ["--class-weight", "balanced", "--box", "2"]
    written = []
    for jobs in ("1", "2"):
        done = here(*words, "--jobs", jobs, "--out", str(tmp_path / f"{jobs}.npz"))
        assert done.returncode == 0, done.stderr
        written.append((tmp_path / f"{jobs}.npz").read_bytes())
    assert written[0] == written[1]
    assert done.stderr.splitlines() == [f"data: table from {table}"]
    assert done.stdout.startswith(
        "net             2-3-2 on points.csv, 40 training samples\ntrain accuracy  0."
    )
    assert "before, " in done.stdout and "test accuracy" not in done.stdout
    X = np.loadtxt(table, delimiter=",", skiprows=1, usecols=(0, 1))
    y = [line.split(",")[2] for line in table.read_text().splitlines()[1:]]
    expected = postprocess(
        network, X, y, objective="l1", tolerance=0.3, class_weight="balanced", box=2.0, n_jobs=1
    )
    found = Network.load(tmp_path / "1.npz")
    assert [block.theta.tobytes() for block in found.blocks] == [
        block.theta.tobytes() for block in expected.blocks
    ]
    assert found.decision == "closest_to_one" and found.classes.tolist() == ["left", "right"]
    after = json.loads(
        here("evaluate", str(tmp_path / "1.npz"), "--data", str(table), "--json").stdout
    )["train_accuracy"]
    assert f", {after:.4f} after" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{missing}", "--out", "{out}"], "there is no model file"),
        (["{foreign}", "--out", "{out}"], "foreign.npz"),
        (["{model}"], "--out"),
        (["{model}", "--out", "{missing}/x/model.npz"], "missing.npz"),
        (["{model}", "--out", "{out}", "--objective", "foo"], "objective 'foo' is unknown"),
        (
            ["{model}", "--out", "{out}", "--class-weight", "balanced"],
            "class_weight is for the objective l1, not margin",
        ),
        (
            ["{model}", "--out", "{out}", "--objective", "l1", "--class-weight", "0"],
            "class_weight is 0.0",
        ),
        (["{model}", "--out", "{out}", "--tolerance", "-1"], "tolerance is -1.0"),
        (["{model}", "--out", "{out}", "--jobs", "0"], "n_jobs is 0"),
        (["{model}", "--out", "{out}", "--solver", "scip"], "'scip'"),
        (["{other}", "--out", "{out}"], "none of the network's 2 classes"),
        (["{wide}", "--out", "{out}"], "3 inputs"),
    ],
)
def test_postprocess_refuses_in_one_line(
    here: Command, table: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    names = ("missing", "foreign", "model", "other", "wide", "out")
    paths = {name: str(tmp_path / f"{name}.npz") for name in names}
    (tmp_path / "foreign.npz").write_bytes(b"not a model")
    Network.dense([2, 2]).with_classes(["left", "right"]).with_decision("argmax").save(
        paths["model"]
    )
    Network.dense([2, 2]).save(paths["other"])
    Network.dense([3, 2]).with_classes(["left", "right"]).save(paths["wide"])
    refused(
        here("postprocess", *(word.format(**paths) for word in words), "--data", str(table)),
        message,
    )
    assert not (tmp_path / "out.npz").exists()


def _keeps_members(out: Path, done: int, size: int) -> None:
    """Check what an interrupted committee left behind."""
    summary = json.loads((out / "summary.json").read_text())
    assert summary["interrupted"] and summary["committee"] == size
    assert summary["members_done"] == summary["batches_done"] == done
    assert len(Committee.load(out / "model.npz").networks) == done
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert sorted({record["member"] for record in history}) == list(range(1, done + 1))
    assert {path.name for path in out.iterdir()} - {"checkpoint-before.npz"} == FILES


def _member_words(table: Path, out: Path) -> list[str]:
    words = [
        "train",
        "--net",
        "2-2-2",
        *METHOD,
        "--postprocess",
        "none",
        "--batches",
        "1",
        "--batch-size",
        "10",
    ]
    return [*words, "--data", str(table), "--committee", "4", "--jobs", "1", "--out", str(out)]


@pytest.mark.parametrize("done", [0, 1, 3])
def test_committee_interrupted_in_a_member_keeps_those_before(
    here: Command, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    calls = []

    def train_or_stop(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > done:
            raise KeyboardInterrupt
        return train_member(*arguments)

    train_member = Layerwise.training
    monkeypatch.setattr(Layerwise, "training", train_or_stop)
    out = tmp_path / "run"
    found = here(*_member_words(table, out))
    assert found.returncode == 130 and len(calls) == done + 1
    if done:
        assert "interrupted: these are the best weights so far" in found.stdout
        assert f"net             {done} x 2-2-2 on points.csv" in found.stdout
        _keeps_members(out, done, 4)
    else:
        assert found.stdout == "" and [path.name for path in out.iterdir()] == ["run.json"]
        assert found.stderr.splitlines()[-1] == "layermilp: interrupted before anything was learned"


def _interrupted(words: list[str], out: Path, is_time: Callable[[], bool]) -> tuple[int, str, str]:
    with (out.parent / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "layermilp", *words, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not is_time() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does, to every process
        stdout, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout, (out.parent / "stderr").read_text()


def test_interrupted_workers_of_a_committee_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        "train",
        "--net",
        "64-3-10",
        *METHOD,
        "--batches",
        "1",
        "--batch-size",
        "20",
        "--data",
        "digits",
        "--jobs",
        "2",
    ]
    words += ["--committee", "60", "--postprocess", "none"]
    code, stdout, stderr = _interrupted(words, out, (out / "summary.json").exists)
    assert code == 130, stderr
    assert "interrupted: these are the best weights so far" in stdout and "Traceback" not in stderr
    done = json.loads((out / "summary.json").read_text())["members_done"]
    assert 1 <= done < 60
    _keeps_members(out, done, 60)


def test_committee_interrupted_while_its_workers_start_says_so(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        "train",
        "--net",
        "64-6-10",
        *METHOD,
        "--batches",
        "500",
        "--batch-size",
        "30",
        "--data",
        "digits",
        "--jobs",
        "2",
    ]
    code, stdout, stderr = _interrupted(
        [*words, "--committee", "2"], out, lambda: "2 members" in (tmp_path / "stderr").read_text()
    )
    assert code == 130 and stdout == ""
    # Workers that have only just begun to import Python's own modules may leave tracebacks before
    # it.
    assert stderr.splitlines()[-1] == "layermilp: interrupted before anything was learned"
    assert not out.exists() or {path.name for path in out.iterdir()} <= {"run.json"}


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


def test_too_large_for_the_community_edition(tmp_path: Path) -> None:
    pytest.importorskip("cplex", reason="the package cplex is not installed")
    if "community" not in run("solvers").stdout.splitlines()[0]:
        pytest.skip("a full edition of CPLEX takes any size")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", X=rng.random((20, 1200)), y=np.arange(20) % 2)
    # An exact fit by a projection would take no solver.
    words = [
        "train",
        "--net",
        "1200-2-2",
        "--batches",
        "1",
        "--batch-size",
        "20",
        "--data",
        str(tmp_path / "wide.npz"),
    ]
    words += [*METHOD, "--tie-break", "none", "--ridge", "0"]
    refused(run(*words, "--solver", "cplex", "--jobs", "1"), "1,000 columns", "auto", "highs")
    assert run(*words, "--jobs", "1").returncode == 0


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
