"""Options: every option of a method is defined once, as a field of a dataclass.

For example::

    @dataclass(kw_only=True)
    class Sweeps(Options):
        batches: int = option(20, "batches of an epoch", least=1)

The field has the default, the range or the choices, and what the option means. Everything else is
read from it: the check of values, the keywords and the docstring of functions (`with_options`), the
command line, the parameters of estimators, and what a run writes down of its options.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import math
import textwrap
from collections.abc import Callable, Collection
from dataclasses import Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import (
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from layermilp.checks import LARGEST_COUNT, check_whole, is_number, shortened
from layermilp.errors import OptionError

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
R = TypeVar("R")
Kind = TypeVar("Kind")

_METADATA = "layermilp.option"


@dataclass(frozen=True)
class Option:
    """What is known of an option besides its name, its type and its default.

    Parameters
    ----------
    help : str
        What it means, in a line, without a full stop.
    doc : str
        What it means, in sentences; empty where the line says it all.
    metavar : str
        Name of its value on the command line; by default ``N`` of a whole number, and ``NAME`` of a
        choice.
    least, above, most, below : float, optional
        Range of a number, or of the numbers of a tuple: ``least <= value <= most``,
        ``above < value < below``.
    choices : collection of str, optional
        Values of a name, or of the names of a tuple.
    check : callable, optional
        Given name and value, raises an error for what range and choices do not say.
    parse : callable, optional
        Makes a value of a text of the command line; by default by the type.
    flag : str
        The option of the command line, such as ``--jobs``; by default made of the name.
    repeats : bool
        Whether the option of the command line may be given several times, for one item each.
    is_flag : bool
        Whether the command line has it.
    decides : bool
        Whether the outcome of a run depends on it.
    """

    help: str
    doc: str = ""
    metavar: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: Collection[str] | None = None
    check: Callable[[str, Any], None] | None = None
    parse: Callable[[str], Any] | None = None
    flag: str = ""
    repeats: bool = False
    is_flag: bool = True
    decides: bool = True

    @property
    def range(self) -> str:
        """The range of a number, in words: ``a finite number of at least 0``."""
        if self.least is not None and self.most is not None:
            return f"a finite number from {self.least:g} to {self.most:g}"
        ends = (
            ("of at least", self.least),
            ("above", self.above),
            ("of at most", self.most),
            ("below", self.below),
        )
        told = [f"{words} {end:g}" for words, end in ends if end is not None]
        return " ".join(["a finite number", " and ".join(told)]).strip()

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range."""
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


def _field_maker(known: Callable[P, Option]) -> Callable[Concatenate[Any, P], Any]:
    def option(default: Any, /, *positional: P.args, **named: P.kwargs) -> Any:
        """Return a field of an options class, with its default and what `Option` takes."""
        return field(default=default, metadata={_METADATA: known(*positional, **named)})

    return option


option = _field_maker(Option)
"""Makes a field of an options class: ``option(default, help, least=1)``, see `Option`."""


@dataclass(kw_only=True)
class Options:
    """Base of the options of a method: a value, checked as soon as it is made.

    A subclass is a dataclass with fields made by `option`; what several of them have to fulfil
    together is checked by `check_together`. Changed options are made by `dataclasses.replace`.

    Raises
    ------
    OptionError
        If a value is unknown or out of its range; the message names the option.
    """

    def __post_init__(self) -> None:
        for each in described(type(self)):
            setattr(self, each.name, each.checked(getattr(self, each.name)))
        self.check_together()

    def check_together(self) -> None:
        """Raise `OptionError` where values do not fit together."""

    @classmethod
    def of(cls, source: object, **changes: Any) -> Self:
        """Return options with the values that an object has under their names, some changed."""
        given = {
            each.name: getattr(source, each.name)
            for each in described(cls)
            if hasattr(source, each.name)
        }
        return cls(**{**given, **changes})

    def values(self, *, decisive: bool = False) -> dict[str, Any]:
        """Return the options by name; with `decisive` those that decide the outcome of a run."""
        return {
            each.name: getattr(self, each.name)
            for each in described(type(self))
            if each.option.decides or not decisive
        }


@dataclass(frozen=True)
class Described:
    """An option with its name, its type and its default.

    Parameters
    ----------
    kind : type
        ``int``, ``float``, ``bool``, ``str``, ``tuple``, or ``object`` where a value has any other
        type.
    item : type
        Of a tuple: the type of its items.
    is_optional : bool
        Whether None is a value.
    """

    name: str
    kind: type
    item: type
    is_optional: bool
    default: Any
    option: Option

    @classmethod
    def of(cls, entry: Field[Any], hint: Any) -> Described:
        """Return the option that a field of an options class is, with its type as it is hinted."""
        parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        kinds = [part for part in parts if part is not NoneType]
        only = kinds[0] if len(kinds) == 1 else object
        kind = get_origin(only) or only
        return cls(
            name=entry.name,
            kind=kind if kind in (int, float, bool, str, tuple) else object,
            item=get_args(only)[0] if kind is tuple else object,
            is_optional=NoneType in parts,
            default=entry.default,
            option=entry.metadata[_METADATA],
        )

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """Name of the value on the command line."""
        by_default = "N" if self.kind is int else "NAME" if self.option.choices else ""
        return self.option.metavar or by_default

    def checked(self, value: Any) -> Any:
        """Return a value in the option's own type; raise `OptionError` unless it is one of it."""
        if value is None and self.is_optional:
            return None
        if self.kind is tuple:
            self._check_items(value)
        elif self.kind is not object:
            self._check_one(self.kind, value)
        if self.option.check is not None:
            self.option.check(self.name, value)
        if self.kind is tuple:
            return tuple(self.item(each) for each in value)
        return self.kind(value) if self.kind in (int, float) else value

    def _check_items(self, value: Any) -> None:
        if not isinstance(value, (tuple, list)) or not value:
            raise OptionError(
                f"{self.name} is {shortened(value)}; it must have at least one item, such as "
                f"{shortened(self.default)}"
            )
        for each in value:
            self._check_one(self.item, each)

    def _check_one(self, kind: type, value: Any) -> None:
        known = self.option
        if kind is int:
            most = LARGEST_COUNT if known.most is None else known.most
            least = -LARGEST_COUNT if known.least is None else known.least
            check_whole(self.name, value, int(least), None if math.isinf(most) else int(most))
            return
        if kind is str and known.choices is not None:
            if not isinstance(value, str) or value not in known.choices:
                choices = ", ".join(known.choices)
                raise OptionError(f"{self.name} {shortened(value)} is unknown; choose {choices}")
            return
        is_right, words = isinstance(value, kind), "a text"
        if kind is float:
            is_right, words = is_number(value) and known.holds(value), known.range
        elif kind is bool:
            words = "True or False"
        if not is_right:
            raise OptionError(f"{self.name} is {shortened(value)}; it must be {words}")

    @property
    def type_words(self) -> str:
        """The type as in a docstring: ``int, optional``, or the choices in braces."""
        if self.option.choices is not None and self.kind is str:
            words = "{" + ", ".join(f'"{choice}"' for choice in self.option.choices) + "}"
        elif self.kind is tuple:
            words = f"tuple of {self.item.__name__}"
        else:
            words = self.kind.__name__
        return f"{words}, optional" if self.is_optional else words


def described(options: type[Options]) -> tuple[Described, ...]:
    """Return the options of a class, in the order of its fields."""
    hints = get_type_hints(options)
    return tuple(
        Described.of(entry, hints[entry.name])
        for entry in fields(options)
        if _METADATA in entry.metadata
    )


def documented(options: type[Options]) -> str:
    """Return the parameters of an options class as in the section of a numpydoc docstring."""
    entries = []
    for each in described(options):
        text = each.option.doc or f"{each.option.help[0].upper()}{each.option.help[1:]}."
        body = textwrap.fill(text, 92, break_on_hyphens=False, break_long_words=False)
        entries.append(f"{each.name} : {each.type_words}\n{textwrap.indent(body, '    ')}")
    return "\n".join(entries)


class _Decorator(Protocol[P]):
    """Makes a function of data and options into one of data and keywords."""

    @overload
    def __call__(self, function: Callable[[A, B, Any], R]) -> Callable[Concatenate[A, B, P], R]: ...
    @overload
    def __call__(
        self, function: Callable[[A, B, C, Any], R]
    ) -> Callable[Concatenate[A, B, C, P], R]: ...


def with_described_options(cls: type[Kind]) -> type[Kind]:
    """Put the descriptions of a class's options in place of ``{options}`` in its docstring."""
    _describe(cls, cls)
    return cls


def _describe(told: Any, options: Any) -> None:
    told.__doc__ = inspect.cleandoc(told.__doc__ or "").replace("{options}", documented(options))


def with_options(options: Callable[P, Options]) -> _Decorator[P]:
    """Give a function the fields of an options class as keywords, in place of its last parameter.

    A line ``{options}`` of its docstring becomes the descriptions of the options.
    """
    kind: Any = options

    def decorate(function: Any) -> Any:
        own = inspect.signature(function)
        *given, _ = own.parameters.values()
        keywords = inspect.signature(kind).parameters.values()
        signature = own.replace(parameters=[*given, *keywords])

        @functools.wraps(function)
        def call(*positional: Any, **named: Any) -> Any:
            bound = signature.bind(*positional, **named).arguments
            data = [bound.pop(each.name) for each in given]
            return function(*data, kind(**bound))

        call.__signature__ = signature  # type: ignore[attr-defined]
        _describe(call, kind)
        return call

    return decorate


def number_or_name(text: str) -> str | float:
    """Return the number of a text of the command line, or the text where it is none."""
    try:
        return float(text)
    except ValueError:
        return text


def named_value(text: str) -> tuple[str, Any]:
    """Return name and value of a text ``NAME=VALUE`` of the command line; the value is a number,
    true or false where JSON has it so, else text."""
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
