"""The parser of the command line: one function per group of options, each with its help."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.tie_break import TIE_BREAKS
from layermilp.errors import OptionError
from layermilp.exchange import FORMATS
from layermilp.exchange.networks import DTYPES
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.hybrid import trainer as hybrid
from layermilp.hybrid.sklearn_models import OPTIMIZERS
from layermilp.integer import trainer as integer
from layermilp.integer.losses import OBJECTIVES as SIGN_OBJECTIVES
from layermilp.layerwise.objective import OBJECTIVES
from layermilp.layerwise.options import (
    DEFAULT_NODE_LIMIT,
    DEFAULT_TARGET_GAP,
    POSTPROCESS,
    PRESETS,
    Settings,
    preset,
)
from layermilp.layerwise.programs import Selection
from layermilp.networks.initialization import INITIALIZERS
from layermilp.networks.network import DECISIONS
from layermilp.parallel import BACKENDS
from layermilp.runs.directory import command_of
from layermilp.smt import trainer as smt
from layermilp.solvers import SOLVERS, Option
from layermilp.version import __version__

USAGE_ERROR = 2

Command = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """Parser that refuses with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"layermilp: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help with defaults, except where there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return (
            action.help if action.default in (None, False, []) else super()._get_help_string(action)
        )


def parse(
    commands: Mapping[str, tuple[Command, str]], argv: Sequence[str] | None
) -> argparse.Namespace:
    """Parse a command line for commands by name, each with its function and summary.

    Options that are given win over those of a preset, and those over the defaults.

    Raises
    ------
    OptionError
        If a preset is unknown.
    """
    method = _method(argv)
    arguments = _parser(commands, method, {}).parse_args(argv)
    name = getattr(arguments, "preset", None)
    if name is None:
        return arguments
    chosen = preset(name)
    return _parser(commands, method, {"init": chosen.init, **chosen.options}).parse_args(argv)


def resumed(argv: Sequence[str]) -> list[str] | None:
    """Return the command of the run that ``train --resume DIR`` goes on with, as it was given; None
    for other commands.

    Raises
    ------
    OptionError
        If there are options beside it that decide anything.
    ModelFileError
        If the directory is not that of a run.
    """
    if (
        not argv
        or argv[0] != "train"
        or not any(word == "--resume" or word.startswith("--resume=") for word in argv)
    ):
        return None
    peek = Parser(prog="layermilp train", add_help=False, allow_abbrev=False)
    peek.add_argument("--resume", required=True)
    peek.add_argument("--jobs")
    for word in ("--quiet", "--verbose"):
        peek.add_argument(word, action="store_true")
    given, others = peek.parse_known_args(list(argv[1:]))
    if others:
        raise OptionError(
            f"--resume goes on with the options of its run, so {others[0]} cannot be given beside "
            "it"
        )
    command = [*command_of(given.resume), "--out", given.resume]
    command += ["--jobs", given.jobs] if given.jobs is not None else []
    return command + [word for word in ("--quiet", "--verbose") if getattr(given, word[2:])]


def _method(argv: Sequence[str] | None) -> str:
    """Return the value of ``--method``, which decides the options of ``train``."""
    peek = Parser(prog="layermilp", add_help=False, allow_abbrev=False)
    peek.add_argument("--method", default=DEFAULT_METHOD)
    method: str = peek.parse_known_args(argv)[0].method
    if method not in METHODS:
        raise OptionError(f"method {method!r} is unknown; choose {', '.join(METHODS)}")
    return method


def _parser(
    commands: Mapping[str, tuple[Command, str]], method: str, train_defaults: Mapping[str, Any]
) -> Parser:
    parser = Parser(
        prog="layermilp",
        description="Train neural networks with linear and mixed-integer programs.",
    )
    parser.add_argument("--version", action="version", version=f"layermilp {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, (command, summary) in commands.items():
        sub = subparsers.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=Formatter,
        )
        if name in TRAINING:
            TRAINING[name](sub, method)
        else:
            ADDERS[name](sub)
        sub.set_defaults(command=command, **(train_defaults if name in TRAINING else {}))
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        default="auto",
        metavar="DATA",
        help=(
            "mnist, adult, digits, auto (mnist if it can be had, else digits), a .csv or .npz "
            "file, or a folder of IDX files"
        ),
    )
    _add_source(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help=(
            "directory of the files of mnist or adult (default: $LAYERMILP_DATA, else a cache "
            "that is filled by download)"
        ),
    )
    parser.add_argument(
        "--label-column", default="label", metavar="NAME", help="label column of a .csv file"
    )


def _add_train(parser: argparse.ArgumentParser, method: str) -> None:
    _add_training(parser, method)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="directory for model.npz, history.jsonl, summary.json and checkpoints",
    )
    parser.add_argument(
        "--resume", metavar="DIR", help="go on with the run of this directory, by its own options"
    )


def _add_dump_programs(parser: argparse.ArgumentParser, method: str) -> None:
    add, defaults = parser.add_argument, Selection
    add(
        "--out",
        required=True,
        metavar="DIR",
        help="new directory for the files and programs.json, which says what they are",
    )
    add("--format", default="mps", metavar="NAME", help="of the files: mps or lp")
    if method == DEFAULT_METHOD:
        add("--batch", type=int, default=defaults.batch, metavar="N", help="train up to this batch")
        add(
            "--sweep",
            type=int,
            default=defaults.sweep,
            metavar="N",
            help="and this sweep of it, whose programs are written",
        )
        kinds = ",".join(defaults.kinds)
        add(
            "--kind",
            type=_names,
            default=kinds,
            metavar="NAME[,NAME]",
            help="what the programs are for",
        )
        add("--layer", type=int, metavar="N", help="programs of this layer only")
        samples = "first samples of the batch whose input proposals are written"
        add("--input-samples", type=int, default=defaults.input_samples, metavar="N", help=samples)
    if method == "hybrid":
        add(
            "--round",
            type=int,
            default=1,
            metavar="N",
            help="train up to the solver's turn of this round",
        )
    _add_training(parser, method)


def _add_training(parser: argparse.ArgumentParser, method: str) -> None:
    command = parser.prog.rpartition(" ")[2]
    parser.add_argument(
        "--method",
        default=method,
        metavar="NAME",
        help=(
            f"{', '.join(METHODS)}; each has options of its own: `layermilp {command} --method "
            "NAME --help`"
        ),
    )
    METHODS[method](parser)
    _add_data(parser)
    if method not in ALONE:
        _add_workers(parser)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="print nothing but the result")
    loudness.add_argument("--verbose", action="store_true", help="more lines on the way")


def _add_layerwise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--net",
        default="784-8-8-8-10",
        metavar="LAYERS",
        help=(
            "inputs and layers: 784-8-8-8-10, or 28x28-mean4-conv3-10 with means of 4 x 4 regions "
            "and a 3 x 3 kernel"
        ),
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"options of a publication as defaults: {', '.join(PRESETS)}",
    )
    _add_sweeps(parser)
    _add_solving(parser)
    _add_last_layer(parser)
    parser.add_argument(
        "--committee",
        type=int,
        default=1,
        metavar="N",
        help="members, each on images and a seed of its own",
    )


def _add_integer(parser: argparse.ArgumentParser) -> None:
    add, defaults = parser.add_argument, integer.Settings
    add(
        "--hidden",
        type=_layers,
        default=defaults.hidden,
        metavar="N[-N...]",
        help="neurons of the hidden layers",
    )
    add(
        "--bound",
        type=int,
        default=defaults.bound,
        metavar="P",
        help="weights are whole numbers from -P to P",
    )
    add(
        "--objective",
        default=defaults.objective,
        metavar="NAME",
        help=f"what is optimized: {', '.join(SIGN_OBJECTIVES)}",
    )
    add(
        "--start",
        default=defaults.start,
        metavar="NAME",
        help=f"where the search begins: {', '.join(integer.STARTS)}",
    )
    add(
        "--neurons",
        default=defaults.neurons,
        metavar="NAME",
        help=f"how many of them: {', '.join(integer.NEURONS)}",
    )
    add(
        "--samples",
        type=int,
        metavar="N",
        help="training samples, drawn by the seed (default: all)",
    )
    add(
        "--stop-accuracy",
        type=float,
        default=defaults.stop_accuracy,
        metavar="SHARE",
        help=(
            "accuracy on the training samples above which the search ends; 1 asks for the best "
            "objective"
        ),
    )
    add(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="seed of samples, order and solvers",
    )
    add("--solver", default=defaults.solver, metavar="NAME", help=f"auto, {', '.join(SOLVERS)}")
    add(
        "--node-limit",
        type=int,
        default=defaults.node_limit,
        metavar="N",
        help="branch-and-bound nodes per program",
    )
    add(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="limit of the whole run (not repeatable)",
    )
    add(
        "--batch-size",
        type=int,
        metavar="N",
        help="train in batches of about so many samples (default: all at once)",
    )
    add("--epochs", type=int, default=defaults.epochs, metavar="N", help="passes over the batches")
    add(
        "--prove",
        action="store_true",
        help="look for a bound of the objective afterwards, which may take minutes",
    )


def _add_hybrid(parser: argparse.ArgumentParser) -> None:
    add, defaults = parser.add_argument, hybrid.Settings
    add(
        "--hidden",
        type=_layers,
        default=(64,),
        metavar="N[-N...]",
        help="neurons of the hidden layers",
    )
    add(
        "--samples",
        type=int,
        metavar="N",
        help="training samples, drawn by the seed (default: all)",
    )
    add(
        "--rounds",
        type=int,
        default=defaults.rounds,
        metavar="N",
        help="turns of gradient descent and solver",
    )
    add(
        "--epochs",
        type=int,
        default=defaults.epochs,
        metavar="N",
        help="most epochs of gradient descent in a turn",
    )
    add(
        "--patience",
        type=int,
        default=defaults.patience,
        metavar="N",
        help="epochs without lower validation loss that end it",
    )
    add(
        "--desired-loss",
        type=float,
        default=defaults.desired_loss,
        metavar="L",
        help="validation loss that ends training",
    )
    add(
        "--optimizer",
        default="adam",
        metavar="NAME",
        help=f"of gradient descent: {', '.join(OPTIMIZERS)}",
    )
    add("--learning-rate", type=float, default=0.001, metavar="R", help="its step")
    add("--batch-size", type=int, default=32, metavar="N", help="samples of a step")
    add(
        "--solver-samples",
        type=int,
        default=defaults.solver_samples,
        metavar="N",
        help="wrong samples given to the solver",
    )
    add(
        "--keep",
        type=int,
        default=defaults.keep,
        metavar="N",
        help="right samples given to it, to stay right",
    )
    add(
        "--radius",
        type=float,
        default=defaults.radius,
        metavar="R",
        help="half interval, in root mean squares of the weights",
    )
    add(
        "--epsilon",
        type=float,
        default=defaults.epsilon,
        metavar="E",
        help="lead over its rivals that makes a sample right",
    )
    add(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="seed of weights, order and samples",
    )
    add("--solver", default=defaults.solver, metavar="NAME", help=f"auto, {', '.join(SOLVERS)}")
    add(
        "--exact",
        action="store_true",
        help="go on from the descent to the optimum of the mixed-integer program",
    )
    add(
        "--node-limit",
        type=int,
        metavar="N",
        help="branch-and-bound nodes per program (with --exact)",
    )
    add("--time-limit", type=float, metavar="SECONDS", help="limit per program (not repeatable)")


def _add_smt(parser: argparse.ArgumentParser) -> None:
    add, defaults = parser.add_argument, smt.Settings
    add(
        "--net",
        metavar="LAYERS",
        help="inputs and layers: 64-8-10 (default: 8 hidden neurons between what the data have)",
    )
    add(
        "--samples",
        type=int,
        metavar="N",
        help="training samples, drawn by the seed (default: all)",
    )
    add("--bound", type=float, metavar="B", help="weights and biases lie in [-B, B]")
    add("--grid", type=float, metavar="STEP", help="and are multiples of this")
    add(
        "--stages",
        type=_names,
        default=",".join(defaults.stages),
        metavar="NAME[,NAME...]",
        help="what is tried",
    )
    add(
        "--rounds",
        type=int,
        default=defaults.rounds,
        metavar="N",
        help="rounds of the search for firing patterns",
    )
    add(
        "--seed",
        type=int,
        default=defaults.seed,
        metavar="N",
        help="seed of samples, weights and Z3",
    )
    add(
        "--time-limit",
        type=float,
        default=defaults.time_limit,
        metavar="SECONDS",
        help="limit of the whole run",
    )


def _names(text: str) -> tuple[str, ...]:
    """Parse names with commas between them."""
    return tuple(text.split(","))


def _layers(text: str) -> tuple[int, ...]:
    """Parse ``16`` or ``16-8``."""
    try:
        return tuple(int(part) for part in text.split("-"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no layers; write their neurons, such as 16 or 16-8"
        ) from None


def _add_sweeps(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--batches", type=int, default=Settings.batches, metavar="N", help="batches of an epoch")
    add(
        "--batch-size", type=int, default=Settings.batch_size, metavar="N", help="samples per batch"
    )
    add(
        "--epochs",
        type=int,
        default=Settings.epochs,
        metavar="N",
        help=(
            "passes over the samples of the batches, reshuffled (default: as many as make 200 "
            "batches, from 1 to 20)"
        ),
    )
    add(
        "--seed",
        type=int,
        default=Settings.seed,
        metavar="N",
        help="seed of weights, reshuffling and solvers",
    )
    add("--init", default="he", metavar="RULE", help=f"initial weights: {', '.join(INITIALIZERS)}")
    add(
        "--init-trials",
        type=int,
        default=1,
        metavar="N",
        help=(
            "initializations of which the first batch chooses, by its accuracy on the other "
            "training images"
        ),
    )
    add(
        "--objective",
        default=Settings.objective,
        metavar="NAME",
        help=f"of the last layer: {', '.join(OBJECTIVES)}",
    )
    add(
        "--input-penalty",
        type=float,
        default=Settings.input_penalty,
        metavar="MU",
        help="price of a change of the last layer's inputs (margin)",
    )
    add(
        "--max-sweeps",
        type=int,
        default=Settings.max_sweeps,
        metavar="N",
        help="most sweeps per batch",
    )
    add(
        "--average",
        type=float,
        default=Settings.average,
        metavar="F",
        help="factor of the average of weights over batches",
    )
    add("--box", type=float, default=Settings.box, metavar="B", help="weights stay in [-B, B]")
    add(
        "--output-box",
        type=float,
        metavar="B",
        help=(
            "the same for the last layer in post-processing at the end (default: 1 for l1, 10 for "
            "margin)"
        ),
    )
    add(
        "--trust-factor",
        type=float,
        default=Settings.trust_factor,
        metavar="F",
        help="factor of the bounds (10)",
    )
    add(
        "--trust-offset",
        type=float,
        default=Settings.trust_offset,
        metavar="A",
        help="offset of the bounds (10)",
    )
    add(
        "--tie-break",
        default=SolveOptions.tie_break,
        metavar="RULE",
        help=f"which optimum: {', '.join(TIE_BREAKS)}",
    )
    add(
        "--ridge",
        type=float,
        default=Settings.ridge,
        metavar="R",
        help=(
            "softness of the hidden layers' ridge regression (0: least absolute deviations by "
            "MILPs)"
        ),
    )
    add(
        "--weight-decay",
        type=float,
        metavar="D",
        help=(
            "share of its weights that a hidden neuron forgets in every fit (default: 1 / "
            "batches, from 0.01 to 0.1)"
        ),
    )
    add(
        "--postprocess",
        default=Settings.postprocess,
        metavar="WHEN",
        help=f"last layer's LP: {', '.join(POSTPROCESS)}",
    )


def _add_solving(parser: argparse.ArgumentParser) -> None:
    _add_solver(parser)
    add = parser.add_argument
    add(
        "--formulation",
        default="reduced",
        metavar="NAME",
        help=f"weight program: {', '.join(FORMULATIONS)}",
    )
    add(
        "--target-gap",
        type=float,
        default=DEFAULT_TARGET_GAP,
        metavar="SHARE",
        help="a program is solved within this share of the sum of its targets",
    )
    add(
        "--node-limit",
        type=int,
        default=DEFAULT_NODE_LIMIT,
        metavar="N",
        help="branch-and-bound nodes per program",
    )
    add(
        "--solver-option",
        type=_solver_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the solver itself, by its own name (repeatable)",
    )


def _add_solver(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--solver", default="auto", metavar="NAME", help=f"auto, {', '.join(SOLVERS)}")
    add("--time-limit", type=float, metavar="SECONDS", help="limit per program (not repeatable)")
    add(
        "--gap",
        type=float,
        metavar="GAP",
        help="a program is also solved within this gap relative to its objective",
    )


def _add_last_layer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--tolerance",
        type=float,
        default=Settings.tolerance,
        metavar="S",
        help="dead zone of post-processing (l1)",
    )
    add(
        "--class-weight",
        type=_class_weight,
        metavar="W",
        help="factor of the loss where a target is one (l1): a number, or balanced",
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="worker processes, -1 for one per core"
    )
    parser.add_argument(
        "--backend", default="loky", metavar="NAME", help=f"where they are: {', '.join(BACKENDS)}"
    )
    parser.add_argument(
        "--address",
        metavar="URL",
        help="of a running Dask or Ray cluster (default: one on this machine)",
    )


def _add_postprocess(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    _add_data(parser)
    parser.add_argument(
        "--objective",
        metavar="NAME",
        help=f"{', '.join(OBJECTIVES)} (default: the one that the model was trained for)",
    )
    _add_last_layer(parser)
    parser.add_argument(
        "--box",
        type=float,
        metavar="B",
        help="weights stay in [-B, B] (default: 1 for l1, 10 for margin)",
    )
    _add_solver(parser)
    _add_workers(parser)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="where the new model is written"
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    _add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="directory of a run, or its model.npz")
    _add_data_again(parser)


def _add_data_again(parser: argparse.ArgumentParser) -> None:
    """Add the options of data that are by default those of a run."""
    add = parser.add_argument
    add("--data", metavar="DATA", help="as for train (default: those of the run)")
    add("--data-dir", metavar="DIR", help="as for train (default: that of the run)")
    add(
        "--label-column",
        metavar="NAME",
        help="label column of a .csv file (default: that of the run)",
    )


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="DIR", help="directory of a run")
    _add_data_again(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="for the page and the figures (default: report, of one run in its DIR)",
    )


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    parser.add_argument("samples", help=".csv (label column ignored) or .npz (array X)")
    parser.add_argument(
        "--label-column",
        default="label",
        metavar="NAME",
        help="column of a .csv that holds no input",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the labels here instead of printing them"
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"its suffix says the format: {', '.join(FORMATS)}",
    )
    parser.add_argument(
        "--dtype", default=DTYPES[0], metavar="TYPE", help=f"of the numbers: {', '.join(DTYPES)}"
    )


def _add_import(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", help=f"file; its suffix says the format: {', '.join(FORMATS)}")
    add("--out", required=True, metavar="FILE", help="where model.npz is written")
    add(
        "--classes",
        type=_names,
        metavar="NAME[,NAME...]",
        help="label of each output (default: the file's, else 0,1,...)",
    )
    add(
        "--decision",
        metavar="RULE",
        help=(
            f"how the class is read: {', '.join(DECISIONS)} (default: nearest if a ReLU comes "
            "last, else largest)"
        ),
    )
    add(
        "--image",
        type=_image,
        metavar="[Cx]HxW",
        help="shape of a sample, where the file does not say it: 28x28 or 3x32x32",
    )
    add(
        "--net",
        metavar="LAYERS",
        help="network whose weights a .pt file holds, as for train: 28x28-mean4-conv3-10",
    )


def _add_data_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        help="what to load and describe; mnist is downloaded if it is not at hand",
    )
    _add_source(parser)


def _solver_option(text: str) -> tuple[str, Option]:
    """Parse ``NAME=VALUE``; the value is a JSON number, true or false where it is one, else
    text."""
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


def _class_weight(text: str) -> str | float:
    """Parse a number, or leave the text."""
    try:
        return float(text)
    except ValueError:
        return text


def _image(text: str) -> tuple[int, ...]:
    """Parse the shape of a sample."""
    sides = text.split("x")
    if len(sides) not in (2, 3) or not all(side.isdecimal() and len(side) < 10 for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no shape of an image; write 28x28 or 3x32x32"
        )
    return tuple(map(int, sides))


TRAINING: dict[str, Callable[[argparse.ArgumentParser, str], None]] = {
    "train": _add_train,
    "dump-programs": _add_dump_programs,
}
"""What adds the options of a command that trains, by its name; they depend on the method."""

ADDERS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "postprocess": _add_postprocess,
    "evaluate": _add_evaluate,
    "verify": _add_verify,
    "report": _add_report,
    "predict": _add_predict,
    "export": _add_export,
    "import": _add_import,
    "solvers": lambda parser: None,
    "data": _add_data_command,
}
"""What adds the options of any other command, by its name."""

DEFAULT_METHOD = "layerwise"

METHODS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    DEFAULT_METHOD: _add_layerwise,
    "integer": _add_integer,
    "hybrid": _add_hybrid,
    "smt": _add_smt,
}
"""What adds the options of ``train`` that a method has for itself."""

ALONE = ("hybrid", "smt")
"""Methods that have no workers."""
