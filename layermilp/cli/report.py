"""The command ``report``: a page on runs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from layermilp.cli.sources import load_again, to_stderr
from layermilp.errors import DataError, LayermilpError
from layermilp.networks.files import damage
from layermilp.report import Judged, Reported, write_report
from layermilp.report.reported import names_of


def report(arguments: argparse.Namespace) -> int:
    """Write the page and the figures, and say where they are."""
    named = zip(arguments.runs, names_of(arguments.runs), strict=True)
    runs = [_judged(Reported.read(path, name), arguments) for path, name in named]
    default = Path(arguments.runs[0], "report") if len(runs) == 1 else Path("report")
    with damage(f"a history or summary of {', '.join(arguments.runs)}", LayermilpError):
        page = write_report(runs, default if arguments.out is None else arguments.out)
    print(f"written         {page}")
    return 0


def _judged(run: Reported, arguments: argparse.Namespace) -> Reported:
    """Return the run with its model judged by its data; without them the page says so."""
    if run.model is None:
        return run
    try:
        data = load_again(arguments, run.summary, run.model.n_inputs)
        return replace(run, judged=Judged.of(run.model, data))
    except DataError as error:
        to_stderr(f"{run.name}: {error}; its page shows no predictions")
        why = f"its data were not to be had, so no predictions are shown: {error}"
        return replace(run, note=why)
