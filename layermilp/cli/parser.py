"""The parser of the command line, made of what commands take and of the options of a method."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from layermilp.cli.arguments import Argument, add_options
from layermilp.datasets.source import DataSource
from layermilp.errors import OptionError
from layermilp.layerwise.method import Layerwise
from layermilp.layerwise.presets import preset
from layermilp.method import Method
from layermilp.options import Options
from layermilp.runs.methods import METHODS
from layermilp.version import __version__

USAGE_ERROR = 2

Taken = Argument | type[Options]
"""What a command takes: an argument, or the options of a class."""


class Command:
    """A command: a function that returns the exit code, what it does in words, and what it takes,
    in the order of its help. One that trains takes a method with its options, and data, before all
    else; `of_methods` is what it takes besides, by the method."""

    def __init__(
        self,
        function: Callable[[argparse.Namespace], int],
        summary: str,
        *takes: Taken,
        trains: bool = False,
        of_methods: Mapping[type[Method], Taken] | None = None,
    ) -> None:
        self.function, self.summary, self.takes = function, summary, takes
        self.trains, self.of_methods = trains, of_methods or {}


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


def parse(commands: Mapping[str, Command], argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line for commands by name.

    Options that are given win over those of a preset, and those over the defaults.

    Raises
    ------
    OptionError
        If a method or a preset is unknown.
    """
    # What decides which other options there are, or their defaults, is looked for first.
    peek = Parser(prog="layermilp", add_help=False, allow_abbrev=False)
    peek.add_argument("--method", default=Layerwise.name)
    peek.add_argument("--preset")
    found = peek.parse_known_args(argv)[0]
    if found.method not in METHODS:
        raise OptionError(f"method {found.method!r} is unknown; choose {', '.join(METHODS)}")
    method = METHODS[found.method]
    defaults: Mapping[str, Any] = {}
    if found.preset is not None and method is Layerwise:
        chosen = preset(found.preset)
        defaults = {"init": chosen.init, **chosen.options}

    parser = Parser(
        prog="layermilp",
        description="Train neural networks with linear and mixed-integer programs.",
    )
    parser.add_argument("--version", action="version", version=f"layermilp {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, command in commands.items():
        described = f"{command.summary[0].upper()}{command.summary[1:]}."
        sub = subparsers.add_parser(
            name, help=command.summary, description=described, formatter_class=Formatter
        )
        if command.trains:
            _add_method(sub, name, method, defaults)
        add_options(sub, *command.takes)
        if method in command.of_methods:
            add_options(sub, command.of_methods[method])
        sub.set_defaults(command=command.function)
    return parser.parse_args(argv)


def _add_method(
    parser: argparse.ArgumentParser,
    command: str,
    method: type[Method],
    defaults: Mapping[str, Any],
) -> None:
    """Add what every command that trains has: the method with its options, and the data."""
    each = f"each has options of its own: `layermilp {command} --method NAME --help`"
    names = ", ".join(METHODS)
    parser.add_argument("--method", default=method.name, metavar="NAME", help=f"{names}; {each}")
    add_options(parser, method, defaults=defaults)
    add_options(parser, DataSource)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="print nothing but the result")
    loudness.add_argument("--verbose", action="store_true", help="more lines on the way")
