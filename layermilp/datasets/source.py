"""Where data come from, as options: what a run writes down, so that they are found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from layermilp.datasets.dataset import Dataset
from layermilp.datasets.loading import NAMES, load
from layermilp.options import Options, option


@dataclass(kw_only=True)
class DataSource(Options):
    """A data set by its name or path; see `layermilp.datasets.load`."""

    data: str = option(
        "auto",
        "mnist, adult, digits, auto (mnist if it can be had, else digits), a .csv or .npz file, or "
        "a folder of IDX files",
        metavar="DATA",
    )
    data_dir: str | None = option(
        None,
        "directory of the files of mnist or adult (default: $LAYERMILP_DATA, else a cache that is "
        "filled by download)",
        metavar="DIR",
    )
    label_column: str = option("label", "label column of a .csv file", metavar="NAME")

    def load(self, n_inputs: int | None, report: Callable[[str], None]) -> Dataset:
        """Load the data; arguments and errors as for `layermilp.datasets.load`."""
        return load(
            self.data,
            n_inputs=n_inputs,
            data_dir=self.data_dir,
            label_column=self.label_column,
            report=report,
        )

    def resolved(self, data: Dataset) -> DataSource:
        """Return the source under names that hold from any directory, for the data it has
        given."""
        named = self.data
        if named == "auto":
            named = "mnist" if data.name == "mnist" else "digits"
        elif named not in NAMES:
            named = _absolute(named)
        directory = None if self.data_dir is None else _absolute(self.data_dir)
        return replace(self, data=named, data_dir=directory)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())
