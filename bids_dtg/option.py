"""An option: one field of the settings, which defines a flag, a TOML key and their help."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.files.paths import expand_home

Row = TypeVar("Row")
RESULTS, MODELS = "results", "models"  # what an option can change
REQUIRED = dataclasses.MISSING

# The least and the most of a number, and both in words.
Limits = tuple[float, float, str]
_MOST = 10**9 - 1
COUNT: Limits = (1, _MOST, f"1 to {_MOST:,}")


@dataclass(frozen=True)
class Option:
    """An option, as the command line, the TOML file, the records and the documentation need it."""

    name: str
    part: type  # dataclass of options that it belongs to
    hint: Any  # type of its values
    default: Any  # `REQUIRED`: it has none
    group: str  # heading in ``--help`` and table in the TOML file
    help: str  # one sentence; the overview shows it up to its first semicolon
    # What the option changes: `MODELS`, or `RESULTS` of participants, whose records have it.
    shapes: tuple[str, ...]
    flags: tuple[str, ...]  # its spellings; empty for a positional argument
    metavar: str | None = None  # name of the value in ``--help``
    # The default in words, for ``--help``, where the value itself says little. Rows of workflows
    # and analyses have words for defaults of their own.
    shown: str | None = None
    limits: Limits | None = None  # of a number
    # Of a text: a pattern, and what it means in words.
    form: tuple[str, str] | None = None
    file_only: bool = False  # whether only --config-file can set it

    @property
    def typed(self) -> str:
        """The option as a user types it: its flag, or the name of a positional argument."""
        return self.name.upper() if self.default is REQUIRED else flag(self.name)


def option(default: Any, help_text: str, **facts: Any) -> Any:
    """Return a dataclass field that is also a command-line option and a TOML key.

    Parameters
    ----------
    default
        The default value, or `REQUIRED`.
    help_text
        Explanation for ``--help``.
    **facts
        Further fields of `Option`; `group` and `shapes` only where they differ from the part's.
    """
    return field(default=default, metadata={"help": help_text, **facts})


def options_of(part: type) -> Iterator[Option]:
    """Yield the options of a part, a dataclass with the defaults `GROUP` and perhaps `SHAPES`."""
    hints = get_type_hints(part)
    usual = {"group": vars(part)["GROUP"], "shapes": vars(part).get("SHAPES", ())}
    for field_ in dataclasses.fields(part):
        name, default = field_.name, field_.default
        flags = () if default is REQUIRED else (flag(name),)
        facts = {"flags": flags, **usual, **field_.metadata}
        yield Option(name, part, hints[name], default, **facts)


def flag(name: str) -> str:
    """Return the command-line flag of an option's name."""
    return "--" + name.replace("_", "-")


def find_row(rows: Mapping[str, Row], flag: str, name: str) -> Row:
    """Return the table row that the value of an option names.

    Raises
    ------
    SettingsError
        No row has that name; the error lists the names.

    Examples
    --------
    >>> find_row({"one": 1, "two": 2}, "--number", "two")
    2
    """
    if name not in rows:
        raise SettingsError(
            f"{flag} is '{name}'",
            expected=f"one of {', '.join(rows)}",
            remedy=did_you_mean(name, rows),
        )
    return rows[name]


def plain(value: Any) -> Any:
    """Return an option's value as a type that JSON and TOML have."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


# Types of values in words.
_WORDS: Mapping[Any, str] = {
    Path: "a path",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}


def convert(
    value: Any, hint: Any, source: str, choices: Collection[str] | None = None
) -> Any:
    """Convert a plain value to the type of an option.

    Parameters
    ----------
    value
        From Python, TOML or the command line.
    hint
        Type of the option's values.
    source
        Where the value comes from, for the error message.
    choices
        Legal values, if the option chooses a row of a table.

    Raises
    ------
    SettingsError
        The value is not legal for the option.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind, *alternatives = (kind for kind in kinds if kind is not type(None))
    # A legal word of a type such as `int | Literal["halves"]`.
    for alternative in alternatives:
        if value in get_args(alternative):
            kind = alternative
    legal = choices or (get_args(kind) if get_origin(kind) is Literal else None)
    try:
        return _converted(value, kind, source, legal)
    except (TypeError, ValueError, OverflowError):
        expected = _WORDS.get(kind, "text")
        remedy = None
        if get_origin(kind) is tuple:
            expected = "a list of texts"
        if legal is not None:
            expected = f"one of {', '.join(map(str, legal))}"
        if legal and isinstance(value, str):
            remedy = did_you_mean(value, map(str, legal))
        raise SettingsError(
            f"{source} is {value!r}", expected=expected, remedy=remedy
        ) from None


def _converted(
    value: Any, kind: Any, source: str, legal: Collection[str] | None
) -> Any:
    """Convert a value to a type; raise ValueError or TypeError where it does not fit."""
    if get_origin(kind) is tuple:
        if isinstance(value, str) or (legal is not None and not set(value) <= {*legal}):
            raise ValueError
        return tuple(map(get_args(kind)[0], value))
    if value is None or (legal is not None and value not in legal):
        raise ValueError
    if legal is not None:
        return value
    # Python would take "no" as true, true as 1, 2.5 as 2, and "" as the path `.`.
    is_bool = isinstance(value, bool)
    if is_bool != (kind is bool) or (kind is int and isinstance(value, float)):
        raise ValueError
    if kind is Path and not str(value):
        raise ValueError
    return expand_home(value, source) if kind is Path else kind(value)
