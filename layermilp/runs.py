"""The directory of a training run: ``model.npz``, ``history.jsonl``, ``summary.json``, each written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from layermilp.errors import OutputError
from layermilp.files import require_writable, write_atomically
from layermilp.models import Model


class RunDirectory:
    """Where a run keeps what it learns.

    Parameters
    ----------
    path : str or Path
        The directory; it is made if it is missing. Files of an earlier run are replaced only when this one has learned
        something.

    Raises
    ------
    OutputError
        If the directory cannot be made or written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the directory {self.path}: {error.strerror or error}") from error
        require_writable(self.model)

    @property
    def model(self) -> Path:
        """The network or the committee."""
        return self.path / "model.npz"

    def write(self, model: Model, history: Iterable[dict[str, Any]], summary: dict[str, Any]) -> None:
        """Write what was learned so far."""
        model.save(self.model)
        lines = "".join(json.dumps(record) + "\n" for record in history)
        write_atomically(self.path / "history.jsonl", lambda file: file.write(lines.encode()))
        self.summarize(summary)

    def summarize(self, summary: dict[str, Any]) -> None:
        """Write the summary alone, where nothing was learned."""
        text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
        write_atomically(self.path / "summary.json", lambda file: file.write(text.encode()))
