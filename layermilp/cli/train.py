"""The command ``train``: a run of any method, new or resumed."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from layermilp.cli.arguments import options_of
from layermilp.cli.parser import Parser
from layermilp.datasets.source import DataSource
from layermilp.errors import OptionError, SharedSamplesWarning
from layermilp.runs.methods import METHODS
from layermilp.runs.progress import Progress
from layermilp.runs.run import Run, RunOptions

NO_ANSWER = 1
"""Exit code where there is no such network, or none was found."""

INTERRUPTED = 130


def train(arguments: argparse.Namespace) -> int:
    """Train, or go on with the run of a directory, to the end, and print what was learned."""
    progress = Progress(quiet=arguments.quiet, verbose=arguments.verbose)
    if arguments.resume is not None:
        run = _resumed(arguments.argv, progress)
    else:
        method = options_of(arguments, METHODS[arguments.method])
        source = options_of(arguments, DataSource)
        options = options_of(arguments, RunOptions).values()
        run = Run(method, source, arguments.out, [progress], **options)
    limits = (run.method.seconds_limit, run.max_seconds)
    progress.limit = min((each for each in limits if each is not None), default=None)
    with progress, warnings.catch_warnings(action="ignore", category=SharedSamplesWarning):
        run.follow()  # whose progress and report say what the warning says
    if not run.states:
        why = "its time was over" if run.is_out_of_time else "interrupted"
        print(f"layermilp: {why} before anything was learned", file=sys.stderr)
        return NO_ANSWER if run.is_out_of_time else INTERRUPTED
    print(run.report())
    if not run.is_over and not run.is_out_of_time:
        return INTERRUPTED
    return NO_ANSWER if run.model is None else 0


def _resumed(argv: Sequence[str], progress: Progress) -> Run:
    """Return the run that ``train --resume DIR`` goes on with, by its own options; refuse options
    beside it that decide anything."""
    peek = Parser(prog="layermilp train", add_help=False, allow_abbrev=False)
    peek.add_argument("--resume", required=True)
    peek.add_argument("--jobs", type=int)
    peek.add_argument("--max-seconds", type=float)
    for word in ("--quiet", "--verbose"):
        peek.add_argument(word, action="store_true")
    given, others = peek.parse_known_args(list(argv[1:]))
    if others:
        raise OptionError(
            f"--resume goes on with the options of its run, so {others[0]} cannot be given beside "
            "it"
        )
    return Run.resume(given.resume, [progress], n_jobs=given.jobs, max_seconds=given.max_seconds)
