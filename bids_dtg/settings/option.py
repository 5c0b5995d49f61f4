"""An option: a field of the settings, written once for all that is made from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from bids_dtg.errors import SettingsError, did_you_mean

Row = TypeVar("Row")
RESULTS, MODELS = "results", "models"  # what options change


def option(
    group: str,
    help_text: str,
    *,
    default: Any = dataclasses.MISSING,
    flags: tuple[str, ...] = (),
    metavar: str | None = None,
    shapes: tuple[str, ...] | None = None,
    shown_default: str | Mapping[str, str] | None = None,
) -> Any:
    """Return a dataclass field that is also a command-line option and a TOML key.

    Parameters
    ----------
    group
        Heading in ``--help`` and table in the TOML file.
    help_text
        Explanation for ``--help``, one sentence; up to its first semicolon, for the overview.
    default
        The default value; a field without one is required.
    flags
        Spellings beside the one that follows from the field's name.
    metavar
        Name of the value in ``--help``.
    shapes
        What changes with the option: `RESULTS` of participants, whose hash it enters, and
        `MODELS` that are trained; None: what changes with the others of its part.
    shown_default
        What ``--help`` prints as the default where the value itself says little; where single
        workflows or analyses have another one, by their names, and under the empty name that of
        all others.
    """
    return field(
        default=default,
        metadata={
            "group": group,
            "help": help_text,
            "flags": flags,
            "metavar": metavar,
            "shapes": shapes,
            "shown_default": shown_default,
        },
    )


def find_row(rows: Mapping[str, Row], flag: str, name: str) -> Row:
    """Return the row of a table that an option names.

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
    """Return an option's value as JSON and TOML have it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def require_kind(name: str, value: object, hint: Any) -> None:
    """Refuse a value that an option's type does not have: text is true, and true is a number.

    Parameters
    ----------
    name
        Of the option, for the error.
    value
        What a caller or a configuration file gave.
    hint
        Type of its values.

    Raises
    ------
    SettingsError
        It is of another kind.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not any(_is_of(value, kind) for kind in kinds):
        expected = " or ".join(describe_kind(kind) for kind in kinds if kind is not type(None))
        raise SettingsError(f"{name} is {value!r}", expected=expected)


def describe_kind(hint: Any) -> str:
    """Return words for a type of values."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    names = {Path: "a path", float: "a number", int: "a whole number", bool: "true or false"}
    if get_origin(hint) is tuple:
        return "a list of texts"
    return names.get(hint, "a text")


def _is_of(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is tuple:
        item_type = get_args(kind)[0]
        return isinstance(value, list | tuple) and all(_is_of(item, item_type) for item in value)
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, str | Path) if kind is Path else isinstance(value, kind)
