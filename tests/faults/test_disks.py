"""Disks that fill up, and directories that cannot be written to."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layermilp import Network, load_model
from layermilp.cli import main
from layermilp.networks.files import read_model_file
from layermilp.runs import keeping
from tests import faulty
from tests.faults.runs import HYBRID, INTEGER, SMALL, refused


class _Disk:
    """Files on a disk that has room for some more bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def fdopen(self, handle: int, mode: str) -> Any:
        disk = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                disk.room -= memoryview(data).nbytes
                if disk.room < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)

        return io.BufferedRandom(File(handle, "r+"), 64)


KEPT = {
    "checkpoint.npz",
    "checkpoint-before.npz",
    "run.json",
    "history.jsonl",
    "model.npz",
    "summary.json",
}


def _is_whole(out: Path) -> None:
    """Check that every file of a run can be read, and nothing else lies around."""
    assert {path.name for path in out.iterdir()} <= KEPT
    load_model(out / "model.npz")
    for path in out.glob("checkpoint*"):
        assert read_model_file(path).format == "layermilp.checkpoint"
    for line in (out / "history.jsonl").read_text().splitlines():
        json.loads(line)
    for name in ("summary.json", "run.json"):
        json.loads((out / name).read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The directory of a finished run, and the models that it and another run with other options
    end with."""
    place = tmp_path_factory.mktemp("runs")
    for seed in ("0", "1"):
        assert main([*SMALL, "--seed", seed, "--out", str(place / seed)]) == 0
    return place / "0", {seed: (place / seed / "model.npz").read_bytes() for seed in ("0", "1")}


def _resumed(out: Path, models: dict[str, bytes]) -> None:
    """Check that whichever run the directory is of goes on, and ends as if nothing had happened."""
    seed = json.loads((out / "run.json").read_text())["options"]["seed"]
    assert main(["train", "--resume", str(out)]) == 0
    assert (out / "model.npz").read_bytes() == models[str(seed)]


@pytest.mark.parametrize("share", np.linspace(0.0, 0.97, 16).round(2))
def test_a_disk_that_fills_up_at_any_point_leaves_whole_files(
    share: float,
    runs: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Into the directory of a finished run another one is written; the disk is full after a share
    of what it writes."""
    monkeypatch.setattr(keeping, "MOST_SHARE", math.inf)  # every checkpoint is written
    everything = _Disk(10**9)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", everything.fdopen)
        assert main([*SMALL, "--seed", "1", "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "run"
    shutil.copytree(runs[0], out)
    capfd.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", _Disk(int(share * (10**9 - everything.room))).fdopen)
        code = main([*SMALL, "--seed", "1", "--out", str(out)])
    refused(code, capfd.readouterr().err, "cannot write", "No space left on device")
    _is_whole(out)
    _resumed(out, runs[1])


def test_a_limit_on_the_size_of_files_is_like_a_full_disk(
    runs: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    """The kernel itself refuses to write on."""
    out = tmp_path / "run"
    shutil.copytree(runs[0], out)
    done = faulty.run(*SMALL, "--seed", "1", "--out", str(out), limits={"RLIMIT_FSIZE": 2048})
    refused(done.returncode, done.stderr, "cannot write", "File too large")
    _is_whole(out)
    _resumed(out, runs[1])


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    place = tmp_path / "tiny"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("A REAL FULL DISK IS NOT TESTED: it takes root to mount a small one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_system_that_is_full(
    tiny: Path, runs: tuple[Path, dict[str, bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    out = tiny / "run"
    shutil.copytree(runs[0], out)
    with (tiny / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    refused(
        main([*SMALL, "--seed", "1", "--out", str(out)]),
        capfd.readouterr().err,
        "cannot write",
        "No space left on device",
    )
    _is_whole(out)
    (tiny / "filling").unlink()
    _resumed(out, runs[1])


NOWHERE = Path("/proc/self")
"""A directory in which not even root can make a file."""


@pytest.mark.skipif(not NOWHERE.is_dir(), reason="there is no /proc")
def test_a_directory_that_takes_no_files_is_refused_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Network.dense([64, 4, 10], seed=0).save(tmp_path / "model.npz")
    model, table = str(tmp_path / "model.npz"), tmp_path / "table.csv"
    table.write_text(",".join(f"p{i}" for i in range(64)) + "\n" + ",".join(["0"] * 64) + "\n")
    for method in (
        SMALL,
        INTEGER,
        HYBRID,
        ["train", "--method", "smt", "--data", "digits", "--quiet"],
    ):
        refused(
            main([*method, "--out", str(NOWHERE)]),
            capfd.readouterr().err,
            f"cannot write {NOWHERE}",
        )
        refused(
            main([*method, "--out", str(NOWHERE / "run")]),
            capfd.readouterr().err,
            "cannot make the directory",
        )
    words = ["postprocess", model, "--data", "digits", "--out", str(NOWHERE / "model.npz")]
    refused(main(words), capfd.readouterr().err, f"cannot write {NOWHERE}")
    code = main(["predict", model, str(table), "--out", str(NOWHERE / "y")])
    refused(code, capfd.readouterr().err, f"cannot write {NOWHERE}")


@pytest.mark.parametrize("files_first", [1, 3, 5])
def test_a_directory_that_becomes_read_only_keeps_its_files(
    files_first: int,
    runs: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, made, make = tmp_path / "run", [0], tempfile.mkstemp
    shutil.copytree(runs[0], out)

    def refuse(*given: Any, **options: Any) -> Any:
        made[0] += 1
        if made[0] > files_first:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return make(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refuse)
        refused(
            main([*SMALL, "--seed", "1", "--out", str(out)]),
            capfd.readouterr().err,
            "Read-only file system",
        )
    _is_whole(out)
    _resumed(out, runs[1])
