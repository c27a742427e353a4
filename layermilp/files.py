"""Files that are either whole or as they were before."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from layermilp.errors import OutputError


def write_atomically(path: Path, write: Callable[[Any], None]) -> Path:
    """Write a file so that it is either whole or as it was before.

    Parameters
    ----------
    path : Path
        The file.
    write : callable
        Writes to the binary file object it is given.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left behind.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        raise
    return path


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write an object as JSON, a value a line, atomically; errors as in `write_atomically`."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    return write_atomically(path, lambda file: file.write(text.encode()))


def require_writable(path: Path) -> None:
    """Raise `OutputError` if a file cannot be written there; to be asked before the work that the
    file is for."""
    probe = path.with_name(f".{path.name}.probe")
    write_atomically(probe, lambda file: None)
    probe.unlink()


def directory(path: Path) -> Path:
    """Make a directory if it is missing; raise `OutputError` if that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the directory {path}: {error.strerror or error}") from error
    return path


def empty_directory(path: Path) -> Path:
    """Make a directory, or take an empty one; raise `OutputError` if there is something in it, or
    it cannot be written to."""
    try:
        is_empty = not any(directory(path).iterdir())
    except OSError as error:
        raise OutputError(f"cannot read the directory {path}: {error.strerror or error}") from error
    if not is_empty:
        raise OutputError(
            f"{path} is not empty; choose a new directory, so that nothing in this one is "
            "overwritten"
        )
    require_writable(path / "file")
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
