"""Options of the command line, made of options classes, and back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from layermilp.options import Described, Options, described

Made = TypeVar("Made", bound=Options)


class Argument:
    """An argument of a single command, with what ``ArgumentParser.add_argument`` takes."""

    def __init__(self, name: str, help: str, metavar: str | None = None, **others: Any) -> None:
        self.name, self.others = name, {"help": help, **others}
        if metavar is not None:
            self.others["metavar"] = metavar


def add_options(
    parser: argparse.ArgumentParser,
    *taken: type[Options] | Argument,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Add arguments, and the options of classes, to a parser; `defaults` of options by name win
    over the classes' own."""
    defaults = defaults or {}
    for one in taken:
        if isinstance(one, Argument):
            parser.add_argument(one.name, **one.others)
            continue
        for each in described(one):
            if each.option.is_flag:
                _add(parser, each, defaults.get(each.name, each.default))


def options_of(arguments: argparse.Namespace, options: type[Made]) -> Made:
    """Return the options of a class that the arguments have."""
    given = {}
    for each in described(options):
        if each.option.is_flag:
            value = getattr(arguments, each.name)
            given[each.name] = dict(value) or None if each.option.repeats else value
    return options(**given)


def _add(parser: argparse.ArgumentParser, each: Described, default: Any) -> None:
    known = each.option
    words = known.help
    if known.choices is not None and each.kind is str:
        words = f"{words}: {', '.join(known.choices)}"
    if isinstance(default, tuple):
        default = ("-" if each.item is int else ",").join(map(str, default))
    how: dict[str, Any] = {"action": "store_true"}
    if each.kind is not bool:
        how = {"type": known.parse or _parser_of(each), "metavar": each.metavar}
    if known.repeats:  # pairs of name and value, see `options_of`
        default, how["action"] = list((default or {}).items()), "append"
    parser.add_argument(each.flag, dest=each.name, default=default, help=words, **how)


def _parser_of(each: Described) -> Callable[[str], Any]:
    """Return what makes a value of a text, by the type of an option."""
    if each.kind is tuple:
        return _layers if each.item is int else lambda text: tuple(text.split(","))
    if each.kind in (int, float):
        return _number_or_none(each.kind) if each.is_optional else each.kind
    return str


def _number_or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what makes a number of a text, and None of the word ``none``."""

    def parse(text: str) -> Any:
        return None if text == "none" else kind(text)

    # argparse calls what it could not parse an invalid value of this.
    parse.__name__ = getattr(kind, "__name__", "number")
    return parse


def _layers(text: str) -> tuple[int, ...]:
    """Parse ``16`` or ``16-8``."""
    try:
        return tuple(int(part) for part in text.split("-"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no layers; write their neurons, such as 16 or 16-8"
        ) from None
