"""The commands ``solvers`` and ``data``: what programs are solved with, and what they are made
from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layermilp import datasets
from layermilp.datasets import Dataset
from layermilp.errors import DataError, OptionError
from layermilp.program import IntArray
from layermilp.solvers import SOLVERS, available


def solvers(arguments: argparse.Namespace) -> int:
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
    found = load(arguments, None, to_stderr)
    n_test = 0 if found.X_test is None else len(found.X_test)
    print(
        f"{found.source}\n{len(found.X_train):,} training and {n_test:,} test samples, "
        f"{found.n_inputs} inputs, "
        f"{found.n_classes} classes"
    )
    return 0


def load(
    arguments: argparse.Namespace, n_inputs: int | None, report: Callable[[str], None]
) -> Dataset:
    """Load the data that the arguments name."""
    return datasets.load(
        arguments.data,
        n_inputs=n_inputs,
        data_dir=arguments.data_dir,
        label_column=arguments.label_column,
        report=report,
    )


def origin(arguments: argparse.Namespace, data: Dataset) -> dict[str, Any]:
    """Return what a summary says of the data: name and source for people, and what `load_again`
    finds them by."""
    named = arguments.data
    if named == "auto":
        named = "mnist" if data.name == "mnist" else "digits"
    elif named not in datasets.NAMES:
        named = str(Path(named).expanduser().resolve())
    directory = (
        None if arguments.data_dir is None else str(Path(arguments.data_dir).expanduser().resolve())
    )
    found = {"data": named, "data_dir": directory, "label_column": arguments.label_column}
    return {"data": data.name, "data_source": data.source, "data_options": found}


def load_again(
    arguments: argparse.Namespace,
    summary: Mapping[str, Any],
    n_inputs: int | None,
    report: Callable[[str], None],
) -> Dataset:
    """Load the data of a run by its summary; what the arguments name wins."""
    kept = summary.get("data_options")
    found = {"data": summary.get("data"), "data_dir": None, "label_column": "label"} | (
        kept if isinstance(kept, dict) else {}
    )
    named = {
        name: getattr(arguments, name) or found[name]
        for name in ("data", "data_dir", "label_column")
    }
    if not all(value is None or isinstance(value, str) for value in named.values()):
        raise DataError(f"the summary names no data but {named}; name them with --data")
    return load(argparse.Namespace(**named), n_inputs, report)


def chosen_samples(data: Dataset, count: int | None, seed: int) -> IntArray:
    """Return the training samples that are used: all, or as many drawn by the seed.

    Raises
    ------
    OptionError
        If there are not so many.
    """
    n = len(data.X_train)
    if count is None:
        return np.arange(n)
    if not 1 <= count <= n:
        raise OptionError(f"samples is {count}; {data.name} has {n:,} training samples")
    return np.random.default_rng(seed).choice(n, count, replace=False)


def labelled(data: Dataset) -> tuple[Any, ...]:
    """Return samples and labels, of the training part and of the test part where there is one."""
    if data.X_test is None or data.y_test is None:
        return data.X_train, data.classes[data.y_train]
    return data.X_train, data.classes[data.y_train], data.X_test, data.classes[data.y_test]


def to_stderr(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr)
