"""The command line. Every subcommand only translates arguments into library calls and prints what comes back."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from layermilp import datasets
from layermilp.datasets import Dataset
from layermilp.errors import LayermilpError, NetworkError
from layermilp.files import write_atomically
from layermilp.formulations.neuron import FORMULATIONS
from layermilp.layerwise.solve import TIE_BREAKS, Setup
from layermilp.layerwise.trainer import (
    DEFAULT_NODE_LIMIT,
    DEFAULT_TARGET_GAP,
    POSTPROCESS,
    Settings,
    State,
    TrainingData,
    training,
)
from layermilp.network import INITIALIZERS, Network
from layermilp.parallel import Workers
from layermilp.program import Limits
from layermilp.progress import Progress
from layermilp.runs import RunDirectory
from layermilp.solvers import SOLVERS, Option, available
from layermilp.version import __version__

USAGE_ERROR, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 2 for a refused input, 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except LayermilpError as error:
        print(f"layermilp: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR
    except MemoryError as error:
        print(f"layermilp: not enough memory: {error}; use a smaller net or batch", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("layermilp: interrupted", file=sys.stderr)
        return INTERRUPTED


def train(arguments: argparse.Namespace) -> int:
    """Train a network and write what was learned."""
    limits = Limits(arguments.time_limit, arguments.gap, arguments.node_limit)
    setup = Setup(
        formulation=arguments.formulation,
        solver=arguments.solver,
        limits=limits,
        options=dict(arguments.solver_option),
        tie_break=arguments.tie_break,
        target_gap=arguments.target_gap,
    )
    settings = Settings(
        batches=arguments.batches,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        setup=setup,
        max_sweeps=arguments.max_sweeps,
        box=arguments.box,
        trust_factor=arguments.trust_factor,
        trust_offset=arguments.trust_offset,
        postprocess=arguments.postprocess,
        tolerance=arguments.tolerance,
    )
    network = Network.from_notation(arguments.net, init=arguments.init, seed=arguments.seed)
    workers = Workers(arguments.jobs)
    directory = RunDirectory(arguments.out) if arguments.out is not None else None
    with Progress(settings.batches, quiet=arguments.quiet, verbose=arguments.verbose) as progress:
        data = _load(arguments, network.n_inputs, progress.note)
        progress.note(f"data: {data.source}")
        network = network.with_classes(_classes(network, data))
        checked = TrainingData.of(network, *_labelled(data))
        run = _Run(arguments, settings, data, network, directory)
        interrupted = run.follow(checked, workers, progress)
    if run.state is None:
        print("layermilp: interrupted before anything was learned", file=sys.stderr)
        return INTERRUPTED
    run.write(interrupted)
    print(run.report(interrupted))
    return INTERRUPTED if interrupted else 0


class _Run:
    """A training run from the command line: its state, and what is written of it."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        data: Dataset,
        network: Network,
        directory: RunDirectory | None,
    ) -> None:
        self.arguments, self.settings, self.data = arguments, settings, data
        self.network, self.directory = network, directory
        self.state: State | None = None
        self.began = time.perf_counter()

    def follow(self, data: TrainingData, workers: Workers, progress: Progress) -> bool:
        """Train to the end or until interrupted; return whether it was."""
        handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with workers:
                for state in training(self.network, data, self.settings, workers, progress.on_step):
                    self.state = state
                    progress.on_state(state)
                    if state.batch_ended and state.batch < self.settings.batches:
                        self.write(interrupted=True)
        except KeyboardInterrupt:
            return True
        finally:
            signal.signal(signal.SIGTERM, handler)
        return False

    def write(self, interrupted: bool) -> None:
        """Write what was learned so far, if there is a directory for it."""
        if self.directory is not None and self.state is not None:
            self.directory.write(self.state.network, self.state.records, self.summary(interrupted))

    def summary(self, interrupted: bool) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        assert self.state is not None
        state, settings, limits = self.state, self.settings, self.settings.setup.limits
        calls = dict(sorted(state.tally.solver_calls.items()))
        return {
            "data": self.data.name,
            "data_source": self.data.source,
            "net": state.network.notation,
            "init": self.arguments.init,
            "seed": settings.seed,
            "solver": settings.setup.solver,
            "solver_version": ", ".join(f"{SOLVERS[name].title} {SOLVERS[name].version()}" for name in calls),
            "solver_calls": calls,
            "formulation": settings.setup.formulation,
            "tie_break": settings.setup.tie_break,
            "gap": limits.gap,
            "target_gap": settings.setup.target_gap,
            "node_limit": limits.node_limit,
            "time_limit": limits.time_limit,
            "postprocess": settings.postprocess,
            "batches": settings.batches,
            "batch_size": settings.batch_size,
            "batches_done": state.batch if state.batch_ended else state.batch - 1,
            "interrupted": interrupted,
            "sweeps": len(state.records),
            "batch_accuracy": state.batch_accuracy,
            "seen_accuracy": state.seen_accuracy,
            "train_accuracy": state.network.accuracy(self.data.X_train, self.data.classes[self.data.y_train]),
            "test_accuracy": state.test_accuracy,
            "wall_seconds": round(time.perf_counter() - self.began, 3),
            "programs_solved": state.tally.programs,
            "programs_optimal": state.tally.optimal,
            "programs_at_limit": state.tally.at_limit,
            "programs_failed": state.tally.failed,
            "largest_gap": state.tally.largest_gap,
            "layermilp_version": __version__,
        }

    def report(self, interrupted: bool) -> str:
        """Return what is printed at the end."""
        summary = self.summary(interrupted)
        test = "none" if summary["test_accuracy"] is None else f"{summary['test_accuracy']:.4f}"
        calls = ", ".join(f"{name} {count:,}" for name, count in summary["solver_calls"].items()) or "none"
        lines = [
            f"net             {summary['net']} on {summary['data']}",
            f"train accuracy  {summary['train_accuracy']:.4f} (last batch {summary['batch_accuracy']:.4f}, "
            f"all images seen {summary['seen_accuracy']:.4f})",
            f"test accuracy   {test}",
            f"programs        {summary['programs_solved']:,} solved: {summary['programs_optimal']:,} optimal within the gap, "
            f"{summary['programs_at_limit']:,} at a limit, largest gap {summary['largest_gap']:.2g}"
            + (f", {summary['programs_failed']:,} failed" if summary["programs_failed"] else ""),
            f"solver calls    {calls}",
            f"wall time       {summary['wall_seconds']:.1f} s, {summary['sweeps']} sweeps in {summary['batches_done']} batches",
        ]
        if self.settings.setup.limits.time_limit is not None and summary["programs_at_limit"]:
            lines.append("repeatable      not for certain: programs were stopped, and a time limit was set")
        if self.directory is not None:
            lines.append(f"written         {self.directory.path}/: model.npz, history.jsonl, summary.json")
        if interrupted:
            lines.append("interrupted: these are the best weights so far")
        return "\n".join(lines)


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the accuracy of a saved network."""
    network = Network.load(arguments.model)
    data = _load(arguments, network.n_inputs, lambda text: print(text, file=sys.stderr))
    parts = {"train": (data.X_train, data.y_train), "test": (data.X_test, data.y_test)}
    result: dict[str, Any] = {"model": str(arguments.model), "net": network.notation, "data": data.name}
    for name, (X, y) in parts.items():
        accuracy = None
        if X is not None and y is not None:
            labels = data.classes[y]
            network.class_indices(labels)
            accuracy = network.accuracy(X, labels)
        result[f"{name}_accuracy"] = accuracy
    if arguments.json:
        print(json.dumps(result))
        return 0
    print(f"{network.notation} on {data.source}")
    for name, (X, _) in parts.items():
        if X is not None:
            print(f"{name} accuracy  {result[f'{name}_accuracy']:.4f} ({len(X):,} samples)")
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Print one predicted label per sample."""
    network = Network.load(arguments.model)
    samples = datasets.load_samples(arguments.samples, label_column=arguments.label_column)
    text = "".join(f"{label}\n" for label in network.predict(samples))
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(Path(arguments.out), lambda file: file.write(text.encode()))
    return 0


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
    found = _load(arguments, None, lambda text: print(text, file=sys.stderr))
    n_test = 0 if found.X_test is None else len(found.X_test)
    print(
        f"{found.source}\n{len(found.X_train):,} training and {n_test:,} test samples, {found.n_inputs} inputs, "
        f"{found.n_classes} classes"
    )
    return 0


def _load(arguments: argparse.Namespace, n_inputs: int | None, report: Callable[[str], None]) -> Dataset:
    return datasets.load(
        arguments.data,
        n_inputs=n_inputs,
        data_dir=arguments.data_dir,
        label_column=arguments.label_column,
        report=report,
    )


def _labelled(data: Dataset) -> tuple[Any, ...]:
    """Return samples and labels, of the training part and of the test part where there is one."""
    if data.X_test is None or data.y_test is None:
        return data.X_train, data.classes[data.y_train]
    return data.X_train, data.classes[data.y_train], data.X_test, data.classes[data.y_test]


def _classes(network: Network, data: Dataset) -> Any:
    """Return the labels of the network's outputs: 0, 1, ... where that holds all labels of the data, else these."""
    numbers = np.arange(network.n_outputs)
    if data.classes.dtype.kind in "iu" and np.isin(data.classes, numbers).all():
        return numbers
    if len(data.classes) != network.n_outputs:
        raise NetworkError(
            f"the net {network.notation} has {network.n_outputs} outputs, but {data.name} has {len(data.classes)} classes; "
            f"end --net with {len(data.classes)}"
        )
    return data.classes


class _Parser(argparse.ArgumentParser):
    """Parser that refuses with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"layermilp: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="layermilp", description="Train neural networks with linear and mixed-integer programs.")
    parser.add_argument("--version", action="version", version=f"layermilp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for command, summary, add in (
        (train, "train a network", _add_train),
        (evaluate, "print the accuracy of a saved network", _add_evaluate),
        (predict, "predict labels with a saved network", _add_predict),
        (solvers, "list the solvers", lambda sub: None),
        (data, "list data sets, or show one", _add_data_command),
    ):
        sub = commands.add_parser(
            command.__name__, help=summary, description=summary.capitalize() + ".", formatter_class=_Formatter
        )
        add(sub)
        sub.set_defaults(command=command)
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help with defaults, except where there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        default="auto",
        metavar="DATA",
        help="mnist, digits, auto (mnist if it can be had, else digits), a .csv or .npz file, or a directory of IDX files",
    )
    _add_source(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="directory of MNIST's four IDX files (default: $LAYERMILP_DATA, else a cache that is filled by download)",
    )
    parser.add_argument("--label-column", default="label", metavar="NAME", help="label column of a .csv file")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--net", default="784-8-8-8-10", metavar="SIZES", help="layer sizes: inputs, hidden, outputs")
    parser.add_argument("--batches", type=int, default=20, metavar="N", help="number of batches")
    parser.add_argument("--batch-size", type=int, default=100, metavar="N", help="samples per batch")
    _add_data(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights, reshuffling and solvers")
    parser.add_argument("--init", default="he", metavar="RULE", help=f"initial weights: {', '.join(INITIALIZERS)}")
    parser.add_argument("--solver", default="auto", metavar="NAME", help=f"auto, {', '.join(SOLVERS)}")
    parser.add_argument(
        "--formulation", default="reduced", metavar="NAME", help=f"weight program: {', '.join(FORMULATIONS)}"
    )
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="limit per program (not repeatable)")
    parser.add_argument(
        "--target-gap",
        type=float,
        default=DEFAULT_TARGET_GAP,
        metavar="SHARE",
        help="a program is solved within this share of the sum of its targets",
    )
    parser.add_argument(
        "--gap", type=float, metavar="GAP", help="a program is also solved within this gap relative to its objective"
    )
    parser.add_argument(
        "--node-limit", type=int, default=DEFAULT_NODE_LIMIT, metavar="N", help="branch-and-bound nodes per program"
    )
    parser.add_argument(
        "--solver-option",
        type=_solver_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the solver itself, by its own name (repeatable)",
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="worker processes, -1 for one per core")
    parser.add_argument("--max-sweeps", type=int, default=20, metavar="N", help="most sweeps per batch")
    parser.add_argument("--box", type=float, default=1.0, metavar="B", help="weights stay in [-B, B]")
    parser.add_argument("--trust-factor", type=float, default=0.6, metavar="F", help="factor of the bounds (10)")
    parser.add_argument("--trust-offset", type=float, default=0.01, metavar="A", help="offset of the bounds (10)")
    parser.add_argument(
        "--postprocess", default="end", metavar="WHEN", help=f"last layer's LP with slack: {', '.join(POSTPROCESS)}"
    )
    parser.add_argument("--tolerance", type=float, default=0.49, metavar="S", help="slack of the post-processing")
    parser.add_argument("--tie-break", default="nearest", metavar="RULE", help=f"which optimum: {', '.join(TIE_BREAKS)}")
    parser.add_argument("--out", metavar="DIR", help="directory for model.npz, history.jsonl and summary.json")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="print nothing but the result")
    loudness.add_argument("--verbose", action="store_true", help="a line per sweep")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    _add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    parser.add_argument("samples", help=".csv (label column ignored) or .npz (array X)")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="column of a .csv that holds no input")
    parser.add_argument("--out", metavar="FILE", help="write the labels here instead of printing them")


def _add_data_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="what to load and describe; mnist is downloaded if it is not at hand")
    _add_source(parser)


def _solver_option(text: str) -> tuple[str, Option]:
    """Parse ``NAME=VALUE``; the value is a JSON number, true or false where it is one, else text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = value
    if not isinstance(parsed, (bool, int, float, str)):
        raise argparse.ArgumentTypeError(f"{text!r} has no single value")
    return name, parsed
