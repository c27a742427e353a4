"""Absurd sizes are refused before memory is taken."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layermilp import Network, checks
from layermilp.checks import memory_bytes
from layermilp.datasets import idx
from layermilp.errors import NetworkError
from layermilp.networks.files import read_model_file
from tests.common import PATIENCE, ROOT
from tests.faults.runs import refused

MANY = "1" + 12 * "0"
OPTIONS = [
    ["--net", "784-999999999-10"],
    ["--net", "64-999999999999999999-10"],
    ["--net", "64x99999999-conv3-10"],
    ["--net", "-".join(["64", *["1"] * 40_000, "10"])],
    *(
        ["--net", "64-8-10", f"--{name}", MANY]
        for name in ("batch-size", "batches", "epochs", "max-sweeps", "committee")
    ),
    ["--net", "64-8-10", "--init-trials", MANY],
    ["--net", "64-8-10", "--batches", "2000000000", "--batch-size", "2000000000"],
    ["--net", "64-5000-10", "--committee", "10000"],
    ["--net", "64-8-10", "--jobs", "1000000"],
    ["--net", "64-8-10", "--node-limit", MANY],
    *(
        ["--method", "integer", f"--{name}", MANY]
        for name in ("hidden", "bound", "samples", "batch-size", "epochs", "jobs")
    ),
    ["--method", "integer", "--hidden", "-".join(["1"] * 40_000)],
    ["--method", "integer", "--hidden", "999999999"],
    *(
        ["--method", "hybrid", f"--{name}", MANY]
        for name in ("hidden", "samples", "rounds", "epochs", "patience", "seed")
    ),
    *(
        ["--method", "hybrid", f"--{name}", MANY]
        for name in ("batch-size", "solver-samples", "keep")
    ),
    ["--method", "hybrid", "--hidden", "-".join(["1"] * 40_000)],
    ["--method", "hybrid", "--hidden", "999999999"],
    ["--method", "smt", "--net", "64-999999999-10"],
    ["--method", "smt", "--net", "-".join(["64", *["1"] * 40_000, "10"])],
    *(["--method", "smt", f"--{name}", MANY] for name in ("samples", "rounds", "seed")),
]
"""What asks for more than there is, of every method."""
LIMIT = 4 * 2**30
PROBE = """
import contextlib, io, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from layermilp.cli import main
for words in json.load(sys.stdin):
    began, said = time.perf_counter(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(words)
        except SystemExit as stop:
            code = stop.code
    # Not that of getrusage, which a process inherits from the one that started it.
    status = open("/proc/self/status", encoding="utf-8").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps([code, said.getvalue(), peak, time.perf_counter() - began]), flush=True)
"""
"""Runs commands one after the other in a process with limited memory; says how each ended and how
much was taken so far."""


def _probed(commands: list[list[str]]) -> list[tuple[int, str, int, float]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(LIMIT)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(answers) == len(commands), (
        commands[len(answers)],
        done.stderr,
    )
    return answers


def test_absurd_options_are_refused_before_memory_is_taken() -> None:
    commands = [["train", "--data", "digits", "--quiet", *words] for words in OPTIONS]
    for words, (code, error, peak, _) in zip(commands, _probed(commands), strict=True):
        refused(code, error)
        assert peak < 2**30, (words, peak)


def test_absurd_files_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    model, table = tmp_path / "model.npz", tmp_path / "wide.csv"
    network = Network.dense([64, 4, 10], seed=0)
    network.save(model)
    arrays = dict(read_model_file(model).arrays)
    commands = []
    for name, change in {
        "blocks": {"n_blocks": np.array(10**9)},
        "members": {
            "format": np.array("layermilp.committee"),
            "version": np.array(1),
            "n_networks": np.array(10**9),
        },
        "layers": {
            "format": np.array("layermilp.integer"),
            "version": np.array(1),
            "bound": np.array(1),
        }
        | {f"theta{i}": np.zeros((1, 2), dtype=np.int8) for i in range(2000)}
        | {"classes": np.array([0])},
        "decision": {"decision": np.array("x" * 10**6)},
        "shape": {"weights_0": np.zeros((0, 10**12))},
    }.items():
        changed: dict[str, Any] = {**arrays, **change}
        np.savez_compressed(tmp_path / f"{name}.npz", **changed)
        commands += _uses(tmp_path / f"{name}.npz")
    _archive(tmp_path / "claim.npz", _header((10**12, 64)))
    _archive(tmp_path / "empty.npz", _header((10**12, 64), "<V0"))
    _archive(tmp_path / "bomb.npz", _header((400 * 2**20, 1), "|u1"), 400 * 2**20)
    for name in ("claim", "empty", "bomb"):
        commands += _uses(tmp_path / f"{name}.npz")
        commands.append(["predict", str(model), str(tmp_path / f"{name}.npz")])
        commands += [
            ["train", "--method", method, "--data", str(tmp_path / f"{name}.npz"), "--quiet"]
            for method in METHODS
        ]
    table.write_text(
        ",".join([*(f"c{i}" for i in range(500_000)), "label"])
        + "\n"
        + 2 * (500_000 * "0," + "1\n")
    )
    commands += [
        ["evaluate", str(model), "--data", str(table)],
        ["predict", str(model), str(table)],
    ]
    commands.append(
        ["train", "--method", "integer", "--hidden", "2000", "--data", str(table), "--quiet"]
    )
    long = tmp_path / "labels.csv"
    long.write_text("a,label\n1," + "x" * 100_000 + "\n" + "1,y\n" * 20_000)
    commands.append(["data", str(long)])
    for name, header in {
        "claims": (2**32 - 1, 2**32 - 1, 2**32 - 1),
        "many": (2**20, 28, 28),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in idx.FILE_NAMES:
            with gzip.open(folder / f"{file}.gz", "wb", compresslevel=1) as content:
                sides = header if "images" in file else header[:1]
                content.write(
                    bytes([0, 0, 8, len(sides)])
                    + struct.pack(f">{len(sides)}I", *sides)
                    + bytes(2**20)
                )
        commands += [["data", str(folder)], ["evaluate", str(model), "--data", str(folder)]]
    for words, (code, error, peak, _) in zip(commands, _probed(commands), strict=True):
        assert (
            code == 2
            and "Traceback" not in error
            and error.splitlines()[-1].startswith("layermilp: ")
        ), (words, error)
        assert peak < 2**30, (words, peak)


METHODS = ("layerwise", "integer", "hybrid", "smt")


def _uses(model: Path) -> list[list[str]]:
    """Return every command that reads a model."""
    others = [["evaluate"], ["verify"], ["postprocess", "--out", str(model.with_name("new.npz"))]]
    return [
        ["predict", str(model), str(model)],
        *([name, str(model), "--data", "digits", *rest] for name, *rest in others),
    ]


def _header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _archive(path: Path, header: bytes, zeros: int = 0) -> None:
    """Write an archive of arrays X, y and format with a header, and zeros after it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("X.npy", "y.npy", "format.npy"):
            with archive.open(name, "w") as member:
                member.write(header)
                for _ in range(zeros // 2**20):
                    member.write(bytes(2**20))


def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text("300000000\n")
    none.write_text("max\n")
    whole = memory_bytes()
    for places, memory in (
        ((none, tmp_path / "missing"), whole),
        ((none, limit), min(whole, 300_000_000)),
    ):
        monkeypatch.setattr(checks, "CONTAINER_LIMITS", tuple(map(str, places)))
        assert memory_bytes() == memory
    with pytest.raises(NetworkError, match="memory"):
        Network.dense([784, 10_000, 10])
