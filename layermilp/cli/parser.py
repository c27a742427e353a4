"""The parser of the command line: options of methods by their classes, those of commands here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from layermilp.cli.arguments import add_options, names
from layermilp.datasets.source import DataSource
from layermilp.exchange import DTYPES, FORMATS
from layermilp.hybrid.method import Hybrid
from layermilp.layerwise.method import Layerwise
from layermilp.layerwise.options import Postprocess, preset
from layermilp.layerwise.programs import Selection
from layermilp.method import Method
from layermilp.networks.classifier import DECISIONS
from layermilp.parallel import WorkerOptions
from layermilp.runs.methods import DEFAULT, METHODS, method_of
from layermilp.runs.run import RunOptions
from layermilp.version import __version__

USAGE_ERROR = 2

Command = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """Parser that refuses with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Refuse in one line."""
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
        If a method or a preset is unknown.
    """
    method = method_of(_peeked(argv, "--method") or DEFAULT)
    name = _peeked(argv, "--preset") if method is Layerwise else None
    defaults: Mapping[str, Any] = {}
    if name is not None:
        chosen = preset(name)
        defaults = {"init": chosen.init, **chosen.options}
    return _parser(commands, method, defaults).parse_args(argv)


def _peeked(argv: Sequence[str] | None, flag: str) -> str | None:
    """Return the value of an option that decides which other options there are, or their
    defaults."""
    peek = Parser(prog="layermilp", add_help=False, allow_abbrev=False)
    peek.add_argument(flag, dest="found")
    found: str | None = peek.parse_known_args(argv)[0].found
    return found


def _parser(
    commands: Mapping[str, tuple[Command, str]], method: type[Method], defaults: Mapping[str, Any]
) -> Parser:
    parser = Parser(
        prog="layermilp",
        description="Train neural networks with linear and mixed-integer programs.",
    )
    parser.add_argument("--version", action="version", version=f"layermilp {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, (command, summary) in commands.items():
        described = f"{summary[0].upper()}{summary[1:]}."
        sub = subparsers.add_parser(
            name, help=summary, description=described, formatter_class=Formatter
        )
        if name in TRAINING:
            _add_method(sub, method, defaults)
            TRAINING[name](sub, method)
        else:
            ADDERS[name](sub)
        sub.set_defaults(command=command)
    return parser


def _add_method(
    parser: argparse.ArgumentParser, method: type[Method], defaults: Mapping[str, Any]
) -> None:
    """Add what every command that trains has: the method with its options, and the data."""
    command = parser.prog.rpartition(" ")[2]
    add = parser.add_argument
    each = f"each has options of its own: `layermilp {command} --method NAME --help`"
    add("--method", default=method.name, metavar="NAME", help=f"{', '.join(METHODS)}; {each}")
    add_options(parser, method, defaults=defaults)
    add_options(parser, DataSource)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="print nothing but the result")
    loudness.add_argument("--verbose", action="store_true", help="more lines on the way")


def _add_train(parser: argparse.ArgumentParser, method: type[Method]) -> None:  # noqa: ARG001
    add_options(parser, RunOptions)
    kept = "directory for model.npz, history.jsonl, summary.json and checkpoints"
    parser.add_argument("--out", metavar="DIR", help=kept)
    goes_on = "go on with the run of this directory, by its own options"
    parser.add_argument("--resume", metavar="DIR", help=goes_on)


def _add_dump_programs(parser: argparse.ArgumentParser, method: type[Method]) -> None:
    add_options(parser, WorkerOptions)
    add = parser.add_argument
    files = "new directory for the files and programs.json, which says what they are"
    add("--out", required=True, metavar="DIR", help=files)
    add("--format", default="mps", metavar="NAME", help="of the files: mps or lp")
    if method is Layerwise:
        add_options(parser, Selection)
    if method is Hybrid:
        turn = "train up to the solver's turn of this round"
        add("--round", type=int, default=1, metavar="N", help=turn)


def _add_postprocess(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    add_options(parser, DataSource, Postprocess)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="where the new model is written"
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model.npz")
    add_options(parser, DataSource)
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
        type=names,
        metavar="NAME[,NAME...]",
        help="label of each output (default: the file's, else 0,1,...)",
    )
    add(
        "--decision",
        metavar="RULE",
        help=(
            f"how the class is read: {', '.join(DECISIONS)} (default: closest_to_one if a "
            "ReLU comes last, else argmax)"
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
    add_options(parser, DataSource)


def _image(text: str) -> tuple[int, ...]:
    """Parse the shape of a sample."""
    sides = text.split("x")
    if len(sides) not in (2, 3) or not all(side.isdecimal() and len(side) < 10 for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no shape of an image; write 28x28 or 3x32x32"
        )
    return tuple(map(int, sides))


TRAINING: dict[str, Callable[[argparse.ArgumentParser, type[Method]], None]] = {
    "train": _add_train,
    "dump-programs": _add_dump_programs,
}
"""What adds the own options of a command that trains, by its name."""

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
