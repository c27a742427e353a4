"""Commands that take a model: evaluate, predict, postprocess."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from layermilp import Network, postprocess
from tests.cli.commands import FILES, SMALL, Command, refused, run


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
    assert sum(record["kind"] == "sweep" for record in history) == summary["sweeps"]
    assert sum(record["programs"] for record in history) == summary["programs_solved"]
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


def test_unknown_labels_are_refused(here: Command, table: Path, tmp_path: Path) -> None:
    Network.dense([2, 2], seed=0).save(tmp_path / "m.npz")
    refused(
        here("evaluate", str(tmp_path / "m.npz"), "--data", str(table)),
        "none of the network's 2 classes",
    )


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 broken"])
def test_foreign_models_are_refused(here: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    refused(here("evaluate", str(tmp_path / "m.npz"), "--data", "digits"), "m.npz")
    refused(here("evaluate", str(tmp_path / "missing.npz"), "--data", "digits"), "missing.npz")


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
        *split("--objective l1 --tolerance 0.3"),
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
