"""Files that are damaged in thousands of ways: an error of this library or an answer, and nothing
else.

The damage is drawn by a seeded generator, so that every run tries the same. Archives are damaged
byte by byte, which their checksums mostly find, and also member by member, which they do not.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import pickle
import resource
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pytest

from layermilp import Committee, Network, datasets, load_model
from layermilp.cli import main
from layermilp.cli.verify import verify
from layermilp.datasets import adult, idx, tables
from layermilp.datasets.dataset import from_arrays
from layermilp.errors import LayermilpError
from layermilp.integer import IntegerNetwork
from layermilp.layerwise.method import Layerwise
from layermilp.method import Listener
from layermilp.networks.files import read_model_file, write_model_file
from layermilp.parallel import Workers
from layermilp.runs.checkpoint import FORMAT, VERSION, Checkpoint
from layermilp.runs.configuration import Configuration
from layermilp.runs.run import RunOptions

EXAMPLES = 1000
"""Damaged files of every target."""
WANTED = 10_000
SECONDS = 300
"""After which a target is said to hang: it takes one or two."""
ROOM = 2**29
"""Memory that a target may take beyond what the process had."""
TOKENS = [
    b"1e999",
    b"-1",
    b"NaN",
    b"null",
    b"true",
    b"[[[[",
    b"{}",
    b'"',
    b"\x00",
    b"\xff",
    b"9" * 30,
    b"0",
    b"1e308",
]
TOKENS += [
    b"\n",
    b",",
    b"--jobs",
    b"--out",
    b"--resume",
    b"'|O'",
    b"'<U9'",
    b"'<V0'",
    b"True",
    b"(",
    b")",
    b"[" * 5000,
]
KINDS = ["<f8", "<i8", "<i4", "|u1", "|b1", "<U3", "<c16", "<M8[s]", "|V4", "<u8", "<f2", "|S2"]
Damage = Callable[[np.random.Generator, bytes], bytes]
Read = Callable[[Path], object]


def any_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Change, take out, put in, repeat or cut off some bytes."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(found) + 1))
        end = min(at + int(rng.integers(1, 9)), len(found))
        match rng.integers(6):
            case 0:
                found[at:end] = rng.bytes(end - at)
            case 1:
                del found[at:end]
            case 2:
                found[at:at] = TOKENS[rng.integers(len(TOKENS))]
            case 3:
                found[at:end] = TOKENS[rng.integers(len(TOKENS))]
            case 4:
                found[at:at] = found[at : at + int(rng.integers(1, 200))]
            case _ if rng.random() < 0.3:
                del found[at:]
    return bytes(found)


def any_archive(rng: np.random.Generator, content: bytes) -> bytes:
    """Damage the bytes of an archive, or those of a member, or put another array in its place."""
    if rng.random() < 0.3:
        return any_bytes(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(rng.integers(1, 4)):
        names = sorted(members)
        name = names[rng.integers(len(names))]
        match rng.integers(5):
            case 0:
                members[name] = any_bytes(rng, members[name])
            case 1 if len(members) > 1:
                del members[name]
            case 2:
                members[name] = _saved(_other(rng, members[name]))
            case 3:
                members[name] = members[names[rng.integers(len(names))]]
            case _:
                members[name] = _saved(any_array(rng))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return written.getvalue()


def any_array(rng: np.random.Generator) -> np.ndarray:
    """Return an array of any type and a small shape."""
    shape = tuple(int(side) for side in rng.integers(0, 4, size=rng.integers(0, 4)))
    array = np.zeros(shape, dtype=KINDS[rng.integers(len(KINDS))])
    if array.dtype.kind in "fiu" and array.size:
        extremes = [0, 1, 5, 100, np.inf, np.nan, -1] if array.dtype.kind == "f" else [0, 1, 5, 100]
        array[...] = rng.choice(extremes, size=shape)
    return array


def _other(rng: np.random.Generator, member: bytes) -> np.ndarray:
    """Return the array of a member with another type, shape or value."""
    try:
        array: np.ndarray = np.load(io.BytesIO(member))
    except Exception:
        return any_array(rng)
    match rng.integers(3):
        case 0:
            with (
                contextlib.suppress(TypeError, ValueError),
                np.errstate(invalid="ignore", over="ignore"),
            ):
                return array.astype(KINDS[rng.integers(len(KINDS))])
        case 1:
            return array.reshape(-1)[: rng.integers(array.size + 1)]
        case _ if array.size and array.dtype.kind in "fiu":
            changed = array.copy().reshape(-1)
            extremes = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype)
            changed[rng.integers(array.size)] = rng.choice(
                np.array([extremes.min, extremes.max, 0, 7], dtype=array.dtype)
            )
            return changed.reshape(array.shape)
    return array[..., None]


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _gzipped(rng: np.random.Generator, content: bytes) -> bytes:
    """Damage what is compressed, or the compressed bytes."""
    inner = gzip.decompress(content)
    return (
        gzip.compress(any_bytes(rng, inner), 1) if rng.random() < 0.5 else any_bytes(rng, content)
    )


NETWORK = Network.dense([4, 3, 2], seed=0)


def _samples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    return np.clip(rng.random((20, 4)) + 0.3 * y[:, None], 0.0, 1.0), y


METHOD = Layerwise(net="4-3-2", batches=2, batch_size=10, epochs=1)
DATA = from_arrays(*_samples())


def _checkpoint(path: Path) -> None:
    with Workers(1) as workers:
        *_, state = METHOD.training(DATA, workers, Listener())
    write_model_file(path, FORMAT, VERSION, Checkpoint("digest", (state,)).arrays())


def _version_1(path: Path) -> None:
    new = ("decision", "layers")
    arrays = {name: array for name, array in NETWORK.arrays().items() if name not in new}
    write_model_file(path, "layermilp.network", 1, arrays)


def _npz(path: Path) -> None:
    X, y = _samples()
    np.savez(path, X=X, y=y, X_test=X, y_test=y)


def _csv(path: Path) -> None:
    X, y = _samples()
    rows = [",".join(map(str, (*x.round(2), "ab"[label]))) for x, label in zip(X, y, strict=True)]
    path.write_text("\n".join(["p,q,r,s,label", *rows]) + "\n")


def _idx(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 5, 3, 2) + bytes(range(30)))


def _compressed_idx(path: Path) -> None:
    _idx(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _run(path: Path) -> None:
    """Write the file of a finished run that the path names, and all others beside it."""
    _npz(path.with_name("data.npz"))
    words = [
        *split("train --net 4-3-2 --data"),
        str(path.with_name("data.npz")),
        *split("--batches 2 --batch-size 10"),
    ]
    with _silent():
        assert main([*words, "--jobs", "1", "--quiet", "--out", str(path.parent)]) == 0


def use_model(path: Path) -> None:
    """Load a model and do what the commands do with it."""
    model = load_model(path)
    assert model.notation
    with np.errstate(all="ignore"):
        model.predict(
            np.full((2, model.n_inputs), 0.5)
            if model.n_inputs < 10**4
            else np.zeros((1, model.n_inputs))
        )


def use_run(path: Path) -> None:
    """Verify a run."""
    with _silent():
        data = str(path.with_name("data.npz"))
        verify(
            argparse.Namespace(
                model=str(path.parent), data=data, data_dir=None, label_column="label"
            )
        )


def use_configuration(path: Path) -> None:
    """Read what a run that is to be resumed was asked for."""
    kept = Configuration.read(path.parent, RunOptions)
    RunOptions(**kept.run)


def use_adult(path: Path) -> None:
    """Load Adult from a directory in which one of its files is damaged."""
    path.with_name(adult.TEST).write_bytes(b"")
    adult.load_adult(path.parent, None)


TARGETS: dict[str, tuple[str, Callable[[Path], object], Damage, Read]] = {
    "network": ("model.npz", NETWORK.save, any_archive, use_model),
    "network of version 1": ("model.npz", _version_1, any_archive, use_model),
    "committee": (
        "model.npz",
        Committee([NETWORK, Network.dense([4, 2], seed=1)]).save,
        any_archive,
        use_model,
    ),
    "integer network": (
        "model.npz",
        IntegerNetwork.zeros([4, 3, 2], 7).save,
        any_archive,
        use_model,
    ),
    "checkpoint": (
        "checkpoint.npz",
        _checkpoint,
        any_archive,
        lambda path: Checkpoint.from_file(read_model_file(path), [METHOD], DATA),
    ),
    "configuration": ("run.json", _run, any_bytes, use_configuration),
    "summary": ("summary.json", _run, any_bytes, use_run),
    "history": ("history.jsonl", _run, any_bytes, use_run),
    "idx": ("images", _idx, any_bytes, lambda path: idx.read_idx(path, 3)),
    "idx, compressed": (
        "images.gz",
        _compressed_idx,
        _gzipped,
        lambda path: idx.read_idx(path, 3),
    ),
    "csv": (
        "data.csv",
        _csv,
        any_bytes,
        lambda path: (datasets.load(path), tables.load_samples(path)),
    ),
    "npz": (
        "data.npz",
        _npz,
        any_archive,
        lambda path: (datasets.load(path), tables.load_samples(path)),
    ),
    "adult": (
        adult.TRAIN,
        lambda path: path.write_bytes(b"39, State-gov, 77516\n" * 9),
        any_bytes,
        use_adult,
    ),
}
"""Name and writer of a whole file, how it is damaged, and what reads it."""


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _no_hang() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS)
def test_damage_gives_an_error_or_an_answer(target: str, tmp_path: Path) -> None:
    name, write, damage, read = TARGETS[target]
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    if target != "adult":  # whose file is pinned
        read(path)
    tried, refused, before = 0, 0, _peak()
    with _no_hang():
        for number in range(EXAMPLES):
            rng = np.random.default_rng((number, *target.encode()))
            path.write_bytes(damage(rng, whole))
            try:
                read(path)
            except LayermilpError as error:
                assert len(str(error)) < 2000, (number, str(error)[:3000])
                refused += 1
            except BaseException as error:
                error.add_note(f"example {number} of {target}: {path.read_bytes()[:300]!r}")
                raise
            tried += 1
    assert tried == EXAMPLES
    assert refused > EXAMPLES // 10
    assert _peak() - before < ROOM


def test_enough_is_tried() -> None:
    assert EXAMPLES * len(TARGETS) >= WANTED


class _Payload:
    """What a pickle would execute."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.marker),)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    """Every reader is given pickles: as the file, as an array of objects, and as a member of an
    archive."""
    marker = tmp_path / "executed"
    payload = pickle.dumps(_Payload(marker))
    objects = np.array([_Payload(marker)], dtype=object)
    names = sorted({name for name, *_ in TARGETS.values()} | {"samples.npz"})
    tried = 0
    for name, (file, write, _, read) in TARGETS.items():
        folder = tmp_path / name
        folder.mkdir()
        path = folder / file
        write(path)
        whole = path.read_bytes()
        contents = [payload, gzip.compress(payload)]
        if path.suffix == ".npz":
            members = dict(np.load(io.BytesIO(whole)))
            for member in members:
                written = io.BytesIO()
                np.savez(written, **{**members, member: objects})
                contents.append(written.getvalue())
                written = io.BytesIO()
                with zipfile.ZipFile(written, "w") as archive:
                    for other in members:
                        archive.writestr(
                            f"{other}.npy", payload if other == member else _saved(members[other])
                        )
                contents.append(written.getvalue())
        for content in contents:
            path.write_bytes(content)
            with contextlib.suppress(LayermilpError):
                read(path)
            tried += 1
    assert tried > len(names) and not marker.exists()
    pickle.loads(payload)
    with pytest.raises(FileExistsError):  # the payload works where it is unpickled
        pickle.loads(payload)


def test_json_that_is_nested_too_deeply_is_damage(tmp_path: Path) -> None:
    for target in ("configuration", "summary", "history"):
        name, write, _, read = TARGETS[target]
        folder = tmp_path / target
        folder.mkdir()
        write(folder / name)
        (folder / name).write_text(json.dumps("x") + "\n" + "[" * 10**6)
        with contextlib.suppress(LayermilpError):
            read(folder / name)
        (folder / name).write_text("[" * 10**6)
        with contextlib.suppress(LayermilpError):
            read(folder / name)
