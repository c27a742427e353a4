"""Checks for the readers of all formats: missing packages, sizes of files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from layermilp.errors import ModelFileError, PackageNotAvailable


def require_package(module: str, extra: str) -> Any:
    """Return a module; raise `PackageNotAvailable` if it is not installed, with the extra that
    brings it."""
    if importlib.util.find_spec(module) is None:
        raise PackageNotAvailable(
            f"the package {module} is not installed; `pip install 'layermilp[{extra}]'` brings it"
        )
    return importlib.import_module(module)


def sized(path: Path, largest: float = float("inf")) -> int:
    """Return the size of a file in bytes; raise `ModelFileError` if there is none, or it is larger
    than it may be."""
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}")
    size = path.stat().st_size
    if size > largest:
        raise ModelFileError(f"{path} has {size:,} bytes; {largest:,.0f} are the limit")
    return size
