"""Runs that are killed and resumed: the same weights to the byte, and nothing lost to a damaged
checkpoint."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import PATIENCE

from layermilp.cli import main
from layermilp.errors import ModelFileError, OutputError
from layermilp.layerwise.checkpoint import FORMAT, VERSION, Checkpoint
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.settings import Settings
from layermilp.layerwise.trainer import State, training
from layermilp.modelfiles import read_model_file, write_model_file
from layermilp.network import Network
from layermilp.parallel import Workers
from layermilp.runs import RunDirectory

RUN = [
    "train",
    "--net",
    "64-5-10",
    "--data",
    "digits",
    "--batches",
    "8",
    "--epochs",
    "5",
    "--jobs",
    "1",
    "--quiet",
]
COMMITTEE = [
    *RUN[:5],
    "--batches",
    "2",
    "--epochs",
    "2",
    "--committee",
    "3",
    "--init-trials",
    "2",
    "--jobs",
    "1",
    "--quiet",
]
FILES = ("checkpoint.npz", "checkpoint-before.npz")


def killed(words: list[str], seconds: float) -> bool:
    """Run a command and kill it after a while; say whether it was still running."""
    process = subprocess.Popen(
        [sys.executable, "-m", "layermilp", *words], stdout=subprocess.DEVNULL
    )
    try:
        assert process.wait(seconds) == 0
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def test_a_run_killed_at_twenty_moments_ends_with_the_same_weights(tmp_path: Path) -> None:
    began = time.perf_counter()
    assert not killed([*RUN, "--out", str(tmp_path / "whole")], PATIENCE)
    seconds = time.perf_counter() - began
    whole = (tmp_path / "whole" / "model.npz").read_bytes()
    moments = random.Random(0)
    out = tmp_path / "killed"
    for kill in range(20):
        words = (
            ["train", "--resume", str(out)]
            if (out / "command.json").exists()
            else [*RUN, "--out", str(out)]
        )
        if not killed(words, seconds * moments.uniform(0.4, 0.9)):
            # It ended before the moment came: the next kills hit a run from its first batch on.
            assert (out / "model.npz").read_bytes() == whole, kill
            shutil.rmtree(out)
    words = (
        ["train", "--resume", str(out)]
        if (out / "command.json").exists()
        else [*RUN, "--out", str(out)]
    )
    assert main(words) == 0
    assert (out / "model.npz").read_bytes() == whole
    records = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [record["batch"] for record in records] == list(range(1, 41))


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
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "run", [word for word in RUN if word != "--quiet"]
    assert main([*words, "--out", str(out)]) == 0
    whole = (out / "model.npz").read_bytes()
    newest, before = (out / name for name in FILES)
    newest.write_bytes(newest.read_bytes()[:-100])
    capsys.readouterr()
    assert main(["train", "--resume", str(out)]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "checkpoint.npz is damaged" in printed and "goes on after batch 39" in printed
    assert (out / "model.npz").read_bytes() == whole
    for path in (newest, before):
        path.write_bytes(b"no archive")
    assert main(["train", "--resume", str(out)]) == 2
    assert "no checkpoint of" in capsys.readouterr().err
    assert (out / "model.npz").read_bytes() == whole


def test_what_cannot_be_resumed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert (
        main(
            [
                *RUN[:5],
                "--batches",
                "2",
                "--epochs",
                "1",
                "--jobs",
                "1",
                "--quiet",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    command = out / "command.json"
    refusals = {
        "is not the directory of a run": lambda: command.rename(tmp_path / "away"),
        "is damaged": lambda: command.write_text("[1, 2]"),
        "is damaged: Expecting": lambda: command.write_text("["),
        "with other options or data": lambda: command.write_text(
            json.dumps([*RUN[:5], "--batches", "3", "--epochs", "1", "--quiet", "--out", str(out)])
        ),
    }
    for words, spoil in refusals.items():
        spoil()  # type: ignore[no-untyped-call]
        capsys.readouterr()
        assert main(["train", "--resume", str(out)]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert main(["train", "--resume", str(out), "--epochs", "3"]) == 2
    assert "--epochs cannot be given beside it" in capsys.readouterr().err


def test_methods_without_batches_begin_anew(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        "train",
        "--method",
        "integer",
        "--data",
        "digits",
        "--samples",
        "60",
        "--hidden",
        "3",
        "--jobs",
        "1",
        "--quiet",
    ]
    assert main([*words, "--out", str(out)]) == 0
    model = (out / "model.npz").read_bytes()
    assert main(["train", "--resume", str(out)]) == 0
    assert (out / "model.npz").read_bytes() == model


def test_a_directory_takes_one_run_at_a_time(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path)
    with pytest.raises(OutputError, match="another run is writing"):
        RunDirectory(tmp_path)
    del first
    RunDirectory(tmp_path)


def _states() -> tuple[Network, list[State]]:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=60)
    X = np.clip(0.2 * rng.random((60, 3)) + 0.7 * np.eye(3)[y], 0.0, 1.0)
    network = Network.dense((3, 4, 3), seed=0)
    options = Settings(batches=3, batch_size=20, epochs=2)
    with Workers(1) as workers:
        states = [
            state
            for state in training(network, TrainingData.of(network, X, y), options, workers)
            if state.batch_ended
        ]
        for state in states:
            arrays = Checkpoint("digest", (state,)).arrays()
            again = Checkpoint.from_file(_file(arrays), states[-1].network).states[0]
            *_, last = (
                state,
                *training(network, TrainingData.of(network, X, y), options, workers, begin=again),
            )
            for found, wanted in zip(last.network.blocks, states[-1].network.blocks, strict=True):
                np.testing.assert_array_equal(found.theta, wanted.theta)
    return network, states


def _file(arrays: object) -> object:
    from layermilp.modelfiles import ModelFile

    return ModelFile(
        Path("checkpoint.npz"), {"format": np.array(FORMAT), "version": np.array(VERSION), **arrays}
    )  # type: ignore[dict-item]


def test_training_goes_on_after_every_batch() -> None:
    _, states = _states()
    assert [state.batch for state in states] == [1, 2, 3, 4, 5, 6]


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_damage_is_taken_for_a_checkpoint(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes that are changed or missing give an error of this library or the same checkpoint, and
    nothing else."""
    path, network = tmp_path / "checkpoint.npz", Network.dense((2, 2), seed=0)
    if not path.exists():
        X, y = np.eye(2).repeat(5, axis=0), np.arange(2).repeat(5)
        with Workers(1) as workers:
            *_, state = training(
                network,
                TrainingData.of(network, X, y),
                Settings(batches=1, batch_size=10, epochs=1),
                workers,
            )
        write_model_file(path, FORMAT, VERSION, Checkpoint("digest", (state,)).arrays())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with contextlib.suppress(ModelFileError):
        Checkpoint.from_file(read_model_file(damaged), network)
