"""The command ``train`` with committees and trials of initializations."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pytest

from layermilp import Committee, Network, load_model, postprocess
from layermilp.layerwise.method import Layerwise
from tests.cli.commands import FILES, LONG, METHOD, SMALL, Command, interrupted, run


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
        *split("train --net 2-3-2"),
        *METHOD,
        *split("--postprocess end --batches 2 --batch-size 6"),
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
    assert sum(record["kind"] == "sweep" for record in history) == summary["sweeps"]
    assert sum(record["programs"] for record in history) == summary["programs_solved"]
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
        *split("train --net 2-3-2"),
        *METHOD,
        *split("--postprocess end --batches 2 --batch-size 6 --jobs 1"),
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
        *split("--init uniform --init-trials 3 --out"),
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
        *split("--committee 2 --init-trials 2 --init uniform"),
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
        *split("train --net 2-2-2"),
        *METHOD,
        *split("--postprocess none --batches 1 --batch-size 10"),
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


def test_interrupted_workers_of_a_committee_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        *split("train --net 64-3-10"),
        *METHOD,
        *split("--batches 1 --batch-size 20 --data digits --jobs 2"),
    ]
    words += ["--committee", "60", "--postprocess", "none"]
    code, stdout, stderr = interrupted(words, out, (out / "summary.json").exists)
    assert code == 130, stderr
    assert "interrupted: these are the best weights so far" in stdout and "Traceback" not in stderr
    done = json.loads((out / "summary.json").read_text())["members_done"]
    assert 1 <= done < 60
    _keeps_members(out, done, 60)


def test_committee_interrupted_while_its_workers_start_says_so(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [*LONG, "--jobs", "2", "--committee", "2"]
    code, stdout, stderr = interrupted(
        words, out, lambda: "2 members" in (tmp_path / "stderr").read_text()
    )
    assert code == 130 and stdout == ""
    # Workers that have only just begun to import Python's own modules may leave tracebacks before
    # it.
    assert stderr.splitlines()[-1] == "layermilp: interrupted before anything was learned", stderr
    assert not out.exists() or {path.name for path in out.iterdir()} <= {"run.json"}


def test_members_that_share_samples_say_so_in_one_line(committee_run: Path, tmp_path: Path) -> None:
    words = [*split("train --net 2-3-2"), *METHOD, *split("--batches 2 --batch-size 12")]
    given = ["--data", str(committee_run / "points.csv"), *split("--committee 2 --jobs 1 --out")]
    done = run(*words, *given, str(tmp_path / "run"))
    assert done.returncode == 0 and "Warning" not in done.stderr
    told = (
        "all 2 members share 8 of their 24 samples with others, since there are only 40; it takes "
        "at most 20 samples a member (batches times batch size) or 48 training samples to share "
        "none"
    )
    assert done.stderr.splitlines().count(told) == 1
    assert f"shared samples  {told}" in done.stdout.splitlines()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["shared_samples"] == [8, 8]
