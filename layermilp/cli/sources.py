"""The commands ``solvers`` and ``data``: what programs are solved with, and what they are made from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from layermilp import datasets
from layermilp.datasets import Dataset
from layermilp.errors import OptionError
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
        f"{found.source}\n{len(found.X_train):,} training and {n_test:,} test samples, {found.n_inputs} inputs, "
        f"{found.n_classes} classes"
    )
    return 0


def load(arguments: argparse.Namespace, n_inputs: int | None, report: Callable[[str], None]) -> Dataset:
    """Load the data that the arguments name."""
    return datasets.load(
        arguments.data,
        n_inputs=n_inputs,
        data_dir=arguments.data_dir,
        label_column=arguments.label_column,
        report=report,
    )


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
