"""The commands ``solvers`` and ``data``: what programs are solved with, and what they are made
from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from layermilp import datasets
from layermilp.checks import shortened
from layermilp.cli.arguments import options_of
from layermilp.datasets import Dataset
from layermilp.datasets.source import DataSource
from layermilp.errors import DataError, OptionError
from layermilp.solvers import SOLVERS, available


def solvers(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """List the solvers."""
    installed = available()
    for name, solver in SOLVERS.items():
        if name in installed:
            print(f"{name:6}  {solver.title} {solver.version()}")
        else:
            print(f"{name:6}  not installed (needs {', '.join(solver.modules)})")
    return 0


def data(arguments: argparse.Namespace) -> int:
    """List the data sets, or load one and say what it holds."""
    if arguments.name is None:
        for name, status, where in datasets.catalogue(arguments.data_dir):
            print(f"{name:8}{status:14}{where}")
        return 0
    arguments.data = arguments.name
    found = load(arguments, None)
    n_test = 0 if found.X_test is None else len(found.X_test)
    print(found.source)
    print(
        f"{len(found.X_train):,} training and {n_test:,} test samples, {found.n_inputs} inputs, "
        f"{found.n_classes} classes"
    )
    return 0


def load(arguments: argparse.Namespace, n_inputs: int | None) -> Dataset:
    """Load the data that the arguments name."""
    return options_of(arguments, DataSource).load(n_inputs, to_stderr)


def load_again(
    arguments: argparse.Namespace, summary: Mapping[str, Any], n_inputs: int | None
) -> Dataset:
    """Load the data of a run by its summary; what the arguments name wins."""
    kept = summary.get("data_options")
    known = kept if isinstance(kept, dict) else {"data": summary.get("data")}
    default = DataSource().values() | {"data": None}
    named: dict[str, Any] = {
        name: getattr(arguments, name, None) or known.get(name, value)
        for name, value in default.items()
    }
    try:
        source = DataSource(**named)
    except OptionError as error:
        raise DataError(
            f"the summary names no data but {shortened(named)}; name them with --data"
        ) from error
    return source.load(n_inputs, to_stderr)


def to_stderr(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr)
