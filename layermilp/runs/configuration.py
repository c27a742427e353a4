"""What a run was asked for, as ``run.json`` of its directory: the options themselves, so that no
command line is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layermilp.datasets.source import DataSource
from layermilp.errors import LayermilpError, ModelFileError
from layermilp.files import write_atomically
from layermilp.method import Method
from layermilp.networks.files import DAMAGE
from layermilp.options import Options, described
from layermilp.runs.methods import METHODS
from layermilp.version import __version__

FILE = "run.json"
"""Its name in the directory of the run."""


@dataclass(frozen=True, eq=False)
class Configuration:
    """What a run was asked for.

    Parameters
    ----------
    method : Method
        The method with its options.
    run : dict
        The options of the run by name.
    source : DataSource or None
        Where the data are; None for arrays, which have no name.
    """

    method: Method
    run: dict[str, Any]
    source: DataSource | None

    def write(self, directory: Path) -> None:
        """Write it, atomically."""
        content = {
            "method": self.method.name,
            "options": _plain(self.method.values()),
            "run": _plain(self.run),
            "data": None if self.source is None else self.source.values(),
            "layermilp_version": __version__,
        }
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        write_atomically(directory / FILE, lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, directory: str | Path, run_options: type[Options]) -> Configuration:
        """Read that of a directory.

        Raises
        ------
        ModelFileError
            If the directory is not that of a run, or the file is damaged.
        """
        file = Path(directory) / FILE
        try:
            content = json.loads(file.read_text())
            method = METHODS[content["method"]]
            source = content["data"]
            return cls(
                method(**_typed(method, content["options"])),
                _typed(run_options, content["run"]),
                None if source is None else DataSource(**source),
            )
        except FileNotFoundError as error:
            raise ModelFileError(
                f"{directory} is not the directory of a run: there is no {file}"
            ) from error
        except (OSError, LayermilpError, *DAMAGE) as error:
            raise ModelFileError(f"{file} is damaged: {str(error)[:200]}") from error


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON has them; a mapping becomes its pairs, since its keys may be
    numbers."""
    return {
        name: {"pairs": [list(pair) for pair in value.items()]}
        if isinstance(value, Mapping)
        else value
        for name, value in values.items()
    }


def _typed(options: type[Options], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as their class has them."""
    kinds = {each.name: each.kind for each in described(options)}
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            value = dict(value["pairs"])
        found[name] = tuple(value) if kinds[name] is tuple else value
    return found
