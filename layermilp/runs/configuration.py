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
from layermilp.files import write_json
from layermilp.method import Method
from layermilp.networks.files import DAMAGE
from layermilp.options import Options
from layermilp.runs.methods import METHODS
from layermilp.version import __version__

FILE = "run.json"
"""Its name in the directory of the run."""


@dataclass(frozen=True, eq=False)
class Configuration:
    """What a run was asked for: the method with its options, the options of the run by name, and
    where the data are, None for arrays, which have no name."""

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
        write_json(directory / FILE, content)

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
            source = content["data"]
            return cls(
                METHODS[content["method"]](**_unplain(content["options"])),
                run_options(**_unplain(content["run"])).values(),
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
        name: {"pairs": list(value.items())} if isinstance(value, Mapping) else value
        for name, value in values.items()
    }


def _unplain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they were before `_plain`; lists become tuples where options are made."""
    return {
        name: dict(value["pairs"]) if isinstance(value, dict) else value
        for name, value in values.items()
    }
