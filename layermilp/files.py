"""Files that are either whole or as they were before."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layermilp.errors import OutputError


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Say in errors of the system what cannot be done."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot {what}: {error.strerror or error}") from error


def write_atomically(path: Path, write: Callable[[Any], None]) -> Path:
    """Write a file so that it is either whole or as it was before; return its path.

    `write` writes to the binary file object it is given. If the file cannot be written,
    `OutputError` is raised and nothing left behind."""
    with _naming(f"write {path}"):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return path


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write an object as JSON, a value a line, atomically; errors as in `write_atomically`."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    return write_atomically(path, lambda file: file.write(text.encode()))


def require_writable(path: Path) -> None:
    """Raise `OutputError` if a file cannot be written there; to be asked before the work that the
    file is for."""
    write_atomically(path.with_name(f".{path.name}.probe"), lambda file: None).unlink()


def directory(path: Path) -> Path:
    """Make a directory if it is missing; raise `OutputError` if that cannot be."""
    with _naming(f"make the directory {path}"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def empty_directory(path: Path) -> Path:
    """Make a directory, or take an empty one; raise `OutputError` if there is something in it, or
    it cannot be written to."""
    directory(path)
    with _naming(f"read the directory {path}"):
        is_empty = not any(path.iterdir())
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
