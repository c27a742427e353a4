"""The directory of a training run: ``model.npz``, ``history.jsonl``, ``summary.json`` and
checkpoints, written atomically."""

from __future__ import annotations

import fcntl
import json
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from layermilp.datasets.dataset import Dataset
from layermilp.errors import ModelFileError, OutputError
from layermilp.files import directory, require_writable, write_atomically, write_json
from layermilp.method import Method
from layermilp.networks.files import read_model_file, write_model_file
from layermilp.networks.load import Model
from layermilp.runs.checkpoint import FORMAT, VERSION, Checkpoint
from layermilp.runs.configuration import FILE as CONFIGURATION
from layermilp.runs.configuration import Configuration
from layermilp.solvers.interrupts import postponed


class RunDirectory:
    """Where a run keeps what it learns: a directory, which is made if it is missing.

    Raises
    ------
    OutputError
        If the directory cannot be made or written to, or another run is writing to it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = directory(Path(path))
        require_writable(self.model)
        # Other runs are kept out until `release`, or for as long as this process lives; the system
        # lets go of the lock even of a killed one.
        lock = os.open(self.path, os.O_RDONLY)
        self.release = weakref.finalize(self, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"another run is writing to {self.path}; wait for it, or choose another directory"
            ) from error

    @property
    def model(self) -> Path:
        """The network or the committee."""
        return self.path / "model.npz"

    def write(
        self, model: Model | None, history: Iterable[dict[str, Any]], summary: dict[str, Any]
    ) -> None:
        """Write what was learned so far; where that is nothing, the summary alone."""
        lines = "".join(json.dumps(record) + "\n" for record in history)
        with postponed():  # an archive that is interrupted while it is closed raises something else
            if model is not None:
                model.save(self.model)
                history_file = self.path / "history.jsonl"
                write_atomically(history_file, lambda file: file.write(lines.encode()))
            write_json(self.path / "summary.json", summary)

    @property
    def has_run(self) -> bool:
        """Whether the directory is that of a run."""
        return (self.path / CONFIGURATION).exists()

    def begin(self, configuration: Configuration) -> None:
        """Write down what a new run is asked for, and then forget the checkpoints of an earlier
        one."""
        configuration.write(self.path)
        for checkpoint in self.checkpoints:
            checkpoint.unlink(missing_ok=True)

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """The newest checkpoint and the one before."""
        return self.path / "checkpoint.npz", self.path / "checkpoint-before.npz"

    def checkpoint(self, found: Checkpoint, configuration: Configuration | None) -> None:
        """Write a checkpoint; keep the one before. With the configuration of a new run its first
        checkpoint begins it."""
        newest, before = self.checkpoints
        fresh = newest.with_name(".checkpoint.new.npz")
        with postponed():
            write_model_file(fresh, FORMAT, VERSION, found.arrays())
            try:
                if configuration is not None:
                    self.begin(configuration)
                if newest.exists():
                    os.replace(newest, before)
                os.replace(fresh, newest)
            except OSError as error:
                fresh.unlink(missing_ok=True)
                raise OutputError(f"cannot write {newest}: {error.strerror or error}") from error

    def restored(
        self, members: Sequence[Method], data: Dataset, note: Callable[[str], None]
    ) -> Checkpoint | None:
        """Return the newest checkpoint, or if it is damaged the one before; None if there is none.

        Raises
        ------
        ModelFileError
            If there are checkpoints, and all are damaged.
        """
        damage = None
        for path in self.checkpoints:
            if not path.exists():
                continue
            try:
                return Checkpoint.from_file(read_model_file(path), members, data)
            except ModelFileError as error:
                damage = error
                note(f"{error}; it is left out")
        if damage is not None:
            raise ModelFileError(
                f"no checkpoint of {self.path} can be read; train anew, into another directory"
            ) from damage
        return None


def read_summary(path: str | Path) -> dict[str, Any]:
    """Return the content of a directory's ``summary.json``.

    Raises
    ------
    ModelFileError
        If there is none, or it is damaged.
    """
    return _objects(Path(path) / "summary.json")[0]


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Return the records of a directory's ``history.jsonl``; errors as in `read_summary`."""
    return _objects(Path(path) / "history.jsonl")


def _objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON, one or one a line."""
    try:
        text = path.read_text()
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        found = [json.loads(line) for line in lines]
    except FileNotFoundError as error:
        raise ModelFileError(
            f"there is no {path}; give the directory of a run, or its model.npz"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: {str(error)[:200]}") from error
    if not all(isinstance(entry, dict) for entry in found):
        raise ModelFileError(f"{path} is damaged: it holds no JSON object")
    return found
