"""Options of the command line, made of options classes, and back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from layermilp.options import Described, Options, described

Made = TypeVar("Made", bound=Options)


def add_options(
    parser: argparse.ArgumentParser,
    *classes: type[Options],
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Add the options of classes to a parser, every one once.

    Parameters
    ----------
    parser : ArgumentParser
        The parser.
    *classes : type
        Options classes.
    defaults : mapping, optional
        Defaults by name, in place of the classes' own.
    """
    known: set[str] = set()
    defaults = defaults or {}
    for options in classes:
        for each in described(options):
            if each.option.is_flag and each.name not in known:
                known.add(each.name)
                _add(parser, each, defaults.get(each.name, each.default))


def options_of(arguments: argparse.Namespace, options: type[Made], **changes: Any) -> Made:
    """Return the options of a class that the arguments have."""
    given = {
        each.name: getattr(arguments, each.name)
        for each in described(options)
        if each.option.is_flag
    }
    return options(**{**given, **changes})


def _add(parser: argparse.ArgumentParser, each: Described, default: Any) -> None:
    known = each.option
    words = known.help
    if known.choices is not None and each.kind is str:
        words = f"{words}: {', '.join(known.choices)}"
    if isinstance(default, tuple):
        default = ("-" if each.item is int else ",").join(map(str, default))
    common: dict[str, Any] = {"dest": each.name, "default": default, "help": words}
    parse = known.parse or _parser_of(each)
    if each.kind is bool:
        parser.add_argument(each.flag, action="store_true", **common)
    elif known.repeats:
        parser.add_argument(each.flag, action=_Pairs, type=parse, metavar=each.metavar, **common)
    else:
        parser.add_argument(each.flag, type=parse, metavar=each.metavar, **common)


class _Pairs(argparse.Action):
    """Collects pairs of name and value into a mapping."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, value = values
        before = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**before, name: value})


def _parser_of(each: Described) -> Callable[[str], Any]:
    """Return what makes a value of a text, by the type of an option."""
    if each.kind is tuple:
        return _layers if each.item is int else names
    parsers: dict[type, Callable[[str], Any]] = {int: int, float: float}
    return parsers.get(each.kind, str)


def names(text: str) -> tuple[str, ...]:
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
