"""Runs that are killed and resumed: the same weights to the byte, and nothing lost to a damaged
checkpoint."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layermilp.cli import main
from layermilp.datasets import Dataset, load
from layermilp.datasets.dataset import from_arrays
from layermilp.errors import ModelFileError
from layermilp.layerwise.method import Layerwise
from layermilp.method import Listener
from layermilp.networks.files import ModelFile, read_model_file, write_model_file
from layermilp.parallel import Workers
from layermilp.runs.callbacks import Callback, RunView
from layermilp.runs.checkpoint import FORMAT, VERSION, Checkpoint
from layermilp.runs.configuration import Configuration
from layermilp.runs.directory import RunDirectory
from layermilp.runs.keeping import Keeping
from layermilp.runs.run import Run, RunOptions
from tests.common import PATIENCE

RUN = [
    *("train", "--net", "64-4-10", "--data", "digits", "--batches", "8", "--epochs", "3"),
    *("--batch-size", "25", "--jobs", "1", "--quiet"),
]
PAPER = [
    *("train", "--preset", "goebbels2021", "--net", "64-5-10", "--data", "digits", "--seed", "1"),
    *("--batches", "4", "--batch-size", "15", "--jobs", "1", "--quiet"),
]
COMMITTEE = [
    *("train", "--net", "64-4-10", "--data", "digits", "--batches", "2", "--epochs", "2"),
    *("--batch-size", "30", "--committee", "3", "--init-trials", "2", "--jobs", "1", "--quiet"),
]
FILES = ("checkpoint.npz", "checkpoint-before.npz")
OF_METHODS = {
    "bcd": (
        *("--method", "bcd", "--net", "64-32-16-2", "--samples", "800", "--sweeps", "60"),
        *("--jobs", "1"),
    ),
    "integer": (
        *("--method", "integer", "--hidden", "6", "--bound", "3", "--samples", "60", "--jobs", "1"),
        *("--stop-accuracy", "1", "--node-limit", "10"),
    ),
    "integer in batches": (
        *("--method", "integer", "--hidden", "4", "--bound", "3", "--samples", "90", "--jobs", "1"),
        *("--batch-size", "30", "--epochs", "3", "--node-limit", "10"),
    ),
    "hybrid": (
        *("--method", "hybrid", "--hidden", "12", "--samples", "400", "--rounds", "6"),
        *("--epochs", "8", "--patience", "8"),
    ),
    "smt": (
        *("--method", "smt", "--net", "64-2-2", "--samples", "60", "--rounds", "1"),
        *("--stages", "random,trained,patterns", "--time-limit", "600"),
    ),
    "committee": (*COMMITTEE[1:3], *COMMITTEE[5:-1]),
}
"""Runs of the other methods that take some seconds; the data are those of `two_classes`."""


FORKED = multiprocessing.get_context("forkserver")
"""Processes that have imported everything when they begin, which takes longer than most runs."""
FORKED.set_forkserver_preload(["layermilp.cli", "sklearn.datasets", "sklearn.neural_network"])


def killed(words: list[str], seconds: float) -> bool:
    """Run a command and kill it after a while; say whether it was still running."""
    process = FORKED.Process(target=_command, args=(words,))
    process.start()
    process.join(seconds)
    was_running = process.exitcode is None
    process.kill()
    process.join()
    assert was_running or process.exitcode in (0, 1)
    return was_running


def _command(words: list[str]) -> None:
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        sys.exit(main(words))


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits as black and white images, odd or even."""
    data, path = load("digits"), tmp_path_factory.mktemp("data") / "two.npz"
    np.savez(path, X=(data.X_train > 0.5).astype(float), y=data.y_train % 2)
    return path


def outcome(out: Path) -> tuple[bytes, dict[str, Any], list[Any]]:
    """Return the model of a directory, and what its summary and history say besides times."""
    summary = json.loads((out / "summary.json").read_text())
    for name in ("wall_seconds", "tried"):
        summary.pop(name, None)
    model = out / "model.npz"
    records = timeless(history(out))
    return model.read_bytes() if model.exists() else b"", summary, records


def history(out: Path) -> list[dict[str, Any]]:
    """Return the records of a directory; none where nothing was learned."""
    path = out / "history.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def timeless(content: Any) -> Any:
    """Return records without their seconds."""
    if isinstance(content, dict):
        return {name: timeless(value) for name, value in content.items() if name != "seconds"}
    return [timeless(value) for value in content] if isinstance(content, list) else content


def survives(words: list[str], tmp_path: Path, kills: int) -> Path:
    """Kill a run at random moments, each time resumed, and compare its end with that of a run that
    nobody has killed; return its directory."""
    began = time.perf_counter()
    assert not killed([*words, "--out", str(tmp_path / "whole")], PATIENCE)
    seconds = time.perf_counter() - began
    whole, moments, out = outcome(tmp_path / "whole"), random.Random(0), tmp_path / "killed"

    def command() -> list[str]:
        resumed = ["train", "--resume", str(out), "--quiet"]
        return resumed if (out / "run.json").exists() else [*words, "--out", str(out)]

    for kill in range(kills):
        if not killed(command(), seconds * moments.uniform(0.4, 0.9)):
            # It ended before the moment came: the next kills hit a run from its beginning on.
            assert outcome(out) == whole, kill
            shutil.rmtree(out)
    assert main(command()) in (0, 1)
    assert outcome(out) == whole
    return out


def test_a_run_killed_at_twenty_moments_ends_with_the_same_weights(tmp_path: Path) -> None:
    sweeps = [record for record in history(survives(RUN, tmp_path, 20)) if record["taken"]]
    batches = [record["batch"] for record in sweeps if record["kind"] == "sweep"]
    assert batches == list(range(1, 25))


def test_a_run_with_many_sweeps_a_batch_killed_at_five_moments_has_the_same_history(
    tmp_path: Path,
) -> None:
    says_what_went_on(survives(PAPER, tmp_path, 5))


def says_what_went_on(out: Path) -> None:
    """Check that the history of a run agrees with its summary."""
    summary, records = json.loads((out / "summary.json").read_text()), history(out)
    last = [record for record in records if record["taken"]][-1]
    for name in ("batch_accuracy", "seen_accuracy", "test_accuracy"):
        assert last[name] == summary[name], name
    for name in ("programs", "optimal", "at_limit", "failed"):
        total = summary["programs_solved" if name == "programs" else f"programs_{name}"]
        assert sum(record[name] for record in records) == total, name
    if not summary["interrupted"]:
        assert last is records[-1]
        assert any(not record["taken"] for record in records)  # else this tests nothing


@pytest.mark.parametrize("state", [2, 4, 7])
def test_a_run_interrupted_in_a_batch_says_what_it_has_and_ends_with_the_same_history(
    state: int, tmp_path: Path
) -> None:
    """After a sweep that was not taken, the first batch that goes on, and in the second."""
    assert main([*PAPER, "--out", str(tmp_path / "whole")]) == 0

    class Stopping(Callback):
        told = 0

        def on_state(self, run: RunView) -> None:
            self.told += 1
            if self.told == state:
                raise KeyboardInterrupt

    out = tmp_path / "parts"
    kept = Configuration.read(tmp_path / "whole", RunOptions)
    assert kept.source is not None
    assert not Run(kept.method, kept.source, out, [Stopping()], n_jobs=1).follow().is_over
    says_what_went_on(out)
    assert main(["train", "--resume", str(out), "--quiet"]) == 0
    says_what_went_on(out)
    assert outcome(out) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("run", OF_METHODS)
def test_every_method_killed_at_ten_moments_ends_as_if_nobody_had(
    run: str, tmp_path: Path, two_classes: Path
) -> None:
    data = "digits" if run == "committee" else str(two_classes)
    survives(["train", *OF_METHODS[run], "--data", data, "--quiet"], tmp_path, 10)


@pytest.mark.parametrize("run", [name for name in OF_METHODS if name != "committee"])
def test_every_method_goes_on_after_every_checkpoint(
    run: str, tmp_path: Path, two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends after each checkpoint, and is resumed, loses nothing and repeats nothing."""
    words = ["train", *OF_METHODS[run], "--data", str(two_classes), "--quiet"]
    assert main([*words, "--out", str(tmp_path / "whole")]) in (0, 1)
    tell = Keeping.on_state

    def stopped(keeping: Keeping, run: RunView) -> None:
        tell(keeping, run)
        raise KeyboardInterrupt

    out = tmp_path / "parts"
    with monkeypatch.context() as patch:
        patch.setattr(Keeping, "on_state", stopped)
        patch.setattr("layermilp.runs.keeping.MOST_SHARE", math.inf)
        code = main([*words, "--out", str(out)])
        # An answer more every time; the last state is told again for ever.
        for count in range(len((tmp_path / "whole" / "history.jsonl").read_text().splitlines())):
            assert code == 130, count
            code = main(["train", "--resume", str(out), "--quiet"])
    assert main(["train", "--resume", str(out), "--quiet"]) in (0, 1)
    assert outcome(out) == outcome(tmp_path / "whole")


def test_a_committee_goes_on_with_the_next_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "parts"
    assert main([*COMMITTEE, "--out", str(whole)]) == 0
    write = RunDirectory.checkpoint

    def stopped(directory: RunDirectory, *content: object) -> None:
        write(directory, *content)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "checkpoint", stopped)
        assert main([*COMMITTEE, "--out", str(out)]) == 130
    assert main(["train", "--resume", str(out)]) == 0
    assert (out / "model.npz").read_bytes() == (whole / "model.npz").read_bytes()
    scores = [
        json.loads((path / "summary.json").read_text())["init_scores"] for path in (whole, out)
    ]
    assert scores[0] == scores[1] and len(scores[0]) == 3


def test_a_damaged_checkpoint_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layermilp.runs.keeping.MOST_SHARE", math.inf)  # one after every batch
    out, words = tmp_path / "run", [word for word in RUN if word != "--quiet"]
    assert main([*words, "--out", str(out)]) == 0
    whole = (out / "model.npz").read_bytes()
    newest, before = (out / name for name in FILES)
    newest.write_bytes(newest.read_bytes()[:-100])
    capsys.readouterr()
    assert main(["train", "--resume", str(out)]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "checkpoint.npz is damaged" in printed and "goes on after batch 23" in printed
    assert (out / "model.npz").read_bytes() == whole
    for path in (newest, before):
        path.write_bytes(b"no archive")
    assert main(["train", "--resume", str(out)]) == 2
    assert "no checkpoint of" in capsys.readouterr().err
    assert (out / "model.npz").read_bytes() == whole


METHOD = Layerwise(net="3-4-3", batches=3, batch_size=20, epochs=2)


def _data() -> Dataset:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=60)
    return from_arrays(np.clip(0.2 * rng.random((60, 3)) + 0.7 * np.eye(3)[y], 0.0, 1.0), y)


def _file(arrays: Any) -> ModelFile:
    known = {"format": np.array(FORMAT), "version": np.array(VERSION)}
    return ModelFile(Path("checkpoint.npz"), {**known, **arrays})


def test_training_goes_on_after_every_batch() -> None:
    data = _data()
    with Workers(1) as workers:
        states = [
            state for state in METHOD.training(data, workers, Listener()) if state.is_resumable
        ]
        assert [state.batch for state in states] == [1, 2, 3, 4, 5, 6]
        for state in states:
            file = _file(Checkpoint("digest", (state,)).arrays())
            again = Checkpoint.from_file(file, [METHOD], data).states[0]
            *_, last = (state, *METHOD.training(data, workers, Listener(), again))  # type: ignore[arg-type]
            for found, wanted in zip(last.model.blocks, states[-1].model.blocks, strict=True):
                np.testing.assert_array_equal(found.theta, wanted.theta)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_damage_is_taken_for_a_checkpoint(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes that are changed or missing give an error of this library or the same checkpoint, and
    nothing else."""
    path, method = tmp_path / "checkpoint.npz", Layerwise(net="2-2", batches=1, batch_size=10)
    arrays = from_arrays(np.eye(2).repeat(5, axis=0), np.arange(2).repeat(5))
    if not path.exists():
        with Workers(1) as workers:
            *_, state = method.training(arrays, workers, Listener())
        write_model_file(path, FORMAT, VERSION, Checkpoint("digest", (state,)).arrays())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with contextlib.suppress(ModelFileError):
        Checkpoint.from_file(read_model_file(damaged), [method], arrays)
